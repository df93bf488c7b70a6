"""Recurrent PPO: what is remembered, what is forgotten, who is told what, and what is learned from it."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rlworkshop import envs
from rlworkshop.robotics import memory, reality_gap
from rlworkshop.robotics.memory import Config, Memory

SMALL = Config(num_envs=8, num_steps=40, total_steps=2000, n_epochs=2, num_minibatches=2, hidden=8)
EACH = pytest.mark.parametrize("name", memory.MEMORIES)


def actor_of(name: str, obs_dim: int = 3, seed: int = 0) -> memory.Actor:
    config, generator = dataclasses.replace(SMALL, memory=name), torch.Generator().manual_seed(seed)
    actor = memory.Actor(obs_dim, 2, config, generator)
    with torch.no_grad():
        actor.head[-1].weight *= 100  # or all actions would be nearly 0
    return actor


def begun(actor: memory.Actor, n: int) -> torch.Tensor:
    return torch.zeros(n, actor.memory.size)


def sequence(T: int = 30, n: int = 4, D: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Observations (T, n, D), and where episodes begin (T, n): at different times."""
    rng = np.random.default_rng(seed)
    first = rng.random((T, n)) < 0.1
    first[0] = True
    return torch.from_numpy(rng.normal(size=(T, n, D)).astype(np.float32)), torch.from_numpy(first)


def played(config: Config, seed: int = 0):
    """A learner and the first batch that it collects."""
    world = envs.make(config.env_id, config.num_envs)
    learner = memory.make_learner(world, config, torch.Generator().manual_seed(seed))
    obs, episodes, rng = envs.reset(world, seed), envs.Episodes(config.num_envs), np.random.default_rng(seed)
    batch = memory.collect(world, learner.agent.actor, learner.memory, obs, episodes, rng, config)
    return world, learner, batch


# ---------------------------------------------------------------- what is remembered


@EACH
def test_a_sequence_at_once_is_the_same_as_step_by_step(name):
    actor, (obs, first) = actor_of(name), sequence()
    with torch.no_grad():
        at_once, last = actor(obs, first, begun(actor, 4))
        state, found = begun(actor, 4), []
        for t in range(len(obs)):
            mean, state = actor(obs[t : t + 1], first[t : t + 1], state)
            found.append(mean[0])
    assert torch.allclose(at_once, torch.stack(found), atol=1e-5)
    assert torch.allclose(last, state, atol=1e-5)


@EACH
def test_an_episode_knows_nothing_of_the_one_before(name):
    actor, (obs, _) = actor_of(name), sequence()
    first = torch.zeros(30, 4, dtype=torch.bool)
    first[0] = first[11, 2] = True  # a new episode in one environment alone
    with torch.no_grad():
        together, _ = actor(obs, first, begun(actor, 4))
        alone, _ = actor(obs[11:, 2:3], first[11:, 2:3], begun(actor, 1))
        unbroken, _ = actor(obs, first & (torch.arange(30) < 11)[:, None], begun(actor, 4))
    assert torch.allclose(together[11:, 2:3], alone, atol=1e-5)
    assert torch.equal(together[:11], unbroken[:11])
    assert torch.allclose(together[11:, [0, 1, 3]], unbroken[11:, [0, 1, 3]], atol=1e-6)  # the others go on
    assert torch.allclose(together[11:, 2], unbroken[11:, 2]) == (name == "none")


@pytest.mark.parametrize(("name", "reach"), [("none", 0), ("history", 7), ("recurrent", 29)])
def test_how_far_back_a_memory_reaches(name, reach):
    actor, (obs, _) = actor_of(name), sequence(n=1)
    first = torch.zeros(30, 1, dtype=torch.bool)
    first[0] = True
    obs.requires_grad_()
    mean, _ = actor(obs, first, begun(actor, 1))
    (gradient,) = torch.autograd.grad(mean[-1].sum(), obs)
    felt = np.flatnonzero(gradient.abs().sum(dim=(1, 2)).numpy() > 1e-12)
    assert felt[0] == 29 - reach and felt[-1] == 29


