"""``{api}``: every public function and class of a package, from the docstrings, by module.

Sphinx's autodoc and napoleon do the work. Added here: which modules there are, a docstring's ``Book:``
line as a link, links to the source where a repository is configured, and that nothing stays undocumented.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from bookbuild.engine.pages import CHAPTER_PARTS
from bookbuild.engine.project import BookError, Project
from bookbuild.engine.source import find
from bookbuild.site.domain import BookDirective

BOOK = re.compile(r"^Book:\s*([^#]+)")  # the pages, separated by commas
STAR = re.compile(r"(?<=, )\*(?=\w+\))")  # as in (B, *shape): it begins no emphasis


def public_modules(project: Project, package: str) -> dict[str, Path]:
    """The modules of ``package`` by dotted name, itself and its sub-packages included; each before its own.

    Raises:
        BookError: ``code/`` has no such package.
    """
    base = project.code / package
    if not (base / "__init__.py").exists():
        raise BookError(f"code/ has no package {package!r}: code/{package}/__init__.py is missing")
    found = {}
    for file in sorted(base.glob("**/*.py")):
        parts = file.relative_to(project.code).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if not any(part.startswith("_") for part in parts):
            found[".".join(parts)] = file
    return dict(sorted(found.items(), key=lambda item: _place(*item)))


def undocumented(name: str, file: Path) -> list[str]:
    """The module, if it has no docstring, and its public functions, classes and methods that have none."""

    def within(node: ast.AST, name: str) -> Iterator[str]:
        if not ast.get_docstring(node):
            yield name
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for child in node.body:
                kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
                if isinstance(child, kinds) and not child.name.startswith("_"):
                    yield from within(child, f"{name}.{child.name}")

    return list(within(ast.parse(file.read_bytes()), name))


class ApiDirective(BookDirective):
    """Usage: ``{api} PACKAGE``: a section for each part of the package, one below it for each module."""

    def run(self) -> list[nodes.Node]:
        package = self.arguments[0]
        try:
            found = public_modules(self.config.book.project, package)
        except BookError as error:
            raise self.error(str(error)) from None
        lines = []
        for name, file in found.items():
            for gap in undocumented(name, file):
                self.warn(f"api: {gap} has no docstring")
            if file.name == "__init__.py":
                title = name.rpartition(".")[2].capitalize() if "." in name else f"`{name}`"
                lines += [f"## {title}", *_module(name)]
            else:
                lines += [f"### `{name.removeprefix(package + '.')}`", *_module(name)]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def _place(name: str, file: Path) -> tuple[int, str]:
    """Where a module comes: the ground floor, the parts in the book's order, then the others."""
    parts = name.split(".")[1:]
    part = parts[0] if parts and (len(parts) > 1 or file.name == "__init__.py") else ""
    order = ["", *CHAPTER_PARTS]
    return (order.index(part) if part in order else len(order), name)


def _module(name: str) -> list[str]:
    return ["```{eval-rst}", f".. automodule:: {name}", "   :members:", "```"]


def finish(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """In a docstring, changed in place: escape the stars of shapes, link the pages of a ``Book:`` line."""
    for i, line in enumerate(lines):
        lines[i] = STAR.sub(r"\*", line)
        if found := BOOK.match(line):
            pages = (f":doc:`/{page.strip()}`" for page in found[1].split(","))
            lines[i] = f"In the book: {', '.join(pages)}"
    if what in ("attribute", "property"):
        lines[:0] = ["..", ""]  # napoleon takes what stands before a colon in the first line for a type


def readable_defaults(
    app: Sphinx, what: str, name: str, obj: object, options: object, signature: str | None, result: str | None
) -> tuple[str | None, str | None]:
    """A dataclass says ``<factory>`` for a default that is made anew, which is no Python to Sphinx."""
    return signature and signature.replace("<factory>", "..."), result


def source_links(project: Project):
    """What ``sphinx.ext.linkcode`` asks: the address of an object's source in the project's repository."""

    def resolve(domain: str, info: dict[str, str]) -> str | None:
        if domain != "py" or not info["module"]:
            return None
        try:
            found = find(project, f"{info['module']}.{info['fullname']}")
        except BookError:  # an attribute: its class has the link
            return None
        place = found.file.relative_to(project.root).as_posix()
        return f"{project.repository_url}/blob/main/{place}#L{found.first}-L{found.last}"

    return resolve


def setup(app: Sphinx) -> dict:
    app.setup_extension("sphinx.ext.napoleon")  # brings autodoc
    app.connect("autodoc-process-docstring", finish, priority=499)  # napoleon's is 500
    app.connect("autodoc-process-signature", readable_defaults)
    app.add_directive("api", ApiDirective)
    project = Project.at(app.confdir)
    if project.repository_url:
        app.setup_extension("sphinx.ext.linkcode")
        app.config.linkcode_resolve = source_links(project)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
