"""The pendulum: its physics, its episodes, what is recorded of them and how it is drawn."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rlworkshop import envs
from rlworkshop.envs import swing_up


def test_it_keeps_to_gymnasiums_rules():
    check_env(gym.make("SwingUp-v0", render_mode="rgb_array").unwrapped, skip_render_check=False)


def test_a_step_by_hand():
    made = swing_up.SwingUpEnvs(3)
    made.reset(seed=0)
    made.angle, made.speed = np.array([0.0, np.pi / 2, np.pi]), np.array([0.0, 0.0, 9.99])
    obs, reward, *_ = made.step(np.array([[1.0], [0.0], [2.0]]))
    # from rest, upright, full push: half a step at 4, 0.2 rad/s and 0.01 rad, then gravity joins in
    speed = 0.2 + 0.05 * (4 + 10 * np.sin(0.01))
    assert made.speed[0] == pytest.approx(speed) and made.angle[0] == pytest.approx(0.01 + 0.05 * speed)
    assert made.speed[1] == pytest.approx(0.5 + 0.5 * np.sin(np.pi / 2 + 0.025))  # it falls, anticlockwise
    fast = 10 + 0.05 * (4 + 10 * np.sin(np.pi + 0.5))  # half a step ended at 10, as fast as it gets
    assert made.speed[2] == pytest.approx(fast)  # and an action of 2 is one of 1
    assert obs[0] == pytest.approx([np.cos(made.angle[0]), np.sin(made.angle[0]), speed / 10], abs=1e-6)
    assert reward == pytest.approx([-0.016, -((np.pi / 2) ** 2), -(np.pi**2 + 9.98001 + 0.016)], abs=1e-5)


def test_the_motor_cannot_hold_it_sideways():
    made = swing_up.SwingUpEnvs(1)
    made.reset(seed=0)
    made.angle, made.speed = np.array([np.pi]), np.zeros(1)
    heights = [made.step(np.ones((1, 1)))[0][0, 0] for _ in range(swing_up.EPISODE)]
    assert max(heights) < 0.5


def test_episodes_end_together_and_begin_anew_in_a_row_of_their_own():
    made = swing_up.SwingUpEnvs(4)
    made.reset(seed=0)
    for t in range(swing_up.EPISODE):
        last, _, terminated, truncated, _ = made.step(np.zeros((4, 1)))
        assert truncated.all() == (t == swing_up.EPISODE - 1) and not terminated.any()
    first, reward, _, truncated, _ = made.step(np.ones((4, 1)))
    assert not reward.any() and not truncated.any() and not np.allclose(first, last)
    assert (np.abs(first[:, 2]) <= 0.1).all()


def test_a_saved_state_goes_on_bit_for_bit():
    made, other = swing_up.SwingUpEnvs(5), swing_up.SwingUpEnvs(5)
    envs.reset(made, 0)
    envs.reset(other, 1)
    for _ in range(40):
        made.step(np.ones((5, 1)))
    envs.set_state(other, envs.get_state(made))
    for _ in range(70):
        one, two = made.step(np.ones((5, 1))), other.step(np.ones((5, 1)))
        assert all(np.array_equal(a, b) for a, b in zip(one[:4], two[:4], strict=True))
    with pytest.raises(ValueError, match="5 pendulums does not fit 2"):
        swing_up.SwingUpEnvs(2).set_state(made.get_state())


def test_what_is_recorded_is_observation_and_action_of_the_same_step():
    seen, given = [], np.random.default_rng(0).uniform(-1, 1, (swing_up.EPISODE, 3, 1)).astype(np.float32)
    made = swing_up.Rewarded(swing_up.SwingUpEnvs(3), lambda steps: steps[:, 3])
    obs = envs.reset(made, 0)
    for push in given:
        seen.append(obs)
        obs, reward, *_ = made.step(push)
        assert np.array_equal(reward, push[:, 0])
    assert np.array_equal(made.episode, np.concatenate([seen, given], axis=2))
    before = made.episode
    _, reward, *_ = made.step(np.ones((3, 1)))  # the reset row is no step
    assert not reward.any() and made.episode is before
    for push in given:
        made.step(push)
    assert made.episode is not before and np.array_equal(made.episode[:, :, 3:], given)


def test_playing_begins_with_the_first_observation():
    asked = []
    played = swing_up.play(lambda obs: asked.append(obs) or 0.5 * obs[:, :1], 6, 3)
    assert np.array_equal(played[:, :, :3], asked) and np.array_equal(played[:, :, 3], 0.5 * played[:, :, 0])
    assert swing_up.random_episode(6, 3).shape == (swing_up.EPISODE, 6, 4)
    assert np.abs(swing_up.random_episode(500, 3)[:, :, 3].mean()) < 0.02


@pytest.mark.parametrize(("angle", "row", "column"), [(0, 0, 7), (np.pi, 6, 7), (np.pi / 2, 3, 0)])
def test_the_drawings_show_the_angle(angle, row, column):
    clip = np.array([[np.cos(angle), np.sin(angle), 0, 0]] * 3)
    frames = swing_up.letters(clip)
    assert len(frames) == 3 and frames[0].split("\n")[row][column] == "O"  # anticlockwise is to the left
    shown = swing_up.picture(angle)
    y, x = np.argwhere((shown == [40, 60, 110]).all(axis=2)).mean(axis=0) / 119 * 2.6 - 1.3
    assert (x, -y) == pytest.approx((-np.sin(angle), np.cos(angle)), abs=0.03)
    assert f"{-np.degrees(angle):.1f}" in swing_up.svg(clip)


def test_a_drawing_turns_on_where_the_angle_wraps_around():
    angles = np.linspace(2.5, 4.0, 15)
    clip = np.stack([np.cos(angles), np.sin(angles), 0 * angles, 0 * angles], axis=1)
    values = swing_up.svg(clip).split('values="')[1].split('"')[0].split(";")
    turned = np.array(values, float)
    assert len(turned) == 19 and np.abs(np.diff(turned)).max() < 10 and turned[-1] == turned[14]
