"""Plausible wrong answers to the exercises on RLHF in miniature, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import torch

from rlworkshop.exercises.safety import rlhf_in_miniature as page
from rlworkshop.safety import rlhf_in_miniature as rlhf


def no_sum(reference, rewards, beta):
    return reference * np.exp(rewards / beta), 0.0


def upside_down(reference, rewards, beta):
    return page.optimum(reference, rewards, 1 / beta)


def no_reference(reference, rewards, beta):
    return page.optimum(np.ones_like(reference), rewards, beta)


def mean_reward(reference, rewards, beta):
    policy, _ = page.optimum(reference, rewards, beta)
    return policy, float((policy * rewards).sum())


def overflows(reference, rewards, beta):
    with np.errstate(over="ignore", invalid="ignore"):
        weights = reference * np.exp(rewards / beta)
        return weights / weights.sum(), float(beta * np.log(weights.sum()))


def forgets_the_shift(reference, rewards, beta):
    policy, value = page.optimum(reference, rewards, beta)
    return policy, value - rewards.max() if rewards.max() > 100 else value


def exchanged(a, b, c, d, m, n, beta):
    return page.dpo(c, d, a, b, m, n, beta)


def swapped(a, b, c, d, m, n, beta):
    return page.dpo(b, a, d, c, n, m, beta)


def without_reference(a, b, c, d, m, n, beta):
    return page.dpo(a, b, 0 * c, 0 * d, m, n, beta)


def no_mask(a, b, c, d, m, n, beta):
    return page.dpo(a, b, c, d, m | True, n | True, beta)


def one_mask(a, b, c, d, m, n, beta):
    return page.dpo(a, b, c, d, m, m, beta)


def mean_of_tokens(a, b, c, d, m, n, beta):
    return page.dpo(a / m.sum(), b / n.sum(), c / m.sum(), d / n.sum(), m, n, beta)


def rounded(a, b, c, d, m, n, beta):
    logit = beta * (((a - c) * m).sum(axis=1) - ((b - d) * n).sum(axis=1))
    with np.errstate(over="ignore", divide="ignore"):
        return float(-np.log(1 / (1 + np.exp(-logit))).mean())


def mean_first(a, b, c, d, m, n, beta):
    up, down = ((a - c) * m).sum(axis=1).mean(), ((b - d) * n).sum(axis=1).mean()
    return float(np.logaddexp(0, -beta * (up - down)))


WRONG = {
    "rlhf-in-miniature-optimum": [
        (no_sum, "divided by their sum"),
        (upside_down, "divide by it"),
        (no_reference, "reference is missing"),
        (mean_reward, "penalty is missing"),
        (overflows, "overflowed"),
        (forgets_the_shift, "missing from the value"),
    ],
    "rlhf-in-miniature-dpo": [
        (exchanged, "policy and reference are exchanged"),
        (swapped, "policy and reference are exchanged"),
        (without_reference, "reference is missing"),
        (no_mask, "padding is counted"),
        (one_mask, "does not fit the rejected"),
        (mean_of_tokens, "mean over tokens"),
        (rounded, "rounded to 0"),
        (mean_first, "mean is taken before the loss"),
    ],
}


def test_it_is_what_the_book_does():
    draws = np.random.default_rng(0).normal(size=(4, 6, 5))
    mask = np.ones((6, 5), bool)
    wanted = rlhf.dpo_loss(*(torch.as_tensor(x.sum(axis=1)) for x in draws), 0.3).item()
    assert np.isclose(page.dpo(*draws, mask, mask, 0.3), wanted)
