"""Learning from samples against linear algebra, brute force, and updates worked out by hand."""

import dataclasses
import itertools

import numpy as np
import pytest

from rlworkshop.foundations import learning_from_samples as lfs
from rlworkshop.foundations.dynamic_programming import optimal_values
from rlworkshop.foundations.key_concepts import MDP, Batch, Simulator, gridworld, play, state_values
from rlworkshop.rngs import Rngs

METHODS = (lfs.sarsa, lfs.expected_sarsa, lfs.q_learning, lfs.double_q)


def only(mdp):
    """The policy of a world with one action."""
    return np.ones((len(mdp.start), 1))


def an_episode(states, rewards, ends=True):
    """One learner's episode, given by hand; ``ends``: its last state is terminal."""
    states, T = np.array(states)[:, None], len(rewards)
    alive = np.ones((T + 1, 1), bool)
    alive[-1] = not ends
    return Batch(states, np.zeros((T, 1), int), np.array(rewards, float)[:, None], alive)


def random_mdp(seed, S=4, A=2):
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.ones(S), size=(S, A))
    P[-1] = 0
    return MDP(P, rng.normal(size=(S, A, S)), start=np.array([0.6, 0.4, *np.zeros(S - 2)]))


def played(seed, N=5, limit=None, episodes=3):
    """Episodes in a random world, with values to learn from that are no use for terminal states."""
    mdp, policy = random_mdp(seed), np.full((4, 2), 0.5)
    rngs = Rngs(range(N))
    V = np.random.default_rng(seed + 100).normal(size=(N, 4)) + 3.0  # nonzero for the terminal state, too
    return [play(Simulator(mdp, rngs), policy, limit) for _ in range(episodes)], V, mdp, policy


# ------------------------------------------------------------------------------------------ worlds


def test_the_worlds_have_the_values_that_they_should():
    home = lfs.way_home()
    assert state_values(home, only(home), 1.0).tolist() == [-41, -38, -21, -40, -10, 0]
    five, nineteen = lfs.random_walk(5), lfs.random_walk(19, -1.0, 1.0)
    assert np.allclose(state_values(five, only(five), 1.0)[1:-1], np.arange(1, 6) / 6)
    assert np.allclose(state_values(nineteen, only(nineteen), 1.0)[1:-1], np.arange(-9, 10) / 10)
    assert five.start.argmax() == 3 and nineteen.start.argmax() == 10
    cliff = lfs.cliff()
    assert optimal_values(cliff, 1.0)[0] @ cliff.start == pytest.approx(-13)
    with pytest.raises(ValueError, match="odd number of states"):
        lfs.random_walk(6)


def test_fruit_machines_lose_a_tenth_on_average_with_standard_deviation_one():
    mdp, Q = lfs.fruit_machines()
    assert np.allclose(mdp.r[1], -0.1) and np.allclose(mdp.r[0], 0)
    assert np.allclose((mdp.P[1] * (mdp.R[1] + 0.1) ** 2).sum(axis=1), 1)
    assert np.isfinite(Q[0]).tolist() == [True, True] + [False] * 8 and np.isfinite(Q[1:]).all()
    assert mdp.terminal.tolist() == [False, False] + [True] * 51


# -------------------------------------------------------------------------------------- prediction


def test_an_episode_that_was_cut_off_has_no_return():
    (e,), V, _, _ = played(1, N=200, limit=2, episodes=1)
    with pytest.raises(ValueError, match="was cut off has no return"):
        lfs.monte_carlo(e, V, 0.1)


