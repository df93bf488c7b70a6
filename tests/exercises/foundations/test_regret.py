"""Plausible wrong answers to the exercises on regret, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np

from rlworkshop.exercises.foundations import regret as exercises
from rlworkshop.foundations import exploration as ex

# ---- the width


def _width(inside=lambda n, delta: np.log(2 / delta) / (2 * n), outside=lambda c: c, nothing=None, cut=True):
    def width(n, delta, ceiling):
        u = outside(ceiling) * np.sqrt(inside(np.maximum(n, 1), delta))
        u = np.minimum(u, ceiling) if cut else u
        return u if nothing is None else np.where(n > 0, u, nothing * ceiling)

    return width


def squared_width(n, delta, ceiling):
    return exercises.width(n, delta, ceiling) ** 2


# ---- regret in episodes


def _values(P, r, policy):
    V = np.zeros(len(r))
    for actions in reversed(policy):
        V = (r + P @ V)[np.arange(len(r)), actions]
    return V


def _best(P, r, H):
    V = np.zeros(len(r))
    for _ in range(H):
        V = (r + P @ V).max(axis=1)
    return V


def _regret(lost=lambda P, r, p: _best(P, r, len(p)) - _values(P, r, p), start=lambda V: V[0], add=np.cumsum):
    def episodic_regret(P, r, policies):
        return add(np.array([start(lost(P, r, policy)) for policy in policies]))

    return episodic_regret


def shortsighted(P, r, policy):
    return _values(P, r, np.tile(r.argmax(axis=1), (len(policy), 1))) - _values(P, r, policy)


def against_the_best_that_was_played(P, r, policies):
    each = np.diff(exercises.episodic_regret(P, r, policies), prepend=0)
    return (each - each.min()).cumsum() if len(each) > 1 else each


def mean_so_far(each):
    return each.cumsum() / np.arange(1, len(each) + 1)


def first_step_alone(P, r, policy):
    return r.max(axis=1) - r[np.arange(len(r)), policy[0]]


# ---- the posterior


def _posterior(parameters, squared=False):
    def posterior_spread(counts, prior):
        c = parameters(counts, prior, np.maximum(counts.sum(axis=-1, keepdims=True), 1))
        total = c.sum(axis=-1, keepdims=True)
        variance = c / total * (1 - c / total) / (total + 1)
        return variance if squared else np.sqrt(variance)

    return posterior_spread


def all_pairs_together(counts, prior):
    c = counts + prior
    m = c / c.sum(axis=-1, keepdims=True)
    total = c.sum() if c.ndim > 2 else c.sum(axis=-1, keepdims=True)
    return np.sqrt(m * (1 - m) / (total + 1))


def certain_of_the_untried(counts, prior):
    return exercises.posterior_spread(counts, prior) * (counts.sum(axis=-1, keepdims=True) > 0)


WRONG = {
    "regret-width": [
        (_width(lambda n, d: np.log(1 / d) / (2 * n), nothing=1), "for one side only"),
        (_width(lambda n, d: np.log(2 / d) / n, nothing=1), "the 2 in the exponent is lost"),
        (squared_width, "the root is missing"),
        (_width(lambda n, d: np.log10(2 / d) / (2 * n), nothing=1), "base 10"),
        (_width(outside=lambda c: 1.0, nothing=1), "the ceiling is not looked at"),
        (_width(outside=lambda c: c**2, nothing=1, cut=False), "the ceiling is squared"),
        (_width(outside=np.sqrt, nothing=1), "not squared there"),
        (_width(nothing=1, cut=False), "which cannot be"),
        (_width(cut=False), "a 1 that is not there"),
        (_width(nothing=0), "hopes for nothing"),
        (_width(nothing=np.inf), "the width is infinite"),
    ],
    "regret-episodes": [
        (_regret(lambda P, r, p: _values(P, r, p) - _best(P, r, len(p))), "turned round"),
        (_regret(lambda P, r, p: _values(P, r, p)), "what was earned"),
        (_regret(start=np.mean), "mean over all states"),
        (_regret(lambda P, r, p: _best(P, r, len(p)) - _values(P, r, p[::-1])), "wrong order"),
        (_regret(shortsighted), "it has to look ahead"),
        (_regret(first_step_alone), "only the first step"),
        (_regret(add=lambda each: each), "what each episode lost"),
        (against_the_best_that_was_played, "the best episode that was played"),
        (_regret(add=mean_so_far), "the mean loss so far"),
    ],
    "regret-mend-spread": [
        (_posterior(lambda counts, prior, n: counts / n + prior), "given shares"),
        (_posterior(lambda counts, prior, n: (counts + prior) / (counts + prior).sum(-1, keepdims=True)),
         "divided by their sum"),
        (_posterior(lambda counts, prior, n: counts + prior, squared=True), "the variance"),
        (_posterior(lambda counts, prior, n: (counts + prior) / n), "prior included"),
        (_posterior(lambda counts, prior, n: counts + 1e-12), "imagined observations are lost"),
        (certain_of_the_untried, "there it knows least"),
        (all_pairs_together, "all pairs are added up"),
    ],
}  # fmt: skip


def test_draws_of_the_page_scatter_as_the_exercise_says():
    counts = np.tile([[3.0, 6.0, 1.0], [30.0, 60.0, 10.0]], (4_000, 1, 1))
    drawn = ex.dirichlet(counts + 0.2, [np.random.default_rng(seed) for seed in range(4_000)])
    said = exercises.posterior_spread(counts[0], 0.2)
    assert np.allclose(drawn.std(axis=0), said, rtol=0.06)


def test_the_best_policy_has_no_regret_and_no_policy_less():
    rng = np.random.default_rng(0)
    P, r = rng.dirichlet(np.ones(3), size=(3, 2)), rng.normal(size=(3, 2))
    every = np.stack(np.meshgrid(*[[0, 1]] * 6), -1).reshape(-1, 2, 3)  # all policies of two steps
    lost = np.diff(exercises.episodic_regret(P, r, every), prepend=0)
    assert abs(lost.min()) < 1e-12 and lost.max() > 0.1


def test_the_width_is_the_pages_beta_over_the_root():
    beta = np.sqrt(np.log(2 / 0.05) / 2)
    n = np.array([5.0, 80.0])
    assert np.allclose(exercises.width(n, 0.05, 1.0), ex.count_bonus(n, beta, 1.0))
