"""Trust region policy optimisation: each named function against an exact answer, updates, the whole."""

import dataclasses
import inspect
import itertools
import math

import numpy as np
import pytest
import torch
from torch import distributions
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from rlworkshop import envs, nets
from rlworkshop.algorithms import trpo, vpg
from rlworkshop.runs import run as run_files

SMALL = trpo.Config(num_envs=4, num_steps=32, total_steps=1500, hidden=(8,), value_steps=2)
LONG = dataclasses.replace(SMALL, num_steps=100)  # some poles fall, so there are reset rows
KINDS = ["categorical", "gaussian"]
kinds = pytest.mark.parametrize("kind", KINDS)


def policy_and_obs(kind, seed=0, B=12, spread=2.0):
    """A small policy in double precision, far from its first weights, and observations."""
    generator = torch.Generator().manual_seed(seed)
    cls = {"categorical": vpg.CategoricalPolicy, "gaussian": vpg.GaussianPolicy}[kind]
    policy = cls(3, 2 if kind == "gaussian" else 4, (5,), generator).double()
    with torch.no_grad():
        policy.net[-1].weight *= 30 * spread
        policy.net[-1].bias += torch.randn(policy.net[-1].bias.shape, generator=generator)
    return policy, torch.randn(B, 3, generator=generator, dtype=torch.float64)


def as_torch(kind, numbers):
    if kind == "categorical":
        return distributions.Categorical(logits=numbers[0])
    return distributions.Independent(distributions.Normal(numbers[0], numbers[1].exp()), 1)


# ---------------------------------------------------------------- the divergence


@kinds
def test_the_numbers_of_a_distribution_are_those_that_give_the_log_probabilities(kind):
    policy, obs = policy_and_obs(kind)
    dist = as_torch(kind, trpo.distribution_parameters(policy, obs))
    actions = dist.sample()
    logp, entropy = policy.log_prob(obs, actions)
    assert torch.allclose(dist.log_prob(actions), logp) and torch.allclose(dist.entropy(), entropy)


@kinds
def test_kl_is_that_of_torch_distributions_from_old_to_new(kind):
    old, new = (
        trpo.distribution_parameters(policy, obs)
        for policy, obs in (policy_and_obs(kind, 0), policy_and_obs(kind, 1))
    )
    if kind == "gaussian":
        new = new[0], new[1] + torch.tensor([0.7, -0.3])
    wanted = distributions.kl_divergence(as_torch(kind, old), as_torch(kind, new))
    found = trpo.kl(old, new)
    assert found.shape == (12,) and torch.allclose(found, wanted) and (found > 0.01).all()
    assert not torch.allclose(trpo.kl(new, old), wanted, rtol=0.05)  # the order makes a difference
    assert torch.allclose(trpo.kl(old, old), torch.zeros(12, dtype=torch.float64))


def test_kl_by_hand():
    p, q = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1]]).log()
    assert trpo.categorical_kl(p, q).item() == pytest.approx(0.5 * math.log(5 / 9) + 0.5 * math.log(5))
    zero, one = torch.zeros(1, 2), torch.ones(1, 2)
    assert trpo.gaussian_kl(zero, zero, one, zero).item() == pytest.approx(2 * 0.5)  # half a squared shift
    wide = trpo.gaussian_kl(zero, zero, zero, math.log(2) * one).item()
    assert wide == pytest.approx(2 * (math.log(2) + 1 / 8 - 1 / 2))


# ---------------------------------------------------------------- the surrogate objective


def test_the_surrogate_weighs_advantages_by_ratios_and_has_the_policy_gradient():
    old = torch.tensor([0.2, 0.5, 0.4]).log()
    logp, advantages = torch.tensor([0.4, 0.5, 0.1]).log(), torch.tensor([1.0, -2.0, 4.0])
    assert trpo.surrogate(logp, old, advantages).item() == pytest.approx((2 * 1 - 2 + 0.25 * 4) / 3)
    here = old.clone().requires_grad_()
    (ours,) = torch.autograd.grad(trpo.surrogate(here, old, advantages), here)
    (theirs,) = torch.autograd.grad(vpg.policy_loss(here, advantages), here)
    assert torch.allclose(ours, -theirs) and ours.abs().sum() > 1  # an objective, and no loss


