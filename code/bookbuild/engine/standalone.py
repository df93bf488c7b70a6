"""An object of the code, or a whole module, as one file that runs without the package.

``python -m bookbuild standalone rlworkshop.algorithms.vpg > vpg.py``

The file holds the real source, comments and docstrings included, of what was asked for and of everything
in ``code/`` that it needs. Statements keep their order and modules follow the order of their imports, so what
loads in the package loads here. Nothing is renamed: a thing is called what it is where it is defined
(``nets.mlp`` becomes ``mlp``), and one name for two things is an error. A function that makes sense in the
package alone names its stand-in in a comment above it, ``# standalone: NAME``.
"""

import ast
import builtins
import functools
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from symtable import Symbol, SymbolTable, symtable

from bookbuild.engine.project import BookError, Project
from bookbuild.engine.source import locate, module_file, parsed

Block = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Importing = ast.Import | ast.ImportFrom
DEFINING = (Block, ast.Assign, ast.AnnAssign, ast.AugAssign)
MAGIC = {*dir(builtins), "__file__", "__module__", "__qualname__", "__class__"}
MARK = re.compile(r"^[ \t]*# (?:region: [\w-]+|endregion|standalone: \w+)[ \t]*\n", re.MULTILINE)
STAND_IN = re.compile(rb"^# standalone: (\w+)$", re.MULTILINE)
CODING = re.compile(rb"[ \t\f]*#.*?coding[:=][ \t]*[-\w.]")
WIDTH = 110
Edit = tuple[int, int, bytes]  # from, to, what stands there instead


@dataclass(frozen=True)
class Standalone:
    """A file that runs alone, and the dotted names of what it holds of the package."""

    text: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Import:
    """``from module import name as local``, or ``import module as local`` where the name is empty."""

    module: str
    name: str
    local: str
    own: bool  # of ``code/``
    place: str = field(compare=False)

    @property
    def origin(self) -> str:
        """What the local name means; ``import a.b`` binds ``a``."""
        top = self.module.split(".")[0]
        return f"{self.module}.{self.name}" if self.name else top if top == self.local else self.module


@dataclass
class Statement:
    """What a statement at the top of a module binds there, and what it uses."""

    node: ast.stmt
    first: int  # its first line, from 0, that of a decorator if it has one
    scopes: list[tuple[SymbolTable, frozenset[str]]]  # within it, each with the names that are local there
    bound: list[str]
    uses: list[list[ast.expr]]  # names that are not local, each with the attributes taken of it


