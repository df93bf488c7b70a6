"""Plausible wrong answers to the exercises on learning from preferences, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest
import torch

from rlworkshop.exercises.safety import learning_from_preferences as page
from rlworkshop.safety import learning_from_preferences as prefs


def uphill(w, left, right, label):
    return -page.gradient(w, left, right, label)


def swapped(w, left, right, label):
    return page.gradient(w, left, right, 1 - label)


def means(w, left, right, label):
    difference = left.mean(axis=0) - right.mean(axis=0)
    return (1 / (1 + np.exp(-w @ difference)) - label) * difference


def perceptron(w, left, right, label):
    return (1 - 2 * label) * (left.sum(axis=0) - right.sum(axis=0))


def always_left(w, left, right, label):
    return page.gradient(w, left, right, 1.0)


def rounded(w, left, right, label):
    return page.gradient(w, left, right, float(label > 0.5))


def no_ties(w, left, right, label):
    return page.gradient(w, left, right, label) * (label != 0.5)


def one_by_one(w, left, right, label):
    difference = left.sum(axis=0) - right.sum(axis=0)
    return (1 / (1 + np.exp(-w * difference)) - label) * difference


def starts(done, length, first=0, last=1, short=0):
    """A 1 where no episode ends in a part of the clip."""
    may = np.zeros(len(done))
    for t in range(len(done) - length + 1 - short):
        may[t] = not done[t + first : t + length - last].any()
    return may


def strictly(done, length):
    return starts(done, length, last=0)


def anywhere(done, length):
    return starts(done & False, length)


def range_too_short(done, length):
    return starts(done, length, short=1)


def off_by_one(done, length):
    return starts(done, length, first=1, last=0)


def over_the_end(done, length):
    return np.array([float(not done[t : t + length - 1].any()) for t in range(len(done))])


def whole_episodes(done, length):
    end = np.flatnonzero(done).max(initial=-1)
    return page.starts(done, length) * (np.arange(len(done)) + length <= end + 1)


def at_least_two(done, length):
    return strictly(done, length) if length == 1 else page.starts(done, length)


WRONG = {
    "learning-from-preferences-gradient": [
        (uphill, "goes uphill"),
        (swapped, "labels are swapped"),
        (means, "not the mean"),
        (perceptron, "that factor is missing"),
        (always_left, "the label is not used"),
        (rounded, "taken for one in which right"),
        (no_ties, "teaches nothing here"),
        (one_by_one, "probability of its own"),
    ],
    "learning-from-preferences-starts": [
        (strictly, "may contain the step that ends it"),
        (anywhere, "go over the end"),
        (range_too_short, "last clip of the stream is missing"),
        (off_by_one, "off by one"),
        (over_the_end, "over the end of the stream"),
        (whole_episodes, "not ended are left out"),
        (at_least_two, "last step is a clip, too"),
    ],
}


@pytest.mark.parametrize("label", [0.0, 0.5, 1.0])
def test_the_gradient_is_that_of_the_books_loss(label):
    rng = np.random.default_rng(0)
    w, left, right = rng.normal(size=3), rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    weights = torch.tensor(w, requires_grad=True)
    sums = (torch.from_numpy(clip) @ weights for clip in (left, right))
    prefs.preference_loss(*(x.sum() for x in sums), torch.tensor(label), 0.0).backward()
    assert page.gradient(w, left, right, label) == pytest.approx(weights.grad.numpy(), abs=1e-6)
