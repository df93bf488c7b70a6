"""Pucks that are pushed to one goal after another: N robots, each with a physics of its own, stepped together.

``Puck-v0`` is the nominal simulator: all robots are alike, as the data sheet says. In ``PuckRandomized-v0``
each episode draws a robot. ``PuckReal-v0`` are the robots that the policy is meant for: each is different,
further from the data sheet than most simulated ones, and its puck sticks, which no simulator knows.

Importing this module registers the three. Book: robotics/reality_gap
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rlworkshop.envs import wrappers

PARAMETERS = ("gain", "damping", "tilt x", "tilt y", "yaw", "latency")  # P of them, 0: as on the data sheet
DT = 0.06  # seconds a step
EPISODE = 100  # steps
RADIUS, HOLD = 0.15, 4  # a goal counts when the puck has been this near for so many steps
QUEUE = 8  # steps of latency that are possible, and one more
STICTION = 0.5  # of real robots
REAL = {"low": -1.1, "high": 1.1, "hole": 0.5, "stiction": STICTION}


class Robots:
    """The physics of N robots, from their parameters (N, P), each about -1 to 1, 0 on the data sheet.

    Attributes:
        gain: acceleration at full push (N, 1), 6 · 2^p. damping: (N, 1), 2 · 2^p per second.
        tilt: of the table, an acceleration (N, 2), 1.5 p. rotation: of the pushes against the camera
            (N, 2, 2), by 45° p. latency: (N,) whole steps until a push arrives, 3 p where p is positive.

    Book: robotics/reality_gap
    """

    def __init__(self, parameters: np.ndarray):
        gain, damping, tilt_x, tilt_y, yaw, latency = np.asarray(parameters, float).T
        self.gain, self.damping = 6 * 2 ** gain[:, None], 2 * 2 ** damping[:, None]
        self.tilt = 1.5 * np.stack([tilt_x, tilt_y], axis=1)
        cos, sin = np.cos(yaw * np.pi / 4), np.sin(yaw * np.pi / 4)
        self.rotation = np.stack([cos, -sin, sin, cos], axis=1).reshape(-1, 2, 2)
        self.latency = np.clip(np.rint(3 * latency), 0, QUEUE - 1).astype(int)

    def acceleration(self, velocity: np.ndarray, push: np.ndarray, stiction: float) -> np.ndarray:
        """Of the pucks (N, 2), at a ``velocity`` (N, 2), under the ``push`` (N, 2) that arrives now.

        Book: robotics/reality_gap
        """
        force = self.gain * np.einsum("nij,nj->ni", self.rotation, push)
        return force - self.damping * velocity + self.tilt - stiction * np.tanh(20 * velocity)  # (eq-puck)


def draw(
    rng: np.random.Generator, low: np.ndarray, high: np.ndarray, hole: float = 0.0
) -> np.ndarray:
    """Parameters of robots (N, P), uniform between ``low`` and ``high`` (N, P), and none in (-hole, hole).

    Book: robotics/reality_gap
    """
    below, above = np.maximum(-hole - low, 0), np.maximum(hole, low)
    place = rng.random(low.shape) * (below + high - above)
    return np.where(place < below, low + place, above + place - below)


class PuckEnvs(VectorEnv):
    """N tables with a puck each, pushed (N, 2) to goals, NEXT_STEP. An episode takes 100 steps of 0.06 s.

    An observation (N, 8) is position (2), half the velocity (2), the way to the goal (2) and the last push
    (2). The reward is twice the way made good, 1 for a goal, less 0.02 times the squared push. A goal counts
    when the puck has been within 0.15 of it for 4 steps, and a new one appears: ``info["goals"]`` (N,).

    Args:
        low, high: each parameter of a robot is drawn between them for each episode; numbers, (P,) or
            (N, P). Latency is not below 0.
        hole: no parameter is drawn from (-hole, hole).
        stiction: how strongly pucks stick to the table.
        robots: these parameters (N, P) instead, episode after episode.

    Attributes:
        parameters: of the robots of the present episodes (N, P). No observation has them.

    Raises:
        ValueError: ``low`` is above ``high``, or the shapes do not fit.

    Book: robotics/reality_gap
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": ["rgb_array"], "render_fps": 17}

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
        self.set_range(low, high) if robots is None else self.set_range(robots, robots)
        self.single_observation_space = gym.spaces.Box(-np.inf, np.inf, (8,), np.float32)
        self.single_action_space = gym.spaces.Box(-1, 1, (2,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        N = num_envs
        self.parameters = np.zeros((N, len(PARAMETERS)))
        self.position, self.velocity, self.goal, self.last = (np.zeros((N, 2)) for _ in range(4))
        self.queue = np.zeros((QUEUE, N, 2))  # the last pushes, in a ring
        self.near, self.clock = np.zeros(N, int), np.zeros(N, int)
        self.over = np.ones(N, bool)

    def set_range(self, low: Any, high: Any) -> None:
        """Between which bounds the robots of later episodes are drawn: numbers, (P,) or (N, P)."""
        shape = (self.num_envs, len(PARAMETERS))
        low, high = (np.broadcast_to(np.asarray(bound, float), shape) for bound in (low, high))
        if (low > high).any():
            raise ValueError("low is above high")
        only_late = np.array([-np.inf] * 5 + [0.0])  # a push cannot arrive before it is made
        self.low, self.high = np.maximum(low, only_late), np.maximum(high, only_late)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode on each table; the observations (N, 8)."""
        super().reset(seed=seed)
        self._begin(np.ones(self.num_envs, bool))
        return self._seen(), {"goals": np.zeros(self.num_envs, int)}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """One step of each table; where an episode was over, a new one begins instead."""
        begins, push = self.over, np.clip(np.asarray(actions, float), -1, 1)
        now, N = self._ticks % QUEUE, np.arange(self.num_envs)
        self.queue[now] = push
        arrives = self.queue[(now - self.robots.latency) % QUEUE, N]
        self._ticks += 1
        before = np.linalg.norm(self.goal - self.position, axis=1)
        self.velocity = self.velocity + DT * self.robots.acceleration(self.velocity, arrives, self.stiction)
        self.position = self.position + DT * self.velocity
        after = np.linalg.norm(self.goal - self.position, axis=1)
        self.near = np.where(after < RADIUS, self.near + 1, 0)
        hit = (self.near >= HOLD) & ~begins
        reward = 2 * (before - after) + hit - 0.02 * (push**2).sum(axis=1)
        self.last, self.clock = push, self.clock + 1
        if hit.any():
            self.goal[hit], self.near[hit] = self._goals(hit), 0
        self.over = (self.clock >= EPISODE) & ~begins
        if begins.any():
            self._begin(begins)
        reward, never = np.where(begins, 0.0, reward).astype(np.float32), np.zeros(self.num_envs, bool)
        return self._seen(), reward, never, self.over, {"goals": hit.astype(int)}

    def _begin(self, which: np.ndarray) -> None:
        """Begin an episode on some tables (N,) bool."""
        drawn = draw(self.np_random, self.low, self.high, self.hole)  # (N, P), of which some are used
        self.parameters = np.where(which[:, None], drawn, self.parameters)
        self.robots = Robots(self.parameters)
        self.position[which] = self.np_random.uniform(-1, 1, (which.sum(), 2))
        self.goal[which] = self._goals(which)
        self.velocity[which], self.last[which], self.queue[:, which] = 0, 0, 0
        self.near[which] = self.clock[which] = 0
        self.over = self.over & ~which

    _ticks = 0

    def _goals(self, which: np.ndarray) -> np.ndarray:
        return self.np_random.uniform(-1, 1, (int(which.sum()), 2))

    def _seen(self) -> np.ndarray:
        parts = self.position, self.velocity / 2, self.goal - self.position, self.last
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def privileged(self) -> np.ndarray:
        """What only the simulator knows (N, P + 1): the parameters, and how long the puck has been near."""
        return np.concatenate([self.parameters, self.near[:, None] / HOLD], axis=1)


def _register() -> None:
    worlds = {"Puck-v0": {}, "PuckRandomized-v0": {"low": -1.0, "high": 1.0}, "PuckReal-v0": REAL}
    for name, kwargs in worlds.items():
        gym.register(name, vector_entry_point=f"{__name__}:PuckEnvs", kwargs=kwargs)


_register()
