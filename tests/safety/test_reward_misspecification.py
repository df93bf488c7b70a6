"""Vehicles and their pay step by step, and shaping by its theorem, in worlds that are known exactly."""

import dataclasses
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from rlworkshop import envs
from rlworkshop.foundations.dynamic_programming import optimal_values, random_mdp, side_by_side
from rlworkshop.foundations.key_concepts import MDP, action_values, gridworld, state_values
from rlworkshop.safety import reward_misspecification as rm

GAMMA = 0.9


def vehicles(positions, **kwargs) -> rm.HomingEnvs:
    """Vehicles at rest at these places."""
    made = rm.HomingEnvs(len(positions), **kwargs)
    made.reset(seed=0)
    made.position[:] = positions
    return made


def world(seed: int, ends: int = 2, states: int = 6) -> MDP:
    """A random world, of which the last few states are terminal."""
    made = random_mdp(np.random.default_rng(seed), states, 3, 3)
    P, acting = made.P.copy(), np.arange(states) < states - ends
    P[~acting] = 0
    return MDP(P, made.R, acting / acting.sum())


def potential(seed: int, states: int = 6) -> np.ndarray:
    return np.random.default_rng(seed + 1).normal(scale=3, size=states)


# ---------------------------------------------------------------- what a step pays


@pytest.mark.parametrize(
    ("before", "after", "leak", "discount", "paid"),
    [
        (-5.0, -3.0, 0.0, 1.0, 2.0),
        (-3.0, -5.0, 0.0, 1.0, -2.0),
        (-3.0, -5.0, 1.0, 1.0, 0.0),
        (-5.0, -3.0, 1.0, 1.0, 2.0),
        (-3.0, -5.0, 0.25, 1.0, -1.5),
        (-5.0, -5.0, 0.0, 0.9, 0.5),
        (2.0, 4.0, 0.0, 0.5, 0.0),
        (4.0, 2.0, 0.5, 0.5, -2.0),
    ],
)
def test_a_step_is_paid_the_difference_and_forgiven_a_share_of_a_loss(before, after, leak, discount, paid):
    assert rm.shaping(np.array([before]), np.array([after]), discount, leak) == pytest.approx([paid])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=10), st.floats(0, 1))
def test_a_full_leak_pays_gains_only_and_around_a_loop_a_leak_pays_its_share_of_the_way_down(loop, leak):
    phi = np.array([*loop, loop[0]])
    assert np.allclose(rm.shaping(phi[:-1], phi[1:], 1.0, 1.0), np.maximum(np.diff(phi), 0))
    down = np.maximum(-np.diff(phi), 0).sum()
    assert rm.shaping(phi[:-1], phi[1:], 1.0, leak).sum() == pytest.approx(leak * down, abs=1e-9)


@pytest.mark.parametrize(("discount", "leak"), [(1.1, 0.0), (-0.1, 0.0), (1.0, 1.5), (1.0, -0.5)])
def test_shares_outside_0_to_1_are_refused(discount, leak):
    with pytest.raises(ValueError, match="between 0 and 1"):
        rm.HomingEnvs(2, leak, discount)


# ---------------------------------------------------------------- vehicles


