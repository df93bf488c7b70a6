"""Environments: counting, evaluating, saving, and saying what is wrong."""

import gymnasium as gym
import numpy as np
import pytest

from rlworkshop import envs as E


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


class Fickle(Countdown):
    """As Countdown, and knows how to save itself."""

    def get_state(self):
        return {"left": self.left, "rng": self.np_random.bit_generator.state}

    def set_state(self, state):
        self.left = state["left"]
        self.np_random.bit_generator.state = state["rng"]


@pytest.fixture(autouse=True, scope="module")
def registered():
    gym.register("Countdown-v0", Countdown)
    gym.register("Fickle-v0", Fickle)
    yield
    del gym.registry["Countdown-v0"], gym.registry["Fickle-v0"]


def test_cartpole_is_native_and_others_are_loops_under_next_step():
    assert type(E.make("CartPole-v1", 3)).__name__ == "CartPoleVectorEnv"
    loop = E.make("Pendulum-v1", 2)
    assert isinstance(loop, gym.vector.SyncVectorEnv)
    assert loop.metadata["autoreset_mode"] == gym.vector.AutoresetMode.NEXT_STEP


@pytest.mark.parametrize(
    ("env_id", "error", "words"),
    [
        ("Cartpole-v1", ValueError, "CartPole-v1"),
        ("CartPole-v7", ValueError, "CartPole-v1"),
        ("Zzzzzz", ValueError, "registry"),
        ("ALE/Pong-v5", ImportError, r"gymnasium\[atari\]"),
    ],
)
def test_unknown_environment_names_what_to_do(env_id, error, words):
    with pytest.raises(error, match=words):
        E.make(env_id)


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
        _, reward, terminated, truncated, _ = envs.step(np.zeros(2, np.int64))
        rows.append(book.step(reward, terminated, truncated))
    assert np.array_equal(np.array(rows)[:, 0], [True, True, True, False] * 3)
    assert book.steps == 2 * 9
    assert book.returns == [3.0] * 6 and book.lengths == [3] * 6
    assert book.ends == [6, 6, 12, 12, 18, 18]


def test_episodes_ignore_what_a_reset_row_claims():
    book = E.Episodes(1)
    on, off = np.array([True]), np.array([False])
    book.step(np.array([1.0]), on, off)
    assert not book.step(np.array([99.0]), off, on)[0]  # a reset row: nothing in it counts
    book.step(np.array([2.0]), off, on)
    assert book.returns == [1.0, 2.0] and book.steps == 2


def test_episodes_state_goes_on_exactly():
    a = E.Episodes(3)
    rng = np.random.default_rng(0)
    stream = [(rng.random(3), rng.random(3) < 0.2, rng.random(3) < 0.1) for _ in range(60)]
    for x in stream[:30]:
        a.step(*x)
    b = E.Episodes(3)
    b.set_state(a.get_state())
    for x in stream[30:]:
        assert np.array_equal(a.step(*x), b.step(*x))
    assert (a.returns, a.lengths, a.ends, a.steps) == (b.returns, b.lengths, b.ends, b.steps)
    assert len(a.returns) > 10


def test_obs_norm_is_the_mean_and_variance_of_all_batches():
    rng = np.random.default_rng(1)
    data = rng.normal([1e4, -3.0], [0.1, 20.0], size=(500, 2))  # a large mean is where naive sums fail
    norm = E.ObsNorm((2,))
    for part in np.split(data, [1, 7, 7, 300]):
        norm.update(part)
    expected = (data - data.mean(0)) / np.sqrt(data.var(0) + 1e-8)
    assert np.allclose(norm(data), expected, atol=1e-4)
    assert norm(data).dtype == np.float32


def test_obs_norm_stands_still_when_used_and_clips():
    norm = E.ObsNorm((1,))
    norm.update(np.array([[0.0], [2.0]]))
    before = norm.get_state()
    assert norm(np.array([[1e6]])) == 10 and norm(np.array([[-1e6]])) == -10
    assert all(np.array_equal(before[k], norm.get_state()[k]) for k in before)
    copy = E.ObsNorm((1,))
    copy.set_state(before)
    x = np.linspace(-3, 3, 7)[:, None]
    assert np.array_equal(copy(x), norm(x))


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


def test_evaluate_refuses_no_episodes():
    with pytest.raises(ValueError, match="at least 1"):
        E.evaluate(lambda obs: obs, "CartPole-v1", 0, seed=0)


def test_record_films_one_episode():
    act = lambda obs: np.zeros(len(obs), int)  # noqa: E731
    frames, total = E.record(act, "CartPole-v1", seed=0, size=200)
    assert frames.dtype == np.uint8 and frames.shape[1:] == (133, 200, 3)
    assert len(frames) == total + 1  # the picture before each step, and the last one
    assert frames.std() > 1
    assert len(E.record(act, "CartPole-v1", seed=0, max_steps=4)[0]) == 4


FAMILIES = [
    "CartPole-v1",
    "Pendulum-v1",
    "Acrobot-v1",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "Fickle-v0",
]
MUJOCO = ["InvertedPendulum-v5", "Hopper-v5", "Ant-v5", "Reacher-v5", "Humanoid-v5", "Pusher-v5"]


def play(envs, actions):
    rows = [envs.step(a)[:4] for a in actions]
    return [np.stack(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("env_id", FAMILIES + MUJOCO)
def test_a_saved_environment_goes_on_bit_for_bit(env_id):
    if env_id in MUJOCO:
        pytest.importorskip("mujoco")
    limit = {} if env_id == "Fickle-v0" else {"max_episode_steps": 130}
    a, b = E.make(env_id, 2, **limit), E.make(env_id, 2, **limit)
    a.reset(seed=3)
    b.reset(seed=77)
    a.action_space.seed(0)
    actions = [a.action_space.sample() for _ in range(600)]
    play(a, actions[:300])
    state = E.get_state(a)
    b.step(actions[0])
    E.set_state(b, state)
    expected, found = play(a, actions[300:]), play(b, actions[300:])
    for x, y in zip(expected, found, strict=True):
        assert x.dtype == y.dtype and np.array_equal(x, y)
    assert (expected[2] | expected[3]).sum() >= 2  # episodes ended on the way


def test_a_state_is_a_snapshot():
    envs = E.make("CartPole-v1", 2)
    envs.reset(seed=0)
    state = E.get_state(envs)
    first = [x.copy() for x in play(envs, [np.ones(2, int)] * 40)]
    E.set_state(envs, state)
    assert all(np.array_equal(x, y) for x, y in zip(first, play(envs, [np.ones(2, int)] * 40), strict=True))


@pytest.mark.parametrize("env_id", ["FrozenLake-v1", "Countdown-v0"])
def test_an_unknown_environment_is_not_half_saved(env_id):
    envs = E.make(env_id, 1)
    envs.reset(seed=0)
    with pytest.raises(NotImplementedError, match="get_state"):
        E.get_state(envs)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_a_state_of_another_number_is_refused(env_id):
    a, b = E.make(env_id, 2), E.make(env_id, 3)
    a.reset(seed=0)
    b.reset(seed=0)
    with pytest.raises(ValueError, match="does not fit"):
        E.set_state(b, E.get_state(a))
