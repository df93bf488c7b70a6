"""What the statements of a module bind and use, so that they can be taken out of it."""

import ast
import contextlib
import functools
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from symtable import SymbolTable, symtable

from bookbuild.engine.project import BookError

Block = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Importing = ast.Import | ast.ImportFrom
PASSIVE = (Importing, Block, ast.Assign, ast.AnnAssign, ast.AugAssign)
MARK = re.compile(
    r"^[ \t]*# ?(?:(?:-\*- )?coding[:=].*|region: [\w-]+|endregion|standalone: \w+)[ \t]*\n", re.M
)
STAND_IN = re.compile(rb"^# standalone: (\w+)$", re.M)
Edit = tuple[int, int, str]  # from, to, in bytes, and what stands there instead


@dataclass(frozen=True)
class Import:
    """``from module import name as local``, or ``import module as local`` where the name is empty."""

    module: str
    name: str
    local: str
    own: bool = field(compare=False)  # of ``code/``
    place: str = field(compare=False)

    @property
    def origin(self) -> str:
        """What the local name means; ``import a.b`` binds ``a``."""
        top = self.module.split(".")[0]
        return f"{self.module}.{self.name}" if self.name else top if top == self.local else self.module


@dataclass(frozen=True)
class Statement:
    """What a statement at the top of a module binds there, and what it uses."""

    node: ast.stmt
    first: int  # its first line, from 0, or that of its first decorator
    scopes: list[tuple[SymbolTable, frozenset[str]]]  # within it, each with the names that are local there
    bound: list[str]
    uses: list[list[ast.expr]]  # names that are not local, each with the attributes taken of it
    lazy: list[Import]  # of ``code/``, within it

    def hides(self, old: str, new: str) -> str:
        """Which of two names is a local one where the first is used and the second shall stand."""
        for table, local in self.scopes[1:]:
            if old in local or (new in local and old in table.get_identifiers()):
                return old if old in local else new
        return ""


