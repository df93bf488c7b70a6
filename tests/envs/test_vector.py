"""Environments: making, counting, evaluating, and saying what is wrong."""

import functools
import re
import textwrap

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space

from rlworkshop import envs as E
from rlworkshop.envs.vector import _shrunk, plain_evaluate, plain_make


class Countdown(gym.Env):
    """Ends after ``length`` steps of reward 1; the length of each episode is drawn from its own generator."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, lengths=(3,), truncate=False):
        self.lengths, self.truncate = lengths, truncate

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = int(self.np_random.choice(self.lengths))
        return np.array([self.left], np.float32), {}

    def step(self, action):
        self.left -= 1
        over = self.left == 0
        return np.array([self.left], np.float32), 1.0, over and not self.truncate, over and self.truncate, {}


class Paying(Countdown):
    """As Countdown with one step, for which it gives ``reward``."""

    def __init__(self, reward):
        super().__init__((1,))
        self.reward = reward

    def step(self, action):
        obs, _, *rest = super().step(action)
        return obs, self.reward, *rest


class Guess(VectorEnv):
    """A fair coin in each of N copies: 1 for the action that it shows, -1 for the other. Native."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
    single_observation_space = gym.spaces.Box(0, 1, (1,), np.float32)
    single_action_space = gym.spaces.Discrete(2)

    def __init__(self, num_envs):
        self.num_envs = num_envs
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros((self.num_envs, 1), np.float32), {}

    def step(self, actions):
        right = actions == self.np_random.integers(2, size=self.num_envs)
        off = np.zeros(self.num_envs, bool)
        return np.zeros((self.num_envs, 1), np.float32), np.where(right, 1.0, -1.0), off, off, {}


def stay(obs):
    return np.zeros(len(obs), int)


@pytest.fixture(autouse=True, scope="module")
def registered():
    gym.register("Countdown-v0", Countdown)
    yield
    del gym.registry["Countdown-v0"]


def test_cartpole_is_native_and_others_are_loops_under_next_step():
    assert type(E.make("CartPole-v1", 3)).__name__ == "CartPoleVectorEnv"
    loop = E.make("Pendulum-v1", 2)
    assert isinstance(loop, gym.vector.SyncVectorEnv)
    assert loop.metadata["autoreset_mode"] == gym.vector.AutoresetMode.NEXT_STEP


def test_one_is_made_unless_more_are_asked_for_and_nothing_checks_it_a_second_time():
    assert E.make("CartPole-v1").num_envs == E.make("Pendulum-v1").num_envs == 1
    assert "PassiveEnvChecker" not in str(E.make("Pendulum-v1").envs[0])


@pytest.mark.parametrize("env_id, more", [("CartPole-v1", {}), ("Pendulum-v1", {"g": 2.0})])
def test_what_a_copied_file_makes_and_evaluates_is_the_same(env_id, more):
    taken, made = plain_make(env_id, 3, **more), E.make(env_id, 3, **more)
    assert type(taken) is type(made) and taken.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    action = np.zeros(made.action_space.shape, made.action_space.dtype)
    taken.reset(seed=1), made.reset(seed=1)
    for _ in range(30):
        assert all(map(np.array_equal, taken.step(action)[:4], made.step(action)[:4]))
    assert plain_make(env_id).num_envs == 1
    act = lambda obs: np.zeros((len(obs), *action.shape[1:]), int)  # noqa: E731
    alone = E.evaluate(act, env_id, 3, 5, num_envs=1)
    assert np.array_equal(plain_evaluate(act, env_id, 3, 5), alone) and len(alone) == 3


