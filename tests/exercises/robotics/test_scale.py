"""Plausible wrong answers to the exercise on V-trace, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np

from rlworkshop.exercises.robotics import scale as page
from rlworkshop.robotics import scale


def weighted(rewards, values, gamma, deltas, traces):
    targets, correction = np.empty(len(rewards)), 0.0
    for t in reversed(range(len(rewards))):
        delta = deltas[t] * (rewards[t] + gamma * values[t + 1] - values[t])
        correction = delta + gamma * traces[t] * correction
        targets[t] = values[t] + correction
    return targets


def correction_alone(rewards, values, ratio, gamma):
    return page.vtrace_targets(rewards, values, ratio, gamma) - values[:-1]


def one_step(rewards, values, ratio, gamma):
    return weighted(rewards, values, gamma, np.minimum(1, ratio), 0 * ratio)


def no_ratio(rewards, values, ratio, gamma):
    return page.vtrace_targets(rewards, values, np.ones_like(ratio), gamma)


def trace_unweighted(rewards, values, ratio, gamma):
    return weighted(rewards, values, gamma, np.minimum(1, ratio), np.ones_like(ratio))


def next_ratio(rewards, values, ratio, gamma):
    cut = np.minimum(1, ratio)
    return weighted(rewards, values, gamma, cut, np.append(cut[1:], 1.0))


def not_cut_off(rewards, values, ratio, gamma):
    return weighted(rewards, values, gamma, ratio, ratio)


def cut_in_the_trace_alone(rewards, values, ratio, gamma):
    return weighted(rewards, values, gamma, ratio, np.minimum(1, ratio))


WRONG = {
    "scale-vtrace": [
        (correction_alone, "the value that it corrects is to be added"),
        (one_step, "what was learned of the next state is not passed on"),
        (no_ratio, "the ratios are not used"),
        (trace_unweighted, "what is passed on from the next step is not"),
        (next_ratio, "c belongs to the step itself"),
        (not_cut_off, "the ratios are not cut off"),
        (cut_in_the_trace_alone, "but not in the TD error"),
    ]
}


def test_the_solution_is_what_the_book_uses():
    rng = np.random.default_rng(0)
    rewards, values, ratio = rng.normal(size=20), rng.normal(size=21), np.exp(rng.normal(size=20))
    never = np.zeros((20, 1), bool)
    expected, _ = scale.vtrace(
        rewards[:, None], values[:, None], ratio[:, None], never, never, gamma=0.9, lam=1.0
    )
    assert np.allclose(page.vtrace_targets(rewards, values, ratio, 0.9), expected[:, 0])
