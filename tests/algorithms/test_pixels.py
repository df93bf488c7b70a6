"""From pixels: pictures against closed forms, stacks and memory against brute force."""

import dataclasses
import inspect
import itertools

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlworkshop import envs as rl_envs
from rlworkshop import nets
from rlworkshop.algorithms import dqn, pixels
from rlworkshop.envs import games
from rlworkshop.replay import Replay, Transitions

CONFIG = dqn.Config(
    env_id="CatchStack2-v0",
    num_envs=4,
    total_steps=320,
    learning_starts=64,
    train_freq=64,
    gradient_steps=2,
    target_update_interval=4,
    batch_size=16,
    buffer_size=400,
    hidden=(16,),
    normalize_obs=False,
)
PICTURE = gym.spaces.Box(0, 255, (2, 10, 10), np.uint8)
THREE = gym.spaces.Discrete(3)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# ------------------------------------------------------------------------------------ the network


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 4), st.integers(0, 3))
def test_conv_side_is_what_torch_makes(side, kernel, stride, padding):
    if kernel > side + 2 * padding:
        return
    layer = torch.nn.Conv2d(1, 1, kernel, stride, padding)
    assert layer(torch.zeros(1, 1, side, side)).shape[-1] == pixels.conv_side(side, kernel, stride, padding)


