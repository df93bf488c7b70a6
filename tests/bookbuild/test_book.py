"""Hostile histories: whatever happens between two builds, a page shows what the present code prints."""

import asyncio
import copy
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from bookbuild.engine import book as engine
from bookbuild.engine import run
from bookbuild.engine.project import Project

from .conftest import ODD, SmallBook

CODE = Path(__file__).parents[2] / "code"
TESTS = "tests/test_direct.py"


@pytest.fixture
def instant(monkeypatch) -> list[str]:
    """Pages do not run, they only seem to have; their names in the order of it."""
    ran = []

    async def run_page(project, page, environment=None):
        ran.append(page.name)
        notebook = copy.deepcopy(page.notebook)
        return run.Outcome(page, notebook, seconds=0.1, cpu=0.1, peak_mib=1.0, when="2026-01-01 00:00")

    monkeypatch.setattr(run, "run_page", run_page)
    return ran


def test_what_is_known_is_not_run_again_wherever_the_book_lies(known):
    again = known.update()
    assert (again.executed, again.problems) == (set(), [])
    assert again.printed("alpha") == "alpha says 42\n"
    assert all(outcome.cached for outcome in again.book.outcomes.values())


def test_editing_a_module_runs_what_imports_it_through_another_and_nothing_else(known):
    known.edit("code/tiny/base.py", "41", "10")
    edited = known.update()
    assert edited.executed == {"alpha", TESTS}
    assert "alpha says 11" in edited.printed("alpha")
    known.edit("code/tiny/base.py", "10", "41")
    reverted = known.update()
    assert reverted.executed == set()
    assert "alpha says 42" in reverted.printed("alpha")


def test_only_a_page_that_prints_something_else_is_newer_than_those_that_quote_it(known):
    """Sphinx reads those again by the time of change of the notebook that they quote."""
    notebook = known.root / "_build/executed/alpha.ipynb"
    before = notebook.stat().st_mtime_ns
    known.edit("book/alpha.md", "# Page alpha", "# Page alpha\n\nA word more.")
    assert known.update().executed == set()
    assert notebook.stat().st_mtime_ns == before and "A word more." in notebook.read_text()
    known.edit("code/tiny/base.py", "41", "10")
    known.update()
    assert notebook.stat().st_mtime_ns > before


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("code/tiny/unused.py", "x = 1\n"),
        ("requirements.txt", "# why\nnumpy==2.4.6  # because\n"),
        ("book/other.txt", "x"),
        ("book/prose.md", "# Prose\n"),
    ],
)
def test_what_no_page_is_made_from_runs_nothing(known, file, text):
    known.write(file, text)
    assert known.update().executed == set()


def test_a_pin_is_part_of_every_key(known, instant):
    known.edit("requirements.txt", "2.4.6", "2.4.5")
    assert known.update().executed == {"alpha", "beta", "gamma", TESTS}


def test_a_data_file_that_a_page_reads_is_part_of_its_key(known):
    known.write("book/data.txt", "second data\n")
    second = known.update()
    assert second.executed == {"beta"} and "second data" in second.printed("beta")
    known.write("book/data.txt", "first data\n")
    first = known.update()
    assert first.executed == set() and "first data" in first.printed("beta")


def test_files_of_the_depends_list_are_part_of_the_key(known):
    known.write("settings/b.txt", "new\n")  # the glob matches one more
    assert known.update().executed == {"gamma"}
    (known.root / "settings/b.txt").unlink()
    assert known.update().executed == set()


def test_prose_is_shown_anew_without_running_anything(known):
    known.edit("book/alpha.md", "# Page alpha", "# Page alpha\n\nA new sentence.")
    updated = known.update()
    assert updated.executed == set()
    notebook = nbformat.read(known.root / "_build/executed/alpha.ipynb", 4)
    assert any("A new sentence." in cell.source for cell in notebook.cells)
    assert any(cell.get("outputs") for cell in notebook.cells)


