"""Plausible wrong answers to the exercises of over-estimation and the unit of a loss, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest
import torch

from rlworkshop.exercises.algorithms import dqn_values as dqn

# ---- the ceiling


def one_copy_ahead(copies, gamma, reward, first):
    return dqn.ceiling(copies + 1, gamma, reward, first)


def undiscounted(copies, gamma, reward, first):
    return reward * copies + first


def where_it_ends(copies, gamma, reward, first):
    return np.full(len(copies), reward / (1 - gamma))


def forgets_the_fresh_network(copies, gamma, reward, first):
    return dqn.ceiling(copies, gamma, reward, 0.0)


def fresh_for_ever(copies, gamma, reward, first):
    return dqn.ceiling(copies, gamma, reward, 0.0) + first


def divides_by_zero(copies, gamma, reward, first):
    gamma = np.float64(gamma)
    return reward * (1 - gamma**copies) / (1 - gamma) + gamma**copies * first


# ---- the gradient


def of_the_square(q, action, target):
    rows, gradient = np.arange(len(q)), np.zeros_like(q)
    gradient[rows, action] = (q[rows, action] - target) / len(q)
    return gradient


def of_the_errors(q, action, target):
    return np.clip(q[np.arange(len(q)), action] - target, -1, 1) / len(q)


def uphill(q, action, target):
    return -dqn.huber_gradient(q, action, target)


def summed(q, action, target):
    return len(q) * dqn.huber_gradient(q, action, target)


def of_the_clipped_error(q, action, target):
    large = np.abs(q[np.arange(len(q)), action] - target) > 1
    return np.where(large[:, None], 0.0, dqn.huber_gradient(q, action, target))


def all_actions(q, action, target):
    return np.clip(q - target[:, None], -1, 1) / len(q)


def of_the_best(q, action, target):
    return dqn.huber_gradient(q, q.argmax(axis=1), target)


def divided_by_all(q, action, target):
    return dqn.huber_gradient(q, action, target) / q.shape[1]


def every_row_with_every_target(q, action, target):
    rows, gradient = np.arange(len(q)), np.zeros_like(q)
    gradient[rows, action] = np.clip(q[rows, action][:, None] - target, -1, 1).mean(axis=1) / len(q)
    return gradient


WRONG = {
    "dqn-values-ceiling": [
        (one_copy_ahead, "one copy ahead"),
        (undiscounted, "discount is missing"),
        (where_it_ends, "where it ends"),
        (forgets_the_fresh_network, "left out"),
        (fresh_for_ever, "do not fade"),
        (divides_by_zero, "divides by zero"),
    ],
    "dqn-values-huber-gradient": [
        (of_the_errors, "one for each action, too"),
        (of_the_square, "slope of the square"),
        (uphill, "sign is turned round"),
        (summed, "size of the batch"),
        (of_the_clipped_error, "clipping the *error*"),
        (all_actions, "all actions are pulled"),
        (of_the_best, "best action that is pulled"),
        (every_row_with_every_target, "of all rows are mixed"),
    ],
}


def test_the_ceiling_is_value_iteration_in_a_world_without_end():
    """One state, one action that pays: the backup is V ← r + γ V."""
    value, found = 3.0, dqn.ceiling(np.arange(30), 0.9, 2.0, 3.0)
    for k in range(30):
        assert found[k] == pytest.approx(value)
        value = 2.0 + 0.9 * value


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_is_that_of_torch(seed):
    rng = np.random.default_rng(seed)
    q = torch.from_numpy(rng.normal(0, 2, size=(7, 3))).requires_grad_()
    action, target = rng.integers(3, size=7), rng.normal(size=7)
    chosen = q[torch.arange(7), torch.from_numpy(action)]
    torch.nn.functional.huber_loss(chosen, torch.from_numpy(target)).backward()
    assert np.allclose(dqn.huber_gradient(q.detach().numpy(), action, target), q.grad)


def test_whole_numbers_do_no_harm():
    q, action = np.array([[1, 0], [0, 3]]), np.array([0, 1])
    assert dqn.huber_gradient(q, action, np.array([0, 9])).tolist() == [[0.5, 0], [0, -0.5]]
