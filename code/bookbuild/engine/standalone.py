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
import contextlib
import functools
import itertools
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from symtable import SymbolTable, symtable

from bookbuild.engine.project import BookError, Project
from bookbuild.engine.source import locate, module_file, parsed

Block = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Importing = ast.Import | ast.ImportFrom
PASSIVE = (Importing, Block, ast.Assign, ast.AnnAssign, ast.AugAssign)
MAGIC = {*dir(builtins), "__file__", "__module__", "__qualname__", "__class__"}
MARK = re.compile(r"^[ \t]*# ?(?:(?:-\*- )?coding[:=].*|region: [\w-]+|endregion|standalone: \w+)[ \t]*\n", re.M)
STAND_IN = re.compile(rb"^# standalone: (\w+)$", re.M)
WIDTH = 110
Edit = tuple[int, int, str]  # from, to, what stands there instead


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


class Module:
    """The imports and statements of a module."""

    def __init__(self, name: str, shown: str, tops: frozenset[str], text: str, tree: ast.Module):
        self.name, self.shown, self.tops, self.tree, self.body = name, shown, tops, tree, text.encode()
        self.lines = self.body.splitlines(keepends=True)
        self.starts = [0, *itertools.accumulate(map(len, self.lines))]  # of each line, in bytes
        self.imports: dict[str, list[Import]] = {}
        self.future: set[Import] = set()
        self.binding: dict[str, list[int]] = {}  # name -> statements
        self.stand_ins: dict[str, str] = {}
        self.statements: list[Statement] = []
        self.always: list[int] = []  # those that do something whenever the module is imported
        for node in (n for n in ast.walk(tree) if isinstance(n, Importing)):
            for one in self._imported(node):
                if one.module == "__future__":
                    self.future.add(one)
                elif node in tree.body:
                    self.imports.setdefault(one.local, []).append(one)
                elif one.own:
                    raise BookError(f"{one.place}: import the package's modules at the top of the file")
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

    def _imported(self, node: Importing) -> Iterator[Import]:
        base = getattr(node, "module", "") or ""
        if level := getattr(node, "level", 0):
            parents = self.name.split(".") + [""] * self.shown.endswith("__init__.py")
            base = ".".join(filter(None, [*parents[:-level], base]))
        for alias in node.names:
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
        scopes, quoted = list(_scopes(symtable(text, self.shown, "exec"))), _quoted(node)
        symbols = scopes[0][0].get_symbols()
        bound = [s.get_name() for s in symbols if s.is_assigned() or (s.is_imported() and not isinstance(node, Importing))]
        free = {s.get_name() for table, _ in scopes for s in table.get_symbols() if s.is_global()}
        parts = [*ast.walk(node), *quoted]
        uses = [[n] for n in parts if isinstance(n, ast.Name) and (n.id in free or n in quoted)]
        above = {n.value: n for n in parts if isinstance(n, ast.Attribute)}
        for chain in uses:
            while chain[-1] in above:
                chain.append(above[chain[-1]])
        self.statements.append(Statement(node, first, scopes, bound, uses))
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
        while first > stop and self.lines[first - 1].strip()[:1] in ((b"#", b"") if everything else (b"#",)):
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


def _scopes(table: SymbolTable, around: frozenset = frozenset()) -> Iterator[tuple[SymbolTable, frozenset]]:
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
        with contextlib.suppress(SyntaxError, TypeError):  # the text may be no annotation
            found += [ast.copy_location(n, text) for n in ast.walk(ast.parse(text.value, mode="eval").body)]
    return found


