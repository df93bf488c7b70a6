"""What the statements of a module bind and use, so that they can be taken out of it."""

import ast
import functools
import itertools
import re
from dataclasses import dataclass
from symtable import symtable
from typing import NamedTuple

from bookbuild.engine.project import BookError
from bookbuild.engine.source import first_line, is_text

Block = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Importing = ast.Import | ast.ImportFrom
Assigning = ast.Assign | ast.AnnAssign | ast.AugAssign
MARK = re.compile(
    r"^[ \t]*# ?(?:(?:-\*- )?coding[:=].*|region: [\w-]+|endregion|standalone: \w+)[ \t]*\n", re.M
)
ABOVE = re.compile(r"(?:^(?:#.*)?\n)*\Z", re.M)  # comments and empty lines, up to the end
STAND_IN = re.compile(r"^# standalone: (\w+)$", re.M)
Edit = tuple[int, int, str]  # from, to, in bytes, and what stands there instead


class Import(NamedTuple):
    """``from module import name as local``, or ``import module as local`` where the name is empty."""

    module: str
    name: str
    local: str

    @property
    def origin(self) -> str:
        """What the local name means; ``import a.b`` binds ``a``."""
        top = self.module.split(".")[0]
        return f"{self.module}.{self.name}" if self.name else top if top == self.local else self.module


@dataclass(frozen=True)
class Statement:
    """A statement at the top of a module."""

    node: ast.stmt
    above: str  # the comments and empty lines before it
    bound: list[str]  # what it binds in the module
    local: set[str]  # names that are local within it
    uses: list[list[ast.expr]]  # names that are not local, each with the attributes taken of it
    inner: list[Importing]  # import statements within it


class Module:
    """The imports and statements of a module."""

    def __init__(self, name: str, shown: str, text: str, tree: ast.Module):
        self.name, self.shown, self.tree, self.body = name, shown, tree, text.encode()
        self.starts = [0, *itertools.accumulate(map(len, self.body.splitlines(keepends=True)))]  # in bytes
        self.imports: dict[str, list[Import]] = {}
        self.binding: dict[str, list[int]] = {}  # name -> statements
        self.stand_ins: dict[str, str] = {}
        self.statements: dict[int, Statement] = {}
        self.always: list[int] = []  # those that do something whenever the module is imported
        for number, node in enumerate(tree.body):
            if isinstance(node, Importing):
                for one in self.imported(node):
                    self.imports.setdefault(one.local, []).append(one)
            elif number or ast.get_docstring(tree) is None:
                self._read(number, node)
        for local in self.imports.keys() & self.binding.keys():
            place = self.place(tree.body[self.binding[local][0]])
            raise BookError(f"{place}: {local!r} is imported into this module too: use two names")

    def place(self, node: ast.AST) -> str:
        return f"{self.shown}:{node.lineno}"

    def span(self, first: ast.expr, last: ast.expr) -> tuple[int, int]:
        """Where the first expression begins and the last one ends, in bytes."""
        start, end = self.starts[first.lineno - 1], self.starts[last.end_lineno - 1]
        return start + first.col_offset, end + last.end_col_offset

    def imported(self, node: Importing) -> list[Import]:
        """What an import statement binds."""
        if getattr(node, "level", 0) or node.names[0].name == "*":
            what = "hides where names come from: import them by name, from the module's full name"
            raise BookError(f"{self.place(node)}: {ast.unparse(node)!r} {what}")
        if isinstance(node, ast.ImportFrom):
            return [Import(node.module, alias.name, alias.asname or alias.name) for alias in node.names]
        return [Import(alias.name, "", alias.asname or alias.name.split(".")[0]) for alias in node.names]

    def lines(self, first: int, last: int) -> str:
        """The text from one line to another, both from 1."""
        return self.body[self.starts[first - 1] : self.starts[last]].decode()

    def _read(self, number: int, node: ast.stmt) -> None:
        first, parts = first_line(node), list(ast.walk(node))
        text = self.lines(first, node.end_lineno)
        tables = [symtable(text, self.shown, "exec")]
        for table in tables:
            tables += table.get_children()
        symbols = [(table is tables[0], symbol) for table in tables for symbol in table.get_symbols()]
        # Python 3.14 adds names of its own
        bound = [s.get_name() for top, s in symbols if top and s.is_local() and s.get_name() in text]
        local = {s.get_name() for top, s in symbols if not top and s.is_local()}
        free = {s.get_name() for _, s in symbols if s.is_global()}
        names = [n for n in parts if isinstance(n, ast.Name) and n.id in free]
        uses = [[n] for n in names + _quoted(parts)]
        outer = {n.value: n for n in parts if isinstance(n, ast.Attribute)}
        for chain in uses:
            while chain[-1] in outer:
                chain.append(outer[chain[-1]])
        before = self.tree.body[number - 1].end_lineno if number else 0
        above = ABOVE.search(self.lines(before + 1, first - 1))[0]
        inner = [n for n in parts if isinstance(n, Importing)]
        self.statements[number] = Statement(node, above, bound, local, uses, inner)
        for name in bound:
            self.binding.setdefault(name, []).append(number)
        if found := STAND_IN.search(above):
            self.stand_ins[bound[0]] = found[1]
        passive = isinstance(node, Block) or (isinstance(node, Assigning) and bound)
        if not (passive or is_text(node) or is_main(node)):
            self.always.append(number)

    def text(self, chosen: dict[int, list[Edit]], everything: bool = False) -> str:
        """Statements, each changed by its edits, with the space between them that they have here.

        The comments that touch one come with it; with ``everything`` all those that stand above it.
        """
        text, before = "", None
        for number, edits in sorted(chosen.items()):
            node, above = self.statements[number].node, self.statements[number].above
            above = above if everything else above.rpartition("\n\n")[2]
            body = self.body[: self.starts[node.end_lineno]]
            for start, end, new in sorted(edits, reverse=True):
                body = body[:start] + new.encode() + body[end:]
            source = above + body[self.starts[first_line(node) - 1] :].decode()
            if before is not None:
                blocks = isinstance(before, Block) or isinstance(node, Block)
                text += "\n\n\n" if blocks else "\n" if node.lineno == before.end_lineno + 1 else "\n\n"
            text, before = text + MARK.sub("", source + "\n").strip("\n"), node
        return text


read = functools.lru_cache(maxsize=512)(Module)  # once for each content


def _quoted(parts: list[ast.AST]) -> list[ast.Name]:
    """The names in annotations in quotes, as names that are not loaded."""
    hints = [getattr(n, name, None) for n in parts for name in ("annotation", "returns")]
    texts = [n for hint in hints if hint for n in ast.walk(hint) if isinstance(n, ast.Constant)]
    words = [(word, n) for n in texts for word in re.findall(r"[^\W\d]\w*", str(n.value))]
    return [ast.copy_location(ast.Name(word, ast.Store()), n) for word, n in words]


def is_main(node: ast.stmt) -> bool:
    """Whether this is ``if __name__ == "__main__":``."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
