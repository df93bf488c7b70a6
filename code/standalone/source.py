"""The source of what is in ``code/``: objects by dotted names, the statements of modules, differences."""

import ast
import difflib
import functools
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from symtable import symtable
from typing import NamedTuple, Protocol

from rlworkshop import provenance

FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
BLOCK = FUNCTION | ast.ClassDef
PASSIVE = BLOCK | ast.Assign | ast.AnnAssign | ast.AugAssign
IMPORT = ast.Import | ast.ImportFrom
MARK = re.compile(
    r"^[ \t]*# (region: [\w-]+|endregion|standalone: [\w.]+|(-\*- )?coding[:=].*)[ \t]*\n", re.M
)


class SourceError(Exception):
    """Something in the code that its author can mend; the message says what is wrong and what to do."""


class Project(Protocol):
    """Whose code is read: it lies in the folder ``code`` below ``root``."""

    root: Path
    code: Path
    repository_url: str  # where it is hosted, or empty


@dataclass(frozen=True)
class Snippet:
    """The source of one object."""

    file: Path
    first: int  # line of the file, from 1
    last: int
    text: str  # dedented, region marks left out
    body: frozenset[int]  # the lines that run when the object is used, not when its module is imported
    node: ast.AST


def module_file(project: Project, module: str) -> Path | None:
    """The file of a module of ``code/``, if there is one."""
    base = project.code / module.replace(".", "/")
    files = (base / "__init__.py", base.with_suffix(".py"))
    proper = all(part.isidentifier() for part in module.split("."))
    return next((file for file in files if proper and file.is_file()), None)


def locate(project: Project, dotted: str) -> tuple[str, Path, list[str]]:
    """The module that holds ``dotted``, its file, and the rest of the name.

    Raises:
        SourceError: no module of ``code/`` does.
    """
    parts = dotted.split(".")
    for depth in range(len(parts), 0, -1):
        if file := module_file(project, ".".join(parts[:depth])):
            return ".".join(parts[:depth]), file, parts[depth:]
    raise SourceError(f"no module of code/ holds {dotted!r}")


def parsed(file: Path) -> tuple[str, ast.Module]:
    """The text of a Python file and its tree, read once for each content.

    Raises:
        SourceError: Python cannot read it.
    """
    try:
        return _parsed(file, file.read_bytes())
    except SyntaxError as error:
        place = f"{file}:{error.lineno}" if error.lineno else file
        raise SourceError(f"{place}: Python cannot read this: {error.msg}") from None


@functools.lru_cache(maxsize=512)
def _parsed(file: Path, body: bytes) -> tuple[str, ast.Module]:
    text = provenance.source_text(body)
    symtable(text, str(file), "exec")  # what the grammar allows may yet be wrong: an argument named twice
    return text, ast.parse(text, str(file))


def lines_of(file: Path) -> list[str]:
    """The lines of a Python file; none where Python cannot decode it: what imports it will say so."""
    try:
        return provenance.source_text(file.read_bytes()).removesuffix("\n").split("\n")
    except SyntaxError:
        return []


def first_line(node: ast.stmt) -> int:
    """The first line of a statement, or that of its first decorator."""
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])


def find(project: Project, dotted: str, region: str | None = None, whole: bool = False) -> Snippet:
    """The function, class or method called ``dotted``, or a named region of it.

    A region is what stands between the comments ``# region: NAME`` and ``# endregion``. ``whole`` says that
    the name may be that of a module, and means all of it.

    Raises:
        SourceError: there is no such module, object or region.
    """
    _, file, rest = locate(project, dotted)
    source, node = parsed(file)
    for name in rest or [dotted.split(".")[-1]] * (not whole):
        inside = {child.name: child for child in node.body if isinstance(child, BLOCK)}
        if name not in inside:
            known = ", ".join(sorted(inside)) or "nothing"
            raise SourceError(f"{dotted!r}: no function, class or method {name!r} (there is: {known})")
        node = inside[name]
    lines = source.removesuffix("\n").split("\n")
    first, last = (first_line(node), node.end_lineno) if isinstance(node, ast.stmt) else (1, len(lines))
    text = "\n".join(lines[first - 1 : last]) + "\n"
    if region:
        found = re.search(rf"^\s*# region: {re.escape(region)}\n(.*?)^\s*# endregion$", text, re.M | re.S)
        if not found:
            raise SourceError(f"{dotted} has no lines from '# region: {region}' to '# endregion'")
        text, first = found[1], first + text.count("\n", 0, found.start(1))
        last = first + text.count("\n") - 1
    inner = (s for f in ast.walk(node) if isinstance(f, FUNCTION) for part in f.body for s in ast.walk(part))
    running = {s.lineno for s in inner if isinstance(s, ast.stmt) and not is_text(s)}
    body = frozenset(running.intersection(range(first, last + 1)))
    return Snippet(file, first, last, textwrap.dedent(unmarked(text)), body, node)


