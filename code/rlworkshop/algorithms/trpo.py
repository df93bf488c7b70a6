"""Trust region policy optimisation (TRPO): natural policy gradient, with a limit that is kept.

Collect a batch with the present policy; find the direction that improves it most for the change it makes to
the policy's distributions, by conjugate gradient on products with the Fisher matrix; go as far as a limit on
the KL divergence allows; look whether the limit is kept and the objective has grown, else shorten the step.

Papers: Kakade, *A natural policy gradient*, 2001; Schulman, Levine, Moritz, Jordan & Abbeel, *Trust region
policy optimization*, 2015 (arXiv:1502.05477). What is the same in vanilla policy gradient comes from there.

Book: algorithms/trpo
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from rlworkshop import envs as rl_envs
from rlworkshop import nets, runs
from rlworkshop.algorithms.vpg import (
    Agent,
    Batch,
    CategoricalPolicy,
    GaussianPolicy,
    collect,
    gae,
    load_agent,
    make_policy,
    normalize,
    transitions,
    value_loss,
)
from rlworkshop.runs.training import Training, command

ALGORITHM = "rlworkshop.algorithms.trpo"


@dataclass(frozen=True)
class Config:
    """Hyper-parameters of TRPO. ``T`` and ``N`` below are ``num_steps`` and ``num_envs``."""

    env_id: str = "CartPole-v1"
    """the environment: observations a vector, actions discrete or a box"""
    num_envs: int = 8
    """N, environments stepped together"""
    num_steps: int = 128
    """T, rows that each environment adds to a batch (SB3: ``n_steps``)"""
    total_steps: int = 100_000
    """environment steps in all; no batch is begun that could exceed them"""
    gamma: float = 0.99
    """discount factor"""
    gae_lambda: float = 0.98
    """λ of GAE: 0 trusts the value function, 1 trusts the returns"""
    target_kl: float = 0.01
    """δ, KL divergence that no update may exceed, on average over the batch (Spinning Up: ``delta``)"""
    cg_iterations: int = 10
    """steps of conjugate gradient (SB3: ``cg_max_steps``)"""
    cg_damping: float = 0.1
    """multiple of the identity that is added to the Fisher matrix"""
    search_steps: int = 10
    """lengths that the line search tries (SB3: ``line_search_max_iter``)"""
    search_shrink: float = 0.8
    """factor from one length to the next (SB3: ``line_search_shrinking_factor``)"""
    lr: float = 1e-2
    """learning rate of the value function; the policy has none"""
    value_steps: int = 20
    """gradient steps on the value function for each batch (SB3: ``n_critic_updates``, in epochs)"""
    hidden: tuple[int, ...] = (64, 64)
    """widths of the hidden layers of both networks"""
    normalize_obs: bool = True
    """shift and scale observations by their running mean and standard deviation"""
    device: str = "cpu"
    """where the networks are: ``"cpu"``, ``"cuda"``, ``"mps"``"""

    def __post_init__(self):
        counts = self.num_envs, self.num_steps, self.cg_iterations, self.search_steps, self.value_steps
        if min(counts) < 1:
            raise ValueError(
                "num_envs, num_steps, cg_iterations, search_steps and value_steps must be at least 1"
            )
        if self.total_steps < self.num_envs * self.num_steps:
            raise ValueError(f"total_steps={self.total_steps} is less than one batch, num_envs * num_steps")
        if not (0 <= self.gamma <= 1 and 0 <= self.gae_lambda <= 1):
            raise ValueError("gamma and gae_lambda lie between 0 and 1")
        if not (self.target_kl > 0 and self.lr > 0 and self.cg_damping >= 0):
            raise ValueError("target_kl and lr lie above 0, cg_damping is not negative")
        if not 0 < self.search_shrink < 1:
            raise ValueError("search_shrink lies between 0 and 1")


# ------------------------------------------------------------------------------------ the mathematics


def distribution_parameters(
    policy: CategoricalPolicy | GaussianPolicy, obs: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Numbers that fix the policy's distributions at ``obs`` (B, D): for ``kl``.

    Log-probabilities (B, A) of discrete actions; means (B, K) and log standard deviations (B, K) else.

    Book: algorithms/trpo
    """
    out = policy.net(obs)  # (B, A) or (B, K)
    if isinstance(policy, CategoricalPolicy):
        return (out.log_softmax(dim=1),)
    return out, policy.log_std.expand_as(out)


def categorical_kl(old_logps: torch.Tensor, logps: torch.Tensor) -> torch.Tensor:
    """KL divergences (B,) from old to new probabilities, given as their logarithms (B, A).

    Book: algorithms/trpo
    """
    return (old_logps.exp() * (old_logps - logps)).sum(dim=1)  # (eq-trpo-kl-categorical)


def gaussian_kl(
    old_mean: torch.Tensor, old_log_std: torch.Tensor, mean: torch.Tensor, log_std: torch.Tensor
) -> torch.Tensor:
    """KL divergences (B,) from old to new normal distributions of K independent components, all (B, K).

    Book: algorithms/trpo
    """
    square = torch.exp(2 * (old_log_std - log_std)) + ((mean - old_mean) * torch.exp(-log_std)) ** 2
    return (log_std - old_log_std + 0.5 * square - 0.5).sum(dim=1)  # (eq-trpo-kl-gaussian)


