"""The book to take along opens everywhere: its files are listed and whole, its links lead somewhere."""

import re
import shutil
import zipfile
from pathlib import Path
from unittest import mock

import nbformat
import pytest

from bookbuild import __main__ as cli
from bookbuild import build
from bookbuild.engine.store import write_json
from editions import check, epub, xhtml

from . import conftest
from .test_playable import SKETCH

CONF = """
author = project_copyright = epub_description = epub_contributor = "We"
version = release = "1.0"
epub_identifier, epub_basename, epub_leaves_out = "urn:x:1", "small", ["report"]
"""
PAGE = """# First

A value $x_t = y^2$ of {doc}`/beta`, in {doc}`/report`: {claim}`beta#seven-is-at-least-five`.

```{predict} What comes?
It **comes**.
```

```{exercise} first-half
Halve it.
```
"""
HALF = {
    "page": "foundations/first", "title": "Halve it", "anchor": "", "right": True, "verdict": "right.",
    "stub": "def half(x): ...", "answer": "def half(x):\n    return x / 2", "before": "", "after": "",
}  # fmt: skip
CHANGED = "there is no site of the present sources to make an EPUB of: run `make html` first"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The fixture book as an EPUB."""
    fresh = conftest.SmallBook(tmp_path_factory.mktemp("epub") / "book")
    shutil.copytree(conftest.HERE / "fixture", fresh.root, ignore=shutil.ignore_patterns("__pycache__"))
    fresh.edit("conf.py", '"bookbuild.site.extension"', '"bookbuild.site.extension", "showcase", "editions"')
    (fresh.root / "conf.py").write_text((fresh.root / "conf.py").read_text() + CONF)
    fresh.write("book/foundations/first.md", PAGE)
    fresh.edit(
        "book/index.md",
        "report\n```",
        "report\n```\n\n```{toctree}\n:caption: A part\n\nfoundations/first\n```",
    )
    fresh.add_page("drawn", 'print("a" + "b")', options=":tags: [hide-input]\n\n")
    html = nbformat.v4.new_output("display_data", {"text/html": "<p>a & b<script>x < 1</script><br>c"})
    ab = nbformat.v4.new_output("stream", name="stdout", text="ab")
    says = nbformat.v4.new_output("stream", name="stdout", text="alpha says 42\n")
    outputs = {
        "drawn": [[ab]],
        "alpha": [[says, html]],
        "beta": [[], [conftest.claimed("seven-is-at-least-five", 7.0)]],
    }
    outputs["drawn"][0] += SKETCH
    book = conftest.executed(fresh.root, outputs, exercises={"first-half": HALF})
    assert build.render(book, book.project.build / "next") == []
    write_json(book.project.state / "site.json", {"fingerprint": book.project.fingerprint()})
    with mock.patch.object(epub, "bring_up_to_date", lambda project: book):
        assert epub.build(book.project) == 0
    assert not (book.project.build / "epub").exists()
    return book.project.build / "small.epub"


def read(made: Path, name: str) -> str:
    with zipfile.ZipFile(made) as book:
        return book.read(name).decode()


def text(page: str) -> str:
    return " ".join(re.sub("<[^>]+>", " ", page).split())


def changed(made: Path, name: str, old: str, new: str) -> list[str]:
    """What is wrong when a file of the book is another."""
    other = made.with_name("other.epub")
    with zipfile.ZipFile(made) as book, zipfile.ZipFile(other, "w") as copy:
        for item in book.infolist():
            body = book.read(item)
            if item.filename == name:
                assert old.encode() in body
                body = body.replace(old.encode(), new.encode())
            copy.writestr(item, body)
    return check.problems(other)


def test_the_epub_of_a_book(made):
    found = check.problems(made)
    assert not found, "\n".join(found)
    first, alpha, beta = (read(made, f"{name}.xhtml") for name in ("foundations/first", "alpha", "beta"))
    nav, opf = read(made, "nav.xhtml"), read(made, "content.opf")
    assert re.findall(r'href="(.*?)">(.*?)<', nav) == [
        *[("index.xhtml", "A small book"), ("alpha.xhtml", "Page alpha"), ("beta.xhtml", "Page beta")],
        *[
            ("gamma.xhtml", "Page gamma"),
            ("drawn.xhtml", "Page drawn"),
            ("part-2.xhtml", "A part"),
            ("foundations/first.xhtml", "First"),
        ],
    ]
    assert nav.index("A part") < nav.index("<ol>", nav.index("A part")) < nav.index("First"), (
        "part, then chapter"
    )
    assert "<dc:title>A small book</dc:title>" in opf and "<dc:date>2026-01-02T03:04:00Z</dc:date>" in opf
    assert 'href="cover.png" properties="cover-image"' in opf and "accessibilitySummary" in opf
    # what needs a screen, and what only serves
    assert "Copy" not in alpha and "<script" not in alpha and "x &lt; 1" not in alpha
    assert "claim(" not in text(beta) and "seven-is-at-least-five" in beta and "✓ 1 claim holds" in text(beta)
    assert re.sub("<[^>]+>|\\s", "", read(made, "drawn.xhtml")).endswith("PagedrawnabSeen.")
    assert read(made, "drawn.xhtml").count("<img") == 1 and "template" not in read(made, "drawn.xhtml")
    # what stays
    assert "alpha says 42" in alpha and "<p>a &amp; b<br />c</p>" in alpha and "def shown" in text(alpha)
    assert "<i>x</i><sub><i>t</i></sub>\u00a0= <i>y</i><sup>2</sup>" in first
    assert 'href="../beta.xhtml#claim-seven-is-at-least-five">7<' in first
    assert '<a class="reference internal" href="../beta.xhtml">' in first and "report.xhtml" not in first
    shown = text(first)
    assert shown.index("The answer") < shown.index("It comes") < shown.index("Its solution is at the end")
    assert shown.index("Its solution") < shown.index("Solutions") < shown.index("return x / 2")


@pytest.mark.parametrize(
    ("name", "old", "new", "fault"),
    [
        ("alpha.xhtml", "</body>", "<p></body>", "alpha.xhtml is no XML"),
        (
            "alpha.xhtml",
            "</body>",
            '<a href="gone.xhtml">x</a></body>',
            "alpha.xhtml: gone.xhtml leads nowhere",
        ),
        ("alpha.xhtml", "</body>", '<a href="beta.xhtml#no">x</a></body>', "beta.xhtml#no leads nowhere"),
        ("alpha.xhtml", "</body>", '<img src="epub.css" alt=" " /></body>', "epub.css has no words"),
        ("alpha.xhtml", "</body>", '<img src="https://a.b/c" alt="x" /></body>', "https://a.b/c is fetched"),
        ("alpha.xhtml", "</body>", "<script></script></body>", "script runs or plays"),
        ("alpha.xhtml", "</body>", '<p id="x"/><p id="x"/></body>', "two things are called 'x'"),
        ("content.opf", "<dc:date>2026", "<dc:dale>2026", "content.opf is no XML"),
        ("content.opf", "urn:x:1", "unknown", "the book does not say its identifier"),
        ("content.opf", 'href="epub.css"', 'href="gone.css"', "epub.css is not in the manifest"),
        ("nav.xhtml", "gamma.xhtml", "beta.xhtml", "the contents leave out gamma.xhtml"),
    ],
)
def test_a_fault_is_seen(made, name, old, new, fault):
    found = changed(made, name, old, new)
    assert any(fault in one for one in found), found


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<p>a<br>b<img src="x" loading=lazy hidden>', '<p>a<br />b<img src="x" /></p>'),
        ("<ul><li>a<li>b</ul>c", "<ul><li>a<li>b</li></li></ul>c"),
        (
            "<details open class=x><summary>S</summary>t</details>",
            '<div class="folded x"><p class="folded-title">S</p>t</div>',
        ),
        ("a</p> & <b onclick='x'>c &lt; d</b>", "a &amp; <b>c &lt; d</b>"),
        ("<video src=x><source src=y>old</video><button>z</button>e", "e"),
        ('<svg viewBox="0 0 1 1"><path d="M0"/></svg>', '<svg viewBox="0 0 1 1"><path d="M0"></path></svg>'),
    ],
)
def test_any_html_becomes_xhtml(html, expected):
    assert xhtml.xhtml(html) == expected.replace('class="folded x"', 'class="folded x"')


def test_without_a_site_there_is_no_epub(fresh, capsys):
    assert cli.main(["--root", str(fresh.root), "epub"]) == 2
    assert capsys.readouterr().err == f"bookbuild: {CHANGED}\n"
    shutil.rmtree(fresh.root / "_build")
