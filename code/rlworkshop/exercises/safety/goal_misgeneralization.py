"""Exercises of the chapter on goal misgeneralisation.

Book: safety/goal_misgeneralization
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "safety/goal_misgeneralization"


# ------------------------------------------------------------------------------------------ apart


def apart(to_cheese: np.ndarray, to_corner: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Cells (C,) at which the two goals share no best move: 1.0 there, else 0.0.

    to_cheese and to_corner (C,) are distances in steps, infinite in walls. there (C, 4):
    where each of four moves leads. At the cheese, in the corner and in walls it is 0.0.

    Book: safety/goal_misgeneralization
    """
    # solution
    cheese, corner = (far[there] < far[:, None] for far in (to_cheese, to_corner))
    parted = cheese.any(axis=1) & corner.any(axis=1) & ~(cheese & corner).any(axis=1)
    return np.where(parted, 1.0, 0.0)
    # end


APART = Exercise(
    "goal-misgeneralization-apart",
    "Implement: where two goals come apart",
    PAGE,
    "Two goals that training cannot tell apart",
    apart,
)

# a corridor of five cells, of which the moves left and right matter; up and down stay
CORRIDOR = np.array([[0, 1, 0, 0], [1, 2, 1, 0], [2, 3, 2, 1], [3, 4, 3, 2], [4, 4, 4, 3]])
# 2 x 2, a wall nowhere: cells 0 1 / 2 3
SQUARE = np.array([[0, 1, 2, 0], [1, 1, 3, 0], [0, 3, 2, 2], [1, 3, 3, 2]])


@APART.probe(
    "a corridor with the cheese in its middle",
    "A best move is one that leads to a cell with a smaller distance.",
    "Compare the moves, not the distances: far[there] has the distance after each move.",
)
def _corridor(answer: Callable) -> None:
    cheese, corner = np.array([2.0, 1, 0, 1, 2]), np.array([4.0, 3, 2, 1, 0])
    between, middle, right, left = np.array([
        [0, 0, 0, 1, 0], [0, 0, 1, 1, 1], [1, 1, 1, 0, 1], [1, 1, 0, 0, 0],
    ], float)  # fmt: skip
    expect(answer(cheese, corner, CORRIDOR), between, "A corridor of five cells, the cheese in cell 2", {
        "left of the cheese both goals lead to the right: other distances are no other moves": right,
        "at the goals themselves nobody has a best move, and nothing is told": middle,
        "these are the cells at which the goals agree": left,
        "a move that leaves you where you are is no best move": np.zeros(5),
    })  # fmt: skip


@APART.probe(
    "one shared best move is enough to agree",
    "From one cell several moves may be best. Is there any that both goals like?",
)
def _shared(answer: Callable) -> None:
    cheese, corner = np.array([1.0, 2, 0, 1]), np.array([1.0, 0, 2, 1])
    ends = np.array([1.0, 0, 0, 1])
    expect(answer(cheese, corner, SQUARE), ends, "2 × 2, the goals at two ends", {
        "at a goal there are no best moves, and none are shared: that is no disagreement": np.ones(4),
    })  # fmt: skip
    cheese, corner = np.array([2.0, 1, 1, 0]), np.array([1.0, 0, 2, 1])
    expect(answer(cheese, corner, SQUARE), np.zeros(4), "2 × 2, goals side by side", {
        "of the best moves to one goal one leads to the other, too": np.array([1.0, 0, 1, 0]),
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ evidence


def evidence(corner: np.ndarray, cheese: np.ndarray, moves: np.ndarray, slip: float) -> float:
    """Log-odds for the corner, against the cheese, as the goal of one walk of T moves.

    corner and cheese (T, 4) bool: the best moves of either goal at each step. moves (T,) were
    made.
    Either goal predicts one of its best moves, each alike, and with probability slip any of
    the four.
    A step at which one of the goals has no best move says nothing.

    Book: safety/goal_misgeneralization
    """
    # solution
    total = 0.0
    for best, other, move in zip(corner, cheese, moves, strict=True):
        if best.any() and other.any():
            ours, theirs = ((1 - slip) * goal[move] / goal.sum() for goal in (best, other))
            total += np.log((ours + slip / 4) / (theirs + slip / 4))
    return float(total)
    # end


EVIDENCE = Exercise(
    "goal-misgeneralization-evidence",
    "Implement: what a walk says of its goal",
    PAGE,
    "Reading a goal from a walk",
    evidence,
)

UP, RIGHT, BOTH, NONE = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]], bool)


@EVIDENCE.probe(
    "one move that only the corner explains, and one that only the cheese does",
    "How likely is the move if the corner is the goal? And if the cheese is?",
    "A move that is not among the best has the probability slip / 4, not 0.",
)
def _one(answer: Callable) -> None:
    up, right = (answer(UP[None], RIGHT[None], np.array([move]), 0.2) for move in (0, 1))
    expect(up, np.log(0.85 / 0.05), "Corner: up, cheese: right; the mouse goes up; slip 0.2", {
        "this is the evidence for the cheese: the signs are turned round": -np.log(0.85 / 0.05),
        "a best move can be a slip, too: 0.8 + 0.05": np.log(0.8 / 0.05),
        "any of four moves is a slip, one of them this one: slip / 4": np.log(1.0 / 0.2),
        "the ratio itself, without its logarithm": 0.85 / 0.05,
    })  # fmt: skip
    expect(right, -np.log(0.85 / 0.05), "The same, and the mouse goes right")


@EVIDENCE.probe(
    "a goal with two best moves predicts each half as often",
    "The probabilities of the four moves add up to 1 for either goal.",
)
def _two(answer: Callable) -> None:
    got = answer(BOTH[None], UP[None], np.array([0]), 0.2)
    expect(got, np.log(0.45 / 0.85), "Corner: up or right, cheese: up; the mouse goes up", {
        "both goals like the move, but the cheese predicts it more firmly: share among the best moves": 0.0,
    })  # fmt: skip


@EVIDENCE.probe(
    "steps add up, and those at a goal do not count",
    "Whoever has arrived has no best move. What does that goal predict there? Nothing: leave the step out.",
)
def _sum(answer: Callable) -> None:
    corner, cheese = np.array([UP, UP, NONE, UP]), np.array([RIGHT, UP, RIGHT, NONE])
    got = answer(corner, cheese, np.array([0, 0, 1, 1]), 0.4)
    expect(got, np.log(0.7 / 0.1), "Four steps, of which one is evidence, slip 0.4", {
        "the mean over the steps; independent evidence adds up": np.log(0.7 / 0.1) / 4,
        "who stands at a goal has no best move, and the step is no evidence": 0.0,
    })  # fmt: skip
