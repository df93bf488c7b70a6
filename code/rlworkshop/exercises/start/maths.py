"""Exercises of the page that computes the mathematics.

Book: start/maths
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect

PAGE = "start/maths"
REWEIGHT = "Importance sampling: another policy's samples, reweighted"
RUNNING = "Running averages: how much to remember"
GUESS, ERROR = np.array([True, False]), np.array([False, True])  # which of the two numbers is looked at


# ------------------------------------------------------------------------------------------ reweight


def price_habit(
    levers: np.ndarray,
    paid: np.ndarray,
    p: np.ndarray,
    q: np.ndarray,
) -> np.ndarray:
    """What an episode of habit q pays, guessed from episodes of habit p, and how sure that is.

    levers (E, T), integers: the lever of each pull.
    paid (E,): what each episode paid, at its end.
    p, q (A,): the probability of each lever in one pull, by either habit.
    Returns (2,): the unbiased guess, and its standard error (with ddof=1).

    Book: start/maths
    """
    # solution
    weight = (q[levers] / p[levers]).prod(axis=1)  # (E,)
    samples = weight * paid  # (E,): their plain mean is the guess
    return np.array([samples.mean(), samples.std(ddof=1) / len(samples) ** 0.5])
    # end


PRICE = Exercise(
    "maths-another-habit", "Implement: the price of a habit you do not have", PAGE, REWEIGHT, price_habit
)


@PRICE.probe(
    "four episodes of one pull: each pay counts as often as q would have earned it",
    "How much more often than p does q pull this episode's lever? That is the weight of its pay.",
    "Then the plain mean: the sum of weight times pay, over the number of episodes.",
)
def _one_pull(answer: Callable) -> None:
    levers, paid = np.array([[0], [1], [1], [1]]), np.array([2.0, 4.0, 8.0, 4.0])
    p, q = np.array([0.5, 0.5]), np.array([0.75, 0.25])
    w = (q / p)[levers[:, 0]]  # (E,)
    about = "Weights 1.5, 0.5, 0.5, 0.5 and pays 2, 4, 8, 4: the guess is the first number"
    expect(answer(levers, paid, p, q), np.full(2, (w * paid).mean()), about, {
        "this is what p earned: the pays are not weighted": paid.mean(),
        "the ratio is upside down: the weight is q over p, large where q pulls more often than p did":
            (paid / w).mean(),
        "the weight is q alone. That p chose these levers more or less often is in the samples already, and "
        "has to be divided out": (q[levers[:, 0]] * paid).mean(),
        "it is divided by the sum of the weights. That is calmer, and used, but biased: here the weights sum "
        "to 3 and not to 4, by chance, and the unbiased guess lets that stand": (w * paid).sum() / w.sum(),
        "this is a sum: divide by the number of episodes": (w * paid).sum(),
    }, GUESS)  # fmt: skip


@PRICE.probe(
    "two pulls, all episodes in the proportions that p plays them: the guess is exact",
    "Two pulls in a row: how probable is the pair by p, and by q? Divide the two.",
    "Weights of decisions in a row multiply. An episode of weight 0 is still one of the episodes.",
)
def _pairs(answer: Callable) -> None:
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.0, 0.25, 0.75])
    bag = np.array([0, 0, 1, 2])  # lever 0 is as frequent as p has it, and so are the others
    levers = np.array([(a, b) for a in bag for b in bag])  # (16, 2)
    pay = np.array([[1.0, 2.0, 0.0], [3.0, 5.0, 2.0], [0.0, 4.0, 9.0]])  # (A, A)
    paid = pay[levers[:, 0], levers[:, 1]]  # (16,)
    ratio = (q / p)[levers]  # (16, 2)
    weighted = ratio.prod(axis=1) * paid
    about = "Over all pairs of pulls, the guess has to be what q earns"
    expect(answer(levers, paid, p, q), np.full(2, q @ pay @ q), about, {
        "only the first pull is weighted: the pay comes from the whole episode": (ratio[:, 0] * paid).mean(),
        "only the last pull is weighted: the pay comes from the whole episode": (ratio[:, 1] * paid).mean(),
        "the ratios of an episode are added: probabilities of decisions in a row multiply":
            (ratio.sum(axis=1) * paid).mean(),
        "the ratios of an episode are averaged: probabilities of decisions in a row multiply":
            (ratio.mean(axis=1) * paid).mean(),
        "episodes of weight 0 are left out: p played them, and they count below the fraction bar":
            weighted[weighted != 0].mean(),
    }, GUESS)  # fmt: skip


@PRICE.probe(
    "the standard error is that of the weighted pays",
    "The guess is a mean of E numbers. Which numbers? It is their scatter that makes it uncertain.",
    "Their standard deviation, with ddof=1, over the square root of their number.",
)
def _standard_error(answer: Callable) -> None:
    levers = np.array([[0, 1], [1, 1], [0, 0], [1, 0], [1, 1], [0, 1]])
    paid, p, q = np.array([2.0, 5.0, 1.0, 0.0, 7.0, 3.0]), np.array([0.6, 0.4]), np.array([0.2, 0.8])
    samples = (q / p)[levers].prod(axis=1) * paid  # (6,)
    sd, n = samples.std(ddof=1), len(samples)
    about = "Six episodes: the standard error is the second number"
    expect(answer(levers, paid, p, q), np.full(2, sd / n**0.5), about, {
        "this is the scatter of the pays as p earned them: the weights make it larger, and that is the point":
            paid.std(ddof=1) / n**0.5,
        "this is the standard deviation of one sample: a mean of n is surer by the root of n": sd,
        "it is divided by n and not by its root": sd / n,
        "this is the variance of the mean: take its root": sd**2 / n,
        "the standard deviation is taken with ddof=0: from samples, divide by n − 1":
            samples.std() / n**0.5,
        "n is the number of episodes, not of pulls: the pulls of an episode share one pay":
            sd / levers.size**0.5,
    }, ERROR)  # fmt: skip


@PRICE.probe(
    "episodes of two thousand pulls do no harm",
    "How large is 0.5 to the power of 2000, in a number of 64 bits? And one such over another?",
    "Divide first, pull by pull, and multiply the ratios.",
)
def _long(answer: Callable) -> None:
    p, paid = np.array([0.5, 0.3, 0.2]), np.array([1.0, 2.0, 6.0])
    levers = np.random.default_rng(0).integers(3, size=(3, 2000))
    with np.errstate(all="ignore"):
        got = answer(levers, paid, p, p.copy())
    if np.isnan(got).any():
        raise Wrong("the probability of two thousand pulls is too small to be stored and becomes 0, and 0 "
                    "over 0 is nan: divide before you multiply")  # fmt: skip
    want = np.array([paid.mean(), paid.std(ddof=1) / len(paid) ** 0.5])
    expect(got, want, "Both habits are the same, so that every weight is 1")


# ------------------------------------------------------------------------------------------ average


def exponential_average(x: np.ndarray, alpha: float) -> np.ndarray:
    """Exponential averages of x, begun at 0 as Adam's are, and freed from that beginning.

    x (T, N): T samples of N things, each averaged for itself.
    alpha: how far a step goes towards the news, above 0 and at most 1.
    Returns (T, N), floats: row t is the average of samples 0 to t, with weights that fall by a
    factor 1 - alpha for each step of age and sum to 1.

    Book: start/maths
    """
    # solution
    averages, average = np.zeros(x.shape), np.zeros(x.shape[1])
    for t, news in enumerate(x):
        average = average + alpha * (news - average)  # (N,), leans towards 0
        averages[t] = average / (1 - (1 - alpha) ** (t + 1))
    return averages
    # end


AVERAGE = Exercise(
    "maths-exponential-average",
    "Derive: an average that begins at nothing",
    PAGE,
    RUNNING,
    exponential_average,
)


def _averages(
    x: np.ndarray, alpha: float, divide: Callable = lambda t: 1.0, back: bool = False
) -> np.ndarray:
    """Averages begun at 0, row t (from 1) divided by ``divide(t)``; ``back``: and carried on from there."""
    found, average = np.zeros(x.shape), np.zeros(x.shape[1])
    for t in range(len(x)):
        average = average + alpha * (x[t] - average)
        with np.errstate(all="ignore"):
            found[t] = average / divide(t + 1)
        average = found[t] if back else average
    return found


def _by_weights(x: np.ndarray, alpha: float) -> np.ndarray:
    """What ``exponential_average`` should give: the weighted mean that defines it."""
    weights = [(1 - alpha) ** np.arange(t, -1, -1.0) for t in range(len(x))]
    return np.array([w @ x[: len(w)] / w.sum() for w in weights])


@AVERAGE.probe(
    "the average of a constant is that constant, from the first row on",
    "Begin at 0 and feed it ones: what is the average after 1, 2, 3 samples? By what would you divide?",
    "After t samples the weights α (1 − α)^k, of ages 0 to t − 1, sum to 1 − (1 − α)^t.",
)
def _constant(answer: Callable) -> None:
    x, alpha = np.full((4, 1), 8.0), 0.25
    with np.errstate(all="ignore"):
        got = answer(x, alpha)
    expect(got, x, "Four samples of 8", {
        "it begins at 0 and still leans towards it: the weights of the samples do not sum to 1 yet":
            _averages(x, alpha),
        "the corrected average is carried on. Keep two: the one that began at 0 goes on, a corrected copy "
        "goes out": _averages(x, alpha, lambda t: 1 - (1 - alpha) ** t, back=True),
        "the power counts from 0: after the *first* sample the weights sum to 1 − (1 − α)":
            _averages(x, alpha, lambda t: 1 - (1 - alpha) ** (t - 1)),
        "all rows are divided by the same number: what is missing from 1 shrinks with each sample":
            _averages(x, alpha, lambda t: 1 - (1 - alpha) ** len(x)),
        "α and 1 − α change places between the average and its correction":
            _averages(x, alpha, lambda t: 1 - alpha**t),
    })  # fmt: skip


@AVERAGE.probe(
    "row t is the weighted mean of what came up to then, column by column",
    "Write down the weights in the third row, from the newest to the oldest. Do they fall by 1 − α each?",
    "Leave the recursion as it is, begun at 0, and correct what goes out.",
)
def _weights(answer: Callable) -> None:
    x, alpha = np.array([[4.0, 0.0], [0.0, 1.0], [2.0, 5.0], [-1.0, 3.0]]), 0.25
    first = x[:1] + _averages(x - x[:1], alpha)
    expect(answer(x, alpha), _by_weights(x, alpha), "Four samples of two things, α = 0.25", {
        "it begins at the first sample, as `running` does: that one then counts like many": first,
        "α and 1 − α have changed places: α is how far a step goes towards the *news*":
            _by_weights(x, 1 - alpha),
        "this is the plain mean of what came so far: alpha does nothing": _by_weights(x, 0.0),
        "time runs backwards: row 0 should know of one sample only": _by_weights(x[::-1], alpha)[::-1],
        "the columns are mixed: each is a thing of its own":
            np.repeat(_by_weights(x, alpha).mean(axis=1, keepdims=True), 2, axis=1),
    })  # fmt: skip


@AVERAGE.probe(
    "whole numbers have averages that are not whole",
    "Of which dtype is `np.zeros_like(x)`, where x holds integers?",
)
def _integers(answer: Callable) -> None:
    x = np.array([[1], [2], [4]])
    expect(answer(x, 0.5), _by_weights(x, 0.5), "Three samples, given as integers")


@AVERAGE.probe(
    "it equals the definition over two hundred random samples, at four rates, 1 among them",
    "At α = 1 only the newest sample counts. Which quantity of yours is divided by 0 then?",
    "Step by step there is no trouble: the average so far, plus α times the distance to the news.",
)
def _many(answer: Callable) -> None:
    x = np.random.default_rng(1).normal(size=(200, 3))
    for alpha in (0.01, 0.1, 0.5, 1.0):
        with np.errstate(all="ignore"):
            got = answer(x, alpha)
        if np.isnan(got).any():
            raise Wrong(f"at α = {alpha:g} there is nan: powers of 1 − α get too small to divide by them")
        expect(got, _by_weights(x, alpha), f"Two hundred samples of three things, α = {alpha:g}")
