"""Which files a piece of code stands on, and a digest of them.

A result is as fresh as the code that made it. This module finds that code by reading imports,
without running anything: a file's *closure* is the file itself, every module of its own source root
that it imports, what those import, and so on. Third-party packages are left to the pinned versions.
"""

import ast
import functools
import hashlib
import importlib.util
import io
import sys
import tokenize
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # the source root: the folder that holds ``rlworkshop``


def source_text(body: bytes) -> str:
    """The text of a Python file, read as Python does: byte order mark, coding line, any line ends.

    Raises:
        SyntaxError: Python cannot read it.
    """
    try:
        text = importlib.util.decode_source(body)
    except (UnicodeDecodeError, LookupError) as error:  # LookupError: a coding that is not of text
        raise SyntaxError(str(error)) from None
    if "\0" in text:
        raise SyntaxError("source code cannot contain null bytes")
    return text


def code_text(body: bytes) -> str:
    """The text of a Python file without docstrings, comments and empty lines, which change no result.

    Raises:
        SyntaxError: Python cannot read it.
    """
    text = source_text(body)
    lines = [line.encode() for line in text.split("\n")]
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Expr)]
    for node in sorted(nodes, key=lambda node: (-node.lineno, -node.col_offset)):
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            first, last = node.lineno - 1, node.end_lineno
            kept = lines[first][: node.col_offset] + lines[last - 1][node.end_col_offset :]
            lines[first:last] = [kept, *[b""] * (last - first - 1)]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row = token.start[0] - 1
            lines[row] = lines[row].removesuffix(token.string.encode())
    return "\n".join(line.decode().rstrip() for line in lines if line.strip())


def imported_files(source: str, root: Path = ROOT, package: str = "") -> set[Path]:
    """Files under ``root`` that the text ``source`` imports directly.

    Imports inside functions and branches count: they may run. ``package`` is the dotted package that
    relative imports start from ("" for a notebook cell or a script).

    Raises:
        SyntaxError: the text is not Python.
    """
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            # ``from a import b``: b may be a module of a, or a name in it
            names.update([base, *(f"{base}.{alias.name}" for alias in node.names)])
    files = set()
    for name in filter(None, names):
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):  # importing a.b.c runs a, a.b and a.b.c
            files.update(_module_file(root, parts[:depth]))
    return files


def closure(files: Iterable[Path], root: Path = ROOT) -> set[Path]:
    """``files`` and every file under ``root`` that they import, directly or through others.

    Of a file elsewhere its own imports from ``root`` count, too.
    """
    found: set[Path] = set()
    todo = [Path(f).resolve() for f in files]
    while todo:
        file = todo.pop()
        if file in found:
            continue
        found.add(file)
        todo.extend(_imports_of(file, root, _stamp(file)) - found)
    return found


def digest(files: Iterable[Path], root: Path = ROOT) -> str:
    """A hexadecimal digest of the files' names (below ``root``) and contents; order does not matter.

    A file that is missing counts as missing, so that its return changes the digest again.
    """
    total = hashlib.sha256()
    for file in sorted({Path(f).resolve() for f in files}):
        name = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()
        body = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "missing"
        total.update(f"{name}\0{body}\n".encode())
    return total.hexdigest()


# standalone: file_digest
def code_digest(*modules: str, root: Path = ROOT) -> str:
    """Digest of the closure of modules given by dotted name, e.g. ``"rlworkshop.algorithms.vpg"``.

    Raises:
        ModuleNotFoundError: there is no such module under ``root``.
    """
    return digest(closure(module_files(*modules, root=root), root), root)


def file_digest(*modules: str) -> str:
    """What ``code_digest`` is in a file taken out of the package: the digest of that file, which holds all.

    Where there is no file, as in a notebook's cell, it is empty: not known.
    """
    file = globals().get("__file__")
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""


def module_files(*modules: str, root: Path = ROOT) -> set[Path]:
    """The files of modules given by dotted name (with the packages that hold them)."""
    files: set[Path] = set()
    for module in modules:
        parts = module.split(".")
        if not _module_file(root, parts):
            raise ModuleNotFoundError(f"no module {module!r} under {root}: check its dotted name")
        for depth in range(1, len(parts) + 1):
            files.update(_module_file(root, parts[:depth]))
    return files


def project() -> Path | None:
    """The project's folder, when this code runs from the book's source tree."""
    return ROOT.parent if (ROOT.parent / "conf.py").is_file() and ROOT.name == "code" else None


def python_version() -> str:
    """The running Python as ``"CPython 3.11.7"``."""
    return f"{sys.implementation.name.replace('cp', 'CP')} {sys.version.split()[0]}"


def _module_file(root: Path, parts: list[str]) -> list[Path]:
    if root.name in ("site-packages", "dist-packages") and parts[0] != __package__:
        return []  # installed among other packages: they are not our code
    base = root.joinpath(*parts)
    for file in (base / "__init__.py", base.with_name(base.name + ".py")):
        if file.is_file():
            return [file.resolve()]
    return []


def _stamp(file: Path) -> bytes:
    return file.read_bytes() if file.is_file() else b""


@functools.lru_cache(maxsize=4096)
def _imports_of(file: Path, root: Path, body: bytes) -> frozenset[Path]:
    if file.suffix != ".py" or not body:
        return frozenset()
    inside = file.is_relative_to(root.resolve())
    package = ".".join(file.relative_to(root.resolve()).parts[:-1]) if inside else ""
    try:
        return frozenset(imported_files(source_text(body), root, package))
    except SyntaxError:
        return frozenset()  # the page that imports it will say so when it runs
