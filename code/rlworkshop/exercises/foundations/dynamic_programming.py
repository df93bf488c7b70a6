"""Exercises of the chapter on dynamic programming.

Book: foundations/dynamic_programming
"""

import math
from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect
from rlworkshop.foundations import dynamic_programming as dp
from rlworkshop.foundations.key_concepts import MDP, state_values

PAGE = "foundations/dynamic_programming"
WAIT = "Value iteration, and when to stop"
TIES = "Ties: when actions are equally good, stop by values"
BREAK = "Break it: a prize that is paid again and again"

# ------------------------------------------------------------------------------------------ derive


def sweeps_ahead(gamma: float, change: float, tolerance: float) -> int:
    """How many sweeps in all, the first one included, make the error at most ``tolerance``.

    gamma: above 0 and below 1. change: the largest ``|V_1 - V_0|``, after the first sweep of
    value iteration; above 0. tolerance: above 0. The smallest number that is certain.

    Book: foundations/dynamic_programming
    """
    # solution
    k = math.log(tolerance * (1 - gamma) / change) / math.log(gamma)
    return max(1, math.ceil(k))
    # end


AHEAD = Exercise(
    "dynamic-programming-sweeps-ahead", "Derive: how many sweeps it will take", PAGE, WAIT, sweeps_ahead
)
SERIES = (
    "The stopping rule bounds the error after sweep k by γ/(1 − γ) times the k-th change. How large can the "
    "k-th change be, if the first one was c?",
    "Each change is at most γ times the one before, so the k-th is at most γ^(k−1) c. Put that in, and solve "
    "for k with a logarithm.",
)


@AHEAD.probe("γ = 0.9, a first change of 2, tolerance 0.01", *SERIES)
def _seventy_three(answer: Callable) -> None:
    about = "With γ = 0.9, a first change of 2 and a tolerance of 0.01"
    expect(_count(answer(0.9, 2.0, 0.01)), np.float64(73), about, {
        "that many sweeps make the *change* small, not the error: what is still to come is a whole series of "
        "changes, and adds up to γ/(1 − γ) times the last one": 52,
        "1/(1 − γ) is missing: what is still to come after sweep k is a geometric series": 51,
        "one sweep is missing: round up, and count the first one, too": 72,
        "one sweep too many: what is still to come begins with γ times the last change, which is itself "
        "behind you": 74,
        "the first change is not looked at: twice the change is twice the error": 66,
        "1 − γ is on the wrong side of the fraction: the nearer γ is to one, the more sweeps it takes": 29,
    })  # fmt: skip


@AHEAD.probe(
    "where the first sweep was enough, it says 1",
    "A formula with a logarithm goes below zero without a blush. How many sweeps have you done already?",
)
def _done(answer: Callable) -> None:
    about = "With γ = 0.5, a first change of 0.001 and a tolerance of 0.1, it is done after the first sweep"
    expect(_count(answer(0.5, 0.001, 0.1)), np.float64(1), about, {
        "you have done one sweep already: the answer is never below 1": -5,
        "it says that nothing has to be done: the sweep that gave the change counts, too": 0,
    })  # fmt: skip


@AHEAD.probe(
    "where one state pays 1 for ever, which is the worst case, it is just enough",
    "There V_k = (1 − γ^k) / (1 − γ), so the error after k sweeps is γ^k / (1 − γ). Try your number and one "
    "less.",
)
def _just_enough(answer: Callable) -> None:
    for gamma, tolerance in ((0.5, 0.3), (0.99, 0.05), (0.999, 3.0)):
        k = _count(answer(gamma, 1.0, tolerance))
        about = f"γ = {gamma}, tolerance {tolerance}"
        if gamma**k / (1 - gamma) > tolerance:
            raise Wrong(f"{about}: after {k:.0f} sweeps the error is still {gamma**k / (1 - gamma):.4g}")
        if gamma ** (k - 1) / (1 - gamma) <= tolerance:
            raise Wrong(f"{about}: {k:.0f} sweeps are more than it takes")


def _count(got: object) -> np.float64:
    """A whole number, however it is stored."""
    if not isinstance(got, int | float | np.integer | np.floating) or got != int(got):
        raise Wrong(f"the answer should be a whole number of sweeps; it is {got!r}", SERIES)
    return np.float64(got)


# ------------------------------------------------------------------------------------------ implement