def _hides(statement: Statement, old: str, new: str) -> str | None:
    """Which of two names is local where the first, a global one, is used and the second shall stand."""
    for table, local in statement.scopes[1:]:
        if old in local or (new in local and old in table.get_identifiers()):
            return old if old in local else new
    return None


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
        self.order: list[str] = []  # of modules, each after those that it imports
        self.chosen: dict[str, dict[int, list[Edit]]] = {}  # module -> statement -> what changes in it
        self.foreign: set[Import] = set()
        self.names: dict[str, tuple[str, str]] = {}  # name -> what it means, and where

    def module(self, name: str) -> Module | None:
        if name not in self.modules:
            file = module_file(self.project, name)
            shown = file and file.relative_to(self.project.root).as_posix()
            module = self.modules[name] = file and read(name, shown, self.tops, *parsed(file))
            for one in (one for ones in module.imports.values() for one in ones if one.own) if module else ():
                self.module(f"{one.module}.{one.name}") or self.module(one.module)
            self.order.append(name)
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
        ones = module.imports.get(name)
        if name in module.stand_ins:
            return self.resolve([*path[:depth], module.stand_ins[name], *rest], where)
        if ones and ones[0].own:
            return self.resolve([*ones[0].origin.split("."), *rest], where)
        if not ones and name not in module.binding:
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
                statement, edits = module.statements[number], self.chosen[name].setdefault(number, [])
                for local in statement.bound:
                    self.claim(local, f"{name}.{local}", module.place(statement.node))
                for chain in statement.uses:
                    todo += self.follow(module, statement, chain, edits)

    def follow(self, module: Module, statement: Statement, chain: list, edits: list[Edit]) -> list[tuple[str, int]]:
        """The statements that a use needs; what it must be changed to is added to ``edits``."""
        root, *attributes = links = [chain[0].id, *(node.attr for node in chain[1:])]
        place, (start, end) = module.place(chain[0]), module.at(chain[0])
        quoted = module.body[start:end] != root.encode()
        if root not in module.binding and root not in module.imports:
            if root not in MAGIC and not quoted:
                raise BookError(f"{place}: the name {root!r} is not defined")
            self.claim(root, f"builtins.{root}", place) if not quoted else None
            return []
        there, name, rest = self.resolve([*module.name.split("."), *links], f"{place}: ")
        last = chain[len(attributes) - rest]
        if last is not chain[0] or name != root:
            local = _hides(statement, root, name)
            if quoted or local:
                why = f"{local!r} is a local name too: use two names" if local else "take it out of the quotes"
                raise BookError(f"{place}: {root!r} stands for {there.name}.{name}, and {why}")
            edits.append((start, module.at(last)[1], name))
        if name in there.binding:
            if there is not module and not rest and not isinstance(last.ctx, ast.Load):
                raise BookError(f"{place}: {there.name}.{name} is changed from another module: give it a function")
            return [(there.name, i) for i in there.binding[name]]
        dotted = ".".join([name, *links[len(links) - rest :], ""])
        for one in [o for o in there.imports[name] if dotted.startswith(f"{o.module}.")] or there.imports[name]:
            self.foreign.add(one)  # of import a.b and import a.c that which the chain begins with
            self.claim(name, one.origin, one.place)
        return []


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
    wanted = [i for i, s in enumerate(module.statements) if not isinstance(s.node, Importing)]
    if rest:
        module, name, _ = shop.resolve(dotted.split("."), "")
        if name not in module.binding:
            raise BookError(f"{dotted} comes from {module.imports[name][0].module}, which is not in code/")
        wanted = module.binding[name]
    for number in wanted:
        shop.need(module.name, number)
    order, blocks, last = [name for name in shop.order if name in shop.chosen], [], ""
    for name in order:
        chosen = dict(sorted(shop.chosen[name].items()))
        if name == module.name and is_main(module.tree.body[max(chosen)]):
            last = module.source(*chosen.popitem())
        ruler = f"# {'-' * (WIDTH - 3 - len(name))} {name}" if len(order) > 1 else ""
        blocks += [ruler, shop.module(name).text(chosen, everything=name == module.name and not rest)]
    docstring = module.source(0, []) if not rest and ast.get_docstring(module.tree) else ""
    head = [_header(project, dotted, module, rest), docstring, *_imports(shop)]
    code = "\n\n\n".join(filter(None, [*blocks, last])) + "\n"
    gap = "\n\n\n" if code.startswith(("def ", "async ", "class ", "@")) else "\n\n"
    names = sorted(meaning for meaning, _ in shop.names.values() if meaning.split(".")[0] in shop.tops)
    return Standalone("\n\n".join(filter(None, head)) + gap + code, tuple(names))


def standalone(project: Project, dotted: str) -> str:
    """The text of ``export``: a file that runs without the package."""
    return export(project, dotted).text


def _imports(shop: Shop) -> list[str]:
    """Blocks of import statements: of the future, the standard library, other packages."""
    futures = {one for name in shop.chosen for one in shop.module(name).future}
    blocks: dict[str, list[str]] = {"future": [], "library": [], "others": []}
    groups: dict[tuple, list[str]] = {}
    for one in shop.foreign | futures:
        kind = "library" if one.module.split(".")[0] in sys.stdlib_module_names else "others"
        key = ("future" if one in futures else kind, bool(one.name), one.module)
        plain = one.local in (one.name, one.origin)
        groups.setdefault(key, []).append((one.name or one.module) + ("" if plain else f" as {one.local}"))
    for (block, is_from, module), entries in sorted(groups.items()):
        lines = [f"import {entry}" for entry in sorted(entries)]
        if is_from:
            lines = [f"from {module} import {', '.join(sorted(entries))}"]
            if len(lines[0]) > WIDTH:
                lines = [f"from {module} import (", *(f"    {entry}," for entry in sorted(entries)), ")"]
        blocks[block] += lines
    return ["\n".join(block) for block in blocks.values()]


def _header(project: Project, dotted: str, module: Module, rest: list[str]) -> str:
    """Where the file comes from, under which licence, and where it is explained."""

    def first(pattern: str, text: str) -> str:
        return found[1] if (found := re.search(pattern, text, re.MULTILINE)) else ""

    conf, settings, licence = (
        (project.root / name).read_text("utf-8") if (project.root / name).exists() else ""
        for name in ("conf.py", "pyproject.toml", "LICENSE")
    )
    nodes = [module.tree.body[i] for name in rest[:1] for i in module.binding.get(name, ())] + [module.tree]
    texts = [ast.get_docstring(node) or "" for node in nodes if isinstance(node, Block | ast.Module)]
    source, page = module.shown, first(r"^Book: ([\w/-]+)", "\n".join(texts))
    if project.repository_url:
        source = f"{project.repository_url}/blob/main/{source}"
        page = page and f"{project.repository_url}/blob/main/book/{page}.md"
    title = [first(r'^project = "(.+)"$', conf), first(r'^version = "(.+)"$', settings)]
    lines = [
        f"{dotted}, from {' '.join(filter(None, title))}",
        ". ".join(filter(None, [first(r"^(Copyright .*\w)", licence), "SPDX-License-Identifier: MIT"])),
        f"Explained on the page {page}" if page else "",
        f"Source: {source}",
        f"Made by `python -m bookbuild standalone {dotted}`: {'this object' if rest else 'the module'}, with "
        "all that it needs of the package put before it, names and imports adapted.",
    ]
    wrapped = (part for line in lines for part in textwrap.wrap(line, WIDTH - 2, break_long_words=False))
    return "\n".join(f"# {part}" for part in wrapped)
