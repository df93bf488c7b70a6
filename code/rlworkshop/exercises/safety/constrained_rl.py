"""Exercises of the chapter on constrained RL.

Book: safety/constrained_rl
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "safety/constrained_rl"
DUAL = "The Lagrangian and its dual"
CONTROL = "Why dual ascent freezes the agent"


# ------------------------------------------------------------------------------------------ price


def price(rewards: np.ndarray, costs: np.ndarray, limit: float) -> np.ndarray:
    """How often to take the first of two ways, and the multiplier of the smallest dual (2,).

    rewards, costs (2,): of the first way, which earns more and costs more, and of the second.
    limit: of the expected cost; the second way keeps it.

    Book: safety/constrained_rl
    """
    # solution
    if costs[0] <= limit:
        return np.array([1.0, 0.0])
    spread = costs[0] - costs[1]
    return np.array([(limit - costs[1]) / spread, (rewards[0] - rewards[1]) / spread])
    # end


PRICE = Exercise("constrained-rl-price", "Derive: the best mixture and its price", PAGE, DUAL, price)

_R, _C = np.array([3.0, 1.0]), np.array([6.0, 1.0])


@PRICE.probe(
    "where the first way breaks the limit, the mixture uses the limit up",
    "Take the first way with probability p: the cost is p times its own, and (1 - p) times the other's.",
    "The multiplier is where both ways have the same Lagrangian: write both down and subtract.",
)
def _mixed(answer: Callable) -> None:
    told = "Rewards 3 and 1, costs 6 and 1, limit 3"
    expect(answer(_R, _C, 3.0), np.array([0.4, 0.4]), told, {
        "the second way costs something, too": np.array([0.5, 0.4]),
        "this is how often the second way is taken": np.array([0.6, 0.4]),
        "this multiplier is the reward for a unit of cost, not what one more unit of cost would earn":
            np.array([0.4, 0.5]),
        "the second multiplier is upside down": np.array([0.4, 2.5]),
        "the multiplier is a fine: it is not negative": np.array([0.4, -0.4]),
    })  # fmt: skip


@PRICE.probe(
    "a limit that does not bind costs nothing",
    "If even the first way keeps the limit, there is no reason to take the other, and nothing to be fined.",
)
def _slack(answer: Callable) -> None:
    for limit in (6.0, 8.5):
        expect(answer(_R, _C, limit), np.array([1.0, 0.0]), f"The same ways, limit {limit}", {
            "nothing is fined where the limit does not bind": np.array([1.0, 0.4]),
            "a probability is not above 1": np.array([(limit - 1) / 5, 0.4]),
        })  # fmt: skip


@PRICE.probe("other ways, and a limit that leaves no room", "Nothing in it is special to the numbers above.")
def _others(answer: Callable) -> None:
    expect(answer(np.array([1.0, -2.0]), np.array([2.0, 0.5]), 0.5), np.array([0.0, 2.0]), "No room", {})
    expect(answer(np.array([1.0, 0.2]), np.array([1.0, 0.0]), 0.25), np.array([0.25, 0.8]), "As above", {})


# ------------------------------------------------------------------------------------------ multiplier


def control(costs: np.ndarray, limit: float, kp: float, ki: float, most: float) -> np.ndarray:
    """Multipliers (K,) of a PI controller that is told one cost after the other.

    costs (K,): mean costs of an episode, batch by batch. limit: that they are to keep.
    kp, ki: gains. most: multiplier and sum, which begins at 0, lie between 0 and this.

    Book: safety/constrained_rl
    """
    # solution
    total, found = 0.0, []
    for cost in costs:
        total = np.clip(total + ki * (cost - limit), 0, most)
        found.append(np.clip(total + kp * (cost - limit), 0, most))
    return np.array(found)
    # end


MULTIPLIERS = Exercise(
    "constrained-rl-multipliers", "Implement: a PI controller for the multiplier", PAGE, CONTROL, control
)

_SEEN = np.array([4.0, 3.0, 2.0, 1.5, 2.5])


def _clamped(costs: np.ndarray, kp: float, ki: float, limit: float = 2.0) -> np.ndarray:
    """What a controller with clamps at 0 gives."""
    total, found = 0.0, []
    for cost in costs:
        total = max(total + ki * (cost - limit), 0.0)
        found.append(max(total + kp * (cost - limit), 0.0))
    return np.array(found)


@MULTIPLIERS.probe(
    "the integral adds up the excess, the proportional term adds the present one",
    "The excess is the cost less the limit: too much cost makes the multiplier rise.",
    "The proportional term is not added to the sum: it is gone when the excess is.",
)
def _both(answer: Callable) -> None:
    told = "Costs 4, 3, 2, 1.5, 2.5, limit 2, kp 0.5, ki 0.2"
    right = _clamped(_SEEN, 0.5, 0.2)
    expect(answer(_SEEN, 2.0, 0.5, 0.2, 50.0), right, told, {
        "the sign is turned round: costs below the limit are fined": _clamped(4.0 - _SEEN, 0.5, 0.2),
        "the proportional term is added to the sum": _clamped(_SEEN, 0.0, 0.7),
        "there is no proportional term": _clamped(_SEEN, 0.0, 0.2),
        "there is no integral": _clamped(_SEEN, 0.5, 0.0),
        "the limit is forgotten": _clamped(_SEEN, 0.5, 0.2, limit=0.0),
        "the multiplier is one batch late": np.concatenate([[0.0], right[:-1]]),
    })  # fmt: skip


@MULTIPLIERS.probe(
    "a multiplier is never negative",
    "A negative fine pays for costs. Which of the two, the sum or the multiplier, did you clamp?",
)
def _never_negative(answer: Callable) -> None:
    told = "Costs 3, 0, limit 2, kp 1, ki 0.5"
    expect(answer(np.array([3.0, 0.0]), 2.0, 1.0, 0.5, 50.0), np.array([1.5, 0.0]), told, {
        "the multiplier is negative: costs are paid for": np.array([1.5, -2.0]),
        "without the clamp": np.array([1.5, -2.5]),
    })  # fmt: skip


@MULTIPLIERS.probe(
    "what is below the limit is not saved up",
    "After ten batches without costs, how long does your controller take to notice a cost of 4?",
)
def _no_wind_up(answer: Callable) -> None:
    seen = np.array([0.0] * 10 + [4.0])
    told = "Ten costs of 0 and one of 4, limit 2, kp 0.1, ki 0.5"
    expect(answer(seen, 2.0, 0.1, 0.5, 50.0), np.array([0.0] * 10 + [1.2]), told, {
        "the sum is not clamped: ten thrifty batches have been saved up": np.zeros(11),
    })  # fmt: skip


@MULTIPLIERS.probe(
    "neither the multiplier nor the sum goes above the most",
    "Clamp both: a sum that has run away takes as long to come back as one that is too low.",
)
def _no_more_than(answer: Callable) -> None:
    seen = np.array([4.0] * 10 + [1.0, 1.0])
    told = "Ten costs of 4 and two of 1, limit 2, kp 0.5, ki 1, most 3"
    expect(answer(seen, 2.0, 0.5, 1.0, 3.0), np.array([3.0] * 10 + [1.5, 0.5]), told, {
        "the sum is not clamped above": np.full(12, 3.0),
    })  # fmt: skip
