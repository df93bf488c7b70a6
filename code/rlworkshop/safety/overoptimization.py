"""Overoptimization of a reward model, in a world small enough that gold, proxy and KL can be computed.

A response is a vector of sixteen numbers, the reference policy a standard normal distribution over them.
A gold score, which stands for what people want, answers comparisons; proxies are fitted to the answers; and
policies are optimised against the proxies by best-of-n sampling or by REINFORCE, with or without a KL
penalty. Many seeds run side by side: S rows, each with a gold, comparisons, proxies and a policy of its own.

Papers: Gao, Schulman & Hilton, *Scaling laws for reward model overoptimization*, 2022 (arXiv:2210.10760);
Coste, Anwar, Kirk & Krueger, *Reward model ensembles help mitigate overoptimization*, 2023
(arXiv:2310.02743); Beirami et al., *Theoretical guarantees on the best-of-n alignment policy*, 2024
(arXiv:2401.01879).

Book: safety/overoptimization
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rlworkshop.safety.learning_from_preferences import preference_loss

RESPONSE = 16  # numbers of a response
FEATURES = 128  # waves that a gold score is made of
Score = Callable[[torch.Tensor], torch.Tensor]  # responses (S, B, D) -> scores (S, B)


class Draws:
    """Random numbers for S rows, each row's from its own seed alone.

    Raises:
        ValueError: there are no seeds.

    Book: safety/overoptimization
    """

    def __init__(self, seeds: Sequence[int]):
        if len(seeds) == 0:
            raise ValueError("Draws needs at least one seed, such as verify.seeds(10)")
        self.generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]

    def __len__(self) -> int:
        return len(self.generators)

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal numbers (S, *shape)."""
        return torch.stack([torch.randn(shape, generator=g) for g in self.generators])

    def uniform(self, *shape: int) -> torch.Tensor:
        """Numbers (S, *shape) from 0 up to, not including, 1."""
        return torch.stack([torch.rand(shape, generator=g) for g in self.generators])

    def integers(self, n: int, *shape: int) -> torch.Tensor:
        """Whole numbers (S, *shape) from 0 to n - 1."""
        return torch.stack([torch.randint(n, shape, generator=g) for g in self.generators])


# ------------------------------------------------------------------------------------ policies


