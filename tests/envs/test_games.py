"""The games' rules, played by hand; and that N games together are N games."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlworkshop import envs as rl_envs
from rlworkshop.envs import games

STAY, LEFT, RIGHT = 0, 1, 2
GAMES = (games.Breakout, games.Catch)
IDS = [f"{name}{view}-v0" for name in ("Breakout", "Catch") for view in ("", "Picture", "Camera")]


def board(ball, velocity, paddle, bricks=(), game=games.Breakout, n=1):
    """A game put where a test wants it."""
    envs = game(n)
    envs.reset(seed=0)
    envs.ball[:], envs.velocity[:], envs.paddle[:] = ball, velocity, paddle
    if game is games.Breakout:
        envs.bricks[:] = False
        for row, column in bricks:
            envs.bricks[:, row, column] = True
    return envs


def step(envs, action):
    obs, reward, terminated, truncated, _ = envs.step(np.full(envs.num_envs, action))
    return obs[0], reward[0], terminated[0], truncated[0]


def at(envs):
    return envs.ball[0].tolist(), envs.velocity[0].tolist()


# ------------------------------------------------------------------------------------- Breakout's rules


@pytest.mark.parametrize(
    ("ball", "velocity", "then", "heading"),
    [
        ((5, 4), (1, 1), [6, 5], [1, 1]),  # free flight
        ((5, 9), (1, 1), [6, 9], [1, -1]),  # the right wall
        ((5, 0), (-1, -1), [4, 0], [-1, 1]),  # the left wall
        ((0, 4), (-1, 1), [0, 5], [1, 1]),  # the ceiling
        ((0, 9), (-1, 1), [0, 9], [1, -1]),  # a corner
    ],
)
def test_the_ball_flies_and_is_thrown_back(ball, velocity, then, heading):
    envs = board(ball, velocity, paddle=2)
    assert step(envs, STAY)[1:] == (0, False, False)
    assert at(envs) == (then, heading)


@pytest.mark.parametrize(("row", "down"), [(4, -1), (2, 1)])
def test_a_brick_pays_one_is_gone_and_throws_the_ball_back(row, down):
    envs = board((row, 5), (down, 1), 2, bricks=[(3, 6), (3, 5)])
    assert step(envs, STAY)[1:] == (1, False, False)
    assert at(envs) == ([row, 6], [-down, 1])
    assert np.argwhere(envs.bricks[0]).tolist() == [[3, 5]]
    assert envs.score[0] == 1


@pytest.mark.parametrize(
    ("action", "paddle", "right", "leaves"),
    [
        (STAY, 5, 1, 1),  # a paddle at rest mirrors
        (RIGHT, 4, 1, 1),
        (LEFT, 6, 1, -1),  # one that moves takes the ball along
        (LEFT, 4, -1, -1),
        (RIGHT, 2, -1, 1),
    ],
)
def test_a_caught_ball_leaves_the_way_the_paddle_moved(action, paddle, right, leaves):
    envs = board((8, 4), (1, right), paddle, bricks=[(1, 1)])
    assert step(envs, action)[1:] == (0, False, False)
    assert at(envs) == ([8, 4 + right], [-1, leaves])


def test_a_paddle_held_back_by_the_wall_has_not_moved():
    envs = board((8, 0), (1, -1), 0, bricks=[(1, 1)])
    step(envs, LEFT)
    assert at(envs) == ([8, 0], [-1, 1])  # turned round by the wall, then mirrored


def test_a_missed_ball_ends_the_episode():
    envs = board((8, 4), (1, 1), 4, bricks=[(1, 1)])
    assert step(envs, STAY)[1:] == (0, True, False)
    assert envs.ball[0].tolist() == [9, 5]


def test_the_catch_after_the_last_brick_puts_up_a_new_wall():
    envs = board((4, 5), (-1, 1), 2, bricks=[(3, 6)])
    step(envs, STAY)
    assert not envs.bricks.any()  # not at once
    envs = board((8, 4), (1, 1), 5)
    step(envs, STAY)
    assert envs.bricks[0].sum(axis=1).tolist() == [0, 10, 10, 10, 0, 0, 0, 0, 0, 0]
    missed = board((8, 4), (1, 1), 7)
    step(missed, STAY)
    assert not missed.bricks.any()


def test_a_fresh_game_of_breakout():
    envs = games.Breakout(2000)
    envs.reset(seed=1)
    assert (
        (envs.ball[:, 0] == 4).all()
        and (envs.paddle == 5).all()
        and (envs.bricks.sum(axis=(1, 2)) == 30).all()
    )
    starts = set(zip(envs.ball[:, 1].tolist(), envs.velocity[:, 1].tolist(), strict=True))
    assert starts == {(column, right) for column in range(10) for right in (-1, 1)}


# ------------------------------------------------------------------------------------- Catch's rules


@pytest.mark.parametrize(
    ("start", "right", "lands"), [(4, 2, 2), (4, -2, 6), (0, 2, 1), (9, -2, 8), (9, 2, 7)]
)
def test_where_a_falling_ball_lands(start, right, lands):
    """Unfolded, the ball goes 18 cells round a circle of 20: two back."""
    for paddle in range(10):
        envs = board((0, start), (1, right), paddle, game=games.Catch)
        rewards = [step(envs, STAY)[1:] for _ in range(9)]
        assert rewards == [(0, False, False)] * 8 + [(1 if abs(paddle - lands) <= 1 else -1, True, False)]


def test_every_fresh_game_of_catch_can_be_won():
    envs = games.Catch(2000)
    envs.reset(seed=1)
    start, right, paddle = envs.ball[:, 1].copy(), envs.velocity[:, 1].copy(), envs.paddle.copy()
    assert {(c, v) for c, v in zip(start.tolist(), right.tolist(), strict=True)} == {
        (c, v) for c in range(10) for v in (-2, 2)
    }
    for _ in range(9):
        envs.step(np.zeros(2000, int))
    assert np.abs(envs.ball[:, 1] - paddle).max() <= 9 - 4  # four steps to spare


# ------------------------------------------------------------------------------------- what holds for all


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(GAMES), st.integers(0, 2**32 - 1))
def test_whatever_is_played_the_ball_stays_inside_and_the_score_is_what_was_paid(game, seed):
    envs, rng, paid = game(5, max_episode_steps=40), np.random.default_rng(seed), np.zeros(5)
    envs.reset(seed=seed)
    over = np.zeros(5, bool)
    for _ in range(60):
        bricks = envs.bricks.sum(axis=(1, 2)) if game is games.Breakout else None
        obs, reward, terminated, truncated, _ = envs.step(rng.integers(3, size=5))
        assert (envs.ball >= 0).all() and (envs.ball < games.SIZE).all()
        assert (obs[:, 1:3].sum(axis=(2, 3)) == 1).all()  # one ball, one trail
        assert ((obs[:, 0, -1].sum(axis=1) <= 1 + 2 * game.reach) & obs[:, 0, -1].any(axis=1)).all()
        assert not (terminated & truncated).any() and (envs.steps <= 40).all()
        if game is games.Breakout:
            fallen = bricks - envs.bricks.sum(axis=(1, 2))
            assert ((fallen == reward) | (fallen < 0) | over).all()  # below 0: a new wall
        paid = np.where(over, 0, paid + reward)
        assert np.array_equal(paid, envs.score)
        over = terminated | truncated


@pytest.mark.parametrize("game", GAMES)
def test_a_picture_of_channels_tells_the_ball_and_where_it_goes(game):
    """Two states that look alike have the same velocity."""
    envs, rng, seen = game(50), np.random.default_rng(0), {}
    envs.reset(seed=0)
    for _ in range(100):
        action = rng.integers(3, size=50)
        if game is games.Breakout:  # a good player, so that the ball comes everywhere
            lands = games.bounce(envs.ball[:, 1], envs.velocity[:, 1].copy())
            action = np.select([lands > envs.paddle, lands < envs.paddle], [RIGHT, LEFT], action)
        obs, _, terminated, _, _ = envs.step(action)
        for picture, velocity, over in zip(obs, envs.velocity.tolist(), terminated, strict=True):
            if not over:
                assert seen.setdefault(picture[1:3].tobytes(), velocity) == velocity
    assert len(seen) > 30


@pytest.mark.parametrize("game", GAMES)
def test_n_games_are_n_single_games(game):
    many, rng = game(4, max_episode_steps=30), np.random.default_rng(0)
    obs, _ = many.reset(seed=3)
    ones = []
    for i in range(4):
        one = game(1, max_episode_steps=30)
        one.reset(seed=0)
        for name, array in one._arrays.items():
            array[...] = many._arrays[name][i : i + 1]
        ones.append(one)
    over = np.zeros(4, bool)
    for _ in range(60):
        action = rng.integers(3, size=4)
        obs, *rest, _ = many.step(action)
        for i, one in enumerate(ones):
            own, *own_rest, _ = one.step(action[i : i + 1])
            if over[i]:  # a reset row draws from a generator of its own: begin alike again
                for name, array in one._arrays.items():
                    array[...] = many._arrays[name][i : i + 1]
                assert [x[0] for x in own_rest] == [x[i] for x in rest] == [0, False, False]
            else:
                assert np.array_equal(own[0], obs[i])
                assert [x[0] for x in own_rest] == [x[i] for x in rest]
        over = rest[1] | rest[2]


@pytest.mark.parametrize("game", GAMES)
def test_next_step_the_last_picture_then_a_reset_row(game):
    def showing(obs):
        """The middle of the paddle."""
        return np.flatnonzero(obs[0, 0, 9]).mean()

    envs = game(1, max_episode_steps=3)
    envs.reset(seed=5)
    for _ in range(3):
        obs, _, terminated, truncated, _ = envs.step(np.array([LEFT]))
    assert truncated[0] and not terminated[0] and envs.steps[0] == 3
    assert showing(obs) == 2  # the true last picture: three to the left of the middle
    obs, reward, terminated, truncated, _ = envs.step(np.array([LEFT]))
    assert (reward[0], terminated[0], truncated[0]) == (0, False, False)
    assert showing(obs) == 5 and envs.steps[0] == 0 and envs.score[0] == 0  # the action moved nothing
    assert showing(envs.step(np.array([LEFT]))[0]) == 4


def test_a_fall_at_the_time_limit_is_a_fall():
    envs = games.Catch(1, max_episode_steps=9)
    envs.reset(seed=0)
    for _ in range(9):
        _, _, terminated, truncated, _ = envs.step(np.array([STAY]))
    assert terminated[0] and not truncated[0]


@pytest.mark.parametrize("env_id", IDS)
def test_same_seed_same_game_and_state_goes_on_exactly(env_id):
    rng = np.random.default_rng(0)
    a, b, c = (rl_envs.make(f"rlworkshop.envs.games:{env_id}", 3) for _ in range(3))
    assert np.array_equal(a.reset(seed=7)[0], b.reset(seed=7)[0])
    c.reset(seed=8)
    for t in range(80):
        action = rng.integers(3, size=3)
        one, two = a.step(action), b.step(action)
        assert all(np.array_equal(x, y) for x, y in zip(one[:4], two[:4], strict=True))
        assert a.observation_space.contains(one[0])
        if t == 30:
            rl_envs.set_state(c, rl_envs.get_state(a))
        if t > 30:
            assert all(np.array_equal(x, y) for x, y in zip(c.step(action)[:4], one[:4], strict=True))


def test_an_observation_is_not_changed_by_what_comes_later():
    envs = games.Breakout(2)
    obs, _ = envs.reset(seed=0)
    before = obs.copy()
    envs.step(np.array([LEFT, RIGHT]))
    assert np.array_equal(obs, before)


# ------------------------------------------------------------------------------------- the views


def test_channels_show_each_thing_in_its_own():
    envs = board((6, 3), (1, -1), 7, bricks=[(2, 2)])
    shown = games.channels(envs)[0]
    assert [np.argwhere(c).tolist() for c in shown] == [[[9, 7]], [[6, 3]], [[5, 4]], [[2, 2]]]
    assert shown.dtype == np.uint8


def test_a_picture_has_no_trail():
    here, there = (board((6, 3), (1, right), 7, bricks=[(2, 2)]) for right in (-1, 1))
    assert np.array_equal(games.picture(here), games.picture(there))
    assert not np.array_equal(games.channels(here), games.channels(there))
    shown = games.picture(here)[0, 0]
    assert {tuple(cell): shown[tuple(cell)] for cell in np.argwhere(shown).tolist()} == {
        (2, 2): 85,
        (6, 3): 255,
        (9, 7): 170,
    }


def test_the_camera_shows_cells_of_sixteen_pixels_under_the_score():
    envs = board((6, 3), (1, 1), 7, bricks=[(1, 0), (3, 9)])
    envs.score[:] = 12
    shown = games.camera(envs)[0]
    assert shown.shape == (44, 40, 3) and shown.dtype == np.uint8
    assert (shown[:4, :12] == 255).all() and (shown[:4, 12:] == 60).all()
    cells = shown[4:].reshape(10, 4, 10, 4, 3)
    assert (cells == cells[:, :1, :, :1]).all()
    lit = cells[:, 0, :, 0].any(axis=2)
    assert np.argwhere(lit).tolist() == [[1, 0], [3, 9], [6, 3], [9, 7]]
    wall = games.camera(board((6, 3), (1, 1), 7, bricks=[(row, 2) for row in (1, 2, 3)]))[0, 4:]
    rows = [wall[4 * row, 8].tolist() for row in (1, 2, 3)]
    assert rows == [[214, 90, 80], [222, 150, 60], [110, 170, 90]]  # each row its colour
    assert wall[24, 12].tolist() == [250, 240, 210] and wall[36, 28].tolist() == [90, 160, 230]
    small = games.preprocess(games.camera(board((6, 3), (1, 1), 7, bricks=[(2, 2)])))[0, 0]
    greys = [small[cell] for cell in ((0, 0), (9, 7), (2, 2), (6, 3))]
    assert greys[0] == 0 and sorted({*greys}) == greys  # and each thing its grey, the ball the brightest


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("k", [1, 2, 4])
def test_every_view_has_a_name(game, k):
    whole = [((4 if game is games.Breakout else 3, 10, 10), ""), ((1, 10, 10), "Picture")]
    for shape, view in [
        *whole,
        ((44, 40, 3), "Camera"),
        ((k, 10, 10), f"Stack{k}"),
        ((k, 10, 10), f"Film{k}"),
    ]:
        made = rl_envs.make(f"{game.__name__}{view}-v0", 2)
        assert made.single_observation_space.shape == shape
        assert made.reset(seed=0)[0].shape == (2, *shape)
        assert isinstance(made.unwrapped, game) and made.unwrapped.max_episode_steps == (
            500 if game is games.Breakout else 50
        )


def test_a_single_game_goes_on_from_its_state_and_knows_its_seed():
    one, other = (gym.make("Catch-v0").unwrapped for _ in range(2))
    assert np.array_equal(one.reset(seed=3)[0], other.reset(seed=3)[0])
    one.step(LEFT), one.step(LEFT)
    other.reset(seed=4)
    other.set_state(one.get_state())
    for _ in range(30):
        a, b = one.step(RIGHT), other.step(RIGHT)
        assert np.array_equal(a[0], b[0]) and a[1:] == b[1:]


def test_a_single_game_is_an_environment_that_can_be_filmed():
    env = gym.make("rlworkshop.envs.games:Breakout-v0", render_mode="rgb_array")
    obs, _ = env.reset(seed=0)
    assert obs.shape == (4, 10, 10) and env.observation_space.contains(obs)
    obs, reward, terminated, truncated, _ = env.step(1)
    assert isinstance(reward, float) and terminated is False and truncated is False
    frames, total = rl_envs.record(lambda obs: np.zeros(len(obs), int), "Breakout-v0", seed=0)
    assert frames.shape[1:] == (352, 320, 3) and len(frames) == 6 and total == 0


@pytest.mark.parametrize("action", [[0], [0, 3], [0, -1], [0.0, 1.0], [[0], [1]]])
def test_bad_actions_get_a_clear_error(action):
    envs = games.Catch(2)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="actions are 2 of 0"):
        envs.step(np.array(action))


def test_bad_sizes_get_a_clear_error():
    with pytest.raises(ValueError, match="at least one"):
        games.Catch(0)
    with pytest.raises(ValueError, match="at least one"):
        games.Catch(1, max_episode_steps=0)
    with pytest.raises(ValueError, match="a state of 2 games does not fit 3"):
        two, three = games.Catch(2), games.Catch(3)
        two.reset(seed=0)
        three.set_state(two.get_state())
