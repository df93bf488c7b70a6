"""An object of the code, or a whole module, as one file that runs without the package.

``python -m bookbuild.engine.standalone rlworkshop.algorithms.vpg > vpg.py``

The file holds the real source, comments and docstrings included, of what was asked for and of everything
in ``code/`` that it needs. Statements keep their order and modules follow the order of their imports, so what
loads in the package loads here. Only names change: ``nets.mlp`` becomes ``mlp``, or ``nets_mlp`` where
``mlp`` is taken. A function that makes sense in the package alone names its stand-in in a comment above it,
``# standalone: NAME``.
"""

import argparse
import ast
import builtins
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bookbuild.engine.project import BookError, Project
from rlworkshop import provenance

Function = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
DEFINING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
MAGIC = {*dir(builtins), "__file__", "__module__", "__qualname__", "__class__"}
MARK = re.compile(r"^[ \t]*# (?:region: [\w-]+|endregion|standalone: \w+)[ \t]*\n", re.MULTILINE)
STAND_IN = re.compile(r"^# standalone: (\w+)$", re.MULTILINE)
WIDTH = 110


@dataclass(frozen=True)
class Own:
    """What a module of ``code/`` calls ``name``; that module itself where the name is empty."""

    module: str
    name: str = ""


@dataclass(frozen=True)
class Foreign:
    """``from module import name as local``, or ``import module as local`` where the name is empty."""

    module: str
    name: str
    local: str

    @property
    def dotted(self) -> bool:
        """``import a.b``, which binds ``a``: another name would change how it is used."""
        return not self.name and "." in self.module and self.local == self.module.split(".")[0]


@dataclass(frozen=True)
class Use:
    """Bytes ``start`` to ``end`` of a module name a thing; ``hidden``: names that are local there."""

    start: int
    end: int
    thing: Own | Foreign
    hidden: frozenset[str]


@dataclass(frozen=True)
class Standalone:
    """A file that runs alone, and what each object of the package is called in it (by its dotted name)."""

    text: str
    names: dict[str, str]


def locate(project: Project, dotted: str) -> tuple[str, Path, list[str]]:
    """The module that holds ``dotted``, its file, and the rest of the name.

    Raises:
        BookError: no module of ``code/`` does.
    """
    parts = dotted.split(".")
    for depth in range(len(parts), 0, -1):
        name = ".".join(parts[:depth])
        if (file := _file(project, name)) is not None:
            return name, file, parts[depth:]
    raise BookError(f"no module of code/ holds {dotted!r}")


def _file(project: Project, module: str) -> Path | None:
    try:
        files = provenance.module_files(module, root=project.code)
    except ModuleNotFoundError:
        return None
    return max(files, key=lambda f: (len(f.parts), f.name != "__init__.py"))


