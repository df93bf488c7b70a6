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
from collections.abc import Mapping, Sequence
from typing import Any

SEED_SET = "RLWORKSHOP_SEED_SET"  # the environment variable that moves a page to other seeds
MIN_SETS, MIN_MARGIN = 10, 3.0  # fresh seed sets, and standard deviations that a bound must lie away
HALF = 0.5  # of the way from nothing to the effect, where a bound lies at least
_drawn: set[int] = set()  # how many seeds were asked for
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
    _drawn.add(n)
    return [seed() + i for i in range(n)]


def seed() -> int:
    """The first seed of the present seed set (0 unless one is asked for)."""
    text = os.environ.get(SEED_SET, "0")
    if not text.isdecimal():
        raise ValueError(f"{SEED_SET}={text!r}: a seed set is a whole number, 0 or more")
    return int(text) * 10_000


def claim(
    text: str,
    value: float | None = None,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    seeds: int | None = None,
    name: str | None = None,
    arms: tuple[Any, Any] | None = None,
    ratio: bool = False,
    neutral: float | None = None,
    fails_under: str | Sequence[str] = (),
    control: str | None = None,
    stored: str | None = None,
) -> None:
    """State that ``value`` keeps its bound, and show it.

    Args:
        text: the statement, one sentence, in words a reader understands.
        value: the measured statistic.
        at_least, at_most: the bound; give one of them, or both for a range.
        seeds: how many seeds ``value`` was taken over; ``None`` says that nothing in it is random.
        name: short name for references from the prose; made from ``text`` when left out.
        arms: in place of ``value`` two measurements (numbers, or one for each seed): claimed is by how much
            the mean of the first is larger, or with ``ratio`` how many times.
        neutral: what ``value`` would be if there were no effect: 0, 1, chance. That of arms is known.
        fails_under: names of the faults, planted by ``make calibrate``, with which the claim must fail.
        control: of a claim that something fails, the claim of the page that shows that it could succeed.
        stored: the stored run that ``value`` is of, which says nothing about the present code.

    Raises:
        ClaimFailed: the bound does not hold, or ``value`` is not a finite number.
        ValueError: there is no bound or no value; the bounds exclude each other, or hold for two arms that
            are the same; or the page has never drawn so many seeds.
        TypeError: ``value`` is not a single number.

    Book: reference/verification
    """
    if (value is None) == (arms is None):
        raise ValueError(f"claim {text!r} needs a value, or two arms to compare")
    if at_least is None and at_most is None:
        raise ValueError(f"claim {text!r} has no bound: give at_least=, at_most= or both")
    if at_least is not None and at_most is not None and at_least > at_most:
        raise ValueError(f"claim {text!r} can never hold: at_least={at_least} > at_most={at_most}")
    if seeds is not None and not stored and seeds not in _drawn:
        drawn = ", ".join(map(str, sorted(_drawn))) or "none"
        raise ValueError(f"claim {text!r} is of {seeds} seeds, and verify.seeds has given {drawn}")
    try:
        if arms is not None:
            first, second = (statistics.fmean(_numbers(arm)) for arm in arms)
            value = first / second if ratio else first - second
        value = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"claim {text!r}: value must be one number, not {value!r}") from None
    record = {
        "name": slug(name or text),
        "text": text,
        "value": value if math.isfinite(value) else str(value),
        "at_least": None if at_least is None else float(at_least),
        "at_most": None if at_most is None else float(at_most),
        "seeds": seeds,
        "seed_set": seed() // 10_000,
        "neutral": float(ratio) if arms is not None else neutral,
        "fails_under": [fails_under] if isinstance(fails_under, str) else [*fails_under],
        "control": control,
        "stored": stored,
        "arms": arms is not None,
    }
    if arms is not None and holds(record, record["neutral"]):
        raise ValueError(f"claim {text!r} would hold if both arms were the same ({bound(record)})")
    record["held"] = math.isfinite(value) and holds(record, value)
    line = describe(record)
    _show(record, line)
    if not record["held"]:
        raise ClaimFailed(line)


def describe(record: dict[str, Any]) -> str:
    """A claim's record as the line that a page shows."""
    number = record["value"] if isinstance(record["value"], str) else f"{record['value']:.4g}"
    over = "exact" if record["seeds"] is None else f"{record['seeds']} seeds"
    over = f"stored run {record['stored']}" if record.get("stored") else over
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


def way(record: dict[str, Any], values: Sequence[float], under: Mapping[str, Any] | None = None) -> float:
    """How far a claim's bound lies on the way from nothing (0) to the mean of ``values`` (1).

    Nothing is what the claim calls ``neutral``, else the nearest of its values ``under`` faults. Of a range,
    or where nothing is known, nan.
    """
    bounds = [limit for limit in (record["at_least"], record["at_most"]) if limit is not None]
    there = [value for value in (under or {}).values() if isinstance(value, int | float)]
    nothing = [record["neutral"]] if record.get("neutral") is not None else there
    if len(bounds) != 1 or not nothing:
        return math.nan
    mean = statistics.fmean(values)
    nearest = min(nothing, key=lambda value: abs(value - bounds[0]))
    return (bounds[0] - nearest) / (mean - nearest) if mean != nearest else math.nan


def doubts(record: dict[str, Any], kept: Mapping[str, Any] | None) -> list[str]:
    """Why a claim may fail on other seeds, or say nothing, by its calibration; empty when all is well.

    ``kept`` has ``values`` on fresh seed sets, and the values ``under`` faults by their names. A claim in
    which nothing is random (``seeds`` left out), or of a stored run, needs no values.
    """
    values, under = (kept or {}).get("values", []), (kept or {}).get("under", {})
    found = []
    if record["seeds"] is not None and not record.get("stored"):
        if len(values) < MIN_SETS:
            found.append(f"not calibrated on {MIN_SETS} fresh seed sets")
        elif (far := margin(record, values)) < MIN_MARGIN:
            found.append(f"its bound lies {far:.1f} standard deviations away, not {MIN_MARGIN:.0f}")
        if not (record.get("fails_under") or record.get("control") or record.get("arms")):
            found.append("names no fault that it fails under, and no control")
    for fault in record.get("fails_under", ()):
        if fault not in under:
            found.append(f"not tried under {fault}")
        elif isinstance(under[fault], int | float) and holds(record, under[fault]):
            found.append(f"holds under {fault} as well ({under[fault]:.4g})")
    return found


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


def _numbers(arm: Any) -> list[float]:
    """One number for each seed, or a single one."""
    return [float(one) for one in arm] if hasattr(arm, "__len__") else [float(arm)]
