"""The way from a clone to the builder: what the Makefile and the bootstrap do, also when all goes wrong.

Each test works on a copy of the two in a folder with an odd name, with tiny packages of its own.
"""

import ast
import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pip
import pytest

from bookbuild import bootstrap

ROOT = Path(__file__).parents[2]
MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None or os.name != "posix", reason="needs make")
slow = pytest.mark.slow

STUB = """import sys, importlib.metadata as m
print(" ".join(sys.argv[1:]), *sorted(d.name for d in m.distributions() if d.name.startswith("tiny")))
sys.exit(3 if "--file" in sys.argv else 0)
"""
PYPROJECT = '[dependency-groups]\ntest = ["tiny-test==1.0"]\ndev = ["tiny-dev==1.0"]\n'


def wheel(folder: Path, name: str) -> None:
    """A wheel of one empty module."""
    module = name.replace("-", "_")
    info = f"{module}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{module}-1.0-py3-none-any.whl", "w") as file:
        file.writestr(f"{module}.py", "")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


class Clone:
    """A project as it comes out of a clone."""

    def __init__(self, folder: Path, name: str = "a [book] *of* 50% #1? it's für $HOME"):
        self.root = folder / name
        self.venv = self.root / ".venv"
        package = self.root / "code" / "bookbuild"
        package.mkdir(parents=True)
        shutil.copy(ROOT / "Makefile", self.root)
        shutil.copy(ROOT / "code" / "bookbuild" / "bootstrap.py", package)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(STUB)
        (package.parent / "mutation.py").write_text(STUB)
        (self.root / "pyproject.toml").write_text(PYPROJECT)
        self.requirements("tiny==1.0")
        wheels = folder / "wheels"
        wheels.mkdir()
        for name in ("tiny", "tiny-test", "tiny-dev", "tiny-other"):
            wheel(wheels, name)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON", "MAKE", "TORCH"))}
        self.offline = {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_RETRIES": "1",
            "PIP_INDEX_URL": "http://127.0.0.1:9",
        }
        self.environ = {
            **kept, "PYTHON": sys.executable, "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels),
        }  # fmt: skip

    def requirements(self, *lines: str) -> None:
        (self.root / "requirements.txt").write_text("# pins\n" + "\n".join(lines) + "\n")

    def start(self, *command: str, **environ: str) -> subprocess.Popen[str]:
        base = {
            k: v for k, v in self.environ.items() if not (environ and k in ("PIP_NO_INDEX", "PIP_FIND_LINKS"))
        }
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=base | environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *command: str, **environ: str) -> tuple[int, str, list[str]]:
        """Exit code, output, and the lines of stderr without make's own."""
        process = self.start(*command, **environ)
        out, err = process.communicate(timeout=600)
        return (
            process.returncode,
            out,
            [line for line in err.splitlines() if not line.startswith("make: ***")],
        )

    def make(self, *arguments: str, **environ: str) -> tuple[int, str, list[str]]:
        return self.run(MAKE, *arguments, **environ)

    def bootstrap(self, *names: str) -> list[str]:
        """The command that make would run."""
        return [self.environ["PYTHON"], "code/bookbuild/bootstrap.py", *(names or ["book"])]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


@pytest.fixture
def quick(clone: Clone, tmp_path: Path) -> Clone:
    """The same, with a Python that does not install pip in a new environment, but lends its own."""
    pips, script, python = tmp_path / "pips", tmp_path / "quick.py", tmp_path / "quick"
    pips.mkdir()
    (pips / "pip").symlink_to(Path(pip.__file__).parent)
    script.write_text(
        f"import sys, runpy\nsys._base_executable = {str(python)!r}\n"
        "if sys.argv[1] == '-c': exec(sys.argv[2])\n"
        "else: sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    python.write_text(
        "#!/bin/sh\n"
        f"""[ "$1 $2 $3" = "-I -m venv" ] || exec "{sys.executable}" "{script}" "$@"\n"""
        f"""{sys.executable} -I -m venv --without-pip "$4" || exit\n"""
        f"""for d in "$4"/lib/python*/site-packages; do echo "{pips}" > "$d/pip.pth"; done\n"""
    )
    python.chmod(0o755)
    clone.environ["PYTHON"] = str(python)
    return clone


