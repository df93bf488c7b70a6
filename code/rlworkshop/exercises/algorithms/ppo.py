"""Exercises of the chapter on proximal policy optimisation.

Book: algorithms/ppo
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect

PAGE = "algorithms/ppo"
CLIP = "The clipped objective, case by case"
KL = "How far did it go? An estimate of the KL divergence"
BREAK = "Break it"


# ------------------------------------------------------------------------------------------ derive


def slope(ratio: np.ndarray, advantages: np.ndarray, clip_range: float) -> np.ndarray:
    """Derivative of each transition's clipped objective with respect to its ratio.

    ratio (B,): how many times likelier the action has become. advantages (B,).
    Returns (B,).

    Book: algorithms/ppo
    """
    # solution
    enough = np.where(advantages > 0, ratio > 1 + clip_range, ratio < 1 - clip_range)  # (B,)
    return np.where(enough, 0.0, advantages)
    # end


SLOPE = Exercise("ppo-slope", "Derive: who is still pushed, and how hard", PAGE, CLIP, slope)
RATIOS = np.array([1.0, 1.1, 1.5, 0.5])


@SLOPE.probe(
    "a good action: pushed until it is likelier by enough, also where it has become rarer",
    "The objective is the smaller of ρA and clip(ρ)A. Which of the two is it at each of these ratios?",
    "With A > 0 the smaller one is ρA as long as ρ < 1 + ε: its derivative by ρ is A. Beyond it is constant.",
)
def _good(answer: Callable) -> None:
    got = answer(RATIOS, np.full(4, 2.0), 0.2)
    expect(got, np.array([2.0, 2, 0, 2]), "Ratios 1, 1.1, 1.5 and 0.5, advantage 2, ε = 0.2", {
        "a good action that has become rarer, ratio 0.5, is still to be made likelier: the minimum is there "
        "to leave it its push": np.array([2.0, 2, 0, 0]),
        "nothing is clipped: this is the slope of ρA": np.full(4, 2.0),
        "this is the objective itself, not its derivative": np.array([2.0, 2.2, 2.4, 1.0]),
        "the sign of the advantage is what counts here, and its size is lost": np.array([1.0, 1, 0, 1]),
        "this is turned round: the push ends where the ratio has moved the right way by enough":
            np.array([2.0, 2, 2, 0]),
    })  # fmt: skip


@SLOPE.probe(
    "a bad action: pushed until it is rarer by enough, also where it has become likelier",
    "With A < 0 the smaller of ρA and clip(ρ)A is the more negative one.",
)
def _bad(answer: Callable) -> None:
    got = answer(RATIOS, np.full(4, -2.0), 0.2)
    expect(got, np.array([-2.0, -2, -2, 0]), "Ratios 1, 1.1, 1.5 and 0.5, advantage -2, ε = 0.2", {
        "for a bad action the sides change: at 0.5 enough has been done, and at 1.5 it has to come back":
            np.array([-2.0, -2, 0, -2]),
        "bad actions are not clipped at all": np.full(4, -2.0),
    })  # fmt: skip


@SLOPE.probe(
    "the range is that of the argument",
    "Which ratios end the push is decided by `clip_range`, not by 0.2.",
)
def _range(answer: Callable) -> None:
    got = answer(np.array([1.15, 0.85, 1.15, 0.85]), np.array([0.5, -0.5, -0.5, 0.5]), 0.1)
    expect(got, np.array([0, 0, -0.5, 0.5]), "Ratios 1.15 and 0.85, advantages of a half, ε = 0.1", {
        "the range is 0.2 here, whatever `clip_range` says": np.array([0.5, -0.5, -0.5, 0.5]),
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ implement


def kl_estimate(logp: np.ndarray, old_logp: np.ndarray) -> float:
    """Estimate of the KL divergence from the old policy to the new one, never negative.

    logp, old_logp (B,), float32: log-probabilities of the actions, drawn by the old policy.
    Returns the mean over the batch.

    Book: algorithms/ppo
    """
    # solution
    log_ratio = logp - old_logp  # (B,)
    return float((np.expm1(log_ratio) - log_ratio).mean())
    # end


ESTIMATE = Exercise("ppo-kl", "Implement: a distance that cannot be negative", PAGE, KL, kl_estimate)


def _logs(*probabilities: float) -> np.ndarray:
    return np.log(np.array(probabilities, np.float32))  # (B,)


@ESTIMATE.probe(
    "each action counts ratio - 1 - log ratio",
    "With x = logp - old_logp: the ratio is exp(x), its logarithm x.",
)
def _one_action(answer: Callable) -> None:
    got = answer(_logs(0.4, 0.1), _logs(0.2, 0.2))
    expect(got, np.array(0.25), "Two actions, one twice as likely as before, one half as likely", {
        "this is the mean of -log ratio: right on average, but here it is 0, and often it is negative": 0.0,
        "this is the sum over the batch, not the mean": 0.5,
        "half of the squared log-ratio is close for small steps only": np.log(2) ** 2 / 2,
    })  # fmt: skip


@ESTIMATE.probe(
    "what it tells apart is which policy drew the actions",
    "Put three times the probability into one action, and a third into another: the two count differently.",
)
def _direction(answer: Callable) -> None:
    got = answer(_logs(0.6), _logs(0.2))
    expect(got, np.array(2 - np.log(3)), "One action, three times as likely as before", {
        "the ratio is turned round: it is the new probability over the old one": 1 / 3 - 1 + np.log(3),
    })  # fmt: skip


@ESTIMATE.probe(
    "a step of a ten-thousandth is seen, in float32",
    "exp(0.0001) is 1.0001 and some digits; float32 has seven. Taking 1 away leaves hardly any.",
    "NumPy has a function that computes exp(x) - 1 without that loss: `np.expm1`.",
)
def _small(answer: Callable) -> None:
    x = np.full(1000, 1e-4, np.float32)  # (B,)
    got = float(answer(x, np.zeros(1000, np.float32)))
    if not 0.9 < got / 5e-9 < 1.1:
        raise Wrong(
            f"for log-ratios of 0.0001 the estimate is half the square, 5e-9; here it is {got:.2g}: "
            "the digits are lost in exp(x) - 1"
        )


# ------------------------------------------------------------------------------------------ diagnose


def diagnose(ratios: np.ndarray) -> str:
    """What the ratios of one update say about the code that computed them.

    ratios (K, M): row k has the ratios of the minibatch that step k was computed from,
    before that step. Each row has other transitions. Rounding moves a ratio by some 1e-6.
    Returns "fine", "not at one" where the first step does not begin at ratios of 1, or
    "never moves" where the policy was moved and the ratios do not show it.

    Book: algorithms/ppo
    """
    # solution
    away = np.abs(ratios - 1).max(axis=1)  # (K,)
    if away[0] > 1e-5:
        return "not at one"
    return "fine" if away[1:].max() > 1e-5 else "never moves"
    # end


DIAGNOSE = Exercise("ppo-diagnose", "Diagnose: read the ratios", PAGE, BREAK, diagnose)


def _ratios(first: float, later: float, only: bool = False) -> np.ndarray:
    """Ratios (8, 64) that lie about ``first`` and then ``later`` away from 1; ``only``: in one entry."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(8, 64))
    size = np.where(np.arange(8)[:, None] == 0, first, later) * np.ones((8, 64))
    if only:
        size[:, 1:] = 1e-7
        noise[:, 0] = 1.0
    return np.exp(size * noise)


