"""Plausible wrong answers to the exercises on the kinds of algorithms, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np

# ---- where old data lead


def normalised(weight):
    return weight / weight.sum(axis=1, keepdims=True)


def greedy(played_by, Q):
    return normalised((Q.max(axis=1, keepdims=True) - Q == 0).astype(float))


def softmax_of_values(played_by, Q):
    return normalised(np.exp(Q))


def the_old_policy(played_by, Q):
    return played_by.copy()


def not_normalised(played_by, Q):
    return played_by * Q


def by_advantage(played_by, Q):
    return played_by * (Q - (played_by * Q).sum(axis=1, keepdims=True))


def values_alone(played_by, Q):
    return normalised(Q)


def corrected_for_rarity(played_by, Q):
    return normalised(Q / played_by)


def over_all_states(played_by, Q):
    return played_by * Q / (played_by * Q).sum()


def guarded(played_by, Q):
    return normalised(played_by * Q + 1e-6)


WRONG = {
    "kinds-of-algorithms-stale-limit": [
        (greedy, "a maximum is what Q-learning would do"),
        (softmax_of_values, "a softmax of the values"),
        (the_old_policy, "this is the old policy itself"),
        (not_normalised, "divide them by their sum"),
        (by_advantage, "one weight is negative"),
        (values_alone, "how often an action was played is not looked at"),
        (corrected_for_rarity, "the rarity of an action is corrected for"),
        (over_all_states, "each state has a policy of its own"),
        (guarded, "yours drown"),
    ],
}
