"""Exercises of the chapter on learned models.

Book: foundations/learned_models
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect

PAGE = "foundations/learned_models"

# ------------------------------------------------------------------------------------------ implement


def plan(
    Q: np.ndarray,
    memory: np.ndarray,
    picks: np.ndarray,
    alpha: float,
    gamma: float,
) -> np.ndarray:
    """The table (S, A) after Q-learning on remembered transitions, one after the other.

    Q (S, A): the table before; rows of terminal states are zero.
    memory (M, 4): state, action, reward and next state of M transitions, as floats.
    picks (n,): which of them to learn from, in this order; one may come again.

    Book: foundations/learned_models
    """
    # solution
    Q = Q.astype(float)  # a copy
    for state, action, reward, following in memory[picks]:
        s, a = int(state), int(action)
        Q[s, a] += alpha * (reward + gamma * Q[int(following)].max() - Q[s, a])
    return Q
    # end


PLAN = Exercise(
    "learned-models-plan",
    "Implement: practise on memories",
    PAGE,
    "Dyna: a model turns computing into experience",
    plan,
)


@PLAN.probe(
    "one memory, once",
    "Write the update on paper with the numbers of the case. Which entry moves, and towards what?",
    "The target is the reward, plus γ times the best entry in the *next* state's row.",
)
def _one_memory(answer: Callable) -> None:
    Q = np.array([[1.0, 0.0], [2.0, 4.0], [0.0, 0.0]])
    memory = np.array([[0.0, 1.0, 1.0, 1.0]])
    about = "From state 0 action 1 paid 1 and led to state 1, whose best entry is 4; α = 0.5, γ = 0.5"
    expect(answer(Q, memory, np.array([0]), 0.5, 0.5), _with(Q, (0, 1), 1.5), about, {
        "the whole target is written into the entry: α says how far it moves": _with(Q, (0, 1), 3.0),
        "nothing is handed back from the next state: the reward alone is no value": _with(Q, (0, 1), 0.5),
        "the mean of the next state's row is used: Q-learning takes the best": _with(Q, (0, 1), 1.25),
        "the best entry of the state that was left is used, not of the one that was reached":
            _with(Q, (0, 1), 0.75),
        "the discount is left out": _with(Q, (0, 1), 2.5),
        "the next state's first action is used: Q-learning takes the best": _with(Q, (0, 1), 1.0),
    })  # fmt: skip


@PLAN.probe(
    "a reward walks back through three memories in one call",
    "The second update has to see what the first has changed.",
    "A line without a loop uses the same old table for all updates; here order is everything.",
)
def _in_order(answer: Callable) -> None:
    memory = np.array([[0.0, 0, 0, 1], [1.0, 0, 0, 2], [2.0, 0, 1, 3]])
    about = "Three cells in a row before the goal, gone through from the last to the first; α = 1, γ = 0.9"
    want = np.array([[0.81], [0.9], [1.0], [0.0]])
    expect(answer(np.zeros((4, 1)), memory, np.array([2, 1, 0]), 1.0, 0.9), want, about, {
        "all updates were made with the table as it was at first: the reward got one cell far":
            np.array([[0.0], [0], [1], [0]]),
        "the memories were taken in the order in which they are stored, not in that of `picks`":
            np.array([[0.0], [0.0], [1.0], [0.0]]),
    })  # fmt: skip


@PLAN.probe(
    "a memory that is picked twice counts twice",
    "`picks` may hold an index more than once. Do you go through the picks, or through the memory?",
)
def _again(answer: Callable) -> None:
    memory = np.array([[0.0, 1, 1, 1], [0.0, 0, 1, 1]])
    about = "A move that pays 1 and ends the episode, picked three times, and another one never; α = 0.5"
    picks = np.array([0, 0, 0])
    expect(answer(np.zeros((2, 2)), memory, picks, 0.5, 0.9), np.array([[0.0, 0.875], [0, 0]]), about, {
        "it has moved once only": np.array([[0.0, 0.5], [0, 0]]),
        "a memory was used that was not picked": np.array([[0.5, 0.875], [0, 0]]),
        "three steps at once, from the same old entry: each has to begin where the last one ended":
            np.array([[0.0, 1.5], [0, 0]]),
    })  # fmt: skip


@PLAN.drawn
def _any_memory(rng: np.random.Generator) -> tuple:
    Q = np.vstack([rng.normal(size=(3, 3)), np.zeros(3)])
    state, action, following = rng.integers(3, size=(3, 5))
    memory = np.stack([state, action, rng.normal(size=5), following + rng.integers(2, size=5)], axis=1)
    return Q, memory, rng.integers(5, size=4), rng.uniform(0.1, 1), rng.uniform(0.1, 1)


def _with(Q: np.ndarray, at: tuple[int, int], value: float) -> np.ndarray:
    """A copy of ``Q`` with one entry exchanged."""
    Q = Q.copy()
    Q[at] = value
    return Q


# ------------------------------------------------------------------------------------------ mend


def next_states(
    begins: np.ndarray,
    ended: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
) -> np.ndarray:
    """The state (T,) that each of T steps really led to.

    begins (T+1,): where each step began; behind an episode's end, where the next one begins.
    ended (T,): the state in which an episode stopped, at that step; -1 elsewhere.
    terminated, truncated (T,) bool: whether the step reached a terminal state; whether the
    episode was cut off there by a time limit.

    Book: foundations/learned_models
    """
    # solution
    return np.where(terminated | truncated, ended, begins[1:])
    # given
    # return begins[1:]
    # end


MEND = Exercise(
    "learned-models-mend-memory",
    "Break: find what never happened, and mend it",
    PAGE,
    "Break it",
    next_states,
)


@MEND.probe(
    "within an episode, a step leads to where the next one begins",
    "This part worked when you got the file: compare with the stub.",
)
def _within(answer: Callable) -> None:
    no = np.zeros(3, bool)
    got = answer(np.array([4, 5, 6, 7]), np.full(3, -1), no, no)
    _states(got, np.array([5, 6, 7]), "Three steps from 4 over 5 and 6 to 7", {
        "these are the states in which the steps *began*": np.array([4, 5, 6]),
        "`ended` holds nothing where no episode stopped": np.array([-1, -1, -1]),
    })  # fmt: skip


@MEND.probe(
    "the step into the goal leads to the goal, not to the start",
    "Between which two steps does a new episode begin? What does `begins` hold there?",
    "`np.where(condition, x, y)` takes x where the condition holds.",
)
def _goal(answer: Callable) -> None:
    begins, ended = np.array([4, 5, 0, 1, 2]), np.array([-1, 8, -1, -1])
    over, no = np.array([False, True, False, False]), np.zeros(4, bool)
    _states(answer(begins, ended, over, no), np.array([5, 8, 1, 2]), "The second step reaches goal 8", {
        "after the goal it says the start of the next episode: a move that never happened, and the reason "
        "why a table promises more than there is": np.array([5, 0, 1, 2]),
        "the goal stands one step too late: `ended` and `begins[1:]` belong to the same step":
            np.array([5, 0, 8, 2]),
        "the goal stands one step too early: `ended` and `begins[1:]` belong to the same step":
            np.array([8, 0, 1, 2]),
    })  # fmt: skip


@MEND.probe(
    "a step at which the time ran out leads to where it stopped, too",
    "Which of the two flags is set where time ran out?",
    "A time limit is no reason to have been carried to the start: the state it stopped in still has a value.",
)
def _time_limit(answer: Callable) -> None:
    begins, ended = np.array([4, 5, 0, 1, 0]), np.array([-1, 6, -1, 8])
    cut, over = np.array([False, True, False, False]), np.array([False, False, False, True])
    got = answer(begins, ended, over, cut)
    _states(got, np.array([5, 6, 1, 8]), "Cut off in 6 after two steps, then goal 8", {
        "where the time ran out, it still says the start of the next episode": np.array([5, 0, 1, 8]),
        "the goal is lost: both kinds of end carry one to a start": np.array([5, 6, 1, 0]),
    })  # fmt: skip


def _states(got: object, want: np.ndarray, about: str, mistakes: dict) -> None:
    """As ``expect``, for numbers of states."""
    if isinstance(got, np.ndarray) and got.dtype.kind in "iu":
        got = got.astype(float)
    expect(got, want, about, mistakes)


# ------------------------------------------------------------------------------------------ diagnose


def model_error(
    believed: np.ndarray,
    known: np.ndarray,
    states: np.ndarray,
    actions: np.ndarray,
    following: np.ndarray,
) -> float:
    """The share of wrong predictions, among new transitions that the model claims to know.

    believed (S, A): the model's next states. known (S, A) bool: whether it has ever seen the
    pair; elsewhere `believed` holds nothing of worth.
    states, actions, following (T,): the newest transitions of the world.
    Returns 0.0 where it claims to know none of them.

    Book: foundations/learned_models
    """
    # solution
    opinion = known[states, actions]  # (T,)
    wrong = believed[states, actions] != following
    return float(wrong[opinion].mean()) if opinion.any() else 0.0
    # end


WATCH = Exercise(
    "learned-models-check-model",
    "Diagnose: is the model still right?",
    PAGE,
    "Changing worlds: a model that was right yesterday",
    model_error,
)


def _share(got: object, want: float, about: str, mistakes: dict) -> None:
    """As ``expect``, for one number, which may be a plain float."""
    if isinstance(got, bool | np.bool_) or not isinstance(got, int | float | np.number):
        raise Wrong(f"`model_error` should return a number; it returns a {type(got).__name__}")
    expect(np.float64(got), np.float64(want), about, mistakes)


BELIEVED = np.array([[1, 2], [0, 2], [0, 0]])
ALL = np.ones((3, 2), bool)


@WATCH.probe(
    "one wrong prediction in four is a quarter",
    "`believed[states, actions]` is what the model says of each of the transitions.",
)
def _quarter(answer: Callable) -> None:
    got = answer(BELIEVED, ALL, np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([1, 2, 0, 1]))
    _share(got, 0.25, "Four transitions, of which the last went elsewhere", {
        "this is the share that is *right*": 0.75,
        "this is the number of mistakes, not their share": 1.0,
        "this is how far off the numbers of the states are: state 1 for state 2 is no smaller error than "
        "any other": np.inf,
    })  # fmt: skip


@WATCH.probe(
    "what the model never saw does not count",
    "A pair that was never tried has something in `believed`, too. Whose opinion is that?",
    "Leave such transitions out above *and* below the fraction bar.",
)
def _no_opinion(answer: Callable) -> None:
    known = ALL.copy()
    known[2] = False
    states, actions = np.array([0, 2, 2, 1, 1]), np.array([0, 0, 1, 1, 0])
    got = answer(BELIEVED, known, states, actions, np.array([1, 1, 0, 1, 0]))
    _share(got, 1 / 3, "Of five transitions the model knows three, and is wrong on one of those", {
        "unknown pairs are looked up like all others: the model never claimed to know them": 0.4,
        "unknown pairs are left out of the mistakes, and counted in the number": 0.2,
        "an unknown pair counts as a mistake, whatever stands there": 0.6,
    })  # fmt: skip


@WATCH.probe(
    "a pair that comes ten times counts ten times",
    "The share is of transitions, not of entries of the table.",
)
def _often(answer: Callable) -> None:
    states, actions = np.array([0] * 9 + [1]), np.zeros(10, int)
    got = answer(BELIEVED, ALL, states, actions, np.array([2] * 9 + [0]))
    _share(got, 0.9, "The same wrong prediction nine times, and a right one", {
        "each pair is counted once, however often it came": 0.5,
    })  # fmt: skip


@WATCH.probe(
    "no opinion, no mistake",
    "What is the mean of nothing, in NumPy? The docstring says what is wanted.",
)
def _nothing(answer: Callable) -> None:
    with np.errstate(all="ignore"):
        got = answer(BELIEVED, ~ALL, np.array([0, 1]), np.array([0, 0]), np.array([1, 1]))
    _share(got, 0.0, "The model knows none of the pairs", {
        "with no opinion at all your share is 0 / 0": np.nan,
        "with no opinion at all it should say 0, not 1": 1.0,
    })  # fmt: skip
