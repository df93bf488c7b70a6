"""What pages were found to hold as they were read, kept page by page: they are read in several processes."""

from pathlib import Path

from docutils import nodes
from jinja2 import Environment, FileSystemLoader
from sphinx.domains import Domain
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent), trim_blocks=True, lstrip_blocks=True)
logger = logging.getLogger(__name__)


class BookDomain(Domain):
    """What was ``noted`` of each page, and failures of the ``whole``, which show when all pages were read.

    Noted are, as pairs of a kind and a value: a "failure", the label and anchor of an "implemented" equation,
    name and line of an "exercise", name and text of a "download", the page's own "text", text,
    display and line of a "formula", the "numbers" of its figures and tables.
    """

    name = "book"
    initial_data = {"noted": {}, "whole": {}}

    def note(self, kind: str, page: str, what: object) -> None:
        """Keep something of a page until the page is read again."""
        self.data["noted"].setdefault(page, []).append((kind, what))

    def noted(self, kind: str) -> list[tuple]:
        """What was noted, with its page."""
        pages = sorted(self.data["noted"].items())
        return [(page, what) for page, found in pages for its_kind, what in found if its_kind == kind]

    def warn(self, message: str, page: str | Path, line: int, whole: bool = False) -> None:
        """Something is wrong on a page, or in a file: the build turns red, and the page says so."""
        if isinstance(page, Path):
            logger.warning(message, location=f"{page}:{line}", type="book")
            return
        logger.warning(message, location=(page, line), type="book")
        if whole:
            self.data["whole"].setdefault(page, []).append(message)
        else:
            self.note("failure", page, message)

    def failures(self, page: str) -> list[str]:
        """All that is wrong on a page."""
        own = [what for kind, what in self.data["noted"].get(page, []) if kind == "failure"]
        return self.data["whole"].get(page, []) + own

    def clear_doc(self, docname: str) -> None:
        """Forget a page."""
        self.data["noted"].pop(docname, None)

    def merge_domaindata(self, docnames: set[str], otherdata: dict) -> None:
        """Take over the pages that another process has read."""
        self.data["noted"] |= {page: kept for page, kept in otherdata["noted"].items() if page in docnames}


def filled(template: str, **values: object) -> str:
    """A template of this folder, filled in."""
    return TEMPLATES.get_template(template).render(values)


class BookDirective(SphinxDirective):
    """A directive that shows something of the book, or says what is wrong with it."""

    required_arguments = 1

    def note(self, kind: str, what: object) -> None:
        """Keep something of this page."""
        self.env.get_domain("book").note(kind, self.env.docname, what)

    def warn(self, message: str) -> None:
        """Something is wrong here."""
        self.env.get_domain("book").warn(message, self.env.docname, self.lineno)

    def fail(self, message: str) -> list[nodes.Node]:
        """Something is wrong here, and takes the place of what should be shown."""
        self.warn(message)
        return [nodes.error("", nodes.paragraph(text=message))]
