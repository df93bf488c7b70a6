"""An object of the code, or a whole module, as one file that runs without the package.

``python -m bookbuild standalone rlworkshop.algorithms.vpg > vpg.py``

The file holds the real source, comments and docstrings included, of what was asked for, and of everything in
``code/`` that it needs, whose docstrings keep their first line. Statements keep their order and modules
follow the order of their imports, so what loads in the package loads here. Nothing is renamed: a thing is
called what it is where it is defined (``nets.mlp`` becomes ``mlp``), and one name for two things is an error.
A function that makes sense in the package alone names its stand-in in a comment above it, ``# standalone:
NAME``, of its own module or dotted.
What a module does whenever it is imported comes with each of its objects, unless it is marked
``# standalone: apart``, as what registers environments.
"""

import ast
import builtins
import itertools
import re
import sys
import textwrap
from collections.abc import Iterable

from standalone.source import (
    BLOCK,
    Import,
    Module,
    Project,
    SourceError,
    Statement,
    locate,
    module_file,
    parsed,
    read,
)  # fmt: skip

BUILTINS = {name: [Import("builtins", name, f"builtins.{name}")] for name in (*dir(builtins), "__file__")}
WIDTH = 110


class Shop:
    """Collects the statements that one file needs."""

    def __init__(self, project: Project):
        self.project = project
        self.modules: dict[str, Module | None] = {}
        self.order: list[Module] = []  # each after those that it imports
        self.chosen: dict[Statement | Import, list[tuple[int, int, str]]] = {}  # and what changes in them
        self.names: dict[str, tuple[str, str]] = {}  # name -> what it means, and where

    def module(self, name: str) -> Module | None:
        if name not in self.modules:
            self.modules[name] = None
            if file := module_file(self.project, name):
                shown = file.relative_to(self.project.root).as_posix()
                module = self.modules[name] = read(name, shown, *parsed(file))
                for one in filter(self.own, itertools.chain(*module.names.values())):
                    for path in one:
                        self.module(path)
                self.order.append(module)
        return self.modules[name]

    def own(self, one: Import | Statement) -> bool:
        """Whether this is an import from ``code/``."""
        return isinstance(one, Import) and self.module(one.origin.split(".")[0]) is not None

    def claim(self, name: str, meaning: str, place: str) -> None:
        known, there = self.names.setdefault(name, (meaning, place))
        if known != meaning:
            what = f"{name!r} is {meaning} here and {known} in {there}"
            raise SourceError(f"{place}: {what}: one file cannot hold both, give one of them another name")

    def resolve(self, module: Module, names: list[str], where: str = "") -> tuple[str, str, list, int]:
        """Where a name with attributes leads: a name, what it means, what binds it, how many are left."""
        passed: list[str] = []
        while names:
            name, *rest = names
            found, meaning = module.names.get(name) or BUILTINS.get(name), f"{module.name}.{name}"
            if not found:
                raise SourceError(
                    f"{where}{module.name} has no {name!r} (there is: {', '.join(module.names)})"
                )
            if meaning in passed:
                raise SourceError(f"{where}{meaning} leads back to itself, by way of {', '.join(passed)}")
            passed.append(meaning)
            stand_in = module.stand_ins.get(name, "")
            if "." in stand_in or (not stand_in and self.own(found[0])):
                home, _, names = locate(self.project, ".".join([stand_in or found[0].origin, *rest]))
                module = self.module(home)
            elif stand_in:
                names = [stand_in, *rest]
            else:
                return name, getattr(found[0], "origin", meaning), found, len(rest)
        raise SourceError(f"{where}the module {module.name} is used as a value: name what is needed of it")

    def need(self, todo: list[Statement | Import]) -> None:
        """Choose what is on a list, and all that it needs."""
        while todo:
            if (one := todo.pop()) in self.chosen:
                continue
            self.chosen[one] = []
            if isinstance(one, Import):
                continue
            if any(map(self.own, one.imports)):
                raise SourceError(f"{one.place}: import the package's modules at the top of the file")
            for name in one.bound:
                self.claim(name, f"{one.module.name}.{name}", one.place)
            todo += (other for other in one.module.statements if other.acts)
            for chain in one.uses:
                todo += self.follow(one, chain)

    def follow(self, statement: Statement, chain: list[ast.expr]) -> list[Statement | Import]:
        """What a use needs; what must be written instead of it is noted."""
        module, first, links = statement.module, chain[0], [node.attr for node in chain[1:]]
        root, place = first.id, module.place(first)
        if root not in module.names and not isinstance(first.ctx, ast.Load):
            return []
        name, meaning, found, rest = self.resolve(module, [root, *links], f"{place}: ")
        self.claim(name, meaning, place)
        last = chain[len(links) - rest]
        if last is not first or name != root:
            if statement.local & {root, name} or not isinstance(last.ctx, ast.Load):
                what = f"{root!r} stands for {meaning}, which cannot be written here"
                raise SourceError(
                    f"{place}: {what}: it is set, in quotes, or one of both is a local name too"
                )
            start, end = module.starts[first.lineno - 1], module.starts[last.end_lineno - 1]
            self.chosen[statement].append((start + first.col_offset, end + last.end_col_offset, name))
        return found


