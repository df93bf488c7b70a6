"""Networks: initialisation, numpy evaluation, state as arrays."""

import numpy as np
import pytest
import torch

from rlworkshop import nets


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_layers_are_orthogonal_with_their_gains():
    net = nets.mlp([6, 6, 6], generator(), head_gain=0.01)
    for layer, gain in ((net[0], 2**0.5), (net[2], 0.01)):
        gram = layer.weight @ layer.weight.T / gain**2
        assert torch.allclose(gram, torch.eye(6), atol=1e-5)
        assert not layer.bias.any()


def test_weights_follow_the_generator_and_leave_the_global_one_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    a, b, c = (nets.mlp([3, 4, 2], generator(s))[0].weight for s in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_numpy_forward_equals_torch_and_follows_training(activation):
    net = nets.mlp([5, 32, 32, 3], generator(), activation)
    forward = nets.numpy_forward(net)
    x = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    optimizer = torch.optim.Adam(net.parameters(), 0.1, fused=True)
    for _ in range(2):
        expected = net(torch.from_numpy(x))
        assert np.allclose(forward(x), expected.detach().numpy(), rtol=1e-5, atol=1e-5)
        expected.square().sum().backward()
        optimizer.step()
    net.load_state_dict(nets.mlp([5, 32, 32, 3], generator(9), activation).state_dict())
    assert np.allclose(forward(x), net(torch.from_numpy(x)).detach().numpy(), rtol=1e-5, atol=1e-5)


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match="sizes"):
        nets.mlp([3], generator())
    with pytest.raises(ValueError, match="swish"):
        nets.mlp([3, 2], generator(), "swish")
    with pytest.raises(TypeError, match="Dropout"):
        nets.numpy_forward(torch.nn.Sequential(torch.nn.Dropout()))


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


def test_to_tree_copies():
    net = nets.mlp([2, 2], generator())
    tree = nets.to_tree(net.state_dict())
    with torch.no_grad():
        net[0].weight += 1
    assert not np.allclose(tree["0.weight"], net[0].weight.detach().numpy())
