"""Plausible wrong answers to the exercises on goals and hindsight, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np

from rlworkshop.exercises.robotics import goals_and_hindsight as page
from rlworkshop.robotics import goals_and_hindsight as gh

# ---- future


def without_itself(ended, u):
    ends = np.flatnonzero(ended)
    now = np.arange(len(ended))
    last = ends[np.searchsorted(ends, now)]
    return np.minimum(now + 1 + np.floor(u * (last - now)).astype(int), last)


def anywhere(ended, u):
    return np.floor(u * len(ended)).astype(int)


def always_the_end(ended, u):
    ends = np.flatnonzero(ended)
    return ends[np.searchsorted(ends, np.arange(len(ended)))]


def over_ends(ended, u):
    return page._rest(u)


def to_the_nearest(ended, u):
    now = np.arange(len(ended))
    return now + np.round(u * (always_the_end(ended, u) - now + 1)).astype(int)


def always_itself_or_the_end(ended, u):
    return np.where(u > 0.5, always_the_end(ended, u), np.arange(len(ended)))


# ---- faults


def some_agree(before, after, achieved, reward, ends):
    reached = (achieved == before).any(axis=1)
    return np.array(
        [(before != after).any(axis=1).sum(), (reward != reached - 1).sum(), (ends != reached).sum()]
    )


def paid_one(before, after, achieved, reward, ends):
    found = page.faults(before, after, achieved, reward, ends)
    return found + [0, (reward != (achieved == before).all(axis=1)).sum() - found[1], 0]


def all_differ(before, after, achieved, reward, ends):
    found = page.faults(before, after, achieved, reward, ends)
    return np.array([(before != after).all(axis=1).sum(), *found[1:]])


def numbers(before, after, achieved, reward, ends):
    return np.array([(before != after).sum(), *page.faults(before, after, achieved, reward, ends)[1:]])


def goal_after(before, after, achieved, reward, ends):
    reached = (achieved == after).all(axis=1)
    return np.array(
        [(before != after).any(axis=1).sum(), (reward != reached - 1).sum(), (ends != reached).sum()]
    )


def other_order(before, after, achieved, reward, ends):
    return page.faults(before, after, achieved, reward, ends)[[0, 2, 1]]


def missing_zeros(before, after, achieved, reward, ends):
    reached = (achieved == before).all(axis=1)
    found = page.faults(before, after, achieved, reward, ends)
    return np.array([found[0], (reached & (reward != 0)).sum(), found[2]])


WRONG = {
    "goals-and-hindsight-future": [
        (without_itself, "its own goal"),
        (anywhere, "from before"),
        (always_the_end, "strategy final"),
        (to_the_nearest, "round down"),
        (over_ends, "over the ends"),
        (always_itself_or_the_end, "2"),
    ],
    "goals-and-hindsight-faults": [
        (some_agree, "all of its numbers"),
        (paid_one, "not 1"),
        (all_differ, "one number that differs"),
        (numbers, "count rows"),
        (goal_after, "in the observation"),
        (other_order, "before ends"),
        (missing_zeros, "as well"),
    ],
}


def test_the_goals_are_those_that_the_books_replay_may_hand_out():
    ended = np.array([0, 0, 1, 0, 0, 0, 1], bool)
    replay = gh.hindsight_replay(gh.BitFlipEnvs(flat=True, n=3), 100)
    for length in (3, 4):
        rows = np.zeros((length, 9), np.float32)
        replay.add(rows, np.zeros(length, int), np.zeros(length), rows, np.ones(length))
    highest, lowest = page.future(ended, np.full(7, 0.999)), page.future(ended, np.zeros(7))
    assert np.array_equal(highest, replay.last[:7]) and np.array_equal(lowest, np.arange(7))


def test_what_the_books_replay_hands_out_has_no_faults():
    task = gh.BitFlipEnvs(20, n=4, flat=True)
    replay, rng = gh.hindsight_replay(task, 1000), np.random.default_rng(0)
    obs, _ = task.reset(seed=0)
    valid = np.ones(20, bool)
    for _ in range(30):
        action = rng.integers(4, size=20)
        after, reward, terminated, truncated, _ = task.step(action)
        replay.step(
            gh.Transitions(obs, action, reward, after, 0.9 * ~terminated), valid, terminated | truncated
        )
        obs, valid = after, ~(terminated | truncated)
    b = replay.sample(300, rng)
    goals = b.obs[:, task.desired], b.next_obs[:, task.desired], b.next_obs[:, task.achieved]
    assert page.faults(*goals, b.reward, b.discount == 0).tolist() == [0, 0, 0]
