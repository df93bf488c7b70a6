"""Vanilla policy gradient: every named function against an independent reference, then the whole."""

import dataclasses
import inspect
import itertools
import math

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlworkshop import envs, nets, runs
from rlworkshop.algorithms import vpg
from rlworkshop.runs import run as run_files

SMALL = vpg.Config(num_envs=4, num_steps=32, total_steps=1500, hidden=(8,), value_steps=2)


# ---------------------------------------------------------------- GAE


def random_rows(rng, T=60, N=4):
    """Rows as NEXT_STEP lays them out, and the episodes in them as (column, first row, last row, ending)."""
    rewards, values = rng.normal(size=(T, N)), rng.normal(size=(T + 1, N))
    terminated, truncated = np.zeros((T, N), bool), np.zeros((T, N), bool)
    valid, episodes = np.ones((T, N), bool), []
    for i in range(N):
        t = 0
        while t < T:
            last, ending = t + int(rng.integers(1, 9)) - 1, rng.choice(["terminated", "truncated", "both"])
            if last >= T:
                episodes.append((i, t, T - 1, "unfinished"))
                break
            terminated[last, i], truncated[last, i] = ending != "truncated", ending != "terminated"
            episodes.append((i, t, last, ending))
            if last + 1 < T:  # the reset row: garbage, from which nothing may come
                valid[last + 1, i] = False
                rewards[last + 1, i] = 1e3 * rng.normal()
            t = last + 2
    return rewards, values, terminated, truncated, valid, episodes


def double_sum(rewards, values, gamma, lam, ending):
    """GAE of one episode by its definition; ``values`` has one entry more than ``rewards``."""
    values = values.copy()
    if ending in ("terminated", "both"):
        values[-1] = 0
    T = len(rewards)
    deltas = [rewards[k] + gamma * values[k + 1] - values[k] for k in range(T)]
    return np.array([sum((gamma * lam) ** (k - t) * deltas[k] for k in range(t, T)) for t in range(T)])


@pytest.mark.parametrize("seed", range(30))
def test_gae_equals_the_double_sum_episode_by_episode(seed):
    rng = np.random.default_rng(seed)
    gamma, lam = rng.uniform(0.5, 1, size=2)
    rewards, values, terminated, truncated, valid, episodes = random_rows(rng)
    found = vpg.gae(rewards, values, terminated, truncated, gamma, lam)
    assert found.shape == rewards.shape
    covered = np.zeros_like(valid)
    for i, first, last, ending in episodes:
        rows = slice(first, last + 1)
        expected = double_sum(rewards[rows, i], values[first : last + 2, i], gamma, lam, ending)
        assert np.allclose(found[rows, i], expected, rtol=1e-10, atol=1e-10), (i, first, last, ending)
        covered[rows, i] = True
    assert np.array_equal(covered, valid)  # every real row was compared
    assert {e[3] for e in episodes} >= {"terminated", "truncated"}


def test_gae_limits_are_the_td_error_and_the_return():
    rewards, values = np.array([[1.0], [2.0], [4.0]]), np.array([[10.0], [20.0], [30.0], [40.0]])
    no, end = np.zeros((3, 1), bool), np.array([[False], [False], [True]])
    assert vpg.gae(rewards, values, no, no, 0.5, 0.0)[:, 0].tolist() == [1.0, -3.0, -6.0]
    assert vpg.gae(rewards, values, end, no, 0.5, 1.0)[:, 0].tolist() == [3 - 10, 4 - 20, 4 - 30]
    assert vpg.gae(rewards, values, no, end, 0.5, 1.0)[:, 0].tolist() == [8 - 10, 14 - 20, 24 - 30]


