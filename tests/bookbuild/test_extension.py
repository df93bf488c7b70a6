"""What the reader of a built page sees of claims, failures and reports."""

import re
import subprocess
import sys
from html import unescape
from types import SimpleNamespace

import pytest

from bookbuild.site import extension
from bookbuild.engine.project import Project


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
    row = ["seven is at least five", "holds", "7", "at least 5", "exact", "–", "–", "–"]
    assert row in rows(report)
    ran = {row[0]: row for row in rows(report) if row[-1:] == ["ran"]}
    assert set(ran) == {"Page alpha", "Page beta", "Page gamma"}
    assert all(row[2] == "20 s" and row[3].endswith(" MiB") for row in ran.values())
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
    assert ["one < two & more", "fails", "2", "at most 1", "exact", "–", "–", "–"] in rows(report)
    assert [row[-1] for row in rows(report) if row[:1] == ["Page foundations/bad"]] == ["failed"]


def test_the_mark_of_a_failure_escapes_what_the_error_says():
    app = SimpleNamespace(book=SimpleNamespace(failures={"a": ["NameError: <b>x</b>"]}))
    context = {"body": "<h1>A</h1>"}
    extension.mark_failures(app, "a", "page.html", context, None)
    assert context["body"].startswith('<div class="admonition danger" id="build-failed">')
    assert "<li>NameError: &lt;b&gt;x&lt;/b&gt;</li>" in context["body"]
    assert context["body"].endswith("<h1>A</h1>")
    context = {"body": "<h1>B</h1>"}
    extension.mark_failures(app, "b", "page.html", context, None)
    assert context == {"body": "<h1>B</h1>"}


def test_the_lock_shuts_others_out_until_its_holder_is_done(fresh):
    project = Project.at(fresh.root)
    take = (
        "import sys; from filelock import FileLock, Timeout\n"
        "try: FileLock(sys.argv[1]).acquire(timeout=0)\nexcept Timeout: print('shut out')"
    )
    command = [sys.executable, "-c", take, str(project.state / "build.lock")]
    held = extension.lock(project)
    with held:
        extension.lock(project).lock.release()  # as Sphinx does within a build
        assert subprocess.run(command, capture_output=True, text=True).stdout == "shut out\n"
    assert held and subprocess.run(command, capture_output=True, text=True).stdout == ""