INPUTS = """\
import multiprocessing, os, pathlib, subprocess, sys
print(sorted(os.listdir("../settings")), os.environ.get("FLAVOUR"))
print(subprocess.run([sys.executable, "reads.py"], capture_output=True, text=True, check=True).stdout)
"""


def test_what_a_page_reads_otherwise_is_part_of_its_key_too(known):
    """A folder, a variable, what a child reads; how each is seen is tried in test_watch.py."""
    known.write("book/reads.py", 'print(open("data.txt").read())')
    known.add_page("reader", INPUTS)
    first = known.update()
    assert first.executed == {"reader"} and "['a.txt'] None" in first.printed("reader")
    assert known.update(UNASKED="1").executed == set()

    known.write("settings/b.txt", "two\n")
    assert "['a.txt', 'b.txt'] None" in known.update().printed("reader")
    (known.root / "settings/b.txt").unlink()
    assert known.update().executed == set()
    assert "['a.txt'] sweet" in known.update(FLAVOUR="sweet").printed("reader")
    known.write("book/data.txt", "second data\n")
    assert "second data" in known.update(FLAVOUR="sweet").printed("reader")
    known.write("book/reads.py", "print('third')")
    assert "third" in known.update().printed("reader")


def test_a_page_that_asks_for_the_whole_environment_is_stored_all_the_same(known):
    known.add_page("asker", INPUTS.splitlines()[0] + "\nprint('FLAVOUR' in dict(os.environ))")
    known.write("tests/test_asker.py", "import os\nfrom tiny import other\ndef test_a(): dict(os.environ)\n")
    assert known.update().executed == {"asker", "tests/test_asker.py"}
    assert known.update().executed == set()
    assert known.update(FLAVOUR="sweet").executed == {"asker", "tests/test_asker.py"}


# ---- what fails


def test_a_raising_cell_stays_red_until_it_is_mended(known):
    known.edit("code/tiny/other.py", 'return "apple"', 'raise ValueError("no fruit")')
    for _ in range(2):
        red = known.update()
        assert red.executed == {"beta"}
        assert red.problems == ["beta:11: cell 1: ValueError: no fruit"]
    known.edit("code/tiny/other.py", 'raise ValueError("no fruit")', 'return "apple"')
    green = known.update()
    assert (green.problems, green.executed) == ([], set())


def test_every_failure_is_listed(known):
    claims = 'from rlworkshop.verify import claim\nclaim("one is two", value=1, at_least=2)'
    hidden = 'try:\n    claim("a secret", value=1, at_least=2)\nexcept Exception:\n    pass'
    known.add_page("bad", claims, 'claim("three is four", value=3, at_least=4)', hidden, "1 / 0", "2 / 0")
    red = known.update()
    assert [problem.split(": ", 1)[1] for problem in red.problems] == [
        "cell 1: ClaimFailed: claim FAILS: one is two: 1 (at least 2; exact)",
        "cell 2: ClaimFailed: claim FAILS: three is four: 3 (at least 4; exact)",
        "cell 4: ZeroDivisionError: division by zero",
        "cell 3: ClaimFailed: a secret",  # the page has caught it
    ]


def test_an_intended_exception_is_no_failure(known):
    known.add_page("intended", "1 / 0", options=":tags: [raises-exception]\n")
    assert known.update().problems == []


def test_claims_of_one_name_are_told(known):
    known.add_page("twice", *["from rlworkshop.verify import claim\nclaim('a', 1, at_least=0)"] * 2)
    for _ in range(2):
        assert known.update().problems == ["twice:1: two claims are called 'a': give one a name="]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("budget: -1", "should be a number of seconds"),
        ("exclusive: maybe", "'exclusive' should be true or false"),
        ("depends: data.txt", "should be a list"),
        ("programs: cat", "'programs' should be a list of names"),
        ("depends: [no/such.txt]", "matches no file"),
        ("kernelspec: [", "no jupytext front matter that can be read"),
    ],
)
def test_front_matter_that_is_wrong_fails_its_page_alone(known, wrong, message):
    known.edit("book/gamma.md", 'depends: ["settings/*.txt"]', wrong)
    for _ in range(2):
        (problem,) = known.update().problems
        assert problem.startswith("gamma:1: book/gamma.md") and message in problem