def test_a_fixed_point_of_endless_reward_is_told_from_a_terminal_one():
    # reward 1 for ever, cut every 8 steps: with V = 1/(1-gamma) there is no surprise anywhere
    gamma, T = 0.9, 24
    rewards, values = np.ones((T, 1)), np.full((T + 1, 1), 1 / (1 - gamma))
    cut, no = (np.arange(T) % 9 == 7)[:, None], np.zeros((T, 1), bool)
    rows = np.arange(T) % 9 != 8
    assert np.allclose(vpg.gae(rewards, values, no, cut, gamma, 0.95)[rows], 0)
    assert (vpg.gae(rewards, values, cut, no, gamma, 0.95)[7::9] < -8).all()


def test_gae_takes_endings_as_numbers_and_a_batch_of_one_row():
    rng = np.random.default_rng(5)
    rewards, values, terminated, truncated, *_ = random_rows(rng)
    wanted = vpg.gae(rewards, values, terminated, truncated, 0.9, 0.8)
    numbers = (flags.astype(np.uint8) for flags in (terminated, truncated))  # ~1 is 254, and not 0
    assert np.array_equal(vpg.gae(rewards, values, *numbers, 0.9, 0.8), wanted)
    no = np.zeros((1, 2), bool)
    row = vpg.gae(np.ones((1, 2)), np.array([[4.0, 0.0], [2.0, 6.0]]), no, no, 0.5, 0.8)
    assert row.tolist() == [[-2.0, 4.0]]


# ---------------------------------------------------------------- losses and distributions


def test_policy_loss_gradient_is_minus_the_estimator():
    # by hand: d/dtheta of -(1/B) sum log softmax(theta)[a] A
    theta = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    actions, advantages = torch.tensor([0, 2, 2, 1]), torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    vpg.policy_loss(torch.log_softmax(theta, 0)[actions], advantages).backward()
    onehot, p = torch.eye(3, dtype=torch.float64)[actions], torch.softmax(theta.detach(), 0)
    expected = -((onehot - p) * advantages[:, None]).mean(0)
    assert torch.allclose(theta.grad, expected, atol=1e-12)


@pytest.mark.parametrize("kind", ["categorical", "gaussian"])
def test_policy_loss_gradient_against_finite_differences(kind):
    generator = torch.Generator().manual_seed(0)
    cls = {"categorical": vpg.CategoricalPolicy, "gaussian": vpg.GaussianPolicy}[kind]
    policy = cls(3, 2, (5,), generator).double()
    obs = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    actions = (
        torch.tensor([0, 1, 1, 0, 1, 0]) if kind == "categorical" else torch.randn(6, 2, generator=generator)
    )
    advantages = torch.randn(6, generator=generator, dtype=torch.float64)

    def loss():
        return vpg.policy_loss(policy.log_prob(obs, actions)[0], advantages)

    loss().backward()
    for parameter in policy.parameters():
        flat, grad = parameter.data.view(-1), parameter.grad.view(-1)
        for i in range(0, len(flat), 3):
            kept = flat[i].item()
            sides = []
            for shift in (1e-5, -1e-5):
                flat[i] = kept + shift
                sides.append(loss().item())
            flat[i] = kept
            assert grad[i].item() == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-4, abs=1e-9)


def test_policy_gradient_on_a_two_armed_bandit_equals_the_exact_one():
    # J(theta) = sum_a pi(a) r(a), so dJ/dtheta_a = pi(a) (r(a) - J); average the estimator over all actions
    theta, r = torch.tensor([0.4, -0.1], dtype=torch.float64, requires_grad=True), torch.tensor([1.0, 3.0])
    pi = torch.softmax(theta.detach(), 0)
    grads = []
    for action in (0, 1):
        (grad,) = torch.autograd.grad(
            vpg.policy_loss(torch.log_softmax(theta, 0)[[action]], r[[action]]), theta
        )
        grads.append(-grad)
    assert torch.allclose(pi[0] * grads[0] + pi[1] * grads[1], pi * (r - pi @ r.double()), atol=1e-12)


