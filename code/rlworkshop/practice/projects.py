"""Projects to work on: a catalogue with measured baselines, and a starter repository for each.

All that is said of a project stands in ``projects.toml``, the numbers that it has to beat in
``measured.json``, which ``benchmarks/projects.py`` writes, and the files that it begins with in
``starters/NAME``. The page, the command ``rlworkshop projects`` and the tests read these.

Book: practice/projects
"""

import argparse
import dataclasses
import difflib
import hashlib
import json
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
LEVELS = ("first week", "comfortable", "researcher", "open problem")
PARTS = ("foundations", "algorithms", "robotics", "safety")
SHIPPED = ("baseline.py", "milestone.py", "test_milestone.py")  # in starters/NAME, with .txt behind the name


class ProjectError(ValueError):
    """What was asked for cannot be had; the text says why, and what to do."""


@dataclasses.dataclass(frozen=True)
class Milestone:
    """A step of a project, and the check that tells whether it is done.

    Book: practice/projects
    """

    do: str
    check: str


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A measured number that a project begins from: mean and standard deviation over ``n`` runs.

    Book: practice/projects
    """

    what: str
    key: str
    """its name in ``measured.json`` and in what ``baseline.py`` prints"""
    digits: int
    mean: float
    spread: float
    n: int

    def __str__(self) -> str:
        value = f"{self.mean:.{self.digits}f}"
        return value if self.n == 1 else f"{value} ± {self.spread:.{self.digits}f} ({self.n} runs)"


@dataclasses.dataclass(frozen=True)
class Project:
    """A project as the catalogue has it; texts are Markdown.

    Raises:
        ProjectError: a level or a part that there is none of.

    Book: practice/projects
    """

    name: str
    title: str
    level: str
    part: str
    hours: int
    question: str
    why: str
    read: tuple[str, ...]
    """pages of the book to read first, as in ``foundations/bandits``"""
    given: str
    milestones: tuple[Milestone, ...]
    good: str
    write_up: str
    hints: tuple[str, ...]
    """for whoever helps: to the first milestone, the gentlest first"""
    baseline: tuple[Baseline, ...]

    def __post_init__(self) -> None:
        if self.level not in LEVELS or self.part not in PARTS:
            raise ProjectError(f"{self.name}: there is no level {self.level!r}, or no part {self.part!r}")


# ------------------------------------------------------------------------------------ the catalogue


def catalogue() -> dict[str, Project]:
    """All projects by name, the easiest level first.

    Book: practice/projects
    """
    entries = tomllib.loads((HERE / "projects.toml").read_text(encoding="utf-8"))
    measured = json.loads((HERE / "measured.json").read_text(encoding="utf-8"))
    known = [read_project(name, entry, measured[name]) for name, entry in entries.items()]
    known.sort(key=lambda project: (LEVELS.index(project.level), PARTS.index(project.part)))
    return {project.name: project for project in known}


def read_project(name: str, entry: Mapping[str, Any], measured: Mapping[str, Mapping[str, float]]) -> Project:
    """A project from its entry of ``projects.toml`` and its numbers of ``measured.json``.

    Raises:
        ProjectError: a number of the entry was not measured.

    Book: practice/projects
    """
    rows = []
    for row in entry["baseline"]:
        if row["key"] not in measured:
            raise ProjectError(f"{name}: {row['key']!r} was not measured: run benchmarks/projects.py {name}")
        rows.append(Baseline(**{"digits": 2, **row}, **measured[row["key"]]))
    steps = tuple(Milestone(**milestone) for milestone in entry["milestones"])
    lists = {"read": tuple(entry["read"]), "hints": tuple(entry["hints"])}
    return Project(name, **{**entry, **lists, "milestones": steps, "baseline": tuple(rows)})


def find(name: str) -> Project:
    """The project of this name.

    Raises:
        ProjectError: there is none; the text names those that are near.

    Book: practice/projects
    """
    known = catalogue()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name.lower().replace(" ", "-").replace("_", "-"), known, n=2, cutoff=0.6)
    meant = f"did you mean {' or '.join(near)}?" if near else "`rlworkshop projects list` names them all"
    raise ProjectError(f"no project is called {name!r}: {meant}")


def choose(
    projects: Iterable[Project], level: str | None = None, part: str | None = None, hours: int | None = None
) -> list[Project]:
    """The projects of a level and a part that take ``hours`` at most; ``None`` does not restrict.

    Book: practice/projects
    """
    return [
        one
        for one in projects
        if level in (None, one.level) and part in (None, one.part) and (hours is None or one.hours <= hours)
    ]


def listing(projects: Iterable[Project]) -> str:
    """A line for each project, under its level.

    Book: practice/projects
    """
    lines, level = [], ""
    for one in projects:
        if one.level != level:
            level = one.level
            lines.append(f"\n{level}")
        lines.append(f"  {one.name:24s} {one.part:12s} {one.hours:4d} h  {one.title}")
    return "\n".join(lines).strip("\n")


def summary(values: Sequence[float]) -> dict[str, float]:
    """Mean, standard deviation and number of runs of one measured quantity, as ``measured.json`` has it.

    Book: practice/projects
    """
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": float(f"{np.mean(values):.5g}"), "spread": float(f"{spread:.4g}"), "n": len(values)}


def digest(baseline: bytes) -> str:
    """SHA-256 of a ``baseline.py``: whether numbers are those of the file as it is.

    Book: practice/projects
    """
    return hashlib.sha256(baseline).hexdigest()


def report(found: Mapping[str, Sequence[float]]) -> str:
    """What a starter's ``baseline.py`` prints: a line for each quantity, from its values (runs,).

    Book: practice/projects
    """
    width = max(map(len, found))
    rows = {name: Baseline(name, name, 3, **summary(values)) for name, values in found.items()}
    return "\n".join(f"{name:{width}s}  {row}" for name, row in rows.items())


# ------------------------------------------------------------------------------------ a starter


def starter_files(project: Project) -> dict[str, str]:
    """The files of a project's starter repository, name to text.

    Book: practice/projects
    """
    folder = HERE / "starters" / project.name
    shipped = {name: (folder / f"{name}.txt").read_text(encoding="utf-8") for name in SHIPPED}
    written = {
        "README.md": readme(project),
        "HELPING.md": helping(project),
        "notebook.ipynb": notebook(project),
        ".gitignore": "__pycache__/\n.ipynb_checkpoints/\n*.npz\n",
    }
    return {**written, **shipped}


def start(name: str, folder: str | Path) -> list[Path]:
    """Write the starter repository of a project into a new or empty ``folder``; the files that it has.

    Raises:
        ProjectError: there is no such project; the folder is not empty, or cannot be written.

    Book: practice/projects
    """
    files, folder = starter_files(find(name)), Path(folder)
    try:
        if folder.exists() and not folder.is_dir():
            raise ProjectError(f"{folder} is a file: name a folder that is new or empty")
        if folder.is_dir() and any(folder.iterdir()):
            raise ProjectError(f"{folder} is not empty, and nothing in it was touched: name another folder")
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ProjectError(f"{folder} cannot be written: {error.strerror or error}") from None
    return [folder / file for file in files]


def readme(project: Project) -> str:
    """The page that a starter opens with: the project, from the question to the write-up.

    Book: practice/projects
    """
    steps = "\n".join(
        f"{i}. {step.do}\n   *Done when:* {step.check}" for i, step in enumerate(project.milestones, 1)
    )
    pages = "\n".join(f"- `{page}`" for page in project.read)
    return f"""# {project.title}

