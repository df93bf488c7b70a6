"""An answer, checked in a process of its own, under a time limit.

Book: start/how_to_use
"""

import contextlib
import faulthandler
import importlib
import json
import linecache
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import types
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from rlworkshop.check.exercise import Exercise, Wrong, explain, quoted
from rlworkshop.check.stage import Stage

TIME_LIMIT = 20.0  # seconds
GRACE = 60.0  # seconds until a process is stopped that cannot stop itself; its imports take some, too


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
            found[name] |= {"file": exercise.file, "after": exercise.body, "before": exercise.before}
    return found


@dataclass
class Verdict:
    """What came of checking a file."""

    name: str
    reread: str = ""
    passed: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    wrong: Wrong | None = None


def judge(name: str, modules: Iterable[str], file: Path, limit: float = TIME_LIMIT) -> Verdict:
    """Check the answer in ``file`` to the exercise ``name`` of one of ``modules``, given by dotted name.

    It runs in a process that ends after ``limit`` seconds.

    Raises:
        KeyError: there is no such exercise.

    Book: start/how_to_use
    """
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
    code = "from rlworkshop.check import answer; answer._inside()"
    command = [sys.executable, "-P", "-c", code, name, ",".join(modules), str(file), str(limit)]
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as errors:
        status = _run(command, environment, said, errors, limit + GRACE)
        said.seek(0)
        lines = said.read().decode("utf-8", "replace").splitlines()
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - 20_000))
        told = errors.read().decode("utf-8", "replace")
    verdict, ended = Verdict(name), False
    for line in lines:
        record = json.loads(line)
        if "unknown" in record:
            raise KeyError(name)
        verdict.reread = record.get("reread", verdict.reread)
        verdict.passed += record.get("passed", [])
        verdict.remarks += record.get("remarks", [])
        if "wrong" in record:
            verdict.wrong = Wrong(**record["wrong"])
        ended |= record["last"]
    if not ended:
        verdict.wrong = Wrong(*_why_it_ended(status, told, file, limit))
    return verdict


def _run(command: list[str], environment: dict[str, str], said: IO, errors: IO, limit: float) -> int | None:
    """The exit status of a process, ``None`` after ``limit`` seconds; what it started ends with it."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": said, "stderr": errors}
    process = subprocess.Popen(command, env=environment, start_new_session=True, **streams)
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()


def _why_it_ended(status: int | None, told: str, file: Path, limit: float) -> tuple[str, tuple[str, ...]]:
    if status is not None and "Timeout (" not in told:
        return f"Python itself ended while it ran your file (exit status {status})", (
            "Does something call exit, or ask for more memory than there is?\n" + told[-500:].strip(),
        )
    at = re.search(rf'File "{re.escape(str(file))}", line (\d+)', told)
    place = f", at line {at[1]}: {quoted(linecache.getline(str(file), int(at[1])))}" if at else ""
    return f"your file was still at work after {limit:g} s{place}", (
        "Does every `while` come to its end: is what it asks about changed inside the loop?",
        "On arrays of a few hundred entries this takes milliseconds. Is there a loop inside a loop too many?",
    )


def _inside() -> None:
    """The other side of ``judge``: prints its findings as lines of JSON, and nothing else."""
    name, modules, file, limit = sys.argv[1:]
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    errors = os.fdopen(os.dup(2), "w")  # for what Python itself has to say
    faulthandler.enable(errors)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # whatever the answer prints, however much
        os.dup2(nowhere, stream)

    def say(last: bool = False, **record: Any) -> None:
        print(json.dumps({"last": last, **record}), file=report, flush=True)

    found = (collect(module).get(name) for module in modules.split(",") if module)
    if not (exercise := next(filter(None, found), None)):
        say(unknown=True, last=True)
        return
    say(reread=exercise.reread)
    faulthandler.dump_traceback_later(float(limit), exit=True, file=errors)
    try:
        candidate = _load(exercise, Path(file))
        remarks = exercise.check(candidate, passed=lambda shows: say(passed=[shows]))
        say(remarks=remarks, last=True)
    except Wrong as wrong:
        say(wrong={"message": str(wrong), "hints": wrong.hints, "shows": wrong.shows}, last=True)
    os._exit(0)  # not waiting for what the answer may have started


def _load(exercise: Exercise, file: Path) -> Any:
    """The function that the file defines, or for a stage the file as a module."""
    if file.suffix == ".ipynb":
        name = exercise.name.replace("-", "_")
        call = f"exercises.find({exercise.name!r}).check(...)"
        how = f"begin a cell with `%%writefile {name}.py`, or call `{call}`"
        raise Wrong("your file is a notebook, and what is checked is Python", (f"In the notebook: {how}.",))
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
