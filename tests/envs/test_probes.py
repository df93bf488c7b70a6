"""The probes: best values against closed forms, and what is played against what the tables say."""

import numpy as np
import pytest

from rlworkshop import envs
from rlworkshop.envs import probes

WORLDS = [
    probes.LongChain,
    probes.ManyActions,
    probes.SparseChain,
    probes.NoisyChoice,
    probes.Gamble,
    probes.Lottery,
]


@pytest.mark.parametrize("world", WORLDS)
def test_each_is_made_by_its_name_and_counts_like_any_other(world):
    assert isinstance(envs.make(f"rlworkshop.envs.probes:{world.__name__}-v0").unwrapped, world)
    made = envs.make(f"{world.__name__}-v0", 5)
    assert made.num_envs == 5 and made.observation_space.shape[0] == 5
    obs, _ = made.reset(seed=0)
    assert obs.dtype == np.float32 and made.observation_space.contains(obs)
    rng, episodes, over = np.random.default_rng(0), envs.Episodes(5), np.zeros(5, bool)
    for _ in range(60):
        action = rng.integers(made.single_action_space.n, size=5)
        obs, reward, terminated, truncated, _ = made.step(action)
        assert made.observation_space.contains(obs) and reward.dtype == np.float32
        assert not truncated.any() and not (over & terminated).any() and (reward[over] == 0).all()
        assert (obs.sum(axis=1) == ~terminated).all()  # the end is seen as zeros
        valid = episodes.step(obs, reward, terminated, truncated)
        assert np.array_equal(valid, ~over)
        over = terminated
    assert len(episodes.returns) >= 5


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_the_best_values_are_those_of_the_closed_forms(gamma):
    long = probes.LongChain(length=7, sure=0.4).optimal_q(gamma)
    assert np.allclose(long[0], [0.4, gamma**7])
    assert np.allclose(long[1:8], 0) and np.allclose(long[8:, 0], gamma ** np.arange(6, -1, -1))
    sparse = probes.SparseChain(length=6).optimal_q(gamma)
    assert np.allclose(sparse.max(axis=1), gamma ** np.arange(5, -1, -1))
    assert np.array_equal(sparse.argmax(axis=1), np.arange(6) % 2) and np.allclose(sparse.min(axis=1), 0)
    noisy = probes.NoisyChoice(rooms=3, machines=4, mean=-0.2).optimal_q(gamma)
    assert np.allclose(noisy[:, 0], 0) and np.allclose(noisy[:, 1:], -0.2)
    gamble = probes.Gamble(tosses=3, sure=0.1).optimal_q(gamma)
    assert np.allclose(gamble[0], [0.1, 0]) and np.allclose(gamble[1:], 0)
    assert np.allclose(probes.Lottery(chance=0.2, prize=3.0, sure=0.7).optimal_q(gamma), [[0.7, 0.6]])
    many = probes.LongChain(length=7, actions=5).optimal_q(gamma)
    assert np.allclose(many[0], [0.4, *4 * [gamma**7]]) and np.allclose(many[8:].T, many[8:, 0])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("world", WORLDS)
def test_the_worth_of_a_policy_is_its_mean_return(world, seed):
    rng, one = np.random.default_rng(seed), world()
    S = len(one.following)
    actions = one.optimal_q(1.0).argmax(axis=1) if seed == 0 else rng.integers(one.reward.shape[1], size=S)

    def act(obs):
        return actions[obs.argmax(axis=1)]

    returns = envs.evaluate(act, f"{world.__name__}-v0", 3000, seed=seed, num_envs=300)
    assert returns.mean() == pytest.approx(one.worth(actions), abs=4 * returns.std() / 3000**0.5 + 1e-6)


def test_the_outcomes_of_a_bet_are_what_is_played():
    gamma, world = 0.5, probes.Gamble(4000, tosses=3)
    assert probes.Gamble(tosses=1).outcomes(gamma).tolist() == [-1, 1]
    assert probes.Gamble(tosses=2).outcomes(gamma).tolist() == [-1.5, -0.5, 0.5, 1.5]
    world.reset(seed=0)
    returns = sum(gamma**t * world.step(np.ones(4000, int))[1] for t in range(3))
    values, counts = np.unique(returns, return_counts=True)
    assert np.allclose(values, world.outcomes(gamma))
    assert np.abs(counts / 4000 - 1 / 8).max() < 0.027  # five standard deviations


