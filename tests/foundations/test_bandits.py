"""Bandit rules against closed forms, hand-worked numbers, and their own records replayed slowly."""

import math

import numpy as np
import pytest

from rlworkshop.foundations import bandits
from rlworkshop.foundations.policy_gradients import finite_difference, softmax_policy
from rlworkshop.rngs import Rngs

MANY = 4_000  # rows where something is counted


def share(happened, expected):
    """Whether the share of rows in which something ``happened`` is ``expected``, up to 5 standard errors."""
    noise = math.sqrt(expected * (1 - expected) / len(happened))
    return abs(np.mean(happened) - expected) <= 5 * noise + 1e-12


def rows(*values):
    return np.tile(np.array(values, float), (MANY, 1))


def greedy(Q, n, t, rngs):
    return bandits.epsilon_greedy(Q, 0.1, rngs)


# ---------------------------------------------------------------------------------------- what to try


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_epsilon_greedy_takes_the_best_and_any_other_equally_often(epsilon):
    taken = bandits.epsilon_greedy(rows(0, 2, 1, -1), epsilon, Rngs(range(MANY)))
    for arm, chance in enumerate([0, 1 - epsilon, 0, 0]):
        assert share(taken == arm, chance + epsilon / 4)


def test_epsilon_greedy_breaks_ties_by_chance_and_takes_an_epsilon_for_each_row():
    taken = bandits.epsilon_greedy(rows(1, 0, 1), 0.0, Rngs(range(MANY)))
    assert share(taken == 0, 0.5) and share(taken == 2, 0.5)
    half = np.repeat([0.0, 1.0], MANY // 2)
    taken = bandits.epsilon_greedy(rows(1, 0), half, Rngs(range(MANY)))
    assert (taken[: MANY // 2] == 0).all() and share(taken[MANY // 2 :], 0.5)


def test_ucb_is_worked_by_hand():
    """After e - 1 pulls the logarithm is 1: bounds are Q + c / √n, and arms 0 and 2 are level at c = 4/3."""
    t = math.e - 1
    Q, n, rngs = np.array([[1.0, 0.5, 0.0]]), np.array([[16.0, 4.0, 1.0]]), Rngs([0])
    for c, arm in ((0.0, 0), (1.3, 0), (1.4, 2)):
        assert bandits.ucb(Q, n, t, c, rngs)[0] == arm
    both = bandits.ucb(np.tile(Q, (2, 1)), np.tile(n, (2, 1)), t, np.array([0.9, 2.5]), Rngs([0, 1]))
    assert both.tolist() == [0, 2]
    # four times the logarithm is twice the width
    Q, n = np.array([[0.0, 1.0]]), np.array([[1.0, 1e12]])
    assert bandits.ucb(Q, n, math.exp(4) - 1, 0.51, rngs)[0] == 0
    assert bandits.ucb(Q, n, math.exp(4) - 1, 0.49, rngs)[0] == 1
    # a hundred times the pulls is a tenth of the width
    n = np.array([[100.0, 1e12]])
    assert bandits.ucb(Q, n, math.exp(1) - 1, 10.1, rngs)[0] == 0
    assert bandits.ucb(Q, n, math.exp(1) - 1, 9.9, rngs)[0] == 1


def test_ucb_tries_every_arm_before_it_compares_any():
    rngs = Rngs(range(50))
    history = bandits.play(bandits.testbed(rngs, 6), lambda Q, n, t, d: bandits.ucb(Q, n, t, 1.0, d), 6, rngs)
    assert np.array_equal(np.sort(history.actions, axis=0), np.tile(np.arange(6)[:, None], (1, 50)))
    assert len(np.unique(history.actions[0])) > 1, "and in no order of its own"


@pytest.mark.parametrize("prior_variance", [0.3, 1.0, 50.0])
def test_the_posterior_is_that_of_bayes_on_a_grid(prior_variance):
    rewards = np.array([0.3, 2.0, -0.4])
    x = np.linspace(-12, 12, 200_001)
    log_density = -(x**2) / (2 * prior_variance) - ((rewards[:, None] - x) ** 2).sum(axis=0) / 2
    density = np.exp(log_density - log_density.max())
    density /= density.sum()
    mean = (density * x).sum()
    std = math.sqrt((density * (x - mean) ** 2).sum())
    found = bandits.posterior(np.array([[rewards.mean()]]), np.array([[3.0]]), prior_variance)
    assert np.allclose(np.ravel(found), [mean, std], atol=1e-6)


def test_the_posterior_begins_as_the_prior_and_forgets_a_wide_one():
    mean, std = bandits.posterior(np.array([[9.0, 9.0]]), np.array([[0.0, 25.0]]), 1e9)
    assert mean[0, 0] == 0 and std[0, 0] == pytest.approx(math.sqrt(1e9))
    assert mean[0, 1] == pytest.approx(9) and std[0, 1] == pytest.approx(1 / 5)
    with pytest.raises(ValueError, match="prior variance is above 0"):
        bandits.posterior(np.zeros((1, 2)), np.zeros((1, 2)), 0.0)


@pytest.mark.parametrize("n", [(0.0, 0.0), (3.0, 8.0)])
def test_thompson_takes_an_arm_as_often_as_it_believes_that_it_is_best(n):
    Q, n = rows(0.0, 0.6), rows(*n)
    mean, std = bandits.posterior(Q, n)
    z = (mean[0, 0] - mean[0, 1]) / math.hypot(*std[0])
    chance = 0.5 * math.erfc(-z / math.sqrt(2))
    assert share(bandits.thompson(Q, n, Rngs(range(MANY))) == 0, chance)


def test_thompson_with_three_arms_rolls_a_die_for_each():
    """Three beliefs alike: each arm is best in a third of the worlds, whatever the others' draws."""
    taken = bandits.thompson(rows(0, 0, 0), rows(2, 2, 2), Rngs(range(MANY)))
    assert all(share(taken == arm, 1 / 3) for arm in range(3))


# ------------------------------------------------------------------------------------------- learning


def test_without_a_step_size_estimates_are_the_means_of_what_each_arm_paid():
    rng = np.random.default_rng(0)
    actions, rewards = rng.integers(3, size=(40, 5)), rng.normal(size=(40, 5))
    Q, n = np.full((5, 3), 7.0), np.zeros((5, 3))
    for a, r in zip(actions, rewards, strict=True):
        bandits.update_values(Q, n, a, r)
    for row in range(5):
        for arm in range(3):
            paid = rewards[actions[:, row] == arm, row]
            assert n[row, arm] == len(paid) and Q[row, arm] == pytest.approx(paid.mean())


def test_with_a_step_size_old_rewards_fade_geometrically():
    rewards, Q, n = np.array([4.0, -1.0, 2.0]), np.array([[10.0, 3.0]]), np.zeros((1, 2))
    for r in rewards:
        bandits.update_values(Q, n, np.array([0]), np.array([r]), 0.25)
    weights = 0.25 * 0.75 ** np.array([2, 1, 0])
    assert Q[0] == pytest.approx([10 * 0.75**3 + weights @ rewards, 3.0])
    assert n[0].tolist() == [3, 0]


@pytest.mark.parametrize("baseline", [0.0, 1.3, -20.0])
def test_the_gradient_bandits_step_is_on_average_the_exact_gradient_whatever_the_baseline(baseline):
    rng = np.random.default_rng(1)
    H, q, alpha = rng.normal(size=(1, 4)), rng.normal(size=4), 0.3
    pi = softmax_policy(H)[0]
    steps = [
        bandits.update_preferences(H, np.array([a]), q[a : a + 1], np.array([baseline]), alpha) - H
        for a in range(4)
    ]
    slope = finite_difference(lambda x: softmax_policy(x)[0] @ q, H, 1e-5)
    assert np.allclose(np.einsum("a,aij->ij", pi, np.array(steps)), alpha * slope, atol=1e-9)


def test_an_action_that_paid_more_than_expected_gets_likelier_at_the_cost_of_all_others():
    H = np.zeros((2, 4))
    better = bandits.update_preferences(
        H, np.array([1, 1]), np.array([3.0, 1.0]), np.full(2, 2.0), np.array([0.4, 0.8])
    )
    assert better[0] == pytest.approx(0.4 * np.array([-0.25, 0.75, -0.25, -0.25]))
    assert better[1] == pytest.approx(-2 * better[0])
    assert (H == 0).all(), "the old preferences are left alone"


# -------------------------------------------------------------------------------------------- playing


def test_the_testbed_is_standard_normal():
    means = bandits.testbed(Rngs(range(MANY)))
    assert means.shape == (MANY, 10)
    assert abs(means.mean()) < 5 / math.sqrt(means.size)
    assert abs(means.var() - 1) < 5 * math.sqrt(2 / means.size)


def test_a_history_is_what_happened():
    rngs = Rngs(range(60))
    means = bandits.testbed(rngs, 4)
    history = bandits.play(means, greedy, 80, rngs)
    assert history.actions.shape == history.rewards.shape == history.gaps.shape == (80, 60)
    for row in range(60):
        a = history.actions[:, row]
        assert np.allclose(history.gaps[:, row], means[row].max() - means[row, a])
        assert np.array_equal(history.optimal[:, row], a == means[row].argmax())
        assert np.allclose(history.regret[:, row], np.cumsum(history.gaps[:, row]))
        assert np.array_equal(history.n[row], np.bincount(a, minlength=4))
        for arm in np.unique(a):
            assert history.Q[row, arm] == pytest.approx(history.rewards[a == arm, row].mean())
    noise = history.rewards - means[np.arange(60), history.actions]
    assert abs(noise.mean()) < 5 / math.sqrt(noise.size)
    assert abs(noise.var() - 1) < 5 * math.sqrt(2 / noise.size)


def test_choose_is_told_the_pulls_so_far():
    def choose(Q, n, t, rngs):
        assert (n.sum(axis=1) == t).all()
        return rngs.integers(3)

    bandits.play(np.zeros((5, 3)), choose, 7, Rngs(range(5)))


@pytest.mark.parametrize("learner", ["values", "gradient"])
def test_a_learner_does_not_notice_the_others(learner):
    def run(seeds):
        rngs = Rngs(seeds)
        means = bandits.testbed(rngs, 3)
        if learner == "values":
            return bandits.play(means, greedy, 200, rngs, drift=0.1)
        return bandits.play_gradient(means, 0.2, 200, rngs)

    among, alone = run([4, 5, 6]), run([5])
    assert np.array_equal(among.rewards[:, 1], alone.rewards[:, 0])
    assert np.array_equal(among.actions[:, 1], alone.actions[:, 0])


def test_first_estimates_and_step_sizes_reach_the_learner():
    def first(Q, n, t, rngs):
        return np.zeros(2, int)

    history = bandits.play(np.zeros((2, 2)), first, 3, Rngs([0, 1]), 0.5, initial=np.array([5.0, -2.0]))
    for row, initial in enumerate((5.0, -2.0)):
        expected = 0.125 * initial + np.array([0.125, 0.25, 0.5]) @ history.rewards[:, row]
        assert history.Q[row] == pytest.approx([expected, initial])


def test_drifting_values_walk_and_gaps_follow_them():
    rngs, start = Rngs(range(MANY)), rows(0, 1)
    history = bandits.play(start, lambda Q, n, t, d: np.zeros(MANY, int), 26, rngs, drift=0.2)
    assert history.gaps[0].tolist() == [1.0] * MANY and (history.gaps >= 0).all()
    drifted = 0.2 * math.sqrt(25)  # of each arm after 25 steps
    assert share(history.gaps[25] == 0, 0.5 * math.erfc(1 / (drifted * math.sqrt(2)) / math.sqrt(2)))
    assert history.rewards[25].var() == pytest.approx(1 + drifted**2, rel=5 * math.sqrt(2 / MANY))
    assert (start == rows(0, 1)).all(), "the caller's values are left alone"


@pytest.mark.parametrize("baseline", [0.0, 0.5, 1.0])
def test_a_gradient_bandit_is_its_update_one_reward_after_the_other(baseline):
    rngs = Rngs(range(8))
    means = bandits.testbed(rngs, 3) + 4
    history = bandits.play_gradient(means, 0.2, 50, rngs, baseline)
    for row in range(8):
        H = np.zeros(3)
        for t, (a, r) in enumerate(zip(history.actions[:, row], history.rewards[:, row], strict=True)):
            before = history.rewards[:t, row].mean() if t else r
            pi = np.exp(H) / np.exp(H).sum()
            H = H + 0.2 * (r - baseline * before) * (np.eye(3)[a] - pi)
        assert np.allclose(history.Q[row], H)
        assert np.array_equal(history.n[row], np.bincount(history.actions[:, row], minlength=3))


def test_a_gradient_bandit_draws_from_its_softmax():
    history = bandits.play_gradient(np.zeros((MANY, 4)), 1e-9, 1, Rngs(range(MANY)))
    assert all(share(history.actions[0] == arm, 0.25) for arm in range(4))


def test_a_mistake_in_the_arguments_is_named():
    with pytest.raises(ValueError, match="one row for each learner"):
        bandits.play(np.zeros((3, 2)), greedy, 1, Rngs([0]))
    with pytest.raises(ValueError, match="one row for each learner"):
        bandits.play_gradient(np.zeros(3), 0.1, 1, Rngs([0, 1, 2]))
    for step_size in (0.0, 1.5):
        with pytest.raises(ValueError, match="step_size lies above 0"):
            bandits.play(np.zeros((1, 2)), greedy, 1, Rngs([0]), step_size)


# --------------------------------------------------------------------------------------------- bounds


def test_the_bound_is_each_gap_over_its_kullback_leibler_divergence():
    means = np.array([[0.0, 1.0, 0.2], [3.0, 3.0, 2.5]])
    x = np.linspace(-10, 14, 100_001)

    def divergence(a, b):
        p = np.exp(-((x - a) ** 2) / 2)
        return (p / p.sum() * ((x - b) ** 2 - (x - a) ** 2) / 2).sum()

    for row, found in zip(means, bandits.lai_robbins(means), strict=True):
        best = row.max()
        assert found == pytest.approx(sum((best - m) / divergence(m, best) for m in row if m < best))
    assert bandits.lai_robbins(np.ones((1, 3)))[0] == 0


def test_ucb_without_luck_has_level_bounds_and_spends_all_its_pulls():
    means, c, T = np.array([[0.0, 0.4, 1.0], [2.0, 2.0, -3.0]]), 1.5, 5_000.0
    pulls = bandits.ucb_balance(means, T, c)
    assert pulls.sum(axis=1) == pytest.approx([T, T])
    level = means + c * np.sqrt(np.log(T) / pulls)
    assert np.allclose(level, level[:, :1])
    for T, c in ((1.0, 1.0), (10.0, 0.0)):
        with pytest.raises(ValueError, match="T lies above 1 and c above 0"):
            bandits.ucb_balance(means, T, c)


def test_in_the_long_run_ucb_without_luck_pulls_bad_arms_as_often_as_its_width_takes():
    means, c, T = np.array([[0.0, 0.5, 1.0]]), 2.0, 1e13
    pulls = bandits.ucb_balance(means, T, c)[0, :2]
    assert pulls == pytest.approx(c**2 * np.log(T) / np.array([1.0, 0.5]) ** 2, rel=1e-4)


def test_ucb_is_played_about_as_often_as_without_luck():
    means = rows(0.0, 0.5, 1.0)[:300]
    history = bandits.play(means, lambda Q, n, t, d: bandits.ucb(Q, n, t, 3.0, d), 1_000, Rngs(range(300)))
    assert history.n.mean(axis=0) == pytest.approx(bandits.ucb_balance(means, 1_000, 3.0)[0], rel=0.05)


def test_a_constant_epsilon_pays_epsilon_times_the_mean_gap_for_ever():
    means = rows(0, 2, 4)[:400]
    history = bandits.play(means, greedy, 300, Rngs(range(400)))
    late = history.gaps[100:]  # values are far apart: by now the best is known
    spread = math.sqrt(0.1 / 3 * (4 + 16) / late.size)
    assert abs(late.mean() - 0.1 * 2) < 5 * spread


def test_whole_numbers_do_no_harm():
    means = np.array([[0, 3, 1], [2, 2, -5]])
    assert np.array_equal(bandits.lai_robbins(means), bandits.lai_robbins(means.astype(float)))
    Q, n = np.zeros((1, 2), int), np.zeros((1, 2), int)
    with pytest.raises(TypeError, match=r"astype\(float\)"):
        bandits.update_values(Q, n, np.array([0]), np.array([0.5]))
    assert not Q.any() and not n.any(), "nothing is done by halves"
    Q = np.zeros((1, 2))
    bandits.update_values(Q, n, np.array([0]), np.array([1]), step_size=0.5)
    assert Q.tolist() == [[0.5, 0.0]]