def kl(old: tuple[torch.Tensor, ...], new: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """KL divergences (B,) from the old policy to the new one, both as ``distribution_parameters``.

    Exact, over all actions and not only those that were taken. In this order: the old policy acted.

    Book: algorithms/trpo
    """
    return categorical_kl(*old, *new) if len(old) == 1 else gaussian_kl(*old, *new)


def surrogate(logp: torch.Tensor, old_logp: torch.Tensor, advantages: torch.Tensor) -> torch.Tensor:
    """Surrogate objective: the mean advantage, each weighed by the probability ratio; all (B,).

    At ``logp == old_logp`` its gradient is the policy gradient.

    Book: algorithms/trpo
    """
    return (torch.exp(logp - old_logp) * advantages).mean()  # (eq-trpo-surrogate)


def flat(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """All numbers of ``tensors`` in one vector (P,)."""
    return torch.cat([x.reshape(-1) for x in tensors])


def fisher(
    policy: CategoricalPolicy | GaussianPolicy, obs: torch.Tensor, damping: float
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The damped Fisher matrix of a policy at ``obs`` (B, D), as the function v -> (F + damping I) v.

    F (P, P) is the Hessian of the mean KL divergence from the present policy to its neighbours, over the P
    parameters. It is never made: a product with it is the gradient of a product with a gradient
    (Pearlmutter, 1994).

    Book: algorithms/trpo
    """
    parameters = tuple(policy.parameters())
    new = distribution_parameters(policy, obs)
    # the old policy stands still: were it to move along, the divergence would be 0 everywhere, and so F
    old = tuple(x.detach() for x in new)
    slope = flat(torch.autograd.grad(kl(old, new).mean(), parameters, create_graph=True))  # (P,), of zeros

    def product(vector: torch.Tensor) -> torch.Tensor:
        curvature = flat(torch.autograd.grad(slope @ vector, parameters, retain_graph=True))  # (eq-trpo-fvp)
        return curvature + damping * vector  # (P,)

    return product


def conjugate_gradient(
    product: Callable[[torch.Tensor], torch.Tensor],
    b: torch.Tensor,
    iterations: int,
    tolerance: float = 1e-10,
) -> torch.Tensor:
    """Approximate solution x (P,) of A x = b, for a symmetric positive definite A known by ``product``.

    Each iteration asks for one product. It ends early where the squared residual has become ``tolerance``
    times that of x = 0. Hestenes & Stiefel, 1952.

    Book: algorithms/trpo
    """
    x, residual, direction = torch.zeros_like(b), b, b  # (P,), (P,), (P,)
    square = residual @ residual
    for _ in range(iterations):
        if square <= tolerance * (b @ b):  # solved, or b is 0: the next line but one would divide 0 by 0
            break
        image = product(direction)  # (P,)
        alpha = square / (direction @ image)
        x = x + alpha * direction
        residual = residual - alpha * image
        before, square = square, residual @ residual
        direction = residual + square / before * direction  # (eq-trpo-cg)
    return x


def full_step(
    x: torch.Tensor, product: Callable[[torch.Tensor], torch.Tensor], target_kl: float
) -> torch.Tensor:
    """The step (P,) along ``x`` (P,) whose divergence is ``target_kl`` in the quadratic model; 0 for 0.

    Book: algorithms/trpo
    """
    curvature = x @ product(x)
    if curvature <= 0:
        return torch.zeros_like(x)
    return torch.sqrt(2 * target_kl / curvature) * x  # (eq-trpo-step)


# ------------------------------------------------------------------------------------ named variants


def natural_gradient(
    product: Callable[[torch.Tensor], torch.Tensor], gradient: torch.Tensor, config: Config
) -> torch.Tensor:
    """The direction (P,) that improves most for the divergence that it costs: the solution of F x = gradient.

    Book: algorithms/trpo
    """
    return conjugate_gradient(product, gradient, config.cg_iterations)


def plain_gradient(
    product: Callable[[torch.Tensor], torch.Tensor], gradient: torch.Tensor, config: Config
) -> torch.Tensor:
    """The direction (P,) that improves most for the distance of parameters that it costs: the gradient.

    Book: algorithms/trpo
    """
    return gradient


@torch.no_grad()
def line_search(
    policy: nn.Module, step: torch.Tensor, measure: Callable[[], tuple[float, float]], config: Config
) -> float:
    """Move ``policy`` by the first of ever shorter parts of ``step`` (P,) that improves and stays near.

    ``measure`` gives the improvement of the surrogate objective and the mean KL divergence, of the policy as
    it is then. Returns the part taken; 0 where none will do: then the policy is as it was.

    Book: algorithms/trpo
    """
    start = parameters_to_vector(policy.parameters())  # (P,)
    for k in range(config.search_steps):
        part = config.search_shrink**k
        vector_to_parameters(start + part * step, policy.parameters())
        improvement, divergence = measure()
        if improvement > 0 and divergence <= config.target_kl:  # both are false for a number that is none
            return part
    vector_to_parameters(start, policy.parameters())
    return 0.0


@torch.no_grad()
def no_search(
    policy: nn.Module, step: torch.Tensor, measure: Callable[[], tuple[float, float]], config: Config
) -> float:
    """Natural policy gradient: move ``policy`` by the whole ``step`` (P,), unseen. Returns 1.

    Book: algorithms/trpo
    """
    vector_to_parameters(parameters_to_vector(policy.parameters()) + step, policy.parameters())
    return 1.0


# ---------------------------------------------------------------------------------------- learning


@dataclass
class Learner:
    """The agent, its value function, and an optimiser for the latter."""

    agent: Agent
    value: nn.Sequential
    value_opt: torch.optim.Optimizer


def make_learner(envs: gym.vector.VectorEnv, config: Config, generator: torch.Generator) -> Learner:
    """Fresh networks and the value function's optimiser; all randomness comes from ``generator``."""
    place, space = nets.torch_device(config.device), envs.single_observation_space
    policy = make_policy(space, envs.single_action_space, config.hidden, generator).to(place)
    # a network of its own: in shared layers the value function's steps would move the policy, past any limit
    value = nets.mlp([space.shape[0], *config.hidden, 1], generator).to(place)
    norm = rl_envs.ObsNorm(space.shape) if config.normalize_obs else None
    adam = torch.optim.Adam(value.parameters(), config.lr, eps=1e-5, fused=True)
    return Learner(Agent(policy, norm, space, envs.single_action_space), value, adam)


@dataclass(frozen=True)
class Parts:
    """The functions of TRPO that a variant exchanges, by name: ``Parts(search=no_search)``.

    Book: algorithms/trpo
    """

    advantages: Callable[..., np.ndarray] = gae
    """the estimator, with the arguments of ``gae``"""
    fisher: Callable[..., Callable[[torch.Tensor], torch.Tensor]] = fisher
    """what a change of parameters costs, with the arguments of ``fisher``"""
    direction: Callable[..., torch.Tensor] = natural_gradient
    """where to go, with the arguments of ``natural_gradient``"""
    search: Callable[..., float] = line_search
    """how far to go there, with the arguments of ``line_search``"""
    learner: Callable[..., Learner] = make_learner
    """makes the networks, with the arguments of ``make_learner``"""


PARTS = Parts()


def update(learner: Learner, batch: Batch, config: Config, parts: Parts = PARTS) -> dict[str, float]:
    """Learn from one batch: one step for the policy, ``config.value_steps`` for the value function.

    Returns diagnostics by name: of the policy's step the ``improvement`` of the surrogate objective, the
    ``kl`` divergence and the ``part`` of the full step that the search took, 0 if none.

    Book: algorithms/trpo
    """
    policy = learner.agent.policy
    obs, actions, advantage, returns = transitions(
        learner.agent, learner.value, batch, config.gamma, config.gae_lambda, parts.advantages
    )
    # region: policy
    gain = normalize(advantage)  # (B,)
    logp, entropy = policy.log_prob(obs, actions)  # (B,), (B,)
    with torch.no_grad():
        old, old_logp = distribution_parameters(policy, obs), logp.detach()  # of the policy that acted
    before = surrogate(logp, old_logp, gain)
    gradient = flat(torch.autograd.grad(before, tuple(policy.parameters())))  # (P,)
    product = parts.fisher(policy, obs, config.cg_damping)
    x = parts.direction(product, gradient, config)  # (P,)

    def measure() -> tuple[float, float]:
        after = surrogate(policy.log_prob(obs, actions)[0], old_logp, gain)
        return (after - before).item(), kl(old, distribution_parameters(policy, obs)).mean().item()

    part = parts.search(policy, full_step(x, product, config.target_kl), measure, config)
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
    with torch.no_grad():
        improvement, divergence = measure()
    explained = 1 - advantage.var() / (returns.var() + 1e-8)
    return {
        "improvement": improvement,
        "kl": divergence,
        "part": part,
        "value_loss": error.item(),
        "entropy": entropy.mean().item(),
        "explained_variance": explained.item(),
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

    Book: algorithms/trpo
    """
    session = Training(ALGORITHM, config, seed, vars(parts), **options)
    envs = session.envs
    learner = parts.learner(envs, config, session.generator)
    obs = session.begin(learner.agent, learner=learner)  # (N, D)
    # region: loop
    while session.running(envs.num_envs * config.num_steps):
        batch = collect(envs, learner.agent, obs, session.episodes, session.rng, config.num_steps)
        obs = batch.obs[-1]  # (N, D)
        session.updated(obs, **update(learner, batch, config, parts))
    # endregion
    return session.end()


def load_policy(run: runs.Run, device: str = "cpu") -> Agent:
    """The trained agent of a run, its normaliser frozen: ``.act(obs)`` and ``.sample(obs, rng)``.

    Raises:
        ValueError: the run is of another algorithm.

    Book: algorithms/trpo
    """
    return load_agent(run, ALGORITHM, device)


if __name__ == "__main__":
    command(train, load_policy, Config)
