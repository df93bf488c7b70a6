"""``make mutants``: breaks the code on purpose and expects the tests to notice.

``tests/mutants.toml`` lists the mutants. Each is applied to a copy of the project, where tests run in a fork of the
warm process: first those that enter the broken lines, the most telling first, then all that the table names. What
kills a mutant is a test that fails with it and passes without it.
"""

import ast
import collections
import functools
import json
import os
import shutil
import tempfile
import tokenize
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bookbuild.engine import watch
from bookbuild.engine.book import loaded, lock
from bookbuild.engine.forks import Result, Warm
from bookbuild.engine.project import BookError, Project
from bookbuild.engine.schedule import Job, Schedule
from bookbuild.engine.store import Store, Subject
from bookbuild.engine.tests import Tests

COPIED = ("code", "tests", "pyproject.toml", "benchmarks")
CPU_LIMIT, TIMEOUT = 120, 1800  # seconds of work, and of the clock, after which tests hang: this has failed, too
EXPECTED = 0.7  # seconds that a mutant takes


@dataclass(frozen=True)
class Mutant:
    """One change that must turn its tests red."""

    file: str
    find: str
    replace: str
    breaks: str
    tests: tuple[str, ...]

    def trial(self, root: Path) -> "Trial":
        """The change, ready to be tried.

        Raises:
            BookError: the text to change is not there exactly once, the change changes nothing, or there are no
                such tests.
        """
        text = changed(root, self.file, self.find, self.replace, self.breaks)
        if missing := [test for test in self.tests if not (root / test.split("::")[0]).is_file()]:
            raise BookError(f"mutant of {self.file} ({self.breaks}): there is no {missing[0]}")
        whole = read_source(root / self.file)
        first = whole[: whole.index(self.find)].count("\n") + 1
        lines = lines_around(whole, first, first + self.find.count("\n"))
        return Trial(f"{self.file}: {self.breaks}", self.file, text, lines, self.tests)


@dataclass(frozen=True)
class Trial:
    """A broken file, and the tests that may notice."""

    name: str
    file: str
    text: str  # the broken one
    lines: frozenset[int]  # of the file as it is, which run what is broken
    tests: tuple[str, ...] = ()  # that must notice it; none: any that enters the lines


def read(project: Project) -> list[Mutant]:
    """The table of mutants.

    Raises:
        BookError: the table cannot be read, or a mutant does not fit the code any more.
    """
    rows = read_table(project)
    try:
        mutants = [Mutant(**{**row, "tests": tuple(row["tests"])}) for row in rows["mutant"]]
        if any(isinstance(row["tests"], str) for row in rows["mutant"]):
            raise TypeError("'tests' is a list")
    except (KeyError, TypeError) as error:
        raise BookError(f"tests/mutants.toml cannot be read: {error}") from None
    for mutant in mutants:
        mutant.trial(project.root)
    return mutants


