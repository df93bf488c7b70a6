"""Exercises of the chapter on domain randomisation.

Book: robotics/domain_randomization
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "robotics/domain_randomization"
CARTS = "One gain for many carts"
WIDTH = "How wide"


# ------------------------------------------------------------------------------------------ gain


def gain(motors: np.ndarray) -> float:
    """The feedback k with the least mean of (1 - k g)² over carts with these motors g (N,).

    Book: robotics/domain_randomization
    """
    # solution
    return motors.mean() / (motors**2).mean()
    # end


GAIN = Exercise("domain-randomization-gain", "Derive: one gain for a few carts", PAGE, CARTS, gain)
MOTORS = np.array([0.5, 1.0, 4.0])


@GAIN.probe(
    "a single cart is at its mark after one push",
    "What must k g be, so that nothing is left?",
)
def _single(answer: Callable) -> None:
    expect(answer(np.array([4.0])), 0.25, "One cart, g = 4", {
        "the push has to be weaker where the motor is stronger": 4.0,
        "for the data sheet's cart this is right, and this is another": 1.0,
    })  # fmt: skip


@GAIN.probe(
    "three carts get the gain with the least mean square",
    "Write the mean of (1 - k g)² as 1 - 2 k E[g] + k² E[g²], and set its derivative in k to zero.",
    "k is the mean of g divided by the mean of g².",
)
def _three(answer: Callable) -> None:
    expect(answer(MOTORS), MOTORS.mean() / (MOTORS**2).mean(), "Carts with g = 0.5, 1 and 4", {
        "this is the mean of the best gains of each cart: the strongest one flies off": (1 / MOTORS).mean(),
        "this is the best gain of the mean cart, which is none of them": 1 / MOTORS.mean(),
        "this leaves the weakest and the strongest cart equally far off: that is the least of the worst, "
        "not the least of the mean": 2 / (MOTORS.min() + MOTORS.max()),
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ held out


def held_out(robots: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """How far robots (N, P) lie outside the range low ... high, both (P,): (N,).

    What counts is the parameter that lies furthest beyond its bound. A robot inside gets 0.

    Book: robotics/domain_randomization
    """
    # solution
    beyond = np.maximum(low - robots, robots - high)  # (N, P), negative inside
    return np.maximum(beyond.max(axis=1), 0.0)
    # end


HELD_OUT = Exercise(
    "domain-randomization-held-out", "Diagnose: is the held-out set held out?", PAGE, WIDTH, held_out
)
ROBOTS = np.array([[0.0, 0.9], [1.25, 0.3], [-1.5, 1.4], [0.2, -1.1], [1.0, -1.0]])
ONE = np.ones(2)


@HELD_OUT.probe(
    "a robot is outside when one of its parameters is",
    "A range is a box. How many of its walls does a robot have to be beyond?",
    "np.maximum(low - robots, robots - high) is (N, P), negative inside; max(axis=1) has the worst.",
)
def _box(answer: Callable) -> None:
    beyond = np.maximum(-ONE - ROBOTS, ROBOTS - ONE)
    wanted = np.maximum(beyond.max(axis=1), 0)
    expect(answer(ROBOTS, -ONE, ONE), wanted, "Five robots of two parameters, trained on -1 to 1", {
        "one parameter beyond its bound is enough: not all have to be": np.maximum(beyond.min(axis=1), 0),
        "the range has a lower end, too": np.maximum((ROBOTS - ONE).max(axis=1), 0),
        "a robot inside is 0 outside, not less": beyond.max(axis=1),
    })  # fmt: skip


@HELD_OUT.probe(
    "each parameter has a range of its own",
    "Compare each column with its own bounds.",
)
def _own(answer: Callable) -> None:
    low, high = np.array([-2.0, 0.0]), np.array([2.0, 0.5])
    expect(answer(ROBOTS, low, high), np.array([0.4, 0.0, 0.9, 1.1, 1.0]), (
        "The same robots, trained on -2 to 2 and 0 to 0.5"
    ), {
        "the range of the first parameter is taken for both": np.zeros(5),
    })  # fmt: skip
