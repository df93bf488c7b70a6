"""Wall-clock to the first good CartPole policy: our policy gradient against a tuned A2C.

Each run trains until an evaluation (10 deterministic episodes, every 5,000 environment steps) first
reaches 475. Counted is training time alone: not the imports, not the constructor, not the evaluations.
One thread; the two take turns, seed by seed, so that a busy machine treats them alike. A run that does
not get there within 500,000 steps counts with the time that it took.

A2C is that of Stable-Baselines3 with the settings that its authors publish for CartPole-v1
(RL Baselines3 Zoo, hyperparams/a2c.yml: 8 environments, no entropy bonus, 500,000 steps).

    pip install stable-baselines3
    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/vpg_vs_a2c.py
"""

import statistics
import time

import stable_baselines3
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

from rlworkshop import envs, runs
from rlworkshop.algorithms import vpg

SEEDS = range(10)
EVERY, EPISODES, ENOUGH, LIMIT = 5_000, 10, 475.0, 500_000


class Done(Exception):
    """Good enough: stop the training."""


class Watch:
    """Stops the clock for evaluations, and the training at the first good one."""

    def __init__(self, seed: int):
        self.seed, self.next, self.steps, self.score = seed, EVERY, 0, float("nan")
        self.spent, self.since = 0.0, time.perf_counter()

    def __call__(self, steps, act):
        if steps < self.next:
            return
        self.spent += time.perf_counter() - self.since
        self.next = steps - steps % EVERY + EVERY
        self.steps = steps
        self.score = float(envs.evaluate(act, "CartPole-v1", EPISODES, seed=1_000_000 + self.seed).mean())
        self.since = time.perf_counter()
        if self.score >= ENOUGH:
            raise Done

    def result(self, reached: bool) -> dict:
        seconds = self.spent + (0.0 if reached else time.perf_counter() - self.since)
        return {
            "seed": self.seed,
            "seconds": round(seconds, 3),
            "steps": self.steps,
            "score": self.score,
            "reached": reached,
        }


def ours(seed: int) -> dict:
    """One training of ours with its default settings; making environments and networks is counted."""
    watch = Watch(seed)

    def look(session):
        watch(session.steps, session.agent.act)

    return _timed(lambda: vpg.train(vpg.Config(), seed, callback=look), watch)


def a2c(seed: int) -> dict:
    """One training of Stable-Baselines3's A2C; its constructor is not counted."""

    class Callback(BaseCallback):
        def _on_step(self) -> bool:
            watch(self.num_timesteps, lambda obs: self.model.predict(obs, deterministic=True)[0])
            return True

    venv = make_vec_env("CartPole-v1", n_envs=8, seed=seed)
    model = stable_baselines3.A2C("MlpPolicy", venv, ent_coef=0.0, seed=seed, device="cpu")
    watch = Watch(seed)
    return _timed(lambda: model.learn(LIMIT, callback=Callback()), watch)


def _timed(training, watch: Watch) -> dict:
    try:
        training()
    except Done:
        return watch.result(True)
    return watch.result(False)


def main() -> None:
    torch.set_num_threads(1)
    vpg.train(vpg.Config(total_steps=1024), 0)  # the first use of either library warms it up
    stable_baselines3.A2C("MlpPolicy", make_vec_env("CartPole-v1", 8), device="cpu").learn(1024)
    found = {"vpg": [], "a2c": []}
    for seed in SEEDS:
        for name, experiment in (("vpg", ours), ("a2c", a2c)):
            found[name].append(experiment(seed))
            print(name, found[name][-1], flush=True)
    median = {name: statistics.median(r["seconds"] for r in rows) for name, rows in found.items()}
    ratio = median["vpg"] / median["a2c"]
    print(f"median seconds: {median}; ours / A2C = {ratio:.3f}")
    results = {"runs": found, "median_seconds": median, "ratio": ratio}
    runs.store("vpg_vs_a2c", results, SEEDS, [vpg.ALGORITHM], __file__, packages=["stable-baselines3"])


if __name__ == "__main__":
    main()
