"""Small networks, their quick evaluation by numpy, and their state as plain arrays.

Nothing here belongs to an algorithm.

Book: start/how_to_use
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from rlworkshop import envs as rl_envs

ACTIVATIONS = {"tanh": (nn.Tanh, np.tanh), "relu": (nn.ReLU, lambda x: np.maximum(x, 0))}


def mlp(sizes: Sequence[int], generator: torch.Generator, activation: str = "tanh", head_gain: float = 1.0):
    """A multi-layer perceptron of layer widths ``sizes`` (input first), linear at the end.

    Weights are orthogonal with gain √2 (the last layer: ``head_gain``), biases zero. All randomness comes
    from ``generator``; torch's global one is not touched.

    Raises:
        ValueError: fewer than two sizes, or an unknown activation.

    Book: start/how_to_use
    """
    if len(sizes) < 2 or activation not in ACTIVATIONS:
        raise ValueError(f"mlp wants 2 sizes or more, tanh or relu; not {sizes}, {activation!r}")
    layers: list[nn.Module] = []
    for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
        # the ordinary constructor would draw weights from the global generator
        linear = nn.utils.skip_init(nn.Linear, n_in, n_out)
        nn.init.orthogonal_(linear.weight, gain=2**0.5, generator=generator)
        nn.init.zeros_(linear.bias)
        layers += [linear, ACTIVATIONS[activation][0]()]
    with torch.no_grad():
        layers[-2].weight *= head_gain / 2**0.5
    return nn.Sequential(*layers[:-1])


class NumpyForward:
    """Computes ``net`` (B, n_in) -> (B, n_out) on arrays, faster than torch on a handful of rows.

    It reads the network's own memory, and looks where that is: optimiser steps, ``load_state_dict``, copies,
    moves to another device or precision all show. On another device than the CPU torch computes.

    Raises:
        TypeError: ``net`` holds a layer other than those that ``mlp`` makes.
    """

    def __init__(self, net: nn.Sequential):
        self.functions = {layer: function for layer, function in ACTIVATIONS.values()}
        if unknown := [layer for layer in net if type(layer) not in (nn.Linear, *self.functions)]:
            raise TypeError(f"NumpyForward does not know the layer {unknown[0]}")
        self.net, self.places = net, None
        self.linear = [layer for layer in net if isinstance(layer, nn.Linear)]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        places = [p.data_ptr() for layer in self.linear for p in layer._parameters.values()]
        if places != self.places:  # first call, or the parameters have moved
            if self.linear[0].weight.device.type != "cpu":
                return torch_forward(self.net, x)
            arrays = [[p.detach().numpy().T for p in layer.parameters()] for layer in self.net]
            self.places, self.steps = places, list(zip(map(type, self.net), arrays, strict=True))
        for layer, weights in self.steps:
            x = x @ weights[0] + weights[1] if weights else self.functions[layer](x)
        return x

    def __getstate__(self) -> dict[str, Any]:
        # a copy knows no places: memory that the original has freed may hold other weights of the copy
        return {**self.__dict__, "places": None, "steps": []}


@torch.no_grad()
def torch_forward(net: nn.Module, x: np.ndarray) -> np.ndarray:
    """What ``net`` computes of ``x``, wherever its parameters are."""
    device = next(net.parameters()).device
    return net(torch.from_numpy(np.ascontiguousarray(x)).to(device)).cpu().numpy()


def plain_device(name: str) -> torch.device:
    """The device called ``name``."""
    return torch.device(name)


# standalone: plain_device
def torch_device(name: str) -> torch.device:
    """The device called ``name``: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.

    Raises:
        ValueError: there is no such device, or it cannot be used here.
    """
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0].split(". ")[0]
        raise ValueError(f'device={name!r} cannot be used here ({reason}): take "cpu"') from None


def generator(seed: int) -> torch.Generator:
    """Random numbers for initial weights, independent of all else that is drawn for ``seed``."""
    return torch.Generator().manual_seed(rl_envs.seeds(seed, 1, "network")[0])


def to_tree(value: Any) -> Any:
    """``value`` with every tensor as an array of its own (dicts, lists and tuples are walked)."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy().copy()
    if isinstance(value, dict):
        return {k: to_tree(v) for k, v in value.items()}
    return [to_tree(v) for v in value] if isinstance(value, list | tuple) else value