def _say(answer: Callable, ratios: np.ndarray, want: str, mistake: str) -> None:
    got = answer(ratios)
    if not isinstance(got, str):
        raise Wrong(f"it returns a {type(got).__name__}, and should return one of three texts")
    if got != want:
        raise Wrong(f"{mistake}: it should be {want!r}, and yours says {got!r}")


@DIAGNOSE.probe(
    "right code is not accused, whether it moves a lot or a little, nor for its rounding",
    "In right code the first row is 1 up to rounding, and later rows are not.",
)
def _fine(answer: Callable) -> None:
    for later in (0.3, 1e-3):
        _say(answer, _ratios(1e-7, later), "fine", f"ratios of right code, which move by about {later}")
    _say(answer, _ratios(1e-6, 0.1), "fine", "a first minibatch that is off by its rounding alone")


@DIAGNOSE.probe(
    "a first minibatch away from 1 is found",
    "Before the first step the policy is the one that collected the batch: every ratio has to be 1.",
    "A single transition is enough: look at the largest distance, not at the mean.",
)
def _first(answer: Callable) -> None:
    what = "the first minibatch is away from 1"
    _say(answer, _ratios(0.1, 0.1), "not at one", what)
    _say(answer, _ratios(0.1, 0.1, only=True), "not at one", f"{what} in one transition of 64")


@DIAGNOSE.probe(
    "ratios that stay at 1 are found",
    "The policy moves with each step: from the second on, ratios of exactly 1 are impossible.",
)
def _never(answer: Callable) -> None:
    _say(answer, np.ones((8, 64)), "never moves", "all ratios are 1, in all eight minibatches")
    _say(answer, _ratios(1e-7, 1e-7), "never moves", "all ratios are 1 up to rounding")
