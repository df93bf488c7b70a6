"""Pucks trained on fixed ranges of several widths, and on ranges that widen by themselves.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/domain_randomization.py run 0/2 &
    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/domain_randomization.py run 1/2 &
    python benchmarks/domain_randomization.py store

``run I/N`` does every N-th job, beginning with job I, in one process; what is done already is not done
again, so it may be stopped and started. ``store`` puts all that was done together. Ten seeds of each arm.
"found" has the range that "widening" ended with, for the same seed, from the first batch on; "strict" and
"uncapped" differ from "widening" in its thresholds and its cap; "long" ones train two and a half times as
long. Kept are the mean goals of each run in an episode on sets of robots that are fixed once, and the
bounds of ranges that widen.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import torch

from rlworkshop import runs
from rlworkshop.robotics import automatic_domain_randomization as adr
from rlworkshop.robotics import domain_randomization as dr
from rlworkshop.robotics import memory, reality_gap

SEEDS = range(7000, 7010)
LONG = 2.5  # by how much long trainings are longer
ITERATIONS, BATCH = 40, 25_500
WIDTHS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5)
ARMS = {
    **{f"recurrent {width}": ("recurrent", width) for width in WIDTHS},
    **{f"none {width}": ("none", width) for width in (0.0, 1.0, 2.0)},
    **{f"long {width}": ("recurrent", width) for width in (1.5, 2.0)},
    "widening": ("recurrent", {}),
    "strict": ("recurrent", {"enough": 3.0, "few": 2.0}),
    "uncapped": ("recurrent", {"cap": WIDTHS[-1]}),
    "found": ("recurrent", "found"),
}
N, SET = 512, 3  # robots in a set, and the seed that draws them
PARTS = Path(__file__).resolve().parents[1] / "_build" / "domain_randomization"


def sets() -> dict[str, dict]:
    """Arguments of the tables that policies are tried on."""
    unit = np.random.default_rng(SET).uniform(-1, 1, (N, len(reality_gap.PARAMETERS)))
    unit[:, -1] = np.abs(unit[:, -1])  # latency goes one way
    wide = {f"within {w}": w * unit for w in WIDTHS[1:]}
    real = reality_gap.real_robots(N, SET)
    tried = {"nominal": {"robots": 0 * unit}}
    tried |= {name: {"robots": robots} for name, robots in wide.items()}
    tried |= {"real": {"robots": real, "stiction": reality_gap.STICTION}}
    tried |= {"real, no stiction": {"robots": real}}
    tried |= {"outlying": {"robots": dr.outlying(N, SET), "stiction": reality_gap.STICTION}}
    return tried


def trained(arm: str, seed: int, iterations: int, parts: Path) -> runs.Run:
    """A run of one seed of one arm."""
    remembers, how = ARMS[arm]
    config = memory.Config(memory=remembers, total_steps=max(iterations * BATCH, 25_670))
    if arm.startswith("long"):
        config = dataclasses.replace(config, total_steps=int(LONG * config.total_steps))
    if isinstance(how, dict):
        return adr.train_widening(config, seed, how)
    if how == "found":
        path = parts / f"widening_{seed}.json"
        if not path.exists():
            raise SystemExit(f"{path} is not there yet: let its job end, then run this again")
        low, high = np.array(json.loads(path.read_text())["bounds"][-1]) * [[-1], [1]]
        return memory.train(config, seed, envs=reality_gap.PuckEnvs(config.num_envs, low, high))
    return dr.train_within(config, seed, how)


def one(arm: str, seed: int, iterations: int, parts: Path = PARTS) -> dict:
    """Train one seed of one arm, and try it on every set."""
    before = time.process_time()
    run = trained(arm, seed, iterations, parts)
    agent = memory.load_policy(run)
    goals = {}
    for name, kwargs in sets().items():
        table = reality_gap.PuckEnvs(N, **kwargs)
        goals[name] = reality_gap.play(agent.act, table, SET).sum(axis=0)  # (N,)
    found = {"goals": {name: round(float(g.mean()), 4) for name, g in goals.items()}}
    robots, found["sides"] = dr.outlying(N, SET), {}
    for i, name in enumerate(reality_gap.PARAMETERS[:-1]):
        for sign in (-1, 1):
            side = sign * robots[:, i] > WIDTHS[-1]
            found["sides"][f"{name} {sign:+d}"] = round(float(goals["outlying"][side].mean()), 4)
    returns = run.metrics["return"]
    found["curve"] = [round(float(part.mean()), 3) for part in np.array_split(returns, iterations)]
    if "bounds" in run.metrics:
        found["bounds"] = run.metrics["bounds"].round(3).tolist()
    found["seconds"] = round(time.process_time() - before, 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["run", "store"])
    parser.add_argument("share", nargs="?", default="0/1", help="I/N: every N-th job, beginning with job I")
    parser.add_argument("--quick", action="store_true", help="two iterations and one seed, kept apart")
    parser.add_argument("--arms", nargs="*", default=list(ARMS))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    iterations, seeds = (2, [0]) if chosen.quick else (ITERATIONS, list(SEEDS))
    parts = PARTS / "quick" if chosen.quick else PARTS
    parts.mkdir(parents=True, exist_ok=True)
    jobs = [(arm, s) for s in seeds for arm in chosen.arms if arm != "found"]
    jobs += [("found", s) for s in seeds if "found" in chosen.arms]  # last: they need what was found
    if chosen.what == "run":
        first, every = map(int, chosen.share.split("/"))
        for arm, seed in jobs[first::every]:
            path = parts / f"{arm}_{seed}.json"
            if not path.exists():
                found = one(arm, seed, iterations, parts)
                path.with_suffix(".new").write_text(json.dumps(found))
                path.with_suffix(".new").rename(path)
                shown = {name: round(value, 2) for name, value in found["goals"].items()}
                print(time.strftime("%T"), arm, seed, f"{found['seconds']:.0f} s", shown, flush=True)
        return
    results = {
        arm: [json.loads((parts / f"{arm}_{seed}.json").read_text()) for seed in seeds] for arm in ARMS
    }
    about = {"steps": iterations * BATCH, "widths": WIDTHS, "robots": N, "arms": results}
    modules = [
        "rlworkshop.robotics.domain_randomization",
        "rlworkshop.robotics.automatic_domain_randomization",
    ]
    folder = parts if chosen.quick else None
    print(runs.store("domain_randomization", about, seeds, modules, __file__, folder=folder))


if __name__ == "__main__":
    main()
