"""Algorithms of Stable-Baselines3 and of SBX, in the form in which ``measure.py`` trains ours.

Settings have their own names there (``options``); a learning rate that falls to 0 is ``decay``, and
``exploration_noise`` is the standard deviation of what is added to actions, in units of half their range.
"""

import importlib
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from rlworkshop import envs


@dataclass(frozen=True)
class Config:
    """One algorithm of one library."""

    env_id: str
    total_steps: int
    library: str = "stable_baselines3"
    algorithm: str = "PPO"
    num_envs: int = 1
    net_arch: tuple[int, ...] = (64, 64)
    decay: bool = False
    exploration_noise: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)


class Agent:
    """A model of theirs that acts like an agent of ours."""

    def __init__(self, model: Any):
        self.model = model

    def act(self, obs: np.ndarray) -> np.ndarray:
        """The actions that it takes without exploration."""
        return self.model.predict(obs, deterministic=True)[0]


def make(config: Config, seed: int) -> Any:
    """A fresh model.

    Raises:
        ImportError: the library is not installed.
    """
    try:
        library = importlib.import_module(config.library)
        from stable_baselines3.common.env_util import make_vec_env
        from stable_baselines3.common.noise import NormalActionNoise
    except ImportError as error:
        raise ImportError(
            f"this row needs {config.library}, which is not here: make benchmark A=... T=... runs it "
            "in an environment that has it"
        ) from error
    options = dict(config.options)
    if config.decay:
        first = options["learning_rate"]
        options["learning_rate"] = lambda left: first * left
    venv = make_vec_env(config.env_id, config.num_envs, seed=seed)
    if config.exploration_noise:
        zeros = np.zeros(venv.action_space.shape)
        options["action_noise"] = NormalActionNoise(zeros, zeros + config.exploration_noise)
    policy = {"net_arch": [*config.net_arch]}
    algorithm = getattr(library, config.algorithm)
    return algorithm("MlpPolicy", venv, seed=seed, policy_kwargs=policy, **options)


def train(config: Config, seed: int, callback: Any) -> SimpleNamespace:
    """A training of theirs, with what ``measure.py`` reads of a run of ours."""
    model = make(config, seed)
    from stable_baselines3.common.callbacks import BaseCallback

    agent, ends, returns = Agent(model), [], []

    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            for info in self.locals["infos"]:
                if "episode" in info:
                    ends.append(self.num_timesteps)
                    returns.append(float(info["episode"]["r"]))
            callback(SimpleNamespace(steps=self.num_timesteps, agent=agent))
            return True

    model.learn(config.total_steps, callback=Watch())
    obs = envs.reset(envs.make(config.env_id, 100), seed, "evaluation")
    metrics = {"step": np.array(ends), "return": np.array(returns), "update_step": [model.num_timesteps]}
    # weights have another form in each library: what it does in 100 states stands for them
    return SimpleNamespace(metrics=metrics, policy={"actions": np.asarray(agent.act(obs))}, agent=agent)


def load(run: SimpleNamespace) -> Agent:
    """The agent of a run."""
    return run.agent
