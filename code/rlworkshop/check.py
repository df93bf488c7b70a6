"""Checks an answer to an exercise: what is right, the first thing that is wrong, one hint at a time.

From the command line::

    python -m rlworkshop.check --list
    python -m rlworkshop.check --stub vpg-reward-to-go > my.py
    python -m rlworkshop.check vpg-reward-to-go my.py

An exercise is a function of ``rlworkshop.exercises`` that solves it, with probes that try an answer. The stub
is the same function, with what stands between the comments ``# solution`` and ``# end`` left out; after a
comment ``# given``, commented lines say what the stub has instead. The answer runs in a process of its own,
under a time limit. Exit status: 0 right, 1 not yet, 2 nothing to check.

Book: start/how_to_use
"""

import argparse
import ast
import contextlib
import difflib
import faulthandler
import importlib
import inspect
import io
import json
import os
import pkgutil
import re
import subprocess
import sys
import textwrap
import traceback
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE = "rlworkshop.exercises"
BEGINNINGS = {"writing_dqn_together": "dqn-stage"}  # of exercises that are not called after their page
TIME_LIMIT = 20.0  # seconds
MARK = re.compile(r"^\s*# (solution|given|end)\s*$")


class Wrong(Exception):
    """An answer is wrong: the message names the mistake, ``hints`` help to mend it, ``reread`` says where."""

    def __init__(self, message: str, hints: tuple[str, ...] = (), reread: str = "", shows: str = ""):
        super().__init__(message)
        self.hints, self.reread, self.shows = hints, reread, shows


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
        raise Wrong(*_not_there("function", self.function, space))

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


@dataclass(frozen=True)
class Stage(Exercise):
    """A file that grows from stage to stage: ``solution`` is a module, the file at the end of the stage.

    What is checked is the whole file, as a module; a probe reads from it what it needs by name.
    """

    asks: tuple[str, ...] = ()
    """the functions and classes that this stage writes"""
    before: types.ModuleType | None = None
    """the file at the end of the stage before; the first has none"""
    file: str = "my.py"
    """what the reader calls it"""

    def check(self, candidate: Any, passed: Callable[[str], Any] = lambda shows: None) -> list[str]:
        """As that of an exercise; ``candidate`` is a module."""
        shows, printed = "", io.StringIO()
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
        if printed.getvalue():
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
            raise Wrong(f"`{name}` stopped: {explain(error, file)}") from error

    def pick(self, space: dict[str, Any]) -> Any:
        """The file as a module."""
        for name in self.asks:
            if name not in space:
                kind = "class" if isinstance(getattr(self.solution, name), type) else "function"
                raise Wrong(*_not_there(kind, name, space))
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
        text = inspect.getsource(self.solution)
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
        known = inspect.getsource(self.before) if self.before else ""
        tree, old = ast.parse(text), {ast.unparse(node) for node in ast.parse(known).body}
        lines, found = text.splitlines(), []
        for node in tree.body[1:]:  # without the docstring
            if ast.unparse(node) not in old:
                plain = isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.Expr)
                gap = "" if found and plain and found[-1][1] else "\n\n" if found else ""
                block = "\n".join(lines[node.lineno - 1 : node.end_lineno])
                found.append((f"{gap}{block}", plain))
        return "\n".join([*(block for block, _ in found), ""])


def _check_form(name: str, solution: Any, candidate: Any) -> None:
    """Raise ``Wrong`` unless it is a function, or a class with its methods, that can be called alike."""
    kind = "class" if isinstance(solution, type) else "function"
    right = isinstance(candidate, type) if kind == "class" else callable(candidate)
    if not right:
        raise Wrong(f"`{name}` is no {kind} but {_kind(candidate)}")
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