def list_sweep(P: dict, V: np.ndarray, gamma: float) -> np.ndarray:
    """One sweep of value iteration over a model in the form of Gymnasium's small worlds: (S,).

    P[s][a]: list of (probability, next_state, reward, terminated), for each state s from 0
    to S - 1 and each action a. What is ``terminated`` has nothing after it.
    V (S,): the values before the sweep.

    Book: foundations/dynamic_programming
    """
    # solution
    new = np.zeros(len(P))
    for s in range(len(P)):
        worth = [
            sum(p * (r + gamma * V[t] * (not over)) for p, t, r, over in outcomes)
            for outcomes in P[s].values()
        ]
        new[s] = max(worth)
    return new
    # end


LIST = Exercise(
    "dynamic-programming-from-a-list", "Implement: a model that is a list", PAGE, WAIT, list_sweep
)


@LIST.probe(
    "one state, an action that is sure and one with two outcomes",
    "For each action: the sum over its outcomes of probability times (reward plus γ times the next value).",
    "Then the largest of these over the actions.",
)
def _two_outcomes(answer: Callable) -> None:
    P = {0: {0: [(1.0, 0, 2.0, False)], 1: [(0.25, 0, 8.0, False), (0.75, 0, 4.0, False)]}}
    about = "Sure 2, or 8 with probability 1/4 and else 4; V = 10, γ = 1/2. The second is worth 5 + 5"
    expect(answer(P, np.array([10.0]), 0.5), np.array([10.0]), about, {
        "the probabilities are left out: outcomes are averaged, not added up": np.array([22.0]),
        "this is the mean over actions: the best one is asked for": np.array([8.5]),
        "this is the worst action: value iteration takes the best": np.array([7.0]),
        "what comes after is left out: γ times the next state's value": np.array([5.0]),
        "this is the luckiest outcome, not the best action: nobody chooses what the world does":
            np.array([13.0]),
        "the next value is not discounted": np.array([15.0]),
    })  # fmt: skip


@LIST.probe(
    "behind an end there is nothing, whatever V says of the state that was reached",
    "The fourth entry of an outcome says that the episode is over: what is the next state's value then?",
    "The reward of the step that ends the episode is paid all the same.",
)
def _over(answer: Callable) -> None:
    P = {0: {0: [(0.5, 1, 1.0, True), (0.5, 0, 0.0, False)]}, 1: {0: [(1.0, 1, 0.0, True)]}}
    about = "From state 0, half of the time to an end that pays 1; V = (2, 8), γ = 1/2"
    expect(answer(P, np.array([2.0, 8.0]), 0.5), np.array([1.0, 0.0]), about, {
        "it goes on after the end: the flag `terminated` is not looked at": np.array([3.0, 4.0]),
        "where the episode ends, its last reward is lost": np.array([0.5, 0.0]),
        "the flag is looked at the wrong way round: only what has ended goes on": np.array([2.5, 4.0]),
    })  # fmt: skip


@LIST.probe(
    "all states are updated from the values before the sweep",
    "Write into an array of its own, and read from `V`.",
)
def _all_at_once(answer: Callable) -> None:
    P = {s: {0: [(1.0, max(s - 1, 0), 1.0, False)]} for s in range(4)}
    expect(answer(P, np.zeros(4), 0.5), np.ones(4), "Each state leads to the one before and pays 1; V = 0", {
        "states see what this sweep has written already: that is a sweep in place":
            np.array([1.0, 1.5, 1.75, 1.875]),
    })  # fmt: skip


@LIST.probe(
    "repeated, it finds the values of the small world",
    "Print the values after 1, 2, 3 sweeps beside those of `dp.optimality_sweep`.",
)
def _small_world(answer: Callable) -> None:
    small, V = dp.four_by_three(), np.zeros(11)
    P: dict = {s: {a: [(1.0, s, 0.0, True)] for a in range(4)} for s in range(11)}
    for s, a in np.argwhere(small.P.any(axis=2)).tolist():
        reached = np.flatnonzero(small.P[s, a]).tolist()
        P[s][a] = [(small.P[s, a, t], t, small.R[s, a, t], bool(small.terminal[t])) for t in reached]
    for _ in range(200):
        V = answer(P, V, 0.99)
    expect(V, dp.optimal_values(small, 0.99)[0], "200 sweeps over the small world of this page, γ = 0.99")


# ------------------------------------------------------------------------------------------ mend


