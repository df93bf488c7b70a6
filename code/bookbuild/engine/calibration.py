"""How far a claim's bound lies from what other seeds measure: ``make claims`` and its committed figures.

A page's claims are re-run on seed sets that no build uses; ``benchmarks/claims/PAGE.json`` keeps each
claim's values. A bound should lie at least three standard deviations away from their mean.
"""

import math
import os
import re
import statistics
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from bookbuild.engine import pages, run
from bookbuild.engine.project import BookError, Project, drop_bytecode
from bookbuild.engine.schedule import Job, Schedule
from bookbuild.engine.store import Store, Subject, read_json, write_json
from rlworkshop import verify


def path(project: Project, page: str):
    return project.root / "benchmarks" / "claims" / f"{page.replace('/', '-')}.json"


def read(project: Project, page: str) -> dict[str, dict]:
    """The page's committed calibration: claim name to ``{"values": [...], ...}``."""
    return read_json(path(project, page), {}).get("claims", {})


def summary(record: dict, kept: dict | None) -> list[str]:
    """A claim's calibration as three cells of the report: held, mean ± s.d., margin."""
    if record["seeds"] is None:
        return ["–", "–", "–"]
    if kept is None:
        return ["not calibrated", "–", "–"]
    values = kept["values"]
    held = sum(verify.holds(record, value) for value in values)
    found, spread = verify.margin(record, values), verify.spread(values)
    shown = "no spread" if math.isinf(found) else f"{found:.1f} s.d."
    return [f"{held} of {len(values)}", f"{statistics.fmean(values):.4g} ± {spread:.2g}", shown]


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
    store, claims, failures = Store(project), {}, {}

    async def work(page: pages.Page, subject: Subject) -> None:
        key = store.key(subject)
        outcome = await run.run_page(project, page, dict(subject.variables))
        claims[subject], failures[subject] = outcome.claims, outcome.failures
        if not outcome.failures:
            store.put(subject, key, {"claims": outcome.claims}, outcome.inputs)

    jobs, subjects = [], {page.name: [] for page in chosen}
    for page in chosen:
        for seed_set in seed_sets:
            name, variables = f"{page.name}, seed set {seed_set}", ((verify.SEED_SET, str(seed_set)),)
            subject = replace(pages.subject(project, page), kind="claims", name=name, variables=variables)
            subjects[page.name].append(subject)
            if known := store.get(subject):
                claims[subject], failures[subject] = known["claims"], []
            else:
                jobs.append(Job(name, page.budget, partial(work, page, subject), page.exclusive))
    Schedule.begin(Schedule(jobs, os.cpu_count() or 1, print).run())
    green = True
    for page, tried in subjects.items():
        found: dict[str, tuple[dict, list[float]]] = {}
        for record in (record for subject in tried for record in claims[subject]):
            found.setdefault(record["name"], (record, []))[1].append(float(record["value"]))
        wrong = [failure for subject in tried for failure in failures[subject]]
        broken = [failure for failure in wrong if "ClaimFailed" not in failure.error]
        _print(page, found, broken, len(tried))
        green &= not wrong
        if save and not broken:
            _save(project, page, seed_sets, found)
    return 0 if green else 1


def _print(page: str, found: dict[str, tuple[dict, list[float]]], broken: list, sets: int) -> None:
    """Print how a page's claims fared on so many seed sets, and what broke off a run."""
    print("\n".join([f"\n{page}", *(f"  {failure}" for failure in broken)]))
    for record, values in found.values():
        held = sum(verify.holds(record, value) for value in values)
        spread, far = verify.spread(values), verify.margin(record, values)
        print(f"  held {held} of {sets}: {record['text']} ({verify.bound(record)})")
        line = f"    mean {statistics.fmean(values):.4g}, s.d. {spread:.3g}, "
        print(f"{line}from {min(values):.4g} to {max(values):.4g}; margin {far:.1f} s.d.")
        if record["seeds"] is not None and spread == 0.0 and len(values) > 1:
            print("    the same on every seed set: saturated, or the page does not use verify.seeds()")


def _save(project: Project, page: str, seed_sets: list[int], found: dict) -> None:
    claims = {
        name: {"text": record["text"], "values": values, "seeds": record["seeds"]}
        for name, (record, values) in found.items()
        if record["seeds"] is not None
    }
    made = {"seed_sets": seed_sets, "date": datetime.now(UTC).strftime("%Y-%m-%d"), "claims": claims}
    write_json(path(project, page), made)
    print(f"  written to {path(project, page).relative_to(project.root)}")
