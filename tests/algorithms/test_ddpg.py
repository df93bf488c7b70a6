"""DDPG: every named function against an independent reference, then the whole."""

import dataclasses
import inspect

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlworkshop import envs, nets, runs, true_values
from rlworkshop.algorithms import ddpg
from rlworkshop.replay import Transitions

SMALL = ddpg.Config(
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
    return ddpg.make_learner(envs.make(world, config.num_envs), config, torch.Generator().manual_seed(seed))


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
    for optimizer in (learner.actor_opt, learner.critic_opt):
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
    for net in (learner.agent.actor, learner.critic, learner.target_actor, learner.target_critic):
        net.double()
    tensors = learner.agent.tensors
    learner.agent.tensors = lambda batch: Transitions(*(column.double() for column in tensors(batch)))
    return learner


def shaken(learner, seed=1):
    """Targets differ from what they are copies of."""
    rng = np.random.default_rng(seed)
    for net in (learner.target_actor, learner.target_critic):
        for parameter in net.parameters():
            parameter.data += torch.from_numpy(rng.normal(0, 0.3, size=parameter.shape).astype(np.float32))
    return learner


def flat(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()]).clone()


# ---------------------------------------------------------------- the mathematics


def test_the_target_by_hand():
    reward, discount, next_q = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.5, 0.0, 1.0]), torch.ones(3) * 4
    assert ddpg.td_target(reward, discount, next_q).tolist() == [3, 2, 7]


def test_the_critics_loss_by_hand_and_summed_over_critics():
    target = torch.tensor([1.0, 3.0])
    assert ddpg.critic_loss(torch.tensor([2.0, 0.0]), target) == 0.5 * (1 + 9) / 2
    assert ddpg.critic_loss(torch.tensor([[2.0, 0.0], [1.0, 4.0]]), target) == 0.5 * (1 + 9 + 0 + 1) / 2


@pytest.mark.parametrize("q, target", [((4, 1), (4,)), ((4,), (4, 1)), ((4, 2), (4,)), ((2, 4), (2, 4))])
def test_shapes_that_would_compare_each_with_each_are_refused(q, target):
    with pytest.raises(ValueError, match="its target"):
        ddpg.critic_loss(torch.zeros(q), torch.zeros(target))


def test_a_critic_gives_one_number_for_each_row_and_sees_the_action():
    critic = learner_for().critic
    obs, action = torch.randn(5, 2), torch.randn(5, 2)
    assert critic(obs, action).shape == (5,)
    assert (critic(obs, action) != critic(obs, -action)).all()


def test_descending_touches_what_the_optimiser_holds_and_nothing_else():
    one, other = torch.nn.Linear(2, 1), torch.nn.Linear(1, 1)
    before, held = flat(other), [p.detach().clone() for p in one.parameters()]
    optimizer = torch.optim.SGD(one.parameters(), lr=0.1)
    for _ in range(2):  # gradients of two calls do not add up
        loss = (other(one(torch.ones(1, 2))) ** 2).sum()
        wanted = torch.autograd.grad(loss, [*one.parameters()], retain_graph=True)
        ddpg.descend(optimizer, loss)
        for p, was, gradient in zip(one.parameters(), held, wanted, strict=True):
            assert torch.allclose(p, was - 0.1 * gradient)
        held = [p.detach().clone() for p in one.parameters()]
    assert torch.equal(flat(other), before) and all(p.grad is None for p in other.parameters())


def test_averaging_is_geometric_and_in_place():
    target, net = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    start, end, places = flat(target), flat(net), [p.data_ptr() for p in target.parameters()]
    for _ in range(7):
        ddpg.polyak(target, net, 0.2)
    assert torch.allclose(flat(target), end + 0.8**7 * (start - end), atol=1e-6)
    assert torch.equal(flat(net), end) and places == [p.data_ptr() for p in target.parameters()]


def test_the_target_is_what_the_copies_say():
    learner, rng = shaken(learner_for()), np.random.default_rng(0)
    batch = learner.agent.tensors(random_batch(rng))
    action = np.tanh(nets.NumpyForward(learner.target_actor)(batch.next_obs.numpy()))
    critic = nets.NumpyForward(learner.target_critic.net)
    next_q = critic(np.concatenate([batch.next_obs.numpy(), action], axis=1))[:, 0]
    found = ddpg.ddpg_target(learner, batch, SMALL, rng)
    assert np.allclose(found, batch.reward.numpy() + batch.discount.numpy() * next_q, atol=1e-5)


# ---------------------------------------------------------------- one gradient step


