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
import re
import symtable
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bookbuild.engine.project import BookError, Project
from bookbuild.engine.source import locate, module_file, parsed

Block = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Importing = ast.Import | ast.ImportFrom
DEFINING = (Block, ast.Assign, ast.AnnAssign, ast.AugAssign)
SCOPES = {  # what symtable calls those that have no name
    ast.Lambda: "lambda", ast.ListComp: "listcomp", ast.SetComp: "setcomp", ast.DictComp: "dictcomp",
    ast.GeneratorExp: "genexpr",
}  # fmt: skip
MAGIC = {*dir(builtins), "__file__", "__module__", "__qualname__", "__class__"}
MARK = re.compile(r"^[ \t]*# (?:region: [\w-]+|endregion|standalone: \w+)[ \t]*\n", re.MULTILINE)
STAND_IN = re.compile(rb"^# standalone: (\w+)$", re.MULTILINE)
CODING = re.compile(rb"[ \t\f]*#.*?coding[:=][ \t]*[-\w.]")
WIDTH = 110


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


@dataclass(frozen=True)
class Use:
    """A name that is not local where it stands, and the attributes that are taken of it."""

    links: tuple[str, ...]
    start: int
    ends: tuple[int, ...]  # of each link, in bytes
    place: str
    stores: bool  # into the last link
    scopes: tuple[symtable.SymbolTable, ...]  # from the outermost


@dataclass(frozen=True)
class Standalone:
    """A file that runs alone, and the dotted names of what it holds of the package."""

    text: str
    names: tuple[str, ...]


