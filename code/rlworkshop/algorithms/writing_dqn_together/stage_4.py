"""DQN in one file, stage 4 of 8: what it should have said.

Check it: python -m rlworkshop.check dqn-stage-4 my_dqn.py

Book: algorithms/writing_dqn_together
"""

import gymnasium as gym
import numpy as np
import torch

SCALE = torch.tensor([1.0, 1.0, 10.0, 1.0])  # the angle is ten times smaller
GAMMA = 0.99  # what a reward is worth one step later


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


class Scale(torch.nn.Module):
    """A layer that brings the numbers of an observation to about the same size."""

    def forward(self, obs):
        """Observations (B, D), scaled."""
        return obs * SCALE


def make_q(obs_size, actions):
    """A network from observations (B, D) to the Q values of all actions (B, A)."""
    return torch.nn.Sequential(
        Scale(),
        torch.nn.Linear(obs_size, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, actions),
    )


def greedy(q, obs):
    """The action with the largest Q value in one obs, a NumPy array (D,); as an int."""
    with torch.no_grad():
        return int(q(torch.from_numpy(obs)).argmax())


def td_target(q, reward, next_obs, terminated):
    """What Q of the actions taken should be (B,), if q is right about next_obs."""
    with torch.no_grad():
        best = q(next_obs).max(dim=1).values  # (B,)
        return reward + GAMMA * ~terminated * best  # (eq-together-target)


if __name__ == "__main__":
    env = gym.make("CartPole-v1")
    env.action_space.seed(0)
    replay, rng = Replay(5_000, 4), np.random.default_rng(0)
    obs, _ = env.reset(seed=0)
    collect(env, obs, lambda obs: env.action_space.sample(), replay, 5_000)
    torch.manual_seed(0)
    q = make_q(4, 2)
    batch = replay.sample(2_000, np.random.default_rng(0))
    obs, action, reward, next_obs, terminated = batch
    wanted = td_target(q, reward, next_obs, terminated)
    print(f"Q says {q(obs).mean():.2f} on average, and should have said")
    fell, stood = wanted[terminated].mean(), wanted[~terminated].mean()
    print(f"{fell:.2f} where the pole fell, {stood:.2f} elsewhere")
