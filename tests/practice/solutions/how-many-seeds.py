"""The power of a comparison, from real runs."""

from rlworkshop.foundations.evaluating_agents import differs


def power(x, y, n, trials, rng):
    """The share of trials in which Welch's test claims a difference."""
    return float(differs(rng.choice(x, (trials, n)), rng.choice(y, (trials, n))).mean())
