"""What a reader takes away opens, runs, and speaks plain Markdown."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from bookbuild.site import takeaway
from bookbuild.engine.project import Project

CODE = Path(__file__).parents[2] / "code"


@pytest.fixture
def project(fresh) -> Project:
    return Project.at(fresh.root)


@pytest.mark.parametrize(
    ("myst", "markdown"),
    [
        ("{glue:text}`n:.1f` steps", "2.5 steps"),
        ("{claim}`held`", "7"),
        ("{claim}`other#gone`", "other#gone"),
        ("see {doc}`the next chapter </a/b>` and {doc}`/a/c`", "see the next chapter and a/c"),
        ("{cite:p}`one,two` {eq}`eq-x`", "[one,two] (eq-x)"),
        ("$$\nx\n$$ (eq-x)\n", "$$\nx\n$$\n"),
        ("(here)=\n## Title", "## Title"),
        (":::{admonition} Mind\n:class: tip\n\nThis.\n:::\n", "**Mind**\n\nThis.\n"),
        (
            "```{snippet} tiny.direct.shown\n:region: sum\n```",
            "```python\ntotal = base.number() + 1\n```",
        ),
        ("```{toctree}\na\n```", ""),
        ("```python\nx = 1\n```", "```python\nx = 1\n```"),
    ],
)
def test_myst_becomes_markdown(project, myst, markdown):
    quoted = takeaway._Formats({"n": 2.5, "held": 7.0})
    assert takeaway.plain(myst, project, quoted) == markdown


def test_colab_needs_a_repository_on_github(project, monkeypatch):
    monkeypatch.delenv("BOOK_REPOSITORY_URL", raising=False)
    assert takeaway.colab(project, "a/b") is None
    here = replace(project, settings={"repository_url": "https://github.com/someone/book/"})
    expected = "https://colab.research.google.com/github/someone/book/blob/notebooks/a/b.ipynb"
    assert takeaway.colab(here, "a/b") == expected
    assert "git+https://github.com/someone/book" in takeaway._install(here)
    assert takeaway.colab(replace(project, settings={"repository_url": "https://example.org/x"}), "a") is None


@pytest.mark.slow
def test_a_page_downloads_as_executed_notebook_and_as_script_that_runs(book):
    book.edit("book/beta.md", "The claim measured", "Seven is")
    assert book.build().status == 0
    folder = book.root / "_build/html/_notebooks"
    notebook = nbformat.read(folder / "beta.ipynb", as_version=4)
    nbformat.validate(notebook)
    text = json.dumps(notebook)
    assert "beta says apple" in text and "Seven is 7." in text
    assert "tags" in notebook.cells[0].metadata and "pip install" in notebook.cells[0].source
    script = folder / "beta.py"
    run = subprocess.run(
        [sys.executable, script],
        cwd=book.root / "book",
        env={"PYTHONPATH": f"{book.root / 'code'}:{CODE}"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "beta says apple" in run.stdout and "claim holds" in run.stdout
