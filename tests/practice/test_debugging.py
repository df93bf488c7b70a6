"""Probes against closed forms, planted bugs against what they are said to do."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from rlworkshop import envs
from rlworkshop.algorithms import dqn, ppo
from rlworkshop.algorithms.vpg import gae
from rlworkshop.practice.debugging import bugs, probes
from rlworkshop.replay import Transitions

# ---- probes


@pytest.mark.parametrize("name", probes.PROBES)
def test_a_probe_is_an_environment_like_any_other(name):
    check_env(probes.PROBES[name].make(), skip_render_check=True)


def test_the_answers_of_the_probes_are_those_of_the_closed_forms():
    g, best = 0.8, {}
    for name, probe in probes.PROBES.items():
        best[name] = probe.make().optimal_q(g)
    assert np.allclose(best["constant"], 1) and np.allclose(best["seen"], [[1, 1], [-1, -1]])
    assert np.allclose(best["later"], [[g, g], [1, 1]]) and np.allclose(best["chosen"], [[-1, 1]])
    assert np.allclose(best["endless"], 1 / (1 - g))
    right = best["both"].argmax(axis=1)
    assert np.allclose(best["both"].max(axis=1), 1) and np.allclose(best["both"].min(axis=1), -1)
    assert 0 < right.mean() < 1 and len(right) == 6  # by luck it is passed once in 64


def test_a_table_plays_as_it_says_and_refuses_to_play_on():
    world = probes.Table([[1, 2], [2, 0]], [[0.5, -1], [2, 3]], limit=3)
    seen, _ = world.reset(seed=0)
    steps, starts = [], set()
    for _ in range(200):
        state, action = int(seen.argmax()), int(world.np_random.integers(2))
        seen, reward, over, cut, _ = world.step(action)
        steps.append((state, action, reward, over, cut))
        assert reward == world.reward[state, action] and (seen.sum() == 0) == over
        if over or cut:
            with pytest.raises(RuntimeError, match="this episode is over"):
                world.step(0)
            seen, _ = world.reset()
            starts.add(int(seen.argmax()))
    ends, cuts = (sum(step[k] for step in steps) for k in (3, 4))
    assert ends > 20 and cuts > 5 and starts == {0, 1} and not any(o and c for *_, o, c in steps)
    with pytest.raises(ValueError, match="2 states and 2 actions"):
        probes.Table([[1, 2], [2, 0]], [[0, 0]])
    with pytest.raises(ValueError, match="do not fit"):
        probes.Table([[1, 3], [2, 0]], [[0, 0], [0, 0]])


def test_in_the_orchard_it_pays_to_walk_unless_one_believes_in_the_cut():
    orchard = probes.Orchard()
    q = orchard.optimal_q(0.95)
    assert q.argmax(axis=1).tolist() == [1, 1, 1, 0] and q[3, 0] == pytest.approx(20)
    assert q[0, 1] == pytest.approx(0.95**3 * 20)
    believer = orchard.optimal_q(0.95 * 0.8)  # one step of five is the last
    assert believer.argmax(axis=1).tolist() == [0, 1, 1, 0]

    def walk(obs):
        return (obs.argmax(axis=1) < 3).astype(int)

    def stay(obs):
        return np.zeros(len(obs), int)

    assert orchard.harvest(stay) == pytest.approx((3 * 0.5 + 1) / 4)
    assert orchard.harvest(walk) == pytest.approx((0.97 + 0.98 + 0.99 + 1) / 4)
    returns = envs.evaluate(stay, bugs.TASKS["orchard"], 200, seed=0)
    assert set(returns) == {2.5, 5.0} and set(envs.evaluate(walk, "Orchard-v0", 100, 0)) == {2, 3, 4, 5}


def test_cards_pay_for_the_right_answer():
    cards = probes.Cards()
    right = cards.optimal_q(0.9).argmax(axis=1)
    assert cards.harvest(lambda obs: right[obs.argmax(axis=1)]) == 1
    assert cards.harvest(lambda obs: 1 - right[obs.argmax(axis=1)]) == -1
    assert cards.harvest(lambda obs: np.zeros(len(obs), int)) == 0
    assert gym.spec("Cards-v0").entry_point == f"{probes.__name__}:Cards"


# ---- bugs


def rows(N=4, seed=0):
    rng = np.random.default_rng(seed)
    obs, next_obs = rng.normal(size=(2, N, 4)).astype(np.float32)
    return Transitions(obs, np.zeros(N, int), rng.normal(size=N), next_obs, np.array([0.9, 0, 0.9, 0.9]))


def kept(cls, steps=1):
    """What an altered buffer holds after a step: the second of four terminated, the third was cut off."""
    config = dqn.Config(num_envs=4, gamma=0.9)
    replay, ended = cls(config, envs.make("CartPole-v1", 4)), np.array([False, True, True, False])
    for s in range(steps):
        replay.step(rows(seed=s), np.ones(4, bool), ended)
    return replay[np.arange(4 * steps)]


def test_altered_buffers_keep_what_they_are_said_to_keep():
    true, after = rows(), rows(seed=1)
    assert np.allclose(kept(bugs.NoEnd).discount, 0.9)
    assert np.allclose(kept(bugs.CutIsEnd).discount, [0.9, 0, 0, 0.9])
    same = kept(bugs.SameObs)
    assert np.array_equal(same.obs, same.next_obs) and np.allclose(same.obs, true.next_obs)
    late = kept(bugs.LateReward, steps=2)
    assert np.allclose(late.reward, np.concatenate([np.zeros(4), true.reward])) and len(after.obs) == 4
    for cls in (bugs.NoEnd, bugs.CutIsEnd, bugs.LateReward):
        assert np.allclose(kept(cls).obs, true.obs) and np.allclose(kept(cls).next_obs, true.next_obs)


def test_pairs_are_all_against_all_and_gradients_pile_up():
    config = dqn.Config(num_envs=4, hidden=(8,), normalize_obs=False, batch_size=4)
    learner = dqn.make_learner(envs.make("CartPole-v1", 4), config, torch.Generator().manual_seed(0))
    batch = rows()._replace(reward=rows().reward.astype(np.float32), discount=np.ones(4, np.float32))
    pairs = bugs.pair_losses(learner, batch, config)
    assert pairs.shape == (4, 4)
    assert torch.allclose(pairs.diagonal(), dqn.squared_losses(learner, batch, config))
    learner.optimizer.param_groups[0]["lr"], replay = (
        0.0,
        dqn.make_replay(config, envs.make("CartPole-v1", 4)),
    )
    replay.add(*batch)
    sizes = []
    for _ in range(2):
        bugs.piling_update(learner, replay, config, np.random.default_rng(1), dqn.squared_losses)
        sizes.append(learner.agent.q[0].weight.grad.clone())
    assert torch.allclose(2 * sizes[0], sizes[1], atol=1e-6) and sizes[0].abs().max() > 0


def test_the_losses_of_ppo_are_broken_as_they_are_said_to_be():
    old, gain = torch.tensor([-1.0, -0.5, -2.0]), torch.tensor([1.0, -2.0, 0.5])
    for broken, factor in ((bugs.upside_down, -1), (bugs.dead_ratio, 0)):
        slopes = []
        for loss in (broken, ppo.clipped_loss):
            logp = (old + 0.05).requires_grad_()
            loss(logp, old, gain, 0.2).backward()
            slopes.append(logp.grad)
        assert torch.allclose(slopes[0], factor * slopes[1])
    values, returns = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 5.0])
    found = bugs.pair_errors(values, returns, values, 0.2)
    assert found == pytest.approx(np.mean([4, 16, 1, 9])) != ppo.squared_error(values, returns, values, 0.2)


def test_the_estimators_are_broken_as_they_are_said_to_be():
    rng = np.random.default_rng(0)
    r, v = rng.normal(size=(6, 2)), rng.normal(size=(7, 2))
    ended = np.zeros((6, 2), bool)
    ended[2, 0] = ended[4, 1] = True
    none, rest = np.zeros_like(ended), (0.9, 0.8)
    assert np.allclose(bugs.cut_is_end(r, v, none, ended, *rest), gae(r, v, ended, none, *rest))
    assert np.allclose(bugs.no_end(r, v, ended, none, *rest), gae(r, v, none, ended, *rest))
    assert not np.allclose(gae(r, v, none, ended, *rest), gae(r, v, ended, none, *rest))
    plain = gae(r, v, ended, none, *rest)
    assert np.array_equal(bugs.other_order(r, v, ended, none, *rest).ravel(), plain.T.ravel())
    late = np.concatenate([np.zeros((1, 2)), r[:-1]])
    late[3, 0] = late[5, 1] = 0  # a reset row has no reward
    late[4, 0] = r[2, 0]  # of the last real step
    assert np.allclose(bugs.late_rewards(r, v, ended, none, *rest), gae(late, v, ended, none, *rest))


def test_every_bug_trains_and_is_scored_on_every_kind_of_task():
    assert {bug.algorithm for bug in bugs.BUGS.values()} == {"dqn", "ppo"} and len(bugs.BUGS) == 19
    for name, want in {"PPO": 1.0, "sign": -1.0}.items():
        run = bugs.train(name, "cards", 3)
        assert bugs.score(run, "cards", 0) == want and run.env_id == bugs.TASKS["cards"]
    stuck = bugs.train("ε stays at 1", "cards", 3)
    assert stuck.config["final_epsilon"] == 1 and bugs.score(stuck, "cards", 0) == 1
    assert abs(stuck.metrics["return"][-100:].mean()) < 0.5
