"""LunarLander-v3 with DQN: five seeds, mean deterministic evaluation over 100 episodes at the end.

    pip install "gymnasium[box2d]"
    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/dqn_lunarlander.py

The seeds run two at a time, one thread each.
"""

import multiprocessing

import numpy as np
import torch

from rlworkshop import envs, runs, stats
from rlworkshop.algorithms import dqn

CONFIG = dqn.Config(
    env_id="LunarLander-v3",
    total_steps=200_000,
    lr=5e-4,
    lr_decay_fraction=0.5,
    buffer_size=100_000,
    target_update_interval=64,
    hidden=(128, 128),
    exploration_fraction=0.1,
)
SEEDS, PROCESSES = range(5000, 5005), 2


def one(seed: int) -> dict:
    """Train and evaluate one seed; its returns at 50 moments of the training, averaged over 10,000 steps."""
    torch.set_num_threads(1)
    run = dqn.train(CONFIG, seed)
    agent = dqn.load_policy(run)
    returns = envs.evaluate(agent.act, CONFIG.env_id, 100, seed=3_000_000 + seed)
    grid = np.linspace(10_000, CONFIG.total_steps, 50)
    curve = stats.on_grid(run.metrics["step"], run.metrics["return"], grid, window=10_000)
    print(f"seed {seed}: {returns.mean():.1f} ± {returns.std():.1f}", flush=True)
    return {"score": float(returns.mean()), "steps": grid.tolist(), "returns": curve.tolist()}


def main() -> None:
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        found = pool.map(one, SEEDS, chunksize=1)
    results = {
        "scores": [each["score"] for each in found],
        "seeds": list(SEEDS),
        "steps": CONFIG.total_steps,
        "config": runs.plain_config(CONFIG),
        "curves": {"steps": found[0]["steps"], "returns": [each["returns"] for each in found]},
    }
    print(f"mean {np.mean(results['scores']):.1f}, lowest {min(results['scores']):.1f}")
    runs.store("dqn_lunarlander", results, SEEDS, [dqn.ALGORITHM], __file__, packages=["box2d"])


if __name__ == "__main__":
    main()
