"""What runs in forks of the warm process, and is watched: a file of tests, a module of exercises."""

import importlib
import importlib.util
import os
import sys
from pathlib import Path

import pytest

from bookbuild.engine import watch


def run_tests(arguments: list[str], log: str, measured: str | None = None, *plugins: object) -> dict:
    """Run pytest in the working folder; what passed, failed and was skipped, and what ran the lines below
    ``measured``. What the tests read is written to ``log``.
    """
    recorder = Recorder(log, measured)
    status = pytest.main(["-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning",
                          *arguments], plugins=[recorder, *plugins])  # fmt: skip
    return {"status": int(status), **recorder.found()}


def run_tests_on_copy(copied: str, names: list[str], arguments: list[str], log: str) -> dict:
    """Run tests with what the file ``copied`` defines in the place of the originals, called ``names``.

    What a test changes by monkeypatch does not reach a file outside the package: such tests are left out.
    """
    import coverage

    os.environ["COVERAGE_CORE"] = "ctrace"
    measured = coverage.Coverage(data_file=None, config_file=False, include=[copied])
    measured.start()
    spec = importlib.util.spec_from_file_location("copied", copied)
    copy = sys.modules["copied"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    measured.stop()
    loaded = set(measured.get_data().lines(copied))
    for dotted in names:
        module, _, name = dotted.rpartition(".")
        setattr(importlib.import_module(module), name, getattr(copy, name))

    class Pointing:
        def pytest_collection_modifyitems(self, items) -> None:
            items[:] = [item for item in items if "monkeypatch" not in item.fixturenames]

    measured.start()
    found = run_tests(arguments, log, None, Pointing())
    measured.stop()
    return {**found, "entered": len(set(measured.get_data().lines(copied)) - loaded)}


class Recorder:
    """A pytest plugin that notes how every test went, and which lines of the code it entered."""

    def __init__(self, log: str, measured: str | None):
        self.log = log
        self.passed: set[str] = set()
        self.failed: set[str] = set()
        self.skipped: set[str] = set()
        self.seen = {"fast": 0, "slow": 0, "book": 0}
        self.coverage = None
        if measured:
            import coverage

            os.environ["COVERAGE_CORE"] = "ctrace"  # the one that tells one test from another
            self.coverage = coverage.Coverage(data_file=None, config_file=False, source=[measured])
            self.coverage.start()

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests(self) -> None:
        watch.begin(os.getcwd(), self.log)  # now that pytest has read its settings, which are no input

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items) -> None:
        for item in items:
            kinds = [kind for kind in ("book", "slow") if item.get_closest_marker(kind)]
            self.seen[[*kinds, "fast"][0]] += 1

    def pytest_runtest_logstart(self, nodeid, location) -> None:
        if self.coverage:
            self.coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed:
            self.failed.add(report.nodeid)
        elif report.skipped:
            self.skipped.add(report.nodeid)
        elif report.when == "call":
            self.passed.add(report.nodeid)

    def found(self) -> dict:
        """All that was noted, as JSON values; ``lines``: file, line, tests without their parameters."""
        passed = self.passed - self.failed
        lines: dict[str, dict[str, list[str]]] = {}
        if self.coverage:
            self.coverage.stop()
            data = self.coverage.get_data()
            for file in data.measured_files():
                by_line = {
                    str(line): sorted({test.split("[")[0] for test in tests if test in passed})
                    for line, tests in data.contexts_by_lineno(file).items()
                }
                name = Path(file).relative_to(os.getcwd()).as_posix()
                lines[name] = {line: tests for line, tests in by_line.items() if tests}
        names = {"passed": passed, "failed": self.failed, "skipped": self.skipped}
        return {**{how: sorted(tests) for how, tests in names.items()}, "seen": self.seen, "lines": lines}


def describe_exercises(module: str, log: str) -> dict[str, dict]:
    """The exercises of a module by name, with the checker's verdict on each solution."""
    watch.begin(os.getcwd(), log)
    from rlworkshop import check

    found = {}
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
