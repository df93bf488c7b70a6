"""Exercises of the chapter on the deadly triad.

Book: foundations/deadly_triad
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect
from rlworkshop.foundations import function_approximation as fa

PAGE = "foundations/deadly_triad"
TRICKS = "Target networks, replay and size: deep Q-learning's triad"
TRIAD = "Three ingredients, and it takes all of them"

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

    Book: foundations/deadly_triad
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
    "deadly-triad-mend-batch", "Break: a batch that learns too little", PAGE, TRICKS, batch_update
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

    Book: foundations/deadly_triad
    """
    # solution
    A = X.T @ (d[:, None] * (X - gamma * P @ X))
    rates = np.linalg.eigvals(A)
    return bool(rates.real.min() < -1e-9 * np.abs(rates).max())
    # end


DIVERGES = Exercise("deadly-triad-diverges", "Diagnose: will it blow up?", PAGE, TRIAD, diverges)


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
