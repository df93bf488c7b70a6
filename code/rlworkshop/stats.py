"""Statistics for a handful of runs: robust means, intervals, comparisons, common grids.

After Agarwal, Schwarzer, Castro, Courville & Bellemare, *Deep reinforcement learning at the edge of the
statistical precipice*, 2021 (arXiv:2108.13264).

Book: reference/notation
"""

from collections.abc import Callable

import numpy as np


def iqm(scores: np.ndarray, axis: int | None = None) -> np.ndarray | float:
    """Interquartile mean: the mean of what is left without the lowest and the highest quarter.

    ``floor(n / 4)`` scores go at either end of ``axis`` (``None``: of all scores together).

    Raises:
        ValueError: there are no scores.
    """
    scores = np.sort(_numbers(scores).ravel() if axis is None else _numbers(scores), axis=axis or 0)
    n = scores.shape[axis or 0]
    kept = np.take(scores, np.arange(n // 4, n - n // 4), axis=axis or 0)
    mean = kept.mean(axis=axis or 0)
    return float(mean) if mean.ndim == 0 else mean


def bootstrap_interval(
    scores: np.ndarray,
    statistic: Callable[[np.ndarray], float] = iqm,
    confidence: float = 0.95,
    reps: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval (low, high) of ``statistic`` over runs.

    ``scores`` is (runs,) or (runs, tasks); runs are resampled within each task on its own (stratified).

    Raises:
        ValueError: no scores, a wrong number of axes, or a confidence outside (0, 1).
    """
    scores = _numbers(scores)
    if scores.ndim not in (1, 2):
        raise ValueError(f"scores are (runs,) or (runs, tasks), not of shape {scores.shape}")
    columns = scores.reshape(len(scores), -1)  # (runs, tasks)
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(columns), size=(reps, *columns.shape))
    samples = np.take_along_axis(columns[None], rows, axis=1)  # (reps, runs, tasks)
    values = [statistic(sample.reshape(scores.shape)) for sample in samples]
    low, high = np.quantile(values, _tails(confidence))
    return float(low), float(high)


def bootstrap_band(
    ys: np.ndarray, statistic: Callable = np.mean, confidence: float = 0.95, reps: int = 1000, seed: int = 0
) -> np.ndarray:
    """Pointwise bootstrap intervals (2, T) of the curves ``ys`` (S, T): whole curves are resampled.

    ``statistic`` takes an ``axis``, as ``np.mean`` and ``iqm`` do.
    """
    ys = _numbers(ys)
    rows = np.random.default_rng(seed).integers(len(ys), size=(reps, len(ys)))
    return np.quantile(statistic(ys[rows], axis=1), _tails(confidence), axis=0)


def mean_band(ys: np.ndarray, confidence: float = 0.95) -> np.ndarray:
    """Pointwise Student's t intervals (2, T) of the mean of the curves ``ys`` (S, T).

    Exact for normal values however few they are, where resampling them covers too little: of five seeds a
    95 % bootstrap interval holds the truth in about 85 cases of 100, of three in 75.

    Raises:
        ValueError: fewer than two curves, or a confidence outside (0, 1).
    """
    ys = _numbers(ys)
    if len(ys) < 2:
        raise ValueError("the interval of a mean needs two runs or more")
    half = t_quantile(confidence, len(ys) - 1) * ys.std(axis=0, ddof=1) / len(ys) ** 0.5
    return ys.mean(axis=0) + np.array([[-1], [1]]) * half


def t_quantile(confidence: float, degrees: int) -> float:
    """The t with P(|T| < t) = ``confidence`` for Student's T of ``degrees`` of freedom (1 or more)."""
    _tails(confidence)
    # with T = sqrt(degrees) tan(angle) its density over the angle is cos^(degrees - 1)
    angle = np.linspace(0, np.pi / 2, 100_001)
    density = np.cos(angle) ** (degrees - 1)
    below = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return float(degrees**0.5 * np.tan(np.interp(confidence, below / below[-1], angle)))


def probability_of_improvement(x: np.ndarray, y: np.ndarray) -> float:
    """Probability that a run of ``x`` scores above a run of ``y``, ties counting half (Mann-Whitney).

    ``x`` and ``y`` are (runs,), or (runs, tasks) with the same tasks, over which the mean is taken.
    """
    x, y = _numbers(x), _numbers(y)
    if x.ndim not in (1, 2) or x.shape[1:] != y.shape[1:]:
        raise ValueError(f"x and y must be (runs,) or share their tasks, not {x.shape} and {y.shape}")
    difference = x[:, None] - y[None]  # (runs of x, runs of y[, tasks])
    return float((np.sign(difference) + 1).mean() / 2)


def on_grid(steps: np.ndarray, returns: np.ndarray, grid: np.ndarray, window: float) -> np.ndarray:
    """Episode returns of one run on a grid of environment steps, so that runs can be averaged.

    Each grid point g gets the mean over the episodes that ended in (g - window, g], or the last episode
    before where there is none, or NaN before the first one.

    Args:
        steps, returns: (E,), when each episode ended (not falling) and its return.
        grid: (G,) steps. window: in steps.
    """
    steps, returns, grid = np.asarray(steps), np.asarray(returns, float), np.asarray(grid)
    if steps.shape != returns.shape or (np.diff(steps) < 0).any() or not window > 0:
        raise ValueError("on_grid wants steps that never fall, a return for each, and a window above 0")
    total = np.concatenate([[0.0], np.cumsum(returns)])  # (E+1,)
    high = np.searchsorted(steps, grid, side="right")
    low = np.minimum(np.searchsorted(steps, grid - window, side="right"), high - 1)  # at least one episode
    return np.where(high > 0, (total[high] - total[low]) / (high - low), np.nan)


def _numbers(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, dtype=float)
    if scores.size == 0:
        raise ValueError("there are no scores")
    return scores


def _tails(confidence: float) -> list[float]:
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence lies between 0 and 1, not at {confidence}")
    return [(1 - confidence) / 2, (1 + confidence) / 2]