def test_conv_q_draws_its_weights_from_the_generator_alone():
    before = torch.get_rng_state()
    one, two, other = (pixels.conv_q(PICTURE, THREE, CONFIG, generator(s)) for s in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    obs = torch.randint(256, (5, 2, 10, 10), generator=generator()).float()
    assert one(obs).shape == (5, 3)
    assert torch.equal(one(obs), two(obs)) and not torch.equal(one(obs), other(obs))


def test_conv_q_is_a_sum_over_windows():
    """Its first layer by loops, on bytes made numbers from 0 to 1."""
    q = pixels.conv_q(PICTURE, THREE, CONFIG, generator())
    obs = torch.randint(256, (1, 2, 10, 10), generator=generator()).float()
    found = q[:2](obs)[0].detach().numpy()  # (16, 8, 8)
    weight = q[1].weight.detach().numpy()
    for f, i, j in ((0, 0, 0), (3, 7, 7), (15, 2, 5)):
        window = obs[0, :, i : i + 3, j : j + 3].numpy() / 255
        assert np.isclose(found[f, i, j], (weight[f] * window).sum(), atol=1e-5)


def test_a_convolution_moves_with_the_picture():
    q = pixels.conv_q(PICTURE, THREE, CONFIG, generator())
    here, there = torch.zeros(2, 1, 2, 10, 10)
    here[0, :, 3, 3], there[0, :, 4, 5] = 255, 255
    one, two = (q[:3](x).detach() for x in (here, there))
    assert torch.allclose(one[0, :, 1:4, 1:4], two[0, :, 2:5, 3:6])


def test_networks_scale_by_what_the_space_allows():
    bits = gym.spaces.Box(0, 1, (4, 10, 10), np.uint8)
    for make in (pixels.conv_q, pixels.flat_q):
        q = make(bits, THREE, CONFIG, generator())
        of_bytes = make(gym.spaces.Box(0, 255, bits.shape, np.uint8), THREE, CONFIG, generator())
        lit = torch.ones(2, 4, 10, 10)
        assert torch.equal(q[0](lit), lit) and torch.equal(of_bytes[0](255 * lit), lit)
        assert q(lit).shape == (2, 3) and torch.equal(q(lit), of_bytes(255 * lit))


def test_the_first_layer_keeps_lengths_but_for_what_the_rectifier_takes():
    weight = pixels.conv_q(PICTURE, THREE, CONFIG, generator())[1].weight.detach()
    assert torch.allclose(torch.linalg.svdvals(weight.flatten(1)), torch.full((16,), 2**0.5), atol=1e-5)


def test_the_largest_number_of_a_picture_is_that_of_its_space():
    high = np.arange(1, 10, dtype=np.float32).reshape(1, 3, 3)
    assert pixels.highest(gym.spaces.Box(0 * high, high)) == 9
    assert pixels.highest(gym.spaces.Box(0 * high, high / 18)) == 0.5
    with pytest.raises(ValueError, match="finite, positive upper bound, not 0.0"):
        pixels.highest(gym.spaces.Box(-high, 0 * high))


@pytest.mark.parametrize("shape", [(4,), (10, 10), (1, 2, 10), (10, 12, 2), (10, 12, 0)])
def test_conv_q_wants_pictures(shape):
    with pytest.raises(ValueError, match=r"conv_q reads pictures .* not \(.*\)$"):
        pixels.conv_q(gym.spaces.Box(0, 255, shape, np.uint8), THREE, CONFIG, generator())


@pytest.mark.parametrize("shape", [(4, 3, 3), (3, 10, 4), (4, 10, 4), (5, 10, 10), (16, 3, 5)])
def test_conv_q_takes_channels_first(shape):
    q = pixels.conv_q(gym.spaces.Box(0, 255, shape, np.uint8), THREE, CONFIG, generator())
    assert q(torch.zeros(2, *shape)).shape == (2, 3)


@pytest.mark.parametrize("shape", [(5, 12, 1), (5, 12, 3), (5, 12, 4), (84, 84, 3)])
def test_conv_q_knows_a_picture_with_channels_last(shape):
    with pytest.raises(ValueError, match="put the channels first"):
        pixels.conv_q(gym.spaces.Box(0, 255, shape, np.uint8), THREE, CONFIG, generator())


def test_multiplications_counted_by_hand():
    q = pixels.conv_q(PICTURE, THREE, CONFIG, generator())
    assert pixels.multiplications(q, (2, 10, 10)) == 64 * 16 * 18 + 1024 * 16 + 16 * 3
    flat = pixels.flat_q(PICTURE, THREE, CONFIG, generator())
    assert pixels.multiplications(flat, (2, 10, 10)) == 200 * 16 + 16 * 3
    for net in (q, flat):  # which are left as they were
        assert not any(layer._forward_hooks for layer in net.modules())
        assert not any(isinstance(layer, torch.nn.Tanh) for layer in net.modules())


# ------------------------------------------------------------------------------------ the memory


def history(env_id, steps=120, num_envs=3, seed=0, **kwargs):
    """Rows as ``dqn.train`` sees them, by a random player."""
    envs, rng = rl_envs.make(env_id, num_envs, **kwargs), np.random.default_rng(seed)
    episodes = rl_envs.Episodes(num_envs)
    obs, _ = envs.reset(seed=seed)
    rows = []
    for _ in range(steps):
        action = rng.integers(3, size=num_envs)
        next_obs, reward, terminated, truncated, _ = envs.step(action)
        valid = episodes.step(next_obs, reward, terminated, truncated)
        step = Transitions(obs, action, reward, next_obs, 0.9 * ~terminated)
        rows.append((step, valid, terminated | truncated))
        obs = next_obs
    return rows


def both(rows, capacity, k, num_envs=3):
    """The frame buffer and the plain one after the same rows, with what can still be drawn of each."""
    lean = pixels.FrameReplay(capacity, num_envs, (k, 10, 10))
    full = Replay(10_000, (k, 10, 10), obs_dtype=np.uint8)
    for row in rows:
        lean.step(*row)
        full.step(*row)
    return lean, full


def keys(batch):
    columns = [np.ascontiguousarray(column) for column in batch]
    return [tuple(column[i].tobytes() for column in columns) for i in range(len(batch[0]))]


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("steps", [20, 40, 41, 100, 133])
def test_frame_replay_draws_the_transitions_that_were_shown(k, steps):
    """Also after it has wrapped around: all are transitions that were shown, bit for bit; none is lost."""
    rows = history(f"CatchStack{k}-v0", steps)
    lean, full = both(rows, capacity=120, k=k)
    kept = 120 // 3 + 1 - k if steps > 40 else steps  # rows of time whose stacks are whole
    last = [(step, valid) for step, valid, _ in rows[-kept:]]
    shown = {key for step, valid in last for key in keys(Transitions(*(c[valid] for c in _typed(step))))}
    drawn = set(keys(lean.sample(3_000, np.random.default_rng(0))))
    assert drawn == shown
    assert lean.added == full.added


def _typed(step):
    kinds = (np.uint8, np.int64, np.float32, np.uint8, np.float32)
    return Transitions(*(np.asarray(c, kind) for c, kind in zip(step, kinds, strict=True)))


def test_frame_replay_draws_all_alike():
    rows = history("CatchStack2-v0", 30)
    lean, full = both(rows, 3000, 2)
    for i in range(30):
        lean.reward[i] = np.arange(3) + 3 * i  # a name for each transition
    drawn = lean.sample(60_000, np.random.default_rng(1)).reward
    names, counts = np.unique(drawn, return_counts=True)
    assert len(names) == full.size
    expected = 60_000 / full.size
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)
    lean.real[:30] &= np.random.default_rng(2).random((30, 3)) < 0.4  # most must be drawn again
    names, counts = np.unique(lean.sample(20_000, np.random.default_rng(1)).reward, return_counts=True)
    assert names.tolist() == np.flatnonzero(lean.real[:30]).tolist()
    expected = 20_000 / len(names)
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_channels_are_not_taken_for_a_stack_of_frames():
    config = dataclasses.replace(CONFIG, env_id="Breakout-v0")
    with pytest.raises(ValueError, match="must be stacks of frames"):
        dqn.train(config, 0, make_q=pixels.conv_q, make_replay=pixels.frame_replay)


