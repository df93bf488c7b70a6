"""Drawings stand in the page itself, say what is to be seen, and take on the page's colours."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bookbuild.site import takeaway

ROOT = Path(__file__).parents[2]
DRAWINGS = sorted((ROOT / "book/_diagrams").glob("*.svg"))
SVG = (
    '<svg viewBox="0 0 9 9"><title id="a-title">A</title><desc id="a-desc">B</desc><path class="line"/></svg>'
)
SHOWN = "```{diagram} a\n:name: fig-a\nIt *goes* round.\n```\n\nSee {numref}`fig-a`.\n"


@pytest.fixture
def shown(fresh, sphinx):
    """The title page of the fixture book with this text and drawing."""

    def render(svg: str):
        fresh.edit("conf.py", '"bookbuild.site.extension"', '"bookbuild.site.extension", "showcase"')
        if svg:
            fresh.write("book/_diagrams/a.svg", svg)
        fresh.edit("book/index.md", "```{toctree}", f"{SHOWN}\n```{{toctree}}")
        outputs = {"beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]]}
        made = sphinx.render(sphinx.executed(fresh.root, outputs), numfig=True, exclude_patterns=["**/_*"])
        return made, made.page("index")

    return render


def test_a_drawing_is_a_figure_of_the_page(shown):
    made, page = shown(SVG)
    assert (made.status, made.output) == (0, "")
    figure = re.search(r'<figure class="[^"]*diagram[^"]*" id="fig-a">(.*?)</figure>', page, re.S)[1]
    assert SVG in figure and "It <em>goes</em> round." in figure and "Fig. 1" in figure
    assert '<a class="reference internal" href="#fig-a">' in page


@pytest.mark.parametrize(
    ("svg", "said"),
    [("<svg></svg>", "a.svg has no <title> and <desc>"), ("", "there is no drawing a.svg in book/_diagrams")],
)
def test_a_drawing_that_is_gone_or_says_nothing_is_a_fault(shown, svg, said):
    made, page = shown(svg)
    assert made.status == 1 and said in made.output and said.partition(" <")[0] in page


@pytest.mark.parametrize("file", DRAWINGS, ids=lambda file: file.stem)
def test_the_drawings_of_the_book_are_told_in_words_and_fit_any_page(file):
    svg = ET.fromstring(file.read_text(encoding="utf-8"))
    space = "{http://www.w3.org/2000/svg}"
    assert svg.get("role") == "img"
    named = [svg.find(f".//*[@id='{name}']") for name in svg.get("aria-labelledby").split()]
    assert [one.tag.removeprefix(space) for one in named] == ["title", "desc"] and all(o.text for o in named)
    assert len(named[1].text) > 80, "what is to be seen, for those who cannot"
    assert float(svg.get("viewBox").split()[2]) <= 400, "its words can be read on a phone"
    for element in svg.iter():
        assert not {"fill", "stroke", "style"} & {*element.keys()} or element is svg, "colours are the page's"
        assert element.get("id", file.stem).startswith(file.stem), "two drawings on a page"


def test_every_drawing_stands_on_a_page():
    text = "".join(page.read_text(encoding="utf-8") for page in ROOT.glob("book/**/*.md"))
    assert len(DRAWINGS) >= 5
    assert [file.stem for file in DRAWINGS if f"{{diagram}} {file.stem}\n" not in text] == []


def test_in_a_notebook_the_caption_stands_for_the_drawing():
    text = "Before.\n\n```{diagram} a\n:name: fig-a\nIt *goes* round.\n```\n"
    assert takeaway.plain(text, None, None) == "Before.\n\n*(Drawing.)* It *goes* round.\n"
