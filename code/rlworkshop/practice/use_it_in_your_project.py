"""What a project of one's own needs beside an algorithm: numbered actions, and policies that leave Python.

A trained policy is an observation normaliser, a network, and the bounds of the actions. ``to_arrays`` gives
it as plain arrays, which NumPy evaluates in four lines; ``to_program`` as a program of ``torch.export``.
Both try what they give against the agent before they hand it over.

Book: practice/use_it_in_your_project
"""

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from rlworkshop import nets

ROWS = 256  # observations that an exported policy is tried on


class JointActions(gym.ActionWrapper):
    """All combinations of a ``MultiDiscrete`` or ``MultiBinary`` as one number, the last part fastest.

    Two dials of 3 and 4 places become one ``Discrete(12)``, which every algorithm for whole numbers takes.

    Raises:
        ValueError: the actions of ``env`` are of another space.

    Book: practice/use_it_in_your_project
    """

    def __init__(self, env: gym.Env):
        super().__init__(env)
        space = self.parts = env.action_space
        if not isinstance(space, gym.spaces.MultiDiscrete | gym.spaces.MultiBinary):
            raise ValueError(f"JointActions numbers the combinations of several actions; {space} has none")
        binary = isinstance(space, gym.spaces.MultiBinary)
        self.sizes = np.full(space.shape, 2) if binary else space.nvec  # (*parts)
        self.first = np.zeros(space.shape, int) if binary else space.start  # (*parts)
        self.action_space = gym.spaces.Discrete(int(self.sizes.prod()))

    def action(self, action: int) -> np.ndarray:
        """The combination with this number, as the environment takes it."""
        parts = np.unravel_index(action, self.sizes.ravel())
        return (np.reshape(parts, self.sizes.shape) + self.first).astype(self.parts.dtype)

    def get_state(self) -> dict[str, Any]:
        """Nothing: numbering does not change."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a state that ``get_state`` gave."""


# ------------------------------------------------------------------------------------ plain arrays


def network(agent: Any) -> nn.Module:
    """The network of an agent: a policy's, or the one of its Q values.

    Raises:
        TypeError: the agent has neither.
    """
    if hasattr(agent, "q"):
        return agent.q
    if not hasattr(getattr(agent, "policy", None), "net"):
        raise TypeError(
            f"no policy.net and no q in a {type(agent).__name__}: whose network is to be exported?"
        )
    return agent.policy.net


def to_arrays(agent: Any) -> dict[str, np.ndarray]:
    """A policy of fully connected layers as plain arrays by name, which ``act_from_arrays`` can read.

    ``mean``, ``scale`` (D,) and ``clip`` are of the observation normaliser (0, 1 and infinity without one),
    ``W0``, ``b0`` and so on of the layers, with ``x @ W + b``, between which ``activation`` says what is
    applied; ``low`` and ``high`` are the bounds of actions that are a box, and missing for whole numbers.

    Raises:
        TypeError: the network has layers other than those of ``nets.mlp``.
        ValueError: what the arrays give is not what the agent does: its actions are no clipped outputs.

    Book: practice/use_it_in_your_project
    """
    net, norm, length = network(agent), agent.norm, agent.obs_space.shape
    nets.NumpyForward(net)  # knows the layers, or raises
    arrays = {
        "mean": np.zeros(length) if norm is None else norm.mean.copy(),
        "scale": np.ones(length) if norm is None else norm.scale.copy(),
        "clip": np.array(np.inf if norm is None else norm.CLIP),
    }
    for i, layer in enumerate(layer for layer in net if isinstance(layer, nn.Linear)):
        arrays |= {f"W{i}": nets.to_tree(layer.weight.T), f"b{i}": nets.to_tree(layer.bias)}
    known = {layer: name for name, (layer, _) in nets.ACTIVATIONS.items()}
    arrays["activation"] = np.array(
        next((known[type(layer)] for layer in net if type(layer) in known), "tanh")
    )
    if isinstance(agent.action_space, gym.spaces.Box):
        arrays |= {"low": agent.action_space.low.copy(), "high": agent.action_space.high.copy()}
    must_agree(agent, lambda obs: act_from_arrays(arrays, obs))
    return arrays


