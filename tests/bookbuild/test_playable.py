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
    record = {"controls": {"ε": ["0", '0.1 "a" <b>', "1"]}, "start": start, "says": says}
    bundle = {"image/svg+xml": SVG.format(100 + number), "text/plain": says}
    return nbformat.v4.new_output("display_data", bundle, metadata={RECORD: record})


@pytest.fixture
def built(fresh, sphinx):
    """The fixture book, in which a page has a figure to play with."""
    fresh.edit("conf.py", '"bookbuild.site.extension"', '"bookbuild.site.extension", "showcase"')
    fresh.add_page("start/play", "pass")
    some = [output(0, "None.", False), output(1, "A <little>.", True), output(2, "Much.", False)]
    outputs = {
        "start/play": [[some[0], some[1], some[2]]],
        "beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]],
    }
    made = sphinx.render(sphinx.executed(fresh.root, outputs))
    assert (made.status, made.output) == (0, "")
    return made


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
    assert about["controls"] == {"ε": ["0", '0.1 "a" <b>', "1"]}


def test_every_picture_is_a_file_that_loads_when_it_is_reached(built):
    pictures = re.findall(r'<img [^>]*src="\.\./(_images/[^"]*)"', built.page("start/play"))
    texts = [(built.site / at).read_text() for at in pictures]
    assert [re.search("<text>(.*)</text>", text)[1] for text in texts] == ["101", "100", "102"]
    assert built.page("start/play").count('loading="lazy"') == 3
