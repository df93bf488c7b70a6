"""Plausible wrong answers to the exercises on what a robot changes, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np

from rlworkshop.exercises.robotics import robots_as_rl as page
from rlworkshop.robotics import robots_as_rl as robots

# ---- velocity


def only_radians(counts, per_turn, dt):
    return page.velocity(counts, per_turn, dt) * dt


def degrees(counts, per_turn, dt):
    return np.degrees(page.velocity(counts, per_turn, dt))


def no_wrap(counts, per_turn, dt):
    return 2 * np.pi * np.diff(counts) / per_turn / dt


def forward_only(counts, per_turn, dt):
    return 2 * np.pi * (np.diff(counts) % per_turn) / per_turn / dt


# ---- limit


def no_dt(wanted, last, fastest, dt):
    return page.limit(wanted, last, fastest, 1.0)


def change(wanted, last, fastest, dt):
    return page.limit(wanted, last, fastest, dt) - last


def all_alike(wanted, last, fastest, dt):
    return last + (wanted - last) * min(1.0, fastest * dt / np.abs(wanted - last).max())


def length(wanted, last, fastest, dt):
    far = np.linalg.norm(wanted - last)
    return last + (wanted - last) * min(1.0, fastest * dt / far)


def clipped(wanted, last, fastest, dt):
    if np.abs(wanted - last).max() <= fastest * dt:
        return wanted
    return np.clip(wanted, -fastest * dt, fastest * dt)


WRONG = {
    "robots-as-rl-velocity": [
        (only_radians, "divide by dt"),
        (degrees, "degrees a second"),
        (no_wrap, "nearly a whole turn back"),
        (forward_only, "change is taken for one forward"),
    ],
    "robots-as-rl-limit": [
        (no_dt, "multiply it by dt"),
        (change, "this is the change"),
        (clipped, "clip its change"),
        (all_alike, "slowed down by the one"),
        (length, "length of the change"),
    ],
}


def test_with_the_limit_random_positions_leave_an_arm_as_calm_as_increments():
    speed = {}
    for limited in (False, True):
        arm, rng, peak = robots.Arm("position"), np.random.default_rng(0), 0.0
        arm.reset(seed=0)
        for _ in range(100):
            wanted = rng.uniform(-2.5, 2.5, 2)
            if limited:
                wanted = page.limit(wanted, arm.data.ctrl.copy(), 1.0, 0.04)
            peak = max(peak, arm.step(wanted / 2.5)[4]["speed"].max())
        speed[limited] = peak
    assert speed[True] < 3 < 10 < speed[False]
