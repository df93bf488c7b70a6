"""What a reader takes away opens, runs, and speaks plain Markdown."""

import json
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

from bookbuild.engine.project import Project
from bookbuild.site import takeaway

CODE = Path(__file__).parents[2] / "code"


@pytest.fixture
def project(fresh) -> Project:
    return Project.at(fresh.root)


@pytest.mark.parametrize(
    ("myst", "markdown"),
    [
        ("{glue:text}`n:.1f` steps", "2.5 steps"),
        ("{claim}`held`", "7"),
        ("`` {claim}`held` `` and `{claim}` ", "`` {claim}`held` `` and `{claim}` "),
        ("~~~\n`\n~~~\n\n```md\n{eq}`x`\n```", "~~~\n`\n~~~\n\n```md\n{eq}`x`\n```"),
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
    shown, book = {"n:.1f": "2.5", "held": "7"}, SimpleNamespace(project=project, exercises={})
    assert takeaway.plain(myst, book, lambda role, text: shown[text]) == markdown


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, 'exercises.find("x-half").check(your_function)'),
        (
            {"file": "my.py"},
            "`%%writefile my.py`, the whole file below it, and run `!python -m rlworkshop.check x-half",
        ),
    ],
)
def test_an_exercise_comes_with_its_stub_and_how_to_check_it(project, more, words):
    known = {"title": "Halve it", "stub": "def half(x):\n    raise NotImplementedError\n", **more}
    book = SimpleNamespace(project=project, exercises={"x-half": known})
    text = takeaway.plain(":::{exercise} x-half\nOf any `x`.\n:::\n", book, lambda role, text: "")
    assert text.startswith("Of any `x`.\n\n**Halve it**\n\n```python\ndef half(x):\n")
    assert words in text


def test_colab_needs_a_repository_on_github(project, monkeypatch):
    monkeypatch.delenv("BOOK_REPOSITORY_URL", raising=False)
    assert takeaway.colab(project, "a/b") is None
    here = Project(project.root, {"repository_url": "https://github.com/someone/book/"})
    expected = "https://colab.research.google.com/github/someone/book/blob/notebooks/a/b.ipynb"
    assert takeaway.colab(here, "a/b") == expected
    assert "git+https://github.com/someone/book" in takeaway.install(here)
    assert takeaway.colab(Project(project.root, {"repository_url": "https://example.org/x"}), "a") is None


STRINGS = [
    *[
        "",
        "a word",
        "it's",
        'say "so"',
        "'",
        "γ ± 0.5 → é",
        "two\nlines",
        "a\n\nb",
        " led",
        "tab\there",
        "a  b",
    ],
    *[
        "a\\b",
        "\\",
        "\\*",
        "C:\\new\\[x]",
        "a\\\\",
        "*a* _b_ __c__",
        "snake_case_name",
        "`code`",
        "``",
        "~~x~~",
    ],
    *["$x$ and $5", "[a](b)", "[1]", "<b>x</b>", "&amp; &", "a < b > c", "a|b", "!", "{eq}`x`", "12", "1e3"],
    *["- no list", "1. none", "# no title", "> x", "===", "---", "+", "1)", "#"],
]
VALUES = [0, 7, -3, 12345678, True, None, 1.5, -0.0, 1e-9, 1e300, float("nan"), float("inf"), 2.5, 3 + 4j]
VALUES += [[1, 2], ["a", 'b"'], (1.5, "x"), {"a": [1]}, {1}, b"x\n", *STRINGS]
TEXTS = [*map(repr, VALUES), "np.float64(1.25)", "array([1, 2,\n       3])", "<f at 0x7f>", "Box(-1.0, 1.0)"]
FORMS = ["", ":", ":.2f", ":.0f", ":,.1f", ":d", ":,d", ":s", ":>10", ":>10s", ":%", ":.1%", ":.3e", ":g"]
CASES = [(text, form) for text in TEXTS for form in FORMS]


