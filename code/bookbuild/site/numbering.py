"""Figures and tables are numbered page by page, as equations are; a bibliography leads back to who cites.

Sphinx numbers them through the whole book, so that the first figure of a page is its seventy-first.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors.toctree import TocTreeCollector

Numbers = dict[str, dict[str, dict[str, tuple[int, ...]]]]  # page -> kind -> anchor -> number


class PageByPage(TocTreeCollector):
    """Sphinx's collector, whose numbers begin anew on each page."""

    def assign_figure_numbers(self, env: BuildEnvironment) -> list[str]:
        """Number the figures; the pages whose numbers have changed."""
        before = env.toc_fignumbers
        super().assign_figure_numbers(env)
        env.toc_fignumbers = anew(env.toc_fignumbers)
        return [page for page, numbers in env.toc_fignumbers.items() if before.get(page) != numbers]


def number_page_by_page(app: Sphinx) -> None:
    """Have the collector that Sphinx has set up do so."""
    for listener in app.events.listeners["env-get-updated"]:
        collector = getattr(listener.handler, "__self__", None)
        if type(collector) is TocTreeCollector:
            collector.__class__ = PageByPage


def anew(numbers: Numbers) -> Numbers:
    """The same order, from 1 on each page."""
    return {
        page: {
            kind: {anchor: (nth,) for nth, anchor in enumerate(sorted(own, key=own.get), 1)}
            for kind, own in kinds.items()
        }
        for page, kinds in numbers.items()
    }


def citing(env: BuildEnvironment, citation: nodes.citation) -> list[str]:
    """The pages that cite an entry of the bibliography."""
    domain = env.get_domain("cite")
    keys = {one.key for one in domain.citations if one.citation_id in citation["ids"]}
    return sorted({reference.docname for reference in domain.citation_refs if keys & _keys(reference)})


def _keys(reference: object) -> set[str]:
    return {target.key for target in reference.targets}
