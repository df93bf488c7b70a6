"""Exercises of the chapter on goals and hindsight.

Book: robotics/goals_and_hindsight
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "robotics/goals_and_hindsight"
RELABEL = "Hindsight: another goal for the same transition"
BREAK = "Break it"


def _floats(got: Any) -> Any:
    """Whole numbers as ``expect`` takes them."""
    return got.astype(float) if isinstance(got, np.ndarray) and got.dtype.kind in "iu" else got


# ------------------------------------------------------------------------------------------ future


def future(ended: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Steps (T,) whose achieved goals steps 0, 1, ... get by the strategy "future".

    ended (T,) bool: steps that end an episode; the last step does. u (T,): random numbers
    from 0 up to, not including, 1. For step t the answer is t itself, the end of its
    episode, or a step between, all equally likely: the smallest u gives t itself.

    Book: robotics/goals_and_hindsight
    """
    # solution
    now, ends = np.arange(len(ended)), np.flatnonzero(ended)
    last = ends[np.searchsorted(ends, now)]  # (T,), where the episode of each step ends
    return now + np.floor(u * (last - now + 1)).astype(int)
    # end


FUTURE = Exercise(
    "goals-and-hindsight-future", "Implement: goals from the rest of an episode", PAGE, RELABEL, future
)
ENDED = np.array([False, False, True, True, False, False, False, True])


def _rest(u: np.ndarray) -> np.ndarray:
    """The same as if all steps were one episode."""
    alone = np.zeros(len(u), bool)
    alone[-1] = True
    return future(alone, u)


@FUTURE.probe(
    "in one episode of four steps each step gets itself or a later one",
    "For step t of T there are T - t steps to choose from, t among them.",
    "u times their number, rounded down, is a whole number from 0 to one less: add it to t.",
)
def _one(answer: Callable) -> None:
    ended, u = np.array([False, False, False, True]), np.array([0.6, 0.2, 0.9, 0.3])
    expect(_floats(answer(ended, u)), np.array([2, 1, 3, 3]), "Four steps, u = 0.6, 0.2, 0.9, 0.3", {
        "a step may get its own goal: that is where most rewards of 0 come from": np.array([2, 2, 3, 3]),
        "this takes steps from before: only what came after says how to get there": np.array([2, 0, 3, 1]),
        "this is the strategy final: each step gets the end": np.array([3, 3, 3, 3]),
        "this rounds to the nearest whole number; round down, or the last step is too likely": np.array(
            [2, 2, 4, 3]
        ),
    })  # fmt: skip


@FUTURE.probe(
    "no step gets a goal of another episode",
    "Which is the first end at or after step t?",
    "np.flatnonzero(ended) has the ends, np.searchsorted finds the first that is not before t.",
)
def _ends(answer: Callable) -> None:
    u = np.full(8, 0.99)
    expect(_floats(answer(ENDED, u)), np.array([2, 2, 2, 3, 7, 7, 7, 7]), "Three episodes, u = 0.99", {
        "this goes over the ends of episodes": _rest(u),
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ faults


def faults(
    before: np.ndarray,
    after: np.ndarray,
    achieved: np.ndarray,
    reward: np.ndarray,
    ends: np.ndarray,
) -> np.ndarray:
    """How many transitions of a relabelled batch are wrong in each of three ways: counts (3,).

    before, after (B, G): the desired goal, in the observation and in the next observation.
    achieved (B, G): what the next observation has achieved. reward (B,). ends (B,) bool.
    The task pays 0 and ends where all of a goal is achieved, else it pays -1. Count, in this
    order: desired goals that change on the way; rewards that are wrong for the desired goal
    in the observation; ends that are.

    Book: robotics/goals_and_hindsight
    """
    # solution
    reached = (achieved == before).all(axis=1)  # (B,)
    moved = (before != after).any(axis=1)
    return np.array([moved.sum(), (reward != reached - 1.0).sum(), (ends != reached).sum()])
    # end


FAULTS = Exercise(
    "goals-and-hindsight-faults", "Diagnose: what is wrong with this batch?", PAGE, BREAK, faults
)
WANTED = np.array([[0, 1], [1, 1], [1, 0], [0, 0], [1, 1]])
THERE = np.array([[0, 1], [1, 0], [1, 0], [1, 1], [0, 0]])  # reached in rows 0 and 2


def _sound() -> list[np.ndarray]:
    """A batch without a fault."""
    reached = np.array([True, False, True, False, False])
    return [WANTED.copy(), WANTED.copy(), THERE.copy(), np.where(reached, 0.0, -1.0), reached]


@FAULTS.probe(
    "a sound batch has no faults",
    "Where is the goal reached? All of its numbers have to agree, not only some.",
    "Rewards are 0 where it is reached and -1 elsewhere.",
)
def _none(answer: Callable) -> None:
    expect(_floats(answer(*_sound())), np.zeros(3, int), "Five transitions, two of which reach their goals", {
        "a goal is reached where all of its numbers agree, not some": np.array([0, 1, 1]),
        "the reward is 0 where the goal is reached, not 1": np.array([0, 5, 0]),
    })  # fmt: skip


@FAULTS.probe(
    "old goals in the next observation are found",
    "Compare the desired goals of both observations, row by row: one number is enough to differ.",
)
def _moved(answer: Callable) -> None:
    batch = _sound()
    batch[1] = np.array([[0, 1], [0, 0], [1, 1], [0, 0], [1, 0]])
    expect(_floats(answer(*batch)), np.array([3, 0, 0]), "Three rows kept the old goal", {
        "one number that differs is enough": np.array([1, 0, 0]),
        "the goal that counts is the one in the observation": np.array([3, 1, 1]),
        "these are numbers, not transitions: count rows": np.array([4, 0, 0]),
    })  # fmt: skip


@FAULTS.probe(
    "rewards and ends of the old goal are found, each in its place",
    "Rewards and ends are two faults: a batch may have one without the other.",
)
def _stale(answer: Callable) -> None:
    batch = _sound()
    batch[3] = np.array([-1.0, -1.0, -1.0, -1.0, 0.0])
    batch[4] = np.array([False, False, True, False, False])
    expect(_floats(answer(*batch)), np.array([0, 3, 1]), "Three old rewards, one old end", {
        "rewards come before ends": np.array([0, 1, 3]),
        "a reward of 0 where nothing is reached is wrong as well": np.array([0, 2, 1]),
    })  # fmt: skip
