"""What the store gives back is what was put in for exactly this subject, or nothing."""

import dataclasses
import shutil

import nbformat
import pytest

from bookbuild.engine import store, watch
from bookbuild.engine.project import BookError, Project
from bookbuild.engine.store import Notebooks, Store, Subject

from .conftest import ODD


@pytest.fixture
def project(fresh) -> Project:
    return Project.at(fresh.root)


@pytest.fixture
def subject(project) -> Subject:
    return Subject("pages", "beta", "its cells", frozenset([project.code / "tiny/other.py"]))


# ---- results


def put(project: Project, subject: Subject, value: dict, inputs: dict[str, str] | None = None) -> None:
    kept = Store(project)
    kept.put(subject, kept.key(subject), value, inputs or {})


def test_what_is_put_comes_back_also_to_another_process(project, subject):
    assert Store(project).get(subject) is None
    value = {"number": 1, "list": [1.5, None, "x"]}
    put(project, subject, value)
    assert Store(project).get(subject) == value
    put(project, subject, {"number": 2})  # a second result replaces the first
    assert Store(project).get(subject) == {"number": 2}


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "claims"},
        {"name": "gamma"},
        {"own": "other cells"},
        {"files": frozenset()},
        {"variables": (("SEEDS", "1"),)},
    ],
)
def test_a_result_is_of_one_subject(project, subject, change):
    put(project, subject, {"x": 1})
    assert Store(project).get(dataclasses.replace(subject, **change)) is None
    assert Store(project).get(subject) == {"x": 1}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("code/tiny/other.py", "apple", "pear"),
        ("requirements.txt", "2.4.6", "2.4.5"),
        ("book/data.txt", "first", "second"),
    ],
)
def test_a_change_misses_and_its_reversal_hits(project, subject, fresh, file, old, new):
    def read() -> dict[str, str]:
        return {"file book/data.txt": watch.of_file(fresh.root / "book/data.txt")}

    put(project, subject, {"x": "before"}, read())
    fresh.edit(file, old, new)
    assert Store(project).get(subject) is None
    put(project, subject, {"x": "after"}, read())
    assert Store(project).get(subject) == {"x": "after"}
    fresh.edit(file, new, old)
    assert Store(project).get(subject) == {"x": "before"}


def test_what_only_renders_decides_a_result_of_the_builder_alone(project, fresh):
    fresh.write("code/bookbuild/site.py", "")
    builder = project.code / "bookbuild/site.py"
    page = Subject("pages", "beta", "its cells", frozenset([project.code / "tiny/other.py", builder]))
    tests, mutant = (Subject(kind, "of the site", "", frozenset([builder])) for kind in ("tests", "mutants"))
    found = []
    for pin in ("sphinx==9", "sphinx==10"):
        fresh.write("requirements.txt", f"numpy==2\n# what makes a site of them\n{pin}\n")
        found.append([Store(project).key(subject) for subject in (page, tests, mutant)])
    assert [one == other for one, other in zip(*found, strict=True)] == [True, False, False]


def test_another_python_misses(project, subject, monkeypatch):
    put(project, subject, {"x": 1})
    monkeypatch.setattr("sys.version", "3.12.99 (another)")
    assert Store(project).get(subject) is None


def test_a_variable_is_compared_with_that_of_the_process_that_will_run(project, subject, monkeypatch):
    monkeypatch.setenv("FLAVOUR", "sweet")
    read = {"variable FLAVOUR": watch.of_variable("FLAVOUR", str(project.root), {"FLAVOUR": "sweet"})}
    put(project, subject, {"x": 1}, read)
    assert Store(project).get(subject) == {"x": 1}
    own = dataclasses.replace(subject, variables=(("FLAVOUR", "sweet"),))
    put(project, own, {"x": 2}, read)
    monkeypatch.setenv("FLAVOUR", "sour")
    assert Store(project).get(subject) is None
    assert Store(project).get(own) == {"x": 2}  # it is run with a value of its own


def test_results_of_the_same_key_are_kept_apart_by_what_was_read_the_newest_few(project, subject, fresh):
    for i in range(store.VERSIONS + 2):
        fresh.write("book/data.txt", str(i))
        read = {"file book/data.txt": watch.of_file(fresh.root / "book/data.txt")}
        put(project, subject, {"x": i}, read)
    found = []
    for i in range(store.VERSIONS + 2):
        fresh.write("book/data.txt", str(i))
        found.append(Store(project).get(subject))
    assert found == [None, None, *({"x": i} for i in range(2, store.VERSIONS + 2))]


@pytest.mark.parametrize("file", ["code/tiny/other.py", "book/data.txt"])
def test_a_result_of_what_has_changed_since_is_not_kept(project, subject, fresh, file):
    kept = Store(project)
    key, read = kept.key(subject), {"file book/data.txt": watch.of_file(fresh.root / "book/data.txt")}
    before = (fresh.root / file).read_text()
    fresh.write(file, "edited = 1\n")
    kept.put(subject, key, {"x": 1}, read)
    assert kept.get(subject) is None
    fresh.write(file, before)
    assert kept.get(subject) is None
    kept.put(subject, key, {"x": 1}, read)
    assert kept.get(subject) == {"x": 1}


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "{}", '[{"value": 1}]', "\udcff", '[{"inputs": {}, "value"']
)
def test_a_damaged_result_counts_as_absent_and_can_be_put_again(project, subject, text):
    kept = Store(project)
    put(project, subject, {"x": 1})
    (file,) = kept.folder.glob("*/*.json")
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert kept.get(subject) is None
    put(project, subject, {"x": 2})
    assert kept.get(subject) == {"x": 2}


