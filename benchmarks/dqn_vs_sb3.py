"""CartPole with DQN: how good ours ends over ten seeds, and a race against a tuned DQN of another library.

Final: mean deterministic evaluation over 100 episodes after 50,000 steps with our defaults, for ten seeds.

Race: each run trains until an evaluation (10 deterministic episodes, every 2,000 environment steps) first
reaches 475. Counted is training time alone: not the imports, not their constructor, not the evaluations.
One thread; the two take turns, seed by seed, so that a busy machine treats them alike. A run that does not
get there within its 50,000 steps counts with the time that it took.

The other DQN is that of Stable-Baselines3 with the settings that its authors publish for CartPole-v1
(RL Baselines3 Zoo, hyperparams/dqn.yml).

    pip install stable-baselines3
    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/dqn_vs_sb3.py
"""

import statistics
import time
from collections.abc import Callable

import gymnasium as gym
import stable_baselines3
import torch
from stable_baselines3.common.callbacks import BaseCallback

from rlworkshop import envs, runs
from rlworkshop.algorithms import dqn
from rlworkshop.runs.training import Training

ENV, EVERY, EPISODES, ENOUGH, LIMIT = "CartPole-v1", 2_000, 10, 475.0, 50_000
RACE, FINAL = range(2000, 2005), range(3000, 3010)  # seeds
ZOO = dict(
    learning_rate=2.3e-3, batch_size=64, buffer_size=100_000, learning_starts=1000, gamma=0.99,
    target_update_interval=10, train_freq=256, gradient_steps=128, exploration_fraction=0.16,
    exploration_final_eps=0.04, policy_kwargs={"net_arch": [256, 256]},
)  # fmt: skip


class Done(Exception):
    """Good enough: stop the training."""


class Watch:
    """Stops the clock for evaluations, and the training at the first good one."""

    def __init__(self, seed: int):
        self.seed, self.next, self.steps, self.score = seed, EVERY, 0, float("nan")
        self.spent, self.since = 0.0, time.perf_counter()

    def __call__(self, steps: int, act: envs.Act) -> None:
        if steps < self.next:
            return
        self.spent += time.perf_counter() - self.since
        self.next = steps - steps % EVERY + EVERY
        self.steps = steps
        self.score = float(envs.evaluate(act, ENV, EPISODES, seed=1_000_000 + self.seed).mean())
        if self.score >= ENOUGH:
            raise Done
        self.since = time.perf_counter()

    def time(self, training: Callable[[], object]) -> dict:
        """Run ``training``; how long it took to the first good evaluation, or altogether."""
        self.since, reached = time.perf_counter(), False
        try:
            training()
            self.spent += time.perf_counter() - self.since
        except Done:
            reached = True
        seconds = round(self.spent, 3)
        return dict(seed=self.seed, seconds=seconds, steps=self.steps, score=self.score, reached=reached)


def ours(seed: int) -> dict:
    """One training of ours with its default settings; making environments and networks is counted."""
    watch = Watch(seed)

    def look(session: Training) -> None:
        watch(session.steps, session.agent.act)

    return watch.time(lambda: dqn.train(dqn.Config(), seed, callback=look))


def sb3(seed: int) -> dict:
    """One training of Stable-Baselines3's DQN; its constructor is not counted."""
    watch = Watch(seed)

    class Callback(BaseCallback):
        def _on_step(self) -> bool:
            watch(self.num_timesteps, lambda obs: self.model.predict(obs, deterministic=True)[0])
            return True

    model = stable_baselines3.DQN("MlpPolicy", gym.make(ENV), seed=seed, device="cpu", **ZOO)
    return watch.time(lambda: model.learn(LIMIT, callback=Callback()))


def final(seed: int) -> float:
    """Mean deterministic evaluation over 100 fresh episodes after the whole training."""
    agent = dqn.load_policy(dqn.train(dqn.Config(total_steps=LIMIT), seed))
    return float(envs.evaluate(agent.act, ENV, 100, seed=2_000_000 + seed).mean())


def main() -> None:
    torch.set_num_threads(1)
    dqn.train(dqn.Config(total_steps=2000), 0)  # the first use of either library warms it up
    stable_baselines3.DQN("MlpPolicy", gym.make(ENV), device="cpu", **ZOO).learn(1500)
    found = {"dqn": [], "sb3": []}
    for seed in RACE:
        for name, experiment in (("dqn", ours), ("sb3", sb3)):
            found[name].append(experiment(seed))
            print(name, found[name][-1], flush=True)
    median = {name: statistics.median(r["seconds"] for r in rows) for name, rows in found.items()}
    ratio = median["dqn"] / median["sb3"]
    print(f"median seconds: {median}; ours / theirs = {ratio:.3f}", flush=True)
    scores = [final(seed) for seed in FINAL]
    print(f"final evaluations: {scores}")
    results = {
        "runs": found,
        "median_seconds": median,
        "ratio": ratio,
        "final": {"scores": scores, "seeds": list(FINAL)},
    }
    seeds = [*RACE, *FINAL]
    runs.store("dqn_vs_sb3", results, seeds, [dqn.ALGORITHM], __file__, packages=["stable-baselines3"])


if __name__ == "__main__":
    main()