# ---------------------------------------------------------------- the Fisher matrix


def dense(product, size):
    """The matrix of a linear map, column by column."""
    return torch.stack([product(row) for row in torch.eye(size, dtype=torch.float64)], dim=1)


def explicit_fisher(kind, policy, obs):
    """Mean over observations of the expected outer product of the score, all actions weighed exactly."""
    parameters, total = tuple(policy.parameters()), 0.0
    for one in obs:
        numbers = [x[0] for x in trpo.distribution_parameters(policy, one[None])]
        if kind == "categorical":
            for logp in numbers[0]:
                score = trpo.flat(torch.autograd.grad(logp, parameters, retain_graph=True))
                total = total + logp.exp().detach() * torch.outer(score, score)
        else:  # scores of mean and log_std are uncorrelated, of variance 1 / std² and 2
            for mean, log_std in zip(*numbers, strict=True):
                for x, weight in ((mean, torch.exp(-2 * log_std)), (log_std, torch.tensor(2.0))):
                    found = torch.autograd.grad(x, parameters, retain_graph=True, allow_unused=True)
                    row = trpo.flat(
                        torch.zeros_like(p) if g is None else g
                        for g, p in zip(found, parameters, strict=True)
                    )
                    total = total + weight.detach() * torch.outer(row, row)
    return total / len(obs)


@kinds
def test_the_product_is_that_with_the_explicit_fisher_matrix(kind):
    policy, obs = policy_and_obs(kind)
    wanted = explicit_fisher(kind, policy, obs)
    found = dense(trpo.fisher(policy, obs, damping=0.0), len(wanted))
    assert torch.allclose(found, wanted, atol=1e-12) and wanted.abs().max() > 0.1
    assert torch.allclose(found, found.T, atol=1e-12)  # symmetric
    assert torch.linalg.eigvalsh(found).min() > -1e-10  # and nowhere negative


@kinds
def test_damping_adds_a_multiple_of_the_identity(kind):
    policy, obs = policy_and_obs(kind)
    size = sum(p.numel() for p in policy.parameters())
    plain, damped = (dense(trpo.fisher(policy, obs, d), size) for d in (0.0, 0.25))
    assert torch.allclose(damped - plain, 0.25 * torch.eye(size, dtype=torch.float64), atol=1e-12)


