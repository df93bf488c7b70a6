"""Learners with and without a model: hand-worked updates, linear algebra, brute force, and learners alone."""

import itertools

import numpy as np
import pytest

from rlworkshop.foundations import dynamic_programming, key_concepts
from rlworkshop.foundations import kinds_of_algorithms as kinds
from rlworkshop.foundations import policy_gradients as pg
from rlworkshop.rngs import Rngs

GAMMA = 0.95


def corridor(length=4):
    """Cells in a row, the start on the left, 1 for reaching the right end: a Gridworld."""
    return key_concepts.gridworld("S" + "." * (length - 2) + "G", {"G": 1.0})


def random_mdp(seed, S=6, A=3):
    """An MDP with rewards between 0 and 1 and nothing terminal."""
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.full(S, 0.3), size=(S, A))
    return key_concepts.MDP(P, np.tile(rng.random((S, A, 1)), S), np.full(S, 1 / S))


def shortest(world):
    """Steps from the start to each state, by trying everything: (S,), infinite where there is no way."""
    steps = np.where(world.start > 0, 0.0, np.inf)
    for _ in range(len(steps)):
        for s, a in itertools.product(range(len(steps)), range(4)):
            if not world.terminal[s]:
                to = world.P[s, a].argmax()
                steps[to] = min(steps[to], steps[s] + 1)
    return steps


# ---- mazes and values


@pytest.mark.parametrize(
    ("name", "way"), [("dyna", 14), ("blocking", 10), ("blocked", 16), ("shortcut", 10), ("cookie", 14)]
)
def test_the_way_to_the_goal_is_as_long_as_the_book_says(name, way):
    world = kinds.maze(name)
    goal = 8  # row 0, column 8
    assert shortest(world)[goal] == way
    value = dynamic_programming.optimal_values(world, GAMMA)[0] @ world.start
    assert value == pytest.approx(GAMMA ** (way - 1))


def test_states_keep_their_numbers_when_walls_move():
    before, after = kinds.maze("blocking"), kinds.maze("blocked")
    changed = np.flatnonzero((before.P != after.P).any(axis=(1, 2)))
    assert set(changed.tolist()) <= {18, 27, 36, 26, 35, 44, 28, 34}  # the two ends of the wall, and around
    assert np.array_equal(before.start, after.start) and before.start.argmax() == 5 * 9 + 3
    assert before.cells[26].tolist() == [2, 8]
    assert not np.isin(
        np.flatnonzero([c == "#" for c in "".join(before.layout)]), before.P.nonzero()[2]
    ).any()
    assert kinds.maze("cookie").R.max(axis=(0, 1))[5 * 9 + 3] == 0.5
    with pytest.raises(ValueError, match="no maze is called 'mirror'"):
        kinds.maze("mirror")


def test_start_values_are_those_of_bellmans_equations():
    world, rng = kinds.maze("dyna"), np.random.default_rng(0)
    policies = rng.dirichlet(np.ones(4), size=(3, 54))
    expected = [key_concepts.state_values(world, p, GAMMA) @ world.start for p in policies]
    assert np.allclose(kinds.start_values(world, policies, GAMMA), expected)
    with pytest.raises(ValueError, match="below 1"):
        kinds.start_values(world, policies, 1.0)


def test_greedy_policies_share_ties_in_every_table():
    Q = np.array([[[1.0, 2, 2, 0]], [[0, 0, 0, 0]]])
    assert kinds.greedy_policies(Q).tolist() == [[[0, 0.5, 0.5, 0]], [[0.25] * 4]]


# ---- updates by hand


def test_q_learning_by_hand():
    Q = np.array([[[0.0, 1.0], [4.0, 2.0]], [[3.0, 0.0], [0.0, 0.0]]])  # two learners, two states
    kinds.q_update(Q, np.array([1, 0]), np.array([1.0, 1.0]), np.array([1, 1]), alpha=0.5, gamma=0.5)
    assert Q.tolist() == [[[0, 2], [4, 2]], [[2, 0], [0, 0]]]