def _not_there(kind: str, name: str, space: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    kinds = types.FunctionType if kind == "function" else type
    there = [n for n, v in space.items() if isinstance(v, kinds) and v.__module__ == "answer"]
    what = f"it defines {', '.join(there)}" if there else f"it defines no {kind}"
    hint = f"The checker looks for the name `{name}`, at the outermost level of the file."
    return f"your file has no {kind} `{name}`: {what}", (hint,)


class _Answer:
    """The candidate, called under supervision."""

    def __init__(self, exercise: Exercise, candidate: Any):
        self.exercise, self.candidate, self.printed = exercise, candidate, False
        self.parameters = list(inspect.signature(exercise.solution).parameters)

    def check_signature(self) -> None:
        name, wanted = self.exercise.function, ", ".join(self.parameters)
        if not callable(self.candidate):
            raise Wrong(f"`{name}` is no function but {_kind(self.candidate)}: write `def {name}({wanted}):`")
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
        name, kept, printed = self.exercise.function, [_copy(a) for a in args], io.StringIO()
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
            raise Wrong(f"`{name}` stopped: {explain(error, code and code.co_filename)}") from error
        self.printed |= bool(printed.getvalue())
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

    ``about`` is a sentence on what the case is about. ``mistakes`` maps a message to what an answer with that
    mistake gives here. ``rows`` (bool, of the shape of ``want``) says which entries count; default all.

    Book: start/how_to_use
    """
    want = np.asarray(want)
    if isinstance(got, float) and want.ndim == 0:  # a number where a number is wanted
        got = np.float64(got)
    if not isinstance(got, np.ndarray | np.generic):
        raise Wrong(f"the answer should be a NumPy array; it is {_kind(got)}")
    if got.shape != want.shape:
        turned = ": that is the wrong way round" if got.shape == want.shape[::-1] else ""
        raise Wrong(f"the answer should have the shape {want.shape}; it has {got.shape}{turned}")
    if got.dtype.kind != "f":
        why = ": it has lost what stands behind the point" if got.dtype.kind in "iu" else ""
        raise Wrong(f"the answer should hold floats; it holds {got.dtype}{why}")
    rows = np.ones(want.shape, bool) if rows is None else rows

    def fits(other: Any) -> bool:
        other = np.broadcast_to(np.asarray(other, float), want.shape)
        return np.allclose(np.asarray(got, float)[rows], other[rows], rtol=1e-4, atol=1e-5, equal_nan=True)

    if fits(want):
        return
    for message, other in (mistakes or {}).items():
        if fits(other):
            raise Wrong(message)
    if want.size <= 8 and rows.all():
        raise Wrong(f"{about}. It should be {_show(want)}; yours is {_show(got)}")
    off = np.argwhere(~np.isclose(got, want, rtol=1e-4, atol=1e-5) & rows)
    first = tuple(int(i) for i in off[-1])
    raise Wrong(
        f"{about}. {len(off)} of {rows.sum()} entries differ; the last is [{', '.join(map(str, first))}]: "
        f"{got[first]:.4g}, and it should be {want[first]:.4g}"
    )


def explain(error: BaseException, file: str | None) -> str:
    """An exception in one sentence, with the line of ``file`` that it came from.

    Book: start/how_to_use
    """
    what = f"{type(error).__name__}: {error}".strip(": ")
    if isinstance(error, SyntaxError) and error.filename == file:
        return f"line {error.lineno}: {error.msg}: {_quoted(error.text or '')}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename == file:
            return f"line {frame.lineno}: {_quoted(frame.line or '')} raises {what}"
    return what


def collect(module: str) -> dict[str, Exercise]:
    """The exercises of a module, given by its dotted name, by their names.

    Book: start/how_to_use
    """
    found = [e for e in vars(importlib.import_module(module)).values() if isinstance(e, Exercise)]
    return {exercise.name: exercise for exercise in found}


def describe(module: str) -> dict[str, dict[str, Any]]:
    """The exercises of a module by name as plain values, with the checker's verdict on each solution.

    Book: start/how_to_use
    """
    found = {}
    for name, exercise in collect(module).items():
        space: dict = {"__name__": "answer"}
        verdict = Verdict(name)
        try:
            exec(compile(exercise.answer, f"{name}.py", "exec"), space)
            exercise.check(exercise.pick(space), verdict.passed.append)
        except Wrong as wrong:
            verdict.wrong = wrong
        found[name] = {
            "title": exercise.title,
            "page": exercise.page,
            "anchor": exercise.reread.rpartition("#")[2],
            "stub": exercise.part,
            "answer": exercise.solved_part,
            "verdict": transcript(verdict),
            "right": verdict.wrong is None,
        }
        if isinstance(exercise, Stage):
            before = exercise.before.__name__ if exercise.before else ""
            found[name] |= {"file": exercise.file, "after": exercise.solution.__name__, "before": before}
    return found


def exercises(name: str = "") -> dict[str, Exercise]:
    """All exercises of the book by name; with ``name``, those of the page that it begins with.

    Book: start/how_to_use
    """
    stems = [m.name for m in pkgutil.iter_modules(importlib.import_module(PACKAGE).__path__)]
    fitting = [s for s in stems if name.startswith(beginning(s) + "-")] if name else stems
    return {n: e for stem in fitting for n, e in collect(f"{PACKAGE}.{stem}").items()}


def beginning(stem: str) -> str:
    """What the names of the exercises on the page ``stem`` begin with: ``vpg``, ``dynamic-programming``.

    Book: start/how_to_use
    """
    return BEGINNINGS.get(stem, stem.replace("_", "-"))


def find(name: str) -> Exercise:
    """The exercise called ``name``.

    Raises:
        KeyError: there is none; the message suggests what may have been meant.

    Book: start/how_to_use
    """
    if found := exercises(name).get(name):
        return found
    known = list(exercises())
    close = difflib.get_close_matches(name, known, n=3) or [n for n in known if name in n][:3]
    hint = f"did you mean {' or '.join(close)}?" if close else "--list shows them all"
    raise KeyError(f"there is no exercise {name!r}: {hint}")


# ------------------------------------------------------------------------------- the answer in its process


@dataclass
class Verdict:
    """What came of checking a file."""

    name: str
    reread: str = ""
    passed: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    wrong: Wrong | None = None


def judge(name: str, file: Path, limit: float = TIME_LIMIT) -> Verdict:
    """Check the answer in ``file`` to the exercise ``name``, in a process that ends after ``limit`` seconds.

    Raises:
        KeyError: there is no such exercise.

    Book: start/how_to_use
    """
    package = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
    code = "from rlworkshop import check; check._inside()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, name, str(file), str(limit)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", errors="replace",
        env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    verdict, ended = Verdict(name), False
    for line in done.stdout.splitlines():
        record = json.loads(line)
        if "unknown" in record:
            raise KeyError(record["unknown"])
        verdict.reread = record.get("reread", verdict.reread)
        verdict.passed += record.get("passed", [])
        verdict.remarks += record.get("remarks", [])
        if "wrong" in record:
            verdict.wrong = Wrong(**record["wrong"])
        ended |= record["last"]
    if not ended:
        verdict.wrong = Wrong(*_why_it_ended(done, file, limit))
    return verdict


def _why_it_ended(done: subprocess.CompletedProcess, file: Path, limit: float) -> tuple[str, tuple[str, ...]]:
    if "Timeout (" not in done.stderr:
        return f"Python itself ended while it ran your file (exit status {done.returncode})", (
            "Does something call exit, or ask for more memory than there is?\n" + done.stderr[-500:].strip(),
        )
    at = re.search(rf'File "{re.escape(str(file))}", line (\d+)', done.stderr)
    place = ""
    if at:
        line = file.read_text(encoding="utf-8").splitlines()[int(at[1]) - 1]
        place = f", at line {at[1]}: {_quoted(line)}"
    return f"your file was still at work after {limit:g} s{place}", (
        "Does every `while` come to its end: is what it asks about changed inside the loop?",
        "On arrays of a few hundred entries this takes milliseconds. Is there a loop inside a loop too many?",
    )


def _inside() -> None:
    """The other side of ``judge``: prints its findings as lines of JSON, and nothing else."""
    name, file, limit = sys.argv[1:]
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever the answer prints goes the way of errors

    def say(last: bool = False, **record: Any) -> None:
        print(json.dumps({"last": last, **record}), file=report, flush=True)

    try:
        exercise = find(name)
    except KeyError as error:
        say(unknown=error.args[0], last=True)
        return
    say(reread=exercise.reread)
    faulthandler.dump_traceback_later(float(limit), exit=True)
    try:
        candidate = _load(exercise, Path(file))
        remarks = exercise.check(candidate, passed=lambda shows: say(passed=[shows]))
        say(remarks=remarks, last=True)
    except Wrong as wrong:
        say(wrong={"message": str(wrong), "hints": wrong.hints, "shows": wrong.shows}, last=True)
    os._exit(0)  # not waiting for what the answer may have started


def _load(exercise: Exercise, file: Path) -> Any:
    """The function that the file defines, or for a stage the file as a module."""
    sys.path.append(str(file.parent))  # modules beside it; last, so that none hides another
    module = sys.modules["answer"] = types.ModuleType("answer")
    module.__file__ = str(file)
    try:
        code = compile(file.read_bytes(), str(file), "exec")
    except (SyntaxError, ValueError) as error:
        advice = ("Python points at where it gave up; the cause is often a line earlier.",)
        raise Wrong(f"Python cannot read your file: {explain(error, str(file))}", advice) from None
    try:
        exec(code, vars(module))
    except (Exception, SystemExit) as error:
        advice = ("The file runs from top to bottom before its function is called. Try `python` on it.",)
        raise Wrong(f"your file does not load: {explain(error, str(file))}", advice) from None
    return exercise.pick(vars(module))


# ------------------------------------------------------------------------------- the command


def transcript(verdict: Verdict) -> str:
    """The verdict in lines for a person, without hints.

    Book: start/how_to_use
    """
    lines = [f"✓ {shows}" for shows in verdict.passed]
    if verdict.wrong is None:
        return "\n".join([*lines, *verdict.remarks, f"{verdict.name}: right."])
    lines += [f"✗ {verdict.wrong.shows}"] if verdict.wrong.shows else []
    text = str(verdict.wrong)
    text = (text[0].upper() if text[0].isascii() else text[0]) + text[1:].rstrip(".")
    text += "" if text.endswith(("?", "!")) else "."
    return "\n".join([*lines, *[""] * bool(lines), textwrap.fill(text, 96)])


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status.

    Book: start/how_to_use
    """
    parser = argparse.ArgumentParser(
        prog="python -m rlworkshop.check", description="Check an answer to an exercise of the book."
    )
    parser.add_argument("name", nargs="?", help="the exercise, as its page calls it")
    parser.add_argument("file", nargs="?", type=Path, help="the file with your answer")
    parser.add_argument("--list", action="store_true", help="the exercises there are")
    parser.add_argument("--stub", metavar="NAME", help="print the file to begin with")
    parser.add_argument("--limit", type=float, default=TIME_LIMIT, help="seconds that the answer may take")
    options = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that has no ✓
    try:
        if options.list:
            found = exercises()
            width = max(map(len, found), default=0)
            print(*(f"{e.name:{width}}  {e.title} ({e.page})" for e in found.values()), sep="\n")
            return 0
        if options.stub:
            print(find(options.stub).stub, end="")
            return 0
        if not (options.name and options.file):
            parser.error("give the exercise and your file, as in: vpg-reward-to-go my.py; or --list")
        if not options.file.is_file():
            name = find(options.name).name
            what = "is a folder" if options.file.is_dir() else "is not there"
            raise KeyError(f"{options.file} {what}. To begin: {parser.prog} --stub {name} > my.py")
        file = options.file.resolve()
        verdict = judge(options.name, file, options.limit)
    except KeyError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    print(transcript(verdict))
    said = f"{verdict.name} {file}"
    if verdict.wrong is None:
        _times_said(said, "")
        return 0
    hints = verdict.wrong.hints
    number = min(_times_said(said, str(verdict.wrong)), len(hints))
    if hints:
        more = " The next try brings the next one." if number < len(hints) else ""
        print("\n" + textwrap.fill(f"Hint {number} of {len(hints)}: {hints[number - 1]}{more}", 96))
    print(f"\nRead again: {verdict.reread}")
    return 1


def _memory() -> Path:
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"  # nobody else's
    return Path(folder, "rlworkshop", "hints.json")


def _times_said(about: str, message: str) -> int:
    """How often in a row ``message`` has now been said; kept in a file of the user's cache."""
    file = _memory()
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        last, count = said.get(about, ("", 0))
    except (OSError, ValueError, AttributeError):
        said, last, count = {}, "", 0
    count = count + 1 if message == last else 1
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({**said, about: (message, count)}), encoding="utf-8")
    return count


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


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _quoted(line: str) -> str:
    return f"`{' '.join(line.split())}`"


def _show(array: np.ndarray) -> str:
    column = array.ndim == 2 and array.shape[1] == 1
    return str(np.round(array[:, 0] if column else array, 3).tolist())


if __name__ == "__main__":
    from rlworkshop.check import main as command  # the same classes as the exercises have

    sys.exit(command())
