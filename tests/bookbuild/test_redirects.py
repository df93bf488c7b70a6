"""Old addresses lead on, and a line that cannot be followed is told."""

import io

import pytest
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace


@pytest.fixture
def build(tmp_path):
    """Builds a book of the pages ``index`` and ``part/page`` with these redirects: its site, its warnings."""

    def run(redirects: str):
        book, site, warnings = tmp_path / "book", tmp_path / "site", io.StringIO()
        (book / "part").mkdir(parents=True)
        (book / "conf.py").touch()
        (book / "index.rst").write_text("Book\n====\n\n.. toctree::\n\n   part/page\n")
        (book / "part/page.rst").write_text("Page\n====\n")
        (book / "redirects.txt").write_text(redirects)
        places = [str(folder) for folder in (book, book, site, tmp_path / "trees")]
        with docutils_namespace():
            extensions = {"extensions": ["bookbuild.site.redirects"]}
            app = Sphinx(*places, "html", extensions, status=None, warning=warnings, warningiserror=True)
            app.build()
        return site, warnings.getvalue(), app.statuscode

    return run


def test_an_old_name_becomes_a_page_that_leads_to_the_new_one_from_where_it_stands(build):
    site, warnings, status = build("# a comment\n\nold/deep/name  part/page#place\nname index\n")
    assert (warnings, status) == ("", 0)
    deep = (site / "old/deep/name.html").read_text()
    assert 'href="../../part/page.html#place"' in deep
    assert 'url=../../part/page.html#place"' in deep
    assert 'location.replace("../../part/page.html"' in deep
    assert 'href="index.html"' in (site / "name.html").read_text()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("old part/gone", "there is no page part/gone"),
        ("part/page index", "part/page is a page"),
        ("old index\nold part/page", "old stands here twice"),
        ("old", "should be two page names"),
        ("../old index", "should be two page names"),
        ("old https://example.org", "should be two page names"),
    ],
)
def test_a_line_that_cannot_be_followed_fails_the_build(build, line, why):
    site, warnings, status = build(line)
    assert status != 0
    assert why in warnings
    assert f"redirects.txt:{len(line.splitlines())}" in warnings
    assert "Page" in (site / "part/page.html").read_text()
