"""The lint finds faults in code and in cells, and names the page's own line."""

from pathlib import Path
from textwrap import dedent

import pytest

from bookbuild.engine import lint
from bookbuild.engine.project import BookError

CONFIG = '[tool.ruff]\nline-length = 110\n[tool.ruff.lint]\nselect = ["E", "F", "I"]\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(CONFIG)
    (tmp_path / "book").mkdir()
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "good.py").write_text("import os\n\nprint(os.sep)\n")
    return tmp_path


def page(project: Path, text: str) -> Path:
    path = project / "book" / "page.md"
    path.write_text(dedent(text))
    return path


def test_a_fault_in_a_cell_is_reported_at_the_pages_line_and_column(project, capsys):
    page(
        project,
        """\
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
        """,
    )
    assert lint.main(project) == 1
    assert capsys.readouterr().out == "book/page.md:13:15: F821 Undefined name `missing`\n"


def test_names_live_across_cells_and_a_notebooks_ways_are_allowed(project, capsys):
    page(
        project,
        """\
        ```python
        not linted(
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
        """,
    )
    assert lint.main(project) == 0
    assert capsys.readouterr().out == ""


def test_a_cell_that_does_not_parse_is_reported(project, capsys):
    page(project, "```{code-cell}\nx = 1\nx = (\n```\n")
    assert lint.main(project) == 1
    assert capsys.readouterr().out.startswith("book/page.md:3:")


@pytest.mark.parametrize(
    "source, word",
    [("import os\n", "F401"), ("x = 'single'\n", "would be reformatted"), ("def f(:\n", "invalid-syntax")],
)
def test_code_is_checked_and_its_format_too(project, capsys, source, word):
    (project / "code" / "bad.py").write_text(source)
    assert lint.main(project) == 1
    out = capsys.readouterr().out
    assert word in out and "bad.py" in out


def test_a_cell_whose_fence_is_never_closed_ends_with_the_page():
    assert lint.cells("```{code-cell}\nx = 1\n") == [(2, ["x = 1"])]
    assert lint.cells("```{code-cell}\n") == [(2, [])]
    assert lint.cells("```{code-cell}\n---\nx = 1\n```\n") == [(2, ["---", "x = 1"])]


def test_without_ruff_the_line_says_what_to_do(project, monkeypatch):
    (project / "python").write_text("#!/bin/sh\necho python: No module named ruff >&2\nexit 1\n")
    (project / "python").chmod(0o755)
    monkeypatch.setattr(lint.sys, "executable", str(project / "python"))
    with pytest.raises(BookError, match="make check"):
        lint.main(project)
