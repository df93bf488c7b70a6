"""Exercises of the chapter on the hand that turns a block.

Book: robotics/dexterity
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "robotics/dexterity"
HAND = "Three fingers and a block"
INGREDIENTS = "The ingredients, and what is left without one"


# ------------------------------------------------------------------------------------------ tip


def tips(root: np.ndarray, heading: float, joints: np.ndarray, links: tuple) -> np.ndarray:
    """Places (T, 2) of the tip of one finger, seen from above.

    root (2,): where it is fixed. heading: in radians, where it points with both joints at 0.
    joints (T, 2): angles of root and knuckle in radians, anticlockwise, each against the link
    before it.
    links: lengths of the two links.

    Book: robotics/dexterity
    """
    # solution
    angles = heading + np.cumsum(joints, axis=1)  # (T, 2), of the links against the table
    along = np.stack([np.cos(angles), np.sin(angles)], axis=-1)  # (T, 2, 2)
    return root + (along * np.array(links)[:, None]).sum(axis=1)
    # end


TIP = Exercise("dexterity-tip", "Implement: where the tip of a finger is", PAGE, HAND, tips)
ROOT, LINKS = np.array([0.2, 1.1]), (0.45, 0.4)
JOINTS = np.array([[0.0, 0.0], [0.3, 0.7], [-0.5, 0.9]])


def _absolute(root: np.ndarray, heading: float, joints: np.ndarray, links: tuple[float, float]) -> np.ndarray:
    """The tip with the knuckle's angle measured against the table."""
    angles = heading + joints
    along = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return root + (along * np.array(links)[:, None]).sum(axis=1)


@TIP.probe(
    "a straight finger reaches as far as both its links", "With both joints at 0 all points lie on a line."
)
def _straight(answer: Callable) -> None:
    got = answer(ROOT, 0.5, np.zeros((1, 2)), LINKS)
    right = tips(ROOT, 0.5, np.zeros((1, 2)), LINKS)
    expect(got, right, "A finger at (0.2, 1.1) that points in the direction 0.5, links of 0.45 and 0.4", {
        "the finger begins at its root, not in the middle of the table": right - ROOT,
        "the direction is left out": ROOT + np.array([[0.85, 0.0]]),
        "only the first link is there": ROOT + 0.45 * np.array([[np.cos(0.5), np.sin(0.5)]]),
    })  # fmt: skip


@TIP.probe(
    "the knuckle turns against the first link, wherever that points",
    "When the root turns, the second link turns along with the first.",
    "The direction of the second link is the sum of three angles.",
)
def _bent(answer: Callable) -> None:
    right = tips(ROOT, -2.0, JOINTS, LINKS)
    expect(answer(ROOT, -2.0, JOINTS, LINKS), right, "The same finger, direction -2, three positions", {
        "the second link does not turn along with the first": _absolute(ROOT, -2.0, JOINTS, LINKS),
        "the joints turn clockwise": tips(ROOT, -2.0, -JOINTS, LINKS),
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ row


def in_a_row(hits: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """Goals in a row (N,), reached by each of N hands before its block is first lost.

    hits (T, N): goals reached in each step. lost (T, N) bool: whether it lost its block then.
    After a loss the hand gets another block, which does not count.

    Book: robotics/dexterity
    """
    # solution
    before = np.cumsum(lost, axis=0) - lost == 0  # (T, N): no loss in an earlier step
    return (hits * before).sum(axis=0)
    # end


ROW = Exercise("dexterity-row", "Implement: goals in a row", PAGE, INGREDIENTS, in_a_row)
HITS = np.array([[1.0, 0], [0, 1], [1, 1], [1, 0]])
LOST = np.array([[0, 0], [0, 1], [1, 0], [0, 1]], bool)


@ROW.probe(
    "a row ends with the block",
    "Look at each hand by itself: up to which step does it count?",
    "np.cumsum(lost, axis=0) is the number of losses so far.",
)
def _ends(answer: Callable) -> None:
    expect(answer(HITS, LOST), np.array([2, 1]), "Two hands, four steps", {
        "all goals are counted, also those with the next block": np.array([3, 2]),
        "a goal in the very step in which the block is lost was reached all the same": np.array([1, 0]),
        "one loss ends the row of all hands": np.array([1, 1]),
        "losses are counted, not goals": np.array([1, 2]),
    })  # fmt: skip


@ROW.probe("a hand that loses no block counts to the end", "What is your first loss when there is none?")
def _none(answer: Callable) -> None:
    expect(answer(HITS, np.zeros_like(LOST)), np.array([3, 2]), "The same goals, and no block lost", {
        "the row of a hand that loses nothing ends with the first step": np.array([1, 0]),
    })  # fmt: skip
