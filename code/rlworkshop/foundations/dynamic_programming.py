"""Dynamic programming: the best policy of a world that is known.

Book: foundations/dynamic_programming
"""

import numpy as np

from rlworkshop.foundations.key_concepts import MDP, action_values, state_values


def greedy(Q: np.ndarray, tolerance: float = 1e-9) -> np.ndarray:
    """The policy (S, A) that takes the best action of ``Q`` (S, A); ties within ``tolerance`` share.

    Book: foundations/dynamic_programming
    """
    best = Q.max(axis=1, keepdims=True) - tolerance <= Q  # (S, A)
    return best / best.sum(axis=1, keepdims=True)


def optimal_values(mdp: MDP, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """V (S,) and Q (S, A) of the best policy, exact to rounding, by policy iteration.

    Book: foundations/dynamic_programming
    """
    S, A = mdp.r.shape
    V = state_values(mdp, np.full((S, A), 1 / A), gamma)
    while True:
        Q = action_values(mdp, V, gamma)
        better = state_values(mdp, greedy(Q), gamma)
        if (better <= V + 1e-10).all():
            return V, Q
        V = better
