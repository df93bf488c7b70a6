"""Plausible wrong answers to the exercises on the policy-gradient theorem, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest

from rlworkshop import check, exercises
from rlworkshop.exercises.foundations import policy_gradient_theorem
from rlworkshop.foundations import policy_gradients as pg

# ---- the mean to mend


def mean_of_means(gradients, lengths, longest):
    return (gradients / lengths[:, None]).mean(axis=0)


def step_mean(gradients, lengths, longest):
    return gradients.sum(axis=0) / lengths.sum()


def summed(gradients, lengths, longest):
    return gradients.sum(axis=0) / longest


def undivided(gradients, lengths, longest):
    return gradients.mean(axis=0)


def divided_twice(gradients, lengths, longest):
    return step_mean(gradients, lengths, longest) / longest


def long_ones_louder(gradients, lengths, longest):
    return (gradients * lengths[:, None]).mean(axis=0) / longest**2


def longest_of_this_batch(gradients, lengths, longest):
    return gradients.mean(axis=0) / lengths.max()


# ---- the discount in front


def _power(count):
    """γ to the power of what ``count`` makes of the lengths."""
    return lambda lengths, gamma: gamma ** count(lengths).astype(float)


def steps(lengths):
    """The t of each row, as it should be."""
    return np.concatenate([np.arange(length) for length in lengths])


def through_the_batch(lengths):
    return np.arange(lengths.sum())


def times_t(lengths, gamma):
    return gamma * steps(lengths)


def a_quotient_of_powers(lengths, gamma):
    rows = np.arange(lengths.sum(), dtype=float)
    with np.errstate(invalid="ignore", divide="ignore", under="ignore"):
        return gamma**rows / gamma ** (rows - steps(lengths))


WRONG = {
    "policy-gradient-theorem-mend-mean": [
        (mean_of_means, "divided by its own length"),
        (step_mean, "a ratio of two random numbers"),
        (summed, "the sum over episodes"),
        (undivided, "the gradient itself"),
        (divided_twice, "twice"),
        (long_ones_louder, "long episodes speak louder"),
        (longest_of_this_batch, "*of this batch*"),
    ],
    "policy-gradient-theorem-front": [
        (_power(lambda lengths: steps(lengths) + 1), "begins at 1"),
        (_power(lambda lengths: np.repeat(lengths, lengths) - 1 - steps(lengths)), "from the end"),
        (lambda lengths, gamma: np.ones(lengths.sum()), "no factor at all"),
        (times_t, "not raised to its power"),
        (_power(through_the_batch), "counts through the batch"),
        (_power(lambda lengths: through_the_batch(lengths) % lengths[0]), "as long as the first"),
        (_power(lambda lengths: np.repeat(np.arange(len(lengths)), lengths) + steps(lengths) *
                (len(lengths) == 1)), "counts episodes"),
        (_power(lambda lengths: through_the_batch(lengths) - np.repeat(lengths, lengths) *
                (len(lengths) > 1)), "`lengths` is taken off"),
        (_power(lambda lengths: through_the_batch(lengths) - np.repeat(np.cumsum(lengths), lengths) *
                (len(lengths) > 1)), "own *end*"),
        (a_quotient_of_powers, "0 / 0"),
    ],
}  # fmt: skip


def test_the_stub_of_the_mean_to_mend_runs_and_is_told_what_is_wrong():
    space: dict = {}
    exec(exercises.find("policy-gradient-theorem-mend-mean").stub, space)
    with pytest.raises(check.Wrong, match="divided by its own length"):
        exercises.find("policy-gradient-theorem-mend-mean").check(space["batch_gradient"])


def test_the_factors_put_in_front_make_the_gradient_of_the_discounted_return():
    """Of a flat batch, as its reader would use them."""
    ice, theta, gamma = pg.thin_ice(), np.tile([0.0, 1.0], (8, 1)), 0.9
    batch = pg.sample_batch(ice, theta, 20_000, np.random.default_rng(0))
    rows = batch.alive[:-1].T  # (N, T), the padded batch that a flat one is taken from
    s, a, to_go = (
        x.T[rows] for x in (batch.states[:-1], batch.actions, pg.reward_to_go(batch.rewards, gamma))
    )
    weights = policy_gradient_theorem.front(batch.lengths, gamma) * to_go  # (M,)
    gradient = np.zeros_like(theta)
    np.add.at(gradient, s, weights[:, None] * pg.score(theta, s, a))
    discounted = gamma ** np.arange(len(batch.rewards))[:, None] * pg.reward_to_go(batch.rewards, gamma)
    assert np.allclose(gradient / len(batch.lengths), pg.estimate(batch, theta, discounted))


def test_a_factor_of_one_is_no_factor():
    assert np.array_equal(policy_gradient_theorem.front(np.array([2, 3]), 1.0), np.ones(5))
