"""Old addresses lead on, and one that leads nowhere turns the build red."""

import runpy
import shutil
from pathlib import Path

import pytest

from bookbuild import build
from bookbuild.engine.project import BookError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def render(fresh, sphinx):
    """Renders the fixture book with these redirects, set up as in the real book: its warnings."""
    shutil.copytree(ROOT / "book/_templates", fresh.root / "book/_templates")
    settings = runpy.run_path(str(ROOT / "conf.py"))
    assert "sphinxext.rediraffe" in settings["extensions"]
    known = {name: value for name, value in settings.items() if name.startswith("rediraffe_")}
    extensions = ["myst_nb", "bookbuild.site.extension", "sphinxext.rediraffe"]
    outputs = {"beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]]}

    def run(redirects: str, **how) -> list[str]:
        fresh.write("book/redirects.txt", redirects)
        book = sphinx.executed(fresh.root, outputs)
        return build.render(book, fresh.root / "site", extensions=extensions, **known, **how)

    run.root = fresh.root / "site"
    return run


def test_an_old_name_becomes_a_page_that_leads_to_the_new_one_from_where_it_stands(render):
    assert render("# a comment\n\nold/deep/name  alpha\nname index\n") == []
    deep = (render.root / "old/deep/name.html").read_text()
    assert '<a href="../../alpha.html">' in deep and 'content="0; url=../../alpha.html"' in deep
    assert 'location.replace("../../alpha.html" + location.search + location.hash)' in deep
    assert '<a href="index.html">' in (render.root / "name.html").read_text()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("old part/gone", "redirects to part/gone.html but"),
        ("alpha index", "alpha.html already exists"),
        ("old https://example.org", "does not exist"),
    ],
)
def test_a_line_that_cannot_be_followed_fails_the_build(render, line, why):
    assert why in "".join(render(line))
    assert "Page" in (render.root / "alpha.html").read_text()


@pytest.mark.parametrize(
    ("lines", "why"),
    [("old", "line 1 of the redirects is invalid"), ("old index\nold alpha", "old is redirected multiple")],
)
def test_lines_that_cannot_be_read_end_the_build(render, lines, why):
    with pytest.raises(BookError, match=why):
        render(lines)