class Module:
    """The statements and imports of a module."""

    def __init__(self, name: str, shown: str, tops: frozenset[str], text: str, tree: ast.Module):
        self.name, self.shown, self.tops, self.tree, self.body = name, shown, tops, tree, text.encode()
        self.lines = self.body.split(b"\n")
        self.starts = [0]  # of each line, in bytes
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        self.imports: dict[str, list[Import]] = {}
        self.loads: list[Import] = []  # of code/, when it is imported itself
        self.binding: dict[str, list[int]] = {}  # name -> statements
        self.stand_ins: dict[str, str] = {}
        self.always: list[int] = []  # statements that do something whenever the module is imported
        self.edits = [(*self.starts[i : i + 2], b"") for i in (0, 1) if CODING.match(b"".join(self.lines[i : i + 1]))]
        for node in ast.walk(tree):
            for block in (getattr(node, name, None) for name in ("body", "orelse", "finalbody")):
                self._read_imports(block if isinstance(block, list) else [], node is tree)
        self.own = {local for local, ones in self.imports.items() if any(one.own for one in ones)}
        self.statements: list[Statement] = []
        for number, node in enumerate(tree.body):
            self._read(number, node)
        for local in self.own:
            if local in self.binding or len({one.origin for one in self.imports[local]}) > 1:
                place = self.imports[local][-1].place
                raise BookError(f"{place}: {local!r} is imported from the package and more: use two names")

    def error(self, node: ast.AST, what: str) -> BookError:
        return BookError(f"{self.shown}:{node.lineno}: {what}")

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where a node stands, in bytes."""
        start, end = self.starts[node.lineno - 1], self.starts[node.end_lineno - 1]
        return start + node.col_offset, end + node.end_col_offset

    def _read_imports(self, block: list[ast.stmt], at_top: bool) -> None:
        """Notes what is imported; imports of ``code/`` in functions and branches go, with their lines."""
        found = [(node, self.imported(node)) for node in block if isinstance(node, Importing)]
        for one in (one for _, ones in found for one in ones):
            self.imports.setdefault(one.local, []).append(one)
        own = [node for node, ones in found if ones[0].own and not at_top]
        for node in own:
            (start, end), line, last = self.span(node), self.starts[node.lineno - 1], self.starts[node.end_lineno]
            alone = not (self.body[line:start] + self.body[end:last].partition(b"#")[0]).strip()
            keep = not alone or (node is own[0] and len(own) == len(block))
            self.edits.append((start, end, b"pass") if keep else (line, last, b""))

    def imported(self, node: Importing) -> list[Import]:
        """What an import binds: all of it is of ``code/``, or nothing."""
        base, found = getattr(node, "module", "") or "", []
        if level := getattr(node, "level", 0):
            parents = self.name.split(".") + [""] * self.shown.endswith("__init__.py")
            base = ".".join(filter(None, [*parents[:-level], base]))
        for alias in node.names:
            if alias.name == "*":
                raise self.error(node, f"'from {base} import *' hides where names come from: import them by name")
            module, name = (base, alias.name) if isinstance(node, ast.ImportFrom) else (alias.name, "")
            local, own = alias.asname or name or module.split(".")[0], module.split(".")[0] in self.tops
            found.append(Import(module, name, local, own, f"{self.shown}:{node.lineno}"))
        if len({one.own for one in found}) > 1:
            raise self.error(node, "import the package's modules in a statement of their own")
        return found

    def _read(self, number: int, node: ast.stmt) -> None:
        if number and node.lineno == self.tree.body[number - 1].end_lineno:
            raise self.error(node, "two statements share a line: give each its own")
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))]) - 1
        text = self.body[self.starts[first] : self.starts[node.end_lineno]].decode()
        scopes, quoted = list(self._scopes(symtable(text, self.shown, "exec"))), list(self._quoted(node))
        free = {s.get_name() for table, _ in scopes for s in table.get_symbols() if s.is_global() or self.is_own(s)}
        free.update(part.id for part in quoted if isinstance(part, ast.Name))
        above = {n.value: n for n in [*ast.walk(node), *quoted] if isinstance(n, ast.Attribute)}
        uses = [[n] for n in [*ast.walk(node), *quoted] if isinstance(n, ast.Name) and n.id in free]
        for chain in uses:
            while chain[-1] in above:
                chain.append(above[chain[-1]])
        bound = [s.get_name() for s in scopes[0][0].get_symbols() if s.is_assigned() or s.is_imported()]
        bound = [name for name in bound if name not in self.own]
        if isinstance(node, Importing):
            bound, uses = [], []
        roots = [n.id for t in getattr(node, "targets", ()) for n in [*ast.walk(t)] if isinstance(n, ast.Name)][:1]
        self.statements.append(Statement(node, first, scopes, bound, uses))
        belongs = [*bound, *(name for name in roots if name in self.binding)]  # X["key"] = 1 belongs to X
        for name in dict.fromkeys(belongs):
            self.binding.setdefault(name, []).append(number)
        if not isinstance(node, Block):
            inside = [one for n in ast.walk(node) if isinstance(n, Importing) for one in self.imported(n)]
            self.loads += [one for one in inside if one.own]
        if found := STAND_IN.search(self.body, self.lead(number), self.starts[node.lineno]):
            self.stand_ins[bound[0]] = found[1].decode()
        passive = isinstance(node, Importing) or is_main(node) or is_docstring(node)
        if not passive and not (belongs and isinstance(node, DEFINING)):
            self.always.append(number)

    def is_own(self, symbol: Symbol) -> bool:
        """Whether a name is imported in a function, from ``code/``."""
        return symbol.is_imported() and symbol.get_name() in self.own

    def _scopes(self, table: SymbolTable, around: frozenset = frozenset()) -> Iterator[tuple[SymbolTable, frozenset]]:
        """A scope and those within it, each with the names that are local there."""
        local = around
        if table.get_type() != "module":
            local |= {s.get_name() for s in table.get_symbols() if s.is_local() and not self.is_own(s)}
        for name in self.own & set(table.get_identifiers()):
            if self.is_own(table.lookup(name)) and table.lookup(name).is_assigned():
                place = self.imports[name][-1].place
                raise BookError(f"{place}: {name!r} is imported from the package and assigned: use two names")
        yield table, local
        for inner in table.get_children():
            yield from self._scopes(inner, around if table.get_type() == "class" else local)

    def _quoted(self, node: ast.AST) -> Iterator[ast.AST]:
        """What annotations in quotes hold, placed where it stands in the file."""
        hints = [getattr(n, name, None) for n in ast.walk(node) for name in ("annotation", "returns")]
        for hint in filter(None, hints):
            for part in _strings(hint):
                try:
                    found = list(ast.walk(ast.parse(part.value, mode="eval").body))
                except SyntaxError:
                    continue  # not an annotation
                line = self.starts[part.lineno - 1]
                shift = self.body.find(part.value.encode(), line + part.col_offset) - line
                for n in (n for n in found if isinstance(n, ast.expr)):
                    n.lineno = n.end_lineno = part.lineno
                    n.col_offset, n.end_col_offset = n.col_offset + shift, n.end_col_offset + shift
                yield from found

    def lead(self, number: int, everything: bool = False) -> int:
        """Where the comments above a statement begin: those that touch it, or all since the one before."""
        first, stop = self.statements[number].first, self.tree.body[number - 1].end_lineno if number else 0
        while first > stop and (
            self.lines[first - 1].startswith(b"#") or (everything and not self.lines[first - 1].strip())
        ):
            first -= 1
        return self.starts[first]

    def source(self, number: int, edits: list[Edit], everything: bool = False) -> str:
        """A statement with the comments above it, changed by ``edits``."""
        start, end = self.lead(number, everything), self.starts[self.tree.body[number].end_lineno]
        text, done = b"", start
        for first, last, new in sorted({*edits, *(e for e in self.edits if start <= e[0] < end)}):
            text, done = text + self.body[done:first] + new, last
        return MARK.sub("", (text + self.body[done:end]).decode() + "\n").strip("\n")


read = functools.lru_cache(maxsize=512)(Module)  # once for each content


def _strings(hint: ast.AST) -> Iterator[ast.Constant]:
    """The strings in an annotation that are annotations themselves."""
    if isinstance(hint, ast.Constant) and isinstance(hint.value, str):
        yield hint
    elif not (isinstance(hint, ast.Subscript) and ast.unparse(hint.value).endswith(("Literal", "Annotated"))):
        for child in ast.iter_child_nodes(hint):
            yield from _strings(child)


def is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def is_main(node: ast.stmt) -> bool:
    """Whether this is ``if __name__ == "__main__":``."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


