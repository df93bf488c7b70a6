"""A pendulum with a weak motor, N of them stepped together, and what is recorded and drawn of them.

Importing this module registers ``SwingUp-v0``. Book: safety/learning_from_preferences
"""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from rlworkshop.envs.single import One
from rlworkshop.envs.vector import Act, reset, seeds

DT, SUBSTEPS = 0.1, 2  # seconds a step, in so many steps of the integrator
EPISODE = 60  # steps, 6 seconds
GRAVITY, TORQUE, FASTEST = 10.0, 4.0, 10.0  # accelerations in rad/s², and a speed in rad/s


def upright(steps: np.ndarray) -> np.ndarray:
    """The true reward (...) of steps (..., 4): cosine, sine, a tenth of the velocity, action.

    Book: safety/learning_from_preferences
    """
    angle, speed, push = np.arctan2(steps[..., 1], steps[..., 0]), FASTEST * steps[..., 2], steps[..., 3]
    return -(angle**2 + 0.1 * speed**2 + 0.001 * (TORQUE * push) ** 2)


class SwingUpEnvs(VectorEnv):
    """N pendulums with motors too weak to lift them (N, 1), NEXT_STEP. An episode takes 60 steps of 0.1 s.

    An observation (N, 3) is cosine and sine of the angle, which is 0 upright and grows anticlockwise, and a
    tenth of the angular velocity in rad/s. An action of 1 accelerates by 4 rad/s², gravity by up to 10.
    The reward is that of Gymnasium's Pendulum: minus the squared angle, a tenth of the squared velocity and
    a thousandth of the squared acceleration by the motor.

    Book: safety/learning_from_preferences
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, num_envs: int = 1, render_mode: str | None = None):
        self.num_envs, self.render_mode = num_envs, render_mode
        high = np.ones(3, np.float32)
        self.single_observation_space = gym.spaces.Box(-high, high, dtype=np.float32)
        self.single_action_space = gym.spaces.Box(-1, 1, (1,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.angle, self.speed = np.zeros(num_envs), np.zeros(num_envs)
        self.clock, self.over = 0, False

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode with each pendulum, at any angle and at most 1 rad/s; observations (N, 3)."""
        super().reset(seed=seed)
        self.angle = self.np_random.uniform(-np.pi, np.pi, self.num_envs)
        self.speed = self.np_random.uniform(-1, 1, self.num_envs)
        self.clock, self.over = 0, False
        return self._seen(), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """One step of each pendulum; if the episodes were over, new ones begin instead."""
        never = np.zeros(self.num_envs, bool)
        if self.over:
            return self.reset()[0], np.zeros(self.num_envs, np.float32), never, never, {}
        push = np.clip(np.asarray(actions, float).reshape(self.num_envs), -1, 1)
        steps = np.concatenate([self._seen(), push[:, None]], axis=1)
        for _ in range(SUBSTEPS):
            change = GRAVITY * np.sin(self.angle) + TORQUE * push
            self.speed = np.clip(self.speed + change * DT / SUBSTEPS, -FASTEST, FASTEST)
            self.angle = self.angle + self.speed * DT / SUBSTEPS
        self.clock += 1
        self.over = self.clock >= EPISODE
        return self._seen(), upright(steps).astype(np.float32), never, np.full(self.num_envs, self.over), {}

    def _seen(self) -> np.ndarray:
        seen = [np.cos(self.angle), np.sin(self.angle), self.speed / FASTEST]
        return np.stack(seen, axis=1).astype(np.float32)

    def get_state(self) -> dict[str, Any]:
        """All that decides how it goes on."""
        plain = {"clock": self.clock, "over": self.over, "rng": self.np_random.bit_generator.state}
        return {"angle": self.angle.copy(), "speed": self.speed.copy(), **plain}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``get_state`` gave.

        Raises:
            ValueError: it is the state of another number of pendulums.
        """
        if len(state["angle"]) != self.num_envs:
            raise ValueError(f"a state of {len(state['angle'])} pendulums does not fit {self.num_envs}")
        self.angle, self.speed = state["angle"].copy(), state["speed"].copy()
        self.clock, self.over = state["clock"], state["over"]
        self.np_random.bit_generator.state = state["rng"]

    def render(self) -> tuple[np.ndarray, ...]:
        """A picture (120, 120, 3) of each pendulum."""
        return tuple(picture(angle) for angle in self.angle)


class SwingUp(One):
    """One pendulum as a single environment: ``gym.make("SwingUp-v0")``.

    Book: safety/learning_from_preferences
    """

    metadata = SwingUpEnvs.metadata

    def __init__(self, **kwargs: Any):
        super().__init__(SwingUpEnvs(1, **kwargs))


gym.register("SwingUp-v0", f"{__name__}:SwingUp", vector_entry_point=f"{__name__}:SwingUpEnvs")


# ---------------------------------------------------------------------------------------- recording


class Rewarded(VectorWrapper):
    """Environments whose rewards come from a function of observation and action, (N, D) -> (N,).

    Attributes:
        episode: steps (T, N, D) of the last whole episodes, observation and action side by side.

    Book: safety/learning_from_preferences
    """

    def __init__(self, envs: VectorEnv, reward: Callable[[np.ndarray], np.ndarray]):
        super().__init__(envs)
        self.reward, self.steps, self.episode = reward, [], np.zeros((0, envs.num_envs, 0))

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode each."""
        self.obs, info = self.env.reset(seed=seed, options=options)
        self.steps, self.over = [], False
        return self.obs, info

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """One step; a reset row, in which no episode goes on, is worth 0 and is not recorded."""
        step = np.concatenate([self.obs, actions], axis=1, dtype=np.float32)
        self.obs, _, terminated, truncated, info = self.env.step(actions)
        if self.over:
            self.steps, self.over = [], False
            return self.obs, np.zeros(self.num_envs, np.float32), terminated, truncated, info
        self.steps.append(step)
        self.over = bool(truncated.all())
        if self.over:
            self.episode = np.stack(self.steps)
        return self.obs, self.reward(step).astype(np.float32), terminated, truncated, info


