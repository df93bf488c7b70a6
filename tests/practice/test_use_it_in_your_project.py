"""Joint actions are all there, once; an exported policy acts as its agent does, or is refused."""

import dataclasses
import itertools
import os
import subprocess
import sys
import types

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlworkshop import envs
from rlworkshop.algorithms import dqn, pixels, ppo, vpg
from rlworkshop.practice import use_it_in_your_project as use_it

# ---- joint actions


class Panel(gym.Env):
    """Shows which buttons were pressed last; each episode has 5 steps."""

    observation_space = gym.spaces.Box(-1, 5, (2,), np.float32)

    def __init__(self, actions):
        self.action_space = actions

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.pressed = 0, []
        return np.zeros(2, np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.steps += 1
        self.pressed.append(np.asarray(action).tolist())
        return np.zeros(2, np.float32), float(np.sum(action)), False, self.steps == 5, {}

    def get_state(self):
        return {"steps": self.steps, "pressed": [*self.pressed]}

    def set_state(self, state):
        self.steps, self.pressed = state["steps"], [*state["pressed"]]


MANY = gym.spaces.MultiDiscrete
SPACES = [
    MANY([3, 2]), MANY([2, 3, 4]), MANY([[2, 3], [1, 2]]), MANY([3, 2], start=[-1, 5]),
    MANY([3, 2], dtype=np.int8),    gym.spaces.MultiBinary(3), gym.spaces.MultiBinary([2, 2]),
]  # fmt: skip


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_every_combination_has_one_number(space):
    env = use_it.JointActions(Panel(space))
    found = [env.action(number) for number in range(env.action_space.n)]
    assert env.action_space.start == 0 and all(space.contains(action) for action in found)
    whole = np.array([action.ravel() for action in found])
    columns = [sorted(set(column)) for column in whole.T.tolist()]
    assert whole.tolist() == [list(one) for one in itertools.product(*columns)]  # the last part is fastest
    assert [len(column) for column in columns] == env.sizes.ravel().tolist()


def test_a_number_arrives_as_its_combination():
    env = use_it.JointActions(Panel(MANY([3, 2])))
    env.reset()
    for number in range(4):
        env.step(np.int64(number))
    assert env.unwrapped.pressed == [[0, 0], [0, 1], [1, 0], [1, 1]]


@pytest.mark.parametrize("space", [gym.spaces.Discrete(3), gym.spaces.Box(0, 1, (2,))])
def test_a_single_action_has_no_combinations(space):
    with pytest.raises(ValueError, match="numbers the combinations of several actions"):
        use_it.JointActions(Panel(space))


@pytest.mark.parametrize("module", [ppo, dqn])
def test_what_was_refused_is_trained_on_with_numbers(module):
    short = {"num_envs": 2, "total_steps": 600, "hidden": (4,)}
    short |= (
        {"num_steps": 32} if module is ppo else {"learning_starts": 50, "batch_size": 8, "train_freq": 100}
    )
    with pytest.raises(ValueError, match="practice.use_it_in_your_project.JointActions, which numbers"):
        module.train(module.Config(**short), 0, envs=lambda: Panel(MANY([3, 2])))
    run = module.train(module.Config(**short), 0, envs=lambda: use_it.JointActions(Panel(MANY([3, 2]))))
    assert module.load_policy(run).action_space == gym.spaces.Discrete(6)


def test_numbering_does_not_stand_in_the_way_of_saving():
    made = envs.make(lambda: gym.wrappers.FlattenObservation(use_it.JointActions(Panel(MANY([3, 2])))))
    envs.reset(made, 0)
    made.step(np.array([5]))
    state = envs.get_state(made)
    made.step(np.array([1]))
    envs.set_state(made, state)
    made.step(np.array([2]))
    assert made.envs[0].unwrapped.pressed == [[2, 1], [1, 0]]


# ---- exported policies


class Far(gym.Env):
    """Observations far from 0 and of unlike sizes, as floats of 64 bits; the action may be a whole number."""

    observation_space = gym.spaces.Box(-1e6, 1e6, (3,), np.float64)

    def __init__(self, actions=None):
        self.action_space = actions or gym.spaces.Box(np.float32([-1, 0]), np.float32([1, 3]))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._obs(), {}

    def _obs(self):
        return self.np_random.normal([1e4, -3.0, 0.0], [5.0, 0.01, 200.0])

    def step(self, action):
        self.steps += 1
        return self._obs(), int(np.sum(action)), False, self.steps == 8, {}


WHOLE = gym.spaces.Box(0, 5, (2,), np.int64)
PPO = ppo.Config(num_envs=2, num_steps=32, total_steps=300, hidden=(8, 6))
DQN = dqn.Config(num_envs=2, total_steps=300, learning_starts=50, train_freq=50, batch_size=8, hidden=(8,))


def trained(kind):
    """An agent of each kind that is known how to export."""
    module, config, actions = {
        "ppo": (ppo, PPO, None),
        "ppo, normalised": (ppo, dataclasses.replace(PPO, normalize_obs=True), None),
        "ppo, whole numbers": (ppo, dataclasses.replace(PPO, normalize_obs=True), WHOLE),
        "ppo, choices": (ppo, dataclasses.replace(PPO, normalize_obs=True), gym.spaces.Discrete(4)),
        "ppo, no hidden layer": (ppo, dataclasses.replace(PPO, hidden=()), gym.spaces.Discrete(4)),
        "vpg": (vpg, vpg.Config(num_envs=2, num_steps=32, total_steps=300, hidden=(8,)), None),
        "dqn": (dqn, DQN, gym.spaces.Discrete(4)),
        "dqn, normalised": (dqn, dataclasses.replace(DQN, normalize_obs=True), gym.spaces.Discrete(4)),
    }[kind]
    return module.load_policy(module.train(config, 1, envs=lambda: Far(actions)))


KINDS = ["ppo", "ppo, normalised", "ppo, whole numbers", "ppo, choices", "ppo, no hidden layer", "vpg", "dqn",
         "dqn, normalised"]  # fmt: skip


def observations(rows=300):
    rng = np.random.default_rng(7)
    return (
        rng.normal([1e4, -3.0, 0.0], [5.0, 0.01, 200.0], size=(rows, 3))
        * rng.choice([1, 1, 1, 0.5], rows)[:, None]
    )


def agree(agent, found, obs):
    wanted = agent.act(obs)
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    if found.dtype.kind == "f":
        return np.allclose(found, wanted, rtol=1e-4, atol=1e-5)
    return (found == wanted).mean() > 0.99  # one in a hundred may lie between two whole numbers


@pytest.mark.parametrize("kind", KINDS)
def test_plain_arrays_act_as_the_agent_does_also_from_a_file(kind, tmp_path):
    agent, obs = trained(kind), observations()
    arrays = use_it.to_arrays(agent)
    assert agree(agent, use_it.act_from_arrays(arrays, obs), obs)
    np.savez(tmp_path / "policy.npz", **arrays)
    with np.load(tmp_path / "policy.npz", allow_pickle=False) as file:
        assert np.array_equal(use_it.act_from_arrays({**file}, obs), use_it.act_from_arrays(arrays, obs))
    before = {name: array.copy() for name, array in arrays.items()}
    with torch.no_grad():
        for parameter in use_it.network(agent).parameters():
            parameter += 1
    if agent.norm:
        agent.norm.mean += 1
    agent.action_space.__dict__.get("low", np.zeros(1))[...] = -7
    assert all(np.array_equal(before[name], arrays[name]) for name in arrays)  # arrays of their own


def test_four_lines_of_numpy_are_enough():
    agent, obs = trained("ppo, normalised"), observations()
    p = use_it.to_arrays(agent)
    x = np.clip((obs - p["mean"]) * p["scale"], -p["clip"], p["clip"])
    x = np.tanh(x @ p["W0"] + p["b0"])
    x = np.tanh(x @ p["W1"] + p["b1"])
    action = np.clip(x @ p["W2"] + p["b2"], p["low"], p["high"])
    assert np.allclose(action, agent.act(obs), atol=1e-5) and str(p["activation"]) == "tanh"
    assert p["W0"].shape == (3, 8) and p["W2"].shape == (6, 2) and p["clip"] == 10
    assert str(use_it.to_arrays(trained("dqn"))["activation"]) == "relu"


@pytest.mark.parametrize("kind", KINDS)
def test_a_program_acts_as_the_agent_does_also_from_a_file(kind, tmp_path):
    agent = trained(kind)
    torch.export.save(use_it.to_program(agent), tmp_path / "policy.pt2")
    act = torch.export.load(tmp_path / "policy.pt2").module()
    for rows in (300, 7, 1):
        obs = observations(rows)
        assert agree(agent, act(torch.from_numpy(obs)).detach().numpy(), obs)


def test_a_program_is_a_copy_and_its_agent_goes_on():
    agent, obs = trained("ppo, normalised"), observations(5)
    act, before = use_it.to_program(agent).module(), agent.act(obs)
    with torch.no_grad():
        agent.policy.net[-1].bias += 0.5
    agent.norm.update(obs)
    assert np.allclose(act(torch.from_numpy(obs)).detach().numpy(), before, atol=1e-5)
    assert not np.allclose(agent.act(obs), before, atol=1e-2)


def test_a_network_for_pictures_becomes_a_program_but_no_arrays():
    config = dataclasses.replace(
        pixels.BREAKOUT, env_id="CatchStack2-v0", num_envs=4, total_steps=300, learning_starts=100,
        buffer_size=400, batch_size=8, gradient_steps=2, hidden=(8,),
    )  # fmt: skip
    agent = pixels.load_from_pixels(pixels.train_on_pixels(config, 1))
    with pytest.raises(TypeError, match="does not know the layer"):
        use_it.to_arrays(agent)
    obs = envs.reset(envs.make("CatchStack2-v0", 5), 1)
    act = use_it.to_program(agent).module()
    assert np.array_equal(act(torch.from_numpy(obs)).numpy(), agent.act(obs))


class Squashed(vpg.Agent):
    """Does more with the network's output than to cut it off."""

    def act(self, obs):
        return np.tanh(super().act(obs))


class Turned(vpg.Agent):
    """As many choices, in another order."""

    def act(self, obs):
        return 3 - super().act(obs)


@pytest.mark.parametrize("kind, odd", [("ppo", Squashed), ("ppo, choices", Turned)])
@pytest.mark.parametrize("export", [use_it.to_arrays, use_it.to_program])
def test_what_acts_otherwise_is_refused(kind, odd, export):
    agent = odd(**vars(trained(kind)))
    with pytest.raises(ValueError, match=f"does not act as the agent does, a {odd.__name__}"):
        export(agent)


def test_a_normaliser_that_is_left_out_is_found():
    agent = trained("ppo, normalised")
    bare = vpg.Agent(**{**vars(agent), "norm": None})
    arrays = use_it.to_arrays(bare)
    with pytest.raises(ValueError, match="does not act as the agent does"):
        use_it.must_agree(agent, lambda obs: use_it.act_from_arrays(arrays, obs))
    with pytest.raises(ValueError, match="does not act as the agent does"):
        use_it.must_agree(agent, lambda obs: agent.act(obs)[None])  # the same numbers, in another shape


def test_an_agent_without_a_network_is_refused():
    with pytest.raises(TypeError, match="no policy.net and no q in a SimpleNamespace"):
        use_it.network(types.SimpleNamespace(policy=None))


@pytest.mark.slow
def test_what_was_exported_runs_where_nothing_of_the_book_is(tmp_path):
    agent, obs = trained("ppo, normalised"), observations(9)
    np.save(tmp_path / "obs.npy", obs)
    np.savez(tmp_path / "policy.npz", **use_it.to_arrays(agent))
    torch.export.save(use_it.to_program(agent), tmp_path / "policy.pt2")
    program = (
        "import sys\nimport numpy as np\n"
        "for name in ('rlworkshop', 'gymnasium'): sys.modules[name] = None\n"
        "p, obs = np.load('policy.npz'), np.load('obs.npy')\n"
        "x = np.clip((obs - p['mean']) * p['scale'], -p['clip'], p['clip'])\n"
        "x = np.tanh(x @ p['W0'] + p['b0'])\n"
        "x = np.tanh(x @ p['W1'] + p['b1'])\n"
        "np.save('numpy.npy', np.clip(x @ p['W2'] + p['b2'], p['low'], p['high']))\n"
        "assert 'torch' not in sys.modules\n"
        "import torch\n"
        "act = torch.export.load('policy.pt2').module()\n"
        "np.save('torch.npy', act(torch.from_numpy(obs)).detach().numpy())\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for name in ("numpy", "torch"):
        assert np.allclose(np.load(tmp_path / f"{name}.npy"), agent.act(obs), atol=1e-5)


@pytest.mark.slow
def test_a_program_becomes_onnx_where_that_is_installed(tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    agent, obs = trained("ppo, normalised"), observations(9)
    names = {"input_names": ["obs"], "output_names": ["action"]}
    torch.onnx.export(use_it.to_program(agent), **names).save(str(tmp_path / "policy.onnx"))
    act = runtime.InferenceSession(str(tmp_path / "policy.onnx"))
    assert np.allclose(act.run(None, {"obs": obs})[0], agent.act(obs), atol=1e-5)
