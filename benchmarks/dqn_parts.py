"""DQN on CartPole for 6,000 steps: whole, with one part taken out, with another loss, and one step at a time.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/dqn_parts.py

Ten seeds of each. Kept of each run are its audits (``dqn_values.watched``): the step, the value that the
greedy policy expects at the start of an episode, the discounted return that it then collects, and its score,
means over twenty episodes.
"""

import argparse
import dataclasses
import time
from concurrent.futures import ProcessPoolExecutor

import torch

from rlworkshop import runs
from rlworkshop.algorithms import dqn, dqn_values

SEEDS = range(9000, 9010)
FULL = dqn.Config()
# the first 6,000 steps of the finished agent's training: the same exploration, a rate that does not fall yet
EARLY = dataclasses.replace(
    FULL, total_steps=6_100, exploration_fraction=6_000 / 6_100, lr_decay_fraction=0.0
)
ONE = dataclasses.replace(
    EARLY, num_envs=1, learning_starts=1, train_freq=1, gradient_steps=1, batch_size=1, buffer_size=1,
    target_update_interval=1, total_steps=4_000, exploration_fraction=0.5,
)  # fmt: skip
ARMS = {
    "one step at a time": (ONE, {"every": 500}),
    "the whole agent": (EARLY, {}),
    "no frozen copy": (dataclasses.replace(EARLY, target_update_interval=1), {}),
    "a buffer of 64": (dataclasses.replace(EARLY, buffer_size=64, learning_starts=64), {}),
    "raw observations": (dataclasses.replace(EARLY, normalize_obs=False), {}),
    "Huber": (EARLY, {"losses": dqn.huber_losses}),
    "Huber, rewards in hundreds": (EARLY, {"losses": dqn_values.in_hundreds}),
    "threshold in hundreds, too": (EARLY, {"losses": dqn_values.all_in_hundreds}),
}


def one(arm: str, seed: int) -> list[list[float]]:
    """The audits (R, 4) of one training, values in the arm's own unit: four digits of each number."""
    torch.set_num_threads(1)
    config, more = ARMS[arm]
    before = time.process_time()
    rows = dqn_values.audits([dqn_values.watched(config, seed, **more)])[0]
    print(arm, seed, rows[-1].round(1), f"{time.process_time() - before:.1f} s", flush=True)
    return [[float(f"{x:.4g}") for x in row] for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=2)
    jobs = [(arm, seed) for arm in ARMS for seed in SEEDS]
    with ProcessPoolExecutor(parser.parse_args().processes) as pool:
        audits = list(pool.map(one, *zip(*jobs, strict=True)))
    results = {
        "settings": {arm: runs.plain_config(config) for arm, (config, _) in ARMS.items()},
        "audits": {
            arm: [a for (name, _), a in zip(jobs, audits, strict=True) if name == arm] for arm in ARMS
        },
    }
    print(runs.store("dqn_parts", results, SEEDS, [dqn_values.__name__], __file__))


if __name__ == "__main__":
    main()
