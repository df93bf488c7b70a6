"""DQN: every named function against an independent reference, then the whole."""

import dataclasses
import inspect

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlworkshop import envs, nets, runs
from rlworkshop.algorithms import dqn, dqn_values
from rlworkshop.replay import Replay, Transitions

SMALL = dqn.Config(
    num_envs=4,
    total_steps=1500,
    hidden=(8,),
    batch_size=16,
    learning_starts=100,
    train_freq=100,
    gradient_steps=10,
)


def learner_for(config=SMALL, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return dqn.make_learner(envs.make(config.env_id, config.num_envs), config, generator)


def random_batch(rng, B=6, D=4, A=2):
    obs, next_obs = rng.normal(size=(2, B, D)).astype(np.float32)
    reward = rng.normal(size=B).astype(np.float32)
    discount = np.where(rng.random(B) < 0.3, 0, 0.9).astype(np.float32)
    return Transitions(obs, rng.integers(A, size=B), reward, next_obs, discount)


# ---------------------------------------------------------------- the mathematics


def test_epsilon_falls_on_a_line_and_stays():
    config = dqn.Config(total_steps=1000, exploration_fraction=0.2, final_epsilon=0.1)
    assert [dqn.epsilon_at(t, config) for t in (0, 100, 200, 999)] == pytest.approx([1, 0.55, 0.1, 0.1])


def test_the_learning_rate_is_held_and_falls_at_last():
    config = dqn.Config(total_steps=1000, lr=0.5, lr_decay_fraction=0.2)
    assert [dqn.lr_at(t, config) for t in (0, 800, 900, 1000)] == pytest.approx([0.5, 0.5, 0.25, 0])


def test_zero_is_never():
    config = dqn.Config(
        total_steps=1000, lr=0.5, lr_decay_fraction=0, exploration_fraction=0, final_epsilon=0.25
    )
    assert {dqn.lr_at(t, config) for t in (0, 500, 1000)} == {0.5}
    assert {dqn.epsilon_at(t, config) for t in (0, 500, 1000)} == {0.25}


def test_the_target_by_hand():
    reward, discount = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.5, 0.0, 1.0])
    next_q = torch.tensor([[4.0, 6.0], [100.0, 100.0], [-2.0, -8.0]])
    assert dqn.td_target(reward, discount, next_q).tolist() == [4.0, 2.0, 1.0]


def test_errors_use_one_network_for_now_and_the_other_for_later():
    rng, learner = np.random.default_rng(0), learner_for()
    for parameter in learner.target.parameters():  # the two differ
        parameter.data += torch.from_numpy(rng.normal(size=parameter.shape).astype(np.float32))
    batch = random_batch(rng)
    q, target = (nets.NumpyForward(net) for net in (learner.agent.q, learner.target))
    wanted = q(batch.obs)[np.arange(6), batch.action] - (
        batch.reward + batch.discount * target(batch.next_obs).max(axis=1)
    )
    assert np.allclose(dqn.td_errors(learner, batch).detach(), wanted, atol=1e-5)


def test_networks_see_what_the_normaliser_makes_of_observations():
    rng, learner = np.random.default_rng(0), learner_for()
    batch, norm = random_batch(rng), learner.agent.norm
    norm.update(rng.normal(3, 2, size=(100, 4)))
    seen = batch._replace(obs=norm(batch.obs), next_obs=norm(batch.next_obs))
    errors = dqn.td_errors(learner, batch)
    learner.agent.norm = None
    assert torch.equal(errors, dqn.td_errors(learner, seen))
    assert (errors - dqn.td_errors(learner, batch)).abs().min() > 1e-3


@pytest.mark.parametrize("losses", [dqn.squared_losses, dqn.huber_losses])
def test_gradients_against_finite_differences_with_the_target_held_fixed(losses):
    rng, learner = np.random.default_rng(1), learner_for()
    learner.agent.q.double()
    learner.target.double()
    batch = random_batch(rng)
    batch = Transitions(*(c.astype(np.float64) if c.dtype == np.float32 else c for c in batch))
    learner.tensors = lambda b: Transitions(*map(torch.from_numpy, b))

    def loss():
        return losses(learner, batch, SMALL).mean()

    loss().backward()
    assert all(p.grad is None for p in learner.target.parameters())
    for parameter in learner.agent.q.parameters():
        flat, grad = parameter.data.view(-1), parameter.grad.view(-1)
        for i in range(0, len(flat), 5):
            kept, sides = flat[i].item(), []
            for shift in (1e-5, -1e-5):
                flat[i] = kept + shift
                sides.append(loss().item())
            flat[i] = kept
            assert grad[i].item() == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-4, abs=1e-8)


