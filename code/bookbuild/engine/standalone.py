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
from collections.abc import Iterable
from dataclasses import dataclass

from bookbuild.engine.project import BookError, Project
from bookbuild.engine.source import locate, module_file, parsed
from bookbuild.engine.statements import Block, Edit, Import, Module, Statement, is_main, read

MAGIC = {*dir(builtins), "__file__", "__module__", "__qualname__", "__class__"}
WIDTH = 110
TITLE, VERSION = r'^project = "(.+)"$', r'^version = "(.+)"$'
OWNER = r"^(Copyright .*\w)"


@dataclass(frozen=True)
class Standalone:
    """A file that runs alone, and the dotted names of what it holds of the package."""

    text: str
    names: tuple[str, ...]


class Shop:
    """Collects the statements that one file needs."""

    def __init__(self, project: Project):
        self.project = project
        self.modules: dict[str, Module | None] = {}
        self.chosen: dict[
            str, dict[int, list[Edit]]
        ] = {}  # module, after those that it imports -> statements
        self.foreign: set[Import] = set()
        self.names: dict[str, tuple[str, str]] = {}  # name -> what it means, and where

    def module(self, name: str) -> Module | None:
        if name not in self.modules:
            file = module_file(self.project, name)
            shown = file and file.relative_to(self.project.root).as_posix()
            module = self.modules[name] = file and read(name, shown, *parsed(file))
            for one in (one for ones in module.imports.values() for one in ones) if module else ():
                if self.own(one):
                    self.module(f"{one.module}.{one.name}") or self.module(one.module)
            self.chosen[name] = {}
        return self.modules[name]

    def own(self, one: Import) -> bool:
        """Whether something is imported from ``code/``."""
        return self.module(one.module.split(".")[0]) is not None

    def claim(self, name: str, meaning: str, place: str) -> None:
        known, there = self.names.setdefault(name, (meaning, place))
        if known != meaning:
            what = f"{name!r} is {meaning} here and {known} in {there}"
            raise BookError(f"{place}: {what}: one file cannot hold both, give one of them another name")

    def resolve(self, path: list[str], where: str = "") -> tuple[Module, str, int]:
        """The module that a dotted name leads to, the name there, and how many attributes follow it."""
        passed = []
        while True:
            depth = 1
            while depth < len(path) and self.module(".".join(path[: depth + 1])):
                depth += 1
            module = self.module(".".join(path[:depth]))
            if depth == len(path):
                raise BookError(
                    f"{where}the module {module.name} is used as a value: name what is needed of it"
                )
            name, rest = path[depth], path[depth + 1 :]
            passed.append(f"{module.name}.{name}")
            if passed[-1] in passed[:-1]:
                raise BookError(f"{where}these names stand for each other: {', '.join(passed)}")
            if name in module.stand_ins:
                path = [*path[:depth], module.stand_ins[name], *rest]
            elif name in module.imports and self.own(module.imports[name][0]):
                path = [*module.imports[name][0].origin.split("."), *rest]
            elif name in module.imports or name in module.binding:
                return module, name, len(rest)
            else:
                known = ", ".join(sorted(module.binding)) or "nothing"
                raise BookError(f"{where}{module.name} has no {name!r} (there is: {known})")

    def need(self, module: Module, numbers: Iterable[int]) -> None:
        """Choose statements and all that they need."""
        todo = [(module, number) for number in numbers]
        while todo:
            module, number = todo.pop()
            chosen = self.chosen[module.name]
            if not chosen:
                todo += [(module, i) for i in module.always]
            if number in chosen:
                continue
            statement, edits = module.statements[number], chosen.setdefault(number, [])
            for node in statement.inner:
                if any(map(self.own, module.imported(node))):
                    raise BookError(
                        f"{module.place(node)}: import the package's modules at the top of the file"
                    )
            for local in statement.bound:
                self.claim(local, f"{module.name}.{local}", module.place(statement.node))
            for chain in statement.uses:
                todo += self.follow(module, statement, chain, edits)

    def follow(
        self, module: Module, statement: Statement, chain: list, edits: list
    ) -> list[tuple[Module, int]]:
        """The statements that a use needs; what it must be changed to is added to ``edits``."""
        root, links, place = chain[0].id, [node.attr for node in chain[1:]], module.place(chain[0])
        if root not in module.binding and root not in module.imports:
            if isinstance(chain[0].ctx, ast.Load):
                if root not in MAGIC:
                    raise BookError(f"{place}: the name {root!r} is not defined")
                self.claim(root, f"builtins.{root}", place)
            return []
        there, name, rest = self.resolve([*module.name.split("."), root, *links], f"{place}: ")
        last = chain[len(links) - rest]
        if last is not chain[0] or name != root:
            if statement.local & {root, name} or not isinstance(last.ctx, ast.Load):
                what = f"{root!r} stands for {there.name}.{name}, and {name!r} cannot be written here"
                raise BookError(f"{place}: {what}: it is set, in quotes, or one of both is a local name too")
            edits.append((*module.span(chain[0], last), name))
        for one in there.imports.get(name, ()):
            self.foreign.add(one)
            self.claim(name, one.origin, place)
        return [(there, number) for number in there.binding.get(name, ())]


