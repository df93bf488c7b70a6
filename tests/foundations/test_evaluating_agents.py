"""Comparisons of runs against closed forms, enumeration and simulations whose truth is known."""

import itertools
from math import comb

import numpy as np
import pytest

from rlworkshop import stats
from rlworkshop.foundations import evaluating_agents as ev


@pytest.mark.parametrize("runs", [2, 4, 6, 10])
def test_every_split_comes_once(runs):
    chosen = ev.halves(runs)
    assert chosen.shape == (comb(runs, runs // 2) // 2, runs)
    assert (chosen.sum(axis=1) == runs // 2).all()
    both = np.concatenate([chosen, ~chosen])
    assert len(np.unique(both, axis=0)) == comb(runs, runs // 2)


@pytest.mark.parametrize("runs", [0, 1, 5])
def test_only_an_even_number_of_runs_is_split(runs):
    with pytest.raises(ValueError, match="an even number of runs"):
        ev.halves(runs)


def test_standard_error_by_hand():
    assert ev.standard_errors(np.array([1.0, 2.0, 3.0])) == pytest.approx(1 / 3**0.5)
    assert ev.standard_errors(np.array([[0.0, 2.0], [5.0, 5.0]])) == pytest.approx([1.0, 0.0])


def test_bands_apart_by_hand():
    x, y = np.array([0.0, 2.0]), np.array([3.0, 5.0])  # means 1 and 4, standard errors 1 and 1
    assert ev.bands_apart(x, y) and ev.bands_apart(y, x)
    assert ev.bands_apart(x, y, 1.49) and not ev.bands_apart(x, y, 1.51)
    assert ev.bands_apart(np.array([x, x]), np.array([y, x])).tolist() == [True, False]


def test_bands_of_the_same_agent_part_as_often_as_for_normal_values():
    x, y = np.random.default_rng(0).normal(size=(2, 20_000, 60))
    assert ev.bands_apart(x, y).mean() == pytest.approx(0.159, abs=0.012)  # P(|Z| > √2), a little more by t
    assert ev.bands_apart(x, y, 1.96).mean() == pytest.approx(0.0056, abs=0.003)  # P(|Z| > 2.77)


@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_quantiles_of_the_table_are_those_of_student(confidence):
    degrees = np.array([1.0, 1.3, 2.0, 2.7, 4.0, 7.3, 18.0, 100.0])
    exact = [stats.t_quantile(confidence, nu) for nu in degrees]
    assert ev.t_quantiles(confidence, degrees) == pytest.approx(exact, rel=3e-3)


@pytest.mark.parametrize("m", [15, 6])
def test_welch_by_the_textbook_formula(m):
    x = np.array([27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4])
    y = np.array([27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5, 24.4])[
        :m
    ]
    low, high = ev.welch_interval(x, y)
    a, b = x.var(ddof=1) / 15, y.var(ddof=1) / m
    degrees = (a + b) ** 2 / (a**2 / 14 + b**2 / (m - 1))
    half = stats.t_quantile(0.95, degrees) * (a + b) ** 0.5
    assert (low + high) / 2 == pytest.approx(x.mean() - y.mean())
    assert (high - low) / 2 == pytest.approx(half, rel=3e-3)
    if m == 15:  # a known pair of samples: t = -2.46 with 25.0 degrees of freedom
        t = (x.mean() - y.mean()) / (a + b) ** 0.5
        assert (t, degrees) == (pytest.approx(-2.46, abs=0.01), pytest.approx(25.0, abs=0.1))
        assert ev.differs(x, y) and not ev.differs(x, y, 0.99)


def test_degrees_of_freedom_lie_between_those_of_the_smaller_group_and_of_both():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(500, 4)), 3 * rng.normal(size=(500, 9))
    half = np.diff(ev.welch_interval(x, y), axis=0)[0] / 2
    error = np.sqrt(ev.standard_errors(x) ** 2 + ev.standard_errors(y) ** 2)
    ratio = half / error
    assert (ratio <= stats.t_quantile(0.95, 3) * 1.003).all()
    assert (ratio >= stats.t_quantile(0.95, 11) * 0.997).all()


@pytest.mark.parametrize(("n", "m", "scale"), [(5, 5, 1.0), (10, 10, 1.0), (4, 12, 3.0), (12, 4, 3.0)])
def test_welch_covers_what_it_says_for_unequal_groups(n, m, scale):
    rng = np.random.default_rng(2)
    x, y = 2 + scale * rng.normal(size=(20_000, n)), rng.normal(size=(20_000, m))
    assert ev.covered(ev.welch_interval(x, y), 2.0) == pytest.approx(0.95, abs=0.012)


def test_groups_without_spread_differ_if_their_means_do():
    x, y = np.full((2, 3), 5.0), np.array([[5.0, 5.0, 5.0], [4.0, 4.0, 4.0]])
    with np.errstate(all="raise"):
        assert ev.differs(x, y).tolist() == [False, True]
        assert ev.welch_interval(x, y).tolist() == [[0.0, 1.0], [0.0, 1.0]]


def test_the_test_is_symmetric_and_follows_shift_and_scale():
    x, y = np.random.default_rng(3).normal(size=(2, 50, 5))
    low, high = ev.welch_interval(x, y)
    assert np.allclose(ev.welch_interval(y, x), [-high, -low])
    assert np.allclose(ev.welch_interval(3 * x + 1, 3 * y), 3 * np.array([low, high]) + 1)


def test_any_look_is_the_first_or_a_later_one():
    x, y = np.random.default_rng(4).normal(size=(2, 300, 8))
    by_hand = [any(bool(ev.differs(a[:n], b[:n])) for n in range(3, 9)) for a, b in zip(x, y, strict=True)]
    found = ev.differs_at_any_look(x, y, first=3)
    assert found.tolist() == by_hand
    assert found.sum() > ev.differs(x, y).sum()
    assert np.array_equal(ev.differs_at_any_look(x, y, first=8), ev.differs(x, y))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_best_of_k_is_that_of_all_draws_listed(k):
    scores = np.array([3.0, -1.0, 3.0, 10.0])
    listed = np.mean([max(draw) for draw in itertools.product(scores, repeat=k)])
    assert ev.expected_best(scores, k) == pytest.approx(listed)


def test_best_of_k_grows_from_the_mean_to_the_maximum():
    scores = np.random.default_rng(5).normal(size=10)
    best = [ev.expected_best(scores, k) for k in (1, 2, 5, 10, 500)]
    assert best[0] == pytest.approx(scores.mean()) and best[-1] == pytest.approx(scores.max())
    assert (np.diff(best) > 0).all()


def test_percentile_intervals_are_those_of_stats():
    samples = np.random.default_rng(6).normal(size=(4, 6))
    low, high = ev.percentile_intervals(samples, 20_000, np.random.default_rng(0), confidence=0.8)
    for row, *found in zip(samples, low, high, strict=True):
        assert found == pytest.approx(stats.bootstrap_interval(row, np.mean, 0.8, reps=8_000), abs=0.03)


def test_percentile_intervals_of_three_runs_are_exact():
    exact = [np.mean(s) for s in itertools.product([0.0, 3.0, 9.0], repeat=3)]
    found = ev.percentile_intervals(np.array([[0.0, 3.0, 9.0]]), 20_000, np.random.default_rng(0), 0.8)
    assert found[:, 0] == pytest.approx(np.quantile(exact, [0.1, 0.9]))


def test_resamples_stay_within_their_task():
    scores = np.array([[1.0, 100.0], [2.0, 200.0], [3.0, 300.0]])
    drawn = ev.resampled(scores, 2_000, np.random.default_rng(0))
    assert drawn.shape == (2_000, 3, 2)
    assert set(np.unique(drawn[..., 0])) == {1, 2, 3} and set(np.unique(drawn[..., 1])) == {100, 200, 300}
    assert abs(np.corrcoef(drawn[:, 0, 0], drawn[:, 0, 1])[0, 1]) < 0.08  # tasks are drawn on their own
    assert drawn.mean(axis=(0, 1)) == pytest.approx([2, 200], rel=0.03)


def test_comparison_interval_of_means_has_the_width_of_the_normal_one():
    rng = np.random.default_rng(7)
    x, y = 1 + rng.normal(size=(200, 3)), rng.normal(size=(300, 3))
    low, high = ev.comparison_interval(x, y, lambda a, b: a.mean() - b.mean(), 2_000, rng)
    assert (high - low) / 2 == pytest.approx(1.96 * (1 / 600 + 1 / 900) ** 0.5, rel=0.08)
    assert (high + low) / 2 == pytest.approx(x.mean() - y.mean(), abs=0.01)
    one, other = np.full((3, 2), 2.0), np.full((3, 2), 1.0)
    assert ev.comparison_interval(one, other, stats.probability_of_improvement, 50, rng) == (1.0, 1.0)
    half = ev.comparison_interval(x, y, lambda a, b: a.mean() - b.mean(), 2_000, rng, confidence=0.5)
    assert half[1] - half[0] < 0.5 * (high - low)


def test_covered_counts_ends_as_inside():
    assert ev.covered(np.array([[0.0, 1.0, 2.0, -3.0], [1.0, 2.0, 3.0, 0.9]]), 1.0) == 0.5


def test_a_profile_by_hand():
    scores = np.array([[0.2, 0.9], [0.4, 0.5]])
    assert ev.performance_profile(scores, np.array([0.0, 0.2, 0.45, 0.9])).tolist() == [1, 0.75, 0.5, 0]
    stacked = ev.performance_profile(np.array([scores, scores + 1]), np.array([0.45, 1.45]))
    assert stacked.tolist() == [[0.5, 0], [1, 0.5]]


def test_the_area_under_a_profile_is_the_mean():
    scores = np.random.default_rng(8).uniform(size=(7, 3))
    grid = (np.arange(20_000) + 0.5) / 20_000
    assert ev.performance_profile(scores, grid).mean() == pytest.approx(scores.mean(), abs=1e-4)


def test_simulated_comparisons_have_the_size_of_the_test_and_its_power():
    difference, claimed = ev.compared(0.0, 10, 20_000, np.random.default_rng(9))
    assert claimed.mean() == pytest.approx(0.05, abs=0.006)
    assert difference.std() == pytest.approx((2 / 10) ** 0.5, rel=0.03)
    difference, claimed = ev.compared(1.0, 17, 20_000, np.random.default_rng(9))
    assert claimed.mean() == pytest.approx(0.807, abs=0.012)  # tables: 17 a side have 80.7 %
    assert difference.mean() == pytest.approx(1.0, abs=0.01)


def test_seeds_needed_are_those_of_the_normal_distribution():
    assert [ev.seeds_needed(d) for d in (2, 1, 0.5, 0.2)] == [4, 16, 63, 393]
    assert ev.seeds_needed(0.5, power=0.9) == 85 and ev.seeds_needed(0.5, confidence=0.99) == 94
    assert ev.seeds_needed(0.25) in range(4 * ev.seeds_needed(0.5) - 4, 4 * ev.seeds_needed(0.5) + 1)
    with pytest.raises(ValueError, match="no number of runs"):
        ev.seeds_needed(0)


@pytest.mark.parametrize("runs", [1, 10, 59])
def test_a_clean_sheet_at_the_bound_is_as_likely_as_allowed(runs):
    assert (1 - ev.failure_rate_bound(runs)) ** runs == pytest.approx(0.05)
    assert (1 - ev.failure_rate_bound(runs, 0.9)) ** runs == pytest.approx(0.1)


def test_the_bound_is_about_three_over_n():
    assert ev.failure_rate_bound(300) == pytest.approx(3 / 300, rel=0.01)


def test_variance_components_are_found_again_without_bias():
    rng = np.random.default_rng(10)
    returns = ev.evaluated(4.0, 9.0, (4_000, 5, 6), rng)
    found = np.array([ev.variance_components(one) for one in returns])
    assert found.mean(axis=0) == pytest.approx([4.0, 9.0], rel=0.04)
    none = np.array([ev.variance_components(one) for one in ev.evaluated(0.0, 9.0, (4_000, 5, 6), rng)])
    assert none.mean(axis=0)[0] == pytest.approx(0, abs=0.05) and (none[:, 0] < 0).any()


@pytest.mark.parametrize(("S", "E"), [(3, 50), (8, 2)])
def test_variance_of_the_mean_is_that_of_simulated_ones(S, E):
    means = ev.evaluated(4.0, 9.0, (20_000, S, E), np.random.default_rng(11)).mean(axis=(1, 2))
    assert means.var() == pytest.approx(ev.variance_of_mean(4.0, 9.0, S, E), rel=0.04)
