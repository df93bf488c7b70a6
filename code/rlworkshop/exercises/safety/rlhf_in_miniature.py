"""Exercises of the chapter on RLHF in miniature.

Book: safety/rlhf_in_miniature
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "safety/rlhf_in_miniature"
OBJECTIVE = "Reward, less the distance from the reference"
DPO_SECTION = "DPO: the reward model is in the policy"


def optimum(
    reference: np.ndarray,
    rewards: np.ndarray,
    beta: float,
) -> tuple[np.ndarray, float]:
    """The policy (N,) that is best for the mean reward less ``beta`` times its KL divergence
    from the ``reference`` (N,), and the value of this objective that it reaches.

    Rewards (N,) may be as large as 1000: take care of the exponential.

    Book: safety/rlhf_in_miniature
    """
    # solution
    scaled = rewards / beta
    weights = reference * np.exp(scaled - scaled.max())
    policy = weights / weights.sum()
    return policy, float(beta * (np.log(weights.sum()) + scaled.max()))
    # end


OPTIMUM = Exercise(
    "rlhf-in-miniature-optimum", "Derive and implement: the best policy", PAGE, OBJECTIVE, optimum
)


@OPTIMUM.probe(
    "three responses, as on the page",
    "The policy is proportional to the reference times exp(reward / beta).",
    "Divide by the sum.",
)
def _three(answer: Callable) -> None:
    reference, rewards = np.array([0.6, 0.3, 0.1]), np.array([0.0, 1, 2])
    weights = reference * np.exp(rewards / 0.5)
    expect(answer(reference, rewards, 0.5)[0], weights / weights.sum(), "beta = 0.5", {
        "the weights have to be divided by their sum": weights,
        "a small beta means that the reward counts much: divide by it": (
            reference * np.exp(rewards * 0.5) / (reference * np.exp(rewards * 0.5)).sum()),
        "the reference is missing": np.exp(rewards / 0.5) / np.exp(rewards / 0.5).sum(),
    })  # fmt: skip


@OPTIMUM.probe(
    "the value is that of the objective",
    "Put the policy into the objective and simplify: a logarithm of the sum is left.",
    "It is beta times the logarithm of the partition function.",
)
def _value(answer: Callable) -> None:
    reference, rewards = np.array([0.5, 0.25, 0.25]), np.array([1.0, -1, 0.5])
    z = (reference * np.exp(rewards / 2)).sum()
    policy = reference * np.exp(rewards / 2) / z
    expect(answer(reference, rewards, 2.0)[1], 2 * np.log(z), "beta = 2", {
        "that is the mean reward: the penalty is missing": (policy * rewards).sum(),
        "log Z has to be multiplied by beta": np.log(z),
        "that is the mean reward of the reference": (reference * rewards).sum(),
    })  # fmt: skip


@OPTIMUM.probe("rewards of a thousand do no harm", "Subtract the largest exponent first, and add it again.")
def _large(answer: Callable) -> None:
    policy, value = answer(np.array([0.5, 0.5]), np.array([1000.0, 1000.5]), 0.5)
    expect(policy, np.array([1, np.e]) / (1 + np.e), "rewards of about 1000", {
        "exp has overflowed": [np.nan, np.nan],
    })  # fmt: skip
    expect(value, 1000 + 0.5 * np.log(0.5 + 0.5 * np.e), "the value with rewards of about 1000", {
        "what was subtracted in the exponent is missing from the value": (
            0.5 * np.log(0.5 / np.e + 0.5)),
    })  # fmt: skip


def dpo(
    chosen: np.ndarray,
    rejected: np.ndarray,
    ref_chosen: np.ndarray,
    ref_rejected: np.ndarray,
    chosen_mask: np.ndarray,
    rejected_mask: np.ndarray,
    beta: float,
) -> float:
    """Mean DPO loss of pairs, from log-probabilities of their tokens, each (B, T).

    The masks (B, T) are True for tokens of the responses; the numbers elsewhere mean nothing.

    Book: safety/rlhf_in_miniature
    """
    # solution
    up = ((chosen - ref_chosen) * chosen_mask).sum(axis=1)
    down = ((rejected - ref_rejected) * rejected_mask).sum(axis=1)
    return float(np.logaddexp(0, -beta * (up - down)).mean())
    # end


DPO = Exercise("rlhf-in-miniature-dpo", "Implement: the loss of DPO", PAGE, DPO_SECTION, dpo)


def _loss(up: np.ndarray, down: np.ndarray, beta: float) -> float:
    """The loss of log-ratios (B,)."""
    return float(np.logaddexp(0, -beta * (up - down)).mean())


@DPO.probe(
    "one pair of one token each",
    "The logit is beta times a difference of two log-ratios.",
    "Each log-ratio is the policy's log-probability less the reference's.",
)
def _one(answer: Callable) -> None:
    a, b, c, d = (np.array([[x]]) for x in (-1.0, -2.0, -3.0, -1.5))
    yes = np.array([[True]])
    expect(answer(a, b, c, d, yes, yes, 0.5), _loss(np.array([2.0]), np.array([-0.5]), 0.5), (
        "log-probabilities -1 and -2, the reference's -3 and -1.5, beta 0.5"
    ), {
        "policy and reference are exchanged, or chosen and rejected: the sign is wrong":
            _loss(np.array([-2.0]), np.array([0.5]), 0.5),
        "the reference is missing": _loss(np.array([-1.0]), np.array([-2.0]), 0.5),
        "beta is missing": _loss(np.array([2.0]), np.array([-0.5]), 1.0),
    })  # fmt: skip


@DPO.probe(
    "a response counts as a whole, and padding not at all",
    "The probability of a response is a product over its tokens, so its logarithm is a sum.",
    "Multiply by the mask before you sum.",
)
def _whole(answer: Callable) -> None:
    chosen, rejected = np.array([[-1.0, -1, -1, 5]]), np.array([[-2.0, 7, 7, 7]])
    ref = np.full((1, 4), -2.0)
    masks = np.array([[True, True, True, False]]), np.array([[True, False, False, False]])
    wanted = _loss(np.array([3.0]), np.array([0.0]), 0.2)
    expect(answer(chosen, rejected, ref, ref, *masks, 0.2), wanted, (
        "a chosen response of three tokens, a rejected one of one, the rest is padding"
    ), {
        "padding is counted": _loss(np.array([10.0]), np.array([27.0]), 0.2),
        "that is a mean over tokens: a response has the sum": _loss(np.array([1.0]), np.array([0.0]), 0.2),
        "the mask of the chosen response does not fit the rejected one":
            _loss(np.array([3.0]), np.array([18.0]), 0.2),
    })  # fmt: skip


@DPO.probe("a hopeless pair has a large loss, not an infinite one", "log(sigmoid(z)) has a stable form.")
def _stable(answer: Callable) -> None:
    far, zero, yes = np.array([[-2000.0]]), np.zeros((1, 1)), np.array([[True]])
    expect(answer(far, zero, zero, zero, yes, yes, 1.0), 2000.0, "a difference of -2000", {
        "the sigmoid was rounded to 0 before the logarithm": np.inf,
    })  # fmt: skip


@DPO.probe(
    "three pairs: the mean of their losses",
    "Each pair has a log-ratio of its own for each response. Sum along the tokens only.",
    "The mean is taken over losses, at the very end.",
)
def _batch(answer: Callable) -> None:
    chosen, rejected = np.array([[-1.0, -2], [-3, -1], [-2, -2]]), np.array([[-4.0, -1], [-1, -2], [-3, -5]])
    ref, yes = np.full((3, 2), -2.0), np.ones((3, 2), bool)
    up, down = (chosen - ref).sum(axis=1), (rejected - ref).sum(axis=1)
    expect(answer(chosen, rejected, ref, ref, yes, yes, 0.5), _loss(up, down, 0.5), (
        "three pairs of responses with two tokens each"
    ), {
        "the losses are added up, not averaged": 3 * _loss(up, down, 0.5),
        "the mean is taken before the loss": _loss(up.mean(keepdims=True), down.mean(keepdims=True), 0.5),
        "pairs are mixed: sum along the tokens": _loss(up.sum(keepdims=True), down.sum(keepdims=True), 0.5),
    })  # fmt: skip
