"""``make mutants``: breaks the code on purpose and expects the tests to notice.

``tests/mutants.toml`` lists the mutants. Each is applied to a copy of the project, where tests run in a fork
of the warm process: first those that enter the broken lines, the most telling first, then all that the table
names. What kills a mutant is a test that fails with it and passes without it.
"""

import ast
import collections
import functools
import io
import itertools
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

from bookbuild.engine.book import lock
from bookbuild.engine.forks import Result, Warm
from bookbuild.engine.project import BookError, Project
from bookbuild.engine.schedule import Job, Schedule
from bookbuild.engine.store import Store, Subject
from bookbuild.engine.tests import Tests, loaded
from rlworkshop import provenance

COPIED = ("code", "tests", "pyproject.toml", "benchmarks")
WORK, CLOCK = 120, 1800  # seconds of the processor and of the clock after which tests hang: they have failed
EXPECTED = 0.5  # seconds that a mutant takes
TOGETHER = 12  # mutants after which what has failed is tried without them


@dataclass(frozen=True)
class Mutant:
    """A broken file, and the tests that may notice."""

    name: str
    file: str
    text: str  # the broken one
    lines: frozenset[int]  # of the file as it is: who enters them may notice
    tests: tuple[str, ...] = ()  # that must notice, files or single ones; none: any that enters the lines


def read(project: Project) -> list[Mutant]:
    """The table of mutants.

    Raises:
        BookError: the table cannot be read, or a mutant does not fit the code any more.
    """

    def mutant(file: str, find: str, replace: str, breaks: str, tests: list[str]) -> Mutant:
        if isinstance(tests, str) or not tests:
            raise TypeError("'tests' is a list of files")
        text, broken = changed(project.root, file, find, replace, breaks)
        if missing := [test for test in tests if not (project.root / test.split("::")[0]).is_file()]:
            raise BookError(f"mutant of {file} ({breaks}): no such file of tests: {', '.join(missing)}")
        first = text[: text.index(find)].count("\n") + 1
        lines = lines_around(text, first, first + find.count("\n"))
        return Mutant(f"{file}: {breaks}", file, broken, lines, tuple(tests))

    try:
        return [mutant(**row) for row in read_table(project)["mutant"]]
    except (KeyError, TypeError) as error:
        raise BookError(f"tests/mutants.toml cannot be read: {error}") from None