def test_updates_worked_out_by_hand():
    """States 0, 1, 0, then the end 2, whose value must not count; rewards 1, 2, 4, gamma 1/2."""
    e, V = an_episode([0, 1, 0, 2], [1, 2, 4]), np.array([[10.0, 20.0, 99.0]])
    assert lfs.returns(e, 0.5)[:, 0].tolist() == [3, 4, 4]
    # MC: V(0) 10 -> 6.5, V(1) 20 -> 12, V(0) 6.5 -> 5.25
    assert lfs.monte_carlo(e, V, 0.5, 0.5).tolist() == [[5.25, 12, 99]]
    # TD: V(0) to 1 + 20/2 = 11: 10.5; V(1) to 2 + 10.5/2: 13.625; V(0) to 4: 7.25
    assert lfs.td(e, V, 0.5, 0.5).tolist() == [[7.25, 13.625, 99]]
    # TD(1/2), traces shrink by 1/4. Errors: 1; then 2 + 5.25 - 20 = -12.75 with traces 1/4, 1;
    # V = 8.90625, 13.625; then 4 - 8.90625 with traces 1/16 + 1, 1/4
    last = 4 - 8.90625
    expected = [8.90625 + 0.5 * last * 17 / 16, 13.625 + 0.5 * last / 4, 99]
    assert np.allclose(lfs.td_lambda(e, V, 0.5, 0.5, 0.5), [expected])
    # λ-returns: 4; 2 + (10 + 4)/4 = 5.5; 1 + (20 + 5.5)/4 = 7.375
    assert lfs.lambda_returns(e, V, 0.5, 0.5)[:, 0].tolist() == [7.375, 5.5, 4]
    assert V.tolist() == [[10, 20, 99]], "what is given is not changed"


def test_where_an_episode_is_cut_off_the_last_state_still_has_its_value():
    e, V = an_episode([0, 1, 2], [1, 2], ends=False), np.array([[0.0, 0.0, 8.0]])
    assert lfs.td(e, V, 1.0, 0.5).tolist() == [[1, 6, 8]]
    assert lfs.td_lambda(e, V, 1.0, 1.0, 0.5).tolist() == [[4, 6, 8]]
    assert lfs.lambda_returns(e, V, 1.0, 0.5)[:, 0].tolist() == [4, 6]
    assert lfs.offline_lambda(e, V, 1.0, 0.0, 0.5).tolist() == [[1, 6, 8]]


@pytest.mark.parametrize("limit", [None, 3])
@pytest.mark.parametrize("lam", [0.0, 0.3, 0.9, 1.0])
def test_forward_and_backward_view_agree_where_values_stand_still(lam, limit):
    """With steps too small to move the values, what an episode adds is the same in both views."""
    for seed in range(5):
        episodes, V, _, _ = played(seed, limit=limit, episodes=1)
        tiny = 2.0**-30
        forward = (lfs.offline_lambda(episodes[0], V, tiny, lam, 0.9) - V) / tiny
        backward = (lfs.td_lambda(episodes[0], V, tiny, lam, 0.9) - V) / tiny
        assert np.abs(forward).max() > 0.1
        assert np.allclose(forward, backward, atol=1e-5)


def test_the_ends_of_lambda_are_td_and_monte_carlo():
    episodes, V, _, _ = played(2)
    for e in episodes:
        assert np.allclose(lfs.td_lambda(e, V, 0.3, 0.0, 0.9), lfs.td(e, V, 0.3, 0.9))
        assert np.allclose(lfs.offline_lambda(e, V, 0.3, 1.0, 0.9), lfs.monte_carlo(e, V, 0.3, 0.9))


@pytest.mark.parametrize("method", [lfs.monte_carlo, lfs.td, lfs.offline_lambda, lfs.td_lambda])
def test_many_settings_learn_from_the_same_episodes_as_each_would_alone(method):
    episodes, V, _, _ = played(3)
    alphas, lams = np.array([[0.1], [0.5], [0.9]]), np.array([[0.0], [0.4], [1.0]])
    together = np.tile(V, (3, 1, 1))
    apart = [V, V, V]
    for e in episodes:
        traces = method in (lfs.offline_lambda, lfs.td_lambda)
        together = method(e, together, alphas, *[lams] * traces, 0.9)
        apart = [method(e, apart[k], alphas[k, 0], *[lams[k, 0]] * traces, 0.9) for k in range(3)]
    assert np.allclose(together, apart)