def test_a_vehicle_obeys_throttle_and_drag_and_is_paid_wage_and_progress():
    made = vehicles([[1.0, 0.0], [0.1, 0.0], [0.0, -0.5]], leak=1.0)
    made.velocity[2] = [0.0, -1.0]
    obs, reward, _, _, info = made.step(np.array([[-1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]))
    assert obs[0] == pytest.approx([0.96, 0.0, -0.4, 0.0]) and obs[2] == pytest.approx([0, -0.58, 0, -0.8])
    assert reward == pytest.approx([0.4, 0.1, 0.0], abs=1e-6)
    assert info["docked"].tolist() == [False, True, False]
    strict = vehicles([[0.0, -0.5]], discount=0.9)
    strict.velocity[:] = [0.0, -1.0]
    assert strict.step(np.zeros((1, 2)))[1] == pytest.approx([5.0 - 0.9 * 5.8])


def test_throttle_beyond_the_box_counts_as_its_edge():
    one, two = vehicles([[1.0, 0.5]]), vehicles([[1.0, 0.5]])
    assert np.array_equal(one.step(np.array([[5.0, -7.0]]))[0], two.step(np.array([[1.0, -1.0]]))[0])


def test_speed_comes_to_engine_over_drag():
    made = vehicles([[0.0, 0.0]])
    for _ in range(60):
        made.step(np.array([[1.0, 0.0]]))
    assert made.velocity[0] == pytest.approx([2.0, 0.0], rel=1e-4)


def test_episodes_are_cut_off_after_100_steps_and_the_next_row_pays_nothing_and_begins_anew():
    made = vehicles([[0.3, 0.0], [0.0, 0.9]])
    for step in range(1, 203):
        _, reward, terminated, truncated, _ = made.step(np.full((2, 2), 0.5))
        assert truncated.all() == truncated.any() == (step in (100, 201)) and not terminated.any()
        if step == 101:
            assert not reward.any() and not made.velocity.any() and (np.abs(made.position) <= 1).all()


def test_what_nobody_is_paid_for_is_kept_of_each_episode():
    made = vehicles([[0.0, 0.0], [0.9, 0.0]])
    made.velocity[1] = [1.0, 0.0]  # which drag takes away within a few steps
    for step in range(100):
        if step == 74:
            made.position[1] = 0  # in the dock for the last 26 of 50 steps
        if step == 20:
            made.velocity[1] = 0
        made.step(np.array([[0.0, 0.0], [0.0, 0.5 * (step == 99)]]))
    assert made.finished[0] == pytest.approx([1, 0, 0])
    rolled = 0.1 * 0.8 * (1 - 0.8**20) / (1 - 0.8)
    assert made.finished[1] == pytest.approx([0.52, rolled + 0.1 * 0.2, 0.25])
    made.step(np.zeros((2, 2)))
    assert not made.sums.any() and len(made.finished) == 2


def test_one_as_a_single_environment_keeps_to_the_rules_of_gymnasium():
    with warnings.catch_warnings():
        warnings.filterwarnings("error")
        warnings.filterwarnings("ignore", message=".*infinity.*")
        check_env(gym.make("Homing-v0", render_mode="rgb_array", leak=0.5).unwrapped)
    assert envs.make("Homing-v0", 3, leak=0.5).leak == 0.5


def test_a_picture_shows_vehicle_and_dock():
    first, second = vehicles([[0.8, 0.0], [0.0, 0.8]]).render()
    assert tuple(first[80, 119]) == (40, 60, 110) and tuple(second[40, 80]) == (40, 60, 110)
    assert tuple(first[80, 80]) == (240, 170, 160) and tuple(first[10, 10]) == (245, 245, 245)


def test_play_gives_rewards_and_dock_by_step():
    made = rm.HomingEnvs(20, discount=0.97)
    rewards, docked = rm.play(lambda obs: np.clip(-4 * obs[:, :2] - 2 * obs[:, 2:], -1, 1), made, 0)
    assert rewards.shape == docked.shape == (100, 20) and docked[50:].all() and not docked[0].all()
    assert rewards[99] == pytest.approx(0.1, abs=0.02)


# ---------------------------------------------------------------- training


def test_a_training_keeps_policies_and_what_nobody_is_paid_for():
    config = dataclasses.replace(rm.PPO, num_envs=4, batch_size=404, total_steps=4 * 404, lr=0.01)
    run = rm.train_homing(config, 0, leak=1.0, keep_every=2)
    assert len(run.metrics["policies"]) == 2 and len(run.metrics["return"]) == 16
    assert all(run.metrics[name].shape == (16,) for name in ("docked", "way", "effort"))
    obs = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    first, last = rm.policy_of(run, 0).act(obs), rm.policy_of(run, -1).act(obs)
    again = rm.train_homing(dataclasses.replace(config, total_steps=2 * 404), 0, leak=1.0)
    assert np.array_equal(last, rm.ppo.load_policy(run).act(obs)) and not np.array_equal(first, last)
    assert np.array_equal(first, rm.ppo.load_policy(again).act(obs))
    assert not np.array_equal(run.metrics["return"], rm.train_homing(config, 0, leak=0.0).metrics["return"])
    with pytest.raises(ValueError, match="every 0"):
        rm.train_homing(config, 0, leak=1.0, keep_every=0)


def test_an_alarm_goes_off_when_a_number_has_grown_by_its_factor_over_its_smallest():
    assert rm.alarm(np.array([4.0, 2.0, 2.5, 3.1, 5.0]), 1.5) == 3
    assert rm.alarm(np.array([4.0, 2.0, 2.5, 3.0]), 1.5) == 4
    assert rm.alarm(np.array([4.0, 3.0, 2.0, 1.0]), 1.5) == 4
    for guard, factor in (([1.0, 2.0], 1.0), ([1.0, 0.0], 2.0)):
        with pytest.raises(ValueError, match="above"):
            rm.alarm(np.array(guard), factor)


# ---------------------------------------------------------------- the theorem


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 2))
def test_potential_based_shaping_takes_the_potential_off_every_value(seed, ends):
    mdp, phi = world(seed, ends), potential(seed)
    zero = np.where(mdp.terminal, 0, phi)
    other = rm.shaped(mdp, phi, GAMMA)
    for policy in np.random.default_rng(seed).dirichlet(np.ones(3), (3, 6)):
        V, W = state_values(mdp, policy, GAMMA), state_values(other, policy, GAMMA)
        assert np.allclose(W, V - zero)
        acting = ~mdp.terminal
        Q, X = action_values(mdp, V, GAMMA), action_values(other, W, GAMMA)
        assert np.allclose(X[acting], (Q - zero[:, None])[acting])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 2))
