"""Rngs: a learner draws the same numbers alone and among others, and the numbers are what they say."""

import numpy as np
import pytest

from rlworkshop.rngs import BLOCK, Rngs


def draws(seeds):
    rngs = Rngs(seeds)
    weights = np.tile([1.0, 2.0, 0.0, 5.0], (len(seeds), 1))
    ties = np.tile([1.0, 3.0, 3.0], (len(seeds), 1))
    steps = [
        [
            rngs.uniform(),
            rngs.normal(2).sum(axis=1),
            rngs.integers(7),
            rngs.choice(weights),
            rngs.argmax(ties),
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
    together, alone = Rngs([3, 7], each=5), Rngs([7], each=5)
    for _ in range(BLOCK):
        rows = together.normal(2)
        assert rows.shape == (10, 2) and np.array_equal(rows[5:], alone.normal(2))
        assert len(np.unique(rows)) == 20
    assert len(together) == 10


def test_a_generator_serves_as_a_seed():
    rows = Rngs([np.random.default_rng(4)], each=1000).uniform()
    assert np.array_equal(rows, np.random.default_rng(4).random(1000))
    alone = Rngs([np.random.default_rng(4)])  # and gives its numbers in their order
    drawn = [alone.uniform()[0] for _ in range(2 * BLOCK)]
    assert drawn == np.random.default_rng(4).random(2 * BLOCK).tolist() and len(alone) == 1


def test_blocks_do_not_repeat():
    uniform = draws([5])[:, 0, 0]
    assert len(set(uniform)) == len(uniform)


def test_draws_have_the_distributions_they_are_named_after():
    rngs = Rngs(range(2000))
    counts = np.zeros((3, 4))
    for _ in range(20):
        counts[0] += np.bincount(rngs.choice(np.tile([2.0, 4.0, 0.0, 10.0], (2000, 1))), minlength=4)
        counts[1] += np.bincount(rngs.integers(4), minlength=4)
        counts[2] += np.bincount(rngs.argmax(np.tile([1.0, 5.0, 5.0, 0.0], (2000, 1))), minlength=4)
    want = np.array([[2, 4, 0, 10], [4, 4, 4, 4], [0, 8, 8, 0]]) / 16
    assert np.abs(counts / 40_000 - want).max() < 0.0125  # five standard deviations
    normal = rngs.normal(50)
    assert abs(normal.mean()) < 0.016 and abs(normal.std() - 1) < 0.012
    uniform = rngs.uniform(50)
    assert 0 <= uniform.min() < 0.001 and 0.999 < uniform.max() < 1


@pytest.mark.parametrize("number", [0.0, np.nextafter(1, 0)])
def test_what_is_impossible_does_not_happen_at_the_ends_of_chance_either(number, monkeypatch):
    rngs = Rngs([1, 2])
    monkeypatch.setattr(rngs, "uniform", lambda *shape: np.full((2, *shape), number))
    assert (rngs.choice(np.tile([0.0, 2.0, 3.0, 0.0], (2, 1))) == (1 if number == 0 else 2)).all()
    assert (rngs.argmax(np.tile([1.0, 5.0, 5.0], (2, 1))) == 1).all()
    assert rngs.argmax(np.array([[1.0, 5.0, 2.0], [-2.0, -1.0, 0.0]])).tolist() == [1, 2]
    assert (rngs.integers(7) == (0 if number == 0 else 6)).all()


def test_without_seeds_there_are_no_dice():
    for seeds, each in (([], 1), ([3], 0)):
        with pytest.raises(ValueError, match="at least one seed"):
            Rngs(seeds, each)