@pytest.mark.parametrize("lam", [0.0, 0.6, 1.0])
def test_moments_of_the_target_are_those_of_played_episodes(lam):
    mdp, policy, gamma = random_mdp(5), np.full((4, 2), 0.5), 0.9
    V = np.array([2.0, -1.0, 1.0, 50.0])
    e = play(Simulator(mdp, Rngs(range(4_000))), policy)
    drawn = lfs.lambda_returns(e, np.tile(V, (4_000, 1)), lam, gamma)[0]
    mean, variance = lfs.target_moments(mdp, policy, V, lam, gamma)
    for s in (0, 1):
        of_s = drawn[e.states[0] == s]
        assert of_s.mean() == pytest.approx(mean[s], abs=4 * np.sqrt(variance[s] / len(of_s)))
        assert of_s.var() == pytest.approx(variance[s], rel=0.15)


def test_moments_of_the_one_step_target_by_listing_all_that_can_happen():
    mdp, V, gamma = random_mdp(6), np.array([2.0, -1.0, 1.0, 50.0]), 0.9
    policy = np.random.default_rng(0).dirichlet(np.ones(2), size=4)
    mean, variance = lfs.target_moments(mdp, policy, V, 0.0, gamma)
    for s in range(3):
        cases = [
            (policy[s, a] * mdp.P[s, a, to], mdp.R[s, a, to] + gamma * V[to] * (to < 3))
            for a, to in itertools.product(range(2), range(4))
        ]
        first = sum(p * x for p, x in cases)
        assert mean[s] == pytest.approx(first)
        assert variance[s] == pytest.approx(sum(p * (x - first) ** 2 for p, x in cases))


def test_right_values_have_no_bias_and_the_whole_return_never_has():
    mdp, policy = random_mdp(7), np.full((4, 2), 0.5)
    true = state_values(mdp, policy, 0.9)
    for lam in (0.0, 0.5, 1.0):
        assert np.allclose(lfs.target_moments(mdp, policy, true, lam, 0.9)[0], true)
    assert np.allclose(lfs.target_moments(mdp, policy, np.ones(4), 1.0, 0.9)[0], true)
    assert not np.allclose(lfs.target_moments(mdp, policy, np.ones(4), 0.9, 0.9)[0], true, atol=0.01)


def test_where_both_kinds_of_learner_come_to_rest():
    """In each state, the errors of a batch add up to zero: those of TD, and those of Monte Carlo."""
    episodes, _, _, _ = played(8, N=6)
    td, mc = lfs.batch_td(episodes, 4, 0.9), lfs.batch_monte_carlo(episodes, 4, 0.9)
    td_errors, mc_errors = np.zeros((6, 4)), np.zeros((6, 4))
    for e in episodes:
        R = lfs.returns(e, 0.9)
        for t, n in zip(*np.nonzero(e.alive[:-1]), strict=True):
            s, to = e.states[t, n], e.states[t + 1, n]
            td_errors[n, s] += e.rewards[t, n] + 0.9 * e.alive[t + 1, n] * td[n, to] - td[n, s]
            mc_errors[n, s] += R[t, n] - mc[n, s]
    assert np.allclose(td_errors, 0) and np.allclose(mc_errors, 0)
    assert not np.allclose(td, mc)
    swept = np.zeros((6, 4))
    for _ in range(1_500):
        for e in episodes:
            swept = lfs.td(e, swept, 0.004, 0.9)
    assert np.allclose(swept[:, :3], td[:, :3], atol=0.03)


def test_states_that_a_batch_has_not_seen_keep_the_default():
    walk = lfs.random_walk(5)
    short = an_episode([3, 4, 5, 6], [0, 0, 1])
    for batch in (lfs.batch_td, lfs.batch_monte_carlo):
        V = batch([short], len(walk.start), default=0.25)[0]
        assert V[1:6].tolist() == [0.25, 0.25, 1, 1, 1]


# ------------------------------------------------------------------------------------------ control


