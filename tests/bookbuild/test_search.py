"""What the search looks through."""

import json

import pytest

from bookbuild.site import search


@pytest.fixture
def data(fresh, sphinx):
    """What the search is given when page gamma has this text."""

    def made(text: str, **how: object) -> dict:
        fresh.edit("book/gamma.md", "# Page gamma\n", f"# Page gamma\n\n{text}\n")
        outputs = {"beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]]}
        built = sphinx.render(sphinx.executed(fresh.root, outputs), **how)
        assert built.status == 0, built.output
        text = (built.site / "_static/searchdata.js").read_text(encoding="utf-8")
        assert not (built.site / "searchindex.js").exists()
        return json.loads(text.removeprefix("window.bookData="))

    return made


@pytest.mark.parametrize("parallel", [1, 3])
def test_sections_have_their_prose_and_no_code(data, parallel):
    text = "Of $\\pi_\\theta$, *much*.\n\n$$\nx\n$$\n\n## A part\n\n- one\n- two\n\n```python\nx = 1\n```\n"
    sections = [one for one in data(text, parallel=parallel)["sections"] if one[0] == "gamma.html"]
    assert sections[0][1:4] == ["Page gamma", "page-gamma", "Page gamma"]
    assert sections[0][4].startswith("Of π_θ, much.") and "\\" not in sections[0][4]
    assert ["gamma.html", "Page gamma", "a-part", "A part", "one two"] in sections


def test_terms_are_found_by_themselves(data):
    text = "```{glossary}\nvalue\nworth\n  What *it* is.\n```\n"
    assert ["gamma.html", "Page gamma", "term-value", "value, worth", "What it is."] in data(text)["sections"]


def test_stages_of_a_file_are_left_out(data):
    text = (
        "```{eval-rst}\n.. py:function:: a.stage_2.thing()\n\n.. py:function:: a.last.thing()\n\n"
        ".. py:module:: a.last\n```\n"
    )
    assert [name for _, name in data(text)["objects"]] == ["a.last.thing"]


@pytest.mark.parametrize(
    ("tex", "read"),
    [
        (r"\pi_\theta(a \mid s)", "π_θ(a ∣s)"),
        (r"\max_a \hat Q", "max_a Q"),
        (r"\gamma\,r", "γr"),
        ("x^{10}", "x^10"),
    ],
)
def test_a_formula_is_read_without_its_commands(tex, read):
    assert search.plain(tex) == read