@kinds
def test_the_product_predicts_the_divergence_of_a_small_step(kind):
    policy, obs = policy_and_obs(kind)
    product, start = trpo.fisher(policy, obs, 0.0), parameters_to_vector(policy.parameters()).detach()
    old = [x.detach() for x in trpo.distribution_parameters(policy, obs)]
    for seed in range(3):
        v = torch.randn(start.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        wanted = 0.5 * (v @ product(v)).item()
        for size in (1e-3, -1e-3):
            vector_to_parameters(start + size * v, policy.parameters())
            found = trpo.kl(old, trpo.distribution_parameters(policy, obs)).mean().item() / size**2
            assert found == pytest.approx(wanted, rel=0.02)
        vector_to_parameters(start, policy.parameters())


@kinds
def test_the_products_leave_the_policy_and_its_gradients_alone(kind):
    policy, obs = policy_and_obs(kind)
    kept = parameters_to_vector(policy.parameters()).detach().clone()
    product = trpo.fisher(policy, obs, 0.1)
    first = product(kept)
    assert torch.equal(first, product(kept)) and not first.requires_grad
    assert torch.equal(kept, parameters_to_vector(policy.parameters()))
    assert all(p.grad is None for p in policy.parameters())


# ---------------------------------------------------------------- conjugate gradient


def system(seed, n, eigenvalues=None):
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    spectrum = rng.uniform(0.5, 5.0, n) if eigenvalues is None else np.resize(eigenvalues, n)
    return q @ np.diag(spectrum) @ q.T, rng.normal(size=n)


class Counted:
    """Products with a matrix, counted."""

    def __init__(self, matrix):
        self.matrix, self.count = torch.from_numpy(matrix), 0

    def __call__(self, vector):
        self.count += 1
        return self.matrix @ vector


@pytest.mark.parametrize("seed", range(5))
def test_conjugate_gradient_solves_what_numpy_solves_and_in_n_steps(seed):
    n = 3 + 2 * seed
    matrix, b = system(seed, n)
    product, wanted = Counted(matrix), np.linalg.solve(matrix, b)
    found = trpo.conjugate_gradient(product, torch.from_numpy(b), n, tolerance=0.0)
    assert np.allclose(found, wanted, rtol=1e-8, atol=1e-10) and product.count == n
    early = trpo.conjugate_gradient(Counted(matrix), torch.from_numpy(b), n - 1, tolerance=0.0)
    assert not np.allclose(early, wanted, rtol=1e-8, atol=1e-10)


def test_conjugate_gradient_needs_one_step_for_each_different_eigenvalue():
    matrix, b = system(0, 12, [1.0, 3.0, 7.0])
    product = Counted(matrix)
    found = trpo.conjugate_gradient(product, torch.from_numpy(b), 100)
    assert np.allclose(found, np.linalg.solve(matrix, b)) and product.count == 3


def test_conjugate_gradient_is_the_best_within_what_its_products_span():
    # after k steps: the minimum of x A x / 2 - b x over the span of b, A b, … A^(k-1) b
    matrix, b = system(7, 9)
    for k in range(1, 9):
        found = trpo.conjugate_gradient(Counted(matrix), torch.from_numpy(b), k, tolerance=0.0).numpy()
        basis = np.stack([np.linalg.matrix_power(matrix, i) @ b for i in range(k)], axis=1)
        basis, _ = np.linalg.qr(basis)
        best = basis @ np.linalg.solve(basis.T @ matrix @ basis, basis.T @ b)
        assert np.allclose(found, best, atol=1e-8)


def test_conjugate_gradient_ends_at_its_tolerance_and_takes_a_zero():
    matrix, b = system(3, 30)
    product = Counted(matrix)
    found = trpo.conjugate_gradient(product, torch.from_numpy(b), 30, tolerance=1e-4).numpy()
    residual = ((matrix @ found - b) ** 2).sum() / (b**2).sum()
    assert 0 < residual <= 1e-4 and 1 < product.count < 20
    zero = trpo.conjugate_gradient(product, torch.zeros(30, dtype=torch.float64), 10)
    assert torch.equal(zero, torch.zeros(30, dtype=torch.float64))


# ---------------------------------------------------------------- the step and the search


def test_the_full_step_costs_the_limit_in_the_quadratic_model_and_keeps_its_direction():
    matrix, b = system(1, 6)
    product, x = Counted(matrix), torch.from_numpy(b)
    step = trpo.full_step(x, product, 0.03)
    assert (0.5 * step @ product(step)).item() == pytest.approx(0.03)
    assert torch.allclose(step / step.norm(), x / x.norm())
    assert torch.equal(trpo.full_step(torch.zeros_like(x), product, 0.03), torch.zeros_like(x))


def test_the_natural_gradient_solves_and_the_plain_one_does_not():
    matrix, b = system(2, 6)
    b, config = torch.from_numpy(b), dataclasses.replace(SMALL, cg_iterations=6)
    natural = trpo.natural_gradient(Counted(matrix), b, config)
    assert np.allclose(natural, np.linalg.solve(matrix, b))
    product = Counted(matrix)
    trpo.natural_gradient(product, b, dataclasses.replace(config, cg_iterations=2))
    assert product.count == 2
    assert torch.equal(trpo.plain_gradient(product, b, config), b)


def search(outcomes, policy=None, **changes):
    """What the search took, where the policy stood at each look, and where it stands at the end."""
    policy = policy or torch.nn.Linear(2, 1, bias=False)
    start, looked = policy.weight.detach().clone(), []
    outcomes = iter(outcomes)

    def measure():
        looked.append((policy.weight - start).detach().clone())
        return next(outcomes)

    config = dataclasses.replace(SMALL, search_shrink=0.5, search_steps=4, target_kl=0.01, **changes)
    part = trpo.line_search(policy, torch.tensor([1.0, -2.0]), measure, config)
    return part, looked, (policy.weight - start).detach()


STEP, GOOD, FAR, WORSE = torch.tensor([[1.0, -2.0]]), (0.1, 0.009), (0.1, 0.011), (-0.1, 0.001)


@pytest.mark.parametrize(
    ("outcomes", "part"),
    [
        ([GOOD], 1.0),
        ([FAR, GOOD], 0.5),
        ([WORSE, GOOD], 0.5),
        ([FAR, WORSE, FAR, GOOD], 0.125),
        ([(0.1, 0.01)], 1.0),  # the limit itself is allowed
        ([(0.0, 0.001), GOOD], 0.5),  # no improvement is none
        ([(math.nan, math.nan), (0.1, math.nan), GOOD], 0.25),
    ],
)
def test_the_search_takes_the_longest_part_that_improves_and_stays_near(outcomes, part):
    taken, looked, moved = search(outcomes)
    assert taken == part and torch.allclose(moved, part * STEP)
    assert all(torch.allclose(at, 0.5**k * STEP) for k, at in enumerate(looked))
    assert len(looked) == len(outcomes)


@pytest.mark.parametrize("outcome", [FAR, WORSE, (math.nan, math.nan)])
def test_a_search_that_fails_leaves_the_policy_as_it_was(outcome):
    policy = torch.nn.Linear(2, 1, bias=False)
    kept = policy.weight.detach().clone()
    taken, looked, _ = search([outcome] * 4, policy)
    assert taken == 0 and len(looked) == 4 and torch.equal(policy.weight, kept)


def test_without_a_search_the_whole_step_is_taken_unseen():
    policy = torch.nn.Linear(2, 1, bias=False)
    start = policy.weight.detach().clone()
    assert trpo.no_search(policy, STEP[0], lambda: pytest.fail("looked"), SMALL) == 1
    assert torch.allclose(policy.weight - start, STEP)


# ---------------------------------------------------------------- updates


def learner_and_batch(seed=0, env_id="CartPole-v1", config=LONG, spread=0.0):
    config = dataclasses.replace(config, env_id=env_id)
    env = envs.make(env_id, config.num_envs)
    learner = trpo.make_learner(env, config, torch.Generator().manual_seed(seed))
    if spread:
        learner.agent.policy.log_std.data += spread
    obs, episodes = envs.reset(env, seed), envs.Episodes(config.num_envs)
    batch = vpg.collect(env, learner.agent, obs, episodes, np.random.default_rng(seed), config.num_steps)
    return config, learner, batch


def tensors(learner, batch):
    """Observations as seen, actions, and the old policy's numbers, of a batch's real rows."""
    obs = torch.from_numpy(learner.agent.see(batch.obs[:-1][batch.valid]))
    actions = torch.from_numpy(batch.actions[batch.valid])
    with torch.no_grad():
        old = trpo.distribution_parameters(learner.agent.policy, obs)
        return obs, actions, old, learner.agent.policy.log_prob(obs, actions)[0]


both = pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])


