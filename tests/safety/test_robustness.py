"""Changed carts, attacks within their box, ensembles that disagree, alarms at a given rate."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from rlworkshop import envs, nets
from rlworkshop.algorithms import vpg
from rlworkshop.safety import robustness as rb

SIZE = np.array([0.2, 0.1, 0.05, 0.3])
BOX = gym.spaces.Box(-np.inf, np.inf, (4,), np.float32)


def an_agent(seed: int = 0, norm: envs.ObsNorm | None = None) -> vpg.Agent:
    """A policy with random weights large enough to have opinions."""
    policy = vpg.make_policy(BOX, gym.spaces.Discrete(2), (16, 16), nets.generator(seed))
    with torch.no_grad():
        policy.net[-1].weight *= 100
    return vpg.Agent(policy, norm, BOX, gym.spaces.Discrete(2))


def uneven() -> envs.ObsNorm:
    """A normaliser whose components have quite different scales."""
    norm = envs.ObsNorm((4,))
    norm.update(np.random.default_rng(0).normal([1, 0, 0, -2], [3, 1, 0.2, 0.5], (500, 4)))
    return norm


def some_obs(n: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.5, (n, 4)).astype(np.float32)


def logits(agent: vpg.Agent, obs: np.ndarray) -> np.ndarray:
    return agent.policy.forward_numpy(agent.see(obs))


# ---------------------------------------------------------------- changed worlds


def test_unchanged_carts_are_those_of_gymnasium():
    ours, theirs = rb.Carts(5), gym.make_vec("CartPole-v1", 5, vectorization_mode="vector_entry_point")
    same = ours.reset(seed=3)[0], theirs.reset(seed=3)[0]
    assert np.array_equal(*same)
    for t in range(120):  # past the first falls and resets
        action = np.full(5, t % 3 == 0, int)
        mine, other = ours.step(action), theirs.step(action)
        assert all(np.array_equal(a, b) for a, b in zip(mine[:4], other[:4], strict=True))


def test_one_cart_is_a_valid_environment():
    check_env(
        gym.make("ShiftedCart-v0", length=1.0, disable_env_checker=True).unwrapped, skip_render_check=True
    )


def test_each_cart_has_its_own_physics():
    carts = rb.Carts(3, masscart=np.array([1.0, 3.0, 1.0]), length=np.array([0.5, 0.5, 2.0]))
    assert np.allclose(carts.total_mass, [1.1, 3.1, 1.1])
    assert np.allclose(carts.polemass_length, [0.05, 0.05, 0.2])
    carts.reset(seed=0)
    carts.state = np.zeros((4, 3))
    obs = carts.step(np.ones(3, int))[0]
    light, heavy, long = np.abs(obs[:, 1])
    assert heavy < light / 2
    # at rest and upright: the pole's acceleration is -F / (M l (4/3 - m/M)), with Gymnasium's half length l
    expected = -0.02 * 10 / carts.total_mass / (carts.length * (4 / 3 - 0.1 / carts.total_mass))
    assert np.allclose(obs[:, 3], expected, rtol=1e-5)


def test_a_biased_sensor_does_not_move_the_cart():
    true, biased = rb.Carts(2), rb.Carts(2, bias=[0.1, 0, -0.2, 0])
    assert np.allclose(biased.reset(seed=1)[0] - true.reset(seed=1)[0], [0.1, 0, -0.2, 0])
    for _ in range(30):
        a, b = true.step(np.array([0, 1]))[0], biased.step(np.array([0, 1]))[0]
    assert np.allclose(b - a, [0.1, 0, -0.2, 0], atol=1e-6)


def test_unknown_and_impossible_physics_are_refused():
    with pytest.raises(ValueError, match=r"no colour: choose from length"):
        rb.Carts(1, colour=1)
    with pytest.raises(ValueError, match="length lies above 0"):
        rb.Carts(2, length=np.array([1.0, 0.0]))


def test_a_record_has_one_episode_each_and_what_was_shown():
    record = rb.play(lambda obs: np.array([0, 1, 1]), rb.Carts(3), 0, lambda obs: obs + 7)
    T = len(record.actions)
    assert record.true.shape == (T + 1, 3, 4) and record.seen.shape == (T, 3, 4)
    assert np.allclose(record.seen, record.true[:-1] + 7)
    assert record.fell.all() and record.lengths.max() == T and (record.lengths < 15).all()
    assert (np.diff(record.alive.astype(int), axis=0) <= 0).all()  # nobody gets up again
    short = rb.play(lambda obs: np.zeros(2, int), rb.Carts(2, max_episode_steps=5), 0)
    assert not short.fell.any() and (short.lengths == 5).all()


# ---------------------------------------------------------------- attacks


def test_the_step_on_a_linear_policy_is_the_one_by_hand():
    policy = an_agent().policy
    policy.net = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with torch.no_grad():
        policy.net[0].weight[:] = torch.tensor([[0.0, 0.0], [3.0, 1.0]])
        policy.net[0].bias[:] = 0
    agent = vpg.Agent(policy, None, BOX, gym.spaces.Discrete(2))
    obs = np.array([[0.10, -0.10]])
    assert np.allclose(rb.fgsm(agent, obs, 0.08), [[0.02, -0.18]])
    assert np.allclose(rb.fgsm(agent, obs, 0.08, np.array([0])), [[0.02, -0.18]])
    assert np.allclose(rb.fgsm(agent, obs, 0.08, np.array([1])), [[0.18, -0.02]])


@pytest.mark.parametrize("norm", [None, uneven()])
def test_gradients_are_those_of_finite_differences(norm):
    agent, obs, target = an_agent(norm=norm), some_obs(6), np.array([0, 1, 0, 1, 1, 0])

    def loss(x):
        z = logits(agent, x).astype(float)
        return -(np.log(np.exp(z).sum(axis=1)) - z[np.arange(6), target])

    for i in range(4):
        step = 1e-2 * np.eye(4)[i]
        numeric = (loss(obs + step) - loss(obs - step)) / 2e-2
        assert np.allclose(rb.gradient(agent, obs, target)[:, i], numeric, atol=0.02, rtol=0.05)


@pytest.mark.parametrize("norm", [None, uneven()])
def test_the_attack_lowers_the_preferred_action_and_raises_the_target(norm):
    agent, obs = an_agent(norm=norm), some_obs(200)
    before = logits(agent, obs)
    rows, preferred = np.arange(200), before.argmax(axis=1)
    small = SIZE / 50
    after = logits(agent, rb.fgsm(agent, obs, small))
    margin = (before[rows, preferred] - before[rows, 1 - preferred]) - (
        after[rows, preferred] - after[rows, 1 - preferred]
    )
    assert (margin > -1e-4).mean() > 0.98
    to_one = logits(agent, rb.fgsm(agent, obs, small, np.ones(200, int)))
    assert ((to_one - before) @ [-1, 1] > -1e-4).mean() > 0.98


@given(st.integers(0, 10_000), st.floats(0.01, 2))
@settings(max_examples=15, deadline=None)
def test_attacks_and_noise_stay_in_the_box(seed, size):
    agent, obs = an_agent(seed % 5), some_obs(20, seed)
    moved = {
        "fgsm": rb.fgsm(agent, obs, size * SIZE),
        "pgd": rb.pgd(agent, obs, size * SIZE, np.zeros(20, int)),
        "noise": rb.random_signs(obs, size * SIZE, np.random.default_rng(seed)),
    }
    for name, there in moved.items():
        assert there.dtype == np.float32
        assert (np.abs(there - obs) <= size * SIZE + 1e-5).all()
        if name != "pgd":
            assert np.allclose(np.abs(there - obs), size * SIZE, atol=1e-5)


def test_smaller_steps_find_what_is_at_least_as_bad():
    agent, obs, target = an_agent(), some_obs(300), np.ones(300, int)
    once, often = rb.fgsm(agent, obs, 5 * SIZE, target), rb.pgd(agent, obs, 5 * SIZE, target, steps=8)
    lift = [(logits(agent, x) @ [-1, 1]).mean() for x in (obs, once, often)]
    assert lift[0] < lift[1] <= lift[2] + 1e-3


def test_noise_has_both_signs_in_every_component():
    moved = rb.random_signs(np.zeros((500, 4), np.float32), SIZE, np.random.default_rng(0))
    assert np.abs((moved > 0).mean(axis=0) - 0.5).max() < 0.1
    assert np.abs(np.corrcoef(moved.T) - np.eye(4)).max() < 0.15


def test_the_worst_push_brings_a_leaning_pole_down_sooner():
    lengths = []
    for push in (rb.worst_push, lambda obs: 1 - rb.worst_push(obs)):
        lengths.append(rb.play(push, rb.Carts(20), 0).lengths.mean())
    assert lengths[0] < 15 < 60 < lengths[1]
    assert list(rb.worst_push(np.array([[0, 0, -0.1, 0], [0, 0, 0.1, 0], [0, 0, 0.01, -1]]))) == [1, 0, 1]


# ---------------------------------------------------------------- ensembles


def drift(n: int, low: float, high: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Transitions of a small linear world, two numbers each."""
    rng = np.random.default_rng(seed)
    obs, actions = rng.uniform(low, high, (n, 2)), rng.integers(2, size=n)
    after = obs + 0.1 * obs[:, ::-1] + np.outer(2 * actions - 1, [0.0, 0.2]) + 0.01 * rng.normal(size=(n, 2))
    return obs, actions, after


