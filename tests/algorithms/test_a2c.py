"""Advantage actor-critic: its loss, its one step, and that it is PPO with nothing to clip."""

import dataclasses
import inspect
import itertools
import math
from collections.abc import Iterator

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlworkshop import envs, nets
from rlworkshop.algorithms import a2c, ppo, vpg
from rlworkshop.envs import probes
from rlworkshop.runs import run as run_files

SMALL = a2c.Config(num_envs=4, num_steps=8, total_steps=1500, hidden=(8,), normalize_obs=True)
LONG = dataclasses.replace(SMALL, num_steps=100)  # some poles fall, so there are reset rows


# ---------------------------------------------------------------- the mathematics


def test_advantages_are_rewards_to_the_end_of_the_rollout_and_the_value_there():
    """Mnih et al., 2016, algorithm S3: R = r + γR backwards, from the value of the last state, or 0."""
    rng = np.random.default_rng(0)
    T, gamma = 5, 0.9
    rewards, values = rng.normal(size=(T, 3)), rng.normal(size=(T + 1, 3))
    terminated, truncated = np.zeros((2, T, 3), bool)
    terminated[2, 1] = truncated[2, 2] = True  # environment 0 goes on, 1 ends and 2 is cut off, at row 2
    found = a2c.gae(rewards, values, terminated, truncated, gamma, a2c.Config().gae_lambda)
    for i, last in enumerate((T - 1, 2, 2)):
        ahead = 0.0 if i == 1 else values[last + 1, i]
        for t in reversed(range(last + 1)):
            ahead = rewards[t, i] + gamma * ahead
            assert found[t, i] == pytest.approx(ahead - values[t, i])


def test_the_total_loss_adds_values_and_takes_entropy_off():
    config = dataclasses.replace(SMALL, vf_coef=0.25, ent_coef=0.1)
    entropy = torch.tensor([1.0, 3.0])
    assert a2c.total_loss(torch.tensor(5.0), torch.tensor(8.0), entropy, config).item() == pytest.approx(6.8)


# ---------------------------------------------------------------- optimisers


def first_steps(optimizer, gradients, lr=0.01):
    """How far a parameter is moved by each of some gradients."""
    w = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    made, moved = optimizer([w], lr), []
    for gradient in gradients:
        before = w.item()
        w.grad = torch.tensor([gradient], dtype=torch.float64)
        made.step()
        moved.append(w.item() - before)
    return moved


def test_rmsprop_divides_by_the_root_of_a_mean_of_squares_that_begins_at_zero():
    square, wanted = 0.0, []
    for gradient in (0.3, -2.0, 0.001):
        square = 0.99 * square + 0.01 * gradient**2
        wanted.append(-0.01 * gradient / (math.sqrt(square) + 1e-5))
    assert first_steps(a2c.rmsprop, (0.3, -2.0, 0.001)) == pytest.approx(wanted, rel=1e-6)
    assert first_steps(a2c.rmsprop, (5.0,)) == pytest.approx(
        [-0.1], rel=1e-3
    )  # ten times lr, whatever the gradient


def test_adam_takes_a_first_step_of_lr():
    assert first_steps(a2c.adam, (5.0,)) == pytest.approx([-0.01], rel=1e-3)
    assert first_steps(a2c.adam, (1e-5,)) == pytest.approx([-0.005], rel=1e-3)  # ε = 1e-5


# ---------------------------------------------------------------- updates


def learner_and_batch(seed=0, env_id="CartPole-v1", config=LONG, optimizer=a2c.adam):
    config = dataclasses.replace(config, env_id=env_id)
    env = envs.make(env_id, config.num_envs)
    learner = a2c.make_learner(env, config, torch.Generator().manual_seed(seed), optimizer)
    obs, episodes = envs.reset(env, seed), envs.Episodes(config.num_envs)
    batch = a2c.collect(env, learner.agent, obs, episodes, np.random.default_rng(seed), config.num_steps)
    return config, learner, batch


def parameters(learner):
    return [*learner.agent.policy.parameters(), *learner.value.parameters()]


