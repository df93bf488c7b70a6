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


def variant(
    begin=1.0, power=2, beside=False, root=0.5, sign=-1, before=False, forget=False, swap=False, use=True
):
    """RMSprop with one thing otherwise."""

    def steps(gradients, lr, alpha, eps):
        square, found, eps = np.full(gradients.shape[1], begin), [], eps * use
        keep = 1 - alpha if swap else alpha
        for gradient in gradients:
            old, square = square, keep * square + (1 - keep) * np.abs(gradient) ** power
            now = old if before else square
            divisor = now**root + eps if beside else (now + eps) ** root
            found.append(sign * lr * gradient / divisor)
            square = old if forget else square
        return np.array(found)

    return steps


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
        (variant(begin=0.0), "the mean begins at 0"),
        (variant(power=1), "has to be squared"),
        (variant(beside=True), "beside the root"),
        (variant(root=1.0), "the root is missing"),
        (variant(sign=1), "goes up the gradient"),
        (variant(before=True), "from before this gradient"),
        (variant(forget=True), "meets a mean of 1 again"),
        (variant(swap=True), "the share of the old mean"),
        (variant(use=False), "eps is not used"),
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
