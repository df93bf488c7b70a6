"""Catalogue and command of projects; every starter fails untouched, and says why, and passes when solved."""

import ast
import contextlib
import importlib
import io
import json
import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

import pytest

from rlworkshop import __main__ as console
from rlworkshop.practice import projects

ROOT = Path(__file__).parents[2]
SOLUTIONS = Path(__file__).parent / "solutions"
KNOWN = projects.catalogue()
OWN = ("baseline", "milestone", "test_milestone")


@contextlib.contextmanager
def inside(folder: Path):
    """Within it the modules of a starter can be imported, and afterwards nothing is left of them."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = before
        for name in OWN:
            sys.modules.pop(name, None)


def tried(folder: Path) -> unittest.TestResult:
    """The starter's own test, as it stands."""
    with inside(folder):
        suite = unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module("test_milestone"))
        return unittest.TextTestRunner(stream=io.StringIO()).run(suite)


@pytest.fixture(params=KNOWN)
def starter(request, tmp_path) -> tuple[str, Path]:
    """A starter of each project, fresh."""
    projects.start(request.param, tmp_path)
    return request.param, tmp_path


# ------------------------------------------------------------------------------------ every starter


def test_untouched_it_fails_and_says_what_to_do(starter):
    name, folder = starter
    result = tried(folder)
    said = [text.strip().splitlines()[-1] for _, text in result.errors]
    assert len(said) == result.testsRun > 0 and not result.failures
    assert said[0].startswith("NotImplementedError: Milestone 1"), said[0]
    assert "in milestone.py," in said[0] and len(said[0]) > 100


def test_the_solution_of_the_first_milestone_passes(starter):
    name, folder = starter
    shutil.copy(SOLUTIONS / f"{name}.py", folder / "milestone.py")
    result = tried(folder)
    assert result.wasSuccessful(), [text for _, text in result.errors + result.failures]


def test_its_baseline_runs_and_measures_what_the_catalogue_says(starter, capsys):
    name, folder = starter
    with inside(folder):
        baseline = importlib.import_module("baseline")
        found = baseline.main(**baseline.SMALL)
    assert all(len(values) >= 1 for values in found.values())
    assert projects.report(found).count("\n") == len(found) - 1
    measured = json.loads((projects.HERE / "measured.json").read_text(encoding="utf-8"))[name]
    assert set(found) <= set(measured)  # what is printed can be looked up
    assert (folder / "baseline.py").read_text().startswith('"""')


def test_its_files_are_whole(starter):
    name, folder = starter
    one = KNOWN[name]
    readme, helping = ((folder / file).read_text(encoding="utf-8") for file in ("README.md", "HELPING.md"))
    for said in (one.question, one.why, one.given, one.good, one.write_up, *one.read):
        assert said in readme
    for milestone in one.milestones:
        assert milestone.do in readme and milestone.check in readme
    for hint in one.hints:
        assert hint in helping and hint not in readme  # who reads the page has not been told
    for row in one.baseline:
        assert str(row) in readme and str(row) in helping
    shown = json.loads((folder / "notebook.ipynb").read_text(encoding="utf-8"))
    assert [cell["cell_type"] for cell in shown["cells"]] == ["markdown", "code"] * 3
    for file in projects.SHIPPED:
        tree = ast.parse((folder / file).read_text(encoding="utf-8"))
        assert file == "test_milestone.py" or ast.get_docstring(tree)


