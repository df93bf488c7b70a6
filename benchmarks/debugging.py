"""The book's DQN and PPO with one planted bug each, on three tasks: ten seeds of each.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/debugging.py

Kept of each run: what the final policy earns, the mean return of the last 30 training episodes, and, on
CartPole, a few diagnostics over the training, the ones that one would look at.
"""

import argparse
import time

import numpy as np
import torch

from rlworkshop import runs, stats
from rlworkshop.practice.debugging import bugs

FIRST = 9000  # seed
POINTS = 16
SHOWN = {"dqn": ("loss", "q", "spread"), "ppo": ("entropy", "explained_variance", "kl")}


def one(bug: str, task: str, seed: int) -> dict:
    """One training: its scores and curves."""
    torch.set_num_threads(1)
    algorithm, before = bugs.BUGS[bug].algorithm, time.process_time()
    spread = []

    def look(session):
        if algorithm == "dqn":
            values = session.agent.values(session.episodes.obs).max(axis=1)  # (N,), of eight states
            spread.append(values.std() / (abs(values.mean()) + 1e-6))

    run = bugs.train(bug, task, seed, callback=look)
    found = {
        "score": round(bugs.score(run, task, 5_000_000 + seed), 3),
        "training": round(float(run.metrics["return"][-30:].mean()), 3),
    }
    if task == "CartPole":
        total, metrics = run.config["total_steps"], {**run.metrics, "spread": np.array(spread)}
        grid = np.linspace(total / POINTS, total, POINTS)
        found["return"] = stats.on_grid(run.metrics["step"], run.metrics["return"], grid, total / POINTS)
        for name in SHOWN[algorithm]:
            found[name] = np.interp(grid, metrics["update_step"], metrics[name])
        found = {k: v if isinstance(v, float) else [float(f"{x:.3g}") for x in v] for k, v in found.items()}
    print(bug, task, seed, found["score"], f"{time.process_time() - before:.1f} s", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    seeds = range(FIRST, FIRST + parser.parse_args().seeds)
    found: dict = {task: {bug: [] for bug in bugs.BUGS} for task in bugs.TASKS}
    for seed in seeds:
        for task in bugs.TASKS:
            for bug in bugs.BUGS:
                found[task][bug].append(one(bug, task, seed))
        # kept after each seed: who has to stop it has the seeds so far
        results, done = {"points": POINTS, "tasks": found}, range(FIRST, seed + 1)
        runs.store("debugging", results, done, ["rlworkshop.practice.debugging.bugs"], __file__)


if __name__ == "__main__":
    main()