@both
@pytest.mark.parametrize("target", [0.001, 0.01, 0.1])
def test_an_update_keeps_the_limit_and_improves_the_surrogate(env_id, target):
    config = dataclasses.replace(LONG, target_kl=target, normalize_obs=False, cg_damping=1e-3)
    for seed in range(3):
        config, learner, batch = learner_and_batch(seed, env_id, config)
        for _ in range(2):
            obs, actions, old, old_logp = tensors(learner, batch)
            seen = {}

            def estimator(rewards, values, *rest, seen=seen):
                seen["advantages"] = vpg.gae(rewards, values, *rest)
                return seen["advantages"]

            found = trpo.update(learner, batch, config, trpo.Parts(advantages=estimator))
            gain = vpg.normalize(torch.from_numpy(seen["advantages"][batch.valid]))
            with torch.no_grad():
                logp, _ = learner.agent.policy.log_prob(obs, actions)
                new = trpo.distribution_parameters(learner.agent.policy, obs)
            divergence = distributions.kl_divergence(
                *(as_torch("categorical" if env_id == "CartPole-v1" else "gaussian", x) for x in (old, new))
            )
            assert found["kl"] == pytest.approx(divergence.mean().item(), rel=1e-3)
            assert 0.1 * target < found["kl"] <= target and found["part"] > 0
            better = ((logp - old_logp).exp() * gain).mean() - gain.mean()
            assert found["improvement"] == pytest.approx(better.item(), rel=1e-3, abs=1e-6) and better > 0