def test_sarsa_by_hand_follows_the_data_and_not_the_best():
    Q = np.array([[[0.0, 1.0], [4.0, 2.0]]])
    kinds.sarsa_update(Q, np.array([1]), np.array([1.0]), np.array([3]), alpha=0.5, gamma=0.5)
    assert Q.tolist() == [[[0, 1.5], [4, 2]]]


def test_a_model_remembers_the_last_answer_and_each_pair_once():
    model = kinds.Model.empty(2, 3, 2)
    assert model.following.tolist() == [[0, 0, 1, 1, 2, 2]] * 2 and not model.reward.any()
    for now, pairs in enumerate([[3, 0], [1, 0], [3, 4]], start=1):
        kinds.remember(model, np.array(pairs), np.array([now, 0.0]), np.array([now % 3, 2]), now)
    assert model.count.tolist() == [2, 2]
    assert model.pairs[:, :2].tolist() == [[3, 1], [0, 4]]
    assert model.last.tolist() == [[0, 2, 0, 3, 0, 0], [2, 0, 0, 0, 3, 0]]
    assert model.reward[0].tolist() == [0, 2, 0, 3, 0, 0]
    assert model.following[0].tolist() == [0, 2, 1, 0, 2, 2]


def test_with_a_state_come_all_its_actions():
    model = kinds.Model.empty(2, 3, 2)
    for now, pairs in enumerate([[3, 0], [2, 5], [3, 0]], start=1):
        kinds.remember_states(model, np.array(pairs), np.zeros(2), np.array([2, 1]), now)
    assert model.count.tolist() == [2, 4]
    assert model.pairs[0, :2].tolist() == [2, 3] and model.pairs[1, :4].tolist() == [0, 1, 4, 5]
    assert model.last.tolist() == [[0, 0, 2, 3, 0, 0], [3, 0, 0, 0, 0, 2]]
    assert model.following[1].tolist() == [1, 0, 1, 1, 2, 1]  # pair 1 untried: stays where it is


def test_planning_draws_all_that_was_seen_and_nothing_else():
    model, rngs = kinds.Model.empty(2, 3, 2), Rngs([1, 2])
    for now, pair in enumerate([4, 1, 5], start=1):
        kinds.remember(model, np.array([pair, 2]), np.array([pair, 0.0]), np.array([0, 1]), now)
    drawn, rewards, following = model.recall(rngs, 3000)
    counts = [np.bincount(column, minlength=6) for column in drawn.T]
    assert np.array_equal(rewards[:, 0], drawn[:, 0]) and (following == [0, 1]).all()
    assert counts[1].tolist() == [0, 0, 3000, 0, 0, 0]
    assert counts[0][[0, 2, 3]].tolist() == [0, 0, 0] and (abs(counts[0][[1, 4, 5]] - 1000) < 120).all()


@pytest.mark.parametrize("n", [0, 1, 7])
def test_n_steps_of_planning_are_n_updates(n):
    Q, model = np.zeros((2, 3, 2)), kinds.Model.empty(2, 3, 2)
    kinds.remember(model, np.array([0, 3]), np.array([1.0, 2.0]), np.array([2, 2]), 1)
    kinds.plan(Q, model, Rngs([0, 1]), n, alpha=0.25, gamma=0.9)
    assert Q.reshape(2, -1)[[0, 1], [0, 3]] == pytest.approx([1 - 0.75**n, 2 * (1 - 0.75**n)])
    assert np.count_nonzero(Q) == 2 * (n > 0)


def test_the_bonus_is_the_root_of_the_time_since_the_last_try():
    Q, model = np.zeros((1, 2, 2)), kinds.Model.empty(1, 2, 2)
    kinds.remember_states(model, np.array([0]), np.array([1.0]), np.array([1]), 5)
    for _ in range(40):
        kinds.plan_with_bonus(Q, model, Rngs([3]), 40, alpha=1.0, gamma=0.5, kappa=0.1, now=14)
    tried, untried = 1 + 0.1 * 3, 0.1 * np.sqrt(14)  # the untried one is believed to stay
    assert Q[0, 0] == pytest.approx([tried, untried + 0.5 * tried])
    assert not Q[0, 1].any()


