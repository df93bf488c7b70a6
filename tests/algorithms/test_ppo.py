"""Proximal policy optimisation: every named function against a closed form, then updates, then the whole."""

import dataclasses
import inspect
import itertools
import math

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlworkshop import envs, nets
from rlworkshop.algorithms import ppo, vpg
from rlworkshop.runs import run as run_files

SMALL = ppo.Config(
    num_envs=4, num_steps=32, total_steps=1500, n_epochs=3, batch_size=50, hidden=(8,), normalize_obs=True
)
LONG = dataclasses.replace(SMALL, num_steps=100)  # some poles fall, so there are reset rows


# ---------------------------------------------------------------- the ratio and the clipped objective


def test_the_ratio_is_that_of_probabilities_and_only_the_new_one_carries_a_gradient():
    old, new = torch.tensor([0.2, 0.5, 0.9]).log(), torch.tensor([0.4, 0.5, 0.3]).log().requires_grad_()
    found = ppo.probability_ratio(new, old)
    assert torch.allclose(found, torch.tensor([2.0, 1.0, 1 / 3]))
    found.sum().backward()
    assert torch.allclose(new.grad, found)  # d exp(x) = exp(x)


@pytest.mark.parametrize(
    ("ratio", "advantage", "value", "slope"),
    [
        (1.0, 2.0, 2.0, 2.0),  # at the start the gradient is that of the policy gradient
        (1.0, -2.0, -2.0, -2.0),
        (1.1, 2.0, 2.2, 2.0),  # inside the range
        (0.9, -2.0, -1.8, -2.0),
        (1.5, 2.0, 2.4, 0.0),  # a good action, likelier by enough: nothing is paid any more
        (0.5, -2.0, -1.6, 0.0),  # a bad action, rarer by enough
        (0.5, 2.0, 1.0, 2.0),  # a good action that has become rarer: not clipped, it has to come back
        (1.5, -2.0, -3.0, -2.0),  # a bad action that has become likelier
        (1.5, 0.0, 0.0, 0.0),
    ],
)
def test_the_clipped_objective_by_cases(ratio, advantage, value, slope):
    ratio = torch.tensor([ratio], dtype=torch.float64, requires_grad=True)
    found = ppo.clipped_objective(ratio, torch.tensor([advantage], dtype=torch.float64), 0.2)
    found.sum().backward()
    assert found.item() == pytest.approx(value) and ratio.grad.item() == pytest.approx(slope)
    assert slope or ratio.grad.item() == 0  # exactly


def test_the_gradient_of_the_clipped_objective_agrees_with_finite_differences():
    rng = np.random.default_rng(0)
    ratio = torch.from_numpy(rng.uniform(0.3, 2.0, 500))
    advantage, step = torch.from_numpy(rng.normal(size=500)), 1e-6
    away = ((ratio - 1).abs() - 0.1).abs() > 1e-4  # from the two kinks
    ratio.requires_grad_()
    ppo.clipped_objective(ratio, advantage, 0.1).sum().backward()
    with torch.no_grad():
        up, down = (ppo.clipped_objective(ratio + s, advantage, 0.1) for s in (step, -step))
    slope = (up - down) / (2 * step)
    assert torch.allclose(ratio.grad[away], slope[away], atol=1e-6)
    flat = (ratio.grad == 0) & away
    assert torch.equal(flat, away & ((advantage > 0) & (ratio > 1.1) | (advantage < 0) & (ratio < 0.9)))
    assert 100 < flat.sum() < 400


def test_the_objective_is_never_above_the_unclipped_one():
    rng = torch.Generator().manual_seed(0)
    ratio, advantage = torch.rand(1000, generator=rng) * 3, torch.randn(1000, generator=rng)
    assert (ppo.clipped_objective(ratio, advantage, 0.2) <= ratio * advantage).all()