def test_history_is_the_last_eight_observations_the_newest_last():
    actor, (obs, _) = actor_of("history"), sequence(n=2)
    first = torch.zeros(30, 2, dtype=torch.bool)
    first[0] = True
    features, _ = actor.memory(obs, first, begun(actor, 2))
    assert torch.equal(features[20, 1], obs[13:21, 1].flatten())
    assert not features[3, 0, :12].any() and torch.equal(features[3, 0, 12:], obs[:4, 0].flatten())


def test_the_recurrent_unit_is_that_of_cho_and_colleagues_as_pytorch_counts_it():
    """h' = (1 - z) n + z h, with r and z of observation and state; checked for two steps by hand."""
    actor, (obs, first) = actor_of("recurrent"), sequence(T=2, n=1)
    gru, h = actor.memory.gru, torch.zeros(8)
    for t in range(2):
        a = gru.weight_ih_l0 @ obs[t, 0] + gru.bias_ih_l0
        b = gru.weight_hh_l0 @ h + gru.bias_hh_l0
        (ar, az, an), (br, bz, bn) = a.chunk(3), b.chunk(3)
        r, z = torch.sigmoid(ar + br), torch.sigmoid(az + bz)
        h = (1 - z) * torch.tanh(an + r * bn) + z * h
    features, state = actor.memory(obs, first & (torch.arange(2) == 0)[:, None], begun(actor, 1))
    assert torch.allclose(state[0], h, atol=1e-6) and torch.allclose(features[1, 0, 3:], h, atol=1e-6)
    assert torch.equal(features[:, 0, :3], obs[:, 0])


