"""Pictures made small and grey against closed forms; stacks of them against brute force."""

import gymnasium as gym
import numpy as np
import pytest

from rlworkshop import envs as rl_envs
from rlworkshop.envs import games, wrappers

# ------------------------------------------------------------------------------------ pictures


@pytest.mark.parametrize(
    ("colour", "bright"),
    [
        ((0, 0, 0), 0),
        ((255, 255, 255), 255),  # the largest sum there is
        ((255, 0, 0), 76),  # 0.299 * 255 = 76.2
        ((0, 255, 0), 150),  # 149.7
        ((0, 0, 255), 29),  # 29.07
        ((100, 100, 100), 100),
    ],
)
def test_grey_of_known_colours(colour, bright):
    frames = np.full((1, 2, 3, 3), colour, np.uint8)
    assert wrappers.grey(frames).tolist() == [[[bright] * 3] * 2]
    assert wrappers.grey(frames).dtype == np.uint8


def test_grey_is_the_nearest_whole_number_to_a_weighted_mean():
    some = [np.arange(0, 256, 3, dtype=np.uint8)] * 3
    colours = np.stack(np.meshgrid(*some), axis=-1).reshape(1, 86, -1, 3)
    exact = colours.astype(int) @ [299, 587, 114]  # thousandths, as ITU-R BT.601 has them
    off = exact - 1000 * wrappers.grey(colours).astype(int)
    assert off.min() == -500 and off.max() == 499  # a half goes up


def test_crop_takes_rows_from_the_top():
    frames = np.arange(2 * 5 * 3).reshape(2, 5, 3)
    assert np.array_equal(wrappers.crop(frames, 2), frames[:, [2, 3, 4]])


def test_shrink_is_the_average_of_each_block():
    frames = np.random.default_rng(0).integers(256, size=(3, 48, 32), dtype=np.uint8)
    found = wrappers.shrink(frames, 4)
    assert found.shape == (3, 12, 8) and found.dtype == np.uint8
    for n, i, j in np.ndindex(found.shape):
        mean = frames[n, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4].mean()
        assert abs(float(found[n, i, j]) - mean) <= 0.5


def test_shrink_of_white_is_white_and_of_a_constant_that_constant():
    for value in (255, 1, 0, 128):
        assert (wrappers.shrink(np.full((1, 8, 8), value, np.uint8), 8) == value).all()
    assert wrappers.shrink(np.array([[[0, 255], [255, 0]]], np.uint8), 2).item() == 128  # rounded, not cut


def test_shrink_refuses_what_does_not_divide():
    with pytest.raises(ValueError, match="crop them first"):
        wrappers.shrink(np.zeros((1, 44, 42), np.uint8), 4)


def test_the_preprocessed_camera_has_the_picture_in_it_and_not_the_score():
    envs = games.Breakout(6)
    envs.reset(seed=0)
    envs.bricks[:, 1, :5] = False
    before = games.preprocess(games.camera(envs))
    assert before.shape == (6, 1, 10, 10)
    assert np.array_equal(before > 0, games.picture(envs) > 0)
    for there in envs.things().values():  # each thing is of few greys, and what differs stays different
        assert (before[:, 0][there] > 50).all()
    assert (before[:, 0][envs.things()["ball"]] > 230).all()
    envs.score[:] = 7
    assert np.array_equal(games.preprocess(games.camera(envs)), before)


# ------------------------------------------------------------------------------------ stacks


def numbered(*numbers):
    """Frames (N, 1, 1, 1) that are told apart by a number."""
    return np.array(numbers, np.uint8)[:, None, None, None]


def test_push_drops_the_oldest_and_a_first_frame_fills_its_stack():
    stack = np.zeros((2, 3, 1, 1), np.uint8)
    no, yes = np.array([False, False]), np.array([False, True])
    stack = wrappers.push(stack, numbered(1, 5), ~no)
    assert stack[..., 0, 0].tolist() == [[1, 1, 1], [5, 5, 5]]
    stack = wrappers.push(stack, numbered(2, 6), no)
    stack = wrappers.push(stack, numbered(3, 7), no)
    assert stack[..., 0, 0].tolist() == [[1, 2, 3], [5, 6, 7]]  # the newest is the last
    stack = wrappers.push(stack, numbered(4, 9), yes)
    assert stack[..., 0, 0].tolist() == [[2, 3, 4], [9, 9, 9]]