@pytest.fixture(scope="module")
def model() -> rb.Ensemble:
    return rb.Ensemble(*drift(1000, -1, 1, 0), seeds=[1, 2, 3], steps=150, hidden=16)


def test_members_learn_the_world_and_differ_most_where_they_have_not_been(model):
    near, far = drift(200, -1, 1, 1), drift(200, 3, 4, 2)
    assert model.predict(*near[:2]).shape == (3, 200, 2)
    assert (model.error < 0.05).all()
    unsure = [model.disagreement(*x[:2]).mean() for x in (near, far)]
    assert 0 < unsure[0] < 1.5 and unsure[1] > 5 * unsure[0]
    assert 0.5 < model.surprise(*near).mean() < 1.5


def test_a_changed_answer_to_a_familiar_question_surprises_and_divides_nobody(model):
    obs, actions, after = drift(200, -1, 1, 3)
    changed = after + [0.0, 0.5]
    off = np.sqrt((((model.predict(obs, actions).mean(axis=0) - changed) / model.error) ** 2).mean(axis=1))
    assert np.allclose(model.surprise(obs, actions, changed), off)
    assert model.surprise(obs, actions, changed).mean() > 5 * model.surprise(obs, actions, after).mean()


def test_disagreement_is_the_spread_in_units_of_the_error(model):
    obs, actions, _ = drift(7, -1, 1, 4)
    spread = model.predict(obs, actions).std(axis=0) / model.error
    assert np.allclose(model.disagreement(obs, actions), np.sqrt((spread**2).mean(axis=1)))
    assert (spread > 0).all()


