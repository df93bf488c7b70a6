"""SAC: every named function against an independent reference, then the whole."""

import dataclasses
import math

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlworkshop import envs, nets, runs
from rlworkshop.algorithms import ddpg, sac, td3
from rlworkshop.replay import Transitions

SMALL = sac.Config(
    num_envs=3, total_steps=600, hidden=(8,), batch_size=16, learning_starts=100, train_freq=20,
    gradient_steps=5, tau=0.1,
)  # fmt: skip
OBS = gym.spaces.Box(-1, 1, (2,))
BOX = gym.spaces.Box(np.float32([-1, 0]), np.float32([3, 10]))  # neither centred nor of one scale


class World(gym.Env):
    """Observations at random; pays minus the squared distance of the action from a place that they tell."""

    observation_space, action_space, ends = OBS, BOX, True

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.obs = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.obs, {}

    def step(self, action):
        assert self.action_space.contains(action)
        unit = (action - [1, 5]) / [2, 5]
        reward = -float(((unit - 0.5 * self.obs) ** 2).sum())
        self.obs = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.obs, reward, self.ends, False, {}


class Paying(World):
    """Pays 1 whatever is done; an episode ends after each step."""

    def step(self, action):
        return np.ones(2, np.float32), 1.0, self.ends, False, {}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.ones(2, np.float32), {}


class Endless(Paying):
    ends = False


def endless():
    return gym.wrappers.TimeLimit(Endless(), 5)


def learner_for(config=SMALL, seed=0, world=World):
    return sac.make_learner(envs.make(world, config.num_envs), config, torch.Generator().manual_seed(seed))


def random_batch(rng, B=6):
    obs, next_obs = rng.normal(size=(2, B, 2)).astype(np.float32)
    action = rng.uniform(BOX.low, BOX.high, size=(B, 2)).astype(np.float32)
    reward = rng.normal(size=B).astype(np.float32)
    return Transitions(
        obs, action, reward, next_obs, np.where(rng.random(B) < 0.3, 0, 0.9).astype(np.float32)
    )


class Fixed:
    """A replay buffer that always gives one batch."""

    def __init__(self, batch):
        self.batch = batch

    def sample(self, batch_size, rng):
        return self.batch


def stand_still(learner):
    """No step moves anything: what is left in ``.grad`` is that of one gradient step."""
    for optimizer in (learner.actor_opt, learner.critic_opt, learner.alpha_opt):
        optimizer.param_groups[0]["lr"] = 0.0


def gradients(net):
    return [p.grad.clone() for p in net.parameters()]


def finite_differences(function, net):
    """The gradient of a number with respect to the parameters of ``net``, of double precision."""
    found = []
    for parameter in net.parameters():
        flat, out = parameter.data.view(-1), torch.zeros(parameter.numel(), dtype=torch.float64)
        for i in range(len(flat)):
            kept, sides = flat[i].item(), []
            for shift in (1e-6, -1e-6):
                flat[i] = kept + shift
                sides.append(function().item())
            flat[i] = kept
            out[i] = (sides[0] - sides[1]) / 2e-6
        found.append(out.view(parameter.shape))
    return found


def doubled(learner):
    """All in double precision, batches too."""
    for net in (learner.agent.actor, learner.critic, learner.target_critic, learner.temperature):
        net.double()
    tensors = learner.agent.tensors
    learner.agent.tensors = lambda batch: Transitions(*(column.double() for column in tensors(batch)))
    return learner


def shaken(learner, seed=1):
    """The target critic differs from what it is a copy of, and the policy is not in the middle."""
    rng = np.random.default_rng(seed)
    for net in (learner.agent.actor, learner.target_critic):
        for parameter in net.parameters():
            parameter.data += torch.from_numpy(rng.normal(0, 0.3, size=parameter.shape).astype(np.float32))
    return learner


def flat(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()]).clone()


# ---------------------------------------------------------------- the mathematics


def density(action, mean, log_std, low, high):
    """What ``squashed_log_prob`` says of actions (M,) of one component, as a density."""
    scale = (high - low) / 2
    raw = torch.atanh((action - (high + low) / 2) / scale)[:, None]
    log_std = torch.full_like(raw, log_std)
    return sac.squashed_log_prob((raw - mean) * (-log_std).exp(), log_std, raw, math.log(scale)).exp()


