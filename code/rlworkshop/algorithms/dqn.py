"""Deep Q-network (DQN): Q-learning with a network, a replay buffer, and a target network that stands still.

Act ε-greedily on Q, keep the transitions, and in rounds draw some of them at random and move Q towards
the reward plus what a frozen copy of Q says of the next state.

Papers: Mnih et al., *Human-level control through deep reinforcement learning*, 2015; Watkins & Dayan,
*Q-learning*, 1992; Lin, *Self-improving reactive agents based on reinforcement learning, planning and
teaching*, 1992 (replay).

Book: algorithms/dqn
"""

import copy
import functools
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from rlworkshop import envs as rl_envs
from rlworkshop import nets, runs
from rlworkshop.replay import Replay, Transitions
from rlworkshop.runs.training import Training, command

ALGORITHM = "rlworkshop.algorithms.dqn"


@dataclass(frozen=True)
class Config:
    """Hyper-parameters of DQN."""

    env_id: str = "CartPole-v1"
    """the environment: observations a vector, actions discrete"""
    num_envs: int = 8
    """N, environments stepped together"""
    total_steps: int = 50_000
    """environment steps in all"""
    gamma: float = 0.99
    """discount factor"""
    lr: float = 1e-3
    """learning rate"""
    lr_decay_fraction: float = 0.5
    """the last part of ``total_steps``, over which it falls linearly to 0; 0: never"""
    batch_size: int = 128
    """B, transitions that one update learns from"""
    buffer_size: int = 50_000
    """transitions that the replay buffer keeps"""
    learning_starts: int = 1_000
    """environment steps before the first update"""
    train_freq: int = 64
    """environment steps between two rounds of learning"""
    gradient_steps: int = 32
    """gradient steps in a round"""
    target_update_interval: int = 32
    """gradient steps (not environment steps) after which the target network becomes a copy of the network"""
    final_epsilon: float = 0.1
    """probability of a random action in the end"""
    exploration_fraction: float = 0.12
    """the part of ``total_steps`` over which that probability falls from 1; 0: it never is higher"""
    hidden: tuple[int, ...] = (64, 64)
    """widths of the hidden layers"""
    normalize_obs: bool = True
    """shift and scale observations by their running mean and standard deviation"""
    device: str = "cpu"
    """where the networks are: ``"cpu"``, ``"cuda"``, ``"mps"``"""

    def __post_init__(self):
        whole = (self.num_envs, self.total_steps, self.batch_size, self.learning_starts, self.train_freq)
        if min(*whole, self.gradient_steps, self.target_update_interval) < 1:
            raise ValueError("numbers of steps, environments, transitions and updates must be at least 1")
        if self.buffer_size < max(self.learning_starts, self.num_envs):
            raise ValueError("buffer_size must hold learning_starts and a step of all environments")
        parts = (self.gamma, self.final_epsilon, self.exploration_fraction, self.lr_decay_fraction)
        if not (0 <= min(parts) <= max(parts) <= 1 and self.lr > 0):
            raise ValueError("gamma, final_epsilon and the fractions lie between 0 and 1, lr above 0")


# ------------------------------------------------------------------------------------ the mathematics


def epsilon_at(step: int, config: Config) -> float:
    """Probability of a random action at an environment step: from 1 down to ``config.final_epsilon``.

    Book: algorithms/dqn
    """
    over = config.exploration_fraction * config.total_steps
    passed = min(1.0, step / over) if over else 1.0
    return 1 + passed * (config.final_epsilon - 1)  # (eq-dqn-epsilon)


def lr_at(step: int, config: Config) -> float:
    """Learning rate at an environment step: ``config.lr``, and at last down to 0.

    Book: algorithms/dqn
    """
    left, over = 1 - step / config.total_steps, config.lr_decay_fraction
    return config.lr * min(1.0, left / over) if over else config.lr


def td_target(reward: torch.Tensor, discount: torch.Tensor, next_q: torch.Tensor) -> torch.Tensor:
    """What Q of the action taken should be (B,): its reward, and the best that the next state offers.

    ``discount`` (B,) is γ, or 0 where the transition terminated; ``next_q`` (B, A) are the target network's.

    Book: algorithms/dqn
    """
    return reward + discount * next_q.max(dim=1).values  # (eq-dqn-target)


def td_errors(learner: "Learner", batch: Transitions) -> torch.Tensor:
    """How far Q of the actions taken is from its target (B,); the gradient flows through Q alone.

    Book: algorithms/dqn
    """
    obs, action, reward, next_obs, discount = learner.tensors(batch)
    with torch.no_grad():  # the target is a number to be reached: nothing in it is to be moved
        target = td_target(reward, discount, learner.target(next_obs))  # (B,)
    q = learner.agent.q(obs).gather(1, action[:, None])[:, 0]  # (B,), of the actions that were taken
    return q - target  # (eq-dqn-error)