def test_the_oldest_results_are_forgotten_where_there_are_very_many(project, monkeypatch):
    monkeypatch.setattr(store, "KEPT", 3)
    kept, subjects = Store(project), [Subject("pages", str(i), "") for i in range(5)]
    for age, subject in enumerate(reversed(subjects)):
        put(project, subject, {"x": subject.name})
        store.os.utime(kept._file(subject), (age, age))
    kept.end()
    assert [kept.get(subject) is not None for subject in subjects] == [True, True, True, False, False]


# ---- notebooks


def executed(text: str = "printed") -> nbformat.NotebookNode:
    cells = [nbformat.v4.new_code_cell("1 + 1"), nbformat.v4.new_markdown_cell("prose")]
    cells[0].outputs = [nbformat.v4.new_output("stream", text=text)]
    return nbformat.v4.new_notebook(cells=cells)


@pytest.fixture
def notebooks(tmp_path) -> Notebooks:
    return Notebooks(tmp_path / ODD / "cache")


def printed(notebook) -> str:
    return notebook.cells[0].outputs[0].text


def test_notebooks_come_back_by_number_and_checksum(notebooks):
    one, two = (notebooks.put("page", executed(text), [text]) for text in ("one", "two"))
    again = Notebooks(notebooks.folder)
    assert (printed(again.get(*one)), printed(again.get(*two))) == ("one", "two")
    assert again.get(one[0], two[1]) is None
    assert again.get(99, one[1]) is None


def test_nothing_is_written_beside_the_folder(notebooks, tmp_path):
    notebooks.put("page", executed(), [])
    assert [file.name for file in tmp_path.iterdir()] == [ODD]
    assert (notebooks.folder / "global.db").exists()


def test_a_notebook_made_of_the_same_replaces_the_first(notebooks):
    one = notebooks.put("page", executed("one"), ["same"])
    two = notebooks.put("page", executed("two"), ["same"])
    assert notebooks.get(*one) is None and printed(notebooks.get(*two)) == "two"


def test_a_stored_notebook_that_was_damaged_counts_as_absent(notebooks):
    kept = notebooks.put("page", executed(), [])
    (file,) = notebooks.folder.glob("executed/*/base.ipynb")
    whole = file.read_text()
    for damaged in (whole.replace("printed", "forged"), whole[: len(whole) // 2], "", "{}", "[]"):
        file.write_text(damaged)
        assert notebooks.get(*kept) is None
    file.write_text(whole)
    assert notebooks.get(*kept) is not None
    shutil.rmtree(file.parent)
    assert notebooks.get(*kept) is None


@pytest.mark.parametrize("database", [b"", b"no database at all" * 100])
def test_a_damaged_database_is_set_aside_with_a_word(notebooks, capsys, database):
    kept = notebooks.put("page", executed(), [])
    (file,) = notebooks.folder.glob("*.db")
    file.write_bytes(database)
    again = Notebooks(notebooks.folder)
    assert ("is damaged" in capsys.readouterr().out) == bool(database)  # an empty one is one to begin with
    assert again.get(*kept) is None
    assert again.get(*again.put("page", executed(), [])) is not None


def test_a_database_that_is_gone_is_made_again(notebooks):
    kept = notebooks.put("page", executed(), [])
    shutil.rmtree(notebooks.folder)
    again = Notebooks(notebooks.folder)
    assert again.get(*kept) is None
    assert again.get(*again.put("page", executed(), [])) is not None


@pytest.mark.parametrize("error", [AttributeError, TypeError, NotImplementedError])
@pytest.mark.parametrize("method", ["get_cache_record", "cache_notebook_bundle", "list_cache_records"])
def test_a_jupyter_cache_that_works_otherwise_than_ours_is_not_taken_for_damage(
    notebooks, monkeypatch, error, method
):
    def broken(*_, **__):
        raise error("it has changed")

    kept = notebooks.put("page", executed(), [])
    monkeypatch.setattr(type(notebooks._cache), method, broken)
    with pytest.raises(error):
        again = Notebooks(notebooks.folder)
        again.get(*again.put("page", executed(), ["more"]))
    monkeypatch.undo()
    assert Notebooks(notebooks.folder).get(*kept) is not None  # nothing was thrown away


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BookError, match="cannot make .*cache"):
        Notebooks(tmp_path / "file" / "cache")


# ---- JSON


def test_json_is_written_whole_or_not_at_all(tmp_path):
    file = tmp_path / "sub" / "x.json"
    store.write_json(file, {"b": 1, "a": [1.5, None]})
    assert store.read_json(file, {}) == {"a": [1.5, None], "b": 1}
    with pytest.raises(TypeError):
        store.write_json(file, {"a": 1, "b": object()})  # fails half way through
    assert store.read_json(file, {}) == {"a": [1.5, None], "b": 1}
    assert [f.name for f in file.parent.iterdir()] == ["x.json"]


@pytest.mark.parametrize("text", [None, "", "{", "[1]", '"x"', "\udcff"])
def test_json_that_cannot_be_read_or_is_of_another_kind_is_absent(tmp_path, text):
    file = tmp_path / "x.json"
    if text is not None:
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert store.read_json(file, {"else": 1}) == {"else": 1}
