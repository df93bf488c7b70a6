"""Proximal policy optimisation (PPO), the form with a clipped objective.

Collect a batch with the present policy, then take several epochs of minibatch steps on it. The objective
pays nothing for an action once it has become likelier, or less likely, by more than ``clip_range``: so the
policy stays near the one that collected the batch, and the batch stays worth learning from.

Papers: Schulman, Wolski, Dhariwal, Radford & Klimov, *Proximal policy optimization algorithms*, 2017
(arXiv:1707.06347). What is the same in vanilla policy gradient comes from there.

Book: algorithms/ppo
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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
    normalize,
    transitions,
    value_loss,
)
from rlworkshop.runs.training import Training, command

ALGORITHM = "rlworkshop.algorithms.ppo"


@dataclass(frozen=True)
class Config:
    """Hyper-parameters of PPO. ``T`` and ``N`` below are ``num_steps`` and ``num_envs``."""

    env_id: str = "CartPole-v1"
    """the environment: observations a vector, actions discrete or a box"""
    num_envs: int = 8
    """N, environments stepped together"""
    num_steps: int = 128
    """T, rows that each environment adds to a batch (SB3: ``n_steps``)"""
    total_steps: int = 100_000
    """environment steps in all; no batch is begun that could exceed them"""
    n_epochs: int = 4
    """how often each transition of a batch is learned from (CleanRL: ``update_epochs``)"""
    batch_size: int = 256
    """transitions of a minibatch, at the most"""
    gamma: float = 0.99
    """discount factor"""
    gae_lambda: float = 0.95
    """λ of GAE: 0 trusts the value function, 1 trusts the returns"""
    clip_range: float = 0.2
    """ε: how far an action's probability ratio is paid to move from 1 (CleanRL: ``clip_coef``)"""
    ent_coef: float = 0.0
    """weight of the entropy bonus"""
    vf_coef: float = 0.5
    """weight of the value loss"""
    max_grad_norm: float = 0.5
    """the gradient of all parameters together is shortened to this length; 0: never"""
    target_kl: float = 0.01
    """KL divergence that ``stop_early`` and ``adaptive_lr`` aim at; nothing else looks at it"""
    lr: float = 3e-3
    """learning rate of both networks"""
    lr_decay_fraction: float = 1.0
    """the last part of ``total_steps``, over which it falls linearly to 0; 0: never"""
    hidden: tuple[int, ...] = (64, 64)
    """widths of the hidden layers of both networks"""
    normalize_obs: bool = False
    """shift and scale observations by their running mean and standard deviation"""
    normalize_rewards: bool = False
    """divide rewards by the running standard deviation of their discounted sums"""
    device: str = "cpu"
    """where the networks are: ``"cpu"``, ``"cuda"``, ``"mps"``"""

    def __post_init__(self):
        if min(self.num_envs, self.num_steps, self.n_epochs, self.batch_size) < 1:
            raise ValueError("num_envs, num_steps, n_epochs and batch_size must be at least 1")
        if self.total_steps < self.num_envs * self.num_steps:
            raise ValueError(f"total_steps={self.total_steps} is less than one batch, num_envs * num_steps")
        if not (0 <= self.gamma <= 1 and 0 <= self.gae_lambda <= 1):
            raise ValueError("gamma and gae_lambda lie between 0 and 1")
        if not min(self.clip_range, self.target_kl, self.lr) > 0:
            raise ValueError("clip_range, target_kl and lr lie above 0")
        if not min(self.ent_coef, self.vf_coef, self.max_grad_norm) >= 0:
            raise ValueError("ent_coef, vf_coef and max_grad_norm are not negative")
        if not 0 <= self.lr_decay_fraction <= 1:
            raise ValueError("lr_decay_fraction is a part of total_steps, from 0 to 1")


# ------------------------------------------------------------------------------------ the mathematics


def probability_ratio(logp: torch.Tensor, old_logp: torch.Tensor) -> torch.Tensor:
    """How many times likelier each action has become since the batch was collected (B,).

    ``logp`` (B,) is the present policy's and carries the gradient; ``old_logp`` (B,) are plain numbers.

    Book: algorithms/ppo
    """
    return torch.exp(logp - old_logp)  # (eq-ppo-ratio)


