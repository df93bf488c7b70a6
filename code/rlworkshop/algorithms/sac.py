"""Soft actor-critic (SAC): TD3's critics under a policy that is random, and paid for staying so.

The objective is reward plus α times the entropy of the policy. So the policy is a distribution, a Gaussian
squashed by tanh; its own randomness explores, and smooths the targets. α, the temperature, is learned: such
that the entropy stays at a target.

Papers: Haarnoja, Zhou, Abbeel & Levine, *Soft actor-critic: off-policy maximum entropy deep reinforcement
learning with a stochastic actor*, 2018 (arXiv:1801.01290); Haarnoja et al., *Soft actor-critic algorithms and
applications*, 2018 (arXiv:1812.05905), whose form this is. What is the same in DDPG or TD3 comes from there.

Book: algorithms/sac
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from rlworkshop import runs
from rlworkshop.algorithms.ddpg import (
    Agent,
    averages,
    critic_loss,
    descend,
    load_agent,
    make_replay,
    polyak,
    td_target,
)
from rlworkshop.algorithms.td3 import TwinCritic, clipped_double_q
from rlworkshop.replay import Replay, Transitions
from rlworkshop.runs.training import Training, command

ALGORITHM = "rlworkshop.algorithms.sac"
LOG_STD = (-20.0, 2.0)  # the logarithm of a standard deviation stays between these


@dataclass(frozen=True)
class Config:
    """Hyper-parameters of SAC."""

    env_id: str = "Pendulum-v1"
    """the environment: observations a vector, actions a box with finite bounds"""
    num_envs: int = 4
    """N, environments stepped together"""
    total_steps: int = 10_000
    """environment steps in all"""
    gamma: float = 0.99
    """discount factor"""
    lr: float = 1e-3
    """learning rate of all networks"""
    tau: float = 0.01
    """the part of the way to the critics that their targets go at each gradient step"""
    alpha: float = 1.0
    """α, the temperature, at first (SB3: ``ent_coef``)"""
    alpha_lr: float = 1e-3
    """learning rate of its logarithm; 0: it stays what it is"""
    target_entropy: float = -1.0
    """entropy that the temperature aims at, in nats for each component of actions from -1 to 1"""
    batch_size: int = 128
    """B, transitions that one gradient step learns from"""
    buffer_size: int = 100_000
    """transitions that the replay buffer keeps"""
    learning_starts: int = 1_000
    """environment steps before the first update; until then actions are drawn evenly from the whole box"""
    train_freq: int = 32
    """environment steps between two rounds of learning"""
    gradient_steps: int = 32
    """gradient steps in a round; divided by ``train_freq``: the update-to-data ratio"""
    hidden: tuple[int, ...] = (64, 64)
    """widths of the hidden layers of all networks"""
    device: str = "cpu"
    """where the networks are: ``"cpu"``, ``"cuda"``, ``"mps"``"""

    def __post_init__(self):
        whole = (self.num_envs, self.total_steps, self.batch_size, self.buffer_size, self.learning_starts)
        if min(*whole, self.train_freq, self.gradient_steps) < 1:
            raise ValueError("numbers of steps, environments and transitions must be at least 1")
        if not (0 <= self.gamma <= 1 and 0 < self.tau <= 1 and self.lr > 0):
            raise ValueError("gamma and tau lie between 0 and 1, tau and lr above 0")
        if self.buffer_size < self.num_envs:
            raise ValueError("buffer_size is at least num_envs")
        if not (self.alpha > 0 and self.alpha_lr >= 0):
            raise ValueError("alpha lies above 0, alpha_lr is not negative")


# ------------------------------------------------------------------------------------ the mathematics


def squashed_log_prob(
    noise: torch.Tensor, log_std: torch.Tensor, raw: torch.Tensor, log_scale: float
) -> torch.Tensor:
    """Log-density (B,) of the environment's actions, center + scale · tanh(``raw``), ``raw`` a Gaussian draw.

    Args:
        noise: (B, K), how many standard deviations each ``raw`` (B, K) lies from its mean.
        log_std: (B, K), logarithms of these standard deviations.
        log_scale: the logarithms of half the range of each component, summed.

    Book: algorithms/sac
    """
    gaussian = -0.5 * noise**2 - log_std - 0.5 * math.log(2 * math.pi)  # (B, K)
    # log(1 - tanh²), in a form that neither overflows nor becomes log(0) where tanh is 1 to the last digit
    slope = 2 * (math.log(2) - raw - nn.functional.softplus(-2 * raw))  # (B, K)
    return (gaussian - slope).sum(dim=1) - log_scale  # (eq-sac-density)


def soft_value(q: torch.Tensor, logp: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Soft value (B,) of states: Q of an action drawn there, and α times its surprise, which is -``logp``.

    Book: algorithms/sac
    """
    return q - alpha * logp  # (eq-sac-value)


