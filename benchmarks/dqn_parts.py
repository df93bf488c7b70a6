"""DQN on CartPole for 6,000 steps: whole, with one part taken out, with another loss, and one step at a time.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/dqn_parts.py

Ten seeds of each. Kept of each run are its audits (``dqn_values.watched``): the step, the value that the
greedy policy expects at the start of an episode, the discounted return that it then collects, and its score,
means over twenty episodes. And how far the values of the final policy spread over states of random play,
relative to their mean.
"""

import argparse
import dataclasses
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

from rlworkshop import envs, runs
from rlworkshop.algorithms import dqn, dqn_values
from rlworkshop.replay import Transitions

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


def all_pairs(learner: dqn.Learner, batch: Transitions, config: dqn.Config) -> torch.Tensor:
    """The loss in which an axis too many pairs every value with every target (B, B)."""
    obs, action, reward, next_obs, discount = learner.tensors(batch)
    with torch.no_grad():
        target = dqn.td_target(reward, discount, learner.target(next_obs))
    return 0.5 * (learner.agent.q(obs).gather(1, action[:, None]) - target) ** 2


ARMS = {
    "one step at a time": (ONE, {"every": 500}),
    "the whole agent": (EARLY, {}),
    "no frozen copy": (dataclasses.replace(EARLY, target_update_interval=1), {}),
    "a buffer of 64": (dataclasses.replace(EARLY, buffer_size=64, learning_starts=64), {}),
    "raw observations": (dataclasses.replace(EARLY, normalize_obs=False), {}),
    "all pairs": (EARLY, {"losses": all_pairs}),
    "Huber": (EARLY, {"losses": dqn.huber_losses}),
    "Huber, rewards in hundreds": (EARLY, {"losses": dqn_values.in_hundreds}),
    "threshold in hundreds, too": (EARLY, {"losses": dqn_values.all_in_hundreds}),
}


def spread(agent: dqn.Agent, seed: int, steps: int = 100, n: int = 8) -> float:
    """Standard deviation of the largest value, over states of random play, relative to the mean."""
    world, episodes, rng = envs.make(FULL.env_id, n), envs.Episodes(n), np.random.default_rng(seed)
    obs, _ = world.reset(seed=seed)
    seen = []
    for _ in range(steps):
        next_obs, reward, terminated, truncated, _ = world.step(rng.integers(2, size=n))
        valid = episodes.step(next_obs, reward, terminated, truncated)  # not the reset rows
        seen.append(obs[valid & ~terminated])
        obs = next_obs
    values = agent.values(np.concatenate(seen)).max(axis=1)
    return float(values.std() / values.mean())


def one(arm: str, seed: int) -> dict:
    """One training: its audits (R, 4) and the spread, values in the arm's own unit, four digits of each."""
    torch.set_num_threads(1)
    config, more = ARMS[arm]
    before = time.process_time()
    run = dqn_values.watched(config, seed, **more)
    rows, apart = dqn_values.audits([run])[0], spread(dqn.load_policy(run), seed)
    print(arm, seed, rows[-1].round(1), f"{apart:.3f}, {time.process_time() - before:.1f} s", flush=True)
    return {"audits": [[float(f"{x:.4g}") for x in row] for row in rows], "spread": float(f"{apart:.4g}")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=2)
    jobs = [(arm, seed) for arm in ARMS for seed in SEEDS]
    with ProcessPoolExecutor(parser.parse_args().processes) as pool:
        found = list(pool.map(one, *zip(*jobs, strict=True)))
    results: dict = {"settings": {arm: runs.plain_config(config) for arm, (config, _) in ARMS.items()}}
    for kind in ("audits", "spread"):
        each = [(arm, kept[kind]) for (arm, _), kept in zip(jobs, found, strict=True)]
        results[kind] = {arm: [kept for name, kept in each if name == arm] for arm in ARMS}
    print(runs.store("dqn_parts", results, SEEDS, [dqn_values.__name__], __file__))


if __name__ == "__main__":
    main()
