"""Exercises of the chapter on reward misspecification and reward shaping.

Book: safety/reward_misspecification
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "safety/reward_misspecification"
SHAPING = "Potential-based shaping"
LOOP = "What a loop earns"


# ------------------------------------------------------------------------------------------ shape


def shape(
    reward: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
    gamma: float,
) -> np.ndarray:
    """Shaped rewards (B,), for a learner that bootstraps where an episode was cut off.

    reward (B,). before, after (B,): potentials of the states around each transition.
    terminated, truncated (B,) bool: how it ended the episode, if it did.
    gamma: the learner's discount factor.

    Book: safety/reward_misspecification
    """
    # solution
    return reward + gamma * np.where(terminated, 0.0, after) - before
    # end


SHAPE = Exercise("reward-misspecification-shape", "Implement: a wrapper's arithmetic", PAGE, SHAPING, shape)

_REWARD, _BEFORE, _AFTER = np.array([1.0, 0.0, 2.0]), np.array([-4.0, -3.0, 5.0]), np.array([-3.0, 5.0, -1.0])
_NO = np.zeros(3, bool)
_LAST = np.array([False, False, True])


@SHAPE.probe(
    "on the way, each step is paid a difference of potentials",
    "The extra reward of one step is gamma times the potential after it, minus the potential before it.",
    "The reward of the world is not replaced: the difference is added to it.",
)
def _on_the_way(answer: Callable) -> None:
    plain = _REWARD + 0.95 * _AFTER - _BEFORE
    got = answer(_REWARD, _BEFORE, _AFTER, _NO, _NO, 0.95)
    expect(got, plain, "Three steps from potentials -4, -3, 5 to -3, 5, -1, gamma 0.95", {
        "the discount is forgotten: it belongs to the potential after the step": _REWARD + _AFTER - _BEFORE,
        "the discount belongs to the potential after the step, not before": _REWARD + _AFTER - 0.95 * _BEFORE,
        "the sign is turned round: losing potential is paid": _REWARD - 0.95 * _AFTER + _BEFORE,
        "the world's own reward is lost": 0.95 * _AFTER - _BEFORE,
        "only gains are paid: a loop can collect them": _REWARD + np.maximum(0.95 * _AFTER - _BEFORE, 0),
    })  # fmt: skip


@SHAPE.probe(
    "a terminal state has the potential 0",
    "After a terminal state no reward follows, so nothing could ever pay its potential back.",
)
def _terminal(answer: Callable) -> None:
    right = _REWARD + 0.95 * np.array([-3.0, 5.0, 0.0]) - _BEFORE
    got = answer(_REWARD, _BEFORE, _AFTER, _LAST, _NO, 0.95)
    expect(got, right, "The same three steps, the last of which terminates", {
        "the terminal state keeps its potential": _REWARD + 0.95 * _AFTER - _BEFORE,
        "the last step pays no shaping at all: the potential before it is never taken back":
            right + np.array([0.0, 0.0, 5.0]),
    })  # fmt: skip


@SHAPE.probe(
    "a state at which an episode is cut off keeps its potential",
    "The learner goes on from there with its own estimate, in which minus the potential is contained.",
    "A time limit is no terminal state.",
)
def _cut(answer: Callable) -> None:
    got = answer(_REWARD, _BEFORE, _AFTER, _NO, _LAST, 0.95)
    expect(got, _REWARD + 0.95 * _AFTER - _BEFORE, "The same three steps, the last of which is cut off", {
        "a time limit is taken for a terminal state": _REWARD + 0.95 * np.array([-3.0, 5.0, 0.0]) - _BEFORE,
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ break even


def break_even(distance: np.ndarray, docked: np.ndarray, wage: float, slope: float) -> float:
    """The leak from which on a loop earns more than the dock; infinite where it never does.

    distance (T+1,): from the dock, over one period of the loop: the last is the first.
    docked (T,) bool: after each step. wage: reward of a step in the dock.
    slope: of the potential, for a distance of 1.

    Book: safety/reward_misspecification
    """
    # solution
    forgiven = slope * np.maximum(np.diff(distance), 0).sum()  # with a leak of 1
    missed = wage * (~docked).sum()
    return missed / forgiven if forgiven > 0 else np.inf
    # end


BREAK_EVEN = Exercise(
    "reward-misspecification-break-even",
    "Implement: from which leak on does a loop pay?",
    PAGE,
    LOOP,
    break_even,
)

_LOOP = np.array([0.1, 0.2, 0.5, 0.7, 0.4, 0.1])
_IN = np.array([False, False, False, False, True])


@BREAK_EVEN.probe(
    "a loop breaks even where what is forgiven equals the wages that it misses",
    "Around a loop, gains and losses of potential cancel. What is left is a share of the losses.",
    "With a leak of 1 all losses are forgiven. A loss of potential is a growing distance, times the slope.",
)
def _one_loop(answer: Callable) -> None:
    told = "Distances 0.1 0.2 0.5 0.7 0.4 0.1, the last step in the dock, wage 0.1, slope 10"
    expect(answer(_LOOP, _IN, 0.1, 10.0), 0.4 / 6.0, told, {
        "all steps are counted as missed wages: the loop gets some of them": 0.5 / 6.0,
        "the wages that the loop gets are counted, not those that it misses": 0.1 / 6.0,
        "gains and losses are both counted: only losses are forgiven": 0.4 / 12.0,
        "the slope is forgotten": 0.4 / 0.6,
        "this is its reciprocal": 6.0 / 0.4,
    })  # fmt: skip


@BREAK_EVEN.probe(
    "another loop, another wage",
    "Are wage and slope the arguments, or numbers of your own?",
    "A loop that stays in the dock all the time misses nothing.",
)
def _other(answer: Callable) -> None:
    expect(answer(2 * _LOOP, _IN, 0.3, 5.0), 1.2 / 6.0, "Twice as far, wage 0.3, slope 5", {
        "the wage is taken for 0.1, or the slope for 10": 0.4 / 12.0,
    })  # fmt: skip
    expect(answer(_LOOP / 10, np.ones(5, bool), 0.1, 10.0), 0.0, "A small loop inside the dock", {})


@BREAK_EVEN.probe(
    "who stands still never earns more than the dock",
    "No loss can be forgiven where there is none, whatever the leak: the answer is np.inf.",
)
def _still(answer: Callable) -> None:
    got = answer(np.full(4, 0.5), np.zeros(3, bool), 0.1, 10.0)
    expect(got, np.inf, "Standing still at a distance of 0.5", {
        "standing still outside of the dock costs its wage and is forgiven nothing": 0.0,
    })  # fmt: skip
    got = answer(np.zeros(4), np.ones(3, bool), 0.1, 10.0)
    expect(got, np.inf, "Standing still in the dock", {
        "standing still in the dock earns as much as the dock, and never more": 0.0,
    })  # fmt: skip
