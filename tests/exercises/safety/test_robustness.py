"""Plausible wrong answers to the exercises on robustness, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import math

import numpy as np

from rlworkshop.exercises.safety import robustness as page
from rlworkshop.safety import robustness as rb

# ---- step


def stronger(weights, obs, size):
    return 2 * obs - page.step(weights, obs, size)


def along_the_gradient(weights, obs, size):
    return obs - size * weights / np.abs(weights).max()


def all_down(weights, obs, size):
    return obs - size


def always_left(weights, obs, size):
    return obs - size * np.sign(weights)


def where_positive(weights, obs, size):
    side = 1 if weights @ obs > 0 else -1
    return obs - size * np.where(weights > 0, 1, -1) * side


# ---- level


def unsorted(scores, rate):
    return scores[math.ceil((len(scores) + 1) * (1 - rate)) - 1]


def n_not_n_plus_1(scores, rate):
    return float(np.sort(scores)[math.floor(len(scores) * (1 - rate)) - 1])


def the_other_tail(scores, rate):
    return float(np.sort(scores)[math.ceil((len(scores) + 1) * rate) - 1])


def the_largest_at_most(scores, rate):
    return float(np.sort(scores)[min(len(scores), math.ceil((len(scores) + 1) * (1 - rate))) - 1])


WRONG = {
    "robustness-step": [
        (stronger, "sign is turned round"),
        (along_the_gradient, "take its sign"),
        (all_down, "move the same way"),
        (always_left, "makes it surer"),
        (where_positive, "does not matter to the policy"),
    ],
    "robustness-level": [
        (unsorted, "not sorted"),
        (n_not_n_plus_1, "not in n + 1"),
        (the_other_tail, "stay *below*"),
        (the_largest_at_most, "1/11"),
    ],
}


def test_the_answers_are_the_books():
    scores = np.random.default_rng(0).random(50)
    assert page.level(scores, 0.1) == rb.threshold(scores, 0.1)