def test_best_policies_stay_best_and_are_those_of_policy_iteration(seed, ends):
    mdp = world(seed, ends)
    meant, written = side_by_side([mdp]), side_by_side([rm.shaped(mdp, potential(seed), GAMMA)])
    assert np.array_equal(rm.best_policies(meant, GAMMA), rm.best_policies(written, GAMMA))
    assert np.abs(rm.loss(meant, written, GAMMA)).max() < 1e-9
    best = rm.best_policies(meant, GAMMA)
    V, _ = optimal_values(mdp, GAMMA)
    assert rm.worth(meant, best, GAMMA) == pytest.approx(V[~mdp.terminal].mean())


def test_without_terminal_potentials_of_0_or_the_right_discount_or_with_a_leak_they_do_not():
    for slip in ({"ends_at_zero": False}, {"discount": 1.0}, {"discount": 0.8}, {"leak": 0.5}):
        mdps = [world(seed) for seed in range(60)]
        written = [rm.shaped(m, potential(i), **{"discount": GAMMA, **slip}) for i, m in enumerate(mdps)]
        lost = rm.loss(side_by_side(mdps), side_by_side(written), GAMMA)
        assert lost.min() > -1e-9 and (lost > 1e-6).mean() > 0.1, slip


def test_by_hand_the_slips_send_a_traveller_to_the_smaller_prize_or_nowhere():
    corridor = gridworld("A..S....B", {"A": 1.0, "B": 2.0}, ends="AB")
    closeness = np.array([4, 3, 2, 1, 0, 1, 2, 3, 4])
    moves = {
        name: rm.best_policies(side_by_side([rm.shaped(corridor, closeness, **how)]), GAMMA)[0]
        for name, how in {
            "right": {"discount": GAMMA},
            "kept": {"discount": GAMMA, "ends_at_zero": False},
            "no discount": {"discount": 1.0},
        }.items()
    }
    assert (moves["right"][1:8].argmax(axis=1) == 1).all()
    assert moves["kept"][3].argmax() == 3  # to the left, where the smaller prize is
    assert moves["no discount"][1] == pytest.approx([0.5, 0, 0.5, 0])  # in front of the door, for ever


def test_a_deadline_is_a_terminal_state_and_planning_against_it_is_backward_induction():
    mdp = world(3, ends=0)
    late = rm.with_deadline(mdp, 4)
    assert late.terminal.tolist() == [False] * 24 + [True] * 6 and late.start[:6] == pytest.approx(mdp.start)
    V, found = np.zeros(6), []
    for _ in range(4):
        V = (mdp.r + GAMMA * mdp.P @ V).max(axis=1)
        found.insert(0, V)
    assert optimal_values(late, GAMMA)[0][:24] == pytest.approx(np.concatenate(found))
    phi = np.tile(potential(3), 5)
    meant, kept = side_by_side([late]), side_by_side([rm.shaped(late, phi, GAMMA, ends_at_zero=False)])
    assert rm.loss(meant, side_by_side([rm.shaped(late, phi, GAMMA)]), GAMMA)[0] == pytest.approx(0, abs=1e-9)
    assert rm.loss(meant, kept, GAMMA)[0] > 0.01
    with pytest.raises(ValueError, match="1 or more"):
        rm.with_deadline(mdp, 0)


def test_what_does_not_end_has_to_be_discounted():
    with pytest.raises(ValueError, match="gamma < 1"):
        rm.best_policies(side_by_side([world(0)]), 1.0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.booleans())
def test_nothing_is_left_over_of_potential_based_shaping_whatever_the_agent_did(seed, terminated):
    phi = np.random.default_rng(seed).normal(size=(9, 2))
    given = phi.copy()
    given[-1] *= not terminated
    extra = rm.shaping(given[:-1], given[1:], GAMMA)
    assert rm.leftover(extra, phi, terminated, GAMMA) == pytest.approx([0, 0], abs=1e-12)
    kept = rm.shaping(phi[:-1], phi[1:], GAMMA)
    assert rm.leftover(kept, phi, True, GAMMA) == pytest.approx(GAMMA**8 * phi[-1])
    assert (rm.leftover(rm.shaping(phi[:-1], phi[1:], 1.0, 1.0), phi, False, 1.0) >= 0).all()
    with pytest.raises(ValueError, match="8 rewards lie between 9"):
        rm.leftover(extra, phi[:-1], False, GAMMA)
