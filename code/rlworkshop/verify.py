"""Claims: what the book says about behaviour, as named and tested inequalities.

``claim`` compares a measured value with a bound, prints a line that a person can read, and raises
when the bound does not hold. Inside a notebook the record travels in the cell's output, which is how
the book's build finds it; in a script nothing but the printed line happens.

Book: reference/verification
"""

import html
import math
import os
import re
import statistics
import sys
from collections.abc import Sequence
from typing import Any

SEED_SET = "RLWORKSHOP_SEED_SET"  # the environment variable that moves a page to other seeds
MIN_SETS, MIN_MARGIN = 10, 3.0  # fresh seed sets, and standard deviations that a bound must lie away
RECORD = "rlworkshop_claim"  # where a cell output's metadata keeps the record


class ClaimFailed(AssertionError):
    """A measured value lies on the wrong side of its bound."""


def seeds(n: int) -> list[int]:
    """``n`` seeds for an experiment: 0 … n-1, or those of another seed set when one is asked for.

    ``make claims`` re-runs a page under seed sets of its own; sets never share a seed. Use this (or
    ``seed``) for every random choice of a page, so that its claims can be checked on fresh seeds.

    Raises:
        ValueError: ``n`` is not between 1 and 10 000, or the seed set is not a whole number.
    """
    if not 1 <= n <= 10_000:
        raise ValueError(f"seeds(n) gives 1 to 10000 seeds, not {n}")
    return [seed() + i for i in range(n)]


def seed() -> int:
    """The first seed of the present seed set (0 unless one is asked for)."""
    text = os.environ.get(SEED_SET, "0")
    if not text.isdecimal():
        raise ValueError(f"{SEED_SET}={text!r}: a seed set is a whole number, 0 or more")
    return int(text) * 10_000


def claim(
    text: str,
    value: float,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    seeds: int | None = None,
    name: str | None = None,
) -> None:
    """State that ``value`` keeps its bound, and show it.

    Args:
        text: the statement, one sentence, in words a reader understands.
        value: the measured statistic.
        at_least, at_most: the bound; give one of them, or both for a range.
        seeds: how many seeds ``value`` was taken over; ``None`` says that nothing in it is random.
        name: short name for references from the prose; made from ``text`` when left out.

    Raises:
        ClaimFailed: the bound does not hold, or ``value`` is not a finite number.
        ValueError: no bound was given, or the two bounds exclude each other.
        TypeError: ``value`` is not a single number.

    Book: reference/verification
    """
    if at_least is None and at_most is None:
        raise ValueError(f"claim {text!r} has no bound: give at_least=, at_most= or both")
    if at_least is not None and at_most is not None and at_least > at_most:
        raise ValueError(f"claim {text!r} can never hold: at_least={at_least} > at_most={at_most}")
    try:
        value = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"claim {text!r}: value must be one number, not {value!r}") from None
    held = math.isfinite(value)
    held = held and (at_least is None or value >= at_least)
    held = held and (at_most is None or value <= at_most)
    record = {
        "name": slug(name or text),
        "text": text,
        "value": value if math.isfinite(value) else str(value),
        "at_least": None if at_least is None else float(at_least),
        "at_most": None if at_most is None else float(at_most),
        "seeds": seeds,
        "seed_set": seed() // 10_000,
        "held": held,
    }
    line = describe(record)
    _show(record, line)
    if not held:
        raise ClaimFailed(line)


def describe(record: dict[str, Any]) -> str:
    """A claim's record as the line that a page shows."""
    number = record["value"] if isinstance(record["value"], str) else f"{record['value']:.4g}"
    over = "exact" if record["seeds"] is None else f"{record['seeds']} seeds"
    verdict = "holds" if record["held"] else "FAILS"
    return f"claim {verdict}: {record['text']}: {number} ({bound(record)}; {over})"


def bound(record: dict[str, Any]) -> str:
    """A claim's bound in words, e.g. ``"at least 475"``."""
    parts = [("at least", record["at_least"]), ("at most", record["at_most"])]
    return " and ".join(f"{word} {limit:.6g}" for word, limit in parts if limit is not None)


def holds(record: dict[str, Any], value: float) -> bool:
    """Whether ``value`` keeps the bound of a claim, given by its record."""
    low, high = record["at_least"], record["at_most"]
    return (low is None or value >= low) and (high is None or value <= high)


def spread(values: Sequence[float]) -> float:
    """Standard deviation of a claim's values on several seed sets; 0 of one, nan where one is no number."""
    if not all(map(math.isfinite, values)):
        return math.nan
    return statistics.stdev(values) if len(values) > 1 else 0.0


def margin(record: dict[str, Any], values: Sequence[float]) -> float:
    """Distance from the mean of ``values`` to a claim's nearest bound, in standard deviations.

    Infinite where the values do not vary and the bound holds; negative where the mean breaks the bound.
    """
    if not all(map(math.isfinite, values)):
        return -math.inf
    mean = statistics.fmean(values)
    low = -math.inf if record["at_least"] is None else record["at_least"]
    high = math.inf if record["at_most"] is None else record["at_most"]
    slack, width = min(mean - low, high - mean), spread(values)
    if width == 0.0:
        return math.inf if slack >= 0 else -math.inf
    return slack / width


def doubt(record: dict[str, Any], values: Sequence[float] | None) -> str | None:
    """Why a claim may fail on other seeds, by its ``values`` on fresh seed sets; ``None`` when all is well.

    A claim in which nothing is random (``seeds`` left out) needs no values.
    """
    if record["seeds"] is None:
        return None
    if values is None or len(values) < MIN_SETS:
        return f"not calibrated on {MIN_SETS} fresh seed sets"
    if (found := margin(record, values)) < MIN_MARGIN:
        return f"its bound lies {found:.1f} standard deviations away, not {MIN_MARGIN:.0f}"
    return None


def glue(name: str, value: Any) -> None:
    """Keep ``value`` under ``name``, for the prose of the page to quote as ``{glue:text}`name:.2f```.

    The format is that of MyST-NB, which this needs only when a page is built.
    """
    show = getattr(sys.modules.get("IPython"), "display", None)
    value = value.item() if hasattr(value, "item") else value  # NumPy's numbers do not print as numbers
    if show is not None:
        metadata = {"scrapbook": {"name": name, "mime_prefix": "application/papermill.record/"}}
        data = {"application/papermill.record/text/plain": repr(value)}
        show.display(data, metadata=metadata, raw=True)


def slug(text: str) -> str:
    """``text`` as a name for addresses: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _show(record: dict[str, Any], line: str) -> None:
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        print(line)
        return
    verdict, rest = line.split(": ", 1)
    kind = "held" if record["held"] else "failed"
    page = f'<div class="claim {kind}" id="claim-{record["name"]}"><b>{verdict}</b> {html.escape(rest)}</div>'
    data = {"text/plain": line, "text/html": page}
    ipython.display.display(data, metadata={RECORD: record}, raw=True)
