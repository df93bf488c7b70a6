"""Each page as plain Markdown with its outputs, beside its HTML as llms.txt has it: ``x.html.md``.

Written from what the page shows: its doctree, with all references resolved. What only serves is left out, as
in the EPUB. (sphinx-markdown-builder 0.6, the best kept of the builders for this, knows neither cells nor raw
HTML, and would resolve every page a second time.)
"""

import html
import posixpath
import re
import textwrap
from collections.abc import Iterable
from pathlib import Path

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder
from sphinx.util.math import get_node_equation_number

from bookbuild.site import typeset
from bookbuild.site.reading import Evidence
from editions.onsite import only_on_site

INLINE = nodes.Inline | nodes.Text
NOTHING = (
    nodes.comment | nodes.target | nodes.substitution_definition | nodes.system_message | HideCodeCellNode
    | addnodes.index | addnodes.toctree
)  # fmt: skip
WRAPPED = {
    nodes.emphasis: "*",
    addnodes.literal_emphasis: "*",
    nodes.strong: "**",
    addnodes.literal_strong: "**",
}
MARKS = re.compile(  # what Markdown takes for more than itself
    r"\\(?=[!-/:-@\[-`{-~])|[*`$|~]|(?<![^\W_])_|_(?![^\W_])|<(?=[A-Za-z/!?])|&(?=#?\w+;)"
)
FILM = re.compile(r'<video [^>]*aria-label="([^"]*)" src="([^"]+)"></video>')
SPOKEN = re.compile(r"<title[^>]*>(.*?)</title>\s*<desc[^>]*>(.*?)</desc>", re.S)  # of a drawing
UNSEEN = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.S)


