"""Deep deterministic policy gradient (DDPG): Q-learning where actions are numbers, not choices.

A maximum over all actions cannot be taken, so a second network, the actor, learns to answer with it: it goes
up the slope of Q. Everything else is as in DQN: a replay buffer, and target networks, which here do not stand
still and jump, but follow slowly.

Papers: Lillicrap, Hunt, Pritzel, Heess, Erez, Tassa, Silver & Wierstra, *Continuous control with deep
reinforcement learning*, 2016 (arXiv:1509.02971); Silver, Lever, Heess, Degris, Wierstra & Riedmiller,
*Deterministic policy gradient algorithms*, 2014. Noise is Gaussian and independent from step to step, as in
later work; the paper's own is correlated in time.

Book: algorithms/ddpg
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from rlworkshop import envs as rl_envs
from rlworkshop import nets, runs
from rlworkshop.replay import Replay, Transitions
from rlworkshop.runs.training import Training, command

ALGORITHM = "rlworkshop.algorithms.ddpg"


@dataclass(frozen=True)
class Config:
    """Hyper-parameters of DDPG."""

    env_id: str = "Pendulum-v1"
    """the environment: observations a vector, actions a box with finite bounds"""
    num_envs: int = 4
    """N, environments stepped together"""
    total_steps: int = 10_000
    """environment steps in all"""
    gamma: float = 0.99
    """discount factor"""
    lr: float = 1e-3
    """learning rate of both networks"""
    tau: float = 0.005
    """the part of the way to the networks that their targets go at each gradient step"""
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
        if min(*whole, self.train_freq, self.gradient_steps) < 1:
            raise ValueError("numbers of steps, environments and transitions must be at least 1")
        if not (0 <= self.gamma <= 1 and 0 < self.tau <= 1 and self.lr > 0):
            raise ValueError("gamma and tau lie between 0 and 1, tau and lr above 0")
        if self.buffer_size < self.num_envs or self.exploration_noise < 0:
            raise ValueError("buffer_size is at least num_envs, exploration_noise at least 0")


# ------------------------------------------------------------------------------------ the mathematics


def td_target(reward: torch.Tensor, discount: torch.Tensor, next_q: torch.Tensor) -> torch.Tensor:
    """What Q of the action taken should be (B,): its reward, and what Q says of what comes next.

    ``discount`` (B,) is γ, or 0 where the transition terminated; ``next_q`` (B,) is the target critic's.

    Book: algorithms/ddpg
    """
    return reward + discount * next_q  # (eq-ddpg-target)


def critic_loss(q: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Half the mean squared TD error of ``q`` (B,) to ``target`` (B,); of several critics (E, B) their sum.

    Raises:
        ValueError: the shapes are others. (B, 1) against (B,) would compare each with each, and not complain.

    Book: algorithms/ddpg
    """
    if q.shape[-1:] != target.shape:
        raise ValueError(f"q is (B,) or (E, B) and its target (B,), not {(*q.shape,)} and {(*target.shape,)}")
    return 0.5 * ((q - target) ** 2).mean(dim=-1).sum()  # (eq-ddpg-critic)


def actor_loss(q: torch.Tensor) -> torch.Tensor:
    """Minus the mean of Q at the actor's own actions (B,): its gradient is the deterministic policy gradient.

    Book: algorithms/ddpg
    """
    return -q.mean()  # (eq-ddpg-actor)


def descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """One step down the gradient of ``loss`` with respect to what ``optimizer`` holds, and nothing else.

    ``backward`` would leave gradients in all networks that the loss goes through: the actor's in the critic.

    Book: algorithms/ddpg
    """
    parameters = optimizer.param_groups[0]["params"]
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.grad = gradient
    optimizer.step()


@torch.no_grad()
def polyak(target: nn.Module, network: nn.Module, tau: float) -> None:
    """Polyak averaging, in place: ``target``'s weights go the part ``tau`` of their way to ``network``'s.

    Book: algorithms/ddpg
    """
    torch._foreach_lerp_([*target.parameters()], [*network.parameters()], tau)  # (eq-ddpg-polyak)


