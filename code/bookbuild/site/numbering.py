"""Figures and tables are numbered page by page, as equations are; a bibliography leads back to who cites.

Sphinx numbers them through the whole book, so that the first figure of a page is its seventy-first.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def note_numbers(app: Sphinx, doctree: nodes.document) -> None:
    """Number the figures and tables that have a caption, of a page that was read, each kind from 1."""
    domain, numbers = app.env.domains.standard_domain, {}
    for node in doctree.findall(nodes.Element):
        if (kind := domain.get_enumerable_node_type(node)) and domain.get_numfig_title(node):
            own = numbers.setdefault(kind, {})
            own[node["ids"][0]] = (len(own) + 1,)
    app.env.get_domain("book").note("numbers", app.env.docname, numbers)


def number_page_by_page(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Put the numbers that were noted in the place of Sphinx's."""
    env.toc_fignumbers = dict(env.get_domain("book").noted("numbers"))
    return []


def citing(env: BuildEnvironment, citation: nodes.citation) -> list[str]:
    """The pages that cite an entry of the bibliography."""
    domain = env.get_domain("cite")
    keys = {one.key for one in domain.citations if one.citation_id in citation["ids"]}
    references = domain.citation_refs
    return sorted({one.docname for one in references for target in one.targets if target.key in keys})
