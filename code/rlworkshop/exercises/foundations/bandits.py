"""Exercises of the chapter on bandits.

Book: foundations/bandits
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect

PAGE = "foundations/bandits"
STEP = "Step size: how long an estimate remembers"
REGRET = "Regret: what not knowing has cost"
GREEDY = "Greedy: whoever never looks again is stuck"
BREAK = "Break it"


def _number(got: object) -> object:
    """A plain float is as good as a number of NumPy's."""
    return np.float64(got) if isinstance(got, float) else got


# ------------------------------------------------------------------------------------------ derive


def weights(step_sizes: np.ndarray) -> np.ndarray:
    """How much of the last estimate is the first guess, and how much each reward (n+1,).

    step_sizes (n,): that of each update, the oldest first; from 0 to 1.
    The first entry belongs to the first guess, the others to the rewards, the oldest first.

    Book: foundations/bandits
    """
    # solution
    left = np.cumprod(1 - step_sizes[::-1])[::-1]  # (n,), kept by update i and all later
    later = np.append(left[1:], 1.0)  # (n,), kept by those after it alone
    return np.append(left[0], step_sizes * later)
    # end


WEIGHTS = Exercise("bandits-weights", "Derive: what an estimate is made of", PAGE, STEP, weights)


@WEIGHTS.probe(
    "three updates with step sizes 0.4, 0.1 and 0.2",
    "Write the estimate after two updates in full, with letters, and collect what stands before each reward.",
    "A reward enters with its own step size, and every *later* update keeps 1 − α of it.",
)
def _three(answer: Callable) -> None:
    about = "Step sizes 0.4, 0.1, 0.2: the guess, then three rewards"
    expect(answer(np.array([0.4, 0.1, 0.2])), np.array([0.432, 0.288, 0.08, 0.2]), about, {
        "the rewards are weighed by the updates *before* them. What came before cannot shrink a reward; what "
        "comes after does": np.array([0.432, 0.4, 0.06, 0.108]),
        "the newest comes first in yours: the oldest reward should": np.array([0.432, 0.2, 0.08, 0.288]),
        "each reward is shrunk by its own update as well: that update is the one that brings it in":
            np.array([0.432, 0.1728, 0.072, 0.16]),
        "all step sizes are taken to be the last one": np.array([0.512, 0.128, 0.16, 0.2]),
        "the weights do not add up to one: a part of the first guess is left, too":
            np.array([0.0, 0.288, 0.08, 0.2]),
    })  # fmt: skip


@WEIGHTS.probe(
    "step sizes 1, 1/2, 1/3 … weigh all rewards alike, and the guess not at all",
    "The first step size is 1, so 1 − α is 0: is something divided by it?",
)
def _plain_mean(answer: Callable) -> None:
    step_sizes = 1 / np.arange(1, 9)
    with np.errstate(all="ignore"):
        got = answer(step_sizes)
    about = "Step sizes 1, 1/2, … 1/8"
    expect(got, np.append(0.0, np.full(8, 1 / 8)), about, {
        "something is divided by 1 − α, which is 0 for the first update: multiply from the back instead":
            np.append(0.0, np.full(8, np.nan)),
    })  # fmt: skip


# -------------------------------------------------------------------------------------- implement


def bernoulli_bound(p: np.ndarray) -> np.ndarray:
    """What regret per log T no consistent rule can stay below on arms that pay 1 or 0.

    p (A,): the probability that each arm pays, from 0 up to, not including, 1.
    Returns one number, of shape ().

    Book: foundations/bandits
    """
    # solution
    best, worse = p.max(), p[p < p.max()]
    pays = worse * np.log(np.maximum(worse, 1e-300) / best)  # 0 log 0 is 0
    fails = (1 - worse) * np.log((1 - worse) / (1 - best))
    return ((best - worse) / (pays + fails)).sum()
    # end


BOUND = Exercise("bandits-bernoulli-bound", "Implement: the bound for coins", PAGE, REGRET, bernoulli_bound)


def _kl(p: float, q: float) -> float:
    return float(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))


@BOUND.probe(
    "arms that pay with probability 0.2, 0.5 and 0.8",
    "A bad arm must be pulled log T / kl(…) times, at Δ apiece.",
    "The records come from *your* machine, where the bad arm pays as a bad arm does: its p stands first.",
)
def _three_coins(answer: Callable) -> None:
    p, best = (0.2, 0.5), 0.8
    want = np.float64(sum((best - a) / _kl(a, best) for a in p))
    with np.errstate(all="ignore"):
        got = _number(answer(np.array([*p, best])))
    expect(got, want, "Three coins", {
        "the two coins have changed places in kl: the rewards come from the bad arm":
            sum((best - a) / _kl(best, a) for a in p),
        "this is the number of pulls: each costs its gap": sum(1 / _kl(a, best) for a in p),
        "this is the bound for normal rewards of variance 1": sum(2 / (best - a) for a in p),
        "the best arm is in the sum, as 0 / 0: it costs nothing": np.nan,
    })  # fmt: skip