def from_tree(value: Any) -> Any:
    """``value`` with every array as a tensor of its own: the way back from ``to_tree``."""
    if isinstance(value, np.ndarray | np.generic):
        return torch.from_numpy(np.array(value))
    if isinstance(value, dict):
        return {k: from_tree(v) for k, v in value.items()}
    return [from_tree(v) for v in value] if isinstance(value, list) else value


def optimizer_to_tree(optimizer: torch.optim.Optimizer) -> list[Any]:
    """What the optimiser remembers of each parameter (not its settings), in their order."""
    return [to_tree(optimizer.state.get(p, {})) for g in optimizer.param_groups for p in g["params"]]


def load_optimizer(optimizer: torch.optim.Optimizer, tree: list[Any]) -> None:
    """Give a fresh optimiser the memory that ``optimizer_to_tree`` took from another."""
    memory = {i: from_tree(state) for i, state in enumerate(tree) if state}
    optimizer.load_state_dict({**optimizer.state_dict(), "state": memory})


def policy_state(part: Any) -> Any:
    """What ``get_state`` gives of a policy: networks, spaces, arrays, numbers, objects that hold these."""
    if isinstance(part, nn.Module):
        return to_tree(part.state_dict())
    if isinstance(part, gym.Space):
        return rl_envs.space_to_tree(part)
    return {name: policy_state(getattr(part, name)) for name in _parts(part)} if _parts(part) else part


def set_policy(part: Any, state: Any) -> Any:
    """Put a policy back to what ``policy_state`` gave; the policy, or what takes its place."""
    if isinstance(part, nn.Module):
        part.load_state_dict(from_tree(state))
    elif _parts(part):
        for name, value in state.items():
            setattr(part, name, set_policy(getattr(part, name), value))
    return part if _parts(part) or isinstance(part, gym.Space) else state


# standalone: policy_state
def get_state(part: Any) -> Any:
    """The state of a part of a training, as a tree of plain values and arrays.

    Parts are networks, optimisers, generators, spaces, plain values, arrays, lists and tuples of parts, and
    objects whose attributes (of a dataclass: whose fields) are parts.
    """
    if isinstance(part, nn.Module):
        return to_tree(part.state_dict())
    if isinstance(part, torch.optim.Optimizer):
        return optimizer_to_tree(part)
    if isinstance(part, torch.Generator):
        return to_tree(part.get_state())
    if isinstance(part, np.random.Generator):
        return part.bit_generator.state
    if isinstance(part, gym.Space):
        return rl_envs.space_to_tree(part)
    if isinstance(part, list | tuple):
        return [get_state(one) for one in part]
    if isinstance(part, np.ndarray):
        return part.copy()
    return {name: get_state(getattr(part, name)) for name in _parts(part)} if _parts(part) else part


# standalone: set_policy
def set_state(part: Any, state: Any) -> Any:
    """Put a part of a training back to what ``get_state`` gave; the part, or what takes its place."""
    if isinstance(part, nn.Module):
        part.load_state_dict(from_tree(state))
    elif isinstance(part, torch.optim.Optimizer):
        load_optimizer(part, state)
    elif isinstance(part, torch.Generator):
        part.set_state(from_tree(state))
    elif isinstance(part, np.random.Generator):
        part.bit_generator.state = state
    elif _parts(part):
        for name in _parts(part):
            setattr(part, name, set_state(getattr(part, name), state[name]))
    elif isinstance(part, list | tuple):
        own = len(part) == len(state)  # what has grown or shrunk holds plain values only
        state = [set_state(*pair) for pair in zip(part, state, strict=True)] if own else get_state(state)
        return type(part)(*state) if hasattr(part, "_fields") else type(part)(state)
    elif not isinstance(part, gym.Space):
        return get_state(state)
    return part


def _parts(part: Any) -> list[str]:
    """The names of what an object consists of."""
    if dataclasses.is_dataclass(part):
        return [field.name for field in dataclasses.fields(part)]
    return [] if isinstance(part, gym.Space) else list(getattr(part, "__dict__", ()))
