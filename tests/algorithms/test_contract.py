"""What every algorithm keeps to, whatever it learns by. A new one joins by a line in ``ALGORITHMS``.

Only ``train``, ``load_policy``, a small configuration and the command line of an algorithm are used.
"""

import dataclasses
import functools
import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlworkshop import envs, runs
from rlworkshop.algorithms import (
    a2c,
    crossq,
    ddpg,
    dqn,
    dqn_family,
    pixels,
    ppo,
    sac,
    sac_discrete,
    td3,
    trpo,
    vpg,
)
from rlworkshop.robotics import memory, scale


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """What the contract has to know of an algorithm."""

    train: Callable[..., runs.Run]
    load_policy: Callable[..., Any]
    config: Any  # small, and trained in less than a second
    env_ids: tuple[str, ...]  # that it must work in
    rows: int  # environment steps between two updates, at the most
    wrong: tuple[str, ...] = ("FrozenLake-v1",)  # whose spaces do not fit

    @property
    def module(self) -> str:
        return self.train.__module__


VPG = vpg.Config(num_envs=4, num_steps=32, total_steps=1000, hidden=(8,), value_steps=2)
A2C = a2c.Config(num_envs=4, num_steps=8, total_steps=1000, hidden=(8,), normalize_obs=True)
PPO = ppo.Config(
    num_envs=4, num_steps=32, total_steps=1000, n_epochs=3, batch_size=50, hidden=(8,), normalize_obs=True,
    normalize_rewards=True,
)  # fmt: skip
TRPO = trpo.Config(num_envs=4, num_steps=32, total_steps=1000, hidden=(8,), value_steps=2)
DQN = dqn.Config(
    num_envs=4, total_steps=1000, hidden=(8,), batch_size=16, learning_starts=100, train_freq=100,
    gradient_steps=10,
)  # fmt: skip
RECURRENT = memory.Config(
    num_envs=4, num_steps=32, total_steps=1000, n_epochs=2, num_minibatches=2, hidden=8, critic_hidden=(8,)
)
LATE = scale.Config(num_envs=4, num_steps=32, total_steps=1000, lag=2, hidden=(8,))
FAMILY = dqn_family.MemberConfig(**dataclasses.asdict(DQN), n=3, atoms=7, v_max=50.0)
PIXELS = dataclasses.replace(
    pixels.BREAKOUT, env_id="CatchStack2-v0", num_envs=4, total_steps=600, learning_starts=100,
    buffer_size=400, batch_size=8, gradient_steps=2, hidden=(8,),
)  # fmt: skip
OFF_POLICY = dict(
    num_envs=4, total_steps=1000, hidden=(8,), batch_size=16, learning_starts=100, train_freq=100,
    gradient_steps=10,
)  # fmt: skip
CONTROL = ("CartPole-v1", "Acrobot-v1")
MINUTES = 600  # seconds: how long a training that has kept a checkpoint waits for its end


def member(name: str) -> Algorithm:
    config = dataclasses.replace(FAMILY, member=name)
    return Algorithm(dqn_family.train_member, dqn_family.load_member, config, CONTROL, 104, ("Pendulum-v1",))


def continuous(train: Callable[..., runs.Run], load_policy: Callable[..., Any], config: type, **more):
    made = config(**OFF_POLICY, **more)
    return Algorithm(train, load_policy, made, ("Pendulum-v1",), 104, ("FrozenLake-v1", "CartPole-v1"))


