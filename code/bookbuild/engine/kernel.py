"""The kernel a page runs in: a Jupyter kernel that remembers which files the page read.

``python -m bookbuild.engine.kernel -f CONNECTION_FILE``. Files opened for reading below the project's folder
count as inputs of the page, with the contents they had: editing one makes the page run again, also while
it runs. A file that the page itself wrote before it read it is no input.
"""

import contextlib
import ctypes
import hashlib
import os
import signal
import sys

_opened: dict[str, str] = {}  # path -> digest of the contents at the first reading
_written: set[str] = set()


def watch(root: str) -> None:
    """From now on note every file below ``root`` that is opened for reading."""
    prefix = os.path.realpath(root) + os.sep
    ignored = tuple(prefix + name + os.sep for name in ("_build", ".venv", ".git"))

    def hook(event: str, arguments: tuple) -> None:
        if event != "open" or not isinstance(arguments[0], str):
            return
        path = os.path.realpath(arguments[0])
        if not path.startswith(prefix) or path.startswith(ignored) or path.endswith(".pyc"):
            return
        mode, flags = arguments[1], arguments[2]
        if any(sign in mode for sign in "wax") if isinstance(mode, str) else flags & os.O_WRONLY:
            _written.add(path)
        elif path not in _opened and path not in _written:
            _opened[path] = ""  # first, for reading it now calls this hook again
            with contextlib.suppress(OSError), open(path, "rb") as file:
                _opened[path] = hashlib.sha256(file.read()).hexdigest()

    sys.addaudithook(hook)


def report() -> dict:
    """What the page did: peak memory in MiB, files read (path to digest)."""
    return {"peak_mib": round(_peak_bytes() / 2**20, 1), "opened": dict(sorted(_opened.items()))}


def _peak_bytes() -> float:
    try:  # Linux; its ru_maxrss would count the parent process too
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: bytes


def die_with_parent() -> None:
    """On Linux, have this process killed when the build is: no orphan goes on training."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    from ipykernel.kernelapp import IPKernelApp

    from bookbuild.engine import kernel  # the copy that the page can ask for its report

    kernel.die_with_parent()
    kernel.watch(os.environ["BOOKBUILD_ROOT"])
    IPKernelApp.launch_instance()
