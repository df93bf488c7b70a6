"""Exercises of the chapter on learning from demonstrations.

Book: robotics/learning_from_demonstrations
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "robotics/learning_from_demonstrations"


# ------------------------------------------------------------------------------------------ mixture


def mixture_loss(
    action: np.ndarray,
    weight: np.ndarray,
    mean: np.ndarray,
    std: np.ndarray,
) -> np.ndarray:
    """Negative log-likelihood (B,) of actions (B,) under mixtures of K normal distributions.

    weight, mean, std: (B, K) each; the weights of a row add up to 1. Must not overflow,
    however far away an action lies.

    Book: robotics/learning_from_demonstrations
    """
    # solution
    z = (action[:, None] - mean) / std  # (B, K)
    log_normal = -0.5 * z**2 - np.log(std) - 0.5 * np.log(2 * np.pi)  # (B, K)
    terms = np.log(weight) + log_normal
    highest = terms.max(axis=1)  # (B,) taken out of the sum: the rest lies between 1 and K
    return -highest - np.log(np.exp(terms - highest[:, None]).sum(axis=1))
    # end


MIXTURE = Exercise(
    "learning-from-demonstrations-mixture",
    "Implement: the loss of a mixture",
    PAGE,
    "Mixture density networks",
    mixture_loss,
)


def _two_ways() -> tuple[np.ndarray, ...]:
    """Actions, weights, means and widths of two rows."""
    weight = np.array([[0.5, 0.5], [0.25, 0.75]])
    mean = np.array([[-1.0, 1.0], [-1.0, 0.5]])
    std = np.array([[0.5, 0.8], [0.3, 0.6]])
    return np.array([0.6, -0.7]), weight, mean, std


def _densities(action: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Normal densities (B, K)."""
    return np.exp(-0.5 * ((action[:, None] - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))


@MIXTURE.probe(
    "two rows with two peaks each",
    "First the density of each component at the action, (B, K). Then their sum, each times its weight.",
    "The logarithm comes last, of the sum: log(w1 N1 + w2 N2), with a minus in front.",
)
def _two(answer: Callable) -> None:
    action, weight, mean, std = _two_ways()
    density = _densities(action, mean, std)
    wide = density * std  # the width's factor forgotten
    inside = -(weight * np.log(density)).sum(axis=1)
    want = -np.log((weight * density).sum(axis=1))
    expect(answer(action, weight, mean, std), want, "Two actions, two components", {
        "this is the log-likelihood: a loss is its negative": -want,
        "the logarithm is inside the sum: add densities first, then take it": inside,
        "narrow peaks are higher: divide each density by its width": -np.log((weight * wide).sum(axis=1)),
        "the weights are missing from the sum": -np.log(density.sum(axis=1)),
    })  # fmt: skip


@MIXTURE.probe(
    "an action that is far from every peak has a finite loss",
    "exp(-5000) is 0 in floating point, and its logarithm is minus infinity.",
    "Work with logarithms: log(e^a + e^b) = m + log(e^(a - m) + e^(b - m)) with m the larger of the two.",
)
def _far(answer: Callable) -> None:
    _, weight, mean, std = _two_ways()
    action = np.array([100.0, -100.0])
    with np.errstate(all="ignore"):
        got = answer(action, weight, mean, std)
        turned = answer(action, weight[:, ::-1], mean[:, ::-1], std[:, ::-1])
    terms = np.log(weight) - 0.5 * ((action[:, None] - mean) / std) ** 2 - np.log(std * np.sqrt(2 * np.pi))
    expect(got, -terms.max(axis=1), "Two actions a hundred away", {
        "all densities have become 0, and the loss is infinite": np.full(2, np.inf),
    })  # fmt: skip
    expect(turned, -terms.max(axis=1), "The same with the components in another order", {
        "it hangs on the order of the components: take out the largest": np.full(2, -np.inf),
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ euler


def carry(velocity: Callable, noise: np.ndarray, steps: int) -> np.ndarray:
    """Where a flow carries ``noise`` in unit time, in so many Euler steps of equal length.

    velocity(y, time): an array of the shape of ``noise``; time runs from 0 to 1.

    Book: robotics/learning_from_demonstrations
    """
    # solution
    y = noise
    for i in range(steps):
        y = y + velocity(y, i / steps) / steps
    return y
    # end


EULER = Exercise(
    "learning-from-demonstrations-euler", "Implement: from noise to an action", PAGE, "Flow matching", carry
)


def _swirl(y: np.ndarray, time: float) -> np.ndarray:
    """A velocity that depends on place and time."""
    return np.cos(3 * y) * (1 + time) - time**2


def _carried(steps: int, times: Callable, length: float, moves: bool = True) -> np.ndarray:
    """What a loop gives that looks at ``times(i)`` and takes steps of a length."""
    start = np.array([0.2, -1.1, 0.7])
    y = start
    for i in range(steps):
        y = y + length * _swirl(y if moves else start, times(i))
    return y


@EULER.probe(
    "eight steps",
    "A velocity is a distance per unit of time: how far does it carry in an eighth?",
    "The velocity of a step is taken where and when the step begins: the first at time 0.",
)
def _eight(answer: Callable) -> None:
    got, eighth = answer(_swirl, np.array([0.2, -1.1, 0.7]), 8), 1 / 8
    whole, still = _carried(8, lambda i: i / 8, 1), _carried(8, lambda i: i / 8, eighth, moves=False)
    ends = _carried(8, lambda i: (i + 1) / 8, eighth)
    expect(got, _carried(8, lambda i: i / 8, eighth), "Three numbers, eight steps", {
        "each step goes as far as the velocity says for the whole time: divide": whole,
        "the time of a step is that of its end, not its beginning": ends,
        "time runs from action to noise here: it begins at 0": _carried(8, lambda i: 1 - i / 8, eighth),
        "the velocity is always taken at the noise: take it where y is now": still,
    })  # fmt: skip


@EULER.probe("three steps", "Is the number of steps the argument, or a number of your own?")
def _three(answer: Callable) -> None:
    got = answer(_swirl, np.array([0.2, -1.1, 0.7]), 3)
    expect(got, _carried(3, lambda i: i / 3, 1 / 3), "Three numbers, three steps", {
        "there are eight steps whatever is asked for": _carried(8, lambda i: i / 8, 1 / 8),
    })  # fmt: skip