ALGORITHMS = {
    "vpg": Algorithm(vpg.train, vpg.load_policy, VPG, ("CartPole-v1", "Pendulum-v1"), 4 * 32),
    "a2c": Algorithm(a2c.train, a2c.load_policy, A2C, ("CartPole-v1", "Pendulum-v1"), 4 * 8),
    "trpo": Algorithm(trpo.train, trpo.load_policy, TRPO, ("CartPole-v1", "Pendulum-v1"), 4 * 32),
    "ppo": Algorithm(ppo.train, ppo.load_policy, PPO, ("CartPole-v1", "Pendulum-v1"), 4 * 32),
    "scale": Algorithm(scale.train, scale.load_policy, LATE, ("CartPole-v1", "Pendulum-v1"), 4 * 32),
    **{
        f"memory {name}": Algorithm(
            memory.train,
            memory.load_policy,
            dataclasses.replace(RECURRENT, memory=name),
            ("Pendulum-v1",),
            4 * 32,
            ("FrozenLake-v1", "CartPole-v1"),
        )
        for name in memory.MEMORIES
    },  # fmt: skip
    "dqn": Algorithm(dqn.train, dqn.load_policy, DQN, CONTROL, 104, ("FrozenLake-v1", "Pendulum-v1")),
    **{f"dqn_family {name}": member(name) for name in dqn_family.MEMBERS if name != "plain"},
    "ddpg": continuous(ddpg.train, ddpg.load_policy, ddpg.Config),
    "td3": continuous(td3.train, td3.load_policy, td3.Config, policy_delay=3),
    "sac": continuous(sac.train, sac.load_policy, sac.Config),
    "crossq": continuous(
        crossq.train_crossq, crossq.load_crossq, crossq.CrossQConfig, critic_hidden=(8,), policy_delay=4
    ),
    "sac_discrete": Algorithm(
        sac_discrete.train_discrete,
        sac_discrete.load_discrete,
        sac_discrete.DiscreteConfig(**OFF_POLICY),
        CONTROL,
        104,
        ("FrozenLake-v1", "Pendulum-v1"),
    ),
    "pixels": Algorithm(
        pixels.train_on_pixels, pixels.load_from_pixels, PIXELS, ("CatchStack2-v0",), 104, ("CartPole-v1",)
    ),
}
EACH = [
    pytest.param(a, env_id, id=f"{name}-{env_id}") for name, a in ALGORITHMS.items() for env_id in a.env_ids
]
ONCE = [pytest.param(a, a.env_ids[0], id=name) for name, a in ALGORITHMS.items()]
APART = {a.module: one for a, one in zip(ALGORITHMS.values(), ONCE, strict=True)}  # the last of each
each, once, apart = (
    pytest.mark.parametrize("algorithm, env_id", some) for some in (EACH, ONCE, [*APART.values()])
)


def trained(algorithm: Algorithm, env_id: str, seed: int = 5, **options) -> runs.Run:
    return algorithm.train(dataclasses.replace(algorithm.config, env_id=env_id), seed, **options)


@functools.cache
def whole(algorithm: Algorithm, env_id: str) -> runs.Run:
    """A training that nothing disturbs."""
    return trained(algorithm, env_id)


def leaves(tree: Any, place: str = "") -> dict[str, Any]:
    """All numbers and arrays of a tree, by their place."""
    if isinstance(tree, dict):
        return {k: v for name, one in tree.items() for k, v in leaves(one, f"{place}/{name}").items()}
    if isinstance(tree, list):
        return {k: v for name, one in enumerate(tree) for k, v in leaves(one, f"{place}/{name}").items()}
    return {place: np.asarray(tree)} if tree is not None else {}


def equal(a: runs.Run, b: runs.Run) -> bool:
    """Whether two runs are the same to the last bit."""
    x, y = (leaves({"metrics": run.metrics, "policy": run.policy}) for run in (a, b))
    return x.keys() == y.keys() and all(
        x[k].dtype == y[k].dtype and np.array_equal(x[k], y[k], equal_nan=x[k].dtype.kind == "f") for k in x
    )


class Stop(Exception):
    pass


def stop_at(step):
    def callback(session):
        if session.steps >= step:
            raise Stop

    return callback


# ---- bits and budgets


@each
def test_one_seed_decides_everything_and_touches_nothing_else(algorithm, env_id):
    first = whole(algorithm, env_id)
    np.random.seed(99)
    torch.manual_seed(99)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    again = trained(algorithm, env_id)
    assert torch.equal(state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])
    assert equal(first, again)
    assert not equal(first, trained(algorithm, env_id, seed=6))


@each
def test_the_budget_is_met_and_real_steps_are_counted(algorithm, env_id):
    run, config = whole(algorithm, env_id), algorithm.config
    steps = run.metrics["update_step"]
    assert config.total_steps - 2 * algorithm.rows < steps[-1] <= config.total_steps
    assert (np.diff(steps) <= algorithm.rows).all()
    assert (np.diff(run.metrics["step"]) >= 0).all()
    assert (
        config.total_steps - algorithm.rows < run.metrics["length"].sum() + longest(env_id) * config.num_envs
    )
    assert run.metrics["length"].sum() <= config.total_steps
    if env_id == "CartPole-v1":
        assert np.array_equal(run.metrics["return"], run.metrics["length"])  # it pays 1 a step


def longest(env_id: str) -> int:
    return gym.spec(env_id).max_episode_steps or 100


