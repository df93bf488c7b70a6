"""Policy gradients on small problems: linear algebra, finite differences and samples must agree."""

import itertools

import numpy as np
import pytest

from rlworkshop.foundations import policy_gradients as pg


def random_mdp(rng, S=5, A=3):
    """States that are visited again and again, two first states, one terminal state."""
    P = rng.dirichlet(np.ones(S), size=(S, A))
    P[-1] = 0
    R = rng.normal(size=(S, A, S))
    return pg.MDP(P, R, start=np.array([0.7, 0.3, *np.zeros(S - 2)]))


def example(seed):
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng)
    return mdp, rng.normal(size=mdp.P.shape[:2]), rng


def by_enumeration(mdp, theta, steps):
    """(probability, states, actions, rewards) of every episode of at most ``steps`` steps."""
    policy, (S, A) = pg.softmax_policy(theta), theta.shape

    def after(s, left):
        if mdp.terminal[s]:
            yield 1.0, [s], [], []
        elif left:
            for a, to in itertools.product(range(A), range(S)):
                if (p := policy[s, a] * mdp.P[s, a, to]) > 0:
                    for rest in after(to, left - 1):
                        yield p * rest[0], [s, *rest[1]], [a, *rest[2]], [mdp.R[s, a, to], *rest[3]]

    for s in np.flatnonzero(mdp.start):
        for p, *episode in after(s, steps):
            yield mdp.start[s] * p, *episode


def log_policy(theta, s, a):
    return np.log(pg.softmax_policy(theta)[s, a])


def brute_gradient(theta, states, actions, weights):
    """Sum of weight times the gradient of log π, each by finite differences."""
    return sum(
        w * pg.finite_difference(lambda x, s=s, a=a: log_policy(x, s, a), theta, 1e-5)
        for s, a, w in zip(states, actions, weights, strict=False)
    )


def agrees(samples, expected):
    """Whether the mean of independent ``samples`` (N, ...) is within the noise of ``expected``."""
    noise = samples.var(axis=0) / len(samples)
    miss = (samples.mean(axis=0) - expected) ** 2
    return miss.sum() < 6 * noise.sum()


@pytest.mark.parametrize("gamma", [1.0, 0.7])
@pytest.mark.parametrize("seed", range(10))
def test_the_exact_gradient_is_the_slope_of_the_exact_objective(seed, gamma):
    mdp, theta, _ = example(seed)
    slope = pg.finite_difference(lambda x: pg.objective(mdp, x, gamma), theta, 1e-5)
    exact = pg.exact_gradient(mdp, theta, gamma)
    assert np.abs(exact).max() > 0.01
    assert np.allclose(exact, slope, atol=1e-8)


def test_objective_and_gradient_are_those_of_all_episodes_listed():
    mdp, theta = pg.thin_ice(), np.random.default_rng(1).normal(size=(8, 2))
    gamma, total, objective, gradient = 0.9, 0.0, 0.0, np.zeros_like(theta)
    for p, states, actions, rewards in by_enumeration(mdp, theta, steps=6):
        R = sum(gamma**t * r for t, r in enumerate(rewards))
        total, objective = total + p, objective + p * R
        gradient += p * brute_gradient(theta, states, actions, [R] * len(actions))
    assert total == pytest.approx(1)
    assert objective == pytest.approx(pg.objective(mdp, theta, gamma))
    assert np.allclose(gradient, pg.exact_gradient(mdp, theta, gamma), atol=1e-8)


def test_visits_and_values_are_those_of_played_episodes():
    mdp, theta, rng = example(3)
    batch = pg.sample_batch(mdp, theta, 20_000, rng)
    assert (batch.alive == ~mdp.terminal[batch.states]).all() and not batch.alive[-1].any()
    assert (batch.rewards[~batch.alive[:-1]] == 0).all()
    acting = batch.alive[:-1]
    s, a, to = batch.states[:-1][acting], batch.actions[acting], batch.states[1:][acting]
    assert np.array_equal(batch.rewards[acting], mdp.R[s, a, to])
    often = np.array([((batch.states == i) & batch.alive).sum(axis=0) for i in range(5)]).T  # (N, S)
    assert agrees(often, pg.softmax_visits(mdp, theta))
    for i in range(4):
        there = s == i
        assert agrees(np.eye(3)[a[there]], pg.softmax_policy(theta)[i])
    assert agrees(batch.rewards.sum(axis=0), pg.objective(mdp, theta))
    t = np.arange(len(batch.rewards))[:, None]
    assert agrees((0.7**t * batch.rewards).sum(axis=0), pg.objective(mdp, theta, 0.7))
    discounted = np.array([(0.7**t * ((batch.states == i) & batch.alive)[:-1]).sum(axis=0) for i in range(5)])
    assert agrees(discounted.T, pg.softmax_visits(mdp, theta, 0.7))
    assert np.array_equal(batch.lengths, acting.sum(axis=0))


