"""Where a book's things are, and what it is set to."""

import hashlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rlworkshop import provenance


class BookError(Exception):
    """Something that the builder can mend; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Project:
    """A book: a folder with ``conf.py``, the text in ``book/``, the code in ``code/``."""

    root: Path
    settings: dict = field(default_factory=dict)

    @classmethod
    def at(cls, root: Path | str) -> "Project":
        """The project at ``root``, with the settings of ``[tool.bookbuild]`` in its ``pyproject.toml``.

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
        settings = {}
        if (root / "pyproject.toml").exists():
            try:
                settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
            except tomllib.TOMLDecodeError as error:
                raise BookError(f"pyproject.toml cannot be read: {error}") from None
            settings = settings.get("tool", {}).get("bookbuild", {})
        return cls(root, settings)

    @property
    def book(self) -> Path:
        return self.root / "book"

    @property
    def code(self) -> Path:
        return self.root / "code"

    @property
    def build(self) -> Path:
        """Everything that is made. Deleting it is always safe."""
        return self.root / "_build"

    @property
    def state(self) -> Path:
        """What the next build may reuse: executed pages, shared runs, times."""
        return self.build / "state"

    @property
    def site(self) -> Path:
        return self.build / "html"

    @property
    def repository_url(self) -> str:
        """Where the project is hosted, without a final slash; empty when nowhere yet."""
        url = os.environ.get("BOOK_REPOSITORY_URL") or self.settings.get("repository_url", "")
        return url.rstrip("/")

    def pins(self) -> list[str]:
        """The pinned requirements, comments dropped."""
        file = self.root / "requirements.txt"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
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
            here = Path(folder)
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".") and name != "__pycache__" and here / name != self.build
            )
            yield from (here / name for name in sorted(files) if not name.startswith("."))

    def commit(self) -> str:
        """The commit the book stands at, with ``+`` when files differ from it; empty outside git."""

        def git(*arguments: str) -> str:
            command = ["git", "-C", str(self.root), *arguments]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

        try:
            if Path(git("rev-parse", "--show-toplevel")).resolve() != self.root:
                return ""
            return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain") else "")
        except (OSError, subprocess.CalledProcessError):
            return ""

    def fingerprint(self) -> str:
        """Changes with anything that a build reads: sources, settings, interpreter, commit."""
        total = hashlib.sha256()
        for part in (sys.version, self.repository_url, self.commit(), *self.pins()):
            total.update(f"{part}\0".encode())
        total.update(provenance.digest(self.sources(), self.root).encode())
        return total.hexdigest()


def drop_bytecode(code: Path) -> None:
    """Delete compiled modules below ``code``.

    Python trusts a ``.pyc`` by its source's size and second of change: two edits within one second (a
    branch switched back and forth) can leave it running code that is no longer there.
    """
    for file in code.glob("**/__pycache__/*.pyc"):
        file.unlink(missing_ok=True)