def test_the_first_step_is_that_of_vanilla_policy_gradient():
    rng = torch.Generator().manual_seed(0)
    old, advantage = torch.randn(40, generator=rng) - 1, torch.randn(40, generator=rng)
    logp = old.clone().requires_grad_()
    (ours,) = torch.autograd.grad(ppo.clipped_loss(logp, old, advantage, 0.2), logp)
    (theirs,) = torch.autograd.grad(vpg.policy_loss(logp, advantage), logp)
    assert torch.allclose(ours, theirs) and ours.abs().sum() > 0


# ---------------------------------------------------------------- the KL divergence


@pytest.mark.parametrize("size", [1e-7, 1e-5, 1e-3, 0.1, 3.0])
def test_the_kl_estimate_is_never_negative_and_right_near_zero(size):
    rng = torch.Generator().manual_seed(0)
    old = torch.randn(2000, generator=rng)
    new = old + size * torch.randn(2000, generator=rng)
    each = [ppo.approximate_kl(a[None], b[None]).item() for a, b in zip(new, old, strict=True)]
    assert min(each) >= 0
    difference = (new - old).double()
    exact = (torch.expm1(difference) - difference).mean().item()
    assert ppo.approximate_kl(new, old).item() == pytest.approx(exact, rel=1e-2, abs=1e-12)


def test_small_divergences_are_not_rounded_to_noise():
    for size in (1e-3, 1e-4):  # half the square; exp(x) - 1 - x in float32 is off by more than its value
        logp = torch.full((10,), size)
        assert ppo.approximate_kl(logp, torch.zeros(10)).item() == pytest.approx(size**2 / 2, rel=0.01)


def test_the_mean_of_the_estimate_under_the_old_policy_is_the_divergence():
    p, q = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.2, 0.2, 0.6]).double()
    each = torch.stack([ppo.approximate_kl(q[a, None].log(), p[a, None].log()) for a in range(3)])
    assert (p * each).sum().item() == pytest.approx((p * (p / q).log()).sum().item())


# ---------------------------------------------------------------- loss, minibatches, variants


def test_the_total_loss_adds_values_and_takes_entropy_off():
    config = dataclasses.replace(SMALL, vf_coef=0.25, ent_coef=0.1)
    entropy = torch.tensor([1.0, 3.0])
    assert ppo.total_loss(torch.tensor(5.0), torch.tensor(8.0), entropy, config).item() == pytest.approx(6.8)


@pytest.mark.parametrize(("size", "most"), [(10, 4), (12, 4), (251, 256), (257, 256), (5, 1), (1, 9)])
def test_minibatches_show_each_index_once_an_epoch_in_even_parts(size, most):
    parts = [part.tolist() for part in ppo.minibatches(size, most, 3, np.random.default_rng(0))]
    count = math.ceil(size / most)
    assert len(parts) == 3 * count
    epochs = [sum(parts[i : i + count], []) for i in range(0, len(parts), count)]
    assert all(sorted(epoch) == [*range(size)] for epoch in epochs)
    sizes = {len(part) for part in parts}
    assert max(sizes) <= most and max(sizes) - min(sizes) <= 1
    assert size == 1 or epochs[0] != epochs[1] != epochs[2]


def test_minibatches_mix_steps_and_follow_their_own_random_numbers():
    first, same, other = ([*ppo.minibatches(100, 50, 1, np.random.default_rng(s))] for s in (0, 0, 1))
    assert torch.equal(first[0], same[0]) and not torch.equal(first[0], other[0])
    assert first[0].max() > 50 and first[0].tolist() != sorted(first[0].tolist())


def test_early_stopping_asks_whether_the_policy_is_too_far_away():
    config, old = dataclasses.replace(SMALL, target_kl=0.02), torch.zeros(8)
    for kl, stops in ((0.029, False), (0.031, True)):
        far = torch.full((8,), solved(kl))
        assert ppo.stop_early(far, old, config) is stops
        assert not ppo.keep_going(far, old, config)
    assert not ppo.stop_early(old, old, config)


