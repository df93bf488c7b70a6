"""Time steps in closed form, late actions step by step, arms by statics; pictures with and without OpenGL."""

import importlib
import math
import types

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rlworkshop import envs
from rlworkshop.robotics import robots_as_rl as rr

# ---------------------------------------------------------------- time steps


def test_a_small_swing_takes_the_time_of_the_textbook_and_a_large_one_longer():
    assert rr.period(1e-4, 0.5) == pytest.approx(2 * math.pi * math.sqrt(0.5 / 9.81), rel=1e-8)
    assert rr.period(math.pi / 2, 1.0) / rr.period(1e-6, 1.0) == pytest.approx(1.18034, rel=1e-5)
    assert rr.period(1.0, 1.0, g=4 * 9.81) == pytest.approx(rr.period(1.0, 1.0) / 2)


def test_euler_of_mujoco_is_semi_implicit_to_the_last_digits():
    angle, velocity = rr.swing("Euler", 0.01, 0.3, 1.2, 0.7)
    mine = (1.2, 0.0)
    for k in range(31):
        assert (angle[k], velocity[k]) == pytest.approx(mine, abs=1e-9)
        mine = rr.semi_implicit(*mine, 0.01, 0.7)


def test_one_step_by_hand():
    angle, velocity = rr.semi_implicit(math.pi / 2, 0.0, 0.02, 9.81, g=9.81)
    assert (angle, velocity) == pytest.approx((math.pi / 2 - 0.0004, -0.02))


def test_a_pendulum_is_at_the_bottom_after_a_quarter_of_its_period():
    length = (2 / rr.period(1.0, 1.0)) ** 2
    angle, velocity = rr.swing("RK4", 0.005, 0.5, 1.0, length)
    assert abs(angle[-1]) < 1e-7
    assert velocity[-1] == pytest.approx(-math.sqrt(2 * 9.81 / length * (1 - math.cos(1.0))), rel=1e-6)


def test_a_time_that_is_no_number_of_steps_is_refused():
    with pytest.raises(ValueError, match="no whole number"):
        rr.swing("Euler", 0.03, 0.1, 1.0, 1.0)


@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_a_box_at_rest_presses_on_the_floor_with_its_weight_across_the_slope(slope):
    text = f"""<mujoco><compiler angle="radian"/><worldbody>
      <geom type="plane" size="5 5 1" euler="0 {slope} 0" friction="2 0.1 0.1"/>
      <body pos="{0.099 * math.sin(slope)} 0 {0.099 * math.cos(slope)}" euler="0 {slope} 0"><freejoint/>
      <geom type="box" size="0.2 0.2 0.1" mass="3" friction="2 0.1 0.1"/></body></worldbody></mujoco>"""
    model = mujoco.MjModel.from_xml_string(text)
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, 1000)
    expected = 3 * 9.81 * math.cos(slope) ** 2  # the upward part of the force along the normal
    assert rr.floor_force(model, data) == pytest.approx(expected, rel=0.01)


def test_a_landing_hopper_is_carried_by_the_floor_on_average_and_weightless_before():
    force = rr.landing(0.005, 3.0)
    assert force.mean() == pytest.approx(1, abs=0.03) and force.max() > 5 and len(force) == 600


# ---------------------------------------------------------------- late and noisy


class Recorder(gym.Env):
    """Keeps the actions that arrive; observes the number of steps, twice."""

    observation_space = gym.spaces.Box(-9, 9, (2,), np.float64)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.got = []
        return np.zeros(2), {}

    def step(self, action):
        self.got.append(float(action[0]))
        return np.full(2, len(self.got), float), 0.0, False, False, {}


@pytest.mark.parametrize("delay", [0, 1, 3])
@pytest.mark.parametrize("remember", [0, 2, 5])
def test_actions_arrive_late_and_the_last_ones_are_seen_oldest_first(delay, remember):
    env = rr.Hardware(Recorder(), delay, remember)
    for _ in range(2):  # what was under way in the first episode does not arrive in the second
        obs, _ = env.reset(seed=0)
        assert not obs.any() and env.observation_space.contains(obs)
        sent = [round(0.1 * k, 1) for k in range(1, 8)]
        for t, action in enumerate(sent, 1):
            obs, *_ = env.step(np.array([action]))
            assert obs[:2].tolist() == [t, t]
            assert obs[2:] == pytest.approx(([0.0] * remember + sent[:t])[len(sent[:t]) :][-remember or 99 :])
        assert env.env.got == pytest.approx(([0.0] * delay + sent)[: len(sent)])
    assert env.observation_space.shape == (2 + remember,)
    assert env.observation_space.high[2:].tolist() == [1] * remember


