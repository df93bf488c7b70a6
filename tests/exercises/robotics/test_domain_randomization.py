"""Plausible wrong answers to the exercises on domain randomisation, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np

from rlworkshop.exercises.robotics import domain_randomization as page
from rlworkshop.robotics import domain_randomization as dr

# ---- gain


def as_strong(motors):
    return motors.mean()


def data_sheet(motors):
    return 1.0


def mean_of_best(motors):
    return (1 / motors).mean()


def best_of_mean(motors):
    return 1 / motors.mean()


def least_worst(motors):
    return 2 / (motors.min() + motors.max())


# ---- held_out


def all_of_them(robots, low, high):
    return np.maximum(np.maximum(low - robots, robots - high).min(axis=1), 0)


def above_alone(robots, low, high):
    return np.maximum((robots - high).max(axis=1), 0)


def negative_inside(robots, low, high):
    return np.maximum(low - robots, robots - high).max(axis=1)


def one_range(robots, low, high):
    return page.held_out(robots, low[0], high[0])


WRONG = {
    "domain-randomization-gain": [
        (as_strong, "weaker where the motor is stronger"),
        (data_sheet, "this is another"),
        (mean_of_best, "the strongest one flies off"),
        (best_of_mean, "which is none of them"),
        (least_worst, "not the least of the mean"),
    ],
    "domain-randomization-held-out": [
        (all_of_them, "not all have to be"),
        (above_alone, "a lower end, too"),
        (negative_inside, "0 outside, not less"),
        (one_range, "taken for both"),
    ],
}


def test_many_carts_get_the_gain_of_the_page():
    p = np.linspace(-1.5, 0.5, 200_001)
    assert np.isclose(page.gain(2**p), dr.robust_gain(-1.5, 0.5), rtol=1e-4)


def test_outlying_robots_are_held_out_of_every_range_that_is_compared():
    robots = dr.outlying(300, 0)
    assert (page.held_out(robots, np.full(6, -2.5), np.full(6, 2.5)) > 0).all()
