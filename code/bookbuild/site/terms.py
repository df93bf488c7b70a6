"""The field's words lead to the glossary where a section first uses them, without the author's doing."""

import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from bookbuild.site.markup import ancestors

GLOSSARY = "reference/glossary"
PLAIN = (nodes.paragraph, nodes.emphasis, nodes.strong, nodes.list_item)  # where words are prose
NAMES = (nodes.caption, nodes.title, nodes.reference)
CODE = {"snippet", "cell", "cell_output", "evidence"}  # classes
DOER = re.compile(r"\b(it|he|she|who|each|this|everybody|nobody)\s$", re.I)  # what it "returns" is no return


def read(file: Path) -> list[str]:
    """The terms of a glossary; none where there is no such file."""
    text = file.read_text(encoding="utf-8-sig") if file.exists() else ""
    body = text.partition("```{glossary}")[2].partition("\n```")[0]
    return re.findall(r"^(?!:)(\S.*?)\s*$", body.partition("\n")[2], re.M)


def pattern(terms: list[str]) -> re.Pattern:
    """What finds the terms in a text, the longer ones first: alone, in the plural, and with a capital."""
    found = []
    for term in sorted(terms, key=len, reverse=True):
        first = f"(?i:{re.escape(term[0])})" if term.islower() else re.escape(term[0])
        found.append(first + re.escape(term[1:]))
    return re.compile(rf"(?<![\w-])({'|'.join(found)})(e?s)?(?![\w-])")


def link_terms(app: Sphinx, doctree: nodes.document) -> None:
    """Link the first use of each term in the prose of each section (those that the page's contents name)."""
    page, file = app.env.docname, app.env.doc2path(GLOSSARY)
    if page == GLOSSARY or "/" not in page or not (terms := read(file)):
        return
    app.env.note_dependency(file)
    known, words = {term.lower(): term for term in terms}, pattern(terms)
    left: dict[int, set[str]] = {}  # section -> terms that it has not used
    for reference in doctree.findall(addnodes.pending_xref):
        if reference.get("reftype") == "term":
            left.setdefault(_section(reference), {*known}).discard(reference["reftarget"].lower())
    for text in list(doctree.findall(nodes.Text)):
        if isinstance(text.parent, PLAIN) and _is_prose(text.parent):
            _link(text, known, left.setdefault(_section(text), {*known}), words, page)


def _section(node: nodes.Node) -> int:
    """The section of the second level that a node is in, or the page's opening."""
    above = [one for one in ancestors(node) if isinstance(one, nodes.section)]
    return id(above[-2]) if len(above) > 1 else 0


def _is_prose(node: nodes.Element) -> bool:
    while isinstance(node, PLAIN) or "tag_evidence" in node.get("classes", []):
        node = node.parent
    return not any(isinstance(one, NAMES) or CODE & {*one["classes"]} for one in (node, *ancestors(node)))


def _link(text: nodes.Text, known: dict[str, str], left: set[str], words: re.Pattern, page: str) -> None:
    made, end = [], 0
    for found in words.finditer(text):
        verb = found[2] and DOER.search(text[: found.start()])
        if (term := found[1].lower()) in left and not verb:
            left.discard(term)
            target = addnodes.pending_xref(
                "", nodes.inline(text=found[0], classes=["std", "std-term"]), refdomain="std", reftype="term",
                reftarget=known[term], refexplicit=True, refwarn=True, refdoc=page, classes=["first-use"],
            )  # fmt: skip
            made += [nodes.Text(text[end : found.start()]), target]
            end = found.end()
    if made:
        text.parent.replace(text, [*made, nodes.Text(text[end:])])