def test_the_gradient_does_not_flow_through_the_target_even_when_the_networks_are_one():
    # d/dw of ½ (q(s) - r - γ max q(s'))² with the target held fixed, for a linear network, by hand
    learner = learner_for(dataclasses.replace(SMALL, hidden=()))
    learner.target = learner.agent.q
    batch = random_batch(np.random.default_rng(2))
    dqn.squared_losses(learner, batch, SMALL).mean().backward()
    error = dqn.td_errors(learner, batch).detach().numpy()  # (B,)
    wanted = np.zeros((2, 4))
    for e, obs, action in zip(error, batch.obs, batch.action, strict=True):
        wanted[action] += e * obs / 6
    assert np.allclose(learner.agent.q[0].weight.grad, wanted, atol=1e-5)


def test_huber_is_the_square_for_small_errors_and_a_line_beyond():
    learner = learner_for()
    batch = random_batch(np.random.default_rng(3), B=40)
    error = dqn.td_errors(learner, batch._replace(reward=batch.reward * 2)).detach()
    found = dqn.huber_losses(learner, batch._replace(reward=batch.reward * 2), SMALL).detach()
    reference = torch.nn.functional.huber_loss(error, torch.zeros(40), reduction="none")
    assert torch.allclose(found, reference, atol=1e-6)
    assert (error.abs() > 1).any() and (error.abs() < 1).any()


# ---------------------------------------------------------------- the agent


def test_it_explores_as_often_as_it_should():
    agent = learner_for().agent
    obs = np.zeros((20_000, 4), np.float32)
    best = agent.act(obs[:1])[0]
    off = (agent.explore(obs, 0.3, np.random.default_rng(0)) != best).mean()
    assert off == pytest.approx(0.15, abs=0.01)  # half of the random actions are the best one
    assert (agent.explore(obs, 0.0, np.random.default_rng(0)) == best).all()


def test_values_by_numpy_and_by_torch_are_the_same_and_the_best_action_is_taken():
    agent = learner_for().agent
    agent.norm.update(np.random.default_rng(0).normal(3, 2, size=(100, 4)))
    obs = np.random.default_rng(1).normal(size=(7, 4))
    assert np.array_equal(agent.values(obs)[np.arange(7), agent.act(obs)], agent.values(obs).max(axis=1))
    assert np.array_equal(agent.explore(obs, 0.0, np.random.default_rng(0)), agent.act(obs))
    assert [agent.act(one) for one in obs] == agent.act(obs).tolist()

    class Other(torch.nn.Module):
        def __init__(self, q):
            super().__init__()
            self.q = q

        def forward(self, x):
            return self.q(x)

    other = dqn.Agent(Other(agent.q), agent.norm, agent.obs_space, agent.action_space)
    assert np.allclose(agent.values(obs), other.values(obs), atol=1e-5)
    assert np.allclose(
        agent.values(obs), agent.q(torch.from_numpy(agent.norm(obs))).detach().numpy(), atol=1e-5
    )


def test_the_target_network_is_a_copy_that_is_renewed_on_time():
    learner = learner_for(config := dataclasses.replace(SMALL, target_update_interval=3))
    batch = random_batch(np.random.default_rng(0))

    def state(net):
        return torch.cat([p.detach().flatten() for p in net.parameters()]).clone()

    start = state(learner.agent.q)
    assert torch.equal(start, state(learner.target))
    for update in range(1, 7):
        before = state(learner.target)
        learner.step(dqn.squared_losses(learner, batch, config).mean(), config)
        same = torch.equal(state(learner.target), state(learner.agent.q))
        assert same == (update % 3 == 0)
        if update % 3:
            assert torch.equal(state(learner.target), before)
    assert not torch.equal(start, state(learner.target)) and learner.updates == 6


