"""Which test enters which line of the code that the book shows.

The fast tests of ``rlworkshop`` run as a part of the build, under coverage, so that a page never names a
test that does not pass today. As ``-p bookbuild.engine.tests`` this module is also the pytest plugin that does it.
"""

import asyncio
import collections
import json
import os
import sys
from pathlib import Path

from bookbuild.engine.run import Job
from bookbuild.engine.project import Project
from bookbuild.engine.store import read_json, write_json
from rlworkshop import provenance

OUTPUT = "BOOKBUILD_TESTED"


class Tested:
    """The map from lines of code to the passing tests that run them."""

    def __init__(self, project: Project):
        self.project = project
        self.file = project.state / "tested.json"
        self.tests = sorted(_tests_of_the_code(project))
        files = {f for t in self.tests for f in [t, *t.parent.glob("conftest.py")]}
        files |= set((project.root / "tests").glob("conftest.py"))
        self.key = "".join(
            [
                provenance.digest(files | _closure(project, files), project.root),
                *project.pins(),
                provenance.python_version(),
            ]
        )
        self.map = read_json(self.file, {})

    def job(self) -> Job | None:
        """The work of making the map; ``None`` when the one at hand is of the present code and tests."""
        if self.map.get("key") == self.key or not self.tests:
            return None
        return Job("tests of the shown code", self.map.get("seconds", 60.0), self._run)

    def entering(self, file: Path, lines: set[int], name: str = "") -> list[str]:
        """Tests that run at least one of ``lines`` of ``file``, the most telling first.

        That is one called after ``name``; then one that runs many of the lines and little else.
        """
        everywhere = self.map.get("lines", {})
        by_line = everywhere.get(file.relative_to(self.project.root).as_posix(), {})
        here = collections.Counter(t for line in lines for t in by_line.get(str(line), []))
        total = collections.Counter(t for f in everywhere.values() for tests in f.values() for t in tests)
        return sorted(here, key=lambda t: (name not in t.split("::")[-1], -here[t], total[t], t))

    async def _run(self) -> None:
        self.map = {}
        start = asyncio.get_running_loop().time()
        output = self.project.state / "tested.part.json"
        output.unlink(missing_ok=True)
        output.parent.mkdir(parents=True, exist_ok=True)
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "pytest", "-q", "-p", "bookbuild.engine.tests"],
            *["-p", "no:cacheprovider", "-m", "not slow and not book", *map(str, self.tests)],
            cwd=self.project.root,
            env={**self.project.environment(), OUTPUT: str(output), "MPLBACKEND": "agg"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            printed, _ = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            raise
        (self.project.state / "tested.log").write_bytes(printed)
        found = read_json(output, {})
        output.unlink(missing_ok=True)
        if process.returncode != 0:  # 1: some test failed: what it enters counts as untested
            print(f"tests of the shown code: {found.get('summary', 'they did not run')}; see {self.log}")
        seconds = asyncio.get_running_loop().time() - start
        key = self.key if process.returncode == 0 else None
        self.map = {"key": key, "seconds": seconds, "lines": found.get("lines", {})}
        write_json(self.file, self.map)

    @property
    def log(self) -> str:
        return (self.project.state / "tested.log").relative_to(self.project.root).as_posix()


def _closure(project: Project, files: set[Path]) -> set[Path]:
    texts = [provenance.source_text(file.read_bytes()) for file in files]
    direct = {f for text in texts for f in provenance.imported_files(text, project.code)}
    return provenance.closure(direct, project.code)


def _tests_of_the_code(project: Project) -> set[Path]:
    """Test files that import code which is not the builder's."""
    builder = project.code / "bookbuild"
    chosen = set()
    for file in (project.root / "tests").glob("**/test_*.py"):
        if {"bookbuild", "book"} & set(file.relative_to(project.root / "tests").parts):
            continue
        try:
            reached = _closure(project, {file})
        except SyntaxError:
            continue  # ``make test`` says it
        if reached and not any(f.is_relative_to(builder) for f in reached):
            chosen.add(file)
    return chosen


# --- the pytest plugin -------------------------------------------------------------------------------


def pytest_configure(config) -> None:
    import coverage

    config.book_passed, config.book_failed = set(), set()
    code = str(Path(os.environ["PYTHONPATH"].split(os.pathsep)[0]))
    config.book_coverage = coverage.Coverage(data_file=None, config_file=False, source=[code])
    config.book_coverage.start()
    config.pluginmanager.register(_Recorder(config), "bookbuild-recorder")


class _Recorder:
    def __init__(self, config):
        self.config = config

    def pytest_runtest_logstart(self, nodeid, location) -> None:
        self.config.book_coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed:
            self.config.book_failed.add(report.nodeid)
        elif report.when == "call" and report.passed:
            self.config.book_passed.add(report.nodeid)

    def pytest_sessionfinish(self, session) -> None:
        config = self.config
        config.book_coverage.stop()
        data = config.book_coverage.get_data()
        passed = config.book_passed - config.book_failed
        lines = {}
        for file in data.measured_files():
            contexts = data.contexts_by_lineno(file)
            name = Path(file).relative_to(config.rootpath).as_posix()
            lines[name] = {
                line: sorted({test.split("[")[0] for test in tests if test in passed})
                for line, tests in contexts.items()
            }
        summary = f"{len(passed)} passed, {len(config.book_failed)} failed"
        Path(os.environ[OUTPUT]).write_text(json.dumps({"lines": lines, "summary": summary}))
