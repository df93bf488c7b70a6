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
import re
import sys
import textwrap
from dataclasses import dataclass

from bookbuild.engine.project import BookError, Project
from bookbuild.engine.source import locate, module_file, parsed
from bookbuild.engine.statements import Block, Edit, Import, Importing, Module, Statement, is_main, read

MAGIC = {*dir(builtins), "__file__", "__module__", "__qualname__", "__class__"}
WIDTH = 110


@dataclass(frozen=True)
class Standalone:
    """A file that runs alone, and the dotted names of what it holds of the package."""

    text: str
    names: tuple[str, ...]


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
                for one in statement.lazy:
                    raise BookError(f"{one.place}: import the package's modules at the top of the file")
                for local in statement.bound:
                    self.claim(local, f"{name}.{local}", module.place(statement.node))
                for chain in statement.uses:
                    todo += self.follow(module, statement, chain, edits)

    def follow(self, module: Module, statement: Statement, chain: list, edits: list) -> list[tuple[str, int]]:
        """The statements that a use needs; what it must be changed to is added to ``edits``."""
        root, *attributes = links = [chain[0].id, *(node.attr for node in chain[1:])]
        place, (start, end) = module.place(chain[0]), module.at(chain[0])
        quoted = module.body[start:end] != root.encode()
        if root not in module.binding and root not in module.imports:
            if root not in MAGIC and not quoted:
                raise BookError(f"{place}: the name {root!r} is not defined")
            if not quoted:
                self.claim(root, f"builtins.{root}", place)
            return []
        there, name, rest = self.resolve([*module.name.split("."), *links], f"{place}: ")
        last, meant = chain[len(attributes) - rest], f"{there.name}.{name}"
        if last is not chain[0] or name != root:
            if local := statement.hides(root, name):
                raise BookError(f"{place}: {root!r} stands for {meant}, and {local!r} is a local name too")
            if quoted:
                raise BookError(f"{place}: {root!r} stands for {meant}: take it out of the quotes")
            edits.append((start, module.at(last)[1], name))
        if name in there.binding:
            if there is not module and not rest and not isinstance(last.ctx, ast.Load):
                raise BookError(f"{place}: {meant} is changed from another module: give it a function")
            return [(there.name, i) for i in there.binding[name]]
        for one in there.begun([name, *links[len(links) - rest :]]):
            self.foreign.add(one)
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
    order = [name for name in shop.order if name in shop.chosen]
    blocks, names, last = [], set(), ""
    for name in order:
        chosen = dict(sorted(shop.chosen[name].items()))
        if name == module.name and is_main(module.tree.body[max(chosen)]):
            last = module.source(*chosen.popitem())
        ruler = f"# {'-' * (WIDTH - 3 - len(name))} {name}" if len(order) > 1 else ""
        names.update(f"{name}.{local}" for i in chosen for local in shop.module(name).statements[i].bound)
        blocks += [ruler, shop.module(name).text(chosen, everything=name == module.name and not rest)]
    docstring = module.source(0, []) if not rest and ast.get_docstring(module.tree) else ""
    head = [_header(project, dotted, module, rest), docstring, *_imports(shop)]
    code = "\n\n\n".join(filter(None, [*blocks, last])) + "\n"
    gap = "\n\n\n" if code.startswith(("def ", "async ", "class ", "@")) else "\n\n"
    return Standalone("\n\n".join(filter(None, head)) + gap + code, tuple(sorted(names)))


def standalone(project: Project, dotted: str) -> str:
    """The text of ``export``: a file that runs without the package."""
    return export(project, dotted).text


def _imports(shop: Shop) -> list[str]:
    """Blocks of import statements: of the future, the standard library, other packages."""
    every = (one for name in shop.chosen for ones in shop.module(name).imports.values() for one in ones)
    futures = {one for one in every if one.module == "__future__"}
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


def show(project: Project, name: str) -> int:
    """Print what is called ``name`` as a file that runs without the package."""
    print(standalone(project, name), end="")
    return 0
