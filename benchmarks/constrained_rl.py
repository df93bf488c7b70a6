"""Ways to move a Lagrange multiplier, for the page on constrained RL: ten seeds of each.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/constrained_rl.py

Rovers learn for twelve updates without a limit, which then comes into force. "dual" and a number: dual ascent
with this gain. "PI" and two numbers: a proportional gain, too. "half": dual ascent on a learner that takes
half as many epochs, so that its cost follows the multiplier more slowly. "scratch": PI, with the limit in
force from the first update on. "shield": plain PPO behind a shield that knows the rover. "discounted": PI,
and the multiplier is told the discounted cost of an episode. ``--only`` trains the arms that it names, and
keeps what is stored of the others.
"""

import argparse
import dataclasses
import multiprocessing
import time

import torch

from rlworkshop import runs
from rlworkshop.safety import constrained_rl as crl

SEEDS = range(8000, 8010)
UPDATES = 90
BASE = crl.Config(free_updates=12, total_steps=UPDATES * 100 * crl.EPISODE + 100)
ARMS = {
    "dual 0.01": {"kp": 0.0, "ki": 0.01},
    "dual 0.02": {"kp": 0.0, "ki": 0.02},
    "dual 0.05": {"kp": 0.0, "ki": 0.05},
    "dual 0.1": {"kp": 0.0, "ki": 0.1},
    "PI 1 0.02": {"kp": 1.0, "ki": 0.02},
    "PI 0.5 0.02": {"kp": 0.5, "ki": 0.02},
    "half": {"kp": 0.0, "ki": 0.05, "n_epochs": 2},
    "scratch": {"free_updates": 0},
    "shield": {"kp": 0.0, "ki": 0.0, "env_id": "rlworkshop.safety.constrained_rl:RoverShielded-v0"},
    "discounted": {},
}
KEPT = ("cost", "batch_return", "multiplier")


def one(arm: str, seed: int) -> dict[str, list[float]]:
    """Cost, return and multiplier (U,) of each update of one training; where it is told, what it was told."""
    torch.set_num_threads(1)
    before = time.process_time()
    other = arm == "discounted"
    measure = crl.discounted_cost if other else crl.episode_cost
    run = crl.train(dataclasses.replace(BASE, **ARMS[arm]), seed, measure=measure)
    print(arm, seed, f"{time.process_time() - before:.1f} s", flush=True)
    names = ("cost", "measured") if other else KEPT
    return {name: run.metrics[name].round(4).tolist() for name in names}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(ARMS), help="arms to train; others are kept")
    asked = parser.parse_args()
    jobs = [(arm, seed) for seed in SEEDS for arm in asked.only or ARMS]
    with multiprocessing.get_context("spawn").Pool(asked.processes) as pool:
        measured = dict(zip(jobs, pool.starmap(one, jobs, chunksize=1), strict=True))
    arms = runs.stored("constrained_rl").results["arms"] if asked.only else {}
    for arm in asked.only or ARMS:
        names = measured[arm, SEEDS[0]]
        arms[arm] = {name: [measured[arm, seed][name] for seed in SEEDS] for name in names}
    results = {"updates": UPDATES, "free": BASE.free_updates, "limit": BASE.limit, "arms": arms}
    runs.store("constrained_rl", results, SEEDS, ["rlworkshop.safety.constrained_rl"], __file__)


if __name__ == "__main__":
    main()
