"""The built site keeps what the book promises to its reader.

Each check is a function that lists what is wrong. It is tried twice: on a made-up folder with and without the
fault, so that it is known to see it, and on the real book (marker ``book``).
"""

import json
import re
from collections.abc import Iterable
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from bookbuild.engine import pages
from bookbuild.engine.project import Project
from bookbuild.engine.store import Store
from rlworkshop import verify

MAX_WEIGHT = 4_000_000  # bytes of a page and the media that are its own
ELSEWHERE = re.compile(r"\s*(https?:)?//", re.I)
IN_CSS = re.compile(r"(?:url\(|@import)\s*[\"']?\s*((?:https?:)?//[^\"')\s]+)", re.I)
LOADS = {"src", "srcset", "poster", "data", "background", "xlink:href"}
MEDIA = {"img", "video", "audio", "source", "object", "embed"}


class Html(HTMLParser):
    """A page as the list of its elements, with the texts of its styles."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.styles: list[str] = []
        self._open, self._heading = "", None
        self.empty_headings = 0  # cells of tables
        self.feed(text)
        self.ids = {a.get("id") for _, a in self.elements}
        self.ids |= {a.get("name") for tag, a in self.elements if tag == "a"}

    def handle_starttag(self, tag, attributes):
        attributes = {name: value or "" for name, value in attributes}
        self._open = tag
        self._heading = "" if tag == "th" else self._heading
        self.elements.append((tag, attributes))
        self.styles.append(attributes.get("style", ""))

    def handle_data(self, data):
        if self._open == "style":
            self.styles.append(data)
        if self._heading is not None:
            self._heading += data.strip()

    def handle_endtag(self, tag):
        if tag == "th":
            self.empty_headings += not self._heading
            self._heading = None


@cache
def parsed(file: Path) -> Html:
    return Html(file.read_text(encoding="utf-8"))


def html_files(site: Path) -> Iterable[tuple[str, Html]]:
    for file in sorted(site.glob("**/*.html")):
        if "_static" not in file.parts:
            yield file.relative_to(site).as_posix(), parsed(file)


def texts(root: Path) -> Iterable[tuple[str, str]]:
    for file in sorted((root / "book").glob("**/*.md")):
        yield file.relative_to(root / "book").as_posix(), file.read_text(encoding="utf-8")


# ---- the site


def pages_that_were_not_built(root: Path, site: Path) -> list[str]:
    names = [name for name, _ in texts(root) if not any(part.startswith("_") for part in name.split("/"))]
    return [name for name in names if not (site / name).with_suffix(".html").exists()]


def failures_that_show(root: Path, site: Path) -> list[str]:
    """Pages that carry the mark of a failed build, or a traceback."""
    found = []
    for name, page in html_files(site):
        marks = [f"{a.get('id')} {a.get('class')}" for _, a in page.elements]
        text = (site / name).read_text(encoding="utf-8")
        if any("build-failed" in mark or "traceback" in mark for mark in marks) or "Traceback (most" in text:
            found.append(name)
    return found


def chapters_without_a_claim(root: Path, site: Path) -> list[str]:
    """Chapters that the verification page leads to no claim of."""
    with_code = [Path(name) for name, text in texts(root) if "{code-cell}" in text]
    chapters = [name for name in with_code if name.parts[0] in pages.CHAPTER_PARTS]
    report = (site / "reference/verification.html").read_text(encoding="utf-8")
    return [str(name) for name in chapters if f"/{name.with_suffix('.html').as_posix()}#claim-" not in report]


def claims_that_share_a_name(root: Path, site: Path) -> list[str]:
    """A name must lead to one claim: links and calibration go by it."""
    found = []
    for name, page in html_files(site):
        ids = [a["id"] for _, a in page.elements if a.get("id", "").startswith("claim-")]
        found += [f"{name}: {one}" for one in sorted({one for one in ids if ids.count(one) > 1})]
    return found


def requests_to_other_hosts(root: Path, site: Path) -> list[str]:
    """Whatever a browser would fetch from elsewhere by itself; a link that a reader may follow is none."""
    found = []
    for name, page in html_files(site):
        for tag, attributes in page.elements:
            loads = LOADS | ({"href"} if tag not in ("a", "area") else set())
            away = {a: v for a, v in attributes.items() if a in loads and ELSEWHERE.match(v)}
            found += [f"{name}: <{tag} {a}={v}>" for a, v in away.items()]
        found += [f"{name}: {address}" for style in page.styles for address in IN_CSS.findall(style)]
    for file in sorted(site.glob("**/*.css")):
        addresses = IN_CSS.findall(file.read_text(encoding="utf-8"))
        found += [f"{file.relative_to(site).as_posix()}: {address}" for address in addresses]
    return found


def pictures_without_words(root: Path, site: Path) -> list[str]:
    """Images without an alternative text, films without a label."""
    needed = {"img": "alt", "video": "aria-label"}
    return [
        f"{name}: <{tag} {attributes.get('src', '')[:60]}>"
        for name, page in html_files(site)
        for tag, attributes in page.elements
        if tag in needed and not attributes.get(needed[tag], "").strip()
        if "logo__image" not in attributes.get("class", "")  # beside the title, which says it all
    ]


def what_a_screen_reader_cannot_name(root: Path, site: Path) -> list[str]:
    """Listings that are not announced, folds that are not called what their line says, headings of columns
    that say nothing, headings that skip a level."""
    found = []
    for name, page in html_files(site):
        level = 0
        for (_, around), (tag, attributes) in zip([("", {}), *page.elements], page.elements, strict=False):
            listing = tag == "pre" and around.get("class") == "highlight"
            if (listing and "aria-label" not in attributes) or (
                tag == "summary" and "aria-label" in attributes
            ):
                found.append(f"{name}: <{tag} {attributes}>")
            if re.fullmatch("h[1-6]", tag):
                found += [f"{name}: <{tag}> under <h{level}>"] * (int(tag[1]) > level + 1)
                level = int(tag[1])
        found += [f"{name}: {page.empty_headings} empty <th>"] * bool(page.empty_headings)
    return found


def links_that_lead_nowhere(root: Path, site: Path) -> list[str]:
    """Addresses within the site that no file or no element has. None may begin with a slash: the site may
    live below any path."""
    found = []
    for name, page in html_files(site):
        for tag, attributes in page.elements:
            for address in (attributes.get("href"), attributes.get("src"), attributes.get("poster")):
                parts = urlsplit(address or "")
                if parts.scheme or parts.netloc or address in (None, "", "#", "#top"):
                    continue
                target = (site / name).parent / unquote(parts.path) if parts.path else site / name
                target = (target / "index.html" if target.is_dir() else target).resolve()
                inside = target.is_relative_to(site.resolve()) and not parts.path.startswith("/")
                broken = not (inside and target.is_file())
                if not broken and parts.fragment and target.suffix == ".html":
                    broken = unquote(parts.fragment) not in parsed(target).ids
                found += [f"{name}: <{tag}> {address}"] if broken else []
    return found


def pages_that_are_too_heavy(root: Path, site: Path) -> list[str]:
    """Pages that weigh too much, with the media that they show; scripts and styles are shared by all."""
    found = []
    for name, page in html_files(site):
        files = {site / name}
        for tag, attributes in page.elements:
            if tag in MEDIA:
                shown = (urlsplit(attributes.get(a, "")) for a in ("src", "poster", "data"))
                files |= {(site / name).parent / unquote(s.path) for s in shown if s.path and not s.scheme}
        weight = sum(file.stat().st_size for file in {f.resolve() for f in files} if file.is_file())
        found += [f"{name}: {weight / 1e6:.1f} MB"] if weight >= MAX_WEIGHT else []
    return found


# ---- the text


def front_matter_that_is_not_full(root: Path, site: Path) -> list[str]:
    """Pages with code cells that do not say how to open them as a notebook, or declare no budget."""
    found = []
    for name, text in texts(root):
        if "{code-cell}" not in text:
            continue
        page = pages.read_page(Project(root), root / "book" / name)
        known = page.notebook.metadata if page else {}
        form = known.get("jupytext", {}).get("text_representation", {})
        kernel = known.get("kernelspec", {})
        full = (form.get("extension"), form.get("format_name")) == (".md", "myst")
        full = full and all(kernel.get(field) for field in ("display_name", "language", "name"))
        found += [] if full and "budget" in page.notebook.metadata else [name]
    return found


def words_that_belittle(root: Path, site: Path) -> list[str]:
    found = re.compile(r"\b(simply|obviously)\b", re.I)
    return [f"{name}: {word}" for name, text in texts(root) for word in found.findall(text)]


def line_numbers(root: Path, site: Path) -> list[str]:
    """Pages that pick code by line numbers, which move."""
    return [name for name, text in texts(root) if ":lines:" in text or "lineno-start" in text]


def pages_that_cannot_be_taken_away(root: Path, site: Path) -> list[str]:
    """Pages with code that do not offer themselves as an executed notebook and as a script."""
    found = []
    for name, text in texts(root):
        page = name.removesuffix(".md")
        if "{code-cell}" in text:
            links = {a.get("href", "") for _, a in parsed(site / f"{page}.html").elements}
            up = "../" * page.count("/")
            wanted = [f"{up}_notebooks/{page}.{kind}" for kind in ("ipynb", "py")]
            found += [f"{name}: {link}" for link in wanted if link not in links]
    return found


CHECKS = (
    pages_that_cannot_be_taken_away,
    pages_that_were_not_built,
    failures_that_show,
    chapters_without_a_claim,
    claims_that_share_a_name,
    requests_to_other_hosts,
    pictures_without_words,
    what_a_screen_reader_cannot_name,
    links_that_lead_nowhere,
    pages_that_are_too_heavy,
    front_matter_that_is_not_full,
    words_that_belittle,
    line_numbers,
)


@pytest.mark.book
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_real_book_has_none_of(real, site, check):
    assert check(real.root, site) == []


def uncalibrated(claims: dict[str, list[dict]], kept: dict[str, dict[str, dict]]) -> list[str]:
    """Claims (by page) whose committed figures (by page and name) do not bear them out."""
    return [
        f"{page}: {record['text']}: {wrong}"
        for page, records in claims.items()
        for record in records
        for wrong in [
            *verify.doubts(record, kept[page].get(record["name"])),
            *nameless(record.get("control"), records),
        ]
    ]


def nameless(control: str | None, records: list[dict]) -> list[str]:
    """That a claim's control is no claim of its page."""
    there = control is None or control in [record["name"] for record in records]
    return [] if there else [f"its control {control!r} is no claim of the page"]


