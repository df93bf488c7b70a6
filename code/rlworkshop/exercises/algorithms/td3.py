"""Exercises of the chapter on TD3.

Book: algorithms/td3
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "algorithms/td3"
LOWER = "Clipped double Q: the lower of two critics"
WHOLE = "The whole algorithm in nineteen lines"

# ------------------------------------------------------------------------------------------ implement


def target(
    reward: np.ndarray,
    discount: np.ndarray,
    action: np.ndarray,
    noise: np.ndarray,
    clip: float,
    best: np.ndarray,
) -> np.ndarray:
    """The target of TD3, for twin critics that can be written down.

    reward, discount (B,): the discount is gamma, or 0 where the transition terminated.
    action (B, K): what the target actor would do next, from -1 to 1.
    noise (B, K): of smoothing, not cut off yet. clip: what it is cut off at.
    best (2, B, K): the target critics are Q_i(a) = ``-|a - best_i|²``, summed over components.
    Returns (B,).

    Book: algorithms/td3
    """
    # solution
    around = np.clip(action + np.clip(noise, -clip, clip), -1, 1)  # (B, K)
    q = -((around - best) ** 2).sum(axis=2)  # (2, B)
    return reward + discount * q.min(axis=0)
    # end


TARGET = Exercise("td3-target", "Implement: noise, clip, clip again, the lower", PAGE, WHOLE, target)
PARTS = (
    "Three steps: the action with noise on it, what both critics say of it, the lower of the two.",
    "The noise is cut off at ±clip, and then the action at ±1.",
    "`.sum(axis=2)` over components gives (2, B); `.min(axis=0)` takes the lower critic of each transition.",
)
ONE = np.ones(1)


def _case(action: float, noise: float, clip: float, first: float, second: float) -> tuple:
    """One transition of one component, with reward 1 and discount ½."""
    return ONE, ONE / 2, np.array([[action]]), np.array([[noise]]), clip, np.array([[[first]], [[second]]])


@TARGET.probe("without noise it is the lower of two values", *PARTS)
def _lower(answer: Callable) -> None:
    got = answer(*_case(0.0, 0.0, 0.5, 0.5, 1.0))
    expect(got, np.array([0.5]), "Reward 1, discount ½; the critics say −¼ and −1", {
        "this is the higher of the two: it is the errors upwards that are to be kept out": [0.875],
        "this is the mean of the two: TD3 takes the lower": [1 + 0.5 * -0.625],
        "this is the sum of the two": [1 + 0.5 * -1.25],
        "the discount is missing": [0.0],
        "the reward is missing": [-0.5],
    })  # fmt: skip


@TARGET.probe("noise is cut off at the clip, and moves the action", *PARTS)
def _clipped(answer: Callable) -> None:
    got = answer(*_case(0.0, 2.0, 0.5, 1.0, 1.0))
    expect(got, np.array([0.875]), "Action 0, noise 2, clip ½; both critics like 1 best", {
        "the noise was not cut off at the clip": [1.0],
        "the noise is not used: ask for Q around the action": [0.5],
        "the noise was taken off, not put on": [1 + 0.5 * -2.25],
    })  # fmt: skip


@TARGET.probe("and the action stays between −1 and 1", *PARTS)
def _bounded(answer: Callable) -> None:
    got = answer(*_case(-0.9, -0.4, 0.5, 0.0, 0.0))
    expect(got, np.array([0.5]), "Action −0.9, noise −0.4: one beyond the bound", {
        "the action with noise leaves the box: critics have never seen such actions": [1 + 0.5 * -1.69],
    })  # fmt: skip


@TARGET.probe(
    "each transition has its own lower critic, and an end counts nothing",
    "The minimum runs over the two critics (axis 0), not over the batch.",
    "`discount` is 0 where the transition terminated: multiply by it.",
)
def _batch(answer: Callable) -> None:
    best = np.array([[[0.0], [1.0], [1.0]], [[1.0], [0.0], [2.0]]])
    case = np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.5, 0.0]), np.zeros((3, 1)), np.zeros((3, 1)), 0.5, best
    expect(answer(*case), np.array([0.5, 1.5, 3.0]), "Three transitions, of which the last terminated", {
        "one critic was chosen for the whole batch": [0.5, 2.0, 3.0],
        "the first critic alone is asked": [1.0, 1.5, 3.0],
        "the lowest value of the whole batch went into every target": [-1.0, 0.0, 3.0],
    })  # fmt: skip


@TARGET.drawn
def _any_target(rng: np.random.Generator) -> tuple:
    action, noise = rng.uniform(-1, 1, (3, 2)), rng.normal(0, 0.5, (3, 2))
    clip, best = rng.uniform(0.1, 0.6), rng.normal(size=(2, 3, 2))
    return rng.normal(size=3), rng.uniform(size=3), action, noise, clip, best


# ------------------------------------------------------------------------------------------ derive


def lower_bias(std: float, correlation: float) -> float:
    """The mean error of the lower of two critics, each of which is right on average.

    Their errors are normal with mean 0 and standard deviation ``std``, and they have a
    ``correlation`` between -1 and 1. Returns a number.

    Book: algorithms/td3
    """
    # solution
    return np.float64(-std * np.sqrt((1 - correlation) / np.pi))
    # end


BIAS = Exercise("td3-lower-bias", "Derive: what the lower of two costs", PAGE, LOWER, lower_bias)
HALVES = (
    "min(x, y) = (x + y) / 2 − |x − y| / 2. The first half has the mean 0.",
    "x − y is normal with mean 0 and variance 2 std² (1 − correlation).",
    "The mean of |z| for a normal z with mean 0 and standard deviation σ is σ √(2 / π).",
)


@BIAS.probe("two critics that have nothing in common", *HALVES)
def _apart(answer: Callable) -> None:
    expect(answer(2.0, 0.0), np.array(-2 / np.pi**0.5), "Standard deviation 2, no correlation", {
        "the lower of two errors is below 0 on average": 2 / np.pi**0.5,
        "this is the mean of |x − y|, of which half is taken off": -4 / np.pi**0.5,
        "this is the mean of −|x|, of one error alone": -2 * (2 / np.pi) ** 0.5,
        "half of that: x − y has the variance of both errors, and not of one": -((2 / np.pi) ** 0.5),
    })  # fmt: skip


@BIAS.probe("twins that always agree cost nothing, and gain nothing", *HALVES)
def _together(answer: Callable) -> None:
    expect(answer(3.0, 1.0), np.array(0.0), "Correlation 1: both err in the same way", {
        "this is right without correlation only": -3 / np.pi**0.5,
        "the variance of a difference has the correlation with a minus": -3 * (2 / np.pi) ** 0.5,
    })  # fmt: skip


@BIAS.probe("any correlation", *HALVES)
def _between(answer: Callable) -> None:
    for std, correlation in ((1.0, 0.5), (2.0, -1.0)):
        want = -std * ((1 - correlation) / np.pi) ** 0.5
        about = f"Standard deviation {std:g}, correlation {correlation:g}"
        expect(answer(std, correlation), np.array(want), about, {
            "it is a standard deviation that counts: take the root of 1 − correlation":
                -std * (1 - correlation) / np.pi**0.5,
            "1 − correlation², as in a regression, is another question":
                -std * ((1 - correlation**2) / np.pi) ** 0.5,
        })  # fmt: skip


@BIAS.drawn
def _any_bias(rng: np.random.Generator) -> tuple:
    return rng.uniform(0.1, 3), rng.uniform(-1, 1)
