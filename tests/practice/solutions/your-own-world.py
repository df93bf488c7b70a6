"""A world of one's own: a bathtub that should be warm, and a tap."""

import gymnasium as gym
import numpy as np


class Bathtub(gym.Env):
    """Ten degrees too cold or too warm, cooling down: hot water, nothing, or cold water."""

    def __init__(self):
        self.observation_space = gym.spaces.Box(-50, 50, (1,), np.float32)
        self.action_space = gym.spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        """Too cold or too warm, by chance."""
        super().reset(seed=seed)
        self.off = self.np_random.uniform(-10, 10)
        return np.array([self.off], np.float32), {}

    def step(self, action):
        """One minute."""
        self.off = float(np.clip(self.off + (1.0, 0.0, -1.0)[action] - 0.2, -50, 50))
        return np.array([self.off], np.float32), -abs(self.off), False, False, {}


def make():
    """Twenty minutes."""
    return gym.wrappers.TimeLimit(Bathtub(), 20)


def rule(obs):
    """Hot where it is cold."""
    return 0 if obs[0] < 0 else 2
