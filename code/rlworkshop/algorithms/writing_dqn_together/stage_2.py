"""DQN in one file, stage 2 of 8: it remembers.

Check it: python -m rlworkshop.check dqn-stage-2 my_dqn.py

Book: algorithms/writing_dqn_together
"""

import gymnasium as gym
import numpy as np
import torch


def play(env, act, seed=None):
    """Play one episode, each action chosen by act(obs); return the sum of its rewards."""
    obs, _ = env.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        obs, reward, terminated, truncated, _ = env.step(act(obs))
        total += reward
        over = terminated or truncated
    return total


class Replay:
    """The last so many transitions, in arrays."""

    def __init__(self, capacity, obs_size):
        """Make room for so many transitions; an observation has obs_size numbers."""
        self.capacity, self.added = capacity, 0
        self.obs = np.zeros((capacity, obs_size), np.float32)
        self.action = np.zeros(capacity, np.int64)
        self.reward = np.zeros(capacity, np.float32)
        self.next_obs = np.zeros((capacity, obs_size), np.float32)
        self.terminated = np.zeros(capacity, bool)

    def add(self, obs, action, reward, next_obs, terminated):
        """Keep one transition; when the arrays are full, in place of the oldest."""
        row = self.added % self.capacity
        self.obs[row], self.action[row], self.reward[row] = obs, action, reward
        self.next_obs[row], self.terminated[row] = next_obs, terminated
        self.added += 1

    def sample(self, batch_size, rng):
        """Draw transitions at random; five tensors: (B, D), (B,), (B,), (B, D), (B,)."""
        rows = rng.integers(min(self.added, self.capacity), size=batch_size)
        columns = (self.obs, self.action, self.reward, self.next_obs, self.terminated)
        return [torch.from_numpy(column[rows]) for column in columns]


def collect(env, obs, act, replay, steps):
    """Take steps from obs on and keep each in replay; return the obs to go on from."""
    for _ in range(steps):
        action = act(obs)
        next_obs, reward, terminated, truncated, _ = env.step(action)
        replay.add(obs, action, reward, next_obs, terminated)
        obs = next_obs
        if terminated or truncated:
            obs, _ = env.reset()
    return obs


if __name__ == "__main__":
    env = gym.make("CartPole-v1")
    env.action_space.seed(0)
    replay, rng = Replay(5_000, 4), np.random.default_rng(0)
    obs, _ = env.reset(seed=0)
    collect(env, obs, lambda obs: env.action_space.sample(), replay, 5_000)
    obs, action, reward, next_obs, terminated = replay.sample(5, np.random.default_rng(0))
    print(f"{replay.added} transitions; {replay.terminated.sum()} of them ended an episode")
    print(f"five, drawn at random: actions {action.tolist()}, obs of shape {tuple(obs.shape)}")
