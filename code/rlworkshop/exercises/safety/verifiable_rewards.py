"""Exercises of the chapter on verifiable rewards.

Book: safety/verifiable_rewards
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "safety/verifiable_rewards"
WEIGHTS = "What a token weighs"


def push(rewards: np.ndarray, lengths: np.ndarray, by: str, budget: int) -> np.ndarray:
    """How hard each token of a group's responses is pushed up at the first step: (G,).

    That is the derivative of GRPO's objective by the log-probability of one token of each
    response, where all ratios are 1. ``rewards`` (G,) and ``lengths`` (G,) are of the
    responses of one group, which is the whole batch. The advantages are standardised, with
    the standard deviation of a sample (divide by G - 1).

    ``by`` says how gains are averaged: "sequence", "token" or "constant", where a constant
    is the number of responses times ``budget``.

    Book: safety/verifiable_rewards
    """
    # solution
    advantage = (rewards - rewards.mean()) / rewards.std(ddof=1)
    if by == "sequence":
        return advantage / (len(rewards) * lengths)
    if by == "token":
        return advantage / lengths.sum()
    return advantage / (len(rewards) * budget)
    # end


PUSH = Exercise("verifiable-rewards-push", "Implement: the push on a token", PAGE, WEIGHTS, push)

REWARDS, LENGTHS = np.array([1.0, 0, 0, 0]), np.array([5, 10, 5, 20])
ADVANTAGES = np.array([1.5, -0.5, -0.5, -0.5])


@PUSH.probe(
    "averaged over sequences, each response has the same weight, shared by its tokens",
    "First the advantages, by hand: 1.5 and three times -0.5.",
    "Divide by the number of responses, and by the length of the response.",
)
def _sequence(answer: Callable) -> None:
    population = (REWARDS - REWARDS.mean()) / REWARDS.std()
    expect(answer(REWARDS, LENGTHS, "sequence", 32), ADVANTAGES / (4 * LENGTHS), (
        "Rewards 1, 0, 0, 0; lengths 5, 10, 5, 20; averaged over sequences"
    ), {
        "the advantages are not centred: subtract the mean of the group":
            REWARDS / REWARDS.std(ddof=1) / (4 * LENGTHS),
        "that is the standard deviation of a population: a sample of G divides by G - 1":
            population / (4 * LENGTHS),
        "that is the average over tokens": ADVANTAGES / LENGTHS.sum(),
        "the whole response has this push, and its tokens share it": ADVANTAGES / 4,
    })  # fmt: skip


@PUSH.probe(
    "averaged over tokens, all tokens of the batch weigh the same",
    "How many tokens are there, of all responses together?",
)
def _token(answer: Callable) -> None:
    expect(answer(REWARDS, LENGTHS, "token", 32), ADVANTAGES / 40, (
        "Rewards 1, 0, 0, 0; lengths 5, 10, 5, 20; averaged over tokens"
    ), {
        "that is the average over sequences": ADVANTAGES / (4 * LENGTHS),
        "an average over tokens has no further division by the number of responses": ADVANTAGES / 160,
    })  # fmt: skip


@PUSH.probe(
    "by a constant, no length has a say",
    "The divisor is the number of responses times the budget.",
)
def _constant(answer: Callable) -> None:
    expect(answer(REWARDS, LENGTHS, "constant", 32), ADVANTAGES / 128, (
        "Rewards 1, 0, 0, 0; lengths 5, 10, 5, 20; divided by a constant, with a budget of 32"
    ), {
        "the longest response is no constant: the budget is": ADVANTAGES / 80,
        "the budget is that of one response, and there are four": ADVANTAGES / 32,
    })  # fmt: skip
