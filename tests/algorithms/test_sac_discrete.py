"""SAC for discrete actions: what it changes in SAC, against independent references, then the whole."""

import dataclasses
import math

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlworkshop import envs, nets
from rlworkshop.algorithms import sac, sac_discrete
from rlworkshop.replay import Transitions

SMALL = sac_discrete.DiscreteConfig(
    num_envs=3, total_steps=500, hidden=(8,), batch_size=16, learning_starts=100, train_freq=20,
    gradient_steps=5, tau=0.1,
)  # fmt: skip


class World(gym.Env):
    """Three actions; the right one, which the observation tells, pays 1."""

    observation_space, action_space = gym.spaces.Box(0, 1, (3,)), gym.spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.right = int(self.np_random.integers(3))
        return np.eye(3, dtype=np.float32)[self.right], {}

    def step(self, action):
        return np.zeros(3, np.float32), float(action == self.right), True, False, {}


def learner_for(config=SMALL, seed=0):
    made = envs.make(World, config.num_envs)
    return sac_discrete.make_discrete(made, config, torch.Generator().manual_seed(seed))


def random_batch(seed, B=6):
    rng = np.random.default_rng(seed)
    obs, next_obs = rng.normal(size=(2, B, 3)).astype(np.float32)
    reward, discount = rng.normal(size=B), np.where(rng.random(B) < 0.3, 0, 0.9)
    return Transitions(
        obs, rng.integers(3, size=B), reward.astype(np.float32), next_obs, discount.astype(np.float32)
    )


class Fixed:
    def __init__(self, batch):
        self.batch = batch

    def sample(self, batch_size, rng):
        return self.batch


def shaken(learner):
    random = torch.Generator().manual_seed(1)
    for net in (learner.agent.actor, learner.target_critic):
        for p in net.parameters():
            p.data += 0.5 * torch.randn(p.shape, generator=random)
    return learner


def flat(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()]).clone()


def test_the_expected_value_is_that_of_drawn_actions():
    logp = torch.log_softmax(torch.tensor([[1.0, 0.0, -1.0], [0.0, 0.0, 3.0]]), dim=1)
    q, alpha = torch.tensor([[1.0, 2.0, 3.0], [-1.0, 0.0, 1.0]]), torch.tensor(0.4)
    p = logp.exp()
    wanted = (p * q).sum(dim=1) + 0.4 * -(p * logp).sum(dim=1)
    assert torch.allclose(sac_discrete.expected_soft_value(q, logp, alpha), wanted)


def test_the_best_policy_of_a_state_is_a_softmax_of_q():
    """Where the exact objective is largest its gradient is zero: at softmax(Q / α)."""
    q, alpha = torch.tensor([[1.0, 2.0, 0.5]]), torch.tensor(0.3)
    logits = (q / alpha).clone().requires_grad_(True)
    value = sac_discrete.expected_soft_value(q, logits.log_softmax(dim=1), alpha)
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    assert torch.allclose(gradient, torch.zeros(1, 3), atol=1e-6)
    assert value.item() == pytest.approx(0.3 * torch.logsumexp(q / alpha, dim=1).item())


def test_the_target_is_the_expected_value_by_the_copies():
    learner = shaken(learner_for(dataclasses.replace(SMALL, alpha=0.7)))
    batch = learner.agent.tensors(random_batch(0))
    logits = nets.torch_forward(learner.agent.actor, batch.next_obs.numpy())
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    q = np.minimum(
        *(nets.torch_forward(twin, batch.next_obs.numpy()) for twin in learner.target_critic.twins)
    )
    value = (p * (q - 0.7 * np.log(p))).sum(axis=1)
    with torch.no_grad():
        found = sac_discrete.discrete_target(learner, batch, SMALL, None)
    assert np.allclose(found, batch.reward.numpy() + batch.discount.numpy() * value, atol=1e-5)


def test_gradients_of_all_parts_are_those_of_their_own_loss():
    """By automatic differentiation of losses written out; nothing flows through the target or α."""
    learner, batch = shaken(learner_for()), random_batch(2)
    learner.target_critic = learner.critic  # the worst case
    for optimizer in (learner.actor_opt, learner.critic_opt, learner.alpha_opt):
        optimizer.param_groups[0]["lr"] = 0.0
    seen = learner.agent.tensors(batch)
    with torch.no_grad():
        goal = sac_discrete.discrete_target(learner, seen, SMALL, None)
        low = learner.critic(seen.obs).min(dim=0).values
    found = sac_discrete.update_discrete(learner, Fixed(batch), SMALL, None)

    q = torch.stack([twin(seen.obs)[range(6), seen.action] for twin in learner.critic.twins])
    losses = {learner.critic: 0.5 * ((q - goal) ** 2).mean(dim=1).sum()}
    logp = learner.agent.actor(seen.obs).log_softmax(dim=1)
    entropy = -(logp.exp() * logp).sum(dim=1)
    losses[learner.agent.actor] = -((logp.exp() * low).sum(dim=1) + SMALL.alpha * entropy).mean()
    gap = entropy.mean().item() - 0.5 * math.log(3)
    losses[learner.temperature] = learner.temperature.log_alpha.exp() * gap
    for part, loss in losses.items():
        parameters = [*part.parameters()]
        wanted = torch.autograd.grad(loss, parameters)
        assert all(torch.allclose(p.grad, g, atol=1e-6) for p, g in zip(parameters, wanted, strict=True))
        assert max(g.abs().max() for g in wanted) > 1e-3
    assert found["entropy"] == pytest.approx(entropy.mean().item()) and found["alpha"] == 1
    assert found["q"] == pytest.approx(q.mean().item())
    assert found["critic_loss"] == pytest.approx(losses[learner.critic].item())