def fake_python(folder: Path, name: str, version: tuple[int, ...], implementation: str = "cpython") -> Path:
    """This Python under another name, believing itself to be of another version."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.lie.py").write_text(
        "import sys, types, runpy\n"
        f"facts = vars(sys.implementation) | {{'name': {implementation!r}}}\n"
        f"sys.version_info = {version!r} + (0, 'final', 0)\n"
        "sys.implementation = types.SimpleNamespace(**facts)\n"
        f"sys.executable = {name!r}\n"
        "if sys.argv[1] == '-c': exec(sys.argv[2])\n"
        "else: sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    path = folder / name
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder}/{name}.lie.py" "$@"\n')
    path.chmod(0o755)
    return path


# ---- the Python that runs it all


@pytest.mark.parametrize(
    "version, implementation, word",
    [((3, 10), "cpython", "too old"), ((3, 15), "cpython", "too new"), ((3, 11), "pypy", "is pypy")],
)
def test_a_python_that_does_not_fit_gets_one_line(clone, tmp_path, version, implementation, word):
    python = fake_python(tmp_path / "bin", "python3", version, implementation)
    code, out, err = clone.make("html", f"PYTHON={python}")
    assert (code, out, len(err)) == (2, "", 1)
    assert word in err[0] and "make PYTHON=" in err[0]
    assert not clone.venv.exists()


def test_make_takes_the_first_python_that_fits(clone, tmp_path):
    (clone.root / "code/bookbuild/bootstrap.py").write_text(
        "import sys; sys.exit('with %s' % sys.executable)"
    )
    for name, version in {
        "python3": (3, 10),
        "python3.14": (3, 15),
        "python3.12": (3, 12),
        "python": (3, 13),
    }.items():
        fake_python(tmp_path / "bin", name, version)
    clone.environ.update(PATH=str(tmp_path / "bin"), PYTHON="")
    del clone.environ["PYTHON"]
    assert clone.make("html")[2] == ["with python3.12"]


@pytest.mark.parametrize("arguments", [(), ("PYTHON=python3.99",)])
def test_no_python_at_all_gets_one_line(clone, tmp_path, arguments):
    fake_python(tmp_path / "bin", "python3", (3, 10))
    del clone.environ["PYTHON"]
    clone.environ["PATH"] = str(tmp_path / "bin")
    code, out, err = clone.make("html", *arguments)
    assert (code, out, len(err)) == (2, "", 1)
    assert "not on the PATH" in err[0] and "PYTHON=" in err[0]


def test_the_file_is_plain_enough_for_every_python_that_it_turns_away():
    tree = ast.parse((ROOT / "code/bookbuild/bootstrap.py").read_text(), feature_version=(3, 7))
    modern = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Nonlocal, ast.AsyncFunctionDef, ast.Starred)
    for node in ast.walk(tree):
        assert not isinstance(node, modern), f"line {node.lineno}"
        if isinstance(node, ast.arguments):
            assert not node.kwonlyargs and not node.posonlyargs
        if isinstance(node, ast.FunctionDef):
            assert node.returns is None and not any(a.annotation for a in node.args.args)
        if isinstance(node, ast.Raise):
            assert node.cause is None, f"line {node.lineno}"
    loaded = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    assert loaded == {"os", "sys"}


def old_pythons() -> list[str]:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [*pyenv.glob("versions/2.*/bin/python"), *pyenv.glob("versions/3.[0-9].*/bin/python")]
    return sorted(map(str, found))


@pytest.mark.skipif(not old_pythons(), reason="no old Python on this machine")
def test_real_old_pythons_are_turned_away(clone):
    for python in old_pythons():
        code, _, err = clone.make("html", f"PYTHON={python}")
        assert (code, len(err)) == (2, 1) and "too old" in err[0], (python, err)


def test_a_python_without_venv_is_told_the_package(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(bootstrap.Trouble, match=r"sudo apt install python3\.\d+-venv"):
        bootstrap.check_venv()


def test_a_folder_whose_name_parts_the_path_is_refused_before_anything_is_touched(tmp_path):
    clone = Clone(tmp_path, "book: the second")
    clone.venv.mkdir()
    (clone.venv / "stamp.json").write_text("{}")
    for command in ([MAKE, "html"], clone.bootstrap()):
        code, out, err = clone.run(*command)
        assert (code, out, len(err)) == (2, "", 1)
        assert err[0].startswith("make: the folder ") and "has ':' in its name" in err[0]
    assert [file.name for file in clone.venv.iterdir()] == ["stamp.json"]


# ---- what pip's failures are called


@pytest.mark.parametrize(
    "output, kind, words",
    [
        ("WARNING: Retrying (...) after connection broken by 'NewConnectionError(..)'", bootstrap.NoNetwork,
         "no network"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left", bootstrap.Trouble,
         "disk is full"),
        ("chatter\nERROR: No matching distribution found for tiny==9", bootstrap.Trouble, "tiny==9"),
    ],
)  # fmt: skip
def test_a_failing_command_is_named_by_its_cause(tmp_path, output, kind, words):
    command = [sys.executable, "-c", f"import sys; print({output!r}); sys.exit(1)"]
    with pytest.raises(bootstrap.Trouble, match=words) as caught:
        bootstrap.run(command, str(tmp_path), None)
    assert caught.type is kind and "\n" not in str(caught.value)
    kept = tmp_path / ".venv.log"
    assert (kept.read_text() == output + "\n") if "tiny" in words else not kept.exists()


@pytest.mark.parametrize(
    "error, words", [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "cannot make .venv: .*Permission")]
)
def test_an_error_of_the_disk_is_one_line(monkeypatch, capsys, error, words):
    def fail(*_):
        raise OSError(error, os.strerror(error), ".venv")

    monkeypatch.setattr(bootstrap, "bootstrap", fail)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert bootstrap.main(["book"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert re.search(words, err)


# ---- when it begins anew


@pytest.fixture
def made(clone, monkeypatch) -> list[list[str]]:
    """A clone whose environment is made without venv and pip; the commands that would have run."""
    commands = []

    def run(command, root, keep_open):
        commands.append(command)
        if "venv" in command:
            (clone.venv / "bin").mkdir()
            (clone.venv / "bin/python").touch()

    monkeypatch.setattr(bootstrap, "run", run)
    bootstrap.bootstrap(str(clone.root), ["book", "test"], None)
    assert len(commands) == 2
    commands.clear()
    return commands


def test_what_is_whole_is_left_alone_and_a_missing_group_is_added(clone, made):
    bootstrap.bootstrap(str(clone.root), ["book"], None)
    assert made == []
    bootstrap.bootstrap(str(clone.root), ["book", "dev"], None)
    assert [command[-2:] for command in made] == [["tiny==1.0", "tiny-dev==1.0"]]


@pytest.mark.parametrize("what", ["pins", "group", "python", "interpreter", "stamp", "torch"])
def test_what_does_not_fit_is_made_anew(clone, made, what):
    stamp, python = clone.venv / "stamp.json", clone.venv / "bin/python"
    if what == "pins":
        clone.requirements("tiny-other==1.0")
    elif what == "group":
        (clone.root / "pyproject.toml").write_text(PYPROJECT.replace("tiny-test", "tiny-other"))
    elif what == "python":
        stamp.write_text(json.dumps(json.loads(stamp.read_text()) | {"python": "3.11.99"}))
    elif what == "interpreter":
        python.unlink()
        python.symlink_to("/nowhere/python3")
    elif what == "stamp":
        stamp.unlink()
    mark = clone.venv / "mark"
    mark.touch()
    bootstrap.bootstrap(str(clone.root), ["book", "test"], "cpu" if what == "torch" else None)
    assert "venv" in made[0] and not mark.exists()
    made.clear()
    bootstrap.bootstrap(str(clone.root), ["book", "test"], None)
    assert made == []


# ---- make, from end to end


@slow
def test_from_a_clone_to_the_builder_and_what_makes_it_begin_anew(clone):
    code, out, err = clone.make("html")
    assert (code, out) == (0, "html tiny\n")
    assert len(err) == 2 and err[0].startswith("making .venv with Python 3.")

    # nothing to do: silent, and nothing is begun, a comment in the pins notwithstanding
    clone.requirements("tiny==1.0  # why")
    (clone.root / ".venv.lock").unlink()
    assert clone.run(*clone.bootstrap()) == (0, "", [])
    assert not (clone.root / ".venv.lock").exists()

    # a group is added to what is there; without a network the rest stays usable
    mark = clone.venv / "mark"
    mark.touch()
    code, _, err = clone.run(*clone.bootstrap("book", "test"), **clone.offline)
    assert code == 2 and "no network" in err[-1]
    assert clone.make("html") == (0, "html tiny\n", [])
    code, out, err = clone.make("calibrate", "SEEDS=1..2", "C=a/b")
    assert (code, out) == (0, "claims --seeds 1..2 --page a/b --save tiny\n")
    code, out, err = clone.make("mutants", "FILE=x.py")
    assert (code, out) == (2, "--file x.py tiny tiny-test\n"), "make's code for a command that fails"
    assert err[0] == "adding test to .venv ..." and mark.exists()

    # other pins: anew, also from inside the environment, by its own Python
    clone.requirements("tiny-other==1.0")
    assert clone.make("html", "PYTHON=.venv/bin/python")[:2] == (0, "html tiny-other\n")
    assert not mark.exists()

    assert clone.make("distclean")[0] == 0
    assert not list(clone.root.glob(".venv*"))


class DeafIndex:
    """A package index that takes a connection and never answers."""

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        return self

    def wait_for_pip(self):
        self.socket.settimeout(600)
        self.pip = self.socket.accept()[0]

    def hang_up(self):
        self.socket.close()
        self.pip.close()

    def __exit__(self, *_):
        self.socket.close()


@slow
def test_after_every_failure_the_next_run_begins_anew_and_the_last_one_is_whole(quick):
    code, out, err = quick.make("html", TORCH="cpu", **quick.offline)
    assert (code, out, len(err)) == (2, "", 2)
    assert err[1].startswith("make: no network")

    for how in (signal.SIGINT, signal.SIGTERM):
        with DeafIndex() as index:
            process = quick.start(*quick.bootstrap(), **quick.offline | {"PIP_INDEX_URL": index.url})
            index.wait_for_pip()
            process.send_signal(how)
            _, said = process.communicate(timeout=600)
        assert process.returncode == 130
        assert said.splitlines()[0].startswith("making .venv")
        assert said.splitlines()[1:] == ["make: interrupted; the next make begins anew"]

    quick.requirements("tiny==7.0")
    code, _, err = quick.make("html")
    assert (code, len(err)) == (2, 2) and "tiny==7.0" in err[1] and ".venv.log" in err[1]
    assert "tiny==7.0" in (quick.root / ".venv.log").read_text()

    quick.requirements("tiny==1.0")
    code, out, err = quick.make("html")
    assert (code, out) == (0, "html tiny\n") and err[0].startswith("making .venv")
    assert not (quick.root / ".venv.log").exists()
    stamp = json.loads((quick.venv / "stamp.json").read_text())
    assert stamp["torch"] == "cpu", "the choice outlives the failures"


@slow
def test_after_a_kill_the_next_run_waits_for_the_pip_that_is_still_writing(quick):
    with DeafIndex() as index:
        first = quick.start(*quick.bootstrap(), **quick.offline | {"PIP_INDEX_URL": index.url})
        index.wait_for_pip()
        first.kill()
        first.wait()
        second = quick.start(*quick.bootstrap())
        assert second.stderr.readline() == "another make is at work on .venv; waiting for it ...\n"
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(timeout=0.5)
        index.hang_up()
    _, err = second.communicate(timeout=600)
    assert second.returncode == 0 and err.startswith("making .venv")
    assert quick.make("html") == (0, "html tiny\n", [])


@slow
def test_two_at_once_make_it_once(quick):
    both = [quick.start(*quick.bootstrap()) for _ in range(2)]
    said = sorted(process.communicate(timeout=600)[1] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert said[0].startswith("another make is at work") and said[0].count("\n") == 1
    assert said[1].startswith("making .venv")


@slow
def test_a_full_disk_is_one_line_and_then_it_recovers(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", disk], capture_output=True
    ).returncode:
        pytest.skip("may not mount a small disk here")
    try:
        clone = Clone(disk)
        code, out, err = clone.make("html")
        assert (code, out, len(err)) == (2, "", 2) and "the disk is full" in err[1]
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        assert clone.make("html")[:2] == (0, "html tiny\n")
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


# ---- the Makefile's small manners


def test_plain_make_lists_every_target(clone):
    code, out, err = clone.make()
    assert (code, err) == (0, [])
    targets = next(
        line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:")
    )
    assert [line.split()[1] for line in out.splitlines()] == targets.split()[1:]


def test_a_chapter_without_a_name_and_an_unknown_torch_get_one_line(clone):
    assert clone.make("chapter")[::2] == (2, ["make: which page? make chapter C=algorithms/vpg"])
    assert clone.make("html", "TORCH=gpu")[::2] == (
        2,
        ["make: TORCH=gpu is unknown; it can be cpu or default"],
    )
    code, _, err = clone.run(*clone.bootstrap("book", "tests"))
    assert (code, err) == (
        2,
        ["make: pyproject.toml has no dependency group tests; there are book, dev, test"],
    )


def test_clean_needs_no_environment(clone):
    assert clone.make("clean") == (0, "", [])
