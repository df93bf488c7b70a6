"""Exercises of the chapter on AI control.

Book: safety/ai_control
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "safety/ai_control"
RESPONSE = "The red team's best response"


# --------------------------------------------------------------------------------------------- patient


def patient(caught: np.ndarray, foiled: np.ndarray, slips: np.ndarray) -> np.ndarray:
    """Probability that a backdoor gets into use, by a red team with no end of tasks: a number.

    Of an attack on each kind of task (K,): caught ends it, slips wins, foiled goes on.
    The three add up to 1 for each kind, and every kind comes again and again.

    Book: safety/ai_control
    """
    # solution
    return np.max(slips / (caught + slips))
    # end


PATIENT = Exercise("ai-control-patient", "Implement: a red team with patience", PAGE, RESPONSE, patient)


@PATIENT.probe(
    "it waits for the kind in which it wins most often",
    "Without foiled attacks, one attack decides. Which kind would you wait for?",
)
def _waits(answer: Callable) -> None:
    slips = np.array([0.2, 0.6, 0.3])
    got = answer(1 - slips, np.zeros(3), slips)
    expect(got, np.float64(0.6), "Three kinds, in which attacks slip through with 0.2, 0.6 and 0.3", {
        "this is safety: asked for is how likely the red team wins": 0.4,
        "the red team chooses the kind that is best for it, not for you": 0.2,
        "the red team need not take what comes: an average over kinds is not its best": 1.1 / 3,
    })  # fmt: skip


@PATIENT.probe(
    "what is foiled is tried again",
    "An attack that is foiled leaves everything as it was. Of those that end the game, how many win?",
    "A geometric series: s + e s + e² s + …, with e for foiled and s for slips.",
)
def _again(answer: Callable) -> None:
    caught, foiled, slips = np.array([0.1, 0.5]), np.array([0.8, 0.1]), np.array([0.1, 0.4])
    got = answer(caught, foiled, slips)
    expect(got, np.float64(0.5), "Two kinds; in the first, 8 attacks of 10 are foiled and 1 slips through", {
        "foiled attacks are tried again: one try is not all there is": 0.4,
        "a foiled attack is no win: the backdoor is not in use": 0.9,
    })  # fmt: skip


@PATIENT.drawn
def _draw(rng: np.random.Generator) -> tuple:
    odds = rng.dirichlet(np.ones(3), size=int(rng.integers(2, 5))).T
    return tuple(odds.round(3) + 0.001)


# -------------------------------------------------------------------------------------------- stopping


def stopping(
    share: np.ndarray, caught: np.ndarray, foiled: np.ndarray, slips: np.ndarray, tasks: int
) -> np.ndarray:
    """Probability that a backdoor gets into use in a deployment of ``tasks`` tasks: a number.

    share (K,): how often each kind of task comes. The red team sees the kind, then decides.
    Of an attack on each kind (K,): caught ends it, slips wins, foiled goes on.

    Book: safety/ai_control
    """
    # solution
    value = np.float64(0.0)
    for _ in range(tasks):
        value = share @ np.maximum(slips + foiled * value, value)
    return value
    # end


STOPPING = Exercise("ai-control-stopping", "Implement: when to attack", PAGE, RESPONSE, stopping)
ODDS = (np.array([0.5, 0.5]), np.array([0.9, 0.3]), np.array([0.0, 0.2]), np.array([0.1, 0.5]))


@STOPPING.probe("a single task is attacked whatever it is", "With one task to come, waiting is worth 0.")
def _one(answer: Callable) -> None:
    expect(answer(*ODDS, 1), np.float64(0.3), "Two kinds, as frequent, that slip through with 0.1 and 0.5", {
        "the kind of a task is not for the red team to choose: average over what comes": 0.5,
        "each kind counts as often as it comes: weigh with share": 0.6,
    })  # fmt: skip


@STOPPING.probe(
    "with two, it waits if the first is well watched",
    "Compare two numbers for each kind: to attack now, or to wait for what the rest is worth.",
    "The choice comes before the average over kinds: the red team sees the kind first.",
)
def _two(answer: Callable) -> None:
    wait = 0.5 * max(0.1, 0.3) + 0.5 * (0.5 + 0.2 * 0.3)
    got = answer(*ODDS, 2)
    expect(got, np.float64(wait), "The same, with two tasks", {
        "it attacks in every task here: it may also wait": 0.5 * 0.1 + 0.5 * (0.5 + 0.2 * 0.3),
        "a foiled attack is not the end: what is still to come is worth something": 0.5 * 0.3 + 0.5 * 0.5,
        "being caught is the end: nothing comes after": 0.5 * (0.1 + 0.9 * 0.3) + 0.5 * (0.5 + 0.5 * 0.3),
        "it decides after it has seen the kind, so the maximum comes before the average": max(0.33, 0.3),
    })  # fmt: skip


@STOPPING.probe("no task, no backdoor", "What does the loop leave you with for tasks = 0?")
def _none(answer: Callable) -> None:
    expect(answer(*ODDS, 0), np.float64(0.0), "No tasks at all", {
        "somebody attacks before there is a task": 0.3,
    })  # fmt: skip


@STOPPING.drawn
def _draw_all(rng: np.random.Generator) -> tuple:
    K = int(rng.integers(2, 5))
    share = rng.dirichlet(np.ones(K))
    caught, foiled, slips = rng.dirichlet(np.ones(3), size=K).T
    return share, caught, foiled, slips, int(rng.integers(1, 6))
