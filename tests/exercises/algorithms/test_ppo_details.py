"""Plausible wrong answers to the exercises of PPO's details, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest
import torch

from rlworkshop.algorithms import ppo
from rlworkshop.algorithms import ppo_details as algorithm
from rlworkshop.exercises.algorithms import ppo_details
from rlworkshop.foundations import evaluating_agents as ev

# ---- value


def plain(values, returns, old_values, clip_range):
    return 2 * (values - returns)


def no_two(values, returns, old_values, clip_range):
    return ppo_details.value_slope(values, returns, old_values, clip_range) / 2


def wrong_sign(values, returns, old_values, clip_range):
    return -ppo_details.value_slope(values, returns, old_values, clip_range)


def the_loss(values, returns, old_values, clip_range):
    near = old_values + np.clip(values - old_values, -clip_range, clip_range)
    return np.maximum((values - returns) ** 2, (near - returns) ** 2)


def all_rest(values, returns, old_values, clip_range):
    return np.where(np.abs(values - old_values) > clip_range, 0.0, 2 * (values - returns))


def the_smaller(values, returns, old_values, clip_range):
    near = old_values + np.clip(values - old_values, -clip_range, clip_range)
    outside = np.abs(values - old_values) > clip_range
    smaller = (near - returns) ** 2 < (values - returns) ** 2
    return np.where(outside & smaller, 0.0, 2 * (values - returns))


# ---- scale


def sums_of(rewards, ended, gamma):
    sums, so_far = np.zeros(len(rewards)), 0.0
    for t in range(len(rewards)):
        so_far = gamma * so_far + rewards[t]
        sums[t] = so_far
        so_far *= not ended[t]
    return sums


def by_rewards(rewards, ended, gamma):
    return rewards / rewards.std()


def backwards(rewards, ended, gamma):
    return rewards / sums_of(rewards[::-1], ended[::-1], gamma).std()


def shifted(rewards, ended, gamma):
    return (rewards - rewards.mean()) / sums_of(rewards, ended, gamma).std()


def by_variance(rewards, ended, gamma):
    return rewards / sums_of(rewards, ended, gamma).var()


def the_sums(rewards, ended, gamma):
    return sums_of(rewards, ended, gamma) / sums_of(rewards, ended, gamma).std()


def no_gamma(rewards, ended, gamma):
    return rewards / sums_of(rewards, ended, 1.0).std()


def over_the_end(rewards, ended, gamma):
    return rewards / sums_of(rewards, np.zeros_like(ended), gamma).std()


def too_early(rewards, ended, gamma):
    sums, so_far = np.zeros(len(rewards)), 0.0
    for t in range(len(rewards)):
        so_far = gamma * so_far * (not ended[t]) + rewards[t]
        sums[t] = so_far
    return rewards / sums.std()


# ---- verdicts


def uncorrected(baseline, arms):
    return sorted(name for name, scores in arms.items() if ev.differs(scores, baseline))


def bands(baseline, arms):
    return sorted(name for name, scores in arms.items() if ev.bands_apart(scores, baseline))


def as_they_come(baseline, arms):
    return [name for name in arms if name in ppo_details.verdicts(baseline, arms)]


def better_only(baseline, arms):
    return [n for n in ppo_details.verdicts(baseline, arms) if arms[n].mean() > baseline.mean()]


WRONG = {
    "ppo-details-value": [
        (plain, "squared error alone"),
        (no_two, "a factor 2"),
        (wrong_sign, "the sign is turned round"),
        (the_loss, "the loss itself"),
        (all_rest, "bring back what went the wrong way"),
        (the_smaller, "the smaller of the two errors"),
    ],
    "ppo-details-scale": [
        (by_rewards, "the rewards themselves"),
        (backwards, "this sums backwards"),
        (shifted, "nothing is to be subtracted"),
        (by_variance, "the variance"),
        (the_sums, "the rewards were asked for"),
        (no_gamma, "γ is left out"),
        (over_the_end, "goes on over the end"),
        (too_early, "before the reward of the last transition"),
    ],
    "ppo-details-verdicts": [
        (uncorrected, "among 21 arms"),
        (bands, "whose intervals overlap"),
        (as_they_come, "Five arms, draw 0"),
        (better_only, "Five arms, draw 1"),
    ],
}


@pytest.mark.parametrize("seed", range(3))
def test_the_solutions_agree_with_the_chapters_own(seed):
    rng = np.random.default_rng(seed)
    values, returns, old = rng.normal(size=(3, 200))
    moving = torch.from_numpy(values).requires_grad_()
    loss = algorithm.clipped_value_loss(moving, torch.from_numpy(returns), torch.from_numpy(old), 0.2)
    (200 * loss).backward()
    assert np.allclose(ppo_details.value_slope(values, returns, old, 0.2), moving.grad.numpy())
    rewards, ended = rng.normal(size=50).astype(np.float32), rng.random(50) < 0.2
    column = ended[:, None]
    batch = ppo.Batch(None, None, rewards[:, None], column, column & False, column | True)
    found = ppo.RewardScale(1, 0.9)(batch)[:, 0]
    assert np.allclose(found, ppo_details.scaled(rewards, ended, 0.9), rtol=1e-4)