def test_log_probs_and_entropies_are_those_of_torch():
    generator = torch.Generator().manual_seed(1)
    obs = torch.randn(9, 3, generator=generator)
    discrete = vpg.CategoricalPolicy(3, 4, (8,), generator)
    actions = torch.arange(9) % 4
    reference = torch.distributions.Categorical(logits=discrete.net(obs))
    logp, entropy = discrete.log_prob(obs, actions)
    assert torch.allclose(logp, reference.log_prob(actions), atol=1e-6)
    assert torch.allclose(entropy, reference.entropy(), atol=1e-6)
    box = vpg.GaussianPolicy(3, 2, (8,), generator)
    box.log_std.data = torch.tensor([-1.0, 0.7])
    actions = torch.randn(9, 2, generator=generator)
    reference = torch.distributions.Normal(box.net(obs), box.log_std.exp())
    logp, entropy = box.log_prob(obs, actions)
    assert torch.allclose(logp, reference.log_prob(actions).sum(1), atol=1e-5)
    assert torch.allclose(entropy, reference.entropy().sum(1), atol=1e-5)


def test_samples_follow_the_distribution():
    generator, rng = torch.Generator().manual_seed(2), np.random.default_rng(0)
    obs = np.tile(np.float32([[0.5, -1.0]]), (40_000, 1))
    discrete = vpg.CategoricalPolicy(2, 3, (), generator)
    discrete.net[0].weight.data *= 100
    share = np.bincount(discrete.sample(obs, rng), minlength=3) / len(obs)
    expected = torch.softmax(discrete.net(torch.from_numpy(obs[:1])), 1)[0].detach().numpy()
    assert np.abs(share - expected).max() < 0.012 and np.ptp(expected) > 0.1  # 5 standard deviations
    assert discrete.mode(obs[:1])[0] == expected.argmax()
    box = vpg.GaussianPolicy(2, 2, (), generator)
    box.log_std.data = torch.tensor([-1.0, 0.7])
    actions = box.sample(obs, rng)
    assert np.allclose(actions.mean(0), box.mode(obs[:1])[0], atol=0.05)
    assert np.allclose(actions.std(0), np.exp([-1.0, 0.7]), rtol=0.02)


def test_at_first_every_action_is_tried():
    """The last layer is a hundredth of what it would be: all actions are about equally likely, or near 0."""
    obs = np.random.default_rng(0).normal(size=(20_000, 3)).astype(np.float32)
    for cls in (vpg.CategoricalPolicy, vpg.GaussianPolicy):
        policy = cls(3, 4, (8,), torch.Generator().manual_seed(3))
        plain = nets.mlp([3, 8, 4], torch.Generator().manual_seed(3))
        assert torch.allclose(policy.net[-1].weight, plain[-1].weight / 100)
    inside = np.abs(policy.sample(obs, np.random.default_rng(0))) < 1
    assert inside.mean() == pytest.approx(math.erf(np.exp(0.5) / 2**0.5), abs=0.01)  # 9 of 10 within ±1


def test_normalize():
    out = vpg.normalize(torch.tensor([1.0, 2.0, 6.0]))
    assert out.mean().abs() < 1e-6 and out.std() == pytest.approx(1, abs=1e-6)
    assert vpg.normalize(torch.tensor([3.0])).tolist() == [3.0]  # one alone has no deviation
    assert vpg.normalize(torch.full((4,), 7.0)).tolist() == [0.0] * 4
    assert vpg.normalize(torch.tensor([1.0, 3.0])).tolist() == pytest.approx([-(0.5**0.5), 0.5**0.5])
    rounding = vpg.normalize(torch.tensor([0.0, 1e-9]))  # all but equal: not blown up, nor turned round
    assert -0.1 < rounding[0] < 0 < rounding[1] < 0.1


def test_value_loss():
    assert vpg.value_loss(torch.tensor([1.0, 2.0]), torch.tensor([4.0, 2.0])).item() == 4.5


# ---------------------------------------------------------------- batches and updates


def learner_and_batch(seed=0, env_id="CartPole-v1", config=SMALL):
    config = dataclasses.replace(config, env_id=env_id)
    env = envs.make(env_id, config.num_envs)
    learner = vpg.make_learner(env, config, torch.Generator().manual_seed(seed))
    obs, episodes = envs.reset(env, seed), envs.Episodes(config.num_envs)
    batch = vpg.collect(env, learner.agent, obs, episodes, np.random.default_rng(seed), config.num_steps)
    return config, learner, batch, episodes


