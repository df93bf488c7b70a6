"""Figures and tables are numbered page by page, as equations are; a bibliography leads back to who cites.

Sphinx numbers them through the whole book, so that the first figure of a page is its seventy-first.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors.toctree import TocTreeCollector


class PageByPage(TocTreeCollector):
    """Sphinx's collector, whose numbers begin anew on each page."""

    def assign_figure_numbers(self, env: BuildEnvironment) -> list[str]:
        """Take the numbers that were noted; the pages whose numbers have changed."""
        before, env.toc_fignumbers = env.toc_fignumbers, dict(env.get_domain("book").noted("numbers"))
        return [page for page, numbers in env.toc_fignumbers.items() if before.get(page) != numbers]


def note_numbers(app: Sphinx, doctree: nodes.document) -> None:
    """Number the figures and tables that have a caption, of a page that was read, each kind from 1."""
    domain, numbers = app.env.domains.standard_domain, {}
    for node in doctree.findall(nodes.Element):
        if (kind := domain.get_enumerable_node_type(node)) and domain.get_numfig_title(node):
            own = numbers.setdefault(kind, {})
            own[node["ids"][0]] = (len(own) + 1,)
    app.env.get_domain("book").note("numbers", app.env.docname, numbers)


def number_page_by_page(app: Sphinx) -> None:
    """Have the collector that Sphinx has set up do so."""
    for listener in app.events.listeners["env-get-updated"]:
        collector = getattr(listener.handler, "__self__", None)
        if type(collector) is TocTreeCollector:
            collector.__class__ = PageByPage


def citing(env: BuildEnvironment, citation: nodes.citation) -> list[str]:
    """The pages that cite an entry of the bibliography."""
    domain = env.get_domain("cite")
    keys = {one.key for one in domain.citations if one.citation_id in citation["ids"]}
    references = domain.citation_refs
    return sorted({one.docname for one in references for target in one.targets if target.key in keys})
