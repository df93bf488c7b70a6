"""Plausible wrong answers to the exercises on the reality gap, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np

from rlworkshop.exercises.robotics import reality_gap as page
from rlworkshop.robotics import reality_gap as gap

# ---- fit


def wrong_sign(velocity, push, dt):
    return page.fit(velocity, push, dt) * [1, -1]


def no_division(velocity, push, dt):
    return page.fit(velocity, push, dt) * dt


def velocity_after(velocity, push, dt):
    return page._after(velocity, push, dt)


def other_order(velocity, push, dt):
    return page.fit(velocity, push, dt)[::-1]


def always_a_25th(velocity, push, dt):
    return page.fit(velocity, push, 0.04)


# ---- determined


def equations(rows):
    return len(rows)


def unknowns(rows):
    return rows.shape[1]


def columns_with_something(rows):
    return int(rows.any(axis=0).sum())


def always_full(rows):
    return 3 if np.ptp(rows[:, 0]) > 0 else 2


WRONG = {
    "reality-gap-fit": [
        (wrong_sign, "wrong sign"),
        (no_division, "divide by dt"),
        (velocity_after, "not after"),
        (other_order, "gain is asked for first"),
        (always_a_25th, "0.04 seconds"),
    ],
    "reality-gap-determined": [
        (equations, "counts rows"),
        (unknowns, "counts columns"),
        (columns_with_something, "counts columns"),
        (always_full, "not pushed"),
    ],
}


def test_the_fit_agrees_with_the_books_on_a_puck_that_is_pushed_along_one_axis():
    robots = np.array([[0.3, -0.4, 0, 0, 0, 0]])
    table, rng = gap.PuckEnvs(1, robots=robots), np.random.default_rng(0)
    table.reset(seed=0)
    velocity, push = [table.velocity], rng.uniform(-1, 1, (40, 1, 2)) * [1, 0]
    for one in push:
        table.step(one)
        velocity.append(table.velocity)
    gain, damping = page.fit(np.array(velocity)[:, 0, 0], push[:, 0, 0], gap.DT)
    assert np.allclose([gain, damping], [6 * 2**0.3, 2 * 2**-0.4])
