"""One gain for many carts, ranges of pucks, robots outside of them, and eyes for a disc in many looks."""

import numpy as np
import pytest
import torch

from rlworkshop.robotics import domain_randomization as dr
from rlworkshop.robotics import memory, reality_gap

LOOKS = (dr.plain, dr.randomized, dr.real)


# ---------------------------------------------------------------- the cart


@pytest.mark.parametrize("low, high", [(-1.0, 1.0), (-2.0, 0.5), (0.3, 1.7)])
def test_no_other_gain_leaves_less_on_average(low, high):
    p = np.linspace(low, high, 20_001)
    best = dr.robust_gain(low, high)
    left = [((1 - k * 2**p) ** 2).mean() for k in (best - 0.01, best, best + 0.01)]
    assert left[1] < min(left[0], left[2])
    assert best == pytest.approx((2**p).mean() / (4**p).mean(), rel=1e-3)


def test_the_gain_of_one_cart_takes_it_to_its_mark():
    assert dr.robust_gain(0.0, 0.0) == 1 and dr.robust_gain(2.0, 2.0) == 0.25


def test_both_ends_of_a_range_are_left_with_the_same():
    w = np.array([0.25, 1.0, 2.5])
    gain = dr.robust_gain(-w, w)
    assert 1 - gain * 2**-w == pytest.approx(np.tanh(w * np.log(2)))
    assert gain * 2**w - 1 == pytest.approx(np.tanh(w * np.log(2)))


def test_a_range_the_wrong_way_round_is_refused():
    with pytest.raises(ValueError, match="is above"):
        dr.robust_gain(1.0, -1.0)
    with pytest.raises(ValueError, match="is above"):
        dr.robust_gain(np.array([0.0, 1.0]), np.array([1.0, 0.0]))


# ---------------------------------------------------------------- pucks


def test_robots_are_drawn_from_the_width(monkeypatch):
    seen = []
    monkeypatch.setattr(memory, "train", lambda config, seed, envs, **options: seen.append((seed, envs)))
    for width in (0.0, 1.5):
        dr.train_within(memory.Config(num_envs=300), 7, width)
    (_, sheet), (number, wide) = seen
    wide.reset(seed=0)
    sheet.reset(seed=0)
    assert number == 7 and sheet.num_envs == 300 and not sheet.parameters.any()
    assert wide.parameters[:, :5].min() < -1.4 and 1.4 < wide.parameters.max() <= 1.5
    assert wide.parameters[:, 5].min() >= 0


def test_a_width_trains_a_policy():
    config = memory.Config(memory="none", num_envs=8, total_steps=8 * 151, hidden=8, critic_hidden=(8,))
    run = dr.train_within(config, 0, 0.5)
    assert memory.load_policy(run).act(np.zeros((2, 8))).shape == (2, 2)


def test_a_negative_width_is_refused():
    with pytest.raises(ValueError, match="negative"):
        dr.train_within(memory.Config(), 0, -1.0)


def test_outlying_robots_have_one_parameter_beyond_and_the_rest_at_home():
    robots = dr.outlying(4000, 0)
    beyond = np.abs(robots) > 2.5
    assert (beyond.sum(axis=1) == 1).all() and np.abs(robots).max() <= 2.75
    assert np.abs(robots[~beyond]).max() <= 0.5 and not beyond[:, 5].any()
    assert (robots[:, 5] >= 0).all() and 0.2 < robots[:, 5].mean() < 0.3
    for i in range(5):
        share = [((side * robots[:, i]) > 2.5).mean() for side in (-1, 1)]
        assert share == pytest.approx([0.1, 0.1], abs=0.02)
    assert np.array_equal(robots, dr.outlying(4000, 0)) and not np.array_equal(robots, dr.outlying(4000, 1))


def test_outlying_robots_can_be_played():
    world = reality_gap.PuckEnvs(50, robots=dr.outlying(50, 0))
    world.reset(seed=0)
    assert np.isfinite(world.step(np.ones((50, 2)))[0]).all()


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize("looks", LOOKS)
def test_no_look_hides_the_disc(looks):
    background, light, shade = looks(np.random.default_rng(0), 200)
    assert background.shape == light.shape == (200, 16, 16) and shade.shape == (200,)
    assert background.min() > 0.29 and background.max() <= 1 and light.min() > 0 and shade.max() <= 0.3


def test_the_disc_is_where_it_is_said_to_be():
    seen, place = dr.pictures(dr.plain, np.random.default_rng(0), 500)
    dark = np.clip(0.7 - seen, 0, None)[..., None] * (seen < 0.5)[..., None]
    there = np.stack(np.meshgrid(dr.PIXELS, dr.PIXELS), axis=-1)  # x to the right, y down
    centre = (dark * there).sum(axis=(1, 2)) / dark.sum(axis=(1, 2))
    assert np.abs(centre - place).max() < 0.05
    area = (0.7 - seen).sum(axis=(1, 2)) / 0.5 * (2 / dr.SIZE) ** 2
    assert np.abs(area.mean() - np.pi * dr.DISC**2) < 0.01


def test_plain_pictures_look_alike_and_random_ones_do_not():
    spread = {}
    for looks in (dr.plain, dr.randomized):
        seen, _ = dr.pictures(looks, np.random.default_rng(0), 300)
        spread[looks] = seen[:, 0, 0].std()  # a corner, which no disc reaches
    assert spread[dr.plain] < 0.03 and spread[dr.randomized] > 0.1


def test_patches_are_soft_and_each_is_another():
    found = dr.patches(np.random.default_rng(0), 100)
    steps = np.abs(np.diff(found, axis=2))
    assert steps.max() < 0.4 and found.std(axis=(1, 2)).min() < 0.02 < 0.1 < found.std(axis=(1, 2)).max()
    assert np.abs(found[0] - found[1:]).max(axis=(1, 2)).min() > 0.05


def test_lamps_are_brighter_on_one_side():
    light = dr.lamps(np.random.default_rng(0), 500)
    assert light.mean(axis=(1, 2)).min() + 0.01 > 0.5 and light.mean(axis=(1, 2)).max() < 1.51
    tilt = light[:, :, -1].mean(axis=1) - light[:, :, 0].mean(axis=1)
    assert (tilt > 0.1).any() and (tilt < -0.1).any()
    bent = np.diff(light, n=2, axis=1)
    assert np.abs(bent).max() < 1e-9  # a slope, no hill


def test_an_eye_learns_what_it_is_shown():
    eye, again = dr.train_eye(dr.plain, 0, steps=60), dr.train_eye(dr.plain, 0, steps=60)
    assert dr.miss(eye, dr.plain, 1, 300) < 0.15 < 0.3 < dr.miss(dr.Eye(torch.Generator()), dr.plain, 1, 300)
    assert all(torch.equal(a, b) for a, b in zip(eye.parameters(), again.parameters(), strict=True))


def test_an_eye_sees_every_place():
    eye, seen = dr.Eye(torch.Generator().manual_seed(0)), torch.rand(5, 16, 16)
    said = eye(seen)
    seen[:, 3, 12] += 1
    assert said.shape == (5, 2) and ((eye(seen) - said).abs() > 1e-6).all()


def test_a_miss_is_a_distance():
    class Still(torch.nn.Module):
        def forward(self, seen):
            return torch.zeros(len(seen), 2)

    # the mean distance from the centre of a square with sides of 1.2
    wanted = 0.6 * (np.sqrt(2) + np.log(1 + np.sqrt(2))) / 3
    assert dr.miss(Still(), dr.plain, 0, 20_000) == pytest.approx(wanted, rel=0.02)
