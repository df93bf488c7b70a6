"""The exercises of a book, read and tried: each solution is given to its own checker.

They are those of the modules ``code/PACKAGE/exercises/*.py``, and are loaded in a process of their own:
``python -m bookbuild.engine.exercises MODULE...``.
"""

import json
import subprocess
import sys
from pathlib import Path

from bookbuild.engine.project import Project
from rlworkshop import check


def describe(modules: list[str]) -> dict[str, dict]:
    """The exercises of ``modules`` by name, as JSON values, with the checker's verdict on each solution."""
    found = {}
    for module in modules:
        for name, exercise in check.collect(module).items():
            space: dict = {"__name__": "answer"}
            verdict = check.Verdict(name)
            try:
                exec(compile(exercise.answer, f"{name}.py", "exec"), space)
                exercise.check(exercise.pick(space), verdict.passed.append)
            except check.Wrong as wrong:
                verdict.wrong = wrong
            found[name] = {
                "title": exercise.title,
                "page": exercise.page,
                "anchor": exercise.reread.rpartition("#")[2],
                "stub": exercise.part,
                "answer": exercise.solved_part,
                "verdict": check.transcript(verdict),
                "right": verdict.wrong is None,
            }
            if isinstance(exercise, check.Stage):
                before = exercise.before.__name__ if exercise.before else ""
                found[name] |= {"file": exercise.file, "after": exercise.solution.__name__, "before": before}
    return found


def modules_of(project: Project) -> dict[str, Path]:
    """The modules that hold exercises, by dotted name."""
    files = sorted(f for f in project.code.glob("*/exercises/*.py") if f.name != "__init__.py")
    return {".".join(f.relative_to(project.code).with_suffix("").parts): f for f in files}


def run(project: Project) -> tuple[dict[str, dict], str]:
    """The project's exercises by name, and what is wrong where they cannot be read ("" where all is well)."""
    modules = modules_of(project)
    if not modules:
        return {}, ""
    done = subprocess.run(
        [sys.executable, "-m", "bookbuild.engine.exercises", *modules],
        cwd=project.root, env=project.environment(), capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        return {}, (done.stderr.strip().splitlines() or ["their process ended without a word"])[-1]
    return json.loads(done.stdout.splitlines()[-1]), ""


if __name__ == "__main__":
    print(json.dumps(describe(sys.argv[1:])))
