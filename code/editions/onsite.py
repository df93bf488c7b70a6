"""What makes no sense away from the site."""

import re

from docutils import nodes

RUNS = re.compile(r"<(?:form|script|button|input|select)\b|<a\b[^>]* download\b", re.I)


def only_on_site(node: nodes.Node) -> bool:
    """Whether a part of a page is marked as the site's, or is HTML that runs, asks, or fetches its files."""
    if isinstance(node, nodes.raw) and RUNS.search(node.astext()):
        return True
    return isinstance(node, nodes.Element) and "on-site" in node["classes"]
