"""Plausible wrong answers to the exercises on learning from demonstrations, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest
import torch

from rlworkshop.exercises.robotics import learning_from_demonstrations as page
from rlworkshop.robotics import learning_from_demonstrations as demos

# ---- mixture


def likelihood(action, weight, mean, std):
    return -page.mixture_loss(action, weight, mean, std)


def logarithm_inside(action, weight, mean, std):
    return -(weight * np.log(page._densities(action, mean, std))).sum(axis=1)


def no_width(action, weight, mean, std):
    return -np.log((weight * page._densities(action, mean, std) * std).sum(axis=1))


def no_weights(action, weight, mean, std):
    return -np.log(page._densities(action, mean, std).sum(axis=1))


def densities_first(action, weight, mean, std):
    return -np.log((weight * page._densities(action, mean, std)).sum(axis=1))


# ---- euler


def whole_steps(velocity, noise, steps):
    y = noise
    for i in range(steps):
        y = y + velocity(y, i / steps)
    return y


def ends(velocity, noise, steps):
    return page.carry(lambda y, time: velocity(y, time + 1 / steps), noise, steps)


def backwards(velocity, noise, steps):
    return page.carry(lambda y, time: velocity(y, 1 - time), noise, steps)


def from_the_noise(velocity, noise, steps):
    return page.carry(lambda y, time: velocity(noise, time), noise, steps)


def always_eight(velocity, noise, steps):
    return page.carry(velocity, noise, 8)


WRONG = {
    "learning-from-demonstrations-mixture": [
        (likelihood, "its negative"),
        (logarithm_inside, "inside the sum"),
        (no_width, "narrow peaks"),
        (no_weights, "weights are missing"),
        (densities_first, "infinite"),
    ],
    "learning-from-demonstrations-euler": [
        (whole_steps, "divide"),
        (ends, "not its beginning"),
        (backwards, "begins at 0"),
        (from_the_noise, "where y is now"),
        (always_eight, "eight steps whatever"),
    ],
}


def test_the_answers_agree_with_the_books():
    dice = demos.Dice([0])
    mixture, flow = demos.Mixture(2, 1, dice), demos.Flow(2, 1, dice)
    obs, action = dice.normal(5, 2), dice.normal(5, 1)
    with torch.no_grad():
        log_weight, mean, log_std = (part[0].numpy() for part in mixture.parts(obs))
        theirs = page.mixture_loss(
            action[0, :, 0].numpy(), np.exp(log_weight), mean[..., 0], np.exp(log_std[..., 0])
        )
        assert mixture.loss(obs, action, dice)[0].numpy() == pytest.approx(theirs, rel=1e-4)
        carried = page.carry(lambda y, t: flow.velocity(obs, y, torch.full((1, 5, 1), t)), action, 8)
        assert torch.allclose(flow.act(obs, action), carried)
