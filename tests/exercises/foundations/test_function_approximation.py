"""Plausible wrong answers to the exercises on function approximation, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest

from rlworkshop import check
from rlworkshop.exercises import find
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


# ---- the batch


def _mended(change):
    """The solution with its arguments changed first."""

    def batch_update(w, frozen, active, actions, rewards, next_active, terminated, alpha, gamma):
        given = dict(w=w, frozen=frozen, active=active, actions=actions, rewards=rewards,
                     next_active=next_active, terminated=terminated, alpha=alpha, gamma=gamma)  # fmt: skip
        return exercises.batch_update(**{**given, **change(given)})

    return batch_update


def lost_steps(w, frozen, active, actions, rewards, next_active, terminated, alpha, gamma):
    best = frozen[next_active].sum(axis=1).max(axis=1)
    delta = rewards + gamma * np.where(terminated, 0.0, best) - w[active, actions[:, None]].sum(axis=1)
    new = w.copy()
    new[active, actions[:, None]] += alpha * delta[:, None]
    return new


def one_after_the_other(w, frozen, active, actions, rewards, next_active, terminated, alpha, gamma):
    for n in range(len(actions)):
        i = slice(n, n + 1)
        one = active[i], actions[i], rewards[i], next_active[i], terminated[i]
        w = exercises.batch_update(w, frozen, *one, alpha, gamma)
    return w


def mean_of_the_batch(w, frozen, *batch):
    return w + (exercises.batch_update(w, frozen, *batch) - w) / len(batch[0])


# ---- the diagnosis


def _test(decide):
    def diverges(P, X, d, gamma):
        return bool(decide(P, X, d, gamma, X.T @ (d[:, None] * (X - gamma * P @ X))))

    return diverges


def largest(M):
    return np.abs(np.linalg.eigvals(M)).max()


def refit(P, X, d, gamma, A):
    root = np.sqrt(d)[:, None]
    round_trip = np.linalg.lstsq(root * X, root * (gamma * P @ X))[0]
    return largest(round_trip) > 1


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
    "function-approximation-mend-batch": [
        (lost_steps, "moved once"),
        (_mended(lambda given: {"frozen": given["w"]}), "thaws the target"),
        (_mended(lambda given: {"terminated": np.zeros_like(given["terminated"])}), "beyond the end"),
        (one_after_the_other, "weights that the first has moved"),
        (mean_of_the_batch, "by the mean of the steps, and"),
    ],
    "function-approximation-diverges": [
        (_test(lambda P, X, d, gamma, A: True), "accuses a table with a feature for each state"),
        (_test(lambda P, X, d, gamma, A: False), "lets pass the two states"),
        (_test(lambda P, X, d, gamma, A: gamma > 0.7 and X.shape[1] == 1), "accuses the two states"),
        (_test(refit), "TD is not refitting"),
        (_test(lambda P, X, d, gamma, A: np.linalg.eigvals(A).real.min() < 1e-9), "is no divergence"),
        (_test(lambda P, X, d, gamma, A: np.linalg.eigvalsh(A + A.T).min() < -1e-9), "A + Aᵀ"),
        (
            _test(lambda P, X, d, gamma, A: largest(np.eye(len(A)) - 1e-3 * A) > 1 + 1e-9),
            "a thousand times as long",
        ),
    ],
}  # fmt: skip


def test_the_stub_of_the_batch_runs_and_is_told_what_is_wrong():
    space: dict = {}
    exec(find("function-approximation-mend-batch").stub, space)
    with pytest.raises(check.Wrong, match="all but the last of its steps are lost"):
        find("function-approximation-mend-batch").check(space["batch_update"])


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


def test_the_verdicts_are_those_of_the_chapters_rate():
    for task in (fa.baird(), fa.baird(own=0.5), fa.baird(own=0.7), fa.baird(often=0.9), fa.baird(gamma=0.8)):
        assert exercises.diverges(task.P, task.X, task.d, task.gamma) == (fa.divergence(task) > 0)


def test_weights_of_whole_numbers_get_fractions():
    w, one = np.zeros((2, 2), int), np.ones(1, int)
    found = exercises.batch_update(w, w, one[:, None], one, one, one[:, None], one, 0.5, 0.9)
    assert found.tolist() == [[0, 0], [0, 0.5]]
