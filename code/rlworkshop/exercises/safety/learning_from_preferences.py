"""Exercises of the chapter on learning from preferences.

Book: safety/learning_from_preferences
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "safety/learning_from_preferences"


# ------------------------------------------------------------------------------------ the gradient


def gradient(w: np.ndarray, left: np.ndarray, right: np.ndarray, label: float) -> np.ndarray:
    """Gradient (D,) of the loss of one comparison, for a reward that is linear: w · x.

    ``left`` and ``right`` (L, D) are clips, ``label`` is 1 (left is better), 0 or 0.5.
    The teacher follows Bradley and Terry, and never answers by a coin flip.

    Book: safety/learning_from_preferences
    """
    # solution
    difference = left.sum(axis=0) - right.sum(axis=0)  # (D,)
    p = 1 / (1 + np.exp(-w @ difference))
    return (p - label) * difference
    # end


GRADIENT = Exercise(
    "learning-from-preferences-gradient",
    "Derive and implement: one comparison's gradient",
    PAGE,
    "A model of the teacher: Bradley and Terry",
    gradient,
)

CLIPS = np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[0.0, 1.0], [0.0, 0.0]])  # sums (2, 1) and (0, 1)


def _case(w: tuple[float, float], label: float) -> np.ndarray:
    return (1 / (1 + np.exp(-2 * w[0])) - label) * np.array([2.0, 0.0])


@GRADIENT.probe(
    "what the two clips have in common has no gradient, the rest goes the teacher's way",
    "The loss is -log P for the clip that was preferred, and P depends on the difference of sums alone.",
    "The derivative of -log σ(d) is σ(d) - 1, and d = w · (sum of left - sum of right).",
)
def _left(answer: Callable) -> None:
    w = np.array([0.2, 5.0])
    expect(answer(w, *CLIPS, 1.0), _case((0.2, 5.0), 1.0), (
        "Sums (2, 1) and (0, 1), w = (0.2, 5), left is better"
    ), {
        "this goes uphill: a gradient of the loss points away from the teacher's choice":
            -_case((0.2, 5.0), 1.0),
        "labels are swapped: 1 is the left clip": _case((0.2, 5.0), 0.0),
        "the reward of a clip is the sum over its steps, not the mean":
            (1 / (1 + np.exp(-0.2)) - 1) * np.array([1.0, 0.0]),
        "the steps count by how much they surprise: σ(d) - 1, and that factor is missing": [-2.0, 0.0],
    })  # fmt: skip


@GRADIENT.probe("the right clip may be the better one", "With label 0 the loss is -log of what is left of P.")
def _right(answer: Callable) -> None:
    w = np.array([0.2, 5.0])
    expect(answer(w, *CLIPS, 0.0), _case((0.2, 5.0), 0.0), "The same clips, and right is better", {
        "the label is not used: this is the gradient for left": _case((0.2, 5.0), 1.0),
    })  # fmt: skip


@GRADIENT.probe(
    "two clips that are called equal pull their rewards together",
    "A label of 0.5 is half an answer each way.",
)
def _equal(answer: Callable) -> None:
    for w0 in (0.2, 0.0):
        given = answer(np.array([w0, 5.0]), *CLIPS, 0.5)
        expect(given, _case((w0, 5.0), 0.5), f"The same clips are equal, w = ({w0}, 5)", {
            "an equal pair is taken for one in which right is better": _case((w0, 5.0), 0.0),
            "an equal pair is taken for one in which left is better": _case((w0, 5.0), 1.0),
            "an equal pair teaches nothing here, and it should: its rewards are to be equal": [0.0, 0.0],
        } if w0 else {})  # fmt: skip


@GRADIENT.probe(
    "where clips differ in two ways, one probability counts for both",
    "P is one number: it belongs to the whole comparison.",
)
def _both(answer: Callable) -> None:
    w, right = np.array([0.2, 0.3]), np.array([[0.0, 1.0], [0.0, 2.0]])
    difference = np.array([2.0, -2.0])
    wanted = (1 / (1 + np.exp(-w @ difference)) - 1) * difference
    expect(answer(w, CLIPS[0], right, 1.0), wanted, "Sums (2, 1) and (0, 3), w = (0.2, 0.3)", {
        "each part has a probability of its own": (1 / (1 + np.exp(-w * difference)) - 1) * difference,
    })  # fmt: skip


# ------------------------------------------------------------------------------------ clips of a stream


def starts(done: np.ndarray, length: int) -> np.ndarray:
    """Where clips of ``length`` steps may begin in a stream of episodes: (T,) floats, 1 or 0.

    ``done`` (T,) says of each step whether an episode ended with it; the next step belongs
    to another. A clip lies within one episode and within the stream.

    Book: safety/learning_from_preferences
    """
    # solution
    may = np.zeros(len(done))
    for t in range(len(done) - length + 1):
        may[t] = not done[t : t + length - 1].any()  # only the last step may end an episode
    return may
    # end


STARTS = Exercise(
    "learning-from-preferences-starts",
    "Implement: clips that stay within an episode",
    PAGE,
    "Clips",
    starts,
)


def _may(T: int, *begin: int) -> np.ndarray:
    """1 at these steps."""
    return np.isin(np.arange(T), begin).astype(float)


@STARTS.probe(
    "a clip may end with its episode, and not go on after that",
    "Which of the steps of a clip may have `done` set? Only one of them.",
    "If an episode ends with step 4, a clip of 3 may be steps 2, 3, 4; it may not be 3, 4, 5.",
)
def _within(answer: Callable) -> None:
    done = _may(10, 4, 9).astype(bool)
    expect(answer(done, 3), _may(10, 0, 1, 2, 5, 6, 7), (
        "Ten steps, episodes end with 4 and with 9, clips of 3"
    ), {
        "the last clip of an episode is missing: it may contain the step that ends it": _may(10, 0, 1, 5, 6),
        "clips go over the end of an episode": _may(10, *range(8)),
        "the last clip of the stream is missing": _may(10, 0, 1, 2, 5, 6),
        "this is off by one: clips begin with the last step of an episode": _may(10, 0, 1, 4, 5, 6),
        "clips go over the end of the stream": _may(10, 0, 1, 2, 5, 6, 7, 8, 9),
    })  # fmt: skip


@STARTS.probe(
    "the stream may stop in the middle of an episode",
    "The last steps belong to an episode that has not ended. Clips of it are clips.",
)
def _open(answer: Callable) -> None:
    done = _may(7, 2).astype(bool)
    expect(answer(done, 3), _may(7, 0, 3, 4), "Seven steps, an episode ends with 2, clips of 3", {
        "steps of an episode that has not ended are left out": _may(7, 0),
        "clips go over the end of the stream": _may(7, 0, 3, 4, 5, 6),
    })  # fmt: skip


@STARTS.probe("every step is a clip of one step", "Which of its steps must not end an episode? None.")
def _single(answer: Callable) -> None:
    done = _may(4, 1, 2).astype(bool)
    expect(answer(done, 1), np.ones(4), "Four steps, clips of 1", {
        "an episode's last step is a clip, too": _may(4, 0, 3),
    })  # fmt: skip
