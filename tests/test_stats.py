"""Statistics against closed forms."""

import itertools

import numpy as np
import pytest

from rlworkshop import stats


def test_iqm_drops_a_quarter_at_either_end():
    assert stats.iqm([100, 1, 2, 3, 4, 5, 6, -100]) == 3.5
    assert stats.iqm([7.0]) == 7.0 and type(stats.iqm([1, 2])) is float
    assert stats.iqm([0, 0, 9]) == 3.0  # fewer than four: floor(n / 4) = 0 go
    assert stats.iqm([[100, 1, 2, 3], [4, 5, 6, -100]]) == 3.5
    table = np.random.default_rng(0).normal(size=(9, 5))
    assert np.allclose(stats.iqm(table, axis=1), [stats.iqm(row) for row in table])
    assert np.allclose(stats.iqm(table, axis=0), [stats.iqm(column) for column in table.T])
    assert stats.iqm(np.arange(12) ** 2) == pytest.approx((9 + 16 + 25 + 36 + 49 + 64) / 6)


def test_iqm_of_a_normal_sample_is_its_centre():
    assert stats.iqm(np.random.default_rng(1).normal(3, 1, 40_000)) == pytest.approx(3, abs=0.03)


def test_bootstrap_interval_equals_the_exact_one_for_three_runs():
    # all 27 resamples of three scores have equal weight: the quantiles are known
    scores = np.array([0.0, 3.0, 9.0])
    exact = [np.mean(s) for s in itertools.product(scores, repeat=3)]
    found = stats.bootstrap_interval(scores, np.mean, confidence=0.8, reps=20_000)
    assert found == pytest.approx(np.quantile(exact, [0.1, 0.9]))


def test_bootstrap_interval_of_a_mean_has_the_width_of_the_normal_one():
    scores = np.random.default_rng(2).normal(5, 2, 400)
    low, high = stats.bootstrap_interval(scores, np.mean, reps=4000)
    assert (high - low) / 2 == pytest.approx(1.96 * scores.std() / 20, rel=0.06)
    assert (high + low) / 2 == pytest.approx(scores.mean(), abs=0.02)
    half = stats.bootstrap_interval(scores, np.mean, confidence=0.5, reps=4000)
    assert half - scores.mean() == pytest.approx(np.array([-1, 1]) * 0.674 * scores.std() / 20, rel=0.08)


def test_bootstrap_is_stratified_by_task():
    # tasks of very different scale, no spread within: resampling within tasks leaves nothing random
    scores = np.tile([0.0, 1000.0], (6, 1))
    assert stats.bootstrap_interval(scores, np.mean) == (500.0, 500.0)


def test_bootstrap_is_repeatable_and_follows_its_seed():
    scores = np.random.default_rng(3).normal(size=10)
    a, b, c = (stats.bootstrap_interval(scores, reps=100, seed=s) for s in (0, 0, 1))
    assert a == b == stats.bootstrap_interval(scores, reps=100) != c
    curves = np.random.default_rng(4).normal(size=(10, 2))
    x, y, z = (stats.bootstrap_band(curves, reps=100, **seed) for seed in ({}, {"seed": 0}, {"seed": 1}))
    assert np.array_equal(x, y) and not np.array_equal(y, z)


@pytest.mark.parametrize(
    ("confidence", "degrees", "t"),
    [
        (0.95, 1, 12.7062),
        (0.95, 2, 4.3027),
        (0.95, 4, 2.7764),
        (0.95, 29, 2.0452),
        (0.5, 4, 0.7407),
        (0.99, 9, 3.2498),
    ],
)
def test_quantiles_of_student_are_those_of_the_tables(confidence, degrees, t):
    assert stats.t_quantile(confidence, degrees) == pytest.approx(t, abs=1e-4)


def test_quantiles_of_one_degree_of_freedom_are_tangents():
    for confidence in (1e-6, 0.3, 0.5, 0.9):  # Cauchy's distribution
        t = stats.t_quantile(confidence, 1)
        assert t == pytest.approx(np.tan(np.pi / 2 * confidence), rel=1e-6)


def test_an_interval_of_two_runs_by_hand():
    t = stats.t_quantile(0.95, 1)
    assert stats.mean_band([[0, 5], [2, 5]]) == pytest.approx(np.array([[1 - t, 5], [1 + t, 5]]))


@pytest.mark.parametrize("n", [3, 5, 10])
def test_an_interval_of_a_mean_covers_what_it_says(n):
    ys = np.random.default_rng(0).normal(size=(n, 20_000))
    low, high = stats.mean_band(ys)
    assert ((low < 0) & (high > 0)).mean() == pytest.approx(0.95, abs=0.006)
    low, high = stats.mean_band(3 * ys + 7, confidence=0.5)
    assert ((low < 7) & (high > 7)).mean() == pytest.approx(0.5, abs=0.015)


