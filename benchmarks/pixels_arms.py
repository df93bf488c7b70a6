"""Catch with one picture or two, with a convolution or without, and Breakout from channels: ten seeds each.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/pixels_arms.py

The settings are those of the page. Kept of each run: the mean score of its final agent without exploration
over fresh episodes (200 of Catch, 60 of Breakout), the mean return over the second half of its training, and
its learning curve on a grid of steps. The Breakout policy of the first seed is kept whole, in
``results/pixels_arms``: the page films it.
"""

import argparse
import dataclasses
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

from rlworkshop import envs, runs, stats
from rlworkshop.algorithms import dqn, pixels

SEEDS = range(9000, 9010)
FOLDER = Path(__file__).parent / "results" / "pixels_arms"
CATCH = dqn.Config(
    env_id="CatchStack1-v0", total_steps=8_000, gamma=0.95, lr=2e-3, lr_decay_fraction=1.0, batch_size=128,
    buffer_size=8_000, learning_starts=500, train_freq=64, gradient_steps=8, target_update_interval=32,
    final_epsilon=0.02, exploration_fraction=0.4, hidden=(64,), normalize_obs=False,
)  # fmt: skip
TWO = dataclasses.replace(CATCH, env_id="CatchStack2-v0")
BREAKOUT = dqn.Config(
    env_id="Breakout-v0", total_steps=20_000, gamma=0.95, lr=2e-3, lr_decay_fraction=1.0, batch_size=64,
    buffer_size=20_000, learning_starts=2_000, train_freq=64, gradient_steps=16, target_update_interval=64,
    final_epsilon=0.02, exploration_fraction=0.2, hidden=(64,), normalize_obs=False,
)  # fmt: skip
FLAT, CONV = {"make_q": pixels.flat_q, "make_replay": pixels.frame_replay}, {"make_q": pixels.conv_q}
ARMS = {
    "convolution, two pictures": (TWO, CONV),
    "pixels in a row, two layers of 150, two pictures": (dataclasses.replace(TWO, hidden=(150, 150)), FLAT),
    "pixels in a row, two pictures": (TWO, FLAT),
    "convolution, one picture": (CATCH, CONV),
    "pixels in a row, one picture": (CATCH, FLAT),
    "Breakout": (BREAKOUT, CONV),
}


def grid(config: dqn.Config) -> tuple[np.ndarray, int]:
    """The steps at which a learning curve is kept, and over how many steps before them it is averaged."""
    if config.env_id == BREAKOUT.env_id:
        return np.linspace(2_000, config.total_steps, 50), 2_000
    return np.linspace(1_000, config.total_steps, 40), 1_000


def one(arm: str, seed: int) -> dict:
    """One training: what is kept of it."""
    torch.set_num_threads(1)
    config, parts = ARMS[arm]
    before = time.process_time()
    run = dqn.train(config, seed, **parts)
    if arm == "Breakout" and seed == SEEDS[0]:
        FOLDER.mkdir(parents=True, exist_ok=True)
        dataclasses.replace(run, metrics={}).save(FOLDER / f"breakout-{seed}.npz")
    agent, episodes = dqn.load_policy(run, parts["make_q"]), 60 if arm == "Breakout" else 200
    step, got = run.metrics["step"], run.metrics["return"]
    found = {
        "score": float(envs.evaluate(agent.act, config.env_id, episodes, 2_000_000 + seed).mean()),
        "later": float(got[step > config.total_steps / 2].mean()),
        "curve": stats.on_grid(step, got, *grid(config)).tolist(),
    }
    print(arm, seed, round(found["score"], 2), f"{time.process_time() - before:.1f} s", flush=True)
    digits = {name: float(f"{found[name]:.4g}") for name in ("score", "later")}
    return {**digits, "curve": [float(f"{x:.3g}") for x in found["curve"]]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=2)
    jobs = [(arm, seed) for arm in ARMS for seed in SEEDS]
    with ProcessPoolExecutor(parser.parse_args().processes) as pool:
        found = list(pool.map(one, *zip(*jobs, strict=True)))
    results = {
        "settings": {"Catch": runs.plain_config(CATCH), "Breakout": runs.plain_config(BREAKOUT)},
        "grids": {"Catch": grid(CATCH)[0].tolist(), "Breakout": grid(BREAKOUT)[0].tolist()},
        "arms": {arm: [f for (name, _), f in zip(jobs, found, strict=True) if name == arm] for arm in ARMS},
    }
    print(runs.store("pixels_arms", results, SEEDS, [pixels.__name__], __file__))


if __name__ == "__main__":
    main()
