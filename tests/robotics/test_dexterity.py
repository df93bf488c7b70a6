"""The hand: its physics, its goals step by step, episodes that end, and states that go on where they were."""

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rlworkshop import envs
from rlworkshop.envs.single import One
from rlworkshop.robotics import dexterity as dx
from rlworkshop.robotics import memory, reality_gap

P = len(dx.PARAMETERS)
STILL = np.zeros((1, 6))


def hand(n=1, **parameters) -> dx.HandEnvs:
    """Hands with one parameter or several changed, their blocks in the middle."""
    row = [parameters.pop(name, 0.0) for name in dx.PARAMETERS]
    made = dx.HandEnvs(n, robots=np.tile(row, (n, 1)), **parameters)
    made.reset(seed=0)
    return made


def put(made: dx.HandEnvs, block=(0.0, 0.0, 0.0), joints=None, velocity=None) -> None:
    """Put the first hand's block, joints and velocities (9,) somewhere."""
    made.data[0].qpos[:3] = block
    made.data[0].qpos[3:] = made.rest[0] if joints is None else joints
    made.data[0].qvel[:] = 0 if velocity is None else velocity
    made.pose[0] = made.data[0].qpos
    made.goal[:] = made.pose[0, 2] + 3.0


# ---------------------------------------------------------------- physics


def test_fingers_are_where_mujoco_puts_them():
    made, rng = hand(), np.random.default_rng(0)
    put(made, joints=rng.uniform(-1, 1, 6))
    model, data = made.models[0], made.data[0]
    mujoco.mj_kinematics(model, data)
    roots, knuckles = data.xpos[[2, 4, 6], :2], data.xpos[[3, 5, 7], :2]
    tips = knuckles + dx.LINKS[1] * data.xmat[[3, 5, 7]].reshape(3, 3, 3)[:, :2, 0]
    assert np.allclose(dx.fingers(made.pose[0]), np.stack([roots, knuckles, tips], axis=1), atol=1e-7)


@pytest.mark.parametrize(("p", "slower"), [(0.0, 1), (1.0, 2), (-1.0, 0.5)])
def test_a_sliding_block_is_braked_by_damping_and_the_tables_friction(p, slower):
    made = hand(table=p)
    put(made, velocity=[0.6, 0, 0, *[0] * 6])
    made.step(STILL)
    v = 0.6
    for _ in range(dx.SUBSTEPS):  # implicit in the damping: (m + h d) v' = m v - h f
        v = max((0.5 * v - 0.01 * slower) / (0.5 + 0.01 * 2), 0.0)
    assert made.data[0].qvel[0] == pytest.approx(v, abs=2e-3)


def test_a_motor_pulls_its_joint_to_the_target_and_a_strong_one_sooner():
    moved = {}
    for strength in (-1.0, 0.0, 1.0):
        made = hand(strength=strength)
        put(made, block=(0.0, 0.0, 0.0))
        action = np.array([[-0.5, 0, 0, 0, 0, 0]])
        start = made.pose[0, 3]
        for _ in range(3):
            made.step(action)
        moved[strength] = made.pose[0, 3] - start
    assert moved[1.0] < moved[0.0] < moved[-1.0] < -0.05
    for _ in range(60):
        made.step(action)
    assert made.pose[0, 3] == pytest.approx(-0.5 * dx.REACH, abs=0.02)


def test_fast_joints_are_those_with_little_damping():
    moved = []
    for speed in (-1.0, 1.0):
        made = hand(speed=speed)
        put(made)
        made.step(np.array([[-1.0, 0, 0, 0, 0, 0]]))
        moved.append(-made.pose[0, 3])
    assert moved[1] > 1.2 * moved[0] > 0


def test_zeros_of_joints_that_are_off_are_seen_by_nobody():
    made = hand(root=1.0, knuckle=-0.5)
    put(made)
    obs, *_ = made.step(STILL)
    assert np.allclose(obs[0, :6], 0, atol=1e-6)
    assert made.pose[0, 3] == pytest.approx(dx.OFFSET, abs=1e-6)
    assert made.pose[0, 4] == pytest.approx(dx.REST[1] - 0.5 * dx.OFFSET, abs=1e-6)


@pytest.mark.parametrize(("size", "shape"), [(0, 0), (1, 0), (0, 1), (-1, -1)])
def test_the_block_has_the_size_and_shape_that_it_was_given(size, shape):
    made = hand(size=size, shape=shape)
    a, b = made.models[0].geom_size[0, :2]
    assert a * b == pytest.approx((0.26 * 1.2**size) ** 2) and a / b == pytest.approx(1.15 ** (2 * shape))
    assert made.models[0].geom_rbound[0] >= np.linalg.norm([a, b])  # or MuJoCo would miss its corners
    assert made.models[0].body_inertia[1, 2] == pytest.approx(0.5 / 3 * (a**2 + b**2))


