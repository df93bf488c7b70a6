"""The world where nothing matters: DDPG, TD3, and TD3 with each of its remedies taken out in turn.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/nothing_matters.py

Ten seeds of each arm. Whatever is done there is worth 0 (``true_values.nothing_matters``), so what a critic
says is what is wrong with it. Kept is what it says of the actor's action and of one drawn at random, and how
alike twin critics are, at twelve times of a training. One arm is DDPG with an actor that never moves.
"""

import argparse
import dataclasses
import multiprocessing
from typing import Any

import torch

from rlworkshop import runs, true_values
from rlworkshop.algorithms import ddpg, td3

SEEDS = range(9000, 9010)
CONFIG = td3.Config()
HASTY = dataclasses.replace(CONFIG, policy_delay=1)
PROMPT = dataclasses.replace(HASTY, tau=CONFIG.tau / 2)  # copies follow as fast as those of TD3

ARMS: dict[str, tuple[Any, Any, Any, bool]] = {
    "TD3": (td3, CONFIG, td3.td3_target, True),
    "without twins": (td3, CONFIG, td3.single_target, True),
    "without smoothing": (td3, CONFIG, td3.unsmoothed_target, True),
    "without delay": (td3, PROMPT, td3.td3_target, True),
    "and faster copies": (td3, HASTY, td3.td3_target, True),
    "DDPG": (ddpg, ddpg.Config(), ddpg.ddpg_target, True),
    "DDPG, actor still": (ddpg, ddpg.Config(), ddpg.ddpg_target, False),
}


def one(arm: str, seed: int) -> dict[str, list[float]]:
    """Train one seed of one arm; what its critics say."""
    torch.set_num_threads(1)
    algorithm, config, target, climb = ARMS[arm]
    functions = {"make_learner": algorithm.make_learner, "update": algorithm.update, "target": target}
    found = true_values.nothing_matters(config, seed, climb=climb, **functions).metrics
    print(f"{arm:18s} {seed} believed {found['believed'][-1]:.2f}", flush=True)
    return {name: values.tolist() for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=2)
    jobs = [(arm, seed) for seed in SEEDS for arm in ARMS]
    with multiprocessing.get_context("spawn").Pool(parser.parse_args().processes) as pool:
        found = pool.starmap(one, jobs, chunksize=1)
    results = {"arms": {arm: [] for arm in ARMS}}
    for (arm, _), kept in zip(jobs, found, strict=True):
        results["arms"][arm].append(kept)
    modules = ["rlworkshop.algorithms.ddpg", "rlworkshop.algorithms.td3", "rlworkshop.true_values"]
    runs.store("nothing_matters", results, SEEDS, modules, __file__)


if __name__ == "__main__":
    main()