@pytest.mark.book
def test_every_claim_of_the_real_book_is_calibrated(real, site):
    book, store, executed = pages.read_pages(real), Store(real), real.executed
    stale = [page.name for page in book if store.get(pages.subject(real, page)) is None]
    assert stale == [], "these changed since the site was built, or failed"
    made = {page.name: json.loads((executed / f"{page.name}.ipynb").read_text("utf-8")) for page in book}
    claims = {name: pages.claims_of(notebook) for name, notebook in made.items()}
    assert any(claims.values())
    assert uncalibrated(claims, {name: pages.calibrations(real, name) for name in claims}) == []


# ---- the checks see what they are for

GOOD = {
    "book/index.md": "# A book\n\nA simple page.\n",
    "book/_part.md": "Not a page.\n",
    "book/algorithms/x.md": (
        "---\njupytext:\n  text_representation:\n    extension: .md\n    format_name: myst\n"
        "kernelspec:\n  display_name: Python 3\n  language: python\n  name: python3\nbudget: 5\n---\n"
        "# X\n\n```{code-cell} ipython3\n1\n```\n"
    ),
    "site/index.html": (
        '<link rel="stylesheet" href="_static/s.css?v=1"><a href="https://example.org">out</a>'
        '<a href="#">up</a><a href="algorithms/x.html#claim-c">c</a><a href="reference/">r</a>'
        '<a href="mailto:a@example.org">m</a><h1>B</h1><h2>P</h2><details><summary>s</summary></details>'
        '<div class="highlight"><pre aria-label="Code">1</pre></div><table><tr><td></td>'
        "<th>h</th></tr></table>"
    ),
    "site/algorithms/x.html": (
        '<a name="old"></a><div id="claim-c">c</div><img src="../_images/a%20b.png" alt="a curve">'
        '<video aria-label="the agent" src="data:video/mp4;base64,AA"></video><a href="#old">o</a>'
        "<style>p { background: url(data:image/png;base64,AA) }</style><pre>no build-failed here</pre>"
        '<a href="../_notebooks/algorithms/x.ipynb">n</a><a href="../_notebooks/algorithms/x.py">s</a>'
    ),
    "site/_notebooks/algorithms/x.ipynb": "{}",
    "site/_notebooks/algorithms/x.py": "1",
    "site/reference/index.html": "<p>r</p>",
    "site/reference/verification.html": '<a href="../algorithms/x.html#claim-c">7</a>',
    "site/_static/s.css": "p { background: url('b.png') } /* https://example.org */",
    "site/_images/a b.png": "x",
}