def random_episode(n: int, seed: int) -> np.ndarray:
    """Steps (T, N, 4) of one episode each of ``n`` pendulums with random actions."""
    envs = Rewarded(SwingUpEnvs(n), lambda steps: np.zeros(n))
    reset(envs, seed, "evaluation", 1)
    rng = np.random.default_rng(seeds(seed, 4, "evaluation", 2))
    for push in rng.uniform(-1, 1, (EPISODE, n, 1)):
        envs.step(push)
    return envs.episode


def play(act: Act, n: int, seed: int) -> np.ndarray:
    """Steps (T, N, 4) of one fresh episode of each of ``n`` pendulums.

    Book: safety/learning_from_preferences
    """
    envs = Rewarded(SwingUpEnvs(n), lambda steps: np.zeros(n))
    obs = reset(envs, seed, "evaluation")
    for _ in range(EPISODE):
        obs, *_ = envs.step(act(obs))
    return envs.episode


# ---------------------------------------------------------------------------------------- drawing


def picture(angle: float, size: int = 120) -> np.ndarray:
    """A pendulum at an angle, as a picture (size, size, 3) of bytes.

    Book: safety/learning_from_preferences
    """
    line = np.linspace(-1.3, 1.3, size)
    there = np.stack(np.meshgrid(line, -line), axis=-1)  # (size, size, 2)
    tip = np.array([-np.sin(angle), np.cos(angle)])
    along = np.clip(there @ tip, 0, 1)[..., None]
    shown = np.full((size, size, 3), 245, np.uint8)
    shown[np.linalg.norm(there - along * tip, axis=-1) < 0.05] = 110, 120, 140
    shown[np.linalg.norm(there - tip, axis=-1) < 0.16] = 40, 60, 110
    shown[np.linalg.norm(there, axis=-1) < 0.06] = 200, 60, 50
    return shown


def svg(clip: np.ndarray) -> str:
    """A clip (L, 4) as an animated SVG.

    Book: safety/learning_from_preferences
    """
    angles = -np.degrees(np.unwrap(np.arctan2(clip[:, 1], clip[:, 0])))
    turns = ";".join(f"{angle:.1f}" for angle in [*angles, *[angles[-1]] * 4])  # it rests at the end
    move = f'dur="{DT * (len(clip) + 3):.1f}s" repeatCount="indefinite" values="{turns}"'
    return (
        '<svg viewBox="-1.3 -1.3 2.6 2.6" role="img" aria-label="a pendulum"><g fill="#283c6e">'
        '<line y2="-1" stroke="#6e788c" stroke-width=".1"/><circle cy="-1" r=".16"/>'
        f'<animateTransform attributeName="transform" type="rotate" {move}/></g>'
        '<circle r=".06" fill="#c83c32"/></svg>'
    )


def letters(clip: np.ndarray) -> list[str]:
    """A clip (L, 4) as pictures of letters, 7 lines of 15.

    Book: safety/learning_from_preferences
    """
    films = []
    for cos, sin in clip[:, :2]:
        cells = [[" "] * 15 for _ in range(7)]
        for part, letter in ((0.4, "."), (0.7, "."), (1.0, "O"), (0.0, "+")):
            cells[round(3 - 3 * part * cos)][round(7 - 7 * part * sin)] = letter
        films.append("\n".join("".join(row) for row in cells))
    return films
