"""An equation and the line that implements it cannot lose each other."""

import re

import pytest
from sphinx.highlighting import PygmentsBridge

from bookbuild.engine.project import Project
from bookbuild.site import equations
from bookbuild.site.markup import LinkingFormatter


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("x = y  # (eq-one)", ["eq-one"]),
        ("x = y  # (eq-one) (eq-two-b)", ["eq-one", "eq-two-b"]),
        ("x = y  # see (eq-one) for why", []),
        ("x = '(eq-one)'", []),
        ("x = y", []),
    ],
)
def test_labels_are_named_at_the_end_of_a_line(line, found):
    assert equations.labels(line) == found


@pytest.fixture
def project(fresh) -> Project:
    fresh.edit("code/tiny/direct.py", "+ 1", "+ 1  # (eq-sum)")
    return Project.at(fresh.root)


def test_all_is_well_when_each_has_the_other(project):
    shown = {"eq-sum": [("alpha", "code-shown")]}
    assert equations.problems(project, {"eq-sum": "alpha", "th-lemma": "alpha"}, shown) == []


def test_what_is_amiss_is_said_where_it_is(project):
    (one,) = equations.problems(project, {}, {})
    assert (one[1], one[2]) == (project.code / "tiny/direct.py", 7)
    (two,) = equations.problems(project, {"eq-sum": "alpha"}, {})
    assert "no snippet of any page" in two[0] and two[1] == "alpha"
    shown = {"eq-sum": [("alpha", "code-shown")]}
    (three,) = equations.problems(project, {"eq-sum": "alpha", "eq-lost": "beta"}, shown)
    assert "no line of code implements it" in three[0] and three[1] == "beta"


EQUATION = """
$$
n = b + 1
$$ (eq-sum)

"""


@pytest.fixture
def paired(fresh, sphinx):
    """The fixture book with an equation on page gamma and its code on page alpha, and what renders it."""
    fresh.edit("code/tiny/direct.py", "+ 1", "+ 1  # (eq-sum)")
    fresh.edit("book/gamma.md", "# Page gamma\n", f"# Page gamma\n{EQUATION}")
    outputs = {"beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]]}
    return fresh, lambda **how: sphinx.render(sphinx.executed(fresh.root, outputs), **how)


@pytest.mark.parametrize("parallel", [1, 3])
def test_equation_and_snippet_lead_to_each_other_and_a_lost_one_is_red(paired, parallel):
    book, render = paired
    built = render(parallel=parallel)
    assert built.status == 0, built.output
    number = re.search(r'<span class="eqno">\(1\).*?</span>', built.page("gamma"))[0]
    assert '<a class="to-code" href="alpha.html#code-tiny-direct-shown" title=' in number
    assert '<a class="to-equation" href="gamma.html#equation-eq-sum">eq-sum</a>' in built.page("alpha")
    book.edit("code/tiny/direct.py", "(eq-sum)", "(eq-som)")
    for _ in range(2):
        red = render(parallel=parallel)
        assert red.status == 1
        assert "code/tiny/direct.py:7: WARNING: no page has an equation eq-som" in red.output
        assert "book/gamma.md:1: WARNING: equation eq-sum: no line of code implements it" in red.output
        assert 'id="build-failed"' in red.page("gamma") and "to-code" not in red.page("gamma")
        assert "to-equation" not in red.page("alpha")


def test_a_page_links_to_its_own_code_first(paired):
    book, render = paired
    book.edit("book/gamma.md", EQUATION, EQUATION + "```{snippet} tiny.direct.shown\n:region: sum\n```\n")
    page = render().page("gamma")
    assert '<a class="to-code" href="#code-tiny-direct-shown-sum"' in page
    assert '<a class="to-equation" href="#equation-eq-sum">eq-sum</a>' in page


def test_one_page_alone_follows_what_changed_on_it(paired):
    book, render = paired
    assert render().status == 0
    book.edit("book/alpha.md", "```{snippet} tiny.direct.shown\n```", "")
    red = render(fresh=False)
    assert "equation eq-sum: no snippet of any page shows the line" in red.output
    assert 'id="build-failed"' in red.page("gamma")  # which was not edited
    book.edit("book/alpha.md", "# Page alpha\n", "# Page alpha\n\n```{snippet} tiny.direct.shown\n```\n")
    green = render(fresh=False)
    assert (green.status, green.output) == (0, "")
    assert "to-code" in green.page("gamma") and "build-failed" not in green.page("gamma")


@pytest.mark.parametrize(
    ("code", "linked"),
    [
        ("x = 1  # (eq-sum)", 1),
        ("x = 1  # see <(eq-sum)> & (eq-sum)", 2),
        ("x = '# (eq-sum)'", 0),
        ("x = 1  # (eq-none) (eq-sumo)", 0),
    ],
)
def test_comments_and_nothing_else_become_links(code, linked):
    bridge = PygmentsBridge("html")
    plain = bridge.highlight_block(code, "python")
    bridge.formatter = LinkingFormatter
    shown = bridge.highlight_block(code, "python", links={"eq-sum": "a.html#equation-eq-sum"})
    link = '<a class="to-equation" href="a.html#equation-eq-sum">eq-sum</a>'
    assert shown.count(link) == linked and shown.replace(link, "eq-sum") == plain


def test_labels_are_found_in_code_that_python_can_read(fresh):
    project, line = Project.at(fresh.root), "x = 'é'  # (eq-sum)\n"
    for name, body in {
        "marked": b"\xef\xbb\xbf" + line.encode(),
        "latin": b"# coding: latin-1\n" + line.encode("latin-1"),
        "windows": b"y = '\x0c'\r\n" + line.encode(),
        "broken": b"# coding: none\n" + line.encode(),
    }.items():
        (project.code / f"tiny/{name}.py").write_bytes(body)
    found = equations.named_in_code(project)["eq-sum"]
    assert {(f.stem, line) for f, line in found} >= {("marked", 1), ("latin", 2), ("windows", 2)}
    assert "broken" not in {f.stem for f, _ in found}
