"""Which agent is better: comparisons of a few runs, and what they are worth when the truth is known.

Simulated experiments are rows of arrays, thousands at a time, so that one can count how often a rule is
wrong. Robust means, intervals for one set of runs and the probability of improvement are in
``rlworkshop.stats``.

Papers: Welch, *The generalization of "Student's" problem when several different population variances are
involved*, 1947; Colas, Sigaud & Oudeyer, *How many random seeds? Statistical power analysis in deep
reinforcement learning experiments*, 2018 (arXiv:1806.08295); Agarwal, Schwarzer, Castro, Courville &
Bellemare, *Deep reinforcement learning at the edge of the statistical precipice*, 2021 (arXiv:2108.13264).

Book: foundations/evaluating_agents
"""

import functools
import itertools
import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from rlworkshop import stats

# ------------------------------------------------------------------------------- two groups of runs


def halves(runs: int) -> np.ndarray:
    """Every split of an even number of runs into two halves, once: who is in the first half, (K, runs).

    Raises:
        ValueError: the number is odd, or below 2.

    Book: foundations/evaluating_agents
    """
    if runs < 2 or runs % 2:
        raise ValueError(f"an even number of runs splits into halves, not {runs}")
    groups = [(0, *rest) for rest in itertools.combinations(range(1, runs), runs // 2 - 1)]
    chosen = np.zeros((len(groups), runs), bool)
    np.put_along_axis(chosen, np.array(groups), True, axis=1)
    return chosen


def standard_errors(scores: np.ndarray) -> np.ndarray:
    """Standard error of the mean over the last axis: s / √n, from two runs or more.

    Book: foundations/evaluating_agents
    """
    return scores.std(axis=-1, ddof=1) / scores.shape[-1] ** 0.5


def bands_apart(x: np.ndarray, y: np.ndarray, multiple: float = 1.0) -> np.ndarray:
    """Whether the bands "mean ± ``multiple`` standard errors" of two groups of runs do not overlap.

    ``x`` and ``y`` are (..., n): each row is an experiment. Returns bool (...,).

    Book: foundations/evaluating_agents
    """
    distance = np.abs(x.mean(axis=-1) - y.mean(axis=-1))
    return distance > multiple * (standard_errors(x) + standard_errors(y))  # (eq-bands-apart)


def t_quantiles(confidence: float, degrees: np.ndarray) -> np.ndarray:
    """Student's two-sided quantiles for many degrees of freedom, whole or not, by a table (within 0.3 %).

    Book: foundations/evaluating_agents
    """
    inverse, quantiles = _t_table(confidence)
    return np.interp(1 / np.asarray(degrees, float), inverse, quantiles)


@functools.cache
def _t_table(confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles over the inverse of the degrees of freedom, in which they bend least."""
    degrees = np.geomspace(1000, 1, 80)
    return 1 / degrees, np.array([stats.t_quantile(confidence, nu) for nu in degrees])


def welch_interval(x: np.ndarray, y: np.ndarray, confidence: float = 0.95) -> np.ndarray:
    """Interval (2, ...) for the difference of two means, mean of ``x`` minus mean of ``y`` (Welch, 1947).

    ``x`` is (..., n), ``y`` (..., m), with two runs or more; the groups may differ in size and spread.

    Book: foundations/evaluating_agents
    """
    a, b = standard_errors(x) ** 2, standard_errors(y) ** 2  # (...,), variances of the means
    spread = np.where(a + b > 0, a + b, 1.0)  # groups without any spread: the interval is a point
    parts = (a / spread) ** 2 / (x.shape[-1] - 1) + (b / spread) ** 2 / (y.shape[-1] - 1)
    degrees = 1 / np.where(parts > 0, parts, 1.0)  # (eq-welch-degrees)
    half = t_quantiles(confidence, degrees) * np.sqrt(a + b)
    difference = x.mean(axis=-1) - y.mean(axis=-1)
    return np.stack([difference - half, difference + half])  # (eq-welch)


def differs(x: np.ndarray, y: np.ndarray, confidence: float = 0.95) -> np.ndarray:
    """Whether Welch's t test claims a difference: its interval does not hold 0. bool (...,).

    Book: foundations/evaluating_agents
    """
    low, high = welch_interval(x, y, confidence)
    return (low > 0) | (high < 0)


def differs_at_any_look(x: np.ndarray, y: np.ndarray, first: int) -> np.ndarray:
    """Whether the test claims a difference after the first ``first`` runs, or after any later one.

    ``x`` and ``y`` are (..., n), in the order in which the runs came in.

    Book: foundations/evaluating_agents
    """
    looks = [differs(x[..., :n], y[..., :n]) for n in range(first, x.shape[-1] + 1)]
    return np.any(looks, axis=0)


# ------------------------------------------------------------------------------- the best of several


def expected_best(scores: np.ndarray, k: int) -> float:
    """Mean of the best of ``k`` runs drawn, with replacement, from ``scores`` (N,): exact.

    Book: foundations/evaluating_agents
    """
    ranked = np.sort(scores)  # (N,)
    below = np.arange(len(ranked) + 1) / len(ranked)  # share of the runs up to each rank
    return float(ranked @ np.diff(below**k))  # (eq-best-of-k)


# ------------------------------------------------------------------------------- resampling


def percentile_intervals(
    samples: np.ndarray,
    reps: int,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> np.ndarray:
    """Percentile bootstrap interval (2, S) for the mean of each row of ``samples`` (S, n).

    All rows share their resamples: how often each of the n entries is drawn, (reps, n).

    Book: foundations/evaluating_agents
    """
    n = samples.shape[1]
    counts = rng.multinomial(n, np.full(n, 1 / n), size=reps)
    means = samples @ counts.T / n  # (S, reps)
    return np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=1)


def resampled(scores: np.ndarray, reps: int, rng: np.random.Generator) -> np.ndarray:
    """Stratified resamples (reps, N, M) of ``scores`` (N, M): N runs of each task, drawn within that task.

    Book: foundations/evaluating_agents
    """
    rows = rng.integers(len(scores), size=(reps, *scores.shape))
    return np.take_along_axis(scores[None], rows, axis=1)


def comparison_interval(
    x: np.ndarray,
    y: np.ndarray,
    compare: Callable[[np.ndarray, np.ndarray], float],
    reps: int,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Stratified bootstrap interval of ``compare(x, y)`` for two agents' runs (N, M) and (K, M).

    Book: foundations/evaluating_agents
    """
    pairs = zip(resampled(x, reps, rng), resampled(y, reps, rng), strict=True)
    values = [compare(one, other) for one, other in pairs]
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def covered(interval: np.ndarray, truth: float) -> float:
    """Share of the intervals (2, S) that hold ``truth``; an end counts as inside.

    Book: foundations/evaluating_agents
    """
    low, high = interval
    return float(((low <= truth) & (truth <= high)).mean())


# ------------------------------------------------------------------------------- all of a distribution


def performance_profile(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Share of runs that score above each threshold, averaged over tasks (Agarwal et al., 2021).

    ``scores`` is (..., N, M), N runs on each of M tasks; ``thresholds`` (T,). Returns (..., T).

    Book: foundations/evaluating_agents
    """
    above = scores[..., None] > thresholds  # (..., N, M, T)
    return above.mean(axis=(-3, -2))  # (eq-profile)


# ------------------------------------------------------------------------------- how many runs


def compared(
    effect: float,
    n: int,
    trials: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Simulated comparisons of ``n`` runs a side, whose true means are ``effect`` standard deviations apart.

    Returns the differences found (trials,), in standard deviations, and whether Welch's test claims them.

    Book: foundations/evaluating_agents
    """
    x, y = rng.normal(size=(2, trials, n))
    x = x + effect
    return x.mean(axis=1) - y.mean(axis=1), differs(x, y)


def seeds_needed(effect: float, power: float = 0.8, confidence: float = 0.95) -> int:
    """Runs a side to claim a difference of ``effect`` standard deviations with probability ``power``.

    From the normal distribution, which is optimistic where the answer is below ten.

    Raises:
        ValueError: ``effect`` is not above 0.

    Book: foundations/evaluating_agents
    """
    if not effect > 0:
        raise ValueError(f"no number of runs shows an effect of {effect}")
    z = NormalDist().inv_cdf
    return math.ceil(2 * ((z((1 + confidence) / 2) + z(power)) / effect) ** 2)  # (eq-seeds-needed)


def failure_rate_bound(runs: int, confidence: float = 0.95) -> float:
    """Largest failure rate that ``runs`` runs without a failure leave possible.

    With a rate above it, so clean a sheet has a probability below 1 - ``confidence``.

    Book: foundations/evaluating_agents
    """
    return 1 - (1 - confidence) ** (1 / runs)  # (eq-none-failed)


# ------------------------------------------------------------------------------- episodes within runs


def variance_components(returns: np.ndarray) -> tuple[float, float]:
    """Variance between policies, and within a policy between its episodes, from ``returns`` (S, E).

    Unbiased, so that the first can come out below zero where policies hardly differ.

    Book: foundations/evaluating_agents
    """
    within = returns.var(axis=1, ddof=1).mean()
    between = returns.mean(axis=1).var(ddof=1) - within / returns.shape[1]
    return float(between), float(within)


def variance_of_mean(between: float, within: float, seeds: int, episodes: int) -> float:
    """Variance of the mean return of ``seeds`` policies, each evaluated over ``episodes`` episodes.

    Book: foundations/evaluating_agents
    """
    return between / seeds + within / (seeds * episodes)  # (eq-two-variances)


def evaluated(
    between: float,
    within: float,
    shape: tuple[int, int, int],
    rng: np.random.Generator,
) -> np.ndarray:
    """Simulated returns of the shape (experiments, seeds, episodes), whose true mean is 0.

    ``between`` and ``within`` are variances: of a policy's own mean, and of an episode around it.

    Book: foundations/evaluating_agents
    """
    policies = between**0.5 * rng.normal(size=(*shape[:2], 1))
    return policies + within**0.5 * rng.normal(size=shape)
