"""Checks of other people's implementations: what one is, how it objects, and the words of a finding.

Book: practice/debugging
"""

import contextlib
import random
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import torch

PASSED, FAILED, NOT_MADE = "passed", "failed", "not made"


class Objection(Exception):
    """What a check objects to: the number seen, the number expected, a likely cause, the next experiment."""

    def __init__(self, seen: str, expected: str, likely: str = "", experiment: str = ""):
        super().__init__(seen)
        self.seen, self.expected, self.likely, self.experiment = seen, expected, likely, experiment


@dataclass
class Reviewed:
    """A file under review: its module, and the agents that its ``train`` has made so far."""

    module: ModuleType
    trained: dict[tuple, Any] = field(default_factory=dict)

    def piece(self, name: str) -> Any:
        """A piece of the implementation by its name."""
        return getattr(self.module, name)


@dataclass(frozen=True)
class Check:
    """One thing that a right implementation does.

    Args:
        name: short, and what it is about. shows: what it does, in words.
        needs: the pieces that it tries. run: raises ``Objection``, or says what it saw.
        after: checks that must have passed, for it would only repeat what they object to.
    """

    name: str
    shows: str
    needs: tuple[str, ...]
    run: Callable[[Reviewed], str]
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What came of a check."""

    check: Check
    verdict: str
    seen: str = ""
    expected: str = ""
    likely: str = ""
    experiment: str = ""

    def __str__(self) -> str:
        mark = {PASSED: "✓", FAILED: "✗", NOT_MADE: "·"}[self.verdict]
        if self.verdict != FAILED:
            return f"{mark} {self.check.name}: {self.check.shows} ({self.seen})"
        parts = {"seen": self.seen, "expected": self.expected, "likely": self.likely, "next": self.experiment}
        lines = [f"    {name:9s} {text}" for name, text in parts.items() if text]
        return "\n".join([f"{mark} {self.check.name}: {self.check.shows}", *lines])


def make(check: Check, reviewed: Reviewed, before: Mapping[str, Finding]) -> Finding:
    """Make one check; ``before`` has the findings so far, by the names of their checks.

    Whatever an implementation raises becomes a finding: no check takes the others with it.
    """
    if missing := [name for name in check.needs if not hasattr(reviewed.module, name)]:
        return Finding(check, NOT_MADE, f"not made: the file has no {' and no '.join(missing)}")
    if waits := [name for name in check.after if before[name].verdict != PASSED]:
        return Finding(check, NOT_MADE, f"not made: it rests on {waits[0]}")
    try:
        with own_randomness():
            return Finding(check, PASSED, check.run(reviewed))
    except Objection as told:
        return Finding(check, FAILED, told.seen, told.expected, told.likely, told.experiment)
    except (Exception, SystemExit) as error:
        return Finding(
            check,
            FAILED,
            last_line(error, reviewed.module.__file__),
            "no exception",
            "this piece takes other arguments, or returns something else, than the adapter promises",
            f"call {check.needs[0]} by hand, with arguments as `--list` names them",
        )


def last_line(error: BaseException, file: str | None) -> str:
    """The last line of a traceback, and the line of ``file`` that it came through last."""
    text = "".join(traceback.format_exception_only(error)).strip().split("\n")[-1]
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{text} (line {frames[-1].lineno}: {frames[-1].line})" if frames else text


@contextlib.contextmanager
def own_randomness() -> Iterator[None]:
    """Begins the three global generators anew, and leaves them as they were: a review is repeatable."""
    kept = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(0), np.random.seed(0), torch.manual_seed(0)
        try:
            yield
        finally:
            random.setstate(kept[0])
            np.random.set_state(kept[1])


def named(seen: np.ndarray, mistakes: Mapping[str, Any], tolerance: float = 1e-3) -> str:
    """The first of these mistakes that gives what was seen; empty if none does."""
    alike = (name for name, value in mistakes.items() if np.allclose(seen, value, atol=tolerance))
    return next(alike, "")


def digits(values: Any) -> str:
    """Numbers as a report shows them."""
    return "[" + ", ".join(f"{x:.3g}" for x in np.ravel(np.asarray(values, float)) + 0.0) + "]"
