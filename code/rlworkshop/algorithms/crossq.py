"""CrossQ: soft actor-critic without target networks, its critics steadied by batch normalisation.

Actions that were taken and actions that the policy would take now are two distributions. CrossQ sends both
through a critic at once, as one batch: so they are normalised alike, and the target may come from the network
that learns.

Papers: Bhatt, Palenicek, Belousov, Argus, Amiranashvili, Brox & Peters, *CrossQ: batch normalization in deep
reinforcement learning for greater sample efficiency and simplicity*, 2024 (arXiv:1902.05605). Theirs has a
batch renormalisation, in the actor too, and critics 2048 wide; ours has plain batch normalisation, and an
actor without. What is the same in SAC comes from there.

Book: algorithms/sac
"""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from rlworkshop import runs
from rlworkshop.algorithms import sac
from rlworkshop.algorithms.ddpg import Critic, critic_loss, descend, load_agent, td_target
from rlworkshop.algorithms.sac import (
    GaussianAgent,
    Learner,
    Temperature,
    soft_actor_loss,
    soft_value,
    temperature_loss,
)
from rlworkshop.algorithms.td3 import TwinCritic, clipped_double_q
from rlworkshop.replay import Replay, Transitions
from rlworkshop.runs.training import command

CROSSQ = "rlworkshop.algorithms.crossq"


@dataclass(frozen=True)
class CrossQConfig(sac.Config):
    """Hyper-parameters of SAC, of which ``tau`` is without use, and what CrossQ adds."""

    critic_hidden: tuple[int, ...] = (256, 256)
    """widths of the critics' hidden layers; ``hidden`` are the actor's"""
    policy_delay: int = 3
    """gradient steps of the critics for one of actor and temperature"""
    beta1: float = 0.5
    """what Adam's running mean of gradients keeps at each step"""

    def __post_init__(self):
        super().__post_init__()
        if self.policy_delay < 1 or not 0 <= self.beta1 < 1:
            raise ValueError("policy_delay is at least 1, and beta1 lies between 0 and 1")


class NormalizedCritic(Critic):
    """Q of actions, with batch normalisation before each linear layer.

    Book: algorithms/sac
    """

    def __init__(self, obs_dim: int, actions: int, hidden: tuple[int, ...], generator: torch.Generator):
        super().__init__(obs_dim, actions, hidden, generator)
        layers: list[nn.Module] = []
        for layer in self.net:
            if isinstance(layer, nn.Linear):
                layers.append(nn.BatchNorm1d(layer.in_features, momentum=0.01))
            layers.append(layer)
        self.net = nn.Sequential(*layers)


@dataclass
class CrossQLearner(Learner):
    """That of SAC, which also counts. There is no target critic."""

    updates: int = 0
    """gradient steps of the critics so far"""


def make_crossq(
    envs: gym.vector.VectorEnv, config: CrossQConfig, generator: torch.Generator
) -> CrossQLearner:
    """Fresh networks and optimisers; all randomness comes from ``generator``."""
    spaces = envs.single_observation_space, envs.single_action_space
    agent = GaussianAgent.fresh(*spaces, config.hidden, generator, config.device)
    sizes = spaces[0].shape[0], spaces[1].shape[0]
    critic = TwinCritic(*sizes, config.critic_hidden, generator, NormalizedCritic).to(config.device)
    temperature = Temperature(config.alpha).to(config.device)
    rates, betas = {agent.actor: config.lr, critic: config.lr, temperature: config.alpha_lr}, (0.999,)
    adams = [
        torch.optim.Adam(net.parameters(), lr, (config.beta1, *betas), fused=True)
        for net, lr in rates.items()
    ]
    target_entropy = sizes[1] * config.target_entropy + agent.log_scale
    return CrossQLearner(agent, critic, None, temperature, *adams, target_entropy)


def joint_td(
    learner: Learner, batch: Transitions, config: CrossQConfig, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Q (2, B) of the actions taken, with a gradient, and its target (B,), without, from one pass.

    Book: algorithms/sac
    """
    with torch.no_grad():
        next_action, next_logp = learner.agent.draw(batch.next_obs, rng)  # (B, K), (B,)
        alpha = learner.temperature()
    obs, action = torch.cat([batch.obs, batch.next_obs]), torch.cat([batch.action, next_action])  # (2B, ...)
    q, next_q = learner.critic(obs, action).chunk(2, dim=1)  # (eq-crossq-joint)
    value = soft_value(clipped_double_q(next_q.detach()), next_logp, alpha)  # (B,)
    return q, td_target(batch.reward, batch.discount, value)


def separate_td(
    learner: Learner, batch: Transitions, config: CrossQConfig, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """What ``joint_td`` gives, but from two passes: either half of the batch is normalised by itself.

    Book: algorithms/sac
    """
    with torch.no_grad():
        next_action, next_logp = learner.agent.draw(batch.next_obs, rng)  # (B, K), (B,)
        next_q = clipped_double_q(learner.critic(batch.next_obs, next_action))  # (B,)
        value = soft_value(next_q, next_logp, learner.temperature())  # (B,)
    return learner.critic(batch.obs, batch.action), td_target(batch.reward, batch.discount, value)


def update_crossq(
    learner: CrossQLearner, replay: Replay, config: CrossQConfig, rng: np.random.Generator, target=joint_td
) -> dict[str, float]:
    """One gradient step for the critics, and if it is time one for actor and temperature; diagnostics.

    ``target`` is a function like ``joint_td``.

    Book: algorithms/sac
    """
    agent, critic, alpha = learner.agent, learner.critic, learner.temperature()
    batch = agent.tensors(replay.sample(config.batch_size, rng))
    q, goal = target(learner, batch, config, rng)  # (2, B), (B,)
    descend(learner.critic_opt, error := critic_loss(q, goal))

    learner.updates += 1
    if learner.updates % config.policy_delay == 0:
        critic.eval()  # the actor is judged by the running statistics, and changes none
        action, logp = agent.draw(batch.obs, rng)  # (B, K), (B,)
        lower = clipped_double_q(critic(batch.obs, action))  # (B,)
        descend(learner.actor_opt, soft_actor_loss(lower, logp, alpha.detach()))
        critic.train()
        descend(learner.alpha_opt, temperature_loss(alpha, logp, learner.target_entropy))
    return {"critic_loss": error.item(), "q": q.mean().item(), "alpha": alpha.item()}


def train_crossq(config: CrossQConfig, seed: int, *, target=joint_td, **options: Any) -> runs.Run:
    """Train on ``config.env_id`` with CrossQ; ``options`` are those of ``sac.train``.

    Book: algorithms/sac
    """
    ours = {"make_learner": make_crossq, "update": update_crossq, "target": target, "algorithm": CROSSQ}
    return sac.train(config, seed, **{**ours, **options})


def load_crossq(run: runs.Run, device: str = "cpu") -> GaussianAgent:
    """The trained agent of a run of ``train_crossq``: ``.act(obs)`` and ``.sample(obs, rng)``.

    Raises:
        ValueError: the run is of another algorithm.

    Book: algorithms/sac
    """
    return load_agent(run, CROSSQ, GaussianAgent, device)


if __name__ == "__main__":
    command(train_crossq, load_crossq, CrossQConfig)
