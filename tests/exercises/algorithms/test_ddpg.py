"""Plausible wrong answers to the exercises of deep deterministic policy gradient, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest
import torch

from rlworkshop.algorithms import ddpg as algorithm
from rlworkshop.exercises.algorithms import ddpg

# ---- policy_gradient


def downhill(obs, weights, best):
    return -ddpg.policy_gradient(obs, weights, best)


def half(obs, weights, best):
    return ddpg.policy_gradient(obs, weights, best) / 2


def no_tanh(obs, weights, best):
    action = np.tanh(obs @ weights.T)
    return (2 * (best - action)).T @ obs / len(obs)


def wrong_tanh(obs, weights, best):
    action = np.tanh(obs @ weights.T)
    return (2 * (best - action) * (1 - action)).T @ obs / len(obs)


def before_tanh(obs, weights, best):
    inside = obs @ weights.T
    return (2 * (best - inside) * (1 - np.tanh(inside) ** 2)).T @ obs / len(obs)


def summed(obs, weights, best):
    return ddpg.policy_gradient(obs, weights, best) * len(obs)


def over_components(obs, weights, best):
    return ddpg.policy_gradient(obs, weights, best) / len(weights)


# ---- settles


def average_reward(reward, gamma):
    return np.array([reward.mean(), 0.5 * reward.var()])


def added_up(reward, gamma):
    return np.array([reward.sum() / (1 - gamma), 0.5 * reward.var()])


def one_step(reward, gamma):
    return np.array([reward.mean() * (1 + gamma), 0.5 * reward.var()])


def no_loss(reward, gamma):
    return np.array([reward.mean() / (1 - gamma), 0.0])


def whole_variance(reward, gamma):
    return np.array([reward.mean() / (1 - gamma), reward.var()])


def of_a_sample(reward, gamma):
    return np.array([reward.mean() / (1 - gamma), reward.var(ddof=1) / 2])


# ---- td_loss


def only_q(q, reward, discount, next_q):
    return 0.5 * ((q[:, 0] - reward - discount * next_q) ** 2).mean()


def only_next(q, reward, discount, next_q):
    return 0.5 * ((q - reward - discount * next_q[:, 0]) ** 2).mean()


def as_given(q, reward, discount, next_q):
    return 0.5 * ((q - reward - discount * next_q) ** 2).mean()


def mean_first(q, reward, discount, next_q):
    return 0.5 * (q[:, 0] - reward - discount * next_q[:, 0]).mean() ** 2


def sum_of_all(q, reward, discount, next_q):
    return 0.5 * ((q[:, 0] - reward - discount * next_q[:, 0]) ** 2).sum()


WRONG = {
    "ddpg-policy-gradient": [
        (downhill, "this points down"),
        (half, "the 2 of the square"),
        (no_tanh, "the slope of tanh is missing"),
        (wrong_tanh, "and not 1 − tanh"),
        (before_tanh, "at the action that is done"),
        (summed, "the sum over the batch"),
        (over_components, "divides by the number of components"),
    ],
    "ddpg-settles": [
        (average_reward, "the value of the next state counts"),
        (added_up, "they are averaged"),
        (one_step, "comes back on the other side"),
        (no_loss, "something of each difference is left"),
        (whole_variance, "the ½ of the loss is missing"),
        (of_a_sample, "and not by B − 1"),
    ],
    "ddpg-mend-loss": [
        (only_q, "each reward still meets the value of each next state"),
        (only_next, "each prediction is still compared with each target"),
        (as_given, "nothing has changed"),
        (mean_first, "before the square"),
        (sum_of_all, "a sum over the batch"),
    ],
}


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_is_that_of_the_chapters_own_loss(seed):
    rng = np.random.default_rng(seed)
    obs, weights, best = rng.normal(size=(5, 3)), rng.normal(size=(2, 3)), rng.normal(size=(5, 2))
    w = torch.tensor(weights, requires_grad=True)
    action = torch.tanh(torch.from_numpy(obs) @ w.T)
    loss = algorithm.actor_loss(-((action - torch.from_numpy(best)) ** 2).sum(dim=1))
    (gradient,) = torch.autograd.grad(loss, w)
    assert np.allclose(ddpg.policy_gradient(obs, weights, best), -gradient.numpy())


def test_the_broken_loss_is_at_rest_where_the_solution_says():
    reward = np.array([-1.0, -4.0, 0.5])
    value, loss = ddpg.settles(reward, 0.8)
    q = torch.full((3, 1), float(value), dtype=torch.float64, requires_grad=True)
    broken = 0.5 * ((q - torch.from_numpy(reward) - 0.8 * q.detach()) ** 2).mean()
    assert broken.item() == pytest.approx(loss)
    assert torch.autograd.grad(broken, q)[0].abs().max() < 1e-12


def test_the_mended_loss_is_the_chapters_own():
    rng = np.random.default_rng(0)
    q, next_q, reward, discount = rng.normal(size=(6, 1)), rng.normal(size=(6, 1)), *rng.uniform(size=(2, 6))
    tensors = map(torch.from_numpy, (reward, discount, next_q[:, 0]))
    theirs = algorithm.critic_loss(torch.from_numpy(q[:, 0]), algorithm.td_target(*tensors))
    assert ddpg.loss(q, reward, discount, next_q) == pytest.approx(theirs.item())
