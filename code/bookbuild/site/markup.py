"""The HTML that Sphinx writes, where the book needs it otherwise."""

from collections.abc import Iterable, Iterator
from typing import IO

from docutils import nodes
from pygments.formatters import HtmlFormatter
from pygments.token import Comment
from sphinx.writers.html5 import HTML5Translator


class LinkingFormatter(HtmlFormatter):
    """Highlighted code in which comments lead on.

    Option ``links``: what stands in brackets in a comment, and where it leads.
    """

    def format_unencoded(self, tokensource: Iterable, outfile: IO[str]) -> None:
        """Mark what shall be a link, by characters that no text has."""

        def marked(comment: str) -> str:
            for label in self.options.get("links", {}):
                comment = comment.replace(f"({label})", f"(\ue000{label}\ue001)")
            return comment

        tokens = ((kind, marked(text) if kind in Comment else text) for kind, text in tokensource)
        super().format_unencoded(tokens, outfile)

    def wrap(self, source: Iterable) -> Iterator[tuple[int, str]]:
        """Make links of the marks."""
        for code, line in super().wrap(source):
            for label, address in self.options.get("links", {}).items():
                link = f'<a class="to-equation" href="{address}">{label}</a>'
                line = line.replace(f"\ue000{label}\ue001", link)
            yield code, line


class Translator(HTML5Translator):
    """Equations and code lead to each other; what is no list is none to a screen reader either."""

    def __init__(self, *arguments: object):
        super().__init__(*arguments)
        self.highlighter.formatter = LinkingFormatter

    def add_permalink_ref(self, node: nodes.Element, title: str) -> None:
        """Behind an equation's number also a link to its code."""
        super().add_permalink_ref(node, title)
        if address := node.get("to-code"):
            title = "the code that implements this equation"
            self.body.append(f'<a class="to-code" href="{address}" title="{title}">code</a>')

    def visit_citation(self, node: nodes.citation) -> None:
        """The bibliography has no items."""
        if not isinstance(node.previous_sibling(), nodes.citation):
            self.body.append("<div>\n")
        self.body.append(self.starttag(node, "div", classes=["citation"], role="doc-biblioentry"))