def test_a_gradient_is_that_of_one_batch_and_nothing_moves_the_target():
    learner, batch = learner_for(), random_batch(np.random.default_rng(0))
    still = dataclasses.replace(SMALL, target_update_interval=100)
    learner.optimizer.param_groups[0]["lr"], gradients = 0.0, []
    for _ in range(2):
        learner.step(dqn.squared_losses(learner, batch, still).mean(), still)
        gradients.append([p.grad.clone() for p in learner.agent.q.parameters()])
    assert all(map(torch.equal, *gradients)) and learner.optimizer.defaults["fused"]  # of Adams the quick one
    assert not any(p.requires_grad for p in learner.target.parameters())


def test_updates_move_q_towards_its_target():
    learner = learner_for(dataclasses.replace(SMALL, hidden=(64,), lr=1e-2))
    replay = Replay(50, (4,))
    replay.add(*random_batch(np.random.default_rng(0), B=50))
    rng = np.random.default_rng(0)
    before = np.mean((dqn.td_errors(learner, replay[np.arange(50)]).detach().numpy()) ** 2)
    drawn = replay.sample(SMALL.batch_size, np.random.default_rng(3))
    mean = dqn.squared_losses(learner, drawn, SMALL).mean().item()
    assert dqn.update(learner, replay, SMALL, np.random.default_rng(3), dqn.squared_losses) == mean
    far = dataclasses.replace(SMALL, target_update_interval=10_000)
    for _ in range(200):
        dqn.update(learner, replay, far, rng, dqn.squared_losses)
    after = np.mean((dqn.td_errors(learner, replay[np.arange(50)]).detach().numpy()) ** 2)
    assert after < before / 3


class Corridor(gym.Env):
    """Six places in a row; right pays 1 on leaving the last one, left goes back. 30 steps at most."""

    observation_space = gym.spaces.Box(0, 1, (6,))
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(6))
        return np.eye(6, dtype=np.float32)[self.place], {}

    def step(self, action):
        self.place = max(0, self.place + (1 if action else -1))
        done = self.place == 6
        obs = np.zeros(6, np.float32) if done else np.eye(6, dtype=np.float32)[self.place]
        return obs, float(done), done, False, {}


class Endless(gym.Env):
    """Pays 1 for ever: an episode has no end but the clock."""

    observation_space, action_space = gym.spaces.Box(-1, 1, (2,)), gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.ones(2, np.float32), {}

    def step(self, action):
        return np.ones(2, np.float32), 1.0, False, False, {}


@pytest.fixture
def worlds():
    gym.register("Corridor-v0", Corridor, max_episode_steps=30)
    gym.register("Endless-v0", Endless, max_episode_steps=5)
    yield
    del gym.registry["Corridor-v0"], gym.registry["Endless-v0"]


def linear(env_id, **more):
    return dqn.Config(
        env_id=env_id, hidden=(), normalize_obs=False, gamma=0.8, lr=0.05, batch_size=32,
        learning_starts=50, train_freq=20, gradient_steps=10, target_update_interval=10, **more,
    )  # fmt: skip


def test_on_a_table_it_finds_the_exact_values(worlds):
    config = linear("Corridor-v0", num_envs=4, total_steps=6000, exploration_fraction=1.0, final_epsilon=0.5)
    agent = dqn.load_policy(dqn.train(config, 0))
    found = agent.values(np.eye(6, dtype=np.float32))
    right = 0.8 ** np.arange(5, -1, -1)
    left = 0.8 * np.concatenate([right[:1], right[:-1]])
    assert np.allclose(found, np.stack([left, right], axis=1), atol=0.02)


