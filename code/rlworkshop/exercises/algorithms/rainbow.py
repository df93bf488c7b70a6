"""Exercise of the chapter on distributions of returns.

Book: algorithms/rainbow
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "algorithms/rainbow"
C51 = "A value is an average, and a bet is not"


def project(
    probs: np.ndarray,
    reward: np.ndarray,
    discount: np.ndarray,
    support: np.ndarray,
) -> np.ndarray:
    """The projection of C51: atoms move to reward + discount * atom; neighbours share.

    probs (B, Z): probabilities of the atoms. reward, discount (B,).
    support (Z,): the atoms, in order and equally spaced.
    Returns (B, Z), floats.

    Book: algorithms/rainbow
    """
    # solution
    spacing = support[1] - support[0]
    landed = reward[:, None] + discount[:, None] * support  # (B, Z)
    landed = landed.clip(support[0], support[-1])
    apart = np.abs(landed[:, :, None] - support) / spacing  # (B, Z from, Z to)
    return (probs[:, :, None] * (1 - apart).clip(0, 1)).sum(axis=1)
    # end


PROJECT = Exercise("rainbow-project", "Implement: bring a distribution back", PAGE, C51, project)
ATOMS, SPREAD = np.array([-1.0, 0.0, 1.0]), np.array([[0.25, 0.25, 0.5]])


def _floor_and_ceil(probs, reward, discount, support):
    """The well-known version: what hits an atom gets the weights 0 and 0."""
    place = (reward[:, None] + discount[:, None] * support).clip(support[0], support[-1])
    place = (place - support[0]) / (support[1] - support[0])
    low, high = np.floor(place).astype(int), np.ceil(place).astype(int)
    out = np.zeros(probs.shape)
    for b, j in np.ndindex(*probs.shape):
        out[b, low[b, j]] += probs[b, j] * (high[b, j] - place[b, j])
        out[b, high[b, j]] += probs[b, j] * (place[b, j] - low[b, j])
    return out


def _case(reward: float, discount: float) -> tuple:
    return SPREAD, np.array([reward]), np.array([discount]), ATOMS


@PROJECT.probe(
    "the example of the page, done by hand, comes out",
    "Where does each atom land? The first at ½ + ½ · (−1) = 0.",
    "An atom that lands between two others gives each a share: 1 minus its distance, in spacings.",
)
def _page(answer: Callable) -> None:
    case = _case(0.5, 0.5)
    expect(answer(*case), np.array([[0, 0.375, 0.625]]), "Reward ½, discount ½", {
        "what lands exactly on an atom is lost: floor and ceil are the same there, and both shares are 0":
            _floor_and_ceil(*case),
        "each atom goes as a whole to one neighbour: share it between the two, by distance":
            [[0.0, 0.5, 0.5]],
        "shares are the wrong way round: the nearer neighbour gets more": [[0.0, 0.625, 0.375]],
        "the distribution has not moved": SPREAD,
        "the discount is not used: atoms move by the reward only": [[0.125, 0.25, 0.625]],
        "the reward is not used: atoms are only drawn together": [[0.125, 0.625, 0.25]],
    })  # fmt: skip


@PROJECT.probe(
    "what lands exactly on an atom keeps all of its probability",
    "With reward 0 and discount 1 nothing moves, and nothing may be lost.",
    "If you use floor and ceil: where they agree, one of the two has to get everything.",
)
def _exact(answer: Callable) -> None:
    case = _case(0.0, 1.0)
    expect(answer(*case), SPREAD, "Nothing moves: reward 0, discount 1", {
        "what lands exactly on an atom is lost: floor and ceil are the same there, and both shares are 0":
            _floor_and_ceil(*case),
    })  # fmt: skip


@PROJECT.probe(
    "what lands outside goes to the atom at the edge",
    "Cut the places where atoms land to the range of the support, before you share.",
)
def _edges(answer: Callable) -> None:
    got = answer(*_case(1.0, 1.0))
    expect(got, np.array([[0, 0.25, 0.75]]), "Reward 1: the highest atom would land on 2", {
        "what lands outside is lost: it belongs to the atom at the edge": [[0.0, 0.25, 0.25]],
        "what lands outside is lost, and the rest blown up to fill its place": [[0.0, 0.5, 0.5]],
    })  # fmt: skip


@PROJECT.probe("any number of rows and atoms, an end among them", "Each row has its own reward and discount.")
def _many(answer: Callable) -> None:
    rng = np.random.default_rng(0)
    probs, support = rng.dirichlet(np.ones(6), size=4), np.linspace(-2, 2, 6)
    reward, discount = rng.normal(size=4), np.array([0.9, 0.0, 0.5, 1.0])
    want = project(probs, reward, discount, support)
    about = "Four rows, six atoms, the second row terminated"
    expect(answer(probs, reward, discount, support), want, about, {
        "the reward of the first row is used for all": project(
            probs, reward[:1].repeat(4), discount, support),
        "the row that terminated was discounted like the others": project(
            probs, reward, np.full(4, 0.9), support),
    })  # fmt: skip
