"""Exercises of the chapter on the implementation details of proximal policy optimisation.

Book: algorithms/ppo_details
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect
from rlworkshop.foundations import evaluating_agents as ev

PAGE = "algorithms/ppo_details"
VALUES = "Advantages and values"
SCALE = "The scale of observations and rewards"
STUDY = "One left out at a time, on HalfCheetah"


# ------------------------------------------------------------------------------------------ derive


def value_slope(
    values: np.ndarray, returns: np.ndarray, old_values: np.ndarray, clip_range: float
) -> np.ndarray:
    """Derivative of each transition's clipped value loss with respect to its value.

    values, returns, old_values (B,). Returns (B,).

    Book: algorithms/ppo_details
    """
    # solution
    near = old_values + np.clip(values - old_values, -clip_range, clip_range)  # (B,)
    constant = (near - returns) ** 2 > (values - returns) ** 2  # (B,), and it does not move
    return np.where(constant, 0.0, 2 * (values - returns))
    # end


SLOPE = Exercise("ppo-details-value", "Derive: which values still move", PAGE, VALUES, value_slope)


@SLOPE.probe(
    "a value within the range moves as ever",
    "Within the range the clipped value is the value itself, and both errors are the same.",
)
def _within(answer: Callable) -> None:
    got = answer(np.array([1.1, 0.9]), np.array([2.0, 0.0]), np.ones(2), 0.2)
    expect(got, np.array([-1.8, 1.8]), "Values 1.1 and 0.9, returns 2 and 0, old values 1, ε = 0.2", {
        "the derivative of a square has a factor 2": np.array([-0.9, 0.9]),
        "the sign is turned round: a value below its return has to rise": np.array([1.8, -1.8]),
        "this is the loss itself, not its derivative": np.array([0.81, 0.81]),
    })  # fmt: skip


@SLOPE.probe(
    "a value that has gone far enough towards its return rests, one that has gone the wrong way does not",
    "The larger of two errors counts. Beyond the range one of them is a constant: when is it the larger?",
)
def _beyond(answer: Callable) -> None:
    got = answer(np.array([1.5, 0.5, 1.5]), np.array([2.0, 2.0, 1.1]), np.ones(3), 0.2)
    expect(got, np.array([0, -3, 0.8]), "Values 1.5, 0.5, 1.5, returns 2, 2, 1.1, old values 1, ε = 0.2", {
        "this is the slope of the squared error alone": np.array([-1.0, -3, 0.8]),
        "beyond the range all rest here: the maximum is there to bring back what went the wrong way":
            np.zeros(3),
        "this takes the smaller of the two errors": np.array([-1.0, 0, 0]),
    })  # fmt: skip


@SLOPE.drawn
def _any_values(rng: np.random.Generator) -> tuple:
    return (*rng.normal(size=(3, 5)), float(rng.uniform(0.1, 1)))


# ------------------------------------------------------------------------------------------ implement


def scaled(rewards: np.ndarray, ended: np.ndarray, gamma: float) -> np.ndarray:
    """The rewards of one environment, divided by the spread of the discounted return so far.

    rewards (T,); ended (T,) bool: transition t was the last one of its episode.
    Returns (T,). There is no clipping.

    Book: algorithms/ppo_details
    """
    # solution
    sums, so_far = np.zeros(len(rewards)), 0.0  # (T,)
    for t in range(len(rewards)):
        so_far = gamma * so_far + rewards[t]
        sums[t] = so_far
        if ended[t]:
            so_far = 0.0
    return rewards / sums.std()
    # end


REWARDS = Exercise("ppo-details-scale", "Implement: the scale of rewards", PAGE, SCALE, scaled)


@REWARDS.probe(
    "the divisor is the spread of the discounted return so far",
    "g = r + γ g, step by step forwards; then the standard deviation of all g.",
)
def _one_episode(answer: Callable) -> None:
    rewards = np.array([2.0, 4, 1])
    got = answer(rewards, np.zeros(3, bool), 0.5)
    expect(got, rewards / np.std([2, 5, 3.5]), "Rewards 2, 4, 1, γ = 0.5, sums 2, 5, 3.5", {
        "this divides by the spread of the rewards themselves": rewards / rewards.std(),
        "this sums backwards, as a return does: here what has been is summed":
            rewards / np.std([4.25, 4.5, 1]),
        "nothing is to be subtracted": (rewards - rewards.mean()) / np.std([2, 5, 3.5]),
        "this divides by the variance": rewards / np.var([2, 5, 3.5]),
        "the sums are scaled here, and the rewards were asked for":
            np.array([2, 5, 3.5]) / np.std([2, 5, 3.5]),
        "γ is left out": rewards / np.std([2, 6, 7]),
    })  # fmt: skip


@REWARDS.probe("each episode begins anew", "After the last transition of an episode the sum is 0 again.")
def _two_episodes(answer: Callable) -> None:
    rewards = np.array([2.0, 4, 1])
    got = answer(rewards, np.array([False, True, False]), 0.5)
    expect(got, rewards / np.std([2, 5, 1]), "As before, and the second transition ends an episode", {
        "the sum goes on over the end of an episode": rewards / np.std([2, 5, 3.5]),
        "the sum is set to 0 before the reward of the last transition is in it": rewards / np.std([2, 4, 3]),
    })  # fmt: skip


@REWARDS.drawn
def _any_rewards(rng: np.random.Generator) -> tuple:
    return rng.normal(size=8), rng.random(8) < 0.3, float(rng.uniform(0.3, 0.99))


# ------------------------------------------------------------------------------------------ diagnose


def verdicts(baseline: np.ndarray, arms: dict[str, np.ndarray]) -> list[str]:
    """Names of the arms that differ from the baseline, all verdicts together right with 95 %.

    baseline (n,), and of each arm (m,): scores of runs. Welch's intervals; with k arms each
    may be wrong in one case of 20 k (Bonferroni). Returns the names in alphabetical order.

    Book: algorithms/ppo_details
    """
    # solution
    confidence = 1 - 0.05 / len(arms)
    apart = {name: ev.differs(scores, baseline, confidence) for name, scores in arms.items()}
    return sorted(name for name in arms if apart[name])
    # end


VERDICTS = Exercise("ppo-details-verdicts", "Diagnose: which rows say anything", PAGE, STUDY, verdicts)


def _names(answer: Callable, baseline: np.ndarray, arms: dict, want: list[str], case: str) -> None:
    got = answer(baseline, arms)
    if not isinstance(got, list):
        raise Wrong(f"it returns a {type(got).__name__}, and should return a list of names")
    if got != want:
        raise Wrong(f"{case}: it returns {got}, and should return {want}")


def _groups(rng: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    shift = {"a": 0.0, "b": 1.0, "c": 1.3, "d": -1.5, "e": 3.0}
    return rng.normal(size=10), {name: rng.normal(mean, 1, 10) for name, mean in shift.items()}


@VERDICTS.probe(
    "with one arm it is Welch's test",
    "`evaluating_agents.differs(x, y, confidence)`, or the interval that it looks at.",
)
def _single(answer: Callable) -> None:
    near, far = np.arange(10.0), np.arange(10.0) + 2
    _names(answer, near, {"far": far + 1}, ["far"], "Scores 0 … 9 against 3 … 12")
    _names(answer, near, {"far": far}, [], "Scores 0 … 9 against 2 … 11, whose intervals overlap")


@VERDICTS.probe(
    "more arms, stricter verdicts",
    "The confidence of each interval is 1 - 0.05 / k, with k the number of arms.",
)
def _many(answer: Callable) -> None:
    near = np.arange(10.0)
    arms = {f"arm {i}": near for i in range(20)} | {"one": near + 3}
    _names(answer, near, arms, [], "Scores 3 … 12 among 21 arms, of which the rest are 0 … 9")
    arms["another"] = near + 6
    _names(answer, near, arms, ["another"], "The same, and an arm with scores 6 … 15")


@VERDICTS.probe("on scores drawn at random, in alphabetical order", "`sorted` puts names in order.")
def _random(answer: Callable) -> None:
    for seed in range(10):
        baseline, arms = _groups(np.random.default_rng(seed))
        arms = dict(reversed(arms.items()))
        _names(answer, baseline, arms, verdicts(baseline, arms), f"Five arms, draw {seed}")
