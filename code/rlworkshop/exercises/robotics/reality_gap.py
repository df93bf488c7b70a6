"""Exercises of the chapter on the reality gap and system identification.

Book: robotics/reality_gap
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "robotics/reality_gap"
IDENTIFY = "System identification: measure the robot"
LIMITS = "Limits"


# ------------------------------------------------------------------------------------------ fit


def fit(velocity: np.ndarray, push: np.ndarray, dt: float) -> np.ndarray:
    """Gain and damping (2,) of a cart with acceleration = gain * push - damping * velocity.

    velocity (T+1,): before the first push, and after each. push (T,). dt: seconds a step.

    Book: robotics/reality_gap
    """
    # solution
    acceleration = np.diff(velocity) / dt  # (T,)
    rows = np.stack([push, -velocity[:-1]], axis=1)  # (T, 2)
    return np.linalg.pinv(rows) @ acceleration
    # end


FIT = Exercise("reality-gap-fit", "Implement: gain and damping from a record", PAGE, IDENTIFY, fit)


def _record(gain: float, damping: float, dt: float, steps: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """What a cart does under pushes that look random: velocities (T+1,), pushes (T,)."""
    push, velocity = np.sin(np.arange(steps) ** 2), [0.3]
    for u in push:
        velocity.append(velocity[-1] + dt * (gain * u - damping * velocity[-1]))
    return np.array(velocity), push


def _after(velocity: np.ndarray, push: np.ndarray, dt: float) -> np.ndarray:
    """The fit with the velocity after each push instead of the one before."""
    rows = np.stack([push, -velocity[1:]], axis=1)
    return np.linalg.pinv(rows) @ (np.diff(velocity) / dt)


@FIT.probe(
    "gain and damping of a cart come out exactly",
    "Each step gives one equation: (v[t+1] - v[t]) / dt = g u[t] - c v[t]. Which numbers in it are known?",
    "Pushes and velocities are the two columns of a matrix: np.linalg.pinv or lstsq solves for both.",
)
def _exact(answer: Callable) -> None:
    velocity, push = _record(6.13, 2.07, 0.04)
    got, after = answer(velocity, push, 0.04), _after(velocity, push, 0.04)
    expect(got, np.array([6.13, 2.07]), "A cart with gain 6.13 and damping 2.07, 30 steps of 0.04 seconds", {
        "the damping has the wrong sign: it is taken off the acceleration": np.array([6.13, -2.07]),
        "these are changes of the velocity, not accelerations: divide by dt": np.array([6.13, 2.07]) * 0.04,
        "the friction of a step is that of the velocity before it, not after": after,
        "damping comes first here: the gain is asked for first": np.array([2.07, 6.13]),
    })  # fmt: skip


@FIT.probe("another cart, another clock", "Is dt the argument, or a number of your own?")
def _other(answer: Callable) -> None:
    got = answer(*_record(3.0, 0.5, 0.1), 0.1)
    expect(got, np.array([3.0, 0.5]), "A cart with gain 3 and damping 0.5, steps of 0.1 seconds", {
        "the step is taken for 0.04 seconds": np.array([7.5, 1.25]),
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ determined


def determined(rows: np.ndarray) -> int:
    """How many combinations of the unknowns a least-squares problem determines.

    rows (R, K): what each of the K unknowns is multiplied with in each of the R equations.

    Book: robotics/reality_gap
    """
    # solution
    singular = np.linalg.svd(rows, compute_uv=False)  # (K,), the largest first
    return int((singular > 1e-9 * singular[0]).sum())
    # end


DETERMINED = Exercise(
    "reality-gap-determined", "Diagnose: could this record have told?", PAGE, LIMITS, determined
)


@DETERMINED.probe(
    "a record with changing pushes determines everything",
    "How many columns are not combinations of others? Linear algebra has a word for it.",
)
def _all(answer: Callable) -> None:
    velocity, push = _record(6.0, 2.0, 0.04)
    got = answer(np.stack([push, -velocity[:-1], np.ones(30)], axis=1))
    expect(got, 3, "Thirty rows: push, velocity, and a constant pull", {
        "this counts rows: thirty equations do not have thirty unknowns": 30,
    })  # fmt: skip


@DETERMINED.probe(
    "a constant push looks like a constant pull",
    "With the same push in every step, its column is a multiple of the column of ones.",
    "Singular values that are 0, up to rounding, belong to what is not determined; matrix_rank counts them.",
)
def _constant(answer: Callable) -> None:
    push, velocity = np.full(30, 0.5), np.cumsum(0.9 ** np.arange(30))
    got = answer(np.stack([push, -velocity, np.ones(30)], axis=1))
    expect(got, 2, "Thirty rows with the same push of a half", {
        "this counts columns: a column may be a multiple of another": 3,
    })  # fmt: skip


@DETERMINED.probe(
    "a robot at rest tells nothing",
    "Rows of zeros, repeated, determine nothing.",
)
def _rest(answer: Callable) -> None:
    rows = np.stack([np.zeros(30), np.zeros(30), np.ones(30)], axis=1)
    got = answer(rows)
    expect(got, 1, "Thirty rows of a robot that is not pushed and does not move", {
        "this counts columns: a column of zeros says nothing of its unknown": 3,
    })  # fmt: skip