def improve(Q: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Actions (S,) of a better policy, as integers; the old ones where nothing is gained.

    Q (S, A): what each action is worth under the old policy; differences below 1e-9 are
    rounding. actions (S,): those of the old policy.

    Book: foundations/dynamic_programming
    """
    # solution
    gain = Q.max(axis=1) - Q[np.arange(len(Q)), actions]  # (S,)
    return np.where(gain > 1e-9, Q.argmax(axis=1), actions)
    # given
    # return Q.argmax(axis=1)
    # end


TIE = Exercise(
    "dynamic-programming-keep-ties",
    "Break: a policy that never comes to rest, to be mended",
    PAGE,
    TIES,
    improve,
)


def _actions(answer: Callable, Q: np.ndarray, actions: list[int] | np.ndarray) -> np.ndarray:
    got = answer(Q, np.asarray(actions))
    if not isinstance(got, np.ndarray) or got.dtype.kind not in "iu" or got.shape != (len(Q),):
        raise Wrong(f"`improve` should return an array of {len(Q)} integers, one action for each state")
    return got.astype(float)


@TIE.probe(
    "where an action is better, it is taken",
    "This part worked when you got the file: the largest of each row of `Q`.",
)
def _better(answer: Callable) -> None:
    Q = np.array([[1.0, 2.0, 0.0], [5.0, 4.0, 3.0], [0.0, 1.0, 1.001]])
    about = "The best actions are 1, 0 and 2, and the old ones 0, 2 and 1"
    expect(_actions(answer, Q, [0, 2, 1]), np.array([1.0, 0.0, 2.0]), about, {
        "nothing is improved: the old actions come back": np.array([0.0, 2.0, 1.0]),
        "a gain of 0.001 is no rounding: it is left lying": np.array([1.0, 0.0, 1.0]),
        "these are the worst actions": np.array([2.0, 2.0, 0.0]),
    })  # fmt: skip


@TIE.probe(
    "where the old action is one of the best, it stays",
    "What is gained by the best action over the old one? `Q[np.arange(len(Q)), actions]` is what the old are "
    "worth.",
    "`np.where(gained, best, old)`.",
)
def _tie(answer: Callable) -> None:
    Q = np.array([[2.0, 2.0, 0.0], [3.0, 3.0, 3.0]])
    about = "The old actions 1 and 2 are as good as any"
    expect(_actions(answer, Q, [1, 2]), np.array([1.0, 2.0]), about, {
        "it moves to another action that is exactly as good: of several, `argmax` takes the first, whatever "
        "was there before": np.array([0.0, 0.0]),
    })  # fmt: skip


@TIE.probe(
    "a difference in the last digits is no gain",
    "How much may two sums differ that are equal but for rounding? The docstring says it.",
)
def _rounding(answer: Callable) -> None:
    Q = np.array([[2.0 + 1e-13, 2.0, 0.0], [3.0, 3.0 + 1e-12, 3.0]])
    about = "The old actions 1 and 2 are as good as any, but for 1e-12"
    expect(_actions(answer, Q, [1, 2]), np.array([1.0, 2.0]), about, {
        "rounding moves it: values that are computed are hardly ever *equal*": np.array([0.0, 1.0]),
    })  # fmt: skip


@TIE.probe(
    "with it, policy iteration comes to rest at the best policy, fair coin or not",
    "Print the policies of a few rounds, and where they differ.",
)
def _gambler(answer: Callable) -> None:
    for p_heads in (0.5, 0.4):
        bet = dp.gambler(p_heads, goal=20)
        actions = np.random.default_rng(0).integers(10, size=21)
        for _ in range(50):
            V = state_values(bet, np.eye(10)[actions], 1.0)
            before, actions = actions, _actions(answer, dp.lookahead(bet, V, 1.0), actions).astype(int)
            if (actions == before).all():
                break
        else:
            raise Wrong(f"with {p_heads} for heads, the gambler's policy still changes after 50 rounds")
        expect(V, dp.optimal_values(bet, 1.0)[0], f"Where it came to rest with {p_heads} for heads")


# ------------------------------------------------------------------------------------------ diagnose


def certificate(P: np.ndarray, r: np.ndarray, V: np.ndarray, gamma: float) -> float:
    """A number that the largest ``|V(s) - V*(s)|`` cannot exceed, from one sweep.

    P (S, A, S): probabilities; all zero where nothing comes after. r (S, A): expected rewards.
    V (S,): values that are said to be optimal. gamma: below 1.
    The smallest such number that one can know from the largest change of a sweep.

    Book: foundations/dynamic_programming
    """
    # solution
    swept = (r + gamma * P @ V).max(axis=1)  # (S,)
    return np.abs(swept - V).max() / (1 - gamma)
    # end


CERTIFY = Exercise(
    "dynamic-programming-certificate", "Diagnose: how far off can a table be?", PAGE, BREAK, certificate
)
TRIANGLE = (
    "Go from V to V* by way of T*V: one part you can measure, the other one is a contraction.",
    "‖V − V*‖ ≤ ‖V − T*V‖ + γ ‖V − V*‖. Solve that for ‖V − V*‖.",
)


def _limit(answer: Callable, mdp: MDP, V: np.ndarray, gamma: float) -> np.float64:
    got = answer(mdp.P, mdp.r, V, gamma)
    if np.ndim(got) or not isinstance(got, int | float | np.number):
        raise Wrong("the answer should be one number, for all states together", TRIANGLE)
    return np.float64(got)


@CERTIFY.probe(
    "for the true values it is zero", "A sweep leaves the optimal values alone: see what it changes."
)
def _true(answer: Callable) -> None:
    mdp = dp.random_mdp(np.random.default_rng(0), 6, 3, 2)
    V = dp.optimal_values(mdp, 0.9)[0]
    swept = (mdp.r + 0.9 * mdp.P @ V).mean(axis=1)
    expect(_limit(answer, mdp, V, 0.9), np.float64(0), "The values are optimal", {
        "the sweep averages over the actions: optimal values agree with the best one":
            np.abs(swept - V).max() / 0.1,
    })  # fmt: skip


@CERTIFY.probe("a guess of zero where one state pays 1 for ever", *TRIANGLE)
def _forever(answer: Callable) -> None:
    forever = MDP(np.ones((1, 1, 1)), np.ones((1, 1, 1)), np.ones(1))
    about = "One state that pays 1 for ever, γ = 0.9: its value is 10, and the table says 0"
    expect(_limit(answer, forever, np.zeros(1), 0.9), np.float64(10), about, {
        "this is the change of one sweep: a small change at γ near one can hide a large error": 1.0,
        "that would bound the error of the *swept* table: γ/(1 − γ). You are asked about the one before": 9.0,
        "1/γ is not 1/(1 − γ): what is the sum of a geometric series?": 1 / 0.9,
    })  # fmt: skip


@CERTIFY.probe(
    "values that are too high are as wrong as those that are too low",
    "In which state is the change largest, whatever its sign?",
)
def _too_high(answer: Callable) -> None:
    P = np.eye(3)[:, None]  # three states that stay where they are
    mdp = MDP(P, np.array([1.0, 0.0, 0.0])[:, None, None] * np.ones((3, 1, 3)), np.eye(3)[0])
    about = "Three states that stay, γ = 1/2, values (2, 0, 0); the table says (1, 8, 0)"
    expect(_limit(answer, mdp, np.array([1.0, 8.0, 0.0]), 0.5), np.float64(8), about, {
        "only values that are too low are noticed: the change needs its size, not its sign": 1.0,
        "this averages over the states: the promise is for each of them": 3.0,
        "this adds up over the states: the worst one is asked for": 9.0,
    })  # fmt: skip


@CERTIFY.drawn
def _any_table(rng: np.random.Generator) -> tuple:
    mdp = dp.random_mdp(rng, 4, 2, 2)
    return mdp.P, mdp.r, rng.normal(size=4), rng.uniform(0.1, 0.95)


@CERTIFY.probe(
    "the table of *Break it* is caught",
    "Terminal states are states, too: what does a sweep make of their values?",
)
def _broken(answer: Callable) -> None:
    small = dp.four_by_three()
    P, R = small.P.copy(), small.R.copy()
    for s, prize in zip(np.flatnonzero(small.terminal), (1.0, -1.0), strict=True):
        P[s, :, s], R[s, :, s] = 1.0, prize
    V = dp.optimal_values(MDP(P, R, small.start), 0.99)[0]
    acting = ~small.terminal
    there = (small.r + 0.99 * small.P @ V).max(axis=1) - V
    expect(_limit(answer, small, V, 0.99), np.float64(1e4), "Their table, held against our small world", {
        "terminal states are left out: there the table is wrong, and nowhere else by itself":
            np.abs(there[acting]).max() / 0.01,
    })  # fmt: skip