class Module:
    """A module's source: what each statement at its top binds, and what of other statements it uses."""

    def __init__(self, project: Project, name: str):
        self.project, self.name, self.file = project, name, _file(project, name)
        self.shown = self.file.relative_to(project.root).as_posix()
        self.body = self.file.read_bytes()
        self.tree = ast.parse(self.body, self.shown)
        self.package = name if self.file.name == "__init__.py" else name.rpartition(".")[0]
        self.starts = [0]  # of each line, in bytes
        for line in self.body.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.future: set[str] = set()
        self.meaning: dict[str, Own | Foreign | list[Foreign]] = {}
        self.binding: dict[str, list[int]] = {}  # name -> statements
        self.always: list[int] = []  # statements that do something whenever the module is imported
        self.loads: list[str] = []  # modules of code/ that it imports when it is imported
        for number, statement in enumerate(self.tree.body):
            self._bind(number, statement)
        reader = Reader(self)
        self.uses = [reader.read(statement) for statement in self.tree.body]
        self.edits = list(_without_own_imports(self))

    def _bind(self, number: int, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for local, thing in self.imported(statement):
                several = isinstance(thing, Foreign) and thing.dotted
                self.meaning[local] = [*self.meaning.get(local, []), thing] if several else thing
                self.loads += [thing.module] if isinstance(thing, Own) else []
            if isinstance(statement, ast.Import):  # "import a.b" binds a, and loads b
                self.loads += [a.name for a in statement.names if _file(self.project, a.name)]
            return
        for name, thing in bound(self, [statement]).items():
            self.meaning[name] = thing or Own(self.name, name)
            self.loads += [thing.module] if thing else []
            self.binding.setdefault(name, []).append(number)
        for target in getattr(statement, "targets", ()):  # X["key"] = 1 belongs to X
            root = next((n.id for n in ast.walk(target) if isinstance(n, ast.Name)), None)
            if not isinstance(target, ast.Name) and root in self.binding:
                self.binding[root].append(number)
        docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not isinstance(statement, (*DEFINING, ast.AugAssign)) and not docstring and not is_main(statement):
            self.always.append(number)

    def imported(self, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Own | Foreign]]:
        """Each name that an import binds, and what it stands for."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                if _file(self.project, top):
                    yield alias.asname or top, Own(alias.name if alias.asname else top)
                else:
                    yield alias.asname or top, Foreign(alias.name, "", alias.asname or top)
            return
        base = node.module or ""
        if node.level:
            parents = self.package.split(".")
            base = ".".join([*parents[: len(parents) - node.level + 1], *([base] if base else [])])
        if base == "__future__":
            self.future.update(alias.name for alias in node.names)
            return
        for alias in node.names:
            if alias.name == "*":
                raise self.error(
                    node, f"'from {base} import *' hides where names come from: import them by name"
                )
            local = alias.asname or alias.name
            if not _file(self.project, base.split(".")[0]):
                yield local, Foreign(base, alias.name, local)
            elif _file(self.project, f"{base}.{alias.name}"):
                yield local, Own(f"{base}.{alias.name}")
            else:
                yield local, Own(base, alias.name)

    def error(self, node: ast.AST, what: str) -> BookError:
        return BookError(f"{self.shown}:{node.lineno}: {what}")

    def lead(self, number: int, everything: bool = False) -> int:
        """Where the comments above a statement begin: those that touch it, or all since the one before."""
        lines = self.body.splitlines(keepends=True)
        statement = self.tree.body[number]
        decorators = getattr(statement, "decorator_list", [])
        first = min([statement.lineno, *(d.lineno for d in decorators)]) - 1
        stop = self.tree.body[number - 1].end_lineno if number else 0
        while first > stop and (
            lines[first - 1].startswith(b"#") or (everything and not lines[first - 1].strip())
        ):
            first -= 1
        return self.starts[first]

    def source(self, number: int, names: dict[Own | Foreign, str], everything: bool = False) -> str:
        """A statement with the comments above it, its names as ``names`` has them."""
        start, end = self.lead(number, everything), self.starts[self.tree.body[number].end_lineno]
        edits = [(u.start, u.end, names[u.thing].encode()) for u in self.uses[number]]
        edits += [edit for edit in self.edits if start <= edit[0] < end]
        text, done = b"", start
        for first, last, new in sorted(set(edits)):
            text, done = text + self.body[done:first] + new, last
        text = (text + self.body[done:end]).decode()
        return MARK.sub("", text if text.endswith("\n") else f"{text}\n").strip("\n")


class Reader(ast.NodeVisitor):
    """Finds the global names that a statement uses, and what they stand for."""

    def __init__(self, module: Module):
        self.module = module
        self.scopes: list[tuple[bool, dict]] = []  # (is a class, names bound there)
        self.shift: int | None = None  # where the text of a quoted annotation begins

    def read(self, statement: ast.stmt) -> list[Use]:
        self.found: list[Use] = []
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            self.visit(statement)
        if isinstance(statement, Function | ast.ClassDef):
            start = self.module.starts[statement.lineno - 1]
            named = re.compile(rb"(?:class|def)\s+(\w+)").search(self.module.body, start)
            self.found.append(Use(*named.span(1), Own(self.module.name, statement.name), frozenset()))
        return self.found

    def lookup(self, node: ast.Name) -> Own | Foreign | list[Foreign] | None:
        """What a name stands for; None for a local or built-in one."""
        for depth, (is_class, names) in enumerate(reversed(self.scopes)):
            if node.id in names and not (is_class and depth):
                return names[node.id]
        found = self.module.meaning.get(node.id)
        if found is None and node.id not in MAGIC:
            raise self.module.error(node, f"the name {node.id!r} is not defined")
        return found

    def use(self, node: ast.Name, last: ast.expr, thing: Own | Foreign) -> None:
        module = self.module
        if self.shift is None:
            start = module.starts[node.lineno - 1] + node.col_offset
            end = module.starts[last.end_lineno - 1] + last.end_col_offset
        else:
            start, end = self.shift + node.col_offset, self.shift + last.end_col_offset
        if not module.body[start:end].decode().startswith(node.id):
            raise module.error(
                node, f"Python does not say where {node.id!r} stands: take it out of the string"
            )
        inner = len(self.scopes) - 1
        hidden = {n for i, (is_class, s) in enumerate(self.scopes) for n in s if not is_class or i == inner}
        self.found.append(Use(start, end, thing, frozenset(hidden)))

    def visit_Name(self, node: ast.Name) -> None:
        self._chain(node, node, [])

    def visit_Attribute(self, node: ast.Attribute) -> None:
        chain: list[ast.Attribute] = []
        root: ast.expr = node
        while isinstance(root, ast.Attribute):
            chain, root = [root, *chain], root.value
        if isinstance(root, ast.Name):
            self._chain(root, node, chain)
        else:
            self.generic_visit(node)

    def _chain(self, root: ast.Name, whole: ast.expr, chain: list[ast.Attribute]) -> None:
        thing = self.lookup(root)
        if isinstance(thing, list):  # import a.b, import a.c: those that the chain begins with
            text = ".".join([root.id, *(a.attr for a in chain)]) + "."
            for one in [t for t in thing if text.startswith(f"{t.module}.")] or thing:
                self.use(root, root, one)
            return
        if not isinstance(thing, Own) or thing.name:
            return self.use(root, root, thing) if thing else None
        for link in chain:
            inner = f"{thing.module}.{link.attr}"
            if not _file(self.module.project, inner):
                if not isinstance(link.ctx, ast.Load):
                    raise self.module.error(
                        link, f"{inner} is changed from another module: give it a function"
                    )
                return self.use(root, link, Own(thing.module, link.attr))
            thing = Own(inner)
        what = f"the module {thing.module} is used as a value: name what is needed of it"
        raise self.module.error(whole, what)

    def visit_Global(self, node: ast.Global) -> None:
        start = self.module.starts[node.lineno - 1]
        for name in node.names:
            found = re.compile(rf"\b{name}\b".encode()).search(self.module.body, start)
            self.found.append(Use(*found.span(), self.module.meaning[name], frozenset()))

    # ---- scopes

    def within(self, is_class: bool, names: dict, nodes: Iterable[ast.AST]) -> None:
        self.scopes.append((is_class, names))
        for node in nodes:
            self.visit(node)
        self.scopes.pop()

    def visit_FunctionDef(self, node: Function) -> None:
        arguments = _arguments(node.args)
        for outer in [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]:
            self.visit(outer)
        for hint in [*(a.annotation for a in arguments), node.returns]:
            self.annotation(hint)
        names = {**bound(self.module, node.body), **{a.arg: None for a in arguments}}
        self.within(False, names, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for outer in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
            self.visit(outer)
        self.within(False, {a.arg: None for a in _arguments(node.args)}, [node.body])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for outer in [*node.decorator_list, *node.bases, *node.keywords]:
            self.visit(outer)
        self.within(True, bound(self.module, node.body), node.body)

    def comprehension(self, node: Comprehension) -> None:
        first, *others = node.generators
        self.visit(first.iter)
        names = bound(self.module, [g.target for g in node.generators])
        inner = [n for n in ast.iter_child_nodes(node) if not isinstance(n, ast.comprehension)]
        self.within(False, names, [first.target, *first.ifs, *others, *inner])

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = comprehension

    # ---- annotations, which may be quoted

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.target)
        self.annotation(node.annotation)
        if node.value:
            self.visit(node.value)

    def annotation(self, node: ast.AST | None) -> None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            start = self.module.starts[node.lineno - 1] + node.col_offset
            self.shift = start + self.module.body[start:].index(node.value.encode())
            self.visit(ast.parse(node.value, mode="eval").body)
            self.shift = None
        elif isinstance(node, ast.Subscript):
            self.visit(node.value)
            special = getattr(node.value, "id", getattr(node.value, "attr", ""))
            if special in ("Annotated", "Literal"):
                first, *rest = getattr(node.slice, "elts", [node.slice])
                self.annotation(first if special == "Annotated" else None)
                for one in rest:
                    self.visit(one)
            else:
                self.annotation(node.slice)
        elif isinstance(node, ast.BinOp | ast.Tuple | ast.List):
            for child in ast.iter_child_nodes(node):
                self.annotation(child)
        elif node is not None:
            self.visit(node)


def bound(module: Module, nodes: Iterable[ast.AST]) -> dict[str, Own | None]:
    """Names that ``nodes`` bind in their own scope, with the meaning of those imported from ``code/``."""
    found: dict[str, Own | None] = {}
    own: dict[str, Own] = {}
    imports: dict[str, ast.stmt] = {}
    elsewhere: set[str] = set()
    todo = list(nodes)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name, thing in module.imported(node):
                if isinstance(thing, Own):
                    own[name], imports[name] = thing, node
                else:
                    found[name] = None
        elif isinstance(node, Function | ast.ClassDef):
            found[node.name] = None
        elif isinstance(node, Comprehension):
            found |= {n.target.id: None for n in ast.walk(node) if isinstance(n, ast.NamedExpr)}
        elif isinstance(node, ast.Global | ast.Nonlocal):
            elsewhere.update(node.names)
        elif not isinstance(node, ast.Lambda):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                found[node.id] = None
            elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
                found[node.name] = None
            elif isinstance(node, ast.MatchMapping) and node.rest:
                found[node.rest] = None
            todo += ast.iter_child_nodes(node)
    if both := own.keys() & found:
        raise module.error(
            imports[min(both)], f"{min(both)!r} is imported from the package and assigned: use two names"
        )
    return {name: thing for name, thing in (found | own).items() if name not in elsewhere}


def is_main(statement: ast.stmt) -> bool:
    """Whether this is ``if __name__ == "__main__":``."""
    return isinstance(statement, ast.If) and ast.unparse(statement.test) == "__name__ == '__main__'"


def _arguments(args: ast.arguments) -> list[ast.arg]:
    return [a for a in (*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg) if a]


def _without_own_imports(module: Module) -> Iterator[tuple[int, int, bytes]]:
    """Edits that take imports of ``code/`` out of functions and branches."""
    for node in ast.walk(module.tree):
        for block in (getattr(node, name, None) for name in ("body", "orelse", "finalbody")):
            if isinstance(node, ast.Module) or not isinstance(block, list):
                continue
            own = []
            for statement in block:
                if isinstance(statement, ast.Import | ast.ImportFrom):
                    kinds = {isinstance(thing, Own) for _, thing in module.imported(statement)}
                    if len(kinds) > 1:
                        raise module.error(
                            statement, "import the package's modules in a statement of their own"
                        )
                    own += [statement] if kinds == {True} else []
            for number, statement in enumerate(own):
                start = module.starts[statement.lineno - 1]
                end = module.starts[statement.end_lineno]
                empty = number == 0 and len(own) == len(block)
                yield start, end, b" " * statement.col_offset + b"pass\n" if empty else b""


# ---- putting a file together


@dataclass
class Shop:
    """Collects the statements that one file needs."""

    project: Project
    modules: dict[str, Module] = field(default_factory=dict)
    chosen: dict[str, set[int]] = field(default_factory=dict)  # module -> statements
    foreign: set[Foreign] = field(default_factory=set)
    things: dict[tuple[str, Use], Own | Foreign] = field(default_factory=dict)

    def module(self, name: str) -> Module:
        if name not in self.modules:
            self.modules[name] = Module(self.project, name)
        return self.modules[name]

    def resolve(self, thing: Own, where: str) -> Own | Foreign:
        """Where a thing is defined: re-exports are followed, and stand-ins stand in."""
        module = self.module(thing.module)
        found = module.meaning.get(thing.name)
        if not isinstance(found, Own | Foreign):
            known = ", ".join(sorted(module.binding)) or "nothing"
            raise BookError(f"{where}{thing.module} has no {thing.name!r} (there is: {known})")
        if isinstance(found, Foreign):
            return found
        if not found.name:
            raise BookError(f"{where}{thing.module}.{thing.name} is a module: import it from where it lives")
        if found != thing:
            return self.resolve(found, where)
        first = module.binding[thing.name][0]
        lead = module.body[module.lead(first) : module.starts[module.tree.body[first].lineno]]
        stand_in = STAND_IN.search(lead.decode())
        return self.resolve(Own(thing.module, stand_in[1]), where) if stand_in else thing

    def need(self, name: str, number: int) -> None:
        """Choose a statement and all that it needs."""
        todo = [(name, number)]
        while todo:
            name, number = todo.pop()
            module = self.module(name)
            if name not in self.chosen:
                self.chosen[name] = set()
                todo += [(name, i) for i in module.always]
            if number in self.chosen[name]:
                continue
            self.chosen[name].add(number)
            for use in module.uses[number]:
                line = module.body[: use.start].count(b"\n") + 1
                thing = use.thing
                if isinstance(thing, Own):
                    thing = self.resolve(thing, f"{module.shown}:{line}: ")
                self.things[name, use] = thing
                if isinstance(thing, Own):
                    todo += [(thing.module, i) for i in self.module(thing.module).binding[thing.name]]
                else:
                    self.foreign.add(thing)

    def order(self) -> list[str]:
        """The chosen modules, each after those that it needs while it is loaded."""
        done: list[str] = []
        seen: set[str] = set()

        def visit(name: str) -> None:
            if name not in seen:
                seen.add(name)
                for other in self.module(name).loads:
                    visit(other)
                done.append(name)

        for name in self.chosen:
            visit(name)
        return [name for name in done if name in self.chosen]

    def names(self, main: str) -> dict[Own | Foreign, str]:
        """What each thing is called in the file; ``main`` has the first choice, then imports."""
        avoid: dict[Own | Foreign, set[str]] = {}
        for (_, use), thing in self.things.items():
            avoid.setdefault(thing, set(dir(builtins))).update(use.hidden)
        own = [
            Own(module, name)
            for module in self.order()
            for name, numbers in self.module(module).binding.items()
            if self.chosen[module] & set(numbers)
        ]
        foreign = sorted(self.foreign, key=lambda f: (not f.dotted, f.module, f.name, f.local))
        names: dict[Own | Foreign, str] = {f: f.local for f in foreign if f.dotted}
        for thing in sorted([*foreign, *own], key=lambda t: (t.module != main, isinstance(t, Own))):
            if thing not in names:
                taken = {*names.values(), *avoid.get(thing, ())}
                names[thing] = next(name for name in _candidates(thing) if name not in taken)
                self._check_renaming(thing, names[thing])
        return names

    def _check_renaming(self, thing: Own | Foreign, name: str) -> None:
        if isinstance(thing, Own) and name != thing.name:
            module = self.module(thing.module)
            for statement in (module.tree.body[i] for i in module.binding[thing.name]):
                if not isinstance(statement, DEFINING):
                    raise module.error(statement, f"the name {thing.name!r} is taken: choose another")


def _candidates(thing: Own | Foreign) -> Iterator[str]:
    """The plain name first, then longer and longer ones."""
    plain = thing.name if isinstance(thing, Own) else thing.local
    yield plain
    private = "_" if plain.startswith("_") else ""
    parts = thing.module.split(".")
    for depth in range(1, len(parts) + 1):
        yield f"{private}{'_'.join(parts[-depth:])}_{plain.removeprefix('_')}"
    while True:
        plain += "_"
        yield plain


def export(project: Project, dotted: str) -> Standalone:
    """What is called ``dotted`` with all that it needs of ``code/``, as one file.

    A method comes with its class, a module with everything in it.

    Raises:
        BookError: there is no such thing, or something cannot be taken out of the package (file and line
            are named).
    """
    main, _, rest = locate(project, dotted)
    shop = Shop(project)
    if rest:
        found = shop.resolve(Own(main, rest[0]), "")
        if isinstance(found, Foreign):
            raise BookError(f"{dotted} comes from {found.module}, which is not in code/")
        main = found.module
        wanted = shop.module(main).binding[found.name]
    else:
        body = shop.module(main).tree.body
        wanted = [i for i, s in enumerate(body) if not isinstance(s, ast.Import | ast.ImportFrom)]
    for number in wanted:
        shop.need(main, number)
    names = shop.names(main)
    known = {use.thing: names[thing] for (_, use), thing in shop.things.items()} | names
    order, blocks, last = shop.order(), [], ""
    for name in order:
        module, numbers = shop.module(name), sorted(shop.chosen[name])
        if name == main and is_main(module.tree.body[numbers[-1]]):
            last = module.source(numbers.pop(), known)
        ruler = f"# {'-' * (WIDTH - 3 - len(name))} {name}" if len(order) > 1 else ""
        blocks += [ruler, _statements(module, numbers, known, everything=name == main and not rest)]
    module = shop.module(main)
    docstring = module.source(0, {}) if not rest and ast.get_docstring(module.tree) else ""
    head = [_header(project, dotted, module, rest), docstring, *_imports(shop, names)]
    code = "\n\n\n".join(filter(None, [*blocks, last])) + "\n"
    gap = "\n\n\n" if code.startswith(("def ", "async ", "class ", "@")) else "\n\n"
    text = "\n\n".join(filter(None, head)) + gap + code
    return Standalone(text, {f"{t.module}.{t.name}": n for t, n in names.items() if isinstance(t, Own)})


def standalone(project: Project, dotted: str) -> str:
    """The text of ``export``: a file that runs without the package."""
    return export(project, dotted).text


def _statements(module: Module, numbers: list[int], names: dict, everything: bool) -> str:
    """Statements of a module with the space between them that they have there."""
    text, before = "", None
    for number in numbers:
        statement = module.tree.body[number]
        if number == 0 and ast.get_docstring(module.tree):
            continue  # the module's docstring stands on top of the file
        if before is not None:
            blocks = isinstance(before, Function | ast.ClassDef) or isinstance(
                statement, Function | ast.ClassDef
            )
            text += "\n\n\n" if blocks else "\n" if statement.lineno == before.end_lineno + 1 else "\n\n"
        text += module.source(number, names, everything)
        before = statement
    return text


def _imports(shop: Shop, names: dict[Own | Foreign, str]) -> list[str]:
    """Blocks of import statements: of the future, the standard library, other packages."""
    futures = sorted({name for module in shop.chosen for name in shop.module(module).future})
    blocks = {-1: [f"from __future__ import {', '.join(futures)}"] if futures else [], False: [], True: []}
    groups: dict[tuple, list[str]] = {}
    for one in shop.foreign:
        key = (one.module.split(".")[0] not in sys.stdlib_module_names, bool(one.name), one.module)
        name = one.name or one.module
        groups.setdefault(key, []).append(
            name if one.dotted or names[one] == name else f"{name} as {names[one]}"
        )
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
    texts = [ast.get_docstring(n) or "" for n in nodes if isinstance(n, Function | ast.ClassDef | ast.Module)]
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
        f"Made by `python -m bookbuild.engine.standalone {dotted}`: {'this object' if rest else 'the module'}, with "
        "all that it needs of the package put before it, names and imports adapted.",
    ]
    wrapped = (w for line in lines for w in textwrap.wrap(line, WIDTH - 2, break_long_words=False))
    return "\n".join(f"# {line}" for line in wrapped)


def main(arguments: list[str] | None = None) -> int:
    """Print the file; a problem that can be mended is one line, with exit status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m bookbuild.engine.standalone", description=__doc__.split("\n")[0]
    )
    parser.add_argument("name", help="a module or an object, e.g. rlworkshop.algorithms.vpg")
    parser.add_argument("--root", default=".", help="the project's folder (default: this one)")
    options = parser.parse_args(arguments)
    try:
        sys.stdout.write(standalone(Project.at(options.root), options.name))
    except BookError as error:
        print(f"bookbuild.engine.standalone: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
