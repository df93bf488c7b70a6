"""TD3: what it changes in DDPG, against independent references, then the whole."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlworkshop import envs, nets, runs, true_values
from rlworkshop.algorithms import ddpg, td3
from rlworkshop.replay import Transitions

SMALL = td3.Config(
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
    return td3.make_learner(envs.make(world, config.num_envs), config, torch.Generator().manual_seed(seed))


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


def test_smoothing_by_hand():
    action, noise = torch.tensor([[0.0, 0.9, -0.9, 0.5]]), torch.tensor([[0.1, 0.2, -5.0, -5.0]])
    assert td3.smoothed(action, noise, 0.3).tolist() == [pytest.approx([0.1, 1.0, -1.0, 0.2])]
    assert torch.equal(td3.smoothed(action, noise, 0.0), action)


def test_the_lower_is_taken_for_each_transition_by_itself():
    assert td3.clipped_double_q(torch.tensor([[1.0, 5.0, -2.0], [3.0, 4.0, -1.0]])).tolist() == [1, 4, -2]


def values_of(critic, obs, action):
    """Q (2, B) of both twins, by numpy."""
    both = np.concatenate([obs, action], axis=1).astype(np.float32)
    return np.stack([nets.NumpyForward(twin.net)(both)[:, 0] for twin in critic.twins])


def test_twins_are_two_networks_that_begin_apart():
    critic = learner_for().critic
    obs, action = torch.randn(5, 2), torch.randn(5, 2)
    q = critic(obs, action)
    assert q.shape == (2, 5) and (q[0] != q[1]).all()
    assert np.allclose(q.detach(), values_of(critic, obs.numpy(), action.numpy()), atol=1e-5)


@pytest.mark.parametrize("target", [td3.td3_target, td3.unsmoothed_target, td3.single_target])
def test_targets_are_what_the_copies_say(target):
    learner = shaken(learner_for())
    batch = learner.agent.tensors(random_batch(np.random.default_rng(0), B=200))
    config = dataclasses.replace(SMALL, target_noise=0.3, noise_clip=0.4)
    action = np.tanh(nets.NumpyForward(learner.target_actor)(batch.next_obs.numpy()))
    if target is not td3.unsmoothed_target:
        noise = 0.3 * np.random.default_rng(5).standard_normal(action.shape, np.float32)
        assert (np.abs(noise) > 0.4).any()
        action = np.clip(action + np.clip(noise, -0.4, 0.4), -1, 1)
    q = values_of(learner.target_critic, batch.next_obs.numpy(), action)
    q = q[0] if target is td3.single_target else np.minimum(*q)
    found = target(learner, batch, config, np.random.default_rng(5))
    assert np.allclose(found, batch.reward.numpy() + batch.discount.numpy() * q, atol=1e-5)


# ---------------------------------------------------------------- one gradient step


def test_gradients_of_all_networks_are_those_of_their_own_loss():
    """By finite differences: nothing flows through the target, nor from the actor's loss to the critics."""
    learner, batch = doubled(learner_for()), random_batch(np.random.default_rng(2))
    learner.target_critic, learner.target_actor = learner.critic, learner.agent.actor  # the worst case
    stand_still(learner)
    config = dataclasses.replace(SMALL, target_noise=0.0, policy_delay=1)
    seen = learner.agent.tensors(batch)
    with torch.no_grad():
        goal = td3.td3_target(learner, seen, config, np.random.default_rng(0))
    td3.update(learner, Fixed(batch), config, np.random.default_rng(0))
    critic = gradients(learner.critic)
    wanted = finite_differences(
        lambda: 0.5 * ((learner.critic(seen.obs, seen.action) - goal) ** 2).mean(dim=1).sum(), learner.critic
    )
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(critic, wanted, strict=True))
    actor = gradients(learner.agent.actor)
    wanted = finite_differences(
        lambda: -learner.critic(seen.obs, learner.agent.actor(seen.obs).tanh())[0].mean(), learner.agent.actor
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


@pytest.mark.parametrize("delay", [1, 2, 3])
def test_the_actor_and_all_copies_move_at_every_so_manieth_step_alone(delay):
    config, learner = dataclasses.replace(SMALL, policy_delay=delay), learner_for()
    still = learner.agent.actor, learner.target_actor, learner.target_critic
    for number in range(1, 7):
        before, critic = [flat(net) for net in still], flat(learner.critic)
        batch = random_batch(np.random.default_rng(number))
        td3.update(learner, Fixed(batch), config, np.random.default_rng(number))
        assert not torch.equal(critic, flat(learner.critic))
        same = [torch.equal(was, flat(net)) for was, net in zip(before, still, strict=True)]
        assert same == [number % delay != 0] * 3
        if number % delay == 0:
            wanted = before[1] + config.tau * (flat(learner.agent.actor) - before[1])
            assert torch.allclose(flat(learner.target_actor), wanted, atol=1e-6)
            wanted = before[2] + config.tau * (flat(learner.critic) - before[2])
            assert torch.allclose(flat(learner.target_critic), wanted, atol=1e-6)
    assert learner.updates == 6


def test_a_step_reports_the_loss_and_q_of_its_batch():
    learner, batch = learner_for(), random_batch(np.random.default_rng(3))
    seen = learner.agent.tensors(batch)
    with torch.no_grad():
        q = learner.critic(seen.obs, seen.action)
        goal = td3.td3_target(learner, seen, SMALL, np.random.default_rng(1))
    found = td3.update(learner, Fixed(batch), SMALL, np.random.default_rng(1))
    loss = ddpg.critic_loss(q, goal).item()
    assert found == {"critic_loss": pytest.approx(loss), "q": pytest.approx(q.mean().item())}


def test_the_noise_of_exploration_is_a_part_of_half_the_range():
    agent = learner_for(dataclasses.replace(SMALL, exploration_noise=0.1)).agent
    obs = np.zeros((20_000, 2))
    off = agent.sample(obs, np.random.default_rng(0)) - agent.act(obs)
    assert np.allclose(off.std(axis=0), [0.2, 0.5], rtol=0.03) and np.allclose(off.mean(axis=0), 0, atol=0.01)


# ---------------------------------------------------------------- training


def watched(config, world, seed=0, **options):
    """A run, and the learner that it trained."""
    kept, inner = [], options.pop("update", td3.update)

    def update(learner, *rest):
        kept.append(learner)
        return inner(learner, *rest)

    run = td3.train(config, seed, envs=world, update=update, **options)
    return run, kept[-1]


QUICK = dataclasses.replace(SMALL, total_steps=700, gamma=0.8, lr=3e-3, tau=0.2, gradient_steps=30)


@pytest.mark.parametrize("world, value", [(Paying, 1.0), (endless, 1 / (1 - 0.8))])
@pytest.mark.filterwarnings("ignore:.*no episode")
def test_an_ending_is_worth_nothing_and_a_time_limit_is_no_ending(world, value):
    _, learner = watched(QUICK, world)
    with torch.no_grad():
        q = learner.critic(torch.ones(5, 2), torch.linspace(-1, 1, 10).view(5, 2))
    assert q.mean().item() == pytest.approx(value, rel=0.05)


def test_it_finds_the_best_action_everywhere():
    config = dataclasses.replace(QUICK, total_steps=800, hidden=(32,), exploration_noise=0.3)
    _, learner = watched(config, World)
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

    td3.train(SMALL, 0, envs=endless, make_replay=spy)
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

    def counting(learner, *given):
        counted.append(learner.updates)
        return td3.update(learner, *given)

    run = td3.train(SMALL, 0, update=counting)
    steps = run.metrics["update_step"]
    assert steps[0] == first * SMALL.num_envs
    assert (np.diff(steps) >= SMALL.train_freq).all() and (np.diff(steps) < SMALL.train_freq + 3).all()
    assert counted == [*range(len(steps) * SMALL.gradient_steps)]
    assert run.metrics["length"].sum() <= SMALL.total_steps and set(run.metrics["length"]) == {200}


def test_a_target_that_is_given_is_used_and_kept_in_the_run():
    both = [td3.train(SMALL, 0, target=target) for target in (td3.td3_target, td3.single_target)]
    assert both[1].config["target"].endswith(":single_target")
    assert not np.array_equal(*(run.metrics["critic_loss"] for run in both))


def test_a_policy_is_loaded_by_its_own_algorithm():
    run = td3.train(SMALL, 0)
    assert td3.load_policy(run).noise == SMALL.exploration_noise
    with pytest.raises(ValueError, match="this run is of rlworkshop.algorithms.td3"):
        ddpg.load_policy(run)
    with pytest.raises(ValueError, match="this run is of"):
        td3.load_policy(type(run)(**{**vars(run), "algorithm": "rlworkshop.algorithms.ddpg"}))


@pytest.mark.parametrize(
    "broken",
    [
        {"num_envs": 0}, {"total_steps": 0}, {"batch_size": 0}, {"buffer_size": 0}, {"learning_starts": 0},
        {"train_freq": 0}, {"gradient_steps": 0}, {"gamma": 1.5}, {"gamma": -0.1}, {"tau": 0.0},
        {"tau": 1.1}, {"lr": 0.0}, {"exploration_noise": -0.1}, {"buffer_size": 3}, {"policy_delay": 0},
        {"target_noise": -0.1}, {"noise_clip": -0.1},
    ],
)  # fmt: skip
def test_impossible_configurations_are_refused(broken):
    with pytest.raises(ValueError):
        td3.Config(**broken)


def test_what_lies_at_the_edge_is_possible():
    steps = ("total_steps", "learning_starts", "train_freq", "gradient_steps", "policy_delay")
    small = dict.fromkeys((*steps, "num_envs", "batch_size", "buffer_size"), 1)
    for end in (0.0, 1.0):
        noises = dict.fromkeys(("exploration_noise", "target_noise", "noise_clip"), end)
        td3.Config(**small, **noises, gamma=end, tau=1.0, lr=1e-9)


def test_what_it_has_in_common_with_ddpg_has_the_same_settings():
    ours, theirs = (dataclasses.asdict(config) for config in (td3.Config(), ddpg.Config()))
    assert ours.keys() - theirs.keys() == {"policy_delay", "target_noise", "noise_clip"}
    # targets that wait for the actor go as far in all
    assert ours.pop("tau") == ours["policy_delay"] * theirs.pop("tau")
    assert theirs.items() <= ours.items()


@pytest.mark.slow
def test_it_swings_the_pendulum_up():
    """The trainings of its page."""
    trained = [runs.cached(true_values.watched, td3.Config(), seed, by=td3.train) for seed in range(3)]
    agents = [td3.load_policy(run) for run in trained]
    assert np.median([envs.evaluate(a.act, "Pendulum-v1", 20, seed=9).mean() for a in agents]) >= -180