def test_twins_are_refused():
    data = drift(50, -1, 1, 0)
    for seeds in ([1], [1, 1], [1, 2, 1]):
        with pytest.raises(ValueError, match="all different"):
            rb.Ensemble(*data, seeds=seeds)


class Echo:
    """A model that expects what it sees, and a policy that tells what it was shown."""

    error = np.ones(4)

    def predict(self, obs, actions):
        return np.stack([obs + 1, obs - 1 + 0.2])

    def act(self, obs):
        self.shown = obs
        return np.zeros(len(obs), int)


def test_an_observer_goes_a_part_of_the_way_to_its_sensors():
    echo = Echo()
    observer = rb.Observer(echo, echo, 0.25)
    observer.act(np.full((2, 4), 1.0))
    assert np.allclose(echo.shown, 1.0)  # at first there is nothing to expect
    observer.act(np.full((2, 4), 5.0))
    assert np.allclose(echo.shown, 1.1 + 0.25 * (5.0 - 1.1))
    observer.act(np.full((2, 4), 5.0))
    assert np.allclose(echo.shown, 2.175 + 0.25 * (5.0 - 2.175))  # from the estimate, not from the sensors


def test_smoothing_without_noise_changes_nothing():
    agent, obs = an_agent(norm=uneven()), some_obs(100)
    still = rb.Smoothed(agent, np.zeros(4), np.random.default_rng(0))
    assert np.array_equal(still.act(obs), agent.act(obs))


class Cliff:
    """A policy that is a little for 0 where the first number is below 1/2, and very much for 1 above."""

    policy = property(lambda self: self)

    def see(self, obs):
        return obs

    def forward_numpy(self, x):
        return np.stack([np.zeros(x.shape[:-1]), np.where(x[..., 0] > 0.5, 50.0, -2.0)], axis=-1)


