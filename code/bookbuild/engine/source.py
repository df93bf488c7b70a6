"""The source of an object of the book's code, found by its dotted name."""

import ast
import difflib
import functools
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from bookbuild.engine.project import BookError, Project
from bookbuild.engine.standalone import locate

REGION = re.compile(r"^\s*# (region: (?P<name>[\w-]+)|endregion)\s*$")


@dataclass(frozen=True)
class Snippet:
    """The source of one object."""

    file: Path
    first: int  # line of the file, from 1
    last: int
    text: str  # dedented, region marks left out
    body: frozenset[int]  # the lines that run when the object is used, not when its module is imported
    node: ast.AST


def find(project: Project, dotted: str, region: str | None = None, whole: bool = False) -> Snippet:
    """The function, class or method called ``dotted``, or a named region of it.

    A region is what stands between the comments ``# region: NAME`` and ``# endregion``. ``whole`` says that
    the name may be that of a module, and means all of it.

    Raises:
        BookError: there is no such module, object or region.
    """
    _, file, rest = locate(project, dotted)
    source = file.read_text(encoding="utf-8")
    node = _parsed(source)
    for name in rest or [dotted.split(".")[-1]] * (not whole):
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        inside = {child.name: child for child in ast.iter_child_nodes(node) if isinstance(child, kinds)}
        if name not in inside:
            known = ", ".join(sorted(inside)) or "nothing"
            raise BookError(f"{dotted!r}: no function, class or method {name!r} (there is: {known})")
        node = inside[name]
    lines = source.splitlines()
    first, last = 1, len(lines)
    if not isinstance(node, ast.Module):
        first, last = min([node.lineno, *(d.lineno for d in node.decorator_list)]), node.end_lineno
    body = _running_lines(node)
    if region:
        first, last = _region(lines, first, last, dotted, region)
        body = frozenset(line for line in body if first <= line <= last)
    shown = [line for line in lines[first - 1 : last] if not REGION.match(line)]
    return Snippet(file, first, last, textwrap.dedent("\n".join(shown)), body, node)


@functools.cache
def _parsed(source: str) -> ast.AST:
    return ast.parse(source)


def _region(lines: list[str], first: int, last: int, dotted: str, region: str) -> tuple[int, int]:
    start, depth = None, 0
    for number in range(first, last + 1):
        mark = REGION.match(lines[number - 1])
        if mark and start:
            depth += 1 if mark["name"] else -1
            if depth == 0:
                return start, number - 1
        elif mark and mark["name"] == region:
            start, depth = number + 1, 1
    what = "has no end ('# endregion')" if start else f"is not there (mark it '# region: {region}')"
    raise BookError(f"region {region!r} of {dotted} {what}")


def difference(old: str, new: str) -> str:
    """What changes from ``old`` to ``new``: lines with ``-`` go, with ``+`` come; three around them stay."""
    changes = list(difflib.unified_diff(old.splitlines(), new.splitlines(), n=3, lineterm=""))[2:]
    if not changes:
        raise BookError("there is no difference to show: the two are the same")
    # where lines are left out, a mark instead of the places in the files
    shown = [" ⋮" if line.startswith("@@") else line for line in changes]
    return "\n".join(shown[1:] if changes[0].startswith("@@ -1,") else shown)


def _running_lines(node: ast.AST) -> frozenset[int]:
    """Lines of statements inside functions, docstrings left out."""
    lines = set()
    functions = [n for n in ast.walk(node) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in functions:
        for statement in function.body:
            docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            if not docstring:
                lines.update(n.lineno for n in ast.walk(statement) if isinstance(n, ast.stmt))
    return frozenset(lines)
