"""The files of tests as jobs: each is run when something of it has changed, and knows what it enters.

A file has three parts: fast tests, slow ones (marker ``slow``), those of the built site (``book``). The fast
tests of the code that the book shows run in every build, under coverage: a page never names a test that does
not pass today. ``make test`` runs what is left.
"""

import ast
import collections
import functools
import json
import os
import re
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from bookbuild.engine.forks import Warm
from bookbuild.engine.project import Project, drop_bytecode, pyproject
from bookbuild.engine.schedule import Job, Schedule
from bookbuild.engine.store import Store, Subject, read_json
from rlworkshop import provenance

MARKED = {"fast": "not slow and not book", "slow": "slow and not book", "book": "book"}
EXPECTED = {"fast": 5.0, "slow": 30.0, "book": 60.0}  # seconds of a part that never ran
BUILDER = ("myst_nb", "sphinx.builders.html", "jupytext", "jupyter_cache.cache.main", "nbclient")
UNKNOWN = {"passed": [], "failed": [], "skipped": [], "seen": {}, "lines": {}}


class Tests:
    """The tests of one project, with their results as far as they are known."""

    def __init__(self, project: Project, store: Store):
        self.project, self.store = project, store
        self.results: dict[tuple[str, str], dict] = {}  # file and part -> result
        made = pyproject(project.root)
        options = made.get("tool", {}).get("pytest", {}).get("ini_options", {})
        self._settings = json.dumps([options, made.get("dependency-groups", {}).get("test")], sort_keys=True)
        found, apart = project.root.glob("tests/**/test_*.py"), options.get("norecursedirs", [])
        self.files = sorted(
            file
            for file in found
            if not any(fnmatch(part, one) for part in self.name(file).split("/") for one in apart)
        )

    # ---- which

    def name(self, file: Path) -> str:
        return file.relative_to(self.project.root).as_posix()

    @functools.cached_property
    def of_the_code(self) -> list[Path]:
        """Test files that import code which is not the builder's."""
        chosen, builder = [], self.project.code / "bookbuild"
        for file in self.files:
            reached = self._closure(file) - {file}
            if reached and not any(f.is_relative_to(builder) for f in reached):
                chosen.append(file)
        return chosen

    def subject(self, file: Path, part: str) -> Subject:
        """All that decides how a part of a file of tests goes, as far as it shows before it runs."""
        own = [part, MARKED[part], self._settings]
        if part == "book":
            own.append(read_json(self.project.state / "site.json", {}).get("fingerprint", ""))
        name, files = f"{self.name(file)} {part}", frozenset(self._closure(file))
        return Subject("tests", name, json.dumps(own), files)

    def _closure(self, file: Path) -> set[Path]:
        """A file of tests, the conftest.py above it, and what these import."""
        root = self.project.root / "tests"
        above = [folder / "conftest.py" for folder in file.parents if folder.is_relative_to(root)]
        files = {file, *(f for f in above if f.exists())}
        return files | provenance.closure(files, self.project.code)

    # ---- running them

    def jobs(self, warm: Warm, chosen: Iterable[tuple[Path, str]]) -> list[Job]:
        """The work that is left of ``chosen``, files and parts; what is known is taken from the store."""
        found = []
        for file, part in chosen:
            name = self.name(file)
            known = self.store.get(self.subject(file, part))
            if known is not None:
                self.results[name, part] = known
            some = self.results.get((name, "fast"), UNKNOWN)["seen"].get(part, 1)  # there may be no such test
            if some and (known is None or known["skipped"]):
                expected = self.store.times.get(f"{name} {part}", EXPECTED[part])
                work = functools.partial(self._run, warm, file, part, known)
                found.append(Job(f"{name} {part}" if part != "fast" else name, expected, work))
        return found

    async def _run(self, warm: Warm, file: Path, part: str, known: dict | None) -> None:
        """Run a part of a file; or, of one that is known, the tests that were skipped then."""
        name, measured = self.name(file), part == "fast" and file in self.of_the_code
        subject = self.subject(file, part)
        key = self.store.key(subject)
        arguments = ["-m", MARKED[part], *(known["skipped"] if known else [name])]
        call = ("bookbuild.engine.collect:run_tests", arguments, str(self.project.code) if measured else None)
        done = await warm.call(*call, folder=self.project.root)
        result = {**UNKNOWN, **(done.value or {"status": 1})}
        if result["status"] in (0, 5):  # all passed, or there was nothing to run
            passed = sorted({*result["passed"], *(known or UNKNOWN)["passed"]})
            result = {**(known or result), "passed": passed, "skipped": result["skipped"]}
            self.store.put(subject, key, result, done.inputs)
        else:
            result |= {"log": done.printed, "failed": result["failed"] or [name]}
        self.results[name, part] = result
        self.store.times[f"{name} {part}"] = round(done.cpu, 2)

    # ---- what they tell

    @property
    def failed(self) -> dict[str, str]:
        """What pytest printed, by name of the files and parts that failed."""
        return {f"{n} ({part})": r["log"] for (n, part), r in sorted(self.results.items()) if r["failed"]}

    @property
    def log(self) -> str:
        """Where the build writes what the failing tests of the shown code have printed."""
        return (self.project.state / "tests.log").relative_to(self.project.root).as_posix()

    @functools.cached_property
    def lines(self) -> dict[str, dict[str, list[str]]]:
        """The passing tests that enter each line of the code, by file and line."""
        found = collections.defaultdict(lambda: collections.defaultdict(list))
        for result in self.results.values():
            for file, by_line in result["lines"].items():
                for line, tests in by_line.items():
                    found[file][line] += tests
        return found

    @functools.cached_property
    def _weights(self) -> collections.Counter:
        return collections.Counter(t for f in self.lines.values() for tests in f.values() for t in tests)

    def entering(self, file: Path, lines: Iterable[int], name: str = "") -> list[str]:
        """Tests that run at least one of ``lines`` of ``file``, the most telling first.

        That is one called after ``name``; then one that runs many of the lines and little else.
        """
        by_line = self.lines.get(self.name(file), {})
        here = collections.Counter(t for line in lines for t in by_line.get(str(line), []))
        return sorted(here, key=lambda t: (name not in t.split("::")[-1], -here[t], self._weights[t], t))

    def naming(self, name: str) -> list[str]:
        """Passing tests whose source names ``name``: those of a class that has nothing to enter."""
        passed = {test.split("[")[0] for result in self.results.values() for test in result["passed"]}
        word, found = re.compile(rf"\b{name}\b"), []
        for file in self.of_the_code:
            text = provenance.source_text(file.read_bytes())
            functions = ast.walk(ast.parse(text)) if word.search(text) else ()
            names = {
                node.name
                for node in functions
                if isinstance(node, ast.FunctionDef) and word.search(ast.get_source_segment(text, node))
            }
            found += [t for t in passed if t.startswith(self.name(file)) and t.split("::")[-1] in names]
        return sorted(found)


