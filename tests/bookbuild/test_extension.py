"""What the reader of a built page sees of claims, failures and reports."""

import pickle
import re
from html import unescape

import nbformat
import pytest
from sphinx.errors import ExtensionError


def text(page: str) -> str:
    """What a page says, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def rows(page: str) -> list[list[str]]:
    """The cells of all tables of a page."""
    lines = re.findall(r"<tr.*?</tr>", page, re.S)
    return [[text(cell) for cell in re.findall(r"<t[dh].*?</t[dh]>", line, re.S)] for line in lines]


@pytest.mark.slow
def test_a_green_page_shows_its_claim_its_value_and_its_snippet(built_once):
    site = built_once / "_build/html"
    beta, alpha, report = ((site / f"{name}.html").read_text() for name in ("beta", "alpha", "report"))
    assert beta.count('id="claim-seven-is-at-least-five"') == 1
    assert "claim holds seven is at least five: 7 (at least 5; exact)" in text(beta)
    assert 'measured <a class="reference internal" href="#claim-seven-is-at-least-five">7</a>.' in beta
    assert 'id="code-tiny-direct-shown"' in alpha
    assert "code/tiny/direct.py · tested by test_shown" in text(alpha)
    source = re.sub("<[^>]+>", "", alpha)
    assert "# region" not in source and "total = base.number() + 1" in source
    assert 'href="beta.html#claim-seven-is-at-least-five"' in report  # the report leads to the place
    row = ["seven is at least five", "holds", "7", "at least 5", "exact", "–", "–", "–", "–", "–"]
    assert row in rows(report)
    ran = {row[0]: row for row in rows(report) if row[-1:] == ["ran"]}
    assert set(ran) == {"Page alpha", "Page beta", "Page gamma"}
    assert all(row[3] == "20 s" and row[4].endswith(" MiB") for row in ran.values())
    assert ["commit", "not under version control"] in rows(report)
    assert "build-failed" not in alpha + beta + report


@pytest.mark.slow
def test_a_red_build_marks_its_pages_and_says_what_was_not_measured(book):
    failing = 'from rlworkshop.verify import claim\nclaim("one < two & more", 2, at_most=1, name="bad")'
    book.add_page("foundations/bad", failing, 'claim("after", 3, at_least=1)')
    book.edit("book/gamma.md", "# Page gamma", "# Page gamma\n\nSee {claim}`no-such`.")
    book.edit("book/alpha.md", "# Page alpha", "# Page alpha\n\n{claim}`foundations/bad#after`")
    book.edit("book/report.md", "# Report", "# Report\n\n```{verification} nonsense\n```")
    built = book.build()
    assert built.status == 1
    assert "claim role: no claim is named 'no-such'" in built.output
    assert "verification shows one of: claims, pages" in built.output
    bad, gamma, alpha, report = (book.page(name) for name in ("foundations/bad", "gamma", "alpha", "report"))
    assert "This page failed in this build: do not rely on it" in bad
    assert "cell 1: ClaimFailed: claim FAILS: one &lt; two &amp; more: 2 (at most 1; exact)" in bad
    assert bad.index("build-failed") < bad.index("<h1")
    assert "build-failed" in gamma and "See (not measured)" in text(gamma)
    assert '<a class="reference internal" href="foundations/bad.html#claim-after">3</a>' in alpha
    assert "build-failed" not in alpha
    assert ["one < two & more", "fails", "2", "at most 1", "exact", "–", "–", "–", "–", "–"] in rows(report)
    assert [row[-1] for row in rows(report) if row[:1] == ["Page foundations/bad"]] == ["failed"]


def test_a_book_that_was_not_executed_is_refused(fresh, sphinx):
    book = sphinx.executed(fresh.root, {})
    with pytest.raises(ExtensionError, match="with `make html`: its pages are executed before Sphinx"):
        sphinx.render(book, book=None)


def test_what_sphinx_keeps_does_not_hold_the_book(fresh, sphinx):
    assert pickle.loads(pickle.dumps(sphinx.executed(fresh.root, {}))) is None


@pytest.fixture
def outputs(sphinx) -> dict:
    return {"beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]]}


def test_the_mark_of_a_failure_escapes_what_the_error_says(fresh, sphinx, outputs):
    problems = [("NameError: <b>x</b>", "alpha", 12), ("as a whole", "index", 1)]
    red = sphinx.render(sphinx.executed(fresh.root, outputs, problems=problems))
    assert red.status == 1
    assert "book/alpha.md:12: WARNING: NameError: <b>x</b>" in red.output
    page = red.page("alpha")
    assert "NameError: &lt;b&gt;x&lt;/b&gt;" in page
    assert page.index('id="build-failed"') < page.index("<h1")
    assert 'id="build-failed"' in red.page("index") and "build-failed" not in red.page("beta")


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_failure_is_told_and_marked_until_it_is_mended(fresh, sphinx, outputs, parallel):
    book = sphinx.executed(fresh.root, outputs)
    assert sphinx.render(book).status == 0
    book.problems = [("cell 1: ValueError: no", "alpha", 12)]
    for _ in range(2):
        red = sphinx.render(book, fresh=False, parallel=parallel)
        assert red.status == 1 and "book/alpha.md:12: WARNING: cell 1: ValueError: no" in red.output
        assert 'id="build-failed"' in red.page("alpha")
    book.problems = []
    green = sphinx.render(book, fresh=False, parallel=parallel)
    assert (green.status, green.output) == (0, "")
    assert "build-failed" not in green.page("alpha")


def test_a_page_that_ran_again_is_shown_again(fresh, sphinx, outputs):
    assert sphinx.render(sphinx.executed(fresh.root, outputs)).status == 0
    outputs["beta"][1][0] = sphinx.claimed("seven-is-at-least-five", 8.0)
    outputs["gamma"] = [[nbformat.v4.new_output("stream", name="stdout", text="anew")]]
    again = sphinx.render(sphinx.executed(fresh.root, outputs), fresh=False)
    assert again.status == 0, again.output
    assert "anew" in again.page("gamma") and 'seven-is-at-least-five">8</a>' in again.page("beta")
    assert "8" in [row[2] for row in rows(again.page("report")) if row[:1] == ["it is so"]]


@pytest.mark.parametrize("page", ["alpha", "start/alpha"])
def test_a_page_is_read_from_where_it_was_executed_and_no_other(fresh, sphinx, outputs, page):
    fresh.write("book/start/alpha.md", "# No code here\n")
    fresh.edit("book/index.md", "report\n", "report\nstart/alpha\n")
    built = sphinx.render(sphinx.executed(fresh.root, outputs))
    assert built.status == 0, built.output
    assert ("alpha says" in text(built.page(page))) == (page == "alpha")


def test_many_processes_make_the_same_site_as_one(fresh, sphinx, outputs):
    book = sphinx.executed(fresh.root, outputs, problems=[("no", "gamma", 1)])
    one, sites = book.project.root / "_build/html", []
    for parallel in (1, 3):
        built = sphinx.render(book, parallel=parallel)
        sites.append(
            {f.name: f.read_bytes() for f in one.rglob("*") if f.suffix in (".html", ".js", ".ipynb")}
        )
        assert built.output.strip() == "book/gamma.md:1: WARNING: no [book]"
    assert sites[0] == sites[1]
