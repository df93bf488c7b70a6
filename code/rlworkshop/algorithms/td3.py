"""Twin delayed DDPG (TD3): DDPG with three remedies against its critic's errors.

The actor climbs the critic, so it finds the critic's errors, and those upwards are learned from. TD3 trusts
the lower of two critics (clipped double Q), asks for Q around an action rather than at it (target policy
smoothing), and moves the actor and all targets only at every second step of the critics (delayed updates).

Papers: Fujimoto, van Hoof & Meger, *Addressing function approximation error in actor-critic methods*, 2018
(arXiv:1802.09477). What is the same in DDPG comes from there.

Book: algorithms/td3
"""

import copy
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
    Critic,
    Learner,
    actor_loss,
    averages,
    critic_loss,
    descend,
    load_agent,
    make_replay,
    polyak,
    td_target,
)
from rlworkshop.replay import Replay, Transitions
from rlworkshop.runs.training import Training, command

ALGORITHM = "rlworkshop.algorithms.td3"


@dataclass(frozen=True)
class Config:
    """Hyper-parameters of TD3."""

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
    """the part of the way to the networks that their targets go at each update of the actor"""
    policy_delay: int = 2
    """gradient steps of the critics for one of the actor (CleanRL: ``policy_frequency``)"""
    target_noise: float = 0.2
    """standard deviation of the noise on the actions of targets, as a part of half their range"""
    noise_clip: float = 0.5
    """what that noise is cut off at, as a part of half the range"""
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
    exploration_noise: float = 0.2
    """standard deviation of the noise on actions, in parts of half the range of each"""
    hidden: tuple[int, ...] = (64, 64)
    """widths of the hidden layers of all networks"""
    device: str = "cpu"
    """where the networks are: ``"cpu"``, ``"cuda"``, ``"mps"``"""

    def __post_init__(self):
        whole = (self.num_envs, self.total_steps, self.batch_size, self.buffer_size, self.learning_starts)
        if min(*whole, self.train_freq, self.gradient_steps, self.policy_delay) < 1:
            raise ValueError("numbers of steps, environments and transitions must be at least 1")
        if not (0 <= self.gamma <= 1 and 0 < self.tau <= 1 and self.lr > 0):
            raise ValueError("gamma and tau lie between 0 and 1, tau and lr above 0")
        if self.buffer_size < self.num_envs:
            raise ValueError("buffer_size is at least num_envs")
        if min(self.exploration_noise, self.target_noise, self.noise_clip) < 0:
            raise ValueError("exploration_noise, target_noise and noise_clip are not negative")


# ------------------------------------------------------------------------------------ the mathematics


def smoothed(action: torch.Tensor, noise: torch.Tensor, clip: float) -> torch.Tensor:
    """Target policy smoothing: actions (B, K) with ``noise`` (B, K) that is cut off at ±``clip``.

    What results stays between -1 and 1, as all actions that networks see do.

    Book: algorithms/td3
    """
    return (action + noise.clamp(-clip, clip)).clamp(-1, 1)  # (eq-td3-smoothing)


def clipped_double_q(q: torch.Tensor) -> torch.Tensor:
    """The lower of two critics' values ``q`` (2, B), for each transition by itself (B,).

    Book: algorithms/td3
    """
    return q.min(dim=0).values  # (eq-td3-lower)


# ---------------------------------------------------------------------------------------- learning


