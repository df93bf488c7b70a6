"""``make mutants FILE=code/...``: changes a file in every way of a catalogue; lists what no test notices.

The catalogue is the usual one (MutPy, mutmut, Cosmic Ray): operators, comparisons, conditions, constants,
slices, arguments, functions and their opposites, statements left out. A change is tried by the fast tests
that enter its lines. One that makes no difference is declared with the reason in ``tests/mutants.toml``::

    [[equivalent]]
    file = "code/rlworkshop/stats.py"
    find = "if a < b"
    replace = "if a <= b"
    why = "both are continuous: they never are the same"
"""

import ast
import itertools
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bookbuild.engine.project import BookError, Project
from bookbuild.engine.tests import Tests
from mutation.table import Mutant, changed, lines_around, read_table, try_all
from rlworkshop import provenance

TOKENS = {
    **{ast.Add: "+ to -", ast.Sub: "- to +", ast.Mult: "* to /", ast.Div: "/ to *", ast.MatMult: "@ to *"},
    **{ast.FloorDiv: "// to /", ast.Mod: "% to *", ast.Pow: "** to *", ast.LShift: "<< to >>"},
    **{ast.RShift: ">> to <<", ast.BitAnd: "& to |", ast.BitOr: "| to &", ast.BitXor: "^ to &"},
    **{ast.Lt: "< to <=", ast.LtE: "<= to <", ast.Gt: "> to >=", ast.GtE: ">= to >", ast.Eq: "== to !="},
    **{ast.NotEq: "!= to ==", ast.Is: "is to is not", ast.IsNot: "is not to is", ast.In: "in to not in"},
    **{ast.NotIn: "not in to in", ast.And: "and to or", ast.Or: "or to and"},
}
UNARY = {ast.Not: "not", ast.USub: "-", ast.Invert: "~"}
NEGATED = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn, ast.Not)  # by their own change
PAIRS = ("min max", "any all", "argmin argmax", "minimum maximum", "floor ceil", "sum mean")
OPPOSITE = {a: b for pair in PAIRS for a, b in (pair.split(), pair.split()[::-1])}


@dataclass(frozen=True)
class Change:
    """One edit of a file's text."""

    line: int  # from 1
    last: int  # the last line that it touches
    where: str  # line and column, what was there, what is there now
    text: str  # all of the changed text


def changes(text: str) -> Iterator[Change]:
    """All changes of the catalogue that leave ``text`` Python, in its order."""
    finder = Finder(text)
    raw, seen = finder.raw, {text}
    for start, end, new in sorted(finder.edits(ast.parse(text), {})):
        edited = (raw[:start] + new + raw[end:]).decode()
        if edited not in seen and _is_python(edited):
            seen.add(edited)
            line, old = raw.count(b"\n", 0, start) + 1, raw[start:end].decode()
            column = len(raw[finder.starts[line - 1] : start].decode()) + 1
            before, now = (" ".join(part.split()) or "(nothing)" for part in (old, new.decode()))
            yield Change(line, line + old.count("\n"), f"{line}:{column}: {before} -> {now}", edited)