class Shop:
    """Collects the statements that one file needs."""

    def __init__(self, project: Project):
        self.project = project
        packages = {file.parent.name for file in project.code.glob("*/__init__.py")}
        self.tops = frozenset(packages | {file.stem for file in project.code.glob("*.py")})
        self.modules: dict[str, Module | None] = {}
        self.chosen: dict[str, dict[int, list[Edit]]] = {}  # module -> statement -> what changes in it
        self.foreign: set[Import] = set()
        self.names: dict[str, tuple[str, str]] = {}  # name -> what it means, and where

    def module(self, name: str) -> Module | None:
        if name not in self.modules:
            file = module_file(self.project, name)
            shown = file and file.relative_to(self.project.root).as_posix()
            self.modules[name] = file and read(name, shown, self.tops, *parsed(file))
        return self.modules[name]

    def claim(self, name: str, meaning: str, place: str) -> None:
        known, there = self.names.setdefault(name, (meaning, place))
        if known != meaning:
            what = f"{name!r} is {meaning} here and {known} in {there}"
            raise BookError(f"{place}: {what}: one file cannot hold both, give one of them another name")

    def resolve(self, path: list[str], where: str) -> tuple[Module, str, int]:
        """The module that a dotted name leads to, the name there, and how many attributes follow it."""
        depth = 1
        while depth < len(path) and self.module(".".join(path[: depth + 1])):
            depth += 1
        module = self.module(".".join(path[:depth]))
        if depth == len(path):
            raise BookError(f"{where}the module {module.name} is used as a value: name what is needed of it")
        name, rest = path[depth], path[depth + 1 :]
        if name in module.stand_ins:
            return self.resolve([*path[:depth], module.stand_ins[name], *rest], where)
        if name in module.own:
            return self.resolve([*module.imports[name][0].origin.split("."), *rest], where)
        if name not in module.binding and name not in module.imports:
            known = ", ".join(sorted(module.binding)) or "nothing"
            raise BookError(f"{where}{module.name} has no {name!r} (there is: {known})")
        return module, name, len(rest)

    def need(self, name: str, number: int) -> None:
        """Choose a statement and all that it needs."""
        todo = [(name, number)]
        while todo:
            name, number = todo.pop()
            module = self.module(name)
            if name not in self.chosen:
                self.chosen[name] = {}
                todo += [(name, i) for i in module.always]
            if number not in self.chosen[name]:
                self.chosen[name][number] = []
                statement = module.statements[number]
                for local in statement.bound:
                    self.claim(local, f"{name}.{local}", f"{module.shown}:{statement.node.lineno}")
                for chain in statement.uses:
                    todo += self.follow(module, statement, chain, self.chosen[name][number])

    def follow(
        self, module: Module, statement: Statement, chain: list[ast.expr], edits: list[Edit]
    ) -> list[tuple[str, int]]:
        """The statements that a use needs; what it must be changed to is added to ``edits``."""
        root, *attributes = links = [chain[0].id, *(node.attr for node in chain[1:])]
        place = f"{module.shown}:{chain[0].lineno}"
        if root in module.own:
            path = [*module.imports[root][0].origin.split("."), *attributes]
            there, name, rest = self.resolve(path, f"{place}: ")
        elif root in module.binding:
            there, name, rest = self.resolve([*module.name.split("."), *links], f"{place}: ")
        elif root in module.imports:
            there, name, rest = module, root, len(attributes)
        elif root in MAGIC:
            self.claim(root, f"builtins.{root}", place)
            return []
        else:
            raise BookError(f"{place}: the name {root!r} is not defined")
        covered = len(links) - rest
        if links[:covered] != [name]:
            if any(name in local and root in table.get_identifiers() for table, local in statement.scopes) or any(root in local for _, local in statement.scopes):
                raise BookError(f"{place}: {there.name}.{name} is meant, and a local name is like it: use two names")
            start, end = module.span(chain[0])
            if module.body[start:end].decode() != root:
                raise BookError(f"{place}: Python does not say where {root!r} stands: take it out of the string")
            edits.append((start, module.span(chain[covered - 1])[1], name.encode()))
        if name in there.binding:
            if there is not module and not rest and not isinstance(chain[-1].ctx, ast.Load):
                raise BookError(f"{place}: {there.name}.{name} is changed from another module: give it a function")
            return [(there.name, i) for i in there.binding[name]]
        dotted, ones = ".".join([name, *links[covered:], ""]), there.imports[name]
        for one in [o for o in ones if not o.name and dotted.startswith(f"{o.module}.")] or ones:
            self.foreign.add(one)  # import a.b, import a.c: those that the chain begins with
            self.claim(name, one.origin, one.place)
        return []

    def order(self) -> list[str]:
        """The chosen modules, each after those that it needs while it is loaded."""
        seen, done = set(), []

        def visit(name: str) -> None:
            if name not in seen:
                seen.add(name)
                for one in self.module(name).loads:
                    visit(next(n for n in (f"{one.module}.{one.name}", one.module) if self.module(n)))
                done.append(name)

        for name in self.chosen:
            visit(name)
        return [name for name in done if name in self.chosen]


