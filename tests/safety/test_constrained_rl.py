"""Rovers and their costs step by step, the multiplier by hand, mixtures by brute force, and the shield."""

import dataclasses
import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from rlworkshop import envs as rl_envs
from rlworkshop.safety import constrained_rl as crl

SMALL = crl.Config(num_envs=4, batch_size=200, total_steps=3 * 200 + 4, hidden=(8,))
numbers = st.lists(st.floats(0, 5), min_size=3, max_size=3)


def rovers(positions, **kwargs) -> crl.RoverEnvs:
    """Rovers at rest at these places, their samples far to the upper right."""
    made = crl.RoverEnvs(len(positions), **kwargs)
    made.reset(seed=0)
    made.position[:], made.sample[:] = positions, [1.1, 1.1]
    return made


# ---------------------------------------------------------------- mixtures and their dual


def test_by_hand_the_best_policy_is_random():
    fast, slow = np.array([1.0, 0.2]), np.array([1.0, 0.0])
    assert crl.best_mixture(fast, slow, 0.25) == pytest.approx([0.25, 0.75])
    assert crl.best_mixture(fast, slow, 2.0) == pytest.approx([1, 0])
    assert crl.best_mixture(fast, slow, 0.0) == pytest.approx([0, 1])
    with pytest.raises(ValueError, match="no policy keeps a limit of 0.5"):
        crl.best_mixture(np.array([1.0, 2.0]), np.array([1.0, 2.0]), 0.5)


@settings(max_examples=60, deadline=None)
@given(numbers, numbers, st.floats(0, 5))
def test_a_mixture_keeps_its_limit_and_is_worth_the_smallest_dual(rewards, costs, above):
    rewards, costs = np.array(rewards), np.array(costs)
    limit = costs.min() + above
    mix = crl.best_mixture(rewards, costs, limit)
    assert mix.sum() == pytest.approx(1) and (mix >= 0).all() and costs @ mix <= limit + 1e-9
    grid = np.random.default_rng(0).dirichlet(np.ones(3) * 0.5, 300)
    assert rewards @ mix >= (grid @ rewards)[grid @ costs <= limit].max(initial=-1) - 1e-9
    slack = [crl.dual(rewards, costs, limit, m) - rewards @ mix for m in (0, 0.3, 1, 3, 10)]
    assert min(slack) >= -1e-6
    if above > 0.1:  # no gap: the dual is convex, its smallest value lies at 0 or where two actions tie
        ties = [
            (rewards[i] - rewards[j]) / (costs[i] - costs[j])
            for i in range(3)
            for j in range(3)
            if abs(costs[i] - costs[j]) > 1e-9
        ]
        least = min(crl.dual(rewards, costs, limit, m) for m in [0, *ties] if m >= 0)
        assert least == pytest.approx(rewards @ mix, abs=1e-6)


def test_the_dual_is_the_largest_lagrangian():
    assert crl.dual(np.array([1.0, 0.2]), np.array([1.0, 0.0]), 0.25, 0.5) == pytest.approx(0.625)
    assert crl.dual(np.array([1.0, 0.2]), np.array([1.0, 0.0]), 0.25, 2.0) == pytest.approx(0.7)


def test_a_loop_overshoots_where_its_damping_is_below_one():
    for kp, ki, lag in ((0.0, 0.05, 10.0), (1.0, 0.05, 10.0), (0.0, 0.005, 10.0), (3.0, 0.3, 10.0)):
        damping = (1 + kp) / (2 * np.sqrt(ki * lag))
        assert (crl.linear_loop(kp, ki, lag, 400).min() < -1e-3) == (damping < 1)
    costs = crl.linear_loop(0.5, 0.1, 4.0, 3)
    second = 1 + (1 - 0.1 - 0.5 - 1) / 4
    third = second + (1 - 0.1 * (1 + second) - 0.5 * second - second) / 4
    assert costs == pytest.approx([1, second, third])


# ---------------------------------------------------------------- rovers


