"""What a page tells of itself: in its head, below it, and in the files that tell of the whole book."""

import re
from html import unescape
from types import SimpleNamespace

import pytest
from PIL import Image

from showcase import cards

FIRST = """# An odd & "quoted" title

**You need** patience.

- A list is no prose.

$x$ is a formula. Here *is* what the page is <about>, with {math}`x` in it. This is what
it has of {doc}`/gamma`. A pole &
a cart! And a third sentence that would make the whole of it far too long to be a good description of
anything, however one looks at it, and of whatever it is that is described, so that it stays out of what
is told.
"""
TOLD = "A pole & a cart!"


def told(page: str) -> dict[str, str]:
    """The contents of a page's meta elements, by name."""
    found = re.findall(r'<meta (?:name|property)="([\w:]+)" content="(.*?)" />', page)
    return {name: unescape(content) for name, content in found}


@pytest.fixture
def site(fresh, sphinx, tmp_path):
    """The fixture book with a chapter of this text."""

    def render(text: str = FIRST, page: str = "foundations/first", **settings):
        fresh.edit("conf.py", '"bookbuild.site.extension"', '"bookbuild.site.extension", "showcase"')
        fresh.write("book/foundations/first.md", text)
        fresh.edit("book/index.md", "report\n", "report\nfoundations/first\n")
        outputs = {"beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]]}
        made = sphinx.render(sphinx.executed(fresh.root, outputs), **settings)
        assert (made.status, made.output) == (0, "")
        return made

    return render


def test_a_page_describes_itself_by_the_first_sentence_that_can_be_told(site):
    made = site(html_baseurl="")
    head = told(made.page("foundations/first"))
    assert head["description"] == head["og:description"] == TOLD
    assert head["og:title"] == "An odd & “quoted” title" and head["og:site_name"] == "A small book"
    assert (head["og:type"], told(made.page("index"))["og:type"]) == ("article", "website")
    assert "og:image" not in head and "canonical" not in made.page("foundations/first")
    assert not (made.site / "sitemap.xml").exists()
    assert told(made.page("gamma"))["description"] == "A page of A small book."
    assert "description" not in told(made.page("genindex")), "what Sphinx makes describes nothing"


def test_where_the_address_is_known_pages_name_theirs(site):
    base = "https://example.org/a/"
    made = site(html_baseurl=base)
    page = made.page("foundations/first")
    assert f'<link rel="canonical" href="{base}foundations/first.html" />' in page
    assert told(page)["og:url"] == f"{base}foundations/first.html"
    assert told(page)["og:image"] == f"{base}_static/card.png"
    assert Image.open(made.site / "_static/card.png").size == (1200, 630)
    places = re.findall("<loc>(.*?)</loc>", (made.site / "sitemap.xml").read_text())
    names = ["alpha", "beta", "foundations/first", "gamma", "index", "report"]
    assert places == [f"{base}{name}.html" for name in names]
    assert f"]({base}foundations/first.html): {TOLD}" in (made.site / "llms.txt").read_text()


def test_the_list_for_language_models_has_every_page_in_its_order(site):
    made = site(html_baseurl="")
    lines = (made.site / "llms.txt").read_text().splitlines()
    assert lines[0] == "# A small book" and lines[2].startswith("> ")
    links = [re.match(r"- \[(.*)\]\((.*)\)", line).groups() for line in lines if line.startswith("- ")]
    assert [at for _, at in links] == [
        f"{n}.html" for n in ("alpha", "beta", "gamma", "report", "foundations/first")
    ]
    assert links[-1][0] == "An odd & “quoted” title" and "## Foundations" in lines


def test_a_chapter_can_be_cited():
    facts = {"project": "A small book", "author": "We", "copyright": "2026, We", "release": "1.0"}
    app = SimpleNamespace(config=SimpleNamespace(**facts, html_baseurl="https://example.org/"))
    assert cards.bibtex(app, "foundations/a_b", "100 % of it: A_B", "abc") == (
        "@incollection{a-small-book-foundations-a_b,\n"
        "  title     = {{100 \\% of it: A\\_B}},\n"
        "  author    = {{We}},\n"
        "  booktitle = {{A small book}},\n"
        "  year      = {2026},\n"
        "  url       = {https://example.org/foundations/a_b.html},\n"
        "  note      = {Version 1.0, commit abc},\n"
        "}"
    )
    app.config.html_baseurl = None
    assert "url" not in cards.bibtex(app, "a", "A", "") and "commit" not in cards.bibtex(app, "a", "A", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A. B. c", "A. B. c"),
        (f"{'word ' * 25}end. Next.", f"{'word ' * 25}end."),
        ("long " * 60, f"{'long ' * 43}long …"),
        ("See {term}`gain` now.", "See gain now."),
        ("As in [this](https://example.org), `code` too.", "As in this, code too."),
    ],
)
def test_descriptions_are_of_a_good_length(text, expected):
    from docutils.core import publish_doctree
    from myst_parser.parsers.docutils_ import Parser

    doctree = publish_doctree(text.replace("{term}`gain`", "gain"), parser=Parser())
    assert cards.description(doctree) == expected
