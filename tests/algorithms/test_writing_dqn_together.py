"""The file that grows over eight stages: each stage runs, is the last one and a little more, and is right."""

import ast
import copy

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlworkshop import exercises
from rlworkshop.algorithms import writing_dqn_together as finished

torch.set_num_threads(1)
EXERCISES = {n: exercises.find(f"dqn-stage-{n}") for n in range(1, 9)}
STAGES = {n: exercise.solution for n, exercise in EXERCISES.items()} | {8: finished}


def since(first):
    """Every file that has what stage ``first`` wrote."""
    return pytest.mark.parametrize(
        "stage", [STAGES[n] for n in range(first, 9)], ids=lambda module: module.__name__.rpartition(".")[2]
    )


class Walk(gym.Env):
    """Observations count the steps; every third step terminates or, each second time, is cut off."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (4,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self):
        self.at, self.ends = 0, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at += 10 - self.at % 10
        return np.full(4, self.at, np.float32), {}

    def step(self, action):
        self.at += 1
        over = self.at % 10 == 3
        self.ends += over
        cut = self.ends % 2 == 0
        return np.full(4, self.at, np.float32), float(action), over and not cut, over and cut, {}


class Table(torch.nn.Module):
    """Q values from a table; observation k is the k-th unit vector."""

    def __init__(self, seed):
        super().__init__()
        self.table = torch.nn.Parameter(torch.randn(4, 2, generator=torch.Generator().manual_seed(seed)))

    def forward(self, obs):
        return obs @ self.table


def random_batch(seed, B=16):
    rng = torch.Generator().manual_seed(seed)
    obs, next_obs = (torch.eye(4)[torch.randint(4, (B,), generator=rng)] for _ in range(2))
    action = torch.randint(2, (B,), generator=rng)
    return [obs, action, torch.randn(B, generator=rng), next_obs, torch.rand(B, generator=rng) < 0.4]


@pytest.mark.parametrize("stage", EXERCISES.values(), ids=lambda stage: stage.name)
def test_each_stage_stands_alone(stage):
    names = {n.name.split(".")[0] for node in ast.walk(ast.parse(stage.answer))
             if isinstance(node, ast.Import) for n in node.names}  # fmt: skip
    assert names <= {"copy", "gymnasium", "numpy", "torch"}


SHOWN = ("guessing", "transitions", "untaught", "pole fell", "loss", "epsilon", "from ", "fresh episodes")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "words"), list(enumerate(SHOWN, 1)))
def test_each_stage_runs_and_shows_something(number, words, tmp_path, elsewhere):
    (tmp_path / "my_dqn.py").write_text(EXERCISES[number].answer)
    _, status = elsewhere("import runpy\nrunpy.run_path('my_dqn.py', run_name='__main__')", tmp_path)
    assert status() == 0, (tmp_path / "errors").read_text()
    assert words in (tmp_path / "printed").read_text()


@since(1)
def test_play_sums_rewards_until_either_end(stage):
    env, seen = Walk(), []
    act = lambda obs: seen.append(float(obs[0])) or int(obs[0]) % 2  # noqa: E731
    assert [stage.play(env, act) for _ in range(2)] == [1.0, 1.0]
    assert seen == [10, 11, 12, 20, 21, 22]


@since(2)
def test_replay_is_a_ring(stage):
    replay = stage.Replay(5, 4)
    for k in range(8):
        replay.add(np.full(4, k), k % 2, k, np.full(4, k + 1), k == 6)
        kept = {int(o) for o in replay.sample(200, np.random.default_rng(k))[0][:, 0]}
        assert kept == set(range(max(0, k - 4), k + 1))
    obs, action, reward, next_obs, terminated = replay.sample(100, np.random.default_rng(0))
    assert obs.shape == next_obs.shape == (100, 4) and obs.dtype == torch.float32
    assert (next_obs == obs + 1).all() and (obs[:, 0] == reward).all()
    assert (action == reward % 2).all() and (terminated == (reward == 6)).all()


@since(2)
def test_collect_keeps_a_chain_and_only_real_ends(stage):
    env, replay = Walk(), stage.Replay(20, 4)
    obs, _ = env.reset()
    obs = stage.collect(env, obs, lambda obs: 0, replay, 4)
    assert obs[0] == 21
    stage.collect(env, obs, lambda obs: 0, replay, 4)
    assert replay.obs[:8, 0].tolist() == [10, 11, 12, 20, 21, 22, 30, 31]
    assert (replay.next_obs[:8] == replay.obs[:8] + 1).all()
    assert replay.terminated[:8].tolist() == [False, False, True] + [False] * 5  # the second end is a cut


@since(3)
def test_the_network_scales_the_angle_and_greedy_takes_the_larger(stage):
    torch.manual_seed(0)
    q = stage.make_q(4, 2)
    obs = torch.randn(7, 4)
    np.testing.assert_allclose(q(obs).detach(), q[1:](obs * torch.tensor([1, 1, 10, 1])).detach())
    for row in obs:
        assert stage.greedy(q, row.numpy()) == int(q(row)[1] > q(row)[0])
    layers = [type(layer).__name__ for layer in stage.make_q(4, 3)]
    assert layers == ["Scale", "Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert [tuple(p.shape) for p in stage.make_q(4, 3).parameters() if p.ndim == 2] == [
        (64, 4),
        (64, 64),
        (3, 64),
    ]


@since(4)
@pytest.mark.parametrize("seed", range(3))
def test_targets_against_a_loop(stage, seed):
    q, (_, _, reward, next_obs, terminated) = Table(seed), random_batch(seed)
    got = stage.td_target(q, reward, next_obs, terminated)
    for k, y in enumerate(got.tolist()):
        best = q(next_obs[k]).max().item()
        assert y == pytest.approx(float(reward[k]) + (0 if terminated[k] else 0.99 * best), abs=1e-5)
    assert not got.requires_grad


@since(5)
@pytest.mark.parametrize("seed", range(3))
def test_update_is_one_step_down_the_squared_error_by_finite_differences(stage, seed):
    q, target, batch = Table(seed), Table(seed + 50), random_batch(seed)
    obs, action, reward, next_obs, terminated = batch
    wanted = stage.td_target(target, reward, next_obs, terminated).numpy().astype(float)
    before, still = (net.table.detach().numpy().astype(float) for net in (q, target))

    def loss(table):
        said = (obs.numpy() @ table)[np.arange(len(action)), action]
        return np.mean((said - wanted) ** 2)

    slope = np.zeros((4, 2))
    for place in np.ndindex(4, 2):
        nudge = np.zeros((4, 2))
        nudge[place] = 1e-4
        slope[place] = (loss(before + nudge) - loss(before - nudge)) / 2e-4
    got = stage.update(q, target, torch.optim.SGD(q.parameters(), lr=0.5), batch)
    assert got == pytest.approx(loss(before), abs=1e-5)
    np.testing.assert_allclose(q.table.detach(), before - 0.5 * slope, atol=1e-4)
    assert (target.table.detach().numpy() == still).all() and target.table.grad is None
    kept = copy.deepcopy(q.table)
    stage.catch_up(target, q)
    with torch.no_grad():
        q.table += 1
    assert torch.equal(target.table, kept)


@since(6)
def test_epsilon_falls_in_a_line_and_exploring_is_as_often_as_it_says(stage):
    assert [stage.epsilon_at(t, 100) for t in (0, 25, 50, 75)] == pytest.approx([1, 0.51, 0.02, 0.02])
    q, rng, obs = stage.make_q(4, 2), np.random.default_rng(0), np.zeros(4, np.float32)
    best = stage.greedy(q, obs)
    for epsilon in (0.0, 0.4, 1.0):
        share = np.mean([stage.explore(q, obs, epsilon, rng) == best for _ in range(1_000)])
        assert share == pytest.approx(1 - epsilon / 2, abs=0.06 * (epsilon > 0))


@since(7)
def test_evaluate_plays_whole_greedy_episodes_with_seeds_of_their_own(stage):
    torch.manual_seed(1)
    q = stage.make_q(4, 2)
    env = gym.make("CartPole-v1")
    expected = [stage.play(env, lambda obs: stage.greedy(q, obs), 30 + i) for i in range(5)]
    assert stage.evaluate(q, "CartPole-v1", 5, 30).tolist() == expected


def test_training_learns_from_a_chain_with_a_target_that_stands_still(monkeypatch):
    seen, kept, real = [], [], finished.td_target

    class Kept(finished.Replay):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            kept.append(self)

    def spy(q, *batch):
        seen.append(q[1].weight.sum().item())
        return real(q, *batch)

    monkeypatch.setattr(finished, "Replay", Kept)
    monkeypatch.setattr(finished, "td_target", spy)
    best, scores = finished.train(steps=1_024, seed=0)
    again, same = finished.train(steps=1_024, seed=0)
    assert scores == same and len(scores) == 2
    assert all(torch.equal(a, b) for a, b in zip(best.parameters(), again.parameters(), strict=True))
    bursts = np.array(seen[: len(seen) // 2]).reshape(8, 64)
    assert (bursts == bursts[:, :1]).all() and (np.diff(bursts[:, 0]) != 0).all()
    replay = kept[0]
    goes_on = ~replay.terminated[:-1]
    assert (replay.next_obs[:-1] == replay.obs[1:]).all(axis=1)[goes_on].all() and replay.added == 1_024


@pytest.mark.parametrize(("told", "kept"), [([3.0, 9.0, 1.0], 1), ([3.0, 3.0, 1.0], 1), ([4.0, 2.0, 3.0], 0)])
def test_training_keeps_the_best_and_of_equals_the_one_that_played_longer(monkeypatch, told, kept):
    judged, asked, scores = [], [], iter(told)

    def evaluate(q, env_id, episodes, seed):
        judged.append(copy.deepcopy(q.state_dict()))
        asked.append((episodes, seed))
        return np.full(episodes, next(scores))

    monkeypatch.setattr(finished, "evaluate", evaluate)
    monkeypatch.setattr(finished, "UPDATES", 2)
    best, found = finished.train(steps=1_536, seed=7)
    assert found == list(zip((512, 1_024, 1_536), told, strict=True))
    assert asked == [(5, 7 + step) for step, _ in found]  # never the same episodes twice
    same = [all(torch.equal(v, best.state_dict()[k]) for k, v in net.items()) for net in judged]
    assert same == [number == kept for number in range(3)]


def test_each_stage_keeps_what_the_last_one_wrote():
    sources = {n: stage.answer for n, stage in EXERCISES.items()}
    for n in range(2, 9):
        new, old = ({ast.unparse(node) for node in ast.parse(sources[k]).body[1:-1]} for k in (n, n - 1))
        assert old < new
