"""Bandits: one state, many actions, and the question what to try.

Book: foundations/bandits
"""

import numpy as np

from rlworkshop.dice import Dice


def epsilon_greedy(Q: np.ndarray, epsilon: float, dice: Dice) -> np.ndarray:
    """The best-looking action (N,) of each row of ``Q`` (N, A); with probability ``epsilon`` any action.

    Book: foundations/bandits
    """
    explore = dice.uniform() < epsilon  # (N,)
    return np.where(explore, dice.integers(Q.shape[1]), dice.argmax(Q))
