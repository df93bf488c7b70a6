"""Exercises of the chapter on recurrent policies.

Book: robotics/memory
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "robotics/memory"
MEMORIES = "Three memories"
WITH_PPO = "PPO with a memory"


# ------------------------------------------------------------------------------------------ sequence


def sequence(obs: np.ndarray, first: np.ndarray, w: np.ndarray, u: np.ndarray) -> np.ndarray:
    """States (T, N, H) of N recurrent networks, h = tanh(w @ obs + u @ h).

    obs (T, N, D). first (T, N) bool: observations that begin an episode, before which the
    memory is empty. w (H, D), u (H, H). Before row 0 all memories are empty.

    Book: robotics/memory
    """
    # solution
    T, N, _ = obs.shape
    h, states = np.zeros((N, len(w))), []
    for t in range(T):
        h = np.where(first[t, :, None], 0.0, h)  # (N, H)
        h = np.tanh(obs[t] @ w.T + h @ u.T)
        states.append(h)
    return np.array(states)
    # end


SEQUENCE = Exercise("memory-sequence", "Implement: a sequence with ends in it", PAGE, MEMORIES, sequence)
INWARD, ONWARD = np.array([[0.5, -0.3], [0.2, 0.7]]), np.array([[0.6, 0.4], [-0.5, 0.8]])


def _rows(T: int, N: int) -> np.ndarray:
    """Observations (T, N, 2) that look random."""
    return np.sin(np.arange(T * N * 2).reshape(T, N, 2) ** 2)


def _plain(obs: np.ndarray, inward: np.ndarray, onward: np.ndarray) -> np.ndarray:
    """The same without any beginning but the first."""
    return sequence(obs, np.zeros(obs.shape[:2], bool), inward, onward)


@SEQUENCE.probe(
    "one episode: each state comes from the observation and the state before",
    "Go through the rows in their order, and keep h from one to the next.",
    "A row of states (N, H) from rows of observations (N, D): obs[t] @ w.T + h @ u.T, then tanh.",
)
def _one(answer: Callable) -> None:
    obs, none = _rows(5, 2), np.zeros((5, 2), bool)
    expect(answer(obs, none, INWARD, ONWARD), _plain(obs, INWARD, ONWARD), "Five rows, nothing begins", {
        "nothing is remembered: each state is that of its own observation": np.tanh(obs @ INWARD.T),
        "what comes from the state before is turned round: it is u @ h, as the matrices say":
            _plain(obs, INWARD, ONWARD.T),
        "tanh is missing": _linear(obs, INWARD, ONWARD),
    })  # fmt: skip


def _linear(obs: np.ndarray, inward: np.ndarray, onward: np.ndarray) -> np.ndarray:
    h, states = np.zeros((obs.shape[1], 2)), []
    for row in obs:
        h = row @ inward.T + h @ onward.T
        states.append(h)
    return np.array(states)


@SEQUENCE.probe(
    "an episode that begins in the middle knows nothing of the one before, and the others go on",
    "Where `first[t]` is true, h is zero before row t is taken in: not after it.",
    "np.where(first[t, :, None], 0.0, h) empties the memories of some environments alone.",
)
def _begins(answer: Callable) -> None:
    obs, first = _rows(6, 3), np.zeros((6, 3), bool)
    first[0], first[3, 1] = True, True
    after, everyone = np.zeros((7, 3), bool), first | first.any(axis=1)[:, None]
    after[1:] = first
    expect(answer(obs, first, INWARD, ONWARD), sequence(obs, first, INWARD, ONWARD), (
        "Six rows of three environments; in the second a new episode begins in row 3"
    ), {
        "nothing is forgotten where the new episode begins": _plain(obs, INWARD, ONWARD),
        "the memories of all environments are emptied, not that of the one alone":
            sequence(obs, everyone, INWARD, ONWARD),
        "the memory is emptied after the first observation has been taken in, so that one is lost":
            sequence(obs, after[:6], INWARD, ONWARD),
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ first


def first_flags(terminated: np.ndarray, truncated: np.ndarray) -> np.ndarray:
    """Which observations (T+1, N) of a rollout under NEXT_STEP begin an episode: 1, others 0.

    terminated, truncated (T, N) bool: how row t ended. Row t leads from observation t to
    observation t + 1. Observation 0 begins an episode in every environment.

    Book: robotics/memory
    """
    # solution
    over = terminated | truncated  # (T, N)
    first = np.zeros((len(over) + 1, over.shape[1]))
    first[0] = 1
    first[2:] = over[:-1]  # row t + 1 is the reset row, and what it returns is the first
    return first
    # end


FIRST = Exercise("memory-first", "Diagnose: where does an episode begin?", PAGE, WITH_PPO, first_flags)


def _at(shape: tuple[int, int], *places: tuple[int, int]) -> np.ndarray:
    flags = np.zeros(shape)
    for place in places:
        flags[place] = 1
    return flags


@FIRST.probe(
    "after an end come the last observation, then the reset row, then the first observation",
    "Row t ends the episode: observation t + 1 is its last. What does row t + 1 return?",
    "The environment ignores the action of row t + 1 and begins anew: observation t + 2 is the first.",
)
def _end(answer: Callable) -> None:
    got = answer(_at((6, 2), (2, 1)) > 0, np.zeros((6, 2), bool))
    start = [(0, 0), (0, 1)]
    early = _at((7, 2), *start, (3, 1))
    expect(got, _at((7, 2), *start, (4, 1)), "Six rows; in the second environment row 2 terminates", {
        "observation 3 is the last one of the old episode, not the first of the new": early,
        "observation 0 begins an episode, too": _at((7, 2), (4, 1)),
        "nothing begins here but observation 0": _at((7, 2), *start),
    })  # fmt: skip


@FIRST.probe(
    "a time limit ends an episode, too",
    "What ended the episode does not matter to the memory.",
)
def _limit(answer: Callable) -> None:
    got = answer(np.zeros((5, 1), bool), _at((5, 1), (1, 0)) > 0)
    expect(got, _at((6, 1), (0, 0), (3, 0)), "Five rows of one environment; row 1 is cut off", {
        "after a cut-off an episode begins as after any other end": _at((6, 1), (0, 0)),
    })  # fmt: skip


@FIRST.probe(
    "what ends in the last row begins later than this rollout reaches",
    "The reset row after it is the first row of the next rollout.",
)
def _last(answer: Callable) -> None:
    got = answer(_at((4, 1), (3, 0)) > 0, np.zeros((4, 1), bool))
    expect(got, _at((5, 1), (0, 0)), "Four rows of one environment; the last one terminates", {
        "observation 4 is the last of the old episode": _at((5, 1), (0, 0), (4, 0)),
    })  # fmt: skip
