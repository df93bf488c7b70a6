"""True values against Gymnasium's own pendulum, and audits that leave a training alone."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest

from rlworkshop import true_values
from rlworkshop.algorithms import ddpg, td3

SMALL = ddpg.Config(
    num_envs=3, total_steps=600, hidden=(8,), batch_size=16, learning_starts=100, train_freq=20,
    gradient_steps=2,
)  # fmt: skip
TWINS = td3.Config(**dataclasses.asdict(SMALL))


def some(rng, B):
    """Observations (B, 3) and torques (B, 1), some of them out of range."""
    angle, speed = rng.uniform(-4, 4, B), rng.uniform(-8, 8, B)
    return np.stack([np.cos(angle), np.sin(angle), speed], axis=1), rng.uniform(-3, 3, (B, 1))


def gymnasium_from(obs):
    env = gym.make("Pendulum-v1").unwrapped
    env.reset(seed=0)
    env.state = np.array([np.arctan2(obs[1], obs[0]), obs[2]])
    return env


def test_a_step_is_that_of_gymnasium():
    obs, torque = some(np.random.default_rng(0), 50)
    next_obs, reward = true_values.pendulum_step(obs, torque)
    for i in range(50):
        wanted, paid, *_ = gymnasium_from(obs[i]).step(torque[i])
        assert np.allclose(next_obs[i], wanted, atol=1e-5) and reward[i] == pytest.approx(paid)


def test_a_true_value_is_the_discounted_return_of_the_action_and_then_the_policy():
    def act(obs):
        return -obs[:, 1:2] - 0.3 * obs[:, 2:]

    obs, torque = some(np.random.default_rng(1), 4)
    found = true_values.true_values(act, obs, torque, 0.9, horizon=12)
    for i in range(4):
        env, action, total = gymnasium_from(obs[i]), torque[i], 0.0
        for step in range(12):
            seen, reward, *_ = env.step(action)
            total, action = total + 0.9**step * reward, act(seen[None])[0]
        assert found[i] == pytest.approx(total, rel=1e-4)


def test_what_lies_behind_the_horizon_counts_next_to_nothing():
    worst = 16.3 * 0.99**true_values.HORIZON / (1 - 0.99)
    assert worst < 5  # of 1,630, were every step the worst there is


@pytest.mark.parametrize("algorithm, config, twins", [(ddpg, SMALL, 1), (td3, TWINS, 2)])
def test_audits_leave_a_training_alone_and_say_what_its_critic_believes(algorithm, config, twins):
    plain = algorithm.train(config, 3)
    run = true_values.watched(config, 3, by=algorithm.train, every=200)
    for name, values in plain.metrics.items():
        assert np.array_equal(values, run.metrics[name])
    m = run.metrics
    assert (np.diff(m["audit_step"]) >= 180).all() and len(m["audit_step"]) == 2
    assert (m["collected"] < 0).all() and not np.array_equal(m["believed"], m["believed_any"])
    assert (m["apart"] > 0).all() == (twins == 2)
    assert all((np.abs(m[name]) < 1).all() and m[name].any() for name in ("tells", "tells_any"))
    critic = true_values.load_critic(run, ddpg.Critic if twins == 1 else td3.TwinCritic)
    obs, action = np.zeros((5, 3)), np.linspace(-1, 1, 5)[:, None]
    q = true_values.q_of(critic, obs, action)
    assert q.shape == ((5,) if twins == 1 else (2, 5)) and np.ptp(q) > 0


def test_an_audit_finds_a_critic_that_says_too_much_by_just_that():
    def enthusiast(learner, *given):
        found = ddpg.update(learner, *given)
        learner.critic.net[-1].weight.data.zero_()
        learner.critic.net[-1].bias.data.fill_(7)
        return found

    run = true_values.watched(SMALL, 0, by=ddpg.train, every=200, update=enthusiast)
    assert (run.metrics["believed"] == 7).all() and (run.metrics["believed_any"] == 7).all()
    assert not run.metrics["tells"].any() and not run.metrics["spread"].any()


def test_correlation_is_that_of_numpy_and_0_where_nothing_varies():
    x, y = np.random.default_rng(0).normal(size=(2, 30))
    assert true_values.correlation(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert true_values.correlation(3 * x, 1 - x) == pytest.approx(-1)
    assert true_values.correlation(x, np.full(30, 2.0)) == 0


def test_true_values_are_known_of_one_pendulum_alone():
    with pytest.raises(ValueError, match="true values are known on Pendulum-v1"):
        true_values.watched(dataclasses.replace(SMALL, env_id="MountainCarContinuous-v0"), 0, by=ddpg.train)


def worthless(algorithm, target, updates=24, **more):
    parts = {"make_learner": algorithm.make_learner, "update": algorithm.update, "target": target}
    config = algorithm.Config(hidden=(8,), batch_size=16)
    return true_values.nothing_matters(config, 3, rows=500, updates=updates, **parts, **more)


def test_where_nothing_matters_all_is_noise_with_mean_0():
    seen = []

    def look(learner, replay, config, rng, target):
        seen.append(
            (replay[np.arange(replay.size)], [p.detach().clone() for p in learner.agent.actor.parameters()])
        )
        return ddpg.update(learner, replay, config, rng, target)

    parts = {"make_learner": ddpg.make_learner, "target": ddpg.ddpg_target}
    for climb in (True, False):
        seen.clear()
        true_values.nothing_matters(ddpg.Config(), 0, update=look, updates=12, climb=climb, **parts)
        (kept, first), (_, last) = seen[0], seen[-1]
        assert all((a == b).all() for a, b in zip(first, last, strict=True)) == (not climb)
    assert kept.action.shape == (2000, 4) and (kept.discount == np.float32(0.99)).all()
    assert abs(kept.reward.mean()) < 1e-6 and kept.reward.std() == pytest.approx(1, abs=0.05)
    assert abs(kept.action.mean()) < 0.02 and kept.action.std() == pytest.approx(3**-0.5, abs=0.02)
    assert abs(np.corrcoef(kept.obs[:, 0], kept.next_obs[:, 0])[0, 1]) < 0.07


@pytest.mark.parametrize("algorithm, target", [(ddpg, ddpg.ddpg_target), (td3, td3.td3_target)])
def test_what_is_believed_there_is_looked_up_twelve_times_and_the_same_each_time(algorithm, target):
    runs = [worthless(algorithm, target) for _ in range(2)]
    m = runs[0].metrics
    assert m["update"].tolist() == list(range(2, 25, 2)) and m["believed"].shape == (12,)
    assert not np.array_equal(m["believed"], m["believed_any"])
    assert all(np.array_equal(value, runs[1].metrics[name]) for name, value in m.items())
    assert (m["alike"] > 1 - 1e-9).all() == (algorithm is ddpg)
    still = worthless(algorithm, target, climb=False).metrics
    assert not np.array_equal(still["believed"], m["believed"])