@pytest.mark.parametrize("low, high", [(-1, 1), (-2, 2), (0, 10)])
@pytest.mark.parametrize("mean, log_std", [(0.0, 0.0), (0.7, -1.0), (-0.4, 0.3)])
def test_the_density_integrates_to_one_over_the_box(low, high, mean, log_std):
    edges = torch.linspace(low, high, 200_001, dtype=torch.float64)
    middle = (edges[1:] + edges[:-1]) / 2
    mass = density(middle, mean, log_std, low, high) * (high - low) / 200_000
    assert mass.sum().item() == pytest.approx(1, abs=1e-4)
    # and it is that of the draws: half of them lie below what the median becomes
    median = (low + high) / 2 + (high - low) / 2 * math.tanh(mean)
    assert mass[middle < median].sum().item() == pytest.approx(0.5, abs=1e-3)


def test_the_density_is_torchs():
    """A Gaussian, sent through tanh and an affine map, by ``torch.distributions``."""
    D = torch.distributions
    mean, log_std = torch.tensor([[0.3, -0.2]], dtype=torch.float64), torch.tensor([[-0.5, 0.1]]).double()
    noise = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    raw = mean + log_std.exp() * noise
    maps = [D.TanhTransform(), D.AffineTransform(torch.tensor([1.0, 5.0]), torch.tensor([2.0, 5.0]))]
    policy = D.Independent(D.TransformedDistribution(D.Normal(mean, log_std.exp()), maps), 1)
    found = sac.squashed_log_prob(noise, log_std.expand(50, 2), raw, math.log(2.0) + math.log(5.0))
    center, scale = torch.tensor([1.0, 5.0]), torch.tensor([2.0, 5.0])
    assert torch.allclose(found, policy.log_prob(center + scale * raw.tanh()), atol=1e-6)


def test_the_density_is_finite_where_tanh_is_one():
    raw = torch.tensor([[20.0], [-20.0], [80.0], [5.0]])
    found = sac.squashed_log_prob(torch.zeros(4, 1), torch.zeros(4, 1), raw, 0.0)
    wide = raw.double()[:, 0].abs()
    wanted = -0.5 * math.log(2 * math.pi) - (math.log(4) - 2 * wide - 2 * torch.log1p(torch.exp(-2 * wide)))
    assert torch.isfinite(found).all() and torch.allclose(found.double(), wanted, rtol=1e-5)


def test_values_and_losses_by_hand():
    q, logp, alpha = torch.tensor([1.0, 2.0]), torch.tensor([-3.0, 0.5]), torch.tensor(0.5)
    assert sac.soft_value(q, logp, alpha).tolist() == [2.5, 1.75]
    assert sac.soft_actor_loss(q, logp, alpha).item() == -(2.5 + 1.75) / 2
    # the entropy is estimated as (3 - 0.5) / 2 = 1.25
    assert sac.temperature_loss(alpha, logp, 1.0).item() == pytest.approx(0.5 * 0.25)


@pytest.mark.parametrize("target_entropy, sign", [(-1.0, 1), (3.0, -1)])
def test_the_temperature_falls_where_there_is_entropy_enough_and_nothing_else_gets_its_gradient(
    target_entropy, sign
):
    temperature, logp = sac.Temperature(0.2), torch.tensor([-1.0, -2.0], requires_grad=True)
    sac.temperature_loss(temperature(), logp, target_entropy).backward()
    assert temperature.log_alpha.grad.item() == pytest.approx(0.2 * (1.5 - target_entropy))
    assert math.copysign(1, temperature.log_alpha.grad.item()) == sign and logp.grad is None
    assert temperature().item() == pytest.approx(0.2)


# ---------------------------------------------------------------- the agent


def test_draws_of_torch_and_of_numpy_are_those_of_one_distribution():
    agent = shaken(learner_for()).agent
    obs = np.tile(np.float32([[0.3, -0.8]]), (50_000, 1))
    box = agent.sample(obs, np.random.default_rng(0))
    assert box.dtype == BOX.dtype and (box >= BOX.low).all() and (box <= BOX.high).all()
    unit, logp = agent.draw(torch.from_numpy(obs), np.random.default_rng(0))
    assert np.allclose(box, agent.to_box(unit.detach().numpy()), atol=0.05) or np.allclose(
        np.sort(box, axis=0)[::500], np.sort(agent.to_box(unit.detach().numpy()), axis=0)[::500], atol=0.1
    )
    # the mean of exp(-log-density) over draws is the size of the box that they fill
    assert torch.exp(-logp).mean().item() == pytest.approx(4 * 10, rel=0.1)