def test_collect_marks_reset_rows_and_counts_the_others():
    _, _, batch, episodes = learner_and_batch(config=dataclasses.replace(SMALL, num_steps=100))
    over = batch.terminated | batch.truncated
    assert np.array_equal(~batch.valid[1:], over[:-1]) and batch.valid[0].all()
    assert episodes.steps == batch.valid.sum() < batch.valid.size
    # the row after an ending starts from the true last observation, out of bounds; the next from a fresh one
    t, i = np.argwhere(over[:-1])[0]
    assert abs(batch.obs[t + 1, i, 2]) > 0.2 or abs(batch.obs[t + 1, i, 0]) > 2.4
    assert (np.abs(batch.obs[t + 2, i]) <= 0.05).all()


def test_collect_begins_where_it_is_told_to():
    env = envs.make("CartPole-v1", SMALL.num_envs)
    agent = vpg.make_learner(env, SMALL, torch.Generator().manual_seed(0)).agent
    obs, rng = envs.reset(env, 0), np.random.default_rng(0)
    batch = vpg.collect(env, agent, obs, envs.Episodes(SMALL.num_envs), rng, 3)
    assert np.array_equal(batch.obs[0], obs) and (np.abs(batch.obs[1] - obs).max(axis=1) > 0).all()


def test_collect_stores_actions_as_they_were_drawn():
    _, learner, _, _ = learner_and_batch(env_id="Pendulum-v1")
    learner.agent.policy.log_std.data += 3
    env = envs.make("Pendulum-v1", 2)
    obs, _ = env.reset(seed=0)
    batch = vpg.collect(env, learner.agent, obs, envs.Episodes(2), np.random.default_rng(0), 20)
    assert np.abs(batch.actions).max() > 2.5  # beyond the box of ±2, where the log-probability belongs


def test_nothing_in_a_reset_row_changes_an_update():
    outcomes = []
    for garbage in (False, True):
        config, learner, batch, _ = learner_and_batch(config=dataclasses.replace(SMALL, num_steps=100))
        assert (~batch.valid).sum() > 3
        if garbage:
            batch.rewards[~batch.valid] = 1e3
            batch.actions[~batch.valid] ^= 1
        diagnostics = vpg.update(learner, batch, config, 0.01)
        outcomes.append((diagnostics, nets.get_state(learner)))
    assert outcomes[0][0] == outcomes[1][0]
    x, y = {}, {}
    assert run_files._pack(outcomes[0][1], x) == run_files._pack(outcomes[1][1], y)
    assert x and all(np.array_equal(x[k], y[k]) for k in x)


def test_the_normaliser_learns_from_real_rows_and_only_after_the_batch():
    config, learner, batch, _ = learner_and_batch(config=dataclasses.replace(SMALL, num_steps=100))
    assert learner.agent.norm.count == 0
    vpg.update(learner, batch, config, 0.01)
    real = batch.obs[:-1][batch.valid]
    assert learner.agent.norm.count == len(real) == batch.valid.sum()
    assert np.allclose(learner.agent.norm.mean, real.mean(0), atol=1e-6)


def test_one_policy_step_whose_direction_raises_good_actions():
    config, learner, batch, _ = learner_and_batch()
    good = (batch.actions == 1).astype(np.float32)  # an estimator that likes action 1

    def likes_one(rewards, values, terminated, truncated, gamma, lam):
        return good

    before = [p.detach().clone() for p in learner.agent.policy.parameters()]
    seen = torch.from_numpy(learner.agent.see(batch.obs[:-1].reshape(-1, 4)))
    ones = torch.ones(len(seen), dtype=torch.int64)
    p0 = learner.agent.policy.log_prob(seen, ones)[0].mean().item()
    vpg.update(learner, batch, config, 0.01, likes_one)
    assert learner.agent.policy.log_prob(seen, ones)[0].mean().item() > p0
    pairs = zip(before, learner.agent.policy.parameters(), strict=True)
    step = max((a - b).abs().max().item() for a, b in pairs)
    assert step == pytest.approx(0.01, rel=0.01)  # Adam's first step is as long as the learning rate