def test_the_copy_begins_equal_follows_slowly_and_no_optimiser_knows_it():
    learner = learner_for()
    target = flat(learner.target_critic)
    assert torch.equal(flat(learner.critic), target)
    opts = learner.actor_opt, learner.critic_opt, learner.alpha_opt
    held = [{*map(id, opt.param_groups[0]["params"])} for opt in opts]
    assert held == [
        {*map(id, part.parameters())} for part in (learner.agent.actor, learner.critic, learner.temperature)
    ]
    assert not any(p.requires_grad for p in learner.target_critic.parameters())
    sac_discrete.update_discrete(learner, Fixed(random_batch(0)), SMALL, None)
    wanted = target + SMALL.tau * (flat(learner.critic) - target)
    assert torch.allclose(flat(learner.target_critic), wanted, atol=1e-6)
    assert not torch.equal(target, flat(learner.critic))


def test_actions_are_drawn_with_the_policys_probabilities():
    agent = shaken(learner_for()).agent
    obs = np.tile(np.float32([[0.3, -0.8, 1.0]]), (40_000, 1))
    p = agent.log_probs(torch.from_numpy(obs[:1])).exp()[0].detach().numpy()
    drawn = np.bincount(agent.sample(obs, np.random.default_rng(0)), minlength=3) / len(obs)
    assert np.allclose(drawn, p, atol=0.01) and p.min() > 0.001
    assert (agent.act(obs[:5]) == p.argmax()).all()
    anything = np.bincount(agent.anything(obs, np.random.default_rng(0)), minlength=3) / len(obs)
    assert np.allclose(anything, 1 / 3, atol=0.01)


def test_the_target_of_entropy_is_a_part_of_the_largest():
    assert learner_for().target_entropy == pytest.approx(0.5 * math.log(3))


def test_it_finds_the_right_action_and_keeps_as_much_entropy_as_it_is_told():
    config = dataclasses.replace(
        SMALL, total_steps=600, gradient_steps=30, lr=1e-2, alpha=0.3, alpha_lr=1e-2, target_entropy=0.4
    )  # fmt: skip
    kept = []

    def update(learner, *rest):
        kept.append(learner)
        return sac_discrete.update_discrete(learner, *rest)

    run = sac_discrete.train_discrete(config, 0, envs=World, update=update)
    agent, critic = kept[-1].agent, kept[-1].critic
    assert agent.act(np.eye(3)).tolist() == [0, 1, 2]
    assert run.metrics["entropy"][-5:].mean() == pytest.approx(0.4 * math.log(3), abs=0.15)
    with torch.no_grad():
        assert torch.allclose(critic(torch.eye(3)), torch.eye(3), atol=0.1)  # an end: nothing comes after it


def test_the_budget_of_updates_is_kept_and_a_run_is_loaded_by_its_own_algorithm():
    counted = []

    def counting(*given):
        counted.append(1)
        return sac_discrete.update_discrete(*given)

    run = sac_discrete.train_discrete(SMALL, 0, update=counting)
    assert len(counted) == len(run.metrics["update_step"]) * SMALL.gradient_steps > 0
    assert run.algorithm == "rlworkshop.algorithms.sac_discrete"
    assert run.metrics["length"].sum() <= SMALL.total_steps
    assert sac_discrete.load_discrete(run).act(np.zeros((2, 4))).shape == (2,)
    with pytest.raises(ValueError, match="this run is of rlworkshop.algorithms.sac_discrete"):
        sac.load_policy(run)


def test_spaces_that_do_not_fit_are_named():
    obs, square = gym.spaces.Box(-1, 1, (3,)), gym.spaces.Box(-1, 1, (2, 2))
    for wrong in (gym.spaces.Box(-1, 1, (1,)), gym.spaces.Discrete(2, start=1)):
        with pytest.raises(ValueError, match="actions must be Discrete from 0"):
            sac_discrete.DiscreteAgent.fresh(obs, wrong, (8,), torch.Generator())
    with pytest.raises(ValueError, match="observations"):
        sac_discrete.DiscreteAgent.fresh(square, gym.spaces.Discrete(2), (8,), torch.Generator())


@pytest.mark.slow
def test_it_learns_to_balance():
    """A tenth of the steps is enough: untrained it balances for some 10, and then for 200 to 300."""
    config, scores = sac_discrete.DiscreteConfig(total_steps=3_000), []
    for seed in range(3):
        run = sac_discrete.train_discrete(config, seed)
        scores.append(envs.evaluate(sac_discrete.load_discrete(run).act, "CartPole-v1", 20, seed=9).mean())
    assert np.median(scores) >= 150
