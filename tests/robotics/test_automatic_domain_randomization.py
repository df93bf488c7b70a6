"""Ranges that widen: which robots are drawn, when a bound moves, and that training notices nothing."""

import dataclasses

import numpy as np
import pytest

from rlworkshop import envs
from rlworkshop.robotics import automatic_domain_randomization as adr
from rlworkshop.robotics import memory, reality_gap

STILL = np.zeros((64, 2))


def world(goals: int, n: int = 64, **kwargs) -> adr.WideningEnvs:
    """Tables on which every episode ends with so many ``goals``."""

    class Same(adr.WideningEnvs):
        def _begin(self, which):
            self.reached[:] = goals
            super()._begin(which)

    made = Same(n, **kwargs)
    made.reset(seed=0)
    return made


def episode(made: adr.WideningEnvs) -> np.ndarray:
    """Plays one episode and the reset row after it; the robots (N, P) of the next."""
    for _ in range(reality_gap.EPISODE + 1):
        made.step(np.zeros((made.num_envs, 2)))
    return made.parameters


def test_it_begins_with_the_data_sheet():
    made = world(0)
    assert not made.bounds.any() and not made.parameters.any()


def test_success_widens_every_bound_and_failure_narrows_it():
    made = world(5, probes=2, step=0.25, cap=1.0)
    for _ in range(3):
        episode(made)
    # 64 tables, half of them at one of 11 bounds: each has been tried twice in every episode, or nearly
    assert (made.bounds[1] >= 0.25).all() and made.bounds.max() <= 1.0 and made.bounds[0, 5] == 0
    worse = world(0, probes=2, step=0.25, cap=1.0)
    worse.bounds[:] = 0.5
    for _ in range(4):
        episode(worse)
    assert worse.bounds[:, :5].max() < 0.5 and worse.bounds.min() >= 0


def test_between_few_and_enough_nothing_moves():
    made = world(3, probes=1, enough=4.0, few=2.0)
    made.bounds[:, :] = 0.5
    made.bounds[0, 5] = 0
    for _ in range(3):
        episode(made)
    assert (made.bounds[:, :5] == 0.5).all()


def test_half_of_the_robots_stand_at_a_bound_and_all_within_them():
    made = world(3, n=4000, probes=10**6, enough=4.0, few=2.0)
    made.bounds[:] = np.array([[0.2, 0.4, 0.6, 0.8, 1.0, 0.0], [0.3, 0.5, 0.7, 0.9, 1.1, 0.6]])
    robots = episode(made)
    low, high = -made.bounds[0], made.bounds[1]
    assert (robots >= low - 1e-12).all() and (robots <= high + 1e-12).all()
    at = np.isclose(robots, low) & (made.bounds[0] > 0) | np.isclose(robots, high)
    assert 0.45 < at.any(axis=1).mean() < 0.55 and at.sum(axis=1).max() == 1
    probing = made.probed >= 0
    assert np.array_equal(probing, at.any(axis=1))
    side, which = np.divmod(made.probed[probing], 6)
    assert np.allclose(robots[probing, which], np.where(side == 0, low[which], high[which]))
    assert np.unique(made.probed[probing]).size == 11 and 5 not in made.probed  # less latency there is not
    free = robots[~probing]
    assert np.allclose(free.mean(axis=0), (low + high) / 2, atol=0.05)


def test_the_goals_of_a_probe_are_counted_at_its_bound():
    made = adr.WideningEnvs(64, probes=10**6)
    made.reset(seed=0)
    probed = made.probed.copy()
    for t in range(reality_gap.EPISODE):
        made.reached += t == 10  # one goal each
        made.step(STILL)
    reached = made.reached.copy()
    made.step(STILL)
    for bound in range(12):
        assert made.counts.flat[bound] == (probed == bound).sum()
        assert made.sums.flat[bound] == reached[probed == bound].sum()
    assert made.counts.sum() == (probed >= 0).sum() and not made.reached.any()


def test_goals_are_counted_from_what_the_tables_say():
    made = adr.WideningEnvs(8)
    obs, total = envs.reset(made, 0), np.zeros(8, int)
    for _ in range(150):
        obs, _, _, _, info = made.step(np.clip(4 * obs[:, 4:6] - 4 * obs[:, 2:4], -1, 1))
        total += info["goals"]
    assert total.sum() > 10 and np.array_equal(made.reached, total)


def test_a_bound_moves_when_its_buffer_is_full():
    bounds, score = np.full((2, 3), 0.5), np.array([[3.0, 2.9, 2.1], [2.0, 9.0, 0.0]])
    full = np.array([[True, True, True], [True, False, False]])
    found = adr.moved(bounds, score, full, 3.0, 2.0, 0.25, 9.0)
    assert found == pytest.approx(np.array([[0.75, 0.5, 0.5], [0.25, 0.5, 0.5]]))
    ends = adr.moved(np.array([0.1, 1.4]), np.array([0.0, 5.0]), np.ones(2, bool), 3.0, 2.0, 0.25, 1.5)
    assert ends == pytest.approx([0.0, 1.5])


def test_what_was_scored_at_the_old_bound_does_not_count_at_the_new_one():
    made = world(5, probes=1)
    episode(made)
    moved = made.bounds > 0
    assert moved.any() and not made.counts[moved].any() and not made.sums[moved].any()


def test_half_an_episode_is_no_probe():
    made = adr.WideningEnvs(64, probes=10**6)
    made.reset(seed=0)
    for _ in range(20):
        made.step(STILL)
    made.reset(seed=1)
    assert not made.counts.any()


def test_training_takes_the_settings_of_the_ranges():
    config = memory.Config(memory="none", num_envs=16, total_steps=16 * 151, hidden=8, critic_hidden=(8,))
    with pytest.raises(ValueError, match="few lies below enough"):
        adr.train_widening(config, 0, {"enough": 0.5})


def test_the_entropy_is_the_mean_logarithm_of_the_widths():
    bounds = np.full((3, 2, 6), 0.5)
    bounds[1] = 0
    bounds[2, 0] = 1.5
    assert adr.entropy(bounds) == pytest.approx([0, np.log(0.05), np.log(2)])


def test_a_saved_state_goes_on_bit_for_bit():
    made, other = adr.WideningEnvs(64, probes=1), adr.WideningEnvs(64, probes=1)
    envs.reset(made, 0)
    envs.reset(other, 1)
    for _ in range(200):
        made.step(STILL)
    envs.set_state(other, envs.get_state(made))
    for _ in range(320):
        one, two = made.step(STILL), other.step(STILL)
        assert all(np.array_equal(a, b) for a, b in zip(one[:4], two[:4], strict=True))
    assert np.array_equal(made.bounds, other.bounds) and made.bounds.shape == (2, 6)


def test_thresholds_the_wrong_way_round_are_refused():
    with pytest.raises(ValueError, match="few lies below enough"):
        adr.WideningEnvs(4, enough=1.0, few=2.0)


def test_a_training_keeps_the_bounds_after_each_update():
    config = memory.Config(memory="none", num_envs=16, total_steps=16 * 151 * 3, hidden=8, critic_hidden=(8,))
    run = adr.train_widening(config, 0)
    bounds = run.metrics["bounds"]
    assert bounds.shape == (3, 2, 6) and (bounds >= 0).all()
    assert run.algorithm == memory.ALGORITHM and memory.load_policy(run).act(np.zeros((2, 8))).shape == (2, 2)
    plain = memory.train(dataclasses.replace(config), 0, envs=adr.WideningEnvs(16))
    assert np.array_equal(plain.metrics["return"], run.metrics["return"])