def test_the_explained_variance_is_that_of_its_definition():
    config, learner, batch, _ = learner_and_batch(config=dataclasses.replace(SMALL, num_steps=100))
    rng, found = np.random.default_rng(0), []
    for scale in (0.0, 0.3, 3.0):
        estimates, seen = (scale * rng.normal(size=batch.rewards.shape)).astype(np.float32), []

        def estimator(rewards, values, *rest, estimates=estimates, seen=seen):
            seen.append(values[:-1])
            return estimates

        found.append(vpg.update(learner, batch, config, 0.01, estimator)["explained_variance"])
        values = seen[0][batch.valid].astype(float)
        returns = values + estimates[batch.valid]
        assert found[-1] == pytest.approx(1 - np.var(returns - values) / np.var(returns), abs=1e-3)
    assert found[0] == 1 > found[1] > found[2]  # values that hit every return explain it all


def test_the_explained_variance_of_returns_that_are_all_the_same_is_a_number():
    config, learner, batch, _ = learner_and_batch()
    found = vpg.update(learner, batch, config, 0.01, lambda rewards, values, *rest: 5 - values[:-1])
    assert -1e9 < found["explained_variance"] < 0


def test_the_numbers_of_an_update_are_those_of_the_agent_before_it():
    config, learner, batch, _ = learner_and_batch(
        config=dataclasses.replace(SMALL, num_steps=100, value_steps=1)
    )
    estimates = np.random.default_rng(0).normal(size=batch.rewards.shape).astype(np.float32)
    seen = torch.from_numpy(learner.agent.see(batch.obs[:-1][batch.valid]))
    actions = torch.from_numpy(batch.actions[batch.valid])
    logp = learner.agent.policy.log_prob(seen, actions)[0].detach().numpy()
    found = vpg.update(learner, batch, config, 0.01, lambda *rest: estimates)
    real = estimates[batch.valid]
    assert found["value_loss"] == pytest.approx((real**2).mean(), rel=1e-4)  # returns - values: the estimates
    good = (real - real.mean()) / real.std(ddof=1)
    assert found["policy_loss"] == pytest.approx(-(logp * good).mean(), abs=1e-5)
    assert found["entropy"] == pytest.approx(math.log(2), abs=0.01)


def test_gradients_are_those_of_one_batch_and_a_vanishing_one_is_not_blown_up():
    config = dataclasses.replace(SMALL, normalize_obs=False, value_steps=3)
    config, learner, batch, _ = learner_and_batch(config=config)
    optimizers, gradients = (learner.policy_opt, learner.value_opt), []
    for again in (1, 2):  # at the learning rate 0 nothing moves
        vpg.update(learner, batch, config, 0.0)
        parts = (learner.agent.policy, learner.value)
        gradients.append([p.grad.clone() for part in parts for p in part.parameters()])
        steps = [{int(state["step"]) for state in optimizer.state.values()} for optimizer in optimizers]
        assert steps == [{again}, {3 * again}]  # one for the policy
    assert all(map(torch.equal, *gradients))
    fresh = learner_and_batch()[1]
    for optimizer in (fresh.policy_opt, fresh.value_opt):
        (weight, *_), before = optimizer.param_groups[0]["params"], []
        before, weight.grad = weight.detach().clone(), torch.full_like(weight, 1e-5)
        optimizer.step()
        assert torch.allclose(before - weight, torch.full_like(weight, SMALL.lr / 2), rtol=1e-2)
        assert optimizer.defaults["fused"]  # of Adams the quick one