def test_gradients_of_both_networks_are_those_of_their_own_loss():
    """By finite differences: nothing flows through the target, nor from the actor's loss to the critic."""
    learner, batch = doubled(learner_for()), random_batch(np.random.default_rng(2))
    learner.target_critic, learner.target_actor = learner.critic, learner.agent.actor  # the worst case
    stand_still(learner)
    seen = learner.agent.tensors(batch)
    with torch.no_grad():
        goal = ddpg.ddpg_target(learner, seen, SMALL, None)
    ddpg.update(learner, Fixed(batch), SMALL, np.random.default_rng(0))
    critic = gradients(learner.critic)
    wanted = finite_differences(
        lambda: 0.5 * ((learner.critic(seen.obs, seen.action) - goal) ** 2).mean(), learner.critic
    )
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(critic, wanted, strict=True))
    actor = gradients(learner.agent.actor)
    wanted = finite_differences(
        lambda: -learner.critic(seen.obs, learner.agent.actor(seen.obs).tanh()).mean(), learner.agent.actor
    )
    assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(actor, wanted, strict=True))
    assert max(gradient.abs().max() for gradient in actor) > 1e-3


def test_the_copies_begin_equal_and_no_optimiser_knows_them():
    learner = learner_for()
    assert torch.equal(flat(learner.critic), flat(learner.target_critic))
    assert torch.equal(flat(learner.agent.actor), flat(learner.target_actor))
    held = [{*map(id, opt.param_groups[0]["params"])} for opt in (learner.actor_opt, learner.critic_opt)]
    assert held == [{*map(id, net.parameters())} for net in (learner.agent.actor, learner.critic)]
    copies = [*learner.target_actor.parameters(), *learner.target_critic.parameters()]
    assert not any(p.requires_grad for p in copies)
    assert not {p.data_ptr() for p in copies} & {p.data_ptr() for p in learner.critic.parameters()}
    assert all(opt.defaults["fused"] for opt in (learner.actor_opt, learner.critic_opt))


def test_the_copies_follow_slowly():
    learner = learner_for()
    actor, critic = flat(learner.target_actor), flat(learner.target_critic)
    for number in (1, 2):
        ddpg.update(learner, Fixed(random_batch(np.random.default_rng(number))), SMALL, None)
        actor += SMALL.tau * (flat(learner.agent.actor) - actor)
        critic += SMALL.tau * (flat(learner.critic) - critic)
        assert torch.allclose(flat(learner.target_actor), actor, atol=1e-6)
        assert torch.allclose(flat(learner.target_critic), critic, atol=1e-6)
    assert learner.updates == 2 and not torch.equal(actor, flat(learner.agent.actor))


def test_a_step_reports_the_loss_and_q_of_its_batch():
    learner, batch = learner_for(), random_batch(np.random.default_rng(3))
    seen = learner.agent.tensors(batch)
    with torch.no_grad():
        q = learner.critic(seen.obs, seen.action)
        loss = ddpg.critic_loss(q, ddpg.ddpg_target(learner, seen, SMALL, None))
    found = ddpg.update(learner, Fixed(batch), SMALL, None)
    assert found == {"critic_loss": pytest.approx(loss.item()), "q": pytest.approx(q.mean().item())}
    assert ddpg.averages([{"a": 1, "b": 4}, {"a": 3, "b": 0}]) == {"a": 2, "b": 2}


# ---------------------------------------------------------------- the agent


def test_actions_fill_the_box_and_never_leave_it():
    agent, rng = learner_for().agent, np.random.default_rng(0)
    # the outputs are large, and of either sign
    agent.actor[-1].weight.data = 30 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(1, 4)
    obs = rng.normal(size=(4000, 2))
    actions = agent.act(obs)
    assert actions.dtype == BOX.dtype and all(map(BOX.contains, actions[:50]))
    assert np.allclose(actions.min(axis=0), BOX.low) and np.allclose(actions.max(axis=0), BOX.high)
    wanted = np.float32([1, 5]) + np.float32([2, 5]) * np.tanh(
        nets.torch_forward(agent.actor, obs.astype("f"))
    )
    assert np.allclose(actions, wanted, atol=1e-4)
    assert all(map(BOX.contains, agent.sample(obs, rng)[:200]))


def test_noise_is_a_part_of_half_the_range_and_has_no_memory():
    agent = learner_for(dataclasses.replace(SMALL, exploration_noise=0.1)).agent
    obs = np.zeros((20_000, 2))
    off = agent.sample(obs, np.random.default_rng(0)) - agent.act(obs)
    assert np.allclose(off.std(axis=0), [0.2, 0.5], rtol=0.03) and np.allclose(off.mean(axis=0), 0, atol=0.01)
    assert abs(np.corrcoef(off[:-1, 0], off[1:, 0])[0, 1]) < 0.03
    assert abs(np.corrcoef(off[:, 0], off[:, 1])[0, 1]) < 0.03