@pytest.mark.parametrize("name", ["dyna", "cookie"])
def test_the_solution_of_a_right_model_is_optimal(name):
    world = kinds.maze(name)
    reward, following = kinds.misplaced(world, 0.0, Rngs([0]))
    Q, sweeps = kinds.solve_model(reward, following, GAMMA)
    acting = ~world.terminal
    assert np.allclose(Q[0, acting], dynamic_programming.optimal_values(world, GAMMA)[1][acting], atol=1e-6)
    assert not Q[0, ~acting].any() and 14 <= sweeps <= 40
    with pytest.raises(ValueError, match="gamma"):
        kinds.solve_model(reward, following, 1.0)


# ---- learners


def by_hand(world, seed, steps, n, alpha=0.5, epsilon=0.1, kappa=None):
    """Dyna-Q, or Dyna-Q+, of one learner with lists and dictionaries, throwing the same dice."""
    rngs, Q, seen, known = Rngs([seed]), np.zeros((1, *world.r.shape)), {}, []
    simulator = key_concepts.Simulator(world, rngs)
    s, rewards = int(world.start.argmax()), []
    for now in range(1, steps + 1):
        explore, anything, best = rngs.uniform()[0] < epsilon, rngs.integers(4)[0], rngs.argmax(Q[:, s])[0]
        a = int(anything if explore else best)
        reward, to = (x[0] for x in simulator.step(np.array([s]), np.array([a])))
        Q[0, s, a] += alpha * (reward + GAMMA * Q[0, to].max() - Q[0, s, a])
        if kappa is None and (s, a) not in known:
            known.append((s, a))
        elif kappa is not None and (s, 0) not in known:
            known += [(s, b) for b in range(4)]
        seen[s, a] = (reward, to, now)
        for u in rngs.uniform(n)[0]:
            i, b = known[int(u * len(known))]
            reward, j, last = seen.get((i, b), (0.0, i, 0))
            reward += 0 if kappa is None else kappa * np.sqrt(now - last)
            Q[0, i, b] += alpha * (reward + GAMMA * Q[0, j].max() - Q[0, i, b])
        rewards.append(seen[s, a][0])
        s = int(world.start.argmax()) if world.terminal[to] else int(to)
    return Q[0], np.array(rewards)


@pytest.mark.parametrize("n", [0, 3])
def test_dyna_q_is_what_a_list_and_a_dictionary_give(n):
    world = kinds.maze("dyna")
    Q, rewards = by_hand(world, 5, 1200, n)
    log = kinds.dyna_q(world, [4, 5], 1200, n, alpha=0.5)
    assert rewards.any()
    assert np.array_equal(log.rewards[:, 1], rewards) and np.allclose(log.tables[-1, 1], Q)
    assert log.updates == 1200 * (1 + n) and log.at.tolist() == list(range(0, 1201, 100))


def test_dyna_q_plus_is_what_a_list_and_a_dictionary_give():
    world = corridor()
    Q, rewards = by_hand(world, 1, 150, 3, kappa=0.01)
    log = kinds.dyna_q_plus(world, [1, 2], 150, 3, alpha=0.5, kappa=0.01, every=50)
    assert rewards.any()
    assert np.array_equal(log.rewards[:, 0], rewards) and np.allclose(log.tables[-1, 0], Q)


def test_q_learning_is_dyna_q_without_planning_and_a_learner_is_the_same_alone():
    world = kinds.maze("dyna")
    together = kinds.q_learning(world, [7, 8, 9], 900, alpha=0.5)
    alone = kinds.dyna_q(world, [8], 900, 0, alpha=0.5)
    assert np.array_equal(together.tables[:, 1], alone.tables[:, 0])


def test_planning_carries_a_reward_back_at_once_and_not_planning_does_not():
    world = corridor(8)
    learned = []
    for n in (0, 50):
        log = kinds.dyna_q(world, range(20), 4000, n, episodes=1, every=1)
        ends = log.over.argmax(axis=0)  # (N,)
        assert log.over.any(axis=0).all() and ends.max() == len(log.over) - 1
        tables = np.array([log.tables[e + 1, i] for i, e in enumerate(ends)])  # (N, S, A)
        learned.append(tables.any(axis=2).sum(axis=1))
    assert (learned[0] == 1).all() and learned[1].mean() > 2


