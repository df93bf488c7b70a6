"""Late policies, with and without a correction, in arms and with seeds that a build has no time for.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/scale.py

Ten seeds of each, with the settings of the page: 32 pucks, fragments of 50 steps, 150 updates. An arm is a
function that makes targets and a lag in updates; "careful" has half the learning rate. Kept are the training
return of each run (the mean of its last 100 episodes), the mean distance of its ratios from 1, and the mean
return of each 32 episodes, one after the other. About two minutes on one core.
"""

import argparse
import multiprocessing
import time

import torch

from rlworkshop import runs
from rlworkshop.robotics import scale

SEEDS = range(9000, 9010)
LATE = {
    "env_id": "rlworkshop.robotics.reality_gap:Puck-v0", "num_envs": 32, "num_steps": 50,
    "total_steps": 150 * 32 * 50, "gae_lambda": 0.95, "ent_coef": 0.0,
}  # fmt: skip
ARMS = {
    **{f"uncorrected {lag}": (scale.uncorrected, lag, 3e-3) for lag in (0, 1, 2)},
    "careful 2": (scale.uncorrected, 2, 1.5e-3),
    **{f"V-trace {lag}": (scale.vtrace, lag, 3e-3) for lag in (1, 2, 4)},
    "no bounds 4": (scale.unclipped, 4, 3e-3),
    "bounded trace 4": (scale.rho_unclipped, 4, 3e-3),
}


def one(arm: str, seed: int) -> dict:
    """Train one seed of one arm; what came of it."""
    torch.set_num_threads(1)
    before = time.process_time()
    targets, lag, lr = ARMS[arm]
    run = scale.train(scale.Config(**LATE, lag=lag, lr=lr), seed, targets=targets)
    returns = run.metrics["return"]
    blocks = returns[: len(returns) // 32 * 32].reshape(-1, 32).mean(axis=1)
    found = {"return": float(returns[-100:].mean()), "ratio": float(run.metrics["ratio"].mean())}
    print(f"{arm:16s} {seed} {found['return']:7.2f} {time.process_time() - before:.1f} s", flush=True)
    return {**found, "blocks": blocks.round(2).tolist()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=1)
    with multiprocessing.get_context("spawn").Pool(parser.parse_args().processes) as pool:
        jobs = [(arm, seed) for arm in ARMS for seed in SEEDS]
        found = iter(pool.starmap(one, jobs, chunksize=1))
    results = {arm: [next(found) for _ in SEEDS] for arm in ARMS}
    modules = ["rlworkshop.robotics.scale", "rlworkshop.robotics.reality_gap"]
    runs.store("scale", results, SEEDS, modules, __file__)


if __name__ == "__main__":
    main()
