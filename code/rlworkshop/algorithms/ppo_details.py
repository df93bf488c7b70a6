"""The implementation details of proximal policy optimisation, each left out by a variant of its own.

What stands here is what one finds in code and hardly in papers: how weights begin, what is normalised,
what is clipped, in which order transitions are learned from. ``VARIANTS`` leaves one out at a time.

Papers: Engstrom, Ilyas, Santurkar, Tsipras, Janoos, Rudolph & Madry, *Implementation matters in deep policy
gradients*, 2020 (arXiv:2005.12729); Andrychowicz et al., *What matters in on-policy reinforcement learning?*,
2021 (arXiv:2006.05990); Huang, Dossa, Raffin, Kanervisto & Wang, *The 37 implementation details of proximal
policy optimization*, 2022.

Book: algorithms/ppo_details
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from rlworkshop import runs
from rlworkshop.algorithms import ppo
from rlworkshop.algorithms.vpg import gae

CHEETAH = ppo.Config(
    env_id="HalfCheetah-v5", num_envs=4, num_steps=512, total_steps=100_000, n_epochs=10, batch_size=128,
    lr=1e-3, normalize_obs=True, normalize_rewards=True,
)  # fmt: skip
"""PPO with all its details, for a task on which they carry weight."""


# ---------------------------------------------------------------------------------------- how weights begin


def torch_weights(envs: gym.vector.VectorEnv, config: ppo.Config, generator: torch.Generator) -> ppo.Learner:
    """Networks that begin as ``torch.nn.Linear`` does: all weights and biases uniform within ±1/√(inputs).

    Book: algorithms/ppo_details
    """
    learner = ppo.make_learner(envs, config, generator)
    for network in (learner.agent.policy.net, learner.value):
        for layer in network:
            if isinstance(layer, nn.Linear):
                for parameter in (layer.weight, layer.bias):
                    bound = 1 / math.sqrt(layer.in_features)
                    nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return learner


def large_head(envs: gym.vector.VectorEnv, config: ppo.Config, generator: torch.Generator) -> ppo.Learner:
    """Orthogonal weights throughout, the policy's last layer a hundred times larger than usual (gain 1).

    Book: algorithms/ppo_details
    """
    learner = ppo.make_learner(envs, config, generator)
    with torch.no_grad():
        learner.agent.policy.net[-1].weight *= 100
    return learner


# ---------------------------------------------------------------------------------------- advantages, values


def as_they_are(advantages: torch.Tensor) -> torch.Tensor:
    """Advantages (M,) without normalisation.

    Book: algorithms/ppo_details
    """
    return advantages


def cut_is_an_end(
    rewards: np.ndarray,
    values: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
    gamma: float,
    lam: float,
) -> np.ndarray:
    """Advantages (T, N) with the usual fault: an episode that was cut off counts as one that has ended.

    Book: algorithms/ppo_details
    """
    return gae(rewards, values, terminated | truncated, truncated, gamma, lam)


def clipped_value_loss(
    values: torch.Tensor, returns: torch.Tensor, old_values: torch.Tensor, clip_range: float
) -> torch.Tensor:
    """Value loss of OpenAI's baselines: the larger of two squared errors, all tensors (M,).

    The second is that of the value moved from its old one by no more than ``clip_range``.

    Book: algorithms/ppo_details
    """
    near = old_values + (values - old_values).clamp(-clip_range, clip_range)  # (M,)
    return torch.max((values - returns) ** 2, (near - returns) ** 2).mean()  # (eq-value-clip)


# ---------------------------------------------------------------------------------------- steps


def unclipped_loss(
    logp: torch.Tensor, old_logp: torch.Tensor, advantages: torch.Tensor, clip_range: float
) -> torch.Tensor:
    """Minus the mean surrogate objective, the ratio free to go where it likes; all tensors (M,).

    Book: algorithms/ppo_details
    """
    return -(ppo.probability_ratio(logp, old_logp) * advantages).mean()


def in_order(size: int, batch_size: int, epochs: int, rng: np.random.Generator) -> Iterator[torch.Tensor]:
    """Minibatches (M,) of neighbours in time, the same ones in each epoch; nothing is shuffled.

    Book: algorithms/ppo_details
    """
    for _ in range(epochs):
        yield from torch.arange(size).tensor_split(-(-size // batch_size))


# ---------------------------------------------------------------------------------------- one left out


@dataclass(frozen=True)
class Variant:
    """PPO with one detail left out: other settings, or another function.

    Book: algorithms/ppo_details
    """

    parts: ppo.Parts = ppo.PARTS
    settings: dict[str, Any] = field(default_factory=dict)


VARIANTS = {
    "all details": Variant(),
    "PyTorch's initial weights": Variant(ppo.Parts(learner=torch_weights)),
    "large last layer": Variant(ppo.Parts(learner=large_head)),
    "raw observations": Variant(settings={"normalize_obs": False}),
    "raw rewards": Variant(settings={"normalize_rewards": False}),
    "raw advantages": Variant(ppo.Parts(normalize=as_they_are)),
    "λ = 1": Variant(settings={"gae_lambda": 1.0}),
    "λ = 0": Variant(settings={"gae_lambda": 0.0}),
    "cut-off taken for an end": Variant(ppo.Parts(advantages=cut_is_an_end)),
    "clipped value loss": Variant(ppo.Parts(value_loss=clipped_value_loss)),
    "ratio not clipped": Variant(ppo.Parts(policy_loss=unclipped_loss)),
    "no shuffling": Variant(ppo.Parts(minibatches=in_order)),
    "one epoch": Variant(settings={"n_epochs": 1}),
    "constant learning rate": Variant(settings={"lr_decay_fraction": 0.0}),
    "gradient not shortened": Variant(settings={"max_grad_norm": 0.0}),
}
"""What is left out, by name."""


def train_variant(name: str, seed: int, base: ppo.Config = CHEETAH, **options: Any) -> runs.Run:
    """Train the variant ``name`` of ``VARIANTS`` with settings ``base``; ``options`` as for ``ppo.train``.

    Raises:
        ValueError: there is no such variant, or as ``ppo.train``.

    Book: algorithms/ppo_details
    """
    if name not in VARIANTS:
        raise ValueError(f"there is no variant {name!r}; there are: {', '.join(VARIANTS)}")
    variant = VARIANTS[name]
    return ppo.train(replace(base, **variant.settings), seed, variant.parts, **options)
