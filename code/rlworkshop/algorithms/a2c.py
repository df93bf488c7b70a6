"""Advantage actor-critic (A2C), the synchronous form of A3C.

Step N environments T times with the present policy, T small; judge each action by the rewards up to the
end of these T rows and the value of what came then; take one gradient step on one loss for policy and value
function together; throw the rows away.

Papers: Mnih, Badia, Mirza, Graves, Lillicrap, Harley, Silver & Kavukcuoglu, *Asynchronous methods for deep
reinforcement learning*, 2016 (arXiv:1602.01783), whose actors do not wait for each other. That they do is the
form of OpenAI's baselines, 2017. What is the same in vanilla policy gradient comes from there.

Book: algorithms/a2c
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from rlworkshop import envs as rl_envs
from rlworkshop import nets, runs
from rlworkshop.algorithms.vpg import (
    Agent,
    Batch,
    collect,
    gae,
    load_agent,
    make_policy,
    policy_loss,
    transitions,
    value_loss,
)
from rlworkshop.runs.training import Training, command

ALGORITHM = "rlworkshop.algorithms.a2c"


@dataclass(frozen=True)
class Config:
    """Hyper-parameters of A2C. ``T`` and ``N`` below are ``num_steps`` and ``num_envs``."""

    env_id: str = "CartPole-v1"
    """the environment: observations a vector, actions discrete or a box"""
    num_envs: int = 16
    """N, environments stepped together"""
    num_steps: int = 5
    """T, rows that each environment adds to a batch (A3C: ``t_max``; SB3: ``n_steps``)"""
    total_steps: int = 100_000
    """environment steps in all; no batch is begun that could exceed them"""
    gamma: float = 0.99
    """discount factor"""
    gae_lambda: float = 1.0
    """λ of GAE: 0 trusts the value function, 1 trusts the rewards up to the end of the batch"""
    ent_coef: float = 0.0
    """weight of the entropy bonus"""
    vf_coef: float = 0.5
    """weight of the value loss"""
    max_grad_norm: float = 0.5
    """the gradient of all parameters together is shortened to this length; 0: never"""
    lr: float = 3e-3
    """learning rate of both networks"""
    lr_decay_fraction: float = 1.0
    """the last part of ``total_steps``, over which it falls linearly to 0; 0: never"""
    hidden: tuple[int, ...] = (64, 64)
    """widths of the hidden layers of both networks"""
    normalize_obs: bool = False
    """shift and scale observations by their running mean and standard deviation"""
    device: str = "cpu"
    """where the networks are: ``"cpu"``, ``"cuda"``, ``"mps"``"""

    def __post_init__(self):
        if min(self.num_envs, self.num_steps) < 1:
            raise ValueError("num_envs and num_steps must be at least 1")
        if self.total_steps < self.num_envs * self.num_steps:
            raise ValueError(f"total_steps={self.total_steps} is less than one batch, num_envs * num_steps")
        if not (0 <= self.gamma <= 1 and 0 <= self.gae_lambda <= 1 and self.lr > 0):
            raise ValueError("gamma and gae_lambda lie between 0 and 1, lr above 0")
        if not min(self.ent_coef, self.vf_coef, self.max_grad_norm) >= 0:
            raise ValueError("ent_coef, vf_coef and max_grad_norm are not negative")
        if not 0 <= self.lr_decay_fraction <= 1:
            raise ValueError("lr_decay_fraction is a part of total_steps, from 0 to 1")


# ------------------------------------------------------------------------------------ the mathematics


def total_loss(
    policy: torch.Tensor, value: torch.Tensor, entropy: torch.Tensor, config: Config
) -> torch.Tensor:
    """What one optimiser minimises: the losses of policy and value function, less a bonus for entropy (B,).

    Book: algorithms/a2c
    """
    return policy + config.vf_coef * value - config.ent_coef * entropy.mean()  # (eq-a2c-loss)


# ---------------------------------------------------------------------------------------- learning


def adam(parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Adam, as in the other chapters: both moments begin at 0, and are corrected for that.

    Book: algorithms/a2c
    """
    return torch.optim.Adam(parameters, lr, eps=1e-5, fused=True)


