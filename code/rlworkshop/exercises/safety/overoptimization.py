"""Exercises of the chapter on overoptimization of a reward model.

Book: safety/overoptimization
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "safety/overoptimization"


# ------------------------------------------------------------------------------------------ best of n


def best_of_n(prob: np.ndarray, score: np.ndarray, n: int) -> tuple[np.ndarray, float]:
    """The law of best-of-n over K responses, and its KL divergence from the reference in nats.

    prob (K,): of each response under the reference, all above 0, together 1.
    score (K,): all different.
    Returns probabilities (K,), in the order given, and the divergence.

    Book: safety/overoptimization
    """
    # solution
    order = np.argsort(score)
    above = np.cumsum(prob[order])  # that one draw scores no more than this
    chosen = np.empty(len(score))
    chosen[order] = above**n - (above - prob[order]) ** n
    return chosen, float((chosen * np.log(chosen / prob)).sum())
    # end


BEST_OF_N = Exercise(
    "overoptimization-best-of-n",
    "Implement: the exact law of best-of-n",
    PAGE,
    "Best of n, beside a matched control",
    best_of_n,
)


@BEST_OF_N.probe(
    "two responses, the best of two",
    "The best of n scores at most s if all n draws do.",
    "So its distribution function is the n-th power of the reference's; a response gets the step there.",
)
def _coin(answer: Callable) -> None:
    got = answer(np.array([0.5, 0.5]), np.array([1.0, 2.0]), 2)
    expect(got[0], np.array([0.25, 0.75]), "Two responses of ½ each, scores 1 and 2, n = 2", {
        "this returns the response of the lower score more often": np.array([0.75, 0.25]),
        "this is the reference: nothing was chosen": np.array([0.5, 0.5]),
    })  # fmt: skip
    expect(got[1], 0.75 * np.log(1.5) + 0.25 * np.log(0.5), "Its divergence", {
        "this is the formula for scores that never tie, an upper bound": np.log(2) - 0.5,
        "this is KL(reference || best-of-n): the other direction": np.log(2) - 0.5 * np.log(3),
    })  # fmt: skip


@BEST_OF_N.probe(
    "responses of different probability, in any order",
    "Sort by score before you add up, and give the results back in the order in which they came.",
)
def _order(answer: Callable) -> None:
    probability, score = np.array([0.2, 0.5, 0.3]), np.array([3.0, 1.0, 2.0])
    right = np.array([1 - 0.8**3, 0.5**3, 0.8**3 - 0.5**3])
    expect(answer(probability, score, 3)[0], right, "Probabilities 0.2, 0.5, 0.3, scores 3, 1, 2, n = 3", {
        "these are in the order of the scores, not in that of the responses": right[[1, 2, 0]],
        "the scores were not sorted before adding up": np.array([0.2**3, 0.7**3 - 0.2**3, 1 - 0.7**3]),
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ worst case


def conservative(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Worst-case scores (B,) of responses, by K members that each have a zero of their own.

    scores (K, B): of the responses, as each member gives them.
    reference (K, M): of many responses of the reference, by the same members.

    Book: safety/overoptimization
    """
    # solution
    return (scores - reference.mean(axis=1, keepdims=True)).min(axis=0)
    # end


CONSERVATIVE = Exercise(
    "overoptimization-worst-case",
    "Implement: worst-case optimization with different zeros",
    PAGE,
    "Ensembles and what they cost",
    conservative,
)


@CONSERVATIVE.probe(
    "the lowest score counts, of each response",
    "Each response has K scores. Which one would somebody take who trusts nobody?",
)
def _lowest(answer: Callable) -> None:
    scores, reference = np.array([[1.37, 4.0, 0.5], [3.0, 2.24, 0.8]]), np.array([[-1.0, 1.0], [2.0, -2.0]])
    expect(answer(scores, reference), np.array([1.37, 2.24, 0.5]), "Two members whose zero is 0 already", {
        "this is the highest score: it seeks what the members disagree about": np.array([3.0, 4.0, 0.8]),
        "this is the mean: the members' disagreement does not count": np.array([2.185, 3.12, 0.65]),
    })  # fmt: skip


@CONSERVATIVE.probe(
    "a member whose zero is lower is not the worst for that",
    "Take off from each member what it gives the reference's responses on average.",
)
def _zeros(answer: Callable) -> None:
    scores, reference = np.array([[1.0, 4.0], [-97.0, -98.0]]), np.array([[0.0, 0.0], [-101.0, -99.0]])
    expect(answer(scores, reference), np.array([1.0, 2.0]), "The second member gives 100 less to all", {
        "the second member alone was heard: its zero is 100 lower": np.array([-97.0, -98.0]),
        "centred on the responses that are judged, which takes off a policy's gain": np.array([-1.5, -0.5]),
    })  # fmt: skip
