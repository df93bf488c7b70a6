"""Exercises of the chapter on trust region policy optimisation.

Book: algorithms/trpo
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect

PAGE = "algorithms/trpo"
MODEL = "The quadratic model of the KL divergence"
SOLVE = "Conjugate gradient: solving without the matrix"
BREAK = "Break it"


# ------------------------------------------------------------------------------------------ derive


def natural(
    gradient_mean: np.ndarray,
    gradient_log_std: np.ndarray,
    std: np.ndarray,
) -> np.ndarray:
    """Natural gradient of a normal distribution with independent components, undamped.

    gradient_mean, gradient_log_std (K,): the plain gradient with respect to the means and to
    the logarithms of the standard deviations. std (K,): the standard deviations.
    Returns (2, K): the natural gradient with respect to the means, then to the logarithms.

    Book: algorithms/trpo
    """
    # solution
    return np.stack([std**2 * gradient_mean, gradient_log_std / 2])  # (2, K)
    # end


NATURAL = Exercise("trpo-natural-normal", "Derive: the metric of a normal distribution", PAGE, MODEL, natural)


@NATURAL.probe(
    "the mean: a gradient counts the more, the wider the distribution",
    "The divergence for a shift of the mean by d is d² / (2 std²). What is its second derivative?",
    "The Fisher matrix is diagonal here: to solve F x = gradient is to divide by its entries, 1 / std².",
)
def _mean(answer: Callable) -> None:
    got = answer(np.array([1.0, 3.0]), np.zeros(2), np.array([0.5, 2.0]))
    expect(np.asarray(got)[0], np.array([0.25, 12.0]), "Gradients 1 and 3, standard deviations 0.5 and 2", {
        "this is multiplied with the Fisher matrix, and has to be divided by it": np.array([4.0, 0.75]),
        "this is std times the gradient: the entry is 1 / std²": np.array([0.5, 6.0]),
        "this is the plain gradient": np.array([1.0, 3.0]),
    })  # fmt: skip


@NATURAL.probe(
    "the logarithm of the standard deviation: its entry is a constant",
    "Write the divergence of two normal distributions with the same mean, whose logarithms differ by d.",
    "It is d + exp(-2d) / 2 - 1 / 2. Differentiate twice, at d = 0.",
)
def _log_std(answer: Callable) -> None:
    got = answer(np.zeros(2), np.array([1.0, 3.0]), np.array([0.5, 2.0]))
    expect(np.asarray(got)[1], np.array([0.5, 1.5]), "Gradients 1 and 3, standard deviations 0.5 and 2", {
        "2 / std² is the entry of the standard deviation itself; of its logarithm it is 2":
            np.array([0.125, 6.0]),
        "this is the plain gradient: the entry is 2": np.array([1.0, 3.0]),
        "this is multiplied with the Fisher matrix, and has to be divided by it": np.array([2.0, 6.0]),
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ implement


def solve(
    product: Callable[[np.ndarray], np.ndarray],
    b: np.ndarray,
    iterations: int,
) -> np.ndarray:
    """Conjugate gradient: an approximate solution x of A x = b, A positive definite.

    product: gives A v for a vector v (P,), and is all that is known of A. b (P,).
    iterations: how many products may be asked for; fewer where b - A x has become 0.
    Returns x (P,).

    Book: algorithms/trpo
    """
    # solution
    x, residual, direction = np.zeros(b.shape), b, b  # (P,), (P,), (P,)
    square = residual @ residual
    for _ in range(iterations):
        if square <= 1e-20 * (b @ b):
            break
        image = product(direction)  # (P,)
        alpha = square / (direction @ image)
        x, residual = x + alpha * direction, residual - alpha * image
        before, square = square, residual @ residual
        direction = residual + square / before * direction
    return x
    # end


SOLVER = Exercise("trpo-conjugate-gradient", "Implement: solve without the matrix", PAGE, SOLVE, solve)
MATRIX = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, 1.0], [0.0, 1.0, 2.0]])
RIGHT = np.array([1.0, 2.0, 3.0])


EACH = "each iteration needs one product, and it asks for more"


def _asked(answer: Callable, matrix: np.ndarray, b: np.ndarray, iterations: int, most: int, more: str = EACH):
    """What ``answer`` returns, if it asks for no more than ``most`` products with ``matrix``."""
    asked = []

    def product(vector: np.ndarray) -> np.ndarray:
        asked.append(vector)
        return matrix @ vector

    with np.errstate(all="ignore"):
        got = answer(product, b, iterations)
    if len(asked) > most:
        raise Wrong(more)
    return got


@SOLVER.probe(
    "the first iteration goes along b, as far as is best there",
    "From x = 0 the residual b - A x is b, and so is the first direction.",
    "Along a direction d the best length is (residual · residual) / (d · A d).",
)
def _first(answer: Callable) -> None:
    got = _asked(answer, MATRIX, RIGHT, 1, most=1)
    expect(got, RIGHT * 14 / (RIGHT @ MATRIX @ RIGHT), "A system of three unknowns, one iteration", {
        "this is b itself: how far to go along it?": RIGHT,
        "the length is turned round": RIGHT * (RIGHT @ MATRIX @ RIGHT) / 14,
        "this goes away from the solution": -RIGHT * 14 / (RIGHT @ MATRIX @ RIGHT),
    })  # fmt: skip


@SOLVER.probe(
    "three unknowns take three iterations, and then the solution is exact",
    "Each new direction is the residual, plus as much of the last direction as keeps d · A d' at 0.",
    "That much is (new residual · new residual) / (old residual · old residual).",
)
def _three(answer: Callable) -> None:
    got = _asked(answer, MATRIX, RIGHT, 3, most=3)
    expect(got, np.linalg.solve(MATRIX, RIGHT), "A system of three unknowns, three iterations", {
        "each direction is the residual alone: that is steepest descent, which never quite arrives":
            _steepest(3),
    })  # fmt: skip


def _steepest(iterations: int) -> np.ndarray:
    x = np.zeros(3)
    for _ in range(iterations):
        residual = RIGHT - MATRIX @ x
        x = x + residual * (residual @ residual) / (residual @ MATRIX @ residual)
    return x


@SOLVER.probe(
    "it stops when it is done: two different eigenvalues, two products",
    "Once the residual is 0, the next length is 0 / 0.",
    "End the loop where residual · residual is a tiny part of b · b.",
)
def _done(answer: Callable) -> None:
    matrix = np.diag([1.0, 5.0, 5.0, 1.0])
    more = "after two products the residual is 0, and it goes on: towards 0 / 0"
    got = _asked(answer, matrix, np.ones(4), 9, most=2, more=more)
    expect(got, np.array([1, 0.2, 0.2, 1]), "A diagonal matrix with entries 1, 5, 5, 1, nine iterations", {})


@SOLVER.probe(
    "a right-hand side of 0 has the solution 0",
    "With b = 0 the residual is 0 before the first iteration.",
)
def _zero(answer: Callable) -> None:
    got = _asked(answer, MATRIX, np.zeros(3), 3, most=3)
    if not np.isfinite(got).all():
        raise Wrong("for b = 0 it divides 0 by 0")
    expect(got, np.zeros(3), "b = 0", {})


# ------------------------------------------------------------------------------------------ diagnose


def is_broken(
    product: Callable[[np.ndarray], np.ndarray], kl: Callable[[np.ndarray], float], size: int
) -> bool:
    """Whether products with an undamped Fisher matrix do not belong to a divergence.

    product: gives F v for v (size,). kl: gives the mean divergence from the present policy to
    the one whose parameters differ by a step (size,); it is smooth, and exact to about 1e-13.
    Returns True where ``product`` is broken.

    Book: algorithms/trpo
    """
    # solution
    for seed in range(3):
        v = 1e-3 * np.random.default_rng(seed).normal(size=size)  # (size,)
        model, measured = v @ product(v) / 2, (kl(v) + kl(-v)) / 2
        if not abs(model - measured) <= 0.02 * measured:
            return True
    return False
    # end


DETECT = Exercise("trpo-is-broken", "Diagnose: does the metric fit the divergence?", PAGE, BREAK, is_broken)


class _Softmax:
    """Three states, four actions, a logit for each: its divergence, and its Fisher matrix (12, 12)."""

    size = 12

    def __init__(self):
        self.logits = np.random.default_rng(5).normal(size=(3, 4))  # (S, A)
        p = self.probabilities(self.logits)  # (S, A)
        self.fisher = np.zeros((12, 12))
        for s in range(3):
            rows = slice(4 * s, 4 * s + 4)
            self.fisher[rows, rows] = (np.diag(p[s]) - np.outer(p[s], p[s])) / 3

    @staticmethod
    def probabilities(logits: np.ndarray) -> np.ndarray:
        e = np.exp(logits - logits.max(axis=1, keepdims=True))  # (S, A)
        return e / e.sum(axis=1, keepdims=True)

    def kl(self, step: np.ndarray) -> float:
        old, new = self.probabilities(self.logits), self.probabilities(self.logits + step.reshape(3, 4))
        return float((old * np.log(old / new)).sum(axis=1).mean())


class _Normal:
    """A normal distribution of two components: means, then logarithms of standard deviations."""

    size = 4

    def __init__(self):
        self.log_std = np.array([-1.0, 0.5])
        self.fisher = np.diag([*np.exp(-2 * self.log_std), 2.0, 2.0])

    def kl(self, step: np.ndarray) -> float:
        d, s = step[:2], step[2:]
        square = np.exp(-2 * s) + (d * np.exp(-self.log_std - s)) ** 2
        return float((s + square / 2 - 0.5).sum())


def _verdict(answer: Callable, world: _Softmax | _Normal, product: Callable) -> bool:
    got = answer(product, world.kl, world.size)
    if not isinstance(got, bool | np.bool_):
        raise Wrong(f"`is_broken` should return True or False; it returns a {type(got).__name__}")
    return bool(got)


@DETECT.probe(
    "right products are not accused, of discrete actions or continuous ones",
    "For a small step v the divergence is about half of v · F v.",
    "How small? At 0.001 the third order has nearly gone, and the rounding has not yet come.",
)
def _right(answer: Callable) -> None:
    for world in (_Softmax(), _Normal()):
        if _verdict(answer, world, lambda v, world=world: world.fisher @ v):
            raise Wrong(
                f"it accuses the exact Fisher matrix of {type(world).__name__.strip('_').lower()} policies"
            )


@DETECT.probe(
    "nor are products that are right and rounded to float32",
    "float32 has seven digits: compare with a tolerance that is a part of the divergence.",
)
def _rounded(answer: Callable) -> None:
    world = _Softmax()
    if _verdict(answer, world, lambda v: (world.fisher @ v).astype(np.float32).astype(float)):
        raise Wrong("it accuses products that are right up to float32's rounding")


def _must_be_caught(shows: str, what: str, spoil: Callable, worlds: tuple[type, ...], *hints: str) -> None:
    def run(answer: Callable) -> None:
        for kind in worlds:
            world = kind()
            matrix = spoil(world.fisher)
            if not _verdict(answer, world, lambda v, matrix=matrix: matrix @ v):
                raise Wrong(f"it lets pass {what}")

    DETECT.probe(shows, *hints)(run)


_must_be_caught(
    "an old policy that moves along is found: all products are 0", "products that are 0",
    lambda fisher: 0 * fisher, (_Softmax, _Normal),
    "A model that says 0 where the divergence is not 0 is wrong by all of it.",
)  # fmt: skip
_must_be_caught(
    "so are products that are twice as large, or summed over the batch", "products that are twice as large",
    lambda fisher: 2 * fisher, (_Softmax, _Normal),
    "Look at the size and not only at the direction: the size decides how long a step is.",
)  # fmt: skip
_must_be_caught(
    "so is a damping that was left in", "products with a damping of 0.1",
    lambda fisher: fisher + 0.1 * np.eye(len(fisher)), (_Softmax,),
    "Damping helps to solve, and is no part of the divergence: it makes the model too large.",
)  # fmt: skip
_must_be_caught(
    "so is a matrix that knows only some of the parameters",
    "a Fisher matrix that leaves the last parameter out",
    lambda fisher: fisher * np.outer(*2 * [np.arange(len(fisher)) < len(fisher) - 1]), (_Normal,),
    "Try steps in which all parameters move, and more than one of them.",
)  # fmt: skip
