"""PPO's speed beside three other libraries: Stable-Baselines3, SBX (JAX) and rlox (Rust and PyTorch).

The settings of ``ppo_vs_sb3.py``, by turns, in steps per CPU second on one core. What compiles is given a
first training that does not count. ``make benchmark-peers`` makes an environment for it and runs it.
"""

import os
from collections.abc import Callable
from typing import Any

import sbx
import torch
from ppo_vs_sb3 import CONTENDERS, SPEED, STEPS, speed, train_like_sb3
from rlox.algorithms.ppo import PPO as RloxPPO

from rlworkshop import runs
from rlworkshop.algorithms import ppo


def train_sbx(env_id: str, seed: int) -> Callable[[], Any]:
    """Training with SBX, compiled by a first one."""
    training = train_like_sb3(sbx.PPO, env_id, seed)
    training()
    return training


def train_rlox(env_id: str, seed: int) -> Callable[[], Any]:
    """Training with rlox, whose environments are stepped in Rust where it has its own."""
    same = SPEED[env_id]
    algorithm = RloxPPO(
        env_id, same["num_envs"], seed, n_steps=same["num_steps"], n_epochs=same["n_epochs"],
        batch_size=same["batch_size"],
    )  # fmt: skip
    return lambda: algorithm.train(STEPS)


def main() -> None:
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(
            0, {min(os.sched_getaffinity(0))}
        )  # one core, for those that have their own threads
    contenders = {**CONTENDERS, "sbx": train_sbx, "rlox": train_rlox}
    found = {}
    for env_id in SPEED:
        found[env_id] = speed(env_id, contenders)
        print(env_id, *(f"{name} {rate:,.0f}" for name, rate in found[env_id].items()), sep="   ", flush=True)
    runs.store(
        "ppo_peers", found, [0], [ppo.ALGORITHM], __file__, packages=["stable-baselines3", "sbx-rl", "rlox"]
    )


if __name__ == "__main__":
    main()
