"""Audits of Q-networks: what is expected, what is got."""

import dataclasses

import numpy as np
import pytest
import torch

from rlworkshop import envs
from rlworkshop.algorithms import dqn, dqn_values
from rlworkshop.replay import Transitions

BRIEF = dqn.Config(total_steps=600, learning_starts=100)


class Constant:
    """An agent that pushes one way, and says of every action what it was told to say."""

    def __init__(self, value):
        self.value = value

    def values(self, obs):
        return np.tile([self.value - 1.0, self.value], (len(obs), 1))

    def act(self, obs):
        return np.ones(len(obs), int)


def test_an_audit_is_what_was_said_at_the_start_and_what_single_episodes_collect():
    expected, got, score = dqn_values.audit(Constant(7.0), "CartPole-v1", 0.9, seed=3, episodes=5)
    world, lengths = envs.make("CartPole-v1", 5), []
    obs, _ = world.reset(seed=3)
    over, step = np.zeros(5, bool), 0
    while not over.all():
        obs, _, terminated, truncated, _ = world.step(np.ones(5, int))
        step += 1
        lengths += [step] * int((terminated & ~over).sum())
        over |= terminated | truncated
    assert expected == 7.0
    assert score == np.mean(lengths)
    assert got == pytest.approx(np.mean([(1 - 0.9**n) / 0.1 for n in lengths]))


def test_a_watched_training_is_the_same_training_with_audits_after_every_so_many_steps():
    seen = []

    def look(session):
        seen.append((session.steps, *dqn_values.audit(session.agent, BRIEF.env_id, BRIEF.gamma, 5_002)))

    run, plain = dqn_values.watched(BRIEF, 2, every=200), dqn.train(BRIEF, 2, callback=look)
    assert np.array_equal(run.metrics["return"], plain.metrics["return"])
    due = [next(row for row in seen if row[0] >= step) for step in (200, 400)]
    assert dqn_values.audits([run])[0].tolist() == [list(row) for row in due]


def test_after_the_last_step_that_is_asked_for_no_audit_comes_and_the_training_goes_on():
    whole, first = dqn_values.watched(BRIEF, 2, every=200), dqn_values.watched(BRIEF, 2, every=200, until=400)
    assert whole.metrics["audit_step"][:2].tolist() == first.metrics["audit_step"].tolist()
    assert len(dqn_values.watched(BRIEF, 2, every=200, until=399).metrics["audit_step"]) == 1
    assert np.array_equal(whole.metrics["return"], first.metrics["return"])
    assert first.metrics["update_step"][-1] > 500


def test_audits_stand_by_run_audit_and_kind():
    some = [dqn_values.watched(BRIEF, s, every=150) for s in (0, 1)]
    table = dqn_values.audits(some)
    assert table.shape == (2, 3, 4)
    assert table[1, 1, 3] == some[1].metrics["score"][1]


def test_the_discount_is_the_trainings_own():
    short = dataclasses.replace(BRIEF, gamma=0.0)
    assert dqn_values.watched(short, 0, every=400).metrics["got"].tolist() == [1.0]


def test_an_audit_that_never_comes_is_said():
    with pytest.raises(ValueError, match="never came"):
        dqn_values.watched(BRIEF, 0, every=601)


def test_the_huber_loss_in_hundreds_divides_rewards_and_the_second_its_threshold_too():
    generator, rng = torch.Generator().manual_seed(3), np.random.default_rng(3)
    learner = dqn.make_learner(envs.make("CartPole-v1", 1), BRIEF, generator)
    obs, next_obs = rng.normal(size=(2, 64, 4)).astype(np.float32)
    reward = rng.normal(size=64).astype(np.float32) * 300
    batch = Transitions(obs, np.zeros(64, int), reward, next_obs, np.full(64, 0.9, np.float32))
    with torch.no_grad():
        q = learner.agent.q(torch.from_numpy(learner.agent.see(obs)))[:, 0].numpy()
        after = learner.target(torch.from_numpy(learner.agent.see(next_obs))).numpy().max(axis=1)
        size = abs(q - reward / 100 - 0.9 * after)
        coarse, fine = (
            losses(learner, batch, BRIEF).numpy()
            for losses in (dqn_values.in_hundreds, dqn_values.all_in_hundreds)
        )
    assert 5 < (size < 1).sum() < 59 and (size < 0.01).sum() < 5
    assert coarse == pytest.approx(np.where(size < 1, size**2 / 2, size - 0.5), rel=1e-4, abs=1e-6)
    assert fine == pytest.approx(
        np.where(size < 0.01, 1e4 * size**2 / 2, 100 * size - 0.5), rel=1e-3, abs=1e-4
    )
