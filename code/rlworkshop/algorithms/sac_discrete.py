"""Soft actor-critic for discrete actions: what SAC estimates by drawing an action, here is a sum over all.

Critics give Q of every action, the policy a probability; soft values and the entropy are expectations, taken
exactly, and nothing has to be differentiated through a random draw.

Papers: Christodoulou, *Soft actor-critic for discrete action settings*, 2019 (arXiv:1910.07207). Theirs aims
at 0.98 of the largest entropy there is, which keeps the policy near random; ours aims lower. What is the same
in SAC comes from there.

Book: algorithms/sac
"""

import copy
import math
from dataclasses import dataclass
from typing import Any, Self

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from rlworkshop import envs as rl_envs
from rlworkshop import nets, runs
from rlworkshop.algorithms import sac
from rlworkshop.algorithms.ddpg import Agent, critic_loss, descend, load_agent, polyak, td_target
from rlworkshop.algorithms.sac import Learner, Temperature, soft_value, temperature_loss
from rlworkshop.algorithms.td3 import clipped_double_q
from rlworkshop.replay import Replay, Transitions
from rlworkshop.runs.training import command

DISCRETE = "rlworkshop.algorithms.sac_discrete"


@dataclass(frozen=True)
class DiscreteConfig(sac.Config):
    """Hyper-parameters of SAC, three of them with other values."""

    env_id: str = "CartPole-v1"
    """the environment: observations a vector, actions discrete"""
    total_steps: int = 30_000
    """environment steps in all"""
    target_entropy: float = 0.5
    """entropy that the temperature aims at, as a part of that of a choice among all actions alike"""