def solved(kl):
    """The negative log-ratio x with exp(x) - 1 - x = kl, by bisection."""
    low, high = -5.0, 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.expm1(middle) - middle > kl else (low, middle)
    return low


def test_the_adaptive_learning_rate_follows_the_divergence():
    config = dataclasses.replace(SMALL, lr=1e-3, target_kl=0.01)
    assert ppo.adaptive_lr(0, config, {}) == 1e-3
    cases = [(0.021, 2e-3), (0.019, 3e-3), (0.0051, 3e-3), (0.0049, 4.5e-3)]
    for kl, lr in cases:
        found = ppo.adaptive_lr(9, config, {"lr": [1.0, 3e-3], "kl": [0.5, kl]})
        assert found == pytest.approx(lr)
    assert ppo.adaptive_lr(9, config, {"lr": [1.2e-5], "kl": [1.0]}) == 1e-5
    assert ppo.adaptive_lr(9, config, {"lr": [9e-3], "kl": [0.0]}) == 1e-2


def test_the_learning_rate_is_held_and_falls_at_last():
    config = ppo.Config(num_steps=1, total_steps=1000, lr=0.5, lr_decay_fraction=0.2)
    assert [ppo.linear_lr(t, config, {}) for t in (0, 800, 900, 1000)] == pytest.approx([0.5, 0.5, 0.25, 0])
    never = dataclasses.replace(config, lr_decay_fraction=0)
    assert {ppo.linear_lr(t, never, {}) for t in (0, 500, 1000)} == {0.5}


# ---------------------------------------------------------------- updates


def learner_and_batch(seed=0, env_id="CartPole-v1", config=LONG, spread=0.0):
    config = dataclasses.replace(config, env_id=env_id)
    env = envs.make(env_id, config.num_envs)
    learner = ppo.make_learner(env, config, torch.Generator().manual_seed(seed))
    if spread:
        learner.agent.policy.log_std.data += spread
    obs, episodes = envs.reset(env, seed), envs.Episodes(config.num_envs)
    rng = np.random.default_rng(seed)
    batch = ppo.collect(env, learner.agent, obs, episodes, rng, config.num_steps)
    return config, learner, batch, rng


class Watch:
    """A policy loss that keeps what it is given."""

    def __init__(self):
        self.seen = []

    def __call__(self, logp, old_logp, advantages, clip_range):
        self.seen.append([x.detach().clone() for x in (logp, old_logp, advantages)])
        return ppo.clipped_loss(logp, old_logp, advantages, clip_range)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_the_ratio_is_one_in_the_first_minibatch_and_not_in_the_last(env_id):
    config, learner, batch, rng = learner_and_batch(env_id=env_id, spread=2.0 * (env_id == "Pendulum-v1"))
    for _ in range(3):  # the normaliser moves between updates, never within one
        ppo.update(learner, batch, config, 0.01, rng, ppo.Parts(policy_loss=(watch := Watch())))
        ratios = [(logp - old).exp() - 1 for logp, old, _ in watch.seen]
        assert ratios[0].abs().max() < 1e-5
        assert all(ratio.abs().max() > 1e-3 for ratio in ratios[1:])


def test_the_old_probabilities_are_those_of_the_actions_as_drawn_and_never_change():
    config, learner, batch, rng = learner_and_batch(env_id="Pendulum-v1", spread=2.0)
    assert np.abs(batch.actions).max() > 2.5  # beyond the box of ±2, where the log-probability belongs
    seen = torch.from_numpy(learner.agent.see(batch.obs[:-1][batch.valid]))
    wanted = learner.agent.policy.log_prob(seen, torch.from_numpy(batch.actions[batch.valid]))[0].detach()
    ppo.update(learner, batch, config, 0.01, rng, ppo.Parts(policy_loss=(watch := Watch())))
    count = len(watch.seen) // config.n_epochs
    for i in range(0, len(watch.seen), count):  # of each epoch, in any order
        old = torch.cat([old for _, old, _ in watch.seen[i : i + count]])
        assert torch.allclose(old.sort().values, wanted.sort().values, atol=1e-5)


