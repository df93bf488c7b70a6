"""The kernel notes the files that a page reads below the project's folder."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CODE = Path(__file__).parents[2] / "code"
START = "import json, os, pathlib\nfrom bookbuild.engine import kernel\nkernel.watch('.')\n"


@pytest.fixture
def opened(tmp_path):
    """Runs code under the watch and gives the files noted; in its own process, since an audit hook stays."""
    ignored = ("_build/c.txt", ".venv/d.txt", ".git/e.txt", "g.pyc")
    for name in ("a.txt", "sub/b.txt", "sub/_build/f.txt", *ignored):
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_text("x")
    (tmp_path / "outside.txt").write_text("x")

    def run(code: str) -> set[str]:
        code = START + code + "\nprint(json.dumps(kernel.report()['opened']))"
        environment = {**os.environ, "PYTHONPATH": str(CODE)}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=tmp_path / "root", env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return {os.path.relpath(file, tmp_path / "root") for file in json.loads(done.stdout)}

    return run


@pytest.mark.parametrize(
    "code",
    [
        "open('a.txt').close()",
        "open('a.txt', 'rb').close()",
        "open('a.txt', 'r+').close()",
        "pathlib.Path('a.txt').read_text()",
        "os.close(os.open('a.txt', os.O_RDONLY))",
        "os.close(os.open(pathlib.Path('a.txt'), os.O_RDWR))",
        "open('../root/sub/../a.txt').close()",
        "os.chdir('sub'); open('../a.txt').close()",
        "import numpy; numpy.fromfile('a.txt', dtype='u1')",
    ],
)
def test_what_is_read_is_noted(opened, code):
    assert opened(code) == {"a.txt"}


@pytest.mark.parametrize(
    "code",
    [
        "open('a.txt', 'w').close()",
        "open('new.txt', 'x').close()",
        "open('a.txt', 'ab').close()",
        "os.close(os.open('a.txt', os.O_WRONLY))",
        "for name in ('_build/c.txt', '.venv/d.txt', '.git/e.txt'): open(name).close()",
        "for name in ('g.pyc', '../outside.txt', os.devnull): open(name).close()",
    ],
)
def test_what_is_written_made_or_elsewhere_is_not(opened, code):
    assert opened(code) == set()


def test_a_folder_is_ignored_by_its_place_and_not_by_its_name(opened):
    assert opened("open('sub/_build/f.txt').close()") == {"sub/_build/f.txt"}


def test_a_file_that_was_looked_for_and_is_missing_counts(opened):
    assert opened("try: open('not-yet.txt')\nexcept OSError: pass") == {"not-yet.txt"}


def test_modules_found_at_run_time_are_noted(opened, tmp_path):
    (tmp_path / "root" / "found.py").write_text("open('sub/b.txt').close()")
    code = "import sys, importlib; sys.path.insert(0, os.getcwd()); importlib.import_module('found')"
    assert opened(code) == {"found.py", "sub/b.txt"}


def test_the_report_is_of_this_process():
    code = "from bookbuild.engine import kernel; x = bytearray(200 * 2**20); print(kernel.report()['peak_mib'])"
    environment = {**os.environ, "PYTHONPATH": str(CODE)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert 200 < float(done.stdout) < 300, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_kernel_dies_with_the_build(tmp_path):
    child = (
        "import time\nfrom bookbuild.engine import kernel\nkernel.die_with_parent()\n"
        "print('ready', flush=True)\ntime.sleep(60)"
    )
    parent = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        "print(child.pid, flush=True)\nchild.wait()"
    )
    environment = {**os.environ, "PYTHONPATH": str(CODE)}
    command = [sys.executable, "-c", parent]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    said = {process.stdout.readline().strip() for _ in range(2)}
    (pid,) = said - {"ready"}
    process.kill()
    process.wait()
    stat = Path(f"/proc/{pid}/stat")
    end = time.monotonic() + 5
    while stat.exists() and stat.read_text().split()[2] != "Z":
        if time.monotonic() > end:
            os.kill(int(pid), signal.SIGKILL)
            pytest.fail("it lives on")
        time.sleep(0.02)
