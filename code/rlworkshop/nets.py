"""Small networks, their quick evaluation by numpy, and their state as plain arrays.

Nothing here belongs to an algorithm.

Book: start/how_to_use
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

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
        raise ValueError(
            f"mlp wants 2 sizes or more, {' or '.join(ACTIVATIONS)}; not {sizes}, {activation!r}"
        )
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


def numpy_forward(net: nn.Sequential) -> Callable[[np.ndarray], np.ndarray]:
    """A function that computes ``net`` on arrays, four times faster than torch on a handful of rows.

    It reads the network's own memory: later in-place changes (optimiser steps, ``load_state_dict``) show.
    A copy of the network has memory of its own and needs a function of its own.

    Raises:
        TypeError: ``net`` holds a layer other than those that ``mlp`` makes.
    """
    activations = {layer: function for layer, function in ACTIVATIONS.values()}
    steps = []
    for layer in net:
        if isinstance(layer, nn.Linear):
            steps.append((layer.weight.detach().numpy().T, layer.bias.detach().numpy()))
        elif type(layer) in activations:
            steps.append((activations[type(layer)], None))
        else:
            raise TypeError(f"numpy_forward does not know the layer {layer}")

    def forward(x: np.ndarray) -> np.ndarray:
        for step, bias in steps:
            x = step(x) if bias is None else x @ step + bias
        return x

    return forward


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
