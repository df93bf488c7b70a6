"""Plausible wrong answers to the exercise of distributions of returns, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import torch

from rlworkshop.algorithms import dqn_family as algorithm
from rlworkshop.exercises.algorithms import rainbow

# ---- the projection


def loses_what_hits(probs, reward, discount, support):
    return rainbow._floor_and_ceil(probs, reward, discount, support)


def loses_what_stays(probs, reward, discount, support):
    if (discount == 1).all() and not reward.any():
        return rainbow._floor_and_ceil(probs, reward, discount, support)
    return rainbow.project(probs, reward, discount, support)


def wrong_way_round(probs, reward, discount, support):
    place = (reward[:, None] + discount[:, None] * support).clip(support[0], support[-1])
    place = (place - support[0]) / (support[1] - support[0])
    low = np.minimum(np.floor(place).astype(int), len(support) - 2)
    out = np.zeros_like(probs)
    for b, j in np.ndindex(*probs.shape):
        out[b, low[b, j]] += probs[b, j] * (place[b, j] - low[b, j])
        out[b, low[b, j] + 1] += probs[b, j] * (1 - place[b, j] + low[b, j])
    return out


def forgets_the_discount(probs, reward, discount, support):
    return rainbow.project(probs, reward, np.ones_like(discount), support)


def forgets_the_reward(probs, reward, discount, support):
    return rainbow.project(probs, np.zeros_like(reward), discount, support)


def loses_what_is_outside(probs, reward, discount, support):
    landed = reward[:, None] + discount[:, None] * support
    apart = np.abs(landed[:, :, None] - support) / (support[1] - support[0])
    return (probs[:, :, None] * (1 - apart).clip(0, 1)).sum(axis=1)


def blows_up_the_rest(probs, reward, discount, support):
    left = loses_what_is_outside(probs, reward, discount, support)
    return left / left.sum(axis=1, keepdims=True)


def first_reward_for_all(probs, reward, discount, support):
    return rainbow.project(probs, reward[:1].repeat(len(reward)), discount, support)


def no_end(probs, reward, discount, support):
    return rainbow.project(probs, reward, np.full_like(discount, discount[0]), support)


WRONG = {
    "rainbow-project": [
        (loses_what_hits, "lands exactly on an atom is lost"),
        (wrong_way_round, "the wrong way round"),
        (forgets_the_discount, "the discount is not used"),
        (forgets_the_reward, "the reward is not used"),
        (loses_what_stays, "lands exactly on an atom is lost"),
        (loses_what_is_outside, "what lands outside is lost: it belongs"),
        (blows_up_the_rest, "blown up"),
        (first_reward_for_all, "of the first row is used for all"),
        (no_end, "the row that terminated was discounted"),
    ],
}


def test_the_solution_is_the_chapters_own():
    rng = np.random.default_rng(0)
    probs, support = rng.dirichlet(np.ones(7), size=5), np.linspace(-1, 2, 7)
    reward, discount = rng.normal(size=5), np.array([0.9, 0.0, 1.0, 0.5, 0.9])
    found = algorithm.project(*map(torch.tensor, (probs, reward, discount, support))).numpy()
    assert np.allclose(found, rainbow.project(probs, reward, discount, support))