def test_episode_steps_are_counted_from_end_to_end():
    over = np.array([[0, 0, 1, 0, 1, 0], [1, 0, 0, 0, 0, 0]], bool).T
    log = kinds.Log(np.zeros((6, 2)), over, np.zeros(0), np.zeros(0), 0.0)
    assert np.array_equal(log.episode_steps(2), [[3, 2], [1, np.nan]], equal_nan=True)


def test_certainty_equivalence_knows_after_an_episode_all_that_it_saw():
    world = corridor(6)
    log = kinds.certainty_equivalence(world, range(5), 400, every=1)
    for i, end in enumerate(log.over.argmax(axis=0)):
        assert not log.tables[end, i].any()
        assert log.tables[end + 1, i].max(axis=1)[:5] == pytest.approx(
            GAMMA ** np.arange(4, -1, -1), abs=1e-5
        )
    assert log.updates > 0


def test_the_world_changes_when_it_is_told_to():
    before, after = kinds.maze("blocking"), kinds.maze("blocked")
    log = kinds.dyna_q([(0, before), (400, after)], [1], 600, 5, alpha=1.0, epsilon=1.0)
    same = kinds.dyna_q(before, [1], 400, 5, alpha=1.0, epsilon=1.0)
    assert np.array_equal(log.tables[4], same.tables[4])
    wrong = kinds.dyna_q(before, [1], 600, 5, alpha=1.0, epsilon=1.0)
    assert not np.array_equal(log.model.following, wrong.model.following)


@pytest.mark.parametrize(
    ("learn", "words"),
    [
        (lambda w: kinds.dyna_q(w, [0], 5, -1), "n is 0 or more"),
        (lambda w: kinds.dyna_q(w, [0], 5, 1, alpha=0.0), "alpha lies"),
        (lambda w: kinds.dyna_q(w, [0], 5, 1, gamma=1.0), "gamma in"),
        (lambda w: kinds.dyna_q([(3, w)], [0], 5, 1), "the first from step 0"),
        (lambda w: kinds.dyna_q([(0, w), (2, corridor())], [0], 5, 1), "all of one shape"),
        (lambda w: kinds.dyna_q(key_concepts.gridworld("S.G", {"G": 1}, slip=0.5), [0], 5, 1), "certain"),
    ],
)
def test_what_does_not_fit_is_refused(learn, words):
    with pytest.raises(ValueError, match=words):
        learn(kinds.maze("dyna"))


def test_one_step_of_the_actor_and_its_critic():
    world = key_concepts.gridworld("SG", {"G": 2.0})
    log = kinds.actor_critic(world, range(40), 1, alpha=0.5, every=1)
    right = log.over[0]
    assert 0 < right.sum() < 40
    expected = 0.5 * 2.0 * (np.eye(4)[1] - 0.25)  # step size, surprise, score
    assert np.allclose(log.tables[1, right, 0], expected)
    assert not log.tables[1, ~right].any()


def test_the_actor_learns_the_corridor_and_a_critic_that_knows_stops_it():
    world = corridor(5)
    log = kinds.actor_critic(world, range(20), 3000, alpha=2.0, critic_alpha=0.3)
    values = kinds.start_values(world, pg.softmax_policy(log.tables[-1]), GAMMA)
    assert values.min() > 0.75 * GAMMA**3
    assert log.rewards.sum() == log.over.sum()


# ---- others' data