{project.level} · {project.part} · about {project.hours} hours

**The question.** {project.question}

**Why it matters.** {project.why}

## Begin

You need the book's package, `rlworkshop`: `pip install .` in a clone of the book.

```
python baseline.py     # what you have to beat; --help shows what can be made smaller
python -m unittest     # fails, and says what the first milestone asks for
```

You write in `milestone.py`. `notebook.ipynb` is there for looking around, if you have Jupyter. Whoever helps
you, a person or a program, reads `HELPING.md` first.

## Read first

Pages of The Deep RL Workshop:

{pages}

## What is given

{project.given}

## Milestones

{steps}

## Where you begin

Measured by the authors of the book: mean ± standard deviation over runs.

{baseline_table(project)}

## What a good result looks like

{project.good}

## Writing it up

{project.write_up}

State the question in the first sentence, show the figure that answers it, say over how many seeds, and what
would change your mind. Keep what did not work: a page on it saves the next person a week.
"""


def baseline_table(project: Project) -> str:
    """The measured numbers of a project as a Markdown table.

    Book: practice/projects
    """
    rows = "\n".join(f"| {row.what} | {row} |" for row in project.baseline)
    return f"| what | measured |\n|---|---|\n{rows}"


def helping(project: Project) -> str:
    """Instructions for whoever helps with a project, a person or a program.

    Book: practice/projects
    """
    hints = "\n".join(f"{i}. {hint}" for i, hint in enumerate(project.hints, 1))
    pages = ", ".join(f"`{page}`" for page in project.read)
    return f"""# For whoever helps with “{project.title}”

You may be a mentor at the next table or a program in the editor. The project belongs to the person who does
it. What they take home is not the code: it is that they found out something by themselves.

## How to help

1. **Ask first.** What did you expect, what did you see, what is the smallest case in which it happens? Often
   the answer comes while they tell you.
2. **Hint, do not hand over.** Give one of the hints below at a time, and wait. Write the code of a milestone
   only if they ask for it in so many words, and then explain each line.
