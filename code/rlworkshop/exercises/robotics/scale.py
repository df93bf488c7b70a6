"""Exercises of the chapter on distributed rollouts.

Book: robotics/scale
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "robotics/scale"
VTRACE = "V-trace"


def vtrace_targets(
    rewards: np.ndarray,
    values: np.ndarray,
    ratio: np.ndarray,
    gamma: float,
) -> np.ndarray:
    """V-trace targets (T,) of a fragment of one environment without an end in it.

    rewards (T,). values (T+1,): of the state before each step, and of the last one.
    ratio (T,): probability of the action under the learner's policy over that under the
    policy that acted. Both bounds are 1, and so is lambda.

    Book: robotics/scale
    """
    # solution
    weight = np.minimum(1.0, ratio)  # (T,)
    targets, correction = np.empty(len(rewards)), 0.0
    for t in reversed(range(len(rewards))):
        delta = weight[t] * (rewards[t] + gamma * values[t + 1] - values[t])
        correction = delta + gamma * weight[t] * correction
        targets[t] = values[t] + correction
    return targets
    # end


TARGETS = Exercise("scale-vtrace", "Implement: V-trace for one environment", PAGE, VTRACE, vtrace_targets)
REWARDS, VALUES = np.array([1.0, -0.5, 2.0, 0.3]), np.array([0.4, 0.9, -0.2, 0.6, 1.1])
GAMMA = 0.9


def variant(ratio: np.ndarray, traces: np.ndarray) -> np.ndarray:
    """Targets of the probes' fragment with these weights of TD errors and of traces, both (T,)."""
    targets, correction = np.empty(4), 0.0
    for t in reversed(range(4)):
        delta = ratio[t] * (REWARDS[t] + GAMMA * VALUES[t + 1] - VALUES[t])
        correction = delta + GAMMA * traces[t] * correction
        targets[t] = VALUES[t] + correction
    return targets


@TARGETS.probe(
    "on-policy the target is the discounted return up to the end, and the value there",
    "With all ratios 1 the TD errors add up: the values in between cancel.",
    "Go backwards: correction = delta + gamma * c * correction, and the target is value plus correction.",
)
def _on_policy(answer: Callable) -> None:
    ones = np.ones(4)
    got = answer(REWARDS, VALUES, ones, GAMMA)
    expect(got, vtrace_targets(REWARDS, VALUES, ones, GAMMA), "Four steps, all ratios 1", {
        "this is the correction: the value that it corrects is to be added":
            variant(ones, ones) - VALUES[:-1],
        "each step knows only its own TD error: what was learned of the next state is not passed on":
            variant(ones, np.zeros(4)),
        "the value after the last step is left out": vtrace_targets(
            REWARDS, np.append(VALUES[:-1], 0.0), ones, GAMMA
        ),
    })  # fmt: skip


@TARGETS.probe(
    "ratios below 1 weigh TD errors and what is passed on",
    "Both need a weight: the step's own TD error, and the correction that comes from the next one.",
)
def _below(answer: Callable) -> None:
    ratio, ones = np.array([0.5, 0.8, 0.2, 0.9]), np.ones(4)
    got = answer(REWARDS, VALUES, ratio, GAMMA)
    expect(got, vtrace_targets(REWARDS, VALUES, ratio, GAMMA), "Ratios 0.5, 0.8, 0.2 and 0.9", {
        "the ratios are not used": variant(ones, ones),
        "the TD errors are weighted, what is passed on from the next step is not": variant(ratio, ones),
        "what is passed on is weighted, the TD errors are not": variant(ones, ratio),
        "what is passed on is weighted by the next step's ratio: c belongs to the step itself":
            variant(ratio, np.append(ratio[1:], 1.0)),
    })  # fmt: skip


@TARGETS.probe(
    "ratios above 1 count as 1",
    "Both bounds are 1: np.minimum(1, ratio).",
)
def _above(answer: Callable) -> None:
    ratio = np.array([3.0, 0.5, 2.0, 1.5])
    cut = np.minimum(1, ratio)
    got = answer(REWARDS, VALUES, ratio, GAMMA)
    expect(got, vtrace_targets(REWARDS, VALUES, ratio, GAMMA), "Ratios 3, 0.5, 2 and 1.5", {
        "the ratios are not cut off: a fragment of many steps would multiply them": variant(ratio, ratio),
        "they are cut off in the trace, but not in the TD error": variant(ratio, cut),
        "they are cut off in the TD error, but not in the trace": variant(cut, ratio),
        "they are cut off below 1, not above": variant(np.maximum(1, ratio), np.maximum(1, ratio)),
    })  # fmt: skip
