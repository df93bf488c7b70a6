"""PPO against that of Stable-Baselines3: steps a second, time to a good CartPole policy, ten fresh seeds.

1. Speed: both with the same settings, by turns, in CPU seconds of one thread; the share of a run of ours that
   is stepping the environment is the limit of what a faster learner could gain.
2. Race: training time to the first deterministic evaluation (10 episodes, every 5,000 steps, not counted) of
   at least 475. Each side has the best of three configurations, chosen by the median of three other seeds.
3. Ten seeds of ours, 100 deterministic episodes after 100,000 steps, with the one of the configurations that
   solved the task (500 in each episode) on most of twenty other seeds.

    pip install stable-baselines3
    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/ppo_vs_sb3.py
"""

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import stable_baselines3
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from vpg_vs_a2c import LIMIT, Watch, _timed

from rlworkshop import envs, runs
from rlworkshop.algorithms import ppo

SPEED = {
    "CartPole-v1": {"num_envs": 8, "num_steps": 32, "n_epochs": 20, "batch_size": 256},
    "HalfCheetah-v5": {"num_envs": 1, "num_steps": 2048, "n_epochs": 10, "batch_size": 64},
}
STEPS, ROUNDS = 16_384, 5
OURS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "short batches": {"num_steps": 64},
    "zoo": {**SPEED["CartPole-v1"], "gamma": 0.98, "gae_lambda": 0.8, "lr": 1e-3},
}
THEIRS: dict[str, dict[str, Any]] = {
    "defaults": {"n_envs": 8},
    "zoo": {  # RL Baselines3 Zoo, hyperparams/ppo.yml
        "n_envs": 8, "n_steps": 32, "batch_size": 256, "n_epochs": 20, "gamma": 0.98, "gae_lambda": 0.8,
        "learning_rate": lambda left: 1e-3 * left, "clip_range": lambda left: 0.2 * left,
    },
    "ours": {"n_envs": 8, "n_steps": 128, "batch_size": 256, "n_epochs": 4, "learning_rate": 3e-3},
}  # fmt: skip
SEARCH, RACE = range(3), range(100, 110)
TRIED, FINAL = range(300, 320), range(400, 410)
TRAINING = 100_000


def train_ours(env_id: str, seed: int) -> Callable[[], Any]:
    """Training of ours with the settings of ``SPEED``."""
    config = ppo.Config(env_id=env_id, total_steps=STEPS, **SPEED[env_id])
    return lambda: ppo.train(config, seed)


def train_like_sb3(algorithm: Any, env_id: str, seed: int) -> Callable[[], Any]:
    """Training of an ``algorithm`` with the interface of Stable-Baselines3, without its constructor."""
    same = SPEED[env_id]
    venv = make_vec_env(env_id, same["num_envs"], seed=seed)
    names = {"n_steps": same["num_steps"], "n_epochs": same["n_epochs"], "batch_size": same["batch_size"]}
    model = algorithm("MlpPolicy", venv, seed=seed, device="cpu", **names)
    return lambda: model.learn(STEPS)


