"""Runs a page: its cells in a kernel of its own, with all that goes wrong, what it read and what it cost."""

import asyncio
import copy
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import nbformat
import psutil
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from bookbuild.engine import pages, watch
from bookbuild.engine.pages import Page
from bookbuild.engine.project import Project

CELL_TIMEOUT = 1800  # seconds
LONGEST_SOCKET = 80  # characters of a folder for sockets: Linux takes 107 for a socket, macOS 103


@dataclass
class Outcome:
    """A page that has run, now or in an earlier build."""

    page: Page
    notebook: nbformat.NotebookNode
    seconds: float  # by the clock
    cpu: float  # seconds of this machine
    peak_mib: float
    when: str  # UTC, to the minute
    cached: bool = False
    failures: list[tuple[str, int]] = field(default_factory=list)  # what went wrong, at which line
    inputs: dict[str, str] = field(default_factory=dict)  # what it read (see ``watch``)
    cost: float = float("nan")  # CPU seconds of the reference machine

    @property
    def claims(self) -> list[dict]:
        return pages.claims_of(self.notebook)


class PageKernel(AsyncKernelManager):
    """This interpreter's own kernel: a kernel spec that the user has installed does not count.

    It is spoken to through sockets in a folder of its own, or through ports of this machine where the name
    of that folder is too long for sockets.
    """

    def __init__(self, folder: str):
        sockets = {} if len(folder) > LONGEST_SOCKET else {"transport": "ipc"}
        super().__init__(**sockets, connection_file=os.path.join(folder, "kernel.json"))

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=50"]
        return KernelSpec(argv=argv, language="python", display_name="Python 3")


async def run_page(project: Project, page: Page, environment: dict[str, str] | None = None) -> Outcome:
    """Run the cells of ``page`` in a fresh kernel. ``environment`` adds to the kernel's variables.

    A cell that raises ends the page, save for a claim that fails: the cells after it still run, so that
    one build lists every claim that fails.
    """
    with tempfile.TemporaryDirectory(prefix="page-") as folder:
        return await _run(project, page, environment or {}, folder)


async def _run(project: Project, page: Page, environment: dict[str, str], folder: str) -> Outcome:
    notebook, log = copy.deepcopy(page.notebook), os.path.join(folder, "log")
    cells = [(index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    failures: list[tuple[str, int]] = []
    failed: set[int] = set()  # the numbers of cells
    cpu = peak = float("nan")
    ended = False  # the kernel, by the page's own wish

    def fail(number: int, index: int, error: str) -> None:
        failed.add(number)
        where = f"cell {number}: " if number else ""  # 0: the page as a whole
        failures.append((f"{where}{error}", notebook.metadata["source_map"][index] + 1))

    def executed(cell, cell_index, execute_reply) -> None:
        nonlocal ended
        ended |= any(p.get("source") == "ask_exit" for p in execute_reply["content"].get("payload", []))

    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        record_timing=False,
        km=PageKernel(folder),
        on_cell_executed=executed,
    )
    given = {**project.environment(), "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    variables = {**given, watch.ROOT: str(project.root), watch.LOG: log, watch.KERNEL: "1", **environment}
    start, when = time.monotonic(), datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    try:
        async with client.async_setup_kernel(env=variables, cwd=str(page.file.parent), cleanup_kc=True):
            for number, (index, cell) in enumerate(cells, 1):
                try:
                    await client.async_execute_cell(cell, index)
                except CellExecutionError as error:
                    fail(number, index, one_line(f"{error.ename}: {error.evalue}"))
                    if error.ename != "ClaimFailed":
                        break
                except CellTimeoutError:
                    fail(number, index, f"ran longer than {CELL_TIMEOUT} s")
                    break
                except DeadKernelError:
                    if asyncio.current_task().cancelling():  # which nbclient takes for a death
                        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # of its helpers
                        raise asyncio.CancelledError from None
                    fail(number, index, "its kernel died (out of memory, killed, or by os._exit)")
                    break
                if ended:
                    fail(number, index, "it ends the kernel (exit or quit): a page runs to its last cell")
                    break
            else:
                cpu, peak = _used(client.km.provisioner.pid)
    except (RuntimeError, OSError) as error:
        if not failures:
            fail(0, 0, one_line(f"its kernel did not start or answer: {error}"))
    seconds = time.monotonic() - start
    raised = {*failed}
    for record in pages.claims_of(notebook):
        if not record["held"] and record["cell"] not in raised:  # the page caught the exception
            fail(record["cell"], cells[record["cell"] - 1][0], f"ClaimFailed: {record['text']}")
    for number, (_, cell) in enumerate(cells, 1):
        cell.execution_count = number
    read = watch.inputs(log)
    for name in (name.removeprefix("program ") for name in read if name.startswith("program ")):
        if name not in page.programs:
            why = f"it starts {name!r}, and what other programs read is not seen"
            mend = f"put {name!r} into the front matter's 'programs', what it reads into 'depends'"
            fail(0, 0, f"{why}: {mend}")
    return Outcome(page, notebook, seconds, cpu, peak, when, False, failures, read)


def _used(pid: int) -> tuple[float, float]:
    """CPU seconds of a process and its children, and the memory in MiB that it needed at most."""
    process = psutil.Process(pid)
    try:  # Linux
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        peak = process.memory_info().rss / 2**20  # what it has now
    return round(sum(process.cpu_times()[:4]), 3), round(peak, 1)


def one_line(text: str) -> str:
    """A message as one line of at most 300 characters."""
    line = " ".join(text.split())
    return line if len(line) <= 300 else line[:297] + "..."
