"""All that a process reads of the project is noted, that of its children too; what it made itself is not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bookbuild.engine import watch

from .conftest import MINUTES

CODE = Path(__file__).parents[2] / "code"
START = "import glob, os, pathlib, subprocess, sys\n"
PYTHON = "[sys.executable, '-c', {0!r}]"


class Watched:
    """A project, code that runs there under watch (in a process of its own: an audit hook stays), its log."""

    def __init__(self, folder: Path):
        self.root, self.log, self.packages = folder / "root", folder / "log", folder / "site-packages"
        ignored = ("_build/c.txt", ".venv/d.txt", ".git/e.txt", "g.pyc")
        for name in ("a.txt", "sub/b.txt", "sub/deep/h.txt", "sub/_build/f.txt", *ignored):
            self.write(name, "x")
        self.write("../outside.txt", "x")
        self.write("../site-packages/lib.py", "import os\ndef ask(name): return os.environ.get(name)\n")
        path = [CODE / "bookbuild/engine/child", CODE, self.packages, self.root]
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("BOOKBUILD_")}
        self.environment |= {"PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def run(self, code: str, **variables: str) -> dict[str, str]:
        """What ``code`` reads, with digests."""
        self.log.unlink(missing_ok=True)
        self.environment |= {watch.LOG: str(self.log), watch.ROOT: str(self.root), **variables}
        command = [sys.executable, "-c", START + code]
        done = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return watch.inputs(self.log)

    def unchanged(self, found: dict[str, str], **variables: str) -> bool:
        return watch.unchanged(found, self.root, self.environment | variables)


@pytest.fixture
def watched(tmp_path) -> Watched:
    return Watched(tmp_path)


# ---- files


@pytest.mark.parametrize(
    "code",
    [
        "open('a.txt').close()",
        "open('a.txt', 'rb').close()",
        "open('a.txt', 'r+').close()",
        "pathlib.Path('a.txt').read_text()",
        "os.close(os.open('a.txt', os.O_RDONLY))",
        "os.close(os.open(pathlib.Path('a.txt'), os.O_RDWR))",
        "os.close(os.open(b'a.txt', os.O_RDONLY))",
        "open('../root/sub/../a.txt').close()",
        "os.chdir('sub'); open('../a.txt').close()",
        "os.symlink('root/a.txt', '../link'); open('../link').close()",
        "import numpy; numpy.fromfile('a.txt', dtype='u1')",
    ],
)
def test_what_is_read_is_noted(watched, code):
    assert set(watched.run(code)) == {"file a.txt"}


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
def test_what_is_written_made_or_elsewhere_is_not(watched, code):
    assert watched.run(code) == {}


def test_a_folder_is_ignored_by_its_place_and_not_by_its_name(watched):
    watched.write("_buildings.txt", "x")
    found = watched.run("open('sub/_build/f.txt').close(); open('_buildings.txt').close()")
    assert set(found) == {"file sub/_build/f.txt", "file _buildings.txt"}


def test_a_file_that_was_looked_for_and_is_missing_counts(watched):
    found = watched.run("try: open('not-yet.txt')\nexcept OSError: pass")
    assert found == {"file not-yet.txt": ""} and watched.unchanged(found)
    watched.write("not-yet.txt", "")
    assert not watched.unchanged(found)


def test_modules_found_at_run_time_are_noted(watched):
    watched.write("found.py", "open('sub/b.txt').close()")
    code = "import importlib; importlib.import_module('found')"
    assert set(watched.run(code)) == {"file found.py", "file sub/b.txt"}


def test_what_was_read_before_it_was_written_is_noted_as_it_was(watched):
    found = watched.run("open('a.txt').read(); open('a.txt', 'w').write('y'); open('a.txt').read()")
    assert set(found) == {"file a.txt"} and not watched.unchanged(found)
    watched.write("a.txt", "x")
    assert watched.unchanged(found)


@pytest.mark.parametrize(
    "write",
    [
        "open('new.txt', 'w').close()",
        "subprocess.run([sys.executable, '-c', 'open(\"new.txt\", \"w\").close()'], check=True)",
    ],
)
def test_what_was_written_before_it_was_read_is_no_input(watched, write):
    assert "file new.txt" not in watched.run(f"{write}\nopen('new.txt').read()")


# ---- folders


@pytest.mark.parametrize(
    ("code", "folders"),
    [
        ("os.listdir('sub')", {"sub"}),
        ("os.listdir()", {"."}),
        ("list(os.scandir(pathlib.Path('sub')))", {"sub"}),
        ("list(os.walk('sub'))", {"sub", "sub/deep", "sub/_build"}),
        ("glob.glob('sub/*')", {"sub"}),
        ("list(pathlib.Path('sub').glob('*.txt'))", {"sub"}),
        ("list(pathlib.Path('sub').iterdir())", {"sub"}),
        ("list(pathlib.Path('sub').rglob('*.txt'))", {"sub", "sub/deep", "sub/_build"}),
        ("os.listdir('_build'); os.listdir('..')", set()),
        ("exec('os.listdir(\"sub\")')", {"sub"}),
    ],
)
def test_folders_that_are_listed_are_noted(watched, code, folders):
    assert set(watched.run(code)) == {f"folder {name}" for name in folders}


def test_a_listing_changes_with_the_names_in_it_and_with_nothing_else(watched):
    found = watched.run("os.listdir('sub')")
    watched.write("sub/b.txt", "other contents")
    watched.write("sub/deep/new.txt", "")
    watched.write("sub/.hidden", "")
    watched.write("sub/__pycache__/x.pyc", "")
    assert watched.unchanged(found)
    watched.write("sub/new.txt", "")
    assert not watched.unchanged(found)
    (watched.root / "sub/new.txt").unlink()
    assert watched.unchanged(found)
    (watched.root / "sub").rename(watched.root / "elsewhere")
    assert not watched.unchanged(found)


def test_the_listings_by_which_python_and_pytest_find_code_do_not_count(watched):
    watched.write("pkg/__init__.py", "")
    watched.write("pkg/inner.py", "")
    watched.write("pkg/test_x.py", "def test_x(): pass\n")
    code = "import pkg.inner, pkgutil, pytest; list(pkgutil.iter_modules(['pkg']))"
    assert set(watched.run(code)) == {"file pkg/__init__.py", "file pkg/inner.py"}
    found = watched.run("import pytest; assert pytest.main(['-q', '-p', 'no:cacheprovider', 'pkg']) == 0")
    assert "file pkg/test_x.py" in found and not any(name.startswith("folder") for name in found)


# ---- environment variables


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("os.environ['SET']", {"SET"}),
        ("os.getenv('SET')", {"SET"}),
        ("os.environ.get('UNSET')", {"UNSET"}),
        ("'SET' in os.environ", {"SET"}),
        ("os.path.expandvars('$SET')", {"SET"}),
        ("import mine; mine.ask()", {"SET"}),
        ("dict(os.environ)", {"*"}),
        ("list(os.environ); os.environ['SET']", {"*"}),
        ("import lib; lib.ask('SET')", set()),
        ("os.environ['TERM'], os.environ.get('PWD')", set()),
        ("os.environ['NEW'] = '1'", set()),
    ],
)
def test_variables_that_the_page_or_the_book_asks_for_are_noted(watched, code, names):
    watched.write("mine.py", "import os\ndef ask(): return os.environ['SET']\n")
    found = watched.run(code, SET="1", TERM="dumb")
    assert {name for name in found if name.startswith("variable")} == {f"variable {name}" for name in names}


@pytest.mark.parametrize("code", ["os.environ.get('SET')", "dict(os.environ)"])
def test_a_variable_that_has_changed_is_seen_and_the_place_of_the_project_left_out(watched, code):
    found = watched.run(code, SET=f"{watched.root}/x")
    assert watched.unchanged(found) and watched.unchanged(found, TERM="other", PWD="/")
    assert not watched.unchanged(found, SET="/elsewhere/x")
    assert watched.unchanged(found, OTHER="new") == ("dict" not in code)
    moved = watched.root.rename(watched.root.parent / "moved")
    here = {name: value.replace(str(watched.root), str(moved)) for name, value in watched.environment.items()}
    assert watch.unchanged(found, moved, here)


def test_a_variable_that_the_page_has_set_itself_counts_as_it_was_given(watched):
    found = watched.run("os.environ['SET'] = 'mine'; os.environ['SET']", SET="given")
    assert watched.unchanged(found)


# ---- children

READ = "open('a.txt').read(); import os; os.listdir('sub'); os.environ.get('SET')"
CHILDREN = {
    "subprocess": f"subprocess.run({PYTHON.format(READ)}, check=True)",
    "a script": "subprocess.run([sys.executable, 'reads.py'], check=True)",
    "grandchild": f"code = {PYTHON.format(READ)!r}; subprocess.run([sys.executable, '-c', "
    "'import subprocess, sys; subprocess.run(' + code + ', check=True)'], check=True)",
    "fork": f"pid = os.fork()\nif pid == 0:\n    {READ}\n    os._exit(0)\nassert os.waitpid(pid, 0)[1] == 0",
    "multiprocessing fork": "import reads, multiprocessing as m\np = m.get_context('fork').Process("
    "target=reads.read)\np.start(); p.join(); assert p.exitcode == 0",
    "multiprocessing spawn": "import reads, multiprocessing as m\np = m.get_context('spawn').Process("
    "target=reads.read)\np.start(); p.join(); assert p.exitcode == 0",
    "exec": f"pid = os.fork()\nif pid == 0:\n    os.execv(sys.executable, {PYTHON.format(READ)})\n"
    "assert os.waitpid(pid, 0)[1] == 0",
    "posix_spawn": f"pid = os.posix_spawn(sys.executable, {PYTHON.format(READ)}, os.environ)\n"
    "assert os.waitpid(pid, 0)[1] == 0",
}


@pytest.mark.parametrize("how", CHILDREN)
def test_what_children_read_counts(watched, how):
    watched.write("reads.py", f"def read():\n    {READ}\n\n\nif __name__ == '__main__':\n    read()\n")
    found = watched.run(CHILDREN[how])
    assert {"file a.txt", "folder sub"} <= set(found)
    assert "variable SET" in found or "variable *" in found
    assert not any(name.startswith("program") for name in found)


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("subprocess.run(['cat', 'a.txt'])", {"cat"}),
        ("subprocess.run('cat a.txt', shell=True)", {"cat"}),
        ("subprocess.run(['/bin/cat', 'a.txt'])", {"cat"}),
        ("subprocess.run(['anything', 'a.txt'], executable='/bin/cat')", {"cat"}),
        ("os.system('cat a.txt')", {"cat"}),
        ("os.popen('cat a.txt').read()", {"cat"}),
        ("os.waitpid(os.posix_spawn('/bin/cat', ['cat', 'a.txt'], os.environ), 0)", {"cat"}),
        ("import pty, io; pty.spawn(['cat', 'a.txt'], lambda fd: os.read(fd, 99))", {"cat"}),
        ("subprocess.run([sys.executable, '-I', '-c', 'open(\"a.txt\")'])", {"python"}),
        ("subprocess.run([sys.executable, '-u', '-E', '-c', 'open(\"a.txt\")'])", {"python"}),
        ("subprocess.run([sys.executable, '-c', '1'], env={})", {"python"}),
        ("subprocess.run([sys.executable, 'a.py', '-I'])", set()),
        ("subprocess.run(['uname', '-a'])", set()),
        ("import platform; platform.processor(); platform.libc_ver()", set()),
        ("import lib, subprocess", set()),
    ],
)
def test_other_programs_are_noted_by_name(watched, code, names):
    watched.write("a.py", "")
    found = {name.removeprefix("program ") for name in watched.run(code) if name.startswith("program ")}
    assert {name.rstrip("0123456789.") for name in found} == names


def test_programs_that_a_library_starts_do_not_count(watched):
    watched.write("../site-packages/lib.py", "import subprocess\ndef run(): subprocess.run(['true'])\n")
    assert not any(name.startswith("program") for name in watched.run("import lib; lib.run()"))


def test_the_log_is_read_in_order(tmp_path):
    lines = [
        ["file", "a", "1"],
        ["write", "a", ""],
        ["write", "b", ""],
        ["file", "b", "2"],
        ["file", "a", "3"],
    ]
    (tmp_path / "log").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert watch.inputs(tmp_path / "log") == {"file a": "1"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_kernel_dies_with_the_build(watched):
    child = f"import time\nprint('ready', flush=True)\ntime.sleep({2 * MINUTES})"
    parent = (
        "import os, subprocess, sys\n"
        f"environment = os.environ | {{{watch.KERNEL!r}: '1'}}\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], env=environment)\n"
        "print(child.pid, flush=True)\nchild.wait()"
    )
    given = watched.environment | {watch.LOG: str(watched.log), watch.ROOT: str(watched.root)}
    command = [sys.executable, "-c", parent]
    with subprocess.Popen(command, env=given, stdout=subprocess.PIPE, text=True) as process:
        said = {process.stdout.readline().strip() for _ in range(2)}
        process.kill()
    (pid,) = said - {"ready"}
    stat, end = Path(f"/proc/{pid}/stat"), time.monotonic() + MINUTES
    while stat.exists() and stat.read_text().split()[2] != "Z":
        if time.monotonic() > end:
            os.kill(int(pid), signal.SIGKILL)
            pytest.fail("it lives on")
        time.sleep(0.02)
