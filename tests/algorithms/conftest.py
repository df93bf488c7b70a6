"""A process for programs that take long to load what all of them load."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CODE = Path(__file__).parents[2] / "code"
SERVER = """
import gc, gymnasium, json, os, sys, torch, tyro
gc.freeze()  # what was loaded is no garbage: a fork need not look through it
for line in sys.stdin:
    program, sys.path[:1], folder = json.loads(line)
    if process := os.fork():
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
    else:
        os.chdir(folder)
        os.dup2(os.open("printed", os.O_WRONLY | os.O_CREAT), 1)
        os.dup2(os.open("errors", os.O_WRONLY | os.O_CREAT), 2)
        exec(program, {"__name__": "__main__"})
        sys.stdout.flush()
        os._exit(0)
"""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Callable[[str, Path], tuple[int, Callable[[], int]]]]:
    """Begins a program in a process that has loaded PyTorch, Gymnasium and tyro, and nothing of ours.

    Called with its text and a folder, where ``printed`` and ``errors`` will lie, it gives the number of the
    process, and what waits for its exit status.
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    server = subprocess.Popen([sys.executable, "-c", SERVER], **pipes)

    def begin(program: str, folder: Path) -> tuple[int, Callable[[], int]]:
        print(json.dumps([program, [str(CODE)], str(folder)]), file=server.stdin, flush=True)
        return int(server.stdout.readline()), lambda: int(server.stdout.readline())

    yield begin
    server.communicate()