def loaded(project: Project) -> tuple[str, ...]:
    """What the warm process loads: of ``[tool.bookbuild] warm``, or what tests need at the least.

    Where the builder has its own tests, what they need, too.
    """
    own = BUILDER if (project.root / "tests" / "bookbuild").exists() else ()
    return (*project.settings.get("warm", ("pytest", "coverage")), *own)


def run(project: Project, fast: bool = False) -> int:
    """Run what is stale, print what failed and how many passed; ``fast``: the fast tests alone.

    Returns 1 if anything failed, else 0.
    """
    drop_bytecode(project.code)
    store = Store(project)
    tests = Tests(project, store)
    ran: list[str] = []

    async def all_of_it() -> None:
        warm = Warm(store.environment, loaded(project))
        for parts in (["fast"],) if fast else (["fast"], ["slow", "book"]):
            jobs = tests.jobs(warm, [(file, part) for part in parts for file in tests.files])
            ran.extend(job.name for job in jobs)
            await Schedule(jobs, os.cpu_count() or 1, print).run()

    Schedule.begin(all_of_it())
    store.end()
    for name, printed in tests.failed.items():
        print(f"\n{printed.rstrip()}\ntests failed: {name}")
    print("nothing has changed since every test passed" if not ran else "")
    results = tests.results.values()
    passed, failed, skipped = (sum(len(r[how]) for r in results) for how in ("passed", "failed", "skipped"))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0