@once
def test_a_callback_sees_each_update_and_may_end_the_training(algorithm, env_id):
    seen = []

    def look(session):
        action = session.agent.act(session.envs.single_observation_space.sample()[None])
        seen.append((session.steps, action.shape[0], session.metrics["update_step"][-1]))
        if len(seen) == 3:
            session.stop()

    run = trained(algorithm, env_id, callback=look)
    assert (
        [steps for steps, _, _ in seen] == run.metrics["update_step"].tolist() == [told for *_, told in seen]
    )
    assert len(seen) == 3 and {n for _, n, _ in seen} == {1}
    full = whole(algorithm, env_id)
    assert np.array_equal(run.metrics["update_step"], full.metrics["update_step"][:3])


# ---- interruptions


@each
def test_an_interrupted_training_ends_in_the_same_bits(algorithm, env_id, tmp_path):
    path, total = tmp_path / "c.npz", algorithm.config.total_steps
    for step in (total // 3, total * 2 // 3):  # interrupted twice, each time off the beat of the checkpoints
        with pytest.raises(Stop):
            trained(algorithm, env_id, checkpoint=path, checkpoint_every=2, callback=stop_at(step))
    resumed = trained(algorithm, env_id, checkpoint=path, checkpoint_every=2)
    assert equal(whole(algorithm, env_id), resumed) and resumed.notes == whole(algorithm, env_id).notes
    assert not path.exists()


@once
def test_a_checkpoint_of_another_training_is_refused(algorithm, env_id, tmp_path):
    path = tmp_path / "c.npz"
    with pytest.raises(Stop):
        trained(algorithm, env_id, checkpoint=path, checkpoint_every=1, callback=stop_at(300))
    with pytest.raises(runs.RunFileError, match="other seed"):
        trained(algorithm, env_id, seed=6, checkpoint=path)
    other = dataclasses.replace(algorithm.config, env_id=env_id, lr=0.123)
    with pytest.raises(runs.RunFileError, match="other config"):
        algorithm.train(other, 5, checkpoint=path)
    with pytest.raises(runs.RunFileError, match="other code, config, environment"):
        trained(algorithm, env_id, envs=marked(env_id), checkpoint=path)


def two_numbers(length: int) -> gym.Env:
    made = Marked(gym.spaces.Box(-1000, 1000, (2,)), gym.spaces.Discrete(2))
    return gym.wrappers.TimeLimit(made, length)


def test_a_checkpoint_of_an_environment_registered_otherwise_is_refused(tmp_path):
    path, algorithm = tmp_path / "c.npz", ALGORITHMS["vpg"]
    gym.register("Registered-v0", two_numbers, kwargs={"length": 7})
    try:
        with pytest.raises(Stop):
            trained(algorithm, "Registered-v0", checkpoint=path, checkpoint_every=1, callback=stop_at(300))
        gym.registry["Registered-v0"].kwargs["length"] = 5
        with pytest.raises(runs.RunFileError, match="other environment"):
            trained(algorithm, "Registered-v0", checkpoint=path)
    finally:
        del gym.registry["Registered-v0"]


@once
def test_a_training_is_continued_beyond_its_end(algorithm, env_id, tmp_path):
    path, total = tmp_path / "c.npz", algorithm.config.total_steps
    trained(algorithm, env_id, checkpoint=path, keep_checkpoint=True)
    longer = dataclasses.replace(algorithm.config, env_id=env_id, total_steps=total + 400)
    run = algorithm.train(longer, 5, checkpoint=path)
    first = whole(algorithm, env_id).metrics["update_step"]
    assert np.array_equal(run.metrics["update_step"][: len(first)], first)
    assert total < run.metrics["update_step"][-1] <= total + 400
    assert "continued" in run.notes[-1]


class Marked(gym.Env):
    """Every observation tells its episode; nothing saves it. Each episode has 7 steps."""

    count = 0

    def __init__(self, like: gym.spaces.Box, actions: gym.Space):
        self.observation_space, self.action_space = like, actions

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        Marked.count += 1
        self.number, self.t = Marked.count % 200 + 1, 0
        return self._obs(), {}

    def _obs(self):
        return np.full(self.observation_space.shape, self.number, self.observation_space.dtype)

    def step(self, action):
        self.t += 1
        return self._obs(), 1.0, False, self.t == 7, {}


def marked(env_id: str, cls=Marked, **changes) -> Callable[[], gym.Env]:
    """Makes one environment with the spaces of another."""
    like = envs.make(env_id)
    space, low = like.single_observation_space, 0 if env_id.startswith("Catch") else -1000
    space = gym.spaces.Box(low, min(1000, space.high.max()), space.shape, space.dtype)
    return functools.partial(cls, space, like.single_action_space, **changes)


@once
def test_nothing_leads_over_a_break_in_an_environment_that_cannot_be_saved(algorithm, env_id, tmp_path):
    path, sampled = tmp_path / "c.npz", []

    def look(session):
        replay = session.kept.get("replay")
        if replay is not None and replay.added > 64:
            sampled.append(replay.sample(64, np.random.default_rng(0)))

    options = {"checkpoint": path, "checkpoint_every": 1}
    with pytest.raises(Stop):
        trained(algorithm, env_id, envs=marked(env_id), callback=stop_at(250), **options)
    run = trained(algorithm, env_id, envs=marked(env_id), callback=look, **options)
    assert len(run.notes) == 1 and "fresh episodes" in run.notes[0]
    assert set(run.metrics["length"]) == {7}  # no episode is glued together from two
    for batch in sampled:
        number = batch.obs.reshape(len(batch.obs), -1)
        after = batch.next_obs.reshape(len(batch.obs), -1)
        assert (number == number[:, :1]).all() and (
            after == number
        ).all()  # neither are transitions or stacks


@pytest.mark.slow
@apart
def test_a_killed_process_resumes_to_the_same_bits(algorithm, env_id, tmp_path, elsewhere):
    path = tmp_path / "c.npz"
    config = dataclasses.replace(algorithm.config, env_id=env_id)
    program = (
        f"import os, time, {algorithm.module} as module\n"
        f"from {type(config).__module__} import {type(config).__name__}\n"
        f"module.{algorithm.train.__name__}({config!r}, 5, checkpoint={str(path)!r}, checkpoint_every=2,\n"
        f"    callback=lambda session: os.path.exists({str(path)!r}) and time.sleep({MINUTES}))"
    )
    victim, status = elsewhere(program, tmp_path)
    while not path.exists():
        os.kill(victim, 0)  # it is alive
        time.sleep(0.02)
    os.kill(victim, signal.SIGKILL)
    assert status() == -9
    assert equal(whole(algorithm, env_id), trained(algorithm, env_id, checkpoint=path))


# ---- what is left of it


@each
def test_a_saved_policy_acts_the_same_and_stands_still(algorithm, env_id, tmp_path):
    run = whole(algorithm, env_id)
    run.save(tmp_path / "run.npz")
    one, other = algorithm.load_policy(run), algorithm.load_policy(runs.Run.load(tmp_path / "run.npz"))
    first = envs.evaluate(one.act, env_id, 3, seed=0)
    assert np.array_equal(first, envs.evaluate(other.act, env_id, 3, seed=0))
    assert np.array_equal(first, envs.evaluate(other.act, env_id, 3, seed=0))  # evaluation changes nothing
    assert repr(run).count("\n") == 1


@once
def test_a_policy_acts_on_one_observation_and_on_many(algorithm, env_id):
    agent, made = algorithm.load_policy(whole(algorithm, env_id)), envs.make(env_id, 3)
    obs = envs.reset(made, 0)
    many = agent.act(obs)
    assert made.action_space.contains(many) and made.single_action_space.contains(agent.act(obs[0]))
    assert np.allclose(
        np.stack([agent.act(one) for one in obs]), many, atol=1e-6
    )  # of a batch sums are ordered otherwise
    for wrong in (obs[..., :-1], obs[None]):
        with pytest.raises(ValueError, match="a batch"):
            agent.act(wrong)


@pytest.mark.slow
@apart
def test_a_policy_is_loaded_where_nothing_of_the_training_is(algorithm, env_id, tmp_path, elsewhere):
    """In a fresh process, in which no environment can be made."""
    run, obs = whole(algorithm, env_id), envs.reset(envs.make(env_id, 3), 0)
    run.save(tmp_path / "run.npz")
    np.save(tmp_path / "obs.npy", obs)
    program = (
        f"import gymnasium, json, numpy as np, {algorithm.module} as module\n"
        "from rlworkshop import runs\n"
        "gymnasium.make = gymnasium.make_vec = gymnasium.spec = None\n"
        f"agent = module.{algorithm.load_policy.__name__}(runs.Run.load('run.npz'))\n"
        "print(json.dumps(agent.act(np.load('obs.npy')).tolist()))"
    )
    _, status = elsewhere(program, tmp_path)
    assert status() == 0, (tmp_path / "errors").read_text()
    assert json.loads((tmp_path / "printed").read_text()) == algorithm.load_policy(run).act(obs).tolist()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "steps"),
    [
        *((name, 1100) for name in ("vpg", "a2c", "trpo", "ppo", "dqn", "dqn_family", "ddpg", "td3", "sac")),
        *(("crossq", 1100), ("sac_discrete", 1100), ("pixels", 2100)),
    ],
)
def test_the_command_line(name, steps, tmp_path, elsewhere):
    algorithm = next(a for key, a in ALGORITHMS.items() if key.split()[0] == name)

    def run(place: str, *options: str) -> tuple[int, str, str]:
        """What ``python -m`` does with the module, in a folder of its own."""
        folder = tmp_path / place
        folder.mkdir()
        arguments = [algorithm.module, "--total-steps", str(steps), "--seed", "3", *options]
        program = (
            f"import runpy, sys\nsys.argv = {arguments}\n"
            f"runpy.run_module({algorithm.module!r}, run_name='__main__', alter_sys=True)"
        )
        _, status = elsewhere(program, folder)
        return status(), (folder / "printed").read_text(), (folder / "errors").read_text()

    status, printed, errors = run("right", "--log-dir", "log", "--env-id", algorithm.env_ids[0])
    assert status == 0, errors
    assert f"{algorithm.env_ids[0]}, seed 3: " in printed and f"saved {name}.npz" in printed
    made = tmp_path / "right"
    kept = runs.Run.load(made / f"{name}.npz")
    assert kept.seed == 3 and len(kept.metrics["update_step"]) > 0
    assert (made / "log/metrics.csv").exists()
    assert {file.name for file in made.iterdir()} == {f"{name}.npz", "log", "printed", "errors"}
    status, _, errors = run("wrong", "--env-id", "Nowhere-v0")
    assert status == 1 and errors.strip().count("\n") == 0, errors
    assert "no environment is called 'Nowhere-v0'" in errors