def test_an_epsilon_soft_policy_shares_ties_and_knows_what_is_missing():
    Q = np.array([[1.0, 1.0, 0.0, -np.inf], [0.0, 2.0, 1.0, 1.0]])
    assert np.allclose(lfs.epsilon_soft(Q, 0.3), [[0.45, 0.45, 0.1, 0.0], [0.075, 0.775, 0.075, 0.075]])


def by_hand(method, mdp, seeds, episodes, alpha, epsilon, gamma, limit):
    """The same learning, one number at a time, from the definitions."""
    S, A = mdp.r.shape
    tables = np.zeros((len(seeds), 2 if method == "double_q" else 1, S, A))
    rngs, log = Rngs(seeds), []

    def update(n, s, a, r, following, then, terminated, truncated):
        coins = rngs.integers(2) if method == "double_q" else np.zeros(len(seeds), int)
        for i, row in enumerate(n):
            own, other = coins[row], 1 - coins[row]
            there = tables[row, own, following[i]]
            if terminated[i]:
                worth = 0.0
            elif method == "sarsa":
                worth = there[then[i]]
            elif method == "expected_sarsa":
                best = [b for b in range(A) if there[b] == max(there)]
                worth = epsilon * sum(there) / A + (1 - epsilon) * sum(there[b] for b in best) / len(best)
            elif method == "q_learning":
                worth = max(there)
            else:
                worth = tables[row, other, following[i], list(there).index(max(there))]
            error = r[i] + gamma * worth - tables[row, own, s[i], a[i]]
            tables[row, own, s[i], a[i]] += alpha * error
            log.append((row, s[i], a[i], following[i], then[i], terminated[i], truncated[i]))

    kept = tables if method == "double_q" else tables[:, 0]
    return lfs.learn(mdp, rngs, episodes, epsilon, kept, update, limit), tables.mean(axis=1), log


@pytest.mark.parametrize("limit", [None, 3])
@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_its_definition_one_number_at_a_time(method, limit):
    mdp = random_mdp(9)
    learned = method(mdp, Rngs([3, 4, 5]), 12, 0.3, 0.4, 0.8, limit=limit)
    (returns, lengths), Q, log = by_hand(method.__name__, mdp, [3, 4, 5], 12, 0.3, 0.4, 0.8, limit)
    assert np.allclose(learned.Q, Q) and np.abs(Q).max() > 0.1
    assert np.array_equal(learned.returns, returns) and np.array_equal(learned.lengths, lengths)
    # what was learned from is what was lived: one step leads to the next, twelve episodes of each learner
    for row in range(3):
        steps = [step[1:] for step in log if step[0] == row]
        ends = 0
        for (_, _, following, then, *over), (s, a, *_) in itertools.pairwise(steps):
            ends += any(over)
            assert any(over) or (s, a) == (following, then)
        assert ends == 11 and any(steps[-1][4:]) and len(steps) == lengths[:, row].sum()
    assert limit is None or (lengths.max() == limit and any(step[-1] for step in log))


@pytest.mark.parametrize("method", METHODS)
def test_a_learner_does_not_notice_the_others(method):
    alone = method(random_mdp(1), Rngs([7]), 10, 0.3, 0.4, 0.9)
    among = method(random_mdp(1), Rngs([2, 7, 11]), 10, np.array([0.9, 0.3, 0.1]), 0.4, 0.9)
    assert np.array_equal(alone.Q[0], among.Q[1])
    assert np.array_equal(alone.returns[:, 0], among.returns[:, 1])


ROOM = gridworld("SSSS\nS##S\nSSSG", {"G": 1.0}, step=-1.0)


@pytest.mark.parametrize("limit", [None, 2])
def test_q_learning_finds_the_best_values_whatever_it_does_meanwhile(limit):
    """In a world without chance, step size 1: exactly, also where nobody gets as far as the goal."""
    found = lfs.q_learning(ROOM, Rngs(range(4)), 800, 1.0, 0.8, 0.9, limit=limit)
    best = optimal_values(ROOM, 0.9)[1]
    assert np.allclose(found.Q[:, ~ROOM.terminal], best[~ROOM.terminal])


