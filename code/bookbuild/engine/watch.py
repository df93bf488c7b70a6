"""Notes what a process reads of the project while it runs, its children too: the inputs of what it makes.

Noted are files opened below the project's folder, with the contents that they had, folders listed there,
environment variables that the page or the book's code asks for, and other programs that these start. Notes go
to one log, a line each, which Python children write on (``child/sitecustomize.py`` has them watched). A file
that was written before it was read is no input. Nothing is imported here but the standard library.
"""

import hashlib
import itertools
import json
import os
import sys
import sysconfig
from collections.abc import Iterable, Mapping

LOG, ROOT = "BOOKBUILD_WATCH_LOG", "BOOKBUILD_WATCH_ROOT"  # tell a child to go on watching
KERNEL = "BOOKBUILD_KERNEL"  # tells a process to die with the build
UNSEEN = ("_build", ".venv", ".git", ".hypothesis", ".pytest_cache")  # below the root: made, not given
STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
SHELL = ("PWD", "OLDPWD", "SHLVL", "_", "TERM", "COLUMNS", "LINES", "MFLAGS", "MPLBACKEND")  # no inputs
TOOLS = ("MAKE", "BOOKBUILD_", "JPY_", "PYTEST_", "COVERAGE_")  # beginnings of such names
MACHINE = ("uname", "sysctl", "ldconfig", "gcc", "cc", "ld", "lsb_release")  # tell of the machine
SHELLS = ("sh", "bash", "dash", "zsh")
STANDARD = tuple({sysconfig.get_path("stdlib") + os.sep, os.path.dirname(os.__file__) + os.sep, "<frozen"})
SITE = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))
PASSING = tuple(f"{os.sep}{name}{os.sep}" for name in ("IPython", "ipykernel", "pexpect", "ptyprocess"))
LISTERS = tuple(  # who list folders to find code
    f"{os.sep}{name}" for name in ("importlib", "pkgutil.py", "_pytest", "pluggy", "xdist", "coverage")
)


def inputs(log: str | os.PathLike) -> dict[str, str]:
    """What the processes that wrote ``log`` have read: ``"file book/x.csv"`` and the like, with digests."""
    found: dict[str, str] = {}
    written = set()
    if not os.path.exists(log):
        return found
    with open(log, encoding="utf-8") as lines:
        for what, name, digest in map(json.loads, lines):
            if what == "write":
                written.add(name)
            elif not (what == "file" and name in written):
                found.setdefault(f"{what} {name}", digest)
    return found


def unchanged(found: Mapping[str, str], root: str | os.PathLike, environment: Mapping[str, str]) -> bool:
    """Whether all that was read is now what it was then; ``environment`` is that of such a process."""
    return all(digest == present(name, os.fspath(root), environment) for name, digest in found.items())


def present(name: str, root: str, environment: Mapping[str, str]) -> str:
    """The digest that an input has now. A program started has none: what it reads is not seen."""
    what, _, name = name.partition(" ")
    if what == "file":
        return of_file(os.path.join(root, name))
    if what == "folder":
        return of_folder(os.path.join(root, name))
    return of_variable(name, root, environment) if what == "variable" else ""


