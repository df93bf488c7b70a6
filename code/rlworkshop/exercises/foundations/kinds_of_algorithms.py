"""Exercises of the chapter that maps the kinds of algorithms.

Book: foundations/kinds_of_algorithms
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect
from rlworkshop.foundations import key_concepts
from rlworkshop.foundations import kinds_of_algorithms as kinds

PAGE = "foundations/kinds_of_algorithms"

# ------------------------------------------------------------------------------------------ derive


def stale_limit(played_by: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """The policy (S, A) at which the gradient from another policy's data is zero.

    played_by (S, A): the probabilities of the policy that played the data.
    Q (S, A): what its actions are worth to it, all above zero.

    Book: foundations/kinds_of_algorithms
    """
    # solution
    weight = played_by * Q  # (S, A)
    return weight / weight.sum(axis=1, keepdims=True)
    # end


LIMIT = Exercise(
    "kinds-of-algorithms-stale-limit",
    "Derive: where old data lead",
    PAGE,
    "On-policy and off-policy: whose data may you use?",
    stale_limit,
)


@LIMIT.probe(
    "one state, two actions that were played equally often, one worth three times the other",
    "Take one state. The gradient by the preference of action b is Σ_a β(a) Q(a) (1[a = b] − π(b)).",
    "Split the sum: the first part has only a = b in it, and π(b) can be taken out of the second.",
)
def _two_actions(answer: Callable) -> None:
    beta, Q = np.array([[0.5, 0.5]]), np.array([[3.0, 1.0]])
    expect(answer(beta, Q), np.array([[0.75, 0.25]]), "Both played half of the time, worth 3 and 1", {
        "this takes the best action for certain: a maximum is what Q-learning would do, and the gradient "
        "stands still before": np.array([[1.0, 0.0]]),
        "this is a softmax of the values: they stand as factors in the gradient, not in an exponent":
            np.array([[np.e**2, 1.0]]) / (np.e**2 + 1),
        "this is the old policy itself: there the gradient is not zero, as the first step shows": beta,
        "the weights do not add up to one in this state: divide them by their sum":
            np.array([[1.5, 0.5]]),
        "the advantages are taken for the values: with them one weight is negative": np.array([[0.5, -0.5]]),
    })  # fmt: skip


@LIMIT.probe(
    "an action that was played more often is followed more",
    "How often does an action of value Q(a) turn up in the data?",
    "The limit is the old policy, reweighted; an action that was never played stays at zero.",
)
def _played_more(answer: Callable) -> None:
    beta, Q = np.array([[0.9, 0.1], [0.5, 0.5]]), np.array([[1.0, 3.0], [2.0, 6.0]])
    want = np.array([[0.75, 0.25], [0.25, 0.75]])
    expect(answer(beta, Q), want, "Played 9 to 1 and worth 1 to 3; in another state 1 to 1 and 2 to 6", {
        "how often an action was played is not looked at: rare actions have few terms in the sum":
            np.array([[0.25, 0.75], [0.25, 0.75]]),
        "the rarity of an action is corrected for: that would need a weight that the stale gradient lacks":
            (Q / beta) / (Q / beta).sum(axis=1, keepdims=True),
        "the weights are divided by their sum over all states: each state has a policy of its own":
            beta * Q / (beta * Q).sum(),
    })  # fmt: skip


@LIMIT.probe(
    "in the chapter's maze the stale gradient is zero there",
    "Compare with `kinds.stale_gradient` in a state at a time: which one is not zero?",
)
def _in_the_maze(answer: Callable) -> None:
    world, rng = kinds.maze("dyna"), np.random.default_rng(0)
    beta = rng.dirichlet(np.ones(4), size=54)
    Q = key_concepts.action_values(world, key_concepts.state_values(world, beta, 0.95), 0.95)
    Q = np.where(world.terminal[:, None], 1.0, Q)
    weight = beta * Q
    want = weight / weight.sum(axis=1, keepdims=True)
    expect(answer(beta, Q), want, "Some policy in the maze of the page", {
        "something is added to the weights: far from the goal values are a millionth, and yours drown":
            (weight + 1e-6) / (weight + 1e-6).sum(axis=1, keepdims=True),
    })  # fmt: skip