def standalone(project: Project, dotted: str) -> str:
    """What is called ``dotted`` with all that it needs of ``code/``, as a file that runs without the package.

    A method comes with its class, a module with everything in it.

    Raises:
        SourceError: there is no such thing, or something cannot be taken out of the package (file and line
            are named).
    """
    home, _, rest = locate(project, dotted)
    shop = Shop(project)
    module = shop.module(home)
    wanted, whole = module.statements, module
    if rest:
        _, meaning, wanted, _ = shop.resolve(module, rest)
        if isinstance(wanted[0], Import):
            raise SourceError(f"{dotted} is {meaning}, which is not in code/")
        module, whole = wanted[0].module, None
    shop.need([*wanted])
    texts = {
        part.name: text for part in shop.order if (text := part.text(shop.chosen, wanted, part is whole))
    }
    blocks = [f"# {'-' * (WIDTH - 3 - len(name))} {name}\n\n\n{text}" for name, text in texts.items()]
    code = "\n\n\n".join(blocks if len(blocks) > 1 else texts.values()) + "\n"
    header = _header(project, dotted, module.shown, [wanted[0].node, module.tree] if rest else [module.tree])
    head = [header, "" if rest else module.docstring, *_imports(shop.chosen)]
    gap = "\n\n\n" if code.startswith(("def ", "async ", "class ", "@")) else "\n\n"
    return "\n\n".join(filter(None, head)) + gap + code


def _imports(chosen: Iterable[Statement | Import]) -> list[str]:
    """Blocks of import statements: of the standard library, of other packages."""
    lines: dict[tuple[bool, bool, str], str] = {}
    foreign = [one for one in chosen if isinstance(one, Import) and one.module != "builtins"]
    for module, entry, origin in sorted(foreign):
        others = origin.split(".")[0] not in sys.stdlib_module_names
        key, start = (others, bool(module), module or entry), f"from {module} import" if module else "import"
        lines[key] = f"{lines[key]}, {entry}" if key in lines else f"{start} {entry}"
    return ["\n".join(lines[key] for key in sorted(lines) if key[0] is others) for others in (False, True)]


def _header(project: Project, dotted: str, shown: str, nodes: list[ast.AST]) -> str:
    """Where the file comes from, under which licence, and where it is explained."""
    files = [project.root / name for name in ("conf.py", "pyproject.toml", "LICENSE")]
    about = "\n".join(file.read_text("utf-8") for file in files if file.exists())
    docs = "\n".join(ast.get_docstring(node) or "" for node in nodes if isinstance(node, BLOCK | ast.Module))

    def said(pattern: str, text: str = about) -> str:
        return found[1] if (found := re.search(pattern, text, re.MULTILINE)) else ""

    base = f"{project.repository_url}/blob/main/" if project.repository_url else ""
    page = said(r"^Book: ([\w/-]+)", docs)
    address = f"{base}book/{page}.md" if base else page
    title, version, owner = map(said, (r'^project = "(.+)"$', r'^version = "(.+)"$', r"^(Copyright .*\w)"))
    what = "the module" if nodes[0] is nodes[-1] else "this object"
    lines = [
        f"{dotted}, from {title} {version}".rstrip(),
        f"{owner}. SPDX-License-Identifier: MIT".removeprefix(". "),
        f"Explained on the page {address}" if page else "",
        f"Source: {base}{shown}",
        f"Made by `python -m bookbuild standalone {dotted}`: {what}, with all that it needs of the package "
        "put before it, names and imports adapted.",
    ]
    wrapped = (part for line in lines for part in textwrap.wrap(line, WIDTH - 2, break_long_words=False))
    return "\n".join(f"# {part}" for part in wrapped)


def show(project: Project, name: str) -> int:
    """Print what is called ``name`` as a file that runs without the package."""
    print(standalone(project, name), end="")
    return 0
