"""What makes no sense away from the site."""

import re

from docutils import nodes

from bookbuild.site.markup import is_output

RUNS = re.compile(r"<(?:form|script|button|input|select)\b|<a\b[^>]* download\b", re.I)


def only_on_site(node: nodes.Node) -> bool:
    """Whether a part of a page is marked as the site's, or is HTML that runs, asks, or fetches its files.

    What came out of a cell is neither: of that the words stay.
    """
    if isinstance(node, nodes.raw) and RUNS.search(node.astext()):
        return not is_output(node)
    return isinstance(node, nodes.Element) and "on-site" in node["classes"]
