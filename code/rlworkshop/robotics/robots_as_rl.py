"""What a robot changes: time steps, late actions, noisy sensors, and what an action means to a motor.

Models are MuJoCo's (Todorov, Erez & Tassa, *MuJoCo: A physics engine for model-based control*, 2012).
Importing this module registers poles that are balanced late, and arms that are told torques, positions or
increments. It needs MuJoCo, ``pip install 'rlworkshop[mujoco]'``, and for pictures OpenGL.

Book: robotics/robots_as_rl
"""

import copy
import importlib
import math
import os
import platform
from collections import deque
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium.envs.mujoco.inverted_pendulum_v5 import InvertedPendulumEnv

# ---------------------------------------------------------------------------------------- time steps

PENDULUM = """
<mujoco>
  <option gravity="0 0 -{g}" timestep="{timestep}" integrator="{integrator}"/>
  <worldbody>
    <body>
      <joint type="hinge" axis="0 -1 0"/>
      <inertial pos="0 0 -{length}" mass="1" diaginertia="1e-12 1e-12 1e-12"/>
    </body>
  </worldbody>
</mujoco>"""


def period(amplitude: float, length: float, g: float = 9.81) -> float:
    """Seconds that a pendulum takes to swing to the other side and back: exact, at any amplitude (radians).

    By the arithmetic-geometric mean of 1 and cos(amplitude / 2), to which Gauss reduced the integral.

    Book: robotics/robots_as_rl
    """
    a, b = 1.0, math.cos(amplitude / 2)
    for _ in range(30):
        a, b = (a + b) / 2, math.sqrt(a * b)
    return 2 * math.pi * math.sqrt(length / g) / a


def swing(
    integrator: str, timestep: float, seconds: float, amplitude: float, length: float, g: float = 9.81
) -> tuple[np.ndarray, np.ndarray]:
    """Angles and velocities, (T+1,) each, of a pendulum that MuJoCo lets go, ``amplitude`` radians out.

    Raises:
        ValueError: ``seconds`` is no whole number of time steps.

    Book: robotics/robots_as_rl
    """
    steps = round(seconds / timestep)
    if abs(steps * timestep - seconds) > 1e-9:
        raise ValueError(f"{seconds} s are no whole number of time steps of {timestep} s")
    text = PENDULUM.format(g=g, timestep=timestep, integrator=integrator, length=length)
    model = mujoco.MjModel.from_xml_string(text)
    data = mujoco.MjData(model)
    data.qpos[0] = amplitude
    record = [(data.qpos[0], data.qvel[0])]
    for _ in range(steps):
        mujoco.mj_step(model, data)
        record.append((data.qpos[0], data.qvel[0]))
    angle, velocity = np.array(record).T
    return angle, velocity


def semi_implicit(
    angle: float, velocity: float, h: float, length: float, g: float = 9.81
) -> tuple[float, float]:
    """Angle and velocity of a pendulum after one step of ``h`` seconds: what MuJoCo calls Euler.

    Book: robotics/robots_as_rl
    """
    velocity = velocity - h * g / length * math.sin(angle)
    # the new velocity: with the old one energy would grow from swing to swing
    angle = angle + h * velocity  # (eq-semi-implicit)
    return angle, velocity


def landing(timestep: float, seconds: float = 3.0, integrator: str = "RK4") -> np.ndarray:
    """Force of the floor on Gymnasium's Hopper (T,), in multiples of its weight, when it is let fall limp.

    Book: robotics/robots_as_rl
    """
    hopper = gym.make("Hopper-v5").unwrapped
    model, data = hopper.model, hopper.data
    model.opt.timestep = timestep
    model.opt.integrator = getattr(mujoco.mjtIntegrator, f"mjINT_{integrator.upper()}")
    hopper.reset(seed=0)
    force = []
    for _ in range(round(seconds / timestep)):
        mujoco.mj_step(model, data)
        force.append(floor_force(model, data))
    hopper.close()
    return np.array(force) / (model.body_mass.sum() * 9.81)


