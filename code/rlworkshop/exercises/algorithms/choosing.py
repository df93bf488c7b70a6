"""Exercises of the chapter on choosing an algorithm.

Book: algorithms/choosing
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect

PAGE = "algorithms/choosing"
COST = "What a success costs"
PROFILE = "Performance profiles on shared tasks"


# ------------------------------------------------------------------------------------------ implement


def give_up_at(steps: np.ndarray, limits: np.ndarray) -> tuple[float, float]:
    """When to give up on a run and begin anew, so that a success costs the fewest steps.

    steps (S,): when each run of an algorithm reached its goal; NaN: never.
    limits (L,): the limits to choose from. A run that has not reached the goal by then, has
    cost as many steps as the limit; one that reaches it at the limit has made it.
    Returns the best of the limits, and the expected steps until a success with it.

    Book: algorithms/choosing
    """
    # solution
    made = steps[:, None] <= limits  # (S, L); NaN is not below anything
    spent = np.where(made, steps[:, None], limits)  # (S, L)
    share = made.mean(axis=0)  # (L,)
    cost = np.full(len(limits), np.inf)
    np.divide(spent.mean(axis=0), share, out=cost, where=share > 0)
    best = cost.argmin()
    return float(limits[best]), float(cost[best])
    # end


GIVE_UP = Exercise("choosing-give-up", "Implement: when to give up on a run", PAGE, COST, give_up_at)
HALVES = np.array([100.0, 100.0, np.nan, np.nan])
TAIL = np.array([10.0, 20.0, 30.0, 1000.0])


def _two(answer: Callable, steps: np.ndarray, limits: np.ndarray) -> tuple[float, float]:
    with np.errstate(all="ignore"):
        got = answer(steps.copy(), limits.copy())
    if not (isinstance(got, tuple) and len(got) == 2):
        raise Wrong("it should return two numbers: the limit, and the expected steps")
    return float(got[0]), float(got[1])


@GIVE_UP.probe(
    "one limit: runs that fail cost steps, and are followed by others",
    "Two of four runs make it, after 100 steps. What have the other two cost at a limit of 300?",
    "On average a run costs 200 steps and succeeds half of the time: so two runs are needed.",
)
def _one(answer: Callable) -> None:
    _, cost = _two(answer, HALVES, np.array([300.0]))
    expect(cost, 400.0, "Expected steps with two of four runs at 100, and a limit of 300", {
        "runs that fail have cost nothing here": 100.0,
        "this is the mean cost of one run, and half of them fail": 200.0,
    })  # fmt: skip


@GIVE_UP.probe(
    "of several limits the cheapest: a long tail is cut off",
    "Three runs are done by step 30, the fourth takes 1,000.",
    "At a limit of 30: (10 + 20 + 30 + 30) / 4 steps a run, and three of four succeed.",
)
def _best(answer: Callable) -> None:
    limit, cost = _two(answer, TAIL, np.array([10.0, 30.0, 1000.0]))
    expect(limit, 30.0, "The best of the limits 10, 30 and 1,000 for runs of 10, 20, 30 and 1,000", {
        "so early nearly every run is given up": 10.0,
        "it waits for the slowest, which costs more than all others together": 1000.0,
    })  # fmt: skip
    expect(cost, 30.0, "The expected steps with it", {"this is the mean without the division": 22.5})


@GIVE_UP.probe(
    "a limit that no run makes is never chosen",
    "At a limit of 5 no run succeeds, and dividing by 0 gives no number.",
    "Its cost is infinite.",
)
def _none(answer: Callable) -> None:
    limit, cost = _two(answer, TAIL, np.array([5.0, 30.0]))
    if not np.isfinite(cost):
        raise Wrong(f"it chose a limit of {limit:g} steps, which no run makes: its cost is {cost}")
    expect(limit, 30.0, "The best of the limits 5 and 30", {"no run makes it in 5 steps": 5.0})


@GIVE_UP.probe(
    "the best of twenty limits, of runs that vary a hundredfold",
    "The cost as a function of the limit may fall, rise and fall again: try them all.",
)
def _random(answer: Callable) -> None:
    steps, limits = np.array([10.0, *[100.0] * 9]), np.array([10.0, 50.0, 100.0])
    expect(_two(answer, steps, limits)[0], 100.0, "The best limit for one run of 10 and nine of 100", {
        "at 10 a success costs 100 steps, at 100 only 91": 10.0,
    })  # fmt: skip
    rng = np.random.default_rng(3)
    for _ in range(5):
        steps = rng.lognormal(4, 1.5, 30)
        steps[rng.random(30) < 0.2] = np.nan
        limits = np.sort(rng.uniform(20, 2000, 20))
        got, right = (np.array(_two(f, steps, limits)) for f in (answer, give_up_at))
        expect(got, right, "The best limit and its cost, for 30 runs of which some never make it", {})


# ------------------------------------------------------------------------------------------ read


def ahead(x: np.ndarray, y: np.ndarray) -> float:
    """Probability that a run of x scores above a run of y, from their performance profiles.

    x, y (T,): performance profiles at the same rising thresholds, the share of runs above
    each. All runs lie above the first threshold, none above the last: both go from 1 to 0.
    If two runs lie between the same neighbouring thresholds, count half.

    Book: algorithms/choosing
    """
    # solution
    within = x[:-1] - x[1:]  # (T-1,) share of x's runs between neighbouring thresholds
    below = 1 - y[:-1]  # (T-1,) share of y's runs under the lower of the two
    tied = y[:-1] - y[1:]  # (T-1,)
    return float((within * (below + tied / 2)).sum())
    # end


AHEAD = Exercise("choosing-ahead", "Read: who wins, from two profiles", PAGE, PROFILE, ahead)


def _profile(runs: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    return (runs[:, None] > thresholds).mean(axis=0)  # (T,)


FINE = np.linspace(0, 1, 101)
MANY, FEW = np.array([0.305, 0.505, 0.905, 0.955]), np.array([0.405, 0.605])


@AHEAD.probe(
    "if all runs of one lie above all of the other it is 1, and the other way round 0",
    "Go through the thresholds: how many runs of x lie between two neighbours, and how many of y below?",
    "The profile falls by the share of runs that lie between two thresholds.",
)
def _sure(answer: Callable) -> None:
    high, low = (_profile(np.array(runs), FINE) for runs in ([0.705, 0.905], [0.105, 0.205]))
    expect(answer(high, low), 1.0, "x above y everywhere", {
        "this is the other way round": 0.0,
        "this is the mean difference of the profiles, by how much x is better and not how often": float(
            (high - low).mean()
        ),
        "this is the area between the profiles, by how much x is better and not how often": 0.65,
    })  # fmt: skip
    expect(answer(low, high), 0.0, "x below y everywhere", {"this is the other way round": 1.0})


@AHEAD.probe(
    "profiles that cross: pairs are counted, one run of each",
    "Of the eight pairs five are won: 0.505 against 0.405, and 0.905 and 0.955 against both.",
    "A higher profile at most thresholds does not win most pairs.",
)
def _crossing(answer: Callable) -> None:
    x, y = _profile(MANY, FINE), _profile(FEW, FINE)
    expect(answer(x, y), 0.625, "Runs at 0.305, 0.505, 0.905, 0.955 against 0.405, 0.605", {
        "this is the share of thresholds at which x is the higher": float((x > y).sum() / (x != y).sum()),
    })  # fmt: skip


@AHEAD.probe(
    "against itself an algorithm has one half, ties included",
    "If both runs lie between the same two thresholds, that is half a win.",
)
def _ties(answer: Callable) -> None:
    same = _profile(np.array([0.105, 0.505, 0.905]), FINE)
    expect(answer(same, same), 0.5, "A profile against itself", {
        "ties are left out": 1 / 3,
        "ties are won": 2 / 3,
    })  # fmt: skip


@AHEAD.probe(
    "many runs, against all pairs",
    "No number on the way needs rounding.",
)
def _random_runs(answer: Callable) -> None:
    rng = np.random.default_rng(5)
    for _ in range(5):
        high, low = rng.beta(4, 2, 12), rng.beta(2, 2, 9)
        x, y = _profile(high, FINE), _profile(low, FINE)
        bins = np.floor(high[:, None] * 100), np.floor(low * 100)
        pairs = (np.sign(np.subtract(*bins)) + 1).mean() / 2
        expect(np.round(answer(x, y), 9), np.round(pairs, 9), "The share of pairs that x wins", {})