def test_a_rover_obeys_throttle_and_drag_is_paid_for_way_and_samples_and_pays_in_the_pit():
    made = rovers([[1.0, 0.0], [0.0, -0.41], [0.0, -0.41], [0.9, 0.9]])
    made.velocity[1:3] = [[0.0, 1.0], [0.0, -1.0]]
    before = np.linalg.norm(made.sample - made.position, axis=1)
    obs, reward, _, _, info = made.step(np.array([[-1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]))
    assert obs[0] == pytest.approx([0.97, 0.0, -0.3, 0.0, 0.13, 1.1, 0.57], abs=1e-6)
    assert obs[1, 1] == pytest.approx(-0.41 + 0.085) and obs[1, 3] == pytest.approx(0.85)
    assert info["cost"].tolist() == [0, 1, 0, 0]
    after = np.linalg.norm([[1.1, 1.1] - made.position[i] for i in range(4)], axis=1)
    assert reward == pytest.approx(before - after, abs=1e-6)


def test_a_sample_is_worth_1_and_another_one_appears_outside_the_pit():
    made = rovers([[0.95, 1.1]])
    reward = made.step(np.zeros((1, 2)))[1]
    assert reward == pytest.approx([1.0])
    assert 0.55 <= np.linalg.norm(made.sample) <= 1.1


def test_throttle_beyond_the_box_counts_as_its_edge():
    one, two = rovers([[1.0, 0.5]]), rovers([[1.0, 0.5]])
    assert np.array_equal(one.step(np.array([[5.0, -7.0]]))[0], two.step(np.array([[1.0, -1.0]]))[0])


def test_episodes_are_cut_off_after_50_steps_and_the_step_after_the_end_costs_and_pays_nothing():
    made = rovers([[0.0, 0.0], [0.1, 0.0]])
    for step in range(1, 103):
        _, reward, terminated, truncated, info = made.step(np.zeros((2, 2)))
        assert truncated.all() == truncated.any() == (step in (50, 101)) and not terminated.any()
        if step <= 50:
            assert (info["cost"] == 1).all()
        if step == 51:
            assert not info["cost"].any() and not reward.any() and not made.velocity.any()
            assert (np.linalg.norm(made.position, axis=1) >= 0.55).all()
            made.position[:] = 0


@pytest.mark.parametrize("name", ["Rover-v0", "RoverShielded-v0"])
def test_one_as_a_single_environment_keeps_to_the_rules_of_gymnasium(name):
    with warnings.catch_warnings():
        warnings.filterwarnings("error")
        warnings.filterwarnings("ignore", message=".*infinity.*")
        check_env(gym.make(name, render_mode="rgb_array").unwrapped)
    assert rl_envs.make(name, 3).look == (crl.LOOK if "Shielded" in name else 0)


def test_nonsense_is_refused():
    for kwargs in ({"look": -1}, {"power": 0.0}):
        with pytest.raises(ValueError, match="look is 0 or more and power above 0"):
            crl.RoverEnvs(2, **kwargs)
    with pytest.raises(ValueError, match="1 or more"):
        crl.shield(np.ones((1, 2)), np.zeros((1, 2)), np.zeros((1, 2)), 0)
    for bad, told in (
        ({"limit": -1.0}, "not negative"),
        ({"limit": np.inf}, "finite"),
        ({"most": 0}, "most"),
    ):
        with pytest.raises(ValueError, match=told):
            crl.Multiplier(**{"limit": 1.0, "kp": 0.1, "ki": 0.1, **bad})
    for bad in ({"num_envs": 0}, {"total_steps": 10}, {"gamma": 1.5}, {"lr": 0.0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            dataclasses.replace(SMALL, **bad)


def test_a_picture_shows_rover_pit_and_sample():
    (picture,) = rovers([[0.7, 0.0]]).render()
    assert tuple(picture[80, 119]) == (40, 60, 110) and tuple(picture[80, 80]) == (240, 170, 160)
    assert tuple(picture[17, 142]) == (60, 150, 90) and tuple(picture[150, 10]) == (245, 245, 245)


# ---------------------------------------------------------------- the shield


def wild(look: int, power: float = 1.0, steps: int = 300) -> tuple[float, crl.RoverEnvs]:
    """Cost of 60 rovers at random full throttle, each direction for eight steps."""
    made, rng, cost = crl.RoverEnvs(60, look=look, power=power), np.random.default_rng(0), 0.0
    made.reset(seed=0)
    for step in range(steps):
        throttle = rng.choice([-1.0, 1.0], (60, 2)) if step % 8 == 0 else throttle  # noqa: F821
        cost += made.step(throttle)[4]["cost"].sum()
    return cost / 60 / steps, made


def test_a_shield_that_looks_until_it_stands_is_never_wrong_about_what_it_knows():
    assert wild(crl.LOOK)[0] == 0 < wild(0)[0]
    assert wild(1)[0] > 0.05 and wild(crl.LOOK, power=0.6)[0] > 0.01


def test_a_brake_stops_from_any_speed_within_what_is_looked_at():
    position, velocity = np.zeros((2, 2)), np.array([[2.0, -2.0], [0.3, 0.0]])
    for step in range(crl.LOOK):
        position, velocity = crl.drive(position, velocity, crl.brake(velocity))
        assert step or np.abs(velocity[1]).max() < 1e-12
    assert np.abs(velocity).max() < 1e-12


def test_safe_actions_are_left_alone_and_others_replaced_by_the_nearest_safe_one():
    places, speeds = (
        np.array([[1.0, 0.0], [0.45, 0.0], [0.0, 0.0]]),
        np.array([[0.0, 0], [-0.3, 0], [0.5, 0]]),
    )
    wish = np.array([[-1.0, 0.2], [-0.1, 0.9], [1.0, 0.0]])
    done = crl.shield(places, speeds, wish, crl.LOOK)
    assert np.array_equal(done[0], wish[0]) and done[2] == pytest.approx(crl.brake(speeds[2]))
    assert crl.can_stop(places[1], speeds[1], done[1], crl.LOOK)
    assert np.linalg.norm(done[1] - wish[1]) < np.linalg.norm(crl.brake(speeds[1]) - wish[1])


def test_rovers_say_where_the_shield_stepped_in():
    made = rovers([[0.42, 0.0], [1.0, 0.0]], look=crl.LOOK)
    made.step(np.array([[-1.0, 0.0], [-1.0, 0.0]]))
    assert made.replaced.tolist() == [True, False]


# ---------------------------------------------------------------- the multiplier


def test_with_an_integral_alone_a_multiplier_climbs_by_the_excess_and_never_below_0():
    rises = crl.Multiplier(limit=1.0, kp=0.0, ki=0.1)
    assert [rises.update(c) for c in (4.0, 3.0, 0.0)] == pytest.approx([0.3, 0.5, 0.4])
    falls = crl.Multiplier(limit=1.0, kp=0.0, ki=0.1)
    # forty thrifty batches are not saved up: the first excess counts at once
    assert [falls.update(0.0) for _ in range(40)] == [0.0] * 40 and falls.update(3.0) == pytest.approx(0.2)


def test_a_proportional_term_answers_at_once_and_forgets_at_once():
    both = crl.Multiplier(limit=1.0, kp=2.0, ki=0.1)
    assert [both.update(c) for c in (4.0, 1.0, 0.9, 0.0)] == pytest.approx([6.3, 0.3, 0.09, 0.0])
    assert both.total == pytest.approx(0.19)


def test_neither_multiplier_nor_integral_go_above_the_most():
    high = crl.Multiplier(limit=0.0, kp=0.0, ki=1.0, most=2.0)
    assert [high.update(5.0) for _ in range(3)] == [2.0] * 3 and high.total == 2.0
    assert crl.Multiplier(limit=0.0, kp=9.0, ki=0.0, most=2.0).update(5.0) == 2.0


def test_costs_of_an_episode_leave_out_the_step_after_the_end():
    costs = np.array([[1.0, 0.0], [1.0, 1.0], [7.0, 7.0], [1.0, 0.0], [0.0, 0.0], [7.0, 7.0]])
    valid = np.array([True, True, False, True, True, False])[:, None] & np.ones(2, bool)
    ended = np.array([False, True, False, False, True, False])[:, None] & np.ones(2, bool)
    assert crl.episode_cost(costs, valid, ended, 0.5) == pytest.approx(1.0)
    assert crl.discounted_cost(costs, valid, ended, 0.5) == pytest.approx((1.5 + 1 + 0.5) / 4)
    with pytest.raises(ValueError, match="no episode ends"):
        crl.episode_cost(costs, valid, ended & False, 0.5)


def test_the_advantage_of_a_costly_action_falls_with_the_multiplier():
    gain, cost = torch.tensor([1.0, 1.0]), torch.tensor([0.0, 2.0])
    assert crl.lagrangian_advantage(gain, cost, 0.0).tolist() == [1.0, 1.0]
    assert crl.lagrangian_advantage(gain, cost, 1.5).tolist() == [1.0, -2.0]


# ---------------------------------------------------------------- training


def test_a_training_tells_costs_and_multipliers_and_keeps_a_policy():
    run = crl.train(dataclasses.replace(SMALL, free_updates=1), 0)
    m = run.metrics
    assert len(m["cost"]) == 3 and m["multiplier"][0] == 0 and len(m["return"]) == 12
    assert m["batch_return"] == pytest.approx(m["return"].reshape(3, 4).mean(axis=1), abs=1e-4)
    by_hand = crl.Multiplier(1.0, SMALL.kp, SMALL.ki)
    assert m["multiplier"][1:] == pytest.approx([by_hand.update(c) for c in m["cost"][1:]])
    assert np.array_equal(m["measured"], m["cost"])
    again = crl.train(dataclasses.replace(SMALL, free_updates=1), 0)
    obs = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    assert np.array_equal(crl.load_policy(run).act(obs), crl.load_policy(again).act(obs))
    other = crl.train(SMALL, 0, measure=crl.discounted_cost)
    assert (other.metrics["measured"] <= other.metrics["cost"]).all()
    assert (other.metrics["measured"] < other.metrics["cost"]).any()


def test_an_interrupted_training_goes_on_with_its_multiplier(
    tmp_path, monkeypatch
):  # a copied file keeps no checkpoint
    config, path = dataclasses.replace(SMALL, limit=0.0), tmp_path / "checkpoint.npz"
    short = dataclasses.replace(config, total_steps=2 * 200 + 4)
    before = crl.train(short, 0, checkpoint=path, checkpoint_every=1, keep_checkpoint=True)
    after = crl.train(config, 0, checkpoint=path, checkpoint_every=1)
    costs = after.metrics["cost"]
    by_hand = crl.Multiplier(0.0, config.kp, config.ki)
    assert len(before.metrics["cost"]) == 2 and np.array_equal(costs[:2], before.metrics["cost"])
    assert after.metrics["multiplier"] == pytest.approx([by_hand.update(c) for c in costs])


class Halves(gym.Env):
    """One step: to the left pays 2, to the right 1, and one of the two has a cost."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)
    costly = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {"cost": 0.0}

    def step(self, action):
        cost = float(action == self.costly)
        return np.zeros(1, np.float32), 2.0 - action, True, False, {"cost": cost}


class CostlyRight(Halves):
    """The right is worse in both ways."""

    costly = 1


@pytest.mark.parametrize(
    ("world", "ki", "low", "high"), [(Halves, 0, 0.8, 1), (Halves, 1, 0, 0.2), (CostlyRight, 1, 0, 0.2)]
)
def test_a_large_multiplier_teaches_to_leave_out_what_costs(world, ki, low, high):
    many = {"num_envs": 8, "num_steps": 64, "total_steps": 8 * 64 * 8, "batch_size": 128, "lr": 1e-2}
    run = crl.train(dataclasses.replace(SMALL, kp=0.0, ki=ki, limit=0.0, **many), 0, envs=world)
    assert low <= run.metrics["cost"][-1] <= high


def test_an_environment_without_costs_is_refused():
    with pytest.raises(ValueError, match='no info\\["cost"\\]'):
        crl.train(dataclasses.replace(SMALL, env_id="Pendulum-v1"), 0)