def squared_losses(learner: "Learner", batch: Transitions, config: Config) -> torch.Tensor:
    """Half the square of each TD error (B,).

    Book: algorithms/dqn
    """
    return 0.5 * td_errors(learner, batch) ** 2  # (eq-dqn-loss)


def huber_losses(learner: "Learner", batch: Transitions, config: Config) -> torch.Tensor:
    """Half the square of small TD errors, a straight line beyond 1 (B,): no error pulls harder than 1 does.

    Book: algorithms/dqn
    """
    size = td_errors(learner, batch).abs()
    return torch.where(size <= 1, 0.5 * size**2, size - 0.5)  # (eq-dqn-huber)


# ------------------------------------------------------------------------------------------- the agent


def make_q(
    obs_space: gym.Space, action_space: gym.Space, config: Config, generator: torch.Generator
) -> nn.Module:
    """A network that gives Q of all actions (B, A) for observations (B, D).

    Raises:
        ValueError: observations are not a vector.

    Book: algorithms/dqn
    """
    sizes = [rl_envs.vector_length(obs_space), *config.hidden, int(action_space.n)]
    return nets.mlp(sizes, generator, activation="relu")


@dataclass
class Agent:
    """Acts on a network's Q values. ``norm`` is the observation normaliser (``None``: raw observations).

    Book: algorithms/dqn
    """

    q: nn.Module
    norm: rl_envs.ObsNorm | None
    obs_space: gym.Space
    action_space: gym.spaces.Discrete

    def __post_init__(self):
        try:
            self.forward = nets.NumpyForward(self.q)  # on a handful of rows four times faster than torch
        except TypeError:  # it has other layers than those of nets.mlp
            self.forward = functools.partial(nets.torch_forward, self.q)

    def see(self, obs: np.ndarray) -> np.ndarray:
        """Observations (B, ...) as the network takes them, float32."""
        return obs.astype(np.float32) if self.norm is None else self.norm(obs)

    def values(self, obs: np.ndarray) -> np.ndarray:
        """Q of all actions (N, A) for raw observations ``obs`` (N, ...)."""
        return self.forward(self.see(obs))

    def act(self, obs: np.ndarray) -> np.ndarray:
        """The best actions (N,) for raw observations ``obs`` (N, ...); one action for one observation.

        Raises:
            ValueError: ``obs`` is neither one observation nor a batch of them.
        """
        obs, one = rl_envs.batched(self.obs_space, obs)
        actions = self.values(obs).argmax(axis=1)
        return actions[0] if one else actions

    def explore(self, obs: np.ndarray, epsilon: float, rng: np.random.Generator) -> np.ndarray:
        """The best actions (N,) for raw observations, but with probability ``epsilon`` any."""
        anything = rng.integers(self.action_space.n, size=len(obs))
        return np.where(rng.random(len(obs)) < epsilon, anything, self.values(obs).argmax(axis=1))


@dataclass
class Learner:
    """The agent, the target network, and the optimiser.

    Book: algorithms/dqn
    """

    agent: Agent
    target: nn.Module
    optimizer: torch.optim.Optimizer
    updates: int = 0
    """gradient steps so far"""

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.agent.q.parameters()).device

    def tensors(self, batch: Transitions) -> Transitions:
        """A batch of arrays as tensors, observations as the network takes them."""
        batch = batch._replace(obs=self.agent.see(batch.obs), next_obs=self.agent.see(batch.next_obs))
        return Transitions(*(torch.from_numpy(column).to(self.device) for column in batch))

    def step(self, loss: torch.Tensor, config: Config) -> None:
        """One gradient step down ``loss``; the target network is copied when its time has come."""
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.updates += 1
        if self.updates % config.target_update_interval == 0:
            self.target.load_state_dict(self.agent.q.state_dict())


def make_agent(
    obs_space: gym.Space,
    action_space: gym.Space,
    config: Config,
    generator: torch.Generator,
    make_q: Callable,
) -> Agent:
    """A fresh agent for the spaces of one environment.

    Raises:
        ValueError: actions are not ``Discrete`` from 0, the device cannot be used, or what ``make_q`` raises.
    """
    if not isinstance(action_space, gym.spaces.Discrete) or action_space.start != 0:
        raise rl_envs.wrong_actions(action_space, "Discrete from 0, for a maximum over them")
    q = make_q(obs_space, action_space, config, generator).to(nets.torch_device(config.device))
    norm = rl_envs.ObsNorm(obs_space.shape) if config.normalize_obs else None
    return Agent(q, norm, obs_space, action_space)


