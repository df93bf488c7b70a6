"""Checks of somebody's ``train``: probes with known answers, and the manners of its loop.

Book: practice/debugging
"""

import functools
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from rlworkshop.practice.debugging.checks import Check, Objection, Reviewed, digits, named
from rlworkshop.practice.debugging.probes import GAMMA, PROBES

TRAIN = (
    "train(env, total_steps, seed, gamma) -> an agent with act(obs), the action that it holds for the best "
    "at one observation (D,), and {values}; env is a gymnasium.Env whose observations are a vector "
    "and whose actions are discrete. PROBE_STEPS = {steps} in the file sets the length of these trainings"
)
PIECES = {
    "dqn": TRAIN.format(values="values(obs), the values (A,) of all actions", steps=1500),
    "ppo": TRAIN.format(values="value(obs), what the value function says", steps=6000),
}
STEPS = {"dqn": 1500, "ppo": 6000}
TOLERANCE = {"constant": 0.25, "seen": 0.3, "later": 0.1, "endless": 0.7}  # far from every wrong answer
SEEDS = (0, 1)  # what fails with the first one is tried with the second: one seed is no verdict


class Watched(gym.Wrapper):
    """A probe that notes what a training does to it: actions, and steps after the end of an episode."""

    def __init__(self, env: gym.Env):
        super().__init__(env)
        self.actions: list[int] = []
        self.late, self.over = 0, True

    def reset(self, **given: Any) -> tuple[np.ndarray, dict]:
        """Begin an episode."""
        self.over = False
        return super().reset(**given)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        """One step; after an end it begins an episode, and notes that it had to."""
        if self.over:
            self.late += 1
            self.reset()
        self.actions.append(int(action))
        obs, reward, terminated, truncated, info = super().step(int(action))
        self.over = terminated or truncated
        return obs, reward, terminated, truncated, info


def train(reviewed: Reviewed, algorithm: str, probe: str, seed: int, again: bool = False) -> tuple:
    """The agent that somebody's ``train`` makes of a probe, and the probe, watched; each is made once."""
    key = (probe, seed, again)
    if key not in reviewed.trained:
        env = Watched(PROBES[probe].make())
        steps = getattr(reviewed.module, "PROBE_STEPS", STEPS[algorithm]) // (4 if again else 1)
        reviewed.trained[key] = reviewed.piece("train")(env, steps, seed, GAMMA), env, steps
    return reviewed.trained[key]


def twice(run: Callable[[int], str]) -> str:
    """A check of a training that must fail with both seeds to count."""
    for seed in SEEDS[:-1]:
        try:
            return run(seed)
        except Objection:
            continue
    return run(SEEDS[-1])


def values(reviewed: Reviewed, algorithm: str, probe: str) -> str:
    """What the agent expects of a probe is what is so."""
    world = PROBES[probe].make()
    right = world.optimal_q(GAMMA).max(axis=1)  # (S,)

    def run(seed: int) -> str:
        agent, *_ = train(reviewed, algorithm, probe, seed)
        ask = "values" if algorithm == "dqn" else "value"
        if not hasattr(agent, ask):
            raise Objection(f"the agent has no {ask}", f"{ask}(obs)", "the adapter does not hand it out")
        seen = np.array([np.max(np.asarray(getattr(agent, ask)(obs), float)) for obs in world.seen[:-1]])
        if np.abs(seen - right).max() > TOLERANCE[probe] or not np.isfinite(seen).all():
            raise Objection(
                f"values {digits(seen)}", digits(right), mistaken(probe, seen) or PROBES[probe].suspects,
                f"this probe asks: {PROBES[probe].asks} If the ones before it pass, look at nothing else "
                f"than {PROBES[probe].suspects}; if nothing has been learned, give it more steps",
            )  # fmt: skip
        return f"values {digits(seen)}, right {digits(right)}"

    return twice(run)


def mistaken(probe: str, seen: np.ndarray) -> str:
    """The mistake that gives these values of a probe; empty if none is known that does."""
    horizon = 1 / (1 - GAMMA)
    known = {
        "constant": {"a value is added after the end": [horizon]},
        "seen": {"both states are worth the same: values do not depend on what is seen": [seen.mean()] * 2},
        "later": {
            "no discount": [1, 1], "discounted twice": [GAMMA**2, 1],
            "discounted at the end": [GAMMA**2, GAMMA],
            "nothing travels back from the next state: its value is that of a network that never learns, or "
            "the next observation is not the next one": [0, 1],
            "a value is added after the end": [horizon * GAMMA, horizon],
        },
        "endless": {"a cut is taken for an end": [1 / (1 - GAMMA * 0.8)]},
    }  # fmt: skip
    tolerance = {"later": 0.15, "endless": 0.6, "constant": 0.6, "seen": 0.3}[probe]
    return named(seen, known[probe], tolerance)


