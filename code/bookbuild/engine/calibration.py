"""How far a claim's bound lies from what other seeds measure: ``make claims`` and its committed figures.

A page's claims are re-run on seed sets that no build uses; ``benchmarks/claims/PAGE.json`` keeps each
claim's values. A bound should lie at least three standard deviations away from their mean. ``make calibrate``
also runs the page once under each fault that a claim names, and refuses a claim that holds there.
"""

import math
import os
import re
import statistics
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from bookbuild.engine import faults, pages, run
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
    """A claim's calibration as five cells of the report.

    How often it held, mean ± s.d., margin, what it is under faults, how far its bound lies on the way.
    """
    values, under = (kept or {}).get("values", []), (kept or {}).get("under", {})
    shown = [
        f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: –" for name, value in under.items()
    ]
    shown += [f"beside `{record['control']}`"] if record.get("control") else []
    last = ["; ".join(shown) or "–", "–"]
    if not values:
        return ["–" if record["seeds"] is None or record.get("stored") else "not calibrated", "–", "–", *last]
    held = sum(verify.holds(record, value) for value in values)
    found, spread, part = (
        verify.margin(record, values),
        verify.spread(values),
        verify.way(record, values, under),
    )
    far = "no spread" if math.isinf(found) else f"{found:.1f} s.d."
    if not math.isnan(part):
        last[1] = f"{part:.0%}" if part >= verify.HALF else f"**{part:.0%}**"
    return [f"{held} of {len(values)}", f"{statistics.fmean(values):.4g} ± {spread:.2g}", far, *last]


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

    With ``save`` also run each page under the faults that its claims name, and keep the figures. Returns 0 if
    every claim held on every set, and with ``save`` failed under its faults, and the figures were written.

    Raises:
        BookError: there is no such page, no page makes a claim, or a fault is not listed.
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
    for page in chosen if save else ():
        faults.read(project, page.name)  # a list that cannot be read is told before the runs, not after them
    drop_bytecode(project.code)
    store, claims, failures = Store(project), {}, {}

    async def work(page: pages.Page, subject: Subject, changes: list[faults.Change] | None = None) -> None:
        key = store.key(subject)
        if changes is None:
            outcome = await run.run_page(project, faults.going_on(page), dict(subject.variables))
        else:
            outcome = await faults.run_page(project, page, changes)
            outcome.failures = [f for f in outcome.failures if "ClaimFailed" not in f.error]
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
    cores = os.cpu_count() or 1
    Schedule.begin(Schedule(jobs, cores, print).run())
    planted, jobs = {page.name: {} for page in chosen}, []
    for page in chosen if save else ():
        made = {record["name"]: record for subject in subjects[page.name] for record in claims[subject]}
        names = sorted({name for record in made.values() for name in record.get("fails_under", ())})
        for name, changes in faults.of_page(project, page, names).items():
            subject = planted[page.name][name] = faults.subject(project, page, name, changes)
            if known := store.get(subject):
                claims[subject], failures[subject] = known["claims"], []
            else:
                jobs.append(
                    Job(subject.name, page.budget, partial(work, page, subject, changes), page.exclusive)
                )
    Schedule.begin(Schedule(jobs, cores, print).run())
    green = True
    for page, tried in subjects.items():
        found: dict[str, tuple[dict, list[float]]] = {}
        for record in (record for subject in tried for record in claims[subject]):
            found.setdefault(record["name"], (record, []))[1].append(float(record["value"]))
        wrong = [failure for subject in tried for failure in failures[subject]]
        broken = [failure for failure in wrong if "ClaimFailed" not in failure.error]
        _print(page, found, broken, len(tried))
        green &= not wrong
        under = {
            name: {r["name"]: r["value"] for r in claims[subject]} for name, subject in planted[page].items()
        }
        stopped = {name: failures[subject] for name, subject in planted[page].items() if failures[subject]}
        if save and not broken:
            green &= _save(project, page, seed_sets, found, under, stopped)
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


def _save(project: Project, page: str, seed_sets: list[int], found: dict, under: dict, stopped: dict) -> bool:
    """Write a page's figures, unless a claim holds under its fault; ``under``: values by fault and claim."""
    claims, right = {}, True
    for name, (record, values) in found.items():
        named = {fault: under[fault].get(name) for fault in record.get("fails_under", ())}
        for fault, value in named.items():
            if value is None:
                why = "; ".join(map(str, stopped.get(fault, ["the page does not make it"])))
                print(f"  NOT REACHED under {fault}: {record['text']} ({why})")
            elif isinstance(value, float) and verify.holds(record, value):
                print(
                    f"  HOLDS under {fault} as well: {record['text']} ({value:.4g}, {verify.bound(record)})"
                )
            else:
                continue
            right = False
        random = record["seeds"] is not None and not record.get("stored")
        if random or named:
            kept = {"text": record["text"], "values": values if random else [], "seeds": record["seeds"]}
            claims[name] = {**kept, "under": named} if named else kept
    if right:
        made = {"seed_sets": seed_sets, "date": datetime.now(UTC).strftime("%Y-%m-%d"), "claims": claims}
        write_json(path(project, page), made)
        print(f"  written to {path(project, page).relative_to(project.root)}")
    return right
