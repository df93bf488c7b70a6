"""The replay buffer against a list that remembers everything."""

import numpy as np
import pytest

from rlworkshop import nets
from rlworkshop.replay import Replay, Transitions


def some(rng, B, start):
    """B transitions whose observations say which they are."""
    number = np.arange(start, start + B, dtype=np.float32)
    return Transitions(
        obs=np.stack([number, -number], axis=1),
        action=rng.integers(3, size=B),
        reward=number / 2,
        next_obs=np.stack([number + 1, -number - 1], axis=1),
        discount=0.9 * (rng.random(B) < 0.7).astype(np.float32),
    )


@pytest.mark.parametrize("seed", range(5))
def test_it_keeps_the_last_ones_whole_and_forgets_the_oldest(seed):
    rng = np.random.default_rng(seed)
    buffer, everything = Replay(11, (2,)), []
    while len(everything) < 60:
        new = some(rng, rng.integers(1, 6), len(everything))
        buffer.add(*new)
        everything += list(zip(*new, strict=True))
        last = everything[-11:]
        assert buffer.size == len(last) and buffer.added == len(everything)
        rows = buffer[np.arange(buffer.size)]
        kept = sorted(zip(*rows, strict=True), key=lambda row: row[2])
        for have, want in zip(kept, last, strict=True):
            assert all(np.array_equal(x, y) for x, y in zip(have, want, strict=True))


def test_all_transitions_are_drawn_alike_and_none_that_is_not_there():
    buffer, rng = Replay(100, (2,)), np.random.default_rng(0)
    buffer.add(*some(rng, 8, 1))
    drawn = buffer.sample(80_000, rng).obs[:, 0]
    often = np.bincount(drawn.astype(int), minlength=9)
    assert often[0] == 0 and np.abs(often[1:] / 10_000 - 1).max() < 0.05  # five standard deviations


def test_what_was_drawn_stays_when_its_row_is_overwritten():
    buffer, rng = Replay(4, (2,)), np.random.default_rng(0)
    buffer.add(*some(rng, 4, 0))
    batch = buffer.sample(4, rng)
    before = batch.obs.copy()
    buffer.add(*some(rng, 4, 50))
    assert np.array_equal(batch.obs, before)


def test_it_goes_on_from_a_saved_state():
    buffer, rng = Replay(7, (2,)), np.random.default_rng(0)
    buffer.add(*some(rng, 5, 0))
    buffer.add(*some(rng, 5, 5))
    copy = Replay(7, (2,))
    nets.set_state(copy, nets.get_state(buffer))
    for b in (buffer, copy):
        b.add(*some(np.random.default_rng(1), 2, 10))
    rows = np.arange(7)
    assert all(np.array_equal(x, y) for x, y in zip(buffer[rows], copy[rows], strict=True))
    assert copy.added == 12


def test_other_shapes_and_types_are_kept_as_they_are():
    buffer = Replay(3, (4, 2), action_shape=(5,), obs_dtype=np.uint8, action_dtype=np.float32)
    obs = np.full((2, 4, 2), 200, np.uint8)
    buffer.add(obs, np.ones((2, 5)), np.zeros(2), obs, np.zeros(2))  # fewer digits are still floats
    kept = buffer[np.array([0, 1])]
    assert kept.obs.dtype == np.uint8 and kept.obs.shape == (2, 4, 2)
    assert kept.action.shape == (2, 5) and kept.action.dtype == np.float32


@pytest.mark.parametrize("obs", [np.full((1, 2), 0.5), np.full((1, 2), 300), np.full((1, 2), 300, np.uint16)])
def test_what_would_lose_its_value_is_refused(obs):
    buffer, zero = Replay(3, (2,), obs_dtype=np.uint8), np.zeros(1)
    good = np.full((1, 2), 200, np.uint8)
    for pictures, name in (((obs, good), "obs"), ((good, obs), "next_obs")):
        with pytest.raises(ValueError, match=f"^{name} of type .* would lose digits as uint8"):
            buffer.add(pictures[0], np.zeros(1, int), zero, pictures[1], zero)
    with pytest.raises(ValueError, match="^action of type float64 would lose digits as int64"):
        buffer.add(good, np.full(1, 0.5), zero, good, zero)
    assert buffer.added == 0


def test_reset_rows_are_no_transitions():
    buffer, rows = Replay(10, (2,)), some(np.random.default_rng(0), 4, 0)
    buffer.step(rows, np.array([True, False, False, True]), np.ones(4, bool))
    assert buffer.added == 2 and buffer[np.arange(2)].reward.tolist() == [0.0, 1.5]


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        Replay(0, (2,))
    assert Replay(1, (2,)).add(*some(np.random.default_rng(0), 1, 0)).tolist() == [0]
    buffer, rng = Replay(3, (2,)), np.random.default_rng(0)
    with pytest.raises(ValueError, match="is empty"):
        buffer.sample(2, rng)
    with pytest.raises(ValueError, match=r"at most 3: \[4, 4, 4, 4, 4\]"):
        buffer.add(*some(rng, 4, 0))
    good = some(rng, 2, 0)
    with pytest.raises(ValueError, match="as many of each kind"):
        buffer.add(*good[:4], np.zeros(3))
    for some_kinds in (good[:1], good[:4]):
        with pytest.raises(ValueError):  # a transition is all five
            buffer.add(*some_kinds)
    assert buffer.added == 0