def test_a_test_that_fails_is_no_problem_of_a_page_but_it_is_told_and_runs_again(known):
    known.edit("tests/test_direct.py", "> 0", "< 0")
    for _ in range(2):
        red = known.update()
        assert red.executed == {TESTS} and red.problems == []
        assert f"tests failed: {TESTS}" in red.output and "assert 42 < 0" in red.output
        assert red.book.tests.entering(known.root / "code/tiny/direct.py", [7]) == []


# ---- damage


@pytest.mark.parametrize("damage", ["garbage", "gone", "changed"])
def test_damage_to_what_is_kept_costs_a_run_and_nothing_else(known, damage, capsys):
    folder = known.root / "_build/state/jupyter-cache"
    if damage == "garbage":
        (folder / "global.db").write_bytes(b"garbage" * 1000)
    elif damage == "gone":
        shutil.rmtree(folder)
    for file in folder.glob("executed/*/base.ipynb"):
        file.write_text(file.read_text().replace("says 42", "says 43"))
    alone = known.update("alpha")
    assert (alone.problems, alone.executed) == ([], {"alpha"})
    assert "alpha says 42" in alone.printed("alpha")
    assert ("is damaged" in capsys.readouterr().out) == (damage == "garbage")


def test_lost_results_cost_a_run(known):
    for file in (known.root / "_build/state/results").glob("*/*.json"):
        file.write_text("{ not json")
    known.write("book/data.txt", "second data\n")
    lost = known.update("beta")
    assert lost.executed == {"beta"} and "second data" in lost.printed("beta")


def test_lost_times_are_forgiven(known):
    (known.root / "_build/state/times.json").write_text("[]")
    assert known.update().executed == set()


def test_a_page_that_goes_is_gone(known):
    (known.root / "book/gamma.md").unlink()
    assert set(known.update().book.outcomes) == {"alpha", "beta"}


# ---- edits


def edit_once(flag: Path, file: Path, old: str, new: str) -> str:
    """Code that edits a file when it runs for the first time."""
    return f"""
import pathlib
flag, file = pathlib.Path({str(flag)!r}), pathlib.Path({str(file)!r})
if not flag.exists():
    flag.touch()
    file.write_text(file.read_text().replace({old!r}, {new!r}))
"""


def test_a_page_whose_sources_are_edited_while_it_runs_is_run_again(known):
    flag, data = known.root / "_build/edited", known.root / "book/data.txt"
    edit = edit_once(flag, known.root / "code/tiny/other.py", "apple", "pear")
    known.edit("book/beta.md", "from rlworkshop", f"{edit}\n    data.write_text('second')\nfrom rlworkshop")
    known.edit(
        "book/beta.md", "import tiny.other", f"import pathlib, tiny.other\ndata = pathlib.Path({str(data)!r})"
    )
    assert known.update().printed("beta") == "beta says pear\ndata says second\n"
    assert known.update().executed == set()


def test_a_page_that_is_never_done_with_editing_is_red(known, instant, monkeypatch):
    true = run.run_page

    async def run_page(project, page, environment=None):
        known.write("code/tiny/other.py", f"edit = {len(instant)}\n")
        return await true(project, page, environment)

    monkeypatch.setattr(run, "run_page", run_page)
    known.edit("code/tiny/other.py", "apple", "pear")
    for tries in (3, 6):
        assert known.update().problems == ["beta:1: its code kept changing while it ran: build again"]
        assert instant == ["beta"] * tries


