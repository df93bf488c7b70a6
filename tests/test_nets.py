"""Networks: initialisation, numpy evaluation, state as arrays."""

import copy
import dataclasses
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlworkshop import envs, nets, runs


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_layers_are_orthogonal_with_their_gains():
    net = nets.mlp([6, 6, 6], generator(), head_gain=0.01)
    for layer, gain in ((net[0], 2**0.5), (net[2], 0.01)):
        gram = layer.weight @ layer.weight.T / gain**2
        assert torch.allclose(gram, torch.eye(6), atol=1e-5)
        assert not layer.bias.any()
    plain = nets.mlp([6, 6, 6], generator())  # a last layer that nobody says more of keeps lengths
    assert torch.allclose(plain[2].weight, net[2].weight * 100) and torch.equal(
        plain[0].weight, net[0].weight
    )


def test_weights_follow_the_generator_and_leave_the_global_one_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    a, b, c = (nets.mlp([3, 4, 2], generator(s))[0].weight for s in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_numpy_forward_equals_torch_and_follows_training(activation):
    net = nets.mlp([5, 32, 32, 3], generator(), activation)
    forward = nets.NumpyForward(net)
    x = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    optimizer = torch.optim.Adam(net.parameters(), 0.1, fused=True)
    for _ in range(2):
        expected = net(torch.from_numpy(x))
        assert np.allclose(forward(x), expected.detach().numpy(), rtol=1e-5, atol=1e-5)
        expected.square().sum().backward()
        optimizer.step()
    net.load_state_dict(nets.mlp([5, 32, 32, 3], generator(9), activation).state_dict())
    assert np.allclose(forward(x), net(torch.from_numpy(x)).detach().numpy(), rtol=1e-5, atol=1e-5)


def changed_weights():
    return nets.mlp([3, 4, 2], generator(9))


def assign(net):
    net.load_state_dict(changed_weights().state_dict(), assign=True)


def replace(net):
    net[0].weight = torch.nn.Parameter(torch.ones(4, 3))


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net.double(),
        lambda net: net.double().float().half().float(),
        lambda net: net.load_state_dict(changed_weights().state_dict()),
        assign,
        replace,
    ],
    ids=["double", "half", "load", "assign", "replace"],
)
def test_numpy_forward_is_never_stale(change):
    net, x = nets.mlp([3, 4, 2], generator()), np.float32([[1, 2, 3], [-1, 0, 1]])
    forward = nets.NumpyForward(net)
    forward(x)
    change(net)
    x = x.astype(str(net[0].weight.dtype).removeprefix("torch."))
    expected = net(torch.from_numpy(x)).detach().numpy()
    assert forward(x).dtype == expected.dtype and np.allclose(forward(x), expected, rtol=1e-6, atol=1e-6)


def test_torch_computes_the_same_of_arrays_of_any_layout():
    net, x = nets.mlp([3, 2], generator()), np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32).T
    found = nets.torch_forward(net, x[::2])
    assert np.allclose(found, nets.NumpyForward(net)(x)[::2], atol=1e-6) and found.shape == (3, 2)


def test_numpy_forward_does_not_answer_from_where_the_network_was():
    net, x = nets.mlp([3, 4, 2], generator()), np.ones((1, 3), np.float32)
    forward = nets.NumpyForward(net)
    before = forward(x)
    with pytest.raises(NotImplementedError):  # on this device there are no numbers
        nets.NumpyForward(net.to("meta"))(x)
    with pytest.raises(NotImplementedError):
        forward(x)
    net.to_empty(device="cpu").load_state_dict(nets.mlp([3, 4, 2], generator()).state_dict())
    assert np.array_equal(forward(x), before)


def test_a_copy_of_numpy_forward_follows_its_own_network():
    net, x = nets.mlp([3, 4, 2], generator()), np.ones((1, 3), np.float32)
    forward = nets.NumpyForward(net)
    before = forward(x)
    other = copy.deepcopy(forward)
    assert other.places is None  # memory of the original may be that of others one day
    assert np.array_equal(other(x), before)
    with torch.no_grad():
        other.net[0].weight.zero_()
        other.net[2].bias.fill_(7)
    assert other(x).tolist() == [[7, 7]] and np.array_equal(forward(x), before)