def test_policy_and_value_function_share_nothing():
    config, learner, batch, _ = learner_and_batch()
    policy = {p.data_ptr() for p in learner.agent.policy.parameters()}
    assert not policy & {p.data_ptr() for p in learner.value.parameters()}
    kept = [p.detach().clone() for p in learner.agent.policy.parameters()]

    def no_advantage(rewards, values, *rest):
        return np.zeros_like(rewards)

    vpg.update(learner, batch, config, 0.01, no_advantage)  # only the value function moves
    assert all(torch.equal(a, b) for a, b in zip(kept, learner.agent.policy.parameters(), strict=True))


def test_the_value_function_learns_returns_across_time_limits():
    # reward 1 for ever, cut after 8 steps: the value is 1/(1-gamma) = 10; taken for an ending it is below 6
    gym.register("Endless-v0", Endless, max_episode_steps=8)
    try:
        config = vpg.Config(
            "Endless-v0", 4, 64, 40_000, gamma=0.9, gae_lambda=0.9, hidden=(8,), value_steps=10
        )
        values = []

        def watch(rewards, v, *rest):
            values.append(v)
            return vpg.gae(rewards, v, *rest)

        vpg.train(config, 0, advantages=watch)
    finally:
        del gym.registry["Endless-v0"]
    assert values[-1].mean() == pytest.approx(10, abs=1)


class Endless(gym.Env):
    observation_space, action_space = gym.spaces.Box(-1, 1, (2,)), gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.ones(2, np.float32), {}

    def step(self, action):
        return np.ones(2, np.float32), 1.0, False, False, {}


# ---------------------------------------------------------------- training


def arrays(run):
    runs._pack({"metrics": run.metrics, "policy": run.policy}, found := {})
    return found


def equal(a, b):
    x, y = arrays(a), arrays(b)
    return x.keys() == y.keys() and all(
        x[k].dtype == y[k].dtype and np.array_equal(x[k], y[k], equal_nan=True) for k in x
    )


def test_the_budget_of_steps_is_kept_and_counts_real_steps():
    run = vpg.train(SMALL, 0)
    steps = run.metrics["update_step"]
    assert steps[-1] <= SMALL.total_steps < steps[-1] + SMALL.num_envs * SMALL.num_steps
    assert run.metrics["length"].sum() <= steps[-1] < len(steps) * SMALL.num_envs * SMALL.num_steps
    assert np.array_equal(run.metrics["return"], run.metrics["length"])  # CartPole pays 1 a step
    assert (np.diff(run.metrics["step"]) >= 0).all()


def test_the_learning_rate_is_held_and_falls_at_last():
    config = vpg.Config(total_steps=1000, lr=0.5, lr_decay_fraction=0.2)
    assert [vpg.lr_at(t, config) for t in (0, 800, 900, 1000)] == pytest.approx([0.5, 0.5, 0.25, 0])
    never = dataclasses.replace(config, lr_decay_fraction=0)
    assert {vpg.lr_at(t, never) for t in (0, 500, 1000)} == {0.5}


def test_each_batch_begins_where_the_last_one_ended(monkeypatch):
    batches, update = [], vpg.update
    monkeypatch.setattr(
        vpg, "update", lambda learner, *rest: batches.append(rest[0]) or update(learner, *rest)
    )
    vpg.train(SMALL, 0)
    assert len(batches) > 5 and all(batch.obs.shape == (33, 4, 4) for batch in batches)
    for before, after in itertools.pairwise(batches):
        assert np.array_equal(before.obs[-1], after.obs[0])


def test_the_learning_rate_of_both_networks_falls_linearly_to_zero(monkeypatch):
    rates, update = [], vpg.update

    def watched(learner, *rest):
        diagnostics = update(learner, *rest)
        rates.append(
            [optimizer.param_groups[0]["lr"] for optimizer in (learner.policy_opt, learner.value_opt)]
        )
        return diagnostics

    monkeypatch.setattr(vpg, "update", watched)
    steps = vpg.train(SMALL, 0).metrics["update_step"]
    left = 1 - np.array([0, *steps[:-1]]) / SMALL.total_steps
    assert np.allclose(rates, SMALL.lr * left[:, None]) and left[0] == 1 and left[-1] < 0.2


