"""What the store gives back is what was put in for exactly this page, or nothing."""

import json
import shutil

import nbformat
import pytest

from bookbuild.engine import pages, store
from bookbuild.engine.project import Project

DATA = {"seconds": 1.5, "peak_mib": 100.0, "when": "2026-01-01 00:00"}


@pytest.fixture
def project(fresh) -> Project:
    return Project.at(fresh.root)


def read(project, name="beta"):
    return pages.read_page(project, project.book / f"{name}.md")


def executed(page, text="printed"):
    """The page as a kernel would leave it."""
    notebook = nbformat.from_dict(json.loads(json.dumps(page.notebook)))
    for number, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), 1):
        cell.outputs = [nbformat.v4.new_output("stream", text=f"{text} {number}")]
        cell.execution_count = number
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def printed(found):
    return [cell.outputs[0]["text"] for cell in found[0].cells if cell.cell_type == "code"]


def test_what_is_put_comes_back_also_to_another_process(project):
    page = read(project)
    assert store.Store(project).get(page) is None
    store.Store(project).put(page, executed(page), DATA, ["book/data.txt"])
    found = store.Store(project).get(page)
    assert printed(found) == ["printed 1", "printed 2"]
    assert {name: found[1][name] for name in DATA} == DATA
    assert store.Store(project).get(read(project, "gamma")) is None


def test_prose_comes_from_the_present_page(project, fresh):
    page = read(project)
    store.Store(project).put(page, executed(page), DATA, [])
    fresh.edit("book/beta.md", "# Page beta", "# New title")
    notebook, _ = store.Store(project).get(read(project))
    assert any("New title" in cell.source for cell in notebook.cells)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("book/beta.md", "beta says", "beta tells"), ("code/tiny/other.py", "apple", "pear"),
     ("book/data.txt", "first", "second"), ("requirements.txt", "2.4.6", "2.4.5")],
)  # fmt: skip
def test_a_change_misses_and_its_reversal_hits(project, fresh, file, old, new):
    page = read(project)
    store.Store(project).put(page, executed(page, "before"), DATA, ["book/data.txt"])
    fresh.edit(file, old, new)
    changed = read(project)
    assert store.Store(project).get(changed) is None
    store.Store(project).put(changed, executed(changed, "after"), DATA, ["book/data.txt"])
    assert printed(store.Store(project).get(changed))[0] == "after 1"
    fresh.edit(file, new, old)
    assert printed(store.Store(project).get(read(project)))[0] == "before 1"


def test_a_second_result_of_the_same_page_replaces_the_first(project):
    page, kept = read(project), store.Store(project)
    kept.put(page, executed(page, "one"), DATA, [])
    kept.put(page, executed(page, "two"), DATA, [])
    assert printed(kept.get(page)) == ["two 1", "two 2"]


def test_a_stored_notebook_that_was_damaged_counts_as_absent(project):
    page, kept = read(project), store.Store(project)
    kept.put(page, executed(page), DATA, [])
    (file,) = kept.folder.glob("executed/*/base.ipynb")
    whole = file.read_text()
    for damaged in (whole.replace("printed 1", "printed 9"), whole[: len(whole) // 2], ""):
        file.write_text(damaged)
        assert store.Store(project).get(page) is None
    file.write_text(whole)
    assert store.Store(project).get(page) is not None
    shutil.rmtree(file.parent)
    assert store.Store(project).get(page) is None


@pytest.mark.parametrize("database", [b"", b"no database at all" * 100])
def test_a_damaged_database_is_set_aside_with_a_word(project, capsys, database):
    page, kept = read(project), store.Store(project)
    kept.put(page, executed(page), DATA, [])
    (file,) = kept.folder.glob("*.db")
    file.write_bytes(database)
    again = store.Store(project)
    assert again.get(page) is None
    assert "is damaged" in capsys.readouterr().out
    again.put(page, executed(page), DATA, [])
    assert again.get(page) is not None


def test_notes_of_what_pages_read_that_were_damaged_only_cost_a_run(project):
    page = read(project)
    store.Store(project).put(page, executed(page), DATA, ["book/data.txt"])
    project.state.joinpath("inputs.json").write_text('{"x": [')
    assert store.Store(project).get(page) is None


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
