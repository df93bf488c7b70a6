"""Exercises of the chapter on automatic domain randomisation.

Book: robotics/automatic_domain_randomization
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "robotics/automatic_domain_randomization"
ALGORITHM = "Probe, average, move"


def follow(
    scores: np.ndarray,
    probes: int,
    enough: float,
    few: float,
    step: float,
) -> np.ndarray:
    """Where an upper bound that begins at 0 stands after each score (T,) of its probes: (T,).

    When ``probes`` scores have come in, their mean decides: ``enough`` or more moves the
    bound out by ``step``, ``few`` or less moves it in, though not below 0. Then the count
    begins anew.

    Book: robotics/automatic_domain_randomization
    """
    # solution
    bound, buffer, bounds = 0.0, [], []
    for score in scores:
        buffer.append(score)
        if len(buffer) == probes:
            mean = sum(buffer) / probes
            bound = max(0.0, bound + step * (mean >= enough) - step * (mean <= few))
            buffer = []
        bounds.append(bound)
    return np.array(bounds)
    # end


FOLLOW = Exercise(
    "automatic-domain-randomization-follow", "Implement: one bound of algorithm 1", PAGE, ALGORITHM, follow
)


def _rolling(scores: np.ndarray, probes: int, enough: float, few: float, step: float) -> np.ndarray:
    """The mean of the last ``probes`` scores decides at every score from then on."""
    bound, bounds = 0.0, []
    for i in range(len(scores)):
        if i + 1 >= probes:
            mean = sum(scores[i + 1 - probes : i + 1]) / probes
            bound = max(0.0, bound + step * (mean >= enough) - step * (mean <= few))
        bounds.append(bound)
    return np.array(bounds)


def _kept(scores: np.ndarray, probes: int, enough: float, few: float, step: float) -> np.ndarray:
    """Every ``probes`` scores the mean of all that ever came in decides."""
    bound, bounds = 0.0, []
    for i in range(len(scores)):
        if (i + 1) % probes == 0:
            mean = sum(scores[: i + 1]) / (i + 1)
            bound = max(0.0, bound + step * (mean >= enough) - step * (mean <= few))
        bounds.append(bound)
    return np.array(bounds)


@FOLLOW.probe(
    "nothing moves before the buffer is full, then the mean decides",
    "Collect the scores in a list. When it has `probes` entries, compare its mean.",
    "Empty the list after the decision.",
)
def _mean(answer: Callable) -> None:
    scores = np.array([5.0, 3, 5, 4, 1, 5])
    expect(answer(scores, 2, 4.0, 2.0, 0.25), np.array([0, 0.25, 0.25, 0.5, 0.5, 0.5]), (
        "Six scores, two probes to a decision, out at 4 or more, in at 2 or less, step 0.25"
    ), {
        "each score decides by itself: the mean of two should": [0.25, 0.25, 0.5, 0.75, 0.5, 0.75],
        "a mean that equals `enough` is enough": [0, 0, 0, 0.25, 0.25, 0.25],
        "the buffer is never emptied: the same scores decide again and again":
            _rolling(scores, 2, 4.0, 2.0, 0.25),
    })  # fmt: skip


@FOLLOW.probe(
    "what was scored at the old bound does not count at the new one",
    "After a decision the buffer is empty, whether the bound moved or not.",
)
def _anew(answer: Callable) -> None:
    scores = np.array([9.0, 9, 9, 2, 2, 2, 3, 3, 3])
    expect(answer(scores, 3, 4.0, 2.0, 0.5), np.array([0, 0, 0.5, 0.5, 0.5, 0, 0, 0, 0]), (
        "Nine scores, three probes to a decision: three of 9, three of 2, three of 3"
    ), {
        "old scores still count: the mean is that of everything since the beginning":
            _kept(scores, 3, 4.0, 2.0, 0.5),
        "the bound never moves back in, and a mean of `few` is too little": [
            0, 0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5],
    })  # fmt: skip


@FOLLOW.probe("the bound does not go in over the data sheet", "What is the smallest that it may be?")
def _sheet(answer: Callable) -> None:
    scores = np.array([0.0, 0, 8])
    expect(answer(scores, 1, 4.0, 2.0, 0.5), np.array([0, 0, 0.5]), "Three scores, one probe each", {
        "a range cannot be turned inside out: 0 is the end": [-0.5, -1.0, -0.5],
    })  # fmt: skip