def test_rewards_scatter_as_the_tables_say():
    world = probes.NoisyChoice(20_000, rooms=1, machines=1, mean=-0.2, spread=2.0)
    world.reset(seed=0)
    reward = world.step(np.ones(20_000, int))[1]
    assert reward.mean() == pytest.approx(-0.2, abs=0.07) and reward.std() == pytest.approx(2, abs=0.05)
    world.reset(seed=0)
    assert (world.step(np.zeros(20_000, int))[1] == 0).all()


def test_a_ticket_wins_its_prize_as_often_as_it_should():
    world = probes.Lottery(20_000, chance=0.1, prize=3.0)
    world.reset(seed=0)
    reward = world.step(np.ones(20_000, int))[1]
    assert np.allclose(np.unique(reward.round(5)), [0, 3])
    assert (reward > 1).mean() == pytest.approx(0.1, abs=0.01)


def test_episodes_of_the_noisy_choice_begin_in_all_rooms_alike():
    obs, _ = probes.NoisyChoice(5000, rooms=5).reset(seed=0)
    assert np.abs(obs.mean(axis=0) - 0.2).max() < 0.03


def test_worlds_are_as_long_and_as_wide_as_they_say():
    """An exact answer for each that nobody has told otherwise."""
    shapes = {world.__name__: world().reward.shape for world in WORLDS}
    assert shapes == {
        "LongChain": (41, 2), "ManyActions": (41, 12), "SparseChain": (8, 2), "NoisyChoice": (5, 11),
        "Gamble": (2, 2), "Lottery": (1, 2),
    }  # fmt: skip
    assert all(world().num_envs == 1 for world in WORLDS)
    for world, sure, far in ((probes.LongChain, 0.4, 0.9**20), (probes.ManyActions, 0.4, 0.9**20)):
        assert world().optimal_q(0.9)[0] == pytest.approx([sure, *[far] * (shapes[world.__name__][1] - 1)])
        assert world().worth(np.ones(41, int), 0.9) == pytest.approx(far)
        assert world().worth(np.ones(41, int)) == 1 and world().worth(np.zeros(41, int)) == 0.4
    noisy, lottery = probes.NoisyChoice(), probes.Lottery()
    assert noisy.optimal_q(0.9).min() == -0.2 and noisy.spread[:, 1:].min() == 1 == noisy.spread.max()
    assert not noisy.spread[:, 0].any() and noisy.worth(np.ones(5, int)) == pytest.approx(-0.2 * 3)
    assert probes.Gamble().optimal_q(0.9)[0].tolist() == [0.1, 0] and probes.Gamble().spread.sum() == 3
    assert lottery.optimal_q(0.9) == pytest.approx(np.array([[0.15, 0.1]]))
    assert lottery.spread == pytest.approx(np.array([[0, 0.3]]))  # the root of 0.1 * 0.9


@pytest.mark.parametrize("world", WORLDS)
def test_it_goes_on_from_a_saved_state_bit_for_bit(world):
    a, b = (envs.make(f"{world.__name__}-v0", 4) for _ in range(2))
    a.reset(seed=3), b.reset(seed=8)
    ones = np.ones(4, int)
    for _ in range(3):
        a.step(ones)
    envs.set_state(b, envs.get_state(a))
    for _ in range(30):
        assert all(np.array_equal(x, y) for x, y in zip(a.step(ones)[:4], b.step(ones)[:4], strict=True))
    with pytest.raises(ValueError, match="4 copies does not fit 3"):
        world(3).set_state(a.get_state())


def test_tables_that_make_no_world_are_refused():
    table = np.array([[1, 2], [2, 2]])
    probes.TabularEnv(1, table, np.zeros((2, 2)))
    with pytest.raises(ValueError, match="later state"):
        probes.TabularEnv(1, np.array([[0, 2], [2, 2]]), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="later state"):
        probes.TabularEnv(1, np.array([[1, 3], [2, 2]]), np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"tables must be \(2, 2\), not \(2, 2\) and \(2, 3\)"):
        probes.TabularEnv(1, table, np.zeros((2, 2)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"tables must be \(2, 2\)"):
        probes.TabularEnv(1, table, np.zeros((2, 3)))
