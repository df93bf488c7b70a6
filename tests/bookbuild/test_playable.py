"""Playable figures on a page: what they start with is shown, and what can be chosen waits."""

import html
import json
import re

import nbformat
import pytest

from rlworkshop.playable import RECORD

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 300 {0}"><text>{0}</text></svg>'


def output(number: int, says: str, start: bool) -> dict:
    """One picture, 100 + ``number`` points high."""
    record = {"controls": [["ε", ["0", '0.1 "a" <b>', "1"]]], "start": start, "says": says}
    bundle = {"image/svg+xml": SVG.format(100 + number), "text/plain": says}
    return nbformat.v4.new_output("display_data", bundle, metadata={RECORD: record})


SOME = [output(0, "None.", False), output(1, "A <little>.", True), output(2, "Much.", False)]


@pytest.fixture
def render(fresh, sphinx):
    """Renders the fixture book with a page whose only cell has this code and these outputs."""
    more = '"bookbuild.site.extension", "showcase", "editions.markdown"'
    fresh.edit("conf.py", '"bookbuild.site.extension"', more)

    def rendered(outputs, code="pass", tag="show-input"):
        fresh.add_page("start/play", code, options=f":tags: [{tag}]\n\n")
        others = {"beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]]}
        made = sphinx.render(sphinx.executed(fresh.root, {"start/play": [outputs], **others}))
        assert (made.status, made.output) == (0, "")
        return made

    return rendered


@pytest.fixture
def built(render):
    """The fixture book, in which a page has a figure to play with."""
    return render(SOME)


def seen(built) -> list[str]:
    """What the page shows at once, in order: pictures by their heights, sentences, and what is printed."""
    page = re.sub(r"<template.*?</template>", "@@", built.page("start/play"), flags=re.S)
    found = re.findall(r'<img [^>]*height="(\d+)"|playable-says">(.*?)<|(@@)|(printed)', page)
    return ["".join(one) for one in found]


def test_the_start_is_shown_and_the_others_wait_in_order(built):
    page = built.page("start/play")
    before, _, rest = page.partition("<template")
    waiting = rest.partition("</template>")[0]
    figure = before[before.index('class="playable') :]
    heights = [re.findall(r'<img [^>]*height="(\d+)"', part) for part in (figure, waiting)]
    assert heights == [["135"], ["133", "136"]], "in pixels, of 101, 100 and 102 points"
    assert '<p class="playable-says">A &lt;little&gt;.</p>' in figure
    about = json.loads(html.unescape(re.search(r'data-playable="([^"]*)"', page)[1]))
    assert about["says"] == ["None.", "A <little>.", "Much."] and about["start"] == 1
    assert about["controls"] == [["ε", ["0", '0.1 "a" <b>', "1"]]]


def test_every_picture_is_a_file_that_loads_when_it_is_reached(built):
    pictures = re.findall(r'<img [^>]*src="\.\./(_images/[^"]*)"', built.page("start/play"))
    texts = [(built.site / at).read_text() for at in pictures]
    assert [re.search("<text>(.*)</text>", text)[1] for text in texts] == ["101", "100", "102"]
    assert built.page("start/play").count('loading="lazy"') == 3


def test_the_markdown_has_the_start_and_its_sentence_alone(built):
    text = (built.site / "start/play.html.md").read_text()
    assert text.count("![") == 1 and "A \\<little>." in text
    assert "None." not in text and "Much." not in text and "template" not in text


def test_the_notebook_to_take_away_shows_every_picture(built):
    notebook = nbformat.read(built.site / "_notebooks/start/play.ipynb", 4)
    nbformat.validate(notebook)
    shown = [o.data["image/svg+xml"] for cell in notebook.cells for o in cell.get("outputs", ())]
    assert [re.search("<text>(.*)</text>", text)[1] for text in shown] == ["100", "101", "102"]


ANOTHER = nbformat.v4.new_output("display_data", {"image/svg+xml": SVG.format(200), "text/plain": "Figure"})
PRINTED = nbformat.v4.new_output("stream", text="printed")
SKETCH = [output(5, "Draw.", False), output(6, "Seen.", True)]
for one in SKETCH:
    del one.metadata[RECORD]["controls"]
FIGURE, SECOND = ["135", "A &lt;little&gt;.", "@@"], ["141", "Seen.", "@@"]


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ([PRINTED, *SOME], ["printed", *FIGURE]),
        ([*SOME[:2], PRINTED, SOME[2]], [*FIGURE, "printed"]),
        ([*SOME, *SKETCH], [*FIGURE, *SECOND]),
        ([ANOTHER, *SKETCH, *SOME, ANOTHER], ["267", *SECOND, *FIGURE, "267"]),
        (SOME[:1], ["133"]),  # its code broke off, of which the page tells
        ([*SKETCH, *SOME[:2]], [*SECOND, "133", "135"]),
    ],
)
def test_a_cell_shows_each_figure_in_its_place_and_what_else_came_out(render, outputs, expected):
    assert seen(render(outputs)) == expected


@pytest.mark.parametrize(
    ("tag", "expected"), [("hide-cell", FIGURE), ("remove-input", FIGURE), ("remove-output", [])]
)
def test_a_cell_may_be_folded_or_show_a_part(render, tag, expected):
    assert seen(render(SOME, tag=tag)) == expected


def test_a_cell_may_make_claims_beside_its_figure(render, sphinx):
    claim = sphinx.claimed("it-is", 7.0)
    made = render([*SOME, claim], code="playable.show(draw, {})\nclaim('it is', 7)", tag="thin")
    assert seen(made) == FIGURE and '<details class="evidence">' in made.page("start/play")