def test_expected_sarsa_finds_the_best_soft_policy_and_sarsa_comes_near():
    _, best = lfs.best_epsilon_soft(ROOM, 0.4, 0.9)
    acting = ~ROOM.terminal
    expected = lfs.expected_sarsa(ROOM, Rngs(range(4)), 800, 1.0, 0.4, 0.9)
    assert np.allclose(expected.Q[:, acting], best[acting], atol=1e-6)
    sampled = lfs.sarsa(ROOM, Rngs(range(60)), 800, 0.1, 0.4, 0.9).Q.mean(axis=0)
    assert np.abs(sampled.max(axis=1) - best.max(axis=1))[acting].max() < 0.5
    optimal = optimal_values(ROOM, 0.9)[0]
    assert np.abs(optimal - best.max(axis=1))[acting].max() > 1, (
        "and that is another answer than Q-learning's"
    )


def test_the_best_soft_policy_is_the_best_of_all_that_can_be_listed():
    mdp = random_mdp(4)
    V, Q = lfs.best_epsilon_soft(mdp, 0.3, 0.9)
    cores = itertools.product(range(2), repeat=3)
    soft = [0.7 * np.eye(2)[[*core, 0]] + 0.15 for core in cores]
    assert np.allclose(V, np.max([state_values(mdp, policy, 0.9) for policy in soft], axis=0))
    assert np.allclose(lfs.best_epsilon_soft(mdp, 0.0, 0.9)[1], optimal_values(mdp, 0.9)[1])
    assert np.allclose((lfs.epsilon_soft(Q, 0.3) * Q).sum(axis=1), V)


def test_actions_that_do_not_exist_are_never_taken():
    mdp, Q = lfs.fruit_machines(outcomes=5)
    for method in METHODS:
        learned = method(mdp, Rngs(range(20)), 60, 0.1, 0.5, Q=Q)
        assert (learned.Q[:, 0, 2:] == -np.inf).all() and np.isfinite(learned.Q[:, 0, :2]).all()
        assert set(np.unique(learned.lengths)) == {1, 2}


def test_tables_and_step_sizes_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="Q must be"):
        lfs.sarsa(ROOM, Rngs([0]), 1, 0.1, 0.1, Q=np.zeros((2, 2)))
    with pytest.raises(ValueError, match="alpha a number"):
        lfs.sarsa(ROOM, Rngs([0]), 1, np.array([0.1, 0.2]), 0.1)


def test_the_way_home_and_other_worlds_can_start_elsewhere():
    newer = dataclasses.replace(lfs.way_home(), start=np.eye(6)[1])
    e = play(Simulator(newer, Rngs(range(50))), only(newer))
    assert set(np.unique(lfs.returns(e)[0])) == {-62, -32}


def test_values_that_begin_as_whole_numbers_learn_the_same():
    episodes, V, mdp, _ = played(8)
    whole, before = V.round().astype(int), V.round()
    ways = (
        lambda e, V: lfs.monte_carlo(e, V, 0.3, 0.9),
        lambda e, V: lfs.td(e, V, 0.3, 0.9),
        lambda e, V: lfs.offline_lambda(e, V, 0.3, 0.6, 0.9),
        lambda e, V: lfs.td_lambda(e, V, 0.3, 0.6, 0.9),
    )
    for way in ways:
        assert np.allclose(way(episodes[0], whole), way(episodes[0], before))
    assert np.array_equal(whole, before), "the argument is left alone"
    Q = np.array([[3, -2], [0, 1], [2, 5], [0, 0]])
    for method in METHODS:
        found, wanted = (method(mdp, Rngs(range(3)), 5, 0.3, 0.2, Q=q).Q for q in (Q, Q.astype(float)))
        assert np.array_equal(found, wanted) and (found % 1 != 0).any()
