"""Exercises of the chapter on evaluating agents.

Book: foundations/evaluating_agents
"""

import itertools
from collections.abc import Callable
from math import comb

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "foundations/evaluating_agents"
SCORES = "Three scores that must not be mixed"
LOOKING = "False discoveries, counted by A/A tests"
BREAK = "Break it: resampling episodes"

# ------------------------------------------------------------------------------------------ derive


def best_of_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Mean of the best of ``k`` different runs out of ``scores``, all groups equally likely.

    scores (N,): one for each run, in any order. k: from 1 to N.
    Returns one number, of shape ().

    Book: foundations/evaluating_agents
    """
    # solution
    ranked = np.sort(scores)
    groups = [comb(i, k - 1) for i in range(len(ranked))]  # in which rank i is the best
    return (ranked * groups).sum() / sum(groups)
    # end


BEST = Exercise(
    "evaluating-agents-best-of-k",
    "Derive: the best of k different runs",
    PAGE,
    SCORES,
    best_of_k,
)


@BEST.probe(
    "the best of two out of three runs",
    "Write down the three groups, and the best of each.",
    "After sorting, run i (from 0) is the best of a group whose k - 1 others come from the i runs below it.",
)
def _two_of_three(answer: Callable) -> None:
    scores = np.array([6.0, 0.0, 3.0])
    expect(answer(scores, 2), np.float64(5), "Scores 6, 0, 3: the groups have the best runs 6, 6 and 3", {
        "this draws with replacement: the same run can come twice, and a group has k different ones":
            (5 * 6 + 3 * 3 + 0) / 9,
        "this is the best of all runs, whatever k is": 6.0,
        "this is the mean of all runs, whatever k is": 3.0,
        "this is the mean of the k best runs: a group without the best run has a best run, too": 4.5,
        "this is the *worst* of the groups: the runs are counted that lie above, not below": 1.0,
        "the scores are not sorted: a run's place in the list says nothing": (0 * 1 + 3 * 2) / 3,
    })  # fmt: skip


@BEST.probe(
    "one run alone is worth the mean, and all together the maximum",
    "How many groups of one run are there, and how many of N?",
)
def _ends(answer: Callable) -> None:
    scores = np.array([1.0, -2.0, 4.0, 9.0])
    expect(answer(scores, 1), np.float64(3), "The best of one run out of four, with the mean 3")
    expect(answer(scores, 4), np.float64(9), "The best of four runs out of four", {
        "with k = N there is one group, and its best run is the maximum": 3.0,
    })  # fmt: skip


@BEST.probe(
    "ten runs, some of them equal: it is the mean over all groups, listed",
    "`math.comb(i, k - 1)` counts the groups, and there are `math.comb(N, k)` in all.",
    "Ties need no care: of equal runs, one counts as the higher.",
)
def _listed(answer: Callable) -> None:
    scores = np.round(np.random.default_rng(0).normal(size=10), 1)
    scores[3] = scores[7]
    for k in (2, 3, 5, 8):
        want = np.mean([max(group) for group in itertools.combinations(scores, k)])
        expect(answer(scores, k), np.float64(want), f"The best of {k} out of ten runs")


# ------------------------------------------------------------------------------------------ implement


def holm(p_values: np.ndarray) -> np.ndarray:
    """Adjusted p values (m,) after Holm: those below a level can be claimed together.

    p_values (m,): of m tests, in any order. The answer is in the same order, and at most 1.

    Book: foundations/evaluating_agents
    """
    # solution
    order = np.argsort(p_values)
    factors = len(p_values) - np.arange(len(p_values))  # m, m - 1, … 1
    stepped = np.maximum.accumulate(factors * p_values[order])
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted
    # end


HOLM = Exercise("evaluating-agents-holm", "Implement: Holm's correction", PAGE, LOOKING, holm)


@HOLM.probe(
    "the smallest p value is multiplied by the number of tests, the largest by 1",
    "Sort first: which factor belongs to which rank?",
)
def _factors(answer: Callable) -> None:
    p = np.array([0.01, 0.02, 0.04])
    expect(answer(p), np.array([0.03, 0.04, 0.04]), "p values 0.01, 0.02, 0.04", {
        "every p value is multiplied by m: that is Bonferroni, which is right but claims less": 3 * p,
        "the factors are turned round: the *smallest* p value is multiplied by m": [0.01, 0.04, 0.12],
        "each is multiplied by m and divided by its rank: that is Benjamini and Hochberg's procedure, whose "
        "promise is about the share of false discoveries": [0.03, 0.03, 0.04],
    })  # fmt: skip


@HOLM.probe(
    "the answer is in the order of the question",
    "`np.argsort` says where each sorted value came from. Write the results back to there.",
)
def _order(answer: Callable) -> None:
    p = np.array([0.04, 0.001, 0.02])
    expect(answer(p), np.array([0.04, 0.003, 0.04]), "p values 0.04, 0.001, 0.02", {
        "the adjusted values come back sorted: whose are they?": [0.003, 0.04, 0.04],
        "the factors follow the order of the list, not the size of the p values": [0.12, 0.12, 0.12],
        "the factors follow the list's order, and nothing is sorted": [0.12, 0.002, 0.02],
    })  # fmt: skip


@HOLM.probe(
    "after the first test that fails, none can be claimed",
    "0.03 · 2 is more than 0.05, so the procedure stops there. May 0.04 · 1 pass behind it?",
    "A running maximum over the sorted values: `np.maximum.accumulate`.",
)
def _stops(answer: Callable) -> None:
    p = np.array([0.01, 0.03, 0.04])
    expect(answer(p), np.array([0.03, 0.06, 0.06]), "p values 0.01, 0.03, 0.04", {
        "the last one passes at 0.05 although the one before it has failed: an adjusted value is never below "
        "that of a smaller p value": [0.03, 0.06, 0.04],
    })  # fmt: skip


@HOLM.probe("no adjusted p value is above 1", "A probability of 1.6?")
def _at_most_one(answer: Callable) -> None:
    p = np.array([0.8, 0.4, 0.9, 0.7])
    expect(answer(p), np.ones(4), "p values 0.8, 0.4, 0.9, 0.7")


# ------------------------------------------------------------------------------------------ mend


def standard_error(returns: np.ndarray) -> np.ndarray:
    """Standard error of an algorithm's mean return, seeds that were not run in mind.

    returns (S, E): of S trained policies, one for each seed, E episodes each.
    Returns one number, of shape ().

    Book: foundations/evaluating_agents
    """
    # solution
    policies = returns.mean(axis=1)  # (S,), one number for each seed
    return policies.std(ddof=1) / len(policies) ** 0.5
    # given
    # return returns.std(ddof=1) / returns.size ** 0.5
    # end


MEND = Exercise(
    "evaluating-agents-standard-error",
    "Break: find what is counted wrongly, and mend it",
    PAGE,
    BREAK,
    standard_error,
)


@MEND.probe(
    "three policies that play every episode alike",
    "How many independent numbers are there, when every episode of a policy is the same?",
    "One number for each seed first; then the standard error of these.",
)
def _all_alike(answer: Callable) -> None:
    returns = np.repeat([[1.0], [2.0], [3.0]], 100, axis=1)
    expect(answer(returns), np.float64(1 / 3**0.5), "Policies that score 1, 2, 3 in each of 100 episodes", {
        "300 episodes are taken for 300 independent runs, and there were three trainings":
            returns.std(ddof=1) / 300**0.5,
        "the standard deviation is that of the sample and not of what it was drawn from: ddof=1":
            returns.mean(axis=1).std() / 3**0.5,
        "this is the standard deviation between policies: the error of the *mean* falls with more seeds":
            1.0,
        "the policies' means are right; it is divided by the number of episodes, too": 1 / 300**0.5,
        "the mean is taken over the seeds: what is left is the scatter of episodes": 0.0,
    })  # fmt: skip


@MEND.probe(
    "showing every episode twice makes nothing surer",
    "Does your number get smaller when the same returns are listed twice?",
    "Neither the number of episodes nor their scatter should stand in it by itself.",
)
def _twice(answer: Callable) -> None:
    returns = np.random.default_rng(0).normal(size=(5, 8)) + np.arange(5.0)[:, None]
    want = returns.mean(axis=1).std(ddof=1) / 5**0.5
    expect(answer(returns), np.float64(want), "Five policies, eight episodes each", {
        "it mixes the scatter of all episodes with the number of seeds": returns.std(ddof=1) / 5**0.5,
        "the policies' variances within are averaged, and what differs *between* them is lost":
            (returns.var(axis=1, ddof=1).mean() / 40) ** 0.5,
        "the scatter within the policies is added once more: their means already have it":
            (want**2 + returns.var(axis=1, ddof=1).mean() / 40) ** 0.5,
    })  # fmt: skip
    expect(answer(np.tile(returns, 2)), np.float64(want), "The same, every episode listed twice")


@MEND.probe(
    "rewards in other units, and one episode a policy",
    "With one episode each, what is the mean of a policy's returns?",
)
def _units(answer: Callable) -> None:
    returns = np.random.default_rng(1).normal(size=(6, 4))
    want = 1000 * returns.mean(axis=1).std(ddof=1) / 6**0.5
    expect(answer(1000 * returns - 7), np.float64(want), "Returns a thousand times as large, and shifted")
    one = returns[:, :1]
    expect(answer(one), np.float64(one.std(ddof=1) / 6**0.5), "Six policies with one episode each")
