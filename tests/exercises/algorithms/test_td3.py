"""Plausible wrong answers to the exercises of TD3, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest
import torch

from rlworkshop.algorithms import ddpg
from rlworkshop.algorithms import td3 as algorithm
from rlworkshop.exercises.algorithms import td3

# ---- target


def around(action, noise, clip):
    return np.clip(action + np.clip(noise, -clip, clip), -1, 1)


def values(action, best):
    return -((action - best) ** 2).sum(axis=2)


def higher(reward, discount, action, noise, clip, best):
    return reward + discount * values(around(action, noise, clip), best).max(axis=0)


def mean_of_both(reward, discount, action, noise, clip, best):
    return reward + discount * values(around(action, noise, clip), best).mean(axis=0)


def no_discount(reward, discount, action, noise, clip, best):
    return reward + values(around(action, noise, clip), best).min(axis=0)


def no_noise(reward, discount, action, noise, clip, best):
    return reward + discount * values(action, best).min(axis=0)


def not_cut_off(reward, discount, action, noise, clip, best):
    return reward + discount * values(np.clip(action + noise, -1, 1), best).min(axis=0)


def leaves_the_box(reward, discount, action, noise, clip, best):
    return reward + discount * values(action + np.clip(noise, -clip, clip), best).min(axis=0)


def one_for_all(reward, discount, action, noise, clip, best):
    q = values(around(action, noise, clip), best)
    return reward + discount * q[q.mean(axis=1).argmin()]


def the_first(reward, discount, action, noise, clip, best):
    q = values(around(action, noise, clip), best)
    return reward + discount * (q[0] if len(reward) > 1 else q.min(axis=0))


def lowest_of_all(reward, discount, action, noise, clip, best):
    return reward + discount * values(around(action, noise, clip), best).min()


# ---- lower_bias


def upwards(std, correlation):
    return -td3.lower_bias(std, correlation)


def whole_difference(std, correlation):
    return 2 * td3.lower_bias(std, correlation)


def of_one(std, correlation):
    return -std * (2 / np.pi) ** 0.5


def without_correlation(std, correlation):
    return -std / np.pi**0.5


def plus(std, correlation):
    return -std * ((1 + correlation) / np.pi) ** 0.5


def no_root(std, correlation):
    return -std * (1 - correlation) / np.pi**0.5


def squared(std, correlation):
    return -std * ((1 - correlation**2) / np.pi) ** 0.5


WRONG = {
    "td3-target": [
        (higher, "this is the higher of the two"),
        (mean_of_both, "this is the mean of the two"),
        (no_discount, "the discount is missing"),
        (no_noise, "the noise is not used"),
        (not_cut_off, "not cut off at the clip"),
        (leaves_the_box, "leaves the box"),
        (one_for_all, "one critic was chosen for the whole batch"),
        (the_first, "the first critic alone"),
        (lowest_of_all, "the lowest value of the whole batch"),
    ],
    "td3-lower-bias": [
        (upwards, "below 0 on average"),
        (whole_difference, "of which half is taken off"),
        (of_one, "of one error alone"),
        (without_correlation, "without correlation only"),
        (plus, "with a minus"),
        (no_root, "take the root"),
        (squared, "another question"),
    ],
}


@pytest.mark.parametrize("seed", range(3))
def test_the_target_is_the_chapters_own(seed):
    rng = np.random.default_rng(seed)
    case = td3._any_target(rng)
    reward, discount, action, noise, clip, best = case
    tensors = (torch.from_numpy(x) for x in (reward, discount, action, noise, best))
    reward, discount, action, noise, best = tensors
    q = -((algorithm.smoothed(action, noise, clip) - best) ** 2).sum(dim=2)
    theirs = ddpg.td_target(reward, discount, algorithm.clipped_double_q(q))
    assert np.allclose(td3.target(*case), theirs)


@pytest.mark.parametrize("correlation", [-0.5, 0.0, 0.9])
def test_the_bias_is_that_of_many_draws(correlation):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 200_000))
    y = correlation * x + (1 - correlation**2) ** 0.5 * y
    assert np.minimum(2 * x, 2 * y).mean() == pytest.approx(td3.lower_bias(2.0, correlation), abs=0.02)
