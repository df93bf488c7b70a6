"""What runs in forks of the warm process, and is watched: files of tests, functions of the book's code."""

import importlib
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
    def pytest_collection_modifyitems(self, items):
        for item in items:  # before pytest leaves out those that are not wanted
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
                by_line = lines.setdefault(Path(file).relative_to(os.getcwd()).as_posix(), {})
                for line, tests in data.contexts_by_lineno(file).items():
                    if entering := sorted({test.split("[")[0] for test in tests if test in passed}):
                        by_line[str(line)] = entering
        names = {how: sorted(tests) for how, tests in {**self.tests, "passed": passed}.items()}
        return {**names, "seen": self.seen, "lines": lines}


def watched(target: str, argument: str) -> object:
    """What the function ``module:name`` returns for ``argument``; all that it reads is noted."""
    watch.begin()
    module, name = target.split(":")
    return getattr(importlib.import_module(module), name)(argument)