def test_a_saved_policy_acts_the_same_and_stands_still(tmp_path):
    run = vpg.train(SMALL, 0)
    run.save(tmp_path / "run.npz")
    obs = np.random.default_rng(0).normal(size=(50, 4))
    a, b = vpg.load_policy(run), vpg.load_policy(type(run).load(tmp_path / "run.npz"))
    count = a.norm.count
    assert count == run.metrics["update_step"][-1]
    assert np.array_equal(a.act(obs), b.act(obs))
    assert np.array_equal(a.sample(obs, np.random.default_rng(1)), b.sample(obs, np.random.default_rng(1)))
    first = envs.evaluate(b.act, "CartPole-v1", 5, seed=0)
    assert np.array_equal(first, envs.evaluate(b.act, "CartPole-v1", 5, seed=0)) and b.norm.count == count
    # the policy was trained on normalised observations: without its normaliser it is another one
    assert not np.allclose(a.see(obs), obs, atol=0.1)


@pytest.mark.parametrize(
    "broken",
    [
        {"num_envs": 0},
        {"num_steps": 0},
        {"total_steps": 100},
        {"gamma": 1.5},
        {"gae_lambda": -0.1},
        {"gamma": -0.1},
        {"gae_lambda": 1.5},
        {"value_steps": 0},
        {"lr_decay_fraction": 1.5},
        {"lr_decay_fraction": -0.1},
        {"lr": 0.0},
    ],
)
def test_impossible_configurations_are_refused(broken):
    with pytest.raises(ValueError):
        vpg.Config(**broken)


def test_what_lies_at_the_edge_is_possible():
    small = dict.fromkeys(("num_envs", "num_steps", "total_steps", "value_steps"), 1)
    for end in (0.0, 1.0):
        vpg.Config(**small, gamma=end, gae_lambda=end, lr_decay_fraction=end, lr=1e-9)


def test_the_settings_that_readers_begin_with_fit_each_other():
    config, adam = vpg.Config(), inspect.signature(torch.optim.Adam).parameters
    assert config.total_steps % config.num_envs == 0 and len({*config.hidden}) == 1
    assert 1 / (1 - config.gamma) == pytest.approx(100) and config.lr == 10 * adam["lr"].default
    horizon = 1 / (1 - config.gamma * config.gae_lambda)  # steps that an estimate looks ahead
    assert 20 < horizon < config.num_steps / 2
    rates = [vpg.lr_at(config.total_steps * part, config) for part in (0, 0.5, 1)]
    assert rates == pytest.approx([config.lr, config.lr / 2, 0])
    assert learner_and_batch()[1].agent.norm is not None


def test_spaces_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="observations"):
        vpg.train(vpg.Config("FrozenLake-v1"), 0)
    box = gym.spaces.Box(-1, 1, (3,))
    with pytest.raises(ValueError, match="observations"):
        vpg.make_policy(gym.spaces.Box(-1, 1, (3, 3)), gym.spaces.Discrete(2), (4,), torch.Generator())
    for space in (gym.spaces.MultiBinary(2), gym.spaces.Discrete(2, start=1), gym.spaces.Box(-1, 1, (2, 2))):
        with pytest.raises(ValueError, match="actions"):
            vpg.make_policy(box, space, (4,), torch.Generator())


def test_a_run_of_another_algorithm_is_not_loaded():
    run = vpg.train(SMALL, 0)
    run = type(run)(**{**vars(run), "algorithm": "rlworkshop.algorithms.other"})
    with pytest.raises(ValueError, match="other"):
        vpg.load_policy(run)


@pytest.mark.slow
def test_it_learns_cartpole():
    config = vpg.Config(env_id="CartPole-v1", total_steps=50_000)  # those of start/first_agent
    agents = [vpg.load_policy(runs.cached(vpg.train, config, seed)) for seed in range(3)]
    assert np.median([envs.evaluate(a.act, "CartPole-v1", 20, seed=9).mean() for a in agents]) >= 450
