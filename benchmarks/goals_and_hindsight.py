"""Hindsight replay in arms that a build has no time for: strategies, k, numbers of bits, rewards, algorithms.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/goals_and_hindsight.py

Ten seeds of each. "bits": DQN on 15 bits; "reach": DDPG on the puck; both with the settings of the page.
Kept are the share of 1,000 fresh episodes that end at their goal after training, and on the way that of 100.
About 10 minutes on one core; ``--processes 2`` shares it out.
"""

import argparse
import dataclasses
import multiprocessing
import time

import numpy as np
import torch

from rlworkshop import envs, runs
from rlworkshop.algorithms import ddpg, dqn, sac, td3
from rlworkshop.robotics import goals_and_hindsight as gh

SEEDS = range(9000, 9010)
BITS, REACH = dqn.Config(**gh.BITS), ddpg.Config(**gh.REACH)
OTHERS = {"td3": (td3, td3.Config), "sac": (sac, sac.Config)}


class StaleReplay(gh.HindsightReplay):
    """One that forgets to change a part of what it relabels."""

    @classmethod
    def like(cls, replay: gh.HindsightReplay, forgets: str) -> "StaleReplay":
        """One that forgets the ``goal`` in the next observation, the ``reward`` or the ``discount``."""
        kept = replay[np.arange(0)]
        kinds = {"obs_dtype": kept.obs.dtype, "action_dtype": kept.action.dtype, "task": replay.task}
        new = cls(replay.capacity, kept.obs.shape[1:], kept.action.shape[1:], **kinds)
        new.forgets = forgets
        return new

    def sample(self, batch_size, rng):
        """A batch, a part of which is as it was before it was relabelled."""
        rows = rng.integers(self.size, size=batch_size)
        old, achieved = self[rows], self.goals(rows, rng)
        instead = rng.random((batch_size, 1)) < self.k / (1 + self.k)
        goal = np.where(instead, achieved, old.next_obs[:, self.task.desired])
        new = gh.relabel(old, goal, self.task, self.gamma)
        if self.forgets == "goal":
            new.next_obs[:, self.task.desired] = old.next_obs[:, self.task.desired]
            return new
        return new._replace(**{self.forgets: getattr(old, self.forgets)})


def arms() -> dict[str, dict]:
    """What differs in each arm, by its name."""
    found = {}
    for task in ("bits", "reach"):
        found |= {f"{task} {strategy}": {"strategy": strategy} for strategy in gh.STRATEGIES}
        found |= {f"{task} k={k}": {"k": k} for k in (0, 1, 2, 8)}
    for n in (6, 8, 10, 12, 20):
        found |= {f"bits n={n} {way}": {"n": n, "k": k} for way, k in (("hindsight", 4), ("without", 0))}
    found |= {f"reach dense k={k}": {"dense": True, "k": k} for k in (0, 4)}
    found["reach dense slow"] = {"dense": True, "k": 0, "change": {"tau": 0.02, "total_steps": 36_000}}
    for task in ("bits", "reach"):
        found |= {f"{task} stale {what}": {"stale": what} for what in ("goal", "reward", "discount")}
    return found | {f"reach {name}": {"algorithm": name} for name in OTHERS}


def one(arm: str, seed: int) -> dict:
    """Train one seed of one arm; what came of it."""
    torch.set_num_threads(1)
    before, about = time.process_time(), arms()[arm]
    kinds = {key: about[key] for key in ("strategy", "k") if key in about}

    def on_table(world, capacity):
        if what := about.get("stale"):
            return StaleReplay.like(gh.hindsight_replay(world, capacity), what)
        return gh.hindsight_replay(world, capacity, **kinds)

    def on_bits(config, world):
        return on_table(world, config.buffer_size)

    if arm.startswith("bits"):
        module, config, make_replay, kwargs = dqn, BITS, on_bits, {"n": about.get("n", 15)}
    else:
        kwargs = {"dense": True} if about.get("dense") else {}
        module, config, make_replay = ddpg, dataclasses.replace(REACH, **about.get("change", {})), on_table
        if name := about.get("algorithm"):
            module, kind = OTHERS[name]
            names = {field.name for field in dataclasses.fields(kind)}
            config = kind(**{key: value for key, value in vars(REACH).items() if key in names})
    run = module.train(config, seed, make_replay=make_replay, callback=gh.watch, env_kwargs=kwargs)
    success = gh.play(module.load_policy(run).act, envs.make(run.env_id, 1000, **kwargs), seed + 1)
    seconds = time.process_time() - before
    print(f"{arm:20s} {seed} {success.mean():.3f} {seconds:.1f} s", flush=True)
    watched = {name: run.metrics[name].tolist() for name in ("watched", "success")}
    return {"final": float(success.mean()), "seconds": round(seconds, 2), **watched}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=1)
    with multiprocessing.get_context("spawn").Pool(parser.parse_args().processes) as pool:
        jobs = [(arm, seed) for arm in arms() for seed in SEEDS]
        found = pool.starmap(one, jobs, chunksize=1)
    results = {arm: [] for arm in arms()}
    for (arm, _), outcome in zip(jobs, found, strict=True):
        results[arm].append(outcome)
    modules = ["rlworkshop.robotics.goals_and_hindsight", *(m.__name__ for m in (dqn, ddpg, td3, sac))]
    runs.store("goals_and_hindsight", results, SEEDS, modules, __file__)


if __name__ == "__main__":
    main()
