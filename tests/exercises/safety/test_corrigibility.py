"""Plausible wrong answers to the exercises on corrigibility, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np

from rlworkshop.exercises.safety import corrigibility as page
from rlworkshop.safety import corrigibility as cor

# ---- incentive


def only_waiting(utility, belief, lets):
    return (belief * utility * lets).sum()


def against_acting(utility, belief, lets):
    return (belief * utility * (lets - 1)).sum()


def means_apart(utility, belief, lets):
    mean = (belief * utility).sum()
    return mean * (belief * lets).sum() - np.maximum(mean, 0)


def never_negative(utility, belief, lets):
    return np.maximum(page.incentive(utility, belief, lets), 0.0)


# ---- relative


def both_ways(R, state, baseline):
    return np.abs(R[baseline] - R[state]).mean()


def the_sum(R, state, baseline):
    return np.maximum(R[baseline] - R[state], 0).sum()


def exchanged(R, state, baseline):
    return np.maximum(R[state] - R[baseline], 0).mean()


def back_or_not(R, state, baseline):
    return 1 - R[state, baseline]


def half_of_one_row(R, state, baseline):
    return R[baseline].mean() if state == baseline else page.relative(R, state, baseline)


def four_states(R, state, baseline):
    return np.maximum(R[baseline] - R[state], 0).sum() / 4


WRONG = {
    "corrigibility-incentive": [
        (only_waiting, "take off what the robot could have"),
        (against_acting, "switching off may be better"),
        (means_apart, "their product"),
        (never_negative, "may be negative"),
    ],
    "corrigibility-relative-reachability": [
        (both_ways, "harder to reach"),
        (the_sum, "number of states"),
        (exchanged, "exchanged"),
        (back_or_not, "the baseline itself"),
        (half_of_one_row, "not a difference"),
        (four_states, "On numbers drawn at random"),
    ],
}


def test_the_incentive_agrees_with_the_books_on_a_finely_cut_belief():
    utility = np.linspace(-7, 9, 4001)
    belief = np.exp(-((utility - 1) ** 2) / 2)
    belief /= belief.sum()
    for temperature in (0.0, 0.5, 2.0):
        ours = page.incentive(utility, belief, cor.lets_act(utility, temperature))
        assert abs(ours - cor.incentive_to_wait(1.0, 1.0, temperature)) < 1e-3


def test_relative_reachability_agrees_with_the_books():
    R = np.random.default_rng(0).random((5, 5))
    all_pairs = cor.relative_reachability(R)
    assert all(np.isclose(page.relative(R, s, b), all_pairs[s, b]) for s, b in np.ndindex(5, 5))
