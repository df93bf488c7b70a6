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
from rlworkshop.algorithms import dqn, pixels

SEEDS = range(3)
EVERY = 10_000
CONFIG = pixels.BREAKOUT


def one(seed: int) -> dict:
    """A training, with the mean return of each evaluation."""
    steps, scores, due = [], [], EVERY

    def evaluate(now: int, agent: dqn.Agent) -> None:
        nonlocal due
        if now >= due:
            due += EVERY
            steps.append(now)
            scores.append(float(envs.evaluate(agent.act, CONFIG.env_id, 20, 1_000_000 + seed).mean()))

    began = time.process_time()
    run = dqn.train(CONFIG, seed, make_q=pixels.conv_q, make_replay=pixels.frame_replay, callback=evaluate)
    agent = dqn.load_policy(run, pixels.conv_q)
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