def test_played_data_fit_together():
    world, policy = kinds.maze("dyna"), np.full((54, 4), 0.25)
    data = kinds.play(world, policy, [0, 1], 3000)
    s, a = data.pairs // 4, data.pairs % 4
    assert np.array_equal(data.following, world.P[s, a].argmax(axis=2))
    assert np.array_equal(data.rewards, world.r[s, a])
    over = world.terminal[data.following]
    assert over.any() and np.array_equal(data.next_pairs // 4, data.following)
    going_on = ~over[:-1]
    assert np.array_equal(data.next_pairs[:-1][going_on], data.pairs[1:][going_on])
    assert (s[1:][over[:-1]] == world.start.argmax()).all()
    assert abs(np.bincount(a.ravel()) / a.size - 0.25).max() < 0.03


@pytest.fixture(scope="module")
def half_trained():
    world, rng = corridor(4), np.random.default_rng(2)
    theta, other = rng.normal(size=(2, 4, 4))
    return world, theta, pg.softmax_policy(other + 1.5 * np.eye(4)[1])


def test_the_fresh_gradient_is_the_slope_of_the_value(half_trained):
    world, theta, _ = half_trained
    slope = pg.finite_difference(
        lambda x: kinds.start_values(world, pg.softmax_policy(x)[None], GAMMA)[0], theta, 1e-5
    )
    assert np.abs(slope).max() > 0.01
    assert np.allclose(kinds.fresh_gradient(world, theta, GAMMA), slope, atol=1e-8)
    fresh = kinds.stale_gradient(world, theta, pg.softmax_policy(theta), GAMMA)
    assert np.allclose(fresh, slope, atol=1e-8)


def test_the_stale_gradient_is_the_mean_of_the_estimate_from_others_data(half_trained):
    world, theta, other = half_trained
    batch = pg.sample_batch(world, np.log(other), 5_000, np.random.default_rng(0))
    t = np.arange(len(batch.rewards))[:, None]
    weights = GAMMA**t * pg.reward_to_go(batch.rewards, GAMMA)
    each = pg.episode_gradients(batch, theta, weights)
    noise = each.var(axis=0).sum() / len(each)
    miss = ((each.mean(axis=0) - kinds.stale_gradient(world, theta, other, GAMMA)) ** 2).sum()
    assert miss < 6 * noise < 0.05
    assert ((each.mean(axis=0) - kinds.fresh_gradient(world, theta, GAMMA)) ** 2).sum() > 25 * noise


def test_stale_data_pull_towards_their_own_policy_reweighted(half_trained):
    world, _, other = half_trained
    weighted = other * key_concepts.action_values(
        world, key_concepts.state_values(world, other, GAMMA), GAMMA
    )
    theta = np.log(np.where(world.terminal[:, None], 1.0, weighted))
    assert np.allclose(kinds.stale_gradient(world, theta, other, GAMMA), 0)
    assert np.abs(kinds.fresh_gradient(world, theta, GAMMA)).max() > 0.001


def test_with_a_baseline_the_stale_gradient_is_that_of_one_improvement(half_trained):
    world, theta, other = half_trained
    V = key_concepts.state_values(world, other, GAMMA)
    advantage = key_concepts.action_values(world, V, GAMMA) - V[:, None]
    expected = key_concepts.visits(world, other, GAMMA)[:, None] * other * advantage
    for preferences in (theta, 0 * theta):  # it does not depend on them
        assert np.allclose(kinds.stale_gradient(world, preferences, other, GAMMA, V), expected)
    own = pg.softmax_policy(theta)
    unbiased = kinds.stale_gradient(world, theta, own, GAMMA, np.full(len(V), 7.0))
    assert np.allclose(unbiased, kinds.fresh_gradient(world, theta, GAMMA))


def test_weights_of_episodes_average_to_one_and_correct_the_return(half_trained):
    world, theta, other = half_trained
    wanted = pg.softmax_policy(np.log(other) + 0.3 * theta)
    batch = pg.sample_batch(world, np.log(other), 10_000, np.random.default_rng(1))
    w = np.exp(kinds.log_weights(wanted, other, batch.states[:-1], batch.actions, batch.alive[:-1]))
    assert w.mean() == pytest.approx(1, abs=4 * w.std() / 100)
    value = kinds.start_values(world, wanted[None], GAMMA)[0]
    returns = GAMMA ** (batch.lengths - 1.0)
    assert (w * returns).mean() == pytest.approx(value, abs=4 * (w * returns).std() / 100)
    assert abs(returns.mean() - value) > 0.01


def test_log_weights_and_effective_share_by_hand():
    policy, other = np.array([[0.5, 0.5], [0.2, 0.8]]), np.array([[0.25, 0.75], [0.4, 0.6]])
    states, actions = np.array([[0, 0], [1, 1]]), np.array([[0, 1], [0, 1]])
    alive = np.array([[True, True], [True, False]])
    found = np.exp(kinds.log_weights(policy, other, states, actions, alive))
    assert found == pytest.approx([2 * 0.5, 2 / 3])
    assert kinds.effective_share(np.zeros(9)) == pytest.approx(1)
    assert kinds.effective_share(np.log([3.0, 1.0]) + 1000) == pytest.approx(16 / 10 / 2)
    assert kinds.effective_share(np.array([[0.0, 0], [-500, 0]])) == pytest.approx([0.5, 1])


# ---- wrong models


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
def test_no_value_is_off_by_more_than_the_lemma_allows(seed, share):
    mdp, rng = random_mdp(seed), np.random.default_rng(seed)
    policy = rng.dirichlet(np.ones(3), size=6)
    other = random_mdp(seed + 100).P
    wrong = key_concepts.MDP((1 - share) * mdp.P + share * other, mdp.R, mdp.start)
    V, believed = (key_concepts.state_values(m, policy, 0.9) for m in (mdp, wrong))
    bound = kinds.simulation_bound(share, 0.9, mdp.r.max())
    assert 0 < np.abs(V - believed).max() <= bound
    move, believed_move = (key_concepts.transitions(m, policy) for m in (mdp, wrong))
    exact = 0.9 * np.linalg.solve(np.eye(6) - 0.9 * believed_move, (move - believed_move) @ V)
    assert np.allclose(V - believed, exact)


def test_the_lemma_is_reached_where_all_goes_wrong():
    """State 0 pays 1 for ever; the model believes that with probability ε one falls into a hole."""
    P = np.zeros((2, 1, 2))
    P[0, 0, 0] = P[1, 0, 1] = 1
    R = np.zeros((2, 1, 2))
    R[0] = 1.0
    share, gamma, policy = 1e-6, 0.9, np.ones((2, 1))
    holed = P.copy()
    holed[0, 0] = [1 - share, share]
    V, believed = (
        key_concepts.state_values(key_concepts.MDP(p, R, np.array([1.0, 0])), policy, gamma)
        for p in (P, holed)
    )
    assert (V - believed)[0] == pytest.approx(kinds.simulation_bound(share, gamma), rel=1e-4)
    for wrong, discount in ((-0.1, 0.9), (1.1, 0.9), (0.1, 1.0)):
        with pytest.raises(ValueError, match="wrong lies in"):
            kinds.simulation_bound(wrong, discount)


def test_a_blurred_model_is_wrong_by_its_share_and_knows_the_rewards():
    world = kinds.maze("dyna")
    model = kinds.blurred(world, 0.1)
    acting = ~world.terminal
    off = 0.5 * np.abs(model.P - world.P).sum(axis=2)[acting]
    assert np.allclose(off, 0.1 * 53 / 54)
    assert np.array_equal(model.terminal, world.terminal) and np.allclose(model.r, world.r)


def test_a_misplaced_model_has_so_many_wrong_entries_and_no_wrong_reward():
    world = kinds.maze("dyna")
    reward, following = kinds.misplaced(world, 0.3, Rngs(range(60)))
    truth = world.P.argmax(axis=2)
    free = ~world.terminal[:, None] & (world.r == 0)
    acting = ~world.terminal
    assert np.array_equal(reward, np.tile(world.r, (60, 1, 1)))
    assert (following != truth)[:, free].mean() == pytest.approx(0.3 * 45 / 46, abs=0.015)
    assert (following == truth)[:, acting & (world.r > 0).any(axis=1)].any()
    assert (following[:, world.r > 0] == 8).all() and (following[:, 8] == 8).all()
    assert set(following[:, acting].ravel().tolist()) == set(np.flatnonzero(acting).tolist()) | {8}
    with pytest.raises(ValueError, match="share is a probability"):
        kinds.misplaced(world, 1.5, Rngs([0]))


def test_tables_that_learn_in_place_are_floats():
    Q, pair = np.zeros((1, 3, 2), int), np.array([1])
    for update in (kinds.q_update, kinds.sarsa_update):
        with pytest.raises(TypeError, match=r"astype\(float\)"):
            update(Q, pair, np.array([1.0]), pair, 0.5, 0.9)