def test_the_mode_is_the_squashed_mean_whatever_the_deviation():
    agent, obs = shaken(learner_for()).agent, np.random.default_rng(0).normal(size=(40, 2))
    out = nets.torch_forward(agent.actor, obs.astype(np.float32))
    assert out.shape == (40, 4)
    wanted = np.float32([1, 5]) + np.float32([2, 5]) * np.tanh(out[:, :2])
    assert np.allclose(agent.act(obs), wanted, atol=1e-4)
    agent.actor[-1].bias.data[2:] += 3.0
    assert np.allclose(agent.act(obs), wanted, atol=1e-4)


def test_deviations_stay_between_their_bounds():
    agent, obs = learner_for().agent, np.zeros((1000, 2), np.float32)
    agent.actor[-1].bias.data[2:] = -1000.0
    assert np.allclose(agent.sample(obs, np.random.default_rng(0)), agent.act(obs), atol=1e-4)
    low = agent.draw(torch.from_numpy(obs), np.random.default_rng(0))[1]
    agent.actor[-1].bias.data[2:] = 1000.0
    high = agent.draw(torch.from_numpy(obs), np.random.default_rng(0))[1]
    assert torch.isfinite(low).all() and torch.isfinite(high).all()
    sampled = agent.sample(obs, np.random.default_rng(0))
    inner = np.abs((sampled - [1, 5]) / [2, 5]) < 0.99
    assert 0.1 < inner.mean() < 0.4  # a Gaussian of deviation e², of which |raw| < 2.65 is 28 %


def test_a_draw_is_differentiable_through_action_and_density():
    """Of a draw with the noise held fixed, by finite differences."""
    learner = doubled(shaken(learner_for()))
    obs = torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def number():
        action, logp = learner.agent.draw(obs, np.random.default_rng(0))
        return (action * torch.tensor([1.0, 2.0])).sum() + 0.3 * logp.sum()

    found = torch.autograd.grad(number(), [*learner.agent.actor.parameters()])
    wanted = finite_differences(number, learner.agent.actor)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found, wanted, strict=True))


# ---------------------------------------------------------------- one gradient step


def values_of(critic, obs, action):
    """Q (2, B) of both twins, by numpy."""
    both = np.concatenate([obs, action], axis=1).astype(np.float32)
    return np.stack([nets.NumpyForward(twin.net)(both)[:, 0] for twin in critic.twins])


def test_the_target_is_the_soft_value_by_the_copies_of_a_fresh_action():
    learner = shaken(learner_for(dataclasses.replace(SMALL, alpha=0.7)))
    batch = learner.agent.tensors(random_batch(np.random.default_rng(0), B=100))
    with torch.no_grad():
        action, logp = learner.agent.draw(batch.next_obs, np.random.default_rng(5))
    q = np.minimum(*values_of(learner.target_critic, batch.next_obs.numpy(), action.numpy()))
    wanted = batch.reward.numpy() + batch.discount.numpy() * (q - 0.7 * logp.numpy())
    with torch.no_grad():
        found = sac.sac_target(learner, batch, SMALL, np.random.default_rng(5))
    assert np.allclose(found, wanted, atol=1e-4)


def test_gradients_of_all_networks_are_those_of_their_own_loss():
    """By finite differences: nothing flows through the target or α, nor from a loss to another's network."""
    learner, batch = doubled(shaken(learner_for())), random_batch(np.random.default_rng(2))
    learner.target_critic, agent = learner.critic, learner.agent  # the worst case
    stand_still(learner)
    seen = agent.tensors(batch)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        goal = sac.sac_target(learner, seen, SMALL, rng)
    later = rng.bit_generator.state

    def draw():
        again = np.random.default_rng()
        again.bit_generator.state = later
        return agent.draw(seen.obs, again)

    found = sac.update(learner, Fixed(batch), SMALL, np.random.default_rng(0))
    critic = gradients(learner.critic)
    wanted = finite_differences(
        lambda: 0.5 * ((learner.critic(seen.obs, seen.action) - goal) ** 2).mean(dim=1).sum(), learner.critic
    )
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(critic, wanted, strict=True))

    def actor_loss():
        action, logp = draw()
        return (SMALL.alpha * logp - learner.critic(seen.obs, action).min(dim=0).values).mean()

    actor, wanted = gradients(agent.actor), finite_differences(actor_loss, agent.actor)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(actor, wanted, strict=True))
    assert max(gradient.abs().max() for gradient in actor) > 1e-3
    entropy = -draw()[1].mean().item()
    (alpha,) = gradients(learner.temperature)
    assert alpha.item() == pytest.approx(SMALL.alpha * (entropy - learner.target_entropy))
    assert found["entropy"] == pytest.approx(entropy) and found["alpha"] == pytest.approx(SMALL.alpha)