def rmsprop(parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """PyTorch's RMSprop with the decay and ε of OpenAI's baselines, whose own is another in two respects.

    There the mean of squares begins at 1, and ε stands under the root; here it begins at 0, so that the first
    step is ten times ``lr`` for every parameter, and ε stands beside the root.

    Book: algorithms/a2c
    """
    return torch.optim.RMSprop(parameters, lr, alpha=0.99, eps=1e-5)


@dataclass
class Learner:
    """The agent, its value function, and one optimiser for both."""

    agent: Agent
    value: nn.Sequential
    optimizer: torch.optim.Optimizer


def make_learner(
    envs: gym.vector.VectorEnv,
    config: Config,
    generator: torch.Generator,
    optimizer: Callable[..., torch.optim.Optimizer] = adam,
) -> Learner:
    """Fresh networks and their optimiser; all randomness comes from ``generator``."""
    place, space = nets.torch_device(config.device), envs.single_observation_space
    policy = make_policy(space, envs.single_action_space, config.hidden, generator).to(place)
    # a network of its own: sharing layers would let the value's large errors drown the policy's gradient
    value = nets.mlp([space.shape[0], *config.hidden, 1], generator).to(place)
    norm = rl_envs.ObsNorm(space.shape) if config.normalize_obs else None
    both = optimizer([*policy.parameters(), *value.parameters()], config.lr)
    return Learner(Agent(policy, norm, space, envs.single_action_space), value, both)


def lr_at(step: int, config: Config) -> float:
    """Learning rate at an environment step: ``config.lr``, and at last down to 0.

    Book: algorithms/a2c
    """
    left, over = 1 - step / config.total_steps, config.lr_decay_fraction
    return config.lr * min(1.0, left / over) if over else config.lr


def update(
    learner: Learner, batch: Batch, config: Config, lr: float, advantages: Callable[..., np.ndarray] = gae
) -> dict[str, float]:
    """Learn from one batch: one step, for policy and value function together.

    Returns diagnostics by name. ``advantages`` is the estimator, a function like ``gae``.

    Book: algorithms/a2c
    """
    obs, actions, advantage, returns = transitions(
        learner.agent, learner.value, batch, config.gamma, config.gae_lambda, advantages
    )
    # region: step
    (group,) = learner.optimizer.param_groups  # one, of all parameters
    group["lr"] = lr
    logp, entropy = learner.agent.policy.log_prob(obs, actions)  # (B,), (B,)
    loss = policy_loss(logp, advantage)  # of plain numbers: no gradient reaches the value function here
    error = value_loss(learner.value(obs).squeeze(-1), returns)
    learner.optimizer.zero_grad()
    total_loss(loss, error, entropy, config).backward()
    if config.max_grad_norm:
        nn.utils.clip_grad_norm_(group["params"], config.max_grad_norm)
    learner.optimizer.step()
    # endregion
    if learner.agent.norm:
        # only now: a batch is collected and learned from under one and the same normalisation
        learner.agent.norm.update(batch.obs[:-1][batch.valid])
    explained = 1 - advantage.var() / (returns.var() + 1e-8)
    return {
        "policy_loss": loss.item(),
        "value_loss": error.item(),
        "entropy": entropy.mean().item(),
        "explained_variance": explained.item(),
    }


# ---------------------------------------------------------------------------------------- training


def train(
    config: Config,
    seed: int,
    *,
    advantages: Callable[..., np.ndarray] = gae,
    optimizer: Callable[..., torch.optim.Optimizer] = adam,
    **options: Any,
) -> runs.Run:
    """Train on ``config.env_id``; the same seed on the same machine gives the same bits.

    Args:
        advantages: the estimator, with the arguments of ``gae``.
        optimizer: makes the optimiser, with the arguments of ``adam``.
        options: of the session: ``callback``, ``checkpoint``, ``log_dir`` and the others of ``Training``.

    Raises:
        ValueError: the environment does not exist, its spaces do not fit, or it returns what is no number.
        RunFileError: the checkpoint is broken, or that of another training.

    Book: algorithms/a2c
    """
    parts = {"advantages": advantages, "optimizer": optimizer}
    session = Training(ALGORITHM, config, seed, parts, **options)
    envs = session.envs
    learner = make_learner(envs, config, session.generator, optimizer)
    obs = session.begin(learner.agent, learner=learner)  # (N, D)
    # region: loop
    while session.running(envs.num_envs * config.num_steps):
        lr = lr_at(session.steps, config)
        batch = collect(envs, learner.agent, obs, session.episodes, session.rng, config.num_steps)
        obs = batch.obs[-1]  # (N, D)
        session.updated(obs, **update(learner, batch, config, lr, advantages))
    # endregion
    return session.end()


def load_policy(run: runs.Run, device: str = "cpu") -> Agent:
    """The trained agent of a run, its normaliser frozen: ``.act(obs)`` and ``.sample(obs, rng)``.

    Raises:
        ValueError: the run is of another algorithm.

    Book: algorithms/a2c
    """
    return load_agent(run, ALGORITHM, device)


if __name__ == "__main__":
    command(train, load_policy, Config)