def export(project: Project, dotted: str) -> Standalone:
    """What is called ``dotted`` with all that it needs of ``code/``, as one file.

    A method comes with its class, a module with everything in it.

    Raises:
        BookError: there is no such thing, or something cannot be taken out of the package (file and line
            are named).
    """
    main, _, rest = locate(project, dotted)
    shop = Shop(project)
    module, wanted, docstring = shop.module(main), shop.module(main).statements, ""
    if rest:
        module, name, _ = shop.resolve(dotted.split("."))
        if name in module.imports:
            raise BookError(f"{dotted} comes from {module.imports[name][0].module}, which is not in code/")
        wanted = module.binding[name]
    elif ast.get_docstring(module.tree):
        docstring = module.lines(module.tree.body[0].lineno, module.tree.body[0].end_lineno).rstrip()
    shop.need(module, wanted)
    blocks, names = [], set()
    parts = [(shop.module(name), chosen) for name, chosen in shop.chosen.items() if chosen]
    for part, chosen in parts:
        ruler = f"# {'-' * (WIDTH - 3 - len(part.name))} {part.name}" if len(parts) > 1 else ""
        blocks += [ruler, part.text(chosen, everything=part is module and not rest)]
        statements = [part.statements[number] for number in chosen]
        names.update(f"{part.name}.{name}" for s in statements if not is_main(s.node) for name in s.bound)
    nodes = [module.statements[number].node for number in wanted if rest] + [module.tree]
    head = [_header(project, dotted, module, nodes), docstring, *_imports(shop.foreign)]
    code = "\n\n\n".join(filter(None, blocks)) + "\n"
    gap = "\n\n\n" if code.startswith(("def ", "async ", "class ", "@")) else "\n\n"
    return Standalone("\n\n".join(filter(None, head)) + gap + code, tuple(sorted(names)))


def standalone(project: Project, dotted: str) -> str:
    """The text of ``export``: a file that runs without the package."""
    return export(project, dotted).text


def _imports(foreign: set[Import]) -> list[str]:
    """Blocks of import statements: of the standard library, of other packages."""
    groups: dict[tuple, list[str]] = {}
    for module, name, local in sorted(foreign):
        entry = name or module
        entry += f" as {local}" * (local not in (name, module.split(".")[0]))
        key = module.split(".")[0] not in sys.stdlib_module_names, bool(name), module if name else entry
        groups.setdefault(key, []).append(entry)
    blocks: dict[bool, list[str]] = {}
    for (others, is_from, module), entries in sorted(groups.items()):
        line = f"from {module} import {', '.join(sorted(entries))}" if is_from else f"import {module}"
        blocks.setdefault(others, []).append(line)
    return ["\n".join(lines) for lines in blocks.values()]


def _header(project: Project, dotted: str, module: Module, nodes: list[ast.AST]) -> str:
    """Where the file comes from, under which licence, and where it is explained."""

    def said(name: str, pattern: str) -> str:
        text = (project.root / name).read_text("utf-8") if (project.root / name).exists() else ""
        return found[1] if (found := re.search(pattern, text, re.MULTILINE)) else ""

    texts = [ast.get_docstring(node) or "" for node in nodes if isinstance(node, Block | ast.Module)]
    page = re.search(r"^Book: ([\w/-]+)", "\n".join(texts), re.MULTILINE)
    base = f"{project.repository_url}/blob/main/" if project.repository_url else ""
    lines = [
        f"{dotted}, from {said('conf.py', TITLE)} {said('pyproject.toml', VERSION)}".rstrip(),
        f"{said('LICENSE', OWNER)}. SPDX-License-Identifier: MIT".lstrip(". "),
        f"Explained on the page {f'{base}book/{page[1]}.md' if base else page[1]}" if page else "",
        f"Source: {base}{module.shown}",
        f"Made by `python -m bookbuild standalone {dotted}`: {'this object' if nodes[1:] else 'the module'}, "
        "with all that it needs of the package put before it, names and imports adapted.",
    ]
    wrapped = (part for line in lines for part in textwrap.wrap(line, WIDTH - 2, break_long_words=False))
    return "\n".join(f"# {part}" for part in wrapped)


def show(project: Project, name: str) -> int:
    """Print what is called ``name`` as a file that runs without the package."""
    print(standalone(project, name), end="")
    return 0
