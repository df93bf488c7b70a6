"""Plausible wrong answers to the exercise on deployment, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest

from rlworkshop.exercises.robotics import sim_to_sim as page
from rlworkshop.robotics import sim_to_sim as s2s


def no_step(position, velocity, dt):
    return page.velocity_factor(position, velocity, dt) / dt


def times_step(position, velocity, dt):
    return page.velocity_factor(position, velocity, dt) * dt


def too_small(position, velocity, dt):
    return 1 / page.velocity_factor(position, velocity, dt)


def always_a_25th(position, velocity, dt):
    return page.velocity_factor(position, velocity, 0.04)


def without_sign(position, velocity, dt):
    return abs(page.velocity_factor(position, velocity, dt))


WRONG = {
    "sim-to-sim-consistent": [
        (no_step, "do not multiply"),
        (times_step, "divide by it"),
        (too_small, "by which they are too small"),
        (always_a_25th, "0.04 seconds"),
        (without_sign, "absolute values"),
    ],
}


def test_the_second_simulators_log_agrees_with_itself():
    log = s2s.deploy(
        lambda obs: np.clip(4 * obs[:, 4:6] - 4 * obs[:, 2:4], -1, 1), s2s.Table(np.zeros((1, 6)))
    )
    position, velocity = log["obs"][:, 0, 0].astype(float), 2 * log["obs"][:, 0, 2].astype(float)
    assert page.velocity_factor(position, velocity, 0.04) == pytest.approx(1, abs=0.02)
