"""A table with a roof over its middle."""

import gymnasium as gym
import numpy as np

from rlworkshop.robotics.reality_gap import PuckEnvs

HALF = 0.4


class Roofed(PuckEnvs):
    """Tables on which a puck in the middle is not seen."""

    def __init__(self, num_envs=1, **kwargs):
        super().__init__(num_envs, **kwargs)
        self.single_observation_space = gym.spaces.Box(-np.inf, np.inf, (9,), np.float32)
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)

    def _seen(self):
        obs, seen = super()._seen(), np.abs(self.position[:, :1]) >= HALF
        obs[:, :6] = np.where(seen, obs[:, :6], 0)
        return np.concatenate([obs, seen.astype(np.float32)], axis=1)
