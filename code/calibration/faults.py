"""Faults planted on purpose, under which claims must fail: a page is run once with each that it names.

``tests/faults/PAGE.toml`` lists them, ``any.toml`` those of any page. A fault changes texts of the page or of
``code/`` in a copy, or runs a few lines before the page's first cell; never is there a switch for it in code
that the book shows. Its name begins with its kind: ``frozen`` (nothing is learned), ``random`` (greedy
choices at random), ``no_effect:THING`` (the thing that the claim is about taken out), ``one_seed`` (every
seed the same).
"""

import copy
import json
import shutil
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bookbuild.engine import pages, run
from bookbuild.engine.pages import Page
from bookbuild.engine.project import BookError, Project
from bookbuild.engine.store import Subject
from rlworkshop import provenance, verify

GOES_ON = """
import rlworkshop.verify as verify

def on(*arguments, claim=verify.claim, **named):
    try:
        claim(*arguments, **named)
    except verify.ClaimFailed:
        pass

verify.claim = on"""  # a claim that fails does not keep the next of its cell from being made
KINDS = ("frozen", "random", "no_effect", "one_seed")


@dataclass(frozen=True)
class Change:
    """Part of a fault: ``find`` replaced in a file, or, without a file, lines that run before the page."""

    name: str
    replace: str
    file: str = ""
    find: str = ""


Run = tuple[Page, Subject, list[Change]]  # of a page on other seeds or with changes, and what it is made of


def read(project: Project, page: str) -> dict[str, list[Change]]:
    """The faults of a page, and those of any page, by name.

    Raises:
        BookError: a list cannot be read.
    """
    found: dict[str, list[Change]] = {}
    for name in ("any", page.replace("/", "-")):
        file = project.root / "tests" / "faults" / f"{name}.toml"
        shown = file.relative_to(project.root)
        try:
            rows = tomllib.loads(file.read_text(encoding="utf-8"))["fault"] if file.exists() else []
            changes = [Change(**row) for row in rows]
        except (OSError, KeyError, TypeError, tomllib.TOMLDecodeError) as error:
            raise BookError(f"{shown} cannot be read: {error!r}") from None
        for change in changes:
            if change.name.partition(":")[0] not in KINDS:
                raise BookError(f"{shown}: {change.name!r} is of no kind: {', '.join(KINDS)}")
            if bool(change.file) != bool(change.find):
                raise BookError(f"{shown}: {change.name!r}: 'file' and 'find' go together")
        found |= {change.name: [one for one in changes if one.name == change.name] for change in changes}
    return found


def planted(project: Project, page: Page, names: Sequence[str]) -> list[Run]:
    """The runs of a page under faults that its claims name.

    Raises:
        BookError: there is no such fault, or its text is not there exactly once.
    """
    known, plain, runs = read(project, page.name), pages.subject(project, page), []
    for name in names:
        if name not in known:
            where = f"tests/faults/{page.name.replace('/', '-')}.toml"
            raise BookError(f"{page.name}: no fault is called {name!r}: list it in {where}")
        for change in known[name]:
            if change.file and _text(project, change.file).count(change.find) != 1:
                raise BookError(f"{page.name}: the text of fault {name!r} must occur once in {change.file}")
        own = json.dumps([plain.own, GOES_ON, [[c.file, c.find, c.replace] for c in known[name]]])
        subject = replace(plain, kind="claims", name=f"{page.name}, {name}", own=own)
        runs.append((page, subject, known[name]))
    return runs


def on_seeds(project: Project, page: Page, seed_set: int) -> Run:
    """The run of a page on another seed set."""
    name, variables = f"{page.name}, seed set {seed_set}", ((verify.SEED_SET, str(seed_set)),)
    return page, replace(pages.subject(project, page), kind="claims", name=name, variables=variables), []


def going_on(page: Page, before: Sequence[str] = ()) -> Page:
    """The page with a first cell that lets claims fail without ending their cell, after lines ``before``."""
    notebook = copy.deepcopy(page.notebook)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source = "\n".join([GOES_ON, *before, first.source])
    return replace(page, notebook=notebook)


async def run_page(project: Project, page: Page, changes: Sequence[Change]) -> run.Outcome:
    """Run a page with a fault planted."""
    own = page.file.relative_to(project.root).as_posix()
    text = _text(project, own)
    for change in (change for change in changes if change.file == own):
        text = text.replace(change.find, change.replace)
    before = [change.replace for change in changes if not change.file]
    changed = going_on(replace(page, notebook=pages.read_notebook(text, page.file)), before)
    with tempfile.TemporaryDirectory(prefix="fault-") as folder:
        root = Path(folder).resolve()
        for entry in project.root.iterdir():
            if entry.name != "code":
                (root / entry.name).symlink_to(entry)
        shutil.copytree(project.code, root / "code", ignore=shutil.ignore_patterns("__pycache__"))
        for change in changes:
            if change.file not in ("", own):
                file = root / change.file
                file.write_text(file.read_text("utf-8").replace(change.find, change.replace), "utf-8")
        runs = {"RLWORKSHOP_RUNS": str(root / "runs")}  # those of the right code are of no use here
        outcome = await run.run_page(Project(root, project.settings), changed, runs)
    for change in changes:
        outcome.inputs.pop(f"file {change.file}", None)
    return outcome


def _text(project: Project, file: str) -> str:
    try:
        return provenance.source_text((project.root / file).read_bytes())
    except OSError as error:
        raise BookError(f"a fault changes {file}: {error.strerror}") from None