def step_only(env_id: str, seed: int) -> Callable[[], Any]:
    """Stepping our environments with random actions, and nothing else."""
    world = envs.make(env_id, SPEED[env_id]["num_envs"])
    envs.reset(world, seed)
    actions = [world.action_space.sample() for _ in range(64)]
    return lambda: [world.step(actions[t % 64]) for t in range(STEPS // world.num_envs)]


CONTENDERS = {
    "ours": train_ours,
    "sb3": functools.partial(train_like_sb3, stable_baselines3.PPO),
    "environment": step_only,
}


def speed(env_id: str, contenders: dict[str, Callable]) -> dict[str, float]:
    """Median steps per CPU second of each, over ``ROUNDS`` in which they take turns."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for seed in range(ROUNDS):
        for name, begin in contenders.items():
            training = begin(env_id, seed)
            before = time.process_time()
            training()
            found[name].append(STEPS / (time.process_time() - before))
    return {name: statistics.median(values) for name, values in found.items()}


def ours(seed: int, settings: dict[str, Any]) -> dict:
    """One training of ours; making environments and networks is counted."""
    watch = Watch(seed)

    def look(session):
        watch(session.steps, session.agent.act)

    config = ppo.Config(**{"total_steps": TRAINING, **settings})
    return _timed(lambda: ppo.train(config, seed, callback=look), watch)


def sb3(seed: int, settings: dict[str, Any]) -> dict:
    """One training of Stable-Baselines3's PPO; its constructor is not counted."""

    class Callback(BaseCallback):
        def _on_step(self) -> bool:
            watch(self.num_timesteps, lambda obs: self.model.predict(obs, deterministic=True)[0])
            return True

    rest = {name: value for name, value in settings.items() if name != "n_envs"}
    venv = make_vec_env("CartPole-v1", n_envs=settings["n_envs"], seed=seed)
    model = stable_baselines3.PPO("MlpPolicy", venv, seed=seed, device="cpu", **rest)
    watch = Watch(seed)
    # the zoo's schedules fall to 0 at 100,000 steps; the plain ones have no end
    return _timed(
        lambda: model.learn(TRAINING if "clip_range" in rest else LIMIT, callback=Callback()), watch
    )


def best(race, configurations: dict[str, dict[str, Any]]) -> str:
    """The configuration with the smallest median time on the seeds of the search."""
    median = {
        name: statistics.median(race(seed, settings)["seconds"] for seed in SEARCH)
        for name, settings in configurations.items()
    }
    print(
        race.__name__, "searched:", {name: round(seconds, 2) for name, seconds in median.items()}, flush=True
    )
    return min(median, key=median.get)


def final(seed: int, settings: dict[str, Any]) -> float:
    """Mean return of 100 deterministic episodes after a whole training of ours."""
    agent = ppo.load_policy(ppo.train(ppo.Config(**{"total_steps": TRAINING, **settings}), seed))
    return float(envs.evaluate(agent.act, "CartPole-v1", 100, seed=2_000_000 + seed).mean())


def main() -> None:
    torch.set_num_threads(1)
    ppo.train(ppo.Config(total_steps=2048), 0)  # the first use of either library warms it up
    stable_baselines3.PPO("MlpPolicy", make_vec_env("CartPole-v1", 8), device="cpu").learn(2048)
    speeds = {env_id: speed(env_id, CONTENDERS) for env_id in SPEED}
    for env_id, one in speeds.items():
        ratio, share = one["ours"] / one["sb3"], one["ours"] / one["environment"]
        print(f"{env_id}: ours / SB3 = {ratio:.2f} in steps a second; {share:.0%} of ours is the environment")
    chosen = {"ppo": (ours, OURS, best(ours, OURS)), "sb3": (sb3, THEIRS, best(sb3, THEIRS))}
    found: dict[str, list[dict]] = {name: [] for name in chosen}
    for seed in RACE:
        for name, (race, configurations, which) in chosen.items():
            found[name].append(race(seed, configurations[which]))
            print(name, found[name][-1], flush=True)
    median = {name: statistics.median(run["seconds"] for run in rows) for name, rows in found.items()}
    ratio = median["ppo"] / median["sb3"]
    print(f"median seconds: {median}; ours / theirs = {ratio:.3f}", flush=True)
    tried = {name: [final(seed, settings) for seed in TRIED] for name, settings in OURS.items()}
    solid = max(tried, key=lambda name: (sum(score == 500 for score in tried[name]), np.mean(tried[name])))
    print({name: sum(score == 500 for score in scores) for name, scores in tried.items()}, solid, flush=True)
    scores = [final(seed, OURS[solid]) for seed in FINAL]
    print(f"final evaluations: {scores}, mean {np.mean(scores):.1f}")
    results = {
        "speed": speeds,
        "chosen": {name: which for name, (_, _, which) in chosen.items()},
        "runs": found,
        "median_seconds": median,
        "ratio": ratio,
        "tried": tried,
        "final": {"configuration": solid, "scores": scores, "seeds": list(FINAL)},
    }
    seeds = [*SEARCH, *RACE, *TRIED, *FINAL]
    runs.store("ppo_vs_sb3", results, seeds, [ppo.ALGORITHM], __file__, packages=["stable-baselines3"])


if __name__ == "__main__":
    main()