def test_noise_has_the_size_asked_for_and_spares_the_remembered_actions():
    env = rr.Hardware(Recorder(), remember=1, noise=[0.5, 0.0])
    env.reset(seed=1)
    seen = np.array([env.step(np.array([0.25]))[0] for _ in range(3000)])
    steps = np.arange(1, 3001)
    assert (seen[:, 0] - steps).std() == pytest.approx(0.5, rel=0.06)
    assert np.abs((seen[:, 0] - steps).mean()) < 0.05
    assert np.array_equal(seen[:, 1], steps) and (seen[:, 2] == 0.25).all()


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="not negative"):
        rr.Hardware(Recorder(), delay=-1)
    with pytest.raises(ValueError, match="not negative"):
        rr.Hardware(Recorder(), remember=-1)
    with pytest.raises(ValueError, match="choose from torque, position, delta"):
        rr.Arm("pose")


def test_a_saved_state_goes_on_with_the_actions_under_way():
    made, other = (envs.make("rlworkshop.robotics.robots_as_rl:PoleLateTold-v0", 2) for _ in range(2))
    envs.reset(made, 3)
    envs.reset(other, 4)
    pushes = np.random.default_rng(0).uniform(-1, 1, (12, 2, 1)).astype(np.float32)
    for push in pushes[:5]:
        made.step(push)
        other.step(-push)
    envs.set_state(other, envs.get_state(made))
    for push in pushes[5:]:
        assert np.array_equal(made.step(push)[0], other.step(push)[0])


@pytest.mark.parametrize("actions", rr.ACTIONS)
def test_an_arm_goes_on_from_a_saved_state_into_the_next_episode(actions):
    made, other = rr.Arm(actions), rr.Arm(actions)
    made.reset(seed=1)
    other.reset(seed=2)
    moves = np.random.default_rng(0).uniform(-1, 1, (20, 2))
    for move in moves[:10]:
        made.step(move)
    other.set_state(made.get_state())
    for move in moves[10:]:
        assert np.array_equal(made.step(move)[0], other.step(move)[0])
    assert np.array_equal(made.reset()[0], other.reset()[0])


def test_a_pole_decides_as_often_as_asked():
    for timestep, skip in ((0.02, 2), (0.01, 3)):
        env = rr.pole(timestep, skip)
        env.reset(seed=0)
        env.step(np.zeros(1))
        assert env.unwrapped.dt == pytest.approx(timestep * skip)
        assert env.unwrapped.data.time == pytest.approx(timestep * skip)


def test_each_pole_is_what_it_is_called():
    for name, delay, remember in (("Pole", 0, 0), ("PoleLate", 3, 0), ("PoleLateTold", 3, 3)):
        env = gym.make(f"rlworkshop.robotics.robots_as_rl:{name}-v0")
        assert env.observation_space.shape == (4 + remember,)
        hardware = next(e for e in (env.env, env.env.env, env.env.env.env) if isinstance(e, rr.Hardware))
        assert hardware.delay == delay and env.spec.max_episode_steps == 500
        obs, _ = env.reset(seed=0)
        moved = []
        for _ in range(5):
            moved.append(abs(env.step(np.ones(1, np.float32))[0][2]) > 0.2)  # the cart's velocity
        assert moved.index(True) == delay


@pytest.mark.parametrize(("timestep", "skip", "delay"), [(0.02, 2, 0), (0.02, 2, 2), (0.01, 5, 1)])
def test_the_age_of_a_command_is_what_a_clock_says(timestep, skip, delay):
    step = timestep * skip
    now = (np.arange(1000) + 0.5) / 200  # five steps, in steps
    seen = np.floor(now) - delay  # when the observation was made whose action acts now
    assert rr.command_age(timestep, skip, delay) == pytest.approx(step * (now - seen).mean())


# ---------------------------------------------------------------- arms


