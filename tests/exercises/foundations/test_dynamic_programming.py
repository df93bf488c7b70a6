"""Plausible wrong answers to the exercises on dynamic programming, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import math

import numpy as np

from rlworkshop.exercises import find
from rlworkshop.exercises.foundations import dynamic_programming as exercises

# ---- how many sweeps


def _sweeps(inside, rounded=math.ceil, least=1):
    """The solution with another expression inside, another rounding or another smallest answer."""

    def sweeps_ahead(gamma, change, tolerance):
        return max(least, rounded(inside(gamma, change, tolerance)))

    return sweeps_ahead


def right(gamma, change, tolerance):
    return math.log(tolerance * (1 - gamma) / change) / math.log(gamma)


def one_more(gamma, change, tolerance):
    return 1 + right(gamma, change, tolerance)


def no_series(gamma, change, tolerance):
    return math.log(tolerance / change) / math.log(gamma)


def small_change(gamma, change, tolerance):
    return 1 + math.log(tolerance / change) / math.log(gamma)


def no_change(gamma, change, tolerance):
    return math.log(tolerance * (1 - gamma)) / math.log(gamma)


def turned_fraction(gamma, change, tolerance):
    return math.log(tolerance / (1 - gamma) / change) / math.log(gamma)


def generous_for_small_changes(gamma, change, tolerance):
    return exercises.sweeps_ahead(gamma, change, tolerance) + 2 * (change == 1)


def short_for_small_changes(gamma, change, tolerance):
    return exercises.sweeps_ahead(gamma, change, tolerance) - (change == 1)


# ---- a model that is a list


def _list_sweep(best=max, outcome=lambda p, r, after: p * r + p * after, over=lambda flag: not flag, add=sum):
    def list_sweep(P, V, gamma):
        return np.array([
            best([
                add([outcome(p, r, gamma * V[t] * over(flag)) for p, t, r, flag in outcomes])
                for outcomes in P[s].values()
            ])
            for s in range(len(P))
        ])  # fmt: skip

    return list_sweep


def lost_reward(P, V, gamma):
    ended = {
        s: {a: [(p, t, r * (not over), over) for p, t, r, over in o] for a, o in acts.items()}
        for s, acts in P.items()
    }
    return exercises.list_sweep(ended, V, gamma)


def in_place(P, V, gamma):
    V = V.copy()
    for s in range(len(P)):
        V[s] = exercises.list_sweep(P, V, gamma)[s]
    return V


def first_four_actions_but_one(P, V, gamma):
    return exercises.list_sweep(
        {s: {a: o for a, o in acts.items() if a != 3} for s, acts in P.items()}, V, gamma
    )


# ---- ties


def by_argmax(Q, actions):
    return Q.argmax(axis=1)


def unchanged(Q, actions):
    return actions


def _keep(tolerance):
    def improve(Q, actions):
        gain = Q.max(axis=1) - Q[np.arange(len(Q)), actions]
        return np.where(gain > tolerance, Q.argmax(axis=1), actions)

    return improve


def worst(Q, actions):
    return Q.argmin(axis=1)


def not_in_large_worlds(Q, actions):
    return exercises.improve(Q, actions) if len(Q) < 10 else Q.argmax(axis=1)


# ---- the certificate


def _certificate(factor=lambda gamma: 1 / (1 - gamma), size=lambda x: np.abs(x).max(), best=np.max):
    def certificate(P, r, V, gamma):
        return float(size(best(r + gamma * P @ V, axis=1) - V) * factor(gamma))

    return certificate


def acting_states_only(P, r, V, gamma):
    acting = P.any(axis=(1, 2))
    swept = (r + gamma * P @ V).max(axis=1)
    return float(np.abs((swept - V)[acting]).max() / (1 - gamma))


WRONG = {
    "dynamic-programming-sweeps-ahead": [
        (_sweeps(small_change), "make the *change* small"),
        (_sweeps(no_series), "1/(1 − γ) is missing"),
        (_sweeps(right, rounded=math.floor), "one sweep is missing"),
        (_sweeps(one_more), "one sweep too many"),
        (_sweeps(no_change), "the first change is not looked at"),
        (_sweeps(turned_fraction), "1 − γ is on the wrong side"),
        (right, "a whole number of sweeps"),
        (_sweeps(right, least=-99), "never below 1"),
        (_sweeps(right, least=0), "nothing has to be done"),
        (generous_for_small_changes, "are more than it takes"),
        (short_for_small_changes, "the error is still"),
    ],
    "dynamic-programming-from-a-list": [
        (_list_sweep(outcome=lambda p, r, after: r + after), "the probabilities are left out"),
        (_list_sweep(best=np.mean), "the mean over actions"),
        (_list_sweep(best=min), "the worst action"),
        (_list_sweep(over=lambda flag: 0), "what comes after is left out"),
        (_list_sweep(outcome=lambda p, r, after: r + after, add=max), "the luckiest outcome"),
        (_list_sweep(outcome=lambda p, r, after: p * r + 2 * p * after), "not discounted"),
        (_list_sweep(over=lambda flag: 1), "`terminated` is not looked at"),
        (lost_reward, "its last reward is lost"),
        (in_place, "a sweep in place"),
        (first_four_actions_but_one, "200 sweeps over the small world"),
    ],
    "dynamic-programming-keep-ties": [
        (unchanged, "nothing is improved"),
        (_keep(0.01), "it is left lying"),
        (worst, "the worst actions"),
        (by_argmax, "of several, `argmax` takes the first"),
        (_keep(0.0), "rounding moves it"),
        (not_in_large_worlds, "still changes after 50 rounds"),
    ],
    "dynamic-programming-certificate": [
        (_certificate(best=np.mean), "averages over the actions"),
        (_certificate(factor=lambda gamma: 1.0), "the change of one sweep"),
        (_certificate(factor=lambda gamma: gamma / (1 - gamma)), "the *swept* table"),
        (_certificate(factor=lambda gamma: 1 / gamma), "1/γ is not 1/(1 − γ)"),
        (_certificate(size=np.max), "only values that are too low"),
        (_certificate(size=lambda x: np.abs(x).mean()), "averages over the states"),
        (_certificate(size=lambda x: np.abs(x).sum()), "adds up over the states"),
        (acting_states_only, "terminal states are left out"),
    ],
}  # fmt: skip


def test_a_loop_that_counts_sweeps_is_right_too():
    def sweeps_ahead(gamma, change, tolerance):
        k = 1
        while gamma**k * change / (1 - gamma) > tolerance:
            k += 1
        return k

    assert find("dynamic-programming-sweeps-ahead").check(sweeps_ahead) == []
