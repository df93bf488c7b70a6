"""Histories of the site: after edits of prose Sphinx keeps what it knows; the site is as one from nothing."""

import os
import shutil

import nbformat
import pytest
from sphinx.builders import Builder

from bookbuild import build
from bookbuild.engine.project import Project

CLAIM = "seven-is-at-least-five"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGD4DwABBAEAgLvRWwAAAABJRU5ErkJggg=="


@pytest.fixture
def site(fresh, sphinx, monkeypatch):
    """The fixture book, built as `make html` does, but nothing is executed; ``read``: what Sphinx read."""
    real = Builder.read
    picture = nbformat.v4.new_output("display_data", {"image/png": PIXEL, "text/plain": "a picture"})
    fresh.outputs = {"beta": [[], [sphinx.claimed(CLAIM, 7.0)]], "gamma": [[picture]]}
    fresh.facts = {"problems": []}
    fresh.edit("book/report.md", "# Report", "# Report\n\n```{download-module} tiny.direct\n```\n")

    def noting(builder):
        fresh.read = real(builder)
        return fresh.read

    monkeypatch.setattr(Builder, "read", noting)
    monkeypatch.setattr(
        build, "bring_up_to_date", lambda project: sphinx.executed(fresh.root, fresh.outputs, **fresh.facts)
    )
    fresh.html = lambda: build.html(Project.at(fresh.root))
    assert fresh.html() == 0
    assert fresh.read == ["alpha", "beta", "gamma", "index", "report"]
    return fresh


def files(book) -> dict[str, bytes]:
    """The site without what tells when it was made."""
    site = book.root / "_build/html"
    found = {f.relative_to(site).as_posix(): f.read_bytes() for f in site.rglob("*") if f.is_file()}
    return {name: text for name, text in found.items() if not name.endswith((".pickle", "searchindex.js"))}


def test_prose_alone_is_read_anew_and_the_site_is_as_if_made_from_nothing(site):
    assert any(name.startswith("_images/") for name in files(site))
    assert "_downloads/direct.py" in files(site)
    site.write("_build/next/stray.html", "of a build that was interrupted")
    site.edit("book/alpha.md", "# Page alpha", "# Page alpha, once more\n\nA new sentence.")
    assert site.html() == 0
    assert site.read == ["alpha", "report"]  # the report tells of the run of every page
    assert "A new sentence." in site.page("alpha") and "Page alpha, once more" in site.page("index")
    kept = files(site)
    shutil.rmtree(site.root / "_build/doctrees")
    shutil.rmtree(site.root / "_build/html")
    assert site.html() == 0
    assert len(site.read) == 5 and files(site) == kept


def test_a_text_is_what_counts_and_not_when_its_file_was_changed(site):
    file = site.root / "book/index.md"
    then = os.stat(file)
    site.edit("book/index.md", "# ", "# Another ")
    os.utime(file, ns=(then.st_atime_ns, then.st_mtime_ns - 10**12))
    assert site.html() == 0
    assert site.read == ["index", "report"] and "Another" in site.page("index")


@pytest.mark.parametrize("file", ["code/tiny/other.py", "conf.py", "book/data.txt", "requirements.txt"])
def test_any_other_change_is_one_of_everything(site, file):
    site.write(file, (site.root / file).read_text() + "\n")
    site.edit("book/alpha.md", "# Page alpha", "# Page omega")
    assert site.html() == 0
    assert len(site.read) == 5


def test_pages_that_come_and_go(site):
    site.write("book/delta.md", "# Page delta\n")
    site.edit("book/index.md", "report\n", "report\ndelta\n")
    assert site.html() == 0
    assert "Page delta" in site.page("delta") and "Page delta" in site.page("report")
    (site.root / "book/delta.md").unlink()
    site.edit("book/index.md", "delta\n", "")
    assert site.html() == 0
    assert not (site.root / "_build/html/delta.html").exists() and "Page delta" not in site.page("report")


def test_the_order_of_pages_shows_on_pages_that_were_not_edited(site):
    site.edit("book/index.md", "alpha\nbeta\n", "beta\nalpha\n")
    assert site.html() == 0
    assert site.read == ["index", "report"]
    assert '<link rel="prev" title="Page beta" href="beta.html"' in site.page("alpha")


@pytest.mark.parametrize("how", ["a cell", "a link", "a role"])
def test_a_failure_beside_an_edit_stays_one_until_it_is_mended(site, how):
    wrong = {"a cell": "", "a link": "{doc}`nowhere`", "a role": "{claim}`nowhere`"}[how]
    if how == "a cell":
        site.facts["problems"] = [("cell 1: no", "gamma", 3)]
    site.edit("book/gamma.md", "# Page gamma", f"# Page gamma\n\nMore {wrong}.")
    for number in range(3):
        assert site.html() == 1
        assert ('id="build-failed"' in site.page("gamma")) == (how != "a link")
        site.edit("book/alpha.md", "# Page alpha", f"# Page alpha\n\n{number} more.")
    site.facts["problems"] = []
    site.edit("book/gamma.md", f"More {wrong}.", "")
    assert site.html() == 0
    assert "build-failed" not in site.page("gamma")


def test_a_test_that_fails_now_takes_its_snippet_with_it(site, sphinx, monkeypatch):
    from .conftest import TESTS

    monkeypatch.setattr(TESTS, "failed", {"tests/test_direct.py": "no"})
    monkeypatch.setattr(TESTS, "entering", lambda *asked: [])
    site.edit("book/beta.md", "# Page beta", "# Page beta\n\nMore.")
    assert site.html() == 1
    assert 'id="build-failed"' in site.page("alpha")


def test_a_claim_that_is_measured_anew_shows_where_it_is_quoted(site, sphinx):
    site.edit("book/alpha.md", "# Page alpha", f"# Page alpha\n\n{{claim}}`beta#{CLAIM}`")
    assert site.html() == 0 and f'#claim-{CLAIM}">7</a>' in site.page("alpha")
    site.edit("book/beta.md", "# Page beta", "# Page beta\n\nMeasured anew.")
    site.outputs["beta"] = [[], [sphinx.claimed(CLAIM, 8.0)]]
    assert site.html() == 0 and f'#claim-{CLAIM}">8</a>' in site.page("alpha")
    assert site.read == ["alpha", "beta", "report"]
    site.edit("book/beta.md", "Measured anew.", "Not measured.")
    site.outputs["beta"] = [[], []]
    assert site.html() == 1 and "(not measured)" in site.page("alpha")


def test_a_claim_of_a_page_that_goes_is_missed_where_it_was_quoted(site):
    site.edit("book/alpha.md", "# Page alpha", f"# Page alpha\n\n{{claim}}`beta#{CLAIM}`")
    assert site.html() == 0
    (site.root / "book/beta.md").unlink()
    site.edit("book/index.md", "beta\n", "")
    assert site.html() == 1 and "(not measured)" in site.page("alpha")
