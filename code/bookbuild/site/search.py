"""What the search looks through: the prose of each section, the words of the glossary, names of the package.

It is written as a script of its own (``searchdata.js``), which a page loads when somebody searches; what
searches is ``search.js``. Sphinx's own index is not made.
"""

import json
import re
from html.entities import html5
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

QUIET = nodes.FixedTextElement | nodes.Invisible | nodes.table | nodes.citation  # listings, formulas, HTML
UNSEEN = {"snippet-source", "cell_input", "evidence"}  # no prose
LISTS = ("reference/api", "reference/verification")  # whose names lead, not their text
STAGE = re.compile(r"\.stage_\d")
OPERATORS = {name: name for name in ("max", "min", "log", "exp", "tanh", "arg", "ln", "sin", "cos", "lim")}

Entry = tuple[str, str, str]  # anchor, title, text


def entries(doctree: nodes.document) -> list[Entry]:
    """The sections of a page, and the terms that it explains."""
    found = []
    for section in doctree.findall(nodes.section):
        title = _words(section.next_node(nodes.title))
        own = [child for child in section.children if not isinstance(child, nodes.section | nodes.title)]
        if not any(child.next_node(addnodes.glossary, include_self=True) for child in own if child.children):
            found.append((section["ids"][0], title, " ".join(filter(None, map(_words, own)))))
    for glossary in doctree.findall(addnodes.glossary):
        for item in glossary.findall(nodes.definition_list_item):
            terms = [term for term in item.children if isinstance(term, nodes.term)]
            text = _words(item.next_node(nodes.definition))
            found.append((terms[0]["ids"][0], ", ".join(map(_words, terms)), text))
    return found


def _words(node: nodes.Node | None) -> str:
    if isinstance(node, nodes.Text):
        return node.astext()
    if node is None or isinstance(node, QUIET) or UNSEEN & {*node["classes"]}:
        return ""
    if isinstance(node, nodes.math):
        return plain(node.astext())
    between = "" if isinstance(node, nodes.TextElement) else " "
    return " ".join(between.join(map(_words, node.children)).split()) if node.parent else ""


def plain(tex: str) -> str:
    """A formula in the line as one reads it: Greek letters, no braces."""
    text = re.sub(r"\\([A-Za-z]+) ?", lambda n: html5.get(f"{n[1]};", OPERATORS.get(n[1], "")), tex)
    return re.sub(r"\\.|[{}$]", "", text)


def note_entries(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Keep what a page has, beside Sphinx's own files: pages are written in several processes."""
    if app.builder.format == "html":
        file = _file(app, page)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps([] if page in LISTS else entries(doctree)), encoding="utf-8")


def _file(app: Sphinx, page: str) -> Path:
    return Path(app.doctreedir, "search", f"{page}.json")


def write_data(app: Sphinx, exception: Exception | None) -> None:
    """Write what the search looks through, chapters first."""
    if exception is not None or app.builder.format != "html":
        return
    env, sections = app.env, []
    for page in sorted(env.found_docs):
        title, uri = env.titles[page].astext(), app.builder.get_target_uri(page)
        own = json.loads(_file(app, page).read_text(encoding="utf-8"))
        sections += [[uri, title, *entry] for entry in own]
    objects = [
        [f"{app.builder.get_target_uri(place.docname)}#{place.node_id}", name]
        for name, place in sorted(env.domains.python_domain.objects.items())
        if not STAGE.search(name) and place.objtype != "module"
    ]
    data = json.dumps({"sections": sections, "objects": objects}, ensure_ascii=False, separators=(",", ":"))
    Path(app.outdir, "_static", "searchdata.js").write_text(f"window.bookData={data}\n", encoding="utf-8")
