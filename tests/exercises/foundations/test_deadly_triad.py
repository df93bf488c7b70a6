"""Plausible wrong answers to the exercises on the deadly triad, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest

from rlworkshop import check
from rlworkshop.exercises import find
from rlworkshop.exercises.foundations import deadly_triad as exercises
from rlworkshop.foundations import function_approximation as fa

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
    "deadly-triad-mend-batch": [
        (lost_steps, "moved once"),
        (_mended(lambda given: {"frozen": given["w"]}), "thaws the target"),
        (_mended(lambda given: {"terminated": np.zeros_like(given["terminated"])}), "beyond the end"),
        (one_after_the_other, "weights that the first has moved"),
        (mean_of_the_batch, "by the mean of the steps, and"),
    ],
    "deadly-triad-diverges": [
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
    exec(find("deadly-triad-mend-batch").stub, space)
    with pytest.raises(check.Wrong, match="all but the last of its steps are lost"):
        find("deadly-triad-mend-batch").check(space["batch_update"])


def test_the_verdicts_are_those_of_the_chapters_rate():
    for task in (fa.baird(), fa.baird(own=0.5), fa.baird(own=0.7), fa.baird(often=0.9), fa.baird(gamma=0.8)):
        assert exercises.diverges(task.P, task.X, task.d, task.gamma) == (fa.divergence(task) > 0)


def test_weights_of_whole_numbers_get_fractions():
    w, one = np.zeros((2, 2), int), np.ones(1, int)
    found = exercises.batch_update(w, w, one[:, None], one, one, one[:, None], one, 0.5, 0.9)
    assert found.tolist() == [[0, 0], [0, 0.5]]