@pytest.fixture
def made_up(tmp_path):
    """Writes the made-up book, its files changed by ``changes`` (None: left out), and runs a check on it."""

    def run(check, changes: dict[str, str | None]) -> list[str]:
        for name, text in {**GOOD, **changes}.items():
            if text is not None:
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name).write_text(text, encoding="utf-8")
        return check(tmp_path, tmp_path / "site")

    return run


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_good_book_passes(made_up, check):
    assert made_up(check, {}) == []


T, X, Y = "site/index.html", "site/algorithms/x.html", "book/algorithms/x.md"


@pytest.mark.parametrize(
    ("check", "file", "old", "new"),
    [
        (pages_that_cannot_be_taken_away, X, "algorithms/x.ipynb", "algorithms/y.ipynb"),
        (pages_that_cannot_be_taken_away, X, "algorithms/x.py", "algorithms/y.py"),
        (pages_that_were_not_built, "site/index.html", "", None),
        (pages_that_were_not_built, "book/start/new.md", "", "# New"),
        (failures_that_show, X, "<img", '<div id="build-failed"></div><img'),
        (failures_that_show, X, "<img", '<div class="output traceback"></div><img'),
        (failures_that_show, X, "no build-failed here", "Traceback (most recent call last):"),
        (chapters_without_a_claim, "site/reference/verification.html", "#claim-c", ""),
        (chapters_without_a_claim, "book/safety/y.md", "", GOOD[Y]),
        (claims_that_share_a_name, X, "<pre>", '<div id="claim-c">d</div><pre>'),
        (requests_to_other_hosts, X, "../_images/a%20b.png", "https://example.org/a.png"),
        (requests_to_other_hosts, X, "../_images/a%20b.png", "//example.org/a.png"),
        (requests_to_other_hosts, X, "<pre>", '<script src="https://example.org/a.js"></script><pre>'),
        (requests_to_other_hosts, X, "<pre>", '<video poster="https://example.org/a.png"></video><pre>'),
        (
            requests_to_other_hosts,
            X,
            "<pre>",
            '<p style="background: url(https://example.org/a.png)"></p><pre>',
        ),
        (requests_to_other_hosts, X, "url(data:image/png;base64,AA)", 'url("https://example.org/a.png")'),
        (requests_to_other_hosts, "site/index.html", "_static/s.css?v=1", "https://example.org/s.css"),
        (requests_to_other_hosts, "site/_static/s.css", "'b.png'", "'https://example.org/b.png'"),
        (requests_to_other_hosts, "site/_static/s.css", "p {", '@import "https://example.org/t.css"; p {'),
        (pictures_without_words, X, "a curve", " "),
        (pictures_without_words, X, ' alt="a curve"', ""),
        (pictures_without_words, X, ' aria-label="the agent"', ""),
        (links_that_lead_nowhere, X, 'href="#old"', 'href="#gone"'),
        (links_that_lead_nowhere, "site/index.html", "x.html#claim-c", "x.html#claim-d"),
        (links_that_lead_nowhere, "site/index.html", "x.html#claim-c", "gone.html"),
        (links_that_lead_nowhere, "site/index.html", 'href="reference/"', 'href="/reference/index.html"'),
        (links_that_lead_nowhere, "site/index.html", 'href="reference/"', 'href="../book/index.md"'),
        (links_that_lead_nowhere, "site/reference/index.html", "", None),
        (links_that_lead_nowhere, "site/_images/a b.png", "", None),
        (links_that_lead_nowhere, "site/_static/s.css", "", None),
        (what_a_screen_reader_cannot_name, T, ' aria-label="Code"', ""),
        (what_a_screen_reader_cannot_name, T, "<summary>", '<summary aria-label="Toggle">'),
        (what_a_screen_reader_cannot_name, T, "<th>h", "<th>"),
        (what_a_screen_reader_cannot_name, T, "<h2>P</h2>", "<h3>P</h3>"),
        (what_a_screen_reader_cannot_name, T, "<h1>B</h1>", ""),
        (pages_that_are_too_heavy, X, "<pre>", "<pre>" + "x" * MAX_WEIGHT),
        (pages_that_are_too_heavy, "site/_images/a b.png", "x", "x" * MAX_WEIGHT),
        (front_matter_that_is_not_full, Y, "budget: 5\n", ""),
        (front_matter_that_is_not_full, Y, "  language: python\n", ""),
        (front_matter_that_is_not_full, Y, "    extension: .md\n", ""),
        (words_that_belittle, "book/index.md", "A simple", "Simply a"),
        (words_that_belittle, "book/index.md", "A simple", "An obviously simple"),
        (line_numbers, "book/index.md", "A simple", ":lines: 1-2\nA simple"),
        (line_numbers, "book/index.md", "A simple", ":lineno-start: 3\nA simple"),
    ],
)
def test_a_fault_is_seen(made_up, check, file, old, new):
    before = GOOD.get(file, "")
    assert old in before
    changed = None if new is None else before.replace(old, new) if old else new
    assert len(made_up(check, {file: changed})) == 1


def test_a_claim_that_is_not_borne_out_is_seen():
    record = {"text": "t", "name": "n", "seeds": 3, "at_least": 0.0, "at_most": None, "control": "n"}
    values = [9.0, 10.0, 11.0, 10.0] * 3
    assert uncalibrated({"a/x": [record]}, {"a/x": {"n": {"values": values}}}) == []
    assert len(uncalibrated({"a/x": [record]}, {"a/x": {}})) == 1
    assert len(uncalibrated({"a/x": [record]}, {"a/x": {"n": {"values": values[:9]}}})) == 1
    astray = {**record, "control": "c"}
    assert len(uncalibrated({"a/x": [astray]}, {"a/x": {"n": {"values": values}}})) == 1
    tight = {**record, "at_least": 9.5}
    assert len(uncalibrated({"a/x": [tight]}, {"a/x": {"n": {"values": values}}})) == 1