def test_two_edits_within_one_second_that_keep_size_and_time(known):
    """Python would run its compiled copy of the old text."""
    file = known.root / "code/tiny/base.py"
    then = os.stat(file)
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(file.parent)], check=True)
    known.edit("code/tiny/base.py", "41", "10")
    os.utime(file, ns=(then.st_atime_ns, then.st_mtime_ns))
    assert "alpha says 11" in known.update().printed("alpha")


def test_one_page_alone(fresh, instant):
    updated = fresh.update("beta")
    assert updated.executed == {"beta"} and set(updated.book.outcomes) == {"beta"}
    assert fresh.update("alpha").executed == {"alpha", TESTS}  # it shows code, whose tests run


def test_a_stored_run_is_marked_once_its_code_has_changed(known):
    wings = shutil.ignore_patterns("algorithms", "foundations", "exercises", "__pycache__")
    shutil.copytree(CODE / "rlworkshop", known.root / "code/rlworkshop", ignore=wings)
    known.write("benchmarks/study.py", "from rlworkshop import stats\n")
    store = "runs.store('study', {}, [0, 1], ['rlworkshop.stats'], 'benchmarks/study.py')"
    command = [sys.executable, "-c", f"from rlworkshop import runs; {store}"]
    subprocess.run(command, cwd=known.root, env={"PYTHONPATH": "code"}, check=True)
    for name in ("alpha", "beta", "gamma"):
        (known.root / f"book/{name}.md").unlink()
    known.add_page("study", "from rlworkshop import runs\nprint(runs.stored('study').note)")
    assert "digest fits the code" in known.update().printed("study")
    known.edit("code/rlworkshop/stats.py", '"""', '"""Edited. ')
    edited = known.update()
    assert edited.executed == {"study"}
    assert "THE CODE HAS CHANGED SINCE" in edited.printed("study")


# ---- places and trouble


def test_a_folder_may_be_called_almost_anything(tmp_path):
    odd = SmallBook(tmp_path / ODD)
    shutil.copytree(Path(__file__).parent / "fixture", odd.root)
    odd.edit("book/alpha.md", "from tiny", "print(open('data.txt').read())\nfrom tiny")
    assert odd.update("alpha").problems == []
    odd.edit("code/tiny/base.py", "41", "10")
    odd.write("book/data.txt", "second data\n")
    edited = odd.update("alpha")
    assert (edited.problems, edited.executed) == ([], {"alpha", TESTS})
    assert edited.printed("alpha") == "second data\n\nalpha says 11\n"
    assert odd.update("alpha").executed == set()


def test_a_temporary_folder_with_a_very_long_name(known, tmp_path, monkeypatch):
    long = tmp_path / ("x" * 60) / ("y" * 60)
    long.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(long))
    known.edit("code/tiny/base.py", "41", "10")
    updated = known.update(TMPDIR=str(long))
    assert (updated.problems, updated.executed) == ([], {"alpha", TESTS})
    assert list(long.iterdir()) == []


def test_a_result_that_cannot_be_stored_is_shown_and_runs_again(known, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    known.write("book/data.txt", "second data\n")
    with monkeypatch.context() as patch:
        patch.setattr(engine.Store, "put", full)
        updated = known.update()
    assert updated.problems == [] and "second data" in updated.printed("beta")
    assert "beta could not be stored and will run again: [Errno 28] No space left" in updated.output
    assert known.update().executed == {"beta"}


def test_what_an_interrupted_update_has_finished_is_kept(known, instant, monkeypatch):
    for name in ("one", "two"):
        known.add_page(name, f"print({name!r})", budget=2 if name == "one" else 1)
    true = run.run_page

    async def run_page(project, page, environment=None):
        if page.name == "two":
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(3600)
        return await true(project, page, environment)

    with monkeypatch.context() as patch:
        patch.setattr(run, "run_page", run_page)
        with pytest.raises(KeyboardInterrupt):
            engine.bring_up_to_date(Project.at(known.root), say=lambda line: None, cores=1)
    assert instant == ["one"]
    assert known.update().executed == {"two"}
