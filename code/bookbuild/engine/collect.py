"""What runs in forks of the warm process, and is watched: a file of tests, a module of exercises."""

import os
from pathlib import Path

import pytest

from bookbuild.engine import watch


def run_tests(arguments: list[str], measured: str | None = None) -> dict:
    """Run pytest in the working folder; how each test went, and which entered what below ``measured``."""
    recorder = Recorder(measured)
    quiet = ["-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    status = pytest.main([*quiet, *arguments], plugins=[recorder])
    return {"status": int(status), **recorder.found()}


class Recorder:
    """A pytest plugin that notes how every test went, and which lines of the code it entered."""

    def __init__(self, measured: str | None):
        self.tests: dict[str, set[str]] = {"passed": set(), "failed": set(), "skipped": set()}
        self.seen = {"fast": 0, "slow": 0, "book": 0}
        self.coverage = None
        if measured:
            import coverage

            os.environ["COVERAGE_CORE"] = "ctrace"  # the one that tells one test from another
            self.coverage = coverage.Coverage(data_file=None, config_file=False, source=[measured])
            self.coverage.start()

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests(self) -> None:
        watch.begin()  # now that pytest has read its settings, which are no input

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items) -> None:
        for item in items:
            kinds = [kind for kind in ("book", "slow") if item.get_closest_marker(kind)]
            self.seen[[*kinds, "fast"][0]] += 1

    def pytest_runtest_logstart(self, nodeid, location) -> None:
        if self.coverage:
            self.coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report) -> None:
        if report.outcome != "passed" or report.when == "call":
            self.tests[report.outcome].add(report.nodeid)

    def found(self) -> dict:
        """All that was noted, as JSON values; ``lines``: file, line, tests without their parameters."""
        passed = self.tests["passed"] - self.tests["failed"]
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
        names = {how: sorted(tests) for how, tests in {**self.tests, "passed": passed}.items()}
        return {**names, "seen": self.seen, "lines": lines}


def describe_exercises(module: str) -> dict[str, dict]:
    """The exercises of a module by name, with the checker's verdict on each solution."""
    watch.begin()
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