def test_a_time_limit_is_no_terminal_state(worlds):
    run = dqn.train(linear("Endless-v0", num_envs=2, total_steps=4000), 0)
    found = dqn.load_policy(run).values(np.ones((1, 2), np.float32))
    assert found.max() == pytest.approx(1 / (1 - 0.8), rel=0.02)
    assert set(run.metrics["length"]) == {5}


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Corridor-v0"])
def test_the_buffer_holds_transitions_of_one_episode_each_and_no_reset_rows(worlds, env_id):
    """In play: what follows is where the next row of the same world begins, unless an episode ended."""
    kept = []

    def spy(config, envs):
        replay = dqn.make_replay(config, envs)
        step = replay.step
        replay.step = lambda rows, valid, ended: (
            kept.append((*rows, valid, ended)), step(rows, valid, ended)
        )  # fmt: skip
        replays.append(replay)
        return replay

    replays = []
    config = dataclasses.replace(SMALL, env_id=env_id, learning_starts=1000, buffer_size=1000)
    dqn.train(config, 0, make_replay=spy)
    obs, _, reward, next_obs, discount, valid, ended = (
        np.array(column) for column in zip(*kept, strict=True)
    )
    assert not valid.all() and (reward[~valid] == 0).all()
    assert np.array_equal(valid[1:], ~(valid & ended)[:-1])  # the row after an end is a reset row
    assert np.array_equal(next_obs[:-1], obs[1:])
    assert replays[0].added == valid.sum()
    assert replays[0].size == 1000 and set(np.unique(discount)) <= {0, np.float32(config.gamma), config.gamma}
    held = replays[0][np.arange(1000)]
    assert (
        (held.reward == 1).all() if env_id == "CartPole-v1" else (held.reward[held.discount == 0] == 1).all()
    )


# ---------------------------------------------------------------- training


def test_the_budget_of_steps_and_of_updates_is_kept():
    counted = []

    def counting(*args):
        counted.append(1)
        return dqn.update(*args)

    run = dqn.train(SMALL, 0, update=counting)
    steps = run.metrics["update_step"]
    assert SMALL.learning_starts <= steps[0] < SMALL.learning_starts + SMALL.num_envs
    assert (np.diff(steps) >= SMALL.train_freq).all() and steps[-1] <= SMALL.total_steps
    assert len(counted) == len(steps) * SMALL.gradient_steps
    assert np.array_equal(run.metrics["return"], run.metrics["length"])  # CartPole pays 1 a step
    assert run.metrics["length"].sum() <= SMALL.total_steps


def test_the_numbers_of_a_round_are_those_of_its_steps_and_the_learning_rate_falls():
    rates, losses, told = [], [], []

    def watched(learner, *rest):
        rates.append(learner.optimizer.param_groups[0]["lr"])
        losses.append(dqn.update(learner, *rest))
        return losses[-1]

    def look(session):
        told.append(session.agent.values(session.episodes.obs).max(axis=1).mean())

    config = dataclasses.replace(SMALL, learning_starts=200, train_freq=40)
    metrics = dqn.train(config, 0, update=watched, callback=look).metrics
    assert metrics["update_step"][0] < 200 + config.num_envs and np.diff(metrics["update_step"]).max() < 50
    assert metrics["q"].tolist() == told
    assert np.allclose(metrics["loss"], np.reshape(losses, (-1, config.gradient_steps)).mean(axis=1))
    due = [dqn.lr_at(step, config) for step in metrics["update_step"]]
    assert np.allclose(rates, np.repeat(due, config.gradient_steps)) and due[0] == SMALL.lr > due[-1]


def test_a_saved_policy_acts_the_same_and_stands_still(tmp_path):
    run = dqn.train(SMALL, 0)
    run.save(tmp_path / "run.npz")
    obs = np.random.default_rng(0).normal(size=(50, 4))
    a, b = dqn.load_policy(run), dqn.load_policy(type(run).load(tmp_path / "run.npz"))
    assert np.array_equal(a.values(obs), b.values(obs)) and np.array_equal(a.act(obs), b.act(obs))
    count = a.norm.count
    assert 0 < count <= SMALL.total_steps
    envs.evaluate(b.act, "CartPole-v1", 5, seed=0)
    assert b.norm.count == count
    raw = dqn.load_policy(dqn.train(dataclasses.replace(SMALL, normalize_obs=False), 0))
    assert raw.norm is None and np.array_equal(raw.see(obs), obs.astype(np.float32))


