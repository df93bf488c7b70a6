"""The code cells of pages keep ruff's rules; a fault is told by the page's own line."""

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import nbformat
import pytest

from bookbuild.engine import pages

ROOT = Path(__file__).parents[2]


def cells(text: str) -> list[tuple[int, str]]:
    """The code cells of a page: the page's line on which the source begins (from 1), and the source."""
    notebook, found = pages.read_notebook(text, Path("page.md")), []
    for start, cell in zip(notebook.metadata["source_map"], notebook.cells, strict=True):
        if cell.cell_type == "code":
            body = text.split("\n", start)[-1]  # a cell's options come first
            found.append((start + 1 + body[: body.index(cell.source)].count("\n"), cell.source))
    return found


def complaints(root: Path, folder: Path) -> list[str]:
    """Ruff's complaints about the cells of pages below ``root``, as ``page:line:column: rule message``."""
    known = {}
    for page in sorted(root.glob("book/**/*.md")):
        if found := cells(page.read_text(encoding="utf-8")):
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for _, s in found])
            notebook.metadata["language_info"] = {"name": "python"}
            file = folder.resolve() / f"{len(known)}.ipynb"
            nbformat.write(notebook, file)
            known[str(file)] = (page.relative_to(root), [line for line, _ in found])
    settings = f"--config={ROOT / 'pyproject.toml'}"
    command = [sys.executable, "-m", "ruff", "check", "--output-format=json", settings, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    found = []
    for item in json.loads(done.stdout):
        page, lines = known[item["filename"]]
        line = lines[item["cell"] - 1] + item["location"]["row"] - 1
        what = f"{item['code'] or 'syntax'} {item['message']}"
        found.append(f"{page}:{line}:{item['location']['column']}: {what}")
    return found


def test_the_cells_of_the_book_keep_the_rules(tmp_path):
    assert complaints(ROOT, tmp_path) == []


@pytest.fixture
def said(tmp_path):
    """What is said of a page with this text."""

    def complain(text: str) -> list[str]:
        (tmp_path / "book").mkdir()
        (tmp_path / "book/page.md").write_text(dedent(text), encoding="utf-8")
        (tmp_path / "cells").mkdir()
        return complaints(tmp_path, tmp_path / "cells")

    return complain


def test_a_fault_is_told_by_the_pages_line_and_column(said):
    page = """\
        # A page

        ```{code-cell} ipython3
        import os
        ```

        ````{code-cell}
        ---
        tags: [hide-input]
        mystnb:
          figure: {name: x}
        ---
        print(os.sep, missing)
        ````
        """
    assert said(page) == ["book/page.md:13:15: F821 Undefined name `missing`"]


def test_names_live_across_cells_and_a_notebooks_ways_are_allowed(said):
    page = """\
        ```python
        not looked at(
        ```

        ```{code-cell}
        :tags: [hide-input]
        :mystnb:
        :  figure:
        :    name: x

        x = 1
        ```

        ```{code-cell}
        %matplotlib inline
        import math

        math.sqrt(x)
        ```
        """
    assert said(page) == []


def test_a_cell_that_does_not_parse_is_told(said):
    assert said("```{code-cell}\nx = 1\nx = (\n```\n")[0].startswith("book/page.md:3:")
