"""Which question tells the reward model most."""

import numpy as np


def entropy(p):
    """Of a coin, in nats."""
    p = np.stack([p, 1 - p])
    return -(p * np.log(np.where(p > 0, p, 1))).sum(axis=0)


def information(preferences):
    """BALD: entropy of the mean minus mean of the entropies."""
    return entropy(preferences.mean(axis=0)) - entropy(preferences).mean(axis=0)
