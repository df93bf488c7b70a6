"""DQN in one file, stage 1 of 8: an agent that guesses, and the loop around it.

Check it: python -m rlworkshop.check dqn-stage-1 my_dqn.py

Book: algorithms/writing_dqn_together
"""

import gymnasium as gym
import numpy as np


def play(env, act, seed=None):
    """Play one episode, each action chosen by act(obs); return the sum of its rewards."""
    obs, _ = env.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        obs, reward, terminated, truncated, _ = env.step(act(obs))
        total += reward
        over = terminated or truncated
    return total


if __name__ == "__main__":
    env = gym.make("CartPole-v1")
    env.action_space.seed(0)
    returns = [play(env, lambda obs: env.action_space.sample()) for _ in range(100)]
    print(f"100 episodes of guessing: mean {np.mean(returns):.1f}, best {max(returns):.0f}")
