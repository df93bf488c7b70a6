"""Exercises of the chapter on what can go wrong.

Book: safety/what_can_go_wrong
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "safety/what_can_go_wrong"
PROBLEMS = "Five problems, eight worlds"
BREAK = "Break it"


# ------------------------------------------------------------------------------------------ lost


def lost(following: np.ndarray, before: int, after: int) -> np.ndarray:
    """1.0 for each state (S,) that ``before`` can reach and ``after`` cannot, else 0.0.

    following (S, A): the state that each action leads to. Every state can be reached from
    itself, in no steps.

    Book: safety/what_can_go_wrong
    """
    # solution
    found = []
    for start in (before, after):
        reached, todo = np.zeros(len(following), bool), [start]
        while todo:
            state = todo.pop()
            if not reached[state]:
                reached[state] = True
                todo.extend(following[state])
        found.append(reached)
    return (found[0] & ~found[1]).astype(float)
    # end


LOST = Exercise("what-can-go-wrong-lost", "Implement: what can no longer be reached", PAGE, PROBLEMS, lost)


def _states(*which: int, size: int = 5) -> np.ndarray:
    return np.isin(np.arange(size), which).astype(float)


CHAIN = np.array([[1, 1], [2, 2], [3, 3], [4, 4], [4, 4]])  # nothing goes back


@LOST.probe(
    "in a chain that leads one way, what lies behind is lost",
    "Collect all that can be reached from each of the two states, then compare the two collections.",
    "Walk: take a state from a list of things to do, mark it, add what its actions lead to.",
)
def _chain(answer: Callable) -> None:
    got = answer(CHAIN, 0, 3)
    expect(got, _states(0, 1, 2), "A chain 0 → 1 → 2 → 3 → 4, from state 0 and from state 3", {
        "this looks one step ahead: a state may be many actions away": _states(0, 1),
        "a state can be reached from itself, in no steps": _states(1, 2, 3),
        "these are the states that are left: what is lost was asked for": _states(3, 4),
    })  # fmt: skip


@LOST.probe(
    "what can be undone is no loss",
    "In a ring, every state leads to every other one.",
)
def _ring(answer: Callable) -> None:
    ring = np.array([[1, 4], [2, 0], [3, 1], [4, 2], [0, 3]])
    got = answer(ring, 0, 2)
    expect(got, _states(), "A ring of five states, from state 0 and from state 2", {
        "an action may lead back to a state with a smaller number": _states(0, 1),
    })  # fmt: skip


@LOST.probe(
    "what can be reached only afterwards is no loss",
    "A state that opens a new door has lost nothing behind it.",
)
def _gained(answer: Callable) -> None:
    got = answer(np.array([[0, 0], [0, 2], [2, 1], [3, 3], [3, 3]]), 0, 1)
    expect(got, _states(), "A state 0 that leads nowhere, and 1, which leads to 0, 2 and itself", {
        "new states are no loss: from before and not from after": _states(1, 2),
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ override


def replayed(
    Q: np.ndarray,
    seen: np.ndarray,
    chosen: np.ndarray,
    executed: np.ndarray,
    paid: np.ndarray,
    alpha: float,
    gamma: float,
) -> np.ndarray:
    """Q (O, A) after a pass of Q-learning over a log in which a person may have intervened.

    seen (T+1,): what the agent saw before the first step, and after each. chosen (T,): the
    actions that it chose. executed (T,): those that were carried out. paid (T,). No step of
    the log ends the episode.

    Book: safety/what_can_go_wrong
    """
    Q = Q.astype(float)  # a copy, that can hold fractions
    for t in range(len(paid)):
        # solution
        target = paid[t] + gamma * Q[seen[t + 1]].max()
        Q[seen[t], executed[t]] += alpha * (target - Q[seen[t], executed[t]])
        # given
        # target = paid[t] + gamma * Q[seen[t + 1]].max()
        # Q[seen[t], chosen[t]] += alpha * (target - Q[seen[t], chosen[t]])
        # end
    return Q


OVERRIDE = Exercise(
    "what-can-go-wrong-override", "Mend: a learner that is told the wrong action", PAGE, BREAK, replayed
)
START = np.array([[0.0, 10.0], [4.0, 20.0], [6.0, 2.0]])  # (O, A)


@OVERRIDE.probe(
    "where nobody intervenes it is plain Q-learning",
    "This part worked when you got the file.",
)
def _plain(answer: Callable) -> None:
    seen, did = np.array([0, 1, 2]), np.array([1, 0])
    got = answer(START, seen, did, did, np.array([-1.0, -1.0]), 0.5, 0.5)
    right = np.array([[0.0, 9.5], [3.0, 20.0], [6.0, 2.0]])
    expect(got, right, "Two steps without an intervention", {
        "this takes the value of the next action, as SARSA does: Q-learning takes the best one":
            np.array([[0.0, 5.5], [3.0, 20.0], [6.0, 2.0]]),
    })  # fmt: skip


@OVERRIDE.probe(
    "a stopped agent learns about the push that was carried out, and nothing about going on",
    "Which entry of the table describes what happened in this step?",
    "The log has two columns of actions. Q(s, a) is what follows when a is carried out in s.",
)
def _stopped(answer: Callable) -> None:
    seen, chosen, executed = np.array([1, 1]), np.array([1]), np.array([0])
    got = answer(START, seen, chosen, executed, np.array([-1.0]), 0.5, 0.5)
    right = np.array([[0.0, 10.0], [6.5, 20.0], [6.0, 2.0]])
    expect(got, right, "An agent that chose action 1; action 0 was carried out", {
        "the step is put down to the chosen action, which never happened":
            np.array([[0.0, 10.0], [4.0, 14.5], [6.0, 2.0]]),
        "the step is thrown away: it says something true about the action that was carried out": START,
        "one step changes one entry": np.array([[0.0, 10.0], [6.5, 14.5], [6.0, 2.0]]),
    })  # fmt: skip