def test_the_copy_begins_equal_and_no_optimiser_knows_it():
    learner = learner_for()
    assert torch.equal(flat(learner.critic), flat(learner.target_critic))
    opts = learner.actor_opt, learner.critic_opt, learner.alpha_opt
    held = [{*map(id, opt.param_groups[0]["params"])} for opt in opts]
    nets_ = learner.agent.actor, learner.critic, learner.temperature
    assert held == [{*map(id, net.parameters())} for net in nets_]
    copies = [*learner.target_critic.parameters()]
    assert not any(p.requires_grad for p in copies)
    assert not {p.data_ptr() for p in copies} & {p.data_ptr() for p in learner.critic.parameters()}
    assert all(opt.defaults["fused"] for opt in opts)


def test_everything_moves_at_each_step_and_the_copy_slowly():
    learner = learner_for()
    for number in range(3):
        parts = learner.agent.actor, learner.critic, learner.temperature
        before, target = [flat(part) for part in parts], flat(learner.target_critic)
        batch = random_batch(np.random.default_rng(number))
        sac.update(learner, Fixed(batch), SMALL, np.random.default_rng(number))
        assert not any(torch.equal(was, flat(part)) for was, part in zip(before, parts, strict=True))
        wanted = target + SMALL.tau * (flat(learner.critic) - target)
        assert torch.allclose(flat(learner.target_critic), wanted, atol=1e-6)


def test_a_learning_rate_of_zero_holds_the_temperature():
    config = dataclasses.replace(SMALL, alpha=0.3, alpha_lr=0.0)
    run = sac.train(config, 0)
    assert np.allclose(run.metrics["alpha"], 0.3)
    assert len({*sac.train(SMALL, 0).metrics["alpha"]}) > 10


def test_the_target_of_entropy_belongs_to_the_range_of_actions():
    """Actions in another unit have another entropy; what is aimed at moves with it."""
    learner = learner_for()
    assert learner.target_entropy == pytest.approx(-2 + math.log(2) + math.log(5))
    batch = learner.agent.tensors(random_batch(np.random.default_rng(0)))
    unit = sac.GaussianAgent.fresh(OBS, gym.spaces.Box(-1, 1, (2,)), (8,), torch.Generator().manual_seed(0))
    unit.actor.load_state_dict(learner.agent.actor.state_dict())
    ours, theirs = (a.draw(batch.obs, np.random.default_rng(0))[1] for a in (learner.agent, unit))
    gap = (learner.target_entropy + ours) - (-2 + theirs)
    assert torch.allclose(gap, torch.zeros(6), atol=1e-5)


# ---------------------------------------------------------------- training


def watched(config, world, seed=0, **options):
    """A run, and the learner that it trained."""
    kept, inner = [], options.pop("update", sac.update)

    def update(learner, *rest):
        kept.append(learner)
        return inner(learner, *rest)

    run = sac.train(config, seed, envs=world, update=update, **options)
    return run, kept[-1]


QUICK = dataclasses.replace(SMALL, total_steps=600, gamma=0.8, lr=3e-3, tau=0.2, gradient_steps=30)


@pytest.mark.parametrize("world, value", [(Paying, 1.0), (endless, 1 / (1 - 0.8))])
@pytest.mark.filterwarnings("ignore:.*no episode")
def test_an_ending_is_worth_nothing_and_a_time_limit_is_no_ending(world, value):
    _, learner = watched(dataclasses.replace(QUICK, alpha=1e-6, alpha_lr=0.0), world)
    with torch.no_grad():
        q = learner.critic(torch.ones(5, 2), torch.linspace(-1, 1, 10).view(5, 2))
    assert q.mean().item() == pytest.approx(value, rel=0.05)


def test_it_finds_the_best_action_everywhere_and_the_entropy_its_target():
    config = dataclasses.replace(QUICK, total_steps=800, hidden=(32,), alpha=0.1, alpha_lr=1e-2, lr=1e-2)
    run, learner = watched(config, World)
    obs = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    unit = (learner.agent.act(obs) - [1, 5]) / [2, 5]
    assert np.abs(unit - 0.5 * obs).mean() < 0.15 < np.abs(0.5 * obs).mean()
    assert run.metrics["entropy"][-5:].mean() == pytest.approx(learner.target_entropy, abs=0.3)


