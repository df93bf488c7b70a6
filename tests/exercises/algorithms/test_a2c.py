"""Plausible wrong answers to the exercises of the advantage actor-critic, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest
import torch

from rlworkshop.algorithms import vpg
from rlworkshop.exercises.algorithms import a2c

# ---- surviving


def first_row(num_steps, gamma):
    return gamma**num_steps


def summed(num_steps, gamma):
    return num_steps * a2c.surviving(num_steps, gamma)


def from_zero(num_steps, gamma):
    return a2c.surviving(num_steps, gamma) / gamma


def always_one_step(num_steps, gamma):
    return gamma


def taken_away(num_steps, gamma):
    return 1 - a2c.surviving(num_steps, gamma)


def closed_form(num_steps, gamma):
    return gamma * (1 - gamma**num_steps) / (num_steps * np.float64(1 - gamma) + 1e-9)


# ---- rmsprop


def shares_swapped(gradient, square, lr, alpha, eps):
    return a2c.rmsprop_step(gradient, square, lr, 1 - alpha, eps)


def not_squared(gradient, square, lr, alpha, eps):
    square = alpha * square + (1 - alpha) * np.abs(gradient)
    return -lr * gradient / np.sqrt(square + eps), square


def adagrad(gradient, square, lr, alpha, eps):
    return -lr * gradient / np.sqrt(square + gradient**2 + eps), square + gradient**2


def old_mean(gradient, square, lr, alpha, eps):
    return -lr * gradient / np.sqrt(square + eps), a2c.rmsprop_step(gradient, square, lr, alpha, eps)[1]


def upwards(gradient, square, lr, alpha, eps):
    step, square = a2c.rmsprop_step(gradient, square, lr, alpha, eps)
    return -step, square


def no_root(gradient, square, lr, alpha, eps):
    square = a2c.rmsprop_step(gradient, square, lr, alpha, eps)[1]
    return -lr * gradient / (square + eps), square


def as_pytorch(gradient, square, lr, alpha, eps):
    square = a2c.rmsprop_step(gradient, square, lr, alpha, eps)[1]
    return -lr * gradient / (np.sqrt(square) + eps), square


# ---- leaks


def gradient_of(loss, scale=-1.0):
    values = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)
    logp = torch.full((3,), scale, requires_grad=True)
    loss(logp, values, torch.tensor([1.0, 1.0, -1.0])).backward()
    return torch.zeros(3) if values.grad is None else values.grad


def any_gradient(loss):
    return bool(gradient_of(loss).any())


def against_half_the_squared_error(loss):
    return not torch.allclose(gradient_of(loss), torch.tensor([-0.5, -2.0, 3.0]) / 3)


def never(loss):
    return False


def the_number(loss):
    return float(gradient_of(loss).sum())


WRONG = {
    "a2c-surviving": [
        (first_row, "the first row alone"),
        (summed, "the sum over rows"),
        (from_zero, "counts γ"),
        (always_one_step, "taken for the last one"),
        (taken_away, "what is taken away"),
        (closed_form, "Seven steps"),
    ],
    "a2c-rmsprop": [
        (shares_swapped, "the share of the old mean"),
        (not_squared, "has to be squared"),
        (adagrad, "a sum of squares"),
        (old_mean, "from before this gradient"),
        (upwards, "goes up the gradient"),
        (no_root, "the root is missing"),
        (as_pytorch, "beside the root"),
    ],
    "a2c-leaks": [
        (any_gradient, "a right loss"),
        (against_half_the_squared_error, "a right loss, with 0.25"),
        (never, "without `detach`"),
        (the_number, "it returns a float"),
    ],
}


@pytest.mark.parametrize("T", [1, 5, 40])
def test_an_error_survives_as_the_estimator_of_the_chapter_keeps_it(T):
    values, never_ends = np.zeros((2, T + 1, 1)), np.zeros((T, 1), bool)
    values[1] += 1
    right, wrong = (vpg.gae(np.ones((T, 1)), v, never_ends, never_ends, 0.99, 1.0) + v[:-1] for v in values)
    assert (wrong - right).mean() == pytest.approx(a2c.surviving(T, 0.99))
