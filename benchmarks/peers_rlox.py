"""Algorithms of rlox (Rust and PyTorch), in the form in which ``measure.py`` trains ours.

Settings have their own names there (``options``). Off-policy algorithms get one environment, from which they
learn at the same replay ratio as ours. PPO does not tell the returns of its episodes.
"""

import importlib
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from rlworkshop import envs


@dataclass(frozen=True)
class Config:
    """One algorithm of rlox."""

    env_id: str
    total_steps: int
    algorithm: str = "ppo"
    options: dict[str, Any] = field(default_factory=dict)


class Agent:
    """A model of theirs, which acts for one observation at a time."""

    def __init__(self, model: Any, env_id: str):
        self.model, self.shape = model, gym.make(env_id).action_space.shape

    def act(self, obs: np.ndarray) -> np.ndarray:
        """The actions that it takes without exploration."""
        each = [np.asarray(self.model.predict(row, deterministic=True)) for row in obs]
        return np.stack([action.reshape(self.shape) for action in each])


class Told(gym.Wrapper):
    """Keeps when its episodes ended, and what they returned."""

    def __init__(self, env: gym.Env):
        super().__init__(env)
        self.steps, self.sum = 0, 0.0
        self.ends: list[int] = []
        self.returns: list[float] = []

    def step(self, action: Any) -> tuple:
        """Count, and add up."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        self.steps, self.sum = self.steps + 1, self.sum + float(reward)
        if terminated or truncated:
            self.ends.append(self.steps)
            self.returns.append(self.sum)
            self.sum = 0.0
        return obs, reward, terminated, truncated, info


def train(config: Config, seed: int, callback: Any) -> SimpleNamespace:
    """A training of theirs, with what ``measure.py`` reads of a run of ours.

    Raises:
        ImportError: the library is not installed.
    """
    try:
        module = importlib.import_module(f"rlox.algorithms.{config.algorithm}")
        from rlox.callbacks import Callback
    except ImportError as error:
        raise ImportError(
            "this row needs rlox, which is not here: make benchmark A=... T=... runs it in an environment "
            "that has it"
        ) from error
    torch.manual_seed(seed)
    np.random.seed(seed)
    on_policy = config.algorithm == "ppo"
    told = Told(gym.make(config.env_id))
    told.reset(seed=seed)
    told.action_space.seed(seed)
    agent, at = None, 0

    class Watch(Callback):
        def on_step(self, algo: Any, **_: Any) -> bool:
            nonlocal at
            at += algo.config.n_envs * algo.config.n_steps if on_policy else 1
            callback(SimpleNamespace(steps=at, agent=agent))
            return True

    model = getattr(module, config.algorithm.upper())(
        config.env_id if on_policy else told, seed=seed, callbacks=[Watch()], **config.options
    )
    agent = Agent(model, config.env_id)
    model.train(config.total_steps)
    obs = envs.reset(envs.make(config.env_id, 100), seed, "evaluation")
    metrics = {"step": np.array(told.ends), "return": np.array(told.returns), "update_step": [at]}
    # weights have another form there: what it does in 100 states stands for them
    return SimpleNamespace(metrics=metrics, policy={"actions": np.asarray(agent.act(obs))}, agent=agent)


def load(run: SimpleNamespace) -> Agent:
    """The agent of a run."""
    return run.agent
