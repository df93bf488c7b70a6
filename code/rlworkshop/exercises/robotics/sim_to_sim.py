"""Exercises of the chapter on deployment.

Book: robotics/sim_to_sim
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "robotics/sim_to_sim"
LIMITS = "Limits"


def velocity_factor(position: np.ndarray, velocity: np.ndarray, dt: float) -> float:
    """By which factor logged velocities are too large, judged by the positions.

    position, velocity (T,): at the same times, dt seconds apart. The mean of two neighbouring
    velocities is what the position changes by between them.

    Book: robotics/sim_to_sim
    """
    # solution
    moved = np.diff(position) / dt  # (T-1,)
    said = (velocity[1:] + velocity[:-1]) / 2  # (T-1,)
    return float((said * moved).sum() / (moved**2).sum())
    # end


FACTOR = Exercise(
    "sim-to-sim-consistent", "Diagnose: do velocities and positions agree?", PAGE, LIMITS, velocity_factor
)


def _log(factor: float, dt: float, off: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Positions and velocities of a puck that turns round twice, the velocities times a factor."""
    velocity = np.cos(np.arange(12) * 0.7) + 0.3
    moved = (velocity[1:] + velocity[:-1]) / 2 * dt
    return off + np.concatenate([[0.0], np.cumsum(moved)]), factor * velocity


@FACTOR.probe(
    "velocities that are right have the factor 1",
    "What does the position change by from one row to the next? What do the velocities say that it should?",
    "np.diff(position) / dt is the one, the mean of neighbours the other: fit said = factor * moved.",
)
def _right(answer: Callable) -> None:
    expect(answer(*_log(1.0, 0.04), 0.04), 1.0, "A log whose velocities are right", {
        "positions change by velocity times dt: divide by it": 0.04,
        "positions change by velocity times dt: divide by it, do not multiply": 25.0,
    })  # fmt: skip


@FACTOR.probe(
    "velocities that are 2.13 times too large have that factor",
    "Too large means that the velocities are divided by the movement, not the other way round.",
)
def _double(answer: Callable) -> None:
    got = answer(*_log(2.13, 0.1, 5.0), 0.1)
    expect(got, 2.13, "A log whose velocities are 2.13 times too large, steps of 0.1 seconds", {
        "this is the factor by which they are too small": 1 / 2.13,
        "the step is taken for 0.04 seconds": 0.852,
    })  # fmt: skip


@FACTOR.probe(
    "a sign that is wrong shows",
    "A puck that moves backwards has negative velocities, and a camera that hangs upside down turns them.",
)
def _sign(answer: Callable) -> None:
    expect(answer(*_log(-1.0, 0.04), 0.04), -1.0, "A log whose velocities have the wrong sign", {
        "absolute values hide the sign": 1.0,
    })  # fmt: skip