def read_table(project: Project) -> dict:
    """All of ``tests/mutants.toml``.

    Raises:
        BookError: it cannot be read.
    """
    try:
        return tomllib.loads((project.root / "tests" / "mutants.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BookError(f"tests/mutants.toml cannot be read: {error}") from None


def changed(root: Path, file: str, find: str, replace: str, why: str) -> tuple[str, str]:
    """The text of ``file``, and the same with ``find`` replaced.

    Raises:
        BookError: the text to change is not there exactly once, or the change changes nothing.
    """
    try:
        text = provenance.source_text((root / file).read_bytes())
    except OSError as error:
        raise BookError(f"mutant of {file} ({why}): {error.strerror}") from None
    if text.count(find) != 1 or find == replace:
        raise BookError(f"mutant of {file} ({why}): its text must occur once, and change")
    return text, text.replace(find, replace)


def lines_around(text: str, first: int, last: int) -> frozenset[int]:
    """Lines of the statements inside functions that the lines ``first`` to ``last`` are of.

    If one of these runs as the module is imported, it is all lines: any test of the module may notice.
    """
    found: set[int] = set()

    def visit(node: ast.AST, inside: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                start = min([child.lineno, *(d.lineno for d in getattr(child, "decorator_list", []))])
                body = getattr(child, "body", None)
                end = max(start, body[0].lineno - 1) if body else child.end_lineno
                if start <= last and first <= end:
                    found.update(range(start, end + 1) if inside else range(1, text.count("\n") + 2))
            visit(child, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    visit(_parsed(text), False)
    return frozenset(found)


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


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
    """Tries mutants, each in a copy that it does not share, and keeps what came of it by content.

    Attributes:
        killed: whether a test noticed, of those mutants of which it is known.
    """

    def __init__(
        self,
        mutants: Iterable[Mutant],
        tests: Tests,
        warm: Warm,
        said: Callable[[Mutant, bool], None] = lambda mutant, killed: None,
    ):
        self.project, self.store, self.tests = tests.project, tests.store, tests
        self.warm, self.said = warm, said
        self.killed: dict[Mutant, bool] = {}
        self._file = functools.cache(lambda name: tests.subject(self.project.root / name, "slow"))
        self._sound: set[str] = set()  # tests that pass in a copy without any mutant
        self._telling: dict[str, int] = {}  # what has killed, and when last: neighbours die of the same
        self._waiting: collections.deque[Mutant] = collections.deque()
        for mutant in mutants:
            known = self.store.get(self._subject(mutant))
            if known is None:
                self._waiting.append(mutant)
            else:
                self._hold(mutant, known["killed"])

    def jobs(self, cores: int) -> list[Job]:
        """The work that is left: a job for each core, to share it."""
        shares = range(min(cores, len(self._waiting)))
        return [Job(f"mutants {n + 1}", len(self._waiting) * EXPECTED / cores, self._work) for n in shares]

    @property
    def survivors(self) -> list[Mutant]:
        return [mutant for mutant, killed in self.killed.items() if not killed]

    def _hold(self, mutant: Mutant, killed: bool) -> None:
        self.killed[mutant] = killed
        self.said(mutant, killed)

    async def _work(self) -> None:
        with copy_of(self.project) as copy:
            for number in itertools.count(1):
                some = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
                if not some:
                    return
                keys = [self.store.key(self._subject(mutant)) for mutant in some]
                tried = [await self._try(m, copy, TOGETHER * number + i) for i, m in enumerate(some)]
                await self._prove(copy, {test for failed, _ in tried for test in failed})
                for mutant, key, (failed, read) in zip(some, keys, tried, strict=True):
                    read.pop(f"file {mutant.file}", None)  # the broken one
                    inputs = {what: of for what, of in read.items() if what.startswith(("file ", "folder "))}
                    self.store.put(self._subject(mutant), key, {"killed": bool(failed)}, inputs)
                    self._hold(mutant, bool(failed))

    def _rounds(self, mutant: Mutant) -> list[list[str]]:
        """The tests to run, one list after the other."""
        found = self.tests.entering(self.project.root / mutant.file, mutant.lines)
        if not mutant.tests:
            return [found]
        return [[test for test in found if test.startswith(mutant.tests)], [*mutant.tests]]

    def _subject(self, mutant: Mutant) -> Subject:
        tests = mutant.tests or self._rounds(mutant)[0]
        files = [self._file(name) for name in sorted({test.split("::")[0] for test in tests})]
        own = json.dumps([mutant.text, tests, [file.own for file in files]])
        code = frozenset({self.project.root / mutant.file}.union(*(file.files for file in files)))
        return Subject("mutants", mutant.name, own, code)

    async def _try(self, mutant: Mutant, copy: Path, number: int) -> tuple[list[str], dict[str, str]]:
        """The test that notices the mutant, if one does, and what the tests have read."""
        file = copy / mutant.file
        whole, when = file.read_bytes(), int(file.stat().st_mtime)
        encoding, _ = tokenize.detect_encoding(io.BytesIO(whole).readline)
        failed, read = [], {}
        try:
            file.write_bytes(mutant.text.encode(encoding))
            os.utime(file, (when + number,) * 2)  # Python knows stale bytecode by the second
            for tests in filter(None, self._rounds(mutant)):
                failed, done = await self._run(copy, sorted(tests, key=self._rank))
                read |= done.inputs
                if failed:
                    break
        finally:
            file.write_bytes(whole)
            os.utime(file, (when,) * 2)
        if failed != [*mutant.tests]:  # parameters may be made of the broken code: whole tests must pass
            failed = sorted({test.split("[")[0] for test in failed})
        self._telling |= dict.fromkeys(failed, number)
        return failed, read

    def _rank(self, test: str) -> int:
        return -self._telling.get(test, 0)

    async def _prove(self, copy: Path, failed: set[str]) -> None:
        """See that what has failed passes without any mutant.

        Raises:
            BookError: it does not.
        """
        tests = sorted(failed - self._sound)
        wrong, done = await self._run(copy, tests) if tests else ([], None)
        if wrong and done.value and done.value["failed"]:
            raise BookError(f"the tests fail without any mutant: mend that first ({', '.join(wrong)})")
        if wrong:
            raise BookError(f"the tests {', '.join(wrong)} did not run:\n{done.printed[-2000:]}")
        self._sound.update(tests)

    async def _run(self, copy: Path, tests: list[str]) -> tuple[list[str], Result]:
        """Run tests until one fails; what has failed: all of them if it is not known which."""
        given, place = self.store.environment, copy.parent
        environment = {
            **{name: value for name, value in given.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "PYTHONPATH": given["PYTHONPATH"].replace(f"{self.project.root}{os.sep}", f"{copy}{os.sep}"),
            "RLWORKSHOP_RUNS": str(place / "runs"),
            "TMPDIR": str(place),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        quick = ["-x", "--tb=no", "-p", "mutation.quick"]
        arguments = [*quick, "-m", "not book", f"--basetemp={place / 'pytest'}", *tests]
        where = {"folder": copy, "environment": environment, "cpu_limit": WORK, "timeout": CLOCK}
        done = await self.warm.call("bookbuild.engine.collect:run_tests", arguments, **where)
        if done.value and done.value["status"] == 0:
            return [], done
        return (done.value and done.value["failed"]) or tests, done


def run(project: Project) -> int:
    """Try every mutant of the table; print and return 1 if one survives."""
    mutants = read(project)
    files = {project.root / test.split("::")[0] for mutant in mutants for test in mutant.tests}

    def said(mutant: Mutant, killed: bool) -> None:
        print(f"{'killed  ' if killed else 'SURVIVES'} {mutant.name}")

    tried = try_all(project, lambda tests: sorted(files), lambda tests: mutants, said)
    print(f"{len(mutants) - len(tried.survivors)} of {len(mutants)} mutants killed")
    return 1 if tried.survivors else 0


def try_all(
    project: Project,
    needed: Callable[[Tests], list[Path]],
    wanted: Callable[[Tests], Iterable[Mutant]],
    said: Callable[[Mutant, bool], None],
) -> Trials:
    """Bring the fast tests of the ``needed`` files up to date, then try the mutants that are ``wanted``."""
    cores = os.cpu_count() or 1

    async def work() -> Trials:
        tests = Tests(project, Store(project))
        warm = Warm(tests.store.environment, loaded(project))
        await Schedule(tests.jobs(warm, [(file, "fast") for file in needed(tests)]), cores, print).run()
        trials = Trials(wanted(tests), tests, warm, said)
        await Schedule(trials.jobs(cores), cores, lambda line: None).run()
        return trials

    with lock(project):
        return Schedule.begin(work())
