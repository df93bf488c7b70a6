"""The book to take along: an EPUB of the whole of it, and each page as plain Markdown with its outputs.

A Sphinx extension beside ``bookbuild.site``, and the command ``python -m bookbuild epub``.

- ``check``: what an EPUB must keep to.
- ``epub``: the book as Sphinx has read it for the site, written for e-readers.
- ``formulas``: formulas as text where text can show them, else as drawings.
- ``markdown``: a page as Markdown.
- ``onsite``: what makes no sense away from the site.
- ``xhtml``: HTML that every e-reader can read.
"""

from sphinx.application import Sphinx

from editions import epub, markdown


def setup(app: Sphinx) -> dict:
    """Register both."""
    for part in (epub, markdown):
        part.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
