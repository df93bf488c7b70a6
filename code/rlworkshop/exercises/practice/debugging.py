"""Exercises of the page on debugging.

Book: practice/debugging
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect

PAGE = "practice/debugging"
PROBES = "Probe environments: one question and a known answer"
DQN = "Symptoms of a broken DQN"
REVIEW = "Your own implementation against the contract suite"


# ------------------------------------------------------------------------------------------ derive


def cut_values(reward: float, gamma: float, limit: int) -> np.ndarray:
    """What one state is worth that pays for ever, and what a bug makes of it.

    The world has one state, which pays `reward` each step. Episodes are cut off after
    `limit` steps, and nothing in the observation says how many have passed.
    Returns (2,): first the value if a cut is no end; then the value that satisfies
    V = reward + gamma * (share of transitions that count what follows) * V
    if a cut is taken for an end.

    Book: practice/debugging
    """
    # solution
    goes_on = 1 - 1 / limit  # one transition of `limit` is cut off
    return np.array([reward / (1 - gamma), reward / (1 - gamma * goes_on)])
    # end


CUT = Exercise("debugging-cut", "Derive: the number that gives the bug away", PAGE, PROBES, cut_values)


@CUT.probe(
    "without the bug, the value is that of rewards for ever",
    "V = r + γV: solve it for V.",
)
def _right(answer: Callable) -> None:
    expect(_two(answer(1.0, 0.8, 5))[0], np.array(5.0), "Reward 1, γ = 0.8, cut off after 5 steps: no bug", {
        "this is the sum of five discounted rewards: the clock is not the world's": (1 - 0.8**5) / 0.2,
        "this is the value with the bug: exchange the two": 1 / (1 - 0.8 * 0.8),
    })  # fmt: skip


@CUT.probe(
    "with the bug, one transition of `limit` counts nothing of what follows",
    "Of the transitions in the buffer, how many are the last of their episode?",
    "V = r + γ (1 - 1/limit) V: solve it for V.",
)
def _bug(answer: Callable) -> None:
    expect(_two(answer(1.0, 0.8, 5))[1], np.array(1 / 0.36), "The same world, a cut taken for an end", {
        "the state cannot know how much of the episode is left: it has one value, not one for each step":
            np.mean([(1 - 0.8**k) / 0.2 for k in range(1, 6)]),
        "this is the value of the first step of an episode": (1 - 0.8**5) / 0.2,
        "one of five is cut off, not four of five": 1 / (1 - 0.8 * 0.2),
    })  # fmt: skip


@CUT.probe(
    "reward, discount and limit are the arguments'",
    "Try it on other numbers: twice the reward is worth twice as much.",
)
def _others(answer: Callable) -> None:
    wanted = np.array([3.0 / (1 - 0.5), 3.0 / (1 - 0.5 * 0.9)])
    expect(_two(answer(3.0, 0.5, 10)), wanted, "Reward 3, γ = 0.5, cut off after 10 steps")


def _two(got: object) -> np.ndarray:
    """The two values of an answer."""
    if not isinstance(got, np.ndarray) or got.shape != (2,):
        raise Wrong(f"the answer should be an array (2,); it is {getattr(got, 'shape', type(got).__name__)}")
    return got


# ------------------------------------------------------------------------------------------ implement


def mixes(slopes: Callable, targets: np.ndarray) -> bool:
    """Whether a loss lets the target of one transition move the value of another.

    slopes: gives for targets (B,) the gradient (B,) of the loss with respect to the values.
    targets (B,), B at least 2: where to try it.
    Returns whether it mixes transitions. Each of them is to be tried.

    Book: practice/debugging
    """
    # solution
    before, B = slopes(targets), len(targets)
    moved = np.array([slopes(targets + one) - before for one in np.eye(B)])  # (B, B)
    return bool(np.abs(moved[~np.eye(B, dtype=bool)]).max() > 1e-9)
    # end


MIXES = Exercise("debugging-mixes", "Implement: a test for every loss", PAGE, REVIEW, mixes)
VALUES, TARGETS = np.array([0.5, -1.0, 2.0, 0.0]), np.array([1.0, 0.0, -1.0, 3.0])


def _asked(answer: Callable, slopes: Callable, want: bool, what: str, values: np.ndarray = VALUES) -> None:
    got = answer(slopes, TARGETS[: len(values)].copy())
    if not isinstance(got, bool | np.bool_):
        raise Wrong(f"it returns a {type(got).__name__}, and should return True or False")
    if got != want:
        raise Wrong(f"{what}: it should say {want}, and yours says {got}")


@MIXES.probe(
    "losses with an error for each transition are not accused",
    "A gradient may be of any size, and change with its own target as it likes.",
)
def _own(answer: Callable) -> None:
    _asked(answer, lambda t: (VALUES - t) / 4, False, "half the mean square")
    _asked(answer, lambda t: np.clip(VALUES - t, -1, 1), False, "the sum of Huber's losses")
    _asked(answer, lambda t: np.zeros(4), False, "no gradient at all")
    _asked(answer, lambda t: VALUES - t + t.sum() * 1e-13, False, "a rounding error of 1e-13")
    _asked(answer, lambda t: (VALUES[:2] - t) * 8, False, "a batch of two", VALUES[:2])


@MIXES.probe(
    "every value against every target is found",
    "Change one target, and look at the gradients of the *other* values.",
)
def _pairs(answer: Callable) -> None:
    _asked(answer, lambda t: VALUES - t.mean(), True, "values (B, 1) less targets (B,)")
    _asked(answer, lambda t: VALUES[:2] - t.mean(), True, "the same in a batch of two", VALUES[:2])


@MIXES.probe(
    "it is found wherever it happens, in either direction and however small",
    "Which target did you change? Try them all.",
    "A change of a gradient counts upwards and downwards: compare absolute values.",
)
def _anywhere(answer: Callable) -> None:
    shifted, turned = np.roll(VALUES, 1), np.eye(4)
    for i in range(4):
        for factor in (0.3, -0.3):
            row = factor * turned[(i + 1) % 4]
            _asked(
                answer, lambda t, i=i, row=row: VALUES - t + row * t[i], True,
                f"only target {i} reaches another value, with the factor {factor}",
            )  # fmt: skip
    _asked(answer, lambda t: VALUES - t + t[2] * turned[0] / 1000, True, "by a thousandth of a target")
    _asked(answer, lambda t: shifted - np.roll(t, 1), True, "the targets are shifted by a row")


# ------------------------------------------------------------------------------------------ diagnose


def suspect(
    training: float,
    greedy: float,
    chance: float,
    best: float,
    value: float,
    spread: float,
) -> str:
    """The first symptom that a training of DQN shows.

    training, greedy: mean returns at its end, of training episodes and of the greedy policy.
    chance: mean return of random actions. best: the largest discounted return that the task
    allows. value: what the agent expects on average. spread: the standard deviation of its
    values over states, over their mean.
    Returns the first of these that is so: "value" (it expects more than 1.5 times the best),
    "flat" (spread below 0.02), "explores" (greedy is above twice the training),
    "chance" (greedy is below 1.5 times chance); or "none". All returns are positive.

    Book: practice/debugging
    """
    # solution
    if value > 1.5 * best:
        return "value"
    if spread < 0.02:
        return "flat"
    if greedy > 2 * training:
        return "explores"
    return "chance" if greedy < 1.5 * chance else "none"
    # end


SUSPECT = Exercise("debugging-suspect", "Diagnose: which symptom comes first?", PAGE, DQN, suspect)
HEALTHY = {"training": 180.0, "greedy": 200.0, "chance": 22.0, "best": 99.0, "value": 60.0, "spread": 0.15}


def _told(answer: Callable, want: str, what: str, **changes: float) -> None:
    got = answer(*{**HEALTHY, **changes}.values())
    if not isinstance(got, str):
        raise Wrong(f"it returns a {type(got).__name__}, and should return one of five texts")
    if got != want:
        raise Wrong(f"{what}: it should be {want!r}, and yours says {got!r}")


@SUSPECT.probe(
    "a healthy training is not accused, a mediocre one neither",
    "Each symptom has a limit: what lies on its other side is none.",
)
def _none(answer: Callable) -> None:
    _told(answer, "none", "a healthy training")
    _told(answer, "none", "values somewhat too high, which is usual", value=140.0)
    _told(answer, "none", "values that differ by a twentieth", spread=0.05)
    _told(answer, "none", "a greedy policy 1.9 times as good as training", greedy=342.0)
    _told(answer, "none", "a greedy policy at 1.6 times chance", greedy=35.2)


@SUSPECT.probe(
    "each symptom is recognised",
    "More than the task can give is no value. The same everywhere says nothing. Compare the two returns.",
)
def _each(answer: Callable) -> None:
    _told(answer, "value", "an agent that expects 160 where 99 is the most", value=160.0)
    _told(answer, "flat", "values that differ by a hundredth", spread=0.01)
    _told(answer, "explores", "a greedy policy at 442, a training at 27", training=27.0, greedy=442.0)
    _told(answer, "explores", "a greedy policy 2.1 times as good", training=100.0, greedy=210.0)
    _told(answer, "chance", "a greedy policy at 1.4 times chance", training=20.0, greedy=30.8)
    _told(answer, "chance", "a greedy policy below chance", training=9.0, greedy=9.4)


@SUSPECT.probe(
    "what comes first in the list is told first",
    "The order counts: impossible values explain flat ones, and flat ones a policy at chance.",
)
def _order(answer: Callable) -> None:
    _told(answer, "value", "everything at once", value=500.0, spread=0.0, training=9.0, greedy=25.0)
    _told(answer, "flat", "flat values, and a policy at chance", spread=0.001, training=11.0, greedy=13.0)
    _told(answer, "explores", "a good policy for a low chance", training=9.0, greedy=20.0, chance=15.0)
    edges = {"value": 148.5, "spread": 0.02, "greedy": 33.0}  # not above, not below
    _told(answer, "none", "numbers that lie just at the limits", **edges, training=16.5)
