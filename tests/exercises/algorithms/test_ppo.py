"""Plausible wrong answers to the exercises of proximal policy optimisation, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest
import torch

from rlworkshop.algorithms import ppo as algorithm
from rlworkshop.exercises.algorithms import ppo

# ---- slope


def clipped_alone(ratio, advantages, clip_range):
    return np.where(np.abs(ratio - 1) > clip_range, 0.0, advantages)


def unclipped(ratio, advantages, clip_range):
    return advantages * np.ones_like(ratio)


def the_objective(ratio, advantages, clip_range):
    return np.minimum(ratio * advantages, ratio.clip(1 - clip_range, 1 + clip_range) * advantages)


def only_the_sign(ratio, advantages, clip_range):
    return np.sign(ppo.slope(ratio, advantages, clip_range))


def turned_round(ratio, advantages, clip_range):
    return ppo.slope(2 - ratio, advantages, clip_range)


def as_if_all_were_good(ratio, advantages, clip_range):
    return np.where(ratio > 1 + clip_range, 0.0, advantages)


def good_ones_only(ratio, advantages, clip_range):
    return np.where((ratio > 1 + clip_range) & (advantages > 0), 0.0, advantages)


def always_a_fifth(ratio, advantages, clip_range):
    return ppo.slope(ratio, advantages, 0.2)


# ---- kl


def minus_log(logp, old_logp):
    return float((old_logp - logp).mean())


def summed(logp, old_logp):
    return ppo.kl_estimate(logp, old_logp) * len(logp)


def squared(logp, old_logp):
    return float(((logp - old_logp) ** 2).mean() / 2)


def the_other_way(logp, old_logp):
    return ppo.kl_estimate(old_logp, logp)


def loses_digits(logp, old_logp):
    x = logp - old_logp
    return float((np.exp(x) - 1 - x).mean())


# ---- diagnose


def a_number(ratios):
    return float(np.abs(ratios[0] - 1).max())


def exact(ratios):
    if (ratios[0] != 1).any():
        return "not at one"
    return "fine" if (ratios != 1).any() else "never moves"


def by_the_mean(ratios):
    if np.abs(ratios[0] - 1).mean() > 0.01:
        return "not at one"
    return "fine" if np.abs(ratios - 1).max() > 1e-5 else "never moves"


def blind_to_the_first(ratios):
    return "fine" if np.abs(ratios - 1).max() > 1e-5 else "never moves"


def blind_to_the_rest(ratios):
    return "not at one" if np.abs(ratios[0] - 1).max() > 1e-5 else "fine"


WRONG = {
    "ppo-slope": [
        (clipped_alone, "the minimum is there to leave it its push"),
        (unclipped, "nothing is clipped"),
        (the_objective, "the objective itself"),
        (only_the_sign, "its size is lost"),
        (turned_round, "this is turned round"),
        (as_if_all_were_good, "the sides change"),
        (good_ones_only, "bad actions are not clipped"),
        (always_a_fifth, "whatever `clip_range` says"),
    ],
    "ppo-kl": [
        (minus_log, "often it is negative"),
        (summed, "this is the sum"),
        (squared, "close for small steps only"),
        (the_other_way, "the ratio is turned round"),
        (loses_digits, "the digits are lost"),
    ],
    "ppo-diagnose": [
        (a_number, "it returns a float"),
        (exact, "ratios of right code"),
        (by_the_mean, "in one transition of 64"),
        (blind_to_the_first, "the first minibatch is away from 1"),
        (blind_to_the_rest, "all ratios are 1"),
    ],
}


@pytest.mark.parametrize("seed", range(3))
def test_the_solutions_agree_with_the_chapters_own(seed):
    rng = np.random.default_rng(seed)
    numbers, advantages = rng.uniform(0.3, 2, 200), rng.normal(size=200)
    ratio = torch.from_numpy(numbers).requires_grad_()
    algorithm.clipped_objective(ratio, torch.from_numpy(advantages), 0.2).sum().backward()
    assert np.allclose(ppo.slope(numbers, advantages, 0.2), ratio.grad.numpy())
    logs = rng.normal(size=(2, 200)).astype(np.float32)
    wanted = algorithm.approximate_kl(*map(torch.from_numpy, logs)).item()
    assert ppo.kl_estimate(*logs) == pytest.approx(wanted, rel=1e-5)