def expected_soft_value(q: torch.Tensor, logp: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """What a state is worth (B,): the mean soft value of all actions, by their ``q`` and ``logp`` (B, A).

    Book: algorithms/sac
    """
    return (logp.exp() * soft_value(q, logp, alpha)).sum(dim=1)  # (eq-sac-discrete-value)


class DiscreteAgent(Agent):
    """A random policy over A actions; the actor gives its logits.

    Book: algorithms/sac
    """

    def __post_init__(self):
        self.forward = nets.NumpyForward(self.actor)

    @classmethod
    def fresh(
        cls,
        obs_space: gym.Space,
        action_space: gym.Space,
        hidden: tuple[int, ...],
        generator: torch.Generator,
        device: str = "cpu",
        noise: float = 0.0,
    ) -> Self:
        """An untrained agent for the spaces of one environment.

        Raises:
            ValueError: observations are no vector, actions not ``Discrete`` from 0, no such device.
        """
        if not isinstance(action_space, gym.spaces.Discrete) or action_space.start != 0:
            raise rl_envs.wrong_actions(action_space, "Discrete from 0")
        sizes = [rl_envs.vector_length(obs_space), *hidden, int(action_space.n)]
        actor = nets.mlp(sizes, generator, activation="relu", head_gain=0.01)
        return cls(actor.to(nets.torch_device(device)), obs_space, action_space, noise)

    def act(self, obs: np.ndarray) -> np.ndarray:
        """The likeliest actions (N,) for observations ``obs`` (N, D); one action for one observation.

        Raises:
            ValueError: ``obs`` is neither one observation nor a batch of them.
        """
        obs, one = rl_envs.batched(self.obs_space, obs)
        actions = self.forward(obs.astype(np.float32)).argmax(axis=1)
        return actions[0] if one else actions

    def sample(self, obs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Random actions (N,) of the policy for observations ``obs`` (N, D)."""
        logits = self.forward(obs.astype(np.float32))  # (N, A)
        # the largest of logits + Gumbel noise is a draw from softmax(logits)
        return (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)

    def anything(self, obs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Actions (N,), all alike likely, one for each of ``obs`` (N, D)."""
        return rng.integers(self.action_space.n, size=len(obs))

    def tensors(self, batch: Transitions) -> Transitions:
        """A batch of arrays as tensors, observations float32."""
        obs, next_obs = batch.obs.astype(np.float32), batch.next_obs.astype(np.float32)
        batch = batch._replace(obs=obs, next_obs=next_obs)
        place = self.actor[0].weight.device
        return Transitions(*(torch.from_numpy(column).to(place) for column in batch))

    def log_probs(self, obs: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of all actions (B, A) at ``obs`` (B, D)."""
        return self.actor(obs).log_softmax(dim=1)


class TwinQ(nn.Module):
    """Two critics with nothing in common, of all actions at once.

    Book: algorithms/sac
    """

    def __init__(self, sizes: list[int], generator: torch.Generator):
        super().__init__()
        self.twins = nn.ModuleList(nets.mlp(sizes, generator, activation="relu") for _ in range(2))

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """Q (2, B, A) of all actions at ``obs`` (B, D), once by each."""
        return torch.stack([critic(obs) for critic in self.twins])


def make_discrete(envs: gym.vector.VectorEnv, config: DiscreteConfig, generator: torch.Generator) -> Learner:
    """Fresh networks, copies and optimisers; all randomness comes from ``generator``."""
    spaces = envs.single_observation_space, envs.single_action_space
    agent = DiscreteAgent.fresh(*spaces, config.hidden, generator, config.device)
    sizes = [spaces[0].shape[0], *config.hidden, int(spaces[1].n)]
    critic = TwinQ(sizes, generator).to(config.device)
    # the copy begins equal, gets no gradient, and is unknown to the optimisers
    target_critic = copy.deepcopy(critic).requires_grad_(False)
    temperature = Temperature(config.alpha).to(config.device)
    rates = {agent.actor: config.lr, critic: config.lr, temperature: config.alpha_lr}
    adams = [torch.optim.Adam(net.parameters(), lr, fused=True) for net, lr in rates.items()]
    target_entropy = config.target_entropy * math.log(sizes[-1])
    return Learner(agent, critic, target_critic, temperature, *adams, target_entropy)


def discrete_target(
    learner: Learner, batch: Transitions, config: DiscreteConfig, rng: np.random.Generator
) -> torch.Tensor:
    """The target (B,) of a ``batch`` of tensors, one for both critics: the soft value of where it led.

    Book: algorithms/sac
    """
    next_q = clipped_double_q(learner.target_critic(batch.next_obs))  # (B, A)
    value = expected_soft_value(next_q, learner.agent.log_probs(batch.next_obs), learner.temperature())
    return td_target(batch.reward, batch.discount, value)


def update_discrete(
    learner: Learner, replay: Replay, config: DiscreteConfig, rng: np.random.Generator, target=discrete_target
) -> dict[str, float]:
    """One gradient step for the critics, the actor and the temperature each, on one batch; diagnostics.

    ``target`` is a function like ``discrete_target``.

    Book: algorithms/sac
    """
    agent, critic, alpha = learner.agent, learner.critic, learner.temperature()
    batch = agent.tensors(replay.sample(config.batch_size, rng))
    with torch.no_grad():  # the target is a number to be reached: nothing in it is to be moved
        goal = target(learner, batch, config, rng)  # (B,)
    all_q = critic(batch.obs)  # (2, B, A)
    q = all_q[:, torch.arange(len(goal), device=goal.device), batch.action]  # (2, B), of the actions taken
    descend(learner.critic_opt, error := critic_loss(q, goal))

    logp = agent.log_probs(batch.obs)  # (B, A)
    with torch.no_grad():
        lower = clipped_double_q(critic(batch.obs))  # (B, A)
    descend(learner.actor_opt, -expected_soft_value(lower, logp, alpha.detach()).mean())

    mean_logp = (logp.exp() * logp).sum(dim=1)  # (B,)
    descend(learner.alpha_opt, temperature_loss(alpha, mean_logp, learner.target_entropy))
    polyak(learner.target_critic, critic, config.tau)
    found = {"critic_loss": error, "q": q.mean(), "entropy": -mean_logp.mean(), "alpha": alpha}
    return {name: value.item() for name, value in found.items()}


def train_discrete(config: DiscreteConfig, seed: int, **options: Any) -> runs.Run:
    """Train on ``config.env_id`` with discrete SAC; ``options`` are those of ``sac.train``.

    Book: algorithms/sac
    """
    ours = {"make_learner": make_discrete, "update": update_discrete, "target": discrete_target}
    return sac.train(config, seed, **{**ours, "algorithm": DISCRETE, **options})


def load_discrete(run: runs.Run, device: str = "cpu") -> DiscreteAgent:
    """The trained agent of a run of ``train_discrete``: ``.act(obs)`` and ``.sample(obs, rng)``.

    Raises:
        ValueError: the run is of another algorithm.

    Book: algorithms/sac
    """
    return load_agent(run, DISCRETE, DiscreteAgent, device)


if __name__ == "__main__":
    command(train_discrete, load_discrete, DiscreteConfig)