def clipped_objective(ratio: torch.Tensor, advantages: torch.Tensor, clip_range: float) -> torch.Tensor:
    """PPO's objective of each transition (B,), to be made large (Schulman et al., 2017, eq. 7).

    Book: algorithms/ppo
    """
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)  # (B,)
    # the smaller of the two: a ratio that has moved the wrong way is never clipped, and finds its way back
    return torch.min(ratio * advantages, clipped * advantages)  # (eq-ppo-clip)


def clipped_loss(
    logp: torch.Tensor, old_logp: torch.Tensor, advantages: torch.Tensor, clip_range: float
) -> torch.Tensor:
    """Minus the mean clipped objective, for an optimiser that minimises; all tensors (B,).

    Book: algorithms/ppo
    """
    return -clipped_objective(probability_ratio(logp, old_logp), advantages, clip_range).mean()


def approximate_kl(logp: torch.Tensor, old_logp: torch.Tensor) -> torch.Tensor:
    """Mean estimate of the KL divergence from the old policy to the present one, never negative.

    With r the ratio: r - 1 - log r, whose expectation under the old policy is the divergence, as that of
    -log r is, but each term of which is at least 0. ``expm1`` keeps the digits that r - 1 loses near r = 1.

    Book: algorithms/ppo
    """
    log_ratio = logp - old_logp  # (B,)
    return (torch.expm1(log_ratio) - log_ratio).clamp(min=0).mean()  # (eq-ppo-kl)


def squared_error(
    values: torch.Tensor, returns: torch.Tensor, old_values: torch.Tensor, clip_range: float
) -> torch.Tensor:
    """Value loss: mean squared error of ``values`` (B,); where they stood before the update is not asked.

    Book: algorithms/ppo
    """
    return value_loss(values, returns)


def total_loss(
    policy: torch.Tensor, value: torch.Tensor, entropy: torch.Tensor, config: Config
) -> torch.Tensor:
    """What one optimiser minimises: the losses of policy and value function, less a bonus for entropy (B,).

    Book: algorithms/ppo
    """
    bonus = config.ent_coef * entropy.mean() if config.ent_coef else 0.0  # a weight of 0 costs no gradient
    return policy + config.vf_coef * value - bonus  # (eq-ppo-loss)