def export(project: Project, dotted: str) -> Standalone:
    """What is called ``dotted`` with all that it needs of ``code/``, as one file.

    A method comes with its class, a module with everything in it.

    Raises:
        BookError: there is no such thing, or something cannot be taken out of the package (file and line
            are named).
    """
    main, _, rest = locate(project, dotted)
    shop = Shop(project)
    module = shop.module(main)
    wanted = [i for i, s in enumerate(module.tree.body) if not isinstance(s, Importing)]
    if rest:
        module, name, _ = shop.resolve(dotted.split("."), "")
        if name not in module.binding:
            raise BookError(f"{dotted} comes from {module.imports[name][0].module}, which is not in code/")
        main, wanted = module.name, module.binding[name]
    for number in wanted:
        shop.need(main, number)
    order, blocks, last = shop.order(), [], ""
    for name in order:
        numbers = sorted(shop.chosen[name])
        if name == main and is_main(module.tree.body[numbers[-1]]):
            last = module.source(numbers[-1], shop.chosen[name][numbers.pop()])
        ruler = f"# {'-' * (WIDTH - 3 - len(name))} {name}" if len(order) > 1 else ""
        blocks += [ruler, _statements(shop, name, numbers, everything=name == main and not rest)]
    docstring = module.source(0, []) if not rest and ast.get_docstring(module.tree) else ""
    head = [_header(project, dotted, module, rest), docstring, *_imports(shop)]
    code = "\n\n\n".join(filter(None, [*blocks, last])) + "\n"
    gap = "\n\n\n" if code.startswith(("def ", "async ", "class ", "@")) else "\n\n"
    names = {f"{n}.{local}" for n in order for i in shop.chosen[n] for local in shop.module(n).statements[i].bound}
    return Standalone("\n\n".join(filter(None, head)) + gap + code, tuple(sorted(names)))


