"""Formulas are set while the book is rendered, once each, for the eye and for a screen reader."""

import re
from pathlib import Path

import pytest
from docutils import nodes

from bookbuild.site import typeset
from bookbuild.site.typeset import FormulaError, Typesetter, formula

ROOT = Path(__file__).parents[2]


def display(text: str, **how: object) -> nodes.math_block:
    return nodes.math_block(text, text, **how)


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (nodes.math("", " x^2 "), "x^2"),
        (display("a &= b"), "a &= b"),
        (display(r"a &= b \\ &= c"), r"\begin{aligned}a &= b \\ &= c\end{aligned}"),
        (display("a\n\nb"), r"\begin{gathered}a\\b\end{gathered}"),
        (display(r"\begin{cases} 1 \\ 0 \end{cases}"), r"\begin{cases} 1 \\ 0 \end{cases}"),
        (
            display(r"\begin{cases} \begin{matrix} 1 \\ 2 \end{matrix} \\ 0 \end{cases}"),
            r"\begin{cases} \begin{matrix} 1 \\ 2 \end{matrix} \\ 0 \end{cases}",
        ),
        (
            display(r"\begin{align} a \\ b \end{align}", nowrap=True),
            r"\begin{align*} a \\ b \end{align*}",
        ),
    ],
)
def test_several_lines_are_aligned_and_none_numbers_itself(node, text):
    assert formula(node) == (text, isinstance(node, nodes.math_block))


def test_a_formula_is_set_once(monkeypatch):
    setter = Typesetter()
    made = setter("x^2", False)
    assert "<msup><mi>x</mi><mn>2</mn></msup>" in made, "for a screen reader"
    assert 'class="katex-html" aria-hidden="true"' in made, "for the eye"
    assert "katex-display" in setter("x^2", True) and "katex-display" not in made
    setter.let_go()
    monkeypatch.setattr(Typesetter, "_engine", property(lambda self: pytest.fail("it is set again")))
    assert setter("x^2", False) == made
    with pytest.raises(pytest.fail.Exception, match="set again"):
        setter("x^3", False)


def test_the_typesetter_of_a_process_goes_on_from_build_to_build():
    assert typeset.the_typesetter() is typeset.the_typesetter()


@pytest.mark.parametrize("text", [r"\frac{1}{", r"\nocommand", "x^2^3", "$"])
def test_what_is_no_formula_is_said(text):
    with pytest.raises(FormulaError):
        Typesetter()(text, False)


def test_its_style_is_that_of_the_same_release():
    version = re.search(r'version:"([\d.]+)"', typeset.KATEX.read_text(encoding="utf-8"))[1]
    style = (ROOT / "book/_static/katex/katex.css").read_text(encoding="utf-8")
    assert f'content:"{version}"' in style
    fonts = re.findall(r"url\((.*?)\)", style)
    assert all((ROOT / "book/_static/katex" / font).is_file() for font in fonts) and len(fonts) > 9


@pytest.fixture
def rendered(fresh, sphinx):
    """What renders the fixture book with a page of this text."""

    def render(text: str, **how: object):
        fresh.edit("book/gamma.md", "# Page gamma\n", f"# Page gamma\n\n{text}\n")
        outputs = {"beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]]}
        return sphinx.render(sphinx.executed(fresh.root, outputs), **how)

    return render


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_page_needs_no_script_for_its_formulas(rendered, parallel):
    built = rendered(
        "It is $x<1$, or $\\ge 2$-fold.\n\n$$\ny = 1\n$$ (th-one)\n\n{eq}`th-one`", parallel=parallel
    )
    assert built.status == 0, built.output
    page = built.page("gamma")
    assert "MathJax" not in page and "tex-chtml" not in page and page.count("<math ") == 3
    assert "</span>,</span>" in page and "</span>-fold</span>" in page, "which stay on its line"
    assert 'href="_static/katex/katex.css' in page and page.count('rel="preload" as="font"') == 2
    number = (
        r'<div class="math" id="equation-th-one">\n?<div class="formula">.*</div><span class="eqno">\(1\)'
    )
    assert re.search(number, page, re.S) and 'href="#equation-th-one">(1)</a>' in page
    assert "katex" not in built.page("alpha")


def test_a_bad_formula_turns_the_build_red_at_its_line(rendered):
    for _ in range(2):
        red = rendered("Good.\n\nBad: $\\nocommand$")
        assert red.status == 1
        assert re.search(r"book/gamma.md:\d+: WARNING: no formula: .*nocommand", red.output)
        assert 'id="build-failed"' in red.page("gamma") and r"<code>\nocommand</code>" in red.page("gamma")


def test_tails_are_what_must_not_begin_a_line():
    found = {
        text: m[0]
        for text in (", and", "-step", "). So", " and", "’s", "s")
        if (m := typeset.TAIL.match(text))
    }
    assert found == {", and": ",", "-step": "-step", "). So": ").", "’s": "’s"}
