"""A hand of three fingers that turns a block on a table, seen from above: N hands, each with its own physics.

``Hand-v0`` is the nominal simulator: all hands are alike, as the data sheet says. In ``HandRandomized-v0``
each episode draws a hand, a block and a table. ``HandReal-v0`` are those that the policy is meant for: each
is different, further from the data sheet than most simulated ones, and the joints of its fingers stick, which
no simulator knows. The physics is MuJoCo's; the hand is a flat relative of D'Claw (Ahn et al., 2020).

Importing this module registers the three. Book: robotics/dexterity
"""

import functools
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rlworkshop import envs as rl_envs
from rlworkshop.envs.single import One

# of a hand, its block and its table: P of them, each about -1 to 1, 0 as on the data sheet
PARAMETERS = ("size", "shape", "table", "grip", "strength", "speed", "root", "knuckle", "latency")
SUBSTEPS, DT = 5, 0.05  # steps of physics, and seconds, in one step of control: 20 decisions a second
EPISODE = 150  # steps, 7.5 seconds
TURN, NEAR = 1.0, 0.25  # radians from one goal to the next, and how near counts
DROPPED = 0.45  # how far from the middle the block is out of reach
SIDE, GRIP, STRENGTH = 0.26, 0.8, 6.0  # of the block (half), of fingers on it, torque of a motor per radian
OFFSET = 0.3  # radians by which a joint's zero is off for a parameter of 1
LATENCY, QUEUE = 3, 5  # steps that an action is late for a parameter of 1; that are possible, and one more
REST, REACH = (0.0, 0.7), 1.2  # radians: of root and knuckle of each finger, and from there to any target
STICTION = 0.3  # torque that the joints of real hands lose to it
REAL = {"low": -1.1, "high": 1.1, "hole": 0.5, "stiction": STICTION}
ROOT, LINKS = 1.15, (0.45, 0.4)  # how far from the middle fingers stand, and their two links


def xml() -> str:
    """MuJoCo's description of the nominal hand.

    Book: robotics/dexterity
    """
    fingers = []
    for k, along in enumerate((90, 210, 330)):  # degrees, where the finger stands
        x, y = ROOT * np.cos(np.radians(along)), ROOT * np.sin(np.radians(along))
        fingers.append(f"""
  <body pos="{x} {y} 0" euler="0 0 {along + 180}">
    <joint name="root{k}" axis="0 0 1"/> <geom class="finger" fromto="0 0 0 {LINKS[0]} 0 0"/>
    <body pos="{LINKS[0]} 0 0">
      <joint name="knuckle{k}" axis="0 0 1"/> <geom class="finger" fromto="0 0 0 {LINKS[1]} 0 0"/>
    </body>
  </body>""")
    motors = "".join(f'<position joint="{j}{k}"/>' for k in range(3) for j in ("root", "knuckle"))
    return f"""<mujoco>
<compiler angle="degree"/> <size memory="1M"/>
<option timestep="{DT / SUBSTEPS}" gravity="0 0 0" integrator="implicitfast" cone="elliptic"/>
<default>
  <joint damping="0.4" armature="0.02"/> <position kp="{STRENGTH}" forcerange="-4 4"/>
  <geom friction="{GRIP}"/>
  <default class="finger"><geom type="capsule" size="0.07" mass="0.1" contype="1" conaffinity="2"/></default>
</default>
<worldbody>
  <body name="block">
    <joint name="block x" type="slide" axis="1 0 0" frictionloss="1" damping="2" armature="0"/>
    <joint name="block y" type="slide" axis="0 1 0" frictionloss="1" damping="2" armature="0"/>
    <joint name="block turns" axis="0 0 1" frictionloss="0.15" damping="0.2" armature="0"/>
    <geom name="block" type="box" size="{SIDE} {SIDE} 0.2" mass="0.5" contype="2" conaffinity="1"/>
  </body>{"".join(fingers)}
</worldbody>
<actuator>{motors}</actuator>
</mujoco>"""


@functools.cache
def _parts() -> mujoco.MjSpec:
    return mujoco.MjSpec.from_string(xml())


