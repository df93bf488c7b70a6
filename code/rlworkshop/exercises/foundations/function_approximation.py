"""Exercises of the chapter on function approximation and the deadly triad.

Book: foundations/function_approximation
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect
from rlworkshop.foundations import function_approximation as fa

PAGE = "foundations/function_approximation"
TILES = "Tiles: a table that generalises"
FIXED = "TD finds other weights"
TRICKS = "Why deep Q-learning has its tricks"
TRIAD = "Three ingredients, and it takes all of them"

# ------------------------------------------------------------------------------------------ implement


def active_tiles(
    points: np.ndarray,
    low: float,
    high: float,
    tiles: int,
    tilings: int,
) -> np.ndarray:
    """Numbers (N, tilings) of the tiles in which points (N,) lie, whole numbers from 0.

    Tiling i is shifted to the left by i / tilings of a tile's width; ``tiles`` tiles span
    the way from low to high. First come all tiles of tiling 0, from left to right, then
    those of tiling 1, and so on; each tiling has as many numbers as the others.

    Book: foundations/function_approximation
    """
    # solution
    at = (points - low) / (high - low) * tiles  # (N,), in tiles from the left
    i = np.arange(tilings)
    return np.floor(at[:, None] + i / tilings).astype(int) + i * (tiles + 1)
    # end


TILE = Exercise("function-approximation-tiles", "Implement: tiles on a line", PAGE, TILES, active_tiles)


def _whole(got: object) -> object:
    """Whole numbers as floats, which is what ``expect`` compares."""
    if isinstance(got, np.ndarray) and got.dtype.kind == "f" and (got == np.round(got)).all():
        raise Wrong("the tiles are right or wrong as floats, but floats are no index: `.astype(int)`")
    return got.astype(float) if isinstance(got, np.ndarray) and got.dtype.kind in "iu" else got


@TILE.probe(
    "one tiling is a table",
    "How many tiles' widths is a point away from `low`? Round that down.",
    "`np.floor(...)` gives floats; a number of a tile is a whole one: `.astype(int)`.",
)
def _table(answer: Callable) -> None:
    points = np.array([2.0, 2.4, 3.0, 3.9, 4.9])
    got, want = _whole(answer(points, 2.0, 6.0, 4, 1)), np.array([[0], [0], [1], [1], [2]])
    expect(got, want, "[2, 6] in four tiles", {
        "points are rounded to the nearest tile: a tile begins at its left end":
            np.array([[0], [0], [1], [2], [3]]),
        "`low` is not taken off": np.array([[2], [2], [3], [3], [4]]),
    })  # fmt: skip


@TILE.probe(
    "no two tilings share a number, the right end of the box included",
    "Where does the point `high` lie in a tiling that is shifted to the left by half a tile?",
    "A shifted grid needs one tile more to cover the box, so each tiling has `tiles + 1` numbers.",
)
def _ends(answer: Callable) -> None:
    points = np.array([0.0, 1.0])
    got = _whole(answer(points, 0.0, 1.0, 2, 2))
    expect(got, np.array([[0, 3], [2, 5]]), "Both ends of [0, 1], two tilings of two", {
        "each tiling has `tiles` numbers in yours: the last tile of one is the first of the next, and two "
        "places far apart learn as one": np.array([[0, 2], [2, 4]]),
        "all tilings use the same numbers: they need weights of their own": np.array([[0, 0], [2, 2]]),
        "the right end is moved into the tile before it: in a shifted grid that is another place":
            np.array([[0, 3], [1, 4]]),
    })  # fmt: skip


@TILE.probe(
    "points share one tile less for each part of a tile between them",
    "Print the tiles of two neighbouring points. Which tiling is the first to tell them apart?",
    "Tiling i adds i / tilings to the place *before* it is rounded down.",
)
def _shifted(answer: Callable) -> None:
    points = np.array([0.1, 0.3, 0.6, 1.4])
    want = np.array([[0, 5, 10, 15], [0, 5, 10, 16], [0, 5, 11, 16], [1, 6, 11, 17]])
    i = np.arange(4)
    left = np.floor(points[:, None] - i / 4 + 1 * (i > 0)).astype(int) + i * 5
    got = _whole(answer(points, 0.0, 4.0, 4, 4))
    expect(got, want, "0.1, 0.3, 0.6 and 1.4 in [0, 4], four tilings of four", {
        "the tilings all lie on top of each other: eight of them know no more than one":
            np.floor(points[:, None]).astype(int) + i * 5,
        "the grids are shifted to the right: a grid that moves left has a point further on in it": left,
        "each tiling is shifted by a whole tile: that renames the tiles and tells nothing apart":
            np.floor(points[:, None] + i).astype(int) + i * 5,
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ derive


def lstd(
    x: np.ndarray,
    rewards: np.ndarray,
    x_next: np.ndarray,
    terminated: np.ndarray,
    gamma: float,
) -> np.ndarray:
    """The weights (D,) that TD(0) would not move on average over these transitions.

    x, x_next (B, D): features before and after; x_next holds anything where the episode
    terminated (B,), bool. rewards (B,). The samples determine the weights.

    Book: foundations/function_approximation
    """
    # solution
    following = np.where(terminated[:, None], 0.0, x_next)
    A = x.T @ (x - gamma * following)
    return np.linalg.solve(A, x.T @ rewards)
    # end


LSTD = Exercise("function-approximation-lstd", "Derive: TD without a step size", PAGE, FIXED, lstd)
BOTH = "Set the sum of δ x over all transitions to zero, and put what multiplies w on one side."


def _fit(left: np.ndarray, rewards: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.linalg.solve(left.T @ right, left.T @ rewards)


@LSTD.probe(
    "one feature, by hand",
    BOTH,
    "With one feature: Σ x (r + γ x' w − x w) = 0.",
)
def _one_feature(answer: Callable) -> None:
    x, x_next, rewards = np.array([[1.0], [2.0]]), np.array([[4.0], [1.0]]), np.array([1.0, 3.0])
    about = "x = 1, 2; x' = 4, 1; r = 1, 3; γ = 0.5: A is 1·(−1) + 2·1.5 = 2, b is 1·1 + 2·3 = 7"
    expect(answer(x, rewards, x_next, np.array([False, False]), 0.5), np.array([3.5]), about, {
        "`gamma` is missing": _fit(x, rewards, x - x_next),
        "this is the residual gradient's answer, the least squared TD error: TD multiplies δ by x, not by "
        "x − γ x'": _fit(x - 0.5 * x_next, rewards, x - 0.5 * x_next),
        "the next state is missing: this is a fit of the rewards": _fit(x, rewards, x),
    })  # fmt: skip


@LSTD.probe(
    "several features: A is not symmetric, and its two sides are not exchanged",
    "x (B, D) is made of rows: Σ x (x − γ x')ᵀ is `x.T @ (x - gamma * x_next)`.",
)
def _several(answer: Callable) -> None:
    rng = np.random.default_rng(0)
    x, x_next, rewards = rng.normal(size=(40, 3)), rng.normal(size=(40, 3)), rng.normal(size=40)
    change = x - 0.9 * x_next
    want = np.linalg.solve(x.T @ change, x.T @ rewards)
    expect(answer(x, rewards, x_next, np.zeros(40, bool), 0.9), want, "Forty transitions, three features", {
        "A is transposed": np.linalg.solve(change.T @ x, x.T @ rewards),
        "this is the residual gradient's answer, the least squared TD error": _fit(change, rewards, change),
    })  # fmt: skip


@LSTD.probe(
    "what stands behind an end does not count, not even NaN",
    "After the end the value is 0: which term of δ is gone, and which stays?",
    "NaN times 0 is NaN: replace, do not multiply.",
)
def _ended(answer: Callable) -> None:
    rng = np.random.default_rng(1)
    x, x_next, rewards = rng.normal(size=(40, 3)), rng.normal(size=(40, 3)), rng.normal(size=40)
    over = rng.random(40) < 0.3
    want = _fit(x, rewards, x - 0.9 * np.where(over[:, None], 0.0, x_next))
    kept = ~over
    got = answer(x, rewards, x_next, over, 0.9)
    about = "Forty transitions, some of which end"
    expect(got, want, about, {
        "an end is taken for a step like any other: it bootstraps from what stands behind it":
            _fit(x, rewards, x - 0.9 * x_next),
        "transitions that end are left out: their rewards count, and so does x xᵀ":
            _fit(x[kept], rewards[kept], (x - 0.9 * x_next)[kept]),
    })  # fmt: skip
    behind = np.where(over[:, None], np.nan, x_next)
    got = answer(x, rewards, behind, over, 0.9)
    if np.shape(got) == want.shape and np.isnan(got).any():
        raise Wrong("NaN behind an end gets into the weights: x_next may hold anything there")
    expect(got, want, about + ", with NaN behind the ends")


# -------------------------------------------------------------------------------------------- mend


def batch_update(
    w: np.ndarray,
    frozen: np.ndarray,
    active: np.ndarray,
    actions: np.ndarray,
    rewards: np.ndarray,
    next_active: np.ndarray,
    terminated: np.ndarray,
    alpha: float,
    gamma: float,
) -> np.ndarray:
    """Weights (F, A) after one Q-learning update by the sum of a batch's steps.

    w, frozen (F, A): the weights, and those of the target network. active, next_active
    (B, K): features that are 1. actions, rewards, terminated (B,). Every transition is
    judged by w as it came in; w itself is left alone.

    Book: foundations/function_approximation
    """
    best = frozen[next_active].sum(axis=1).max(axis=1)  # (B,)
    target = rewards + gamma * np.where(terminated, 0.0, best)
    delta = target - w[active, actions[:, None]].sum(axis=1)
    new = w.astype(float)  # a copy
    # solution
    places = active, np.broadcast_to(actions[:, None], active.shape)
    np.add.at(new, places, np.broadcast_to(alpha * delta[:, None], active.shape))
    # given
    # new[active, actions[:, None]] += alpha * delta[:, None]
    # end
    return new


BATCH = Exercise(
    "function-approximation-mend-batch", "Break: a batch that learns too little", PAGE, TRICKS, batch_update
)


def _batch(B: int) -> tuple:
    """Weights, target weights, and B transitions of which many share tiles."""
    rng = np.random.default_rng(B)
    w, frozen = rng.normal(size=(2, 6, 2))
    active, next_active = rng.integers(3, size=(2, B, 2)) + [0, 3]
    return (w, frozen, active, rng.integers(2, size=B), rng.normal(size=B), next_active, rng.random(B) < 0.3)


def _by_hand(w, frozen, active, actions, rewards, next_active, over, alpha, gamma, online=False, ends=True):
    new = w.copy()
    for n in range(len(actions)):
        best = max(sum(frozen[i, a] for i in next_active[n]) for a in range(w.shape[1]))
        target = rewards[n] + gamma * best * (1 - over[n] if ends else 1)
        now = new if online else w
        delta = target - sum(now[i, actions[n]] for i in active[n])
        for i in active[n]:
            new[i, actions[n]] += alpha * delta
    return new


@BATCH.probe(
    "a batch of one",
    "This part worked when you got the file: compare with the stub.",
    "Where the episode terminated nothing comes after; the value of the next state is taken from `frozen`.",
)
def _single(answer: Callable) -> None:
    w, frozen, *batch = _batch(1)
    for over in (False, True):
        batch[-1] = np.array([over])
        got, want = answer(w, frozen, *batch, 0.1, 0.9), _by_hand(w, frozen, *batch, 0.1, 0.9)
        expect(got, want, f"One transition, terminated: {over}", {
            "the next state's value comes from w: that thaws the target": _by_hand(w, w, *batch, 0.1, 0.9),
            "it bootstraps from beyond the end": _by_hand(w, frozen, *batch, 0.1, 0.9, ends=False),
        })  # fmt: skip


@BATCH.probe(
    "two transitions that share a tile both count",
    "Put the same transition into the batch twice: how far do the weights move?",
    "`new[indices] += steps` reads all old entries, adds, and writes: an index that comes twice is "
    "written twice, the second time over the first.",
    "`np.add.at(new, indices, steps)` adds once for each time that an index comes.",
)
def _twice(answer: Callable) -> None:
    w, frozen, *batch = _batch(2)
    batch[0], batch[1] = np.array([[0, 3], [0, 4]]), np.array([1, 1])
    parts = [[part[n : n + 1] for part in batch] for n in range(2)]
    steps = [_by_hand(w, frozen, *part, 0.1, 0.9) - w for part in parts]
    want = w + steps[0] + steps[1]
    lost, own_mean = want.copy(), want.copy()
    lost[0, 1], own_mean[0, 1] = w[0, 1] + steps[1][0, 1], (want[0, 1] + w[0, 1]) / 2
    about = "Two transitions with the same action, in tiles 0 and 3, and in 0 and 4"
    expect(answer(w, frozen, *batch, 0.1, 0.9), want, about, {
        "a tile that comes twice is moved once: all but the last of its steps are lost": lost,
        "the second transition is judged by weights that the first has moved: here the batch is one step":
            _by_hand(w, frozen, *batch, 0.1, 0.9, online=True),
        "it moves by the mean of the steps, and `alpha` belongs to one of them: take their sum":
            (want + w) / 2,
        "a tile that comes twice is moved by the mean of its steps: take their sum": own_mean,
    })  # fmt: skip


# ---------------------------------------------------------------------------------------- diagnose


def diverges(P: np.ndarray, X: np.ndarray, d: np.ndarray, gamma: float) -> bool:
    """Whether the values of expected TD(0) grow without bound however small its step size.

    P (S, S): transitions of the judged policy. X (S, D): features. d (S,): how often each
    state is updated. Weights that no value depends on do not matter.

    Book: foundations/function_approximation
    """
    # solution
    A = X.T @ (d[:, None] * (X - gamma * P @ X))
    rates = np.linalg.eigvals(A)
    return bool(rates.real.min() < -1e-9 * np.abs(rates).max())
    # end


DIVERGES = Exercise("function-approximation-diverges", "Diagnose: will it blow up?", PAGE, TRIAD, diverges)


def _verdict(answer: Callable, task: fa.Task) -> bool:
    got = answer(task.P, task.X, task.d, task.gamma)
    if not isinstance(got, bool | np.bool_):
        raise Wrong(f"`diverges` should return True or False; it returns a {type(got).__name__}")
    return bool(got)


def _case(shows: str, task: Callable[[], fa.Task], expected: bool, what: str, *hints: str) -> None:
    def run(answer: Callable) -> None:
        if _verdict(answer, task()) != expected:
            raise Wrong(f"it {'lets pass' if expected else 'accuses'} {what}")

    DIVERGES.probe(shows, *hints)(run)


def _pair(gamma: float) -> fa.Task:
    P, X = np.array([[0, 1.0], [0, 1]]), np.array([[1.0], [2]])
    return fa.Task(P, np.zeros(2), X, np.array([0.5, 0.5]), gamma)


def _table_far_off() -> fa.Task:
    """Stable as every table is, though the symmetric part of A is not positive."""
    return fa.Task(np.array([[0, 1.0], [0, 1]]), np.zeros(2), np.eye(2), np.array([0.9, 0.1]), 0.99)


def _long_features() -> fa.Task:
    """A table whose entries are a thousand times as long as usual."""
    return fa.Task(fa.baird().P, np.zeros(7), 1_000 * np.eye(7), fa.baird().d, 0.99)


def _idle_weights() -> fa.Task:
    """The star on-policy, and one weight more that no feature uses: A has zeros for eigenvalues."""
    star = fa.baird(solid=fa.SOLID)
    return dataclasses.replace(star, X=np.hstack([star.X, np.zeros((7, 1))]))


_case(
    "a table is safe",
    lambda: fa.Task(fa.baird(solid=fa.SOLID).P, np.zeros(7), np.eye(7), fa.baird().d, 0.99),
    False,
    "a table with a feature for each state, which is stable however states are drawn",
    "The mean update is α (b − A w): write A as the page does, and look at its eigenvalues.",
    "Near the fixed point, the distance is multiplied by I − αA. Which eigenvalues of A make it grow?",
)
_case(
    "the values w and 2w are not, with γ = 0.9",
    lambda: _pair(0.9),
    True,
    "the two states with values w and 2w, γ = 0.9, where A is −0.2",
    "With one weight A is a number. It has to be positive.",
)
_case(
    "with γ = 0.8 they are",
    lambda: _pair(0.8),
    False,
    "the two states with values w and 2w, γ = 0.8, where A is 0.1",
    "Do not look for features that exceed each other: compute A.",
)
_case(
    "Baird's star diverges, though its features can represent everything",
    fa.baird,
    True,
    "Baird's star. Its features can represent every value function, so that refitting converges: TD is not "
    "refitting",
    "What counts is the update that TD makes, a small step along each x(s).",
)
_case(
    "the star on-policy does not, though some directions of its weights never move",
    _idle_weights,
    False,
    "the star updated on-policy, with a weight that no feature uses: directions that change no value have "
    "an eigenvalue 0, which may come out as −1e-17 and is no divergence",
    "Nine weights and seven states: A has the eigenvalue 0, exactly or up to rounding.",
)
_case(
    "a table stays safe where updates are far from on-policy",
    _table_far_off,
    False,
    "a table of two states of which the first gets nine updates in ten. A + Aᵀ has a negative eigenvalue "
    "there, A has none: a positive symmetric part is enough for stability, and not needed",
    "The distance may grow for a while and still go to zero.",
    "It is the eigenvalues of A itself whose real parts decide; they may be complex.",
)
_case(
    "features a thousand times as long change nothing",
    _long_features,
    False,
    "a table whose features are a thousand times as long. Many a step size is too large for it; a small "
    "one is not",
    "Is there a step size in your test? The question is for one as small as you like.",
    "If you allow for rounding: compare with the size of the other eigenvalues.",
)
