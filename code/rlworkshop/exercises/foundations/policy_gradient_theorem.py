"""Exercises of the chapter on the policy-gradient theorem.

Book: foundations/policy_gradient_theorem
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect
from rlworkshop.foundations import policy_gradients as pg

PAGE = "foundations/policy_gradient_theorem"
DIVIDE = "The mean over steps or over episodes?"
THROUGH = "Break it: a discount that counts through the batch"

# ------------------------------------------------------------------------------------------ mend


def batch_gradient(gradients: np.ndarray, lengths: np.ndarray, longest: int) -> np.ndarray:
    """The policy gradient (D,) divided by ``longest``, estimated without bias.

    gradients (N, D): of each episode, the sum of score times weight over its steps.
    lengths (N,): how many steps it had.
    longest: how many steps an episode can have at most; the same for every batch.

    Book: foundations/policy_gradient_theorem
    """
    # solution
    return gradients.mean(axis=0) / longest
    # given
    # per_step = gradients / lengths[:, None]  # (N, D)
    # return per_step.mean(axis=0)
    # end


MEND = Exercise(
    "policy-gradient-theorem-mend-mean",
    "Break: find what is divided wrongly, and mend it",
    PAGE,
    DIVIDE,
    batch_gradient,
)


@MEND.probe(
    "two episodes that are both as long as can be",
    "This part worked when you got the file: compare with the stub.",
    "A mean over the episodes, and one more division.",
)
def _all_longest(answer: Callable) -> None:
    gradients = np.array([[4.0, -8.0], [12.0, 0.0]])
    about = "Gradients (4, −8) and (12, 0), both from 4 steps, and `longest` is 4"
    expect(answer(gradients, np.array([4, 4]), 4), np.array([2.0, -1.0]), about, {
        "this is the sum over episodes: with the mean, the step does not grow with the batch":
            np.array([4.0, -2.0]),
        "this is the gradient itself: right in its direction, and `longest` times what is asked for":
            np.array([8.0, -4.0]),
        "it is divided by a number of steps twice": np.array([0.5, -0.25]),
    })  # fmt: skip


@MEND.probe(
    "a short episode does not speak louder than a long one",
    "Which number below the fraction bar would be another one if the same policy had had more luck?",
    "A divisor that is the same for every episode and every batch changes the length of the step alone.",
)
def _short_and_long(answer: Callable) -> None:
    gradients = np.array([[4.0, -8.0], [12.0, 0.0]])
    about = "Gradients (4, −8) from 1 step and (12, 0) from 4 steps, and `longest` is 4"
    expect(answer(gradients, np.array([1, 4]), 4), np.array([2.0, -1.0]), about, {
        "each episode is divided by its own length: short ones speak louder, however many episodes there are":
            np.array([3.5, -4.0]),
        "it is divided by the number of steps in the batch: a ratio of two random numbers, whose mean is not "
        "the ratio of the means": np.array([3.2, -1.6]),
        "long episodes speak louder: their gradients are sums already, and need no weight":
            np.array([1.625, -0.25]),
    })  # fmt: skip


@MEND.probe(
    "over all batches of two episodes that the lake can bring, its mean is the gradient",
    "Try two batches that differ in luck alone: what in your divisor changes from one to the other?",
    "Nothing that was measured in the batch may stand below the fraction bar, but for N.",
)
def _on_the_lake(answer: Callable) -> None:
    ice, theta, longest = pg.thin_ice(), np.tile([0.0, 1.0], (8, 1)), 6
    p, parts = pg.gradient_by_length(ice, theta, longest)
    exact = pg.exact_gradient(ice, theta)[:6, 0]  # towards walking, (6,)
    known = [(k, parts[k, :6, 0] / p[k]) for k in range(1, longest + 1)]  # length, its mean gradient
    got, by_batch_max = np.zeros(6), np.zeros(6)
    for k, g in known:
        for m, h in known:
            found = answer(np.array([g, h]), np.array([k, m]), longest)
            if np.shape(found) != g.shape:
                expect(found, g, "Two episodes, and six parameters")
            got += p[k] * p[m] * found
            by_batch_max += p[k] * p[m] * (g + h) / 2 / max(k, m)
    angle = np.degrees(np.arccos(min(1.0, pg.cosine(got, exact)))) if got.any() else 90.0
    about = f"The mean over all batches of two episodes is {angle:.1f}° off the exact gradient"
    expect(got, exact / longest, about, {
        "the divisor is the longest episode *of this batch*: that depends on luck, and turns the mean "
        f"{angle:.1f}° away from the gradient": by_batch_max,
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ implement


def front(lengths: np.ndarray, gamma: float) -> np.ndarray:
    """The factor γ^t in front of each row of a flat batch (M,), t counted within its episode.

    lengths (N,): how many steps each episode has, at least one; they add up to M. The
    episodes stand one behind the other. gamma: the discount, above 0 and at most 1.

    Book: foundations/policy_gradient_theorem
    """
    # solution
    first = np.cumsum(lengths) - lengths  # (N,), the row at which each episode begins
    t = np.arange(lengths.sum()) - np.repeat(first, lengths)  # (M,)
    return gamma**t
    # end


FRONT = Exercise(
    "policy-gradient-theorem-front", "Implement: the discount in front of a flat batch", PAGE, THROUGH, front
)


@FRONT.probe(
    "one episode: its first step counts whole, and each later one γ times the one before",
    "Which t has the first step of an episode, and what is γ to the power of that?",
    "`np.arange(3)` counts 0, 1, 2.",
)
def _one(answer: Callable) -> None:
    expect(answer(np.array([3]), 0.5), np.array([1.0, 0.5, 0.25]), "One episode of 3 steps, γ = 0.5", {
        "t begins at 1: the first step of an episode is its step 0": np.array([0.5, 0.25, 0.125]),
        "it counts from the end: what is decided late has to count less, not more":
            np.array([0.25, 0.5, 1.0]),
        "no factor at all: this is what nearly all code does": np.ones(3),
        "γ is multiplied by t, and not raised to its power": np.array([0.0, 0.5, 1.0]),
    })  # fmt: skip


@FRONT.probe(
    "several episodes of different length: the count begins anew with each",
    "Row 3 is the first step of the second episode. What is its t?",
    "`np.arange(M)` counts through the batch. From each row take away the row at which its episode begins.",
    "An episode begins at `np.cumsum(lengths) - lengths`; `np.repeat` gives one number to each row.",
)
def _three(answer: Callable) -> None:
    lengths = np.array([3, 1, 2])
    about = "Episodes of 3, 1 and 2 steps, γ = 0.5"
    expect(answer(lengths, 0.5), np.array([1.0, 0.5, 0.25, 1.0, 1.0, 0.5]), about, {
        "it counts through the batch: the bug of this page. Of all episodes, the first few are left":
            0.5 ** np.arange(6),
        "all episodes are taken to be as long as the first": 0.5 ** np.array([0, 1, 2, 0, 1, 2]),
        "it counts episodes, and not the steps within them": 0.5 ** np.array([0, 0, 0, 1, 2, 2]),
        "`lengths` is taken off as the row where an episode begins: that is the sum of those before it":
            0.5 ** (np.arange(6.0) - np.repeat(lengths, lengths)),
        "each episode's own *end* is taken off: the powers are negative, and the factors above 1":
            0.5 ** (np.arange(6.0) - np.repeat(np.cumsum(lengths), lengths)),
    })  # fmt: skip


@FRONT.probe(
    "a batch of many thousand rows: the last episode counts like the first",
    "Take the rows off *before* you raise γ to a power: a quotient of two powers is 0 / 0 here.",
)
def _long(answer: Callable) -> None:
    lengths = np.random.default_rng(0).integers(1, 9, size=20_000)
    got = answer(lengths, 0.9)
    want = np.concatenate([0.9 ** np.arange(length) for length in lengths])
    if np.shape(got) == want.shape and not np.isfinite(got).all():
        raise Wrong(
            "far back in the batch it is no number: γ^row has become 0 in floating point, and a quotient of "
            "two such powers is 0 / 0"
        )
    expect(got, want, "Twenty thousand episodes of one to eight steps, γ = 0.9")
