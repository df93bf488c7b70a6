"""Runs the pages: what is not stored, on all cores, the longest first, each in a kernel of its own."""

import asyncio
import contextlib
import copy
import functools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from bookbuild.engine import pages
from bookbuild.engine.pages import Page
from bookbuild.engine.project import Project, drop_bytecode
from bookbuild.engine.store import Store, read_json, write_json

CELL_TIMEOUT = 1800  # seconds; front matter ``mystnb: {execution_timeout: N}`` sets another


@dataclass(frozen=True)
class Failure:
    """One thing that went wrong on a page."""

    page: str
    cell: int  # the number of the code cell, from 1; 0 for the page as a whole
    line: int  # of the page's file, from 1
    error: str  # one line

    def __str__(self) -> str:
        where = f"cell {self.cell}: " if self.cell else ""
        return f"{where}{self.error}"


@dataclass
class Outcome:
    """A page that has run, now or in an earlier build."""

    page: Page
    notebook: nbformat.NotebookNode
    seconds: float
    peak_mib: float
    when: str  # UTC, to the minute
    cached: bool
    failures: list[Failure] = field(default_factory=list)
    opened: dict[str, str] = field(default_factory=dict)  # files the page read, with their digests

    @property
    def claims(self) -> list[dict]:
        return pages.claims_of(self.notebook)

    def inputs_unchanged(self, project: Project) -> bool:
        """Whether the files that the page read still are what they were when it read them."""
        return all(digest == pages.file_digest(project.root / file) for file, digest in self.opened.items())


class PageKernel(AsyncKernelManager):
    """This interpreter's own kernel: a kernel spec that the user has installed does not count.

    It is spoken to through sockets in a folder of its own, not through ports of the machine.
    """

    def __init__(self, **arguments):
        self._folder = tempfile.TemporaryDirectory(prefix="kernel-")
        file = os.path.join(self._folder.name, "kernel.json")
        super().__init__(**arguments, transport="ipc", connection_file=file)

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, "-m", "bookbuild.engine.kernel", "-f", "{connection_file}", "--log-level=50"]
        return KernelSpec(argv=argv, language="python", display_name="Python 3")


def refresh(
    project: Project,
    chosen: list[Page],
    beside: Iterable["Job"] = (),
    say: Callable[[str], None] = print,
    cores: int | None = None,
) -> dict[str, Outcome]:
    """Every page of ``chosen``, executed: from the store where its key is there, else run now.

    A page whose sources change while it runs is run again. Pages that fail are not stored. ``beside`` are
    other jobs, to be done on the same cores.
    """
    drop_bytecode(project.code)
    store = Store(project)
    outcomes: dict[str, Outcome] = {}
    todo = []
    for page in chosen:
        found = store.get(page)
        if found is None:
            todo.append(page)
        else:
            notebook, data = found
            facts = (data["seconds"], data["peak_mib"], data["when"])
            outcomes[page.name] = Outcome(page, notebook, *facts, cached=True)
    times = read_json(project.state / "times.json", {})

    def expected(page: Page) -> float:
        known = times.get(page.name)
        return known if isinstance(known, int | float) else page.budget

    async def work(page: Page) -> None:
        for _ in range(3):
            before = pages.key(project, page)
            outcome = await run_page(project, page)
            if pages.key(project, page) == before and outcome.inputs_unchanged(project):
                break
            drop_bytecode(project.code)  # edited while it ran: what it printed is of neither version
        else:
            outcome.failures.append(
                Failure(page.name, 0, 1, "its code kept changing while it ran: build again")
            )
        outcomes[page.name] = outcome
        times[page.name] = round(outcome.seconds, 2)
        try:
            if not outcome.failures:
                data = {"seconds": outcome.seconds, "peak_mib": outcome.peak_mib, "when": outcome.when}
                store.put(page, outcome.notebook, data, list(outcome.opened))
            write_json(project.state / "times.json", times)
        except Exception as error:  # a full disk, a locked database: the result itself is sound
            say(f"{page.name} could not be stored and will run again next time: {_one_line(str(error))}")

    jobs = [Job(page.name, expected(page), functools.partial(work, page), page.exclusive) for page in todo]
    Schedule([*jobs, *beside], cores or os.cpu_count() or 1, say).run()
    return outcomes


@dataclass(frozen=True)
class Job:
    """A piece of work for the schedule."""

    name: str
    expected: float  # seconds
    work: Callable[[], Awaitable[None]]
    exclusive: bool = False


class Loop(asyncio.SelectorEventLoop):
    """An event loop that leaves Ctrl-C to the build: nbclient would end the page begun last, and no other."""

    def add_signal_handler(self, *_: Any) -> None:
        raise RuntimeError("signals belong to the build")  # nbclient goes on without

    def remove_signal_handler(self, *_: Any) -> bool:
        return False


