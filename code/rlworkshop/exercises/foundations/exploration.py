"""Exercises of the chapter on exploration.

Book: foundations/exploration
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect
from rlworkshop.foundations import exploration as ex

PAGE = "foundations/exploration"
NOISE = "Count-based bonuses: a reward for what was seldom tried"
BREAK = "Break it: the noisy television"

# ------------------------------------------------------------------------------------------ implement


def optimistic_backup(
    r: np.ndarray,
    P: np.ndarray,
    n: np.ndarray,
    V: np.ndarray,
    gamma: float,
    beta: float,
    ceiling: float,
) -> np.ndarray:
    """One sweep of value iteration with a bonus of beta / sqrt(n): Q (S, A).

    r (S, A): mean rewards. P (S, A, S): how often each state followed, of all times.
    n (S, A): how often each action was taken; where it never was, it is worth ceiling.
    V (S,): the values so far. No action is worth more than ceiling.

    Book: foundations/exploration
    """
    # solution
    Q = r + beta / np.sqrt(np.maximum(n, 1)) + gamma * P @ V
    return np.where(n > 0, np.minimum(Q, ceiling), ceiling)
    # end


BACKUP = Exercise(
    "exploration-backup", "Implement: a plan that knows what it does not know", PAGE, NOISE, optimistic_backup
)


def _world() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    r = np.array([[1.0, 0.0], [0.5, 2.0]])
    P = np.array([[[1.0, 0.0], [0.25, 0.75]], [[0.5, 0.5], [0.0, 1.0]]])
    return r, P, np.array([[4.0, 16.0], [1.0, 100.0]]), np.array([2.0, 4.0])


@BACKUP.probe(
    "every action was tried, and the ceiling is far away",
    "Mean reward, bonus, and the discounted mean of V over what followed: three terms.",
    "`P @ V` is (S, A): for each pair the mean value of what followed.",
)
def _tried(answer: Callable) -> None:
    r, P, n, V = _world()
    mean = P @ V
    want = r + 2 / np.sqrt(n) + 0.5 * mean
    expect(answer(r, P, n, V, 0.5, 2.0, 100.0), want, "Two states, gamma = 0.5, beta = 2", {
        "the bonus is missing": r + 0.5 * mean,
        "the bonus falls like 1 / n: the noise of a mean falls like the root, and so hope is gone too early":
            r + 2 / n + 0.5 * mean,
        "the bonus is multiplied by beta and the root of n, so that it *grows* with experience":
            r + 2 * np.sqrt(n) + 0.5 * mean,
        "the bonus is discounted: it belongs to the reward of this very step":
            r + 0.5 * (2 / np.sqrt(n) + mean),
        "gamma is missing": r + 2 / np.sqrt(n) + mean,
        "the bonus takes a state's visits, whatever was done there: the untried action gets no more of it "
        "than the usual one": r + 2 / np.sqrt(n.sum(axis=1, keepdims=True)) + 0.5 * mean,
    })  # fmt: skip


@BACKUP.probe(
    "what was never tried is worth the ceiling",
    "Where n is 0, neither r nor P says anything: they are zeros.",
    "`np.where(n > 0, ..., ceiling)`.",
)
def _untried(answer: Callable) -> None:
    r, P, n, V = _world()
    r[0, 1], P[0, 1], n[0, 1] = 0, 0, 0
    full = r + 2 / np.sqrt(np.maximum(n, 1)) + 0.5 * P @ V
    want, nothing, infinite = full.copy(), full.copy(), full.copy()
    want[0, 1], nothing[0, 1], infinite[0, 1] = 50.0, 0.0, np.inf
    expect(answer(r, P, n, V, 0.5, 2.0, 50.0), want, "Action 1 was never tried in state 0, ceiling 50", {
        "the untried action is treated as if it had been tried once: it should get the ceiling, not beta":
            full,
        "the untried action is worth nothing in yours: a greedy agent will never try it": nothing,
        "the untried action is worth infinity: from there it flows into every value that leads to it":
            infinite,
    })  # fmt: skip


@BACKUP.probe(
    "and nothing is worth more than the ceiling",
    "What is the most that can be true? Hope beyond it costs visits for nothing.",
    "`np.minimum(..., ceiling)` around the whole sum.",
)
def _ceiling(answer: Callable) -> None:
    r, P, n, V = _world()
    full = r + 2 / np.sqrt(n) + 0.5 * P @ V
    want = np.minimum(full, 3.0)
    expect(answer(r, P, n, V, 0.5, 2.0, 3.0), want, "The ceiling is 3", {
        "some actions are worth more than the ceiling": full,
        "only the bonus is cut at the ceiling": r + np.minimum(2 / np.sqrt(n), 3.0) + 0.5 * P @ V + 1e-12,
        "the values of the next states are cut, and the sum is not":
            r + 2 / np.sqrt(n) + 0.5 * P @ np.minimum(V, 3.0),
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ mend


def bonus_for(counts: np.ndarray, observed: int, prior: float) -> float:
    """What seeing one state pays a curious agent: a NumPy number, at least 0.

    counts (K,): how often each of K states followed so far, this time not included.
    observed: which one it was now. prior: imagined observations of each, above 0.
    The forecast is (counts + prior), divided by its sum.

    Book: foundations/exploration
    """
    # solution
    before = (counts + prior) / (counts + prior).sum()
    after = counts + prior + np.eye(len(counts))[observed]
    after = after / after.sum()
    return (after * np.log(after / before)).sum()
    # given
    # before = (counts + prior) / (counts + prior).sum()
    # return 1 - before[observed]
    # end


MEND = Exercise(
    "exploration-mend-curiosity",
    "Break: a bonus that loves noise, to be mended",
    PAGE,
    BREAK,
    bonus_for,
)


def _number(got: object) -> object:
    """A plain float is as good as a number of NumPy's."""
    return np.float64(got) if isinstance(got, float) else got


