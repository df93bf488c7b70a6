"""What a deep Q-network believes a ledge to be worth, with targets of one step and of five: ten seeds each.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/dqn_ledge.py

The settings are those of the page on the family. Kept of each run is the largest value at the ledge's
beginning after each round of learning.
"""

import time

import torch

from rlworkshop import runs
from rlworkshop.algorithms import dqn
from rlworkshop.algorithms import dqn_family as family
from rlworkshop.envs import probes

SEEDS = range(9000, 9010)
CONFIG = family.FamilyConfig(
    env_id="SparseChain-v0", num_envs=8, total_steps=4000, gamma=0.99, lr=5e-3, lr_decay_fraction=1.0,
    batch_size=32, buffer_size=4000, learning_starts=256, train_freq=64, gradient_steps=32,
    target_update_interval=32, final_epsilon=0.3, exploration_fraction=0.5, hidden=(32,),
    normalize_obs=False, n=5,
)  # fmt: skip
ARMS = {"one": {}, "five": {"make_replay": family.n_step_replay}}


def one(arm: str, seed: int) -> list[float]:
    """One training: the value believed after each round, four digits of it."""
    start, believed, before = probes.SparseChain().observations()[:1], [], time.process_time()

    def watch(session):
        believed.append(float(f"{session.agent.values(start).max():.4g}"))

    dqn.train(CONFIG, seed, callback=watch, **ARMS[arm])
    print(arm, seed, believed[-1], f"{time.process_time() - before:.1f} s", flush=True)
    return believed


def main() -> None:
    torch.set_num_threads(1)
    results = {
        "settings": runs.plain_config(CONFIG),
        "believed": {arm: [one(arm, seed) for seed in SEEDS] for arm in ARMS},
    }
    print(runs.store("dqn_ledge", results, SEEDS, [family.__name__, probes.__name__], __file__))


if __name__ == "__main__":
    main()
