"""Exercises in which a reader writes one file in stages, all derived from one annotated source.

In the source a comment ``# stage: 4`` says from which stage on the file holds the line that it ends, or,
where it has a line to itself, what follows up to the next of these; ``# stage: 4 only`` is for what the next
stage takes out again. What no mark precedes is there from the first stage on.

Book: start/how_to_use
"""

import ast
import contextlib
import inspect
import re
import traceback
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlworkshop.check.exercise import Exercise, Printed, Probe, Wrong, advice, explain, kind_of, not_there

STAGE = re.compile(r"(^|  )# stage: (\d+)( only)?$")


@dataclass(frozen=True)
class Stage(Exercise):
    """A file that grows from stage to stage: ``solution`` is a module, the file at the end of the stage.

    What is checked is the whole file, as a module; a probe reads from it what it needs by name.
    """

    body: str = ""
    """the file at the end of the stage, without its docstring"""
    before: str = ""
    """the same at the end of the stage before; empty for the first"""
    asks: tuple[str, ...] = ()
    """the functions and classes that this stage writes"""
    file: str = "my.py"
    """what the reader calls it"""

    @classmethod
    def of(cls, source: types.ModuleType, number: int, *about: str, **fields: Any) -> "Stage":
        """Stage ``number`` of the annotated file of a module; ``about``: name, title, page and section."""
        annotated = Path(source.__file__).read_text(encoding="utf-8")
        name, title, page, _ = about
        what = f"{source.__doc__.partition(',')[0]}, stage {number}: {title[0].lower()}{title[1:]}."
        how = f"Check it: python -m rlworkshop.check {name} {fields['file']}"
        module = types.ModuleType(f"stage_{number}")
        lines = dict(lines_at(annotated, number))
        # each line where the source has it, so that errors and tests point there
        placed = "\n".join(lines.get(n, "") for n in range(1, max(lines) + 1))
        exec(compile(placed, source.__file__, "exec"), vars(module))
        module.__doc__ = f"{what}\n\n{how}\n\nBook: {page}\n"
        body, before = (file_at(annotated, n) for n in (number, number - 1))
        return cls(*about, module, body=body, before=before, **fields)

    def check(self, candidate: Any, passed: Callable[[str], Any] = lambda shows: None) -> list[str]:
        """As that of an exercise; ``candidate`` is a module."""
        shows, printed = "", Printed()
        hints: tuple[str, ...] = (f"Compare with the stub (--stub {self.name}): first line and docstring.",)
        try:
            for name in self.asks:
                _check_form(name, getattr(self.solution, name), getattr(candidate, name, None))
            for probe in self.probes:
                shows, hints = probe.shows, probe.hints
                with contextlib.redirect_stdout(printed):
                    self._try(probe, candidate)
                passed(shows)
        except Wrong as wrong:
            raise Wrong(str(wrong), wrong.hints or hints, self.reread, shows) from wrong.__cause__
        if printed.something:
            return ["your file also prints when it is used: fine while you look for a bug."]
        return []

    def _try(self, probe: Probe, candidate: Any) -> None:
        try:
            probe.run(candidate)
        except Wrong:
            raise
        except (Exception, SystemExit) as error:
            file, code = getattr(candidate, "__file__", ""), None
            for frame, _ in traceback.walk_tb(error.__traceback__):
                code = frame.f_code if frame.f_code.co_filename == file else code
            name = code.co_qualname if code else " and ".join(self.asks)
            if isinstance(error, NotImplementedError):
                raise Wrong(
                    f"`{name}` is still the stub: it raises NotImplementedError and computes nothing",
                    ("Write the body where the stub says `your code here`, and take the `raise` out.",),
                ) from error
            raise Wrong(f"`{name}` stopped: {explain(error, file)}", advice(error)) from error

    def pick(self, space: dict[str, Any]) -> Any:
        """The file as a module."""
        for name in self.asks:
            if name not in space:
                kind = "class" if isinstance(getattr(self.solution, name), type) else "function"
                raise Wrong(*not_there(kind, name, space))
        module = types.ModuleType("answer")
        module.__dict__.update(space)
        return module

    @property
    def stub(self) -> str:
        """The file to go on from: all that the stages before wrote, and the stub of this one."""
        return self._file(solved=False)

    @property
    def answer(self) -> str:
        """The file at the end of the stage."""
        return self._file(solved=True)

    @property
    def part(self) -> str:
        """The stub of what this stage adds to the file."""
        return self._added(self.stub)

    @property
    def solved_part(self) -> str:
        """What this stage adds to the file."""
        return self._added(self.answer)

    def _file(self, solved: bool) -> str:
        text = f'"""{self.solution.__doc__}"""\n\n{self.body}'
        if solved:
            return text
        lines = text.splitlines()
        functions = (
            inner
            for node in ast.parse(text).body
            if getattr(node, "name", "") in self.asks
            for inner in ([node] if isinstance(node, ast.FunctionDef) else node.body)
            if isinstance(inner, ast.FunctionDef)
        )
        for function in reversed([*functions]):  # from below, so that lines above keep their numbers
            first, last = function.body[0].end_lineno, function.end_lineno  # the docstring stays
            indent = " " * function.body[0].col_offset
            lines[first:last] = [f"{indent}# your code here", f"{indent}raise NotImplementedError"]
        return "\n".join([*lines, ""])

    def _added(self, text: str) -> str:
        """The top-level statements of ``text`` that the file did not have before."""
        tree, old = ast.parse(text), {ast.unparse(node) for node in ast.parse(self.before).body}
        lines, found = text.splitlines(), []
        for node in tree.body[1:]:  # without the docstring
            if ast.unparse(node) not in old:
                plain = isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.Expr)
                gap = "" if found and plain and found[-1][1] else "\n\n" if found else ""
                block = "\n".join(lines[node.lineno - 1 : node.end_lineno])
                found.append((f"{gap}{block}", plain))
        return "\n".join([*(block for block, _ in found), ""])