class Schedule:
    """Runs jobs on ``cores`` workers, the longest first; exclusive ones afterwards, one at a time."""

    def __init__(self, jobs: Iterable[Job], cores: int, say: Callable[[str], None]):
        self.shared = sorted((j for j in jobs if not j.exclusive), key=lambda j: -j.expected)
        self.exclusive = sorted((j for j in jobs if j.exclusive), key=lambda j: -j.expected)
        self.cores, self.say = cores, say
        self.running: dict[str, float] = {}
        self.waiting = {job.name: job.expected for job in [*self.shared, *self.exclusive]}
        self.expected = dict(self.waiting)
        self.done = 0
        self.start = time.monotonic()

    def run(self) -> None:
        if self.waiting:
            with asyncio.Runner(loop_factory=Loop) as runner:
                runner.run(self._run())

    async def _run(self) -> None:
        ticker = asyncio.create_task(self._tick()) if sys.stdout.isatty() else None
        try:
            queue = list(self.shared)

            async def worker() -> None:
                while queue:
                    await self._do(queue.pop(0))

            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.cores, len(queue))):
                        group.create_task(worker())
            except ExceptionGroup as group:
                raise group.exceptions[0] from None
            for job in self.exclusive:
                await self._do(job)
        finally:
            if ticker:
                ticker.cancel()
                print("\r\033[K", end="", flush=True)

    async def _do(self, job: Job) -> None:
        del self.waiting[job.name]
        self.running[job.name] = start = time.monotonic()
        await job.work()
        del self.running[job.name]
        self.done += 1
        now = time.monotonic()
        clear = "\r\033[K" if sys.stdout.isatty() else ""
        total = self.done + len(self.running) + len(self.waiting)
        self.say(f"{clear}[{self.done}/{total}] {job.name} ({now - start:.1f} s) {self._times()}")

    def left(self) -> float:
        """Estimated seconds to the end."""
        now = time.monotonic()
        running = [max(self.expected[name] - (now - t), 1.0) for name, t in self.running.items()]
        work = sum(running) + sum(self.waiting.values())
        return max([work / self.cores, *running]) if work else 0.0

    def _times(self) -> str:
        elapsed = time.monotonic() - self.start
        return f"elapsed {elapsed:.0f} s, about {self.left():.0f} s left"

    async def _tick(self) -> None:
        while True:
            names = ", ".join(self.running)
            line = f"{self.done} done, {len(self.running)} running ({names}), {len(self.waiting)} waiting"
            width = shutil.get_terminal_size().columns
            print("\r\033[K" + f"{line}; {self._times()}"[: width - 1], end="", flush=True)
            await asyncio.sleep(0.5)


async def run_page(project: Project, page: Page, environment: dict[str, str] | None = None) -> Outcome:
    """Run the cells of ``page`` in a fresh kernel. ``environment`` adds to the kernel's variables.

    A cell that raises ends the page, save for a claim that fails: the cells after it still run, so that
    one build lists every claim that fails.
    """
    notebook = copy.deepcopy(page.notebook)
    cells = [(index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    timeout = notebook.metadata.get("mystnb", {}).get("execution_timeout", CELL_TIMEOUT)
    client = NotebookClient(
        notebook,
        timeout=timeout if timeout > 0 else None,
        kernel_manager_class=PageKernel,
        resources={"metadata": {"path": str(page.file.parent)}},
    )
    variables = {**project.environment(), "BOOKBUILD_ROOT": str(project.root), **(environment or {})}
    start, when = time.monotonic(), datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    failures: list[Failure] = []
    facts = {"peak_mib": float("nan"), "opened": {}}

    def fail(number: int, index: int, error: str) -> None:
        line = notebook.metadata["source_map"][index] + 1
        failures.append(Failure(page.name, number, line, error))

    try:
        async with client.async_setup_kernel(env=variables):
            for number, (index, cell) in enumerate(cells, 1):
                try:
                    await client.async_execute_cell(cell, index)
                except CellExecutionError as error:
                    fail(number, index, _one_line(f"{error.ename}: {error.evalue}"))
                    if error.ename != "ClaimFailed":
                        break
                except CellTimeoutError:
                    fail(number, index, f"ran longer than {timeout} s (execution_timeout)")
                    break
                except DeadKernelError:
                    fail(number, index, "its kernel died (out of memory, or killed)")
                    break
            else:
                facts = await _ask(client, "__import__('bookbuild.engine.kernel').kernel.report()")
            info = await client.kc.kernel_info(reply=True, timeout=30) if not failures else None
            if info:
                notebook.metadata["language_info"] = info["content"]["language_info"]
    except (RuntimeError, OSError) as error:
        fail(0, 0, _one_line(f"its kernel did not start or answer: {error}"))
    seconds = time.monotonic() - start
    caught = {failure.cell for failure in failures}
    for record in pages.claims_of(notebook):
        if not record["held"] and record["cell"] not in caught:  # the page caught the exception
            fail(record["cell"], cells[record["cell"] - 1][0], f"ClaimFailed: {record['text']}")
    for number, (_, cell) in enumerate(cells, 1):
        cell.metadata.pop("execution", None)  # nbclient's time stamps
        cell.execution_count = number
    opened = {os.path.relpath(file, project.root): digest for file, digest in facts["opened"].items()}
    return Outcome(page, notebook, seconds, facts["peak_mib"], when, False, failures, opened)


async def _ask(client: NotebookClient, expression: str) -> dict:
    import ast

    reply = await client.kc.execute(
        "", silent=True, user_expressions={"answer": expression}, reply=True, timeout=60
    )
    answer = reply["content"]["user_expressions"]["answer"]
    with contextlib.suppress(KeyError, ValueError, SyntaxError):
        return ast.literal_eval(answer["data"]["text/plain"])
    return {"peak_mib": float("nan"), "opened": {}}


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else line[:297] + "..."