def test_it_keeps_to_the_rules_of_gymnasium():
    with pytest.warns(UserWarning) as caught:
        check_env(rr.Arm("delta"), skip_render_check=True)
    assert all("infinity" in str(one.message) for one in caught)


def test_forward_kinematics_agree_with_the_model_and_straight_down_is_straight_down():
    arm = rr.Arm()
    assert rr.tip(np.zeros(2)) == pytest.approx([0, 0, -0.8])
    for angles in ([0.3, -0.4], [1.5, 2.0], [-1.0, 0.9]):
        arm.data.qpos[:] = angles
        mujoco.mj_forward(arm.model, arm.data)
        assert arm.data.site_xpos[0] == pytest.approx(rr.tip(np.array(angles)))


def test_an_observation_is_angles_a_tenth_of_velocities_command_tip_and_way_to_the_target():
    arm = rr.Arm("position")
    arm.reset(seed=2)
    obs, reward, terminated, truncated, _ = arm.step(np.array([0.4, -0.2]))
    data = arm.data
    place, goal = data.site_xpos[0, ::2], data.mocap_pos[0, ::2]
    parts = [*data.qpos, *data.qvel / 10, 0.4, -0.2, *place, *(goal - place)]
    assert obs == pytest.approx(parts) and not terminated and not truncated
    assert reward == pytest.approx(-np.linalg.norm(goal - place))
    assert data.time == pytest.approx(0.04)


def test_targets_can_be_reached_and_the_arm_begins_near_straight_down():
    arm, far = rr.Arm("delta"), []
    for seed in range(50):
        obs, _ = arm.reset(seed=seed)
        assert np.abs(obs[:2]).max() <= 0.1 and not obs[2:4].any()
        assert arm.data.ctrl == pytest.approx(obs[:2])  # a servo begins where the joint is
        far.append(np.linalg.norm(arm.data.mocap_pos[0]))
    assert max(far) <= 0.8 and np.ptp(far) > 0.2


def test_commands_are_torques_angles_or_steps_of_the_set_point():
    action = np.array([0.5, -1.0])
    assert rr.Arm("torque").command(action) == pytest.approx([10, -10])
    assert rr.Arm("position").command(action) == pytest.approx([1.25, -2.5])
    arm = rr.Arm("delta")
    arm.data.ctrl[:] = [1.0, -2.45]
    assert arm.command(action) == pytest.approx([1.05, -2.5])  # not beyond the range


def test_actions_beyond_the_box_count_as_its_edge():
    arms = [rr.Arm("torque") for _ in range(2)]
    for arm, action in zip(arms, ([7.0, -7.0], [1.0, -1.0]), strict=True):
        arm.reset(seed=0)
        arm.step(np.array(action))
    assert np.array_equal(arms[0].data.qpos, arms[1].data.qpos)


def test_elbow_and_motors_have_the_limits_that_the_page_says_in_radians_and_newton_metres():
    arm = rr.Arm("position")
    assert arm.model.jnt_range[1] == pytest.approx([-2.6, 2.6])
    assert arm.model.actuator_forcerange[:, 1] == pytest.approx([20, 10])
    assert rr.Arm("torque").model.actuator_ctrlrange[:, 1] == pytest.approx([20, 10])


def test_the_servo_in_the_joint_computes_the_same_formula():
    arm = rr.Arm("position")
    arm.data.qpos[:], arm.data.qvel[:], arm.data.ctrl[:] = [0.1, -0.2], [0.3, 0.5], [0.2, -0.1]
    mujoco.mj_forward(arm.model, arm.data)
    torque = rr.servo(arm.data.ctrl, arm.data.qpos, arm.data.qvel)
    assert arm.data.actuator_force == pytest.approx(torque)


def test_an_arm_held_out_sags_by_gravity_over_stiffness():
    off, fastest = rr.hold("position", np.array([math.pi / 2, 0.0]), 8)
    second = 9.81 * 0.2 / 30  # about: the joints hang below horizontal
    assert off == pytest.approx([9.81 * 0.8 / 60, second], rel=0.06) and fastest < 1e-3


