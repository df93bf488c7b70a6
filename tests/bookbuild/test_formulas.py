"""Formulas are text where text can show them, and else drawn so that they fit the line."""

import re

import pytest

from bookbuild.site.typeset import Typesetter
from editions import formulas


@pytest.fixture(scope="module")
def shown():
    setter = Typesetter()
    return lambda tex, display=False: formulas.shown(setter(tex, display), tex, display)


@pytest.mark.parametrize(
    ("tex", "html"),
    [
        (r"\gamma", "<i>γ</i>"),
        (r"\alpha = 0.4", "<i>α</i>\u00a0= 0.4"),
        ("-1 < x - 1", "−1\u00a0&lt; <i>x</i>\u00a0− 1"),
        ("r_{t+1}", "<i>r</i><sub><i>t</i>+1</sub>"),
        ("V(s, a')", "<i>V</i>(<i>s</i>, <i>a</i>′)"),
        (r"R_{\max}", "<i>R</i><sub>max</sub>"),
        (r"\lVert V \rVert", "∥<i>V</i>∥"),
        (r"P(s' \mid s)", "<i>P</i>(<i>s</i>′\u00a0∣ <i>s</i>)"),
        (r"\log p", "log\u2009<i>p</i>"),
        (r"\text{old} \cdot \Gamma", "old\u00a0⋅ Γ"),
    ],
)
def test_letters_and_indices_are_text(shown, tex, html):
    assert shown(tex) == f'<span class="math">{html}</span>'


@pytest.mark.parametrize("tex", [r"\frac{1}{2}", r"\sqrt x", r"\hat a", "x_a^b", r"\mathbb E[x]", "x_{a_b}"])
def test_what_text_cannot_show_is_drawn(shown, tex):
    pytest.importorskip("ziamath")
    svg = shown(tex)
    assert svg.startswith("<svg ") and svg.endswith("</svg>") and 'fill="black"' not in svg
    width, height = map(float, re.search(r'width="([\d.]+)em" height="([\d.]+)em"', svg).groups())
    x, y, w, h = map(float, re.search(r'viewBox="(.*?)"', svg)[1].split())
    assert width / height == pytest.approx(w / h, rel=0.05) and 0.3 < height < 3
    drop = float(re.search(r"vertical-align: ([\d.-]+)em", svg)[1])
    assert drop == pytest.approx(-(y + h) / formulas.SIZE, abs=0.02), "its line is that of the text"


def test_a_formula_of_its_own_line_is_drawn_with_its_words(shown):
    pytest.importorskip("ziamath")
    svg = shown("a < b", True)
    assert 'aria-label="a &lt; b"' in svg and "vertical-align" not in svg and "max-width: 100%" in svg


@pytest.mark.parametrize(("plain", "letter"), [("E", "𝔼"), ("R", "ℝ"), ("1", "𝟙"), ("k", "𝕜"), ("ab", "ab")])
def test_blackboard_letters(plain, letter):
    assert formulas.double_struck(plain) == letter