def test_at_first_actions_are_drawn_evenly_from_the_whole_box():
    actions = learner_for().agent.anything(np.zeros((20_000, 2)), np.random.default_rng(0))
    unit = (actions - BOX.low) / (BOX.high - BOX.low)
    assert np.allclose(unit.mean(axis=0), 0.5, atol=0.01) and np.allclose(
        unit.std(axis=0), 12**-0.5, atol=0.01
    )
    assert unit.min() < 0.001 and unit.max() > 0.999


def test_networks_see_actions_from_minus_one_to_one():
    agent, batch = learner_for().agent, random_batch(np.random.default_rng(0), B=3)
    batch = batch._replace(action=np.float32([[-1, 10], [1, 5], [3, 0]]))
    seen = agent.tensors(batch)
    assert seen.action.tolist() == [[-1, 1], [0, 0], [1, -1]]
    assert {column.dtype for column in seen} == {torch.float32}
    assert np.array_equal(agent.to_box(seen.action.numpy()), batch.action)
    double = agent.tensors(batch._replace(obs=batch.obs.astype(np.float64)))
    assert torch.equal(double.obs, seen.obs) and double.obs.dtype == torch.float32


class Scaled(World):
    """The same world, asked in another unit: bits stay what they are where that is a power of two."""

    action_space = gym.spaces.Box(BOX.low * 8, BOX.high * 8)

    def step(self, action):
        assert self.action_space.contains(action)
        return super().step.__func__(Unscaled(self), action / 8)


class Unscaled:
    action_space, ends = BOX, True

    def __init__(self, world):
        vars(self)["world"] = world

    def __getattr__(self, name):
        return getattr(self.world, name)

    def __setattr__(self, name, value):
        setattr(self.world, name, value)


def test_the_unit_of_actions_does_not_matter():
    one, other = (ddpg.train(SMALL, 0, envs=world).metrics["return"] for world in (World, Scaled))
    assert np.array_equal(one, other) and len(one) > 100


# ---------------------------------------------------------------- training


def watched(config, world, seed=0, **options):
    """A run, and the learner that it trained."""
    kept, inner = [], options.pop("update", ddpg.update)

    def update(learner, *rest):
        kept.append(learner)
        return inner(learner, *rest)

    run = ddpg.train(config, seed, envs=world, update=update, **options)
    return run, kept[-1]


QUICK = dataclasses.replace(SMALL, total_steps=700, gamma=0.8, lr=1e-2, gradient_steps=20)


@pytest.mark.parametrize("world, value", [(Paying, 1.0), (endless, 1 / (1 - 0.8))])
@pytest.mark.filterwarnings("ignore:.*no episode")
def test_an_ending_is_worth_nothing_and_a_time_limit_is_no_ending(world, value):
    _, learner = watched(QUICK, world)
    with torch.no_grad():
        q = learner.critic(torch.ones(5, 2), torch.linspace(-1, 1, 10).view(5, 2))
    assert q.mean().item() == pytest.approx(value, rel=0.05)


def test_it_finds_the_best_action_everywhere():
    config = dataclasses.replace(QUICK, total_steps=800, hidden=(32,), exploration_noise=0.3)
    run, learner = watched(config, World)
    obs = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    unit = (learner.agent.act(obs) - [1, 5]) / [2, 5]
    assert np.abs(unit - 0.5 * obs).mean() < 0.1 < np.abs(0.5 * obs).mean()


def test_the_buffer_holds_transitions_of_one_episode_each_and_no_reset_rows():
    kept, replays = [], []

    def spy(made, capacity):
        replays.append(replay := ddpg.make_replay(made, capacity))
        step = replay.step
        replay.step = lambda *given: (kept.append((*given[0], *given[1:])), step(*given))
        return replay

    ddpg.train(SMALL, 0, envs=endless, make_replay=spy)
    obs, action, reward, next_obs, discount, valid, ended = (np.array(x) for x in zip(*kept, strict=True))
    assert np.array_equal(next_obs[:-1], obs[1:])
    assert np.array_equal(valid[1:], ~(valid & ended)[:-1]) and not valid.all()
    (replay,) = replays
    assert replay.added == valid.sum() <= SMALL.total_steps
    held = replay[np.arange(replay.size)]
    assert np.array_equal(held.action, action[valid]) and held.action.dtype == np.float32
    assert (held.reward == 1).all() and (held.discount == np.float32(SMALL.gamma)).all()