@pytest.mark.parametrize(
    "broken",
    [
        {"num_envs": 0}, {"batch_size": 0}, {"gradient_steps": 0}, {"target_update_interval": 0},
        {"gamma": 1.5}, {"lr": 0.0},
        {"final_epsilon": -0.1}, {"exploration_fraction": -0.1}, {"lr_decay_fraction": 1.2},
        {"buffer_size": 50}, {"learning_starts": 0}, {"total_steps": 0}, {"train_freq": 0},
        {"buffer_size": 8, "learning_starts": 1, "num_envs": 9}, {"gamma": -0.1}, {"final_epsilon": 1.5},
    ],
)  # fmt: skip
def test_impossible_configurations_are_refused(broken):
    with pytest.raises(ValueError):
        dqn.Config(**broken)


def test_what_lies_at_the_edge_is_possible():
    steps = ("total_steps", "learning_starts", "train_freq", "gradient_steps", "target_update_interval")
    small = dict.fromkeys((*steps, "num_envs", "batch_size", "buffer_size"), 1)
    for end in (0.0, 1.0):
        parts = ("gamma", "final_epsilon", "exploration_fraction", "lr_decay_fraction")
        dqn.Config(**small, **dict.fromkeys(parts, end), lr=1e-9)


def test_the_settings_that_readers_begin_with_fit_each_other():
    """Whole steps, nothing forgotten, one copy a round; schedules that have two ends."""
    config, adam = dqn.Config(), inspect.signature(torch.optim.Adam).parameters
    for steps in (config.total_steps, config.learning_starts, config.train_freq):
        assert steps % config.num_envs == 0  # so it is due neither late nor early
    assert config.buffer_size == config.total_steps and config.target_update_interval == config.gradient_steps
    learned_from = config.batch_size * config.gradient_steps / config.train_freq  # times, each transition
    assert learned_from == 64 and len({*config.hidden}) == 1
    assert 1 / (1 - config.gamma) == pytest.approx(100) and config.lr == adam["lr"].default
    first, last = (dqn.epsilon_at(t, config) for t in (0, config.total_steps))
    assert first == 1 > last > 0 and dqn.lr_at(config.total_steps, config) == 0 < dqn.lr_at(1, config)
    assert learner_for(config).agent.norm is not None


def test_spaces_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="observations"):
        dqn.train(dqn.Config("FrozenLake-v1"), 0)
    with pytest.raises(ValueError, match="actions"):
        dqn.train(dqn.Config("Pendulum-v1"), 0)
    box, two, random = gym.spaces.Box(-1, 1, (3,)), gym.spaces.Discrete(2), torch.Generator()
    with pytest.raises(ValueError, match="observations"):
        dqn.make_q(gym.spaces.Box(-1, 1, (3, 3)), two, SMALL, random)
    with pytest.raises(ValueError, match="actions"):
        dqn.make_agent(box, gym.spaces.Discrete(2, start=1), SMALL, random, dqn.make_q)


def test_networks_have_rectifiers_and_pictures_are_kept_as_bytes():
    q = learner_for(dataclasses.replace(SMALL, hidden=(8, 6))).agent.q
    assert [type(layer).__name__ for layer in q] == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    replay = dqn.make_replay(SMALL, envs.make("rlworkshop.envs.games:Catch-v0", 2))
    assert replay[np.zeros(1, int)].obs.dtype == np.uint8 and replay.capacity == SMALL.buffer_size


def other_q(*args):
    return dqn.make_q(*args)


def test_a_run_of_another_algorithm_or_network_is_not_loaded():
    run = dqn.train(SMALL, 0, make_q=other_q)
    with pytest.raises(ValueError, match=r"other_q: pass that as make_q"):
        dqn.load_policy(run)
    assert dqn.load_policy(run, other_q).action_space.n == 2
    with pytest.raises(ValueError, match="this run is of"):
        dqn.load_policy(type(run)(**{**vars(run), "algorithm": "rlworkshop.algorithms.other"}))


@pytest.mark.slow
def test_it_learns_cartpole():
    # the trainings that the page shows
    trained = [runs.cached(dqn_values.watched, dqn.Config(), seed, until=6_000) for seed in range(3)]
    agents = [dqn.load_policy(run) for run in trained]
    assert np.median([envs.evaluate(a.act, "CartPole-v1", 20, seed=9).mean() for a in agents]) >= 450