@both
def test_the_step_is_the_exact_natural_gradient_where_nothing_is_cut_short(env_id):
    config = dataclasses.replace(LONG, hidden=(3,), cg_iterations=200, cg_damping=0.5, normalize_obs=False)
    config, learner, batch = learner_and_batch(0, env_id, config)
    learner.agent.policy.double()
    learner.value.double()
    learner.agent.see = lambda obs: obs.astype(float)
    obs, actions, _, old_logp = tensors(learner, batch)
    policy = learner.agent.policy
    values = learner.value(torch.from_numpy(batch.obs).double()).squeeze(-1).detach().numpy()
    estimates = vpg.gae(batch.rewards, values, batch.terminated, batch.truncated, 0.99, 0.98)
    gain = vpg.normalize(torch.from_numpy(estimates[batch.valid]))
    parameters = tuple(policy.parameters())
    logp, _ = policy.log_prob(obs, actions)
    g = trpo.flat(torch.autograd.grad(trpo.surrogate(logp, old_logp, gain), parameters))
    matrix = explicit_fisher(
        "categorical" if env_id == "CartPole-v1" else "gaussian", policy, obs
    ) + 0.5 * torch.eye(len(g))
    x = torch.linalg.solve(matrix, g)
    wanted = torch.sqrt(0.02 / (x @ matrix @ x)) * x
    steps = []

    def watch(policy, step, measure, config):
        steps.append(step.clone())
        return trpo.no_search(policy, step, measure, config)

    before = parameters_to_vector(parameters).detach()
    trpo.update(learner, batch, config, trpo.Parts(search=watch))
    assert torch.allclose(steps[0], wanted, rtol=1e-4, atol=1e-7)
    assert torch.allclose(parameters_to_vector(parameters) - before, wanted, rtol=1e-4, atol=1e-7)


def test_an_update_that_finds_nothing_leaves_the_policy_as_it_was():
    config, learner, batch = learner_and_batch()
    kept = parameters_to_vector(learner.agent.policy.parameters()).detach().clone()

    def wrong_way(product, gradient, config):
        return -gradient

    def nothing(rewards, values, *rest):
        return np.zeros_like(rewards)

    for parts in (trpo.Parts(direction=wrong_way), trpo.Parts(advantages=nothing)):
        found = trpo.update(learner, batch, config, parts)
        assert torch.equal(kept, parameters_to_vector(learner.agent.policy.parameters()))
        assert (found["part"], found["kl"]) == (0, 0) and found["improvement"] == 0