def test_the_score_is_the_slope_of_the_log_probability_and_zero_on_average():
    theta = np.random.default_rng(0).normal(size=(4, 3)) + 800  # a naive softmax overflows here
    for s, a in itertools.product(range(4), range(3)):
        slope = pg.finite_difference(lambda x, s=s, a=a: log_policy(x, s, a), theta, 1e-4)
        assert np.allclose(slope[s], pg.score(theta, np.array([s]), np.array([a]))[0], atol=1e-6)
        slope[s] = 0
        assert np.allclose(slope, 0, atol=1e-8)
    every = pg.score(theta, np.repeat(np.arange(4), 3), np.tile(np.arange(3), 4)).reshape(4, 3, 3)
    assert np.allclose((pg.softmax_policy(theta)[..., None] * every).sum(axis=1), 0)


def test_reward_to_go_adds_up_what_follows():
    rewards = np.array([[1.0, 5.0], [2.0, 0.0], [4.0, 0.0]])
    assert pg.reward_to_go(rewards).tolist() == [[7, 5], [6, 0], [4, 0]]
    assert pg.reward_to_go(rewards, 0.5).tolist() == [[3, 5], [4, 0], [4, 0]]
    assert pg.whole_return(rewards).tolist() == [[7, 5]] * 3


def test_an_episodes_gradient_is_the_sum_of_its_steps():
    mdp, theta, rng = example(5)
    batch = pg.sample_batch(mdp, theta, 6, rng)
    weights = rng.normal(size=batch.actions.shape)
    found = pg.episode_gradients(batch, theta, weights)
    for n, length in enumerate(batch.lengths):
        rows = slice(length), n
        assert np.allclose(
            found[n], brute_gradient(theta, batch.states[rows], batch.actions[rows], weights[rows])
        )
    assert np.allclose(pg.estimate(batch, theta, weights), found.mean(axis=0))
    with pytest.raises(ValueError, match=r"weights must be \(T, N\)"):
        pg.estimate(batch, theta, weights[0])


@pytest.mark.parametrize("seed", range(5))
def test_every_unbiased_estimator_has_the_exact_gradient_as_its_mean(seed):
    mdp, theta, rng = example(seed)
    batch = pg.sample_batch(mdp, theta, 20_000, rng)
    exact, (V, Q) = pg.exact_gradient(mdp, theta), pg.softmax_values(mdp, theta)
    to_go = pg.reward_to_go(batch.rewards)
    for weights in (
        pg.whole_return(batch.rewards),
        to_go,
        to_go - V[batch.states[:-1]],
        to_go - pg.best_baseline(theta, Q)[batch.states[:-1]],
        pg.gae(batch, V, 0.3),
        pg.gae(batch, rng.normal(size=5), 1.0),
        (Q - V[:, None])[batch.states[:-1], batch.actions],
    ):
        assert agrees(pg.episode_gradients(batch, theta, weights), exact)
    wrong = pg.episode_gradients(batch, theta, np.cumsum(batch.rewards, axis=0))  # the past
    assert not agrees(wrong, exact)


def test_discounted_weights_need_the_discount_in_front():
    mdp, theta, rng = example(1)
    batch = pg.sample_batch(mdp, theta, 40_000, rng)
    to_go, t = pg.reward_to_go(batch.rewards, 0.5), np.arange(len(batch.rewards))[:, None]
    exact = pg.exact_gradient(mdp, theta, 0.5)
    assert agrees(pg.episode_gradients(batch, theta, 0.5**t * to_go), exact)
    without = pg.episode_gradients(batch, theta, to_go)
    assert not agrees(without, exact)
    assert agrees(without, pg.expected_gradient(mdp, theta, pg.softmax_values(mdp, theta, 0.5)[1]))


def test_the_best_baseline_minimises_the_variance_of_each_steps_term():
    rng = np.random.default_rng(4)
    theta, Q = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    policy, best = pg.softmax_policy(theta), pg.best_baseline(theta, Q)

    def second_moment(s, b):
        scores = pg.score(theta, np.full(3, s), np.arange(3))
        return sum(policy[s, a] * ((Q[s, a] - b) ** 2) * (scores[a] ** 2).sum() for a in range(3))

    for s in range(4):
        assert all(second_moment(s, best[s]) < second_moment(s, best[s] + d) for d in (-0.01, 0.01))


def test_with_two_actions_the_best_baseline_swaps_their_probabilities():
    rng = np.random.default_rng(4)
    theta, Q = rng.normal(size=(4, 2)), rng.normal(size=(4, 2))
    swapped = (pg.softmax_policy(theta)[:, ::-1] * Q).sum(axis=1)
    assert np.allclose(pg.best_baseline(theta, Q), swapped)


@pytest.mark.parametrize("lam", [0.0, 0.4, 1.0])
def test_gae_is_its_double_sum_and_has_the_mean_that_linear_algebra_says(lam):
    mdp, theta, rng = example(2)
    values, gamma = rng.normal(size=5), 0.9
    batch = pg.sample_batch(mdp, theta, 20_000, rng)
    found = pg.gae(batch, values, lam, gamma)
    for n in range(20):
        T, v = batch.lengths[n], [*values[batch.states[: batch.lengths[n], n]], 0.0]
        delta = [batch.rewards[k, n] + gamma * v[k + 1] - v[k] for k in range(T)]
        sums = [sum((gamma * lam) ** (k - t) * delta[k] for k in range(t, T)) for t in range(T)]
        assert np.allclose(found[:T, n], sums) and np.allclose(found[T:, n], 0)
    expected = pg.expected_gradient(mdp, theta, pg.expected_gae(mdp, theta, values, lam, gamma))
    assert agrees(pg.episode_gradients(batch, theta, found), expected)