class Module(ast.NodeVisitor):
    """A module's source: what each statement at its top binds, and which names it uses."""

    def __init__(self, name: str, shown: str, tops: frozenset[str], text: str, tree: ast.Module):
        self.name, self.shown, self.tops, self.tree, self.body = name, shown, tops, tree, text.encode()
        self.lines = self.body.split(b"\n")
        self.starts = [0]  # of each line, in bytes
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        self.imports: dict[str, list[Import]] = {}
        self.loads: list[Import] = []  # of code/, whenever it is imported itself
        self.future: set[str] = set()
        self.binding: dict[str, list[int]] = {}  # name -> statements
        self.stand_ins: dict[str, str] = {}
        self.always: list[int] = []  # statements that do something whenever the module is imported
        self.found: list[tuple[list[str], list[Use]]] = []  # what each statement binds and uses
        self.quoted: set[ast.AST] = set()  # annotations
        self.edits = [(*self.starts[i : i + 2], b"") for i, line in enumerate(self.lines[:2]) if CODING.match(line)]
        for node in ast.walk(tree):
            self._prepare(node)
        table = symtable.symtable(text, shown, "exec")
        self.scopes, self.inner = (table,), table.get_children()
        for number, statement in enumerate(tree.body):
            self._read(number, statement)
        for name, ones in self.imports.items():
            if name in self.binding or len({one.origin for one in ones}) > 1:
                raise BookError(f"{ones[-1].place}: {name!r} has a second meaning in this module: use two names")

    def _prepare(self, node: ast.AST) -> None:
        """Notes what a node imports and which of its annotations are quoted."""
        hint = getattr(node, "annotation", None) or getattr(node, "returns", None)
        self.quoted.update(_quoted(hint) if hint else ())
        for block in (getattr(node, name, None) for name in ("body", "orelse", "finalbody")):
            found = [s for s in block if isinstance(s, Importing)] if isinstance(block, list) else []
            own = [s for s in found if self.imported(s)[0].own]
            for one in (one for s in (found if node is self.tree else own) for one in self.imported(s)):
                if one.module == "__future__":
                    self.future.add(one.name)
                else:
                    self.imports.setdefault(one.local, []).append(one)
            for statement in own if node is not self.tree else ():  # it goes, with its line if that can be
                start = self.starts[statement.lineno - 1] + statement.col_offset
                end = self.starts[statement.end_lineno - 1] + statement.end_col_offset
                line, last = self.starts[statement.lineno - 1], self.starts[statement.end_lineno]
                alone = not (self.body[line:start] + self.body[end:last].partition(b"#")[0]).strip()
                keep = not alone or (statement is own[0] and len(own) == len(block))
                self.edits.append((start, end, b"pass") if keep else (line, last, b""))

    def _read(self, number: int, statement: ast.stmt) -> None:
        if number and statement.lineno == self.tree.body[number - 1].end_lineno:
            raise self.error(statement, "two statements share a line: give each its own")
        self.found.append(([], []))
        self.visit(statement)
        bound = self.found[-1][0]
        roots = [_root(target) for target in getattr(statement, "targets", ())]  # X["key"] = 1 belongs to X
        belongs = [*bound, *(name for name in roots if name in self.binding)]
        for name in dict.fromkeys(belongs):
            self.binding.setdefault(name, []).append(number)
        if stand_in := STAND_IN.search(self.body, self.lead(number), self.starts[statement.lineno]):
            self.stand_ins[bound[0]] = stand_in[1].decode()
        passive = isinstance(statement, Importing) or is_main(statement) or is_docstring(statement)
        if not passive and not (belongs and isinstance(statement, DEFINING)):
            self.always.append(number)

    def imported(self, node: Importing) -> list[Import]:
        """What an import binds: all of it is of ``code/``, or nothing."""
        base, found = getattr(node, "module", "") or "", []
        if level := getattr(node, "level", 0):
            parents = self.name.split(".") + [""] * self.shown.endswith("__init__.py")
            base = ".".join(filter(None, [*parents[:-level], base]))
        for alias in node.names:
            if alias.name == "*":
                what = f"'from {base} import *' hides where names come from: import them by name"
                raise self.error(node, what)
            module, name = (base, alias.name) if isinstance(node, ast.ImportFrom) else (alias.name, "")
            top = module.split(".")[0]
            place = f"{self.shown}:{node.lineno}"
            found.append(Import(module, name, alias.asname or name or top, top in self.tops, place))
        if len({one.own for one in found}) > 1:
            raise self.error(node, "import the package's modules in a statement of their own")
        return found

    def error(self, node: ast.AST, what: str) -> BookError:
        return BookError(f"{self.shown}:{node.lineno}: {what}")

    # ---- names and scopes

    def visit(self, node: ast.AST) -> None:
        name = getattr(node, "name", None) or getattr(node, "rest", None)
        if isinstance(name, str) and len(self.scopes) == 1:
            self.found[-1][0].append(name)
        if type(node) not in SCOPES and not isinstance(node, Block):
            return super().visit(node)
        if generators := getattr(node, "generators", ()):
            outside = [generators[0].iter]
            inside = [generators[0].target, *generators[0].ifs, *generators[1:]]
            inside += [n for n in ast.iter_child_nodes(node) if n not in generators]
        else:
            inside = node.body if isinstance(node.body, list) else [node.body]
            outside = [n for n in ast.iter_child_nodes(node) if n not in inside]
        for child in outside:
            self.visit(child)
        kind, around = SCOPES.get(type(node)) or node.name, (self.scopes, self.inner)
        here = [t for t in self.inner if t.get_lineno() == node.lineno and t.get_name().strip("<>") == kind]
        self.inner.remove(here[0])
        self.scopes, self.inner = (*self.scopes, here[0]), here[0].get_children()
        for child in inside:
            self.visit(child)
        self.scopes, self.inner = around

    def local(self, name: str, scopes: tuple[symtable.SymbolTable, ...]) -> bool:
        """Whether a name is bound in one of the scopes, by something else than an import of ``code/``."""
        for table in reversed(scopes[1:]):
            if name in table.get_identifiers() and (table is scopes[-1] or table.get_type() != "class"):
                symbol = table.lookup(name)
                if symbol.is_local() or symbol.is_global():
                    own = symbol.is_imported() and any(one.own for one in self.imports.get(name, ()))
                    if own and symbol.is_assigned():
                        place = self.imports[name][-1].place
                        raise BookError(f"{place}: {name!r} is imported from the package and assigned: use two names")
                    return not own and symbol.is_local()
        return False

    def visit_Name(self, node: ast.Name) -> None:
        if len(self.scopes) == 1 and isinstance(node.ctx, ast.Store):
            self.found[-1][0].append(node.id)
        else:
            self._use([node])

    def visit_Attribute(self, node: ast.Attribute) -> None:
        chain: list[ast.expr] = [node]
        while isinstance(chain[0], ast.Attribute):
            chain.insert(0, chain[0].value)
        self._use(chain) if isinstance(chain[0], ast.Name) else self.visit(chain[0])

    def _use(self, chain: list[ast.expr]) -> None:
        if not self.local(chain[0].id, self.scopes):
            links = (chain[0].id, *(n.attr for n in chain[1:]))
            ends = tuple(self.starts[n.end_lineno - 1] + n.end_col_offset for n in chain)
            start, stores = ends[0] - len(links[0].encode()), not isinstance(chain[-1].ctx, ast.Load)
            place = f"{self.shown}:{chain[0].lineno}"
            self.found[-1][1].append(Use(links, start, ends, place, stores, self.scopes))

    def visit_Constant(self, node: ast.Constant) -> None:
        with contextlib.suppress(SyntaxError):  # in quotes may stand what is no annotation
            inner = ast.parse(node.value, mode="eval").body if node in self.quoted else None
            line = self.starts[node.lineno - 1]
            shift = self.body.find(str(node.value).encode(), line + node.col_offset) - line if inner else 0
            for part in (n for n in ast.walk(inner) if isinstance(n, ast.expr)) if inner else ():
                part.lineno = part.end_lineno = node.lineno
                part.col_offset, part.end_col_offset = part.col_offset + shift, part.end_col_offset + shift
            self.visit(inner) if inner else None

    def visit_Import(self, node: Importing) -> None:
        for one in self.imported(node):
            if not one.own and any(other.own for other in self.imports.get(one.local, ())):
                raise self.error(node, f"{one.local!r} has a second meaning in this module: use two names")
            if len(self.scopes) == 1 and one.own:
                self.loads.append(one)
            elif len(self.scopes) == 1 and one not in self.imports.get(one.local, ()):
                self.found[-1][0].append(one.local)

    visit_ImportFrom = visit_Import

    # ---- text

    def lead(self, number: int, everything: bool = False) -> int:
        """Where the comments above a statement begin: those that touch it, or all since the one before."""
        statement = self.tree.body[number]
        first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", ()))]) - 1
        stop = self.tree.body[number - 1].end_lineno if number else 0
        while first > stop and (
            self.lines[first - 1].startswith(b"#") or (everything and not self.lines[first - 1].strip())
        ):
            first -= 1
        return self.starts[first]

    def source(self, number: int, edits: Iterable[tuple[int, int, bytes]], everything: bool = False) -> str:
        """A statement with the comments above it, changed by ``edits``."""
        start, end = self.lead(number, everything), self.starts[self.tree.body[number].end_lineno]
        text, done = b"", start
        for first, last, new in sorted({*edits, *(e for e in self.edits if start <= e[0] < end)}):
            text, done = text + self.body[done:first] + new, last
        return MARK.sub("", (text + self.body[done:end]).decode() + "\n").strip("\n")