def visible(markup: str) -> str:
    return " ".join(re.split(r"[ \t\n]+", unescape(re.sub("<[^>]+>", "", markup)))).strip(" ")


@pytest.fixture
def quoting(fresh, sphinx):
    """A book with a page that glues ``TEXTS``, for pages with quotes of them: its site."""
    fresh.add_page("start/glue", "pass", more="")

    def run(*prose: str, **how):
        fresh.write("book/start/glue.md", FRONT + "\n\n".join(prose) + "\n")
        glue = [sphinx.glued(f"v{number}", text, number % 2) for number, text in enumerate(TEXTS)]
        outputs = {"beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.25)]], "start/glue": [glue]}
        return sphinx.render(sphinx.executed(fresh.root, outputs), smartquotes=False, **how)

    return run


FRONT = """---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {display_name: Python 3, language: python, name: python3}
---
# Quotes

```{code-cell} ipython3
pass
```

"""


def test_a_notebook_shows_what_the_page_shows_whatever_is_quoted(quoting):
    roles = [f"{{glue:text}}`v{TEXTS.index(text)}{form}`" for text, form in CASES]
    prose = [f"within {role} :{n}:\n\n{role} first ;{n};" for n, role in enumerate(roles)]
    built = quoting(*prose)
    made = nbformat.read(built.site / "_notebooks/start/glue.ipynb", as_version=4)
    markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"]).use(dollarmath_plugin)
    taken = markdown.render("\n\n".join(c.source for c in made.cells if c.cell_type == "markdown"))
    page = built.page("start/glue")
    for number, case in enumerate(CASES):
        for before, after in (("within ", f":{number}:"), ("", f"first ;{number};")):
            pattern = rf"<p>{before}((?:(?!<p>).)*?) ?{after}</p>"
            there, here = re.search(pattern, page, re.S), re.search(pattern, taken, re.S)
            assert there and here, case
            assert visible(here[1]) == visible(there[1]), case
            assert "<" not in here[1], case


def test_other_pages_and_claims_are_quoted_as_the_page_does(quoting):
    built = quoting(
        "A {glue:text}`v12:.1f` B {glue:text}`/start/glue.md::v12:.2f` C {glue:text}`glue.md::v21` D",
        "E {claim}`beta#seven-is-at-least-five` F {claim}`none` G {glue:text}`none` H",
    )
    made = nbformat.read(built.site / "_notebooks/start/glue.ipynb", as_version=4)
    taken, page = "\n".join(c.source for c in made.cells), built.page("start/glue")
    for start in "AE":
        shown = visible(re.search(rf"<p>{start} .*?</p>", page, re.S)[0])
        assert shown == visible(re.search(rf"^{start} .*", taken, re.M)[0])
    assert "E 7.25 F (not measured) G H" in " ".join(taken.split())


def test_a_page_downloads_as_executed_notebook_and_as_script_that_runs(fresh, sphinx):
    fresh.edit("book/beta.md", "The claim measured", "Seven is")
    said = nbformat.v4.new_output("stream", name="stdout", text="beta says apple")
    outputs = {"beta": [[said], [sphinx.claimed("seven-is-at-least-five", 7.0)]]}
    built = sphinx.render(sphinx.executed(fresh.root, outputs))
    assert built.status == 0, built.output
    folder = built.site / "_notebooks"
    notebook = nbformat.read(folder / "beta.ipynb", as_version=4)
    nbformat.validate(notebook)
    text = json.dumps(notebook)
    assert "beta says apple" in text and "Seven is 7." in text
    assert "tags" in notebook.cells[0].metadata and "pip install" in notebook.cells[0].source
    run = subprocess.run(
        [sys.executable, folder / "beta.py"],
        cwd=fresh.root / "book",
        env={"PYTHONPATH": f"{fresh.root / 'code'}:{CODE}"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "beta says apple" in run.stdout and "claim holds" in run.stdout