@BOUND.probe(
    "two arms that are equally good cost nothing",
    "Which arms are in the sum? Those with a gap, and not all but one.",
)
def _two_best(answer: Callable) -> None:
    want = np.float64(0.3 / _kl(0.5, 0.8))
    with np.errstate(all="ignore"):
        got = _number(answer(np.array([0.8, 0.5, 0.8])))
    expect(got, want, "Probabilities 0.8, 0.5, 0.8", {
        "one best arm is left out of the sum, and the other is in it, as 0 / 0: leave out all without a gap":
            np.nan,
    })  # fmt: skip


@BOUND.drawn
def _any_coins(rng: np.random.Generator) -> tuple:
    return (rng.uniform(0.05, 0.95, size=4),)


@BOUND.probe(
    "an arm that never pays",
    "x log x goes to 0 as x does. NumPy's `0 * np.log(0)` is not a number.",
)
def _never(answer: Callable) -> None:
    want = np.float64(0.5 / np.log(2))
    with np.errstate(all="ignore"):
        got = _number(answer(np.array([0.0, 0.5])))
    expect(got, want, "Probabilities 0 and 0.5", {
        "0 · log 0 came out as NaN, and should be 0: an arm that never pays is a coin, too": np.nan,
        "the arm that never pays is left out: it has the largest gap of all": 0.0,
    })  # fmt: skip


# ------------------------------------------------------------------------------------------- mend


def updated(
    Q: np.ndarray, n: np.ndarray, actions: np.ndarray, rewards: np.ndarray
) -> np.ndarray:  # two lines, to fit the page
    """The estimates (N, A) after one more pull: each the mean of what its arm has paid.

    Q (N, A): the estimates before it. n (N, A): how often each arm was pulled before it.
    actions (N,) and rewards (N,): the pull of each learner.

    Book: foundations/bandits
    """
    # solution
    rows = np.arange(len(Q))
    new = Q.astype(float)  # a copy
    new[rows, actions] += (rewards - Q[rows, actions]) / (n[rows, actions] + 1)
    return new
    # given
    # rows = np.arange(len(Q))
    # t = n.sum(axis=1) + 1  # (N,), which pull this is
    # new = Q.astype(float)  # a copy
    # new[rows, actions] += (rewards - Q[rows, actions]) / t
    # return new
    # end


MEND = Exercise("bandits-mend-mean", "Break: find what is counted wrongly", PAGE, GREEDY, updated)


@MEND.probe(
    "after the very first pull, the estimate is the reward, and the others are as they were",
    "This part worked when you got the file: compare with the stub.",
    "`n` is from before the pull. How many rewards is the new mean of?",
)
def _first(answer: Callable) -> None:
    Q, n = np.zeros((2, 3)), np.zeros((2, 3))
    want = np.array([[0.0, 2.0, 0.0], [-1.0, 0.0, 0.0]])
    with np.errstate(all="ignore"):
        got = answer(Q, n, np.array([1, 0]), np.array([2.0, -1.0]))
    expect(got, want, "The first pulls of two learners: arm 1 pays 2, arm 0 pays −1", {
        "it is divided by the pulls *before* this one, which were none":
            np.array([[0.0, np.inf, 0.0], [-np.inf, 0.0, 0.0]]),
        "all arms are moved, and not the pulled one alone": np.array([[2.0] * 3, [-1.0] * 3]),
    })  # fmt: skip


@MEND.probe(
    "so it is when another arm was pulled before",
    "Three pulls of one arm say nothing of the other. What did they change in your division?",
    "Which count belongs below the fraction bar, that of all arms or that of one?",
)
def _other_arm(answer: Callable) -> None:
    Q, n = np.array([[1.0, 0.0]]), np.array([[3.0, 0.0]])
    about = "Three pulls of arm 0, with mean 1; then arm 1 pays 8 at its first pull"
    expect(answer(Q, n, np.array([1]), np.array([8.0])), np.array([[1.0, 8.0]]), about, {
        "the step is one over the pulls of *all* arms: what is tried late is hardly believed, and every "
        "estimate stays near the 0 where it began": np.array([[1.0, 2.0]]),
    })  # fmt: skip


@MEND.probe(
    "after many pulls each estimate is the mean of what its arm has paid",
    "Work out the second pull of an arm by hand: rewards 2 and 4.",
)
def _many(answer: Callable) -> None:
    rng = np.random.default_rng(0)
    Q, n, paid = np.zeros((1, 2)), np.zeros((1, 2)), [[], []]
    for _ in range(20):
        a, r = rng.integers(2), rng.normal()
        Q = answer(Q, n, np.array([a]), np.array([r]))
        expect(Q, Q, "The estimates of one learner and two arms")
        n[0, a] += 1
        paid[a].append(r)
        want = np.array([[np.mean(x) if x else 0.0 for x in paid]])
        late = np.array([[np.mean(x[1:]) if len(x) > 1 else np.sum(x) for x in paid]])
        expect(np.asarray(Q), want, f"Arm {a} has been pulled {len(paid[a])} times", {
            "the first reward of an arm is thrown away at its second pull: that one's step is 1/2, and not 1":
                late,
        })  # fmt: skip


