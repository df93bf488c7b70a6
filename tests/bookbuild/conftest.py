"""A small book to build, change and break."""

import contextlib
import copy
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import nbformat
import pytest
from jinja2 import FileSystemBytecodeCache
from sphinx.application import Sphinx
from sphinx.util.console import strip_escape_sequences
from sphinx.util.docutils import docutils_namespace, patch_docutils

from bookbuild import __main__ as cli
from bookbuild.engine import book as engine
from bookbuild.engine import pages
from bookbuild.engine.book import Book
from bookbuild.engine.project import Project
from bookbuild.engine.run import Outcome
from bookbuild.site import extension
from rlworkshop import verify

HERE = Path(__file__).parent
CODE = HERE.parents[1] / "code"
ODD = 'it\'s a [Büchlein] *of* 100% #1? "Ω" {x} $HOME & co; ~'  # what a folder may be called
MINUTES = 600  # seconds: how long a test waits for what must happen, however busy the machine is

FRONT = """---
jupytext:
  text_representation: {{extension: .md, format_name: myst}}
kernelspec: {{display_name: Python 3, language: python, name: python3}}
budget: {budget}
{more}
---
# Page {name}

"""


@dataclass
class Built:
    """What one build did."""

    status: int
    output: str

    @property
    def executed(self) -> set[str]:
        """The jobs that ran."""
        return set(re.findall(r"^\[\d+/\d+\] (.+?) \(", self.output, re.M))


@dataclass
class Updated(Built):
    """What the engine did, without Sphinx."""

    book: engine.Book

    @property
    def problems(self) -> list[str]:
        """What is wrong, with page and line."""
        return [f"{page}:{line}: {message}" for message, page, line in self.book.problems]

    def printed(self, name: str) -> str:
        """The text that a page's cells have printed."""
        outputs = [o for cell in self.book.outcomes[name].notebook.cells for o in cell.get("outputs", [])]
        return "".join(output.get("text", "") for output in outputs)


@dataclass
class SmallBook:
    """A copy of the fixture book in a folder of its own (see ``fixture/``)."""

    root: Path

    @staticmethod
    def environment(**variables: str) -> dict[str, str]:
        given = {k: v for k, v in os.environ.items() if k not in ("CI", "BOOK_REPOSITORY_URL")}
        return given | {"PYTHONPATH": str(CODE), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **variables}

    def update(self, only: str = "", **variables: str) -> Updated:
        """Have the engine bring the book up to date, as on the reference machine."""
        said: list[str] = []
        environment = mock.patch.dict(os.environ, self.environment(**variables), clear=True)
        with environment, mock.patch.object(engine, "_speed", mock.AsyncMock(return_value=1.0)):
            book = engine.bring_up_to_date(Project.at(self.root), only, said.append, cores=2)
        return Updated(1 if book.problems else 0, "\n".join(said), book)

    def start(self, *command: str, **variables: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "bookbuild", *(command or ("html",))],
            cwd=self.root,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # a shell starts what it puts in the background deaf to Ctrl-C, and that is inherited
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def build(self, *command: str, **variables: str) -> Built:
        """What ``start`` does, in this process and as on the reference machine."""
        output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        environment = mock.patch.dict(os.environ, self.environment(**variables), clear=True)
        speed = mock.patch.object(engine, "_speed", mock.AsyncMock(return_value=1.0))
        streams = contextlib.redirect_stdout(output), contextlib.redirect_stderr(output)
        with environment, speed, streams[0], streams[1]:
            status = cli.main(["--root", str(self.root), *(command or ("html",))])
        output.seek(0)
        return Built(status, output.read())

    def page(self, name: str) -> str:
        """A page of the built site."""
        return (self.root / "_build" / "html" / f"{name}.html").read_text(encoding="utf-8")

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.root / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def write(self, file: str, text: str) -> None:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def add_page(self, name: str, *cells: str, budget: float = 20, more: str = "", options: str = "") -> None:
        """A new page with code cells, in the table of contents. ``more``: lines for its front matter."""
        fences = (f"```{{code-cell}} ipython3\n{options}{code}\n```\n\n" for code in cells)
        self.write(f"book/{name}.md", FRONT.format(name=name, budget=budget, more=more) + "".join(fences))
        self.edit("book/index.md", "report\n", f"report\n{name}\n")


@pytest.fixture(scope="session", autouse=True)
def compiled(tmp_path_factory) -> Iterator[None]:
    """The theme's templates are compiled once for all books, as they are once for all builds of a book."""
    kept = FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))
    with mock.patch.object(extension, "FileSystemBytecodeCache", lambda folder: kept):
        yield


@pytest.fixture(scope="session")
def built_once(tmp_path_factory) -> Path:
    """The fixture book, built."""
    root = tmp_path_factory.mktemp("built") / ODD
    shutil.copytree(HERE / "fixture", root, ignore=shutil.ignore_patterns("__pycache__"))
    built = SmallBook(root).build()
    assert built.status == 0, built.output
    return root


