"""Vanilla policy gradient with generalised advantage estimation (GAE).

Collect a batch with the present policy, estimate how much better each action was than the policy's
average, take one gradient step that makes better actions likelier, fit the value function, throw the
batch away, repeat.

Papers: Williams, *Simple statistical gradient-following algorithms for connectionist reinforcement
learning*, 1992; Sutton, McAllester, Singh & Mansour, *Policy gradient methods for reinforcement learning
with function approximation*, 1999; Schulman, Moritz, Levine, Jordan & Abbeel, *High-dimensional
continuous control using generalized advantage estimation*, 2016 (arXiv:1506.02438).

Book: algorithms/vpg
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from rlworkshop import envs as rl_envs
from rlworkshop import nets, runs
from rlworkshop.runs.training import Training, command

Estimator = Callable[..., np.ndarray]  # of advantages, with the arguments of ``gae``
ALGORITHM = "rlworkshop.algorithms.vpg"


@dataclass(frozen=True)
class Config:
    """Hyper-parameters of VPG. ``T`` and ``N`` below are ``num_steps`` and ``num_envs``."""

    env_id: str = "CartPole-v1"
    """the environment: observations a vector, actions discrete or a box"""
    num_envs: int = 8
    """N, environments stepped together"""
    num_steps: int = 64
    """T, rows that each environment adds to a batch"""
    total_steps: int = 300_000
    """environment steps in all; no batch is begun that could exceed them"""
    gamma: float = 0.99
    """discount factor"""
    gae_lambda: float = 0.97
    """λ of GAE: 0 trusts the value function, 1 trusts the returns"""
    lr: float = 1e-2
    """learning rate of both networks"""
    lr_decay_fraction: float = 1.0
    """the last part of ``total_steps``, over which it falls linearly to 0; 0: never"""
    value_steps: int = 10
    """gradient steps on the value function for each batch (the policy takes one)"""
    hidden: tuple[int, ...] = (64, 64)
    """widths of the hidden layers of both networks"""
    normalize_obs: bool = True
    """shift and scale observations by their running mean and standard deviation"""
    device: str = "cpu"
    """where the networks are: ``"cpu"``, ``"cuda"``, ``"mps"``"""

    def __post_init__(self):
        if min(self.num_envs, self.num_steps, self.value_steps) < 1:
            raise ValueError("num_envs, num_steps and value_steps must be at least 1")
        if self.total_steps < self.num_envs * self.num_steps:
            raise ValueError(f"total_steps={self.total_steps} is less than one batch, num_envs * num_steps")
        if not (0 <= self.gamma <= 1 and 0 <= self.gae_lambda <= 1 and self.lr > 0):
            raise ValueError("gamma and gae_lambda lie between 0 and 1, lr above 0")
        if not 0 <= self.lr_decay_fraction <= 1:
            raise ValueError("lr_decay_fraction is a part of total_steps, from 0 to 1")


# ---------------------------------------------------------------------------------------- networks


class CategoricalPolicy(nn.Module):
    """A distribution over A discrete actions; the network gives its logits.

    Book: algorithms/vpg
    """

    def __init__(self, obs_dim: int, actions: int, hidden: tuple[int, ...], generator: torch.Generator):
        super().__init__()
        # a small last layer: every action starts out about equally likely
        self.net = nets.mlp([obs_dim, *hidden, actions], generator, head_gain=0.01)
        self.forward_numpy = nets.NumpyForward(self.net)

    def log_prob(self, obs: torch.Tensor, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities (B,) of ``actions`` (B,) and entropies (B,) at ``obs`` (B, D)."""
        logits = self.net(obs)  # (B, A)
        logps = logits - logits.logsumexp(dim=1, keepdim=True)  # (B, A)
        return logps.gather(1, actions[:, None])[:, 0], -(logps.exp() * logps).sum(dim=1)

    def sample(self, obs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Random actions (N,) at ``obs`` (N, D)."""
        logits = self.forward_numpy(obs)  # (N, A)
        # the largest of logits + Gumbel noise is a draw from softmax(logits)
        return (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)

    def mode(self, obs: np.ndarray) -> np.ndarray:
        """The likeliest actions (N,) at ``obs`` (N, D)."""
        return self.forward_numpy(obs).argmax(axis=1)


class GaussianPolicy(nn.Module):
    """Independent normal distributions over K action components; the network gives their means.

    The standard deviations are parameters of their own and do not depend on the observation.

    Book: algorithms/vpg
    """

    def __init__(self, obs_dim: int, actions: int, hidden: tuple[int, ...], generator: torch.Generator):
        super().__init__()
        self.net = nets.mlp([obs_dim, *hidden, actions], generator, head_gain=0.01)
        self.log_std = nn.Parameter(torch.full((actions,), -0.5))  # (K,)
        self.forward_numpy = nets.NumpyForward(self.net)

    def log_prob(self, obs: torch.Tensor, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-densities (B,) of ``actions`` (B, K) and entropies (B,) at ``obs`` (B, D)."""
        mean = self.net(obs)  # (B, K)
        z = (actions - mean) * torch.exp(-self.log_std)  # (B, K)
        log_norm = self.log_std + 0.5 * math.log(2 * math.pi)  # (K,)
        return -(0.5 * z**2 + log_norm).sum(dim=1), (log_norm + 0.5).sum().expand(len(obs))

    def sample(self, obs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Random actions (N, K) at ``obs`` (N, D)."""
        mean = self.forward_numpy(obs)  # (N, K)
        std = np.exp(self.log_std.detach().cpu().numpy())  # (K,)
        return (mean + std * rng.standard_normal(mean.shape)).astype(np.float32)

    def mode(self, obs: np.ndarray) -> np.ndarray:
        """The mean actions (N, K) at ``obs`` (N, D)."""
        return self.forward_numpy(obs)


def make_policy(
    obs_space: gym.Space, action_space: gym.Space, hidden: tuple[int, ...], generator: torch.Generator
) -> CategoricalPolicy | GaussianPolicy:
    """The policy that fits the spaces of one environment.

    Raises:
        ValueError: observations are not a vector, or actions are neither ``Discrete`` (from 0) nor a vector.

    Book: algorithms/vpg
    """
    obs_dim = rl_envs.vector_length(obs_space)
    if isinstance(action_space, gym.spaces.Discrete) and action_space.start == 0:
        return CategoricalPolicy(obs_dim, int(action_space.n), hidden, generator)
    if isinstance(action_space, gym.spaces.Box) and len(action_space.shape) == 1:
        return GaussianPolicy(obs_dim, action_space.shape[0], hidden, generator)
    raise rl_envs.wrong_actions(action_space, "Discrete from 0, or a Box with one axis")


@dataclass
class Agent:
    """A policy with the observation normaliser that belongs to it (``None``: raw observations).

    Book: algorithms/vpg
    """

    policy: CategoricalPolicy | GaussianPolicy
    norm: rl_envs.ObsNorm | None
    obs_space: gym.Space
    action_space: gym.Space

    def see(self, obs: np.ndarray) -> np.ndarray:
        """Observations (..., D) as the networks take them, float32."""
        return obs.astype(np.float32) if self.norm is None else self.norm(obs)

    def act(self, obs: np.ndarray) -> np.ndarray:
        """Deterministic actions, within the action space, for raw observations ``obs`` (N, D); one for one.

        Raises:
            ValueError: ``obs`` is neither one observation nor a batch of them.
        """
        obs, one = rl_envs.batched(self.obs_space, obs)
        actions = rl_envs.to_env(self.action_space, self.policy.mode(self.see(obs)))
        return actions[0] if one else actions

    def sample(self, obs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Random actions for raw observations ``obs`` (N, D), as drawn: a box's bounds are not heeded."""
        return self.policy.sample(self.see(obs), rng)


def load_agent(run: runs.Run, algorithm: str, device: str) -> Agent:
    """The trained agent of a run of ``algorithm``, which keeps its policy as ``Agent`` does, on ``device``.

    Raises:
        ValueError: the run is of another algorithm.
    """
    if run.algorithm != algorithm:
        raise ValueError(f"this run is of {run.algorithm}: load it with that module's load_policy")
    obs_space, action_space = (rl_envs.space_from_tree(run.policy[k]) for k in ("obs_space", "action_space"))
    policy = make_policy(obs_space, action_space, tuple(run.config["hidden"]), torch.Generator())
    policy.load_state_dict(nets.from_tree(run.policy["policy"]))
    norm = rl_envs.ObsNorm(obs_space.shape) if run.policy["norm"] else None
    if norm:
        vars(norm).update(run.policy["norm"])
    return Agent(policy.to(nets.torch_device(device)), norm, obs_space, action_space)


# ------------------------------------------------------------------------------------ the mathematics


def gae(
    rewards: np.ndarray,
    values: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
    gamma: float,
    lam: float,
) -> np.ndarray:
    """Generalised advantage estimates (T, N) (Schulman et al., 2016, eq. 16).

    Args:
        rewards: (T, N), reward of transition t.
        values: (T+1, N), value of the observation *before* transition t; the last row closes the batch.
        terminated, truncated: (T, N) bool, how transition t ended; both False: the episode goes on.

    Where transition t was cut off, ``values[t+1]`` is the value of the true last observation: under
    NEXT_STEP the following row starts from it. That row is a reset row; its own estimate means nothing
    and must be left out, but it never reaches a real row.

    Book: algorithms/vpg
    """
    terminated, truncated = terminated.astype(bool), truncated.astype(bool)  # ~ of whole numbers is no "not"
    advantages = np.zeros_like(values[:-1], np.result_type(values, np.float32))  # (T, N)
    running = np.zeros_like(advantages[0])  # (N,)
    for t in reversed(range(len(rewards))):
        # a terminal state is worth nothing; a time limit is no terminal state: its value still counts
        delta = rewards[t] + gamma * values[t + 1] * ~terminated[t] - values[t]  # (eq-td-error)
        # nothing flows back over the end of an episode, whatever ended it
        running = delta + gamma * lam * ~(terminated[t] | truncated[t]) * running  # (eq-gae)
        advantages[t] = running
    return advantages


def normalize(advantages: torch.Tensor) -> torch.Tensor:
    """Advantages (B,) with mean 0 and standard deviation 1; fewer than two stay as they are."""
    if len(advantages) < 2:
        return advantages
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)


def policy_loss(logp: torch.Tensor, advantages: torch.Tensor) -> torch.Tensor:
    """Minus the policy-gradient objective: its gradient is the estimator of the policy gradient.

    ``logp`` (B,) carries the gradient; ``advantages`` (B,) are plain numbers. The *value* of this loss
    measures nothing: it may rise while the policy improves.

    Book: algorithms/vpg
    """
    return -(logp * advantages).mean()  # (eq-pg-loss)


def value_loss(values: torch.Tensor, returns: torch.Tensor) -> torch.Tensor:
    """Mean squared error of predicted ``values`` (B,) against estimated ``returns`` (B,).

    Book: algorithms/vpg
    """
    return ((values - returns) ** 2).mean()  # (eq-value-loss)


# ---------------------------------------------------------------------------------------- experience


@dataclass
class Batch:
    """T rows from each of N environments; reset rows included, told apart by ``valid``."""

    obs: np.ndarray  # (T+1, N, D) float32, raw
    actions: np.ndarray  # (T, N) or (T, N, K), as sampled: not clipped
    rewards: np.ndarray  # (T, N) float32
    terminated: np.ndarray  # (T, N) bool
    truncated: np.ndarray  # (T, N) bool
    valid: np.ndarray  # (T, N) bool, False on reset rows


def collect(
    envs: gym.vector.VectorEnv,
    agent: Agent,
    obs: np.ndarray,
    episodes: rl_envs.Episodes,
    rng: np.random.Generator,
    steps: int,
) -> Batch:
    """Step ``envs`` on from ``obs`` (N, D) for ``steps`` rows with actions drawn from the policy.

    ``episodes`` counts along. The batch's last observation, ``obs[-1]``, is where to go on.

    Book: algorithms/vpg
    """
    n, space = envs.num_envs, envs.single_action_space
    rows = np.empty((steps + 1, n, *envs.single_observation_space.shape), np.float32)
    actions = np.empty((steps, n, *space.shape), np.int64 if space.shape == () else np.float32)
    batch = Batch(rows, actions, np.empty((steps, n), np.float32), *np.empty((3, steps, n), bool))
    batch.obs[0] = obs
    # region: rollout
    for t in range(steps):
        batch.actions[t] = agent.sample(batch.obs[t], rng)
        action = rl_envs.to_env(envs.action_space, batch.actions[t])
        obs, reward, batch.terminated[t], batch.truncated[t], _ = envs.step(action)
        batch.obs[t + 1], batch.rewards[t] = obs, reward
        batch.valid[t] = episodes.step(obs, reward, batch.terminated[t], batch.truncated[t])
    # endregion
    return batch


def transitions(
    agent: Agent, value: nn.Module, batch: Batch, gamma: float, lam: float, advantages: Estimator = gae
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The B real transitions of a batch, on the device of ``value``.

    Observations (B, D) as the networks take them, actions (B,) or (B, K), advantages (B,), returns (B,).
    ``advantages`` is the estimator, a function like ``gae``.

    Book: algorithms/vpg
    """
    device = next(value.parameters()).device
    # region: advantages
    seen = torch.from_numpy(agent.see(batch.obs)).to(device)  # (T+1, N, D)
    with torch.no_grad():
        values = value(seen).squeeze(-1).cpu().numpy()  # (T+1, N)
    estimates = advantages(batch.rewards, values, batch.terminated, batch.truncated, gamma, lam)  # (T, N)
    # endregion
    # reset rows are no transitions: out with them, before anything is averaged
    valid = batch.valid  # (T, N)
    numbers = batch.actions[valid], estimates[valid], (estimates + values[:-1])[valid]
    return seen[:-1].flatten(0, 1)[valid.ravel()], *(torch.from_numpy(x).to(device) for x in numbers)


@dataclass
class Learner:
    """The agent, its value function, and an optimiser for each."""

    agent: Agent
    value: nn.Sequential
    policy_opt: torch.optim.Optimizer
    value_opt: torch.optim.Optimizer


def make_learner(envs: gym.vector.VectorEnv, config: Config, generator: torch.Generator) -> Learner:
    """Fresh networks and optimisers; all randomness comes from ``generator``."""
    place, space = nets.torch_device(config.device), envs.single_observation_space
    policy = make_policy(space, envs.single_action_space, config.hidden, generator).to(place)
    # a network of its own: sharing layers would let the value's large errors drown the policy's gradient
    value = nets.mlp([space.shape[0], *config.hidden, 1], generator).to(place)
    norm = rl_envs.ObsNorm(space.shape) if config.normalize_obs else None
    adam = [torch.optim.Adam(net.parameters(), config.lr, eps=1e-5, fused=True) for net in (policy, value)]
    return Learner(Agent(policy, norm, space, envs.single_action_space), value, *adam)


def lr_at(step: int, config: Config) -> float:
    """Learning rate at an environment step: ``config.lr``, and at last down to 0.

    Book: algorithms/vpg
    """
    left, over = 1 - step / config.total_steps, config.lr_decay_fraction
    return config.lr * min(1.0, left / over) if over else config.lr


def update(
    learner: Learner, batch: Batch, config: Config, lr: float, advantages: Estimator = gae
) -> dict[str, float]:
    """Learn from one batch: one step for the policy, ``config.value_steps`` for the value function.

    Returns diagnostics by name. ``advantages`` is the estimator, a function like ``gae``.

    Book: algorithms/vpg
    """
    obs, actions, advantage, returns = transitions(
        learner.agent, learner.value, batch, config.gamma, config.gae_lambda, advantages
    )
    for optimizer in (learner.policy_opt, learner.value_opt):
        optimizer.param_groups[0]["lr"] = lr
    # region: policy
    logp, entropy = learner.agent.policy.log_prob(obs, actions)  # (B,), (B,)
    loss = policy_loss(logp, normalize(advantage))
    learner.policy_opt.zero_grad()
    loss.backward()
    learner.policy_opt.step()
    # endregion
    # region: value
    for _ in range(config.value_steps):
        error = value_loss(learner.value(obs).squeeze(-1), returns)
        learner.value_opt.zero_grad()
        error.backward()
        learner.value_opt.step()
    # endregion
    if learner.agent.norm:
        # only now: a batch is collected and learned from under one and the same normalisation
        learner.agent.norm.update(batch.obs[:-1][batch.valid])
    explained = 1 - advantage.var() / (returns.var() + 1e-8)
    found = {
        "policy_loss": loss,
        "value_loss": error,
        "entropy": entropy.mean(),
        "explained_variance": explained,
    }
    return {name: value.item() for name, value in found.items()}


# ---------------------------------------------------------------------------------------- training


def train(config: Config, seed: int, *, advantages: Estimator = gae, **options: Any) -> runs.Run:
    """Train on ``config.env_id``; the same seed on the same machine gives the same bits.

    Args:
        advantages: the estimator, with the arguments of ``gae``.
        options: of the session: ``callback``, ``checkpoint``, ``log_dir`` and the others of ``Training``.

    Raises:
        ValueError: the environment does not exist, its spaces do not fit, or it returns what is no number.
        RunFileError: the checkpoint is broken, or that of another training.

    Book: algorithms/vpg
    """
    session = Training(ALGORITHM, config, seed, {"advantages": advantages}, **options)
    envs = session.envs
    learner = make_learner(envs, config, session.generator)
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

    Book: algorithms/vpg
    """
    return load_agent(run, ALGORITHM, device)


if __name__ == "__main__":
    command(train, load_policy, Config)
