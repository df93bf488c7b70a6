"""Ruff on the code and on the pages' cells; what it finds in a page is told by the page's own line.

Book: start/how_to_use
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

from bookbuild.engine import pages
from bookbuild.engine.project import BookError, Project

CODE = ("code", "tests", "benchmarks", "templates", "conf.py")


def cells(text: str) -> list[tuple[int, str]]:
    """The code cells of a page: the page's line on which the source begins (from 1), and the source."""
    notebook = pages.read_notebook(text, Path("page.md"))
    starts, found = notebook.metadata["source_map"], []
    for start, cell in zip(starts, notebook.cells, strict=True):
        if cell.cell_type == "code":
            body = text.split("\n", start)[-1]  # a cell's options come first
            found.append((start + 1 + body[: body.index(cell.source)].count("\n"), cell.source))
    return found


def ruff(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs ruff in ``root`` and returns what it said.

    Raises:
        BookError: this Python has no ruff.
    """
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *arguments], cwd=root, capture_output=True, text=True
    )
    if "No module named ruff" in done.stderr:
        raise BookError("ruff is not installed: run this as `make check`, which brings it")
    return done


def of_pages(root: Path) -> list[str]:
    """Ruff's complaints about the cells of pages, as ``page:line:column: rule message``."""
    with tempfile.TemporaryDirectory() as folder:
        known = {}
        for page in sorted(root.glob("book/**/*.md")):
            if found := cells(page.read_text(encoding="utf-8")):
                notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for _, s in found])
                notebook.metadata["language_info"] = {"name": "python"}
                file = Path(folder).resolve() / f"{len(known)}.ipynb"
                nbformat.write(notebook, file)
                known[str(file)] = (page.relative_to(root), [line for line, _ in found])
        settings = f"--config={root / 'pyproject.toml'}"
        done = ruff(root, "check", "--output-format=json", settings, folder)
    if not done.stdout.strip():
        return [f"ruff stopped: {done.stderr.strip()}"]
    complaints = []
    for item in json.loads(done.stdout):
        page, lines = known[item["filename"]]
        line = lines[item["cell"] - 1] + item["location"]["row"] - 1
        what = f"{item['code'] or 'syntax'} {item['message']}"
        complaints.append(f"{page}:{line}:{item['location']['column']}: {what}")
    return complaints


def run(project: Project) -> int:
    """Lints the project and prints what is wrong; returns 1 if anything is, else 0."""
    there = [name for name in CODE if (project.root / name).exists()]
    bad = False
    for arguments in (["check"], ["format", "--check"]):
        done = ruff(project.root, *arguments, "--output-format=concise", *there)
        if done.returncode:
            bad = True
            print(done.stdout + done.stderr, end="")
    complaints = of_pages(project.root)
    print(*complaints, sep="\n", end="\n" if complaints else "")
    return int(bad or bool(complaints))
