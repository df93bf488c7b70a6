"""Exercises of the chapter on deep Q-networks.

Book: algorithms/dqn
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect

PAGE = "algorithms/dqn"
REPLAY = "Replay: remember everything, and draw at random"
TARGET = "The target network: play, then regress"
BREAK = "Break it"


# ------------------------------------------------------------------------------------------ implement


def targets(
    reward: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
    next_q: np.ndarray,
    gamma: float,
) -> np.ndarray:
    """What Q of the actions taken should be.

    reward (B,). terminated, truncated (B,), bool: how the transition ended, if it did.
    next_q (B, A): the target network's values of the state that the transition led to.
    Returns (B,).

    Book: algorithms/dqn
    """
    # solution
    return reward + gamma * np.where(terminated, 0.0, next_q.max(axis=1))
    # end


TARGETS = Exercise("dqn-targets", "Implement: what Q should be", PAGE, TARGET, targets)
NEVER = np.zeros(2, bool)


@TARGETS.probe(
    "the reward, and the discounted value of the best next action",
    "Of each row of `next_q`, which entry does Q-learning take?",
    "`next_q.max(axis=1)` has one entry for each row.",
)
def _best_next(answer: Callable) -> None:
    reward, next_q = np.array([1.0, -1.0]), np.array([[4.0, 2.0], [-6.0, -2.0]])
    got = answer(reward, NEVER, NEVER, next_q, 0.5)
    expect(got, np.array([3.0, -2.0]), "gamma = 1/2, next values (4, 2) and (−6, −2)", {
        "gamma is not used": np.array([5.0, -3.0]),
        "this is the mean over actions: Q-learning asks for the best": np.array([2.5, -3.0]),
        "the maximum runs over the batch (axis 0): each transition has its own next state":
            np.array([3.0, 0.0]),
        "one maximum for the whole batch: each transition has its own next state": np.array([3.0, 1.0]),
        "this is the number of the best action (argmax), not its value": np.array([1.0, -0.5]),
        "this is the worst next action": np.array([2.0, -4.0]),
        "the reward is discounted, too: it comes at once": np.array([2.5, -1.5]),
        "the reward is missing": np.array([2.0, -1.0]),
        "the sizes of the next values count, not the values (abs)": np.array([3.0, 2.0]),
    })  # fmt: skip


@TARGETS.probe(
    "after a terminal state nothing comes",
    "What is a state worth in which the pole lies? And what does the network say of it?",
    "`~terminated` is 1 where the world goes on and 0 where it does not.",
)
def _terminal(answer: Callable) -> None:
    reward, next_q = np.array([1.0, -1.0]), np.array([[4.0, 2.0], [6.0, 2.0]])
    got = answer(reward, np.array([False, True]), NEVER, next_q, 0.5)
    expect(got, np.array([3.0, -1.0]), "The second transition terminated with a reward of −1", {
        "a terminal state is given the value that the network says: nobody ever taught it one":
            np.array([3.0, 2.0]),
        "the flag is turned round: where the episode goes on, the next value counts": np.array([1.0, 2.0]),
        "the reward of the last step is lost: it was paid": np.array([3.0, 0.0]),
        "one ending in the batch cuts all of it": np.array([1.0, -1.0]),
    })  # fmt: skip


@TARGETS.probe(
    "a time limit is no end of the world",
    "Whose clock is it, the world's or ours? Would the state be worth less if we had looked longer?",
)
def _time_limit(answer: Callable) -> None:
    reward, next_q = np.array([1.0, 1.0, 1.0]), np.array([[4.0, 2.0], [6.0, 2.0], [8.0, 0.0]])
    over, cut = np.array([False, True, True]), np.array([True, False, True])
    expect(answer(reward, over, cut, next_q, 0.5), np.array([3.0, 1.0, 1.0]),
           "The first transition was truncated, the second terminated, the third both at once", {
        "a time limit is taken for a fall: the state it stopped in is worth what it always was":
            np.array([1.0, 1.0, 1.0]),
        "a fall in the very step in which the clock ran out is a fall: `terminated` decides alone":
            np.array([3.0, 1.0, 5.0]),
    })  # fmt: skip


@TARGETS.drawn
def _any_targets(rng: np.random.Generator) -> tuple:
    flags = rng.random((2, 3)) < 0.4
    return rng.normal(size=3), flags[0], flags[1], rng.normal(size=(3, 4)), rng.uniform(0.1, 1)


# ------------------------------------------------------------------------------------------ break


def write(kept: np.ndarray, added: int, new: np.ndarray) -> np.ndarray:
    """Replay memory as a ring: what it holds after `new` was added, the oldest written over.

    kept (C,): rows 0 to C-1 of the memory. added: how many were ever added before, so the
    next one goes where the oldest is. new (B,), B at most C: in the order in which they came.
    Returns (C,).

    Book: algorithms/dqn
    """
    kept = kept.astype(np.result_type(kept, new))  # a copy, that can hold what is new
    # solution
    kept[(added + np.arange(len(new))) % len(kept)] = new
    # given
    # first = added % len(kept)
    # if first + len(new) > len(kept):
    #     first = 0  # no room at the end: begin anew
    # kept[first : first + len(new)] = new
    # end
    return kept


RING = Exercise("dqn-mend-ring", "Break: the memory that forgets the wrong ones", PAGE, REPLAY, write)


@RING.probe("an empty memory fills from the front", "This part worked when you got the file.")
def _fills(answer: Callable) -> None:
    got = answer(np.zeros(5), 0, np.array([1.0, 2.0]))
    expect(got, np.array([1.0, 2, 0, 0, 0]), "Two rows into an empty memory of five", {
        "it is filled from the back, or in reversed order: `new` stands in the order in which it came":
            np.array([2.0, 1, 0, 0, 0]),
        "it begins one row late: with nothing added before, the first row is row 0":
            np.array([0.0, 1, 2, 0, 0]),
    })  # fmt: skip


@RING.probe(
    "what runs over the end goes on at the front",
    "Five rows, seven were added, three come: which rows are the three oldest? Write down their numbers.",
    "Row number n that was ever added stands in row n % C. Do that for all of `new` at once.",
)
def _wraps(answer: Callable) -> None:
    kept = np.array([6.0, 7, 3, 4, 5])  # 7 added: the oldest is 3
    got = answer(kept, 7, np.array([8.0, 9, 10, 11]))
    expect(got, np.array([11.0, 7, 8, 9, 10]), "Five rows hold 3 to 7; 8, 9, 10 and 11 come", {
        "it begins anew at row 0 when the end has no room for all of them: newer ones are written over, and "
        "old ones at the end stay for ever": np.array([8.0, 9, 10, 11, 5]),
        "what does not fit at the end is lost": np.array([6.0, 7, 8, 9, 10]),
        "`added` counts one too many here: the next row is added % C": np.array([10.0, 11, 3, 8, 9]),
    })  # fmt: skip


@RING.probe(
    "after any number of additions, of any size, it holds the last C",
    "Print `added`, the rows that you write and the memory, step by step, for C = 3 and two at a time.",
)
def _always_the_last(answer: Callable) -> None:
    rng = np.random.default_rng(0)
    kept, added = np.zeros(7), 0
    while added < 60:
        new = np.arange(added, added + rng.integers(1, 8), dtype=float)
        kept, added = answer(kept, added, new), added + len(new)
        if added >= 7 and not np.array_equal(np.sort(kept), np.arange(added - 7, added)):
            lost = sorted(set(range(added - 7, added)) - set(kept.astype(int).tolist()))
            raise Wrong(
                f"after {added} additions a memory of seven should hold the last seven; number {lost[0]} "
                "is not among them"
            )


@RING.drawn
def _any_ring(rng: np.random.Generator) -> tuple:
    return rng.normal(size=5), int(rng.integers(12)), rng.normal(size=rng.integers(1, 6))


# ------------------------------------------------------------------------------------------ diagnose


def is_broken(gradient: Callable) -> bool:
    """Whether a DQN update is wrong, told from outside with a linear Q: Q(s, ·) = s @ w.

    gradient(w, frozen, obs, action, reward, next_obs, discount): the gradient (D, A) of the
    mean of half the squared TD errors with respect to w (D, A). frozen (D, A): the target
    network's weights. obs, next_obs (B, D); action (B,), integers; reward, discount (B,),
    the discount 0 where the transition terminated.

    Book: algorithms/dqn
    """
    # solution
    rng = np.random.default_rng(0)
    w, frozen = rng.normal(size=(2, 3, 4))  # unlike each other
    obs, next_obs = rng.normal(size=(2, 6, 3))
    action, reward = rng.integers(4, size=6), rng.normal(size=6)
    discount = np.array([0.9, 0.0, 0.9, 0.0, 0.9, 0.9])
    wanted = np.zeros((3, 4))
    for i in range(6):  # one by one: nothing can be mixed up
        error = obs[i] @ w[:, action[i]] - reward[i] - discount[i] * max(next_obs[i] @ frozen)
        wanted[:, action[i]] += error * obs[i] / 6
    got = gradient(w, frozen, obs, action, reward, next_obs, discount)
    return not np.allclose(got, wanted, atol=1e-4)
    # end


DETECT = Exercise("dqn-is-broken", "Diagnose: an update seen from outside", PAGE, BREAK, is_broken)


def _gradient(
    next_weights: Callable = lambda w, frozen: frozen,
    ends: bool = True,
    through: bool = False,
    mixed: bool = False,
    taken: bool = True,
    best: Callable = np.max,
    dtype: type = float,
) -> Callable:
    """The gradient of the loss, with parts exchanged."""

    def gradient(w, frozen, obs, action, reward, next_obs, discount):
        B, rows = len(obs), np.arange(len(obs))
        discount = discount if ends else np.full(B, discount.max())
        next_q = next_obs @ next_weights(w, frozen)  # (B, A)
        q = obs @ w  # (B, A)
        chosen = np.eye(w.shape[1])[action]  # (B, A), one-hot
        error = q[rows, action] - reward - discount * best(next_q, axis=1)  # (B,)
        if mixed:
            target = reward + discount * best(next_q, axis=1)
            error = q[rows, action] - target.mean()
        got = np.einsum("b,bd,ba->da", error, obs, chosen if taken else np.ones_like(q)) / B
        if through:
            follow = np.eye(w.shape[1])[next_q.argmax(axis=1)]
            got = got - np.einsum("b,bd,ba->da", error * discount, next_obs, follow) / B
        return got.astype(dtype)

    return gradient


def _verdict(answer: Callable, gradient: Callable) -> bool:
    got = answer(gradient)
    if not isinstance(got, bool | np.bool_):
        raise Wrong(f"`is_broken` should return True or False; it returns a {type(got).__name__}")
    return bool(got)


@DETECT.probe(
    "a right update is not accused",
    "Work the gradient out for one transition, by hand, and add up over the batch with a plain loop.",
    "The error times obs goes into the column of the action taken; then divide by B.",
)
def _innocent(answer: Callable) -> None:
    if _verdict(answer, _gradient()):
        raise Wrong("it accuses an update that is right. An alarm that always rings is no alarm")


@DETECT.probe(
    "nor one that is right and computes in float32",
    "Rounding in float32 shifts a number of size 1 by about 1e-7, and sums by a little more.",
)
def _innocent_too(answer: Callable) -> None:
    if _verdict(answer, _gradient(dtype=np.float32)):
        raise Wrong("it accuses a right update that rounds to float32: allow for a small difference")


def _must_be_caught(shows: str, gradient: Callable, what: str, *hints: str) -> None:
    def run(answer: Callable) -> None:
        if not _verdict(answer, gradient):
            raise Wrong(f"it lets pass an update {what}")

    DETECT.probe(shows, *hints)(run)


_must_be_caught(
    "the bug of this page is caught: every value against every target",
    _gradient(mixed=True),
    "that compares every value with every target, as (B, 1) against (B,) does; a batch of one cannot show it",
    "Take a batch of several transitions whose targets are far apart.",
)
_must_be_caught(
    "a target from the wrong network is caught",
    _gradient(next_weights=lambda w, frozen: w),
    "that computes its targets with the network that learns; while both are alike one cannot see it",
    "Give `frozen` other weights than `w`.",
)
_must_be_caught(
    "a terminal state with a value is caught",
    _gradient(ends=False),
    "that gives a terminal state a value; does any transition of your test end the episode?",
    "Set some of `discount` to 0.",
)
_must_be_caught(
    "a gradient through the target is caught",
    _gradient(through=True),
    "whose gradient flows into the target; it shows where the next observation is not 0, in any row of w",
    "The right gradient has `obs` in it and nothing of `next_obs` but the target's number.",
)
_must_be_caught(
    "moving the actions that were not taken is caught",
    _gradient(taken=False),
    "that moves the values of all actions; with a single action one cannot see it",
    "Let w have several columns. Those of actions that nobody took must get a gradient of 0.",
)
_must_be_caught(
    "a mean over the next actions, where the best belongs, is caught",
    _gradient(best=np.mean),
    "that takes the mean over the next actions; with a single action both are the same",
    "Let w have several columns, and the next values differ.",
)