def test_frame_replay_takes_a_fraction_of_the_bytes():
    space = games.stacked(games.Catch, 4).single_observation_space
    lean = pixels.FrameReplay(8000, 8, space.shape)
    full = Replay(8000, space.shape, obs_dtype=space.dtype)
    frames = 8 * (8000 // 8 + 1) * 100
    assert lean.frames.nbytes == frames and lean.nbytes < frames * 1.3
    assert lean.nbytes < 0.2 * sum(column.nbytes for column in full._rows)


def test_frame_replay_goes_on_exactly_from_its_state():
    rows = history("CatchStack2-v0", 60)
    a, _ = both(rows[:45], 90, 2)
    b = pixels.FrameReplay(90, 3, (2, 10, 10))
    nets.set_state(b, nets.get_state(a))
    for row in rows[45:]:
        a.step(*row)
        b.step(*row)
    one, two = (x.sample(50, np.random.default_rng(3)) for x in (a, b))
    assert keys(one) == keys(two)


def test_frame_replay_says_what_is_wrong():
    with pytest.raises(ValueError, match="empty"):
        pixels.FrameReplay(90, 3, (2, 10, 10)).sample(3, np.random.default_rng(0))
    with pytest.raises(ValueError, match="holds no stack of 4"):
        pixels.FrameReplay(12, 3, (4, 10, 10))
    assert pixels.FrameReplay(15, 3, (4, 10, 10)).T == 6
    replay, rng = pixels.FrameReplay(90, 3, (2, 10, 10)), np.random.default_rng(0)
    seen = [rng.integers(256, size=(3, 2, 10, 10), dtype=np.uint8) for _ in range(3)]
    zero, one = np.zeros(3, int), np.ones(3)
    rows = [Transitions(a, zero, 0 * one, b, one) for a, b in itertools.pairwise(seen)]
    replay.step(rows[0], np.ones(3, bool), np.zeros(3, bool))
    with pytest.raises(ValueError, match="must be stacks of frames"):  # of two channels no more than of four
        replay.step(rows[1], np.ones(3, bool), np.zeros(3, bool))


# ------------------------------------------------------------------------------------ training


def test_a_policy_comes_back_from_its_run():
    run = pixels.train_on_pixels(CONFIG, 1)
    obs = np.random.default_rng(0).integers(256, size=(4, 2, 10, 10), dtype=np.uint8)
    assert pixels.load_from_pixels(run).values(obs).shape == (4, 3)
    with pytest.raises(ValueError, match="conv_q: pass that as make_q"):
        dqn.load_policy(run)


def test_pictures_that_would_train_on_zeros_are_refused():
    last = gym.spaces.Box(0, 255, (10, 12, 3), np.uint8)  # channels last, as cameras give them
    with pytest.raises(ValueError, match="channels first"):
        pixels.conv_q(last, THREE, CONFIG, generator())
    endless = gym.spaces.Box(-np.inf, np.inf, (2, 10, 10))
    for make_q in (pixels.conv_q, pixels.flat_q):
        with pytest.raises(ValueError, match="finite, positive upper bound"):
            make_q(endless, THREE, CONFIG, generator())
    replay = pixels.FrameReplay(90, 3, (2, 10, 10))
    floats = np.random.default_rng(0).random((3, 2, 10, 10))
    rows = Transitions(floats, np.zeros(3, int), np.zeros(3), floats, np.ones(3))
    with pytest.raises(ValueError, match="uint8"):
        replay.step(rows, np.ones(3, bool), np.zeros(3, bool))


def test_frame_replay_forgets_what_leads_over_a_break():
    rows = history("CatchStack2-v0", 20)
    lean, _ = both(rows[:12], 300, 2)
    before = lean.real.copy()
    lean.forget_unfinished()
    assert before[11].any() and not lean.real[11:].any() and np.array_equal(lean.real[:11], before[:11])
    fresh = Transitions(*(np.asarray(c).copy() for c in rows[15][0]))
    fresh.obs[:, 0] = fresh.obs[:, 1]  # first frames fill their stacks
    lean.step(fresh, np.ones(3, bool), np.zeros(3, bool))
    batch = lean.sample(500, np.random.default_rng(0))
    shown = {row.tobytes() for step, *_ in [*rows[:12], (fresh,)] for row in np.asarray(step.obs)}
    assert {row.tobytes() for row in batch.obs} <= shown


@pytest.mark.parametrize("env_id", ["Catch-v0", "CatchFilm2-v0", "BreakoutStack1-v0"])
def test_every_kind_of_picture_can_be_trained_on(env_id):
    config = dataclasses.replace(CONFIG, env_id=env_id, total_steps=100)
    run = dqn.train(config, 0, make_q=pixels.flat_q)
    assert np.isfinite(run.metrics["loss"]).all()


def test_the_numbers_that_a_game_is_learned_with_fit_each_other():
    config, adam = pixels.BREAKOUT, inspect.signature(torch.optim.Adam).parameters
    steps, envs = config.total_steps, config.num_envs
    assert steps == config.buffer_size == 10**5  # nothing is forgotten
    assert config.train_freq == config.batch_size == config.target_update_interval == envs**2 == 64
    assert config.train_freq == 4 * config.gradient_steps  # an update every four steps, as in 2015
    assert (config.lr, config.lr_decay_fraction) == (2 * adam["lr"].default, 1)
    assert 1 / (1 - config.gamma) == pytest.approx(20)
    assert config.learning_starts / steps == config.final_epsilon == 0.02
    assert config.exploration_fraction == 5 * config.final_epsilon
    assert config.hidden == (64,) and not config.normalize_obs  # the network scales pictures itself
    made = rl_envs.make(config.env_id, envs)
    replay, space = pixels.frame_replay(config, made), made.single_observation_space
    assert (replay.k, replay.T) == (2, steps / envs + 1)
    assert pixels.conv_q(space, made.single_action_space, config, generator())[-1].in_features == 64