# ---- what cannot be trained on


@once
def test_spaces_that_do_not_fit_are_named(algorithm, env_id):
    for wrong in algorithm.wrong:
        with pytest.raises(ValueError, match="observations|actions|pictures"):
            trained(algorithm, wrong)
    with pytest.raises(ValueError, match="no environment is called 'Nowhere-v0'"):
        trained(algorithm, "Nowhere-v0")


class Faulty(Marked):
    """Returns what is no number at its tenth step."""

    def __init__(self, like, actions, reward=1.0, obs=None):
        super().__init__(like, actions)
        self.fault, self.shown, self.total = reward, obs, 0

    def step(self, action):
        obs, reward, *rest = super().step(action)
        self.total += 1
        if self.total == 10:
            reward = self.fault
            obs = obs if self.shown is None else np.full_like(obs, self.shown)
        return obs, reward, *rest


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), None, "1", [1.0, 2.0]])
@once
def test_a_reward_that_is_no_number_is_one_error(algorithm, env_id, reward):
    with pytest.raises(ValueError, match="reward"):
        trained(algorithm, env_id, envs=marked(env_id, Faulty, reward=reward))


FLOATS = [one for one in ONCE if one.values[0].config is not PIXELS]  # bytes are always finite


@pytest.mark.parametrize("shown", [float("nan"), float("-inf")])
@pytest.mark.parametrize("algorithm, env_id", FLOATS)
def test_an_observation_that_is_no_number_is_one_error(algorithm, env_id, shown):
    with pytest.raises(ValueError, match="observation"):
        trained(algorithm, env_id, envs=marked(env_id, Faulty, obs=shown))


