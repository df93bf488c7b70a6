"""What a page tells others of itself: search engines, cards in messages, language models, citations."""

import html
import re
import textwrap
from functools import partial
from pathlib import Path

from docutils import nodes
from myst_nb.ext.glue.crossref import PendingGlueReference
from sphinx import addnodes
from sphinx.application import Sphinx

from bookbuild.engine.pages import CHAPTER_PARTS
from showcase.landing import facts

ENOUGH, MOST = 90, 220  # characters of a description
PROSE = nodes.document | nodes.section  # where a paragraph is the page's own
GAP = "\0"  # what cannot be said before all pages are read
SENTENCES = re.compile(r"(?<=[.!?:])\s+(?=[\"'“(]?[A-Z])")
CARD = "_static/card.png"
GROUND = "#14171a"


def spoken(node: nodes.Node) -> str:
    """The text of a node, with a gap for what is not text."""
    match node:
        case nodes.Text():
            return " ".join(node.split("\n"))
        case (
            addnodes.pending_xref(attributes={"refdomain": "cite"}) | nodes.raw() | nodes.footnote_reference()
        ):
            return ""
        case nodes.math() | nodes.image() | nodes.problematic() | PendingGlueReference():
            return GAP
        case addnodes.pending_xref(attributes={"refexplicit": False, "reftype": kind}) if kind != "term":
            return GAP
    return "".join(map(spoken, node.children))


def description(doctree: nodes.document) -> str:
    """The first sentence of a page's prose, and those after it while it is short."""
    for paragraph in doctree.findall(nodes.paragraph):
        first = next((child for child in paragraph.children if child.astext()), None)
        own = isinstance(paragraph.parent, PROSE) or "lead" in paragraph.parent["classes"]
        said = [s for s in SENTENCES.split(spoken(paragraph).strip()) if s and GAP not in s]
        if not (own and said) or isinstance(first, nodes.strong):  # "You need", "Time"
            continue
        text, *others = said
        while others and len(text) < ENOUGH and len(text) + len(others[0]) < MOST:
            text += f" {others.pop(0)}"
        text = re.sub(r" +([.,;)])", r"\1", text)
        return text if len(text) <= MOST else f"{text[:MOST].rpartition(' ')[0]} …"
    return ""


def note_description(app: Sphinx, doctree: nodes.document) -> None:
    """Keep what a page says of itself."""
    app.env.get_domain("book").note("description", app.env.docname, description(doctree))


