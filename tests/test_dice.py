"""Dice: a learner draws the same numbers alone and among others, and the numbers are what they say."""

import numpy as np
import pytest

from rlworkshop.dice import BLOCK, Dice


def draws(seeds):
    dice = Dice(seeds)
    weights = np.tile([1.0, 2.0, 0.0, 5.0], (len(seeds), 1))
    ties = np.tile([1.0, 3.0, 3.0], (len(seeds), 1))
    steps = [
        [
            dice.uniform(),
            dice.normal(2).sum(axis=1),
            dice.integers(7),
            dice.choice(weights),
            dice.argmax(ties),
        ]
        for _ in range(2 * BLOCK + 3)
    ]
    return np.array(steps)  # (T, kinds, N)


def test_a_row_is_the_same_alone_and_among_others():
    together = draws([3, 7, 11])
    for i, seed in enumerate([3, 7, 11]):
        assert np.array_equal(draws([seed])[:, :, 0], together[:, :, i])
    assert not np.array_equal(together[:, 0, 0], together[:, 0, 1])


def test_several_rows_of_a_seed_differ_and_are_its_own():
    together, alone = Dice([3, 7], each=5), Dice([7], each=5)
    for _ in range(BLOCK):
        rows = together.normal(2)
        assert rows.shape == (10, 2) and np.array_equal(rows[5:], alone.normal(2))
        assert len(np.unique(rows)) == 20
    assert len(together) == 10


def test_a_generator_serves_as_a_seed():
    rows = Dice([np.random.default_rng(4)], each=1000).uniform()
    assert np.array_equal(rows, np.random.default_rng(4).random(1000))


def test_blocks_do_not_repeat():
    uniform = draws([5])[:, 0, 0]
    assert len(set(uniform)) == len(uniform)


def test_draws_have_the_distributions_they_are_named_after():
    dice = Dice(range(2000))
    counts = np.zeros((3, 4))
    for _ in range(20):
        counts[0] += np.bincount(dice.choice(np.tile([2.0, 4.0, 0.0, 10.0], (2000, 1))), minlength=4)
        counts[1] += np.bincount(dice.integers(4), minlength=4)
        counts[2] += np.bincount(dice.argmax(np.tile([1.0, 5.0, 5.0, 0.0], (2000, 1))), minlength=4)
    want = np.array([[2, 4, 0, 10], [4, 4, 4, 4], [0, 8, 8, 0]]) / 16
    assert np.abs(counts / 40_000 - want).max() < 0.0125  # five standard deviations
    normal = dice.normal(50)
    assert abs(normal.mean()) < 0.016 and abs(normal.std() - 1) < 0.012
    uniform = dice.uniform(50)
    assert 0 <= uniform.min() < 0.001 and 0.999 < uniform.max() < 1


def test_without_seeds_there_are_no_dice():
    for seeds, each in (([], 1), ([3], 0)):
        with pytest.raises(ValueError, match="at least one seed"):
            Dice(seeds, each)