def test_policy_and_value_function_share_nothing():
    config, learner, batch = learner_and_batch()
    policy = {p.data_ptr() for p in learner.agent.policy.parameters()}
    assert not policy & {p.data_ptr() for p in learner.value.parameters()}
    owned = {id(p) for group in learner.value_opt.param_groups for p in group["params"]}
    assert owned == {id(p) for p in learner.value.parameters()}
    before = [p.detach().clone() for p in learner.value.parameters()]
    trpo.update(learner, batch, config)
    assert not any(torch.equal(a, b) for a, b in zip(before, learner.value.parameters(), strict=True))
    assert {int(state["step"]) for state in learner.value_opt.state.values()} == {config.value_steps}


def test_nothing_in_a_reset_row_changes_an_update():
    outcomes = []
    for garbage in (False, True):
        config, learner, batch = learner_and_batch()
        assert (~batch.valid).sum() > 3
        if garbage:
            batch.rewards[~batch.valid] = 1e3
            batch.actions[~batch.valid] ^= 1
        diagnostics = trpo.update(learner, batch, config)
        outcomes.append((diagnostics, nets.get_state(learner)))
    assert outcomes[0][0] == outcomes[1][0]
    x, y = {}, {}
    assert run_files._pack(outcomes[0][1], x) == run_files._pack(outcomes[1][1], y)
    assert x and all(np.array_equal(x[k], y[k]) for k in x)


def test_the_normaliser_learns_from_real_rows_and_only_after_the_batch():
    config, learner, batch = learner_and_batch()
    assert learner.agent.norm.count == 0
    found = trpo.update(learner, batch, config)
    real = batch.obs[:-1][batch.valid]
    assert learner.agent.norm.count == len(real) == batch.valid.sum()
    assert np.allclose(learner.agent.norm.mean, real.mean(0), atol=1e-6)
    assert 0 < found["kl"] <= config.target_kl  # measured where the batch was learned from


def test_the_policy_that_plays_is_the_one_that_was_moved():
    config, learner, batch = learner_and_batch()
    obs = batch.obs[0]
    learner.agent.policy.mode(learner.agent.see(obs))  # the quick forward pass has read the weights
    for _ in range(3):
        trpo.update(learner, batch, config)
        seen = learner.agent.see(obs)
        with torch.no_grad():
            wanted = learner.agent.policy.net(torch.from_numpy(seen)).numpy()
        assert np.allclose(learner.agent.policy.forward_numpy(seen), wanted, atol=1e-6)


def test_the_numbers_of_an_update():
    config, learner, batch = learner_and_batch(config=dataclasses.replace(LONG, value_steps=1))
    obs, actions, *_ = tensors(learner, batch)
    with torch.no_grad():
        _, entropy = learner.agent.policy.log_prob(obs, actions)
        values = learner.value(torch.from_numpy(learner.agent.see(batch.obs))).squeeze(-1).numpy()
    estimates = vpg.gae(batch.rewards, values, batch.terminated, batch.truncated, 0.99, 0.98)
    advantage, returns = (x[batch.valid] for x in (estimates, estimates + values[:-1]))
    found = trpo.update(learner, batch, config)
    assert found["entropy"] == pytest.approx(entropy.mean().item())
    assert found["explained_variance"] == pytest.approx(1 - advantage.var() / returns.var(), abs=1e-3)
    assert found["value_loss"] == pytest.approx((advantage**2).mean(), rel=1e-4)


# ---------------------------------------------------------------- invariance