def soft_actor_loss(q: torch.Tensor, logp: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Minus the mean soft value of the policy's own actions, whose ``q`` and ``logp`` (B,) carry gradients.

    Book: algorithms/sac
    """
    return -soft_value(q, logp, alpha).mean()  # (eq-sac-actor)


def temperature_loss(alpha: torch.Tensor, logp: torch.Tensor, target_entropy: float) -> torch.Tensor:
    """Loss of α: pushes it down where the entropy, estimated by -``logp`` (B,), is above its target, else up.

    ``alpha`` alone carries a gradient: how random the policy is, is not this loss's to change.

    Book: algorithms/sac
    """
    return alpha * (-logp.detach().mean() - target_entropy)  # (eq-sac-temperature)


# ------------------------------------------------------------------------------------------- the agent


class GaussianAgent(Agent):
    """A random policy: for each component of an action a Gaussian, squashed by tanh. The actor gives both.

    Its outputs are means, then logarithms of standard deviations; both depend on the observation.

    Book: algorithms/sac
    """

    OUTPUTS = 2  # of the actor, for each component of an action

    def __post_init__(self):
        super().__post_init__()
        self.log_scale = float(np.log(self.scale).sum())

    def mode(self, obs: np.ndarray) -> np.ndarray:
        """The squashed means (N, K), from -1 to 1, for observations ``obs`` (N, D)."""
        return np.tanh(self.forward(obs.astype(np.float32))[:, : len(self.scale)])

    def sample(self, obs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Random actions (N, K) of the policy for observations ``obs`` (N, D)."""
        mean, log_std = np.split(self.forward(obs.astype(np.float32)), 2, axis=1)  # (N, K), (N, K)
        raw = mean + np.exp(np.clip(log_std, *LOG_STD)) * rng.standard_normal(mean.shape)
        return self.to_box(np.tanh(raw))

    def draw(self, obs: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Random actions (B, K), from -1 to 1, and their log-densities (B,), at ``obs`` (B, D).

        Both carry gradients: an action is a function of the actor's outputs and of noise, reparameterised.
        """
        mean, log_std = self.actor(obs).chunk(2, dim=1)  # (B, K), (B, K)
        log_std = log_std.clamp(*LOG_STD)
        noise = torch.from_numpy(rng.standard_normal(mean.shape, np.float32)).to(mean.device)  # (B, K)
        raw = mean + log_std.exp() * noise  # (eq-sac-action)
        return raw.tanh(), squashed_log_prob(noise, log_std, raw, self.log_scale)


class Temperature(nn.Module):
    """α, the weight of entropy; its logarithm is what is learned, so α stays above 0."""

    def __init__(self, alpha: float):
        super().__init__()
        self.log_alpha = nn.Parameter(torch.tensor(math.log(alpha)))

    def forward(self) -> torch.Tensor:
        """α, a number."""
        return self.log_alpha.exp()


@dataclass
class Learner:
    """The agent, two critics, slow copies of these, the temperature, and an optimiser for each."""

    agent: GaussianAgent
    critic: nn.Module
    target_critic: nn.Module | None
    temperature: Temperature
    actor_opt: torch.optim.Optimizer
    critic_opt: torch.optim.Optimizer
    alpha_opt: torch.optim.Optimizer
    target_entropy: float
    """of the environment's actions, all components together"""


def make_learner(envs: gym.vector.VectorEnv, config: Config, generator: torch.Generator) -> Learner:
    """Fresh networks, copies and optimisers; all randomness comes from ``generator``."""
    spaces = envs.single_observation_space, envs.single_action_space
    agent = GaussianAgent.fresh(*spaces, config.hidden, generator, config.device)
    sizes = spaces[0].shape[0], spaces[1].shape[0]
    critic = TwinCritic(*sizes, config.hidden, generator).to(config.device)
    # the copy begins equal, gets no gradient, and is unknown to the optimisers
    target_critic = copy.deepcopy(critic).requires_grad_(False)
    temperature = Temperature(config.alpha).to(config.device)
    rates = {agent.actor: config.lr, critic: config.lr, temperature: config.alpha_lr}
    adams = [torch.optim.Adam(net.parameters(), lr, fused=True) for net, lr in rates.items()]
    # a range k times as wide holds log k more entropy: the target moves with it
    target_entropy = sizes[1] * config.target_entropy + agent.log_scale
    return Learner(agent, critic, target_critic, temperature, *adams, target_entropy)


def sac_target(
    learner: Learner, batch: Transitions, config: Config, rng: np.random.Generator
) -> torch.Tensor:
    """The target (B,) of a ``batch`` of tensors, one for both critics: the soft value of where it led.

    Book: algorithms/sac
    """
    next_action, next_logp = learner.agent.draw(batch.next_obs, rng)  # (B, K), (B,)
    next_q = clipped_double_q(learner.target_critic(batch.next_obs, next_action))  # (B,)
    return td_target(batch.reward, batch.discount, soft_value(next_q, next_logp, learner.temperature()))


def update(
    learner: Learner, replay: Replay, config: Config, rng: np.random.Generator, target=sac_target
) -> dict[str, float]:
    """One gradient step for the critics, the actor and the temperature each, on one batch; diagnostics.

    ``target`` is a function like ``sac_target``.

    Book: algorithms/sac
    """
    agent, critic = learner.agent, learner.critic
    batch = agent.tensors(replay.sample(config.batch_size, rng))
    with torch.no_grad():  # the target is a number to be reached: nothing in it is to be moved
        goal = target(learner, batch, config, rng)  # (B,)
    q = critic(batch.obs, batch.action)  # (2, B)
    descend(learner.critic_opt, error := critic_loss(q, goal))

    alpha = learner.temperature()
    action, logp = agent.draw(batch.obs, rng)  # (B, K), (B,)
    lower = clipped_double_q(critic(batch.obs, action))  # (B,)
    descend(learner.actor_opt, soft_actor_loss(lower, logp, alpha.detach()))

    descend(learner.alpha_opt, temperature_loss(alpha, logp, learner.target_entropy))
    polyak(learner.target_critic, critic, config.tau)
    found = {"critic_loss": error, "q": q.mean(), "entropy": -logp.mean(), "alpha": alpha}
    return {name: value.item() for name, value in found.items()}


# ---------------------------------------------------------------------------------------- training


def train(
    config: Config,
    seed: int,
    *,
    target: Callable[..., torch.Tensor] = sac_target,
    update: Callable[..., dict[str, float]] = update,
    make_replay: Callable[..., Replay] = make_replay,
    make_learner: Callable[..., Learner] = make_learner,
    algorithm: str = ALGORITHM,
    **options: Any,
) -> runs.Run:
    """Train on ``config.env_id``; the same seed on the same machine gives the same bits.

    Args:
        target, update, make_replay, make_learner: functions like those of this file.
        algorithm: the module whose ``load_policy`` knows the agent.
        options: of the session: ``callback``, ``checkpoint``, ``log_dir`` and the others of ``Training``.

    Raises:
        ValueError, RunFileError: as ``Training``; or the environment's spaces do not fit.

    Book: algorithms/sac
    """
    parts = {"target": target, "update": update, "make_replay": make_replay, "make_learner": make_learner}
    session = Training(algorithm, config, seed, parts, **options)
    envs, rng = session.envs, session.rng
    learner = make_learner(envs, config, session.generator)
    agent, replay = learner.agent, make_replay(envs, config.buffer_size)
    obs = session.begin(agent, learner=learner, replay=replay)  # (N, D)
    # region: loop
    while session.running(envs.num_envs):
        explore = agent.anything if session.steps < config.learning_starts else agent.sample
        action = explore(obs, rng)  # (N, K)
        next_obs, reward, terminated, truncated, _ = envs.step(action)
        valid = session.episodes.step(next_obs, reward, terminated, truncated)  # no reset rows
        discount = config.gamma * ~terminated  # a time limit is no terminal state: its value still counts
        replay.step(Transitions(obs, action, reward, next_obs, discount), valid, terminated | truncated)
        obs = next_obs
        if session.due(config.learning_starts, config.train_freq):
            found = [update(learner, replay, config, rng, target) for _ in range(config.gradient_steps)]
            session.updated(obs, **averages(found))
    # endregion
    return session.end()


def load_policy(run: runs.Run, device: str = "cpu") -> GaussianAgent:
    """The trained agent of a run: ``.act(obs)`` and ``.sample(obs, rng)``.

    Raises:
        ValueError: the run is of another algorithm.

    Book: algorithms/sac
    """
    return load_agent(run, ALGORITHM, GaussianAgent, device)


if __name__ == "__main__":
    command(train, load_policy, Config)