def standalone(project: Project, dotted: str) -> str:
    """The text of ``export``: a file that runs without the package."""
    return export(project, dotted).text


def _statements(shop: Shop, name: str, numbers: list[int], everything: bool) -> str:
    """Statements of a module with the space between them that they have there."""
    module, text, before = shop.module(name), "", None
    for number in numbers:
        statement = module.tree.body[number]
        if number == 0 and ast.get_docstring(module.tree):
            continue  # the module's docstring stands on top of the file
        if before is not None:
            blocks = isinstance(before, Block) or isinstance(statement, Block)
            text += "\n\n\n" if blocks else "\n" if statement.lineno == before.end_lineno + 1 else "\n\n"
        text += module.source(number, shop.chosen[name][number], everything)
        before = statement
    return text


def _imports(shop: Shop) -> list[str]:
    """Blocks of import statements: of the future, the standard library, other packages."""
    every = [one for name in shop.chosen for ones in shop.module(name).imports.values() for one in ones]
    futures = sorted({one.name for one in every if one.module == "__future__"})
    blocks = {-1: [f"from __future__ import {', '.join(futures)}"] if futures else [], False: [], True: []}
    groups: dict[tuple, list[str]] = {}
    for one in shop.foreign:
        key = (one.module.split(".")[0] not in sys.stdlib_module_names, bool(one.name), one.module)
        plain = one.local == (one.name or one.origin)
        groups.setdefault(key, []).append((one.name or one.module) + ("" if plain else f" as {one.local}"))
    for (third_party, is_from, module), entries in sorted(groups.items()):
        lines = [f"import {entry}" for entry in sorted(entries)]
        if is_from:
            lines = [f"from {module} import {', '.join(sorted(entries))}"]
            if len(lines[0]) > WIDTH:
                lines = [f"from {module} import (", *(f"    {entry}," for entry in sorted(entries)), ")"]
        blocks[third_party] += lines
    return ["\n".join(block) for block in blocks.values()]


def _header(project: Project, dotted: str, module: Module, rest: list[str]) -> str:
    """Where the file comes from, under which licence, and where it is explained."""

    def found(pattern: str, file: str) -> str:
        text = (project.root / file).read_text("utf-8") if (project.root / file).exists() else ""
        return next(iter(re.findall(pattern, text, re.MULTILINE)), "")

    nodes = [module.tree.body[i] for name in rest[:1] for i in module.binding.get(name, ())] + [module.tree]
    texts = [ast.get_docstring(n) or "" for n in nodes if isinstance(n, Block | ast.Module)]
    page = next(iter(re.findall(r"^Book: ([\w/-]+)", "\n".join(texts), re.MULTILINE)), "")
    source = module.shown
    if project.repository_url:
        source = f"{project.repository_url}/blob/main/{source}"
        page = page and f"{project.repository_url}/blob/main/book/{page}.md"
    title = [found(r'^project = "(.+)"$', "conf.py"), found(r'^version = "(.+)"$', "pyproject.toml")]
    licence = [found(r"^(Copyright .*\w).*$", "LICENSE"), "SPDX-License-Identifier: MIT"]
    lines = [
        f"{dotted}, from {' '.join(filter(None, title))}",
        ". ".join(filter(None, licence)),
        f"Explained on the page {page}" if page else "",
        f"Source: {source}",
        f"Made by `python -m bookbuild standalone {dotted}`: {'this object' if rest else 'the module'}, with "
        "all that it needs of the package put before it, names and imports adapted.",
    ]
    wrapped = (w for line in lines for w in textwrap.wrap(line, WIDTH - 2, break_long_words=False))
    return "\n".join(f"# {line}" for line in wrapped)