def test_advantages_are_normalised_in_each_minibatch():
    config, learner, batch, rng = learner_and_batch()
    ppo.update(learner, batch, config, 0.01, rng, ppo.Parts(policy_loss=(watch := Watch())))
    assert len(watch.seen) == config.n_epochs * math.ceil(batch.valid.sum() / config.batch_size)
    for _, _, advantage in watch.seen:
        assert abs(advantage.mean()) < 1e-5 and advantage.std().item() == pytest.approx(1, abs=1e-4)


def test_what_belongs_together_stays_together():
    # with one action good and one bad everywhere, the advantage handed to the loss says which was taken
    config, learner, batch, rng = learner_and_batch(
        config=dataclasses.replace(LONG, gae_lambda=0.0, gamma=0.0)
    )
    batch.rewards[:] = 100.0 * batch.actions
    logp = learner.agent.policy.log_prob
    chosen = []
    learner.agent.policy.log_prob = lambda obs, actions: chosen.append(actions) or logp(obs, actions)
    ppo.update(learner, batch, config, 0.01, rng, ppo.Parts(policy_loss=(watch := Watch())))
    pairs = [*zip(chosen[1:-1], watch.seen, strict=True)]
    assert pairs and all(torch.equal(advantage > 0, actions == 1) for actions, (_, _, advantage) in pairs)


