"""Pucks on tables: their physics by closed forms, their episodes step by step, and what identifies them."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from rlworkshop import envs
from rlworkshop.envs.single import One
from rlworkshop.robotics import reality_gap as rg

DT = rg.DT
STILL = np.zeros((1, 2))


def table(parameters=(0, 0, 0, 0, 0, 0), n=1, **kwargs) -> rg.PuckEnvs:
    """Tables with one robot each, whose pucks lie still in the middle and whose goals are far away."""
    made = rg.PuckEnvs(n, robots=np.tile(np.array(parameters, float), (n, 1)), **kwargs)
    made.reset(seed=0)
    made.position[:], made.goal[:] = 0, 50
    return made


def pushed(made: rg.PuckEnvs, pushes: list) -> np.ndarray:
    """Velocities (T+1, 2) of the first puck under ``pushes``."""
    found = [made.velocity[0]]
    for push in pushes:
        made.step(np.tile(np.array(push, float), (made.num_envs, 1)))
        found.append(made.velocity[0])
    return np.array(found)


# ---------------------------------------------------------------- physics


@pytest.mark.parametrize("p", [-1.0, 0.0, 0.7])
def test_a_puck_left_alone_loses_a_fixed_share_of_its_velocity_in_each_step(p):
    made = table((0, p, 0, 0, 0, 0))
    made.velocity[:] = [1.0, -2.0]
    found = pushed(made, [(0, 0)] * 5)
    assert found[5] == pytest.approx(np.array([1.0, -2.0]) * (1 - DT * 2 * 2**p) ** 5)


@pytest.mark.parametrize("p", [-1.0, 0.0, 1.0])
def test_under_a_constant_push_it_comes_to_gain_over_damping(p):
    found = pushed(table((p, 0.5, 0, 0, 0, 0)), [(1, 0)] * 140)
    assert found[1] == pytest.approx([DT * 6 * 2**p, 0])
    assert found[-1] == pytest.approx([6 * 2**p / (2 * 2**0.5), 0], rel=1e-4)


def test_a_tilted_table_pulls_without_a_push():
    found = pushed(table((0, 0, 1.0, -0.5, 0, 0)), [(0, 0)])
    assert found[1] == pytest.approx(DT * 1.5 * np.array([1.0, -0.5]))


def test_a_turned_camera_turns_the_push_anticlockwise():
    found = pushed(table((0, 0, 0, 0, 1.0, 0)), [(1, 0)])
    assert found[1] == pytest.approx(DT * 6 * np.array([0.5**0.5, 0.5**0.5]))


@pytest.mark.parametrize(("p", "steps"), [(0, 0), (1 / 4.5, 1), (1.0, 4), (1.1, 5), (3.0, 7)])
def test_a_push_arrives_after_the_latency_and_not_before(p, steps):
    moved = pushed(table((0, 0, 0, 0, 0, p)), [(1, 0)] + [(0, 0)] * 9)
    assert np.flatnonzero(moved[:, 0])[0] == steps + 1
    assert moved[steps + 1, 0] == pytest.approx(DT * 6)


def test_stiction_opposes_motion_and_fades_at_rest():
    found = pushed(table(stiction=0.5), [(0.05, 0)] * 30)
    free = pushed(table(), [(0.05, 0)] * 30)
    assert 0 < found[-1, 0] < 0.2 * free[-1, 0]
    assert pushed(table(stiction=0.5), [(0, 0)])[1] == pytest.approx([0, 0])


def test_pushes_beyond_the_box_count_as_its_edge():
    assert np.array_equal(pushed(table(), [(5, -7)]), pushed(table(), [(1, -1)]))


# ---------------------------------------------------------------- episodes


def test_an_observation_is_position_half_velocity_way_to_go_last_push_and_parameters_where_told():
    made = table((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), told=True)
    made.position[:], made.goal[:] = [0.2, 0.1], [1.0, 2.0]
    obs, *_ = made.step(np.array([[0.5, -0.25]]))
    expected = [*made.position[0], *made.velocity[0] / 2, *(made.goal - made.position)[0], 0.5, -0.25]
    assert obs[0] == pytest.approx([*expected, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert made.observation_space.contains(obs)


def test_a_goal_counts_after_six_steps_near_it_and_a_new_one_comes():
    made = table()
    made.goal[:] = [0.1, 0.0]
    for step in range(1, 8):
        old = made.goal.copy()
        _, reward, _, _, info = made.step(STILL)
        assert info["goals"][0] == (step == 6) and reward[0] == (step == 6)
        assert np.array_equal(made.goal, old) == (step != 6)


def test_a_step_outside_begins_the_count_anew():
    made, hits = table(), []
    made.goal[:] = [0.1, 0.0]
    for step in range(12):
        if step == 3:
            made.position[:] = [1.0, 1.0]
        if step == 4:
            made.position[:] = [0.0, 0.0]
        hits.append(int(made.step(STILL)[4]["goals"][0]))
    assert hits == [0] * 9 + [1, 0, 0]


def test_the_reward_is_twice_the_way_made_good_less_effort():
    made = table()
    made.goal[:] = [3.0, 0.0]
    made.velocity[:] = [1.0, 0.0]
    _, reward, *_ = made.step(np.array([[1.0, 0.5]]))
    left = np.linalg.norm(made.goal - made.position)
    assert reward[0] == pytest.approx(2 * (3.0 - left) - 0.02 * 1.25, abs=1e-6)


def test_episodes_are_cut_off_after_150_steps_and_the_next_row_begins_a_new_one():
    made = rg.PuckEnvs(3, -1.0, 1.0)
    made.reset(seed=1)
    rng, rows = np.random.default_rng(0), []
    for _ in range(302):
        before = made.parameters.copy()
        obs, reward, terminated, truncated, _ = made.step(rng.uniform(-1, 1, (3, 2)))
        rows.append((truncated.all(), (before != made.parameters).any(), np.abs(reward).max(), obs))
        assert not terminated.any() and truncated.all() == truncated.any()
    assert [t for t, row in enumerate(rows) if row[0]] == [149, 300]
    assert [t for t, row in enumerate(rows) if row[1]] == [150, 301]
    assert rows[150][2] == 0 and np.abs(rows[150][3][:, :2]).max() <= 1  # where episodes begin
    assert not rows[150][3][:, [2, 3, 6, 7]].any()  # at rest, without a past


def test_one_as_a_single_environment_is_the_batch_of_one_step_for_step():
    one, many = gym.make("PuckRandomized-v0").unwrapped, rg.PuckEnvs(1, -1.0, 1.0)
    obs, _ = one.reset(seed=3)
    seen, _ = many.reset(seed=3)
    rng, over = np.random.default_rng(0), False
    for _ in range(400):
        assert np.array_equal(obs, seen[0])
        push = rng.uniform(-1, 1, 2).astype(np.float32)
        if over:
            (obs, info), reward, over = one.reset(), 0.0, False
        else:
            obs, reward, _, over, info = one.step(push)
        seen, rewards, _, truncated, infos = many.step(push[None])
        assert (reward, over, info["goals"]) == (rewards[0], truncated[0], infos["goals"][0])


def test_it_keeps_to_the_rules_of_gymnasium():
    with warnings.catch_warnings():
        warnings.filterwarnings("error")
        warnings.filterwarnings("ignore", message=".*infinity.*")
        check_env(gym.make("Puck-v0", render_mode="rgb_array").unwrapped)


def test_a_batch_of_two_is_no_single_environment():
    with pytest.raises(ValueError, match="not 2"):
        One(rg.PuckEnvs(2))


def test_a_saved_state_goes_on_bit_for_bit():
    made, other, rng = rg.PuckEnvs(4, -1.0, 1.0), rg.PuckEnvs(4, -1.0, 1.0), np.random.default_rng(0)
    pushes = rng.uniform(-1, 1, (200, 4, 2))
    made.reset(seed=5)
    other.reset(seed=6)
    for push in pushes[:70]:
        made.step(push)
    envs.set_state(other, envs.get_state(made))
    for push in pushes[70:]:
        one, two = made.step(push), other.step(push)
        assert all(np.array_equal(a, b) for a, b in zip(one[:4], two[:4], strict=True))
    with pytest.raises(ValueError, match="4 tables does not fit 2"):
        rg.PuckEnvs(2).set_state(made.get_state())


def test_a_range_the_wrong_way_round_is_refused():
    with pytest.raises(ValueError, match="low is above high"):
        rg.PuckEnvs(2, 0.5, -0.5)


def test_a_picture_shows_puck_and_goal():
    made = table(n=2)
    made.position[1], made.goal[:] = [1.0, 1.0], [-1.0, 0.0]
    first, second = made.render()
    dark, row, column = (40, 60, 110), 99, 149
    assert tuple(first[99, 100]) == dark and tuple(second[50, 149]) == dark
    assert tuple(first[row, column]) == (245, 245, 245)
    ring = (first == (200, 60, 50)).all(axis=-1)
    assert ring.any() and abs(np.nonzero(ring)[1].mean() - 49.5) < 1.5


# ---------------------------------------------------------------- which robots there are


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 0.9))
def test_robots_are_drawn_uniformly_between_their_bounds_and_outside_the_hole(seed, hole):
    low, high = np.full((2000, 2), -1.0), np.array([1.0, 2.0]) * np.ones((2000, 2))
    found = rg.draw(np.random.default_rng(seed), low, high, hole)
    assert (found >= low).all() and (found <= high).all() and (np.abs(found) >= hole - 1e-9).all()
    share = (found[:, 1] < 0).mean()  # of what lies below: 1 - hole of 3 - 2 hole
    assert abs(share - (1 - hole) / (3 - 2 * hole)) < 0.06


def test_real_robots_are_all_far_from_the_data_sheet():
    found = rg.real_robots(4000, 0)
    assert (np.abs(found) >= 0.5).all() and (np.abs(found) <= 1.1).all() and (found[:, 5] > 0).all()
    assert 0.4 < (found[:, 0] < 0).mean() < 0.6
    assert 0.5 < (np.abs(found) > 1).any(axis=1).mean() < 0.8  # 1 - (5/6)^6 of them leave the range somewhere
    real = envs.make("PuckReal-v0", 64)
    envs.reset(real, 0)
    assert (np.abs(real.parameters) >= 0.5).all() and real.stiction == rg.STICTION


def test_each_world_is_what_it_is_called():
    for name, wide in (("Puck-v0", False), ("PuckRandomized-v0", True), ("PuckTold-v0", True)):
        made = envs.make(f"rlworkshop.robotics.reality_gap:{name}", 500)
        obs = envs.reset(made, 0)
        assert made.parameters.any() == wide and np.abs(made.parameters).max() <= 1 and made.stiction == 0
        assert (obs.shape[1] == 14) == (name == "PuckTold-v0")
    assert np.array_equal(obs[:, 8:], made.parameters.astype(np.float32))


def test_play_counts_goals_by_step():
    made = rg.PuckEnvs(50)
    goals = rg.play(lambda obs: np.clip(4 * obs[:, 4:6] - 4 * obs[:, 2:4], -1, 1), made, 0)
    assert goals.shape == (150, 50) and goals.sum(axis=0).mean() > 3
    again = rg.play(lambda obs: np.zeros((50, 2)), made, 0)
    assert again.sum() < goals.sum() / 10


# ---------------------------------------------------------------- identification


def driven(robots: np.ndarray, stiction: float, seed: int, steps: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Velocities (T+1, N, 2) and random pushes (T, N, 2)."""
    made, rng = rg.PuckEnvs(len(robots), robots=robots, stiction=stiction), np.random.default_rng(seed)
    made.reset(seed=seed)
    velocity, push = [made.velocity], rng.uniform(-1, 1, (steps, len(robots), 2))
    for one in push:
        made.step(one)
        velocity.append(made.velocity)
    return np.array(velocity), push


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_without_stiction_identification_is_exact(seed):
    robots = rg.real_robots(20, seed)
    found = rg.identify(*driven(robots, 0.0, seed))
    steps = np.rint(4.5 * robots[:, 5]) / 4.5  # only whole steps can be seen
    assert np.abs(found[:, :5] - robots[:, :5]).max() < 1e-6 and np.abs(found[:, 5] - steps).max() < 1e-9


def test_stiction_is_taken_for_damping():
    robots = rg.real_robots(200, 1)
    found = rg.identify(*driven(robots, 0.5, 1))
    assert (found[:, 1] > robots[:, 1]).mean() > 0.9
    assert np.abs(found[:, 0] - robots[:, 0]).mean() < 0.05 < (found[:, 1] - robots[:, 1]).mean()
