"""Vector environments of one copy as single environments, for what works with these alone.

Book: robotics/reality_gap
"""

from typing import Any

import gymnasium as gym
import numpy as np


class One(gym.Env):
    """A vector environment of one copy, as a single environment.

    Raises:
        ValueError: it has more than one copy.

    Book: robotics/reality_gap
    """

    def __init__(self, envs: gym.vector.VectorEnv):
        if envs.num_envs != 1:
            raise ValueError(f"one copy makes a single environment, not {envs.num_envs}")
        self.envs, self.render_mode = envs, envs.render_mode
        self.observation_space = envs.single_observation_space
        self.action_space = envs.single_action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Begin an episode; its first observation."""
        super().reset(seed=seed)
        obs, info = self.envs.reset(seed=seed, options=options)
        return obs[0], {name: value[0] for name, value in info.items()}

    def step(self, action: np.ndarray):
        """One step."""
        obs, reward, terminated, truncated, info = self.envs.step(np.asarray(action)[None])
        plain = {name: value[0] for name, value in info.items()}
        return obs[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), plain

    def render(self) -> np.ndarray:
        """A picture of it."""
        return self.envs.render()[0]
