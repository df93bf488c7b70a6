"""How well the build fills a machine: 12 chapters of unequal length, timed alone and then all together.

Run ``python benchmarks/execution.py [--cores N]`` on an idle machine (it takes some four minutes on two
cores). Printed is the wall time of the whole against the sum of the chapters' own run times, each taken
alone, divided by the cores; a build may need at most 1.2 of that. One chapter is exclusive, so it has the
machine to itself. Chapters that compute are bound by the cores; chapters that sleep show the schedule by
itself, since they can share one core.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

CODE = Path(__file__).resolve().parents[1] / "code"
sys.path.insert(0, str(CODE))
os.environ["PYTHONPATH"] = str(CODE)  # for the kernels

from bookbuild.engine.book import bring_up_to_date  # noqa: E402
from bookbuild.engine.project import Project  # noqa: E402

SECONDS = [0.5 + 0.5 * i for i in range(12)]  # what each chapter has to do: 0.5 to 6 s
EXCLUSIVE = 1  # the second shortest
COMPUTE = """\
import time
end = time.process_time() + {0}
while time.process_time() < end:
    sum(range(999))"""
CELLS = {"computing": COMPUTE, "sleeping": "import time\ntime.sleep({0})"}
PAGE = """---
jupytext: {{text_representation: {{extension: .md, format_name: myst}}}}
kernelspec: {{display_name: Python 3, language: python, name: python3}}
budget: {budget}
exclusive: {exclusive}
---
# Chapter

```{{code-cell}} ipython3
{cell}
```
"""


def make_book(root: Path, cell: str) -> Project:
    """A book of chapters that take ``SECONDS`` beside the start of their kernels."""
    (root / "book").mkdir(parents=True)
    (root / "code").mkdir()
    (root / "conf.py").touch()
    for i, seconds in enumerate(SECONDS):
        matter = {"budget": seconds, "exclusive": str(i == EXCLUSIVE).lower()}
        text = PAGE.format(**matter, cell=cell.format(seconds))
        (root / "book" / f"chapter{i:02d}.md").write_text(text, encoding="utf-8")
    return Project.at(root)


def run(project: Project, cores: int) -> tuple[float, float]:
    """Wall time of executing a book, and the sum of its chapters' own run times."""
    start = time.monotonic()
    outcomes = bring_up_to_date(project, say=lambda line: None, cores=cores).outcomes
    wall = time.monotonic() - start
    assert not any(outcome.failures or outcome.cached for outcome in outcomes.values())
    return wall, sum(outcome.seconds for outcome in outcomes.values())


def compare(kind: str, cores: int, folder: Path) -> None:
    """Print the line of one kind of chapters."""
    alone, together = (make_book(folder / kind / name, CELLS[kind]) for name in ("alone", "together"))
    _, total = run(alone, 1)
    wall, _ = run(together, cores)
    ratio = wall / (total / cores)
    print(f"{kind:<10} {wall:>8.1f} {total:>10.1f} {cores:>6} {ratio:>10.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    cores = parser.parse_args().cores
    print(f"{'chapters':<10} {'wall s':>8} {'alone, s':>10} {'cores':>6} {'wall/ideal':>10}")
    with tempfile.TemporaryDirectory(prefix="execution-") as folder:
        for kind in CELLS:
            compare(kind, cores, Path(folder))


if __name__ == "__main__":
    main()