def test_one_batch_is_one_step_along_the_gradient_of_the_written_loss():
    """With plain gradient descent, the step is the gradient; compared with one that is taken by hand."""

    def descent(parameters, lr):
        return torch.optim.SGD(parameters, lr)

    config = dataclasses.replace(LONG, ent_coef=0.3, vf_coef=0.7, max_grad_norm=0.0, normalize_obs=False)
    config, learner, batch = learner_and_batch(config=config, optimizer=descent)
    assert (~batch.valid).any() and batch.terminated.any()
    before = [p.detach().clone() for p in parameters(learner)]
    obs, actions = (torch.from_numpy(x[batch.valid]) for x in (batch.obs[:-1], batch.actions))
    with torch.no_grad():
        values = learner.value(torch.from_numpy(batch.obs)).squeeze(-1).numpy()
    ends = batch.terminated, batch.truncated
    estimates = vpg.gae(batch.rewards, values, *ends, config.gamma, config.gae_lambda)
    advantage, returns = (torch.from_numpy(x[batch.valid]) for x in (estimates, estimates + values[:-1]))
    chosen = torch.distributions.Categorical(logits=learner.agent.policy.net(obs))
    loss = (
        -(chosen.log_prob(actions) * advantage).mean()
        + 0.7 * ((learner.value(obs)[:, 0] - returns) ** 2).mean()
        - 0.3 * chosen.entropy().mean()
    )
    gradient = torch.autograd.grad(loss, parameters(learner))
    found = a2c.update(learner, batch, config, 0.01)
    for p, was, g in zip(parameters(learner), before, gradient, strict=True):
        assert torch.allclose(was - p, 0.01 * g, atol=1e-6) and g.abs().sum() > 0
    assert found["value_loss"] == pytest.approx((advantage**2).mean().item(), rel=1e-4)
    assert found["policy_loss"] == pytest.approx(
        -(chosen.log_prob(actions) * advantage).mean().item(), rel=1e-4
    )
    assert found["entropy"] == pytest.approx(chosen.entropy().mean().item(), rel=1e-5)
    assert found["explained_variance"] == pytest.approx(
        1 - (advantage.var() / returns.var()).item(), rel=1e-4
    )


def test_the_policys_loss_sends_no_gradient_to_the_value_function():
    config, learner, batch = learner_and_batch(config=dataclasses.replace(LONG, vf_coef=0.0))
    before = [p.detach().clone() for p in learner.value.parameters()]
    a2c.update(learner, batch, config, 0.01)
    assert all(torch.equal(p, was) for p, was in zip(learner.value.parameters(), before, strict=True))
    assert all(p.grad is None or not p.grad.any() for p in learner.value.parameters())


def test_advantages_keep_their_unit(monkeypatch):
    """Unlike in VPG and PPO they are not normalised: what is 0 stays 0, and moves nothing."""

    def two_of_them(rewards, values, *rest):
        estimates = np.zeros_like(values[:-1])
        estimates[0] = 2.0
        return estimates

    seen = []

    class Watch:
        def __call__(self, logp, advantages):
            seen.append(advantages.clone())
            return vpg.policy_loss(logp, advantages)

    monkeypatch.setattr(a2c, "policy_loss", Watch())
    config, learner, batch = learner_and_batch()
    a2c.update(learner, batch, config, 0.01, two_of_them)
    assert sorted(seen[0].tolist())[-5:] == [0.0, 2.0, 2.0, 2.0, 2.0] and not seen[0].requires_grad


def test_the_gradient_of_all_parameters_together_is_shortened():
    norms = []
    for longest in (0.0, 0.5, 1e9):
        config, learner, batch = learner_and_batch(config=dataclasses.replace(LONG, max_grad_norm=longest))
        a2c.update(learner, batch, config, 0.01)
        norms.append(math.sqrt(sum((p.grad**2).sum().item() for p in parameters(learner))))
    assert norms[1] == pytest.approx(0.5, rel=1e-3)
    assert norms[0] == pytest.approx(norms[2], rel=1e-3) and norms[0] > 5


