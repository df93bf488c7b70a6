"""Forks of one warm process do the work: other packages are loaded once, the book's code never.

The warm process is multiprocessing's fork server. What a fork imports of the book comes from the folders
that it is told, so that each sees the code as it is then and there.
"""

import asyncio
import contextlib
import gc
import importlib
import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bookbuild.engine import watch


@dataclass(frozen=True)
class Result:
    """How a call in a fork has ended: what it returned (``None`` if it did not return) and what it cost."""

    value: Any
    inputs: dict[str, str]  # what it read (see ``watch``), if it began to note it
    status: int  # 0, or an exit status; negative: the signal that ended it, SIGXCPU or SIGALRM at a limit
    cpu: float  # seconds, its children's included; 0 where it was killed
    printed: str


class Warm:
    """The warm process, which begins at the first call and ends with this one.

    Args:
        environment: that of the forks, where none is given; the warm process has its numbers of threads.
        loaded: the modules that it loads.
    """

    def __init__(self, environment: dict[str, str], loaded: tuple[str, ...]):
        self.environment = environment
        os.environ |= {name: value for name, value in environment.items() if name.endswith("_NUM_THREADS")}
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([*loaded])
        self._starting = asyncio.Lock()

    async def call(
        self,
        target: str,
        *arguments: Any,
        folder: Path,
        environment: dict[str, str] | None = None,
        timeout: float | None = None,
        cpu_limit: int | None = None,
    ) -> Result:
        """Call ``module:function`` with JSON values in a fork whose working folder is ``folder``.

        ``environment`` is all of the fork's environment, its PYTHONPATH the fork's path. A fork is killed
        with its children when it takes longer than ``timeout`` seconds, when it has worked for ``cpu_limit``
        seconds, and when the caller is cancelled.
        """
        with tempfile.TemporaryDirectory(prefix="fork-") as place:
            log = Path(place, "log")
            environment = {**(environment or self.environment), watch.LOG: str(log), watch.ROOT: str(folder)}
            request = (target, arguments, str(folder), environment, cpu_limit, place)
            process = self._context.Process(target=_fork, args=request)
            async with self._starting:  # the first waits for the warm process
                await asyncio.to_thread(process.start)
            try:
                hung = not await _ended(process, timeout)
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)  # or what it has left behind
                process.kill()  # it may not have had its group yet
            async with self._starting:  # a start asks for the ends of all, and an end is told once
                process.join()
            printed, answer = Path(place, "printed"), Path(place, "answer.json")
            text = printed.read_text(encoding="utf-8", errors="replace") if printed.exists() else ""
            ended = process.exitcode == 0 and answer.exists()  # it may have ended itself
            value, cpu = json.loads(answer.read_text()) if ended else (None, 0.0)
            return Result(value, watch.inputs(log), -signal.SIGALRM if hung else process.exitcode, cpu, text)


async def _ended(process: multiprocessing.Process, timeout: float | None) -> bool:
    """Wait for the end of a process; whether it came in time."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process.sentinel, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), timeout)
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(process.sentinel)
    return True


def _end_with_the_build() -> None:
    multiprocessing.parent_process().join()
    os.killpg(0, signal.SIGKILL)


def _fork(
    target: str, arguments: list, folder: str, environment: dict[str, str], cpu_limit: int | None, place: str
) -> None:
    """Be the fork: call what was asked for, write down what it returned and cost, end."""
    status = 1
    try:
        gc.freeze()  # what was loaded before is no garbage: to search it would cost more than most tests
        os.setsid()
        threading.Thread(target=_end_with_the_build, daemon=True).start()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        out = os.open(os.path.join(place, "printed"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.environ.clear()
        os.environ.update(environment)
        sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
        if cpu_limit:
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_limit, cpu_limit + 5))
        os.chdir(folder)
        for name in [name for name in sys.modules if name.partition(".")[0] == "bookbuild"]:
            del sys.modules[name]  # this module, which is the builder's and not that of the folder
        sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
        module, function = target.split(":")
        value = getattr(importlib.import_module(module), function)(*arguments)
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        cpu = sum(usage.ru_utime + usage.ru_stime for usage in used)
        Path(place, "answer.json").write_text(json.dumps([value, cpu]))
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) and ended.code else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