def _is_python(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(text, "changed", "exec")
        except SyntaxError:
            return False
    return True


class Finder:
    """Finds the edits of one text, as (first byte, byte after the last, new bytes)."""

    def __init__(self, text: str):
        self.raw = text.encode()
        self.starts = [0, *itertools.accumulate(map(len, self.raw.splitlines(keepends=True)))]

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where a node begins and ends; its positions count in bytes."""
        first, last = self.starts[node.lineno - 1], self.starts[node.end_lineno - 1]
        return first + node.col_offset, last + node.end_col_offset

    def code(self, node: ast.AST) -> bytes:
        return self.raw[slice(*self.span(node))]

    def edits(self, node: ast.AST, bound: dict[str, int]) -> Iterator[tuple[int, int, bytes]]:
        """Edits of a node and of all below it. ``bound``: the names that its function binds, and where first.

        Annotations, messages, formatted texts, and what only a script does stay as they are; so does
        ``strict=True``, an assertion.
        """
        script = isinstance(node, ast.If) and "'__name__'" in ast.dump(node.test)
        if script or isinstance(node, ast.JoinedStr) or getattr(node, "arg", None) == "strict":
            return
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            bound = {n.arg: 0 for n in ast.walk(node.args) if isinstance(n, ast.arg)}
            for name, line in _stored(node):
                bound[name] = min(bound.get(name, line), line)
        if isinstance(node, ast.stmt) and _can_go(node, bound):
            yield *self.span(node), b"pass"
        if not isinstance(node, ast.Raise):
            yield from self.of(node)
            for name, value in ast.iter_fields(node):
                if name not in ("annotation", "returns", "decorator_list"):
                    for child in value if isinstance(value, list) else [value]:
                        if isinstance(child, ast.AST):
                            yield from self.edits(child, bound)

    def of(self, node: ast.AST) -> Iterator[tuple[int, int, bytes]]:
        """Edits of a node itself."""
        match node:
            case ast.BinOp(left, op, right) | ast.AugAssign(left, op, right):
                yield self.token(left, op, right)
            case ast.Compare(left, ops, rest):
                yield from map(self.token, [left, *rest], ops, rest)
            case ast.BoolOp(op, values):
                yield from (self.token(left, op, right) for left, right in itertools.pairwise(values))
            case ast.UnaryOp(op) if word := UNARY.get(type(op)):
                start, _ = self.span(node)
                yield start, start + len(word), b""
            case ast.Constant(bool(value)):
                yield *self.span(node), repr(not value).encode()
            case ast.Constant(int(n)):
                yield from ((*self.span(node), repr(new).encode()) for new in (n + 1, n - 1))
            case ast.Constant(float(x)):
                yield from ((*self.span(node), repr(new).encode()) for new in (x + 1, 0.0, -x) if new != x)
            case ast.Slice():
                yield from ((*self.span(part), b"") for part in (node.lower, node.upper, node.step) if part)
            case ast.Call():
                yield from self.call(node)
            case ast.If(test) | ast.IfExp(test) | ast.While(test) | ast.comprehension(ifs=[test]):
                if not isinstance(getattr(test, "ops", [getattr(test, "op", None)])[0], NEGATED):
                    yield *self.span(test), b"not (" + self.code(test) + b")"
            case ast.Break() | ast.Continue():
                yield *self.span(node), b"continue" if isinstance(node, ast.Break) else b"break"
            case ast.With(items) if not any(item.optional_vars for item in items):
                yield self.span(node)[0], self.span(items[-1].context_expr)[1], b"if True"
            case ast.FunctionDef() | ast.ClassDef():
                for decorator in node.decorator_list:
                    start, end = self.span(decorator)
                    yield self.raw.rindex(b"@", 0, start), end, b""

    def token(self, left: ast.AST, op: ast.AST, right: ast.AST) -> tuple[int, int, bytes]:
        """The edit of the operator between two nodes."""
        old, new = TOKENS[type(op)].split(" to ")
        start = self.span(left)[1]
        between = re.sub(rb"#.*", lambda found: b" " * len(found[0]), self.raw[start : self.span(right)[0]])
        found = re.search(re.escape(old).replace(r"\ ", r"\s+").encode(), between)
        return start + found.start(), start + found.end(), new.encode()

    def call(self, node: ast.Call) -> Iterator[tuple[int, int, bytes]]:
        """Edits of a call: arguments exchanged or left out, the opposite function, bounds of a range."""
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        for a, b in itertools.pairwise(node.args):
            (start, middle), (after, end) = self.span(a), self.span(b)
            if name not in OPPOSITE and not any(isinstance(one, ast.Starred) for one in (a, b)):
                yield start, end, self.code(b) + self.raw[middle:after] + self.code(a)
        for keyword in node.keywords:
            start, end = self.span(keyword)
            if keyword.arg not in (None, "strict"):
                yield start, end + len(re.match(rb"(\s*,\s*)?", self.raw[end:])[0]), b""
        end = self.span(node.func)[1]
        if name in OPPOSITE:
            yield end - len(name), end, OPPOSITE[name].encode()
        if name == "range" and node.args:
            last = node.args[:2][-1]
            yield *self.span(last), b"(" + self.code(last) + b") - 1"
            if len(node.args) == 1:
                yield *self.span(last), b"1, " + self.code(last)


def _stored(node: ast.AST) -> Iterator[tuple[str, int]]:
    for n in ast.walk(node):
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store):
            yield n.id, n.lineno


def _can_go(node: ast.stmt, bound: dict[str, int]) -> bool:
    """Whether a statement can be left out without a name being missing right away."""
    match node:
        case ast.Expr(ast.Call() | ast.Await()) | ast.AugAssign() | ast.Raise() | ast.Assert() | ast.Delete():
            return True
        case ast.Assign() | ast.AnnAssign(value=ast.expr()):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            return all(bound.get(name, line) < line for target in targets for name, line in _stored(target))
    return False


def equivalents(project: Project) -> dict[str, dict[str, str]]:
    """Changes declared to make no difference: by file, the changed texts with the reasons.

    Raises:
        BookError: the table cannot be read, or a change does not fit the code any more.
    """
    found: dict[str, dict[str, str]] = {}
    for row in read_table(project).get("equivalent", []):
        if row.keys() != {"file", "find", "replace", "why"}:
            raise BookError("tests/mutants.toml cannot be read: [[equivalent]] has file, find, replace, why")
        found.setdefault(row["file"], {})[changed(project.root, **row)[1]] = row["why"]
    return found


def run(project: Project, name: str) -> int:
    """Try all changes of a file; print those that no test notices, and the share of the others."""
    file = (project.root / name).resolve()
    if not (file.suffix == ".py" and file.is_file() and file.is_relative_to(project.code)):
        raise BookError(f"FILE={name}: name a Python file below code/")
    name, text = file.relative_to(project.root).as_posix(), provenance.source_text(file.read_bytes())
    declared, found = equivalents(project).get(name, {}), list(changes(text))
    if unknown := declared.keys() - {change.text for change in found}:
        why = declared[unknown.pop()]
        raise BookError(f"tests/mutants.toml: an equivalent of {name} ({why}) is no change of the catalogue")
    shown, missed = text.splitlines(), []

    def needed(tests: Tests) -> list[Path]:
        return [test for test in tests.of_the_code if file in tests.subject(test, "fast").files]

    def wanted(tests: Tests) -> Iterator[Mutant]:
        for change in found:
            if change.text not in declared:
                lines = lines_around(text, change.line, change.last)
                what = f"{name}:{change.where}   in: {shown[change.line - 1].strip()}"
                if tests.entering(file, lines):
                    yield Mutant(what, name, change.text, lines)
                else:
                    missed.append(f"{what}   (no test enters it)")

    def said(mutant: Mutant, killed: bool) -> None:
        if not killed:
            print(mutant.name)

    tried = try_all(project, needed, wanted, said)
    print(*missed, sep="\n", end="\n" * bool(missed))
    every, alive = len(tried.killed) + len(missed), len(tried.survivors) + len(missed)
    share, same = 1 - alive / max(every, 1), len(declared) / max(len(found), 1)
    print(f"{every - alive} of {every} mutants killed ({share:.1%}); ", end="")
    print(f"{alive} survive, {len(missed)} of them where no fast test enters")
    print(f"{len(declared)} more declared equivalent ({same:.1%})")
    return 0