def floor_force(model: mujoco.MjModel, data: mujoco.MjData) -> float:
    """Newtons with which the contacts press bodies up from the floor.

    Book: robotics/robots_as_rl
    """
    total, wrench = 0.0, np.zeros(6)
    for i, contact in enumerate(data.contact[: data.ncon]):
        mujoco.mj_contactForce(model, data, i, wrench)  # in the contact's frame: along the normal first
        total += abs(contact.frame[2]) * wrench[0]
    return total


# ---------------------------------------------------------------------------------- late and noisy


class Hardware(gym.Wrapper):
    """A task as hardware shows it: actions arrive ``delay`` steps late, sensors are noisy.

    Args:
        env: the task, with observations and actions that are vectors.
        delay: steps from a decision to the one that it acts in; before the first decisions arrive, zeros act.
        remember: how many of the last actions are appended to the observation, the oldest first.
        noise: standard deviation of what is added to each component of the task's own observation, a number
            or one for each component.

    Raises:
        ValueError: ``delay`` or ``remember`` is negative.

    Book: robotics/robots_as_rl
    """

    def __init__(self, env: gym.Env, delay: int = 0, remember: int = 0, noise: Any = 0.0):
        super().__init__(env)
        if min(delay, remember) < 0:
            raise ValueError(f"delay={delay} and remember={remember} count steps: they are not negative")
        self.delay, self.remember, self.noise = delay, remember, np.asarray(noise, float)
        self.sent: deque[np.ndarray] = deque(maxlen=max(delay + 1, remember))
        box = env.observation_space
        low, high = (np.tile(bound, remember) for bound in (env.action_space.low, env.action_space.high))
        self.observation_space = gym.spaces.Box(
            np.concatenate([box.low, low]), np.concatenate([box.high, high]), dtype=np.float64
        )

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict]:
        """Begin an episode: no action is under way."""
        obs, info = self.env.reset(**kwargs)
        for _ in range(self.sent.maxlen):
            self.sent.append(np.zeros(self.env.action_space.shape))
        return self._seen(obs), info

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Send ``action`` on its way, and step the task with the one that arrives."""
        self.sent.append(np.asarray(action, float))
        arrives = self.sent[-1 - self.delay]  # (eq-delay)
        obs, reward, terminated, truncated, info = self.env.step(arrives)
        return self._seen(obs), reward, terminated, truncated, info

    def _seen(self, obs: np.ndarray) -> np.ndarray:
        if self.noise.any():
            obs = obs + self.noise * self.np_random.standard_normal(obs.shape)
        return np.concatenate([obs, *list(self.sent)[len(self.sent) - self.remember :]])

    def get_state(self) -> dict[str, Any]:
        """The actions under way; the task has a state of its own."""
        return {"sent": np.array(self.sent)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``get_state`` gave."""
        self.sent.extend(state["sent"])


def pole(
    timestep: float = 0.02, frame_skip: int = 2, render_mode: str | None = None, **hardware: Any
) -> gym.Env:
    """InvertedPendulum-v5 behind ``Hardware``; a decision is made every ``timestep * frame_skip`` seconds.

    Book: robotics/robots_as_rl
    """
    task = InvertedPendulumEnv(frame_skip=frame_skip, render_mode=render_mode)
    task.model.opt.timestep = timestep
    return Hardware(task, **hardware)


def command_age(timestep: float, frame_skip: int, delay: int) -> float:
    """How old a command is that acts, in seconds, on average: since the observation it was computed from.

    Book: robotics/robots_as_rl
    """
    step = timestep * frame_skip  # seconds from one decision to the next
    return delay * step + step / 2  # (eq-age)


# ------------------------------------------------------------------------------------------- arms