def minibatches(size: int, batch_size: int, epochs: int, rng: np.random.Generator) -> Iterator[torch.Tensor]:
    """Indices (M,) of minibatches: in each epoch every one of 0 … ``size`` - 1 once, in a new random order.

    M is about the same for all of them, and at most ``batch_size``: reset rows are dropped, so the size of
    a batch varies, and the few that would be left over for a last minibatch would be normalised to noise.

    Book: algorithms/ppo
    """
    for _ in range(epochs):
        order = torch.from_numpy(rng.permutation(size))  # (B,)
        yield from order.tensor_split(-(-size // batch_size))


# ------------------------------------------------------------------------------------ named variants


def keep_going(logp: torch.Tensor, old_logp: torch.Tensor, config: Config) -> bool:
    """Never stop before the last epoch: PPO as it is."""
    return False


def stop_early(logp: torch.Tensor, old_logp: torch.Tensor, config: Config) -> bool:
    """KL early stopping: no further step on this batch once the policy has gone 1.5 ``target_kl`` away.

    Asked before each step, about the minibatch of that step. As in Spinning Up and Stable-Baselines3.

    Book: algorithms/ppo
    """
    return bool(approximate_kl(logp.detach(), old_logp) > 1.5 * config.target_kl)


def linear_lr(step: int, config: Config, metrics: dict[str, list[float]]) -> float:
    """Learning rate at an environment step: ``config.lr``, and at last down to 0.

    Book: algorithms/ppo
    """
    left, over = 1 - step / config.total_steps, config.lr_decay_fraction
    return config.lr * min(1.0, left / over) if over else config.lr


def adaptive_lr(step: int, config: Config, metrics: dict[str, list[float]]) -> float:
    """KL-adaptive learning rate: down after an update that went too far, up after one that went nowhere.

    ``metrics`` are the numbers of the updates so far: the rate is the last one, divided by 1.5 where its
    ``kl`` was above twice ``target_kl``, multiplied by 1.5 where below half of it; from 1e-5 to 1e-2.

    Book: algorithms/ppo
    """
    if "kl" not in metrics:
        return config.lr
    lr, kl = metrics["lr"][-1], metrics["kl"][-1]
    if kl > 2 * config.target_kl:
        return max(1e-5, lr / 1.5)
    return min(1e-2, lr * 1.5) if kl < config.target_kl / 2 else lr


# ---------------------------------------------------------------------------------------- learning


class RewardScale:
    """Divides rewards by the running standard deviation of the discounted return so far, clipped to ±10.

    The return so far is that of each environment's present episode up to the present step. As in OpenAI's
    baselines (``VecNormalize``), but a whole batch is scaled alike, with the statistics up to its end.

    Book: algorithms/ppo
    """

    CLIP = 10.0

    def __init__(self, num_envs: int, gamma: float):
        self.gamma, self.returns, self.norm = gamma, np.zeros(num_envs), rl_envs.ObsNorm(())

    def __call__(self, batch: Batch) -> np.ndarray:
        """The rewards of a batch (T, N), scaled, float32; the batch is counted."""
        sums, ended = np.empty(batch.rewards.shape), batch.terminated | batch.truncated  # (T, N), (T, N)
        for t, reward in enumerate(batch.rewards):
            self.returns = sums[t] = self.gamma * self.returns + reward
            self.returns = np.where(ended[t], 0.0, self.returns)
        self.norm.update(sums[batch.valid])
        std = np.sqrt(self.norm.m2 / self.norm.count + 1e-8)
        return np.clip(batch.rewards / std, -self.CLIP, self.CLIP).astype(np.float32)


@dataclass
class Learner:
    """The agent, its value function, one optimiser for both, and the scale of rewards (``None``: 1)."""

    agent: Agent
    value: nn.Sequential
    optimizer: torch.optim.Optimizer
    scale: RewardScale | None


def make_learner(envs: gym.vector.VectorEnv, config: Config, generator: torch.Generator) -> Learner:
    """Fresh networks and their optimiser; all randomness comes from ``generator``."""
    place, space = nets.torch_device(config.device), envs.single_observation_space
    policy = make_policy(space, envs.single_action_space, config.hidden, generator).to(place)
    # a network of its own: sharing layers would let the value's large errors drown the policy's gradient
    value = nets.mlp([space.shape[0], *config.hidden, 1], generator).to(place)
    norm = rl_envs.ObsNorm(space.shape) if config.normalize_obs else None
    parameters = [*policy.parameters(), *value.parameters()]
    adam = torch.optim.Adam(parameters, config.lr, eps=1e-5, fused=True)
    scale = RewardScale(envs.num_envs, config.gamma) if config.normalize_rewards else None
    return Learner(Agent(policy, norm, space, envs.single_action_space), value, adam, scale)


@dataclass(frozen=True)
class Parts:
    """The functions of PPO that a variant exchanges, by name: ``Parts(stop=stop_early)``.

    Book: algorithms/ppo
    """

    advantages: Callable[..., np.ndarray] = gae
    """the estimator, with the arguments of ``gae``"""
    normalize: Callable[..., torch.Tensor] = normalize
    """what a minibatch does to its advantages (M,)"""
    policy_loss: Callable[..., torch.Tensor] = clipped_loss
    """with the arguments of ``clipped_loss``"""
    value_loss: Callable[..., torch.Tensor] = squared_error
    """with the arguments of ``squared_error``"""
    minibatches: Callable[..., Iterator[torch.Tensor]] = minibatches
    """which transitions make a step, with the arguments of ``minibatches``"""
    stop: Callable[..., bool] = keep_going
    """whether to leave a batch before its last epoch, with the arguments of ``keep_going``"""
    schedule: Callable[..., float] = linear_lr
    """of the learning rate, with the arguments of ``linear_lr``"""
    learner: Callable[..., Learner] = make_learner
    """makes the networks, with the arguments of ``make_learner``"""


PARTS = Parts()


def update(
    learner: Learner, batch: Batch, config: Config, lr: float, rng: np.random.Generator, parts: Parts = PARTS
) -> dict[str, float]:
    """Learn from one batch: ``config.n_epochs`` times over, in minibatches.

    Returns diagnostics by name: the losses of the last minibatch; the rest is about the whole batch, once
    before (``explained_variance``) and once after all steps (``entropy``, ``kl``, ``clip_fraction``).

    Book: algorithms/ppo
    """
    policy, value = learner.agent.policy, learner.value
    if learner.scale:
        batch = replace(batch, rewards=learner.scale(batch))
    obs, actions, advantage, returns = transitions(
        learner.agent, value, batch, config.gamma, config.gae_lambda, parts.advantages
    )
    old_values = returns - advantage  # (B,)
    with torch.no_grad():
        old_logp, _ = policy.log_prob(obs, actions)  # (B,), once: the policy that collected the batch

    # region: epochs
    (group,) = learner.optimizer.param_groups  # one, of all parameters
    group["lr"] = lr
    for rows in parts.minibatches(len(obs), config.batch_size, config.n_epochs, rng):
        logp, entropy = policy.log_prob(obs[rows], actions[rows])  # (M,), (M,)
        gain = parts.normalize(advantage[rows])  # (M,)
        policy_loss = parts.policy_loss(logp, old_logp[rows], gain, config.clip_range)
        guess = value(obs[rows]).squeeze(-1)  # (M,)
        error = parts.value_loss(guess, returns[rows], old_values[rows], config.clip_range)
        if parts.stop(logp, old_logp[rows], config):
            break
        learner.optimizer.zero_grad()
        total_loss(policy_loss, error, entropy, config).backward()
        if config.max_grad_norm:
            nn.utils.clip_grad_norm_(group["params"], config.max_grad_norm)
        learner.optimizer.step()
    # endregion
    with torch.no_grad():
        logp, entropy = policy.log_prob(obs, actions)  # (B,), (B,)
    if learner.agent.norm:
        # only now: a batch is collected and learned from under one and the same normalisation
        learner.agent.norm.update(batch.obs[:-1][batch.valid])
    outside = (probability_ratio(logp, old_logp) - 1).abs() > config.clip_range  # (B,)
    explained = 1 - advantage.var() / (returns.var() + 1e-8)
    return {
        "policy_loss": policy_loss.item(),
        "value_loss": error.item(),
        "entropy": entropy.mean().item(),
        "explained_variance": explained.item(),
        "kl": approximate_kl(logp, old_logp).item(),
        "clip_fraction": outside.float().mean().item(),
        "lr": lr,
    }


# ---------------------------------------------------------------------------------------- training


def train(config: Config, seed: int, parts: Parts = PARTS, **options: Any) -> runs.Run:
    """Train on ``config.env_id``; the same seed on the same machine gives the same bits.

    Args:
        parts: the functions to learn with.
        options: of the session: ``callback``, ``checkpoint``, ``log_dir`` and the others of ``Training``.

    Raises:
        ValueError: the environment does not exist, its spaces do not fit, or it returns what is no number.
        RunFileError: the checkpoint is broken, or that of another training.

    Book: algorithms/ppo
    """
    session = Training(ALGORITHM, config, seed, vars(parts), **options)
    envs, rng = session.envs, session.rng
    learner = parts.learner(envs, config, session.generator)
    obs = session.begin(learner.agent, learner=learner)  # (N, D)
    # region: loop
    while session.running(envs.num_envs * config.num_steps):
        lr = parts.schedule(session.steps, config, session.metrics)
        batch = collect(envs, learner.agent, obs, session.episodes, rng, config.num_steps)
        obs = batch.obs[-1]  # (N, D)
        session.updated(obs, **update(learner, batch, config, lr, rng, parts))
    # endregion
    return session.end()


def load_policy(run: runs.Run, device: str = "cpu") -> Agent:
    """The trained agent of a run, its normaliser frozen: ``.act(obs)`` and ``.sample(obs, rng)``.

    Raises:
        ValueError: the run is of another algorithm.

    Book: algorithms/ppo
    """
    return load_agent(run, ALGORITHM, device)


if __name__ == "__main__":
    command(train, load_policy, Config)