def test_grip_and_stiction_reach_the_physics_and_the_next_hand_knows_nothing_of_them():
    made, sheet = hand(grip=1.0, stiction=0.2), hand()
    assert np.allclose(made.models[0].geom_friction[:, 0], 1.6)
    assert np.allclose(made.models[0].dof_frictionloss[3:], 0.2)
    assert np.allclose(sheet.models[0].geom_friction[:, 0], 0.8)
    assert not sheet.models[0].dof_frictionloss[3:].any()


def test_the_hand_of_the_data_sheet_is_the_one_of_the_description():
    mine, described = hand().models[0], mujoco.MjModel.from_xml_string(dx.xml())
    for name in ("geom_size", "geom_friction", "dof_frictionloss", "dof_damping", "actuator_gainprm"):
        assert np.array_equal(getattr(mine, name), getattr(described, name)), name


def test_joints_that_stick_move_less():
    moved = []
    for stiction in (0.0, 0.3):
        made = hand(stiction=stiction)
        put(made)
        made.step(np.array([[-0.2, 0, 0, 0, 0, 0]]))
        moved.append(-made.pose[0, 3])
    assert 0 <= moved[1] < 0.9 * moved[0]


@pytest.mark.parametrize(("p", "steps"), [(0, 0), (1 / 3, 1), (1.0, 3), (1.1, 3), (3.0, 4)])
def test_a_target_arrives_after_the_latency(p, steps):
    made, moved = hand(latency=p), []
    put(made)
    for t in range(8):
        made.step(np.array([[-1.0, 0, 0, 0, 0, 0]]) * (t == 0))
        moved.append(abs(made.pose[0, 3]) > 1e-6)
    assert np.argmax(moved) == steps


# ---------------------------------------------------------------- goals and episodes


def test_a_goal_counts_when_the_block_is_near_and_the_next_is_a_turn_further():
    made = hand()
    put(made)
    for way in (1.0, -1.0):
        made.goal[:] = made.pose[0, 2] + 0.24 * way
        _, reward, _, _, info = made.step(STILL)
        assert info["goals"][0] == 1 and reward[0] == pytest.approx(5, abs=1e-3)
        assert made.goal[0] == pytest.approx(made.pose[0, 2] + 1.0)
        made.goal[:] = made.pose[0, 2] + 0.26
        assert made.step(STILL)[4]["goals"][0] == 0


def test_the_way_to_the_goal_goes_the_short_way_round():
    made = hand()
    put(made)
    for goal, off in ((3.0, 3.0), (3.5, 3.5 - 2 * np.pi), (-3.5, 2 * np.pi - 3.5), (2 * np.pi + 0.5, 0.5)):
        made.goal[:] = goal
        assert made.off[0] == pytest.approx(off)


def test_the_reward_is_five_times_the_angle_and_once_the_distance_made_good_less_effort():
    made = hand()
    put(made, block=(0.1, 0.0, 0.0), velocity=[-0.3, 0, 4.0, *[0] * 6])
    action = np.array([[0.0, 0, 0.1, 0, 0, 0]])
    _, reward, *_ = made.step(action)
    turned, nearer = made.pose[0, 2], 0.1 - np.linalg.norm(made.pose[0, :2])
    assert turned > 0.05 and nearer > 0
    assert reward[0] == pytest.approx(5 * turned + nearer - 0.002 * 0.01, abs=1e-5)


def test_a_block_out_of_reach_ends_the_episode_and_the_next_step_begins_another():
    made = hand(2)
    put(made, block=(0.46, 0.0, 0.0))
    _, reward, lost, late, _ = made.step(np.zeros((2, 6)))
    assert lost.tolist() == [True, False] and not late.any() and reward[0] < -0.9
    made.goal[0] = made.pose[0, 2]  # a reset row reaches no goal, wherever the old block was
    obs, reward, lost, late, info = made.step(np.ones((2, 6)))
    assert info["goals"][0] == 0
    assert reward[0] == 0 and not lost.any() and not late.any()
    assert made.clock.tolist() == [0, 2] and np.abs(made.pose[0, :2]).max() <= 0.05
    assert np.array_equal(obs[0, 12:], np.zeros(6)) and np.array_equal(obs[1, 12:], np.ones(6))


def test_an_episode_is_cut_after_150_steps():
    made = hand()
    put(made)
    ends = [made.step(STILL)[2:4] for _ in range(dx.EPISODE)]
    assert [bool(late[0]) for _, late in ends] == [False] * (dx.EPISODE - 1) + [True]
    assert not any(lost[0] for lost, _ in ends)


def test_an_observation_has_what_it_says():
    made = hand()
    put(made, block=(0.03, -0.06, 0.4))
    obs, *_ = made.step(np.full((1, 6), 0.1))
    pose, off = made.pose[0], made.off[0]
    angles = [np.cos(pose[2]), np.cos(off), np.sin(pose[2]), np.sin(off)]
    assert obs[0] == pytest.approx(
        [*(pose[3:] - made.rest[0]), *pose[:2] / 0.3, *angles, *[0.1] * 6], abs=1e-6
    )


