"""PPO with one implementation detail left out at a time, and three tasks of MuJoCo that hang on a detail.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/ppo_details.py details swimmer hopper

Ten seeds of each, run one thread each on two processes. Kept of each run: the mean return of the last 20
episodes of training, the mean deterministic evaluation over 30 fresh episodes, and the training curve.
"""

import argparse
import dataclasses
import multiprocessing
import time

import numpy as np
import torch

from rlworkshop import envs, runs, stats
from rlworkshop.algorithms import ppo, ppo_details

SEEDS = range(7000, 7010)
POINTS = 40

SWIMMER = ppo.Config(
    env_id="Swimmer-v5", num_envs=4, num_steps=1024, total_steps=200_000, n_epochs=10, batch_size=256,
    lr=1e-3, gae_lambda=0.98, normalize_obs=True, normalize_rewards=True,
)  # fmt: skip
HOPPER = dataclasses.replace(ppo_details.CHEETAH, env_id="Hopper-v5", total_steps=200_000)
EXPERIMENTS = {
    "details": {name: (ppo_details.CHEETAH, name) for name in ppo_details.VARIANTS},
    "swimmer": {
        f"γ = {gamma}": (dataclasses.replace(SWIMMER, gamma=gamma), "all details") for gamma in (0.99, 0.9999)
    },
    "hopper": {
        "neither": (
            dataclasses.replace(HOPPER, normalize_obs=False, normalize_rewards=False),
            "cut-off taken for an end",
        ),
        "normalised": (HOPPER, "cut-off taken for an end"),
        "truncation mended": (
            dataclasses.replace(HOPPER, normalize_obs=False, normalize_rewards=False),
            "all details",
        ),
        "both": (HOPPER, "all details"),
    },
}


def one(experiment: str, arm: str, seed: int) -> dict:
    """Train and evaluate one seed of one arm."""
    torch.set_num_threads(1)
    base, variant = EXPERIMENTS[experiment][arm]
    before = time.process_time()
    run = ppo_details.train_variant(variant, seed, base)
    returns, window = run.metrics["return"], base.total_steps / POINTS
    grid = np.linspace(2 * window, base.total_steps, POINTS - 1)
    curve = stats.on_grid(run.metrics["step"], returns, grid, window=2 * window)
    scores = envs.evaluate(ppo.load_policy(run).act, base.env_id, 30, seed=4_000_000 + seed)
    seconds = time.process_time() - before
    found = {"last": float(returns[-20:].mean()), "evaluation": float(scores.mean())}
    print(experiment, arm, seed, {k: round(v, 1) for k, v in found.items()}, f"{seconds:.0f} s", flush=True)
    return {**found, "kl": float(run.metrics["kl"].mean()), "curve": [round(x, 1) for x in curve.tolist()]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("experiments", nargs="+", choices=EXPERIMENTS)
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args()
    with multiprocessing.get_context("spawn").Pool(chosen.processes) as pool:
        for name in chosen.experiments:
            arms = EXPERIMENTS[name]
            jobs = [(name, arm, seed) for seed in SEEDS for arm in arms]
            found = iter(pool.starmap(one, jobs, chunksize=1))
            results: dict = {arm: [] for arm in arms}
            for _, arm, _ in jobs:
                results[arm].append(next(found))
            (base, _), *_ = arms.values()
            about = {"steps": base.total_steps, "env_id": base.env_id, "points": POINTS, "arms": results}
            modules = ["rlworkshop.algorithms.ppo_details"]
            runs.store(f"ppo_{name}", about, SEEDS, modules, __file__, packages=["mujoco"])


if __name__ == "__main__":
    main()