@pytest.fixture(scope="session")
def updated_once(tmp_path_factory) -> Path:
    """The fixture book, brought up to date by the engine."""
    root = tmp_path_factory.mktemp("updated") / ODD
    shutil.copytree(HERE / "fixture", root, ignore=shutil.ignore_patterns("__pycache__"))
    updated = SmallBook(root).update()
    assert updated.executed == {"alpha", "beta", "gamma", "tests/test_direct.py"}, updated.output
    assert updated.problems == []
    return root


@pytest.fixture
def fresh(tmp_path) -> SmallBook:
    """The fixture book, not built."""
    shutil.copytree(HERE / "fixture", tmp_path / "book", ignore=shutil.ignore_patterns("__pycache__"))
    return SmallBook(tmp_path / "book")


@pytest.fixture
def book(built_once, tmp_path) -> SmallBook:
    """A built copy of the fixture book, to be changed at will."""
    shutil.copytree(built_once, tmp_path / "book")  # copies times of change as well
    return SmallBook(tmp_path / "book")


@pytest.fixture
def known(updated_once, tmp_path) -> SmallBook:
    """A copy of the fixture book that the engine has brought up to date, to be changed at will."""
    shutil.copytree(updated_once, tmp_path / "book")
    return SmallBook(tmp_path / "book")


# ---- Sphinx alone: a book as if it had been executed

TESTS = SimpleNamespace(
    entering=lambda file, lines, name: ["tests/test_direct.py::test_shown"],
    naming=lambda name: ["tests/test_direct.py::test_shown"],
    log="tested.log",
    failed={},
)


def glued(name: str, text: str, display: bool = False) -> dict:
    """The output of a cell that glues a value whose text is ``text``."""
    prefix = "" if display else "application/papermill.record/"
    metadata = {"scrapbook": {"name": name, "mime_prefix": prefix}}
    return nbformat.v4.new_output("display_data", {f"{prefix}text/plain": text}, metadata=metadata)


def claimed(name: str, value: object, held: bool = True, text: str = "it is so") -> dict:
    """The output of a cell that makes a claim."""
    record = {"name": name, "text": text, "held": held, "value": value, "seeds": None}
    metadata = {verify.RECORD: record | {"at_least": 5.0, "at_most": None}}
    return nbformat.v4.new_output(
        "display_data", {"text/html": f'<div class="claim" id="claim-{name}"></div>'}, metadata=metadata
    )


def executed(root: Path, outputs: dict[str, list[list[dict]]], **more: object) -> Book:
    """The book at ``root`` with these outputs, by page and cell. ``more``: further facts of the book."""
    project = Project.at(root)
    made = Book(project, **{"tests": TESTS, **more})
    for page in pages.read_pages(project):
        notebook = copy.deepcopy(page.notebook)
        code = (cell for cell in notebook.cells if cell.cell_type == "code")
        for number, cell in enumerate(code):
            cell.outputs = (outputs.get(page.name, []) + [[]] * 99)[number]
            cell.execution_count = number + 1
        outcome = Outcome(page, notebook, 1.0, 1.0, 100.0, "2026-01-02 03:04", cost=1.0)
        made.outcomes[page.name] = outcome
        file = project.executed / f"{page.name}.ipynb"
        text = json.dumps(notebook)
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return made


@dataclass
class Rendered:
    """What Sphinx has made of a book."""

    site: Path
    status: int
    output: str

    def page(self, name: str) -> str:
        return (self.site / f"{name}.html").read_text(encoding="utf-8")


def render(book: Book, /, fresh: bool = True, parallel: int = 1, **settings: object) -> Rendered:
    """Run Sphinx over an executed book; not ``fresh``: it reads only what has changed since."""
    root, warnings = book.project.root, io.StringIO()
    with patch_docutils(root), docutils_namespace():
        app = Sphinx(
            srcdir=root / "book",
            confdir=root,
            outdir=root / "_build/html",
            doctreedir=root / "_build/doctrees",
            buildername="html",
            confoverrides={"book": book, **settings},
            status=None,
            warning=warnings,
            freshenv=fresh,
            warningiserror=True,
            parallel=parallel,
        )
        app.build(force_all=True)
    output = strip_escape_sequences(warnings.getvalue()).replace(f"{root}{os.sep}", "")
    return Rendered(root / "_build/html", app.statuscode, output)


@pytest.fixture
def sphinx() -> SimpleNamespace:
    """What shows a book without running it: ``executed``, ``render``, and outputs to put into its pages."""
    return SimpleNamespace(executed=executed, render=render, glued=glued, claimed=claimed)


# a module whose objects are shown
THINGS = '''\
"""Things to show."""

from dataclasses import dataclass
from functools import cache

CONSTANT = 1


def plain(x):
    """Docstring."""
    # region: work
    y = x + 1
    if y:
        y += 1
    # endregion
    return y


@cache
@cache
def decorated():
    return 1


class Box:
    """Docstring."""

    size: int = 1

    @property
    def half(self):
        # region: odd-one
        return self.size / 2
        # endregion

    class Inner:
        async def deep(self):
            return 1


@dataclass
class Config:
    """Settings."""

    rate: float = 0.1


def open_end():
    # region: lost
    return 1


def only_a_docstring():
    """Nothing runs."""
'''
