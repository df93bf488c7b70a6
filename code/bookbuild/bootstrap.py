"""Makes the book's own environment, ``.venv`` at the project's root, or says in a line what is in the way.

``python bootstrap.py book [GROUP ...]`` installs requirements.txt and the named groups of pyproject.toml. A
stamp, written last, tells that the environment is whole and fits; then there is nothing to do. TORCH=cpu in
the environment takes PyTorch's CPU-only wheel. The Pythons that this file turns away must be able to read it.

Book: start/how_to_use
"""

import os
import sys

OLDEST, NEWEST = (3, 11), (3, 14)
TORCH_INDEX = {"default": None, "cpu": "https://download.pytorch.org/whl/cpu"}
DISK = ("No space left on device", "Errno 28]", "Disk quota exceeded", "not enough space")
NETWORK = (
    "NewConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "Read timed out", "Connection refused",
    "ConnectionResetError", "Connection aborted", "Network is unreachable", "name resolution", "ProxyError",
    "Max retries exceeded", "getaddrinfo failed", "IncompleteRead", "Could not fetch URL",
)  # fmt: skip


class Trouble(Exception):
    """One line for the reader: what is wrong and what to do about it."""


class NoNetwork(Trouble):
    """pip fell silent before it changed anything in the environment."""


def check_python():
    """Raises Trouble unless this is CPython, not too old and not too new."""
    version = tuple(sys.version_info[:2])
    name = getattr(getattr(sys, "implementation", None), "name", "python")
    if name != "cpython" and version > (3, 0):
        raise Trouble("%s is %s; the book needs CPython: make PYTHON=python3.13" % (sys.executable, name))
    if not OLDEST <= version <= NEWEST:
        age = "old" if version < OLDEST else "new"
        raise Trouble(
            "%s is Python %d.%d, which is too %s; the book needs 3.11 to 3.14: "
            "install one and name it, as in make PYTHON=python3.13" % ((sys.executable,) + version + (age,))
        )


def check_venv():
    """Raises Trouble where the system's package manager left out what makes a venv, as Debian's does."""
    from importlib.util import find_spec

    if not (find_spec("venv") and find_spec("ensurepip")):
        raise Trouble(
            "%s has no venv; on Debian and Ubuntu: sudo apt install python%d.%d-venv"
            % ((sys.executable,) + tuple(sys.version_info[:2]))
        )


def check_place(root):
    """Raises Trouble where the name of the project's folder has a colon, which venv and PYTHONPATH refuse."""
    if os.pathsep in root:
        raise Trouble("the folder %s has %r in its name: rename it, or move the book" % (root, os.pathsep))


def wanted(root, names):
    """The requirements of each name: requirements.txt for ``book``, a dependency group for any other."""
    found, groups = {}, {}
    with open(os.path.join(root, "requirements.txt"), encoding="utf-8") as file:
        lines = [line.split(" #")[0].strip() for line in file]
    groups["book"] = [line for line in lines if line and not line.startswith("#")]
    if set(names) - set(groups):
        import tomllib

        with open(os.path.join(root, "pyproject.toml"), "rb") as file:
            groups.update(tomllib.load(file).get("dependency-groups", {}))
    for name in ["book"] + names:
        if name not in groups:
            known = ", ".join(sorted(groups))
            raise Trouble("pyproject.toml has no dependency group %s; there are %s" % (name, known))
        found[name] = groups[name]
    return found


def read_stamp(venv):
    """What the environment was made for; an empty dict where nothing tells."""
    import json

    try:
        with open(os.path.join(venv, "stamp.json"), encoding="utf-8") as file:
            return dict(json.load(file))
    except (OSError, ValueError, TypeError):
        return {}


def write_stamp(venv, stamp):
    """Declares the environment whole, or unfinished where ``stamp`` has no "python", in one step."""
    import json

    path = os.path.join(venv, "stamp.json")
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(stamp, file)
    os.replace(path + ".new", path)


def run(command, root, keep_open):
    """Runs one installing command; Trouble with the cause, as far as its output tells it, when that fails.

    ``keep_open`` is the lock: the child holds it too, so that a pip that outlives us keeps others out.
    """
    import subprocess

    environ = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_USER="0", PYTHONNOUSERSITE="1")
    done = subprocess.run(
        command, cwd=root, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, pass_fds=[keep_open.fileno()] if keep_open else [],
    )  # fmt: skip
    if done.returncode == 0:
        return
    output = done.stdout.decode("utf-8", "replace")
    if any(mark in output for mark in DISK):
        raise Trouble(disk_full(root))
    if any(mark in output for mark in NETWORK):
        raise NoNetwork("no network: pip cannot reach its package index; connect and run make again")
    with open(os.path.join(root, ".venv.log"), "w", encoding="utf-8") as file:
        file.write(output)
    last = next((line for line in reversed(output.splitlines()) if line.startswith("ERROR")), "")
    raise Trouble("making .venv failed; .venv.log has the whole story. %s" % last[:200])