class Page:
    """One page; ``builder``: where it is written."""

    def __init__(self, builder: StandaloneHTMLBuilder, name: str):
        self.builder, self.name, self.level = builder, name, 0

    def blocks(self, parts: Iterable[nodes.Node], between: str = "\n\n") -> str:
        """Parts of a page, one below the other; what stands in the line is a paragraph."""
        found, line = [], ""
        for node in parts:
            if isinstance(node, INLINE) and not isinstance(node, nodes.image | nodes.raw):
                line += self.inline(node)
            else:
                found += [line, self.block(node)]
                line = ""
        return between.join(text.strip("\n") for text in [*found, line] if text.strip())

    def block(self, node: nodes.Node) -> str:
        """A part of a page that stands by itself."""
        if isinstance(node, NOTHING) or only_on_site(node):
            return ""
        match node:
            case nodes.section():
                self.level += 1
                text = self.blocks(node)
                self.level -= 1
                return text
            case nodes.title() if isinstance(node.parent, nodes.section | nodes.document):
                return f"{'#' * max(self.level, 1)} {self.line(node)}"
            case nodes.title() | nodes.rubric():
                return f"**{self.line(node)}**"
            case nodes.literal_block():
                return fenced(node.astext(), node.get("language", ""))
            case nodes.math_block():
                number = f"\n\\tag{{{get_node_equation_number(self, node)}}}" if node["number"] else ""
                return f"$$\n{typeset.formula(node)[0]}{number}\n$$"
            case nodes.image():
                return f"![{' '.join(node.get('alt', '').split())}]({self.picture(node)})"
            case nodes.caption():
                number = self.builder.env.toc_fignumbers.get(self.name, {}).get("figure", {})
                number = number.get((node.parent["ids"] or [""])[0], ())
                title = f"Figure {'.'.join(map(str, number))}: " if number else ""
                return f"*{title}{self.line(node)}*"
            case nodes.table():
                return self.table(node)
            case Evidence():
                if "more-code" in node["ids"]:
                    return ""
                claims = [words(raw.astext()).removeprefix("claim holds ") for raw in node.findall(nodes.raw)]
                return "\n".join(
                    f"> {line}" for line in [node["line"], *(f"- {c}" for c in claims)] if claims
                )
            case nodes.raw():
                return self.raw(node.astext())
            case nodes.bullet_list() | nodes.enumerated_list():
                marks = (f"{n}." if isinstance(node, nodes.enumerated_list) else "-" for n in range(1, 9999))
                return "\n".join(
                    hung(mark, self.blocks(item)) for mark, item in zip(marks, node, strict=False)
                )
            case nodes.definition_list_item():
                terms = ", ".join(self.line(term) for term in node if isinstance(term, nodes.term))
                return f"**{terms}**: {self.blocks(node.next_node(nodes.definition))}"
            case nodes.field():
                return hung("-", f"**{self.line(node[0])}**: {self.blocks(node[1], ' ')}")
            case addnodes.desc():
                signatures = [one for one in node if isinstance(one, addnodes.desc_signature)]
                return "\n\n".join(
                    [*(f"`{one.astext()}`" for one in signatures), self.blocks(node[len(signatures) :])]
                )
            case nodes.block_quote() | nodes.Admonition() | nodes.footnote():
                return "\n".join(f"> {line}".rstrip() for line in self.blocks(node).split("\n"))
            case nodes.transition():
                return "---"
            case nodes.TextElement() if not isinstance(node, nodes.label):
                return self.line(node)
            case nodes.Element():
                return self.blocks(node)
        return ""

    def line(self, node: nodes.Element) -> str:
        """What stands in one line."""
        return " ".join("".join(map(self.inline, node.children)).split())

    def inline(self, node: nodes.Node) -> str:
        """A part of a line."""
        if only_on_site(node):
            return ""
        match node:
            case nodes.Text():
                return MARKS.sub(r"\\\g<0>", " ".join(node.replace("\n", " ").split(" ")))
            case nodes.math():
                return f"${typeset.formula(node)[0]}${node.get('tail', '')}"
            case nodes.literal():
                text = " ".join(node.astext().split())
                return f"`{text}`" if "`" not in text else f"`` {text} ``"
            case nodes.image():
                return self.block(node)
            case nodes.raw():
                return words(node.astext())
            case nodes.footnote_reference():
                return f"[{node.astext()}]"
        text = "" if isinstance(node, NOTHING) else "".join(map(self.inline, node.children))
        if isinstance(node, nodes.reference) and (address := self.address(node)):
            return f"[{text}]({address})"
        mark = WRAPPED.get(type(node), "") if text.strip() else ""
        return f"{mark}{text}{mark}"

    def address(self, link: nodes.reference) -> str:
        """Where a link leads: to the Markdown of another page; within it and to the glossary nowhere."""
        term = any("std-term" in part["classes"] for part in link.findall(nodes.inline))
        uri = "" if term else link.get("refuri", "")
        page, _, _ = uri.partition("#")
        return f"{page}.md" if page.endswith(".html") and "://" not in page else uri if page else ""

    def picture(self, image: nodes.image) -> str:
        """Where a picture is, from this page."""
        name = self.builder.images.get(image["uri"])
        up = "../" * self.name.count("/")
        return f"{up}{self.builder.imagedir}/{name}" if name else image["uri"]

    def raw(self, text: str) -> str:
        """What a piece of HTML says."""
        if films := FILM.findall(text):
            return "\n\n".join(f"[Film: {html.unescape(label)}]({at})" for label, at in films)
        if drawn := SPOKEN.search(text):
            return f"*(Drawing: {html.unescape(drawn[1])}. {html.unescape(drawn[2])})*"
        text = words(text)
        return f"**{text}**" if text else ""

    def table(self, table: nodes.table) -> str:
        """A table of lines; its heading is the first row."""
        rows = [
            [self.blocks(cell, " ").replace("\n", " ") for cell in row] for row in table.findall(nodes.row)
        ]
        lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
        return "\n".join(
            f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines
        )


def fenced(text: str, language: str) -> str:
    """A listing, in a fence that nothing in it ends."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    plain = "" if language.startswith(("myst", "none", "default")) else language.replace("ipython3", "python")
    return f"{fence}{plain}\n{text.rstrip()}\n{fence}"


def hung(mark: str, text: str) -> str:
    """An item of a list."""
    return textwrap.indent(f"{mark} {text.strip()}", " " * (len(mark) + 1)).strip()


def words(text: str) -> str:
    """What HTML says, without its tags."""
    return " ".join(html.unescape(UNSEEN.sub("", text)).split())


def write(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Put a page's Markdown beside it, and say on the page where it is."""
    if app.builder.format != "html" or doctree is None:
        return
    file = Path(app.outdir, f"{page}.html.md")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{Page(app.builder, page).blocks(doctree)}\n", encoding="utf-8")
    address = f"{posixpath.basename(page)}.html.md"
    link = f'\n<link rel="alternate" type="text/markdown" href="{address}" />'
    context["metatags"] = context.get("metatags", "") + link
    for group in context.get("header_buttons", []):
        if group.get("label") == "download-buttons":
            more = {"tooltip": "Markdown with outputs", "icon": "fas fa-file"}
            group["buttons"].append({"type": "link", "url": address, "text": ".md", **more})


def setup(app: Sphinx) -> None:
    """Register it."""
    app.connect("html-page-context", write, priority=650)  # after the buttons for notebook and script