def test_bootstrap_band_resamples_whole_curves():
    base = np.random.default_rng(4).normal(size=(5, 1))
    band = stats.bootstrap_band(base + np.arange(7.0), reps=500)
    assert band.shape == (2, 7)
    assert np.array_equal(band, stats.bootstrap_band((base + np.arange(7.0)).tolist(), reps=500))
    assert np.allclose(np.diff(band, axis=1), 1)  # the same resample at every point
    assert (band[0] < base.mean() + np.arange(7)).all() and (band[1] > base.mean() + np.arange(7)).all()


def test_bootstrap_band_is_the_exact_one_for_three_runs():
    curves = np.array([[0.0, 0.0], [3.0, 30.0], [9.0, 10.0]])
    found = stats.bootstrap_band(curves, np.mean, confidence=0.8, reps=20_000)
    exact = [curves[list(rows)].mean(axis=0) for rows in itertools.product(range(3), repeat=3)]
    assert found == pytest.approx(np.quantile(exact, [0.1, 0.9], axis=0))


def test_probability_of_improvement():
    assert stats.probability_of_improvement([2, 3], [0, 1]) == 1
    assert stats.probability_of_improvement([0, 1], [2, 3]) == 0
    assert stats.probability_of_improvement([1, 1], [1, 1]) == 0.5
    assert stats.probability_of_improvement([1, 2, 3], [2]) == 0.5
    assert stats.probability_of_improvement(np.uint8([0, 1]), np.uint8([2, 3])) == 0  # 0 - 2 is not 254
    assert stats.probability_of_improvement([3, 2], [1, 2, 4]) == pytest.approx((1 + 1 + 0 + 1 + 0.5 + 0) / 6)
    assert stats.probability_of_improvement([[1, 0], [1, 0]], [[0, 1]]) == 0.5


def test_on_grid():
    steps, returns = [10, 20, 30, 100], [1.0, 3.0, 5.0, 7.0]
    found = stats.on_grid(steps, returns, [5, 10, 25, 30, 60, 99, 100], window=15)
    expected = [np.nan, 1, 2, 4, 5, 5, 7]  # (10, 25] holds one episode: 20; (15, 30] two; (45, 60] none
    expected[2] = 3
    assert np.array_equal(found, expected, equal_nan=True)
    with np.errstate(all="raise"):  # before the first episode nothing is divided by nothing
        stats.on_grid(steps, returns, [5, 10], window=15)
    assert np.isnan(stats.on_grid([], [], [1, 2], 5)).all()
    assert stats.on_grid([10, 10], [1.0, 3.0], [10], 5).tolist() == [2]  # two that ended at once
    assert stats.on_grid([10], [7.0], [9, 10, 99], 0.5).tolist()[1:] == [7, 7]  # one alone


def test_on_grid_puts_a_known_curve_where_it_belongs():
    steps = np.arange(1, 1001)
    found = stats.on_grid(steps, steps * 2.0, np.array([100, 500, 1000]), window=10)
    assert found.tolist() == [2 * 95.5, 2 * 495.5, 2 * 995.5]


@pytest.mark.parametrize(
    "call",
    [
        lambda: stats.iqm([]),
        lambda: stats.bootstrap_interval([]),
        lambda: stats.mean_band([[1.0, 2.0]]),
        lambda: stats.mean_band(np.zeros((3, 2)), confidence=1.0),
        lambda: stats.bootstrap_interval(np.zeros((2, 2, 2))),
        lambda: stats.bootstrap_interval([1, 2], confidence=95),
        lambda: stats.probability_of_improvement([[1, 2]], [1]),
        lambda: stats.probability_of_improvement(np.zeros((2, 2, 2)), np.zeros((2, 2, 2))),
        lambda: stats.on_grid([1, 3, 2], [0, 0, 0], [1], 5),
        lambda: stats.on_grid([1, 2], [0], [1], 5),
        lambda: stats.on_grid([1], [0], [1], 0),
    ],
)
def test_senseless_input_is_refused(call):
    with pytest.raises(ValueError):
        call()


@pytest.mark.parametrize("confidence", [-0.5, 0, 1, 1.5])
def test_a_confidence_lies_between_0_and_1(confidence):
    with pytest.raises(ValueError, match="a confidence lies between 0 and 1, not at"):
        stats.bootstrap_interval([1, 2], confidence=confidence)