def unmarked(text: str) -> str:
    """Lines of code without those that speak to this builder, or of the file's coding."""
    return MARK.sub("", text + "\n").strip("\n")


def readable(text: str) -> str:
    """A listing with its docstrings as a page shows them: without ``Book:``, at most 80 columns wide."""
    try:
        blocks = [node for node in ast.walk(ast.parse(text)) if isinstance(node, BLOCK)]
    except SyntaxError:
        return text  # lines out of the middle of something
    lines = text.split("\n")
    for node in sorted(blocks, key=lambda node: -node.lineno):
        if ast.get_docstring(node):
            said = node.body[0].value
            lines[said.lineno - 1 : said.end_lineno] = _readable(lines[said.lineno - 1 : said.end_lineno])
    return "\n".join(lines)


def _readable(lines: list[str]) -> list[str]:
    """The lines of a docstring, its quotes included."""
    found = re.fullmatch(r'( *)(r?""")(.*?)"""(.*)', "\n".join(lines), re.S)
    if not found:
        return lines
    indent, opening, said, after = found.groups()
    parts: list[tuple[str, list[str]]] = []  # paragraphs, with their indentation
    for line in inspect.cleandoc(re.sub(r"\n\s*Book: .*", "", said).rstrip()).split("\n"):
        own = re.match(" *", line)[0]
        new = not line.strip() or re.match(r" *(\w+(, \w+)*:|[-*]) ", line) or line.endswith(":")
        if new or not parts or not parts[-1][1][-1].strip() or len(own) < len(parts[-1][0]):
            parts.append((own, [line]))
        else:
            parts[-1][1].append(line)
    made, width = [], 80 - len(indent + opening)
    for own, paragraph in parts:
        if max(map(len, paragraph)) > width:
            hanging = own + " " * 4 * bool(re.match(r" +\w+(, \w+)*: ", paragraph[0]))
            words = " ".join(line.strip() for line in paragraph)
            paragraph = textwrap.wrap(
                words, width, initial_indent=own, subsequent_indent=hanging,
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
        made += paragraph
    last = [f'{made[-1]}"""{after}'] if len(made) == 1 else [made[-1], f'"""{after}']
    first, *rest = [*made[:-1], *last]
    return [indent + opening + first, *[(indent + line).rstrip() for line in rest]]


def is_text(node: ast.AST) -> bool:
    """Whether this is a docstring, or another constant on a line of its own."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def difference(old: str, new: str) -> str:
    """What changes from ``old`` to ``new``: lines with ``-`` go, with ``+`` come; three around them stay."""
    changes = list(difflib.unified_diff(old.splitlines(), new.splitlines(), n=3, lineterm=""))[2:]
    if not changes:
        raise SourceError("there is no difference to show: the two are the same")
    # where lines are left out, a mark instead of the places in the files
    shown = [" ⋮" if line.startswith("@@") else line for line in changes]
    return "\n".join(shown[1:] if changes[0].startswith("@@ -1,") else shown)


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
        # comments and empty lines
        self.above = re.search(r"(?:^(?:#.*)?\n)*\Z", module.lines(before + 1, first_line(node) - 1), re.M)[0]
        tables = [symtable(text, module.shown, "exec")]
        for table in tables:
            tables += table.get_children()
        # Python 3.14 adds names of its own, which are not in the text
        self.bound = [n for s in tables[0].get_symbols() if s.is_local() and (n := s.get_name()) in text]
        self.local = {s.get_name() for table in tables[1:] for s in table.get_symbols() if s.is_local()}
        used = {s.get_name() for table in tables for s in table.get_symbols() if s.is_global()}
        used |= {n for node in parts if isinstance(node, ast.ClassDef) for n in _loaded_before_set(node)}
        names = [n for n in parts if isinstance(n, ast.Name) and n.id in used]
        outer = {n.value: n for n in parts if isinstance(n, ast.Attribute)}
        self.uses = [[n] for n in names + _quoted(parts)]  # each with the attributes taken of it
        for chain in self.uses:
            while chain[-1] in outer:
                chain.append(outer[chain[-1]])
        self.imports = [one for n in parts if isinstance(n, IMPORT) for _, one in module.imported(n)]
        main = isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
        apart = re.search(r"^# standalone: apart$", self.above, re.M)
        # whether it does something whenever the module is imported
        self.acts = not (main or apart or is_text(node) or (isinstance(node, PASSIVE) and self.bound))

    def text(self, edits: list[tuple[int, int, str]], everything: bool, short: bool = False) -> str:
        """Its source, changed between places in bytes, with the comments that touch it or all above it.

        Where it is to be ``short`` docstrings keep their first line.
        """
        edits = [*edits, *self._first_lines()] if short else edits
        body = self.module.body[: self.module.starts[self.node.end_lineno]]
        for start, end, new in sorted(edits, reverse=True):
            body = body[:start] + new.encode() + body[end:]
        above = self.above if everything else self.above.rpartition("\n\n")[2]
        return unmarked(above + body[self.module.starts[first_line(self.node) - 1] :].decode())

    def _first_lines(self) -> Iterator[tuple[int, int, str]]:
        """What makes of each docstring its first line."""
        for node in ast.walk(self.node):
            text = ast.get_docstring(node) if isinstance(node, BLOCK) else None
            if text and "\n" in text:
                said, starts = node.body[0].value, self.module.starts
                start, end = starts[said.lineno - 1] + said.col_offset, starts[said.end_lineno - 1]
                yield start, end + said.end_col_offset, f'"""{text.splitlines()[0]}"""'


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
            if isinstance(node, IMPORT):
                bound = self.imported(node)
            elif not before and ast.get_docstring(tree):
                bound, self.docstring = [], unmarked(self.lines(1, node.end_lineno))
            else:
                self.statements.append(one := Statement(self, node, before))
                bound = [(name, one) for name in one.bound]
                if one.bound and (found := re.search(r"^# standalone: ([\w.]+)$", one.above, re.M)):
                    self.stand_ins[one.bound[0]] = found[1]
            for local, one in bound:
                self.names.setdefault(local, []).append(one)
                if type(one) is not type(self.names[local][0]):
                    raise SourceError(
                        f"{self.place(node)}: {local!r} is imported and set here: use two names"
                    )
            before = node.end_lineno

    def place(self, node: ast.AST) -> str:
        return f"{self.shown}:{node.lineno}"

    def lines(self, first: int, last: int) -> str:
        """The text from one line to another, both from 1."""
        return self.body[self.starts[first - 1] : self.starts[last]].decode()

    def imported(self, node: IMPORT) -> Iterator[tuple[str, Import]]:
        """The names that an import statement binds, and to what."""
        module = getattr(node, "module", "")
        if getattr(node, "level", 0) or node.names[0].name == "*" or module == "__future__":
            raise SourceError(f"{self.place(node)}: {ast.unparse(node)!r}: use plain imports, of full names")
        for alias in node.names:
            top = alias.name.split(".")[0]
            origin = f"{module}.{alias.name}" if module else alias.name if alias.asname else top
            yield alias.asname or top, Import(module, ast.unparse(alias), origin)

    def text(self, chosen: dict, asked: Sequence[Statement], everything: bool) -> str:
        """Those of its statements that are chosen, with the space between them that they have here.

        Docstrings are kept whole of what was ``asked`` for.
        """
        text, last = "", None
        for one in (one for one in self.statements if one in chosen):
            if last:
                blocks = isinstance(one.node, BLOCK) or isinstance(last.node, BLOCK)
                close = one.node.lineno == last.node.end_lineno + 1
                text += "\n\n\n" if blocks else "\n" if close else "\n\n"
            text, last = text + one.text(chosen[one], everything, one not in asked), one
        return text


read = functools.lru_cache(maxsize=512)(Module)  # once for each content


def _loaded_before_set(node: ast.ClassDef) -> Iterator[str]:
    """The names that a class's body sets, but reads before: the module's, as in ``size: int = size``."""
    stored: set[str] = set()
    for statement in node.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            names = [n for n in ast.walk(statement) if isinstance(n, ast.Name)]
            first = {n.id for n in names if isinstance(n.ctx, ast.Store)} - stored
            yield from first & {n.id for n in names if isinstance(n.ctx, ast.Load)}
            stored |= first


def _quoted(parts: list[ast.AST]) -> list[ast.Name]:
    """The names in annotations in quotes, as names that are not loaded."""
    hints = [getattr(n, name, None) for n in parts for name in ("annotation", "returns")]
    texts = [n for hint in hints if hint for n in ast.walk(hint) if isinstance(n, ast.Constant)]
    words = [(word, n) for n in texts for word in re.findall(r"[^\W\d]\w*", str(n.value))]
    return [ast.copy_location(ast.Name(word, ast.Store()), n) for word, n in words]
