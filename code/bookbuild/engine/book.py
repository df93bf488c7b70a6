"""Brings a book up to date: decides what is stale, runs it on all cores, and holds what the site shows."""

import asyncio
import contextlib
import copy
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from time import time_ns

import nbformat
from filelock import FileLock

from bookbuild.engine import pages, run
from bookbuild.engine.exercises import Exercises
from bookbuild.engine.forks import Warm
from bookbuild.engine.pages import Page
from bookbuild.engine.project import Project, drop_bytecode
from bookbuild.engine.run import Outcome
from bookbuild.engine.schedule import Job, Schedule
from bookbuild.engine.store import Store, read_json
from bookbuild.engine.tests import Tests, loaded

FACTS = ("seconds", "cpu", "peak_mib", "when", "cost")  # that are kept of a page's run


@contextlib.contextmanager
def lock(project: Project) -> Iterator[None]:
    """Hold the build lock: one build at a time works on ``_build``; a second one waits."""
    project.state.mkdir(parents=True, exist_ok=True)
    held = FileLock(project.state / "build.lock", is_singleton=True)
    try:
        ours = held.acquire(timeout=0)
    except TimeoutError:
        print("another build of this book is at work: waiting for it to end", flush=True)
        ours = held.acquire()
    with ours:
        yield


@dataclass
class Book:
    """What the engine holds of a book, for Sphinx to show."""

    project: Project
    only: str = ""  # the one page that is built alone
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    tests: Tests | None = None
    exercises: dict[str, dict] = field(default_factory=dict)
    problems: list[tuple[str, str, int]] = field(default_factory=list)  # what is wrong, page, line

    def __reduce__(self):
        return type(None), ()  # what Sphinx keeps of its settings, and sends between processes, has no book


def bring_up_to_date(
    project: Project, only: str = "", say: Callable[[str], None] = print, cores: int | None = None
) -> Book:
    """Execute the pages that are stale, and run the stale tests of the code that they show.

    A page whose sources change while it runs is run again. What fails is not stored, so that it stays red.
    ``only``: the name of the one page that is wanted.
    """
    drop_bytecode(project.code)
    unread: dict[str, str] = {}
    chosen = [page for page in pages.read_pages(project, unread) if only in ("", page.name)]
    store = Store(project)
    book = Book(project, only, tests=Tests(project, store))
    book.problems += [(message, page, 1) for page, message in unread.items() if only in ("", page)]
    work = Work(book, store, say)
    jobs, exercises = work.pages(chosen), Exercises(project, store)

    warm = Warm(store.environment, loaded(project))
    texts = (file.read_text("utf-8", "replace") for file in project.book.glob(f"{only or '**/*'}.md"))
    files = book.tests.of_the_code if any("{snippet}" in text for text in texts) else []
    jobs += exercises.jobs(warm) + book.tests.jobs(warm, [(file, "fast") for file in files])
    Schedule.begin(Schedule(jobs, cores or os.cpu_count() or 1, say).run())
    book.exercises = exercises.found
    book.problems += [(problem, "index", 1) for problem in exercises.problems]
    work.end()
    return book


class Work:
    """The pages of one build, as jobs."""

    def __init__(self, book: Book, store: Store, say: Callable[[str], None]):
        self.book, self.store, self.say, self.project = book, store, say, book.project
        self._speed: asyncio.Task | None = None

    def pages(self, chosen: list[Page]) -> list[Job]:
        """Take from the store what is there; the jobs that run the others."""
        todo = []
        for page in chosen:
            kept = self.store.get(pages.subject(self.project, page))
            notebook = kept and self.store.notebooks.get(kept["number"], kept["checksum"])
            if notebook is None:
                todo.append(page)
                continue
            facts = {name: kept[name] for name in FACTS}
            self._hold(Outcome(page, _merged(page, notebook), cached=True, **facts))
        times = self.store.times
        return [Job(p.name, times.get(p.name, p.budget), partial(self._run, p), p.exclusive) for p in todo]

    async def _run(self, page: Page) -> None:
        speed = self._speed = self._speed or asyncio.create_task(_speed(self.project))
        for _ in range(3):  # its sources may change while it runs
            subject = pages.subject(self.project, page)
            key = self.store.key(subject)
            outcome = await run.run_page(self.project, page)
            same = self.store.key(pages.subject(self.project, page)) == key
            if same and self.store.unchanged(subject, outcome.inputs):
                break
            drop_bytecode(self.project.code)  # edited while it ran: what it printed is of neither version
        else:
            outcome.failures.append(("its code kept changing while it ran: build again", 1))
        outcome.cost = outcome.cpu / await asyncio.shield(speed)
        self._hold(outcome)
        self.store.times[page.name] = round(outcome.seconds, 2)
        if outcome.failures:
            return
        try:
            notebook = copy.deepcopy(outcome.notebook)
            number, checksum = self.store.notebooks.put(page.name, notebook, [key, outcome.inputs])
            kept = {name: getattr(outcome, name) for name in FACTS}
            self.store.put(subject, key, {**kept, "number": number, "checksum": checksum}, outcome.inputs)
        except OSError as error:  # a full disk: the result itself is sound
            self.say(f"{page.name} could not be stored and will run again: {run.one_line(str(error))}")

    def _hold(self, outcome: Outcome) -> None:
        self.book.outcomes[outcome.page.name] = outcome
        file = self.project.executed / f"{outcome.page.name}.ipynb"
        text = json.dumps(outcome.notebook)
        if not file.exists() or file.read_text("utf-8") != text:  # Sphinx goes by the time of change:
            same = _ran(read_json(file, {})) == _ran(json.loads(text))  # pages that quote it are as they were
            time = file.stat().st_mtime_ns if same else time_ns()
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            os.utime(file, ns=(time, time))

    def end(self) -> None:
        """Note what went wrong, and how long things took."""
        book = self.book
        book.outcomes = {name: book.outcomes[name] for name in sorted(book.outcomes)}
        for name, outcome in book.outcomes.items():
            book.problems += [(failure, name, line) for failure, line in outcome.failures]
            names = [record["name"] for record in outcome.claims]
            twice = sorted({one for one in names if names.count(one) > 1})
            book.problems += [(f"two claims are called {one!r}: give one a name=", name, 1) for one in twice]
        failed = [
            f"{printed.rstrip()}\ntests failed: {name}\n" for name, printed in book.tests.failed.items()
        ]
        (self.project.root / book.tests.log).write_text("\n".join(failed), encoding="utf-8")
        for text in failed:
            self.say(f"\n{text}")
        self.store.end()


def _ran(notebook: dict) -> list[dict]:
    """The code of a notebook with its outputs, without its prose."""
    return [cell for cell in notebook.get("cells", ()) if cell["cell_type"] == "code"]


def _merged(page: Page, kept: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The page as it is now, with the outputs of a run whose cells were the same."""
    notebook = copy.deepcopy(page.notebook)
    ran = (cell for cell in kept.cells if cell.cell_type == "code")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            before = next(ran)
            cell.outputs, cell.execution_count = before.outputs, before.execution_count
    return notebook


async def _speed(project: Project) -> float:
    """How many CPU seconds of this machine, as busy as it is, are one of the reference machine."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "bookbuild.engine.reference"],
        env=project.environment(), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    printed, _ = await process.communicate()
    return float(printed)