# ------------------------------------------------------------------------------------------- the agent


class Critic(nn.Module):
    """Q of actions: a network on observation and action side by side.

    Book: algorithms/ddpg
    """

    def __init__(self, obs_dim: int, actions: int, hidden: tuple[int, ...], generator: torch.Generator):
        super().__init__()
        # a small last layer: slopes that mean nothing yet would send the actor to where tanh is flat, to stay
        self.net = nets.mlp([obs_dim + actions, *hidden, 1], generator, activation="relu", head_gain=0.01)

    def forward(self, obs: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Q (B,) of ``action`` (B, K), from -1 to 1, at ``obs`` (B, D)."""
        return self.net(torch.cat([obs, action], dim=1)).squeeze(1)  # not (B, 1): see critic_loss


@dataclass
class Agent:
    """A deterministic policy: an actor, whose outputs tanh brings between -1 and 1, and the box of actions.

    Networks see actions from -1 to 1, whatever the unit and the range of the environment's.

    Book: algorithms/ddpg
    """

    actor: nn.Sequential
    obs_space: gym.Space
    action_space: gym.spaces.Box
    noise: float = 0.0

    OUTPUTS = 1  # of the actor, for each component of an action

    def __post_init__(self):
        self.forward = nets.NumpyForward(self.actor)  # on a handful of rows four times faster than torch
        low, high = self.action_space.low, self.action_space.high
        self.center, self.scale = (high + low) / 2, (high - low) / 2  # (K,), (K,)

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
            ValueError: observations are no vector, actions no bounded one, or the device cannot be used.
        """
        inputs = rl_envs.vector_length(obs_space)
        box = isinstance(action_space, gym.spaces.Box) and len(action_space.shape) == 1
        if not box or not action_space.is_bounded():
            raise rl_envs.wrong_actions(action_space, "a Box with one axis and finite bounds")
        sizes = [inputs, *hidden, cls.OUTPUTS * action_space.shape[0]]
        # a small last layer: every action starts out near the middle, where tanh has a slope
        actor = nets.mlp(sizes, generator, activation="relu", head_gain=0.01)
        return cls(actor.to(nets.torch_device(device)), obs_space, action_space, noise)

    def to_box(self, action: np.ndarray) -> np.ndarray:
        """Actions (N, K) as the environment takes them, for the networks', which are cut off at -1 and 1."""
        return rl_envs.to_env(self.action_space, self.center + self.scale * action)

    def mode(self, obs: np.ndarray) -> np.ndarray:
        """The actor's actions (N, K), from -1 to 1, for observations ``obs`` (N, D)."""
        return np.tanh(self.forward(obs.astype(np.float32)))

    def act(self, obs: np.ndarray) -> np.ndarray:
        """Deterministic actions (N, K) for observations ``obs`` (N, D); one action for one observation.

        Raises:
            ValueError: ``obs`` is neither one observation nor a batch of them.
        """
        obs, one = rl_envs.batched(self.obs_space, obs)
        actions = self.to_box(self.mode(obs))
        return actions[0] if one else actions

    def sample(self, obs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The actor's actions (N, K) for observations ``obs`` (N, D), with Gaussian noise on them."""
        mode = self.mode(obs)  # (N, K)
        return self.to_box(mode + self.noise * rng.standard_normal(mode.shape))  # (eq-ddpg-noise)

    def anything(self, obs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Actions (N, K) drawn evenly from the whole box, one for each of ``obs`` (N, D)."""
        return self.to_box(rng.uniform(-1, 1, (len(obs), *self.action_space.shape)))

    def tensors(self, batch: Transitions) -> Transitions:
        """A batch of arrays as tensors, float32, with actions from -1 to 1."""
        batch = batch._replace(action=(batch.action - self.center) / self.scale)
        place = self.actor[0].weight.device
        return Transitions(*(torch.from_numpy(c.astype(np.float32, copy=False)).to(place) for c in batch))


def load_agent(run: runs.Run, algorithm: str, kind: type[Agent], device: str) -> Agent:
    """The trained agent of a run of ``algorithm``, whose agents are of ``kind``, on ``device``.

    Raises:
        ValueError: the run is of another algorithm.
    """
    if run.algorithm != algorithm:
        raise ValueError(f"this run is of {run.algorithm}: load it with that module's load_policy")
    spaces = [rl_envs.space_from_tree(run.policy[name]) for name in ("obs_space", "action_space")]
    agent = kind.fresh(*spaces, tuple(run.config["hidden"]), torch.Generator(), device, run.policy["noise"])
    agent.actor.load_state_dict(nets.from_tree(run.policy["actor"]))
    return agent


@dataclass
class Learner:
    """The agent, its critic, slow copies of both networks, and an optimiser for each."""

    agent: Agent
    critic: nn.Module
    target_actor: nn.Module
    target_critic: nn.Module
    actor_opt: torch.optim.Optimizer
    critic_opt: torch.optim.Optimizer
    updates: int = 0
    """gradient steps of the critic so far"""


def make_learner(envs: gym.vector.VectorEnv, config: Config, generator: torch.Generator) -> Learner:
    """Fresh networks, their copies and optimisers; all randomness comes from ``generator``."""
    spaces = envs.single_observation_space, envs.single_action_space
    agent = Agent.fresh(*spaces, config.hidden, generator, config.device, config.exploration_noise)
    sizes = spaces[0].shape[0], spaces[1].shape[0]
    critic = Critic(*sizes, config.hidden, generator).to(config.device)
    # the copies begin equal, get no gradient, and are unknown to the optimisers
    copies = [copy.deepcopy(net).requires_grad_(False) for net in (agent.actor, critic)]
    adams = [torch.optim.Adam(net.parameters(), config.lr, fused=True) for net in (agent.actor, critic)]
    return Learner(agent, critic, *copies, *adams)


def make_replay(envs: gym.vector.VectorEnv, capacity: int) -> Replay:
    """An empty replay buffer for the transitions of ``envs``, with actions as the environment takes them."""
    space, actions = envs.single_observation_space, envs.single_action_space
    return Replay(capacity, space.shape, actions.shape, obs_dtype=space.dtype, action_dtype=actions.dtype)


def ddpg_target(
    learner: Learner, batch: Transitions, config: Config, rng: np.random.Generator
) -> torch.Tensor:
    """The target (B,) of a ``batch`` of tensors: both, what is done next and what that is worth, are copies'.

    Book: algorithms/ddpg
    """
    next_action = learner.target_actor(batch.next_obs).tanh()  # (B, K)
    next_q = learner.target_critic(batch.next_obs, next_action)  # (B,)
    return td_target(batch.reward, batch.discount, next_q)


def update(
    learner: Learner, replay: Replay, config: Config, rng: np.random.Generator, target=ddpg_target
) -> dict[str, float]:
    """One gradient step for the critic, one for the actor, on a batch drawn from ``replay``; diagnostics.

    ``target`` is a function like ``ddpg_target``.

    Book: algorithms/ddpg
    """
    agent, critic = learner.agent, learner.critic
    batch = agent.tensors(replay.sample(config.batch_size, rng))
    with torch.no_grad():  # the target is a number to be reached: nothing in it is to be moved
        goal = target(learner, batch, config, rng)  # (B,)
    q = critic(batch.obs, batch.action)  # (B,)
    descend(learner.critic_opt, error := critic_loss(q, goal))

    action = agent.actor(batch.obs).tanh()  # (B, K)
    descend(learner.actor_opt, actor_loss(critic(batch.obs, action)))

    polyak(learner.target_actor, agent.actor, config.tau)
    polyak(learner.target_critic, critic, config.tau)
    learner.updates += 1
    return {"critic_loss": error.item(), "q": q.mean().item()}


def averages(found: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each number over the gradient steps of a round, by name."""
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


# ---------------------------------------------------------------------------------------- training


def train(
    config: Config,
    seed: int,
    *,
    target: Callable[..., torch.Tensor] = ddpg_target,
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

    Book: algorithms/ddpg
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

    Book: algorithms/ddpg
    """
    return load_agent(run, ALGORITHM, Agent, device)


if __name__ == "__main__":
    command(train, load_policy, Config)
