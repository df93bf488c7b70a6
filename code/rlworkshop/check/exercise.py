"""An exercise: its stub, its solution, and the probes that an answer has to pass.

An exercise is a function that solves it, with probes that try an answer. The stub is the same function, with
what stands between the comments ``# solution`` and ``# end`` left out; after a comment ``# given``, commented
lines say what the stub has instead.

Book: start/how_to_use
"""

import ast
import contextlib
import inspect
import io
import re
import sys
import textwrap
import traceback
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

DRAWN = "on other numbers, drawn at random, it is right as well"
DRAWN_HINTS = (
    "The round numbers above have not told yours from the right one. Work through this case by hand.",
    "Is something rounded, cast to whole numbers, or taken from a fixed row or column?",
)
MARK = re.compile(r"^\s*# (solution|given|end)\s*$")


class Wrong(Exception):
    """An answer is wrong: the message names the mistake, ``hints`` help to mend it, ``reread`` says where."""

    def __init__(self, message: str, hints: tuple[str, ...] = (), reread: str = "", shows: str = ""):
        super().__init__(message)
        self.hints, self.reread, self.shows = hints, reread, shows

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it in place of a traceback."""
        lines = [f"✗ {self.shows}"] if self.shows else []
        lines += [textwrap.fill(str(self), 96)]
        return [*lines, *(f"Hint: {hint}" for hint in self.hints[:1]), f"Read again: {self.reread}"]


@dataclass(frozen=True)
class Probe:
    """One thing that a right answer does. ``run`` takes the answer and raises ``Wrong`` where it does not."""

    shows: str
    run: Callable[[Callable], None]
    hints: tuple[str, ...]


@dataclass(frozen=True)
class Exercise:
    """A function to write, and the probes that an answer has to pass."""

    name: str
    """the name of its page's file comes first: ``vpg-reward-to-go``"""
    title: str
    page: str
    """where the exercise stands: ``algorithms/vpg``"""
    section: str
    """the heading on that page under which to read again"""
    solution: Callable
    probes: list[Probe] = field(default_factory=list)

    def probe(self, shows: str, *hints: str) -> Callable[[Callable], Callable]:
        """Decorator that adds a probe; ``shows`` says what is right when it passes."""

        def add(run: Callable) -> Callable:
            self.probes.append(Probe(shows, run, hints))
            return run

        return add

    def drawn(self, draw: Callable) -> Callable:
        """Decorator that adds a probe: an answer agrees with the solution on arguments drawn at random.

        ``draw`` takes a NumPy generator and returns the arguments, a tuple.

        By hand one likes round and regular numbers, on which a wrong answer can agree with the right one.
        """

        def run(answer: Callable) -> None:
            for seed in range(20):
                arguments = draw(np.random.default_rng(seed))
                want = self.solution(*map(_copy, arguments))
                names = inspect.signature(self.solution).parameters
                case = "; ".join(f"{n} = {_text(a)}" for n, a in zip(names, arguments, strict=True))
                expect(answer(*arguments), want, f"On numbers drawn at random ({case})")

        self.probes.append(Probe(DRAWN, run, DRAWN_HINTS))
        return draw

    def check(self, candidate: Callable, passed: Callable[[str], Any] = lambda shows: None) -> list[str]:
        """Try ``candidate``; ``passed`` is told of each probe that it passes. Returns remarks, mostly none.

        Raises:
            Wrong: at the first probe that does not pass.
        """
        answer, shows = _Answer(self, candidate), ""
        hints: tuple[str, ...] = ("Compare with the stub (--stub): its first line and its docstring.",)
        try:
            answer.check_signature()
            for probe in self.probes:
                shows, hints = probe.shows, probe.hints
                probe.run(answer)
                passed(shows)
        except Wrong as wrong:
            raise Wrong(str(wrong), wrong.hints or hints, self.reread, shows) from wrong.__cause__
        if answer.printed:
            return [f"`{self.function}` also prints: fine while you look for a bug, to be taken out then."]
        return []

    @property
    def function(self) -> str:
        """The name of the function to write."""
        return self.solution.__name__

    @property
    def part(self) -> str:
        """What a page shows of the stub."""
        return self.stub

    @property
    def solved_part(self) -> str:
        """What a page shows of the answer."""
        return self.answer

    def pick(self, space: dict[str, Any]) -> Any:
        """What is checked of the names ``space`` that a file defines.

        Raises:
            Wrong: it does not define what was asked for.
        """
        if self.function in space:
            return space[self.function]
        raise Wrong(*not_there("function", self.function, space))

    @property
    def reread(self) -> str:
        """Where to read again, for a person: the heading, and the address of it in the book."""
        anchor = re.sub(r"[^a-z0-9]+", "-", self.section.lower()).strip("-")
        return f"“{self.section}”\n  {self.page}.html#{anchor}"

    @property
    def stub(self) -> str:
        """The file to begin with."""
        how = f"Check it: python -m rlworkshop.check {self.name} THIS_FILE"
        return f'"""{self.name}: {self.title}\n\n{how}\n"""\n\n{self._text(solved=False)}'

    @property
    def answer(self) -> str:
        """The solution, as a file that is an answer."""
        return self._text(solved=True)

    def _text(self, solved: bool) -> str:
        source, part, body = inspect.getsource(self.solution), "", []
        for line in source.splitlines():
            mark, indent = MARK.match(line), " " * (len(line) - len(line.lstrip()))
            if mark:
                if part == "solution" and mark[1] == "end" and not solved:
                    body += [f"{indent}# your code here", f"{indent}raise NotImplementedError"]
                part = "" if mark[1] == "end" else mark[1]
            elif part == "given":
                body += [] if solved else [re.sub(r"# ?", "", line, count=1).rstrip()]
            elif solved or part != "solution":
                body.append(line)
        if part:
            raise ValueError(f"{self.name}: '# {part}' has no '# end'")
        text = "\n".join(body)
        names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
        module = Path(inspect.getsourcefile(self.solution)).read_text(encoding="utf-8")
        imports = []
        for node in ast.parse(module).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                node.names = [a for a in node.names if (a.asname or a.name.split(".")[0]) in names]
                imports += [ast.unparse(node)] if node.names else []
        ours = [line for line in imports if line.split()[1].split(".")[0] not in sys.stdlib_module_names]
        theirs = [line for line in imports if line not in ours]
        imports = [*theirs, *[""] * bool(theirs and ours), *ours]
        return "\n".join([*imports, "", "", text, ""]) if imports else f"{text}\n"


