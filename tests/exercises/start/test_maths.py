"""Plausible wrong answers to the exercises on the mathematics, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest

from rlworkshop import exercises
from rlworkshop.exercises.start import maths

# ---- another habit


def _priced(weigh, scatter=lambda samples, paid, levers: samples.std(ddof=1) / len(samples) ** 0.5):
    """The solution with other weights, or another standard error."""

    def price_habit(levers, paid, p, q):
        samples = weigh(levers, p, q) * paid
        return np.array([samples.mean(), scatter(samples, paid, levers)])

    return price_habit


def _right(levers, p, q):
    return (q[levers] / p[levers]).prod(axis=1)


not_weighted = _priced(lambda levers, p, q: 1.0)
upside_down = _priced(lambda levers, p, q: (p[levers] / q[levers]).prod(axis=1))
not_divided_by_p = _priced(lambda levers, p, q: q[levers].prod(axis=1))
added = _priced(lambda levers, p, q: (q[levers] / p[levers]).sum(axis=1))
averaged = _priced(lambda levers, p, q: (q[levers] / p[levers]).mean(axis=1))
first_alone = _priced(lambda levers, p, q: (q / p)[levers[:, 0]])
last_alone = _priced(lambda levers, p, q: (q / p)[levers[:, -1]])
multiplied_first = _priced(lambda levers, p, q: q[levers].prod(axis=1) / p[levers].prod(axis=1))


def summed(levers, paid, p, q):
    return maths.price_habit(levers, paid, p, q) * len(paid)


def normalised(levers, paid, p, q):
    w = _right(levers, p, q)
    return np.array([(w * paid).sum() / w.sum(), (w * paid).std(ddof=1) / len(w) ** 0.5])


def without_the_zeros(levers, paid, p, q):
    keep = _right(levers, p, q) > 0
    return maths.price_habit(levers[keep], paid[keep], p, q)


scatter_of_pays = _priced(_right, lambda samples, paid, levers: paid.std(ddof=1) / len(paid) ** 0.5)
no_root = _priced(_right, lambda samples, paid, levers: samples.std(ddof=1) / len(samples))
of_one_sample = _priced(_right, lambda samples, paid, levers: samples.std(ddof=1))
a_variance = _priced(_right, lambda samples, paid, levers: samples.var(ddof=1) / len(samples))
numpys_own = _priced(_right, lambda samples, paid, levers: samples.std() / len(samples) ** 0.5)
every_pull = _priced(_right, lambda samples, paid, levers: samples.std(ddof=1) / levers.size**0.5)

# ---- the exponential average


def _recursion(correct=lambda alpha, t, T: 1 - (1 - alpha) ** t, back=False):
    """The solution with another correction; t counts from 1. ``back``: it goes on from what is corrected."""

    def exponential_average(x, alpha):
        found, average = np.zeros(x.shape), np.zeros(x.shape[1])
        for t in range(len(x)):
            average = average + alpha * (x[t] - average)
            found[t] = average / correct(alpha, t + 1, len(x))
            average = found[t] if back else average
        return found

    return exponential_average


leans_to_zero = _recursion(lambda alpha, t, T: 1.0)
power_from_zero = _recursion(lambda alpha, t, T: 1 - (1 - alpha) ** (t - 1))
one_for_all = _recursion(lambda alpha, t, T: 1 - (1 - alpha) ** T)
half_swapped = _recursion(lambda alpha, t, T: 1 - alpha**t)
fed_back = _recursion(back=True)


def first_sample(x, alpha):
    average, found = x[0].astype(float), []
    for row in x:
        average = average + alpha * (row - average)
        found.append(average)
    return np.array(found)


def swapped(x, alpha):
    return maths.exponential_average(x, 1 - alpha)


def plain_mean(x, alpha):
    return x.cumsum(axis=0) / np.arange(1, len(x) + 1)[:, None]


def backwards(x, alpha):
    return maths.exponential_average(x[::-1], alpha)[::-1]


def over_the_columns(x, alpha):
    mean = np.repeat(x.mean(axis=1, keepdims=True), x.shape[1], axis=1)
    return maths.exponential_average(mean, alpha)


def rounds_down(x, alpha):
    return maths.exponential_average(x, alpha).astype(x.dtype)


def ages_divided_out(x, alpha):
    """One cumulative sum, with the newest weights as large as they come."""
    growth = (1 - alpha) ** -np.arange(len(x), dtype=float)[:, None]
    return (growth * x).cumsum(axis=0) / growth.cumsum(axis=0)


WRONG = {
    "maths-another-habit": [
        (not_weighted, "this is what p earned"),
        (upside_down, "upside down"),
        (not_divided_by_p, "the weight is q alone"),
        (normalised, "biased"),
        (summed, "this is a sum"),
        (added, "are added"),
        (averaged, "are averaged"),
        (first_alone, "only the first pull"),
        (last_alone, "only the last pull"),
        (without_the_zeros, "weight 0 are left out"),
        (scatter_of_pays, "as p earned them"),
        (of_one_sample, "standard deviation of one sample"),
        (no_root, "divided by n and not by its root"),
        (a_variance, "variance of the mean"),
        (numpys_own, "ddof=0"),
        (every_pull, "not of pulls"),
        (multiplied_first, "too small to be stored"),
    ],
    "maths-exponential-average": [
        (leans_to_zero, "still leans towards it"),
        (fed_back, "is carried on"),
        (power_from_zero, "counts from 0"),
        (one_for_all, "divided by the same number"),
        (half_swapped, "between the average and its correction"),
        (first_sample, "begins at the first sample"),
        (swapped, "have changed places"),
        (plain_mean, "alpha does nothing"),
        (backwards, "time runs backwards"),
        (over_the_columns, "the columns are mixed"),
        (rounds_down, "lost what stands behind the point"),
        (ages_divided_out, "there is nan"),
    ],
}


def test_the_price_is_unbiased_and_its_error_is_as_large_as_it_says():
    """Over many batches, against the sum over all levers."""
    p, q, pay = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.4, 0.4]), np.array([1.0, 2.0, 3.0])
    rng = np.random.default_rng(0)
    levers = rng.choice(3, size=(400, 100, 2), p=p)
    found = np.array([maths.price_habit(batch, pay[batch].sum(axis=1), p, q) for batch in levers])  # (400, 2)
    error = (found[:, 0] - 2 * q @ pay) / found[:, 1].mean()
    assert abs(error.mean()) < 4 / 400**0.5
    assert 0.85 < error.std() < 1.15


def test_a_sum_of_logarithms_is_as_good_as_a_product_of_ratios():
    def with_logs(levers, paid, p, q):
        with np.errstate(divide="ignore"):
            w = np.exp((np.log(q) - np.log(p))[levers].sum(axis=1))
        return np.array([(w * paid).mean(), np.std(w * paid, ddof=1) / len(w) ** 0.5])

    assert exercises.find("maths-another-habit").check(with_logs) == []


@pytest.mark.parametrize("alpha", [0.01, 0.3, 1.0])
def test_the_exponential_average_is_the_weighted_mean_that_defines_it(alpha):
    x = np.random.default_rng(3).normal(size=(30, 2))
    assert np.allclose(maths.exponential_average(x, alpha), maths._by_weights(x, alpha))
