"""How far a claim's bound lies from what other seeds measure: ``make claims`` and its committed figures.

A page's claims are re-run on seed sets that no build uses; ``benchmarks/claims/PAGE.json`` keeps each
claim's values. A bound should lie at least three standard deviations away from their mean. ``make calibrate``
also runs the page once under each fault that a claim names, and refuses a claim that holds there.
"""

import os
import re
import statistics
from datetime import UTC, datetime
from functools import partial

from bookbuild.engine import pages, run
from bookbuild.engine.project import BookError, Project, drop_bytecode
from bookbuild.engine.schedule import Job, Schedule
from bookbuild.engine.store import Store, Subject, write_json
from calibration import faults
from rlworkshop import verify

Found = dict[str, tuple[dict, list[float]]]  # a claim's record and its values, by its name
Result = tuple[list[dict], list[str]]  # of one run: its claims, and what went wrong


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


def rerun(project: Project, seeds: str, page: str | None = None, save: bool = False) -> int:
    """Re-run the claims of a page (or of all) on other seed sets and print how often each held.

    With ``save`` also run each page under the faults that its claims name, and keep the figures. Returns 0 if
    every claim held on every set, and with ``save`` failed under its faults, and the figures were written.

    Raises:
        BookError: there is no such page, no page makes a claim, or a fault is not listed.
    """
    sets, book, store = seed_sets(seeds or ""), pages.read_pages(project), Store(project)
    chosen = [one for one in book if page in (None, one.name)]
    if not chosen:
        known = ", ".join(one.name for one in book)
        raise BookError(f"no page with code cells is called {page!r}: try one of {known}")
    chosen = [one for one in chosen if any("claim(" in cell.source for cell in one.notebook.cells)]
    if not chosen:
        raise BookError("there is no claim to re-run")
    for one in chosen if save else ():
        faults.read(project, one.name)  # a list that cannot be read is told before the runs, not after them
    drop_bytecode(project.code)
    made = tried(store, [faults.on_seeds(project, one, number) for one in chosen for number in sets])
    green = True
    for number, one in enumerate(chosen):
        own = made[number * len(sets) : (number + 1) * len(sets)]
        found: Found = {}
        for record in (record for claims, _ in own for record in claims):
            found.setdefault(record["name"], (record, []))[1].append(float(record["value"]))
        wrong = [failure for _, failures in own for failure in failures]
        broken = [failure for failure in wrong if "ClaimFailed" not in failure]
        _print(one.name, found, broken, len(sets))
        green &= not wrong
        if save and not broken:
            names = sorted({name for record, _ in found.values() for name in record.get("fails_under", ())})
            under = dict(zip(names, tried(store, faults.planted(project, one, names)), strict=True))
            green &= _save(project, one.name, sets, found, under)
    return 0 if green else 1


def tried(store: Store, runs: list[faults.Run]) -> list[Result]:
    """The claims of runs on other seeds or under faults, and what went wrong: as it is kept, or made now."""
    found: dict[Subject, Result] = {}

    async def work(page: pages.Page, subject: Subject, changes: list[faults.Change]) -> None:
        key = store.key(subject)
        if changes:
            outcome = await faults.run_page(store.project, page, changes)
            outcome.failures = [one for one in outcome.failures if "ClaimFailed" not in one[0]]
        else:
            outcome = await run.run_page(store.project, faults.going_on(page), dict(subject.variables))
        found[subject] = outcome.claims, [failure for failure, _ in outcome.failures]
        if not outcome.failures:
            store.put(subject, key, {"claims": outcome.claims}, outcome.inputs)

    jobs = []
    for page, subject, changes in runs:
        if known := store.get(subject):
            found[subject] = known["claims"], []
        else:
            works = partial(work, page, subject, changes)
            jobs.append(Job(subject.name, page.budget, works, page.exclusive))
    Schedule.begin(Schedule(jobs, os.cpu_count() or 1, print).run())
    return [found[subject] for _, subject, _ in runs]


def _print(page: str, found: Found, broken: list[str], sets: int) -> None:
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


def _save(project: Project, page: str, sets: list[int], found: Found, under: dict[str, Result]) -> bool:
    """Write a page's figures, unless a claim holds under its fault."""
    claims, right = {}, True
    values_under = {fault: {one["name"]: one["value"] for one in made} for fault, (made, _) in under.items()}
    for name, (record, values) in found.items():
        text, bound = record["text"], verify.bound(record)
        named = {fault: values_under[fault].get(name) for fault in record.get("fails_under", ())}
        for fault, value in named.items():
            if value is None:
                why = "; ".join(under[fault][1] or ["the page does not make it"])
                print(f"  NOT REACHED under {fault}: {text} ({why})")
            elif isinstance(value, float) and verify.holds(record, value):
                print(f"  HOLDS under {fault} as well: {text} ({value:.4g}, {bound})")
            else:
                continue
            right = False
        random = record["seeds"] is not None and not record.get("stored")
        if random or named:
            kept = {"text": text, "values": values if random else [], "seeds": record["seeds"]}
            claims[name] = {**kept, "under": named} if named else kept
    if right:
        made = {"seed_sets": sets, "date": datetime.now(UTC).strftime("%Y-%m-%d"), "claims": claims}
        write_json(file := pages.calibration_file(project, page), made)
        print(f"  written to {file.relative_to(project.root)}")
    return right