def make_learner(
    envs: gym.vector.VectorEnv, config: Config, generator: torch.Generator, make_q: Callable = make_q
) -> Learner:
    """A fresh network, its copy and an optimiser; all randomness comes from ``generator``."""
    spaces = envs.single_observation_space, envs.single_action_space
    agent = make_agent(*spaces, config, generator, make_q)
    # the copy begins equal, gets no gradient, and is unknown to the optimiser
    target = copy.deepcopy(agent.q).requires_grad_(False)
    return Learner(agent, target, torch.optim.Adam(agent.q.parameters(), config.lr, fused=True))


def make_replay(config: Config, envs: gym.vector.VectorEnv) -> Replay:
    """An empty replay buffer for the transitions of ``envs``."""
    space = envs.single_observation_space
    return Replay(config.buffer_size, space.shape, obs_dtype=space.dtype)


def update(learner: Learner, replay: Replay, config: Config, rng: np.random.Generator, losses) -> float:
    """One gradient step on a batch drawn from ``replay``; the loss.

    Book: algorithms/dqn
    """
    batch = replay.sample(config.batch_size, rng)
    loss = losses(learner, batch, config).mean()
    learner.step(loss, config)
    return loss.item()


# ---------------------------------------------------------------------------------------- training


def train(
    config: Config,
    seed: int,
    *,
    losses: Callable[[Learner, Transitions, Config], torch.Tensor] = squared_losses,
    update: Callable[..., float] = update,
    make_q: Callable[..., nn.Module] = make_q,
    make_replay: Callable[..., Replay] = make_replay,
    **options: Any,
) -> runs.Run:
    """Train on ``config.env_id``; the same seed on the same machine gives the same bits.

    Args:
        losses, update, make_q, make_replay: functions like those of this file; the family differs in them.
        options: of the session: ``callback``, ``checkpoint``, ``log_dir`` and the others of ``Training``.

    Raises:
        ValueError, RunFileError: as ``Training``; or the environment's spaces do not fit.

    Book: algorithms/dqn
    """
    parts = {"losses": losses, "update": update, "make_q": make_q, "make_replay": make_replay}
    session = Training(ALGORITHM, config, seed, parts, **options)
    envs, rng = session.envs, session.rng
    learner = make_learner(envs, config, session.generator, make_q)
    replay, agent = make_replay(config, envs), learner.agent
    obs = session.begin(agent, learner=learner, replay=replay)  # (N, ...)
    # region: loop
    while session.running(envs.num_envs):
        action = agent.explore(obs, epsilon_at(session.steps, config), rng)
        next_obs, reward, terminated, truncated, _ = envs.step(action)
        valid = session.episodes.step(
            next_obs, reward, terminated, truncated
        )  # reset rows are no transitions
        discount = config.gamma * ~terminated  # a time limit is no terminal state: its value still counts
        replay.step(Transitions(obs, action, reward, next_obs, discount), valid, terminated | truncated)
        if agent.norm:
            agent.norm.update(obs[valid])
        obs = next_obs
        if session.due(config.learning_starts, config.train_freq):
            learner.optimizer.param_groups[0]["lr"] = lr_at(session.steps, config)
            loss = [update(learner, replay, config, rng, losses) for _ in range(config.gradient_steps)]
            session.updated(obs, loss=np.mean(loss), q=agent.values(obs).max(axis=1).mean())
    # endregion
    return session.end()


def load_policy(run: runs.Run, make_q: Callable[..., nn.Module] = make_q, device: str = "cpu") -> Agent:
    """The trained agent of a run: ``.act(obs)``. ``make_q`` is the one that it was trained with.

    Raises:
        ValueError: the run is of another algorithm, or has another network.

    Book: algorithms/dqn
    """
    if run.algorithm != ALGORITHM:
        raise ValueError(f"this run is of {run.algorithm}: load it with that module's load_policy")
    # by its name alone: where this code was copied to, its module has another one
    if not run.config["make_q"].endswith(f":{make_q.__qualname__}"):
        raise ValueError(f"this run's network was made by {run.config['make_q']}: pass that as make_q")
    config = types.SimpleNamespace(**{**run.config, "device": device})  # a variant's has more in it
    spaces = [rl_envs.space_from_tree(run.policy[name]) for name in ("obs_space", "action_space")]
    agent = make_agent(*spaces, config, torch.Generator(), make_q)
    agent.q.load_state_dict(nets.from_tree(run.policy["q"]))
    if agent.norm:
        vars(agent.norm).update(run.policy["norm"])
    return agent


if __name__ == "__main__":
    command(train, load_policy, Config)
