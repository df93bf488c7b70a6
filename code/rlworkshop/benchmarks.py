"""The rows of the book's benchmark table: what each one is, and what has been stored of it.

A row is an algorithm on a task with its settings, steps and seeds. Rows stand in ``benchmarks/rows.toml``,
their runs in ``benchmarks/results/benchmark``, one file for each row, written by ``benchmarks/table.py``.

Book: reference/benchmarks
"""

import contextlib
import html
import json
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlworkshop import provenance, runs, stats

FIRST_SEED = 11_000  # rows have the same seeds, from this one on
SCORES = ("training", "final", "best")  # never to be mixed
ROW_KEYS = {"algorithm", "task", "variant", "steps", "seeds", "settings", "packages"}


class RowsError(ValueError):
    """The file of rows, or what was asked of it, is wrong; the text says what, and what there is."""


@dataclass(frozen=True)
class Row:
    """One row of the table: an algorithm on a task.

    Attributes:
        algorithm, task: names. variant: what tells apart rows of the same two, ``""`` for the main one.
        steps: environment steps of each run. seeds: how many runs are wanted.
        settings: those that differ from the algorithm's own defaults.
        code: the module of the algorithm, and the names in it of ``train``, ``load`` and ``config``.
        packages: further ones whose versions decide its results.

    Book: reference/benchmarks
    """

    algorithm: str
    task: str
    steps: int
    seeds: int
    settings: dict[str, Any]
    code: dict[str, str]
    variant: str = ""
    packages: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What its file is called, without the ending."""
        return "-".join(filter(None, (self.algorithm, self.task, self.variant)))

    @property
    def about(self) -> dict[str, Any]:
        """All that decides its runs, but seeds and code, as plain values."""
        return {**self.code, "task": self.task, "steps": self.steps, "settings": self.settings}

    @property
    def command(self) -> str:
        """What runs it, or what is left of it."""
        variant = f" V={self.variant}" if self.variant else ""
        return f"make benchmark A={self.algorithm} T={self.task}{variant}"

    def wanted(self) -> range:
        """The seeds of its runs."""
        return range(FIRST_SEED, FIRST_SEED + self.seeds)


def registry(path: str | Path | None = None) -> list[Row]:
    """All rows, in the order in which they are to be run.

    Raises:
        RowsError: the file is missing or no TOML; a row lacks something, has too much, or is there twice.

    Book: reference/benchmarks
    """
    path = _folder() / "rows.toml" if path is None else Path(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise RowsError(f"{path} cannot be read: {error}") from error
    rows, known = [], data.get("algorithms", {})
    for given in data.get("row", []):
        wrong = sorted({"algorithm", "task", "steps", "seeds"} - {*given} | {*given} - ROW_KEYS)
        if wrong or given["algorithm"] not in known:
            what = ", ".join(wrong) or f"algorithm {given['algorithm']!r}: {', '.join(known)} are known"
            raise RowsError(f"{path}: the row {given} is wrong in {what}")
        packages = tuple(given.get("packages", ()))
        row = Row(**{"settings": {}, **given, "code": known[given["algorithm"]], "packages": packages})
        if row.name in {other.name for other in rows}:
            raise RowsError(f"{path}: there are two rows {row.name}: give one a variant")
        rows.append(row)
    return rows


def chosen(
    algorithm: str = "", task: str = "", variant: str | None = None, rows: Iterable[Row] | None = None
) -> list[Row]:
    """The rows of an algorithm and a task; without either, of all. ``variant`` ``None``: all variants.

    Raises:
        RowsError: there is none.

    Book: reference/benchmarks
    """
    rows = registry() if rows is None else [*rows]
    wanted = {"algorithm": algorithm, "task": task}
    for name, value in wanted.items():
        there = dict.fromkeys(getattr(row, name) for row in rows)
        if value and value not in there:
            raise RowsError(f"no row has the {name} {value!r}; there are {', '.join(there)}")
    found = [r for r in rows if algorithm in ("", r.algorithm) and task in ("", r.task)]
    if not found:
        tasks = ", ".join(r.task for r in rows if r.algorithm == algorithm)
        raise RowsError(f"{algorithm} has no row on {task}; it has {tasks}")
    if variant is not None and not any(row.variant == variant for row in found):
        there = ", ".join(repr(row.variant) for row in found)
        raise RowsError(f"{algorithm} on {task} has no variant {variant!r}; it has {there}")
    return [row for row in found if variant in (None, row.variant)]


# -------------------------------------------------------------------------------------- what is stored


@dataclass(frozen=True)
class Stored:
    """What has been run of a row.

    Attributes:
        row: which. runs: what was measured of each seed. provenance: of the file.
        fits: whether code and settings are still those of the runs.

    Book: reference/benchmarks
    """

    row: Row
    runs: dict[int, dict[str, Any]]
    provenance: dict[str, Any]
    fits: bool

    @property
    def whole(self) -> bool:
        """Whether no seed is missing."""
        return {*self.row.wanted()} <= {*self.runs}

    def scores(self, kind: str = "final") -> np.ndarray:
        """One of the three scores of each run (S,); NaN where it has none."""
        return self._numbers(kind)

    def seconds(self) -> np.ndarray:
        """CPU seconds of each training (S,), evaluations left out."""
        return self._numbers("cpu_seconds")

    def looks(self) -> tuple[np.ndarray, np.ndarray]:
        """Evaluations during training: steps (L,) and scores (S, L)."""
        ys = np.array([each["looks"] for each in self.runs.values()])
        return np.linspace(0, self.row.steps, ys.shape[1] + 1)[1:], ys

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns of training: steps (P,) and returns (S, P); NaN before the first episode has ended."""
        ys = np.array([each["curve"] for each in self.runs.values()], dtype=float)
        return np.linspace(0, self.row.steps, ys.shape[1] + 1)[1:], ys

    def _numbers(self, name: str) -> np.ndarray:
        return np.array([each[name] for each in self.runs.values()], dtype=float)


