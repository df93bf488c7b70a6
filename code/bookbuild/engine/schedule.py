"""Runs jobs on all cores, the longest first, and tells how far it is."""

import asyncio
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any


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
        self.waiting = sorted(jobs, key=lambda job: -job.expected)
        self.cores, self.say = cores, say
        self.running: dict[Job, float] = {}  # since when
        self.done = 0
        self.start = time.monotonic()

    @staticmethod
    def begin(work: Coroutine) -> Any:
        """Run a coroutine that awaits schedules, in an event loop of its own."""
        with asyncio.Runner(loop_factory=Loop) as runner:
            return runner.run(work)

    async def run(self) -> None:
        """Run all jobs; an exception in one of them ends them all."""
        ticker = asyncio.create_task(self._tick()) if sys.stdout.isatty() else None
        try:
            for exclusive, workers in ((False, self.cores), (True, 1)):
                queue = [job for job in self.waiting if job.exclusive == exclusive]
                async with asyncio.TaskGroup() as group:
                    for _ in range(workers):
                        group.create_task(self._work(queue))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            if ticker:
                ticker.cancel()
                print("\r\033[K", end="", flush=True)

    async def _work(self, queue: list[Job]) -> None:
        while queue:
            job = queue.pop(0)
            self.waiting.remove(job)
            self.running[job] = time.monotonic()
            await job.work()
            took = time.monotonic() - self.running.pop(job)
            self.done += 1
            clear = "\r\033[K" if sys.stdout.isatty() else ""
            total = self.done + len(self.running) + len(self.waiting)
            self.say(f"{clear}[{self.done}/{total}] {job.name} ({took:.1f} s) {self._times()}")

    def left(self) -> float:
        """Estimated seconds to the end."""
        now = time.monotonic()
        running = [max(job.expected - (now - since), 1.0) for job, since in self.running.items()]
        work = sum(running) + sum(job.expected for job in self.waiting)
        return max([work / self.cores, *running])

    def _times(self) -> str:
        elapsed = time.monotonic() - self.start
        return f"elapsed {elapsed:.0f} s, about {self.left():.0f} s left"

    async def _tick(self) -> None:
        while True:
            names = ", ".join(job.name for job in self.running)
            line = f"{self.done} done, {len(self.running)} running ({names}), {len(self.waiting)} waiting"
            width = shutil.get_terminal_size().columns
            print("\r\033[K" + f"{line}; {self._times()}"[: width - 1], end="", flush=True)
            await asyncio.sleep(0.5)