def disk_full(root):
    """The line for a disk without space."""
    import tempfile

    where = (root, tempfile.gettempdir())
    return "the disk is full: the environment needs 3 GB, more with CUDA, in %s and in %s; free some" % where


def remove(path):
    """Deletes a folder, a file or a link, or nothing if there is none."""
    import shutil

    if os.path.islink(path) or os.path.isfile(path):
        os.remove(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)


def bootstrap(root, names, torch, lock=None):
    """Brings ``root/.venv`` to what ``names`` and ``torch`` ask for; does nothing where it is so already."""
    import hashlib
    import platform
    import time

    venv = os.path.join(root, ".venv")
    python = os.path.join(venv, "bin", "python")
    requirements = wanted(root, names)
    digests = {k: hashlib.sha256("\n".join(v).encode()).hexdigest() for k, v in requirements.items()}
    stamp = read_stamp(venv)
    fresh = {"python": platform.python_version(), "torch": torch or stamp.get("torch", "default")}
    if fresh["torch"] not in TORCH_INDEX:
        raise Trouble("TORCH=%s is unknown; it can be %s" % (torch, " or ".join(sorted(TORCH_INDEX))))
    installed = stamp.get("installed", {})
    kept = os.path.exists(python) and all(stamp.get(key) == value for key, value in fresh.items())
    kept = kept and all(installed.get(name, digest) == digest for name, digest in digests.items())
    missing = [name for name in digests if not kept or name not in installed]
    if not missing:
        return
    if lock is None:
        with Lock(root) as lock:
            return bootstrap(root, names, torch, lock)

    pip = [python, "-I", "-m", "pip", "install", "--quiet", "--no-input", "--progress-bar", "off"]
    started = time.time()
    check_venv()
    if kept:
        sys.stderr.write("adding %s to .venv ...\n" % " and ".join(missing))
    else:
        sys.stderr.write("making .venv with Python %s (a minute or two) ...\n" % fresh["python"])
    if not kept:
        remove(os.path.join(venv, "stamp.json"))
        remove(venv)
        os.mkdir(venv)
    write_stamp(venv, {"torch": fresh["torch"]})
    try:
        if not kept:
            base = getattr(sys, "_base_executable", sys.executable)  # not the one in .venv, which is gone now
            run([base, "-I", "-m", "venv", venv], root, lock.file)
            pinned = [line for line in requirements["book"] if line.startswith("torch==")]
            if TORCH_INDEX[fresh["torch"]] and pinned:
                run(pip + ["--index-url", TORCH_INDEX[fresh["torch"]]] + pinned, root, lock.file)
        run(pip + [line for name in requirements for line in requirements[name]], root, lock.file)
    except NoNetwork:
        if kept:
            write_stamp(venv, stamp)
        raise
    write_stamp(venv, dict(fresh, installed=dict(installed, **digests) if kept else digests))
    remove(os.path.join(root, ".venv.log"))
    sys.stderr.write("made in %.0f s\n" % (time.time() - started))


class Lock:
    """Keeps a second make out, and tells it, while the first is at work; idle where fcntl is missing."""

    def __init__(self, root):
        self.path, self.file = os.path.join(root, ".venv.lock"), None

    def __enter__(self):
        try:
            import fcntl
        except ImportError:
            return self
        self.file = open(self.path, "w")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write("another make is at work on .venv; waiting for it ...\n")
            fcntl.flock(self.file, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_):
        if self.file:
            self.file.close()


def main(arguments):
    """Returns the exit code: 0, 2 for trouble, 130 where it was interrupted."""
    import errno
    import signal

    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        check_python()
        check_place(root)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        bootstrap(root, arguments or ["book"], os.environ.get("TORCH"))
    except Trouble as trouble:
        message, code = str(trouble), 2
    except KeyboardInterrupt:
        message, code = "interrupted; the next make begins anew", 130
    except EnvironmentError as error:
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None))
        message, code = disk_full(root) if full else "cannot make .venv: %s" % error, 2
    else:
        return 0
    sys.stderr.write("make: %s\n" % message)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