def test_gae_is_exact_on_average_for_right_values_and_for_any_values_with_lam_one():
    mdp, theta, rng = example(7)
    (V, Q), anything = pg.softmax_values(mdp, theta, 0.8), rng.normal(size=5)
    acting = ~mdp.terminal
    for lam in (0.0, 0.5, 1.0):
        assert np.allclose(pg.expected_gae(mdp, theta, V, lam, 0.8)[acting], (Q - V[:, None])[acting])
    one = pg.expected_gae(mdp, theta, anything, 1.0, 0.8)
    assert np.allclose(one[acting], (Q - anything[:, None])[acting])
    assert not np.allclose(pg.expected_gae(mdp, theta, anything, 0.5, 0.8)[acting], one[acting])


def test_the_parts_by_length_add_up_and_predict_the_mean_over_steps():
    mdp, theta = pg.thin_ice(), np.random.default_rng(2).normal(size=(8, 2))
    lengths, gradients = pg.gradient_by_length(mdp, theta, longest=6)
    listed, parts = np.zeros(7), np.zeros((7, 8, 2))
    for p, states, actions, rewards in by_enumeration(mdp, theta, steps=6):
        to_go = np.cumsum(rewards[::-1])[::-1]
        listed[len(actions)] += p
        parts[len(actions)] += p * brute_gradient(theta, states, actions, to_go)
    assert np.allclose(lengths, listed) and np.allclose(gradients, parts, atol=1e-8)
    assert np.allclose(gradients.sum(axis=0), pg.exact_gradient(mdp, theta))
    with pytest.raises(ValueError, match="episodes are longer than 5"):
        pg.gradient_by_length(mdp, theta, longest=5)


def test_the_parts_by_length_add_up_where_states_come_back():
    mdp, theta, _ = example(8)
    lengths, gradients = pg.gradient_by_length(mdp, theta, longest=150)
    assert lengths @ np.arange(151) == pytest.approx(pg.softmax_visits(mdp, theta).sum())
    assert np.allclose(gradients.sum(axis=0), pg.exact_gradient(mdp, theta), atol=1e-8)


@pytest.mark.parametrize("episodes", [1, 2, 3])
def test_the_expected_step_mean_is_that_of_played_batches(episodes):
    mdp, theta = pg.thin_ice(), np.zeros((8, 2))
    lengths, gradients = pg.gradient_by_length(mdp, theta, longest=6)
    batch = pg.sample_batch(mdp, theta, 6_000 * episodes, np.random.default_rng(episodes))
    each = pg.episode_gradients(batch, theta, pg.reward_to_go(batch.rewards))
    groups = [slice(i, i + episodes) for i in range(0, len(each), episodes)]
    means = np.array([pg.mean_over_steps(each[g], batch.lengths[g]) for g in groups])
    assert agrees(means, pg.expected_step_mean(lengths, gradients, episodes))
    assert not agrees(means, pg.exact_gradient(mdp, theta) / (lengths @ np.arange(7)))


def test_the_step_mean_of_many_episodes_is_the_gradient_over_the_mean_length():
    mdp, theta = pg.thin_ice(), np.zeros((8, 2))
    lengths, gradients = pg.gradient_by_length(mdp, theta, longest=6)
    limit = pg.expected_step_mean(lengths, gradients, 400) * (lengths @ np.arange(7))
    assert np.allclose(limit, pg.exact_gradient(mdp, theta), atol=2e-3)


def test_the_cosine_is_one_along_and_zero_across():
    x, y = np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[-2.0, 1.0], [3.0, 0.0]])
    assert pg.cosine(x, 3 * x) == pytest.approx(1) and pg.cosine(x, -x) == pytest.approx(-1)
    assert pg.cosine(x, y) == pytest.approx(0)


def test_episodes_that_cannot_end_are_not_begun():
    round_and_round = np.tile(np.eye(8)[:, None], (1, 2, 1))
    ice = pg.MDP(round_and_round, pg.thin_ice().R, pg.thin_ice().start)
    with pytest.raises(ValueError, match="able to reach"):
        pg.sample_batch(ice, np.zeros((8, 2)), 3, np.random.default_rng(0))


def test_whole_numbers_keep_the_fractions_of_their_returns_and_gradients():
    assert pg.reward_to_go(np.ones((3, 1), int), 0.5).ravel().tolist() == [1.75, 1.5, 1.0]
    theta = np.array([[1, -2, 0], [3, 1, 1]])
    found = pg.finite_difference(lambda x: (x**3).sum() / 2, theta, 1e-4)
    assert np.allclose(found, 1.5 * theta**2) and theta.tolist() == [[1, -2, 0], [3, 1, 1]]
