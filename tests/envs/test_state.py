"""An environment that is saved goes on bit for bit; what cannot be saved says so."""

import copy

import gymnasium as gym
import numpy as np
import pytest

from rlworkshop import envs as E


class Silent(gym.Env):
    """Ends after 2 to 5 steps, drawn from its own generator; nobody knows how to save it."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = int(self.np_random.integers(2, 6))
        return np.array([self.left], np.float32), {}

    def step(self, action):
        self.left -= 1
        over = self.left == 0
        return np.array([self.left], np.float32), 1.0, over, False, {}


class Fickle(Silent):
    """As Silent, but knows how to save itself."""

    def get_state(self):
        return {"left": self.left, "rng": self.np_random.bit_generator.state}

    def set_state(self, state):
        self.left = state["left"]
        self.np_random.bit_generator.state = state["rng"]


@pytest.fixture(autouse=True, scope="module")
def registered():
    gym.register("Silent-v0", Silent)
    gym.register("Fickle-v0", Fickle)
    yield
    del gym.registry["Silent-v0"], gym.registry["Fickle-v0"]


FAMILIES = [
    "CartPole-v1",
    "Pendulum-v1",
    "Acrobot-v1",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "Fickle-v0",
    "rlworkshop.envs.games:Catch-v0",
]
MUJOCO = ["InvertedPendulum-v5", "Hopper-v5", "Ant-v5", "Reacher-v5", "Humanoid-v5", "Pusher-v5"]


@pytest.mark.parametrize(
    "wrapper", [gym.wrappers.FlattenObservation, lambda env: gym.wrappers.DtypeObservation(env, np.float64)]
)
def test_wrappers_that_remember_nothing_do_not_stand_in_the_way(wrapper):
    envs = E.make(lambda: wrapper(Fickle()), 2)
    E.reset(envs, 0)
    state = E.get_state(envs)
    first = play(envs, [np.zeros(2, int)] * 9)
    E.set_state(envs, state)
    assert all(map(np.array_equal, play(envs, [np.zeros(2, int)] * 9), first))


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


def test_a_state_shares_nothing_with_what_goes_on():
    envs = E.make("CartPole-v1", 2)
    envs.reset(seed=0)
    state = E.get_state(envs)
    kept = copy.deepcopy(state)
    for _ in range(2):
        envs.unwrapped.state[...], envs.unwrapped.steps[...] = 7, 7  # in place
        for name, value in kept["plain"].items():
            assert np.array_equal(state["plain"][name], value), name
        E.set_state(envs, state)
    assert np.array_equal(envs.unwrapped.state, kept["plain"]["state"])


def test_of_what_an_environment_has_all_that_is_plain_is_saved_and_nothing_else():
    one, other = (E.make("Pendulum-v1", 1) for _ in range(2))
    one.reset(seed=0), other.reset(seed=1)
    inner = one.envs[0].unwrapped
    inner.pair, inner.mixed, inner.thing = (1, [2.0, None]), (1, object()), object()
    plain = E.get_state(one)["envs"][0][-1]["plain"]
    assert plain["pair"] == (1, [2.0, None]) and plain["g"] == 10.0 and not {"mixed", "thing"} & {*plain}
    E.set_state(other, E.get_state(one))
    assert other.envs[0].unwrapped.pair == inner.pair


def test_the_physics_go_on_at_their_own_time():
    pytest.importorskip("mujoco")
    one, other = (E.make("Hopper-v5", 1) for _ in range(2))
    one.reset(seed=0), other.reset(seed=1)
    play(one, [one.action_space.sample()] * 3)
    E.set_state(other, E.get_state(one))
    a, b = (made.envs[0].unwrapped.data for made in (one, other))
    assert a.time == b.time > 0 and np.array_equal(a.qpos, b.qpos)


@pytest.mark.parametrize("env_id", ["FrozenLake-v1", "Silent-v0"])
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
