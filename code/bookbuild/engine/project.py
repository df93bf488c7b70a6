"""Where a book's things are, and what it is set to."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from rlworkshop import provenance
from standalone.source import SourceError

RENDERING = "\n# what makes a site of them"  # the line of requirements.txt below which nothing runs a page


class BookError(SourceError):
    """Something that the builder can mend; the message says what is wrong and what to do."""


class Project:
    """A book: a folder with ``conf.py``, the text in ``book/``, the code in ``code/``.

    Attributes:
        settings: ``[tool.bookbuild]`` of its ``pyproject.toml``.
        build: everything that is made: deleting it is always safe. ``site``: of it, what readers see.
        state: of it, what the next build may reuse: results, executed pages, shared runs.
        executed: of it, every page as a notebook: its present prose and its outputs.
    """

    def __init__(self, root: Path, settings: dict | None = None):
        self.root, self.settings = root, settings or {}
        self.book, self.code, self.build = root / "book", root / "code", root / "_build"
        self.state, self.site, self.executed = (self.build / name for name in ("state", "html", "executed"))

    @classmethod
    def at(cls, root: Path | str) -> "Project":
        """The project at ``root``.

        Raises:
            BookError: there is no book at ``root``, or its settings cannot be read.
        """
        root = Path(root).resolve()
        if os.pathsep in str(root):
            why = f"{os.pathsep!r} in its name, which parts the folders of Python's path"
            raise BookError(f"the folder {root} has {why}: rename the folder, or move the book")
        for needed in ("conf.py", "book"):
            if not (root / needed).exists():
                raise BookError(f"no book at {root}: {needed} is missing; run this in the project's folder")
        return cls(root, pyproject(root).get("tool", {}).get("bookbuild", {}))

    @property
    def repository_url(self) -> str:
        """Where the project is hosted, without a final slash; empty when nowhere yet."""
        return (os.environ.get("BOOK_REPOSITORY_URL") or self.settings.get("repository_url", "")).rstrip("/")

    @property
    def base_url(self) -> str:
        """Where readers find the site, with a final slash; empty when nowhere yet."""
        url = os.environ.get("BOOK_BASE_URL") or self.settings.get("base_url", "")
        return url and f"{url.rstrip('/')}/"

    def page(self, file: Path) -> str:
        """What Sphinx calls the page in ``file``."""
        return file.relative_to(self.book).with_suffix("").as_posix()

    def pins(self, rendering: bool = True) -> list[str]:
        """The pinned requirements, comments dropped; on request without those below ``RENDERING``."""
        file = self.root / "requirements.txt"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        lines = (text if rendering else text.partition(RENDERING)[0]).splitlines()
        return sorted(filter(None, (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines)))

    def environment(self) -> dict[str, str]:
        """Environment variables of every process that runs the book's code: one thread, no stale bytecode."""
        threads = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM")
        given = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
        here = Path(__file__).resolve().parent
        path = [str(here / "child"), str(self.code), *map(os.path.abspath, given), str(here.parents[1])]
        return {
            **os.environ,
            **{f"{name}_NUM_THREADS": "1" for name in threads},
            "PYTHONPATH": os.pathsep.join(dict.fromkeys(path)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
            "RLWORKSHOP_RUNS": str(self.state / "runs"),
            "SDL_VIDEODRIVER": "dummy",
            "MPLBACKEND": "agg",
        }

    def sources(self) -> Iterator[Path]:
        """Every file that the site may depend on: all but what is made and what hides behind a dot."""
        for folder, folders, files in os.walk(self.root):
            made = ("__pycache__", os.path.relpath(self.build, folder))
            folders[:] = sorted(name for name in folders if name[0] != "." and name not in made)
            yield from (Path(folder, name) for name in sorted(files) if name[0] != ".")

    def commit(self) -> str:
        """The commit the book stands at, with ``+`` when files differ from it; empty outside git."""
        if not (self.root / ".git").exists() or not shutil.which("git"):
            return ""
        command = ["git", "-C", self.root, "status", "--porcelain=2", "--branch"]
        told = subprocess.run(command, capture_output=True, text=True).stdout
        head = re.match(r"# branch\.oid ([0-9a-f]{12})", told)
        return head[1] + "+" * bool(re.search("^[^#]", told, re.M)) if head else ""

    def fingerprint(self) -> str:
        """Changes with anything that a build reads: sources, settings, interpreter, commit."""
        total = hashlib.sha256()
        for part in (sys.version, self.repository_url, self.base_url, self.commit(), *self.pins()):
            total.update(f"{part}\0".encode())
        total.update(provenance.digest(self.sources(), self.root).encode())
        return total.hexdigest()


def pyproject(root: Path) -> dict:
    """What ``pyproject.toml`` says; nothing where there is none.

    Raises:
        BookError: it cannot be read.
    """
    file = root / "pyproject.toml"
    try:
        return tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except tomllib.TOMLDecodeError as error:
        raise BookError(f"pyproject.toml cannot be read: {error}") from None


def drop_bytecode(code: Path) -> None:
    """Delete compiled modules below ``code``.

    Python trusts a ``.pyc`` by its source's size and second of change: two edits within one second (a
    branch switched back and forth) can leave it running code that is no longer there.
    """
    for file in code.glob("**/__pycache__/*.pyc"):
        file.unlink(missing_ok=True)