def test_the_critic_is_told_parameters_velocities_and_the_time():
    made = hand(size=0.5)
    made.step(np.ones((1, 6)))
    told = made.privileged()[0]
    assert told[0] == 0.5 and told[-1] == 1 / dx.EPISODE
    assert np.array_equal(told[P:-1], made.data[0].qvel / 5) and told[P:-1].any()


# ---------------------------------------------------------------- ranges


def test_real_hands_are_all_far_from_the_data_sheet_and_never_early():
    robots = dx.real_hands(300, 0)
    assert (np.abs(robots) >= 0.5).all() and (np.abs(robots) <= 1.1).all()
    assert (robots[:, -1] > 0).all() and (robots[:, :-1] < 0).any(axis=0).all() and robots.max() > 1.05


def test_hands_are_drawn_anew_for_each_episode_within_their_range():
    made = dx.HandEnvs(40, -1.0, 0.5)
    made.reset(seed=0)
    first = made.parameters
    made.reset()
    assert (made.parameters != first).mean() > 0.9
    assert made.parameters.min() >= -1 and made.parameters.max() <= 0.5 and made.parameters[:, -1].min() >= 0
    with pytest.raises(ValueError, match="low is above high"):
        dx.HandEnvs(2, 1.0, 0.0)


# ---------------------------------------------------------------- one and many


@pytest.mark.parametrize("env_id", ["Hand-v0", "HandRandomized-v0", "HandReal-v0"])
def test_one_hand_is_a_sound_environment(env_id):
    check_env(gym.make(f"rlworkshop.robotics.dexterity:{env_id}").unwrapped, skip_render_check=True)


def test_one_hand_is_the_batch_of_one_step_for_step():
    one, many = dx.Hand(low=-1.0, high=1.0), dx.HandEnvs(1, -1.0, 1.0)
    assert isinstance(one, One)
    seen, _ = one.reset(seed=3)
    obs, _ = many.reset(seed=3)
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert np.array_equal(seen, obs[0])
        action = rng.uniform(-1, 1, 6).astype(np.float32)
        seen, reward, *_ = one.step(action)
        obs, rewards, *_ = many.step(action[None])
        assert reward == rewards[0]


def test_a_state_goes_on_to_the_bit():
    made, rng = dx.HandEnvs(3, -1.0, 1.0, stiction=0.1), np.random.default_rng(0)
    made.reset(seed=1)
    actions = rng.uniform(-1, 1, (40, 3, 6))
    for action in actions[:20]:
        made.step(action)
    state = made.get_state()
    went = [made.step(action)[0] for action in actions[20:]]
    other = dx.HandEnvs(3, -1.0, 1.0, stiction=0.1)
    other.reset(seed=9)
    other.set_state(state)
    assert all(np.array_equal(other.step(a)[0], w) for a, w in zip(actions[20:], went, strict=True))
    with pytest.raises(ValueError, match="3 hands does not fit 2"):
        dx.HandEnvs(2).set_state(state)


def test_pictures_show_fingers_block_and_goal():
    made = hand()
    put(made)
    (picture,) = made.render()
    assert picture.shape == (180, 180, 3) and picture.dtype == np.uint8
    block = (picture == [225, 170, 90]).all(axis=-1)
    width = 2.5 / 180
    assert block.sum() * width**2 == pytest.approx(0.52**2, rel=0.1)  # but for its mark
    assert (picture == [40, 60, 110]).all(axis=-1).sum() * width**2 == pytest.approx(3 * 0.85 * 0.14, rel=0.2)
    made.pose[0, 2] += np.pi / 4
    assert not np.array_equal(made.render()[0], picture)


def test_a_row_of_goals_ends_with_the_block():
    made = dx.HandEnvs(2)

    def lose(obs):
        made.goal[:] = made.pose[:, 2]  # a goal in each step
        if made.clock[0] == 4:
            made.data[0].qpos[:2] = 1.0
        return np.zeros((2, 6))

    row = dx.play(lose, made, 0)
    assert row[0] == 5 and row[1] == dx.EPISODE


def test_a_policy_that_was_trained_for_a_moment_can_be_played():
    env_id = "rlworkshop.robotics.dexterity:HandRandomized-v0"
    config = memory.Config(env_id, num_envs=2, num_steps=dx.EPISODE + 1, num_minibatches=1, total_steps=302)
    agent = memory.load_policy(memory.train(config, 0))
    assert envs.evaluate(agent.act, config.env_id, 2, seed=0).shape == (2,)


def test_hands_are_drawn_as_robots_are():
    low, high = np.array([[-1.1] * P, [0.2] * P]), np.array([[1.1] * P, [0.9] * P])
    drawn, same = (f(np.random.default_rng(0), low, high, 0.5) for f in (dx._draw, reality_gap.draw))
    assert np.array_equal(drawn, same)
