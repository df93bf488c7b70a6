"""Exercises of the page on environments and projects of one's own.

Book: practice/use_it_in_your_project
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect

PAGE = "practice/use_it_in_your_project"
RULES = "The rules that an environment keeps"
WRAPPERS = "Wrappers for what does not fit"
EXPORT = "A policy as plain arrays"


# ------------------------------------------------------------------------------------------ endings


def endings(failed: np.ndarray, steps: np.ndarray, limit: int) -> np.ndarray:
    """How the present step ends each of N episodes, in a wrapper that limits their length.

    failed (N,) bool: the world itself has come to an end.
    steps (N,): steps of the episode, this one counted.
    limit: after so many steps an episode is cut off that could have gone on.
    Returns (2, N) floats, 1 or 0: first row `terminated`, second `truncated`; never both.

    Book: practice/use_it_in_your_project
    """
    # solution
    cut = (steps >= limit) & ~failed  # (N,)
    return np.stack([failed, cut]).astype(float)
    # end


ENDINGS = Exercise(
    "use-it-in-your-project-endings", "Implement: cut off is not come to an end", PAGE, WRAPPERS, endings
)
CASE = "Episodes after 3, 3, 5, 5 and 9 steps, of which the second and fourth have failed, limit 5"
FAILED, STEPS = np.array([False, True, False, True, False]), np.array([3, 3, 5, 5, 9])


@ENDINGS.probe(
    "a world that ends has terminated, at the limit, too",
    "`terminated` asks the world alone: the limit is not part of it.",
)
def _terminated(answer: Callable) -> None:
    got = _rows(answer(FAILED, STEPS, 5))
    expect(got[0], FAILED.astype(float), f"{CASE}: terminated", {
        "the limit is taken for an end of the world: values would learn that nothing comes after it":
            np.array([0.0, 1, 1, 1, 1]),
        "an end that falls on the limit is taken for a cut: its last state would be given a value":
            np.array([0.0, 1, 0, 0, 0]),
        "the rows are exchanged: the first is `terminated`": np.array([0.0, 0, 1, 0, 1]),
    })  # fmt: skip


@ENDINGS.probe(
    "an episode is cut off at the limit, and only where it could have gone on",
    "The limit counts steps: with a limit of 5 the fifth is the last.",
)
def _truncated(answer: Callable) -> None:
    got = _rows(answer(FAILED, STEPS, 5))
    expect(got[1], np.array([0.0, 0, 1, 0, 1]), f"{CASE}: truncated", {
        "one step late: with a limit of 5 the fifth step is the last": np.array([0.0, 0, 0, 0, 1]),
        "both at once: an episode that has failed could not have gone on": np.array([0.0, 0, 1, 1, 1]),
        "only the very step of the limit counts, and what has slipped past it goes on for ever":
            np.array([0.0, 0, 1, 0, 0]),
    })  # fmt: skip


@ENDINGS.probe(
    "the limit is the argument's",
    "Which step is the last is decided by `limit`, not by 5.",
)
def _limit(answer: Callable) -> None:
    got = _rows(answer(FAILED, STEPS, 3))
    expect(got, np.array([[0.0, 1, 0, 1, 0], [1, 0, 1, 0, 1]]), "The same episodes with a limit of 3")


def _rows(got: object) -> np.ndarray:
    """The two rows of an answer, which may be of truths."""
    if not isinstance(got, np.ndarray) or got.shape != (2, 5):
        raise Wrong(
            f"the answer should be an array (2, 5); it is {getattr(got, 'shape', type(got).__name__)}"
        )
    return got.astype(float)


# ------------------------------------------------------------------------------------------ rules


def broken_rule(
    first: np.ndarray,
    again: np.ndarray,
    obs: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    ends: np.ndarray,
) -> str:
    """Which rule an environment breaks, from a record of its play.

    first, again (D,): what two resets with the same seed returned.
    obs (T, D): observations on the way.
    low, high (D,): the bounds that its observation space declares; they count as within.
    ends (T,) bool: where an episode ended, in one way or the other.
    Returns the first of these that is so: "seed" (the resets differ), "space" (an
    observation is not finite or lies outside), "never ends" (no episode has ended); or "fine".

    Book: practice/use_it_in_your_project
    """
    # solution
    if (first != again).any():
        return "seed"
    if not ((obs >= low) & (obs <= high) & np.isfinite(obs)).all():
        return "space"
    return "fine" if ends.any() else "never ends"
    # end


BROKEN = Exercise("use-it-in-your-project-rules", "Diagnose: which rule is broken?", PAGE, RULES, broken_rule)
LOW, HIGH = np.array([-1.0, -np.inf]), np.array([1.0, 2.0])
PLAY = np.array([[0.5, -3.0], [1.0, 2.0], [-1.0, 0.0]])
ENDS = np.array([False, True, False])


def _play(answer: Callable, want: str, what: str, obs=PLAY, ends=ENDS, again=PLAY[0]) -> None:
    got = answer(PLAY[0], again, obs, LOW, HIGH, ends)
    if not isinstance(got, str):
        raise Wrong(f"it returns a {type(got).__name__}, and should return one of four texts")
    if got != want:
        raise Wrong(f"{what}: it should be {want!r}, and yours says {got!r}")


@BROKEN.probe(
    "what keeps the rules is not accused",
    "A bound itself is within, and an infinite bound forbids nothing: compare with >= and <=.",
)
def _fine(answer: Callable) -> None:
    _play(answer, "fine", "an environment that touches its bounds, and ends one episode")
    _play(answer, "fine", "an environment whose every step ends an episode", ends=np.ones(3, bool))


@BROKEN.probe(
    "resets that differ are found, in whatever number",
    "The same seed must give the same first observation, to the last bit.",
)
def _seed(answer: Callable) -> None:
    for again in (np.array([0.5, -3.5]), np.array([0.4, -3.0]), np.array([0.6, -2.0])):
        _play(answer, "seed", f"two resets with one seed gave [0.5, -3] and {again.tolist()}", again=again)


@BROKEN.probe(
    "one observation outside, or no number, is enough",
    "Each row, each column: `.all()` over the whole array.",
    "NaN is neither above nor below a bound, and infinity lies within an infinite one: ask `np.isfinite`.",
)
def _space(answer: Callable) -> None:
    for row, column, value in ((0, 0, 1.5), (2, 0, -1.01), (1, 1, 2.5), (1, 0, np.nan), (2, 1, -np.inf)):
        obs = PLAY.copy()
        obs[row, column] = value
        _play(answer, "space", f"of three observations, number {row} has {value} in column {column}", obs=obs)


@BROKEN.probe(
    "an environment that never ends is found, after what is worse",
    "Where no entry of `ends` is true no episode has ended.",
    "The order of the docstring counts: a broken seed is told before anything else.",
)
def _endless(answer: Callable) -> None:
    never = np.zeros(3, bool)
    _play(answer, "never ends", "no episode has ended", ends=never)
    _play(answer, "space", "nothing ends, and an observation lies outside", obs=PLAY * 3, ends=never)
    _play(answer, "seed", "everything is broken at once", obs=PLAY * 3, ends=never, again=PLAY[1])


# ------------------------------------------------------------------------------------------ export


def act(
    obs: np.ndarray,
    mean: np.ndarray,
    scale: np.ndarray,
    W0: np.ndarray,
    b0: np.ndarray,
    W1: np.ndarray,
    b1: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> np.ndarray:
    """Deterministic actions of an exported policy with one hidden layer of tanh units.

    obs (N, D): raw observations.
    mean, scale (D,): of the normaliser, which cuts off at -10 and 10.
    W0 (D, H), b0 (H,), W1 (H, K), b1 (K,): of the layers.
    low, high (K,): bounds of the actions.
    Returns (N, K).

    Book: practice/use_it_in_your_project
    """
    # solution
    seen = np.clip((obs - mean) * scale, -10, 10)  # (N, D)
    hidden = np.tanh(seen @ W0 + b0)  # (N, H)
    return np.clip(hidden @ W1 + b1, low, high)  # (N, K)
    # end


ACT = Exercise("use-it-in-your-project-export", "Implement: a policy without its library", PAGE, EXPORT, act)
OBS = np.array([[1.0, 300.0], [3.0, 100.0], [0.0, 200.0]])
MEAN, SCALE = np.array([1.0, 200.0]), np.array([2.0, 0.01])
LAYERS = np.array([[0.2, -0.1, 0.3], [0.5, 0.4, -0.2]]), np.array([0.1, 0.0, -0.1])
HEAD = np.array([[1.0], [2.0], [-1.0]]), np.array([0.05])
BOUNDS = np.array([-0.6]), np.array([1.2])


def _by(obs: np.ndarray, squash: Callable = lambda x: x) -> np.ndarray:
    """What the layers make of observations that have been normalised, or not."""
    return squash(np.tanh(obs @ LAYERS[0] + LAYERS[1]) @ HEAD[0] + HEAD[1])


@ACT.probe(
    "normaliser, hidden layer, bounds: in this order",
    "Subtract the mean, then multiply with the scale. tanh belongs to the hidden layer alone.",
)
def _order(answer: Callable) -> None:
    seen, got = (OBS - MEAN) * SCALE, answer(OBS, MEAN, SCALE, *LAYERS, *HEAD, *BOUNDS)
    expect(got, np.clip(_by(seen), *BOUNDS), "Three observations", {
        "the network is given raw observations: without its normaliser it sees what it never saw in training":
            np.clip(_by(OBS), *BOUNDS),
        "`scale` is one over the standard deviation: multiply with it":
            np.clip(_by((OBS - MEAN) / SCALE), *BOUNDS),
        "the bounds of the actions are not kept": _by(seen),
        "tanh is applied to the output, too": np.clip(_by(seen, np.tanh), *BOUNDS),
    })  # fmt: skip


@ACT.probe(
    "a surprise is cut off at 10 standard deviations",
    "The normaliser cuts off what it has scaled, on both sides, before the network sees it.",
)
def _cut(answer: Callable) -> None:
    far, quiet = np.array([[9.0, 200.0], [-9.0, 200.0]]), (LAYERS[0] / 10, LAYERS[1])
    seen = np.clip((far - MEAN) * SCALE, -10, 10)
    free = np.array([-99.0]), np.array([99.0])

    def made(x: np.ndarray) -> np.ndarray:
        return np.tanh(x @ quiet[0] + quiet[1]) @ HEAD[0] + HEAD[1]

    got = answer(far, MEAN, SCALE, *quiet, *HEAD, *free)
    expect(got, made(seen), "Two observations 16 and 20 standard deviations from the mean", {
        "nothing is cut off before the network": made((far - MEAN) * SCALE),
    })  # fmt: skip


@ACT.drawn
def _drawn(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    N, D, H, K = rng.integers(2, 5, size=4)
    obs, mean, scale = rng.normal(size=(N, D)) * 9, rng.normal(size=D), rng.uniform(0.2, 3, size=D)
    layers = rng.normal(size=(D, H)) / 9, rng.normal(size=H), rng.normal(size=(H, K)), rng.normal(size=K)
    return obs, mean, scale, *layers, rng.uniform(-2, 0, size=K), rng.uniform(0, 2, size=K)
