"""What a kernel tells of itself."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CODE = Path(__file__).parents[2] / "code"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CODE)}
MINUTES = 180


def report(code: str) -> dict[str, float]:
    """The report of a process that has run ``code``."""
    code = f"import os, subprocess, sys\nfrom bookbuild.engine import kernel\n{code}\nprint(kernel.report())"
    command = [sys.executable, "-c", code]
    return eval(subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout)


def test_the_memory_is_of_this_process():
    assert 200 < report("x = bytearray(200 * 2**20)")["peak_mib"] < 300


@pytest.mark.parametrize("who", ["{0}", "subprocess.run([sys.executable, '-c', {0!r}], check=True)"])
def test_the_cost_is_cpu_time_of_the_process_and_its_children(who):
    work = "import time\nwhile time.process_time() < 0.5: pass"
    assert report("")["cpu"] < 0.5 <= report(who.format(work))["cpu"]


def test_sleep_costs_nothing():
    assert report("import time; time.sleep(0.5)")["cpu"] < 0.5


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_kernel_dies_with_the_build():
    child = (
        "import time\nfrom bookbuild.engine import forks\nforks.die_with_parent()\n"
        f"print('ready', flush=True)\ntime.sleep({MINUTES})"
    )
    parent = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        "print(child.pid, flush=True)\nchild.wait()"
    )
    command = [sys.executable, "-c", parent]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    said = {process.stdout.readline().strip() for _ in range(2)}
    (pid,) = said - {"ready"}
    process.kill()
    process.wait()
    stat = Path(f"/proc/{pid}/stat")
    end = time.monotonic() + MINUTES / 2
    while stat.exists() and stat.read_text().split()[2] != "Z":
        if time.monotonic() > end:
            os.kill(int(pid), signal.SIGKILL)
            pytest.fail("it lives on")
        time.sleep(0.02)
