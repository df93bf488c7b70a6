"""Plausible wrong answers to the exercises on evaluating agents, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

from math import comb

import numpy as np

from rlworkshop.exercises.foundations import evaluating_agents
from rlworkshop.foundations import evaluating_agents as ev

# ---- the best of k


def with_replacement(scores, k):
    return ev.expected_best(scores, k)


def maximum(scores, k):
    return scores.max()


def mean(scores, k):
    return scores.mean()


def mean_of_the_best(scores, k):
    return np.sort(scores)[-k:].mean()


def worst_of_k(scores, k):
    return -evaluating_agents.best_of_k(-scores, k)


def unsorted(scores, k):
    groups = np.array([comb(i, k - 1) for i in range(len(scores))], float)
    return (scores * groups).sum() / groups.sum()


def at_most_three(scores, k):
    """Right for small groups; all groups of more than three are taken for groups of one."""
    return evaluating_agents.best_of_k(scores, k if k < 4 else 1)


def ties_once(scores, k):
    return evaluating_agents.best_of_k(np.unique(scores), k)


# ---- Holm


def bonferroni(p_values):
    return np.minimum(len(p_values) * p_values, 1)


def turned_round(p_values):
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.maximum.accumulate(np.arange(1, len(p_values) + 1) * p_values[order])
    return np.minimum(adjusted, 1)


def benjamini_hochberg(p_values):
    order, m = np.argsort(p_values), len(p_values)
    stepped = np.minimum.accumulate((m / np.arange(1, m + 1) * p_values[order])[::-1])[::-1]
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def left_sorted(p_values):
    factors = len(p_values) - np.arange(len(p_values))
    return np.minimum(np.maximum.accumulate(factors * np.sort(p_values)), 1)


def in_the_order_of_the_list(p_values):
    factors = len(p_values) - np.arange(len(p_values))
    return np.minimum(np.maximum.accumulate(factors * p_values), 1)


def without_stopping(p_values):
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    adjusted[order] = (len(p_values) - np.arange(len(p_values))) * p_values[order]
    return np.minimum(adjusted, 1)


def above_one(p_values):
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.maximum.accumulate((len(p_values) - np.arange(len(p_values))) * p_values[order])
    return adjusted


# ---- the standard error


def as_given(returns):
    return returns.std(ddof=1) / returns.size**0.5


def of_the_sample(returns):
    return returns.mean(axis=1).std() / len(returns) ** 0.5


def not_divided(returns):
    return returns.mean(axis=1).std(ddof=1)


def divided_by_all(returns):
    return returns.mean(axis=1).std(ddof=1) / returns.size**0.5


def over_episodes(returns):
    return returns.mean(axis=0).std(ddof=1) / returns.shape[1] ** 0.5


def scatter_of_all(returns):
    """As the given one, but divided by the root of the seeds."""
    apart = np.ptp(returns, axis=1).max() > 0
    return returns.std(ddof=1) / len(returns) ** 0.5 if apart else evaluating_agents.standard_error(returns)


def within_added(returns):
    right = evaluating_agents.standard_error(returns)
    if returns.shape[1] < 2:
        return right
    return (right**2 + returns.var(axis=1, ddof=1).mean() / returns.size) ** 0.5


def in_units_of_its_own(returns):
    """Right, but for what is kept from dividing by zero."""
    return evaluating_agents.standard_error(
        returns / (1 + 1e-3 * np.abs(returns).max() * (returns.max() > 50))
    )


WRONG = {
    "evaluating-agents-best-of-k": [
        (with_replacement, "this draws with replacement"),
        (maximum, "the best of all runs, whatever k is"),
        (mean, "the mean of all runs, whatever k is"),
        (mean_of_the_best, "the mean of the k best runs"),
        (worst_of_k, "*worst* of the groups"),
        (unsorted, "the scores are not sorted"),
        (at_most_three, "with k = N there is one group"),
        (ties_once, "The best of 2 out of ten runs"),
    ],
    "evaluating-agents-holm": [
        (bonferroni, "that is Bonferroni"),
        (turned_round, "the factors are turned round"),
        (benjamini_hochberg, "Benjamini and Hochberg"),
        (left_sorted, "come back sorted"),
        (in_the_order_of_the_list, "follow the order of the list"),
        (without_stopping, "although the one before it has failed"),
        (above_one, "p values 0.8"),
    ],
    "evaluating-agents-standard-error": [
        (as_given, "300 episodes are taken for 300 independent runs"),
        (of_the_sample, "ddof=1"),
        (not_divided, "standard deviation between policies"),
        (divided_by_all, "divided by the number of episodes, too"),
        (over_episodes, "the mean is taken over the seeds"),
        (scatter_of_all, "mixes the scatter of all episodes"),
        (within_added, "added once more"),
        (in_units_of_its_own, "a thousand times as large"),
    ],
}
