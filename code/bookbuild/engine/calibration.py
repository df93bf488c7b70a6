"""How far a claim's bound lies from what other seeds measure: ``make claims`` and its committed figures.

A page's claims are re-run on seed sets that no build uses; ``benchmarks/claims/PAGE.json`` keeps each
claim's values. A bound should lie at least three standard deviations away from their mean.
"""

import math
import os
import re
import statistics
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bookbuild.engine import pages, run
from bookbuild.engine.project import BookError, Project, drop_bytecode
from bookbuild.engine.schedule import Job, Schedule
from bookbuild.engine.store import Store, read_json, write_json
from rlworkshop import verify

MIN_SETS, MIN_MARGIN = 10, 3.0


def path(project: Project, page: str):
    return project.root / "benchmarks" / "claims" / f"{page.replace('/', '-')}.json"


def read(project: Project, page: str) -> dict[str, dict]:
    """The page's committed calibration: claim name to ``{"values": [...], ...}``."""
    return read_json(path(project, page), {}).get("claims", {})


def margin(record: dict, values: list[float]) -> float:
    """Distance from the mean of ``values`` to the claim's nearest bound, in standard deviations.

    Infinite where the values do not vary and the bound holds; negative where the mean breaks the bound.
    """
    if not all(map(math.isfinite, values)):
        return -math.inf
    mean = statistics.fmean(values)
    low = -math.inf if record["at_least"] is None else record["at_least"]
    high = math.inf if record["at_most"] is None else record["at_most"]
    slack = min(mean - low, high - mean)
    spread = _spread(values)
    if spread == 0.0:
        return math.inf if slack >= 0 else -math.inf
    return slack / spread


def problem(record: dict, kept: dict | None) -> str | None:
    """What is wrong with a claim's calibration; ``None`` when it is in order. Exact claims need none."""
    if record["seeds"] is None:
        return None
    if kept is None or len(kept["values"]) < MIN_SETS:
        return f"not calibrated on {MIN_SETS} fresh seed sets"
    if (found := margin(record, kept["values"])) < MIN_MARGIN:
        return f"its bound lies {found:.1f} standard deviations away, not {MIN_MARGIN:.0f}"
    return None


def summary(record: dict, kept: dict | None) -> list[str]:
    """A claim's calibration as three cells of the report: held, mean ± s.d., margin."""
    if record["seeds"] is None:
        return ["–", "–", "–"]
    if kept is None:
        return ["not calibrated", "–", "–"]
    values = kept["values"]
    held = sum(holds(record, value) for value in values)
    found, spread = margin(record, values), _spread(values)
    shown = "no spread" if math.isinf(found) else f"{found:.1f} s.d."
    return [f"{held} of {len(values)}", f"{statistics.fmean(values):.4g} ± {spread:.2g}", shown]


def _spread(values: list[float]) -> float:
    """Standard deviation; 0 of one value, nan where a value is no number."""
    if not all(map(math.isfinite, values)):
        return math.nan
    return statistics.stdev(values) if len(values) > 1 else 0.0


def holds(record: dict, value: float) -> bool:
    """Whether ``value`` keeps the claim's present bound."""
    low, high = record["at_least"], record["at_most"]
    return (low is None or value >= low) and (high is None or value <= high)


@dataclass(frozen=True)
class Rerun:
    """What a page claimed on one seed set."""

    claims: list[dict]
    failures: list[run.Failure]


def seed_sets(text: str) -> list[int]:
    """``"1000..1009"`` or ``"7"`` as a list of seed sets.

    Raises:
        BookError: the text is neither, or a set is 0 (the one that builds use).
    """
    found = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last:
        raise BookError(f"SEEDS={text}: give seed sets from 1 up, as 1000..1009 or 7")
    return list(range(first, last + 1))


def command(project: Project, seeds: str, page: str | None, save: bool) -> int:
    """``make claims`` and ``make calibrate``."""
    return rerun(project, seed_sets(seeds or ""), page, save)


