"""Plausible wrong answers to the exercise on verifiable rewards, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import torch

from rlworkshop.exercises.safety import verifiable_rewards as page
from rlworkshop.safety import verifiable_rewards as rlvr


def not_centred(rewards, lengths, by, budget):
    return page.push(rewards, lengths, by, budget) + rewards.mean() / rewards.std(ddof=1) / (
        len(rewards) * lengths
    )


def of_a_population(rewards, lengths, by, budget):
    return page.push(rewards, lengths, by, budget) * rewards.std(ddof=1) / rewards.std()


def always_by_tokens(rewards, lengths, by, budget):
    return page.push(rewards, lengths, "token", budget)


def always_by_sequences(rewards, lengths, by, budget):
    return page.push(rewards, lengths, "sequence", budget)


def by_the_longest(rewards, lengths, by, budget):
    return page.push(rewards, lengths, by, lengths.max())


WRONG = {
    "verifiable-rewards-push": [
        (not_centred, "not centred"),
        (of_a_population, "divides by G - 1"),
        (always_by_tokens, "average over tokens"),
        (always_by_sequences, "average over sequences"),
        (by_the_longest, "no constant"),
    ],
}


def test_it_is_what_the_book_does():
    rng = np.random.default_rng(0)
    rewards, lengths = rng.random(6), rng.integers(1, 9, 6)
    mask = torch.arange(9)[None] < torch.as_tensor(lengths)[:, None]
    advantage = rlvr.standardised(torch.as_tensor(rewards, dtype=torch.float32)[None]).flatten()
    for by in ("sequence", "token", "constant"):
        wanted = advantage * rlvr.weights(mask, by)[:, 0]
        assert np.allclose(page.push(rewards, lengths, by, 9), wanted, rtol=1e-2)
