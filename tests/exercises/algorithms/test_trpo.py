"""Plausible wrong answers to the exercises of trust region policy optimisation, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest
import torch

from rlworkshop.algorithms import trpo as algorithm
from rlworkshop.exercises.algorithms import trpo

# ---- natural


def multiplied(gradient_mean, gradient_log_std, std):
    return np.stack([gradient_mean / std**2, 2 * gradient_log_std])


def by_the_std(gradient_mean, gradient_log_std, std):
    return np.stack([std * gradient_mean, gradient_log_std / 2])


def plain(gradient_mean, gradient_log_std, std):
    return np.stack([gradient_mean, gradient_log_std])


def of_the_std(gradient_mean, gradient_log_std, std):
    return np.stack([std**2 * gradient_mean, std**2 * gradient_log_std / 2])


def only_the_mean(gradient_mean, gradient_log_std, std):
    return np.stack([std**2 * gradient_mean, gradient_log_std])


def log_multiplied(gradient_mean, gradient_log_std, std):
    return np.stack([std**2 * gradient_mean, 2 * gradient_log_std])


# ---- solve


def as_it_is(product, b, iterations):
    return b


def turned_round(product, b, iterations):
    return b * (b @ product(b)) / (b @ b)


def away(product, b, iterations):
    return -trpo.solve(product, b, iterations)


def two_products(product, b, iterations):
    x = np.zeros(b.shape)
    for _ in range(iterations):
        r = b - product(x)
        x = x + r * (r @ r) / (r @ product(r))
    return x


def steepest_descent(product, b, iterations):
    x, r = np.zeros(b.shape), b.copy()
    for _ in range(iterations):
        if r @ r < 1e-20:
            break
        image = product(r)
        alpha = r @ r / (r @ image)
        x, r = x + alpha * r, r - alpha * image
    return x


def never_stops(product, b, iterations):
    x, r, d = np.zeros(b.shape), b.astype(float), b.astype(float)
    for _ in range(iterations):
        image = product(d)
        alpha = r @ r / (d @ image)
        x, before = x + alpha * d, r @ r
        r = r - alpha * image
        d = r + (r @ r) / before * d
    return x


def stops_late(product, b, iterations):
    x, r, d = np.zeros(b.shape), b.astype(float), b.astype(float)
    for _ in range(iterations):
        image = product(d)
        alpha = r @ r / (d @ image)
        x, before = x + alpha * d, r @ r
        r = r - alpha * image
        if r @ r < 1e-20:
            break
        d = r + (r @ r) / before * d
    return x


# ---- is_broken


def a_number(product, kl, size):
    v = 1e-3 * np.ones(size)
    return float(v @ product(v) / 2 - kl(v))


def too_large(product, kl, size):
    v = np.random.default_rng(0).normal(size=size)
    return bool(abs(v @ product(v) / 2 - kl(v)) > 0.02 * kl(v))


def to_the_last_digit(product, kl, size):
    u, v = np.random.default_rng(0).normal(size=(2, size))
    return trpo.is_broken(product, kl, size) or bool(abs(u @ product(v) - v @ product(u)) > 1e-13)


def never(product, kl, size):
    return False


def at_the_direction(product, kl, size):
    v = 1e-3 * np.random.default_rng(0).normal(size=size)
    return bool(v @ product(v) <= 0)


def up_to_the_double(product, kl, size):
    v = 1e-3 * np.random.default_rng(0).normal(size=size)
    return bool(not 0.3 < v @ product(v) / 2 / kl(v) < 2.5)


def damped_is_fine(product, kl, size):
    v = 1e-3 * np.random.default_rng(0).normal(size=size)
    model = v @ product(v) / 2
    return not (abs(model - kl(v)) < 0.02 * kl(v) or abs(model - 0.05 * v @ v - kl(v)) < 0.02 * kl(v))


def the_first_parameter(product, kl, size):
    v = 1e-3 * (np.arange(size) == 0)
    return bool(abs(v @ product(v) / 2 - (kl(v) + kl(-v)) / 2) > 0.02 * kl(v))


WRONG = {
    "trpo-natural-normal": [
        (multiplied, "has to be divided by it"),
        (by_the_std, "the entry is 1 / std²"),
        (plain, "this is the plain gradient"),
        (of_the_std, "of its logarithm it is 2"),
        (only_the_mean, "the entry is 2"),
        (log_multiplied, "has to be divided by it"),
    ],
    "trpo-conjugate-gradient": [
        (as_it_is, "how far to go along it"),
        (turned_round, "the length is turned round"),
        (away, "away from the solution"),
        (two_products, "each iteration needs one product"),
        (steepest_descent, "that is steepest descent"),
        (never_stops, "after two products the residual is 0"),
        (stops_late, "for b = 0 it divides"),
    ],
    "trpo-is-broken": [
        (a_number, "it returns a float"),
        (too_large, "it accuses the exact Fisher matrix"),
        (to_the_last_digit, "rounding"),
        (never, "products that are 0"),
        (up_to_the_double, "twice as large"),
        (at_the_direction, "twice as large"),
        (damped_is_fine, "a damping of 0.1"),
        (the_first_parameter, "leaves the last parameter out"),
    ],
}


@pytest.mark.parametrize("seed", range(3))
def test_the_solutions_agree_with_the_chapters_own(seed):
    rng = np.random.default_rng(seed)
    factor, b = rng.normal(size=(6, 6)), rng.normal(size=6)
    matrix = factor @ factor.T + np.eye(6)
    theirs = algorithm.conjugate_gradient(
        lambda v: torch.from_numpy(matrix) @ v, torch.from_numpy(b), 4, tolerance=0.0
    )
    assert np.allclose(trpo.solve(lambda v: matrix @ v, b, 4), theirs)


@pytest.mark.parametrize("seed", range(3))
def test_the_natural_gradient_of_a_normal_distribution_is_that_of_its_divergence(seed):
    rng = np.random.default_rng(seed)
    g, log_std = rng.normal(size=(2, 3)), torch.from_numpy(rng.normal(size=3))
    old = torch.zeros(1, 3, dtype=torch.float64), log_std[None]

    def divergence(flat):
        return algorithm.gaussian_kl(*old, flat[None, :3], flat[None, 3:])[0]

    at = torch.cat([torch.zeros(3, dtype=torch.float64), log_std])
    fisher = torch.autograd.functional.hessian(divergence, at).numpy()
    wanted = np.linalg.solve(fisher, g.ravel()).reshape(2, 3)
    assert np.allclose(trpo.natural(*g, np.exp(log_std.numpy())), wanted)