def shown(env_id, steps=120, num_envs=3):
    """What a random player is shown, and where an episode begins: (steps, N, ...), (steps, N)."""
    envs, rng = rl_envs.make(env_id, num_envs), np.random.default_rng(0)
    rows, first, ended = [envs.reset(seed=0)[0]], [np.ones(num_envs, bool)], np.zeros(num_envs, bool)
    for _ in range(steps - 1):
        obs, _, terminated, truncated, _ = envs.step(rng.integers(3, size=num_envs))
        rows.append(obs)
        first.append(ended)  # in the row after an end
        ended = terminated | truncated
    return np.array(rows), np.array(first)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_stacks_never_show_another_episode(k):
    """Against the plain pictures of the same games, put together episode by episode."""
    (plain, first), (stacks, _) = shown("CatchPicture-v0"), shown(f"CatchStack{k}-v0")
    for i in range(3):
        episode = []
        for frame, begins, stack in zip(plain[:, i], first[:, i], stacks[:, i], strict=True):
            episode = [frame] * k if begins else [*episode, frame]
            assert np.array_equal(stack, np.concatenate(episode[-k:]))
        assert first[1:, i].any()


def test_a_stack_goes_on_exactly_from_its_state():
    a, b = (rl_envs.make("rlworkshop.envs.games:BreakoutFilm4-v0", 3) for _ in range(2))
    rng = np.random.default_rng(0)
    a.reset(seed=0)
    b.reset(seed=1)
    for t in range(60):
        action = rng.integers(3, size=3)
        one = a.step(action)
        if t >= 30:
            assert all(np.array_equal(x, y) for x, y in zip(one[:4], b.step(action)[:4], strict=True))
        if t == 29:
            rl_envs.set_state(b, rl_envs.get_state(a))
    assert a.observation_space.contains(one[0])


def test_after_a_reset_nothing_is_known_of_what_was_before():
    envs, rng = games.stacked(games.Catch, 2, 3), np.random.default_rng(0)
    envs.reset(seed=0)
    ended = np.zeros(3, bool)
    while not ended.all():
        *_, terminated, truncated, _ = envs.step(rng.integers(3, size=3))
        ended = terminated | truncated
    first, _ = envs.reset(seed=1)
    second = envs.step(np.ones(3, int))[0]
    assert np.array_equal(second[:, 0], first[:, 1]) and not np.array_equal(second[:, 0], second[:, 1])


@pytest.mark.parametrize("k", [1, 3])
def test_a_stack_is_of_bytes_as_its_space_says(k):
    seen = gym.spaces.Box(0, 255, (1, 5, 4), np.uint8)
    small = wrappers.Preprocess(games.Catch(2), lambda obs: np.zeros((len(obs), 1, 5, 4), np.uint8))
    stack = wrappers.FrameStack(small, k)
    assert small.single_observation_space == seen
    assert small.observation_space == gym.spaces.Box(0, 255, (2, 1, 5, 4), np.uint8)
    assert stack.single_observation_space == gym.spaces.Box(0, 255, (k, 5, 4), np.uint8)
    assert stack.observation_space == gym.spaces.Box(0, 255, (2, k, 5, 4), np.uint8)
    assert stack.reset(seed=0)[0].shape == (2, k, 5, 4)


def test_what_was_shown_is_not_changed_by_what_comes_later():
    envs = games.stacked(games.Catch, 2, 2)
    obs, _ = envs.reset(seed=0)
    before = obs.copy()
    envs.step(np.array([1, 2]))
    assert np.array_equal(obs, before)


def test_a_stack_wants_single_frames():
    with pytest.raises(ValueError, match="not of 2 frames"):
        wrappers.FrameStack(games.Catch(1), 2)
    with pytest.raises(ValueError, match="not of 0 frames"):
        wrappers.FrameStack(games.Catch(1, view=games.picture), 0)
