"""One warm process whose forks do the work: other packages are loaded once, the book's code never.

``Warm`` is the side of the build. As a script, which imports nothing of the book, this file is the process:
it reads a request a line, forks for each, and tells when a fork has ended. What a fork imports of the book
comes from the folders that its request names, so that each sees the code as it is then and there.
"""

import asyncio
import contextlib
import importlib
import itertools
import json
import os
import resource
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    """How a call in a fork has ended: what it returned (``None`` if it did not return) and what it cost."""

    value: Any
    status: int  # 0, or an exit status; negative: the signal that ended it, SIGXCPU or SIGALRM at a limit
    cpu: float  # seconds, its children's included
    printed: str


class Warm:
    """The warm process, begun at the first call. At the end of ``async with`` it and its forks are gone.

    One that was killed, as by a system short of memory, is begun anew at the next call.
    """

    def __init__(self, environment: dict[str, str], loaded: tuple[str, ...]):
        self.environment, self.loaded = environment, loaded
        self._process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()
        self._numbers, self._ended = itertools.count(), {}

    async def __aenter__(self) -> "Warm":
        return self

    async def __aexit__(self, *_: object) -> None:
        if process := self._process:
            process.stdin.close()
            await process.wait()
            await self._listener

    async def call(
        self,
        target: str,
        *arguments: Any,
        folder: Path,
        scratch: Path,
        environment: dict[str, str] | None = None,
        timeout: float | None = None,
        cpu_limit: int | None = None,
    ) -> Result:
        """Call ``module:function`` with JSON values in a fork whose working folder is ``folder``.

        ``environment`` is all of the fork's environment (default: that of the warm process), its PYTHONPATH
        the fork's path; ``scratch`` a folder for what it prints and returns. A fork is killed with its
        children when it takes longer than ``timeout`` seconds, when it has worked for ``cpu_limit`` seconds,
        and when the caller is cancelled.
        """
        await self._start()
        number = str(next(self._numbers))
        place = Path(scratch) / f"fork-{os.getpid()}-{number}"
        request = {"target": target, "arguments": arguments, "folder": str(folder), "place": str(place)}
        ended = self._ended[number] = asyncio.get_running_loop().create_future()
        request |= {"number": number, "environment": environment or self.environment, "cpu_limit": cpu_limit}
        self._send(request)
        printed, value = place.with_suffix(".out"), place.with_suffix(".json")
        try:
            try:
                status, cpu = await asyncio.wait_for(asyncio.shield(ended), timeout)
            except (TimeoutError, asyncio.CancelledError) as error:
                self._send({"kill": number})
                status, cpu = await asyncio.shield(ended)
                if isinstance(error, asyncio.CancelledError):
                    raise
                status = -signal.SIGALRM
            text = printed.read_text(encoding="utf-8", errors="replace") if printed.exists() else ""
            return Result(json.loads(value.read_text()) if status == 0 else None, status, cpu, text)
        finally:
            printed.unlink(missing_ok=True)
            value.unlink(missing_ok=True)

    async def _start(self) -> None:
        async with self._starting:
            if self._process is None:
                self._process = await asyncio.create_subprocess_exec(
                    *[sys.executable, "-P", __file__, *self.loaded],
                    env={**self.environment, "PYTHONPATH": ""},  # nothing of the book can be loaded
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                )
                self._listener = asyncio.create_task(self._listen())

    def _send(self, request: dict) -> None:
        if self._process:
            self._process.stdin.write(f"{json.dumps(request)}\n".encode())

    async def _listen(self) -> None:
        async for line in self._process.stdout:
            number, status, cpu = json.loads(line)
            self._ended.pop(number).set_result((status, cpu))
        self._process = None
        for ended in self._ended.values():  # it died: so did its forks
            ended.set_result((-signal.SIGKILL, 0.0))
        self._ended.clear()


# ---- the warm process


def serve(loaded: list[str]) -> None:
    """Fork for each request on standard input until it closes; tell on standard output how each has ended."""
    import gc
    import selectors

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the build's affair, which closes our input
    for name in loaded:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # what is loaded stays shared with the forks
    answers = os.dup(1)
    os.dup2(2, 1)  # nothing that is printed here is an answer
    running: dict[int, str] = {}
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    sources = selectors.DefaultSelector()
    sources.register(0, selectors.EVENT_READ)
    sources.register(woken, selectors.EVENT_READ)
    rest = b""
    while True:
        for source, _ in sources.select():
            read = os.read(source.fd, 1 << 16)
            if source.fd == woken:
                continue
            if not read:
                for pid in running:
                    _kill(pid)
                return
            *lines, rest = (rest + read).split(b"\n")
            for request in map(json.loads, lines):
                if "kill" in request:
                    for pid in [pid for pid, number in running.items() if number == request["kill"]]:
                        _kill(pid)
                elif (pid := os.fork()) == 0:
                    _fork(request)
                else:
                    _own_group(pid)
                    running[pid] = request["number"]
        while running:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid in running:
                _kill(pid)  # what it has left behind
                how, cpu = os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
                os.write(answers, f"{json.dumps([running.pop(pid), how, cpu])}\n".encode())


def _own_group(pid: int) -> None:
    with contextlib.suppress(OSError):  # said by both sides: the second finds it done, or the process gone
        os.setpgid(pid, pid)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _fork(request: dict) -> None:
    """Be the fork: call what was asked for, write down what it returned, end."""
    status = 1
    try:
        _own_group(os.getpid())
        die_with_parent()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        out = os.open(f"{request['place']}.out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.closerange(3, 64)
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
        if limit := request["cpu_limit"]:
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        os.chdir(request["folder"])
        sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
        module, function = request["target"].split(":")
        value = getattr(importlib.import_module(module), function)(*request["arguments"])
        with open(f"{request['place']}.json", "w", encoding="utf-8") as file:
            json.dump(value, file)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def die_with_parent() -> None:
    """On Linux, have this process killed when its parent is: no orphan goes on training."""
    if sys.platform == "linux":
        import ctypes

        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    serve(sys.argv[1:])
