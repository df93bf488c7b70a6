"""Plausible wrong answers to the exercises of NAME, and what each is told.

``WRONG`` is read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np

from rlworkshop.exercises.PART import NAME


def turned_round(steps, step_size):
    return NAME.weights(steps, step_size)[::-1]


def all_alike(steps, step_size):
    return np.full(steps, step_size)


def by_logarithms(steps, step_size):
    with np.errstate(divide="ignore", invalid="ignore"):
        return step_size * np.exp(np.arange(steps)[::-1] * np.log(1 - step_size))


WRONG = {
    "SLUG-forgetting": [
        (turned_round, "the order is turned round"),
        (all_alike, "both count the same"),
        (by_logarithms, "Three numbers, step size 1"),
    ],
}