def test_the_value_loss_is_given_values_returns_and_where_they_stood():
    config, learner, batch, rng = learner_and_batch(config=dataclasses.replace(LONG, normalize_obs=False))
    obs = torch.from_numpy(batch.obs[:-1][batch.valid])
    with torch.no_grad():
        before = learner.value(obs).squeeze(-1)
    calls = []

    def watch(values, returns, old_values, clip_range):
        calls.append([x.detach().clone() for x in (values, returns, old_values)])
        return ppo.squared_error(values, returns, old_values, clip_range)

    ppo.update(learner, batch, config, 0.01, rng, ppo.Parts(value_loss=watch))
    values, _, old = calls[0]  # nothing has moved
    assert torch.allclose(values, old, atol=1e-5)
    assert not torch.allclose(calls[-1][0], calls[-1][2], atol=1e-3)
    epoch = torch.cat([old for *_, old in calls[: len(calls) // config.n_epochs]])
    assert torch.allclose(epoch.sort().values, before.sort().values, atol=1e-5)


def test_nothing_in_a_reset_row_changes_an_update():
    outcomes = []
    for garbage in (False, True):
        config, learner, batch, rng = learner_and_batch()
        assert (~batch.valid).sum() > 3
        if garbage:
            batch.rewards[~batch.valid] = 1e3
            batch.actions[~batch.valid] ^= 1
        diagnostics = ppo.update(learner, batch, config, 0.01, rng)
        outcomes.append((diagnostics, nets.get_state(learner)))
    assert outcomes[0][0] == outcomes[1][0]
    x, y = {}, {}
    assert run_files._pack(outcomes[0][1], x) == run_files._pack(outcomes[1][1], y)
    assert x and all(np.array_equal(x[k], y[k]) for k in x)


def test_the_normaliser_learns_from_real_rows_and_only_after_the_batch():
    config, learner, batch, rng = learner_and_batch()
    assert learner.agent.norm.count == 0
    ppo.update(learner, batch, config, 0.01, rng)
    real = batch.obs[:-1][batch.valid]
    assert learner.agent.norm.count == len(real) == batch.valid.sum()
    assert np.allclose(learner.agent.norm.mean, real.mean(0), atol=1e-6)


def test_the_numbers_of_an_update_are_those_of_the_whole_batch():
    config, learner, batch, rng = learner_and_batch(config=dataclasses.replace(LONG, normalize_obs=False))
    obs, actions = (torch.from_numpy(x[batch.valid]) for x in (batch.obs[:-1], batch.actions))
    with torch.no_grad():
        old, values = (
            learner.agent.policy.log_prob(obs, actions)[0],
            learner.value(torch.from_numpy(batch.obs)),
        )
    values = values.squeeze(-1).numpy()
    found = ppo.update(learner, batch, config, 0.1, rng)
    with torch.no_grad():
        new, entropy = learner.agent.policy.log_prob(obs, actions)
    ratio = (new - old).exp()
    assert (
        found["kl"] == pytest.approx((ratio - 1 - ratio.log()).mean().item(), rel=1e-4) and found["kl"] > 1e-3
    )
    outside = ((ratio > 1.2) | (ratio < 0.8)).float().mean().item()
    assert found["clip_fraction"] == pytest.approx(outside) and 0 < outside < 1
    assert found["entropy"] == pytest.approx(entropy.mean().item())
    assert found["lr"] == 0.1
    estimates = vpg.gae(
        batch.rewards, values, batch.terminated, batch.truncated, config.gamma, config.gae_lambda
    )
    advantage, returns = (x[batch.valid] for x in (estimates, estimates + values[:-1]))
    assert found["explained_variance"] == pytest.approx(1 - advantage.var() / returns.var(), abs=1e-3)


def test_the_losses_reported_are_those_of_the_last_minibatch():
    config, learner, batch, rng = learner_and_batch(
        config=dataclasses.replace(LONG, n_epochs=1, batch_size=999)
    )
    value = learner.value(torch.from_numpy(batch.obs)).squeeze(-1).detach().numpy()
    found = ppo.update(learner, batch, config, 0.01, rng)
    estimates = vpg.gae(
        batch.rewards, value, batch.terminated, batch.truncated, config.gamma, config.gae_lambda
    )
    assert found["value_loss"] == pytest.approx((estimates[batch.valid] ** 2).mean(), rel=1e-4)
    assert abs(found["policy_loss"]) < 1e-5  # ratios of 1, advantages of mean 0


def steps_taken(learner):
    return {int(state["step"]) for state in learner.optimizer.state.values()}


def test_each_minibatch_is_one_step_and_a_stop_comes_before_it():
    config, learner, batch, rng = learner_and_batch()
    count = config.n_epochs * math.ceil(batch.valid.sum() / config.batch_size)
    ppo.update(learner, batch, config, 0.01, rng)
    assert steps_taken(learner) == {count}
    calls = []

    def third(logp, old_logp, config):
        calls.append(logp)
        return len(calls) == 3

    learner = learner_and_batch()[1]
    ppo.update(learner, batch, config, 0.01, rng, ppo.Parts(stop=third))
    assert steps_taken(learner) == {2} and len(calls) == 3


def test_early_stopping_keeps_the_policy_nearer():
    def unclipped(logp, old_logp, advantages, clip_range):
        return vpg.policy_loss(logp, advantages)

    found = []
    for stop in (ppo.keep_going, ppo.stop_early):
        config, learner, batch, rng = learner_and_batch(config=dataclasses.replace(LONG, n_epochs=20))
        kl = ppo.update(learner, batch, config, 0.03, rng, ppo.Parts(policy_loss=unclipped, stop=stop))["kl"]
        found.append((kl, *steps_taken(learner)))
    (far, all_steps), (near, few) = found
    assert far > 5 * near and few < all_steps / 4 and near < 10 * config.target_kl


def test_the_gradient_of_all_parameters_together_is_shortened():
    norms = []
    for longest in (0.0, 0.5, 1e9):
        config = dataclasses.replace(LONG, n_epochs=1, batch_size=999, max_grad_norm=longest)
        config, learner, batch, rng = learner_and_batch(config=config)
        batch.rewards *= 100  # errors of the value function that have to be shortened
        ppo.update(learner, batch, config, 0.0, rng)
        parts = [*learner.agent.policy.parameters(), *learner.value.parameters()]
        norms.append(math.sqrt(sum((p.grad**2).sum().item() for p in parts)))
    assert norms[1] == pytest.approx(0.5, rel=1e-3)
    assert norms[0] == pytest.approx(norms[2], rel=1e-3) and norms[0] > 5


def test_gradients_are_those_of_one_minibatch():
    config = dataclasses.replace(LONG, normalize_obs=False, batch_size=999)
    config, learner, batch, rng = learner_and_batch(config=config)
    gradients = []
    for epochs in (1, 3):  # at the learning rate 0 nothing moves
        ppo.update(learner, batch, dataclasses.replace(config, n_epochs=epochs), 0.0, rng)
        gradients.append([p.grad.clone() for p in learner.value.parameters()])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))


def test_policy_and_value_function_share_nothing_and_one_optimiser_moves_both():
    config, learner, batch, rng = learner_and_batch()
    policy = {p.data_ptr() for p in learner.agent.policy.parameters()}
    value = {p.data_ptr() for p in learner.value.parameters()}
    held = {p.data_ptr() for group in learner.optimizer.param_groups for p in group["params"]}
    assert not policy & value and held == policy | value and learner.optimizer.defaults["eps"] == 1e-5
    before = [p.detach().clone() for p in (*learner.agent.policy.parameters(), *learner.value.parameters())]
    ppo.update(learner, batch, config, 0.01, rng)
    after = [*learner.agent.policy.parameters(), *learner.value.parameters()]
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_entropy_bonus_holds_the_policy_open():
    found = []
    for weight in (0.0, 5.0):
        config, learner, batch, rng = learner_and_batch(config=dataclasses.replace(LONG, ent_coef=weight))
        found.append(ppo.update(learner, batch, config, 0.02, rng)["entropy"])
    assert found[0] < found[1] - 0.005 and found[1] > math.log(2) - 0.01


def rows(rewards, terminated, truncated, valid):
    """A batch of which rewards and endings count, all (T, N)."""
    flags = [np.array(x, bool) for x in (terminated, truncated, valid)]
    return ppo.Batch(None, None, np.array(rewards, np.float32), *flags)


def test_rewards_are_divided_by_the_deviation_of_discounted_sums():
    # environment 0 ends at row 1 and is reset in row 2; environment 1 goes on over both batches
    first = rows(
        [[2, 1], [4, 1], [0, 1]], [[0, 0], [1, 0], [0, 0]], np.zeros((3, 2)), [[1, 1], [1, 1], [0, 1]]
    )
    scale = ppo.RewardScale(2, 0.5)
    sums = [2, 5, 1, 1.5, 1.75]
    assert np.allclose(scale(first), first.rewards / np.std(sums), rtol=1e-5)
    second = rows([[8, 0]], [[0, 0]], [[0, 0]], [[1, 1]])
    assert np.allclose(scale(second), second.rewards / np.std([*sums, 8, 0.875]), rtol=1e-5)
    cut = ppo.RewardScale(1, 0.5)
    for _ in range(2):
        cut(rows([[4]], [[0]], [[1]], [[1]]))  # a cut-off ends the sum as well
    assert cut.norm.mean == 4 and cut.norm.m2 == 0


def test_scaled_rewards_are_clipped_and_in_single_precision():
    batch = rows([*[[0.001]] * 999, [1000.0]], np.zeros((1000, 1)), np.zeros((1000, 1)), np.ones((1000, 1)))
    found = ppo.RewardScale(1, 0.0)(batch)
    assert found.dtype == np.float32 and found.max() == 10 and 0 < found.min() < 1e-4


def test_the_unit_of_rewards_does_not_count_once_they_are_scaled():
    found = {}
    for scaled in (False, True):
        for unit in (1.0, 1000.0):
            config = dataclasses.replace(LONG, normalize_rewards=scaled, ent_coef=0.01)
            config, learner, batch, rng = learner_and_batch(config=config)
            batch.rewards *= unit
            ppo.update(learner, batch, config, 0.01, rng)
            found[scaled, unit] = torch.cat([p.detach().ravel() for p in learner.value.parameters()])
    assert torch.allclose(found[True, 1.0], found[True, 1000.0], atol=1e-3)
    assert not torch.allclose(found[False, 1.0], found[False, 1000.0], atol=1e-2)


def test_rewards_are_scaled_in_training_where_the_configuration_says_so():
    plain, scaled = (ppo.train(dataclasses.replace(SMALL, normalize_rewards=on), 0) for on in (False, True))
    assert not np.array_equal(plain.metrics["value_loss"], scaled.metrics["value_loss"])


def test_a_stop_before_the_first_step_leaves_everything_as_it_was():
    config, learner, batch, rng = learner_and_batch()
    before = [p.detach().clone() for p in learner.value.parameters()]
    found = ppo.update(learner, batch, config, 0.01, rng, ppo.Parts(stop=lambda *rest: True))
    assert found["kl"] == 0 and np.isfinite(found["value_loss"]) and not steps_taken(learner)
    assert all(torch.equal(a, b) for a, b in zip(before, learner.value.parameters(), strict=True))


# ---------------------------------------------------------------- training


class Endless(gym.Env):
    observation_space, action_space = gym.spaces.Box(-1, 1, (2,)), gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.ones(2, np.float32), {}

    def step(self, action):
        return np.ones(2, np.float32), 1.0, False, False, {}


def test_the_value_function_learns_returns_across_time_limits():
    # reward 1 for ever, cut after 8 steps: the value is 1/(1-gamma) = 10; taken for an ending it is below 6
    gym.register("EndlessPPO-v0", Endless, max_episode_steps=8)
    values = []

    def watch(rewards, v, *rest):
        values.append(v)
        return vpg.gae(rewards, v, *rest)

    try:
        config = ppo.Config(
            "EndlessPPO-v0", 4, 64, 10_000, n_epochs=10, gamma=0.9, gae_lambda=0.9, lr=3e-2, hidden=(8,)
        )
        ppo.train(config, 0, ppo.Parts(advantages=watch))
    finally:
        del gym.registry["EndlessPPO-v0"]
    assert values[-1].mean() == pytest.approx(10, abs=1)


def test_the_budget_of_steps_is_kept():
    run = ppo.train(SMALL, 0)
    steps = run.metrics["update_step"]
    assert steps[-1] <= SMALL.total_steps < steps[-1] + SMALL.num_envs * SMALL.num_steps
    assert run.metrics["length"].sum() <= steps[-1] < len(steps) * SMALL.num_envs * SMALL.num_steps


def test_each_batch_begins_where_the_last_one_ended(monkeypatch):
    batches, update = [], ppo.update
    monkeypatch.setattr(
        ppo, "update", lambda learner, *rest: batches.append(rest[0]) or update(learner, *rest)
    )
    ppo.train(dataclasses.replace(SMALL, total_steps=600), 0)
    assert len(batches) > 2 and all(batch.obs.shape == (33, 4, 4) for batch in batches)
    for before, after in itertools.pairwise(batches):
        assert np.array_equal(before.obs[-1], after.obs[0])


def test_a_loaded_policy_sees_what_the_trained_one_saw():
    run = ppo.train(dataclasses.replace(SMALL, total_steps=600), 0)
    agent, obs = ppo.load_policy(run), np.random.default_rng(0).normal(size=(50, 4))
    assert agent.norm.count == run.metrics["update_step"][-1]
    assert not np.allclose(agent.see(obs), obs, atol=0.1)


def test_each_part_of_a_training_is_used_and_kept_in_its_run():
    config, calls = dataclasses.replace(SMALL, total_steps=600), []

    def half(step, config, metrics):
        calls.append((step, len(metrics.get("kl", []))))
        return 0.5 * config.lr

    plain = ppo.train(config, 0)
    assert np.allclose(
        plain.metrics["lr"], [ppo.linear_lr(t, config, {}) for t in (0, *plain.metrics["update_step"][:-1])]
    )
    run = ppo.train(config, 0, ppo.Parts(schedule=half))
    assert set(run.metrics["lr"]) == {0.5 * config.lr}
    assert [number for _, number in calls] == [*range(len(calls))]
    assert [step for step, _ in calls] == [0, *run.metrics["update_step"][:-1]]
    asked = []

    def never(logp, old_logp, config):
        asked.append(len(logp))
        return False

    run = ppo.train(config, 0, ppo.Parts(stop=never))
    assert len(asked) >= config.n_epochs * len(run.metrics["kl"])
    assert np.array_equal(run.metrics["kl"], plain.metrics["kl"])
    run = ppo.train(config, 0, ppo.Parts(policy_loss=(watch := Watch()).__call__))
    assert len(watch.seen) == len(asked) and np.array_equal(run.metrics["kl"], plain.metrics["kl"])


def test_a_run_of_another_algorithm_is_not_loaded():
    run = ppo.train(dataclasses.replace(SMALL, total_steps=200), 0)
    assert run.algorithm == "rlworkshop.algorithms.ppo"
    with pytest.raises(ValueError, match="ppo"):
        vpg.load_policy(run)
    run = type(run)(**{**vars(run), "algorithm": "rlworkshop.algorithms.vpg"})
    with pytest.raises(ValueError, match="vpg"):
        ppo.load_policy(run)


@pytest.mark.parametrize(
    "broken",
    [
        {"num_envs": 0}, {"num_steps": 0}, {"total_steps": 100}, {"n_epochs": 0}, {"batch_size": 0},
        {"gamma": 1.5}, {"gamma": -0.1}, {"gae_lambda": -0.1}, {"gae_lambda": 1.5}, {"clip_range": 0.0},
        {"target_kl": 0.0}, {"lr": 0.0}, {"ent_coef": -0.1}, {"vf_coef": -0.1}, {"max_grad_norm": -0.1},
        {"lr_decay_fraction": 1.5}, {"lr_decay_fraction": -0.1},
    ],
)  # fmt: skip
def test_impossible_configurations_are_refused(broken):
    with pytest.raises(ValueError):
        ppo.Config(**broken)


def test_what_lies_at_the_edge_is_possible():
    small = dict.fromkeys(("num_envs", "num_steps", "total_steps", "n_epochs", "batch_size"), 1)
    for end in (0.0, 1.0):
        ppo.Config(**small, gamma=end, gae_lambda=end, lr_decay_fraction=end, lr=1e-9, max_grad_norm=0)


def test_the_settings_that_readers_begin_with_fit_each_other():
    config, adam = ppo.Config(), inspect.signature(torch.optim.Adam).parameters
    assert config.total_steps == 100_000 and len({*config.hidden}) == 1 and config.clip_range == 0.2
    assert config.lr == 3 * adam["lr"].default and config.num_envs * config.num_steps == 4 * config.batch_size
    assert learner_and_batch(config=ppo.Config(num_steps=2))[1].agent.norm is None


@pytest.mark.slow
def test_it_learns_cartpole():
    config = ppo.Config(total_steps=60_000)
    agents = [ppo.load_policy(ppo.train(config, seed)) for seed in range(3)]
    assert np.median([envs.evaluate(a.act, "CartPole-v1", 20, seed=9).mean() for a in agents]) >= 475