def test_the_simple_maker_imports_the_module_that_is_named_with_an_environment(tmp_path, monkeypatch):
    text = "import gymnasium\ngymnasium.register('Own-v0', 'gymnasium.envs.classic_control:CartPoleEnv')\n"
    (tmp_path / "own_room.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert plain_make("own_room:Own-v0", 2).num_envs == 2
    finally:
        gym.registry.pop("Own-v0", None)


@pytest.mark.parametrize(
    ("env_id", "error", "words"),
    [
        ("Cartpole-v1", ValueError, "CartPole-v1"),
        ("CartPole-v7", ValueError, "CartPole-v1"),
        ("Zzzzzz", ValueError, "registry.*Import the module that registers it"),
        ("gymnasium:Zzzzzz", ValueError, r"see gymnasium.pprint_registry\(\)$"),
        ("Lunar", ValueError, "LunarLander-v3"),
        ("CartPole-v7", ValueError, r"did you mean \S+ or \S+ or \S+\?"),
        ("ALE/Pong-v5", ImportError, r"gymnasium\[atari\]"),
    ],
)
def test_unknown_environment_names_what_to_do(env_id, error, words):
    with pytest.raises(error, match=words):
        E.make(env_id)


def test_an_id_may_name_the_module_that_registers_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_world.py").write_text(
        textwrap.dedent("""
            import gymnasium as gym
            from gymnasium.envs.classic_control import PendulumEnv
            gym.register("OwnWorld-v0", PendulumEnv, max_episode_steps=5)
        """)
    )
    try:
        with pytest.raises(ValueError, match="module:OwnWorld-v0"):
            E.make("OwnWorld-v0")
        envs = E.make("own_world:OwnWorld-v0", 2)
        assert envs.num_envs == 2
        zero = lambda obs: np.zeros((len(obs), 1), np.float32)  # noqa: E731
        assert len(E.evaluate(zero, "own_world:OwnWorld-v0", 3, seed=0)) == 3
    finally:
        gym.registry.pop("OwnWorld-v0", None)