3. **A prediction before each run.** Let them say a number first. Where it is wrong, something can be learned.
4. **Never one seed.** Ask how many runs stand behind a statement, and what the spread is.
5. **Small before large.** `python baseline.py --help` lists what can be made smaller; an idea is tried in
   seconds before it is tried in hours.
6. **Say what you do not know.** Do not make up a citation, a hyper-parameter or a result. If you did not run
   it, say so.
7. **Leave the checks alone.** `test_milestone.py` and `baseline.py` say what is asked and what is to be
   beaten. If one of them seems wrong, show it on the smallest case and talk about it; do not change it until
   it passes.

## The first milestone

{project.milestones[0].do}

It is done when {project.milestones[0].check}

Hints, the gentlest first:

{hints}

## What is true here

{baseline_table(project)}

A number far from these before anything was changed means that the set-up differs: compare versions and seeds
before you look for an insight.

**A good result.** {project.good}

## When they are stuck

- Twenty minutes without progress: make the problem smaller, until it works or the fault is in plain sight.
- Two hours: go back to the pages ({pages}) and redo one number by hand.
- A day: a milestone that is dropped and written up is a result. Help them to choose which.
"""


def notebook(project: Project) -> str:
    """A notebook to look around in: the question, a small run of the baseline, the first milestone's test.

    Book: practice/projects
    """
    cells = [
        ("markdown", f"# {project.title}\n\n{project.question}\n\nThe whole project is in `README.md`."),
        ("code", "import baseline\nfrom rlworkshop.practice.projects import report\n\nhelp(baseline.main)"),
        ("markdown", "A small run of what you have to beat. Before you run it, predict the numbers."),
        ("code", "print(report(baseline.main(**baseline.SMALL)))"),
        ("markdown", f"## The first milestone\n\n{project.milestones[0].do}\n\nYou write in `milestone.py`."),
        (
            "code",
            "import importlib\nimport unittest\n\nimport milestone\nimport test_milestone\n\n"
            "importlib.reload(milestone)  # what you have just saved\nimportlib.reload(test_milestone)\n"
            'unittest.main("test_milestone", argv=[""], exit=False);',
        ),
    ]
    found = [
        {
            "cell_type": kind,
            "id": f"cell-{i}",
            "metadata": {},
            "source": text.splitlines(keepends=True),
            **({"execution_count": None, "outputs": []} if kind == "code" else {}),
        }
        for i, (kind, text) in enumerate(cells)
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    about = {"cells": found, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(about, indent=1, ensure_ascii=False) + "\n"


# ------------------------------------------------------------------------------------ page and command


def card(project: Project) -> str:
    """A project as a card of the page, in MyST: what can be filtered by is in the classes.

    Book: practice/projects
    """
    pages = ", ".join(f"{{doc}}`/{page}`" for page in project.read)
    steps = "\n".join(
        f"{i}. {step.do} *Done when:* {step.check}" for i, step in enumerate(project.milestones, 1)
    )
    level, part = project.level.replace(" ", "-"), project.part
    return f"""
(project-{project.name})=
::::::{{container}} project level-{level} part-{part} hours-{project.hours}
:::::{{rubric}} {project.title}
:::::
:::::{{container}} project-facts
{project.level} · {part} · {project.hours} hours
:::::

{project.question}

:::::{{dropdown}} Why, what to read, milestones, where you begin
**Why it matters.** {project.why}

**Read first.** {pages}.

**What is given.** {project.given}

**Milestones**

{steps}

**Where you begin**

{baseline_table(project)}

**A good result.** {project.good}

**Writing it up.** {project.write_up}
:::::

```text
rlworkshop projects new {project.name}
```
::::::
"""


def main(arguments: Sequence[str]) -> int:
    """The command ``rlworkshop projects``: ``list``, or ``new NAME [DIR]``.

    Book: practice/projects
    """
    parser = argparse.ArgumentParser("rlworkshop projects", description="What to work on.")
    commands = parser.add_subparsers(dest="command", required=True)
    shown = commands.add_parser("list", help="name all projects, or those that fit")
    shown.add_argument("--level", choices=LEVELS)
    shown.add_argument("--part", choices=PARTS)
    shown.add_argument("--hours", type=int, help="that take so many hours at most")
    new = commands.add_parser("new", help="write the starter repository of a project")
    new.add_argument("name")
    new.add_argument(
        "folder", metavar="dir", nargs="?", help="that is new or empty; the project's name by default"
    )
    given = parser.parse_args(arguments)
    if given.command == "list":
        chosen = choose(catalogue().values(), given.level, given.part, given.hours)
        print(listing(chosen) or "no project fits: ask for less, or leave an option out")
        return 0
    folder = given.folder or given.name
    try:
        start(given.name, folder)
    except ProjectError as error:
        print(f"rlworkshop: {error}", file=sys.stderr)
        return 1
    print(f"{folder} is ready. Next:\n  cd {folder}\n  python baseline.py\n  python -m unittest")
    return 0