def choices(reviewed: Reviewed, algorithm: str, probe: str) -> str:
    """The agent takes the best action in each state of a probe."""
    world = PROBES[probe].make()
    right = world.optimal_q(GAMMA).argmax(axis=1)

    def run(seed: int) -> str:
        agent, *_ = train(reviewed, algorithm, probe, seed)
        seen = np.array([int(agent.act(obs)) for obs in world.seen[:-1]])
        if (seen != right).any():
            likely = PROBES[probe].suspects
            if (seen == 1 - right).all():
                likely = "the worst action is taken everywhere: a sign, or actions that are exchanged"
            raise Objection(
                f"actions {seen.tolist()}", f"{right.tolist()}", likely,
                f"this probe asks: {PROBES[probe].asks} If the ones before it pass, look at nothing else",
            )  # fmt: skip
        return f"actions {seen.tolist()}"

    return twice(run)


def manners(reviewed: Reviewed, algorithm: str) -> str:
    """The loop takes as many steps as asked, and begins an episode after each end."""
    _, env, steps = train(reviewed, algorithm, "endless", SEEDS[0])
    if env.late:
        raise Objection(
            f"{env.late} steps in episodes that were over", "0",
            "only `terminated` ends an episode here: after a cut, too, comes `reset`",
            "count the steps of each episode on an environment that is cut off after 5",
        )  # fmt: skip
    if not 0.5 * steps <= len(env.actions) <= 1.1 * steps:
        raise Objection(
            f"{len(env.actions)} environment steps", f"about {steps}",
            "steps are counted otherwise: per update, per environment, or with resets",
            "count the calls of env.step",
        )  # fmt: skip
    return f"{len(env.actions)} steps of {steps}, none after an end"


def repeatable(reviewed: Reviewed, algorithm: str) -> str:
    """Trainings with one seed are the same, with two seeds not."""
    first, again, other = (
        train(reviewed, algorithm, "both", seed, again=("first", "again", "other")[i])
        for i, seed in enumerate((SEEDS[0], SEEDS[0], SEEDS[1]))
    )
    same = sum(a == b for a, b in zip(first[1].actions, again[1].actions, strict=False))
    if first[1].actions != again[1].actions:
        raise Objection(
            f"two trainings with seed {SEEDS[0]} agree in {same} of {len(first[1].actions)} actions", "all",
            "a source of random numbers that the seed does not reach: the global generator, the "
            "environment's reset, the initial weights",
            "print the first ten random numbers of each source, twice",
        )  # fmt: skip
    if first[1].actions == other[1].actions:
        raise Objection(
            "trainings with two seeds are the same", "another training",
            "the seed is not used", "print the initial weights with two seeds",
        )  # fmt: skip
    return f"{len(again[1].actions)} actions the same, others with another seed"


def greedy(reviewed: Reviewed, algorithm: str) -> str:
    """``act`` is what the agent holds for best: it does not explore."""
    agent, *_ = train(reviewed, algorithm, "both", SEEDS[0])
    for obs in PROBES["both"].make().seen[:-1]:
        drawn = [int(agent.act(obs)) for _ in range(60)]
        if len(set(drawn)) > 1:
            raise Objection(
                f"in one state, {np.mean(np.array(drawn) == drawn[0]):.0%} of 60 actions are the first one",
                "100 %", "the policy that is judged still explores: its score is that of training",
                "judge it with ε = 0, or by the likeliest action",
            )  # fmt: skip
    return "60 times the same in each state"


def explores(reviewed: Reviewed, algorithm: str) -> str:
    """Both actions are tried at first, and mostly the better one at last."""
    _, env, _ = train(reviewed, algorithm, "chosen", SEEDS[0])
    fifth = max(1, len(env.actions) // 5)
    early, late = np.mean(env.actions[:fifth]), np.mean(env.actions[-fifth:])
    told = f"the better action is {early:.0%} of the first fifth and {late:.0%} of the last"
    if not 0.1 < early < 0.98:
        likely = "hardly anything but one action is tried at first: ε begins too low"
    elif late < 0.7:
        likely = "it goes on exploring: ε hardly falls, or over more steps than the training has"
    else:
        return told
    raise Objection(
        told, "both at first, above 70 % at last", likely, "plot ε, as it is used, over the steps"
    )


def checks(algorithm: str) -> list[Check]:
    """The checks of ``train`` for an algorithm, in the order in which faults are to be mended."""
    found = [("train: loop", "it takes the steps asked for, and resets after each end", manners)]
    for name, probe in PROBES.items():
        run = choices if name in ("chosen", "both") else values
        found.append((f"probe: {name}", probe.asks, functools.partial(run, probe=name)))
    found.append(("train: seed", "the seed decides the training", repeatable))
    found.append(("train: greedy", "the policy that is judged does not explore", greedy))
    if algorithm == "dqn":
        found.append(("train: explores", "it explores at first, and less at last", explores))
    return [
        Check(name, shows, ("train",), functools.partial(run, algorithm=algorithm))
        for name, shows, run in found
    ]
