"""Advantages that are known exactly, and what GAE says of them on average."""

import numpy as np
import pytest

from rlworkshop.algorithms import advantage_estimation as ae
from rlworkshop.algorithms.vpg import gae
from rlworkshop.foundations import key_concepts as kc

GAMMA = 0.95


@pytest.fixture(scope="module")
def robot():
    mdp, policy = kc.MDP(*ae.robot(), np.eye(4)[0]), ae.habits()
    V = kc.state_values(mdp, policy, GAMMA)
    A = kc.action_values(mdp, V, GAMMA) - V[:, None]
    A[mdp.terminal] = 0
    return mdp, policy, V, A


def test_the_robot_by_hand(robot):
    mdp, policy, V, A = robot
    assert mdp.terminal.tolist() == [False, False, False, True]
    assert np.allclose(policy.sum(axis=1), 1) and (np.diff(policy[:3, 0]) < 0).all()
    # from charge 3, charging leaves all as it is and pays nothing
    assert A[0, 1] == pytest.approx(GAMMA * V[0] - V[0])
    assert A[2, 0] == pytest.approx(1 + GAMMA * 0.7 * V[2] - V[2])
    assert np.abs((policy * A).sum(axis=1)[:3]).max() < 1e-12


@pytest.mark.parametrize("lam", [0.0, 0.4, 1.0])
def test_a_right_critic_has_no_bias(robot, lam):
    mdp, policy, V, A = robot
    assert np.allclose(ae.expected_gae(mdp.P, mdp.R, policy, V, GAMMA, lam), A)


def test_what_a_critic_says_of_the_end_does_not_count(robot):
    mdp, policy, V, _ = robot
    raised = np.where(mdp.terminal, 100.0, V)
    assert np.array_equal(
        ae.expected_gae(mdp.P, mdp.R, policy, raised, GAMMA, 0.5),
        ae.expected_gae(mdp.P, mdp.R, policy, V, GAMMA, 0.5),
    )


def test_at_lambda_one_a_wrong_critic_shifts_all_actions_of_a_state_alike(robot):
    mdp, policy, V, A = robot
    wrong = np.array([3.0, -1.0, 7.0, 0.0])
    off = (ae.expected_gae(mdp.P, mdp.R, policy, wrong, GAMMA, 1.0) - A)[:3]
    assert np.allclose(off, (V - wrong)[:3, None])


def test_a_constant_error_in_a_world_without_end():
    loop = kc.MDP(np.full((2, 2, 2), 0.5), np.arange(8.0).reshape(2, 2, 2), np.array([1.0, 0.0]))
    policy, c, lam = np.full((2, 2), 0.5), 3.0, 0.7
    V = kc.state_values(loop, policy, GAMMA)
    off = ae.expected_gae(loop.P, loop.R, policy, V + c, GAMMA, lam) - ae.expected_gae(
        loop.P, loop.R, policy, V, GAMMA, lam
    )
    assert np.allclose(off, -c * (1 - GAMMA) / (1 - GAMMA * lam))


def test_rows_are_those_of_a_vector_environment():
    (P, R), policy = ae.robot(), ae.habits()
    rows = ae.play(P, R, policy, limit=4, T=300, seeds=[3, 4])
    over = rows.terminated | rows.truncated
    assert np.array_equal(rows.valid[1:], ~over[:-1]) and rows.valid[0].all()
    assert not (rows.terminated & rows.truncated).any() and rows.terminated.any() and rows.truncated.any()
    assert (rows.rewards[~rows.valid] == 0).all() and not over[~rows.valid].any()
    assert (rows.states[1:][~rows.valid] == 0).all(), "a new life begins with a full battery"
    assert np.array_equal(rows.rewards[rows.valid], (rows.actions == 0)[rows.valid])
    assert (rows.states[1:][rows.terminated] == 3).all() and (rows.states[1:][rows.truncated] != 3).all()
    assert (rows.left[rows.truncated] == 1).all() and rows.left[rows.valid].max() == 4
    alone = ae.play(P, R, policy, limit=4, T=300, seeds=[4])
    assert np.array_equal(alone.states[:, 0], rows.states[:, 1]), "each seed has its own life"


def test_moves_are_as_likely_as_the_tables_say():
    (P, R), policy = ae.robot(), ae.habits()
    rows = ae.play(P, R, policy, limit=50, T=3_000, seeds=list(range(20)))
    s, a, after = (x[rows.valid] for x in (rows.states[:-1], rows.actions, rows.states[1:]))
    for state in range(3):
        share = (a[s == state] == 0).mean()
        assert share == pytest.approx(policy[state, 0], abs=5 * 0.5 / (s == state).sum() ** 0.5)
        for action in range(2):
            n = ((s == state) & (a == action)).sum()
            found = np.bincount(after[(s == state) & (a == action)], minlength=4) / n
            assert np.abs(found - P[state, action]).max() < 5 * 0.5 / n**0.5


def test_folding_the_lost_value_into_the_reward_gives_the_same_estimates(robot):
    mdp, policy, V, _ = robot
    rows = ae.play(mdp.P, mdp.R, policy, limit=6, T=200, seeds=[1, 2, 3])
    ended = rows.terminated | rows.truncated
    folded = ae.folded_rewards(rows.rewards, V[rows.states[1:]], rows.truncated, GAMMA)
    right = gae(rows.rewards, V[rows.states], rows.terminated, rows.truncated, GAMMA, 0.9)
    same = gae(folded, V[rows.states], ended, rows.truncated, GAMMA, 0.9)
    assert np.allclose(same[rows.valid], right[rows.valid], atol=1e-5)
    assert np.array_equal(folded[~rows.truncated], rows.rewards[~rows.truncated])


def test_the_counter_is_cut_after_three_steps():
    world = ae.Counter()
    world.reset(seed=0)
    told = [world.step(0) for _ in range(3)]
    assert [(float(obs[0]), paid, end, cut) for obs, paid, end, cut, _ in told] == [
        (1, 1, False, False), (2, 1, False, False), (3, 1, False, True),
    ]  # fmt: skip
