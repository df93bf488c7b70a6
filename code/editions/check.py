"""What an EPUB must keep to: what the book promises, and some of what epubcheck tests, which needs Java."""

import posixpath
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

XHTML, OPF = "{http://www.w3.org/1999/xhtml}", "{http://www.idpf.org/2007/opf}"
OPS = "{http://www.idpf.org/2007/ops}"
RUNS = {
    f"{XHTML}{name}" for name in ("script", "iframe", "object", "embed", "form", "button", "video", "audio")
}
TOLD = ("title", "creator", "language", "identifier", "date", "rights", "description")


def problems(file: Path) -> list[str]:
    """What is wrong with an EPUB: files that are no XML or not listed, links that lead nowhere, what runs or
    is fetched, pictures without words, pages that the contents leave out.
    """
    with zipfile.ZipFile(file) as book:
        names, found = book.namelist(), []
        first = book.infolist()[0]
        if (first.filename, first.compress_type, book.read(first)) != (
            "mimetype",
            0,
            b"application/epub+zip",
        ):
            found.append("it does not begin with its mimetype, stored")
        trees = {}
        for name in names:
            if name.endswith((".xhtml", ".svg", ".opf", ".ncx", ".xml")):
                try:
                    trees[name] = ElementTree.fromstring(book.read(name))
                except ElementTree.ParseError as error:
                    found.append(f"{name} is no XML: {error}")
    found += package(names, trees["content.opf"]) if "content.opf" in trees else ["it has no content.opf"]
    pages = {name: tree for name, tree in trees.items() if name.endswith(".xhtml")}
    ids = {
        name: Counter(one.get("id") for one in tree.iter() if one.get("id")) for name, tree in pages.items()
    }
    for name, tree in pages.items():
        found += [f"{name}: two things are called {one!r}" for one, n in ids[name].items() if n > 1]
        found += (f"{name}: {fault}" for fault in faults(name, tree, ids, names))
    listed = {name for name, _ in contents(trees)}
    return found + [f"the contents leave out {name}" for name in spine(trees) if name not in listed]


def package(names: list[str], opf: ElementTree.Element) -> Iterator[str]:
    """What is wrong with the list of files and what the book says of itself."""
    items = {item.get("href"): item.get("media-type") for item in opf.iter(f"{OPF}item")}
    listed = {unquote(name) for name in items} | {"mimetype", "META-INF/container.xml", "content.opf"}
    yield from (f"{name} is not in the manifest" for name in names if name not in listed)
    yield from (f"the manifest has {name}, the book has not" for name in listed - {*names})
    for name in TOLD:
        said = opf.findtext(f".//{{http://purl.org/dc/elements/1.1/}}{name}") or ""
        if said.strip() in ("", "unknown"):
            yield f"the book does not say its {name}"


def faults(name: str, page: ElementTree.Element, ids: dict, names: list[str]) -> Iterator[str]:
    """What is wrong with a page."""
    for node in page.iter():
        if node.tag in RUNS or any(key.startswith("on") for key in node.attrib):
            yield f"{node.tag.removeprefix(XHTML)} runs or plays"
        if node.tag == f"{XHTML}img" and not node.get("alt", "").strip():
            yield f"{node.get('src')} has no words"
        for key in ("href", "src", "poster", "data"):
            parts = urlsplit(node.get(key, ""))
            if parts.scheme or parts.netloc:
                if node.tag != f"{XHTML}a":
                    yield f"{node.get(key)} is fetched"
                continue
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(parts.path)))
            target = target if parts.path else name
            if key in node.attrib and (
                target not in names or (parts.fragment and unquote(parts.fragment) not in ids.get(target, ()))
            ):
                yield f"{node.get(key)} leads nowhere"


def contents(trees: dict[str, ElementTree.Element]) -> list[tuple[str, str]]:
    """The table of contents: files and titles."""
    navs = trees["nav.xhtml"].iter(f"{XHTML}nav") if "nav.xhtml" in trees else ()
    links = (link for nav in navs if nav.get(f"{OPS}type") == "toc" for link in nav.iter(f"{XHTML}a"))
    return [(unquote(link.get("href", "")).partition("#")[0], "".join(link.itertext())) for link in links]


def spine(trees: dict[str, ElementTree.Element]) -> list[str]:
    """The pages in the order in which they are read, but for the cover."""
    opf = trees.get("content.opf", ElementTree.Element("none"))
    files = {item.get("id"): unquote(item.get("href")) for item in opf.iter(f"{OPF}item")}
    found = [files.get(one.get("idref"), "?") for one in opf.iter(f"{OPF}itemref")]
    return [name for name in found if name != "epub-cover.xhtml"]