def test_networks_are_drawn_from_their_own_generator():
    before = torch.random.get_rng_state()
    one, two, other = (actor_of("recurrent", seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert all(not torch.equal(one[k], other[k]) for k in one if "weight" in k)
    assert torch.equal(before, torch.random.get_rng_state())
    assert one["memory.gru.weight_hh_l0"].abs().max() <= 8**-0.5


# ---------------------------------------------------------------- playing


@EACH
def test_a_player_that_forgets_plays_as_one_that_has_just_begun(name):
    run = memory.train(dataclasses.replace(SMALL, memory=name, num_steps=151), 0)
    agent, rng = memory.load_policy(run), np.random.default_rng(0)
    seen = rng.normal(size=(6, 5, 8)).astype(np.float32)
    play, fresh = agent.act, agent.act
    for obs in seen[:3]:
        play(obs)
    play.forget(np.array([True, True, False, False, False]))
    found = np.stack([play(obs) for obs in seen[3:]])
    expected = np.stack([fresh(obs) for obs in seen[3:]])
    assert np.allclose(found[:, :2], expected[:, :2], atol=1e-6)
    assert np.allclose(found[:, 2:], expected[:, 2:], atol=1e-6) == (name == "none")


def test_who_is_told_twice_to_forget_forgets_both_times():
    agent = memory.load_policy(memory.train(dataclasses.replace(SMALL, num_steps=151), 0))
    seen = np.random.default_rng(0).normal(size=(2, 2, 8)).astype(np.float32)
    play, fresh = agent.act, agent.act
    play(seen[0])
    play.forget(np.array([True, False]))
    play.forget(np.array([False, True]))
    assert np.allclose(play(seen[1]), fresh(seen[1]), atol=1e-6)


def test_a_player_takes_one_observation_or_as_many_as_before():
    agent = memory.load_policy(memory.train(dataclasses.replace(SMALL, num_steps=151), 0))
    obs = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    play = agent.act
    assert play(obs).shape == (3, 2) and agent.act(obs[0]).shape == (2,)
    with pytest.raises(ValueError, match="3 environments are remembered, not 2"):
        play(obs[:2])
    with pytest.raises(ValueError, match="shape"):
        agent.act(obs[:, :5])


def test_evaluate_tells_a_player_when_episodes_begin():
    class Watch:
        def __init__(self):
            self.first, self.seen = np.ones(2, bool), []

        def forget(self, first):
            self.first |= first

        def __call__(self, obs):
            self.seen.append((self.first.copy(), obs[:, 6:8].any(axis=1) | obs[:, 2:4].any(axis=1)))
            self.first[:] = False
            return np.ones((2, 2), np.float32)

    watch = Watch()
    envs.evaluate(watch, "rlworkshop.robotics.reality_gap:Puck-v0", 4, 0, num_envs=2)
    first, moved = (np.array(x) for x in zip(*watch.seen, strict=True))
    assert np.array_equal(first, ~moved) and np.flatnonzero(first[:, 0]).tolist() == [0, 151]


def test_the_file_taken_along_evaluates_the_same_way():
    seen = []

    class Watch:
        def forget(self, first):
            seen.append(bool(first[0]))

        def __call__(self, obs):
            return np.ones((1, 2), np.float32)

    envs.vector.plain_evaluate(Watch(), "rlworkshop.robotics.reality_gap:Puck-v0", 2, 0)
    assert np.flatnonzero(seen).tolist() == [150]


# ---------------------------------------------------------------- experience


@EACH
def test_log_densities_of_the_rollout_are_those_of_the_first_update(name):
    """So the probability ratio is 1 in the first minibatch, whatever happened in between."""
    config = dataclasses.replace(SMALL, memory=name, env_id="Pendulum-v1", num_steps=250)
    _, learner, batch = played(config)
    actor = learner.agent.actor
    with torch.no_grad():
        obs, first, state = (torch.from_numpy(x) for x in (batch.obs[:-1], batch.first[:-1], batch.state))
        mean, _ = actor(obs, first, state)
        logp, _ = actor.log_prob(mean, torch.from_numpy(batch.actions))
    assert batch.first[1:].any() and not batch.valid.all()
    assert torch.allclose(logp, torch.from_numpy(batch.logp), atol=1e-4)


def test_the_next_batch_begins_with_the_memory_of_the_last_ones_end():
    config = dataclasses.replace(SMALL, env_id="Pendulum-v1")
    world, learner, one = played(config)
    actor, episodes, rng = learner.agent.actor, envs.Episodes(8), np.random.default_rng(1)
    two = memory.collect(world, actor, learner.memory, one.obs[-1], episodes, rng, config)
    with torch.no_grad():
        _, state = actor(*(torch.from_numpy(x) for x in (one.obs[:-1], one.first[:-1], one.state)))
    assert np.allclose(two.state, state.numpy(), atol=1e-5) and two.state.any()
    assert not two.first[0].any() and one.first[0].all() and not one.state.any()


def test_first_observations_follow_reset_rows():
    world, _, batch = played(dataclasses.replace(SMALL, num_steps=320, total_steps=4000))
    assert np.array_equal(batch.first[1:], ~batch.valid) and batch.first[1:].sum() == 16
    assert np.array_equal(np.flatnonzero(batch.first[:, 0]), [0, 151, 302])
    at_rest = ~(batch.obs[:, :, 2:4].any(axis=2) | batch.obs[:, :, 6:8].any(axis=2))
    assert np.array_equal(batch.first, at_rest)


def test_stored_actions_are_not_clipped():
    _, _, batch = played(dataclasses.replace(SMALL, num_steps=100))
    assert np.abs(batch.actions).max() > 1


def test_only_the_critic_is_told():
    world, learner, batch = played(dataclasses.replace(SMALL, num_steps=200))
    assert np.array_equal(batch.privileged[-1, :, :6], world.parameters.astype(np.float32))
    assert batch.privileged[0, :, 0].std() > 0.1 and not np.array_equal(
        batch.privileged[0], batch.privileged[-1]
    )
    assert learner.critic[0].in_features == 8 + 7 and learner.agent.actor.obs_dim == 8
    untold = dataclasses.replace(SMALL, privileged=False)
    _, learner, batch = played(untold)
    assert batch.privileged.shape == (41, 8, 0) and learner.critic[0].in_features == 8
    _, learner, batch = played(dataclasses.replace(SMALL, env_id="Pendulum-v1"))
    assert batch.privileged.shape == (41, 8, 0) and learner.critic[0].in_features == 3


# ---------------------------------------------------------------- learning


def gradients(learner) -> list[torch.Tensor]:
    modules = learner.agent.actor, learner.critic
    return [p.grad.clone() for module in modules for p in module.parameters()]


def test_an_update_is_along_the_gradient_of_the_loss_environment_by_environment():
    config = dataclasses.replace(
        SMALL, num_steps=200, n_epochs=1, num_minibatches=1, max_grad_norm=0.0, ent_coef=0.1
    )
    _, learner, batch = played(config)
    actor, critic = learner.agent.actor, learner.critic
    seen = np.concatenate([batch.obs, batch.privileged], axis=2)
    values = critic(torch.from_numpy(seen)).squeeze(-1).detach().numpy()
    estimates = memory.gae(
        batch.rewards, values, batch.terminated, batch.truncated, config.gamma, config.gae_lambda
    )
    scaled = (estimates - estimates[batch.valid].mean()) / estimates[batch.valid].std(ddof=1)
    total = 0.0
    for n in range(8):  # each alone, piece by piece, and without a probability ratio: it is 1 here
        edges = [*np.flatnonzero(batch.first[:-1, n]), 200]
        for start, end in zip(edges[:-1], edges[1:], strict=True):
            obs = torch.from_numpy(batch.obs[start:end, n : n + 1])
            first = torch.zeros(end - start, 1, dtype=torch.bool)
            mean, _ = actor(obs, first, begun(actor, 1))
            logp, entropy = actor.log_prob(mean[:, 0], torch.from_numpy(batch.actions[start:end, n]))
            real = torch.from_numpy(batch.valid[start:end, n])
            gain = torch.from_numpy(scaled[start:end, n])
            guess = critic(torch.from_numpy(seen[start:end, n])).squeeze(-1)
            wrong = (guess - torch.from_numpy((estimates + values[:-1])[start:end, n])) ** 2
            total = total + (-logp * gain + config.vf_coef * wrong - 0.1 * entropy)[real].sum()
    total = total / int(batch.valid.sum())
    expected = torch.autograd.grad(total, [*actor.parameters(), *critic.parameters()])
    memory.update(learner, batch, config, 1e-3, np.random.default_rng(0))
    for found, wanted in zip(gradients(learner), expected, strict=True):
        assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-5)


def test_minibatches_are_of_whole_environments(monkeypatch):
    config = dataclasses.replace(SMALL, num_steps=160, n_epochs=3, num_minibatches=4)
    _, learner, batch = played(config)
    actor, sizes, forward = learner.agent.actor, [], memory.Actor.forward
    monkeypatch.setattr(
        memory.Actor, "forward", lambda self, *x: sizes.append(x[0].shape) or forward(self, *x)
    )
    memory.update(learner, batch, config, 1e-3, np.random.default_rng(0))
    assert sizes == [(160, 2, 8)] * 12 and actor is learner.agent.actor


def test_reset_rows_are_not_learned_from():
    config = dataclasses.replace(SMALL, num_steps=160)
    found = []
    for wrong in (0.0, 100.0):
        _, learner, batch = played(config)
        batch.rewards[~batch.valid] = batch.actions[~batch.valid] = wrong
        found.append(memory.update(learner, batch, config, 1e-3, np.random.default_rng(0)))
    assert found[0] == found[1] and not batch.valid.all()


def test_the_gradient_is_shortened_and_the_learning_rate_falls_to_a_tenth():
    config = dataclasses.replace(SMALL, max_grad_norm=1e-3)
    _, learner, batch = played(config)
    memory.update(learner, batch, config, 1e-3, np.random.default_rng(0))
    assert torch.cat([g.flatten() for g in gradients(learner)]).norm() <= 1.01e-3
    metrics = memory.train(dataclasses.replace(SMALL, num_steps=160, total_steps=12_800), 0).metrics
    before = np.array([0, *metrics["update_step"][:-1]])
    assert metrics["lr"] == pytest.approx(5e-3 * (1 - 0.9 * before / 12_800)) and before[-1] > 10_000


class Recall(VectorEnv):
    """Each episode shows a sign in its first observation and pays in its last step for having kept it."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
    single_observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    single_action_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    LENGTH = 12

    def __init__(self, num_envs: int):
        self.num_envs = num_envs
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.clock, self.sign = 0, self.np_random.choice([-1.0, 1.0], self.num_envs)
        return self._seen(), {}

    def step(self, actions):
        if self.clock == self.LENGTH:
            self.clock, self.sign = 0, self.np_random.choice([-1.0, 1.0], self.num_envs)
            over, reward = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, np.float32)
            return self._seen(), reward, over, over, {}
        self.clock += 1
        over = np.full(self.num_envs, self.clock == self.LENGTH)
        reward = (over * actions[:, 0] * self.sign).astype(np.float32)
        return self._seen(), reward, over, np.zeros(self.num_envs, bool), {}

    def _seen(self):
        shown = self.sign if self.clock == 0 else np.zeros(self.num_envs)
        return np.stack([shown, np.full(self.num_envs, self.clock / self.LENGTH)], axis=1).astype(np.float32)


if "Recall-v0" not in gym.registry:
    gym.register("Recall-v0", vector_entry_point=Recall)


def test_a_recurrent_policy_learns_what_has_to_be_remembered_longer_than_a_history_is():
    config = Config(
        "Recall-v0", num_envs=32, num_steps=13, total_steps=32 * 12 * 60, gamma=1.0, hidden=16, lr=1e-2
    )
    last = {}
    for name in memory.MEMORIES:
        run = memory.train(dataclasses.replace(config, memory=name), 0)
        last[name] = run.metrics["return"][-320:].mean()
    assert last["recurrent"] > 0.8 and abs(last["history"]) < 0.2 and abs(last["none"]) < 0.2


# ---------------------------------------------------------------- from a teacher


def teacher_of(P: int, seed: int = 1) -> memory.Agent:
    world = reality_gap.PuckEnvs(1, told=P > 0)
    actor = actor_of("history", 8 + P, seed)
    return memory.Agent(actor, world.single_observation_space, world.single_action_space)


def test_a_student_learns_to_do_what_the_teacher_does_who_is_told():
    config = dataclasses.replace(SMALL, num_envs=32, num_steps=151, total_steps=32 * 150 * 12, hidden=16)
    teacher = teacher_of(6)
    run = memory.distill(config, 0, teacher)
    loss = run.metrics["imitation_loss"]
    assert loss[-3:].mean() < 0.4 * loss[0] and len(loss) == 11
    student = memory.load_policy(run)
    assert student.actor.obs_dim == 8 and np.isfinite(student.act(np.zeros((2, 8), np.float32))).all()


def test_labels_are_the_teachers_actions_with_the_robots_own_parameters():
    config = dataclasses.replace(SMALL, num_steps=100, n_epochs=1, num_minibatches=1)
    world, learner, batch = played(config)
    teacher = teacher_of(6).actor
    seen = np.concatenate([batch.obs, batch.privileged[..., :6]], axis=2)[:-1]
    with torch.no_grad():
        wanted, _ = teacher(torch.from_numpy(seen), torch.from_numpy(batch.first[:-1]), begun(teacher, 8))
        mean, _ = learner.agent.actor(
            *(torch.from_numpy(x) for x in (batch.obs[:-1], batch.first[:-1], batch.state))
        )
    found = memory.imitate(learner, teacher, batch, config, 1e-3, np.random.default_rng(0))
    expected = ((mean - wanted) ** 2)[torch.from_numpy(batch.valid)].mean().item()
    assert found["imitation_loss"] == pytest.approx(expected, rel=1e-4)


def test_a_teacher_who_sees_something_else_is_refused():
    with pytest.raises(ValueError, match="the teacher sees 8 numbers"):
        memory.distill(SMALL, 0, teacher_of(0))


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"memory": "elephant"}, "none, history, recurrent"),
        ({"num_minibatches": 9}, "at most num_envs"),
        ({"total_steps": 100}, "less than one batch"),
        ({"gamma": 1.1}, "between 0 and 1"),
        ({"lr": 0.0}, "above 0"),
        ({"ent_coef": -1.0}, "not negative"),
        ({"hidden": 0}, "at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **changed)


def test_an_empty_memory_is_at_the_beginning_of_every_episode():
    empty = Memory.empty(actor_of("recurrent"), 3)
    assert empty.state.shape == (3, 8) and not empty.state.any() and empty.first.all()
