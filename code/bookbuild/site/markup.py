"""The HTML that Sphinx writes, where the book needs it otherwise."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from docutils import nodes
from pygments.formatters import HtmlFormatter
from pygments.token import Comment, Name
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

from bookbuild.site import assets, numbering

LINK = re.compile("\ue000(\\d+)\ue001(.*?)\ue002")  # characters that no text has


class LinkingFormatter(HtmlFormatter):
    """Highlighted code in which comments and names lead on.

    Option ``links``: what stands in brackets in a comment, and where it leads; ``names``: line (from 1) and
    column (in bytes) of a name, and where it leads.
    """

    def format_unencoded(self, tokensource: Iterable, outfile: IO[str]) -> None:
        """Mark what shall be a link."""
        self.addresses: list[tuple[str, str]] = []
        super().format_unencoded(self._marked(tokensource), outfile)

    def _marked(self, tokens: Iterable) -> Iterator[tuple]:
        labels, names = self.options.get("links", {}), self.options.get("names", {})
        line, column = 1, 0
        for kind, text in tokens:
            marked = text
            if kind in Name and (line, column) in names:
                marked = self._mark("to-name", names[line, column], text)
            for label in labels if kind in Comment else ():
                if f"({label})" in marked:
                    mark = self._mark("to-equation", labels[label], label)
                    marked = marked.replace(f"({label})", f"({mark})")
            yield kind, marked
            *above, last = text.split("\n")
            line, column = line + len(above), len(last.encode()) + column * (not above)

    def _mark(self, kind: str, address: str, text: str) -> str:
        self.addresses.append((kind, address))
        return f"\ue000{len(self.addresses) - 1}\ue001{text}\ue002"

    def wrap(self, source: Iterable) -> Iterator[tuple[int, str]]:
        """Make links of the marks."""

        def link(found: re.Match) -> str:
            kind, address = self.addresses[int(found[1])]
            return f'<a class="{kind}" href="{address}">{found[2]}</a>'

        for code, line in super().wrap(source):
            yield code, LINK.sub(link, line)


LISTINGS = {
    "python": "Python code",
    "ipython3": "Python code",
    "console": "Commands",
    "diff": "Changes of code",
}


class Translator(HTML5Translator):
    """Listings, folds and tables say what they are; pictures have their places."""

    def visit_image(self, node: nodes.image) -> None:
        """A picture has its place at once, and loads when it is reached."""
        file = Path(self.builder.srcdir, node["uri"])
        super().visit_image(node)
        found = None if {"width", "height", "scale"} & node.attributes.keys() else assets.size(file)
        place = f' width="{found[0]}" height="{found[1]}"' if found else ""
        self.body[-1] = self.body[-1].replace("<img ", f'<img loading="lazy"{place} ', 1)
        if "as-is" in node["classes"] and file.suffix == ".svg" and self.builder.format == "html":
            self.body[-1] += self._in_the_dark(file, self.body[-1])

    def _in_the_dark(self, file: Path, shown: str) -> str:
        """A picture that is not turned over in the dark has a second one for it: written, and shown."""
        name = re.search(r'src="[^"]*?([^"/]+)\.svg"', shown)[1]
        dark = Path(self.builder.outdir, self.builder.imagedir, f"{name}-dark.svg")
        dark.parent.mkdir(parents=True, exist_ok=True)
        dark.write_text(assets.dark(file.read_text(encoding="utf-8")), encoding="utf-8")
        return shown.replace(f"{name}.svg", f"{name}-dark.svg").replace('class="', 'class="in-dark ', 1)

    def visit_literal_block(self, node: nodes.literal_block) -> None:
        """A listing, or what came out, says what it is."""
        try:
            super().visit_literal_block(node)
        finally:  # it is written at once, and ends by saying so
            name = LISTINGS.get(node.get("language", ""), "Output" if is_output(node) else "Text")
            self.body[-1] = self.body[-1].replace("<pre>", f'<pre role="group" aria-label="{name}">', 1)

    def visit_Evidence(self, node: nodes.Element) -> None:
        """The claims of an experiment, or other code, behind one line."""
        marked = re.sub("^([✓✗])", r"<span>\1</span>", self.encode(node["line"]))
        begin = self.starttag(node, "details", classes=["evidence"])
        self.body.append(f"{begin}<summary>{marked}</summary>\n")

    def depart_Evidence(self, node: nodes.Element) -> None:
        """Its end."""
        self.body.append("</details>\n")

    def visit_citation(self, node: nodes.citation) -> None:
        """The bibliography has no items."""
        if not isinstance(node.previous_sibling(), nodes.citation):
            self.body.append("<div>\n")
        self.body.append(self.starttag(node, "div", classes=["citation"], role="doc-biblioentry"))

    def depart_citation(self, node: nodes.citation) -> None:
        """An entry leads back to the pages that cite it."""
        builder, here = self.builder, self.builder.current_docname
        if pages := [page for page in numbering.citing(builder.env, node) if page != here]:
            links = (
                f'<a class="reference internal" href="{builder.get_relative_uri(here, page)}">'
                f"{self.encode(builder.env.titles[page].astext())}</a>"
                for page in pages
            )
            self.body.append(f'<p class="cited">Cited in {", ".join(links)}.</p>\n')
        super().depart_citation(node)

    def visit_label(self, node: nodes.label) -> None:
        """Entries are cited by author and year, and sorted so: they have no numbers."""
        if isinstance(node.parent, nodes.citation):
            raise nodes.SkipNode
        super().visit_label(node)

    def visit_entry(self, node: nodes.entry) -> None:
        """A cell knows its heading: on a phone the rows of wide tables are stacked."""
        super().visit_entry(node)
        head = node.parent.parent.parent.next_node(nodes.thead)
        if head is not None and isinstance(node.parent.parent, nodes.tbody):
            names = [entry.astext() for entry in head[0]]
            at = node.parent.index(node)
            role = ' role="rowheader"' if at == 0 and not names[0] else ""
            mark = f'<td{role} data-head="{self.attval(names[min(at, len(names) - 1)])}"'
            self.body[-1] = self.body[-1].replace("<td", mark, 1)
        elif head is not None and node.astext():
            self.body[-1] = self.body[-1].replace("<th", '<th scope="col"', 1)
        elif head is not None:  # the corner of a table whose rows have names, too
            self.body[-1] = self.body[-1].replace("<th", "<td", 1)
            self.context[-1] = self.context[-1].replace("th>", "td>")


def is_output(node: nodes.Node) -> bool:
    """Whether a part of a page came out of a cell, or of a checker."""
    return "verdict" in node["classes"] or any(
        "cell_output" in parent.get("classes", ()) for parent in ancestors(node)
    )


def ancestors(node: nodes.Node) -> Iterator[nodes.Element]:
    """What a node stands in, from the nearest on."""
    while node := node.parent:
        yield node


def name_folds(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Folded code is called what its line says, and not all of it "Toggle hidden content"."""
    if "body" in context:
        context["body"] = context["body"].replace(' aria-label="Toggle hidden content"', "")
