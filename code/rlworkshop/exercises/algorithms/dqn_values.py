"""Exercises of the chapter on over-estimation and the unit of a loss.

Book: algorithms/dqn_values
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect

PAGE = "algorithms/dqn_values"
CLIMB = "The value climbs one reward a copy"
HUBER = "The Huber loss, and its unit"


# ------------------------------------------------------------------------------------------ derive


def ceiling(copies: np.ndarray, gamma: float, reward: float, first: float) -> np.ndarray:
    """The most that an exact fit can believe any action to be worth, after so many copies.

    copies (K,): whole numbers, 0 before the first copy. No reward is above `reward`, and no
    value of the fresh network is above `first`. No episode has to end. `gamma` may be 1.
    Returns (K,).

    Book: algorithms/dqn_values
    """
    # solution
    if gamma == 1:
        return reward * copies + first
    return reward * (1 - gamma**copies) / (1 - gamma) + gamma**copies * first
    # end


CEILING = Exercise(
    "dqn-values-ceiling", "Derive: the line that no honest value crosses", PAGE, CLIMB, ceiling
)
UNROLL = (
    "Call the most after k copies V_k. A target is a reward plus gamma times a value of the last copy: "
    "write V_1 with V_0, then V_2 with V_1.",
    "V_k = reward + gamma V_{k-1}, and V_0 = first. Write out V_3 in full and look for a geometric series.",
)


@CEILING.probe("from nothing, it climbs by one discounted reward a copy", *UNROLL)
def _from_nothing(answer: Callable) -> None:
    k = np.arange(5)
    got = answer(k, 0.5, 1.0, 0.0)
    expect(got, np.array([0, 1, 1.5, 1.75, 1.875]), "gamma = 1/2, rewards of 1, 0 to 4 copies", {
        "this is one copy ahead: before the first copy no reward has been seen by any target":
            np.array([1, 1.5, 1.75, 1.875, 1.9375]),
        "the discount is missing: each copy's value is multiplied by gamma before a reward is added":
            np.arange(5.0),
        "this is where it ends after very many copies, whatever k is": np.full(5, 2.0),
        "this is how much the newest reward adds, not the sum of all of them":
            np.array([0, 1, 0.5, 0.25, 0.125]),
        "the first reward is discounted already: the reward of the step itself counts in full":
            np.array([0, 0.5, 0.75, 0.875, 0.9375]),
    })  # fmt: skip


@CEILING.probe("what the fresh network said fades by gamma with each copy", *UNROLL)
def _fresh(answer: Callable) -> None:
    k = np.arange(4)
    got = answer(k, 0.5, 2.0, 8.0)
    expect(got, np.array([8, 6, 5, 4.5]), "gamma = 1/2, rewards of 2, fresh values of at most 8", {
        "the fresh network's values are left out": np.array([0, 2, 3, 3.5]),
        "the fresh network's values do not fade: each copy discounts them once more":
            np.array([8, 10, 11, 11.5]),
        "the rewards are not multiplied by `reward`: they count as 1": np.array([8, 5, 3.5, 2.75]),
        "`first` and `reward` have changed places": np.array([2, 9, 12.5, 14.25]),
    })  # fmt: skip


@CEILING.probe(
    "with gamma = 1 there is no ceiling in the end, and no division by zero",
    "(1 − gamma^k) / (1 − gamma) is 1 + gamma + … + gamma^{k−1}, a sum of k terms. What is it at gamma = 1?",
)
def _undiscounted(answer: Callable) -> None:
    with np.errstate(all="ignore"):
        got = np.asarray(answer(np.arange(4), 1.0, 1.0, 0.5), float)
    if not np.isfinite(got).all():
        raise Wrong("at gamma = 1 it divides by zero: the series has k terms of 1 each there")
    expect(got, np.array([0.5, 1.5, 2.5, 3.5]), "gamma = 1, rewards of 1, fresh values of at most 1/2")


@CEILING.drawn
def _any_ceiling(rng: np.random.Generator) -> tuple:
    return np.arange(4), float(rng.choice([1.0, rng.uniform(0.1, 0.99)])), rng.normal(), rng.normal()


def huber_gradient(q: np.ndarray, action: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Gradient of the mean Huber loss (threshold 1) with respect to all that the network said.

    q (B, A): values of all actions. action (B,): those taken. target (B,): numbers.
    Returns (B, A).

    Book: algorithms/dqn_values
    """
    # solution
    rows = np.arange(len(q))
    gradient = np.zeros(q.shape)  # (B, A)
    gradient[rows, action] = np.clip(q[rows, action] - target, -1, 1) / len(q)
    return gradient
    # end


GRADIENT = Exercise(
    "dqn-values-huber-gradient", "Derive: how hard an error may pull", PAGE, HUBER, huber_gradient
)
SLOPE = (
    "Differentiate both branches of the loss with respect to the error. Where do they meet?",
    "The slope is the error itself between −1 and 1, and the sign of the error beyond: one call of np.clip.",
)


@GRADIENT.probe("a small error pulls as much as it is large, a large one pulls with 1", *SLOPE)
def _slope(answer: Callable) -> None:
    q, zero = np.array([[0.5], [-0.25], [30.0], [-2.0]]), np.zeros(4, int)
    want = np.array([[0.5], [-0.25], [1.0], [-1.0]]) / 4
    got = answer(q, zero, np.zeros(4))
    if np.shape(got) == (4,):
        raise Wrong("this is a number for each transition: the gradient has one for each action, too, (B, A)")
    expect(got, want, "Errors 0.5, −0.25, 30 and −2, a batch of four", {
        "this is the slope of the square: a large error pulls with all its size": q / 4,
        "the sign is turned round: the gradient of the *loss* points where the error grows": -want,
        "it is not divided by the size of the batch: the loss is a mean": 4 * want,
        "a large error does not pull at all. That is what becomes of clipping the *error* before squaring "
        "it, a famous bug: the clipped error is a constant, and its slope is 0":
            np.array([[0.5], [-0.25], [0.0], [0.0]]) / 4,
        "this is the loss, not its slope": np.array([[0.125], [0.03125], [29.5], [1.5]]) / 4,
        "only the sign is left of small errors, too: between −1 and 1 the slope is the error itself":
            np.sign(q) / 4,
    })  # fmt: skip


@GRADIENT.probe(
    "only the value of the action taken is pulled, at its own target",
    "The other actions do not stand in the loss. What is the derivative with respect to them?",
    "`gradient[np.arange(B), action] = …` fills one entry in each row.",
)
def _taken(answer: Callable) -> None:
    q = np.array([[0.5, 2.0, 0.0], [1.0, 1.5, 3.0]])
    action, target = np.array([1, 0]), np.array([1.5, 0.75])
    want = np.array([[0, 0.5, 0], [0.25, 0, 0]]) / 2
    expect(answer(q, action, target), want, "Three actions, of which one was taken in each row", {
        "all actions are pulled to the target: of those not taken the transition says nothing":
            np.clip(q - target[:, None], -1, 1) / 2,
        "it is the best action that is pulled; what counts is the one that was taken":
            np.array([[0, 0.5, 0], [0, 0, 1.0]]) / 2,
        "divided by all entries of q: the mean runs over the B transitions": want / 3,
        "the values and targets of all rows are mixed: each row has its own target":
            np.array([[0, 0.75, 0], [-0.125, 0, 0]]) / 2,
    })  # fmt: skip