ARM = """
<mujoco>
  <compiler angle="radian"/>
  <option timestep="0.005" integrator="implicitfast"/>
  <default>
    <joint type="hinge" axis="0 -1 0" damping="0.2" armature="0.05"/>
    <geom type="capsule" size="0.03" mass="1" contype="0" conaffinity="0" rgba="0.2 0.4 0.7 1"/>
  </default>
  <worldbody>
    <light pos="0 -2 2" dir="0 1 -1"/>
    <camera name="side" pos="0 -2.2 0" xyaxes="1 0 0 0 0 1"/>
    <geom type="sphere" size="0.06" rgba="0.3 0.3 0.3 1"/>
    <body name="upper">
      <joint name="shoulder"/>
      <geom fromto="0 0 0 0 0 -0.4"/>
      <body name="lower" pos="0 0 -0.4">
        <joint name="elbow" range="-2.6 2.6" limited="true"/>
        <geom fromto="0 0 0 0 0 -0.4"/>
        <site name="tip" pos="0 0 -0.4" size="0.04" rgba="0.9 0.5 0.1 1"/>
      </body>
    </body>
    <body name="target" mocap="true"><geom type="sphere" size="0.04" rgba="0.8 0.2 0.2 1"/></body>
  </worldbody>
  <actuator>{actuators}</actuator>
</mujoco>"""
MOTORS = """
    <motor joint="shoulder" ctrlrange="-20 20"/>
    <motor joint="elbow" ctrlrange="-10 10"/>"""
KP, KV = np.array([60.0, 30.0]), np.array([6.0, 2.0])  # Nm a radian, Nm s a radian
SERVOS = f"""
    <position joint="shoulder" kp="{KP[0]}" kv="{KV[0]}" ctrlrange="-2.5 2.5" forcerange="-20 20"/>
    <position joint="elbow" kp="{KP[1]}" kv="{KV[1]}" ctrlrange="-2.5 2.5" forcerange="-10 10"/>"""
ACTIONS = ("torque", "position", "delta")
INCREMENT = 0.1  # radians: by how much a delta of 1 moves the set point
STATE = mujoco.mjtState.mjSTATE_INTEGRATION  # positions, velocities, commands, the target
SKIP = 8  # time steps of 5 ms to a decision: 25 decisions a second


class Arm(gym.Env):
    """An arm of two links of 0.4 m and 1 kg, hanging in a vertical plane, that brings its tip to a target.

    An observation (10,) is the joint angles (2), their velocities over 10 (2), the set point or torque as a
    part of its range (2), the tip's place (2) and the way from it to the target (2), in metres. The reward is
    minus the distance to the target. An action (2,), each component from -1 to 1, is by ``actions``

    - ``"torque"``: a part of the motors' torque, 20 and 10 Nm;
    - ``"position"``: the angles that a servo in each joint is to go to, as a part of 2.5 radians;
    - ``"delta"``: by how much these set points move, as a part of 0.1 radians.

    ``xml`` is the model, with a place for ``{actuators}``.

    Raises:
        ValueError: ``actions`` is none of the three.

    Book: robotics/robots_as_rl
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 25}

    def __init__(self, actions: str = "torque", xml: str = ARM, render_mode: str | None = None):
        if actions not in ACTIONS:
            raise ValueError(f"actions={actions!r}: choose from {', '.join(ACTIONS)}")
        self.actions, self.render_mode = actions, render_mode
        text = xml.format(actuators=MOTORS if actions == "torque" else SERVOS)
        self.model = mujoco.MjModel.from_xml_string(text)
        self.data = mujoco.MjData(self.model)
        self.scale = self.model.actuator_ctrlrange[:, 1]  # (2,)
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (10,), np.float64)
        self.action_space = gym.spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Hang at rest, near straight down; a new target that the tip can reach."""
        super().reset(seed=seed)
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = self.np_random.uniform(-0.1, 0.1, 2)
        if self.actions != "torque":
            self.data.ctrl[:] = self.data.qpos
        self.data.mocap_pos[0] = tip(self.np_random.uniform([-1.5, -2.0], [1.5, 2.0]))
        mujoco.mj_forward(self.model, self.data)
        return self._seen(), {}

    def command(self, action: np.ndarray) -> np.ndarray:
        """What the actuators are told (2,), in Nm or radians, for an ``action`` (2,)."""
        if self.actions == "delta":
            return np.clip(self.data.ctrl + INCREMENT * action, -self.scale, self.scale)
        return self.scale * action

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Hold the command for 40 ms. ``info`` has the largest ``speed`` and ``torque`` (2,) meanwhile."""
        self.data.ctrl[:] = self.command(np.clip(np.asarray(action, float), -1, 1))
        speed, torque = np.zeros(2), np.zeros(2)
        for _ in range(SKIP):
            mujoco.mj_step(self.model, self.data)
            np.maximum(speed, np.abs(self.data.qvel), out=speed)
            np.maximum(torque, np.abs(self.data.actuator_force), out=torque)
        obs = self._seen()
        return obs, -math.hypot(*obs[8:]), False, False, {"speed": speed, "torque": torque}

    def _seen(self) -> np.ndarray:
        place, goal = self.data.site_xpos[0, ::2], self.data.mocap_pos[0, ::2]
        parts = [self.data.qpos, self.data.qvel / 10, self.data.ctrl / self.scale, place, goal - place]
        return np.concatenate(parts)

    def get_state(self) -> dict[str, Any]:
        """All that decides how it goes on."""
        physics = np.empty(mujoco.mj_stateSize(self.model, STATE))
        mujoco.mj_getState(self.model, self.data, physics, STATE)
        return {"rng": self.np_random.bit_generator.state, "physics": physics}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``get_state`` gave."""
        self.np_random.bit_generator.state = state["rng"]
        mujoco.mj_setState(self.model, self.data, state["physics"], STATE)
        mujoco.mj_forward(self.model, self.data)