def act_from_arrays(arrays: dict[str, np.ndarray], obs: np.ndarray) -> np.ndarray:
    """Deterministic actions (N,) or (N, K) for raw observations (N, D): a policy without torch.

    Book: practice/use_it_in_your_project
    """
    function, depth = nets.ACTIVATIONS[str(arrays["activation"])][1], sum(name[0] == "W" for name in arrays)
    x = np.clip((obs - arrays["mean"]) * arrays["scale"], -arrays["clip"], arrays["clip"])  # (N, D)
    for i in range(depth - 1):
        x = function(x @ arrays[f"W{i}"] + arrays[f"b{i}"])  # (N, H)
    x = x @ arrays[f"W{depth - 1}"] + arrays[f"b{depth - 1}"]  # (N, A) or (N, K)
    if "low" not in arrays:
        return x.argmax(axis=1)
    return np.clip(x, arrays["low"], arrays["high"]).astype(arrays["low"].dtype)


def must_agree(agent: Any, act: Any) -> None:
    """Try an exported policy against its agent, on observations such as it has met and beyond.

    Raises:
        ValueError: they do not act alike.

    Book: practice/use_it_in_your_project
    """
    space, rng = agent.obs_space, np.random.default_rng(0)
    obs = rng.normal(size=(ROWS, *space.shape)) * 2  # (B, D)
    if agent.norm is not None:
        obs = obs / agent.norm.scale + agent.norm.mean
    obs = np.clip(obs, space.low, space.high).astype(space.dtype)
    ours, theirs = agent.act(obs), act(obs)  # (B,) or (B, K)
    if isinstance(agent.action_space, gym.spaces.Box):
        alike = np.isclose(ours, theirs, rtol=1e-4, atol=1e-5)
    else:
        alike = ours == theirs  # rounding may decide between two actions that are equally good
    if theirs.shape != ours.shape or alike.mean() < 0.98:
        raise ValueError(
            f"the exported policy does not act as the agent does, a {type(agent).__name__}: it computes more "
            "than normaliser, network and bounds, which has to be exported too"
        )


# ------------------------------------------------------------------------------------ a program


class WholePolicy(nn.Module):
    """Normaliser, network and bounds of an agent in one module: raw observations (N, D) in, actions out.

    It is a copy, on the CPU: the agent may go on learning.

    Book: practice/use_it_in_your_project
    """

    def __init__(self, agent: Any):
        super().__init__()
        self.net, self.norm, space = copy.deepcopy(network(agent)).cpu(), agent.norm, agent.action_space
        self.box = isinstance(space, gym.spaces.Box)
        arrays = {} if self.norm is None else {"mean": self.norm.mean, "scale": self.norm.scale}
        arrays |= {"low": space.low, "high": space.high} if self.box else {}
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(array.copy()))

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """Deterministic actions (N,) or (N, K) for ``obs`` (N, D)."""
        if self.norm is not None:
            obs = ((obs - self.mean) * self.scale).clamp(-self.norm.CLIP, self.norm.CLIP)
        out = self.net(obs.float())  # (N, A) or (N, K)
        return out.clamp(self.low, self.high).to(self.low.dtype) if self.box else out.argmax(dim=1)


def to_program(agent: Any) -> torch.export.ExportedProgram:
    """A policy as a program of ``torch.export``, for any number of raw observations at a time.

    ``torch.export.save`` writes it to a file, and whoever loads that needs torch and nothing of this package.

    Raises:
        ValueError: the program does not do what the agent does.

    Book: practice/use_it_in_your_project
    """
    space, batch = agent.obs_space, torch.export.Dim("batch")
    obs = torch.from_numpy(np.zeros((2, *space.shape), space.dtype))  # (2, D)
    program = torch.export.export(WholePolicy(agent).eval(), (obs,), dynamic_shapes=({0: batch},))
    run = program.module()
    must_agree(agent, lambda obs: run(torch.from_numpy(obs)).detach().numpy())
    return program
