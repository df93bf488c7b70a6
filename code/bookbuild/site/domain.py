"""What pages were found to hold as they were read, kept page by page: they are read in several processes."""

from pathlib import Path

from docutils import nodes
from sphinx.domains import Domain
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)


class BookDomain(Domain):
    """Lists by page: its ``failures``, the labels that its snippets have ``implemented``, its ``exercises``,
    the modules that it offers as ``downloads``, with their texts, and the digest of its own ``text``.

    ``whole`` are failures that show only when all pages have been read.
    """

    name = "book"
    label = "Book"
    initial_data = {
        "failures": {}, "whole": {}, "implemented": {}, "exercises": {}, "downloads": {}, "text": {}
    }  # fmt: skip

    def note(self, kind: str, page: str, what: object) -> None:
        """Keep something of a page until the page is read again."""
        self.data[kind].setdefault(page, []).append(what)

    def warn(self, message: str, page: str | Path, line: int, kind: str = "failures") -> None:
        """Something is wrong on a page, or in a file: the build turns red, and the page says so."""
        if isinstance(page, Path):
            logger.warning(message, location=f"{page}:{line}", type="book")
        else:
            self.note(kind, page, message)
            logger.warning(message, location=(page, line), type="book")

    def failures(self, page: str) -> list[str]:
        """All that is wrong on a page."""
        return self.data["whole"].get(page, []) + self.data["failures"].get(page, [])

    def clear_doc(self, docname: str) -> None:
        """Forget a page."""
        for kind in self.initial_data:
            self.data[kind].pop(docname, None)

    def merge_domaindata(self, docnames: set[str], otherdata: dict) -> None:
        """Take over the pages that another process has read."""
        for kind in self.initial_data:
            self.data[kind] |= {page: kept for page, kept in otherdata[kind].items() if page in docnames}


class BookDirective(SphinxDirective):
    """A directive that shows something of the book, or says what is wrong with it."""

    required_arguments = 1

    def warn(self, message: str) -> None:
        """Something is wrong here."""
        self.env.get_domain("book").warn(message, self.env.docname, self.lineno)

    def fail(self, message: str) -> list[nodes.Node]:
        """Something is wrong here, and takes the place of what should be shown."""
        self.warn(message)
        return [nodes.error("", nodes.paragraph(text=message))]