def introduce(commit: str, app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Put a page's description and its card into its head, and how to cite it below it."""
    if doctree is None:  # a page that Sphinx makes
        return
    config, title = app.config, html.unescape(re.sub("<[^>]+>", "", context["title"]))
    about = dict(app.env.get_domain("book").noted("description")).get(page) or f"A page of {config.project}."
    tags = {"og:title": title, "og:description": about, "og:site_name": config.project}
    tags["og:type"] = "website" if page == config.root_doc else "article"
    if base := config.html_baseurl:
        tags |= {
            "og:url": f"{base}{page}.html",
            "og:image": f"{base}{CARD}",
            "twitter:card": "summary_large_image",
        }
        tags |= {
            "og:image:width": "1200",
            "og:image:height": "630",
            "og:image:alt": f"{config.project}: a pole on a cart",
        }
    found = {f'property="{name}"' if name[:2] == "og" else f'name="{name}"': tags[name] for name in tags}
    lines = {'name="description"': about, **found}
    context["metatags"] += "".join(f'\n<meta {a} content="{html.escape(v)}" />' for a, v in lines.items())
    if page.partition("/")[0] in CHAPTER_PARTS:
        context["bibtex"] = bibtex(app, page, title, commit)


def bibtex(app: Sphinx, page: str, title: str, commit: str) -> str:
    """How to cite a page."""
    config = app.config
    fields = {
        "title": f"{{{title}}}",
        "author": f"{{{config.author}}}",
        "booktitle": f"{{{config.project}}}",
        "year": re.search(r"\d{4}|\Z", config.copyright)[0],
        "url": config.html_baseurl and f"{config.html_baseurl}{page}.html",
        "note": f"Version {config.release}" + (f", commit {commit}" if commit else ""),
    }
    escaped = {
        name: value if name == "url" else re.sub(r"([&%#_$])", r"\\\1", value)
        for name, value in fields.items()
    }
    lines = (f"  {name:<9} = {{{value}}}," for name, value in escaped.items() if value)
    return "\n".join(
        [
            f"@incollection{{{re.sub('[^a-z]+', '-', config.project.lower())}-{page.replace('/', '-')},",
            *lines,
            "}",
        ]
    )


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Write what tells of the book: the card, ``llms.txt``, and ``sitemap.xml`` where it has an address."""
    if exception or app.builder.format != "html" or app.config.book.only:
        return
    env, base = app.env, app.config.html_baseurl
    about = dict(env.get_domain("book").noted("description"))
    root = app.config.root_doc
    names = [root, *env.toctree_includes.get(root, [])]
    lines = [f"# {app.config.project}", "", f"> {about.get(names[0], '')}"]
    for before, page in zip(names, names[1:], strict=False):
        part = page.rpartition("/")[0]
        if page == names[1] or part != before.rpartition("/")[0]:
            lines += ["", f"## {part.capitalize()}" if part else "## Pages", ""]
        kind = ".html.md" if (app.outdir / f"{page}.html.md").exists() else ".html"
        lines.append(
            f"- [{env.titles[page].astext()}]({base or ''}{page}{kind}): {about.get(page, '')}".rstrip(": ")
        )
    write(app.outdir / "llms.txt", "\n".join([*lines, ""]))
    if base:
        places = "".join(
            f"<url><loc>{html.escape(f'{base}{page}.html')}</loc></url>\n" for page in sorted(env.found_docs)
        )
        schema = "http://www.sitemaps.org/schemas/sitemap/0.9"
        write(
            app.outdir / "sitemap.xml",
            f'<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="{schema}">\n{places}</urlset>\n',
        )
    if (app.outdir / CARD).exists():  # `make live` writes one page anew
        return
    numbers = facts(app.config.book)
    draw(
        app.outdir / CARD,
        app.config.project,
        f"{numbers['claims']:,} statements measured · {numbers['exercises']:,} exercises that check you",
    )


def write(file: Path, text: str) -> None:
    """Put a text into the site."""
    file.write_text(text, encoding="utf-8")


def draw(file: Path, title: str, line: str) -> None:
    """The picture of the card: a pole that falls, leans, stands, 1200 by 630."""
    figure, ax = ground(12, 6.3)
    poles(ax, 1.6, 10.4, 1.2)
    ax.text(0.8, 4.75, title, color="#ffffff", fontsize=50, weight="bold", va="center")
    ax.text(0.83, 3.75, line, color="#c3ccd5", fontsize=23, va="center")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=100, metadata={"Software": None})


def cover(file: Path, title: str, *lines: str) -> None:
    """The cover of the book to take along, in the manner of the card, 1200 by 1800."""
    figure, ax = ground(12, 18)
    poles(ax, 1.6, 10.4, 2.4)
    for number, word in enumerate(textwrap.wrap(title, 14)):
        ax.text(0.9, 15.4 - 1.5 * number, word, color="#ffffff", fontsize=84, weight="bold", va="center")
    for number, line in enumerate(lines):
        ax.text(0.95, 9.2 - 0.8 * number, line, color="#c3ccd5", fontsize=28, va="center")
    figure.savefig(file, dpi=100, metadata={"Software": None})


def ground(width: float, height: float) -> tuple:
    """A dark figure of this size, and its axes, in inches."""
    from matplotlib.figure import Figure

    figure = Figure((width, height), facecolor=GROUND)
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    ax.axis("off")
    return figure, ax


def poles(ax, first: float, last: float, y: float) -> None:
    """A pole on a cart that falls, leans and stands, from ``first`` to ``last``, the carts' tops at ``y``."""
    import numpy as np
    from matplotlib.colors import to_rgb

    ax.plot([first - 0.8, last + 0.8], [y - 0.45, y - 0.45], color="#4a535c", lw=2)
    leans, strengths = (1.85, 0.9, -0.45, 0.17, 0), (0.35, 0.5, 0.65, 0.8, 1)
    for x, lean, strength in zip(np.linspace(first, last, 5), leans, strengths, strict=True):
        parts = (np.array(to_rgb(colour)) for colour in ("#f5a25d", "#6cbcec"))
        pole, cart = (tuple(strength * part + (1 - strength) * np.array(to_rgb(GROUND))) for part in parts)
        ends = [x, x + 1.5 * np.sin(lean)], [y, y + 1.5 * np.cos(lean)]
        ax.plot(*ends, color=pole, lw=11, solid_capstyle="round")
        ax.plot([x - 0.3, x + 0.3], [y - 0.1, y - 0.1], color=cart, lw=22, solid_capstyle="butt")
        ax.plot([x - 0.2, x + 0.2], [y - 0.32, y - 0.32], "o", color=cart, ms=14)


def begin(app: Sphinx) -> None:
    """From here on pages are written."""
    known = partial(introduce, app.config.book.project.commit())
    app.connect("html-page-context", known, priority=400)  # before the theme leaves out what is empty


def setup(app: Sphinx) -> None:
    """Register all of it."""
    app.connect("doctree-read", note_description)
    app.connect("builder-inited", begin)
    app.connect("build-finished", finish)
