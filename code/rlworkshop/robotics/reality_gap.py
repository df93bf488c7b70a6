"""Pucks that are pushed to one goal after another: N robots, each with its own physics, stepped together.

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

from rlworkshop import envs as rl_envs
from rlworkshop.envs.single import One

PARAMETERS = ("gain", "damping", "tilt x", "tilt y", "yaw", "latency")  # P of them, 0: as on the data sheet
DT = 0.04  # seconds a step: 25 decisions a second
EPISODE = 150  # steps, 6 seconds
RADIUS, HOLD = 0.15, 6  # a goal counts when the puck has been this near for so many steps
QUEUE = 8  # steps of latency that are possible, and one more
LATENCY = 4.5  # steps for a parameter of 1
STICTION = 0.5  # of real robots
REAL = {"low": -1.1, "high": 1.1, "hole": 0.5, "stiction": STICTION}


class Robots:
    """The physics of N robots, from their parameters (N, P), each about -1 to 1, 0 on the data sheet.

    Attributes:
        gain: acceleration at full push (N, 1), 6 · 2^p. damping: (N, 1), 2 · 2^p per second.
        tilt: of the table, an acceleration (N, 2), 1.5 p. rotation: of the pushes against the camera
            (N, 2, 2), by 45° p. latency: (N,) steps until a push arrives, 4.5 p rounded, where p is positive.

    Book: robotics/reality_gap
    """

    def __init__(self, parameters: np.ndarray):
        gain, damping, tilt_x, tilt_y, yaw, latency = np.asarray(parameters, float).T
        self.gain, self.damping = 6 * 2 ** gain[:, None], 2 * 2 ** damping[:, None]
        self.tilt = 1.5 * np.stack([tilt_x, tilt_y], axis=1)
        cos, sin = np.cos(yaw * np.pi / 4), np.sin(yaw * np.pi / 4)
        self.rotation = np.stack([cos, -sin, sin, cos], axis=1).reshape(-1, 2, 2)
        self.latency = np.clip(np.rint(LATENCY * latency), 0, QUEUE - 1).astype(int)

    def acceleration(self, velocity: np.ndarray, push: np.ndarray, stiction: float) -> np.ndarray:
        """Of the pucks (N, 2), at a ``velocity`` (N, 2), under the ``push`` (N, 2) that arrives now.

        Book: robotics/reality_gap
        """
        force = self.gain * np.einsum("nij,nj->ni", self.rotation, push)
        return force - self.damping * velocity + self.tilt - stiction * np.tanh(20 * velocity)  # (eq-puck)


def draw(rng: np.random.Generator, low: np.ndarray, high: np.ndarray, hole: float = 0.0) -> np.ndarray:
    """Parameters of robots (N, P), uniform between ``low`` and ``high`` (N, P), and none in (-hole, hole).

    Book: robotics/reality_gap
    """
    below, above = np.maximum(-hole - low, 0), np.maximum(hole, low)
    place = rng.random(low.shape) * (below + high - above)
    return np.where(place < below, low + place, above + place - below)


class PuckEnvs(VectorEnv):
    """N tables with a puck each, pushed (N, 2) to goals, NEXT_STEP. An episode takes 150 steps of 0.04 s.

    An observation (N, 8) is position (2), half the velocity (2), the way to the goal (2) and the last push
    (2), and with ``told`` the robot's parameters (P). The reward is twice the way made good, 1 for a goal,
    less 0.02 times the squared push. A goal counts when the puck has been within 0.15 of it for 6 steps, and
    a new one appears: ``info["goals"]`` (N,).

    Args:
        low, high: each parameter of a robot is drawn between them for each episode; numbers, (P,) or
            (N, P). Latency is not below 0.
        hole: no parameter is drawn from (-hole, hole).
        stiction: how strongly pucks stick to the table.
        robots: these parameters (N, P) instead, episode after episode.
        told: whether observations end with the parameters.

    Attributes:
        parameters: of the robots of the present episodes (N, P).

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
        told: bool = False,
        render_mode: str | None = None,
    ):
        self.num_envs, self.hole, self.stiction, self.told = num_envs, hole, stiction, told
        self.render_mode = render_mode
        self.set_range(low, high) if robots is None else self.set_range(robots, robots)
        self.single_observation_space = gym.spaces.Box(
            -np.inf, np.inf, (8 + len(PARAMETERS) * told,), np.float32
        )
        self.single_action_space = gym.spaces.Box(-1, 1, (2,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        N = num_envs
        self.parameters = np.zeros((N, len(PARAMETERS)))
        self.position, self.velocity, self.goal, self.last = (np.zeros((N, 2)) for _ in range(4))
        self.queue = np.zeros((QUEUE, N, 2))  # the last pushes, in a ring
        self.near, self.clock = np.zeros(N, int), np.zeros(N, int)
        self.over, self.ticks = np.zeros(N, bool), 0

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
        now, N = self.ticks % QUEUE, np.arange(self.num_envs)
        self.queue[now] = push
        arrives = self.queue[(now - self.robots.latency) % QUEUE, N]
        before = np.linalg.norm(self.goal - self.position, axis=1)
        self.velocity = self.velocity + DT * self.robots.acceleration(self.velocity, arrives, self.stiction)
        self.position = self.position + DT * self.velocity
        after = np.linalg.norm(self.goal - self.position, axis=1)
        self.near = np.where(after < RADIUS, self.near + 1, 0)
        hit = (self.near >= HOLD) & ~begins
        reward = 2 * (before - after) + hit - 0.02 * (push**2).sum(axis=1)
        self.last, self.clock, self.ticks = push, self.clock + 1, self.ticks + 1
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

    def _goals(self, which: np.ndarray) -> np.ndarray:
        return self.np_random.uniform(-1, 1, (int(which.sum()), 2))

    def _seen(self) -> np.ndarray:
        parts = [self.position, self.velocity / 2, self.goal - self.position, self.last]
        return np.concatenate(parts + [self.parameters] * self.told, axis=1, dtype=np.float32)

    def privileged(self) -> np.ndarray:
        """What only the simulator knows (N, P + 1): the parameters, and how long the puck has been near."""
        return np.concatenate([self.parameters, self.near[:, None] / HOLD], axis=1)

    def get_state(self) -> dict[str, Any]:
        """All that decides how it goes on."""
        return {
            "rng": self.np_random.bit_generator.state,
            **{name: np.array(getattr(self, name)) for name in STATE},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``get_state`` gave.

        Raises:
            ValueError: it is the state of another number of tables.
        """
        if len(state["clock"]) != self.num_envs:
            raise ValueError(f"a state of {len(state['clock'])} tables does not fit {self.num_envs}")
        self.np_random.bit_generator.state = state["rng"]
        for name in STATE:
            setattr(self, name, state[name].copy())
        self.robots = Robots(self.parameters)

    def render(self) -> tuple[np.ndarray, ...]:
        """A picture (200, 200, 3) of each table: the puck dark, the goal a ring; from -2 to 2 both ways."""
        line = np.linspace(-2, 2, 200)
        there = np.stack(np.meshgrid(line, -line), axis=-1)  # (200, 200, 2)
        return tuple(_picture(there, *pair) for pair in zip(self.position, self.goal, strict=True))


STATE = (
    "parameters", "position", "velocity", "goal", "last", "queue", "near", "clock", "over", "ticks", "low",
    "high",
)  # fmt: skip


def _picture(there: np.ndarray, position: np.ndarray, goal: np.ndarray) -> np.ndarray:
    picture = np.full((*there.shape[:2], 3), 245, np.uint8)
    off = np.linalg.norm(there - goal, axis=-1)
    picture[(off < RADIUS) & (off > RADIUS - 0.04)] = 200, 60, 50
    picture[np.linalg.norm(there - position, axis=-1) < 0.09] = 40, 60, 110
    return picture


class Puck(One):
    """One table as a single environment: ``gym.make("Puck-v0")``.

    Book: robotics/reality_gap
    """

    metadata = PuckEnvs.metadata

    def __init__(self, **kwargs: Any):
        super().__init__(PuckEnvs(1, **kwargs))


def _register() -> None:
    wide = {"low": -1.0, "high": 1.0}
    worlds = {"Puck": {}, "PuckRandomized": wide, "PuckTold": {**wide, "told": True}, "PuckReal": REAL}
    for name, kwargs in worlds.items():
        vector = f"{__name__}:PuckEnvs"
        gym.register(f"{name}-v0", f"{__name__}:Puck", vector_entry_point=vector, kwargs=kwargs)


_register()


# ---------------------------------------------------------------------------------------- at work


def real_robots(n: int, seed: int) -> np.ndarray:
    """Parameters (n, P) of robots that are all further from the data sheet than half the training range.

    Book: robotics/reality_gap
    """
    low, high = (np.full((n, len(PARAMETERS)), REAL[name]) for name in ("low", "high"))
    low[:, -1] = 0
    return draw(np.random.default_rng(seed), low, high, REAL["hole"])


def play(act: rl_envs.Act, envs: PuckEnvs, seed: int) -> np.ndarray:
    """Goals that are reached in each step of one episode on each table: (T, N).

    Book: robotics/reality_gap
    """
    obs, goals = rl_envs.reset(envs, seed, "evaluation"), np.empty((EPISODE, envs.num_envs), int)
    for t in range(EPISODE):
        obs, _, _, _, info = envs.step(act(obs))
        goals[t] = info["goals"]
    return goals


# ---------------------------------------------------------------------------- system identification


def identify(velocity: np.ndarray, push: np.ndarray) -> np.ndarray:
    """Parameters (N, P) of robots, from their velocities (T+1, N, 2) around the pushes (T, N, 2) they got.

    For each latency the accelerations are linear in gain · cos, gain · sin, damping and tilt: five unknowns,
    by least squares. The latency whose squared residuals are least is the answer. What the model has no
    parameter for, such as stiction, is put down to those that it has.

    Book: robotics/reality_gap
    """
    T, N, _ = push.shape
    change = (velocity[1:] - velocity[:-1]) / DT  # (T, N, 2)
    best = np.full(N, np.inf)
    found = np.zeros((N, len(PARAMETERS)))
    for latency in range(QUEUE):
        arrives = np.concatenate([np.zeros((latency, N, 2)), push[: T - latency]])  # (T, N, 2)
        (ux, uy), (vx, vy) = np.moveaxis(arrives, -1, 0), np.moveaxis(velocity[:-1], -1, 0)
        one, none = np.ones((T, N)), np.zeros((T, N))
        along_x = np.stack([ux, -uy, -vx, one, none], axis=-1)  # (T, N, 5)
        along_y = np.stack([uy, ux, -vy, none, one], axis=-1)
        rows = np.concatenate([along_x, along_y]).swapaxes(0, 1)  # (N, 2T, 5)
        seen = np.concatenate([change[..., 0], change[..., 1]]).T  # (N, 2T)
        solution = (np.linalg.pinv(rows) @ seen[..., None])[..., 0]  # (eq-identify)
        error = ((np.einsum("ntk,nk->nt", rows, solution) - seen) ** 2).sum(axis=1)  # (N,)
        cos, sin, damping, tilt_x, tilt_y = solution.T
        gain, yaw = np.hypot(cos, sin), np.arctan2(sin, cos)
        parameters = [
            np.log2(np.maximum(gain, 1e-3) / 6),
            np.log2(np.maximum(damping, 1e-3) / 2),
            tilt_x / 1.5,
            tilt_y / 1.5,
            yaw * 4 / np.pi,
            np.full(N, latency / LATENCY),
        ]
        better = error < best * (1 - 1e-9)
        best, found[better] = np.where(better, error, best), np.stack(parameters, axis=1)[better]
    return found