class Policy:
    """A normal distribution over responses for each row, with a mean and log standard deviations (S, D).

    It begins as the reference: mean 0 and standard deviation 1.

    Book: safety/overoptimization
    """

    def __init__(self, rows: int, inputs: int = RESPONSE):
        self.mean, self.log_std = torch.zeros(rows, inputs), torch.zeros(rows, inputs)

    def sample(self, n: int, draws: Draws) -> torch.Tensor:
        """Responses (S, n, D)."""
        return self.mean[:, None] + self.log_std.exp()[:, None] * draws.normal(n, self.mean.shape[1])

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """Log densities (S, B) of responses (S, B, D)."""
        z = (x - self.mean[:, None]) / self.log_std.exp()[:, None]
        return -(0.5 * z**2 + self.log_std[:, None] + 0.5 * math.log(2 * math.pi)).sum(dim=-1)

    def gradient(self, x: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean over responses (S, B, D) of weight (S, B) times grad-log-prob, for mean and log_std (S, D)."""
        std = self.log_std.exp()[:, None]
        z = (x - self.mean[:, None]) / std
        return (weight[..., None] * z / std).mean(dim=1), (weight[..., None] * (z**2 - 1)).mean(dim=1)


def gaussian_kl(policy: Policy, reference: Policy) -> torch.Tensor:
    """KL(policy || reference) of normal distributions, exact, in nats (S,).

    Book: safety/overoptimization
    """
    shift = (policy.mean - reference.mean) / reference.log_std.exp()
    log_ratio = policy.log_std - reference.log_std
    return 0.5 * (shift**2 + (2 * log_ratio).exp() - 1 - 2 * log_ratio).sum(dim=1)  # (eq-oo-gaussian-kl)


# ------------------------------------------------------------------------------------ gold and proxies


class Gold:
    """What people want: a smooth random landscape (S rows) that falls off far away from the reference.

    In units of its standard deviation over the reference's responses, and 0 on average there.

    Args:
        far: what a response loses when its squared length is twice the usual one.

    Book: safety/overoptimization
    """

    def __init__(self, draws: Draws, far: float = 0.2):
        self.far = far
        self.wave = draws.normal(RESPONSE, FEATURES) / math.sqrt(RESPONSE)  # (S, D, F)
        self.phase = 2 * math.pi * draws.uniform(1, FEATURES)  # (S, 1, F)
        self.weight, self.base = draws.normal(FEATURES), torch.zeros(len(draws))  # (S, F), (S,)
        self.weight = self.weight / self(draws.normal(4096, RESPONSE)).std(dim=1)[:, None]
        self.base = self.expected(Policy(len(draws)))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Scores (S, B) of responses (S, B, D)."""
        waves = torch.cos(torch.baddbmm(self.phase, x, self.wave))  # (S, B, F)
        length = (x**2).mean(dim=-1) - 1  # 0 for a response of usual length
        return torch.bmm(waves, self.weight[..., None])[..., 0] - self.far * length - self.base[:, None]

    def expected(self, policy: Policy) -> torch.Tensor:
        """The mean score of a policy (S,), exact: a wave is damped by the spread of the responses."""
        variance = (2 * policy.log_std).exp()  # (S, D)
        angle = torch.einsum("sd,sdf->sf", policy.mean, self.wave) + self.phase[:, 0]
        damped = torch.exp(-0.5 * torch.einsum("sd,sdf->sf", variance, self.wave**2)) * torch.cos(angle)
        length = (policy.mean**2 + variance).mean(dim=1) - 1
        return (damped * self.weight).sum(dim=1) - self.far * length - self.base


def answers(left: torch.Tensor, right: torch.Tensor, draws: Draws, sharpness: float = 2.0) -> torch.Tensor:
    """Labels of noisy people: 1 where the left response is preferred, else 0; from gold scores (S, n).

    The model of Bradley and Terry: a difference of one is seen by a share sigmoid(``sharpness``) of them.

    Book: safety/overoptimization
    """
    preferred = torch.sigmoid(sharpness * (left - right))
    return (draws.uniform(left.shape[1]) < preferred).float()  # (eq-oo-answers)


class Proxies:
    """K reward models for each of S rows: networks of two hidden layers, zero on average at the reference.

    Book: safety/overoptimization
    """

    def __init__(self, draws: Draws, members: int = 1, hidden: int = 64):
        self.members, self.shift = members, torch.zeros(len(draws), members)
        self.weights = []
        for n_in, n_out in ((RESPONSE, hidden), (hidden, hidden), (hidden, 1)):
            drawn = draws.normal(members, n_in, n_out) / math.sqrt(n_in)
            zero = torch.zeros(len(draws) * members, 1, n_out)
            self.weights += [drawn.flatten(0, 1).requires_grad_(), zero.requires_grad_()]

    def own(self, x: torch.Tensor) -> torch.Tensor:
        """Scores (S, K, B), not centred, where each member has responses of its own (S, K, B, D)."""
        w1, b1, w2, b2, w3, b3 = self.weights
        h = torch.tanh(torch.baddbmm(b1, x.flatten(0, 1), w1))
        h = torch.tanh(torch.baddbmm(b2, h, w2))
        return torch.baddbmm(b3, h, w3)[..., 0].unflatten(0, (-1, self.members))

    @torch.no_grad()
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Scores (S, K, B) of responses (S, B, D)."""
        return self.own(x[:, None].expand(-1, self.members, -1, -1)) - self.shift[..., None]


def fit_proxies(
    left: torch.Tensor,
    right: torch.Tensor,
    label: torch.Tensor,
    draws: Draws,
    members: int = 1,
    steps: int = 600,
    lr: float = 3e-3,
    batch_size: int = 64,
) -> Proxies:
    """Reward models fitted to comparisons (S, n, D) with labels (S, n): all members to the same ones.

    Members differ by their initial weights and their minibatches. The learning rate falls to 0.

    Raises:
        ValueError: there are no comparisons.

    Book: safety/overoptimization
    """
    S, n, _ = left.shape
    if n == 0:
        raise ValueError("proxies cannot be fitted to no comparisons: draw some pairs first")
    proxies = Proxies(draws, members)
    adam = torch.optim.AdamW(proxies.weights, lr, weight_decay=1e-2, fused=True)
    row, size = torch.arange(S)[:, None, None], min(n, batch_size)
    for step in range(steps):
        adam.param_groups[0]["lr"] = lr * (1 - step / steps)
        chosen = draws.integers(n, members, size)  # (S, K, M)
        scores = proxies.own(torch.cat([left[row, chosen], right[row, chosen]], dim=2))  # (S, K, 2M)
        for_left, for_right = scores.split(size, dim=2)
        loss = preference_loss(for_left, for_right, label[row, chosen], error=0.0) * S * members
        adam.zero_grad()
        loss.backward()
        adam.step()
    proxies.shift = proxies(draws.normal(4096, RESPONSE)).mean(dim=2)
    return proxies


def worst_case(scores: torch.Tensor) -> torch.Tensor:
    """The lowest of the members' scores: (S, K, B) -> (S, B); worst-case optimization (Coste et al., 2023).

    Book: safety/overoptimization
    """
    return scores.amin(dim=1)  # (eq-oo-worst)


def uncertainty_weighted(scores: torch.Tensor, weight: float = 1.0) -> torch.Tensor:
    """Mean minus ``weight`` times the variance of the members' scores: (S, K, B) -> (S, B).

    Uncertainty-weighted optimization (Coste et al., 2023).

    Book: safety/overoptimization
    """
    return scores.mean(dim=1) - weight * scores.var(dim=1, correction=0)  # (eq-oo-uncertain)


# ------------------------------------------------------------------------------------ best of n


def best_of_n_kl(n: float | np.ndarray) -> float | np.ndarray:
    """KL divergence of best-of-n from what it draws from, in nats, where no two responses score the same.

    Where scores may be equal it is an upper bound (Beirami et al., 2024).

    Book: safety/overoptimization
    """
    return np.log(n) - (n - 1) / n  # (eq-oo-best-of-n)


def best_of_n(proxy: torch.Tensor, value: torch.Tensor, n: int) -> torch.Tensor:
    """Mean ``value`` (S,) of the response of highest ``proxy`` among n, over all choices of n from the pool.

    Args:
        proxy, value: of the responses of a pool (S, M).

    Raises:
        ValueError: n is not from 1 to M.

    Book: safety/overoptimization
    """
    M = proxy.shape[1]
    if not 1 <= n <= M:
        raise ValueError(f"the best of {n} cannot be chosen from a pool of {M}: take n from 1 to {M}")
    ranked = value.gather(1, proxy.argsort(dim=1)).double()  # the lowest proxy first
    rank = torch.arange(n, M + 1, dtype=torch.float64)  # below rank n, none is the best of n
    # how many choices of n have this rank on top: n - 1 of the rank - 1 below it, in logarithms
    log_count = torch.lgamma(rank) - torch.lgamma(rank - n + 1)
    return ranked[:, n - 1 :] @ torch.softmax(log_count, dim=0)  # (eq-oo-rank)


# ------------------------------------------------------------------------------------ RL


@dataclass(frozen=True)
class Path:
    """What one optimisation passed through: arrays (T, S), before each of its T steps.

    Attributes:
        kl: from the reference, exact, in nats. proxy: mean score by which it is optimised.
        gold: mean gold score, exact. logged: mean log-ratio of the responses, an estimate of ``kl``.

    Book: safety/overoptimization
    """

    kl: np.ndarray
    proxy: np.ndarray
    gold: np.ndarray
    logged: np.ndarray

    @property
    def distance(self) -> np.ndarray:
        """Square root of the KL divergence (T, S)."""
        return np.sqrt(np.maximum(self.kl, 0))

    def at(self, distance: Sequence[float] | np.ndarray, what: str = "gold") -> np.ndarray:
        """Values (S, len(distance)) where each row first comes to a distance; NaN where it never does."""
        found = []
        for far, values in zip(self.distance.T, getattr(self, what).T, strict=True):
            first = np.diff(np.maximum.accumulate(far), prepend=-1) > 0  # never as far before
            found.append(np.interp(distance, far[first], values[first], right=np.nan))
        return np.array(found)


def optimise(
    score: Score,
    gold: Gold,
    draws: Draws,
    beta: float = 0.0,
    steps: int = 240,
    lr: float = 0.02,
    batch_size: int = 256,
) -> Path:
    """REINFORCE from the reference on, against ``score`` minus ``beta`` times the log-ratio.

    Book: safety/overoptimization
    """
    policy, reference = Policy(len(draws)), Policy(len(draws))
    adam = torch.optim.Adam([policy.mean, policy.log_std], lr)
    seen = {name: [] for name in ("kl", "proxy", "gold", "logged")}
    for _ in range(steps):
        x = policy.sample(batch_size, draws)  # (S, B, D)
        proxy, log_ratio = score(x), policy.log_prob(x) - reference.log_prob(x)  # (S, B) each
        reward = proxy - beta * log_ratio  # (eq-oo-penalised)
        numbers = gaussian_kl(policy, reference), proxy.mean(1), gold.expected(policy), log_ratio.mean(1)
        for values, number in zip(seen.values(), numbers, strict=True):
            values.append(number.numpy())
        advantage = (reward - reward.mean(1, keepdim=True)) / (reward.std(1, keepdim=True) + 1e-8)
        slopes = policy.gradient(x, advantage)
        policy.mean.grad, policy.log_std.grad = -slopes[0], -slopes[1]
        adam.step()
    return Path(**{name: np.array(values) for name, values in seen.items()})


# ------------------------------------------------------------------------------------ reading curves


def fit_form(distance: np.ndarray, gold: np.ndarray, form: str) -> tuple[float, float, np.ndarray]:
    """Least-squares fit of a form of Gao et al. to points (n,): alpha, beta and the fitted values (n,).

    Args:
        form: "best-of-n", d (alpha - beta d), or "RL", d (alpha - beta log d).

    Raises:
        ValueError: there is no such form, or a distance is not above 0.

    Book: safety/overoptimization
    """
    if form not in ("best-of-n", "RL") or np.min(distance) <= 0:
        raise ValueError('fit_form wants form "best-of-n" or "RL" and distances above 0')
    bend = distance if form == "best-of-n" else np.log(distance)
    columns = np.stack([distance, -distance * bend], axis=1)  # (eq-oo-forms)
    (alpha, beta), *_ = np.linalg.lstsq(columns, gold, rcond=None)
    return float(alpha), float(beta), columns @ [alpha, beta]


def ceiling(scores: torch.Tensor, kl: np.ndarray) -> np.ndarray:
    """The most that any policy can score on average (S, n) at divergences kl (n,) from the reference.

    Args:
        scores: of many responses of the reference (S, M).

    Book: safety/overoptimization
    """
    lam = torch.logspace(-2, 2, 81, dtype=torch.float64)  # inverse temperatures
    free = torch.logsumexp(lam[:, None, None] * scores.double(), dim=2) - math.log(scores.shape[1])  # (L, S)
    bounds = (torch.as_tensor(kl)[:, None, None] + free) / lam[:, None]  # (eq-oo-ceiling)
    return bounds.amin(dim=1).T.numpy()  # from (n, L, S)