def of_file(path: str | os.PathLike) -> str:
    """SHA-256 of a file's contents; empty where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def of_folder(path: str) -> str:
    """Digest of the names in a folder, compiled code and what hides behind a dot left out."""
    try:
        names = sorted(n for n in os.listdir(path) if n not in ("__pycache__", "_build") and n[0] != ".")
    except OSError:
        return ""
    return _digest(names)


def of_variable(name: str, root: str, environment: Mapping[str, str]) -> str:
    """Digest of a variable's value, the project's place taken out of it; of all of them for ``*``."""
    if name == "*":
        return _digest([(n, of_variable(n, root, environment)) for n in sorted(environment) if _counts(n)])
    value = environment.get(name)
    return "" if value is None else _digest(value.replace(root, "."))


def _counts(variable: str) -> bool:
    return variable not in SHELL and not variable.startswith(TOOLS)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def begin() -> None:
    """From now on note what this process reads below the folder that ``ROOT`` names, and its children."""
    if os.environ.pop(KERNEL, None):
        die_with_parent()
    root, log = os.path.realpath(os.environ[ROOT]), os.environ[LOG]
    prefix, ignored = root + os.sep, tuple(os.path.join(root, name, "") for name in UNSEEN)
    given = dict(os.environ)
    noted: set[tuple[str, str]] = set()

    def note(what: str, name: str, digest) -> None:
        if (what, name) not in noted:
            noted.add((what, name))  # first, for the digest may read again
            line = f"{json.dumps([what, name, digest()])}\n".encode()
            # anew each time: a child may have closed what was open
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.write(out, line)
            os.close(out)

    def below(path: object) -> str | None:
        """A path below the root, seen from there; None for any other."""
        if not isinstance(path, str | bytes | os.PathLike):
            return None
        path = os.path.join(os.path.realpath(os.fsdecode(path)), "")
        hidden = path.startswith(ignored) or path.endswith(f".pyc{os.sep}") or not path.startswith(prefix)
        return None if hidden else os.path.relpath(path, root)

    def asker() -> str:
        """The file of who asks, the standard library's and IPython's help aside; empty in their threads."""
        frame = sys._getframe(1)
        while frame and _passes_on(frame.f_code.co_filename):
            frame = frame.f_back
        return frame.f_code.co_filename if frame else ""

    def page_asks() -> bool:
        """Whether a cell or the book's code is who asks."""
        return not _any(SITE, asker())

    def hook(event: str, arguments: tuple) -> None:
        if event == "open":
            path, mode, flags = arguments
            if (name := below(path)) is not None:
                writes = any(s in mode for s in "wax") if isinstance(mode, str) else flags & os.O_WRONLY
                digest = str if writes else lambda: of_file(os.path.join(root, name))
                note("write" if writes else "file", name, digest)
        elif event in ("os.listdir", "os.scandir"):
            path = arguments[0] if arguments[0] is not None else "."
            who = sys._getframe(1).f_code.co_filename
            finds_code = who.startswith("<frozen importlib") or _any(LISTERS, who)
            if (name := below(path)) is not None and not (finds_code or _any(LISTERS, asker())):
                note("folder", name, lambda: of_folder(os.path.join(root, name)))
        elif event in STARTS and page_asks() and (program := _unwatched(event, arguments)):
            note("program", program, str)

    class Watched(type(os.environ)):
        """The environment, which notes what the page or the book's code asks of it."""

        def __getitem__(self, name: str) -> str:
            if isinstance(name, str) and _counts(name) and ("variable", "*") not in noted and page_asks():
                note("variable", name, lambda: of_variable(name, root, given))
            return super().__getitem__(name)

        def __iter__(self):
            if page_asks():
                note("variable", "*", lambda: of_variable("*", root, given))
            return super().__iter__()

    os.environ.__class__ = Watched
    sys.addaudithook(hook)


def die_with_parent() -> None:
    """On Linux, have this process killed when its parent is: no orphan goes on training."""
    if sys.platform == "linux":
        import ctypes

        PR_SET_PDEATHSIG, SIGKILL = 1, 9
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)


def _passes_on(file: str) -> bool:
    standard = file.startswith(STANDARD) and not _any(SITE, file)
    return standard or _any(PASSING, file) or file == __file__


def _any(parts: Iterable[str], path: str) -> bool:
    return any(part in path for part in parts)


def _unwatched(event: str, arguments: tuple) -> str | None:
    """The program that is started, unless it is a Python that will be watched as this one is."""
    if event == "os.system":
        words, environment = ["sh", "-c", arguments[0]], None
    else:
        program, command, *rest = arguments
        words, environment = [program or command[0], *list(command)[1:]], rest[-1]
    words = list(map(os.fsdecode, words))
    if os.path.basename(words[0]) in SHELLS and words[1:2] == ["-c"]:
        plain = words[2].strip() and not set(words[2]) & set("|;&<>$`()=\n")
        words = words[2].split() if plain else words  # then the shell has one program to start
    name = os.path.basename(words[0])
    names = {os.fsdecode(n) for n in environment} if environment is not None else {LOG}
    options = itertools.takewhile(lambda o: o not in ("-c", "-m") and not o.endswith(".py"), words[1:])
    alone = any(o[0] == "-" != o[1:2] and set("IES") & set(o) for o in options if o)
    watched = name.startswith("python") and LOG in names and not alone
    return None if watched or name in MACHINE else name
