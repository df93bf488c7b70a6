"""Exercises of the chapter on corrigibility.

Book: safety/corrigibility
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "safety/corrigibility"
GAME = "The off-switch game"
EFFECTS = "Side effects, and compared with what"


# ------------------------------------------------------------------------------------------ incentive


def incentive(utility: np.ndarray, belief: np.ndarray, lets: np.ndarray) -> np.ndarray:
    """What waiting for the human is worth, above the better of acting and switching off.

    utility (K,): what the action may be worth. belief (K,): how likely each is; adds up to 1.
    lets (K,): how likely the human lets the robot act, for each. A number; off is worth 0.

    Book: safety/corrigibility
    """
    # solution
    waiting = (belief * utility * lets).sum()
    acting = (belief * utility).sum()
    return waiting - np.maximum(acting, 0.0)
    # end


INCENTIVE = Exercise("corrigibility-incentive", "Implement: what is waiting worth?", PAGE, GAME, incentive)


@INCENTIVE.probe(
    "a rational human strikes out what is negative",
    "Three expectations: of waiting, of acting, and the constant 0. Which two does the docstring compare?",
    "Waiting is worth the utility where the human lets the robot act, and 0 where not.",
)
def _rational(answer: Callable) -> None:
    utility, belief = np.array([-4.0, 1.0, 3.0]), np.array([0.25, 0.5, 0.25])
    lets = (utility > 0).astype(float)
    got = answer(utility, belief, lets)
    expect(got, np.float64(1.0), "Utilities -4, 1, 3 with probabilities 1/4, 1/2, 1/4 and a rational human", {
        "this is what waiting is worth: take off what the robot could have without": 1.25,
        "the human's answer depends on the utility: their product has to be averaged, not each": -0.0625,
    })  # fmt: skip


@INCENTIVE.probe(
    "an action that is bad on average is compared with switching off",
    "If acting is worth less than 0, the robot would rather switch itself off. What is max(…) for?",
)
def _bad(answer: Callable) -> None:
    utility, belief = np.array([-6.0, 2.0]), np.array([0.5, 0.5])
    got = answer(utility, belief, np.array([0.25, 0.75]))
    expect(got, np.float64(0.0), "Utilities -6 and 2, equally likely, and a human who errs in 1 case of 4", {
        "this compares waiting with acting alone: switching off may be better": 2.0,
    })  # fmt: skip


@INCENTIVE.probe("a human who errs can cost more than doubt is worth", "Nothing says the answer is positive.")
def _negative(answer: Callable) -> None:
    utility, belief = np.array([1.0, 2.0]), np.array([0.5, 0.5])
    got = answer(utility, belief, np.array([0.5, 0.8]))
    expect(got, np.float64(-0.45), "Utilities 1 and 2, and a human who too often says no", {
        "the incentive may be negative: do not cut it off at 0": 0.0,
    })  # fmt: skip


# --------------------------------------------------------------------------------- relative reachability


def relative(R: np.ndarray, state: int, baseline: int) -> np.ndarray:
    """Relative reachability penalty of one state against one baseline: a number.

    R (S, S): R[s, x] says how well state x can be reached from state s, from 0 to 1.

    Book: safety/corrigibility
    """
    # solution
    return np.maximum(R[baseline] - R[state], 0.0).mean()
    # end


RELATIVE = Exercise(
    "corrigibility-relative-reachability", "Implement: what is out of reach?", PAGE, EFFECTS, relative
)
ROOM = np.array([[1.0, 0.5, 0.25, 0.0], [0.5, 1.0, 0.5, 0.0], [0.0, 0.0, 1.0, 0.5], [0.0, 0.0, 0.5, 1.0]])


@RELATIVE.probe(
    "what has become harder to reach counts, averaged over all states",
    "Two rows of R: that of the state and that of the baseline. Where is the first below the second?",
    "Average over all S states, also over those that have lost nothing.",
)
def _lost(answer: Callable) -> None:
    got = answer(ROOM, 2, 1)
    expect(got, np.float64(0.375), "Four rooms and no way back from the third: it, against the second", {
        "gains have been taken off: what is easier to reach does not make up for what is lost": 0.125,
        "gains count here as well: take only what has become harder to reach": 0.625,
        "this is the sum: divide by the number of states": 1.5,
        "state and baseline are exchanged": 0.25,
        "this asks only how well the baseline itself can be reached": 1.0,
    })  # fmt: skip


@RELATIVE.probe("a state is no deviation from itself", "Try state == baseline.")
def _same(answer: Callable) -> None:
    expect(answer(ROOM, 1, 1), np.float64(0.0), "The second room against itself", {
        "the average of reachabilities of one row is not a difference": 0.5,
    })  # fmt: skip


@RELATIVE.drawn
def _draw(rng: np.random.Generator) -> tuple:
    S = int(rng.integers(3, 6))
    return rng.random((S, S)).round(2), int(rng.integers(S)), int(rng.integers(S))
