"""Exercises of the chapter on function approximation.

Book: foundations/function_approximation
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect

PAGE = "foundations/function_approximation"
TILES = "Tile coding: a table that generalises"
FIXED = "Semi-gradient TD and its fixed point"

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
