"""Exercises of the chapter on regret and posterior sampling.

Book: foundations/regret
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "foundations/regret"
BOUND = "Sublinear regret: what optimism promises"
BREAK = "Break it: a posterior that never gets surer"

# ------------------------------------------------------------------------------------------ derive


def width(n: np.ndarray, delta: float, ceiling: float) -> np.ndarray:
    """How far the truth may be from a mean of n numbers, but for a chance of at most delta.

    n (M,): how many numbers each mean was taken of; they lie between 0 and ceiling.
    Returns (M,): the width on either side; ceiling where n is 0, and never more than it.

    Book: foundations/regret
    """
    # solution
    u = ceiling * np.sqrt(np.log(2 / delta) / (2 * np.maximum(n, 1)))
    return np.where(n > 0, np.minimum(u, ceiling), ceiling)
    # end


WIDTH = Exercise("regret-width", "Derive: how much may still be hoped for", PAGE, BOUND, width)


@WIDTH.probe(
    "a hundred numbers between 0 and 1",
    "Set 2 exp(−2 n u²) to delta, and solve for u: a logarithm first, a root last.",
    "The 2 in front of the exponential stands for the two sides.",
)
def _hundred(answer: Callable) -> None:
    n, delta = np.array([100.0, 400.0]), 0.05
    want = np.sqrt(np.log(40) / (2 * n))
    about = "Means of 100 and 400 numbers between 0 and 1, delta = 0.05"
    expect(answer(n, delta, 1.0), want, about, {
        "this is for one side only: too high *or* too low may happen, and each has half of delta":
            np.sqrt(np.log(20) / (2 * n)),
        "the 2 in the exponent is lost: it stands beside n, below the fraction bar":
            np.sqrt(np.log(40) / n),
        "the root is missing: this is u squared": want**2,
        "the logarithm is to base 10; what undoes exp is `np.log`": np.sqrt(np.log10(40) / (2 * n)),
    })  # fmt: skip


@WIDTH.probe(
    "numbers between 0 and 5: five times as wide",
    "Divide all numbers by the ceiling: how wide is it then? Now multiply again.",
)
def _scaled(answer: Callable) -> None:
    n = np.array([100.0, 400.0])
    want = 5 * np.sqrt(np.log(40) / (2 * n))
    expect(answer(n, 0.05, 5.0), want, "Means of 100 and 400 numbers between 0 and 5", {
        "the ceiling is not looked at: what can be large can be far off": want / 5,
        "the ceiling is squared and stays outside the root": want * 5,
        "the ceiling is in the root and not squared there": want / np.sqrt(5),
    })  # fmt: skip


@WIDTH.probe(
    "nothing seen: anything is possible, and never more than anything",
    "`np.where(n > 0, ..., ceiling)`, and mind the division by zero.",
    "Two numbers between 0 and ceiling are never further apart than that: `np.minimum`.",
)
def _nothing(answer: Callable) -> None:
    n = np.array([0.0, 1.0, 50.0])
    u = 2 * np.sqrt(np.log(40) / (2 * np.maximum(n, 1)))
    want = np.array([2.0, 2.0, u[2]])
    expect(answer(n, 0.05, 2.0), want, "Means of 0, 1 and 50 numbers between 0 and 2, delta = 0.05", {
        "with few numbers the formula gives more than the ceiling, which cannot be": np.array([2.0, *u[1:]]),
        "with few numbers the formula gives more than the ceiling, and with none it was divided by a 1 that "
        "is not there": u,
        "where nothing was seen, yours hopes for nothing: then it will never be seen": np.array([0, 2, u[2]]),
        "where nothing was seen the width is infinite: no number is, under a ceiling":
            np.array([np.inf, 2, u[2]]),
    })  # fmt: skip


@WIDTH.drawn
def _any_width(rng: np.random.Generator) -> tuple:
    return rng.integers(5, size=4).astype(float), rng.uniform(0.05, 0.95), rng.uniform(0.5, 5)


# ------------------------------------------------------------------------------------------ implement


def episodic_regret(P: np.ndarray, r: np.ndarray, policies: np.ndarray) -> np.ndarray:
    """Expected regret (E,) after each of E episodes of H steps; every one begins in state 0.

    P (S, A, S): probabilities of the next state. r (S, A): mean rewards.
    policies (E, H, S): what episode e does at step h in state s. Nothing is discounted.

    Book: foundations/regret
    """

    # solution
    def worth(policy: np.ndarray) -> float:
        V = np.zeros(len(r))
        for actions in reversed(policy):
            V = (r + P @ V)[np.arange(len(r)), actions]
        return V[0]

    best = np.zeros(len(r))
    for _ in policies[0]:
        best = (r + P @ best).max(axis=1)
    return np.cumsum([best[0] - worth(policy) for policy in policies])
    # end


EPISODES = Exercise(
    "regret-episodes", "Implement: regret without luck, in episodes", PAGE, BOUND, episodic_regret
)


def _world() -> tuple[np.ndarray, np.ndarray]:
    """Two states: action 1 of the first is dear and mostly leads to the second, where action 0 pays."""
    P = np.array([[[1.0, 0.0], [0.25, 0.75]], [[0.5, 0.5], [0.0, 1.0]]])
    return P, np.array([[0.5, -1.0], [4.0, 0.0]])


def _values(P: np.ndarray, r: np.ndarray, policy: np.ndarray) -> np.ndarray:
    V = np.zeros(len(r))
    for actions in policy:
        V = np.array([r[s, a] + P[s, a] @ V for s, a in enumerate(actions)])
    return V


def _lost(P: np.ndarray, r: np.ndarray, policies: np.ndarray, forward: bool = False) -> np.ndarray:
    best, V = np.zeros(len(r)), []
    for _ in policies[0]:
        best = (r + P @ best).max(axis=1)
    V = [_values(P, r, policy if forward else policy[::-1]) for policy in policies]
    return best - np.array(V)  # (E, S)


@EPISODES.probe(
    "one episode of one step",
    "With one step left nothing follows: compare two entries of `r`.",
    "What is lost is the best action's reward less that of the action taken, in state 0.",
)
def _single(answer: Callable) -> None:
    P, r = _world()
    policies = np.array([[[1, 0]]])
    expect(answer(P, r, policies), np.array([1.5]), "One step, action 1 in state 0", {
        "the sign is turned round: regret is what the best policy earns, less what yours does":
            np.array([-1.5]),
        "this is what was earned, and not what was lost": np.array([-1.0]),
        "the start is state 0; this is the mean over all states": np.array([0.75]),
    })  # fmt: skip


@EPISODES.probe(
    "three steps: what follows counts, and the best policy looks ahead",
    "Go from the last step to the first: V = r + P @ V, for the action taken, and for the best one.",
    "Both begin at V = 0, behind the last step.",
    "Row h of a policy belongs to step h: the last row is the first that you need.",
)
def _steps(answer: Callable) -> None:
    P, r = _world()
    policies = np.array([[[1, 0], [0, 0], [0, 1]]])
    right = _lost(P, r, policies)
    best = np.zeros(2)
    for _ in range(3):
        best = (r + P @ best).max(axis=1)
    shortsighted = _values(P, r, np.tile(r.argmax(axis=1), (3, 1)))
    expect(answer(P, r, policies), right[:, 0], "Three steps with a policy that changes from step to step", {
        "the rows of the policy are taken in the wrong order: the last step comes first here":
            _lost(P, r, policies, forward=True)[:, 0],
        "your best policy takes the largest reward at each step: it has to look ahead":
            right[:, 0] - best[0] + shortsighted[0],
        "the start is state 0; this is the mean over all states": right.mean(axis=1),
        "only the first step counts here: what follows it is worth something, too":
            np.array([r[0].max() - r[0, 1]]),
    })  # fmt: skip


@EPISODES.probe(
    "and episodes add up",
    "Regret after E episodes is the sum of what each of them lost: `np.cumsum`.",
    "The best policy is the same for all episodes, and no episode has to play it.",
)
def _sums(answer: Callable) -> None:
    P, r = _world()
    policies = np.array([[[0, 1], [0, 1]], [[0, 0], [1, 0]], [[1, 1], [1, 0]]])
    each = _lost(P, r, policies)[:, 0]
    expect(answer(P, r, policies), each.cumsum(), "Three episodes of two steps, none of them perfect", {
        "this is what each episode lost; regret is what all of them have lost so far": each,
        "your standard is the best episode that was played; the best policy would have earned more":
            (each - each.min()).cumsum(),
        "this is the mean loss so far: it may fall while regret grows":
            each.cumsum() / np.arange(1, 4),
    })  # fmt: skip


@EPISODES.drawn
def _any_episodes(rng: np.random.Generator) -> tuple:
    P = rng.dirichlet(np.ones(3), size=(3, 2))
    return P, rng.normal(size=(3, 2)), rng.integers(2, size=(4, 3, 3))


# ------------------------------------------------------------------------------------------ mend


def posterior_spread(counts: np.ndarray, prior: float) -> np.ndarray:
    """Standard deviation (..., K) of probabilities drawn from a Dirichlet posterior.

    counts (..., K): how often each of K states followed. prior: imagined observations of
    each, above 0. Parameters c with the sum C draw a probability with mean m = c / C and
    variance m (1 - m) / (C + 1).

    Book: foundations/regret
    """
    # solution
    c = counts + prior
    # given
    # c = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1) + prior
    # end
    C = c.sum(axis=-1, keepdims=True)
    m = c / C
    return np.sqrt(m * (1 - m) / (C + 1))


SPREAD = Exercise(
    "regret-mend-spread",
    "Break: a posterior that never gets surer, to be mended",
    PAGE,
    BREAK,
    posterior_spread,
)


def _spread(c: np.ndarray) -> np.ndarray:
    m = c / c.sum(axis=-1, keepdims=True)
    return np.sqrt(m * (1 - m) / (c.sum(axis=-1, keepdims=True) + 1))


def _by_mistake(counts: np.ndarray, prior: float) -> dict[str, np.ndarray]:
    n = counts.sum(axis=-1, keepdims=True)
    seen = np.maximum(n, 1)
    m = (counts + prior) / (counts + prior).sum(axis=-1, keepdims=True)
    return {
        "as before, the posterior is given shares: after ten tries and after a thousand it knows as much as "
        "after one": _spread(counts / seen + prior),
        "counts and prior are divided by their sum: these are the means, and their own sum is always 1":
            _spread(m),
        "this is the variance: its root is in the units of a probability": _spread(counts + prior) ** 2,
        "the parameters are divided by the number of tries, prior included": _spread((counts + prior) / seen),
        "the imagined observations are lost: where one state was seen every time, the posterior is certain":
            _spread(counts + 1e-12),
    }  # fmt: skip


@SPREAD.probe(
    "a hundred tries make it surer than ten",
    "Call yours with counts 3, 6, 1 and with 30, 60, 10. Which of its lines sees a difference?",
    "What does the posterior of Dirichlet have as its parameters: shares, or counts?",
    "The parameters are `counts + prior`: their sum grows with every try.",
)
def _surer(answer: Callable) -> None:
    few = np.array([3.0, 6.0, 1.0])
    counts = np.stack([few, 10 * few])
    about = "3, 6 and 1 of ten tries, and 30, 60 and 10 of a hundred, prior 0.2"
    expect(answer(counts, 0.2), _spread(counts + 0.2), about, _by_mistake(counts, 0.2))


@SPREAD.probe(
    "before the first try it is as wide as the prior says",
    "Without a try, the parameters are the imagined observations, and nothing has to be divided.",
)
def _nothing_seen(answer: Callable) -> None:
    counts = np.array([[0.0, 0.0, 0.0, 0.0], [0.0, 7.0, 0.0, 0.0]])
    about = "No try, and seven of which all led to one state; prior 0.5"
    right = _spread(counts + 0.5)
    expect(answer(counts, 0.5), right, about, {
        **_by_mistake(counts, 0.5),
        "where nothing was tried yours is certain: there it knows least": right * [[0.0], [1.0]],
    })  # fmt: skip


@SPREAD.probe(
    "and each pair of a table is surer of what it has tried itself",
    "Sums go along the last axis alone: `axis=-1, keepdims=True`.",
)
def _table(answer: Callable) -> None:
    counts = np.array([[[40.0, 0.0], [1.0, 2.0]], [[0.0, 5.0], [0.0, 0.0]]])
    expect(answer(counts, 1.0), _spread(counts + 1.0), "Two states with two actions each, prior 1", {
        **_by_mistake(counts, 1.0),
        "the tries of all pairs are added up: what was learned elsewhere makes this pair too sure":
            np.sqrt(_spread(counts + 1.0) ** 2 * ((counts + 1).sum(axis=-1, keepdims=True) + 1)
                    / ((counts + 1).sum() + 1)),
    })  # fmt: skip
