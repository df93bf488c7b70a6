"""Workers play the same wherever they are, and are replaced when they die."""

import dataclasses
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from rlworkshop import collectors, envs
from rlworkshop.collectors import LocalCollector, ProcessCollector, Snapshot, Work, Worker, stream, together

CODE = Path(collectors.__file__).parents[1]
WORK = Work("CartPole-v1", num_envs=4, num_steps=24, seed=5)
ARRAYS = ("obs", "actions", "logp", "rewards", "terminated", "truncated", "valid")


def policy(version: int = 0, K: int | None = None, D: int = 4) -> Snapshot:
    """A policy of two layers: of two actions, or of K components."""
    rng, out = np.random.default_rng(7), K or 2
    weights = [rng.normal(size=shape).astype(np.float32) for shape in ((D, 8), (8, out))]
    biases = [rng.normal(size=size).astype(np.float32) for size in (8, out)]
    return Snapshot(version, weights, biases, np.linspace(-1, 0.5, K, dtype=np.float32) if K else None)


def same(one: collectors.Fragment, two: collectors.Fragment) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(two, name)) for name in ARRAYS)


# ---------------------------------------------------------------- policies that travel


def test_log_probabilities_of_a_softmax_are_those_of_the_actions_and_they_come_that_often():
    obs = np.repeat(np.random.default_rng(0).normal(size=(1, 4)), 40_000, axis=0)
    actions, logp = policy().sample(obs, np.random.default_rng(1))
    hidden = np.tanh(obs[0].astype(np.float32) @ policy().weights[0] + policy().biases[0])
    logits = hidden @ policy().weights[1] + policy().biases[1]
    chance = np.exp(logits) / np.exp(logits).sum()
    assert np.exp(logp) == pytest.approx(chance[actions], rel=1e-5) and logp.dtype == np.float32
    assert np.bincount(actions) / len(actions) == pytest.approx(chance, abs=0.01)


def test_log_densities_of_a_normal_distribution_are_those_of_the_actions():
    obs, one = np.repeat(np.ones((1, 4)), 40_000, axis=0), policy(K=2)
    actions, logp = one.sample(obs, np.random.default_rng(1))
    mean = np.tanh(np.ones(4) @ one.weights[0] + one.biases[0]) @ one.weights[1] + one.biases[1]
    z = (actions - mean) / np.exp(one.log_std)
    density = np.exp(-0.5 * (z**2).sum(axis=1)) / (2 * np.pi * np.exp(one.log_std.sum()))
    assert np.exp(logp) == pytest.approx(density, rel=1e-4)
    assert actions.mean(axis=0) == pytest.approx(mean, abs=0.05)
    assert actions.std(axis=0) == pytest.approx(np.exp(one.log_std), rel=0.02)


# ---------------------------------------------------------------- workers


def test_a_worker_goes_on_where_its_last_fragment_ended():
    one = Worker(WORK)
    first, second = one.play(policy(3)), one.play(policy(4))
    assert np.array_equal(first.obs[-1], second.obs[0])
    assert (first.number, second.number, first.version, second.version) == (0, 1, 3, 4)
    both = Worker(dataclasses.replace(WORK, num_steps=48)).play(policy())
    assert np.array_equal(both.obs[:25], first.obs)


def test_each_fragment_has_dice_of_its_own():
    blind = Snapshot(0, [np.zeros((4, 2), np.float32)], [np.zeros(2, np.float32)])
    worker = Worker(WORK)
    assert not np.array_equal(worker.play(blind).actions, worker.play(blind).actions)


def test_rows_are_transitions_and_reset_rows_are_marked():
    fragment = Worker(dataclasses.replace(WORK, num_steps=200)).play(policy())
    over = fragment.terminated | fragment.truncated
    assert over.sum() > 8
    assert np.array_equal(~fragment.valid[1:], over[:-1]) and fragment.valid[0].all()
    assert (fragment.rewards == fragment.valid).all()  # CartPole pays 1 a step
    assert fragment.actions.dtype == np.int64 and fragment.obs.dtype == np.float32


def test_actions_are_kept_as_sampled():
    work = Work("Pendulum-v1", num_envs=3, num_steps=50, seed=0)
    fragment = Worker(work).play(policy(K=1, D=3))
    assert fragment.actions.shape == (50, 3, 1) and np.abs(fragment.actions).max() > 2


def test_every_worker_every_life_and_every_seed_plays_something_else():
    others = [Worker(WORK), Worker(WORK, worker=1), Worker(WORK, life=1)]
    others += [Worker(dataclasses.replace(WORK, seed=6))]
    played = [one.play(policy()) for one in others]
    for one, two in itertools.combinations(played, 2):
        assert not np.array_equal(one.obs[0], two.obs[0]) and not np.array_equal(one.actions, two.actions)
    assert same(Worker(WORK, 1, 2).play(policy()), Worker(WORK, 1, 2).play(policy()))


