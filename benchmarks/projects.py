"""What the projects of the book have to beat: the baseline of each starter, and numbers of stored studies.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/projects.py [NAME ...]

Runs ``baseline.py`` of each starter as a reader would, with its defaults; where names are given, of these
alone, and what is known of the others stays. All values are kept in ``results/projects.json``, their means
and standard deviations in ``code/rlworkshop/practice/measured.json``, which goes along with the package.
"""

import json
import re
import runpy
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rlworkshop import runs
from rlworkshop.practice import projects

MEASURED = projects.HERE / "measured.json"
RESULTS = Path(__file__).parent / "results" / "projects.json"
SEEDS = range(200)  # the most that any starter takes


def ran(text: bytes) -> dict[str, list[float]]:
    """What a starter's baseline measures, by its file's text."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "baseline.py"
        file.write_bytes(text)
        found = runpy.run_path(str(file))["main"]()
    return {key: [float(value) for value in values] for key, values in found.items()}


def from_studies(name: str) -> dict[str, list[float]]:
    """What stored studies say: a value for each of their seeds."""
    if name in ("blind-spot", "widths-on-schedule"):
        arms = runs.stored("domain_randomization").results["arms"]
        where = "nominal" if name == "blind-spot" else "real"
        keys = {"none 0.0": "long none", "recurrent 0.0": "long recurrent"}
        if name == "widths-on-schedule":
            widths = {"recurrent 0.0": "long 0", "recurrent 1.0": "long 1", "recurrent 1.5": "long 1.5"}
            keys = widths | {"widening": "long widening", "found": "long found"}
        return {key: [run["goals"][where] for run in arms[arm]] for arm, key in keys.items()}
    if name == "steadier-multiplier":
        study = runs.stored("constrained_rl").results
        first, limit = study["free"], study["limit"]
        costs = {arm: np.array(study["arms"][arm]["cost"]) for arm in ("dual 0.05", "PI 1 0.02")}  # (S, U)
        after = {arm: cost[:, first : first + 30] for arm, cost in costs.items()}
        return {f"rovers, {arm}": [*(cost - limit).clip(0).mean(axis=1)] for arm, cost in after.items()}
    if name == "fewer-questions":
        study = runs.stored("learning_from_preferences").results
        arms = ("random 100", "disagreement 100")
        return {f"agent, {arm}": [run["upright"] for run in study[arm]] for arm in arms}
    return {}


def modules() -> list[str]:
    """The modules that the starters import."""
    texts = [file.read_text("utf-8") for file in projects.HERE.glob("starters/*/baseline.py.txt")]
    found = set()
    for text in texts:
        for base, names in re.findall(r"^from (rlworkshop[\w.]*) import ([^(\n]+)$", text, re.M):
            for part in names.split(","):
                module = f"{base}.{part.split(' as ')[0].strip()}"
                is_file = (projects.HERE.parents[1] / f"{module.replace('.', '/')}.py").exists()
                found.add(module if is_file else base)
    return sorted(found - {"rlworkshop", "rlworkshop.practice.projects"})


def main() -> None:
    every = [file.name for file in sorted(projects.HERE.glob("starters/*"))]
    names = sys.argv[1:] or every
    if names != every and RESULTS.exists() and not runs.stored("projects").fits:
        sys.exit("the code has changed since the others were measured: run this without names")
    for name in names:
        before = time.process_time()
        text = (projects.HERE / "starters" / name / "baseline.py.txt").read_bytes()
        values = ran(text) | {key: [float(v) for v in vs] for key, vs in from_studies(name).items()}
        known = json.loads(RESULTS.read_text("utf-8"))["results"] if RESULTS.exists() else {}
        seconds = round(time.process_time() - before, 1)
        known[name] = {"baseline": projects.digest(text), "seconds": seconds, "values": values}
        print(f"{name}, {seconds} s\n{projects.report(values)}", flush=True)
        summaries = {
            one: {key: projects.summary(vs) for key, vs in known[one]["values"].items()}
            for one in sorted(known)
        }
        MEASURED.write_text(json.dumps(summaries, indent=1, ensure_ascii=False) + "\n", "utf-8")
        runs.store("projects", dict(sorted(known.items())), SEEDS, modules(), __file__)


if __name__ == "__main__":
    main()
