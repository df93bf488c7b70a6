"""The lint of pages sees what breaks each of its rules, and nothing in a page that keeps them."""

from pathlib import Path
from types import SimpleNamespace

import pytest

import pagelint
from bookbuild.engine import pages
from bookbuild.engine.project import Project

ROOT = Path(__file__).parents[1]
FRONT = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
---
"""
GOOD = """# A page

**Time**: 10 minutes, {doc}`/x` says more.

## Advantages of an action

Words with a **name** and `known_name`, and $x_i$.

```{code-cell} ipython3
known_name = 3
```

$$
a = b
$$ (th-x)

:::{exercise} one
Do it.
:::

:::{exercise} two
Do it.
:::

:::{predict} What comes?
It comes.
:::
"""


@pytest.fixture
def said(tmp_path):
    """What is said of a page with this text, as (rule, message)."""

    def complaints(text: str) -> list[tuple[str, str]]:
        file = tmp_path / "book" / "foundations" / "page.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(FRONT + text, encoding="utf-8")
        page = pages.read_page(Project(tmp_path), file)
        found = pagelint.of_page(Project.at(ROOT), page, pagelint.taken_apart(file.read_text("utf-8")))
        return [(rule, message) for rule, messages in found.items() for message in messages]

    return complaints


def test_a_page_that_keeps_the_rules_passes(said):
    assert said(GOOD) == []


@pytest.mark.parametrize(
    ("rule", "old", "new", "why"),
    [
        ("length", "Words", "word " * 3_500, "3,5"),
        ("length", "It comes.", "word " * 801, "801 words in what is folded"),
        (
            "open",
            "known_name = 3",
            "def f():\n    pass\n\n\n" + "x = 3\n" * 13,
            "13 open lines of code from 'x = 3'",
        ),
        ("time", "10 minutes", "50 minutes", "it states 50 minutes, by count it takes 10"),
        ("time", "**Time**: 10", "**Takes**: 10", "no line"),
        (
            "headings",
            "## Advantages of an action",
            "## Overview",
            "line 10: the heading 'Overview' says nothing",
        ),
        ("headings", "Words", "## A page\n\nWords", "stands here twice"),
        ("names", "and `known_name`", "and `other_name`", "`other_name` stands in no code of this page"),
        ("names", "and `known_name`", "and `f()`", "`f()` stands in no code"),
        ("figures", "known_name = 3", "known_name = 3\nplt.plot()\nplt.show()", "no alternative text"),
    ],
)
def test_each_rule_sees_what_breaks_it(said, rule, old, new, why):
    assert GOOD.count(old) == 1
    found = said(GOOD.replace(old, new))
    assert any(rule == which and why in message for which, message in found), found


def test_code_is_counted_between_two_stretches_of_prose(said):
    cell = "```{code-cell} ipython3\nx = 1\n" + "y = 2\n" * 7 + "```\n"
    two = GOOD + cell + "\n" + cell
    assert [rule for rule, _ in said(two)] == ["open"], "sixteen lines for one idea"
    assert said(GOOD + cell + "\nWords.\n\n" + cell) == []
    assert said(two.replace("x = 1\n" + "y = 2\n" * 2, "import x\n\n\ndef f():\n    pass\n")) == []


def test_a_cell_that_writes_a_file_is_judged_by_that_file():
    source = "%%writefile mine.py\nimport os\n\n\nclass A:\n    x = 1\n\n\n# a comment\nprint(A.x)"
    assert pagelint._statements(source) == ["print(A.x)"]
    assert pagelint._statements("%%time\nx = 1") == ["%%time", "x = 1"]


def test_a_figure_with_words_passes(said):
    words = ":mystnb:\n:  image:\n:    alt: words\n\nknown_name = 3\nplt.show()"
    assert said(GOOD.replace("known_name = 3", words)) == []


def test_words_are_counted_as_they_are_read():
    assert pagelint.words(["A {doc}`/start/maths` of $x + y$ and {term}`value functions <value>`."]) == 8
    page = pagelint.taken_apart(FRONT + GOOD)
    prose = " ".join(line for _, line in page.prose)
    assert "What comes?" in prose and "It comes" not in prose and "known_name = 3" not in prose
    assert "a = b" not in prose and page.exercises == 2 and page.folded == ["It comes."]


def test_terms_of_two_pages_stand_in_the_glossary():
    texts = {
        name: pagelint.taken_apart(f"# {name}\n\nA **greedy** and **odd** one, **values**.") for name in "ab"
    }
    texts["b"].prose = [(1, "Another **greedy** one.")]
    assert list(pagelint.terms(texts, ["value"])) == ["'greedy' is a term of a and b, and not in it"]
    assert list(pagelint.terms(texts, ["Greedy"])) == []


def test_a_docstring_says_what_a_thing_is(tmp_path):
    (tmp_path / "code/pkg").mkdir(parents=True)
    body = 'def f():\n    """What there is to choose."""\n\n\ndef g():\n    """Sum, a number."""\n'
    (tmp_path / "code/pkg/__init__.py").write_text(body)
    found = list(pagelint.docstrings(SimpleNamespace(code=tmp_path / "code", root=tmp_path), "pkg"))
    assert [name for name, _ in found] == ["pkg.f"]


def test_the_book_keeps_the_rules_but_for_its_list():
    assert pagelint.faults(Project.at(ROOT)) == []


def test_an_exception_that_is_not_needed_is_told(monkeypatch):
    maths = pages.read_page(Project.at(ROOT), ROOT / "book" / "start" / "maths.md")
    monkeypatch.setattr(pages, "read_pages", lambda project: [maths])
    monkeypatch.setattr(pagelint.tomllib, "loads", lambda text: {"start/maths": ["headings"]})
    assert "tests/lint.toml: start/maths keeps the rule 'headings' now: take it off" in pagelint.faults(
        Project.at(ROOT)
    )
