"""Plausible wrong answers to the exercises on function approximation, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest

from rlworkshop.exercises.foundations import function_approximation as exercises
from rlworkshop.foundations import function_approximation as fa

# ---- tiles


def _tiles(
    shift=lambda i, n: i / n, numbers=lambda tiles: tiles + 1, to_whole=np.floor, last=False, origin=True
):
    """The solution with a part exchanged."""

    def active_tiles(points, low, high, tiles, tilings):
        i = np.arange(tilings)
        at = (points - low * origin) / (high - low) * tiles
        cells = to_whole(at[:, None] + shift(i, tilings)).astype(int)
        if last:
            cells = np.minimum(cells, tiles - 1)
        return cells + i * numbers(tiles)

    return active_tiles


# ---- LSTD


def residual(x, rewards, x_next, terminated, gamma):
    change = x - gamma * np.where(terminated[:, None], 0.0, x_next)
    return np.linalg.lstsq(change, rewards)[0]


def fit_of_rewards(x, rewards, x_next, terminated, gamma):
    return np.linalg.lstsq(x, rewards)[0]


def transposed(x, rewards, x_next, terminated, gamma):
    change = x - gamma * np.where(terminated[:, None], 0.0, x_next)
    return np.linalg.solve(change.T @ x, x.T @ rewards)


def beyond_the_end(x, rewards, x_next, terminated, gamma):
    return exercises.lstd(x, rewards, x_next, np.zeros_like(terminated), gamma)


def ends_left_out(x, rewards, x_next, terminated, gamma):
    kept = ~terminated
    return exercises.lstd(x[kept], rewards[kept], x_next[kept], terminated[kept], gamma)


def times_zero(x, rewards, x_next, terminated, gamma):
    following = x_next * ~terminated[:, None]
    return np.linalg.solve(x.T @ (x - gamma * following), x.T @ rewards)


WRONG = {
    "function-approximation-tiles": [
        (_tiles(to_whole=np.round), "rounded to the nearest tile"),
        (_tiles(origin=False), "`low` is not taken off"),
        (_tiles(numbers=lambda tiles: tiles), "far apart learn as one"),
        (_tiles(numbers=lambda tiles: 0), "all tilings use the same numbers"),
        (_tiles(last=True), "the right end is moved"),
        (_tiles(shift=lambda i, n: 0.0 * i + (i > 0) * 1e-9), "lie on top of each other"),
    ],
    "function-approximation-lstd": [
        (residual, "the residual gradient's answer"),
        (fit_of_rewards, "the next state is missing"),
        (transposed, "A is transposed"),
        (beyond_the_end, "an end is taken for a step like any other"),
        (ends_left_out, "are left out"),
        (times_zero, "NaN behind an end gets into the weights"),
    ],
}


@pytest.mark.parametrize("shift", range(3))
def test_tiles_on_a_line_are_those_of_the_chapter(shift):
    points = np.random.default_rng(shift).uniform(-1, 2, size=200)
    coder = fa.TileCoder((-1.0,), (2.0,), tiles=5, tilings=3)
    assert np.array_equal(exercises.active_tiles(points, -1.0, 2.0, 5, 3), coder(points[:, None]))


def test_lstd_on_all_transitions_is_the_fixed_point():
    mdp = fa.random_walk(20, 5)
    task = fa.on_policy(mdp, np.ones((22, 1)), fa.aggregation(20, 4), 0.9)
    states, rewards, following = fa.stream(mdp, 20_000, range(10))
    seen = np.vstack([np.zeros(4), task.X, np.zeros(4)])
    over = mdp.terminal[following].ravel()
    w = exercises.lstd(seen[states.ravel()], rewards.ravel(), seen[following.ravel()], over, 0.9)
    assert np.allclose(w, fa.td_fixed_point(task), atol=0.03)
