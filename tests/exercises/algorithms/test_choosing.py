"""Plausible wrong answers to the exercises on choosing an algorithm, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest

from rlworkshop import stats
from rlworkshop.algorithms import choosing as chapter
from rlworkshop.exercises.algorithms import choosing

# ---- give_up_at


def _costs(steps, limits):
    made = steps[:, None] <= limits
    return made, np.where(made, steps[:, None], limits).mean(axis=0)


def _first(limits, cost):
    return float(limits[np.argmin(cost)]), float(np.min(cost))


def failures_for_nothing(steps, limits):
    made, _ = _costs(steps, limits)
    with np.errstate(all="ignore"):
        return _first(limits, np.nan_to_num(np.where(made, steps[:, None], 0).sum(axis=0) / made.sum(axis=0)))


def of_one_run(steps, limits):
    return _first(limits, _costs(steps, limits)[1])


def the_longest(steps, limits):
    made, spent = _costs(steps, limits)
    return float(limits[-1]), float((spent / made.mean(axis=0))[-1])


def never_made_is_free(steps, limits):
    made, spent = _costs(steps, limits)
    with np.errstate(all="ignore"):
        return _first(limits, np.where(made.any(axis=0), spent / made.mean(axis=0), 0))


def only_below(steps, limits):
    made = steps[:, None] < limits
    spent = np.where(made, steps[:, None], limits).mean(axis=0)
    with np.errstate(all="ignore"):
        return _first(limits, spent / made.mean(axis=0))


def first_valley(steps, limits):
    made, spent = _costs(steps, limits)
    with np.errstate(all="ignore"):
        cost = spent / made.mean(axis=0)
    rises = np.append(np.diff(cost) > 0, True)
    return float(limits[rises.argmax()]), float(cost[rises.argmax()])


# ---- ahead


def swapped(x, y):
    return choosing.ahead(y, x)


def area(x, y):
    return float(np.trapezoid(x - y, np.linspace(0, 1, len(x))))


def share_of_thresholds(x, y):
    apart = x != y
    return float((x > y)[apart].mean()) if apart.any() else 0.5


def without_ties(x, y):
    return float(((x[:-1] - x[1:]) * (1 - y[:-1])).sum())


def ties_won(x, y):
    return float(((x[:-1] - x[1:]) * (1 - y[1:])).sum())


def rounded(x, y):
    return round(choosing.ahead(x, y) * 8) / 8


WRONG = {
    "choosing-give-up": [
        (failures_for_nothing, "have cost nothing"),
        (of_one_run, "mean cost of one run"),
        (the_longest, "waits for the slowest"),
        (never_made_is_free, "no run makes"),
        (only_below, "The expected steps with it"),
        (first_valley, "only 91"),
    ],
    "choosing-ahead": [
        (swapped, "the other way round"),
        (area, "how much x is better"),
        (share_of_thresholds, "share of thresholds"),
        (without_ties, "ties are left out"),
        (ties_won, "ties are won"),
        (rounded, "pairs that x wins"),
    ],
}


@pytest.mark.parametrize("seed", range(3))
def test_with_one_limit_it_is_the_chapters_own_formula(seed):
    rng = np.random.default_rng(seed)
    steps = rng.uniform(10, 100, 20)
    steps[rng.random(20) < 0.3] = np.nan
    limit, cost = choosing.give_up_at(steps, np.array([100.0]))
    assert limit == 100 and cost == pytest.approx(chapter.expected_steps(steps, 100))


def test_on_fine_thresholds_it_is_the_probability_of_improvement():
    rng = np.random.default_rng(0)
    x, y = rng.random(10), rng.random(7)
    thresholds = np.linspace(-0.01, 1, 20_001)
    profiles = ((runs[:, None] > thresholds).mean(axis=0) for runs in (x, y))
    assert choosing.ahead(*profiles) == pytest.approx(stats.probability_of_improvement(x, y))
