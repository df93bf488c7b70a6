"""Plausible wrong answers to the exercises on exploration, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np

from rlworkshop.exercises.foundations import exploration
from rlworkshop.foundations import exploration as ex

# ---- the backup


def _backup(bonus=lambda n: 1 / np.sqrt(n), discounted=False, untried=None, cut=True, cut_V=False):
    def optimistic_backup(r, P, n, V, gamma, beta, ceiling):
        V = np.minimum(V, ceiling) if cut_V else V
        b = beta * bonus(np.maximum(n, 1))
        Q = r + gamma * (b + P @ V) if discounted else r + b + gamma * P @ V
        Q = np.minimum(Q, ceiling) if cut else Q
        return Q if untried == "once" else np.where(n > 0, Q, ceiling if untried is None else untried)

    return optimistic_backup


def no_gamma(r, P, n, V, gamma, beta, ceiling):
    return exploration.optimistic_backup(r, P, n, V, 1.0, beta, ceiling)


# ---- the curiosity to mend


def _told(measure):
    def bonus_for(counts, observed, prior):
        before = ex.predictor(counts, prior)
        after = ex.predictor(counts + np.eye(len(counts))[observed], prior)
        return measure(before, after, observed)

    return bonus_for


def right_but_for_the_last_probe(counts, observed, prior):
    return exploration.bonus_for(counts, observed, prior) * (1 + (len(counts) == 4))


WRONG = {
    "exploration-backup": [
        (_backup(bonus=lambda n: 0 * n), "the bonus is missing"),
        (_backup(bonus=lambda n: 1 / n), "hope is gone too early"),
        (_backup(bonus=np.sqrt), "grows"),
        (_backup(discounted=True), "the bonus is discounted"),
        (no_gamma, "gamma is missing"),
        (_backup(bonus=lambda n: 1 / np.sqrt(n.sum(axis=1, keepdims=True))), "a state's visits"),
        (_backup(untried="once"), "as if it had been tried once"),
        (_backup(untried=0.0), "worth nothing in yours"),
        (_backup(untried=np.inf), "worth infinity"),
        (_backup(cut=False), "more than the ceiling"),
        (_backup(cut=False, cut_V=True), "the sum is not"),
    ],
    "exploration-mend-curiosity": [
        (_told(lambda b, a, k: 1 - b[k]), "as before"),
        (_told(lambda b, a, k: -np.log(b[k])), "this is the surprise"),
        (_told(lambda b, a, k: a[k] - b[k]), "change of the prediction *error*"),
        (_told(lambda b, a, k: (b * np.log(b / a)).sum()), "the other way round"),
        (_told(lambda b, a, k: np.float64(0)), "before and after are the same"),
        (right_but_for_the_last_probe, "the mean over what may follow"),
    ],
}