def not_there(kind: str, name: str, space: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """What is said, with a hint, of a file that defines ``space`` and no ``kind`` called ``name``."""
    kinds = types.FunctionType if kind == "function" else type
    there = [n for n, v in space.items() if isinstance(v, kinds) and v.__module__ == "answer"]
    what = f"it defines {', '.join(there)}" if there else f"it defines no {kind}"
    hint = f"The checker looks for the name `{name}`, at the outermost level of the file."
    return f"your file has no {kind} `{name}`: {what}", (hint,)


class Printed(io.TextIOBase):
    """Takes what an answer prints, and keeps only whether it did."""

    something = False

    def write(self, text: str) -> int:
        """As that of a file."""
        self.something |= bool(text)
        return len(text)


class _Answer:
    """The candidate, called under supervision."""

    def __init__(self, exercise: Exercise, candidate: Any):
        self.exercise, self.candidate, self.printed = exercise, candidate, False
        self.parameters = list(inspect.signature(exercise.solution).parameters)

    def check_signature(self) -> None:
        name, wanted = self.exercise.function, ", ".join(self.parameters)
        if not callable(self.candidate):
            raise Wrong(
                f"`{name}` is no function but {kind_of(self.candidate)}: write `def {name}({wanted}):`"
            )
        try:
            has = list(inspect.signature(self.candidate).parameters.values())
        except (TypeError, ValueError):
            return
        try:
            inspect.signature(self.candidate).bind(*self.parameters)
        except TypeError:
            got = ", ".join(str(p) for p in has)
            raise Wrong(f"`{name}` takes ({got}) and should take ({wanted})") from None
        names = [p.name for p in has]
        if names != self.parameters and sorted(names) == sorted(self.parameters):
            raise Wrong(f"`{name}` has its arguments in another order: it should take ({wanted})")

    def __call__(self, *args: Any) -> Any:
        name, kept, printed = self.exercise.function, [_copy(a) for a in args], Printed()
        try:
            with contextlib.redirect_stdout(printed):
                got = self.candidate(*args)
        except NotImplementedError as error:
            raise Wrong(
                f"`{name}` is still the stub: it raises NotImplementedError and computes nothing",
                ("Write the body where the stub says `your code here`, and take the `raise` out.",),
            ) from error
        except (Exception, SystemExit) as error:
            code = getattr(self.candidate, "__code__", None)
            told = f"`{name}` stopped: {explain(error, code and code.co_filename)}"
            raise Wrong(told, advice(error)) from error
        self.printed |= printed.something
        for parameter, before, after in zip(self.parameters, kept, args, strict=False):
            if not _same(before, after):
                raise Wrong(
                    f"`{name}` changes its argument `{parameter}`, which its caller still needs",
                    ("Write into a copy of your own: `x = x.copy()` before any `x[...] =` or `x +=`.",),
                )
        if got is None:
            raise Wrong(f"`{name}` returns nothing (None)", ("Does every path end in a `return`?",))
        return got


def expect(
    got: Any,
    want: np.ndarray,
    about: str,
    mistakes: dict[str, Any] | None = None,
    rows: np.ndarray | None = None,
) -> None:
    """Raise ``Wrong`` unless ``got`` is an array (or one number) equal to ``want``, up to rounding.

    ``about`` is a sentence on what the case is about. ``mistakes`` maps a message (or one with hints of its
    own, a tuple) to what an answer with that mistake gives here. ``rows`` (bool, of the shape of ``want``)
    says which entries count; default all.

    Book: start/how_to_use
    """
    want = np.asarray(want)
    if type(got) in (int, float) and want.ndim == 0:  # a number where a number is wanted
        got = np.float64(got)
    if not isinstance(got, np.ndarray | np.generic):
        hint = f"Print type(...) of what you return. The docstring asks for an array of shape {want.shape}."
        raise Wrong(f"the answer should be a NumPy array; it is {kind_of(got)}", (hint,))
    if got.shape != want.shape:
        turned = ": that is the wrong way round" if got.shape == want.shape[::-1] else ""
        hint = "Print the shape after each line: where does it first differ from what the docstring says?"
        raise Wrong(f"the answer should have the shape {want.shape}; it has {got.shape}{turned}", (hint,))
    if got.dtype.kind != "f":
        why = ": it has lost what stands behind the point" if got.dtype.kind in "iu" else ""
        hint = "An array made of whole numbers stays one: make it with `float`, as np.zeros(n) does."
        raise Wrong(f"the answer should hold floats; it holds {got.dtype}{why}", (hint,))
    rows = np.ones(want.shape, bool) if rows is None else rows

    def fits(other: Any) -> bool:
        other = np.broadcast_to(np.asarray(other, float), want.shape)
        return np.allclose(np.asarray(got, float)[rows], other[rows], rtol=1e-4, atol=1e-5, equal_nan=True)

    if fits(want):
        return
    for said, other in (mistakes or {}).items():
        if fits(other):
            message, *hints = said if isinstance(said, tuple) else (said,)
            raise Wrong(f"the result is what this mistake gives: {message}", tuple(hints))
    if want.size <= 8 and rows.all():
        digits = next((n for n in range(3, 8) if _show(want, n) != _show(got, n)), 8)
        raise Wrong(f"{about}. It should be {_show(want, digits)}; yours is {_show(got, digits)}")
    off = np.argwhere(~np.isclose(got, want, rtol=1e-4, atol=1e-5) & rows)
    first = tuple(int(i) for i in off[-1])
    raise Wrong(
        f"{about}. {len(off)} of {rows.sum()} entries differ; the last is [{', '.join(map(str, first))}]: "
        f"{got[first]:.6g}, and it should be {want[first]:.6g}"
    )


def advice(error: BaseException) -> tuple[str, ...]:
    """Hints on an exception, whatever the exercise is.

    Book: start/how_to_use
    """
    kinds = {
        (
            "IndexError",
            "KeyError",
        ): "Print the index and the shape of what it looks into, just before that line.",
        (
            "ValueError",
            "RuntimeError",
        ): "Print the shapes of all arrays of that line: which of them does not fit?",
        (
            "TypeError",
            "AttributeError",
        ): "Print type(...) of what stands in that line: is it what the docstring says?",
        ("NameError",): "A name is misspelt, or its import is missing from the top of your file.",
        (
            "ZeroDivisionError",
        ): "Which of the arguments can be 0 or empty? The docstring says what holds then.",
    }
    names = {kind.__name__ for kind in type(error).__mro__}
    found = [hint for known, hint in kinds.items() if names.intersection(known)]
    return (
        *found[:1],
        "Call your function by hand with the arguments of a small case, and look at the line named above.",
    )


def explain(error: BaseException, file: str | None) -> str:
    """An exception in one sentence, with the line of ``file`` that it came from.

    Book: start/how_to_use
    """
    what = f"{type(error).__name__}: {error}".strip(": ")
    if isinstance(error, SyntaxError) and error.filename == file:
        return f"line {error.lineno}: {error.msg}: {quoted(error.text or '')}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename == file:
            return f"line {frame.lineno}: {quoted(frame.line or '')} raises {what}"
    return what


def _copy(value: Any) -> Any:
    if hasattr(value, "detach"):
        return value.detach().clone()
    return value.copy() if isinstance(value, np.ndarray) else value


def _same(before: Any, after: Any) -> bool:
    if hasattr(after, "detach"):
        before, after = before.numpy(), after.detach().numpy()
    if isinstance(after, np.ndarray):
        return before.shape == after.shape and before.tobytes() == after.tobytes()
    return True


def kind_of(value: Any) -> str:
    """The kind of a value, for a sentence: "an int"."""
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _text(value: Any) -> str:
    """A value on one line, as one would type it."""
    return " ".join(np.array2string(np.asarray(value), precision=4, separator=", ").split())


def quoted(line: str) -> str:
    """A line of code, for a sentence."""
    return f"`{' '.join(line.split())}`"


def _show(array: np.ndarray, digits: int) -> str:
    column = array.ndim == 2 and array.shape[1] == 1
    return str(np.round(array[:, 0] if column else array, digits).tolist())