def compiled(parameters: np.ndarray, stiction: float = 0.0) -> mujoco.MjModel:
    """The hand, block and table with these ``parameters`` (P,), whose joints stick so much.

    It is compiled, not changed: from sizes and masses MuJoCo derives more when it compiles.

    Book: robotics/dexterity
    """
    size, shape, table, grip, strength, speed, *_ = map(float, parameters)
    spec, side = _parts(), SIDE * 1.2**size
    spec.geom("block").size = [side * 1.15**shape, side / 1.15**shape, 0.2]
    for joint in spec.joints:
        if joint.name.startswith("block"):
            joint.frictionloss = 2**table * (0.15 if joint.name == "block turns" else 1.0)
        else:
            joint.frictionloss, joint.damping[0] = stiction, 0.4 * 2**-speed
    for geom in spec.geoms:
        geom.friction[0] = GRIP * 2**grip
    for motor in spec.actuators:
        motor.gainprm[0], motor.biasprm[1] = STRENGTH * 2**strength, -STRENGTH * 2**strength
    return spec.compile()


def _draw(rng: np.random.Generator, low: np.ndarray, high: np.ndarray, hole: float) -> np.ndarray:
    """As ``reality_gap.draw``, which a copied file cannot hold beside this module's names."""
    below, above = np.maximum(-hole - low, 0), np.maximum(hole, low)
    place = rng.random(low.shape) * (below + high - above)
    return np.where(place < below, low + place, above + place - below)


