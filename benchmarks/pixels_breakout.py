"""Breakout from a camera: the pixel agent with more time than a page has.

The game's colour picture is made small and grey, two frames are stacked, frames are kept once, and the base
agent of ``dqn`` learns from them with the convolutional network. Every seed is evaluated along the way (20
episodes without exploration, not counted in the steps) and at the end (50 fresh episodes).

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/pixels_breakout.py
"""

import time

import numpy as np
import torch

from rlworkshop import envs, runs
from rlworkshop.algorithms import pixels
from rlworkshop.runs.training import Training

SEEDS = range(3)
EVERY = 10_000
CONFIG = pixels.BREAKOUT


def one(seed: int) -> dict:
    """A training, with the mean return of each evaluation."""
    steps, scores, due = [], [], EVERY

    def evaluate(session: Training) -> None:
        nonlocal due
        if session.steps >= due:
            due += EVERY
            steps.append(session.steps)
            returns = envs.evaluate(session.agent.act, CONFIG.env_id, 20, 1_000_000 + seed)
            scores.append(float(returns.mean()))

    began = time.process_time()
    run = pixels.train_on_pixels(CONFIG, seed, callback=evaluate)
    agent = pixels.load_from_pixels(run)
    final = envs.evaluate(agent.act, CONFIG.env_id, 50, 2_000_000 + seed)
    return {
        "seed": seed,
        "steps": steps,
        "scores": scores,
        "final": final.tolist(),
        "training": float(run.metrics["return"][-100:].mean()),
        "processor_seconds": round(time.process_time() - began, 1),
    }


def main() -> None:
    torch.set_num_threads(1)
    found = []
    for seed in SEEDS:
        found.append(one(seed))
        print(seed, np.round(found[-1]["scores"], 1), np.mean(found[-1]["final"]), flush=True)
    runs.store("pixels_breakout", {"runs": found}, SEEDS, ["rlworkshop.algorithms.pixels"], __file__)


if __name__ == "__main__":
    main()
