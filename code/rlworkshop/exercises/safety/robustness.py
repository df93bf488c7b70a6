"""Exercises of the chapter on distribution shift, adversarial observations and abstaining.

Book: safety/robustness
"""

import math
from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "safety/robustness"


# ------------------------------------------------------------------------------------------ step


def step(weights: np.ndarray, obs: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The observation (D,) at which a linear policy prefers its action as little as can be.

    The policy pushes right where weights (D,) @ obs (D,) is positive, else left.
    Component i may move by size[i] at the most; size is (D,).

    Book: safety/robustness
    """
    # solution
    prefers_right = weights @ obs > 0
    return obs - size * np.sign(weights) * (1 if prefers_right else -1)
    # end


STEP = Exercise(
    "robustness-step",
    "Implement: the worst observation of a linear policy",
    PAGE,
    "The worst direction: an attack by hand",
    step,
)


@STEP.probe(
    "a push to the right is made as weak as it can be",
    "The score is a sum of one term for each component. Make each term as small as you may.",
    "How far a component moves does not depend on its weight: only the direction does.",
)
def _right(answer: Callable) -> None:
    weights, obs, size = np.array([3.0, -1.0]), np.array([0.10, 0.05]), np.array([0.08, 0.02])
    steepest = obs - size * weights / np.abs(weights).max()
    expect(answer(weights, obs, size), np.array([0.02, 0.07]), "weights (3, -1), sizes (0.08, 0.02)", {
        "this makes the preferred action stronger: the sign is turned round": np.array([0.18, 0.03]),
        "this moves along the gradient, which leaves the corner of the box: take its sign": steepest,
        "all components move the same way: each has a weight with a sign of its own": np.array([0.02, 0.03]),
    })  # fmt: skip


@STEP.probe(
    "a push to the left, too",
    "Where the score is negative the policy prefers left. What makes that choice weaker?",
)
def _left(answer: Callable) -> None:
    weights, obs, size = np.array([3.0, -1.0]), np.array([-0.10, 0.05]), np.array([0.08, 0.02])
    expect(answer(weights, obs, size), np.array([-0.02, 0.03]), "The same policy where it pushes left", {
        "here the policy prefers left already, and this makes it surer": np.array([-0.18, 0.07]),
    })  # fmt: skip
    expect(answer(weights, np.zeros(2), size), np.array([0.08, -0.02]), "The same policy at a score of 0", {
        "0 is not positive: the policy pushes left there": np.array([-0.08, 0.02]),
    })  # fmt: skip


@STEP.probe(
    "what the policy does not look at stays as it is",
    "What is the sign of 0?",
)
def _ignored(answer: Callable) -> None:
    got = answer(np.array([2.0, 0.0, -1.0]), np.array([1.0, 5.0, 0.0]), np.full(3, 0.5))
    expect(got, np.array([0.5, 5.0, 0.5]), "A policy whose second weight is 0", {
        "the second component does not matter to the policy, and needs no move": np.array([0.5, 4.5, 0.5]),
        "the second component does not matter to the policy; leave it": np.array([0.5, 5.5, 0.5]),
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ level


def level(scores: np.ndarray, rate: float) -> float:
    """The alarm level that a fresh ordinary episode exceeds with probability ``rate`` at most.

    scores (n,): of n ordinary episodes, in any order. Infinite if n is too small for the rate.

    Book: safety/robustness
    """
    # solution
    n = len(scores)
    k = math.ceil((n + 1) * (1 - rate))
    return float(np.sort(scores)[k - 1]) if k <= n else math.inf
    # end


LEVEL = Exercise(
    "robustness-level",
    "Implement: an alarm level for a rate of false alarms",
    PAGE,
    "An alarm with a known rate of false alarms",
    level,
)


@LEVEL.probe(
    "nine episodes, one false alarm in five",
    "A fresh score falls into one of n + 1 gaps, each as likely as the others.",
    "How many of the ten gaps may lie above the level? Then which score is the level?",
)
def _nine(answer: Callable) -> None:
    scores = np.array([5.0, 1, 9, 3, 7, 2, 8, 4, 6]) + 0.37
    expect(answer(scores, 0.2), 8.37, "Scores 1.37 to 9.37 in some order, rate 0.2", {
        "the scores are not sorted": 4.37,
        "counted in n, not in n + 1: a fresh episode exceeds this level more often": 7.37,
        "this is the level that ordinary episodes stay *below* at the rate": 2.37,
        "one rank too high: it keeps the promise with more silence than needed": 9.37,
    })  # fmt: skip
    expect(answer(scores, 0.1), 9.37, "The same scores, rate 0.1", {
        "the largest of nine is exceeded in one case of ten: it is a level": math.inf,
    })  # fmt: skip


@LEVEL.probe(
    "too few episodes for so small a rate",
    "If even the largest score would be exceeded too often, no score is a safe level.",
)
def _few(answer: Callable) -> None:
    expect(answer(np.arange(1.0, 11), 0.05), math.inf, "Ten episodes, one false alarm in twenty", {
        "above the largest of ten scores lies one gap of eleven, and 1/11 is more than 0.05": 10.0,
    })  # fmt: skip
