"""A page of the book: its notebook, its front matter, and what it is made from."""

import copy
import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig

from bookbuild.engine import watch
from bookbuild.engine.project import BookError, Project
from bookbuild.engine.store import Subject, read_json
from rlworkshop import provenance
from rlworkshop.verify import RECORD

CHAPTER_PARTS = ("foundations", "algorithms", "robotics", "safety", "practice")
PYTHON = {"name": "python", "pygments_lexer": "ipython3", "file_extension": ".py"}
DEFAULT_BUDGET = 60.0  # CPU seconds of the reference machine, for a page that declares none


@dataclass(frozen=True)
class Page:
    """A page with code cells."""

    name: str  # as Sphinx calls it: "algorithms/vpg"
    file: Path
    notebook: nbformat.NotebookNode  # not executed
    budget: float  # CPU seconds of the reference machine
    exclusive: bool
    depends: tuple[str, ...]  # globs below the project's folder
    programs: tuple[str, ...] = ()  # that it may start: what they read is not seen

    @property
    def is_chapter(self) -> bool:
        """Whether the page must make a claim."""
        return self.name.split("/")[0] in CHAPTER_PARTS


def read_pages(project: Project, problems: dict[str, str] | None = None) -> list[Page]:
    """All pages of the book that have code cells, by name.

    A page that cannot be read, or whose front matter is not what it should be, is left out and goes into
    ``problems`` (page name to message).

    Raises:
        BookError: there is such a page, and no ``problems`` to take it.
    """
    found = []
    for file in sorted(project.book.glob("**/*.md")):
        try:
            page = read_page(project, file)
        except BookError as error:
            if problems is None:
                raise
            problems[project.page(file)] = str(error)
        else:
            found += [page] if page else []
    return found


def read_page(project: Project, file: Path) -> Page | None:
    """The page in ``file``; ``None`` when it has no code cells."""
    name = project.page(file)
    try:
        text = file.read_text(encoding="utf-8")
        notebook = read_notebook(text, file) if is_myst_markdown_notebook(text) else None
    except Exception as error:  # UTF-8, YAML and MyST have many kinds
        raise BookError(f"book/{name}.md cannot be read: {error}") from None
    if notebook is None and re.search(r"^(`{3,}|:{3,})\{code-cell\}", text, re.M):
        why = "code cells but no jupytext front matter that can be read: nothing would run"
        raise BookError(f"book/{name}.md has {why}")
    if notebook is None or not any(cell.cell_type == "code" for cell in notebook.cells):
        return None
    matter = notebook.metadata
    budget, depends = matter.get("budget", DEFAULT_BUDGET), matter.get("depends", [])
    if isinstance(budget, bool) or not isinstance(budget, int | float) or not budget > 0:
        raise BookError(f"book/{name}.md: 'budget: {budget}' should be a number of seconds above 0")
    exclusive, programs = matter.get("exclusive", False), matter.get("programs", [])
    if not isinstance(exclusive, bool):
        raise BookError(f"book/{name}.md: 'exclusive' should be true or false")
    for field, value, what in (("depends", depends, "files or globs"), ("programs", programs, "names")):
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise BookError(f"book/{name}.md: {field!r} should be a list of {what}")
    for glob in depends:
        if not any(project.root.glob(glob)):
            raise BookError(f"book/{name}.md depends on '{glob}', which matches no file of the project")
    return Page(name, file, notebook, float(budget), exclusive, tuple(depends), tuple(programs))


def read_notebook(text: str, file: Path) -> nbformat.NotebookNode:
    """A MyST Markdown text as a notebook that has not run."""
    notebook = copy.deepcopy(_read(text, file))
    notebook.metadata["language_info"] = dict(PYTHON)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # the same text gives the same notebook
    return notebook


@functools.lru_cache(maxsize=1024)  # for `make live`, which reads all pages after every save
def _read(text: str, file: Path) -> nbformat.NotebookNode:
    return read_myst_markdown_notebook(text, config=MdParserConfig(), add_source_map=True, path=file)


_to_python = functools.lru_cache(maxsize=8192)(TransformerManager().transform_cell)  # IPython's % and ! lines


def subject(project: Project, page: Page) -> Subject:
    """All that decides what ``page`` prints, as far as it shows before the page runs.

    Its cells and their tags, the modules of ``code/`` that they import (directly or through others), the
    files of its ``depends`` list, how what it reads is seen.
    """
    cells = [[cell.source, cell.metadata] for cell in page.notebook.cells if cell.cell_type == "code"]
    files = modules(project, page) | {Path(watch.__file__)}
    for glob in page.depends:
        files.update(file for file in project.root.glob(glob) if file.is_file())
    own = json.dumps([cells, page.programs], sort_keys=True)
    return Subject("pages", page.name, own, frozenset(files))


def modules(project: Project, page: Page) -> set[Path]:
    """The files under ``code/`` that the cells of ``page`` import, directly or through others."""
    files: set[Path] = set()
    for cell in page.notebook.cells:
        if cell.cell_type == "code":
            try:
                files |= provenance.imported_files(_to_python(cell.source), project.code)
            except SyntaxError:
                continue  # the cell will say so itself when it runs
    return provenance.closure(files, project.code)


def claims_of(notebook: Mapping) -> list[dict]:
    """The records of the claims that an executed notebook made, each with the number of its cell."""
    return [
        {**output["metadata"][RECORD], "cell": number}
        for number, cell in enumerate((c for c in notebook["cells"] if c["cell_type"] == "code"), 1)
        for output in cell.get("outputs", [])
        if RECORD in output.get("metadata", {})
    ]


def calibration_file(project: Project, page: str) -> Path:
    """Where the calibration of a page's claims is committed."""
    return project.root / "benchmarks" / "claims" / f"{page.replace('/', '-')}.json"


def calibrations(project: Project, page: str) -> dict[str, dict]:
    """The page's committed calibration: claim name to ``{"values": [...], ...}``."""
    return read_json(calibration_file(project, page), {}).get("claims", {})
