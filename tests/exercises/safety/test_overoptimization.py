"""Plausible wrong answers to the exercises on overoptimization, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import torch

from rlworkshop.exercises.safety import overoptimization as page
from rlworkshop.safety import overoptimization as oo

# ---- best of n


def worst_of_n(probability, score, n):
    return page.best_of_n(probability, -score, n)


def the_formula(probability, score, n):
    return page.best_of_n(probability, score, n)[0], float(oo.best_of_n_kl(n))


def other_direction(probability, score, n):
    chosen, _ = page.best_of_n(probability, score, n)
    return chosen, float((probability * np.log(probability / chosen)).sum())


def unsorted(probability, score, n):
    above = probability.cumsum()
    chosen = above**n - (above - probability) ** n
    return chosen, float((chosen * np.log(chosen / probability)).sum())


def left_sorted(probability, score, n):
    chosen, kl = page.best_of_n(probability, score, n)
    return chosen[np.argsort(score)], kl


# ---- worst case


def best_case(scores, reference):
    return (scores - reference.mean(axis=1, keepdims=True)).max(axis=0)


def average(scores, reference):
    return (scores - reference.mean(axis=1, keepdims=True)).mean(axis=0)


def not_centred(scores, reference):
    return scores.min(axis=0)


WRONG = {
    "overoptimization-best-of-n": [
        (worst_of_n, "lower score more often"),
        (the_formula, "upper bound"),
        (other_direction, "other direction"),
        (unsorted, "not sorted"),
        (left_sorted, "order of the scores"),
    ],
    "overoptimization-worst-case": [
        (best_case, "highest score"),
        (average, "this is the mean"),
        (not_centred, "its zero is 100 lower"),
    ],
}


def test_the_divergence_is_below_the_books_bound():
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(6))
    for n in (2, 5, 20):
        chosen, kl = page.best_of_n(probability, rng.permutation(6), n)
        assert abs(chosen.sum() - 1) < 1e-9
        assert 0 < kl < oo.best_of_n_kl(n)


def test_the_lowest_is_the_books():
    scores = np.random.default_rng(0).normal(size=(5, 40))
    lowest = oo.worst_case(torch.from_numpy(scores)[None])[0].numpy()
    assert np.allclose(page.conservative(scores, np.zeros((5, 3))), lowest)
