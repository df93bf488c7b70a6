"""What the book shows beyond its text: a live agent, drawings, films, playable figures, agendas, papers,
reading paths, and what other sites are told of a page.

A Sphinx extension beside ``bookbuild.site``, which shows what the engine holds.
"""

from sphinx.application import Sphinx

from showcase import agendas, cards, drawings, films, landing, papers, paths, playable


def setup(app: Sphinx) -> dict:
    """Register all of it."""
    for part in (landing, cards, drawings, films, agendas, papers, paths, playable):
        part.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
