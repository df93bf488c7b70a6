"""Plausible wrong answers to the exercises of deep Q-networks, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest
import torch

from rlworkshop import check, exercises
from rlworkshop.algorithms import dqn as algorithm
from rlworkshop.exercises.algorithms import dqn
from rlworkshop.replay import Replay

# ---- targets


def without_discount(reward, terminated, truncated, next_q, gamma):
    return dqn.targets(reward, terminated, truncated, next_q, 1.0)


def mean_of_actions(reward, terminated, truncated, next_q, gamma):
    return reward + gamma * ~terminated * next_q.mean(axis=1)


def over_the_batch(reward, terminated, truncated, next_q, gamma):
    return reward + gamma * ~terminated * next_q.max(axis=0)[: len(reward)]


def number_of_the_action(reward, terminated, truncated, next_q, gamma):
    return reward + gamma * ~terminated * next_q.argmax(axis=1)


def never_over(reward, terminated, truncated, next_q, gamma):
    return reward + gamma * next_q.max(axis=1)


def clock_is_the_world(reward, terminated, truncated, next_q, gamma):
    return reward + gamma * ~(terminated | truncated) * next_q.max(axis=1)


def the_clock_wins(reward, terminated, truncated, next_q, gamma):
    return reward + gamma * (~terminated | truncated) * next_q.max(axis=1)


# ---- the memory


def from_the_front_again(kept, added, new):
    first = added % len(kept)
    first = 0 if first + len(new) > len(kept) else first
    kept = kept.copy()
    kept[first : first + len(new)] = new
    return kept


def loses_the_rest(kept, added, new):
    kept, first = kept.copy(), added % len(kept)
    room = len(kept) - first
    kept[first:] = np.append(new[:room], kept[first + len(new[:room]) :])
    return kept


def one_row_late(kept, added, new):
    return dqn.write(kept, added + 1, new)


def reversed_order(kept, added, new):
    return dqn.write(kept, added, new[::-1])


def wraps_once_only(kept, added, new):
    kept = kept.copy()
    rows = added + np.arange(len(new))
    kept[np.where(rows >= 3 * len(kept), 0, rows % len(kept))] = new
    return kept


# ---- the detector


def always(gradient):
    return True


def never(gradient):
    return False


def _detector(B=6, A=4, frozen="other", ends=True, apart=False, tolerance=1e-4, kind=bool):
    """The solution with something left out."""

    def is_broken(gradient):
        rng = np.random.default_rng(0)
        w, other = rng.normal(size=(2, 4, A))
        other = {"other": other, "same": w, "alike": other[:, :1] * np.ones(A)}[frozen]
        obs, next_obs = rng.normal(size=(2, B, 4))
        if apart:  # the two observations share no feature
            obs[:, 2:], next_obs[:, :2] = 0, 0
        action, reward = rng.integers(A, size=B), rng.normal(size=B)
        discount = np.full(B, 0.9)
        if ends:
            discount[1::2] = 0
        wanted = np.zeros((4, A))
        for i in range(B):
            error = obs[i] @ w[:, action[i]] - reward[i] - discount[i] * max(next_obs[i] @ other)
            wanted[:, action[i]] += error * obs[i] / B
        got = gradient(w, other, obs, action, reward, next_obs, discount)
        rows = slice(2) if apart else slice(4)
        return kind(not np.allclose(got[rows], wanted[rows], rtol=0, atol=tolerance))

    return is_broken


WRONG = {
    "dqn-targets": [
        (without_discount, "gamma is not used"),
        (mean_of_actions, "mean over actions"),
        (over_the_batch, "over the batch"),
        (number_of_the_action, "argmax"),
        (never_over, "nobody ever taught it"),
        (clock_is_the_world, "time limit is taken for a fall"),
        (the_clock_wins, "is a fall"),
    ],
    "dqn-mend-ring": [
        (from_the_front_again, "begins anew at row 0"),
        (loses_the_rest, "is lost"),
        (one_row_late, "one row late"),
        (reversed_order, "reversed order"),
        (wraps_once_only, "is not among them"),
    ],
    "dqn-is-broken": [
        (always, "always rings"),
        (never, "every value with every target"),
        (_detector(tolerance=1e-12), "rounds to float32"),
        (_detector(B=1, ends=False), "every value with every target"),
        (_detector(frozen="same"), "network that learns"),
        (_detector(ends=False), "gives a terminal state a value"),
        (_detector(apart=True), "flows into the target"),
        (_detector(A=1), "values of all actions"),
        (_detector(frozen="alike"), "mean over the next actions"),
        (_detector(kind=int), "returns a int"),
    ],
}


def test_the_stub_of_the_memory_to_mend_runs_and_is_told_what_is_wrong():
    space: dict = {}
    exec(exercises.find("dqn-mend-ring").stub, space)
    with pytest.raises(check.Wrong, match="begins anew at row 0"):
        exercises.find("dqn-mend-ring").check(space["write"])


@pytest.mark.parametrize("seed", range(3))
def test_targets_are_the_chapters_own(seed):
    rng = np.random.default_rng(seed)
    reward, next_q = rng.normal(size=9), rng.normal(size=(9, 3))
    over, cut = rng.random((2, 9)) < 0.4
    own = algorithm.td_target(*map(torch.from_numpy, (reward, 0.9 * ~over, next_q)))
    assert np.allclose(dqn.targets(reward, over, cut, next_q, 0.9), own)


def test_the_memory_is_that_of_the_replay_buffer():
    rng, kept, buffer = np.random.default_rng(0), np.zeros(6, np.float32), Replay(6, ())
    while buffer.added < 40:
        new = rng.normal(size=rng.integers(1, 7)).astype(np.float32)
        kept = dqn.write(kept, buffer.added, new)
        buffer.add(new, *[np.zeros(len(new), int)] * 4)
        assert np.array_equal(kept, buffer[np.arange(6)].obs)


def test_the_right_gradient_of_the_detector_is_torchs():
    rng = np.random.default_rng(1)
    w, frozen = rng.normal(size=(2, 3, 4))
    obs, next_obs = rng.normal(size=(2, 5, 3))
    action, reward, discount = rng.integers(4, size=5), rng.normal(size=5), rng.random(5)
    weights = torch.from_numpy(w).requires_grad_()
    q = (torch.from_numpy(obs) @ weights)[torch.arange(5), torch.from_numpy(action)]
    target = torch.from_numpy(reward + discount * (next_obs @ frozen).max(axis=1))
    (0.5 * (q - target) ** 2).mean().backward()
    found = dqn._gradient()(w, frozen, obs, action, reward, next_obs, discount)
    assert np.allclose(found, weights.grad)


def test_whole_numbers_and_flags_of_0_and_1_do_no_harm():
    reward, over, cut, next_q = (
        np.ones(2, int),
        np.array([0, 1]),
        np.zeros(2, int),
        np.array([[3, 1], [4, 2]]),
    )
    assert dqn.targets(reward, over, cut, next_q, 0.5).tolist() == [2.5, 1.0]
    assert dqn.write(np.array([1, 2, 3]), 4, np.array([0.5])).tolist() == [1, 0.5, 3]