def rerun(project: Project, seed_sets: list[int], only: str | None = None, save: bool = False) -> int:
    """Re-run the claims of a page (or of all) on other seed sets and print how often each held.

    Returns 0 if every claim held on every set and, for ``save``, each page's figures were written.

    Raises:
        BookError: there is no such page, or no page makes a claim.
    """
    book = pages.read_pages(project)
    chosen = [page for page in book if only in (None, page.name)]
    if not chosen:
        raise BookError(
            f"no page with code cells is called {only!r}: try one of {', '.join(p.name for p in book)}"
        )
    chosen = [page for page in chosen if any("claim(" in cell.source for cell in page.notebook.cells)]
    if not chosen:
        raise BookError("there is no claim to re-run")
    drop_bytecode(project.code)
    store = Store(project)
    results: dict[tuple[str, int], Rerun] = {}
    jobs = []
    for page in chosen:
        for seed_set in seed_sets:
            variables = ((verify.SEED_SET, str(seed_set)),)
            subject = replace(pages.subject(project, page), kind="claims", variables=variables)
            if (known := store.get(subject)) is not None:
                results[page.name, seed_set] = Rerun(known["claims"], [])
                continue

            async def work(page=page, seed_set=seed_set, subject=subject) -> None:
                key = store.key(subject)
                outcome = await run.run_page(project, page, dict(subject.variables))
                results[page.name, seed_set] = Rerun(outcome.claims, outcome.failures)
                if not outcome.failures:
                    store.put(subject, key, {"claims": outcome.claims}, outcome.inputs)

            name = f"{page.name}, seed set {seed_set}"
            jobs.append(Job(name, page.budget, work, page.exclusive))
    Schedule.begin(Schedule(jobs, os.cpu_count() or 1, print).run())
    green = True
    for page in chosen:
        outcomes = [results[page.name, seed_set] for seed_set in seed_sets]
        sound = _print(page.name, outcomes)
        green &= sound and all(not outcome.failures for outcome in outcomes)
        if save and sound:
            _save(project, page.name, seed_sets, outcomes)
    return 0 if green else 1


def _values(outcomes: list[Rerun]) -> dict[str, tuple[dict, list[float]]]:
    found: dict[str, tuple[dict, list[float]]] = {}
    for outcome in outcomes:
        for record in outcome.claims:
            found.setdefault(record["name"], (record, []))[1].append(float(record["value"]))
    return found


def _print(page: str, outcomes: list[Rerun]) -> bool:
    """Print how a page's claims fared; whether every run came to its end (a claim may have failed)."""
    print(f"\n{page}")
    sound = True
    for outcome in outcomes:
        for failure in outcome.failures:
            if "ClaimFailed" not in failure.error:
                print(f"  {failure}")
                sound = False
    for record, values in _values(outcomes).values():
        held = sum(holds(record, value) for value in values)
        spread = _spread(values)
        print(f"  held {held} of {len(outcomes)}: {record['text']} ({verify.bound(record)})")
        line = f"    mean {statistics.fmean(values):.4g}, s.d. {spread:.3g}, "
        print(f"{line}from {min(values):.4g} to {max(values):.4g}; margin {margin(record, values):.1f} s.d.")
        if record["seeds"] is not None and spread == 0.0 and len(values) > 1:
            print("    the same on every seed set: saturated, or the page does not use verify.seeds()")
    return sound


def _save(project: Project, page: str, seed_sets: list[int], outcomes: list[Rerun]) -> None:
    claims = {
        name: {"text": record["text"], "values": values, "seeds": record["seeds"]}
        for name, (record, values) in _values(outcomes).items()
        if record["seeds"] is not None
    }
    made = {"seed_sets": seed_sets, "date": datetime.now(UTC).strftime("%Y-%m-%d"), "claims": claims}
    write_json(path(project, page), made)
    print(f"  written to {path(project, page).relative_to(project.root)}")
