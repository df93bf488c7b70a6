"""PPO on two arms that are told positions; the elbow of one is stuck, since its range was read in degrees.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/robots_as_rl.py

Ten seeds of each. Kept are the mean training returns of ten windows of episodes, and how far the tip is from
its target after training: a mean over the last ten of 50 steps and 50 fresh episodes, in centimetres. Less
than a minute on one core.
"""

import dataclasses

import gymnasium as gym
import numpy as np
import torch

from rlworkshop import envs, runs
from rlworkshop.algorithms import ppo
from rlworkshop.robotics import robots_as_rl as robots

SEEDS = range(9000, 9010)
STUCK = robots.ARM.replace('<compiler angle="radian"/>', "")
REACH = ppo.Config(
    num_envs=16, num_steps=51, total_steps=24_480, batch_size=204, lr=6e-3, gamma=0.9,
    max_grad_norm=1.0, normalize_obs=True,
)  # fmt: skip
ARMS = {"sound": "rlworkshop.robotics.robots_as_rl:ArmPosition-v0", "stuck": "ArmStuck-v0"}


def missed(run: runs.Run) -> float:
    """Centimetres from tip to target, in the last ten of 50 steps, over 50 episodes."""
    arms, act, far = envs.make(run.env_id, 50), ppo.load_policy(run).act, []
    obs = envs.reset(arms, run.seed, "evaluation")
    for _ in range(50):
        obs = arms.step(act(obs))[0]
        far.append(np.hypot(obs[:, 8], obs[:, 9]))
    return float(100 * np.mean(far[-10:]))


def one(name: str, seed: int) -> dict:
    """Train one seed on one arm; what came of it."""
    run = ppo.train(dataclasses.replace(REACH, env_id=name), seed)
    n = len(run.metrics["return"]) // 10  # episodes of a window
    windows = run.metrics["return"][: 10 * n].reshape(10, n).mean(axis=1)
    return {"missed": missed(run), "episodes": n, "windows": windows.round(3).tolist()}


def main() -> None:
    torch.set_num_threads(1)
    gym.register("ArmStuck-v0", lambda: robots.Arm("position", STUCK), max_episode_steps=50)
    results = {}
    for arm, name in ARMS.items():
        results[arm] = [one(name, seed) for seed in SEEDS]
        print(arm, [round(found["missed"], 1) for found in results[arm]], flush=True)
    modules = ["rlworkshop.robotics.robots_as_rl", "rlworkshop.algorithms.ppo"]
    runs.store("robots_as_rl", results, SEEDS, modules, __file__)


if __name__ == "__main__":
    main()
