"""The kernel a page runs in: a Jupyter kernel that is watched (see ``watch``) and knows what it has cost.

``python -m bookbuild.engine.kernel -f CONNECTION_FILE``
"""

import os
import resource
import sys


def report() -> dict[str, float]:
    """What this process and its children have used: peak memory in MiB, CPU time in seconds."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in used)
    return {"peak_mib": round(_peak_bytes() / 2**20, 1), "cpu": round(cpu, 3)}


def _peak_bytes() -> float:
    try:  # Linux; its ru_maxrss would count the parent process too
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: bytes


if __name__ == "__main__":
    from ipykernel.kernelapp import IPKernelApp

    from bookbuild.engine import forks, watch

    forks.die_with_parent()
    if "bookbuild_watch" not in sys.modules:  # a sitecustomize of the machine's own came before ours
        watch.begin(os.environ[watch.ROOT], os.environ[watch.LOG])
    IPKernelApp.launch_instance()