def test_gradients_are_those_of_one_batch():
    config, learner, batch = learner_and_batch(config=dataclasses.replace(LONG, normalize_obs=False))
    gradients = []
    for _ in range(2):  # at the learning rate 0 nothing moves
        a2c.update(learner, batch, config, 0.0)
        gradients.append([p.grad.clone() for p in learner.value.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_nothing_in_a_reset_row_changes_an_update():
    outcomes = []
    for garbage in (False, True):
        config, learner, batch = learner_and_batch()
        assert (~batch.valid).sum() > 3
        if garbage:
            batch.rewards[~batch.valid] = 1e3
            batch.actions[~batch.valid] ^= 1
        outcomes.append((a2c.update(learner, batch, config, 0.01), nets.get_state(learner)))
    assert outcomes[0][0] == outcomes[1][0]
    x, y = {}, {}
    assert run_files._pack(outcomes[0][1], x) == run_files._pack(outcomes[1][1], y)
    assert x and all(np.array_equal(x[k], y[k]) for k in x)


def test_the_normaliser_learns_from_real_rows_and_only_after_the_batch():
    config, learner, batch = learner_and_batch()
    assert learner.agent.norm.count == 0
    a2c.update(learner, batch, config, 0.01)
    real = batch.obs[:-1][batch.valid]
    assert learner.agent.norm.count == len(real) == batch.valid.sum()
    assert np.allclose(learner.agent.norm.mean, real.mean(0), atol=1e-6)
    assert learner_and_batch(config=dataclasses.replace(LONG, normalize_obs=False))[1].agent.norm is None


def test_policy_and_value_function_share_nothing_and_one_optimiser_moves_both():
    for optimizer in (a2c.adam, a2c.rmsprop):
        config, learner, batch = learner_and_batch(optimizer=optimizer)
        policy = {p.data_ptr() for p in learner.agent.policy.parameters()}
        value = {p.data_ptr() for p in learner.value.parameters()}
        held = {p.data_ptr() for group in learner.optimizer.param_groups for p in group["params"]}
        assert not policy & value and held == policy | value
        before = [p.detach().clone() for p in parameters(learner)]
        a2c.update(learner, batch, config, 0.01)
        assert not any(torch.equal(a, b) for a, b in zip(before, parameters(learner), strict=True))


def test_the_entropy_bonus_opens_a_policy_that_has_closed():
    for weight in (0.0, 1.0):
        config, learner, batch = learner_and_batch(config=dataclasses.replace(LONG, ent_coef=weight))
        with torch.no_grad():
            learner.agent.policy.net[-1].bias += torch.tensor([2.0, 0.0])
        entropy = [a2c.update(learner, batch, config, 0.02, nothing)["entropy"] for _ in range(10)]
        assert (np.diff(entropy[2:]) > 0).all() if weight else np.ptp(entropy[2:]) < 0.02


def nothing(rewards, values, *rest):
    return np.zeros_like(values[:-1])


# ---------------------------------------------------------------- training


def one_batch(size: int, batch_size: int, epochs: int, rng: np.random.Generator) -> Iterator[torch.Tensor]:
    """All transitions of a batch as one minibatch, in their order, once an epoch."""
    for _ in range(epochs):
        yield torch.arange(size)


def as_they_are(advantages):
    return advantages


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_it_is_ppo_with_one_epoch_of_one_minibatch_and_plain_advantages(env_id):
    """Huang et al., 2022: to the last bit; with a second epoch no more."""
    ours = a2c.train(dataclasses.replace(SMALL, env_id=env_id, ent_coef=0.01), 0)
    shared = {name: ours.config[name] for name in ours.config if hasattr(ppo.Config, name)}
    parts = ppo.Parts(minibatches=one_batch, normalize=as_they_are)
    same, other = (
        ppo.train(ppo.Config(**{**shared, "hidden": (8,)}, n_epochs=epochs), 0, parts) for epochs in (1, 2)
    )
    x, y, z = {}, {}, {}
    for run, arrays in ((ours, x), (same, y), (other, z)):
        run_files._pack(run.policy, arrays)
    assert x and all(np.array_equal(x[k], y[k]) for k in x) and not all(np.array_equal(x[k], z[k]) for k in x)
    assert np.array_equal(ours.metrics["return"], same.metrics["return"])
    assert np.array_equal(ours.metrics["value_loss"], same.metrics["value_loss"])


class Endless(gym.Env):
    observation_space, action_space = gym.spaces.Box(-1, 1, (2,)), gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 1.0, False, False, {}


def test_the_value_function_learns_returns_across_time_limits_and_rollouts():
    # reward 1 for ever, cut after 8 steps: the value is 1/(1-gamma) = 5; taken for an ending it is below 3
    gym.register("EndlessA2C-v0", Endless, max_episode_steps=8)
    values = []

    def watch(rewards, v, *rest):
        values.append(v)
        return vpg.gae(rewards, v, *rest)

    try:
        config = a2c.Config("EndlessA2C-v0", 4, 5, 6_000, gamma=0.8, lr=3e-2, hidden=(8,))
        a2c.train(config, 0, advantages=watch)
    finally:
        del gym.registry["EndlessA2C-v0"]
    assert values[-1].mean() == pytest.approx(5, abs=0.3)


def test_the_value_of_a_world_of_one_step_is_its_reward_whatever_the_entropy():
    """Where the policy's loss reached the value function it would be 1 + entropy / (2 vf_coef)."""
    world = probes.TabularEnv(4, np.array([[1, 1]]), np.ones((1, 2)))
    values = []

    def first_rows(rewards, v, *rest):
        values.append(v[:-1][rewards > 0].mean())
        return vpg.gae(rewards, v, *rest)

    config = a2c.Config(num_envs=4, ent_coef=1.0, hidden=(8,))
    learner = a2c.make_learner(world, config, torch.Generator().manual_seed(0), a2c.adam)
    obs, episodes, rng = envs.reset(world, 0), envs.Episodes(4), np.random.default_rng(0)
    for _ in range(150):
        batch = a2c.collect(world, learner.agent, obs, episodes, rng, config.num_steps)
        obs, found = batch.obs[-1], a2c.update(learner, batch, config, 2e-2, first_rows)
    assert values[-1] == pytest.approx(1, abs=0.02) and found["entropy"] > 0.68


def test_each_batch_begins_where_the_last_one_ended(monkeypatch):
    batches, update = [], a2c.update
    monkeypatch.setattr(
        a2c, "update", lambda learner, *rest: batches.append(rest[0]) or update(learner, *rest)
    )
    a2c.train(dataclasses.replace(SMALL, total_steps=200), 0)
    assert len(batches) == 6 and all(batch.obs.shape == (9, 4, 4) for batch in batches)
    for before, after in itertools.pairwise(batches):
        assert np.array_equal(before.obs[-1], after.obs[0])


def test_the_learning_rate_falls_linearly_to_zero(monkeypatch):
    rates, update = [], a2c.update

    def watched(learner, *rest):
        found = update(learner, *rest)
        rates.append((rest[2], *(group["lr"] for group in learner.optimizer.param_groups)))
        return found

    monkeypatch.setattr(a2c, "update", watched)
    run = a2c.train(dataclasses.replace(SMALL, total_steps=400, lr=0.5), 0)
    begun = np.array([0, *run.metrics["update_step"][:-1]])
    assert np.allclose(rates, (0.5 * (1 - begun / 400))[:, None]) and len(rates[0]) == 2


def test_each_part_of_a_training_is_used_and_kept_in_its_run():
    config, made = dataclasses.replace(SMALL, total_steps=400), []

    def mine(parameters, lr):
        made.append(a2c.rmsprop(parameters, lr))
        return made[-1]

    plain, run = a2c.train(config, 0), a2c.train(config, 0, optimizer=mine, advantages=watched_gae)
    assert len(made) == 1 and made[0].param_groups[0]["lr"] < config.lr
    assert run.config["optimizer"].endswith("mine") and run.config["advantages"].endswith("watched_gae")
    assert not np.array_equal(plain.metrics["entropy"], run.metrics["entropy"])


def watched_gae(*given):
    return vpg.gae(*given)


def test_a_run_of_another_algorithm_is_not_loaded():
    run = a2c.train(dataclasses.replace(SMALL, total_steps=200), 0)
    assert run.algorithm == "rlworkshop.algorithms.a2c"
    assert a2c.load_policy(run).norm.count == run.metrics["update_step"][-1]
    with pytest.raises(ValueError, match="a2c"):
        ppo.load_policy(run)


@pytest.mark.parametrize(
    "broken",
    [
        {"num_envs": 0}, {"num_steps": 0}, {"total_steps": 79}, {"gamma": 1.5}, {"gamma": -0.1},
        {"gae_lambda": -0.1}, {"gae_lambda": 1.5}, {"lr": 0.0}, {"ent_coef": -0.1}, {"vf_coef": -0.1},
        {"max_grad_norm": -0.1}, {"lr_decay_fraction": 1.5}, {"lr_decay_fraction": -0.1},
    ],
)  # fmt: skip
def test_impossible_configurations_are_refused(broken):
    with pytest.raises(ValueError):
        a2c.Config(**broken)


def test_what_lies_at_the_edge_is_possible():
    small = dict.fromkeys(("num_envs", "num_steps", "total_steps"), 1)
    for end in (0.0, 1.0):
        a2c.Config(**small, gamma=end, gae_lambda=end, lr_decay_fraction=end, lr=1e-9, max_grad_norm=0)


def test_the_settings_that_readers_begin_with_are_those_of_the_paper_where_it_has_some():
    config, adam = a2c.Config(), inspect.signature(torch.optim.Adam).parameters
    assert (config.num_envs, config.num_steps, config.gae_lambda, config.gamma) == (16, 5, 1.0, 0.99)
    assert (config.vf_coef, config.max_grad_norm) == (0.5, 0.5)  # baselines'
    assert config.lr == 3 * adam["lr"].default and config.total_steps == 100_000


@pytest.mark.slow
def test_it_learns_cartpole():
    config = a2c.Config(num_steps=20, lr=5e-3)
    runs = [a2c.train(config, seed) for seed in range(5)]
    assert np.median([run.metrics["return"][-100:].mean() for run in runs]) >= 200