def test_a_function_or_a_ready_vector_environment_will_do():
    made = E.make(functools.partial(Countdown, truncate=True), 3, lengths=(4,))
    assert isinstance(made, SyncVectorEnv) and made.num_envs == 3
    assert made.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    assert made.envs[0].unwrapped.lengths == (4,) and made.envs[0].unwrapped.truncate
    assert E.make(made) is made
    same = SyncVectorEnv([Countdown] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(ValueError, match="need NEXT_STEP"):
        E.make(same)


def test_arguments_reach_the_environment():
    assert E.make("FrozenLake-v1", 2, map_name="8x8").single_observation_space.n == 64
    assert E.make("CartPole-v1", 2, sutton_barto_reward=True).unwrapped._sutton_barto_reward  # native
    with pytest.raises(ValueError, match="cannot make FrozenLake-v1"):
        E.make("FrozenLake-v1", nonsense=1)


def test_missing_package_names_the_extra(monkeypatch):
    def absent(*args, **kwargs):
        raise gym.error.DependencyNotInstalled("Box2D is not installed")

    monkeypatch.setattr(gym, "make", absent)
    with pytest.raises(ImportError, match=r"pip install 'gymnasium\[box2d\]'"):
        E.make("Pendulum-v1")


def test_num_envs_below_one():
    with pytest.raises(ValueError, match="num_envs"):
        E.make("CartPole-v1", 0)


def test_episodes_counts_real_steps_only():
    # two sub-environments with episodes of exactly 3 steps: rows 3, 7, 11... are reset rows
    envs, book = E.make("Countdown-v0", 2), E.Episodes(2)
    envs.reset(seed=0)
    rows = []
    for _ in range(12):
        obs, reward, terminated, truncated, _ = envs.step(np.zeros(2, np.int64))
        rows.append(book.step(obs, reward, terminated, truncated))
    assert np.array_equal(np.array(rows)[:, 0], [True, True, True, False] * 3)
    assert book.steps == 2 * 9
    assert book.returns == [3.0] * 6 and book.lengths == [3] * 6
    assert book.ends == [6, 6, 12, 12, 18, 18] and book.who == [0, 1] * 3
    assert np.array_equal(book.obs, obs)


def test_episodes_know_whose_they_are_and_how_long_the_others_run():
    book, obs, off = E.Episodes(3), np.zeros((3, 1)), np.zeros(3, bool)
    book.step(obs, np.ones(3), np.array([False, True, False]), off)
    book.step(obs, np.ones(3), off, np.array([False, False, True]))
    assert book.who == [1, 2] and book.running.tolist() == [2, 0, 0]
    book.step(obs, np.ones(3), off, off)
    assert book.running.tolist() == [3, 1, 0]
    book.forget_unfinished()
    assert book.running.tolist() == [0, 0, 0]
    assert book.step(obs, np.ones(3), off, off).all()  # there is no reset row: all have begun anew


def test_episodes_ignore_what_a_reset_row_claims():
    book = E.Episodes(1)
    on, off, obs = np.array([True]), np.array([False]), np.zeros((1, 2))
    book.step(obs, np.array([1.0]), on, off)
    assert not book.step(obs, np.array([99.0]), off, on)[0]  # a reset row: nothing in it counts
    book.step(obs, np.array([2.0]), on, off)
    assert not book.step(obs, np.array([np.nan]), off, off)[0]
    assert book.returns == [1.0, 2.0] and book.steps == 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_one_error_that_names_the_sub_environment(value):
    off, obs, reward = np.zeros(3, bool), np.zeros((3, 2), np.float32), np.zeros(3)
    for what, at in (("reward", reward), ("observation", obs)):
        book = E.Episodes(3)
        book.step(obs, reward, off, off)
        at[1] = value
        with pytest.raises(ValueError, match=f"the {what} .* \\(sub-environment 1, after 3 steps in all\\)"):
            book.step(obs, reward, off, off)
        at[1] = 0


def test_large_but_finite_numbers_are_taken():
    off, large = np.zeros(2, bool), np.full(2, np.finfo(np.float64).max)
    assert E.Episodes(2).step(large[:, None], large, off, off).all()  # their sum is not finite


@pytest.mark.parametrize("what", ["reward", "observation"])
def test_numbers_are_numbers(what):
    off, good, bad = np.zeros(1, bool), np.zeros(1), np.array([None])
    with pytest.raises(ValueError, match=f"the environment's {what} must be numbers, not object"):
        E.Episodes(1).step(*((good, bad) if what == "reward" else (bad, good)), off, off)


@pytest.mark.parametrize(
    "reward", [None, [1.0, 2.0], [1.0], "1", "a", np.array([1.0, 2.0]), np.array("1"), 1j]
)
def test_a_reward_that_is_no_number_is_refused(reward):
    with pytest.raises(ValueError, match="it must be one number"):
        E.evaluate(stay, functools.partial(Paying, reward), 1, seed=0)


class Odd(Countdown):
    """Returns what it was told to, from its reset and from its step."""

    def __init__(self, reset=None, step=None, render=None, render_mode=None):
        super().__init__()
        self.first, self.next, self.picture, self.render_mode = reset, step, render, render_mode

    def reset(self, **kwargs):
        made = super().reset(**kwargs)
        return made if self.first is None else self.first

    def step(self, action):
        made = super().step(action)
        return made if self.next is None else self.next(*made)

    def render(self):
        return self.picture


class Seedless(Countdown):
    def reset(self):
        return super().reset()


OBS = np.zeros(1, np.float32)
WRONG = {
    "seedless": (Seedless, r"takes no seed and options: write def reset\(self, \*, seed=None,"),
    "no info": (functools.partial(Odd, OBS), "reset of .*Odd.* must return two things: an obs"),
    "list": (functools.partial(Odd, [OBS, {}]), "must return two things"),
    "no dictionary": (functools.partial(Odd, (OBS, None)), "must return two things"),
    "first shape": (functools.partial(Odd, (np.zeros(2), {})), r"has the shape \(2,\), its .* \(1,\)"),
    "number": (functools.partial(Odd, (0.0, {})), r"has the shape \(\), its observation_space \(1,\)"),
    "four": (functools.partial(Odd, None, lambda o, r, end, cut, i: (o, r, end, i)), r"five things: .*got 4"),
    "six": (functools.partial(Odd, None, lambda *made: (*made, 0)), "must return five things: observ"),
    "nothing": (functools.partial(Odd, None, lambda *made: 5), "must return five things"),
    "shape": (functools.partial(Odd, None, lambda o, *made: (o[None], *made)), r"has the shape \(1, 1\)"),
}  # fmt: skip


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("name", WRONG)
def test_a_broken_rule_is_said_in_words(name, limited):
    make, words = WRONG[name]
    with pytest.raises(ValueError, match=words):
        E.evaluate(stay, (lambda: gym.wrappers.TimeLimit(make(), 5)) if limited else make, 1, seed=0)


def test_what_goes_wrong_within_an_environment_is_not_explained_away():
    def fails(*made):
        raise error

    for error in (ValueError("not enough values to unpack (expected 2, got 1)"), TypeError("its own")):
        with pytest.raises(type(error), match=re.escape(str(error))) as caught:
            E.evaluate(stay, functools.partial(Odd, None, fails), 1, seed=0)
        assert caught.value is error

    class Stumbles(Countdown):
        def reset(self, *, seed=None, options=None):
            raise TypeError("its own")

    with pytest.raises(TypeError, match="^its own$"):
        E.evaluate(stay, Stumbles, 1, seed=0)


def test_only_boxes_have_a_shape_that_is_asked_for():
    assert len(E.evaluate(stay, "FrozenLake-v1", 2, seed=0)) == 2  # whole numbers
    fine = functools.partial(Odd, ([3], {}), lambda o, *made: ([float(o[0])], *made))  # lists will do
    assert E.evaluate(stay, fine, 2, seed=0).tolist() == [3.0, 3.0]


@pytest.mark.parametrize(
    "space, words",
    [(gym.spaces.Dict(a=gym.spaces.Discrete(2)), "not Dict"), (gym.spaces.Discrete(4), "not Discrete"),
     (gym.spaces.Box(0, 1, (2, 2)), "not Box"), (gym.spaces.Box(0, 1, ()), "not Box")],
)  # fmt: skip
def test_what_is_no_vector_is_led_to_a_wrapper_that_makes_one(space, words):
    with pytest.raises(ValueError, match=f"Box with one axis, {words}.*wrappers.FlattenObservation$"):
        E.vector_length(space)
    assert E.vector_length(gym.spaces.flatten_space(space)) == gym.spaces.flatdim(space)


def test_what_to_do_about_actions_depends_on_the_space():
    number = "which numbers all of them"
    said = [
        (gym.spaces.MultiDiscrete([3, 2]), number),
        (gym.spaces.MultiBinary(3), number),
        (gym.spaces.Discrete(3, start=-1), "from 0, and add -1 in a gymnasium.wrappers.TransformAction"),
        (gym.spaces.Tuple([gym.spaces.Discrete(2)]), ": wrap the environment"),
    ]
    for space, words in said:
        error = E.wrong_actions(space, "Discrete")
        assert isinstance(error, ValueError) and str(error).startswith(
            f"actions must be Discrete, not {space}: "
        )
        assert words in str(error)


def test_an_environment_that_is_made_already_is_refused():
    with pytest.raises(ValueError, match="made already: give its class, or a function that makes it"):
        E.make(Countdown())


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(
        ImportError, match="^no_such.place:X-v0: Python finds no module 'no_such.place': start"
    ):
        E.make("no_such.place:X-v0")


@pytest.mark.parametrize(
    "picture, words",
    [(None, "as a NoneType"), ([[1]], "as a list"), (np.zeros((4, 4), np.uint8), r"as uint8 \(4, 4\)"),
     (np.zeros((4, 4, 3)), r"as float64 \(4, 4, 3\)")],
)  # fmt: skip
def test_what_is_no_picture_cannot_be_filmed(picture, words):
    with pytest.raises(ValueError, match=f"draws itself {words}; to be filmed it has to take render_mode="):
        E.record(stay, functools.partial(Odd, render=picture), seed=0)


def test_what_cannot_be_filmed_says_what_it_lacks():
    with pytest.raises(
        ValueError, match=r"cannot make .*Countdown.*render_mode.*; to be filmed it has to take"
    ):
        E.record(stay, Countdown, seed=0)

    class Blind(Countdown):
        def __init__(self, render_mode=None):
            super().__init__()
            self.render_mode = render_mode

    with pytest.raises(ValueError, match="draws itself as a NoneType"):
        E.record(stay, Blind, seed=0)


@pytest.mark.parametrize("reward", [1, 1.0, True, np.True_, np.float32(1), np.int64(1), np.array([1.0])])
def test_a_reward_that_is_one_number_is_taken(reward):
    assert E.evaluate(stay, functools.partial(Paying, reward), 3, seed=0, num_envs=2).tolist() == [1.0] * 3


def test_obs_norm_is_the_mean_and_variance_of_all_batches():
    rng = np.random.default_rng(1)
    data = rng.normal([1e4, -3.0], [0.1, 20.0], size=(500, 2))  # a large mean is where naive sums fail
    norm = E.ObsNorm((2,))
    for part in np.split(data, [1, 7, 7, 300]):
        norm.update(part)
    expected = (data - data.mean(0)) / np.sqrt(data.var(0) + 1e-8)
    assert np.allclose(norm(data), expected, atol=1e-4)
    assert norm(data).dtype == np.float32


def test_obs_norm_loses_no_digits_of_short_numbers():
    data = np.random.default_rng(2).normal(1e4, 0.1, size=(5000, 1)).astype(np.float32)
    norm = E.ObsNorm((1,))
    norm.update(data)
    assert norm.mean == pytest.approx(data.astype(float).mean(axis=0), rel=1e-12)
    assert norm.m2 / norm.count == pytest.approx(data.astype(float).var(axis=0), rel=1e-9)


def test_obs_norm_stands_still_when_used_and_clips():
    norm = E.ObsNorm((1,))
    norm.update(np.array([[0.0], [2.0]]))
    before = {name: np.copy(value) for name, value in vars(norm).items()}
    assert norm(np.array([[1e6]])) == 10 and norm(np.array([[-1e6]])) == -10
    norm.update(np.empty((0, 1)))
    assert all(np.array_equal(before[name], value) for name, value in vars(norm).items())


def test_what_never_varies_is_0_and_anything_else_a_surprise():
    norm = E.ObsNorm((1,))
    norm.update(np.full((5, 1), 7.0))
    assert norm(np.array([[7.0], [8.0], [6.0]])).tolist() == [[0], [10], [-10]]


def test_obs_norm_before_any_data_changes_nothing():
    assert np.allclose(E.ObsNorm((2,))(np.array([[1.0, -2.0]])), [[1.0, -2.0]], atol=1e-6)


def test_evaluate_has_no_bias_towards_short_episodes():
    # lengths 1 and 99, equally likely: the first to finish would nearly all be ones
    gym.register("Uneven-v0", lambda: Countdown((1, 99)))
    scores = E.evaluate(lambda obs: np.zeros(len(obs), int), "Uneven-v0", 200, seed=0, num_envs=20)
    del gym.registry["Uneven-v0"]
    assert len(scores) == 200 and set(scores) == {1.0, 99.0}
    assert 0.35 < (scores == 99).mean() < 0.65  # 4 standard deviations


@pytest.mark.parametrize("episodes", [1, 3, 7])
def test_evaluate_plays_exactly_the_episodes_asked_for(episodes):
    scores = E.evaluate(lambda obs: np.zeros(len(obs), int), "Countdown-v0", episodes, seed=0, num_envs=3)
    assert scores.tolist() == [3.0] * episodes


def test_evaluate_makes_as_many_as_it_needs_and_closes_them(monkeypatch):
    for asked, made in (({"episodes": 3}, 3), ({"episodes": 7, "num_envs": 3}, 3), ({"episodes": 40}, 20)):
        seen, closed = set(), []
        monkeypatch.setattr(SyncVectorEnv, "close", lambda self, closed=closed: closed.append(self.num_envs))
        E.evaluate(lambda obs, seen=seen: seen.add(len(obs)) or stay(obs), "Countdown-v0", seed=0, **asked)
        assert seen == {made} and closed == [made]


def test_evaluate_is_repeatable_and_follows_its_seed():
    act = lambda obs: (obs[:, 2] > 0).astype(int)  # noqa: E731
    a, b, c = (E.evaluate(act, "CartPole-v1", 10, seed) for seed in (1, 1, 2))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_evaluate_clips_actions_to_the_box():
    # this one pays for the action as it comes: -0.1 a² a step
    env_id = "MountainCarContinuous-v0"
    huge = E.evaluate(lambda obs: np.full((len(obs), 1), 50.0), env_id, 2, seed=0)
    limit = E.evaluate(lambda obs: np.full((len(obs), 1), 1.0), env_id, 2, seed=0)
    assert np.array_equal(huge, limit)


def test_an_episode_that_never_ends_is_an_error_with_a_hint():
    class Endless(Countdown):
        def step(self, action):
            return np.zeros(1, np.float32), 1.0, False, False, {}

    with pytest.raises(ValueError, match="goes on after 30 steps: register it with max_episode_steps"):
        E.evaluate(stay, Endless, 3, seed=0, max_steps=30)
    assert E.evaluate(stay, "Countdown-v0", 3, seed=0, max_steps=3).tolist() == [3.0] * 3
    with pytest.raises(ValueError, match="goes on after 2 steps"):
        E.evaluate(stay, "Countdown-v0", 3, seed=0, max_steps=2)


def test_evaluate_passes_arguments_to_the_environment():
    assert E.evaluate(stay, "Countdown-v0", 2, seed=0, lengths=(5,)).tolist() == [5.0] * 2


def test_evaluate_refuses_no_episodes():
    with pytest.raises(ValueError, match="at least 1 episode, not 0"):
        E.evaluate(lambda obs: obs, "CartPole-v1", 0, seed=0)


def test_record_films_one_episode():
    act = lambda obs: np.zeros(len(obs), int)  # noqa: E731
    frames, total = E.record(act, "CartPole-v1", seed=0, size=200)
    assert frames.dtype == np.uint8 and frames.shape[1:] == (133, 200, 3)
    assert len(frames) == total + 1  # the picture before each step, and the last one
    assert frames.std() > 1
    assert len(E.record(act, "CartPole-v1", seed=0, max_steps=4)[0]) == 4


def test_a_film_is_half_as_wide_where_that_is_enough_and_its_world_is_closed(monkeypatch):
    closed, close = [], SyncVectorEnv.close
    monkeypatch.setattr(SyncVectorEnv, "close", lambda self: closed.append(True) or close(self))
    assert E.record(stay, "CartPole-v1", seed=0, max_steps=1)[0].shape == (1, 200, 300, 3) and closed
    with pytest.raises(ValueError, match="no environment is called 'Nowhere-v0'"):
        E.record(stay, "Nowhere-v0", seed=0)


def test_a_smaller_picture_is_the_mean_of_blocks():
    frame = np.zeros((5, 8, 3), np.uint8)
    frame[:3, :3] = 9
    frame[0, 3] = 200, 5, 4  # a ninth of it: 22.2, 0.6, 0.4
    assert _shrunk(frame, 3).tolist() == [[[9, 9, 9], [22, 1, 0]]]  # what is left over at an edge is cut off
    same = _shrunk(frame, 8)
    assert np.array_equal(same, frame) and not np.shares_memory(same, frame)


@pytest.mark.parametrize("env_id", ["FrozenLake-v1", "CliffWalking-v1"])
def test_record_films_worlds_with_discrete_observations(env_id):
    seen = []

    def act(obs):
        seen.append(obs.shape)
        return np.zeros(1, int)

    frames, _ = E.record(act, env_id, seed=0, max_steps=3)
    assert len(frames) == 3 and frames.std() > 1
    assert set(seen) == {(1,)}  # a batch of one


# ---- seeds


@pytest.mark.parametrize("env_id", ["Acrobot-v1", "CartPole-v1"])
def test_no_two_seeds_streams_or_resets_share_a_first_state(env_id):
    envs = E.make(env_id, 8)
    streams = [("training",), ("training", 500), ("evaluation",), ("film",)]
    asked = [(seed, *stream) for seed in range(4) for stream in streams]
    firsts = [tuple(row) for each in asked for row in E.reset(envs, *each).tolist()]
    assert len(set(firsts)) == len(firsts) == 4 * 4 * 8
    assert np.array_equal(E.reset(envs, 1), E.reset(envs, 1, "training"))


def test_evaluation_never_meets_a_first_state_of_training():
    starts = {s: {tuple(row) for row in E.reset(E.make("Acrobot-v1", 20), s).tolist()} for s in range(3)}
    met = []
    for seed in starts:
        E.evaluate(lambda obs: met.append(obs.copy()) or stay(obs), "Acrobot-v1", 20, seed)
    assert not {tuple(row) for row in np.concatenate(met).tolist()} & set.union(*starts.values())


@pytest.mark.parametrize("seed", range(3))
def test_a_policys_random_numbers_are_not_the_environments(seed):
    envs = E.make(Guess(1))
    E.reset(envs, seed)
    rng = E.policy_rng(seed)
    paid = [envs.step(rng.integers(2, size=1))[1][0] for _ in range(4000)]
    assert abs(np.mean(paid)) < 5 / 4000**0.5  # five standard deviations


def test_no_two_streams_are_one():
    assert len({E.seeds(3, 1, stream)[0] for stream in E.STREAMS}) == len(E.STREAMS) == 5


def test_the_policys_random_numbers_follow_the_seed():
    one, same, other = (E.policy_rng(seed).integers(2**40) for seed in (3, 3, 4))
    assert one == same != other


# ---- spaces


def test_a_batch_is_a_batch_and_one_observation_a_batch_of_one():
    for space in (gym.spaces.Box(-1, 1, (2, 3)), gym.spaces.Discrete(4)):
        one = np.zeros(space.shape)
        for obs, single in ((one, True), (one[None], False), (np.stack([one] * 5), False)):
            found, was = E.batched(space, obs)
            assert was is single and found.shape == (len(found), *space.shape)
        assert len(E.batched(space, np.stack([one] * 5))[0]) == 5


@pytest.mark.parametrize("shape", [(3,), (2, 2), (3, 2), (1, 1, 2, 3), (5, 2, 4)])
def test_other_shapes_are_no_observations(shape):
    with pytest.raises(ValueError, match=r"has shape \(2, 3\), a batch \(N, \*\(2, 3\)\); not"):
        E.batched(gym.spaces.Box(-1, 1, (2, 3)), np.zeros(shape))


def test_actions_are_clipped_to_a_box_and_whole_numbers_else():
    box = gym.spaces.Box(-1, 2, (3,), np.float32)
    clipped = E.to_env(box, np.array([-5.0, 0.5, 5.0]))
    assert clipped.tolist() == [-1.0, 0.5, 2.0] and clipped.dtype == np.float32
    space = gym.spaces.MultiDiscrete([3, 3])
    assert E.to_env(space, np.array([1, 2], np.int32)).dtype == space.dtype
    with pytest.raises(ValueError, match="whole numbers, not float64"):
        E.to_env(space, np.array([1.0, 2.0]))


@pytest.mark.parametrize(
    "space",
    [
        gym.spaces.Box(np.float32([-1, -np.inf]), np.float32([2, np.inf])),
        gym.spaces.Box(0, 255, (2, 2), np.uint8),
        gym.spaces.Discrete(3, start=-1),
    ],
)
def test_a_space_comes_back_from_its_tree(space):
    assert E.space_from_tree(E.space_to_tree(space)) == space


def test_other_spaces_have_no_tree():
    with pytest.raises(ValueError, match="wrap the environment"):
        E.space_to_tree(gym.spaces.MultiBinary(3))
