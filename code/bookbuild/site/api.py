"""``{api}``: every public function and class of a package, from its source and docstrings, by module.

Nothing is imported. Napoleon makes fields of a docstring's sections; a ``Book:`` line becomes a link, and
what is public and undocumented turns the build red.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from textwrap import indent

from docutils import nodes
from sphinx import addnodes
from sphinx.ext.napoleon import GoogleDocstring

from bookbuild.engine.pages import CHAPTER_PARTS
from bookbuild.engine.project import Project
from bookbuild.site.domain import BookDirective
from bookbuild.site.snippets import hosted
from standalone.source import SourceError, find, parsed

BOOK = re.compile(r"^Book:\s*([^#\n]+).*", re.M)  # the pages, separated by commas
STAR = re.compile(r"(?<=[ (])\*(?=\w+\))|(?<!`)\|(?=\w+\|)")  # as in (B, *shape) and |x|: they begin nothing
TIGHT = re.compile(r"(: [^=]*?)=")  # as in (x: int=0)
FACTORY = re.compile(r"(dataclasses\.)?field\(.*\)")  # of a default that is made anew


def public_modules(project: Project, package: str) -> dict[str, Path]:
    """The modules of a package by name: the ground floor, the parts in the book's order, the exercises."""
    order, found = [*CHAPTER_PARTS, "exercises"], []
    for file in (project.code / package).glob("**/*.py"):
        parts = file.relative_to(project.code / package).with_suffix("").parts
        name = ".".join([package, *parts]).removesuffix(".__init__")
        if "._" not in name:
            found.append((order.index(parts[0]) if parts[0] in order else -1, name, file))
    return {name: file for _, name, file in sorted(found)}


def public(node: ast.AST, name: str, docstring: str | None, depth: int = 0) -> Iterator[tuple]:
    """An object and all that is public in it: dotted name, node, docstring, how deep it lies."""
    if "._" in name:
        return
    yield name, node, docstring or "", depth
    body = node.body if isinstance(node, ast.Module | ast.ClassDef) else []
    for child, after in zip_longest(body, body[1:]):
        match child, after:
            case ast.FunctionDef(name=own) | ast.AsyncFunctionDef(name=own) | ast.ClassDef(name=own), _:
                yield from public(child, f"{name}.{own}", ast.get_docstring(child), depth + 1)
            case ast.Assign() | ast.AnnAssign(), ast.Expr(ast.Constant(str(text))):
                own = re.match(r"\w+", ast.unparse(child))[0]
                yield from public(child, f"{name}.{own}", inspect.cleandoc(text), depth + 1)


def described(module: str, file: Path) -> list[tuple[str, ast.AST, str, int]]:
    """A module and all that is public in it: dotted names, nodes, docstrings, how deep they lie."""
    _, tree = parsed(file)
    return list(public(tree, module, ast.get_docstring(tree)))


class ApiDirective(BookDirective):
    """Usage: ``{api} PACKAGE``: a section for each part of the package, one below it for each module."""

    def run(self) -> list[nodes.Node]:
        package, project, texts, given = self.arguments[0], self.config.book.project, ["```{eval-rst}"], {}
        try:
            modules = {name: described(name, file) for name, file in public_modules(project, package).items()}
        except SourceError as error:
            return self.fail(f"api: {error}")
        if package not in modules:
            return self.fail(f"api: code/ has no package {package!r}")
        above = {name.rpartition(".")[0] for name in modules}
        for module, found in modules.items():
            title = f"``{module.removeprefix(f'{package}.')}``"
            texts += [title, ("=" if module in above else "-") * len(title), ""]
            for name, node, docstring, depth in found:
                if not docstring:
                    self.warn(f"api: {name} has no docstring")
                kind, given[name] = _signature(node, inside=depth > 1)
                own = name.rpartition(".")[2] if depth else name
                texts.append(indent(f".. py:{kind}:: {own}\n\n{_prose(node, docstring)}", "   " * depth))
        shown = self.parse_text_to_nodes("\n".join([*texts, "```"]), allow_section_headings=True)
        for signature in (one for node in shown for one in node.findall(addnodes.desc_signature)):
            for empty in list(signature.findall(addnodes.desc_parameterlist)):
                signature.remove(empty)
            name = f"{signature.get('module')}.{signature.get('fullname')}"
            # one text: a node for each word of it would cost seconds
            text = given.get(name, "")
            signature += nodes.inline(text=text, classes=["sig-given"], support_smartquotes=False)
            if project.repository_url and signature.parent["objtype"] not in ("attribute", "data"):
                mark = nodes.inline(text="[source]", classes=["viewcode-link"])
                signature += nodes.reference("", "", mark, refuri=hosted(project, find(project, name)))
        return shown


def _prose(node: ast.AST, docstring: str) -> str:
    """A docstring as reStructuredText, indented."""
    text = STAR.sub(r"\\\g<0>", docstring)
    text = BOOK.sub(lambda found: "In the book: " + re.sub(r"[\w/]+", r":doc:`/\g<0>`", found[1]), text)
    if bases := getattr(node, "bases", None):
        text += f"\n\nExtends {', '.join(f'``{ast.unparse(base)}``' for base in bases)}."
    return indent(str(GoogleDocstring(text)), "   ") + "\n"


def _signature(node: ast.AST, inside: bool) -> tuple[str, str]:
    """What an object is to Sphinx, and what follows its name. ``inside``: of a class."""
    match node:
        case ast.Module():
            return "module", ""
        case ast.Assign() | ast.AnnAssign():
            return "attribute" if inside else "data", re.sub(r"^\w+", "", _text(node))
        case ast.ClassDef(body=body):
            made = [_signature(child, True)[1] for child in body if getattr(child, "name", "") == "__init__"]
            fields = ", ".join(_text(child) for child in body if isinstance(child, ast.AnnAssign))
            return "class", made[0].removesuffix(" → None") if made else f"({fields})" if fields else ""
    kinds = {_text(mark).removeprefix("cached_") for mark in node.decorator_list}
    kinds = [*kinds & {"property", "classmethod", "staticmethod"}, "method" if inside else "function"]
    taken = re.sub(r"^(self|cls)(, )?", "", TIGHT.sub(r"\1 = ", _text(node.args)))
    arrow = ": " if kinds[0] == "property" else f"({taken}) → "
    return kinds[0], arrow + _text(node.returns) if node.returns else arrow.rstrip(": →")


def _text(node: ast.AST) -> str:
    """Source, in which a default that is made anew is ``...``."""
    return FACTORY.sub("...", ast.unparse(node))