# --------------------------------------------------------------------------------------- diagnose


def verdict(truth: np.ndarray, mean: np.ndarray, std: np.ndarray) -> str:
    """ "too sure", "too shy" or "honest": what these beliefs are, held against the truth.

    truth (M,): the values of M arms. mean (M,), std (M,): the normal belief about each.
    What luck can do in two cases of three is no reason to accuse; what it cannot do in one
    case of ten thousand is.

    Book: foundations/bandits
    """
    # solution
    z = (truth - mean) / std  # (M,), standard normal where beliefs are honest
    luck = np.sqrt(2 / len(z))  # standard deviation of the mean of M squares
    excess = (np.mean(z**2) - 1) / luck
    return "too sure" if excess > 3 else "too shy" if excess < -3 else "honest"
    # end


SURE = Exercise("bandits-too-sure", "Diagnose: how sure may it be?", PAGE, BREAK, verdict)
VERDICTS = ("too sure", "too shy", "honest")


def _verdict(answer: Callable, M: int, scale: float = 1.0, told: float = 1.0, seed: int = 0) -> str:
    """The verdict on M beliefs that are ``told`` times as wide as they should be, in units of ``scale``."""
    rng = np.random.default_rng(seed)
    mean, std = rng.normal(size=M), rng.uniform(0.05, 0.5, size=M)
    truth = mean + std * rng.normal(size=M)
    return _said(answer(scale * truth, scale * mean, scale * told * std))


def _said(got: object) -> str:
    if not isinstance(got, str) or got not in VERDICTS:
        raise Wrong(f"`verdict` should return one of {', '.join(map(repr, VERDICTS))}; it returns {got!r}")
    return got


@SURE.probe(
    "four thousand honest beliefs are honest",
    "By how many of its standard deviations is the truth off, arm by arm? Of what size is that, usually?",
    "z = (truth − mean) / std is standard normal for honest beliefs: mean 0, mean square 1.",
)
def _honest(answer: Callable) -> None:
    if (said := _verdict(answer, 4_000)) != "honest":
        raise Wrong(f"it calls honest beliefs {said}: their truths lie one standard deviation off, in root "
                    "mean square")  # fmt: skip


@SURE.probe(
    "beliefs half as wide as they should be are too sure",
    "Too sure: the truth lies further off than the belief says.",
)
def _half(answer: Callable) -> None:
    said = _verdict(answer, 4_000, told=0.5)
    if said == "too shy":
        raise Wrong("it has the two directions mixed up: a belief that is too narrow is too sure")
    if said == "honest":
        raise Wrong("it lets pass beliefs half as wide as they should be: errors that average to zero can be "
                    "too large all the same")  # fmt: skip


@SURE.probe(
    "beliefs a fifth too wide are too shy",
    "Look for truths that lie too *near*, as well.",
)
def _wide(answer: Callable) -> None:
    if _verdict(answer, 4_000, told=1.2) != "too shy":
        raise Wrong("it lets pass beliefs a fifth too wide: ±1.2 where ±1 is right explores too long")


@SURE.probe(
    "whatever the unit",
    "Divide by the arm's own std before you compare with any number.",
)
def _units(answer: Callable) -> None:
    for scale in (1e-3, 1e3):
        if (said := _verdict(answer, 4_000, scale)) != "honest":
            raise Wrong(f"with all numbers times {scale:g}, it calls honest beliefs {said}: a verdict has no "
                        "unit")  # fmt: skip
        if _verdict(answer, 4_000, scale, told=0.8) != "too sure":
            raise Wrong(f"with all numbers times {scale:g}, it lets pass beliefs a fifth too narrow: a "
                        "verdict has no unit")  # fmt: skip


@SURE.probe(
    "thirty honest beliefs are not accused for a little bad luck",
    "The mean of M squares of standard normal numbers is 1, give or take √(2 / M).",
    "Allow for three times that.",
)
def _few(answer: Callable) -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        z = rng.normal(size=30)
        if abs(np.mean(z**2) - 1) < np.sqrt(2 / 30):  # luck of the usual size
            mean, std = rng.normal(size=30), rng.uniform(0.05, 0.5, size=30)
            if (said := _said(answer(mean + std * z, mean, std))) != "honest":
                raise Wrong(f"it calls thirty honest beliefs {said}: among so few, luck alone moves the "
                            "figures that much")  # fmt: skip