@once
def test_a_vector_environment_that_is_made_already_is_taken(algorithm, env_id):
    config = algorithm.config
    assert equal(
        whole(algorithm, env_id), trained(algorithm, env_id, envs=envs.make(env_id, config.num_envs))
    )
    run = trained(algorithm, env_id, envs=marked(env_id))
    assert run.env_id == run.config["env_id"] == f"{__name__}:Marked"  # not what the configuration says
    with pytest.raises(ValueError, match="made already, and takes no friction"):
        trained(algorithm, env_id, envs=envs.make(env_id, config.num_envs), env_kwargs={"friction": 1})


@pytest.mark.parametrize(
    ("train", "part"), [(vpg.train, {"advantages": vpg.gae}), (dqn.train, {"make_q": dqn.make_q})]
)
def test_a_part_without_a_name_is_refused(train, part):
    config = VPG if train is vpg.train else DQN
    with pytest.raises(TypeError, match=f"{[*part][0]} must be a function"):
        train(config, 0, **{name: functools.partial(function) for name, function in part.items()})


@once
def test_a_device_that_is_not_there_is_one_error(algorithm, env_id):
    config = dataclasses.replace(algorithm.config, env_id=env_id, device="nonsense")
    with pytest.raises(ValueError, match="device='nonsense' cannot be used here"):
        algorithm.train(config, 0)
