"""TD3 with each of its remedies taken out in turn, and DDPG, on Pendulum-v1.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/td3.py

Ten seeds of each arm, 10,000 steps each; ``nothing_matters.py`` has the world with a truth of 0. Kept: the
score of the final policy (30 fresh episodes, without noise), the returns of training, what the audits found
(``rlworkshop.true_values``), and how much less the critic says of actions around the actor's than of that
action itself, as target policy smoothing would ask.
"""

import argparse
import dataclasses
import multiprocessing
import time
from typing import Any

import numpy as np
import torch

from rlworkshop import envs, runs, stats, true_values
from rlworkshop.algorithms import ddpg, td3

SEEDS = range(9000, 9010)
CONFIG = td3.Config()
GRID = np.linspace(1_000, CONFIG.total_steps, 40)

ARMS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "TD3": (td3, CONFIG, {}),
    "without twins": (td3, CONFIG, {"target": td3.single_target}),
    "without smoothing": (td3, CONFIG, {"target": td3.unsmoothed_target}),
    "without delay": (td3, dataclasses.replace(CONFIG, policy_delay=1, tau=CONFIG.tau / 2), {}),
    "DDPG": (ddpg, ddpg.Config(), {}),
}


def sharpness(run: runs.Run, algorithm: Any) -> float:
    """By how much Q falls on average from the actor's action to actions around it, over 200 states."""
    rng = np.random.default_rng(0)
    angle, speed = rng.uniform(-np.pi, np.pi, 200), rng.uniform(-4, 4, 200)
    obs = np.stack([np.cos(angle), np.sin(angle), speed], axis=1)
    critic = true_values.load_critic(run, ddpg.Critic if algorithm is ddpg else td3.TwinCritic)
    action = algorithm.load_policy(run).mode(obs)  # (200, 1)
    at = true_values.q_of(critic, obs, action).reshape(-1, 200)[0]
    around = []
    for _ in range(50):
        noise = np.clip(CONFIG.target_noise * rng.standard_normal(action.shape), -0.5, 0.5)
        q = true_values.q_of(critic, obs, np.clip(action + noise, -1, 1))
        around.append(q.reshape(-1, 200)[0])
    return float((at - np.mean(around, axis=0)).mean())


def one(arm: str, seed: int) -> dict[str, Any]:
    """Train one seed of one arm; what is kept of it."""
    torch.set_num_threads(1)
    before = time.process_time()
    algorithm, config, parts = ARMS[arm]
    run = true_values.watched(config, seed, by=algorithm.train, **parts)
    agent, m = algorithm.load_policy(run), run.metrics
    score = envs.evaluate(agent.act, run.env_id, 30, seed).mean()
    audits = (
        "audit_step",
        "believed",
        "collected",
        "believed_any",
        "collected_any",
        "apart",
        "tells_any",
        "spread_any",
    )
    print(arm, seed, f"{score:.0f}, {time.process_time() - before:.0f} s", flush=True)
    return {
        "score": float(score),
        "returns": stats.on_grid(m["step"], m["return"], GRID, window=1_000).tolist(),
        **{name: m[name].tolist() for name in audits},
        "sharpness": sharpness(run, algorithm),
        "seconds": time.process_time() - before,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=2)
    jobs = [(arm, seed) for seed in SEEDS for arm in ARMS]
    with multiprocessing.get_context("spawn").Pool(parser.parse_args().processes) as pool:
        found = pool.starmap(one, jobs, chunksize=1)
    results = {"grid": GRID.tolist(), "arms": {arm: [] for arm in ARMS}}
    for (arm, _), kept in zip(jobs, found, strict=True):
        results["arms"][arm].append(kept)
    modules = ["rlworkshop.algorithms.ddpg", "rlworkshop.algorithms.td3", "rlworkshop.true_values"]
    runs.store("td3", results, SEEDS, modules, __file__)


if __name__ == "__main__":
    main()