def read_table(project: Project) -> dict:
    """All of ``tests/mutants.toml``.

    Raises:
        BookError: it cannot be read.
    """
    try:
        return tomllib.loads((project.root / "tests" / "mutants.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BookError(f"tests/mutants.toml cannot be read: {error}") from None


def changed(root: Path, file: str, find: str, replace: str, why: str) -> str:
    """The text of ``file`` with ``find`` replaced.

    Raises:
        BookError: the text to change is not there exactly once, or the change changes nothing.
    """
    try:
        text = read_source(root / file)
    except OSError as error:
        raise BookError(f"mutant of {file} ({why}): {error.strerror}") from None
    if text.count(find) != 1 or find == replace:
        raise BookError(f"mutant of {file} ({why}): its text must occur once, and change")
    return text.replace(find, replace)


def read_source(file: Path) -> str:
    """The text of a Python file, read as Python reads it."""
    with tokenize.open(file) as opened:
        return opened.read()


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def lines_around(text: str, first: int, last: int) -> frozenset[int]:
    """Lines of the statements inside functions that the lines ``first`` to ``last`` are of.

    If one of these runs as the module is imported, it is all lines: any test of the module may notice.
    """
    found: set[int] = set()

    def visit(node: ast.AST, inside: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
                body = getattr(child, "body", None)
                start = getattr(child, "lineno", first)
                end = max(start, body[0].lineno - 1) if body else child.end_lineno
                if start <= last and first <= end:
                    found.update(range(start, end + 1) if inside else range(1, text.count("\n") + 2))
                visit(child, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    visit(_parsed(text), False)
    return frozenset(found)


@contextmanager
def copy_of(project: Project) -> Iterator[Path]:
    """A copy of what the tests need, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        root = Path(folder).resolve() / "book"
        for name in COPIED:
            source = project.root / name
            if source.is_dir():
                shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy(source, root / name)
        yield root


class Trials:
    """Tries changes of the code, each in a copy, and keeps what came of it by content.

    Attributes:
        killed: whether each trial of which it is known was noticed.
    """

    def __init__(
        self,
        trials: Iterable[Trial],
        tests: Tests,
        warm: Warm,
        said: Callable[[str, bool], None] = lambda name, killed: None,
    ):
        self.project, self.store, self.tests, self.warm = tests.project, tests.store, tests, warm
        self.said, self.killed = said, dict[Trial, bool]()
        self._test_files = functools.cache(lambda file: tests.subject(self.project.root / file, "slow"))
        self._sound: set[str] = set()  # tests seen to pass in a copy
        self._applied = 0
        self._waiting = collections.deque[Trial]()
        for trial in trials:
            known = self.store.get(self._subject(trial))
            if known is None:
                self._waiting.append(trial)
            else:
                self._hold(trial, known["killed"])

    @property
    def survivors(self) -> list[str]:
        """Names of those that no test noticed."""
        return [trial.name for trial, killed in self.killed.items() if not killed]

    def jobs(self, cores: int) -> list[Job]:
        """The work that is left: as many jobs as there are cores to share it."""
        expected = len(self._waiting) * EXPECTED / cores
        return [Job(f"mutants {n}", expected, self._work) for n in range(1, min(cores, len(self._waiting)) + 1)]

    async def _work(self) -> None:
        with copy_of(self.project) as copy:
            while self._waiting:
                trial = self._waiting.popleft()
                subject = self._subject(trial)
                key = self.store.key(subject)
                killed = await self._try(trial, copy)
                if self.store.key(subject) == key:
                    read = watch.inputs(copy.parent / "log")
                    inputs = {n: d for n, d in read.items() if n.startswith(("file ", "folder "))}
                    inputs.pop(f"file {trial.file}", None)
                    self.store.put(subject, {"killed": killed}, inputs, key)
                self._hold(trial, killed)

    def _hold(self, trial: Trial, killed: bool) -> None:
        self.killed[trial] = killed
        self.said(trial.name, killed)

    def _rounds(self, trial: Trial) -> list[list[str]]:
        """The tests to run, one list after the other."""
        found = self.tests.entering(self.project.root / trial.file, trial.lines)
        if not trial.tests:
            return [found]
        return [[test for test in found if test.startswith(trial.tests)], [*trial.tests]]

    def _subject(self, trial: Trial) -> Subject:
        tests = trial.tests or self._rounds(trial)[0]
        files = [self._test_files(file) for file in sorted({test.split("::")[0] for test in tests})]
        own = json.dumps([trial.text, tests, [file.own for file in files]])
        code = frozenset({self.project.root / trial.file}.union(*(file.files for file in files)))
        return Subject("mutants", trial.name, own, code)

    async def _try(self, trial: Trial, copy: Path) -> bool:
        """Whether a test notices the change."""
        file = copy / trial.file
        whole, when = file.read_bytes(), int(file.stat().st_mtime)
        with open(file, "rb") as opened:
            encoding, _ = tokenize.detect_encoding(opened.readline)
        self._applied += 1
        (copy.parent / "log").unlink(missing_ok=True)
        failed: list[str] = []
        try:
            file.write_bytes(trial.text.encode(encoding))
            os.utime(file, (when + self._applied,) * 2)  # Python knows stale bytecode by the second, and size
            for tests in filter(None, self._rounds(trial)):
                failed, _ = await self._run(copy, tests)
                if failed:
                    break
        finally:
            file.write_bytes(whole)
            os.utime(file, (when, when))
        await self._prove(copy, failed)
        return bool(failed)

    async def _prove(self, copy: Path, failed: list[str]) -> None:
        """See that what has failed passes without any mutant.

        Raises:
            BookError: it does not.
        """
        # parameters may come from the broken code: then it is the test with all parameters that must pass
        for tests in ([t for t in failed if t not in self._sound], sorted({t.split("[")[0] for t in failed})):
            wrong, done = await self._run(copy, tests) if tests else ([], None)
            if not wrong:
                self._sound.update(failed)
                return
        if done.value is None or done.value["status"] not in (1, 2):
            raise BookError(f"the tests {', '.join(failed)} did not run:\n{done.printed[-2000:]}")
        raise BookError(f"the tests fail without any mutant: mend that first ({', '.join(wrong)})")

    async def _run(self, copy: Path, tests: list[str]) -> tuple[list[str], Result]:
        """Run tests until one fails; what has failed, all if it is not known which."""
        place = copy.parent
        given = self.store.environment
        path = given["PYTHONPATH"].replace(f"{self.project.root}{os.sep}", f"{copy}{os.sep}")
        environment = {**given, "PYTHONPATH": path, "MPLBACKEND": "agg", "RLWORKSHOP_RUNS": str(place / "runs"),
                       "TMPDIR": str(place), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # fmt: skip
        del environment["PYTHONDONTWRITEBYTECODE"]  # nobody else has this copy
        options = ["-x", "--tb=no", "-m", "not book", f"--basetemp={place / 'pytest'}"]
        done = await self.warm.call(
            "bookbuild.engine.collect:run_tests", [*options, *tests], str(place / "log"), None,
            folder=copy, scratch=place, environment=environment, cpu_limit=CPU_LIMIT, timeout=TIMEOUT,
        )  # fmt: skip
        if done.value and done.value["status"] == 0:
            self._sound.update(done.value["passed"])
            return [], done
        return (done.value and done.value["failed"]) or tests, done


def run(project: Project) -> int:
    """Try every mutant of the table; print and return 1 if one survives."""
    mutants = read(project)

    def needed(tests: Tests) -> list[Path]:
        return sorted({project.root / test.split("::")[0] for mutant in mutants for test in mutant.tests})

    def said(name: str, killed: bool) -> None:
        print(f"{'killed  ' if killed else 'SURVIVES'} {name}", flush=True)

    tried = try_all(project, needed, lambda tests: [mutant.trial(project.root) for mutant in mutants], said)
    print(f"{len(mutants) - len(tried.survivors)} of {len(mutants)} mutants killed")
    return 1 if tried.survivors else 0


def try_all(
    project: Project,
    needed: Callable[[Tests], list[Path]],
    wanted: Callable[[Tests], Iterable[Trial]],
    said: Callable[[str, bool], None],
) -> Trials:
    """Bring the fast tests of the ``needed`` files up to date, then try what is ``wanted``, knowing what they enter."""
    cores = os.cpu_count() or 1

    async def work() -> Trials:
        tests = Tests(project, Store(project))
        async with Warm({**tests.store.environment, "MPLBACKEND": "agg"}, loaded(project)) as warm:
            await Schedule(tests.jobs(warm, [(file, "fast") for file in needed(tests)]), cores, print).run()
            trials = Trials(wanted(tests), tests, warm, said)
            await Schedule(trials.jobs(cores), cores, lambda line: None).run()
        return trials

    with lock(project):
        return Schedule.begin(work())
