"""What the book shows beyond its text: a live agent, drawings, films, agendas, papers, reading paths, and
what other sites are told of a page.

A Sphinx extension beside ``bookbuild.site``, which shows what the engine holds.
"""

from sphinx.application import Sphinx

from showcase import agendas, cards, drawings, films, landing, papers, paths


def setup(app: Sphinx) -> dict:
    """Register all of it."""
    for part in (landing, cards, drawings, films, agendas, papers, paths):
        part.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