def _forecasts(counts: np.ndarray, observed: int, prior: float) -> tuple[np.ndarray, np.ndarray]:
    after = counts + np.eye(len(counts))[observed]
    return ex.predictor(counts, prior), ex.predictor(after, prior)


@MEND.probe(
    "a die that was thrown a thousand times teaches next to nothing",
    "What does one more throw change in the forecast?",
    "Make two forecasts, the one before and the one after the observation, and compare them.",
)
def _die(answer: Callable) -> None:
    counts = np.full(8, 125.0)
    before, after = _forecasts(counts, 3, 0.1)
    want = (after * np.log(after / before)).sum()
    got = _number(answer(counts, 3, 0.1))
    if np.ndim(got) == 0 and isinstance(got, np.generic):
        got = got * 1e4  # so that small numbers can be told apart
    expect(got, want * 1e4, "Eight channels, each seen 125 times (the bonus times 10,000)", {
        "this is the prediction error, as before: it is 7/8 for eight equal channels, forever":
            (1 - before[3]) * 1e4,
        "this is the surprise, −log p: it does not fall either, where nothing can be predicted":
            -np.log(before[3]) * 1e4,
        "this is the change of the prediction *error*; the forecast moves even where its error stays":
            (after[3] - before[3]) * 1e4,
        "the average is taken with the forecast from *before*: the divergence is the other way round":
            (before * np.log(before / after)).sum() * 1e4,
        "the observation is not added to the counts: before and after are the same": 0.0,
    })  # fmt: skip


@MEND.probe(
    "and what was never seen before teaches much",
    "Only the logarithm of `after / before` tells how many times likelier a thing has become.",
    "Average log(after / before) over the forecast *after* the observation.",
)
def _new(answer: Callable) -> None:
    counts = np.array([20.0, 0.0, 0.0])
    before, after = _forecasts(counts, 1, 0.5)
    want = (after * np.log(after / before)).sum()
    about = "20, 0 and 0 observations, prior 0.5; now the second one"
    expect(_number(answer(counts, 1, 0.5)), want, about, {
        "this is a distance between the forecasts, squared: it hardly notices that something has become "
        "three times as likely": ((after - before) ** 2).sum(),
        "only the entry that was observed is added up: the others have become less likely, and count, too":
            after[1] * np.log(after[1] / before[1]),
    })  # fmt: skip


@MEND.probe(
    "on average it is the change of forecast of the page",
    "Try every state that may follow, each with its probability in the forecast before.",
)
def _mean(answer: Callable) -> None:
    counts = np.array([5.0, 1.0, 0.0, 2.0])
    before = ex.predictor(counts, 0.3)
    got = np.float64(sum(p * float(answer(counts, k, 0.3)) for k, p in enumerate(before)))
    about = "Counts 5, 1, 0, 2 and prior 0.3: the mean over what may follow"
    expect(got, np.float64(ex.forecast_change(counts, 0.3)), about)