def test_smoothing_averages_probabilities_over_noise_of_the_given_width():
    rng = np.random.default_rng(0)
    act = rb.Smoothed(Cliff(), np.array([1.0, 0, 0, 0]), rng, copies=400).act
    # of all copies 31 % are above the cliff: 0.31 + 0.69 * 0.12 is less than a half, the mean logit is not
    assert list(act(np.zeros((3, 4)))) == [0, 0, 0]
    assert list(act(np.full((3, 4), 0.45))) == [1, 1, 1]
    assert list(rb.Smoothed(Cliff(), np.array([0.01, 9, 9, 9]), rng).act(np.full((1, 4), 0.45))) == [0]


# ---------------------------------------------------------------- alarms


def test_peaks_are_the_largest_mean_over_successive_steps_while_the_episode_lasts():
    signal = np.array([[0, 0], [3, 0], [3, 9], [3, 9], [0, 9], [90, 0.0]])
    alive = np.array([[1, 1], [1, 1], [1, 1], [1, 1], [1, 1], [0, 1]], bool)
    assert np.allclose(rb.peaks(signal, alive, window=3), [3, 9])
    assert np.allclose(rb.peaks(signal, alive, window=3, margin=2), [2, 6])
    assert np.allclose(rb.peaks(signal, alive, window=7), [0, 0])  # too short an episode has no score


def test_watch_asks_the_ensemble_about_what_was_shown():
    record = rb.play(lambda obs: np.zeros(3, int), rb.Carts(3), 0, lambda obs: obs + 0.3)
    unsure, surprised = rb.watch(_Told(), record)
    assert np.allclose(unsure, 0.5)
    step = np.abs(np.diff(record.seen, axis=0)).mean(axis=2)
    assert np.allclose(surprised, rb.peaks(step, record.alive[1:]))
    assert surprised.max() > 0


class _Told:
    def disagreement(self, obs, actions):
        return np.full(len(obs), 0.5)

    def surprise(self, obs, actions, after):
        return np.abs(after - obs).mean(axis=1)


def test_votes_count_those_who_would_have_done_something_else():
    record = rb.play(lambda obs: np.array([0, 1]), rb.Carts(2), 0)
    always = [type("P", (), {"act": lambda self, obs, a=a: np.full(len(obs), a)})() for a in (0, 0, 1, 0)]
    assert np.allclose(rb.votes(always, record), [0.25, 0.75])


@pytest.mark.parametrize(("n", "rate", "k"), [(19, 0.05, 19), (99, 0.05, 95), (9, 0.5, 5), (39, 0.05, 38)])
def test_the_threshold_is_a_score_of_the_calibration(n, rate, k):
    shuffled = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    assert rb.threshold(shuffled, rate) == k


def test_with_too_few_episodes_no_level_is_safe():
    assert rb.threshold(np.arange(18), 0.05) == np.inf
    for rate in (0, 1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            rb.threshold(np.arange(5), rate)
    with pytest.raises(ValueError, match="scores"):
        rb.threshold(np.array([]), 0.1)


def test_fresh_scores_exceed_the_threshold_as_seldom_as_promised():
    rng = np.random.default_rng(0)
    above = [rng.exponential() > rb.threshold(rng.exponential(size=29), 0.1) for _ in range(4000)]
    assert abs(np.mean(above) - 0.1) < 0.02


def test_risk_and_coverage_by_hand():
    coverage, risk = rb.selective_risk(np.array([0.1, 0.9, 0.4, 0.5]), np.array([False, True, True, False]))
    assert np.allclose(coverage, [0.25, 0.5, 0.75, 1])
    assert np.allclose(risk, [0, 0.5, 1 / 3, 0.5])


def test_the_area_counts_pairs():
    assert rb.auc(np.array([1, 2, 3, 4.0]), np.array([0, 0, 1, 1])) == 1
    assert rb.auc(np.array([1, 1, 1.0]), np.array([0, 1, 1])) == 0.5
    assert np.isnan(rb.auc(np.arange(3), np.ones(3))) and np.isnan(rb.auc(np.arange(3), np.zeros(3)))