def test_outside_the_joint_the_same_formula_rests_at_a_high_rate_and_shakes_at_a_low_one():
    goal = np.array([0.7, -1.2])
    quick, slow = rr.hold("torque", goal, 4), rr.hold("torque", goal, 20)
    assert quick[1] < 0.01 < 3 < slow[1]
    assert quick[0] == pytest.approx(rr.hold("position", goal, 20)[0], abs=1e-3)


def test_random_actions_do_to_an_arm_what_each_action_space_lets_them():
    found = {a: rr.explore(a, 0, 100) for a in rr.ACTIONS}
    assert found["delta"]["speed"] < 4 < 10 < found["position"]["speed"]
    assert found["position"]["limit"] > 0.8 and found["torque"]["limit"] == 0
    assert found["delta"]["turns"] < 0.5 and found["delta"]["places"] < found["torque"]["places"]
    assert found == {a: rr.explore(a, 0, 100) for a in rr.ACTIONS}


def test_largest_speed_and_torque_are_of_all_time_steps_of_a_decision():
    arm = rr.Arm("torque")
    arm.reset(seed=0)
    _, _, _, _, info = arm.step(np.array([1.0, 0.5]))
    assert info["torque"] == pytest.approx([20, 5]) and (info["speed"] >= np.abs(arm.data.qvel) - 1e-12).all()


# ---------------------------------------------------------------- pictures


@pytest.fixture
def ball():
    """A model of a red ball that slides to the right and up, and its data."""
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><statistic extent="1" center="0 0 0"/><worldbody><body><joint type="slide" axis="1 0 1"/>'
        '<geom size="0.2" rgba="1 0 0 1"/></body></worldbody></mujoco>'
    )
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def test_pictures_show_what_moves_and_leave_the_data_alone(ball):
    drawn = rr.pictures(*ball, np.array([[0.0], [0.5]]), size=(60, 80))
    if drawn is None:
        pytest.skip(rr.MISSING)
    assert drawn.shape == (2, 60, 80, 3) and drawn.dtype == np.uint8
    red = (drawn[..., 1] < 100).nonzero()
    (row, column), (then_row, then_column) = (
        [red[axis][red[0] == t].mean() for axis in (1, 2)] for t in range(2)
    )
    assert abs(row - 29.5) < 2 and abs(column - 39.5) < 2
    assert then_row < row - 4 and then_column > column + 4
    assert (drawn[0, 0, 0] == 245).all() and ball[1].qpos[0] == 0
    assert rr.pictures(*ball, size=(60, 80)).shape == (1, 60, 80, 3)


def test_without_opengl_there_is_no_picture_and_on_a_build_machine_an_error(ball, monkeypatch):
    def nothing(name):
        raise ImportError(name)

    monkeypatch.setattr(rr.importlib, "import_module", nothing)
    monkeypatch.delenv("CI", raising=False)
    assert rr.gl_context(10, 10) is None and rr.pictures(*ball) is None
    monkeypatch.setenv("CI", "true")
    with pytest.raises(RuntimeError, match="apt install libegl1"):
        rr.pictures(*ball)


def test_what_can_draw_is_tried_in_turn_unless_one_is_asked_for(monkeypatch):
    tried = []

    def fake(name):
        tried.append(name)
        if name.endswith("egl"):
            raise OSError("no such library")
        return types.SimpleNamespace(GLContext=lambda width, height: (name, height, width))

    monkeypatch.setattr(rr.importlib, "import_module", fake)
    monkeypatch.setattr(rr.platform, "system", lambda: "Linux")
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    assert rr.gl_context(3, 4) == ("mujoco.osmesa", 3, 4)
    assert tried == ["mujoco.egl", "mujoco.osmesa"]
    monkeypatch.setenv("MUJOCO_GL", "egl")
    assert rr.gl_context(3, 4) is None and tried[2:] == ["mujoco.egl"]


def test_the_platform_that_was_chosen_for_opengl_before_stays(monkeypatch):
    seen = []
    monkeypatch.setattr(
        rr.importlib, "import_module", lambda name: seen.append(rr.os.environ.get("PYOPENGL_PLATFORM"))
    )
    monkeypatch.setenv("PYOPENGL_PLATFORM", "glx")
    rr.gl_context(3, 4)
    assert set(seen) == {None} and rr.os.environ["PYOPENGL_PLATFORM"] == "glx"
    assert importlib is rr.importlib