def lines_at(source: str, stage: int) -> Iterator[tuple[int, str]]:
    """The lines of an annotated source that the file holds at a stage, without marks, and their numbers."""
    since, only = 1, ""
    for number, line in enumerate(source.splitlines(), 1):
        mark = STAGE.search(line)
        if mark and not mark.start():
            since, only = int(mark[2]), mark[3]
            continue
        first, alone = (int(mark[2]), mark[3]) if mark else (since, only)
        if stage == first or (stage > first and not alone):
            yield number, line[: mark.start()] if mark else line


def file_at(source: str, stage: int) -> str:
    """The file at the end of a stage, without the docstring of the ``source``.

    Between two lines that stay lies the largest gap that there is between them in the source.
    """
    body = ast.parse(source).body[0].end_lineno
    text, gap, widest = "", 0, 0
    there = dict(lines_at(source, stage))
    for number, line in enumerate(source.splitlines(), 1):
        gap = 0 if line else gap + 1
        widest = max(widest, gap)
        if number > body and there.get(number):
            text, widest = text + "\n" * widest * bool(text) + there[number] + "\n", 0
    return text


def _check_form(name: str, solution: Any, candidate: Any) -> None:
    """Raise ``Wrong`` unless it is a function, or a class with its methods, that can be called alike."""
    kind = "class" if isinstance(solution, type) else "function"
    right = isinstance(candidate, type) if kind == "class" else callable(candidate)
    if not right:
        raise Wrong(f"`{name}` is no {kind} but {kind_of(candidate)}")
    inner = vars(solution) if kind == "class" else {}
    methods = [m for m, v in inner.items() if isinstance(v, types.FunctionType)]
    for method in methods:
        if not callable(getattr(candidate, method, None)):
            raise Wrong(f"`{name}` has no method `{method}`")
    for called, mine, theirs in [
        *((f"{name}.{m}", getattr(solution, m), getattr(candidate, m)) for m in methods),
        *([] if methods else [(name, solution, candidate)]),
    ]:
        wanted, has = list(inspect.signature(mine).parameters), inspect.signature(theirs).parameters
        try:
            inspect.signature(theirs).bind(*wanted)
        except TypeError:
            got = ", ".join(str(p) for p in has.values())
            raise Wrong(f"`{called}` takes ({got}) and should take ({', '.join(wanted)})") from None
        if list(has) != wanted and sorted(has) == sorted(wanted):
            order = f"it should take ({', '.join(wanted)})"
            raise Wrong(f"`{called}` has its arguments in another order: {order}")
