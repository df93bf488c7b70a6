"""The kernel a page runs in: a Jupyter kernel that remembers which files the page read.

``python -m bookbuild.kernel -f CONNECTION_FILE``. Files opened for reading below the project's folder
count as inputs of the page, so that editing a data file makes the page run again.
"""

import ctypes
import os
import signal
import sys

_opened: set[str] = set()


def watch(root: str) -> None:
    """From now on note every file below ``root`` that is opened for reading."""
    prefix = os.path.realpath(root) + os.sep
    ignored = tuple(prefix + name + os.sep for name in ("_build", ".venv", ".git"))

    def hook(event: str, arguments: tuple) -> None:
        if event != "open" or not isinstance(arguments[0], str):
            return
        mode = arguments[1]
        reads = "r" in mode or "+" in mode if isinstance(mode, str) else not arguments[2] & os.O_WRONLY
        if reads:
            path = os.path.realpath(arguments[0])
            if path.startswith(prefix) and not path.startswith(ignored) and not path.endswith(".pyc"):
                _opened.add(path)

    sys.addaudithook(hook)


def report() -> dict:
    """What the page did: peak memory in MiB, files read."""
    return {"peak_mib": round(_peak_bytes() / 2**20, 1), "opened": sorted(_opened)}


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

    from bookbuild import kernel  # the copy that the page can ask for its report

    kernel.die_with_parent()
    kernel.watch(os.environ["BOOKBUILD_ROOT"])
    IPKernelApp.launch_instance()
