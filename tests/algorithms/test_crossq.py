"""CrossQ: what it changes in SAC, against independent references, then the whole."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlworkshop import envs
from rlworkshop.algorithms import crossq, sac
from rlworkshop.replay import Transitions

SMALL = crossq.CrossQConfig(
    num_envs=3, total_steps=400, hidden=(8,), critic_hidden=(6,), batch_size=16, learning_starts=100,
    train_freq=20, gradient_steps=5,
)  # fmt: skip


class World(gym.Env):
    """Pays minus the squared distance of the action from a place that the observation tells."""

    observation_space, action_space = gym.spaces.Box(-1, 1, (2,)), gym.spaces.Box(-4, 4, (2,))
    ends = True

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.obs = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.obs, {}

    def step(self, action):
        reward = -float(((action / 4 - 0.5 * self.obs) ** 2).sum())
        self.obs = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.obs, reward, self.ends, False, {}


def learner_for(config=SMALL, seed=0):
    made = envs.make(World, config.num_envs)
    return crossq.make_crossq(made, config, torch.Generator().manual_seed(seed))


def random_batch(seed, B=16):
    rng = np.random.default_rng(seed)
    obs, next_obs = rng.normal(size=(2, B, 2)).astype(np.float32)
    action = rng.uniform(-4, 4, size=(B, 2)).astype(np.float32)
    reward, discount = rng.normal(size=B), np.where(rng.random(B) < 0.3, 0, 0.9)
    return Transitions(obs, action, reward.astype(np.float32), next_obs, discount.astype(np.float32))


class Fixed:
    def __init__(self, batch):
        self.batch = batch

    def sample(self, batch_size, rng):
        return self.batch


def flat(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()]).clone()


def statistics(net):
    return torch.cat([b.flatten() for name, b in net.named_buffers() if "running" in name]).clone()


def by_hand(twin, x):
    """A critic's answer (B,) with each layer's inputs normalised over the rows of ``x``."""
    for layer in twin.net:
        if isinstance(layer, torch.nn.BatchNorm1d):
            x = (x - x.mean(dim=0)) / (x.var(dim=0, unbiased=False) + 1e-5).sqrt() * layer.weight + layer.bias
        else:
            x = layer(x)
    return x[:, 0]


def test_a_normalisation_stands_before_each_linear_layer():
    critic = learner_for().critic
    kinds = ["BatchNorm1d", "Linear", "ReLU", "BatchNorm1d", "Linear"]
    assert [[type(layer).__name__ for layer in twin.net] for twin in critic.twins] == [kinds] * 2
    assert {layer.momentum for layer in critic.modules() if hasattr(layer, "momentum")} == {0.01}


@pytest.mark.parametrize("joint", [True, False])
def test_both_halves_are_normalised_together(joint):
    """And apart, in the variant that shows why: each half by its own mean and deviation."""
    learner = learner_for(dataclasses.replace(SMALL, alpha=0.7))
    for p in learner.critic.parameters():
        p.data += 0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1))
    batch = learner.agent.tensors(random_batch(0)._replace(next_obs=random_batch(1).next_obs + 5))
    with torch.no_grad():
        action, logp = learner.agent.draw(batch.next_obs, np.random.default_rng(3))
        now, later = (
            torch.cat([batch.obs, batch.action], dim=1), torch.cat([batch.next_obs, action], dim=1)
        )  # fmt: skip
        if joint:
            both = torch.stack([by_hand(twin, torch.cat([now, later])) for twin in learner.critic.twins])
            wanted_q, next_q = both[:, :16], both[:, 16:]
        else:
            wanted_q, next_q = (
                torch.stack([by_hand(twin, half) for twin in learner.critic.twins]) for half in (now, later)
            )
        goal = batch.reward + batch.discount * (next_q.min(dim=0).values - 0.7 * logp)
    function = crossq.joint_td if joint else crossq.separate_td
    q, target = function(learner, batch, SMALL, np.random.default_rng(3))
    assert torch.allclose(q, wanted_q, atol=1e-4) and torch.allclose(target, goal, atol=1e-4)
    assert q.requires_grad and not target.requires_grad


def test_the_gradient_of_a_joint_pass_is_that_with_the_target_held_fixed():
    learner = learner_for()
    for net in (learner.critic, learner.agent.actor, learner.temperature):
        net.double()
    batch = Transitions(*(c.double() for c in learner.agent.tensors(random_batch(0))))
    _, goal = crossq.joint_td(learner, batch, SMALL, np.random.default_rng(3))

    def loss():
        q, _ = crossq.joint_td(learner, batch, SMALL, np.random.default_rng(3))
        return 0.5 * ((q - goal) ** 2).mean(dim=1).sum()

    parameters = [*learner.critic.parameters()]
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss(), parameters), strict=True):
        values = parameter.data.view(-1)
        for i in range(0, len(values), 3):
            kept, sides = values[i].item(), []
            for shift in (1e-6, -1e-6):
                values[i] = kept + shift
                sides.append(loss().item())
            values[i] = kept
            assert gradient.view(-1)[i].item() == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=1e-6)


@pytest.mark.parametrize("delay", [1, 3])
def test_actor_and_temperature_move_at_every_so_manieth_step_alone(delay):
    config, learner = dataclasses.replace(SMALL, policy_delay=delay), learner_for()
    for number in range(1, 7):
        parts = learner.agent.actor, learner.temperature
        before, critic = [flat(part) for part in parts], flat(learner.critic)
        crossq.update_crossq(learner, Fixed(random_batch(number)), config, np.random.default_rng(number))
        assert not torch.equal(critic, flat(learner.critic))
        same = [torch.equal(was, flat(part)) for was, part in zip(before, parts, strict=True)]
        assert same == [number % delay != 0] * 2
    assert learner.updates == 6 and learner.target_critic is None


def test_the_actors_step_changes_no_statistics_and_no_critic():
    """What critics remember after an update is what their own pass left, whatever the actor does."""
    found = []
    for delay in (1, 100):
        learner = learner_for()
        config = dataclasses.replace(SMALL, policy_delay=delay)
        crossq.update_crossq(learner, Fixed(random_batch(0)), config, np.random.default_rng(0))
        assert learner.critic.training
        found.append((statistics(learner.critic), flat(learner.critic), flat(learner.agent.actor)))
    (stats, critic, actor), (other_stats, other_critic, other_actor) = found
    assert torch.equal(stats, other_stats) and torch.equal(critic, other_critic)
    assert not torch.equal(actor, other_actor)
    assert not torch.equal(stats, statistics(learner_for().critic))


def test_the_actor_is_judged_by_running_statistics():
    """A loss of B rows: that of one row does not depend on which others are with it."""
    learner = learner_for(dataclasses.replace(SMALL, policy_delay=1))
    for optimizer in (learner.actor_opt, learner.critic_opt, learner.alpha_opt):
        optimizer.param_groups[0]["lr"] = 0.0
    batch = random_batch(0)
    config = dataclasses.replace(SMALL, policy_delay=1)
    seen = learner.agent.tensors(batch)
    crossq.update_crossq(learner, Fixed(batch), config, rng := np.random.default_rng(0))
    found = [p.grad.clone() for p in learner.agent.actor.parameters()]
    rng = np.random.default_rng(0)
    learner.agent.draw(seen.next_obs, rng)
    learner.critic.eval()
    action, logp = learner.agent.draw(seen.obs, rng)
    loss = (logp - learner.critic(seen.obs, action).min(dim=0).values).mean()
    wanted = torch.autograd.grad(loss, [*learner.agent.actor.parameters()])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(found, wanted, strict=True))


def test_optimisers_hold_one_part_each_and_forget_sooner():
    learner = learner_for()
    opts = learner.actor_opt, learner.critic_opt, learner.alpha_opt
    held = [{*map(id, opt.param_groups[0]["params"])} for opt in opts]
    assert held == [
        {*map(id, part.parameters())} for part in (learner.agent.actor, learner.critic, learner.temperature)
    ]
    assert {opt.defaults["betas"] for opt in opts} == {(0.5, 0.999)}
    assert learner.target_entropy == pytest.approx(-2 + 2 * np.log(4))


def test_it_finds_the_best_action():
    kept = []
    config = dataclasses.replace(
        SMALL, hidden=(32,), critic_hidden=(32,), lr=1e-2, alpha=0.1, gradient_steps=30, policy_delay=1
    )  # fmt: skip
    crossq.train_crossq(config, 0, envs=World, callback=lambda s: kept.append(s.agent))
    obs = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    assert np.abs(kept[-1].act(obs) / 4 - 0.5 * obs).mean() < 0.15 < np.abs(0.5 * obs).mean()


def test_the_budget_of_updates_is_kept_and_a_run_is_loaded_by_its_own_algorithm():
    counted = []

    def counting(*given):
        counted.append(1)
        return crossq.update_crossq(*given)

    run = crossq.train_crossq(SMALL, 0, update=counting)
    assert len(counted) == len(run.metrics["update_step"]) * SMALL.gradient_steps > 0
    assert run.algorithm == "rlworkshop.algorithms.crossq"
    assert crossq.load_crossq(run).act(np.zeros((2, 3))).shape == (2, 1)
    with pytest.raises(ValueError, match="this run is of rlworkshop.algorithms.crossq"):
        sac.load_policy(run)


def test_a_target_that_is_given_is_used():
    runs = [crossq.train_crossq(SMALL, 0, target=t) for t in (crossq.joint_td, crossq.separate_td)]
    assert not np.array_equal(*(run.metrics["critic_loss"] for run in runs))


@pytest.mark.parametrize(
    "broken", [{"policy_delay": 0}, {"beta1": 1.0}, {"beta1": -0.1}, {"gamma": 1.5}, {"alpha": 0.0}]
)
def test_impossible_configurations_are_refused(broken):
    with pytest.raises(ValueError):
        crossq.CrossQConfig(**broken)


def test_what_lies_at_the_edge_is_possible():
    crossq.CrossQConfig(policy_delay=1, beta1=0.0)
