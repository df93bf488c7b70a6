"""What the statements of a module bind and use, so that they can be taken out of it."""

import ast
import functools
import itertools
import re
from symtable import symtable
from typing import NamedTuple

from bookbuild.engine.project import BookError
from bookbuild.engine.source import BLOCK, first_line, is_text, unmarked

Importing = ast.Import | ast.ImportFrom
Assigning = ast.Assign | ast.AnnAssign | ast.AugAssign
ABOVE = re.compile(r"(?:^(?:#.*)?\n)*\Z", re.M)  # comments and empty lines, up to the end
STAND_IN = re.compile(r"^# standalone: (\w+)$", re.M)
MAIN = "if __name__ == '__main__':\n"


class Import(NamedTuple):
    """``from module import entry``, or ``import entry`` where the module is empty."""

    module: str
    entry: str
    origin: str  # what the local name means; ``import a.b`` binds ``a``


class Statement:
    """A statement at the top of a module; the one before it ends in line ``before``."""

    def __init__(self, module: "Module", node: ast.stmt, before: int):
        self.module, self.node, self.place = module, node, module.place(node)
        text, parts = module.lines(first_line(node), node.end_lineno), list(ast.walk(node))
        self.above = ABOVE.search(module.lines(before + 1, first_line(node) - 1))[0]
        tables = [symtable(text, module.shown, "exec")]
        for table in tables:
            tables += table.get_children()
        bound = (s.get_name() for s in tables[0].get_symbols() if s.is_local())
        self.bound = [name for name in bound if name in text]  # Python 3.14 adds names of its own
        self.local = {s.get_name() for table in tables[1:] for s in table.get_symbols() if s.is_local()}
        used = {s.get_name() for table in tables for s in table.get_symbols() if s.is_global()}
        names = [n for n in parts if isinstance(n, ast.Name) and n.id in used]
        outer = {n.value: n for n in parts if isinstance(n, ast.Attribute)}
        self.uses = [[n] for n in names + _quoted(parts)]  # each with the attributes taken of it
        for chain in self.uses:
            while chain[-1] in outer:
                chain.append(outer[chain[-1]])
        self.imports = [one for n in parts if isinstance(n, Importing) for _, one in module.imported(n)]
        is_main = isinstance(node, ast.If) and ast.unparse(node).startswith(MAIN)
        passive = isinstance(node, BLOCK) or (isinstance(node, Assigning) and self.bound)
        self.acts = not (passive or is_main or is_text(node))  # whenever the module is imported

    def text(self, edits: list[tuple[int, int, str]], everything: bool) -> str:
        """Its source, changed between places in bytes, with the comments that touch it or all above it."""
        body = self.module.body[: self.module.starts[self.node.end_lineno]]
        for start, end, new in sorted(edits, reverse=True):
            body = body[:start] + new.encode() + body[end:]
        above = self.above if everything else self.above.rpartition("\n\n")[2]
        return unmarked(above + body[self.module.starts[first_line(self.node) - 1] :].decode())


class Module:
    """The imports and statements of a module."""

    def __init__(self, name: str, shown: str, text: str, tree: ast.Module):
        self.name, self.shown, self.tree, self.body = name, shown, tree, text.encode()
        self.starts = [0, *itertools.accumulate(map(len, self.body.splitlines(keepends=True)))]  # in bytes
        self.names: dict[str, list[Import | Statement]] = {}  # what binds them
        self.stand_ins: dict[str, str] = {}
        self.statements: list[Statement] = []
        before, self.docstring = 0, ""
        for node in tree.body:
            if isinstance(node, Importing):
                bound = self.imported(node)
            elif not before and ast.get_docstring(tree):
                bound, self.docstring = [], unmarked(self.lines(1, node.end_lineno))
            else:
                self.statements.append(one := Statement(self, node, before))
                bound = [(name, one) for name in one.bound]
                if found := STAND_IN.search(one.above):
                    self.stand_ins[one.bound[0]] = found[1]
            for local, one in bound:
                self.names.setdefault(local, []).append(one)
                if type(one) is not type(self.names[local][0]):
                    raise BookError(f"{self.place(node)}: {local!r} is imported and set here: use two names")
            before = node.end_lineno

    def place(self, node: ast.AST) -> str:
        return f"{self.shown}:{node.lineno}"

    def lines(self, first: int, last: int) -> str:
        """The text from one line to another, both from 1."""
        return self.body[self.starts[first - 1] : self.starts[last]].decode()

    def imported(self, node: Importing) -> list[tuple[str, Import]]:
        """The names that an import statement binds, and to what."""
        module, found = getattr(node, "module", ""), []
        if getattr(node, "level", 0) or node.names[0].name == "*":
            what = "hides where names come from: import them by name, from the module's full name"
            raise BookError(f"{self.place(node)}: {ast.unparse(node)!r} {what}")
        for alias in node.names:
            top = alias.name.split(".")[0]
            origin = f"{module}.{alias.name}" if module else alias.name if alias.asname else top
            found.append((alias.asname or top, Import(module, ast.unparse(alias), origin)))
        return found

    def text(self, chosen: dict, everything: bool) -> str:
        """Those of its statements that are chosen, with the space between them that they have here."""
        text, before = "", None
        for one in (one for one in self.statements if one in chosen):
            if before:
                blocks = isinstance(one.node, BLOCK) or isinstance(before.node, BLOCK)
                touching = one.node.lineno == before.node.end_lineno + 1
                text += "\n\n\n" if blocks else "\n" if touching else "\n\n"
            text, before = text + one.text(chosen[one], everything), one
        return text


read = functools.lru_cache(maxsize=512)(Module)  # once for each content


def _quoted(parts: list[ast.AST]) -> list[ast.Name]:
    """The names in annotations in quotes, as names that are not loaded."""
    hints = [getattr(n, name, None) for n in parts for name in ("annotation", "returns")]
    texts = [n for hint in hints if hint for n in ast.walk(hint) if isinstance(n, ast.Constant)]
    words = [(word, n) for n in texts for word in re.findall(r"[^\W\d]\w*", str(n.value))]
    return [ast.copy_location(ast.Name(word, ast.Store()), n) for word, n in words]
