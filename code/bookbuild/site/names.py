"""Shown code is closed: each name of the book's code leads to where it is defined.

In cells and listings a name that means a function or class of the book's code becomes a link: to its listing
on the page, else to the page's appendix, folded at its end, which has the code of the book's parts that the
page uses and does not show, else to the reference.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence

from docutils import nodes
from sphinx.application import Sphinx

from bookbuild.engine.pages import CHAPTER_PARTS
from bookbuild.engine.project import Project
from bookbuild.site.reading import Evidence
from standalone.source import Import, SourceError, find, locate, parsed, read, readable

Place = tuple[int, int, str, str]  # line from 1, column, the text there, what it means by its dotted name


def imports(tree: ast.AST) -> dict[str, str]:
    """What a cell's imports bind, by dotted names."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None)
            for alias in node.names:
                whole = f"{module}.{alias.name}" if module else alias.name
                top = alias.name.split(".")[0]  # which alone ``import a.b`` binds
                found[alias.asname or top] = whole if module or alias.asname else top
    return found


def of_module(project: Project, dotted: str) -> dict[str, str]:
    """What the names at the top of a module mean, the module in which ``dotted`` lies."""
    module, file, _ = locate(project, dotted)
    text, tree = parsed(file)
    found = {}
    for name, (one, *_) in read(module, file.name, text, tree).names.items():
        found[name] = one.origin if isinstance(one, Import) else f"{module}.{name}"
    return found


def places(tree: ast.AST, meaning: Mapping[str, str], project: Project) -> Iterator[Place]:
    """Where code names functions and classes of the book.

    A name that the code binds itself means no other.
    """
    bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    bound |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    bound |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        dotted = _dotted(node, meaning, bound)
        if "." in dotted and (home := defined(project, dotted)):
            text = dotted.rpartition(".")[2] if isinstance(node, ast.Attribute) else node.id
            yield node.end_lineno, node.end_col_offset - len(text.encode()), text, home


def _dotted(node: ast.AST, meaning: Mapping[str, str], bound: set[str]) -> str:
    match node:
        case ast.Name(id=name) if name in meaning and name not in bound:
            return meaning[name]
        case ast.Attribute(value=value, attr=attr) if inner := _dotted(value, meaning, bound):
            return f"{inner}.{attr}"
    return ""


def defined(project: Project, dotted: str) -> str:
    """The name of a function or class where it is defined, imports followed; empty for anything else."""
    try:
        module, _, rest = locate(project, dotted)
        if len(rest) == 1 and (home := of_module(project, module).get(rest[0], dotted)) != dotted:
            return defined(project, home)
        find(project, dotted)
    except SourceError:
        return ""
    return dotted if rest else ""


def note_names(app: Sphinx, doctree: nodes.document) -> None:
    """Keep in each listing what its names mean, and put the code that is not shown at the page's end."""
    project, meaning, shown, wanted = app.config.book.project, {}, {}, []
    for block in list(doctree.findall(nodes.literal_block)):
        snippet = block.parent if "dotted" in block.parent else None
        cell = block.parent.get("nb_element") == "cell_code_source"
        if (snippet is None and not cell) or block.get("language") == "diff":
            continue
        try:
            tree = ast.parse(block.rawsource)
        except SyntaxError:
            continue
        if cell:
            meaning |= imports(tree)
        else:
            shown.setdefault(snippet["dotted"], snippet["ids"][0])
        known = meaning if cell else of_module(project, snippet["dotted"])
        block["meanings"] = list(places(tree, known, project))
        wanted += [name for *_, name in block["meanings"]]
        if snippet is not None and snippet["region"]:  # a part: the whole is a click away
            wanted.append(snippet["dotted"])
            shown.pop(snippet["dotted"])
    behind = list(_appendix(project, wanted, {*shown}))
    if behind:
        shown |= {block["dotted"]: block["ids"][0] for block in behind}
        line = f"Code that this page uses and does not show ({len(behind)})"
        doctree += Evidence("", *behind, line=line, ids=["more-code"])
    for block in doctree.findall(nodes.literal_block):
        block["meanings"] = [(*at, name, shown.get(name, "")) for *at, name in block.get("meanings", [])]


def _appendix(project: Project, wanted: Sequence[str], shown: set[str]) -> Iterator[nodes.container]:
    """Listings of what is wanted of the book's parts, and of what that uses of them."""
    done, wanted = shown, [*wanted]
    while wanted:
        name = wanted.pop(0)
        if name in done or name.split(".")[1] not in CHAPTER_PARTS:
            continue
        done.add(name)
        text = readable(find(project, name).text)
        block = nodes.literal_block(text, text, language="python")
        block["meanings"] = list(places(ast.parse(text), of_module(project, name), project))
        wanted += [home for *_, home in block["meanings"]]
        caption = nodes.paragraph("", "", nodes.literal(text=name), classes=["snippet-source"])
        box = nodes.container("", block, caption, classes=["snippet"], ids=[nodes.make_id(f"more-{name}")])
        box["dotted"] = name
        yield box


def link_names(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Give the names in a page's listings the addresses that they lead to (see ``markup``)."""
    objects = app.env.domains.python_domain.objects
    for block in doctree.findall(nodes.literal_block):
        links = {}
        for line, column, _, name, anchor in block.get("meanings", []):
            if anchor:
                links[line, column] = f"#{anchor}"
            elif name in objects:
                uri = app.builder.get_relative_uri(page, objects[name].docname)
                links[line, column] = f"{uri}#{objects[name].node_id}"
        if links:
            block["highlight_args"] = {**block.get("highlight_args", {}), "names": links}