class TwinCritic(nn.Module):
    """Two critics with nothing in common.

    Book: algorithms/td3
    """

    def __init__(
        self,
        obs_dim: int,
        actions: int,
        hidden: tuple[int, ...],
        generator: torch.Generator,
        kind: type[Critic] = Critic,
    ):
        super().__init__()
        self.twins = nn.ModuleList(kind(obs_dim, actions, hidden, generator) for _ in range(2))

    def forward(self, obs: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Q (2, B) of ``action`` (B, K), from -1 to 1, at ``obs`` (B, D), once by each."""
        return torch.stack([critic(obs, action) for critic in self.twins])


def make_learner(envs: gym.vector.VectorEnv, config: Config, generator: torch.Generator) -> Learner:
    """Fresh networks, their copies and optimisers; all randomness comes from ``generator``."""
    spaces = envs.single_observation_space, envs.single_action_space
    agent = Agent.fresh(*spaces, config.hidden, generator, config.device, config.exploration_noise)
    sizes = spaces[0].shape[0], spaces[1].shape[0]
    critic = TwinCritic(*sizes, config.hidden, generator).to(config.device)
    # the copies begin equal, get no gradient, and are unknown to the optimisers
    copies = [copy.deepcopy(net).requires_grad_(False) for net in (agent.actor, critic)]
    adams = [torch.optim.Adam(net.parameters(), config.lr, fused=True) for net in (agent.actor, critic)]
    return Learner(agent, critic, *copies, *adams)


def next_actions(
    learner: Learner, batch: Transitions, config: Config, rng: np.random.Generator
) -> torch.Tensor:
    """What the target actor would do next (B, K), with the noise of target policy smoothing."""
    action = learner.target_actor(batch.next_obs).tanh()  # (B, K)
    noise = config.target_noise * rng.standard_normal(action.shape, np.float32)  # (B, K)
    return smoothed(action, torch.from_numpy(noise).to(action.device), config.noise_clip)


def td3_target(
    learner: Learner, batch: Transitions, config: Config, rng: np.random.Generator
) -> torch.Tensor:
    """The target (B,) of a ``batch`` of tensors, one for both critics: the lower Q, around the next action.

    Book: algorithms/td3
    """
    next_q = learner.target_critic(batch.next_obs, next_actions(learner, batch, config, rng))  # (2, B)
    return td_target(batch.reward, batch.discount, clipped_double_q(next_q))


def update(
    learner: Learner, replay: Replay, config: Config, rng: np.random.Generator, target=td3_target
) -> dict[str, float]:
    """One gradient step for the critics, and if it is time one for the actor, on one batch; diagnostics.

    ``target`` is a function like ``td3_target``.

    Book: algorithms/td3
    """
    agent, critic = learner.agent, learner.critic
    batch = agent.tensors(replay.sample(config.batch_size, rng))
    with torch.no_grad():  # the target is a number to be reached: nothing in it is to be moved
        goal = target(learner, batch, config, rng)  # (B,)
    q = critic(batch.obs, batch.action)  # (2, B)
    descend(learner.critic_opt, error := critic_loss(q, goal))

    learner.updates += 1
    if learner.updates % config.policy_delay == 0:
        action = agent.actor(batch.obs).tanh()  # (B, K)
        descend(learner.actor_opt, actor_loss(critic.twins[0](batch.obs, action)))  # any of the two will do
        polyak(learner.target_actor, agent.actor, config.tau)
        polyak(learner.target_critic, critic, config.tau)
    return {"critic_loss": error.item(), "q": q.mean().item()}


# ------------------------------------------------------------------------------------ without a remedy


def unsmoothed_target(
    learner: Learner, batch: Transitions, config: Config, rng: np.random.Generator
) -> torch.Tensor:
    """``td3_target`` without target policy smoothing (B,): the lower Q of the next action itself.

    Book: algorithms/td3
    """
    next_q = learner.target_critic(batch.next_obs, learner.target_actor(batch.next_obs).tanh())  # (2, B)
    return td_target(batch.reward, batch.discount, clipped_double_q(next_q))


def single_target(
    learner: Learner, batch: Transitions, config: Config, rng: np.random.Generator
) -> torch.Tensor:
    """``td3_target`` without clipped double Q (B,): the critic that the actor climbs is believed.

    Book: algorithms/td3
    """
    next_q = learner.target_critic(batch.next_obs, next_actions(learner, batch, config, rng))  # (2, B)
    return td_target(batch.reward, batch.discount, next_q[0])


# ---------------------------------------------------------------------------------------- training


def train(
    config: Config,
    seed: int,
    *,
    target: Callable[..., torch.Tensor] = td3_target,
    update: Callable[..., dict[str, float]] = update,
    make_replay: Callable[..., Replay] = make_replay,
    **options: Any,
) -> runs.Run:
    """Train on ``config.env_id``; the same seed on the same machine gives the same bits.

    Args:
        target, update, make_replay: functions like those of this file.
        options: of the session: ``callback``, ``checkpoint``, ``log_dir`` and the others of ``Training``.

    Raises:
        ValueError, RunFileError: as ``Training``; or the environment's spaces do not fit.

    Book: algorithms/td3
    """
    parts = {"target": target, "update": update, "make_replay": make_replay}
    session = Training(ALGORITHM, config, seed, parts, **options)
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


def load_policy(run: runs.Run, device: str = "cpu") -> Agent:
    """The trained agent of a run: ``.act(obs)`` and ``.sample(obs, rng)``.

    Raises:
        ValueError: the run is of another algorithm.

    Book: algorithms/td3
    """
    return load_agent(run, ALGORITHM, Agent, device)


if __name__ == "__main__":
    command(train, load_policy, Config)
