"""An equation and the line that implements it cannot lose each other."""

import pytest

from bookbuild.site import equations
from bookbuild.engine.project import Project


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


@pytest.mark.slow
def test_equation_and_snippet_lead_to_each_other_and_a_lost_one_is_red(book):
    book.edit("code/tiny/direct.py", "+ 1", "+ 1  # (eq-sum)")
    book.edit("book/gamma.md", "# Page gamma\n", f"# Page gamma\n{EQUATION}")
    built = book.build()
    assert built.status == 0, built.output
    assert 'href="alpha.html#code-tiny-direct-shown"' in book.page("gamma")
    assert '<a class="to-equation" href="gamma.html#equation-eq-sum">eq-sum</a>' in book.page("alpha")
    book.edit("code/tiny/direct.py", "(eq-sum)", "(eq-som)")
    for _ in range(2):
        red = book.build()
        assert red.status == 1
        assert "code/tiny/direct.py:7: WARNING: no page has an equation eq-som" in red.output
        assert "book/gamma.md:1: WARNING: equation eq-sum: no line of code implements it" in red.output


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
