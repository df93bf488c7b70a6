"""Each variant of PPO leaves out what it says, and nothing else."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from rlworkshop import envs
from rlworkshop.algorithms import ppo, ppo_details, vpg

SMALL = ppo.Config(
    num_envs=4, num_steps=32, total_steps=300, n_epochs=5, batch_size=50, lr=3e-2, hidden=(16,),
    normalize_obs=True, normalize_rewards=True,
)  # fmt: skip


def learner(make, env_id="CartPole-v1", hidden=(64, 64), seed=0):
    config = dataclasses.replace(SMALL, env_id=env_id, hidden=hidden)
    return make(envs.make(env_id, 4), config, torch.Generator().manual_seed(seed))


def layers(made):
    linear = [layer for net in (made.agent.policy.net, made.value) for layer in net]
    return [layer for layer in linear if isinstance(layer, torch.nn.Linear)]


def test_torch_weights_are_distributed_as_those_of_a_fresh_linear_layer():
    ours = layers(learner(ppo_details.torch_weights, "Pendulum-v1"))
    for layer in ours:
        bound = 1 / math.sqrt(layer.in_features)
        weights = layer.weight.detach().ravel()
        assert weights.abs().max() <= bound and layer.bias.abs().max() <= bound
        if len(weights) > 1000:
            fresh = torch.nn.Linear(layer.in_features, layer.out_features).weight.detach()
            assert weights.std() == pytest.approx(fresh.std().item(), rel=0.05)
            assert abs(weights.mean()) < 0.1 * bound and weights.abs().max() > 0.95 * bound
    assert all(layer.bias.abs().sum() > 0 for layer in ours)


def test_a_large_head_makes_the_first_policy_choose_and_leaves_the_rest():
    usual, large = (layers(learner(make)) for make in (ppo.make_learner, ppo_details.large_head))
    for i, (a, b) in enumerate(zip(usual, large, strict=True)):
        assert torch.allclose(b.weight, 100 * a.weight if i == 2 else a.weight)
    spread = [
        learner(make).agent.policy.net(torch.ones(1, 4)).abs().max().item()
        for make in (ppo.make_learner, ppo_details.large_head)
    ]
    assert spread[1] == pytest.approx(100 * spread[0], rel=1e-4)
    assert torch.linalg.matrix_norm(large[2].weight, 2).item() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("make", [ppo_details.torch_weights, ppo_details.large_head])
def test_initial_weights_come_from_the_generator_alone(make):
    torch.manual_seed(1)
    first = layers(learner(make))
    torch.manual_seed(2)
    again, other = layers(learner(make)), layers(learner(make, seed=1))
    assert all(torch.equal(a.weight, b.weight) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a.weight, b.weight) for a, b in zip(first, other, strict=True))


def test_a_cut_taken_for_an_end_forgets_what_would_have_come():
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=(5, 1)), rng.normal(size=(6, 1))
    nothing, cut = np.zeros((5, 1), bool), np.zeros((5, 1), bool)
    cut[2] = True
    wrong = ppo_details.cut_is_an_end(rewards, values, nothing, cut, 0.9, 0.8)
    assert np.array_equal(wrong, vpg.gae(rewards, values, cut, nothing, 0.9, 0.8))
    right = vpg.gae(rewards, values, nothing, cut, 0.9, 0.8)
    assert wrong[2, 0] - right[2, 0] == pytest.approx(-0.9 * values[3, 0])
    assert np.array_equal(wrong[3:], right[3:])
    ended = ppo_details.cut_is_an_end(rewards, values, cut, nothing, 0.9, 0.8)
    assert np.array_equal(ended, vpg.gae(rewards, values, cut, nothing, 0.9, 0.8))


@pytest.mark.parametrize(
    ("value", "target", "loss", "slope"),
    [
        (1.1, 2.0, 0.81, -1.8),  # within the range: the squared error
        (1.5, 2.0, 0.64, 0.0),  # it has gone far enough towards the target: a constant
        (0.5, 2.0, 2.25, -3.0),  # it has gone the wrong way: no constant
        (1.5, 1.1, 0.16, 0.8),  # it has gone beyond the target: it may come back
    ],
)
def test_the_clipped_value_loss_by_cases(value, target, loss, slope):
    value = torch.tensor([value], dtype=torch.float64, requires_grad=True)
    found = ppo_details.clipped_value_loss(value, torch.tensor([target]).double(), torch.ones(1), 0.2)
    found.backward()
    assert found.item() == pytest.approx(loss, rel=1e-6) and value.grad.item() == pytest.approx(
        slope, rel=1e-6
    )


def test_the_clipped_value_loss_is_a_mean_and_never_below_the_squared_error():
    rng = torch.Generator().manual_seed(0)
    values, returns, old = torch.randn(3, 500, generator=rng)
    found = ppo_details.clipped_value_loss(values, returns, old, 0.2)
    assert found > ppo.squared_error(values, returns, old, 0.2)
    each = [
        ppo_details.clipped_value_loss(*(x[i, None] for x in (values, returns, old)), 0.2) for i in range(500)
    ]
    assert found.item() == pytest.approx(float(np.mean(each)), rel=1e-5)


def test_the_unclipped_loss_pays_without_end():
    logp = torch.tensor([0.5, -2.0], requires_grad=True)
    advantages = torch.tensor([2.0, -1.0])
    loss = ppo_details.unclipped_loss(logp, torch.zeros(2), advantages, 0.2)
    loss.backward()
    ratio = logp.detach().exp()
    assert loss.item() == pytest.approx(-(ratio * advantages).mean().item())
    assert torch.allclose(logp.grad, -ratio * advantages / 2)


def test_minibatches_in_order_are_neighbours_and_the_same_in_each_epoch():
    parts = [part.tolist() for part in ppo_details.in_order(10, 4, 2, np.random.default_rng(0))]
    assert parts == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]] * 2


def test_raw_advantages_are_handed_on():
    assert torch.equal(ppo_details.as_they_are(x := torch.tensor([3.0, 5.0])), x)


def test_each_variant_leaves_out_one_thing():
    whole = ppo_details.VARIANTS["all details"]
    assert whole.parts == ppo.PARTS and not whole.settings
    for name, variant in ppo_details.VARIANTS.items():
        parts = [f for f in vars(variant.parts) if getattr(variant.parts, f) is not getattr(ppo.PARTS, f)]
        assert len(parts) + len(variant.settings) == (name != "all details"), name
        for field, value in variant.settings.items():
            assert getattr(ppo_details.CHEETAH, field) != value, name


@pytest.mark.parametrize("name", ppo_details.VARIANTS)
def test_each_variant_trains_and_goes_its_own_way(name):
    run = ppo_details.train_variant(name, 0, SMALL)
    plain = ppo.train(SMALL, 0)
    same = np.array_equal(run.metrics["value_loss"], plain.metrics["value_loss"])
    assert same == (name in ("all details", "cut-off taken for an end"))  # no pole is cut off in 300 steps
    assert np.isfinite(run.metrics["kl"]).all() and run.algorithm == ppo.ALGORITHM


def test_an_unknown_variant_is_named():
    with pytest.raises(ValueError, match="'λ = 2'.*λ = 1"):
        ppo_details.train_variant("λ = 2", 0)