class Module:
    """The imports and statements of a module."""

    def __init__(self, name: str, shown: str, tops: frozenset[str], text: str, tree: ast.Module):
        self.name, self.shown, self.tops, self.tree, self.body = name, shown, tops, tree, text.encode()
        self.lines = self.body.splitlines(keepends=True)
        self.starts = [0, *itertools.accumulate(map(len, self.lines))]  # of each line, in bytes
        self.imports: dict[str, list[Import]] = {}
        self.binding: dict[str, list[int]] = {}  # name -> statements
        self.stand_ins: dict[str, str] = {}
        self.statements: list[Statement] = []
        self.always: list[int] = []  # those that do something whenever the module is imported
        for one in (one for node in tree.body for one in self._imported(node)):
            self.imports.setdefault(one.local, []).append(one)
        for number, node in enumerate(tree.body):
            self._read(number, node)
        for local, ones in self.imports.items():
            if local in self.binding or len({one.origin for one in ones}) > 1:
                raise BookError(f"{ones[-1].place}: {local!r} has two meanings in this module: use two names")

    def place(self, node: ast.AST) -> str:
        return f"{self.shown}:{node.lineno}"

    def at(self, node: ast.AST) -> tuple[int, int]:
        """Where a node begins and ends, in bytes."""
        start, end = self.starts[node.lineno - 1], self.starts[node.end_lineno - 1]
        return start + node.col_offset, end + node.end_col_offset

    def begun(self, links: list[str]) -> list[Import]:
        """Of ``import a.b`` and ``import a.c`` those that a dotted name begins with."""
        dotted, ones = ".".join([*links, ""]), self.imports[links[0]]
        return [one for one in ones if dotted.startswith(f"{one.module}.")] or ones

    def _imported(self, node: ast.AST) -> Iterator[Import]:
        base = getattr(node, "module", "") or ""
        if level := getattr(node, "level", 0):
            parents = self.name.split(".") + [""] * self.shown.endswith("__init__.py")
            base = ".".join(filter(None, [*parents[:-level], base]))
        for alias in node.names if isinstance(node, Importing) else ():
            if alias.name == "*":
                what = f"'from {base} import *' hides where names come from: import them by name"
                raise BookError(f"{self.place(node)}: {what}")
            module, name = (base, alias.name) if isinstance(node, ast.ImportFrom) else (alias.name, "")
            top = module.split(".")[0]
            yield Import(module, name, alias.asname or name or top, top in self.tops, self.place(node))

    def _read(self, number: int, node: ast.stmt) -> None:
        if number and node.lineno == self.tree.body[number - 1].end_lineno:
            raise BookError(f"{self.place(node)}: two statements share a line: give each its own")
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))]) - 1
        text = self.body[self.starts[first] : self.starts[node.end_lineno]].decode()
        try:
            scopes, quoted = list(_scopes(symtable(text, self.shown, "exec"))), _quoted(node)
        except SyntaxError as error:
            raise BookError(f"{self.place(node)}: Python cannot read this: {error.msg}") from None
        symbols = scopes[0][0].get_symbols() if not isinstance(node, Importing) else []
        bound = [s.get_name() for s in symbols if s.is_assigned() or s.is_imported()]
        bound = [name for name in bound if name in text]  # Python 3.14 adds names of its own
        free = {s.get_name() for table, _ in scopes for s in table.get_symbols() if s.is_global()}
        parts = [*ast.walk(node), *quoted]
        uses = [[n] for n in parts if isinstance(n, ast.Name) and (n.id in free or n in quoted)]
        above = {n.value: n for n in parts if isinstance(n, ast.Attribute)}
        for chain in uses:
            while chain[-1] in above:
                chain.append(above[chain[-1]])
        lazy = [one for n in parts if n is not node for one in self._imported(n) if one.own]
        self.statements.append(Statement(node, first, scopes, bound, uses, lazy))
        targets = [n for t in getattr(node, "targets", ()) for n in ast.walk(t)]  # X["key"] = 1 belongs to X
        root = next((n.id for n in targets if isinstance(n, ast.Name)), None)
        for name in {*bound, *({root} & self.binding.keys())}:
            self.binding.setdefault(name, []).append(number)
        if found := STAND_IN.search(self.body, self.lead(number), self.starts[node.lineno]):
            self.stand_ins[bound[0]] = found[1].decode()
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not (isinstance(node, PASSIVE) or docstring or is_main(node)):
            self.always.append(number)

    def lead(self, number: int, everything: bool = False) -> int:
        """Where the comments above a statement begin: those that touch it, or all since the one before."""
        first, stop = self.statements[number].first, self.tree.body[number - 1].end_lineno if number else 0
        while first > stop and self.lines[first - 1].rstrip()[:1] in ((b"#", b"") if everything else (b"#",)):
            first -= 1
        return self.starts[first]

    def source(self, number: int, edits: list[Edit], everything: bool = False) -> str:
        """A statement with the comments above it, changed by ``edits``."""
        text, done = b"", self.lead(number, everything)
        for start, end, new in sorted(edits):
            text, done = text + self.body[done:start] + new.encode(), end
        text += self.body[done : self.starts[self.tree.body[number].end_lineno]]
        return MARK.sub("", text.decode() + "\n").strip("\n")

    def text(self, chosen: dict[int, list[Edit]], everything: bool = False) -> str:
        """Statements, each with its edits, with the space between them that they have here."""
        text, before = "", None
        for number, edits in chosen.items():
            node = self.tree.body[number]
            if number == 0 and ast.get_docstring(self.tree):
                continue  # the module's docstring stands on top of the file
            if before is not None:
                blocks = isinstance(before, Block) or isinstance(node, Block)
                text += "\n\n\n" if blocks else "\n" if node.lineno == before.end_lineno + 1 else "\n\n"
            text, before = text + self.source(number, edits, everything), node
        return text


read = functools.lru_cache(maxsize=512)(Module)  # once for each content


def _scopes(
    table: SymbolTable, around: frozenset[str] = frozenset()
) -> Iterator[tuple[SymbolTable, frozenset[str]]]:
    """A scope and those within it, each with the names that are local there."""
    here = {s.get_name() for s in table.get_symbols() if s.is_local() and not s.is_global()}
    yield table, around | here
    for inner in table.get_children():
        yield from _scopes(inner, around if table.get_type() == "class" else around | here)


def _quoted(node: ast.AST) -> list[ast.AST]:
    """What annotations in quotes hold."""
    hints = [getattr(n, name, None) for n in ast.walk(node) for name in ("annotation", "returns")]
    found = []
    for text in (n for hint in hints if hint for n in ast.walk(hint) if isinstance(n, ast.Constant)):
        with contextlib.suppress(SyntaxError, TypeError, ValueError):  # the text may be no annotation
            found += [ast.copy_location(n, text) for n in ast.walk(ast.parse(text.value, mode="eval").body)]
    return found


def is_main(node: ast.stmt) -> bool:
    """Whether this is ``if __name__ == "__main__":``."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