def test_the_natural_step_is_the_same_in_other_units_and_the_plain_one_is_not():
    """Inputs c times as large and weights c times as small are the same policy."""
    logps = {}
    for units in (1.0, 30.0):
        policy, obs = policy_and_obs("categorical", B=300, spread=0.2)
        scale = torch.tensor([units, 1.0, 1.0])
        policy.net[0].weight.data /= scale
        actions = torch.arange(300) % 4
        with torch.no_grad():
            old_logp, _ = policy.log_prob(obs * scale, actions)
        gain = torch.sin(torch.arange(300.0)).double()
        logp, _ = policy.log_prob(obs * scale, actions)
        parameters = tuple(policy.parameters())
        g = trpo.flat(torch.autograd.grad(trpo.surrogate(logp, old_logp, gain), parameters))
        product = trpo.fisher(policy, obs * scale, 0.0)
        matrix = dense(product, len(g))
        exact = torch.linalg.pinv(matrix, rtol=1e-10, hermitian=True) @ g
        start = parameters_to_vector(parameters).detach()
        for name, x in (("natural", exact), ("plain", g)):
            vector_to_parameters(start + trpo.full_step(x, product, 1e-6), policy.parameters())
            with torch.no_grad():
                logps[name, units] = policy.log_prob(obs * scale, actions)[0] - old_logp
            vector_to_parameters(start, policy.parameters())
    size = logps["natural", 1.0].norm()
    assert (logps["natural", 1.0] - logps["natural", 30.0]).norm() < 0.02 * size
    assert (logps["plain", 1.0] - logps["plain", 30.0]).norm() > 0.2 * size


# ---------------------------------------------------------------- training


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_envs": 0}, {"num_steps": 0}, {"cg_iterations": 0}, {"search_steps": 0}, {"value_steps": 0},
        {"total_steps": 127}, {"gamma": 1.1}, {"gae_lambda": -0.1}, {"target_kl": 0.0}, {"lr": 0.0},
        {"cg_damping": -0.1}, {"search_shrink": 1.0}, {"search_shrink": 0.0},
    ],
)  # fmt: skip
def test_configurations_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError):
        dataclasses.replace(SMALL, **wrong)


def test_the_least_and_the_most_that_a_configuration_may_be():
    one = trpo.Config(
        num_envs=1, num_steps=1, total_steps=1, gamma=1.0, gae_lambda=0.0, cg_iterations=1, cg_damping=0.0,
        search_steps=1, value_steps=1,
    )  # fmt: skip
    assert dataclasses.replace(one, gamma=0.0, gae_lambda=1.0).num_steps == 1


def test_parts_are_used_and_named_in_the_run():
    calls = []

    def watch(policy, step, measure, config):
        calls.append(step.norm().item())
        return trpo.line_search(policy, step, measure, config)

    run = trpo.train(SMALL, 0, trpo.Parts(search=watch))
    assert len(calls) == len(run.metrics["part"]) and run.config["search"].endswith("watch")
    assert run.config["direction"] == f"{trpo.train.__module__}:natural_gradient"
    assert np.array_equal(run.metrics["kl"], trpo.train(SMALL, 0).metrics["kl"])


def test_train_fits_on_one_screen():
    assert len(inspect.getsource(trpo.train).splitlines()) <= 45


def test_a_run_of_another_algorithm_is_refused():
    run = vpg.train(vpg.Config(num_envs=4, num_steps=32, total_steps=200, hidden=(8,)), 0)
    with pytest.raises(ValueError, match="load it with that module"):
        trpo.load_policy(run)


def test_it_learns_to_choose_the_better_of_two_actions():
    # a bandit that pays for the second action: within ten updates it is nearly certain
    config = dataclasses.replace(LONG, target_kl=0.05, gamma=0.0, gae_lambda=0.0, normalize_obs=False)
    config, learner, batch = learner_and_batch(config=config)
    probabilities = []
    for _ in range(10):
        obs, actions, *_ = tensors(learner, batch)
        batch.rewards[:] = batch.actions
        trpo.update(learner, batch, config)
        with torch.no_grad():
            logp = learner.agent.policy.log_prob(obs, torch.ones_like(actions))[0]
        probabilities.append(logp.exp().mean().item())
    assert all(b > a for a, b in itertools.pairwise(probabilities)) and probabilities[-1] > 0.9