class HandEnvs(VectorEnv):
    """N hands, whose joints get targets (N, 6), NEXT_STEP. An episode takes 150 steps of 0.05 s at most.

    A block is to be turned anticlockwise by 1 radian, then by another one, and so on; what counts as reached
    is 0.25 radians. The episode terminates when the block is out of reach, further than 0.45 from the
    middle. An observation (N, 18) is: the joints' angles (6), the block's place (2), cosines of its angle and
    of the way to the goal (2), their sines (2), the last action (6). The reward is 5 times the angle and once
    the distance from the middle made good, 5 for a goal, less 1 for a lost one
    and 0.002 times the squared action. ``info["goals"]`` (N,) counts.

    Args:
        low, high: each parameter of a hand is drawn between them for each episode; numbers, (P,) or (N, P).
            Latency is not below 0.
        hole: no parameter is drawn from (-hole, hole).
        stiction: torque that joints lose to it.
        robots: these parameters (N, P) instead, episode after episode.

    Attributes:
        parameters: of the hands of the present episodes (N, P).
        pose: the block's place and angle and the joints' angles (N, 9).

    Raises:
        ValueError: ``low`` is above ``high``, or the shapes do not fit.

    Book: robotics/dexterity
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(
        self,
        num_envs: int = 1,
        low: Any = 0.0,
        high: Any = 0.0,
        hole: float = 0.0,
        stiction: float = 0.0,
        robots: np.ndarray | None = None,
        render_mode: str | None = None,
    ):
        self.num_envs, self.hole, self.stiction, self.render_mode = num_envs, hole, stiction, render_mode
        N, shape = num_envs, (num_envs, len(PARAMETERS))
        bounds = (low, high) if robots is None else (robots, robots)
        self.low, self.high = (np.broadcast_to(np.asarray(bound, float), shape) for bound in bounds)
        if (self.low > self.high).any():
            raise ValueError("low is above high")
        only_late = np.array([-np.inf] * 8 + [0.0])  # a target cannot arrive before it is set
        self.low, self.high = np.maximum(self.low, only_late), np.maximum(self.high, only_late)
        self.single_observation_space = gym.spaces.Box(-np.inf, np.inf, (18,), np.float32)
        self.single_action_space = gym.spaces.Box(-1, 1, (6,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, N)
        self.action_space = batch_space(self.single_action_space, N)
        self.models = [compiled(np.zeros(len(PARAMETERS)))] * N
        self.data = [mujoco.MjData(model) for model in self.models]
        self.parameters, self.pose = np.zeros(shape), np.zeros((N, 9))
        self.goal = np.zeros(N)  # angle of the block that is wanted
        self.last, self.queue = np.zeros((N, 6)), np.zeros((QUEUE, N, 6))  # last actions, in a ring
        self.clock, self.over, self.ticks = np.zeros(N, int), np.zeros(N, bool), 0

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode of each hand; the observations (N, 18)."""
        super().reset(seed=seed)
        self._begin(np.ones(self.num_envs, bool))
        return self._seen(), {"goals": np.zeros(self.num_envs, int)}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """One step of each hand; where an episode was over, a new one begins instead."""
        begins, action = self.over, np.clip(np.asarray(actions, float), -1, 1)
        before, far = np.abs(self.off), np.linalg.norm(self.pose[:, :2], axis=1)
        self._move(action, ~begins)
        off, away = np.abs(self.off), np.linalg.norm(self.pose[:, :2], axis=1)
        hit, lost = (off < NEAR) & ~begins, (away > DROPPED) & ~begins
        reward = 5 * (before - off) + far - away + 5 * hit - lost - 0.002 * (action**2).sum(axis=1)
        self.last, self.clock, self.ticks = action, self.clock + 1, self.ticks + 1
        self.goal = np.where(hit, self.pose[:, 2] + TURN, self.goal)
        self.over = lost | ((self.clock >= EPISODE) & ~begins)
        late = self.over & ~lost
        if begins.any():
            self._begin(begins)
        reward = np.where(begins, 0.0, reward).astype(np.float32)
        return self._seen(), reward, lost, late, {"goals": hit.astype(int)}

    @property
    def off(self) -> np.ndarray:
        """Angles (N,) from the block to its goal, between -π and π."""
        return (self.goal - self.pose[:, 2] + np.pi) % (2 * np.pi) - np.pi

    def _move(self, action: np.ndarray, which: np.ndarray) -> None:
        """Physics of some hands (N,) bool, whose motors get what arrives now."""
        now, N = self.ticks % QUEUE, np.arange(self.num_envs)
        self.queue[now] = action
        arrives = self.queue[(now - self.latency) % QUEUE, N]  # (N, 6)
        targets = self.rest + REACH * arrives
        for i in np.flatnonzero(which):
            self.data[i].ctrl[:] = targets[i]
            mujoco.mj_step(self.models[i], self.data[i], SUBSTEPS)
            self.pose[i] = self.data[i].qpos

    @property
    def rest(self) -> np.ndarray:
        """Angles of the joints (N, 6) that their encoders call zero."""
        return np.tile(REST + OFFSET * self.parameters[:, 6:8], 3)

    @property
    def latency(self) -> np.ndarray:
        """Steps (N,) until a target arrives."""
        return np.clip(np.rint(LATENCY * self.parameters[:, -1]), 0, QUEUE - 1).astype(int)

    def _begin(self, which: np.ndarray) -> None:
        """Begin an episode of some hands (N,) bool."""
        N = self.num_envs
        drawn = _draw(self.np_random, self.low, self.high, self.hole)  # (N, P), of which some are used
        self.parameters = np.where(which[:, None], drawn, self.parameters)
        spread = self.np_random.uniform(-1, 1, (N, 9)) * [0.05, 0.05, np.pi, *[0.1] * 6]
        for i in np.flatnonzero(which):
            self._take(i)
            self.data[i].qpos[:] = spread[i] + [0, 0, 0, *self.rest[i]]
            self.pose[i] = self.data[i].qpos
        self.goal = np.where(which, self.pose[:, 2] + TURN, self.goal)
        self.last[which], self.queue[:, which], self.clock[which] = 0, 0, 0
        self.over = self.over & ~which

    def _take(self, i: int) -> None:
        """Take the i-th hand with its parameters, at rest."""
        self.models[i] = compiled(self.parameters[i], self.stiction)
        self.data[i] = mujoco.MjData(self.models[i])

    def _seen(self) -> np.ndarray:
        angles, joints = np.stack([self.pose[:, 2], self.off], axis=1), self.pose[:, 3:] - self.rest
        parts = [joints, self.pose[:, :2] / 0.3, np.cos(angles), np.sin(angles), self.last]
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def privileged(self) -> np.ndarray:
        """What only the simulator knows (N, P + 10): the parameters, all velocities, the time."""
        velocity = np.stack([one.qvel for one in self.data]) / 5
        return np.concatenate([self.parameters, velocity, self.clock[:, None] / EPISODE], axis=1)

    def get_state(self) -> dict[str, Any]:
        """All that decides how it goes on."""
        physics = np.empty((self.num_envs, mujoco.mj_stateSize(self.models[0], PHYSICS)))
        for model, data, row in zip(self.models, self.data, physics, strict=True):
            mujoco.mj_getState(model, data, row, PHYSICS)
        kept = {name: np.array(getattr(self, name)) for name in STATE}
        return {"rng": self.np_random.bit_generator.state, "physics": physics, **kept}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``get_state`` gave.

        Raises:
            ValueError: it is the state of another number of hands.
        """
        if len(state["clock"]) != self.num_envs:
            raise ValueError(f"a state of {len(state['clock'])} hands does not fit {self.num_envs}")
        self.np_random.bit_generator.state = state["rng"]
        for name in STATE:
            setattr(self, name, state[name].copy())
        for i, row in enumerate(state["physics"]):
            self._take(i)
            mujoco.mj_setState(self.models[i], self.data[i], row, PHYSICS)
            mujoco.mj_forward(self.models[i], self.data[i])

    def render(self) -> tuple[np.ndarray, ...]:
        """A picture (180, 180, 3) of each hand from above: fingers, block, where its mark should be."""
        sizes = [model.geom_size[0, :2] for model in self.models]
        return tuple(map(_picture, self.pose, self.goal, sizes))


PHYSICS = mujoco.mjtState.mjSTATE_INTEGRATION
STATE = ("parameters", "pose", "goal", "last", "queue", "clock", "over", "ticks", "low", "high")


def fingers(pose: np.ndarray) -> np.ndarray:
    """Roots, knuckles and tips (3, 3, 2) of the fingers of one hand in a ``pose`` (9,).

    Book: robotics/dexterity
    """
    along = np.radians([90, 210, 330])
    root = ROOT * np.stack([np.cos(along), np.sin(along)], axis=1)  # (3, 2)
    points, angle = [root], along + np.pi
    for turn, length in zip((pose[3::2], pose[4::2]), LINKS, strict=True):
        angle = angle + turn
        points.append(points[-1] + length * np.stack([np.cos(angle), np.sin(angle)], axis=1))
    return np.stack(points, axis=1)


def _picture(pose: np.ndarray, goal: float, size: np.ndarray) -> np.ndarray:
    line = np.linspace(-1.25, 1.25, 180)
    there = np.stack(np.meshgrid(line, -line), axis=-1)  # (180, 180, 2)
    picture = np.full((*there.shape[:2], 3), 245, np.uint8)
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    local = (there - pose[:2]) @ np.array([[cos, -sin], [sin, cos]])  # in the block's own directions
    picture[(np.abs(local) < size).all(axis=-1)] = 225, 170, 90
    picture[(np.abs(local[..., 1]) < 0.025) & (local[..., 0] > 0) & (local[..., 0] < size[0])] = 60, 40, 20
    for root, knuckle, tip in fingers(pose):
        for start, end in ((root, knuckle), (knuckle, tip)):
            part = np.clip((there - start) @ (end - start) / ((end - start) ** 2).sum(), 0, 1)[..., None]
            picture[np.linalg.norm(there - start - part * (end - start), axis=-1) < 0.07] = 40, 60, 110
    wanted = pose[:2] + 0.5 * np.array([np.cos(goal), np.sin(goal)])
    picture[np.linalg.norm(there - wanted, axis=-1) < 0.05] = 200, 60, 50
    return picture


class Hand(One):
    """One hand as a single environment: ``gym.make("Hand-v0")``.

    Book: robotics/dexterity
    """

    metadata = HandEnvs.metadata

    def __init__(self, **kwargs: Any):
        super().__init__(HandEnvs(1, **kwargs))


def _register() -> None:
    worlds = {"Hand": {}, "HandRandomized": {"low": -1.0, "high": 1.0}, "HandReal": REAL}
    for name, kwargs in worlds.items():
        vector = f"{__name__}:HandEnvs"
        gym.register(f"{name}-v0", f"{__name__}:Hand", vector_entry_point=vector, kwargs=kwargs)


_register()


# ---------------------------------------------------------------------------------------- at work


def real_hands(n: int, seed: int) -> np.ndarray:
    """Parameters (n, P) of hands that are all further from the data sheet than half the training range.

    Book: robotics/dexterity
    """
    low, high = (np.full((n, len(PARAMETERS)), REAL[name]) for name in ("low", "high"))
    low[:, -1] = 0
    return _draw(np.random.default_rng(seed), low, high, REAL["hole"])


def play(act: rl_envs.Act, envs: HandEnvs, seed: int) -> np.ndarray:
    """Goals in a row that each hand (N,) reaches in one episode, until it ends or the block is lost.

    Book: robotics/dexterity
    """
    obs, row = rl_envs.reset(envs, seed, "evaluation"), np.zeros(envs.num_envs, int)
    alive = np.ones(envs.num_envs, bool)
    for _ in range(EPISODE):
        obs, _, lost, _, info = envs.step(act(obs))
        row += info["goals"] * alive
        alive &= ~lost
    return row