@pytest.mark.slow  # it needs the linter, which is there for the tests alone
def test_starters_keep_the_rules_of_the_book(tmp_path):
    for name in KNOWN:
        projects.start(name, tmp_path / name)
    settings = [f"--config={ROOT / 'pyproject.toml'}", "--line-length=120", str(tmp_path)]
    # a stub imports what its milestone will need, and other files of a starter are not known by name
    for task in (["check", "--ignore=F401,I001"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *task, *settings]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


# ------------------------------------------------------------------------------------ the catalogue


def test_there_is_something_for_everyone():
    assert len(KNOWN) >= 15
    assert {(one.level, one.part) for one in KNOWN.values()} == {
        (level, part) for level in projects.LEVELS for part in projects.PARTS
    }
    levels = [projects.LEVELS.index(one.level) for one in KNOWN.values()]
    assert levels == sorted(levels)
    hours = {level: [p.hours for p in projects.choose(KNOWN.values(), level)] for level in projects.LEVELS}
    assert max(hours["first week"]) <= 10 < min(hours["comfortable"]) <= max(hours["comfortable"]) <= 20


def test_every_project_is_whole():
    assert {file.stem for file in SOLUTIONS.glob("*.py")} == set(KNOWN)
    assert {file.name for file in (projects.HERE / "starters").iterdir()} == set(KNOWN)
    for one in KNOWN.values():
        assert 3 <= len(one.milestones) <= 6 and len(one.hints) == 3 and len(one.baseline) >= 2
        assert one.milestones[0].check.startswith("`python -m unittest` passes") and "?" in one.question
        for page in one.read:
            assert (ROOT / "book" / f"{page}.md").exists(), page


def test_the_numbers_are_those_that_were_measured():
    """What goes along with the package sums up what is stored, and the baselines as they are made that."""
    kept = json.loads((ROOT / "benchmarks/results/projects.json").read_text(encoding="utf-8"))["results"]
    measured = json.loads((projects.HERE / "measured.json").read_text(encoding="utf-8"))
    assert set(kept) == set(measured) == set(KNOWN)
    for name, one in kept.items():
        assert measured[name] == {key: projects.summary(values) for key, values in one["values"].items()}
        text = (projects.HERE / "starters" / name / "baseline.py.txt").read_bytes()
        assert one["baseline"] == projects.digest(text), f"run benchmarks/projects.py {name}: it has changed"


def test_a_summary_is_mean_and_spread_and_a_single_number_has_none():
    assert projects.summary([1.0, 2.0, 6.0]) == {"mean": 3.0, "spread": 2.646, "n": 3}
    assert projects.summary([2.5]) == {"mean": 2.5, "spread": 0.0, "n": 1}
    rows = [projects.Baseline("w", "k", 1, **projects.summary(v)) for v in ([1.0, 2.0, 6.0], [2.5])]
    assert [*map(str, rows)] == ["3.0 ± 2.6 (3 runs)", "2.5"]


def test_an_entry_with_a_mistake_is_refused():
    entry = {
        "title": "T", "level": "first week", "part": "safety", "hours": 1, "question": "?", "why": "",
        "read": [], "given": "", "milestones": [], "good": "", "write_up": "", "hints": [],
        "baseline": [{"what": "w", "key": "k"}],
    }  # fmt: skip
    assert projects.read_project("one", entry, {"k": projects.summary([1.0])}).baseline[0].digits == 2
    with pytest.raises(projects.ProjectError, match="'k' was not measured"):
        projects.read_project("one", entry, {})
    with pytest.raises(projects.ProjectError, match="no level 'easy'"):
        projects.read_project("one", {**entry, "level": "easy"}, {"k": projects.summary([1.0])})


def test_a_card_can_be_filtered_and_has_what_the_page_promises():
    one = KNOWN["fewer-questions"]
    card = projects.card(one)
    assert "project level-comfortable part-safety hours-16" in card
    assert "(project-fewer-questions)=" in card and "{doc}`/safety/learning_from_preferences`" in card
    for said in (one.title, one.question, one.good, *(str(row) for row in one.baseline)):
        assert said in card
    assert not any(hint in card for hint in one.hints)


# ------------------------------------------------------------------------------------ the command


def test_list_shows_what_fits(capsys):
    assert console.main(["projects", "list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in KNOWN) and all(level in said for level in projects.LEVELS)
    assert console.main(["projects", "list", "--level", "first week", "--part", "safety"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["first", "your-own-loophole"]
    assert console.main(["projects", "list", "--hours", "1"]) == 0
    assert capsys.readouterr().out == "no project fits: ask for less, or leave an option out\n"
    eight = projects.choose(KNOWN.values(), hours=8)
    assert eight and {one.hours for one in eight} == {8}


def test_new_writes_a_repository_and_says_what_is_next(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert console.main(["projects", "new", "late-pushes", "my/robot"]) == 0
    assert "cd my/robot\n" in capsys.readouterr().out
    files = {file.name for file in (tmp_path / "my/robot").iterdir()}
    written = {"README.md", "HELPING.md", "notebook.ipynb", ".gitignore"}
    assert files == written | {*projects.SHIPPED}
    assert console.main(["projects", "new", "tile-widths"]) == 0  # where no folder is named
    assert (tmp_path / "tile-widths/README.md").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [("late-push", "no project is called 'late-push': did you mean late-pushes"),
     ("TILE WIDTHS", "did you mean tile-widths"),
     ("zzz", "no project is called 'zzz': `rlworkshop projects list` names them all")],
)  # fmt: skip
def test_an_unknown_name_names_the_near_ones(name, words, tmp_path, capsys):
    assert console.main(["projects", "new", name, str(tmp_path / "new")]) == 1
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_not_empty_is_not_touched(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("work of a week")
    assert console.main(["projects", "new", "late-pushes", str(tmp_path)]) == 1
    assert "is not empty, and nothing in it was touched" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_in_the_way_and_a_place_that_cannot_be_written(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    assert console.main(["projects", "new", "late-pushes", str(tmp_path / "file")]) == 1
    assert "is a file: name a folder" in capsys.readouterr().err
    assert console.main(["projects", "new", "late-pushes", str(tmp_path / "file/below")]) == 1
    assert "cannot be written: Not a directory" in capsys.readouterr().err

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert console.main(["projects", "new", "late-pushes", str(tmp_path / "new")]) == 1
    assert "cannot be written: Permission denied" in capsys.readouterr().err


def test_a_command_that_is_none_says_which_there_are(capsys):
    for wrong in ([], ["make"], ["new"]):
        with pytest.raises(SystemExit) as ended:
            console.main(["projects", *wrong])
        assert ended.value.code == 2
    assert "list" in capsys.readouterr().err


# ------------------------------------------------------------------------------------ as a reader does it


@pytest.mark.slow
def test_a_reader_gets_from_the_command_to_a_passed_milestone(tmp_path):
    """With processes of its own, and the notebook's cells from the first to the last."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "code"), "OMP_NUM_THREADS": "1"}

    def python(*arguments: str, folder: Path = tmp_path / "project") -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, *arguments], cwd=folder, env=environ, capture_output=True, text=True
        )

    made = python("-m", "rlworkshop", "projects", "new", "late-pushes", "project", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    small = python("baseline.py", "--tables", "4", "--seeds", "2")
    assert small.stdout.count("(2 runs)") == 4, small.stderr
    first = python("-m", "unittest")
    assert first.returncode == 1 and "NotImplementedError: Milestone 1: in milestone.py" in first.stderr
    shutil.copy(SOLUTIONS / "late-pushes.py", tmp_path / "project/milestone.py")
    second = python("-m", "unittest")
    assert second.returncode == 0 and "OK" in second.stderr, second.stderr
    cells = json.loads((tmp_path / "project/notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    code = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    (tmp_path / "project/cells.py").write_text(code, encoding="utf-8")
    walked = python("cells.py")
    assert walked.returncode == 0 and "4 steps late" in walked.stdout and "OK" in walked.stderr, walked.stderr
