"""``{verification}``: every claim with its measured value and calibration; every page's run; the machine."""

import math
import os
import platform
import statistics
from importlib.metadata import version
from pathlib import Path

from docutils import nodes

from bookbuild.engine import pages
from bookbuild.engine.project import Project
from bookbuild.engine.run import Outcome
from bookbuild.site.domain import BookDirective
from rlworkshop import provenance, runs, verify

SHOWN_VERSIONS = ("torch", "gymnasium", "mujoco", "numpy", "matplotlib", "sphinx", "myst-nb", "jupyter-cache")


class VerificationDirective(BookDirective):
    """Usage: ``{verification} WHAT`` with ``claims``, ``pages``, ``stored`` (runs) or ``machine``."""

    def run(self) -> list[nodes.Node]:
        tables = dict(claims=claims_table, pages=pages_table, stored=stored_table, machine=machine_table)
        if self.arguments[0] not in tables:
            raise self.error(f"verification shows one of: {', '.join(tables)}")
        self.env.note_reread()  # any page may have run again
        book = self.config.book
        text = tables[self.arguments[0]](book.project, list(book.outcomes.values()))
        return self.parse_text_to_nodes(text)


def claims_table(project: Project, outcomes: list[Outcome]) -> str:
    """Every claim, as a folded Markdown table for each page; pages that should make one and do not."""
    parts = []
    for outcome in outcomes:
        name, known, rows = outcome.page.name, pages.calibrations(project, outcome.page.name), []
        least = math.inf  # margin
        for record in outcome.claims:
            seeds = "exact" if record["seeds"] is None else str(record["seeds"])
            seeds = "stored run" if record.get("stored") else seeds
            verdict = "holds" if record["held"] else "**fails**"
            measured = f"{{claim}}`{name}#{record['name']}`"
            facts = [record["text"], verdict, measured, verify.bound(record), seeds]
            rows.append([*facts, *calibrated(record, known.get(record["name"]))])
            if values := known.get(record["name"], {}).get("values"):
                least = min(least, verify.margin(record, values))
        heads = ["claim", "verdict", "measured", "bound", "seeds", "fresh seed sets", "mean ± s.d.", "margin"]
        heads += ["under its fault", "way"]
        if rows:
            held = sum(record["held"] for record in outcome.claims)
            title = f"{name}: {held} of {len(rows)} hold"
            if least < math.inf:
                title += f", least margin {least:.1f} s.d."
            shown = " open" * (held < len(rows))  # what fails is not folded away
            parts += [
                f'<details class="claims"{shown}><summary>{title}</summary>',
                f"{{doc}}`/{name}`",
                table(heads, rows),
            ]
            parts.append("</details>")
        elif outcome.page.is_chapter:
            parts.append(f"**{{doc}}`/{name}` makes no claim.**")
    return "\n\n".join(parts) or "No page makes a claim."


def calibrated(record: dict, kept: dict | None) -> list[str]:
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
    found, spread = verify.margin(record, values), verify.spread(values)
    part = verify.way(record, values, under)
    far = "no spread" if math.isinf(found) else f"{found:.1f} s.d."
    if not math.isnan(part):
        last[1] = f"{part:.0%}" if part >= verify.HALF else f"**{part:.0%}**"
    return [f"{held} of {len(values)}", f"{statistics.fmean(values):.4g} ± {spread:.2g}", far, *last]


def pages_table(project: Project, outcomes: list[Outcome]) -> str:
    """Run time, cost, budget, peak memory and date of every page that runs code."""
    rows = []
    for o in outcomes:
        times, state = [o.seconds, o.cost], "failed" if o.failures else "ran"
        costs = [*(f"{time:.1f} s" for time in times), f"{o.page.budget:.0f} s", f"{o.peak_mib:.0f} MiB"]
        rows.append([f"{{doc}}`/{o.page.name}`", *costs, o.when, state])
    heads = ["page", "run time", "CPU", "budget", "peak memory", "executed (UTC)", "state"]
    return table(heads, rows)


def stored_table(project: Project, outcomes: list[Outcome]) -> str:
    """Every stored run, and whether the code is still the one that it ran."""
    rows = []
    for file in sorted((project.root / "benchmarks" / "results").glob("*.json")):
        run = runs.stored(file.stem, folder=file.parent)
        made = run.provenance
        fits = "fits the code" if run.fits else "**the code has changed since**"
        rows.append([file.stem, f"`{made['script']}`", made["date"], str(len(made["seeds"])), fits])
    return table(["run", "script", "made", "seeds", "state"], rows) if rows else "None yet."


def machine_table(project: Project, outcomes: list[Outcome]) -> str:
    """Versions, processor and commit of this build."""
    rows = [
        ["commit", project.commit() or "not under version control"],
        ["Python", provenance.python_version()],
        ["system", f"{platform.system()} {platform.machine()}"],
        ["processor", f"{processor()}, {os.cpu_count()} cores"],
        *([package, version(package)] for package in SHOWN_VERSIONS),
    ]
    return table(["what", "this build"], rows)


def processor() -> str:
    """The processor's model name, as far as the system tells it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (models or [platform.processor() or platform.machine()])[0]


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