@pytest.mark.parametrize("name", ["nonsense", "", "cuda:99", "xla"])
def test_a_device_that_cannot_be_used_is_named(name):
    with pytest.raises(ValueError, match=f"device='{name}' cannot be used here .*: take \"cpu\"") as caught:
        nets.torch_device(name)
    assert "\n" not in str(caught.value)
    assert nets.torch_device("cpu") == torch.device("cpu")


def test_of_a_long_reason_the_first_sentence_is_told(monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("\nThe driver is too old. Update it. Or not.\nTrace:\n...")

    monkeypatch.setattr(torch, "zeros", broken)
    with pytest.raises(ValueError, match=r"cannot be used here \(The driver is too old\): take"):
        nets.torch_device("cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has one")
def test_an_absent_cuda_is_named():
    with pytest.raises(ValueError, match="device='cuda' cannot be used here"):
        nets.torch_device("cuda")


def test_a_networks_random_numbers_follow_the_seed_alone():
    drawn = [torch.rand(4, generator=nets.generator(seed)).tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match="sizes"):
        nets.mlp([3], generator())
    with pytest.raises(ValueError, match="swish"):
        nets.mlp([3, 2], generator(), "swish")
    with pytest.raises(TypeError, match="Dropout"):
        nets.NumpyForward(torch.nn.Sequential(torch.nn.Dropout()))


def test_optimizer_goes_on_exactly_from_its_tree():
    def step(net, optimizer, seed):
        x = torch.randn(8, 3, generator=generator(seed))
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()

    def fresh():
        net = nets.mlp([3, 8, 1], generator())
        return net, torch.optim.Adam(net.parameters(), 0.01, fused=True)

    a, opt_a = fresh()
    for i in range(5):
        step(a, opt_a, i)
    state, memory = nets.to_tree(a.state_dict()), nets.optimizer_to_tree(opt_a)
    assert all(isinstance(v, np.ndarray) for v in state.values())
    b, opt_b = fresh()
    b.load_state_dict(nets.from_tree(state))
    nets.load_optimizer(opt_b, memory)
    for i in range(5, 10):
        step(a, opt_a, i)
        step(b, opt_b, i)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_lists_and_plain_values_go_into_a_tree_and_back():
    value = {"a": [torch.ones(2), 1, {"b": torch.zeros(1)}], "c": (torch.tensor(3.0), "text", None)}
    tree = nets.to_tree(value)
    arrays = [tree["a"][0], tree["a"][2]["b"], tree["c"][0]]
    assert all(isinstance(array, np.ndarray) for array in arrays) and tree["c"][1:] == ["text", None]
    back = nets.from_tree(tree)
    assert torch.equal(back["a"][0], torch.ones(2)) and back["a"][1] == 1
    assert torch.equal(back["c"][0], torch.tensor(3.0)) and back["c"][1:] == ["text", None]


def test_to_tree_copies():
    net = nets.mlp([2, 2], generator())
    tree = nets.to_tree(net.state_dict())
    with torch.no_grad():
        net[0].weight += 1
    assert not np.allclose(tree["0.weight"], net[0].weight.detach().numpy())


# ---------------------------------------------------------------- the state of a training's parts


class Rows(NamedTuple):
    """Two columns."""

    x: np.ndarray
    y: np.ndarray


class Inner:
    """An object of no dataclass."""

    def __init__(self):
        self.count, self.mean, self.nothing, self.shape = 0, np.zeros(3), None, (2, 3)


@dataclasses.dataclass
class Parts:
    """One of everything that a training may be made of."""

    net: torch.nn.Module
    optimizer: torch.optim.Optimizer
    rng: np.random.Generator
    generator: torch.Generator
    rows: Rows
    inner: Inner
    norm: envs.ObsNorm
    box: gym.Space
    discrete: gym.Space
    several: list[Any]
    history: list[float]
    factor: float = 0.5
    text: str = "a"


def parts(seed):
    net, heads = nets.mlp([3, 8, 1], generator(seed)), [nets.mlp([1, 1], generator(seed)) for _ in range(2)]
    optimizer = torch.optim.Adam([*net.parameters(), *heads[0].parameters()], 0.01, fused=True)
    spaces = gym.spaces.Box(-1, 1, (3,)), gym.spaces.Discrete(3, start=1)
    rows = Rows(np.zeros((5, 3), np.uint8), np.zeros(5, np.float32))
    norm, random = envs.ObsNorm((3,)), (np.random.default_rng(seed), generator(seed))
    return Parts(net, optimizer, *random, rows, Inner(), norm, *spaces, heads, [])


def work(p):
    """Changes everything, and says what of it can be seen."""
    x = torch.rand(8, 3, generator=p.generator)
    p.optimizer.zero_grad()
    loss = p.several[0](p.net(x)).square().mean() * p.factor
    loss.backward()
    p.optimizer.step()
    number = p.rng.integers(200)
    p.rows.x[p.inner.count % 5], p.rows.y[p.inner.count % 5] = number, loss.item()
    p.inner.count += 1
    p.inner.mean = p.inner.mean + number
    p.norm.update(x.numpy())
    p.history.append(loss.item())
    p.factor *= 0.9
    p.text += "b"
    seen = [p.rows.x.tolist(), p.rows.y.tolist(), p.inner.mean.tolist(), p.norm(x.numpy()).tolist()]
    return [loss.item(), int(number), *seen, list(p.history), p.factor, p.text, p.inner.count, p.inner.shape]


def test_all_parts_of_a_training_go_on_bit_for_bit_from_a_file(tmp_path):
    a = parts(0)
    for _ in range(7):
        work(a)
    state = nets.get_state(a)
    runs.save_tree(tmp_path / "state", state)
    expected = [work(a) for _ in range(7)]
    b, held = parts(1), {}
    for name in ("net", "optimizer", "rng", "generator", "norm", "inner"):
        held[name] = getattr(b, name)
    again = nets.set_state(b, runs.load_tree(tmp_path / "state"))
    assert again is b and all(getattr(b, name) is held[name] for name in held)  # the same objects, put back
    assert [work(b) for _ in range(7)] == expected
    c = parts(2)
    nets.set_state(c, state)  # a state is a snapshot: the work on ``a`` has not reached it
    assert [work(c) for _ in range(7)] == expected
    d = parts(3)
    nets.set_state(d, state)  # nor has that on ``c``
    assert [work(d) for _ in range(7)] == expected


def test_what_comes_back_has_the_types_that_it_had():
    a, b = parts(0), parts(1)
    nets.set_state(b, nets.get_state(a))
    assert isinstance(b.rows, Rows) and isinstance(b.inner.shape, tuple) and isinstance(b.history, list)
    assert b.rows.x.dtype == np.uint8 and b.rows.y.dtype == np.float32
    assert all(isinstance(net, torch.nn.Module) for net in b.several)
    assert torch.equal(b.several[1][0].weight, a.several[1][0].weight)
    assert (b.box, b.discrete) == (a.box, a.discrete)


def test_spaces_are_in_the_state():
    state = nets.get_state(parts(0))
    assert envs.space_from_tree(state["box"]) == gym.spaces.Box(-1, 1, (3,))
    assert envs.space_from_tree(state["discrete"]) == gym.spaces.Discrete(3, start=1)


def test_a_policy_comes_back_from_its_brief_state():
    a, b = parts(0), parts(1)
    plain = {name: getattr(a, name) for name in ("net", "norm", "box", "discrete", "factor")}
    a.norm.update(np.arange(6.0).reshape(2, 3))
    policy = dataclasses.make_dataclass("Policy", plain)
    state = nets.policy_state(policy(*plain.values()))
    found = nets.set_policy(policy(b.net, b.norm, b.box, b.discrete, 0.0), state)
    x = np.ones((2, 3), np.float32)
    assert torch.equal(found.net(torch.from_numpy(x)), a.net(torch.from_numpy(x)))
    assert np.array_equal(found.norm(x), a.norm(x)) and found.factor == a.factor