_module = functools.lru_cache(maxsize=512)(Module)  # read once for each content


def _root(target: ast.expr) -> str:
    return next((n.id for n in ast.walk(target) if isinstance(n, ast.Name)), "")


def _quoted(hint: ast.AST) -> Iterator[ast.Constant]:
    """The strings in an annotation that are annotations themselves."""
    if isinstance(hint, ast.Constant) and isinstance(hint.value, str):
        yield hint
    special = isinstance(hint, ast.Subscript) and getattr(hint.value, "id", getattr(hint.value, "attr", ""))
    children = ast.iter_child_nodes(hint) if special not in ("Literal", "Annotated") else ()
    if special == "Annotated":
        children = hint.slice.elts[:1]
    for child in children:
        yield from _quoted(child)


def is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def is_main(statement: ast.stmt) -> bool:
    """Whether this is ``if __name__ == "__main__":``."""
    return isinstance(statement, ast.If) and ast.unparse(statement.test) == "__name__ == '__main__'"


class Shop:
    """Collects the statements that one file needs."""

    def __init__(self, project: Project):
        self.project = project
        packages = {file.parent.name for file in project.code.glob("*/__init__.py")}
        self.tops = frozenset(packages | {file.stem for file in project.code.glob("*.py")})
        self.modules: dict[str, Module | None] = {}
        self.chosen: dict[str, dict[int, list[tuple[int, int, bytes]]]] = {}  # module -> statement -> edits
        self.foreign: set[Import] = set()
        self.names: dict[str, tuple[str, str]] = {}  # name -> what it means, and where

    def module(self, name: str) -> Module | None:
        if name not in self.modules:
            file = module_file(self.project, name)
            shown = file and file.relative_to(self.project.root).as_posix()
            self.modules[name] = file and _module(name, shown, self.tops, *parsed(file))
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
        if name not in module.binding and name not in module.imports:
            known = ", ".join(sorted(module.binding)) or "nothing"
            raise BookError(f"{where}{module.name} has no {name!r} (there is: {known})")
        if name in module.imports and module.imports[name][0].own:
            return self.resolve([*module.imports[name][0].origin.split("."), *rest], where)
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
                bound, uses = module.found[number]
                for local in bound:
                    self.claim(local, f"{name}.{local}", f"{module.shown}:{module.tree.body[number].lineno}")
                for use in uses:
                    todo += self.follow(module, use, self.chosen[name][number])

    def follow(self, module: Module, use: Use, edits: list[tuple[int, int, bytes]]) -> list[tuple[str, int]]:
        """The statements that a use needs; what it must be changed to is added to ``edits``."""
        root, ones = use.links[0], module.imports.get(use.links[0])
        where = f"{use.place}: "
        if root in module.binding:
            there, name, rest = self.resolve([*module.name.split("."), *use.links], where)
        elif ones and ones[0].own:
            there, name, rest = self.resolve([*ones[0].origin.split("."), *use.links[1:]], where)
        elif ones:
            there, name, rest = module, root, len(use.links) - 1
        elif root in MAGIC:
            self.claim(root, f"builtins.{root}", use.place)
            return []
        else:
            raise BookError(f"{where}the name {root!r} is not defined")
        covered = len(use.links) - rest
        if use.links[:covered] != (name,):
            if module.local(name, use.scopes):
                raise BookError(f"{where}{there.name}.{name} is meant, but {name!r} is a local name: use two names")
            if module.body[use.start : use.ends[0]].decode() != root:
                raise BookError(f"{where}Python does not say where {root!r} stands: take it out of the string")
            edits.append((use.start, use.ends[covered - 1], name.encode()))
        if name in there.binding:
            if use.stores and not rest and there is not module:
                raise BookError(f"{where}{there.name}.{name} is changed from another module: give it a function")
            return [(there.name, i) for i in there.binding[name]]
        chain = ".".join([name, *use.links[covered:], ""])
        ones = there.imports[name]  # import a.b, import a.c: those that the chain begins with
        for one in [o for o in ones if not o.name and chain.startswith(f"{o.module}.")] or ones:
            self.foreign.add(one)
            self.claim(name, one.origin, one.place)
        return []

    def order(self) -> list[str]:
        """The chosen modules, each after those that it needs while it is loaded."""
        done: dict[str, bool] = {}  # whether all that it loads is done

        def visit(name: str) -> None:
            if name not in done:
                done[name] = False
                for one in self.module(name).loads:
                    visit(next(n for n in (f"{one.module}.{one.name}", one.module) if self.module(n)))
                done[name] = done.pop(name) or True

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
    names = {f"{n}.{local}" for n in order for i in shop.chosen[n] for local in shop.module(n).found[i][0]}
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
    futures = sorted(name for module in shop.chosen for name in shop.module(module).future)
    blocks = {-1: [f"from __future__ import {', '.join(dict.fromkeys(futures))}"] if futures else [], False: [], True: []}
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