# ---------------------------------------------------------------- loops


def test_together_gives_one_fragment_of_each_worker_by_one_policy():
    with LocalCollector(3, WORK) as local:
        one, two = together(local, policy(1)), together(local, policy(2))
    assert [f.worker for f in one] == [0, 1, 2] and {f.version for f in one} == {1}
    assert [f.number for f in two] == [1, 1, 1] and {f.version for f in two} == {2}


class Backwards(LocalCollector):
    """The last one that was asked is ready first."""

    def next(self):
        """Play what was asked for last."""
        self.owed = dict(reversed(self.owed.items()))
        return super().next()


def test_together_sorts_what_comes_in_another_order():
    with Backwards(3, WORK) as local:
        assert [f.worker for f in together(local, policy())] == [0, 1, 2]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_in_a_stream_a_fragment_is_as_many_updates_old_as_there_are_workers(workers):
    lags = []  # after as many updates as there are entries
    with LocalCollector(workers, WORK) as local:
        for fragment in itertools.islice(stream(local, lambda: policy(len(lags))), 4 * workers):
            lags.append(len(lags) - fragment.version)
    assert lags == [*range(workers), *[workers] * (3 * workers)]


def test_who_has_delivered_plays_on_before_the_learner_learns():
    with LocalCollector(2, WORK) as local:
        one = next(stream(local, policy))
        assert [*local.owed] == [1, one.worker]


# ---------------------------------------------------------------- processes


def test_processes_play_what_one_process_plays_bit_for_bit():
    with LocalCollector(2, WORK) as local, ProcessCollector(2, WORK) as others:
        assert len({os.getpid(), *others.pids()}) == 3
        for round_ in range(3):
            for one, two in zip(
                together(local, policy(round_)), together(others, policy(round_)), strict=True
            ):
                assert same(one, two)
                assert (one.worker, one.number, one.version) == (two.worker, two.number, two.version)


def test_a_worker_that_is_killed_is_replaced_and_owes_nothing():
    with ProcessCollector(2, WORK, timeout=15) as others:
        together(others, policy())
        os.kill(others.pids()[1], signal.SIGKILL)
        after = together(others, policy(1))
        assert [(f.worker, f.life, f.number) for f in after] == [(0, 0, 1), (1, 1, 0)]
        assert others.deaths == 1 and {f.version for f in after} == {1}
    assert same(after[1], Worker(WORK, worker=1, life=1).play(policy()))