def tip(angles: np.ndarray) -> np.ndarray:
    """Where the tip is (3,) at joint angles (2,): forward kinematics.

    Book: robotics/robots_as_rl
    """
    first, both = angles[0], angles[0] + angles[1]
    return 0.4 * np.array([math.sin(first) + math.sin(both), 0, -math.cos(first) - math.cos(both)])


def servo(goal: np.ndarray, angle: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """Torques (2,) that pull the joints to ``goal`` (2,) and brake them: proportional-derivative control.

    Book: robotics/robots_as_rl
    """
    return KP * (goal - angle) - KV * velocity  # (eq-servo)


def hold(actions: str, goal: np.ndarray, every: int, seconds: float = 3.0) -> tuple[np.ndarray, float]:
    """Bring an arm to joint angles ``goal`` (2,) by ``servo``, and keep it there.

    With ``actions`` "torque" a program outside computes the torques, every ``every`` time steps of 5 ms, and
    they are held in between; with "position" it sends the goal as often, and the servo in the joint computes.

    Returns how far the joints are from the goal at the end (2,), in radians, and their largest speed in the
    last second, in radians a second.

    Book: robotics/robots_as_rl
    """
    arm = Arm(actions)
    arm.reset(seed=0)
    data, fastest = arm.data, 0.0
    steps = round(seconds / arm.model.opt.timestep)
    for t in range(steps):
        if t % every == 0:
            torque = np.clip(servo(goal, data.qpos, data.qvel), -arm.scale, arm.scale)
            data.ctrl[:] = torque if actions == "torque" else goal
        mujoco.mj_step(arm.model, data)
        if t >= steps - round(1.0 / arm.model.opt.timestep):
            fastest = max(fastest, float(np.abs(data.qvel).max()))
    return np.abs(data.qpos - goal), fastest


def explore(actions: str, seed: int, steps: int = 250) -> dict[str, float]:
    """What uniformly random actions do to an arm in ``steps`` decisions, 25 a second.

    Returns by name: ``speed``, the largest of a joint in radians a second; ``limit``, the share of decisions
    during which a motor was at its torque limit; ``turns`` of the shoulder, the most it was away from hanging
    down; ``places``, how many cells of 10 cm the tip has been in.

    Book: robotics/robots_as_rl
    """
    arm, rng = Arm(actions), np.random.default_rng(seed)
    arm.reset(seed=seed)
    limits = 0.999 * np.array([20.0, 10.0])
    speed, limit, turns, places = 0.0, 0, 0.0, set()
    for _ in range(steps):
        obs, _, _, _, info = arm.step(rng.uniform(-1, 1, 2))
        speed, limit = max(speed, info["speed"].max()), limit + (info["torque"] > limits).any()
        turns = max(turns, abs(obs[0]) / (2 * math.pi))
        places.add(tuple(np.floor(obs[6:8] / 0.1)))
    return {"speed": float(speed), "limit": limit / steps, "turns": float(turns), "places": len(places)}


# ---------------------------------------------------------------------------------------- pictures

MISSING = (
    "MuJoCo finds nothing to draw with here, so a picture is missing. On Debian: apt install libegl1 libgl1"
)
DRAWS = {"Linux": ("egl", "osmesa"), "Darwin": ("cgl", "glfw")}  # what draws without a window, by system


def pictures(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    positions: np.ndarray | None = None,
    camera: mujoco.MjvCamera | int | None = None,
    size: tuple[int, int] = (240, 320),
) -> np.ndarray | None:
    """Pictures (T, H, W, 3) of a model at ``positions`` (T, nq) of its joints, drawn without a window.

    Args:
        data: gives what positions do not say; it stays as it is.
        positions: None is one picture, of ``data``. camera: one of the model's by number, or one made by
            hand; None looks at the middle from the front. size: H, W.

    Returns None where there is no OpenGL (``MISSING`` says what to install). Shadows and reflections, which
    take most of the time where a processor draws, are left out.

    Raises:
        RuntimeError: nothing can draw, and ``CI`` is set: a build machine has to have it.

    Book: robotics/robots_as_rl
    """
    height, width = size
    context = gl_context(height, width)
    if context is None:
        if os.environ.get("CI"):
            raise RuntimeError(MISSING)
        return None
    if not isinstance(camera, mujoco.MjvCamera):
        number, camera = camera, mujoco.MjvCamera()
        mujoco.mjv_defaultFreeCamera(model, camera)
        if number is not None:
            camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, number
    buffer = model.vis.global_
    buffer.offheight, buffer.offwidth = max(height, buffer.offheight), max(width, buffer.offwidth)
    shown, frames = copy.copy(data), []
    scene, option, whole = (
        mujoco.MjvScene(model, maxgeom=200),
        mujoco.MjvOption(),
        mujoco.MjrRect(0, 0, width, height),
    )
    for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
        scene.flags[flag] = False
    try:
        context.make_current()
        drawn = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, drawn)
        for position in data.qpos[None] if positions is None else positions:
            shown.qpos[:] = position
            mujoco.mj_forward(model, shown)
            everything = mujoco.mjtCatBit.mjCAT_ALL.value
            mujoco.mjv_updateScene(model, shown, option, None, camera, everything, scene)
            mujoco.mjr_render(whole, scene, drawn)
            picture = np.empty((height, width, 3), np.uint8)
            mujoco.mjr_readPixels(picture, None, whole, drawn)
            picture[(picture == 0).all(axis=-1)] = 245  # where there is nothing
            frames.append(picture[::-1])  # OpenGL counts rows from the bottom
        drawn.free()
    finally:
        context.free()
    return np.stack(frames)


def gl_context(height: int, width: int) -> Any:
    """Something of MuJoCo's that OpenGL draws in, without a window; None where there is nothing.

    Book: robotics/robots_as_rl
    """
    asked = os.environ.get("MUJOCO_GL", "").lower()
    names = DRAWS.get(platform.system(), ("glfw",))
    for name in [asked] if asked in names else names:
        before = os.environ.pop("PYOPENGL_PLATFORM", None)  # MuJoCo's modules set it, and refuse another's
        try:
            return importlib.import_module(f"mujoco.{name}").GLContext(width, height)
        except Exception:  # a library that is not there shows itself in many ways
            pass
        finally:
            if before is not None:
                os.environ["PYOPENGL_PLATFORM"] = before
    return None


def _register() -> None:
    here = __name__
    for name, kwargs in {
        "Pole": {},
        "PoleLate": {"delay": 3},
        "PoleLateTold": {"delay": 3, "remember": 3},
    }.items():
        gym.register(f"{name}-v0", f"{here}:pole", max_episode_steps=500, kwargs=kwargs)
    for actions in ACTIONS:
        name = f"Arm{actions.capitalize()}-v0"
        gym.register(name, f"{here}:Arm", max_episode_steps=50, kwargs={"actions": actions})


_register()