def test_the_budget_of_steps_and_of_updates_is_kept():
    counted = []

    def counting(*given):
        counted.append(1)
        return ddpg.update(*given)

    run = ddpg.train(SMALL, 0, update=counting)
    steps = run.metrics["update_step"]
    assert SMALL.learning_starts <= steps[0] < SMALL.learning_starts + SMALL.num_envs
    assert (np.diff(steps) >= SMALL.train_freq).all() and (np.diff(steps) < SMALL.train_freq + 3).all()
    assert len(counted) == len(steps) * SMALL.gradient_steps
    assert run.metrics["length"].sum() <= SMALL.total_steps and set(run.metrics["length"]) == {200}


def test_actions_are_random_until_learning_starts_and_the_agents_from_then_on(monkeypatch):
    told = []
    for name in ("anything", "sample"):
        method = getattr(ddpg.Agent, name)
        monkeypatch.setattr(
            ddpg.Agent, name, lambda *given, n=name, m=method: (told.append(n), m(*given))[1]
        )  # fmt: skip
    ddpg.train(SMALL, 0)
    first = -(-SMALL.learning_starts // SMALL.num_envs)
    assert told[:first] == ["anything"] * first and {*told[first:]} == {"sample"}


def test_a_saved_policy_acts_and_explores_the_same(tmp_path):
    run = ddpg.train(SMALL, 0)
    run.save(tmp_path / "run.npz")
    a, b = ddpg.load_policy(run), ddpg.load_policy(type(run).load(tmp_path / "run.npz"))
    obs = np.random.default_rng(0).normal(size=(50, 3))
    assert np.array_equal(a.act(obs), b.act(obs)) and a.noise == SMALL.exploration_noise
    assert np.array_equal(*(x.sample(obs, np.random.default_rng(1)) for x in (a, b)))
    with pytest.raises(ValueError, match="this run is of"):
        ddpg.load_policy(type(run)(**{**vars(run), "algorithm": "rlworkshop.algorithms.other"}))


@pytest.mark.parametrize(
    "broken",
    [
        {"num_envs": 0}, {"total_steps": 0}, {"batch_size": 0}, {"buffer_size": 0}, {"learning_starts": 0},
        {"train_freq": 0}, {"gradient_steps": 0}, {"gamma": 1.5}, {"gamma": -0.1}, {"tau": 0.0},
        {"tau": 1.1}, {"lr": 0.0}, {"exploration_noise": -0.1}, {"buffer_size": 3},
    ],
)  # fmt: skip
def test_impossible_configurations_are_refused(broken):
    with pytest.raises(ValueError):
        ddpg.Config(**broken)


def test_what_lies_at_the_edge_is_possible():
    steps = ("total_steps", "learning_starts", "train_freq", "gradient_steps")
    small = dict.fromkeys((*steps, "num_envs", "batch_size", "buffer_size"), 1)
    for end in (0.0, 1.0):
        ddpg.Config(**small, gamma=end, exploration_noise=end, tau=1.0, lr=1e-9)


def test_the_settings_that_readers_begin_with_fit_each_other():
    config, adam = ddpg.Config(), inspect.signature(torch.optim.Adam).parameters
    assert config.total_steps <= config.buffer_size and config.lr == adam["lr"].default
    assert config.learning_starts % config.num_envs == config.train_freq % config.num_envs == 0
    assert config.gradient_steps == config.train_freq and len({*config.hidden}) == 1


def test_spaces_that_do_not_fit_are_named():
    endless_box, square = gym.spaces.Box(-np.inf, np.inf, (1,)), gym.spaces.Box(-1, 1, (2, 2))
    for wrong in (gym.spaces.Discrete(2), endless_box, square, gym.spaces.Box(0, np.inf, (1,))):
        with pytest.raises(ValueError, match="actions must be a Box with one axis and finite bounds"):
            ddpg.Agent.fresh(OBS, wrong, (8,), torch.Generator())
    with pytest.raises(ValueError, match="observations"):
        ddpg.Agent.fresh(square, BOX, (8,), torch.Generator())


@pytest.mark.slow
def test_it_swings_the_pendulum_up():
    """The trainings of its page."""
    trained = [runs.cached(true_values.watched, ddpg.Config(), seed, by=ddpg.train) for seed in range(3)]
    agents = [ddpg.load_policy(run) for run in trained]
    assert np.median([envs.evaluate(a.act, "Pendulum-v1", 20, seed=9).mean() for a in agents]) >= -200