def test_the_buffer_holds_transitions_of_one_episode_each_and_no_reset_rows():
    kept, replays = [], []

    def spy(made, capacity):
        replays.append(replay := ddpg.make_replay(made, capacity))
        step = replay.step
        replay.step = lambda *given: (kept.append((*given[0], *given[1:])), step(*given))
        return replay

    sac.train(SMALL, 0, envs=endless, make_replay=spy)
    obs, action, reward, next_obs, discount, valid, ended = (np.array(x) for x in zip(*kept, strict=True))
    assert np.array_equal(next_obs[:-1], obs[1:])
    assert np.array_equal(valid[1:], ~(valid & ended)[:-1]) and not valid.all()
    (replay,) = replays
    assert replay.added == valid.sum() <= SMALL.total_steps
    held = replay[np.arange(replay.size)]
    assert np.array_equal(held.action, action[valid]) and held.action.dtype == np.float32
    assert (held.reward == 1).all() and (held.discount == np.float32(SMALL.gamma)).all()


def test_the_budget_of_steps_and_of_updates_is_kept():
    counted, first = [], -(-SMALL.learning_starts // SMALL.num_envs)

    def counting(*given):
        counted.append(1)
        return sac.update(*given)

    run = sac.train(SMALL, 0, update=counting)
    steps = run.metrics["update_step"]
    assert steps[0] == first * SMALL.num_envs
    assert (np.diff(steps) >= SMALL.train_freq).all() and (np.diff(steps) < SMALL.train_freq + 3).all()
    assert len(counted) == len(steps) * SMALL.gradient_steps
    assert run.metrics["length"].sum() <= SMALL.total_steps and set(run.metrics["length"]) == {200}


def test_actions_are_random_until_learning_starts_and_the_policys_from_then_on(monkeypatch):
    told = []
    for name in ("anything", "sample"):
        method = getattr(sac.GaussianAgent, name)
        monkeypatch.setattr(
            sac.GaussianAgent, name, lambda *given, n=name, m=method: (told.append(n), m(*given))[1]
        )
    sac.train(SMALL, 0)
    first = -(-SMALL.learning_starts // SMALL.num_envs)
    assert told[:first] == ["anything"] * first and {*told[first:]} == {"sample"}


def test_a_policy_is_loaded_by_its_own_algorithm(tmp_path):
    run = sac.train(SMALL, 0)
    run.save(tmp_path / "run.npz")
    a, b = sac.load_policy(run), sac.load_policy(type(run).load(tmp_path / "run.npz"))
    obs = np.random.default_rng(0).normal(size=(50, 3))
    assert np.array_equal(a.act(obs), b.act(obs))
    assert np.array_equal(*(x.sample(obs, np.random.default_rng(1)) for x in (a, b)))
    with pytest.raises(ValueError, match="this run is of rlworkshop.algorithms.sac"):
        td3.load_policy(run)
    with pytest.raises(ValueError, match="this run is of"):
        sac.load_policy(type(run)(**{**vars(run), "algorithm": "rlworkshop.algorithms.td3"}))


@pytest.mark.parametrize(
    "broken",
    [
        {"num_envs": 0}, {"total_steps": 0}, {"batch_size": 0}, {"buffer_size": 0}, {"learning_starts": 0},
        {"train_freq": 0}, {"gradient_steps": 0}, {"gamma": 1.5}, {"gamma": -0.1}, {"tau": 0.0},
        {"tau": 1.1}, {"lr": 0.0}, {"buffer_size": 3}, {"alpha": 0.0}, {"alpha_lr": -0.1},
    ],
)  # fmt: skip
def test_impossible_configurations_are_refused(broken):
    with pytest.raises(ValueError):
        sac.Config(**broken)


def test_what_lies_at_the_edge_is_possible():
    steps = ("total_steps", "learning_starts", "train_freq", "gradient_steps")
    small = dict.fromkeys((*steps, "num_envs", "batch_size", "buffer_size"), 1)
    for end in (0.0, 1.0):
        sac.Config(**small, gamma=end, tau=1.0, lr=1e-9, alpha=1e-9, alpha_lr=end)


def test_what_it_has_in_common_with_td3_has_the_same_settings():
    ours, theirs = (dataclasses.asdict(config) for config in (sac.Config(), td3.Config()))
    assert ours.keys() - theirs.keys() == {"alpha", "alpha_lr", "target_entropy"}
    assert all(ours[name] == theirs[name] for name in ours.keys() & theirs.keys())


@pytest.mark.slow
def test_it_swings_the_pendulum_up():
    """The trainings of its page."""
    trained = [runs.cached(sac.train, sac.Config(), seed) for seed in range(3)]
    agents = [sac.load_policy(run) for run in trained]
    assert np.median([envs.evaluate(a.act, "Pendulum-v1", 20, seed=9).mean() for a in agents]) >= -180
