"""The source of what is in ``code/``: objects by their dotted names, regions of them, differences."""

import ast
import difflib
import functools
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from symtable import symtable

from bookbuild.engine.project import BookError, Project
from rlworkshop import provenance

FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
BLOCK = FUNCTION | ast.ClassDef
MARK = re.compile(r"^[ \t]*# (region: [\w-]+|endregion|standalone: \w+|(-\*- )?coding[:=].*)[ \t]*\n", re.M)


@dataclass(frozen=True)
class Snippet:
    """The source of one object."""

    file: Path
    first: int  # line of the file, from 1
    last: int
    text: str  # dedented, region marks left out
    body: frozenset[int]  # the lines that run when the object is used, not when its module is imported
    node: ast.AST


def module_file(project: Project, module: str) -> Path | None:
    """The file of a module of ``code/``, if there is one."""
    parts = module.split(".")
    base = project.code.joinpath(*parts)
    files = (base / "__init__.py", base.parent / f"{base.name}.py")
    return next((f for f in files if f.is_file()), None) if all(p.isidentifier() for p in parts) else None


def locate(project: Project, dotted: str) -> tuple[str, Path, list[str]]:
    """The module that holds ``dotted``, its file, and the rest of the name.

    Raises:
        BookError: no module of ``code/`` does.
    """
    parts = dotted.split(".")
    for depth in range(len(parts), 0, -1):
        if file := module_file(project, ".".join(parts[:depth])):
            return ".".join(parts[:depth]), file, parts[depth:]
    raise BookError(f"no module of code/ holds {dotted!r}")


def parsed(file: Path) -> tuple[str, ast.Module]:
    """The text of a Python file and its tree, read once for each content.

    Raises:
        BookError: Python cannot read it.
    """
    try:
        return _parsed(file, file.read_bytes())
    except SyntaxError as error:
        place = f"{file}:{error.lineno}" if error.lineno else file
        raise BookError(f"{place}: Python cannot read this: {error.msg}") from None


@functools.lru_cache(maxsize=512)
def _parsed(file: Path, body: bytes) -> tuple[str, ast.Module]:
    text = provenance.source_text(body)
    symtable(text, str(file), "exec")  # what the grammar allows may yet be wrong: an argument named twice
    return text, ast.parse(text, str(file))


def lines_of(file: Path) -> list[str]:
    """The lines of a Python file; none where Python cannot decode it: what imports it will say so."""
    try:
        return provenance.source_text(file.read_bytes()).removesuffix("\n").split("\n")
    except SyntaxError:
        return []


def first_line(node: ast.stmt) -> int:
    """The first line of a statement, or that of its first decorator."""
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])


def find(project: Project, dotted: str, region: str | None = None, whole: bool = False) -> Snippet:
    """The function, class or method called ``dotted``, or a named region of it.

    A region is what stands between the comments ``# region: NAME`` and ``# endregion``. ``whole`` says that
    the name may be that of a module, and means all of it.

    Raises:
        BookError: there is no such module, object or region.
    """
    _, file, rest = locate(project, dotted)
    source, node = parsed(file)
    for name in rest or [dotted.split(".")[-1]] * (not whole):
        inside = {child.name: child for child in node.body if isinstance(child, BLOCK)}
        if name not in inside:
            known = ", ".join(sorted(inside)) or "nothing"
            raise BookError(f"{dotted!r}: no function, class or method {name!r} (there is: {known})")
        node = inside[name]
    lines = source.removesuffix("\n").split("\n")
    first, last = (first_line(node), node.end_lineno) if isinstance(node, ast.stmt) else (1, len(lines))
    text = "\n".join(lines[first - 1 : last]) + "\n"
    if region:
        found = re.search(rf"^\s*# region: {re.escape(region)}\n(.*?)^\s*# endregion$", text, re.M | re.S)
        if not found:
            what = f"is not there: it stands between '# region: {region}' and '# endregion'"
            raise BookError(f"region {region!r} of {dotted} {what}")
        text, first = found[1], first + text.count("\n", 0, found.start(1))
        last = first + text.count("\n") - 1
    inner = (s for f in ast.walk(node) if isinstance(f, FUNCTION) for part in f.body for s in ast.walk(part))
    running = {s.lineno for s in inner if isinstance(s, ast.stmt) and not is_text(s)}
    body = frozenset(running.intersection(range(first, last + 1)))
    return Snippet(file, first, last, textwrap.dedent(unmarked(text)), body, node)


def unmarked(text: str) -> str:
    """Lines of code without those that speak to this builder, or of the file's coding."""
    return MARK.sub("", text + "\n").strip("\n")


def is_text(node: ast.AST) -> bool:
    """Whether this is a docstring, or another constant on a line of its own."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def difference(old: str, new: str) -> str:
    """What changes from ``old`` to ``new``: lines with ``-`` go, with ``+`` come; three around them stay."""
    changes = list(difflib.unified_diff(old.splitlines(), new.splitlines(), n=3, lineterm=""))[2:]
    if not changes:
        raise BookError("there is no difference to show: the two are the same")
    # where lines are left out, a mark instead of the places in the files
    shown = [" ⋮" if line.startswith("@@") else line for line in changes]
    return "\n".join(shown[1:] if changes[0].startswith("@@ -1,") else shown)
