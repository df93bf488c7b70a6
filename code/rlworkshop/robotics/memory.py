"""Recurrent PPO: policies that remember, a critic that is told what the policy must find out.

The algorithm is PPO's. What is new: the actor is run over whole sequences, from the memory that it began
them with and with an empty one where an episode begins; minibatches are of environments, never of steps; and
the critic sees the hidden parameters of the simulator, which the actor does not (Peng et al., 2018; Pinto et
al., 2018). Memories to choose from: none, the last observations, a gated recurrent unit.

Book: robotics/memory
"""

import math
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from rlworkshop import envs as rl_envs
from rlworkshop import nets, runs
from rlworkshop.algorithms.ppo import approximate_kl, clipped_loss
from rlworkshop.algorithms.vpg import gae, normalize, value_loss
from rlworkshop.runs.training import Training, command

ALGORITHM = "rlworkshop.robotics.memory"


@dataclass(frozen=True)
class Config:
    """Settings of one training run."""

    env_id: str = "rlworkshop.robotics.reality_gap:PuckRandomized-v0"
    """environment with a vector of observations and a box of actions"""
    memory: str = "recurrent"
    """what the actor remembers, a name of ``MEMORIES``: ``"none"``, ``"history"``, ``"recurrent"``"""
    num_envs: int = 170
    """environments stepped together"""
    num_steps: int = 151
    """rows from each environment in a batch: an episode of 150 steps and the reset row after it"""
    total_steps: int = 1_020_000
    """environment steps of the training; reset rows do not count"""
    n_epochs: int = 3
    """how many times each batch is gone through"""
    num_minibatches: int = 4
    """into how many parts the environments of a batch are divided, each with all its rows"""
    gamma: float = 0.98
    """discount factor"""
    gae_lambda: float = 0.95
    """λ of GAE"""
    clip_range: float = 0.2
    """ε of the clipped objective"""
    ent_coef: float = 0.0
    """weight of the entropy bonus"""
    vf_coef: float = 0.5
    """weight of the value loss"""
    max_grad_norm: float = 0.5
    """the gradient of all parameters together is shortened to this length; 0: never"""
    lr: float = 5e-3
    """learning rate, which falls linearly to a tenth"""
    hidden: int = 64
    """width of the actor's layers and of its recurrent state"""
    critic_hidden: tuple[int, ...] = (128, 128)
    """widths of the critic's layers"""
    privileged: bool = True
    """whether the critic sees the hidden parameters, where the environment has a method ``privileged``"""
    device: str = "cpu"
    """where the networks are: ``"cpu"``, ``"cuda"``, ``"mps"``"""

    def __post_init__(self):
        if self.memory not in MEMORIES:
            raise ValueError(f"memory={self.memory!r}: choose from {', '.join(MEMORIES)}")
        if min(self.num_envs, self.num_steps, self.n_epochs, self.num_minibatches, self.hidden) < 1:
            raise ValueError("num_envs, num_steps, n_epochs, num_minibatches and hidden must be at least 1")
        if self.num_minibatches > self.num_envs:
            raise ValueError("num_minibatches divides environments: it is at most num_envs")
        if self.total_steps < self.num_envs * self.num_steps:
            raise ValueError(f"total_steps={self.total_steps} is less than one batch, num_envs * num_steps")
        if not (0 <= self.gamma <= 1 and 0 <= self.gae_lambda <= 1):
            raise ValueError("gamma and gae_lambda lie between 0 and 1")
        if not min(self.clip_range, self.lr) > 0:
            raise ValueError("clip_range and lr lie above 0")
        if not min(self.ent_coef, self.vf_coef, self.max_grad_norm) >= 0:
            raise ValueError("ent_coef, vf_coef and max_grad_norm are not negative")


# ------------------------------------------------------------------------------------ memories


