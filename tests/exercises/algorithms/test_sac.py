"""Plausible wrong answers to the exercises of soft actor-critic, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import math

import numpy as np
import pytest
import torch

from rlworkshop.algorithms import sac as algorithm
from rlworkshop.algorithms import sac_discrete
from rlworkshop.exercises.algorithms import sac

# ---- log_prob


def gaussian(raw, mean, std):
    return -0.5 * ((raw - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)


def before_the_tanh(raw, mean, std, low, high):
    return (gaussian(raw, mean, std) - np.log((high - low) / 2)).sum(axis=1)


def wrong_sign(raw, mean, std, low, high):
    squeezed = np.log(1 - np.tanh(raw) ** 2 + 1e-300)
    return (gaussian(raw, mean, std) + squeezed - np.log((high - low) / 2)).sum(axis=1)


def stable(raw):
    return 2 * (np.log(2) - raw - np.logaddexp(0, -2 * raw))


def without_the_range(raw, mean, std, low, high):
    return (gaussian(raw, mean, std) - stable(raw)).sum(axis=1)


def by_the_upper_bound(raw, mean, std, low, high):
    return (gaussian(raw, mean, std) - stable(raw) - np.log(high)).sum(axis=1)


def averaged(raw, mean, std, low, high):
    return (gaussian(raw, mean, std) - stable(raw) - np.log((high - low) / 2)).mean(axis=1)


def as_it_stands(raw, mean, std, low, high):
    return (gaussian(raw, mean, std) - np.log(1 - np.tanh(raw) ** 2) - np.log((high - low) / 2)).sum(axis=1)


def with_epsilon(raw, mean, std, low, high):
    squeezed = np.log(1 - np.tanh(raw) ** 2 + 1e-15)
    return (gaussian(raw, mean, std) - squeezed - np.log((high - low) / 2)).sum(axis=1)


# ---- soft_best


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def whatever_the_temperature(q, alpha):
    return softmax(q), sac.soft_best(q, alpha)[1]


def multiplied(q, alpha):
    return softmax(q * alpha), sac.soft_best(q, alpha)[1]


def without_entropy(q, alpha):
    p = softmax(q / alpha)
    return p, (p * q).sum(axis=1)


def whole_entropy(q, alpha):
    p = softmax(q / alpha)
    return p, (p * (q - np.log(p))).sum(axis=1)


def log_z(q, alpha):
    return softmax(q / alpha), np.log(np.exp(q / alpha).sum(axis=1))


def overflows(q, alpha):
    return softmax(q / alpha), alpha * np.log(np.exp(q / alpha).sum(axis=1))


def by_parts(q, alpha):
    """Right, but for a probability of 0 it takes 0 times minus infinity."""
    p = softmax(q / alpha)
    return p, (p * (q - alpha * np.log(p))).sum(axis=1)


# ---- is_broken


def a_number(slope, target_entropy):
    return slope(target_entropy)


def never(slope, target_entropy):
    return False


def above_only(slope, target_entropy):
    return slope(target_entropy + 1) <= 0


def to_the_size(slope, target_entropy):
    return abs(slope(target_entropy + 1) - 1) > 1e-6


def proportional(slope, target_entropy):
    return abs(slope(target_entropy + 2) - 2 * slope(target_entropy + 1)) > 1e-6


def far_apart(slope, target_entropy):
    return not slope(100.0) > 0 > slope(-100.0)


WRONG = {
    "sac-log-prob": [
        (before_the_tanh, "before the tanh"),
        (wrong_sign, "the correction has the wrong sign"),
        (without_the_range, "the range of the box is missing"),
        (by_the_upper_bound, "divides by the whole range"),
        (averaged, "mean over components"),
        (as_it_stands, "for raw draws of 50 and -50"),
        (with_epsilon, "each the mean"),
    ],
    "sac-soft-best": [
        (whatever_the_temperature, "whatever the temperature"),
        (multiplied, "multiplies with the temperature"),
        (without_entropy, "the entropy is missing"),
        (whole_entropy, "not alpha times"),
        (log_z, "times alpha, please"),
        (overflows, "something is not finite"),
        (by_parts, "temperature of 0.001"),
    ],
    "sac-is-broken": [
        (a_number, "it returns a float"),
        (to_the_size, "it accuses"),
        (proportional, "that steers as well"),
        (never, "target - entropy"),
        (above_only, "the joint loss"),
        (far_apart, "entropy + target"),
    ],
}


@pytest.mark.parametrize("seed", range(3))
def test_the_solution_agrees_with_the_chapters_own_density(seed):
    rng = np.random.default_rng(seed)
    raw, mean, log_std = rng.normal(size=(3, 5, 2))
    low, high = np.array([-2.0, 1.0]), np.array([2.0, 4.0])
    noise = torch.from_numpy((raw - mean) / np.exp(log_std))
    scale = math.log(2) + math.log(1.5)
    theirs = algorithm.squashed_log_prob(noise, torch.from_numpy(log_std), torch.from_numpy(raw), scale)
    assert np.allclose(sac.log_prob(raw, mean, np.exp(log_std), low, high), theirs)


def test_no_policy_has_a_higher_soft_value_than_the_solutions():
    rng = np.random.default_rng(0)
    q = rng.normal(size=(6, 4))
    policy, best = sac.soft_best(q, 0.3)
    for logits in (np.log(policy), *rng.normal(size=(20, 6, 4))):
        logp = torch.from_numpy(logits).log_softmax(dim=1)
        value = sac_discrete.expected_soft_value(torch.from_numpy(q), logp, torch.tensor(0.3)).numpy()
        assert (value <= best + 1e-6).all()
    assert np.allclose(
        sac_discrete.expected_soft_value(
            torch.from_numpy(q), torch.from_numpy(np.log(policy)), torch.tensor(0.3, dtype=torch.float64)
        ),
        best,
    )
