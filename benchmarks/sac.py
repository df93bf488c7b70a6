"""SAC on Pendulum with one piece removed at a time, and with two of today's diffs: ten seeds of each.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/sac.py --processes 2

Kept for each run: returns of training on a grid of steps, the score of the final policy over 30 fresh
episodes, entropy and temperature at the end, CPU seconds, and by how much the critics' value of where an
episode begins lies above what the policy collects from there, entropy included.
"""

import argparse
import dataclasses
import multiprocessing
import time
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from rlworkshop import envs as rl_envs
from rlworkshop import runs, stats
from rlworkshop.algorithms import crossq, sac
from rlworkshop.algorithms.ddpg import td_target
from rlworkshop.algorithms.td3 import clipped_double_q
from rlworkshop.replay import Transitions

SEEDS = range(9000, 9010)
STEPS = 5_750  # four environments end their seventh episodes at 5,600
GRID = np.arange(1_000, STEPS + 1, 250)
BASE = sac.Config(total_steps=STEPS)


# ------------------------------------------------------------------------------------------ without a piece


def hard_target(
    learner: sac.Learner, batch: Transitions, config: sac.Config, rng: np.random.Generator
) -> torch.Tensor:
    """The target (B,) without the entropy of what comes next."""
    next_action, _ = learner.agent.draw(batch.next_obs, rng)  # (B, K)
    next_q = clipped_double_q(learner.target_critic(batch.next_obs, next_action))  # (B,)
    return td_target(batch.reward, batch.discount, next_q)


def one_critic(envs: gym.vector.VectorEnv, config: sac.Config, generator: torch.Generator) -> sac.Learner:
    """SAC's networks and optimisers with a single critic, which is the lower one of one."""
    learner = sac.make_learner(envs, config, generator)
    for critic in (learner.critic, learner.target_critic):
        critic.twins = critic.twins[:1]
    learner.critic_opt = torch.optim.Adam(learner.critic.parameters(), config.lr, fused=True)
    return learner


class Uncorrected(sac.GaussianAgent):
    """A squashed policy that takes the density before the tanh for that of its actions."""

    def draw(self, obs: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Random actions (B, K), and the log-densities (B,) of the Gaussian draws, in the box's units."""
        mean, log_std = self.actor(obs).chunk(2, dim=1)  # (B, K), (B, K)
        log_std = log_std.clamp(*sac.LOG_STD)
        noise = torch.from_numpy(rng.standard_normal(mean.shape, np.float32))  # (B, K)
        logp = torch.distributions.Normal(0.0, 1.0).log_prob(noise) - log_std  # (B, K)
        return (mean + log_std.exp() * noise).tanh(), logp.sum(dim=1) - self.log_scale


def no_correction(envs: gym.vector.VectorEnv, config: sac.Config, generator: torch.Generator) -> sac.Learner:
    """SAC's networks and optimisers with an actor whose density does not know of the tanh."""
    learner = sac.make_learner(envs, config, generator)
    agent = learner.agent
    learner.agent = Uncorrected(agent.actor, agent.obs_space, agent.action_space)
    return learner


ARMS: dict[str, tuple[sac.Config, dict[str, Any]]] = {
    "SAC": (BASE, {}),
    "no entropy in the target": (BASE, {"target": hard_target}),
    "one critic": (BASE, {"make_learner": one_critic}),
    "temperature 10": (dataclasses.replace(BASE, alpha=10.0, alpha_lr=0.0), {}),
    "temperature 0.001": (dataclasses.replace(BASE, alpha=0.001, alpha_lr=0.0), {}),
    "no tanh correction": (BASE, {"make_learner": no_correction}),
    "no target networks": (dataclasses.replace(BASE, tau=1.0), {}),
    "four updates a step": (dataclasses.replace(BASE, total_steps=3_250, gradient_steps=128), {}),
    "CrossQ": (crossq.CrossQConfig(total_steps=STEPS), {}),
    "CrossQ, two passes": (crossq.CrossQConfig(total_steps=STEPS), {"target": crossq.separate_td}),
}


# ------------------------------------------------------------------------------------------ measurements


def overestimation(learner: sac.Learner, gamma: float, seed: int, horizon: int = 600) -> float:
    """By how much the lower critic's Q of 20 first actions lies above their soft returns, on average."""
    envs = rl_envs.make("Pendulum-v1", 20, max_episode_steps=horizon + 1)
    rng, agent, obs = np.random.default_rng(seed), learner.agent, rl_envs.reset(envs, seed, "evaluation")
    total, discount = np.zeros(20), 1.0
    learner.critic.eval()
    with torch.no_grad():
        alpha = learner.temperature().item()
        for t in range(horizon):
            seen = torch.from_numpy(obs.astype(np.float32))
            action, logp = agent.draw(seen, rng)  # (20, 1), (20,)
            if t == 0:  # the bonus of the first action is no part of its Q
                q = clipped_double_q(learner.critic(seen, action)).numpy()
            else:
                total -= discount * alpha * logp.numpy()
            obs, reward, *_ = envs.step(agent.to_box(action.numpy()))
            total += discount * reward
            discount *= gamma
    return float((q - total).mean())


def one(arm: str, seed: int) -> dict[str, Any]:
    """One run of one arm, as plain numbers."""
    torch.set_num_threads(1)
    config, parts = ARMS[arm]
    train, load = (
        (crossq.train_crossq, crossq.load_crossq) if "CrossQ" in arm else (sac.train, sac.load_policy)
    )
    kept = {}
    before = time.process_time()
    run = train(config, seed, callback=lambda session: kept.update(session.kept), **parts)
    seconds = time.process_time() - before
    scores = rl_envs.evaluate(load(run).act, run.env_id, 30, seed)
    m, late = run.metrics, slice(-len(run.metrics["alpha"]) // 5, None)
    grid = [step for step in GRID if step <= config.total_steps]
    found = {
        "returns": stats.on_grid(m["step"], m["return"], grid, window=800).tolist(),
        "evaluation": float(scores.mean()),
        "entropy": float(m["entropy"][late].mean()) if "entropy" in m else None,
        "alpha": float(m["alpha"][late].mean()),
        "overestimation": overestimation(kept["learner"], config.gamma, seed),
        "steps": config.total_steps,
        "seconds": seconds,
    }
    print(f"{arm:26s} {seed} evaluation {found['evaluation']:7.0f}, {seconds:.0f} s", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=2)
    processes = parser.parse_args().processes
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        jobs = [(arm, seed) for seed in SEEDS for arm in ARMS]
        found = pool.starmap(one, jobs, chunksize=1)
    results = {"grid": GRID.tolist(), "arms": {arm: [] for arm in ARMS}}
    for (arm, _), row in zip(jobs, found, strict=True):
        results["arms"][arm].append(row)
    modules = ["rlworkshop.algorithms.sac", "rlworkshop.algorithms.crossq"]
    runs.store("sac", results, SEEDS, modules, __file__)


if __name__ == "__main__":
    main()
