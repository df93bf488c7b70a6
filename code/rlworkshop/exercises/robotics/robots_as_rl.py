"""Exercises of the chapter on what a robot changes.

Book: robotics/robots_as_rl
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "robotics/robots_as_rl"
ANATOMY = "A robot taken apart: joints, motors, contacts"
EXPLORATION = "Exploration, and what it does to an arm"


# ------------------------------------------------------------------------------------------ velocity


def velocity(counts: np.ndarray, per_turn: int, dt: float) -> np.ndarray:
    """Velocities (T,) in radians a second, between readings of an encoder.

    counts (T+1,): whole numbers from 0 to per_turn - 1, after which comes 0 again.
    dt: seconds from one reading to the next, in which a joint makes less than half a turn.

    Book: robotics/robots_as_rl
    """
    # solution
    moved = np.diff(counts)  # (T,)
    # less than half a turn either way: a larger change has gone through 0
    moved = (moved + per_turn // 2) % per_turn - per_turn // 2
    return 2 * np.pi * moved / per_turn / dt
    # end


VELOCITY = Exercise("robots-as-rl-velocity", "Implement: velocities from an encoder", PAGE, ANATOMY, velocity)


@VELOCITY.probe(
    "a joint that turns evenly has one velocity",
    "How many radians is one count? A turn has per_turn counts.",
    "A velocity is the change of an angle divided by the time from one reading to the next.",
)
def _even(answer: Callable) -> None:
    right = np.full(3, 2 * np.pi * 50 / 4096 / 0.02)
    got = answer(np.array([100, 150, 200, 250]), 4096, 0.02)
    expect(got, right, "Counts 100, 150, 200, 250 of 4096, read every 0.02 seconds", {
        "these are radians, not radians a second: divide by dt": right * 0.02,
        "these are degrees a second: a turn has 2 pi radians": right * 180 / np.pi,
        "these are turns a second: a turn has 2 pi radians": right / (2 * np.pi),
        "the sign is wrong: counts that grow are a positive velocity": -right,
    })  # fmt: skip


@VELOCITY.probe(
    "going forward through the end of a turn is going forward",
    "From 4090 to 6 is 12 counts forward, not 4084 back.",
    "In dt seconds a joint makes less than half a turn, so a larger change is one through 0.",
)
def _forward(answer: Callable) -> None:
    got = answer(np.array([4090, 6, 20]), 4096, 0.01)
    per = 2 * np.pi / 4096 / 0.01
    expect(got, np.array([12, 14]) * per, "Counts 4090, 6, 20 of 4096, read every 0.01 seconds", {
        "the step from 4090 to 6 is taken for nearly a whole turn back": np.array([-4084, 14]) * per,
    })  # fmt: skip


@VELOCITY.probe(
    "and so it is backwards",
    "From 6 to 4090 is 12 counts back, so the velocity is negative.",
)
def _backward(answer: Callable) -> None:
    got = answer(np.array([6, 4090, 4000]), 4096, 0.01)
    per = 2 * np.pi / 4096 / 0.01
    expect(got, np.array([-12, -90]) * per, "Counts 6, 4090, 4000 of 4096, read every 0.01 seconds", {
        "the step from 6 to 4090 is taken for nearly a whole turn forward": np.array([4084, -90]) * per,
        "every change is taken for one forward": np.array([4084, 4006]) * per,
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ limit


def limit(wanted: np.ndarray, last: np.ndarray, fastest: float, dt: float) -> np.ndarray:
    """The set point (K,) that is sent to the servos: as near to ``wanted`` as it may be.

    wanted (K,): the set point that a policy asks for, in radians.
    last (K,): the one that was sent before. dt: seconds between the two.
    fastest: radians a second that each joint may turn.

    Book: robotics/robots_as_rl
    """
    # solution
    step = fastest * dt
    return last + np.clip(wanted - last, -step, step)
    # end


LIMIT = Exercise(
    "robots-as-rl-limit", "Implement: a limit on the speed of set points", PAGE, EXPLORATION, limit
)


@LIMIT.probe("what is near enough is sent as it is", "Is the wish within reach of the last set point?")
def _near(answer: Callable) -> None:
    got = answer(np.array([0.52, -0.31]), np.array([0.5, -0.3]), 1.0, 0.04)
    expect(got, np.array([0.52, -0.31]), "0.02 and 0.01 radians away, where 0.04 are allowed", {
        "this is the change, not the set point": np.array([0.02, -0.01]),
    })  # fmt: skip


@LIMIT.probe(
    "a jump becomes a step in its direction",
    "In dt seconds a joint that may turn `fastest` radians a second gets fastest * dt radians far.",
    "np.clip the change, not the set point itself.",
)
def _far(answer: Callable) -> None:
    got = answer(np.array([0.1]), np.array([0.5]), 1.0, 0.04)
    expect(got, np.array([0.46]), "From 0.5 to 0.1 radians, where 0.04 are allowed", {
        "the limit is a velocity: multiply it by dt": np.array([0.1]),
        "the set point is clipped: clip its change": np.array([0.04]),
        "this is the change, not the set point": np.array([-0.04]),
        "the change is cut off altogether: nothing moves": np.array([0.5]),
    })  # fmt: skip


@LIMIT.probe(
    "each joint has the limit to itself",
    "One joint that wants to go far should not slow down another that does not.",
)
def _each(answer: Callable) -> None:
    got, wanted = answer(np.array([0.1, 0.06]), np.zeros(2), 2.0, 0.04), np.array([0.1, 0.06])
    scaled, length = wanted * 0.08 / 0.1, wanted * 0.08 / np.hypot(0.1, 0.06)
    expect(got, np.array([0.08, 0.06]), "One joint far from its wish, one near", {
        "all joints are slowed down by the one that is furthest": scaled,
        "the length of the change is limited, not that of each joint": length,
    })  # fmt: skip
