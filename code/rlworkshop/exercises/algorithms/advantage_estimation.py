"""Exercises of the chapter on advantage estimation.

Book: algorithms/advantage_estimation
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect

PAGE = "algorithms/advantage_estimation"


def next_values(values: np.ndarray, final_values: np.ndarray, ended: np.ndarray) -> np.ndarray:
    """The value of the state that each transition really led to (T, N), under SAME_STEP.

    values (T+1, N): of the observation before each step, and of the one after the last step.
    Where an episode ended, the observation that came back is the first of the next one.
    final_values (T, N): of the true last observation of episodes that ended; else nan.
    ended (T, N) bool: whether the step ended an episode, whatever ended it.
    Values of terminal states are given as any other; nothing has to be made 0 here.

    Book: algorithms/advantage_estimation
    """
    # solution
    return np.where(ended, final_values, values[1:])
    # end


NEXT = Exercise(
    "advantage-estimation-next-values",
    "Implement: the state that came next",
    PAGE,
    "Three conventions for the step after the last",
    next_values,
)


def _ended(T: int, N: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ended = rng.random((T, N)) < 0.3
    return rng.normal(size=(T + 1, N)), np.where(ended, rng.normal(size=(T, N)), np.nan), ended


@NEXT.probe(
    "where an episode goes on, the next row's value counts",
    "`values` has one row more than there are steps: which row belongs to the state after step t?",
)
def _goes_on(answer: Callable) -> None:
    values = np.array([[1.0], [2.0], [5.0]])
    never = np.zeros((2, 1), bool)
    about = "Two steps, no end: the states after them are worth 2 and 5"
    mistakes = {"these are the values of the states before the steps": values[:-1]}
    got = answer(values, np.full((2, 1), np.nan), never)
    if isinstance(got, np.ndarray) and np.isnan(got).any():
        why = "there is a nan in it: where no episode ended, `final_values` must not be touched"
        raise Wrong(why, ("nan times 0 is nan: choose with np.where.",))
    expect(got, values[1:], about, mistakes)


@NEXT.probe(
    "where one ended, the true last observation counts",
    "Which of the two arrays knows the state in which the episode ended?",
)
def _ends(answer: Callable) -> None:
    values, final = np.array([[1.0], [2.0], [5.0]]), np.array([[7.0], [np.nan]])
    ended = np.array([[True], [False]])
    about = "The first of two steps ends an episode whose last state is worth 7"
    mistakes = {
        "2 is the value of the next episode's first state, which this step did not lead to": values[1:]
    }
    expect(answer(values, final, ended), np.array([[7.0], [5.0]]), about, mistakes)


@NEXT.drawn
def _drawn(rng: np.random.Generator) -> tuple:
    return _ended(5, 3, rng)


def real_rows(ended: np.ndarray, over: np.ndarray) -> np.ndarray:
    """Which rows are transitions (T, N), as 1.0 and 0.0, under NEXT_STEP.

    ended (T, N) bool: whether the row ended an episode, whatever ended it.
    over (N,) bool: whether the last row of the batch before this one ended an episode.

    Book: algorithms/advantage_estimation
    """
    # solution
    before = np.concatenate([over[None], ended[:-1]])  # (T, N): did the row before end one?
    return 1.0 - before
    # end


REAL = Exercise(
    "advantage-estimation-real-rows",
    "Implement: which rows are transitions",
    PAGE,
    "Reset rows are nobody's doing",
    real_rows,
)


@REAL.probe(
    "the row after an end is no transition",
    "The row that ends an episode is a real one. Which row is not?",
)
def _after(answer: Callable) -> None:
    ended = np.array([[False], [True], [False], [False]])
    about = "Four rows, the second of which ends an episode: the third is a reset row"
    mistakes = {
        "the row that ends an episode is real: its reward was earned": 1.0 - ended,
        "it is turned round: reset rows are 0.0": np.array([[0.0], [0.0], [1.0], [0.0]]),
    }
    expect(answer(ended, np.zeros(1, bool)), np.array([[1.0], [1.0], [0.0], [1.0]]), about, mistakes)


@REAL.probe(
    "the first row may be a reset row, too",
    "An episode can end in the last row of a batch. Where does its reset row stand?",
)
def _first(answer: Callable) -> None:
    got = answer(np.zeros((2, 2), bool), np.array([True, False]))
    about = "The batch before ended an episode in the first of two copies"
    expect(got, np.array([[0.0, 1.0], [1.0, 1.0]]), about)


@REAL.drawn
def _drawn_rows(rng: np.random.Generator) -> tuple:
    return rng.random((6, 3)) < 0.3, rng.random(3) < 0.5