def stored(row: Row, folder: str | Path | None = None) -> Stored | None:
    """What has been run of ``row``; ``None``: nothing yet.

    No note is shown for it, as there are dozens of rows: a page shows ``fits`` in its table.

    Raises:
        RunFileError: the file is not of a row.

    Book: reference/benchmarks
    """
    path = result_folder(folder) / f"{row.name}.json"
    if not path.exists():
        return None
    with _silent():
        found = runs.stored(row.name, path.parent)
    try:
        per_seed = {int(seed): each for seed, each in sorted(found.results["runs"].items())}
        same = found.results["about"] == json.loads(json.dumps(row.about))
    except (KeyError, TypeError, AttributeError) as error:
        raise runs.RunFileError(f"{path} is not of a row ({error!r}): delete it and run it anew") from error
    return Stored(row, per_seed, found.provenance, found.fits and same)


def table(rows: Iterable[Row] | None = None, folder: str | Path | None = None) -> list[Stored]:
    """All rows of which something has been run.

    Book: reference/benchmarks
    """
    rows = registry() if rows is None else rows
    return [found for row in rows if (found := stored(row, folder)) is not None]


@dataclass(frozen=True)
class Note:
    """One line for the reader about the rows that a page shows; a notebook marks it like a stored run.

    Book: reference/benchmarks
    """

    text: str
    fits: bool

    def _repr_html_(self) -> str:
        return f'<div class="stored-run {"fits" if self.fits else "outdated"}">{html.escape(self.text)}</div>'


def note(found: Iterable[Stored]) -> Note:
    """How many rows and runs are shown, when they were made, and whether all fit the code.

    Book: reference/benchmarks
    """
    found = [*found]
    outdated = [each.row.name for each in found if not each.fits]
    dates = sorted({each.provenance["date"] for each in found})
    state = f"THE CODE HAS CHANGED SINCE for {', '.join(outdated)}" if outdated else "digests fit the code"
    total = sum(len(each.runs) for each in found)
    made = f"made on {' to '.join(dict.fromkeys((dates[0], dates[-1])))} by benchmarks/table.py"
    return Note(f"stored runs of {len(found)} rows, {total} in all, {made}; {state}", not outdated)


def summary(scores: np.ndarray) -> tuple[float, float, float]:
    """Interquartile mean of the runs ``scores`` (S,), and its 95 % bootstrap interval (low, high).

    Of fewer than three runs there is no interval: NaN.

    Book: reference/benchmarks
    """
    low, high = stats.bootstrap_interval(scores) if len(scores) > 2 else (np.nan, np.nan)
    return float(stats.iqm(scores)), low, high


def result_folder(folder: str | Path | None = None) -> Path:
    """Where runs of rows are kept."""
    return _folder() / "results" / "benchmark" if folder is None else Path(folder)


def _folder() -> Path:
    return (provenance.project() or Path.cwd()) / "benchmarks"


def _silent() -> contextlib.AbstractContextManager:
    """In a notebook, swallows what is displayed."""
    if "IPython" not in sys.modules:
        return contextlib.nullcontext()
    from IPython.utils.capture import capture_output

    return capture_output()
