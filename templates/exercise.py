"""Exercises of the chapter NAME.

Book: PART/NAME
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect


def weights(steps: int, step_size: float) -> np.ndarray:
    """How much of the estimate each of ``steps`` numbers makes up, the oldest first: (steps,).

    Book: PART/NAME
    """
    # solution
    return step_size * (1 - step_size) ** np.arange(steps)[::-1]
    # end


FORGETTING = Exercise(
    "SLUG-forgetting",
    "Derive: what a running mean remembers",
    "PART/NAME",
    "A small step towards each number",  # the heading to read again, as the page has it
    weights,
)


@FORGETTING.probe(
    "the newest number counts most",
    "Write the estimate after two numbers in full, and collect what stands before each number.",
)
def _two_numbers(answer: Callable) -> None:
    about = "Two numbers, step size 0.2: the older one has been moved away from once"
    mistakes = {
        "the order is turned round: the last entry belongs to the newest number": [0.2, 0.16],
        "both count the same: but each step takes a part of what was there before": [0.2, 0.2],
    }
    expect(answer(2, 0.2), np.array([0.16, 0.2]), about, mistakes)


@FORGETTING.probe("with step size 1 only the last number is left", "What is 0 to the power of 0?")
def _no_memory(answer: Callable) -> None:
    expect(answer(3, 1.0), np.array([0.0, 0.0, 1.0]), "Three numbers, step size 1")