class Suicidal(gym.Env):
    """Ends its process, or raises an error."""

    observation_space = gym.spaces.Box(-1, 1, (4,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, politely: bool = False):
        self.politely = politely

    def reset(self, *, seed=None, options=None):
        """Begin."""
        return np.zeros(4, np.float32), {}

    def step(self, action):
        """End."""
        if self.politely:
            raise RuntimeError("the motor is on fire")
        os.kill(os.getpid(), signal.SIGKILL)


MODULE = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import gymnasium as gym
from test_collectors import Suicidal
gym.register("Dies-v0", Suicidal)
gym.register("Raises-v0", Suicidal, kwargs={{"politely": True}})
"""


@pytest.fixture
def suicidal(tmp_path, monkeypatch):
    (tmp_path / "suicidal.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_workers_that_die_again_and_again_are_given_up(suicidal, monkeypatch):
    monkeypatch.setattr(collectors, "LIVES", 1)
    with ProcessCollector(1, Work("suicidal:Dies-v0", 1, 2)) as others:
        others.ask(0, policy())
        with pytest.raises(collectors.WorkerError, match="died 2 times without a fragment"):
            others.next()


def test_an_error_of_the_environment_arrives_with_its_text(suicidal):
    with ProcessCollector(1, Work("suicidal:Raises-v0", 1, 2)) as others:
        others.ask(0, policy())
        with pytest.raises(collectors.WorkerError, match="the motor is on fire"):
            others.next()


def test_waiting_has_an_end():
    slow = dataclasses.replace(WORK, num_steps=200_000)
    with ProcessCollector(1, slow, timeout=0.05) as others:
        others.ask(0, policy())
        with pytest.raises(TimeoutError, match="no fragment within 0.05 seconds"):
            others.next()


def test_no_process_is_left_behind():
    with ProcessCollector(2, WORK) as others:
        together(others, policy())
    assert all(not process.is_alive() for process in others.processes)


@pytest.mark.parametrize("kind", [LocalCollector, ProcessCollector])
def test_what_makes_no_sense_is_refused(kind):
    with pytest.raises(ValueError, match="at least 1 worker"):
        kind(0, WORK)
    with kind(1, WORK) as some:
        with pytest.raises(ValueError, match="no worker was asked"):
            some.next()
        with pytest.raises(ValueError, match="from 0 to 0, not 1"):
            some.ask(1, policy())
        some.ask(0, policy())
        with pytest.raises(ValueError, match="worker 0 has not delivered"):
            some.ask(0, policy())
        assert some.next().number == 0
    with pytest.raises(ValueError, match="at least 1"):
        Work("CartPole-v1", num_steps=0)


# ---------------------------------------------------------------- Ray


def run(script: str, *folders: Path) -> str:
    """What a script prints in a process of its own, where nothing of the tests is loaded."""
    path = [*map(str, (CODE, Path(__file__).parent, *folders)), os.environ.get("PYTHONPATH")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_without_ray_the_error_says_what_to_install():
    script = """
import sys
sys.modules["ray"] = None
from rlworkshop.collectors import RayCollector, Work
try:
    RayCollector(1, Work("CartPole-v1"))
except ImportError as error:
    print(error)
"""
    assert "pip install 'rlworkshop[scale]'" in run(script)


CLUSTER = """
import itertools, os, signal, sys, time
import numpy as np, psutil
from rlworkshop.collectors import LocalCollector, RayCollector, stream, together
from rlworkshop.robotics import scale
from rlworkshop import collectors, envs, nets
from test_collectors import WORK, policy, same

mine = psutil.Process()
with RayCollector(2, WORK, timeout=60) as cluster, LocalCollector(2, WORK) as local:
    for version in range(3):  # the same bits as at home
        pairs = zip(together(cluster, policy(version)), together(local, policy(version)), strict=True)
        assert all(same(one, two) for one, two in pairs)

    config = scale.Config(num_envs=4, num_steps=24, total_steps=10_000)
    learner = scale.make_learner(local.each[0].envs, config, nets.generator(0))
    before, seen, version = nets.to_tree(learner.agent.policy.state_dict()), [], 0
    latest = lambda: scale.snapshot(learner.agent, version)
    for fragment in stream(cluster, latest):
        seen.append((fragment.worker, fragment.life, fragment.number, version - fragment.version))
        scale.update(learner, fragment, config)
        version += 1
        if version == 10:
            os.kill(cluster.pids()[1], signal.SIGKILL)
        reborn = sum(life for worker, life, _, _ in seen)
        if reborn == 10 or version == 3000:
            break
    after = nets.to_tree(learner.agent.policy.state_dict())
    assert cluster.deaths == 1 and reborn == 10, (cluster.deaths, seen[-5:])
    assert all(np.isfinite(x).all() and not np.array_equal(x, before[k]) for k, x in after.items())
    assert [one[:3] for one in seen if one[1]][:3] == [(1, 1, k) for k in range(3)]
    others = mine.children(recursive=True)
gone, alive = psutil.wait_procs(others, timeout=20)
assert not alive, alive
assert len(gone) >= 4
print("carried on")
"""


@pytest.mark.slow
def test_on_a_cluster_of_ray_training_carries_on_when_one_of_two_workers_is_killed():
    assert "carried on" in run(CLUSTER)


FAILS = """
from rlworkshop.collectors import RayCollector, Work, WorkerError
from test_collectors import policy
with RayCollector(1, Work("suicidal:Raises-v0", 1, 2), timeout=60) as cluster:
    try:
        cluster.next()
    except ValueError as error:
        print(error)
    cluster.ask(0, policy())
    try:
        cluster.next()
    except WorkerError as error:
        print(error)
with RayCollector(1, Work("CartPole-v1", 4, 100_000), timeout=0.05) as cluster:
    cluster.ask(0, policy())
    try:
        cluster.next()
    except TimeoutError as error:
        print(error)
"""


@pytest.mark.slow
def test_on_ray_errors_arrive_and_waiting_has_an_end(suicidal, tmp_path):
    said = run(FAILS, tmp_path)
    assert "no worker was asked" in said and "the motor is on fire" in said
    assert "no fragment within 0.05 seconds" in said and "num_cpus=0" in said


def test_a_worker_needs_no_torch():
    assert run("import sys, rlworkshop.collectors; print('torch' in sys.modules)").strip() == "False"


def test_a_collector_takes_an_environment_by_its_module():
    work = Work("rlworkshop.robotics.reality_gap:Puck-v0", num_envs=3, num_steps=5)
    with LocalCollector(1, work) as local:
        fragment = together(local, policy(K=2, D=8))[0]
    assert fragment.obs.shape == (6, 3, 8) and fragment.actions.shape == (5, 3, 2)
    assert envs.make(work.env_id, 1).single_action_space.shape == (2,)