class NoMemory(nn.Module):
    """The features are the observation; there is nothing to remember.

    A memory turns observations (T, N, D) and a state (N, S) into features (T, N, F) and the state after them.
    ``first`` (T, N) says which observations begin an episode: before these the state is emptied.

    Book: robotics/memory
    """

    def __init__(self, obs_dim: int, hidden: int, generator: torch.Generator):
        super().__init__()
        self.features, self.size = obs_dim, 0

    def forward(
        self, obs: torch.Tensor, first: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (T, N, F) and the state (N, S) after the last observation."""
        return obs, state


class History(nn.Module):
    """The features are the last 8 observations, zeros where the episode is younger.

    Book: robotics/memory
    """

    LENGTH = 8

    def __init__(self, obs_dim: int, hidden: int, generator: torch.Generator):
        super().__init__()
        self.obs_dim, self.features = obs_dim, self.LENGTH * obs_dim
        self.size = self.features

    def forward(
        self, obs: torch.Tensor, first: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (T, N, F) and the state (N, S) after the last observation."""
        seen = []
        for t in range(len(obs)):
            state = state * ~first[t, :, None]
            state = torch.cat([state[:, self.obs_dim :], obs[t]], dim=1)  # (N, 8 D)
            seen.append(state)
        return torch.stack(seen), state


class Recurrent(nn.Module):
    """The features are the state of a gated recurrent unit (Cho et al., 2014), next to the observation.

    Book: robotics/memory
    """

    def __init__(self, obs_dim: int, hidden: int, generator: torch.Generator):
        super().__init__()
        self.gru = nn.GRU(obs_dim, hidden, device="meta").to_empty(device="cpu")
        # as PyTorch draws them, but from a generator of our own: the constructor would use the global one
        for weight in self.gru.parameters():
            nn.init.uniform_(weight, -(hidden**-0.5), hidden**-0.5, generator=generator)
        self.features, self.size = obs_dim + hidden, hidden

    def forward(
        self, obs: torch.Tensor, first: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (T, N, F) and the state (N, S) after the last observation."""
        # region: pieces
        begins = torch.nonzero(first.any(dim=1)).ravel().tolist()  # rows in which some episode begins
        pieces, edges = [], sorted({0, *begins, len(obs)})
        for start, end in zip(edges[:-1], edges[1:], strict=True):
            # a new episode begins with an empty memory
            state = state * ~first[start, :, None]  # (eq-empty)
            states, last = self.gru(obs[start:end], state[None])
            pieces.append(states)
            state = last[0]
        # endregion
        return torch.cat([obs, torch.cat(pieces)], dim=2), state


MEMORIES = {"none": NoMemory, "history": History, "recurrent": Recurrent}


class Actor(nn.Module):
    """A memory, and normal distributions over K action components computed from its features.

    Book: robotics/memory
    """

    def __init__(self, obs_dim: int, actions: int, config: Config, generator: torch.Generator):
        super().__init__()
        self.obs_dim = obs_dim
        self.memory = MEMORIES[config.memory](obs_dim, config.hidden, generator)
        sizes = [self.memory.features, config.hidden, config.hidden, actions]
        self.head = nets.mlp(sizes, generator, head_gain=0.01)
        self.log_std = nn.Parameter(torch.full((actions,), -0.5))  # (K,)

    def forward(
        self, obs: torch.Tensor, first: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean actions (T, N, K) and the state (N, S) after the last observation."""
        features, state = self.memory(obs, first, state)
        return self.head(features), state

    def log_prob(self, mean: torch.Tensor, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-densities of ``actions`` (..., K) around ``mean``, and entropies, both (...)."""
        z = (actions - mean) * torch.exp(-self.log_std)
        log_norm = self.log_std + 0.5 * math.log(2 * math.pi)  # (K,)
        return -(0.5 * z**2 + log_norm).sum(dim=-1), (log_norm + 0.5).sum().expand(mean.shape[:-1])


@dataclass
class Memory:
    """What N actors remember, and which of them are at the beginning of an episode."""

    state: np.ndarray  # (N, S) float32
    first: np.ndarray  # (N,) bool

    @classmethod
    def empty(cls, actor: Actor, n: int) -> "Memory":
        """Of ``n`` actors, each at the beginning of an episode."""
        return cls(np.zeros((n, actor.memory.size), np.float32), np.ones(n, bool))


class Player:
    """Deterministic actions, one observation after the other: ``play(obs)``, and ``play.forget(which)``.

    Book: robotics/memory
    """

    def __init__(self, agent: "Agent"):
        self.agent, self.memory = agent, None

    def forget(self, which: np.ndarray) -> None:
        """The next observations of these environments (N,) bool begin an episode."""
        if self.memory is not None:
            self.memory.first |= which

    def __call__(self, obs: np.ndarray) -> np.ndarray:
        """Actions (N, K) within the action space for observations (N, D); one for one.

        Raises:
            ValueError: ``obs`` is neither one observation nor a batch of them, or a batch of another size
                than the one before.
        """
        obs, one = rl_envs.batched(self.agent.obs_space, obs)
        if self.memory is None:
            self.memory = Memory.empty(self.agent.actor, len(obs))
        if len(obs) != len(self.memory.first):
            raise ValueError(f"{len(self.memory.first)} environments are remembered, not {len(obs)}")
        mean = mean_actions(self.agent.actor, self.memory, obs)
        action = rl_envs.to_env(self.agent.action_space, mean)
        return action[0] if one else action


@dataclass
class Agent:
    """An actor with the spaces that it is for.

    Book: robotics/memory
    """

    actor: Actor
    obs_space: gym.Space
    action_space: gym.Space

    @property
    def act(self) -> Player:
        """A player, which begins with an empty memory: ``envs.evaluate(agent.act, ...)``."""
        return Player(self)


@torch.no_grad()
def mean_actions(actor: Actor, memory: Memory, obs: np.ndarray) -> np.ndarray:
    """Mean actions (N, K) at ``obs`` (N, D), which ``memory`` takes in.

    Book: robotics/memory
    """
    seen, first, state = (
        torch.from_numpy(x).to(actor.log_std.device)
        for x in (obs[None].astype(np.float32), memory.first[None], memory.state)
    )
    mean, state = actor(seen, first, state)
    memory.state, memory.first = state.cpu().numpy(), np.zeros(len(obs), bool)
    return mean[0].cpu().numpy()


# ---------------------------------------------------------------------------------------- experience


@dataclass
class Batch:
    """T rows from each of N environments; reset rows included, told apart by ``valid``."""

    obs: np.ndarray  # (T+1, N, D) float32
    privileged: np.ndarray  # (T+1, N, P) float32, what only the critic sees
    first: np.ndarray  # (T+1, N) bool, observations that begin an episode
    state: np.ndarray  # (N, S) float32, the memory before the first observation
    actions: np.ndarray  # (T, N, K) float32, as sampled: not clipped
    logp: np.ndarray  # (T, N) float32, their log-densities when they were drawn
    rewards: np.ndarray  # (T, N) float32
    terminated: np.ndarray  # (T, N) bool
    truncated: np.ndarray  # (T, N) bool
    valid: np.ndarray  # (T, N) bool, False on reset rows


def told(envs: gym.vector.VectorEnv, config: Config) -> np.ndarray:
    """What the critic sees besides the observation (N, P) float32; nothing where there is nothing to tell."""
    tell = getattr(envs.unwrapped, "privileged", None) if config.privileged else None
    return np.zeros((envs.num_envs, 0), np.float32) if tell is None else tell().astype(np.float32)


def collect(
    envs: gym.vector.VectorEnv,
    actor: Actor,
    memory: Memory,
    obs: np.ndarray,
    episodes: rl_envs.Episodes,
    rng: np.random.Generator,
    config: Config,
) -> Batch:
    """Step ``envs`` on from ``obs`` (N, D), with actions drawn from the policy; ``memory`` goes along.

    Book: robotics/memory
    """
    T, n, K = config.num_steps, envs.num_envs, envs.single_action_space.shape[0]
    batch = Batch(
        obs=np.empty((T + 1, *obs.shape), np.float32),
        privileged=np.empty((T + 1, *told(envs, config).shape), np.float32),
        first=np.empty((T + 1, n), bool),
        state=memory.state,
        actions=np.empty((T, n, K), np.float32),
        logp=np.empty((T, n), np.float32),
        rewards=np.empty((T, n), np.float32),
        terminated=np.empty((T, n), bool),
        truncated=np.empty((T, n), bool),
        valid=np.empty((T, n), bool),
    )
    std = actor.log_std.detach().exp().cpu().numpy()  # (K,)
    # region: rollout
    for t in range(T):
        batch.obs[t], batch.privileged[t], batch.first[t] = obs, told(envs, config), memory.first
        mean = mean_actions(actor, memory, obs)  # (N, K)
        noise = rng.standard_normal(mean.shape)  # (N, K)
        batch.actions[t] = mean + std * noise
        batch.logp[t] = -(0.5 * noise**2 + np.log(std) + 0.5 * math.log(2 * math.pi)).sum(axis=1)
        action = rl_envs.to_env(envs.action_space, batch.actions[t])
        obs, batch.rewards[t], batch.terminated[t], batch.truncated[t], _ = envs.step(action)
        batch.valid[t] = episodes.step(obs, batch.rewards[t], batch.terminated[t], batch.truncated[t])
        memory.first = ~batch.valid[t]  # after a reset row comes the first observation of an episode
    # endregion
    batch.obs[T], batch.privileged[T], batch.first[T] = obs, told(envs, config), memory.first
    return batch


@dataclass
class Learner:
    """The agent, its critic, one optimiser for both, and what the actors remember."""

    agent: Agent
    critic: nn.Sequential
    optimizer: torch.optim.Optimizer
    memory: Memory


def make_learner(envs: gym.vector.VectorEnv, config: Config, generator: torch.Generator) -> Learner:
    """Fresh networks and their optimiser; all randomness comes from ``generator``.

    Raises:
        ValueError: observations are no vectors, or actions no box with one axis.
    """
    space, action_space = envs.single_observation_space, envs.single_action_space
    if not (isinstance(action_space, gym.spaces.Box) and len(action_space.shape) == 1):
        raise rl_envs.wrong_actions(action_space, "a Box with one axis")
    place, D = nets.torch_device(config.device), rl_envs.vector_length(space)
    actor = Actor(D, action_space.shape[0], config, generator).to(place)
    critic = nets.mlp([D + told(envs, config).shape[1], *config.critic_hidden, 1], generator).to(place)
    parameters = [*actor.parameters(), *critic.parameters()]
    adam = torch.optim.Adam(parameters, config.lr, eps=1e-5, fused=True)
    return Learner(Agent(actor, space, action_space), critic, adam, Memory.empty(actor, envs.num_envs))


def update(
    learner: Learner, batch: Batch, config: Config, lr: float, rng: np.random.Generator
) -> dict[str, float]:
    """Learn from one batch: ``config.n_epochs`` times over, in minibatches of environments.

    Returns diagnostics by name, of the last minibatch.

    Book: robotics/memory
    """
    actor, critic = learner.agent.actor, learner.critic
    device = actor.log_std.device
    obs, first, state, actions, old_logp, valid = (
        torch.from_numpy(x).to(device)
        for x in (batch.obs, batch.first, batch.state, batch.actions, batch.logp, batch.valid)
    )
    seen = torch.cat([obs, torch.from_numpy(batch.privileged).to(device)], dim=2)  # (T+1, N, D + P)
    with torch.no_grad():
        values = critic(seen).squeeze(-1).cpu().numpy()  # (T+1, N)
    estimates = gae(batch.rewards, values, batch.terminated, batch.truncated, config.gamma, config.gae_lambda)
    advantage, returns = (torch.from_numpy(x).to(device) for x in (estimates, estimates + values[:-1]))
    for group in learner.optimizer.param_groups:
        group["lr"] = lr
    # region: epochs
    for _ in range(config.n_epochs):
        order = torch.from_numpy(rng.permutation(batch.obs.shape[1])).to(device)  # (N,)
        for who in order.tensor_split(config.num_minibatches):  # environments, each with all its rows
            mean, _ = actor(obs[:-1, who], first[:-1, who], state[who])  # (T, M, K)
            real = valid[:, who]  # (T, M), reset rows are no transitions
            logp, entropy = actor.log_prob(mean[real], actions[:, who][real])  # (B,), (B,)
            gain = normalize(advantage[:, who][real])  # (B,)
            loss = clipped_loss(logp, old_logp[:, who][real], gain, config.clip_range)
            error = value_loss(critic(seen[:-1, who][real]).squeeze(-1), returns[:, who][real])
            bonus = config.ent_coef * entropy.mean() if config.ent_coef else 0.0
            learner.optimizer.zero_grad()
            (loss + config.vf_coef * error - bonus).backward()
            if config.max_grad_norm:
                nn.utils.clip_grad_norm_([*actor.parameters(), *critic.parameters()], config.max_grad_norm)
            learner.optimizer.step()
    # endregion
    return {
        "policy_loss": loss.item(),
        "value_loss": error.item(),
        "entropy": entropy.mean().item(),
        "kl": approximate_kl(logp.detach(), old_logp[:, who][real]).item(),
        "explained_variance": 1 - estimates[batch.valid].var() / returns.cpu().numpy()[batch.valid].var(),
        "lr": lr,
    }


# ---------------------------------------------------------------------------------------- training


def train(config: Config, seed: int, **options: Any) -> runs.Run:
    """Train on ``config.env_id``; the same seed on the same machine gives the same bits.

    Args:
        options: of the session: ``callback``, ``checkpoint``, ``log_dir`` and the others of ``Training``.

    Raises:
        ValueError: the environment does not exist, its spaces do not fit, or it returns what is no number.
        RunFileError: the checkpoint is broken, or that of another training.

    Book: robotics/memory
    """
    session = Training(ALGORITHM, config, seed, **options)
    envs, rng = session.envs, session.rng
    learner = make_learner(envs, config, session.generator)
    obs = session.begin(learner.agent, learner=learner)  # (N, D)
    actor, memory = learner.agent.actor, learner.memory
    # region: loop
    while session.running(envs.num_envs * config.num_steps):
        lr = config.lr * (1 - 0.9 * session.steps / config.total_steps)
        batch = collect(envs, actor, memory, obs, session.episodes, rng, config)
        obs = batch.obs[-1]  # (N, D)
        session.updated(obs, **update(learner, batch, config, lr, rng))
    # endregion
    return session.end()


# ---------------------------------------------------------------------------- learning from a teacher


def imitate(
    learner: Learner, teacher: Actor, batch: Batch, config: Config, lr: float, rng: np.random.Generator
) -> dict[str, float]:
    """Learn what ``teacher``, who is told the parameters, would have done in a batch of whole episodes.

    The loss is the squared difference of mean actions, a mean over transitions.

    Book: robotics/memory
    """
    actor = learner.agent.actor
    device = actor.log_std.device
    obs, first, state, told, valid = (
        torch.from_numpy(x).to(device)
        for x in (batch.obs[:-1], batch.first[:-1], batch.state, batch.privileged[:-1], batch.valid)
    )
    # region: labels
    secret = teacher.obs_dim - obs.shape[2]  # parameters, which the student does not see
    with torch.no_grad():
        seen = torch.cat([obs, told[..., :secret]], dim=2)  # (T, N, D + P)
        wanted, _ = teacher(seen, first, torch.zeros(obs.shape[1], teacher.memory.size, device=device))
    # endregion
    for group in learner.optimizer.param_groups:
        group["lr"] = lr
    for _ in range(config.n_epochs):
        order = torch.from_numpy(rng.permutation(obs.shape[1])).to(device)  # (N,)
        for who in order.tensor_split(config.num_minibatches):
            mean, _ = actor(obs[:, who], first[:, who], state[who])  # (T, M, K)
            real = valid[:, who]  # (T, M)
            loss = ((mean - wanted[:, who])[real] ** 2).mean()  # (eq-imitate)
            learner.optimizer.zero_grad()
            loss.backward()
            learner.optimizer.step()
    return {"imitation_loss": loss.item(), "lr": lr}


def distill(config: Config, seed: int, teacher: Agent, **options: Any) -> runs.Run:
    """Train a student to do what ``teacher`` does, in the states that the student itself gets into.

    Raises:
        ValueError: the teacher does not see what the environment shows and tells.

    Book: robotics/memory
    """
    session = Training(ALGORITHM, config, seed, **options)
    envs, rng = session.envs, session.rng
    learner = make_learner(envs, config, session.generator)
    with torch.no_grad():
        learner.agent.actor.log_std.fill_(-2.0)  # who imitates need not explore
    shown = envs.single_observation_space.shape[0]
    if not shown < teacher.actor.obs_dim <= shown + told(envs, config).shape[1]:
        raise ValueError(
            f"the teacher sees {teacher.actor.obs_dim} numbers: not {shown} and some that are told"
        )
    obs = session.begin(learner.agent, learner=learner)  # (N, D)
    while session.running(envs.num_envs * config.num_steps):
        lr = config.lr * (1 - 0.9 * session.steps / config.total_steps)
        batch = collect(envs, learner.agent.actor, learner.memory, obs, session.episodes, rng, config)
        obs = batch.obs[-1]
        session.updated(obs, **imitate(learner, teacher.actor, batch, config, lr, rng))
    return session.end()


def load_policy(run: runs.Run, device: str = "cpu") -> Agent:
    """The trained agent of a run: each ``.act`` is a player with a memory of its own.

    Raises:
        ValueError: the run is of another algorithm.

    Book: robotics/memory
    """
    if run.algorithm != ALGORITHM:
        raise ValueError(f"this run is of {run.algorithm}: load it with that module's load_policy")
    spaces = [rl_envs.space_from_tree(run.policy[k]) for k in ("obs_space", "action_space")]
    config = Config(**{**run.config, "critic_hidden": tuple(run.config["critic_hidden"])})
    actor = Actor(spaces[0].shape[0], spaces[1].shape[0], config, torch.Generator())
    agent = Agent(actor.to(nets.torch_device(device)), *spaces)
    nets.set_state(agent, run.policy)
    return agent


if __name__ == "__main__":
    command(train, load_policy, Config)
