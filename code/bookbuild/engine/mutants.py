"""``make mutants``: breaks the code on purpose and expects the tests to notice.

``tests/mutants.toml`` lists the mutants. Each is applied to a copy of the project; its tests must fail there
and pass on the copy without it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bookbuild.engine.project import BookError, Project
from rlworkshop import provenance

TIMEOUT = 300  # seconds for the tests of one mutant
COPIED = ("code", "tests", "pyproject.toml", "benchmarks")


@dataclass(frozen=True)
class Mutant:
    """One change that must turn its tests red."""

    file: str
    find: str
    replace: str
    breaks: str
    tests: tuple[str, ...]

    def mutated(self, root: Path) -> str:
        """The text of the broken file.

        Raises:
            BookError: the text to change is not there exactly once, or the change changes nothing.
        """
        try:
            text = provenance.source_text((root / self.file).read_bytes())
        except (OSError, SyntaxError) as error:
            raise BookError(f"mutant of {self.file} ({self.breaks}): {error}") from None
        if text.count(self.find) != 1 or self.find == self.replace:
            raise BookError(f"mutant of {self.file} ({self.breaks}): its text must occur once, and change")
        return text.replace(self.find, self.replace)


def read(project: Project) -> list[Mutant]:
    """The table of mutants.

    Raises:
        BookError: the table cannot be read, or a mutant does not fit the code any more.
    """
    file = project.root / "tests" / "mutants.toml"
    try:
        rows = tomllib.loads(file.read_text(encoding="utf-8"))["mutant"]
        mutants = [Mutant(**{**row, "tests": tuple(row["tests"])}) for row in rows]
        if any(isinstance(row["tests"], str) for row in rows):
            raise TypeError("'tests' is a list")
    except (OSError, KeyError, TypeError, tomllib.TOMLDecodeError) as error:
        raise BookError(f"tests/mutants.toml cannot be read: {error}") from None
    for mutant in mutants:
        mutant.mutated(project.root)
    return mutants


@contextmanager
def copy_of(project: Project) -> Iterator[Path]:
    """A copy of what the tests need, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        root = Path(folder).resolve()
        for name in COPIED:
            source = project.root / name
            if source.is_dir():
                shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy(source, root / name)
        yield root


def tests_pass(project: Project, root: Path, tests: tuple[str, ...]) -> bool:
    """Whether the tests in ``tests`` pass in the copy at ``root``; one that hangs has failed.

    Raises:
        BookError: pytest could not run them at all.
    """
    environment = {**project.environment(), "PYTHONPATH": str(root / "code"), "MPLBACKEND": "agg"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not book"]
    try:
        done = subprocess.run(
            [*command, *tests], cwd=root, env=environment, capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in (0, 1, 2):  # 2: the broken module does not even import
        raise BookError(
            f"the tests {', '.join(tests)} did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return done.returncode == 0


def survives(project: Project, mutant: Mutant) -> bool:
    """Whether the tests still pass with ``mutant`` applied."""
    with copy_of(project) as root:
        (root / mutant.file).write_text(mutant.mutated(root), encoding="utf-8")
        return tests_pass(project, root, mutant.tests)


def run(project: Project) -> int:
    """Apply every mutant; print and return 1 if one survives."""
    mutants = read(project)
    with copy_of(project) as root:
        every = tuple(sorted({test for mutant in mutants for test in mutant.tests}))
        if not tests_pass(project, root, every):
            raise BookError("the tests fail without any mutant: mend that first")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        survivors = 0
        for mutant, alive in zip(mutants, pool.map(lambda m: survives(project, m), mutants), strict=True):
            survivors += alive
            print(f"{'SURVIVES' if alive else 'killed  '} {mutant.file}: {mutant.breaks}", flush=True)
    print(f"{len(mutants) - survivors} of {len(mutants)} mutants killed")
    return 1 if survivors else 0
