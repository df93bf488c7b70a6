"""Exercises of the page on PyTorch.

Book: start/pytorch
"""

from collections.abc import Callable

import numpy as np
import torch

from rlworkshop.check import Exercise, Wrong, expect

PAGE = "start/pytorch"
TRAIN = "Four networks that do not train"
LOOP = "The training loop, its log, and overfitting"


# ------------------------------------------------------------------------------------------ a loss to mend


def value_loss(
    now: torch.Tensor,
    after: torch.Tensor,
    rewards: torch.Tensor,
    over: torch.Tensor,
    gamma: float,
) -> torch.Tensor:
    """Mean squared error of values against reward plus discounted next value, a scalar tensor.

    now, after (B, 1): what the network says of the states before and after a step, as its one
    output gives it. rewards (B,). over (B,), bool: the step ended its episode.

    Book: start/pytorch
    """
    # solution
    target = rewards + gamma * over.logical_not() * after.detach().squeeze(1)  # (B,)
    return ((now.squeeze(1) - target) ** 2).mean()
    # given
    # target = rewards + gamma * over.logical_not() * after.detach()
    # return ((now - target) ** 2).mean()
    # end


LOSS = Exercise("pytorch-value-loss", "Mend: a loss that runs on any shape", PAGE, TRAIN, value_loss)
GAMMA = 0.5


def _rows() -> tuple[np.ndarray, ...]:
    """Four steps: now, after, rewards, over, each (4,)."""
    now, after = np.array([1.0, -2.0, 3.0, 0.0]), np.array([2.0, 4.0, -6.0, 10.0])
    return now, after, np.array([1.0, 0.0, 2.0, 1.0]), np.array([False, False, False, True])


def _try_loss(answer: Callable) -> tuple[float, np.ndarray, np.ndarray]:
    """Value of the answer's loss on those rows, and its gradients (B,) by now and by after."""
    now, after, rewards, over = (torch.tensor(column) for column in _rows())
    now, after = now[:, None].requires_grad_(), after[:, None].requires_grad_()
    loss = answer(now, after, rewards, over, GAMMA)
    if not isinstance(loss, torch.Tensor):
        raise Wrong(f"the loss should be a tensor that can be differentiated; it is a {type(loss).__name__}")
    if loss.shape != ():
        raise Wrong(f"the loss should be one number, of shape (); it has the shape {tuple(loss.shape)}")
    if not loss.requires_grad:
        raise Wrong("no gradient flows from the loss: is it detached, or made anew from numbers?")
    grads = torch.autograd.grad(loss, (now, after), allow_unused=True)
    return loss.item(), *(np.zeros(len(now)) if g is None else g.numpy()[:, 0] for g in grads)


@LOSS.probe(
    "four rows: each value is compared with the target of its own row, and with no other",
    "Print the shapes of `now`, of `target` and of their difference. How many numbers should be averaged?",
    "(B, 1) with (B,) is (B, B). Bring everything to (B,) before anything is added.",
)
def _own_row(answer: Callable) -> None:
    loss, _, _ = _try_loss(answer)
    now, after, rewards, over = _rows()
    target = rewards + GAMMA * ~over * after  # (B,)
    table = rewards + GAMMA * ~over * after[:, None]  # (B, B): what the broken one computes
    error = now - target
    about = f"Values 1, −2, 3, 0 and targets {', '.join(f'{x:g}' for x in target)}".replace("-", "−")
    expect(np.float64(loss), np.mean(error**2), about, {
        "the target is still a table (B, B): every reward meets every next value":
            np.mean((now[:, None] - table) ** 2),
        "the target is (B, B) and `now` is (B,): now the table is compared along the wrong axis as well":
            np.mean((now - table) ** 2),
        "the target is (B,) now, and `now` is still (B, 1): each value is compared with every target":
            np.mean((now[:, None] - target) ** 2),
        "the errors are averaged before they are squared, so that +1 and −1 cancel": np.mean(error) ** 2,
        "this is a sum: with the mean, the loss does not grow with the batch": np.sum(error**2),
        "the next state counts where the episode is over: a state that is never reached has no value":
            np.mean((now - rewards - GAMMA * after) ** 2),
        "`over` is turned round: the next value counts only where there is none":
            np.mean((now - rewards - GAMMA * over * after) ** 2),
        "the next value is not discounted": np.mean((now - rewards - ~over * after) ** 2),
    })  # fmt: skip


@LOSS.probe(
    "the gradient reaches `now`, a share from its own row only",
    "The slope of (now − target)² / B by `now` is 2 (now − target) / B.",
)
def _gradient(answer: Callable) -> None:
    _, grad, _ = _try_loss(answer)
    now, after, rewards, over = _rows()
    want = 2 * (now - rewards - GAMMA * ~over * after) / len(now)
    expect(grad, want, "The gradient with respect to `now`", {
        "no gradient flows into `now`: it is detached, and the network that made it learns nothing": 0.0,
        "the gradient into `now` is turned round": -want,
    })  # fmt: skip


@LOSS.probe(
    "and not into the target",
    "What the network says of the next state is taken as a number here. The stub had a word for that.",
)
def _target(answer: Callable) -> None:
    _, _, leak = _try_loss(answer)
    if leak.any():
        raise Wrong("the gradient flows into the target, too, and drags it towards the prediction: "
                    "`.detach()` was lost on the way")  # fmt: skip


# ------------------------------------------------------------------------------------------ a loop to mend


def fit(
    net: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    steps: int,
) -> list[float]:
    """Train net on all of (x, y) at each step, by the mean squared error.

    x (B, D), y (B, 1). A gradient that lies in net from before does not count.
    Returns the log: the loss before each step, as plain numbers.

    Book: start/pytorch
    """
    log = []
    # solution
    for _ in range(steps):
        error = ((net(x) - y) ** 2).mean()
        log.append(error.item())
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    # given
    # optimizer.zero_grad()
    # for _ in range(steps):
    #     error = ((net(x) - y) ** 2).mean()
    #     log.append(error)
    #     error.backward()
    #     optimizer.step()
    # end
    return log


FIT = Exercise("pytorch-training-loop", "Mend: a loop that remembers too much", PAGE, LOOP, fit)
RATE = 0.1


def _points() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs (4, 2), targets (4,), and the weights (2,) to begin with."""
    x = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0], [-1.0, 1.0]])
    return x, np.array([1.0, -2.0, 3.0, 0.0]), np.array([0.5, -0.5])


def _downhill(steps: int, keeps: float = 0.0, left: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Weights (2,) after some steps and the losses (steps + 1,) by hand; ``keeps``: of the last gradient.

    left: the gradient that lies there from before.
    """
    (x, y, w), held, losses = _points(), np.full(2, left), []
    for _ in range(steps):
        losses.append(np.mean((x @ w - y) ** 2))
        held = keeps * held + 2 * x.T @ (x @ w - y) / len(y)
        w = w - RATE * held
    return w, np.array([*losses, np.mean((x @ w - y) ** 2)])


def _try_fit(answer: Callable, steps: int, left: float = 0.0) -> tuple[np.ndarray, list]:
    """The weights (2,) that the answer ends with, and its log."""
    x, y, w = (torch.tensor(a) for a in _points())
    net = torch.nn.Linear(2, 1, bias=False).double()
    with torch.no_grad():
        net.weight[:] = w
    net.weight.grad = torch.full((1, 2), left, dtype=torch.float64)
    log = answer(net, torch.optim.SGD(net.parameters(), lr=RATE), x, y[:, None], steps)
    return net.weight.detach().numpy()[0].copy(), log


@FIT.probe(
    "one step goes down the gradient, and leaves a gradient from before out of it",
    "Three calls belong to a step: forget the last gradient, find this one, move. In which order?",
    "`zero_grad()` comes before `backward()`, `step()` after it.",
)
def _one_step(answer: Callable) -> None:
    w, _ = _try_fit(answer, 1, left=1.0)
    want, start = _downhill(1)[0], _points()[2]
    expect(w, want, "Weights after one step of SGD", {
        "nothing moves: the gradient is cleared between `backward()` and `step()`, or one of the two is "
        "missing": start,
        "a gradient that lay there before the call is added to the first one: clear it before `backward()`, "
        "not after the step": _downhill(1, 1.0, left=1.0)[0],
        "the step goes by an old gradient: it is taken before `backward()` has found the new one":
            start - RATE,
        "the step goes uphill": 2 * start - want,
    })  # fmt: skip


@FIT.probe(
    "five steps, each by its own gradient and by no other",
    "Print the norm of the gradient at each step. What does `backward()` do with what is in `.grad`?",
    "`backward()` adds. What is not cleared inside the loop is still there at the next step.",
)
def _five_steps(answer: Callable) -> None:
    w, _ = _try_fit(answer, 5)
    expect(w, _downhill(5)[0], "Weights after five steps of SGD", {
        "the gradients pile up: each step follows the sum of all gradients so far": _downhill(5, 1.0)[0],
        "the loss is computed once and not at each step: every step goes the same way":
            _points()[2] + 5 * (_downhill(1)[0] - _points()[2]),
        "one step was made, not five: does `return` stand inside the loop?": _downhill(1)[0],
    })  # fmt: skip


@FIT.probe(
    "the log holds plain numbers, and no record of a computation",
    "What is in `log[0]`: print its type. What does it hold on to?",
    "`.item()` makes a plain number of a tensor of one.",
)
def _plain(answer: Callable) -> None:
    _, log = _try_fit(answer, 3)
    if not isinstance(log, list):
        raise Wrong(f"the log should be a list; it is a {type(log).__name__}")
    if any(isinstance(entry, torch.Tensor) and entry.requires_grad for entry in log):
        raise Wrong(
            "the log holds tensors that remember how they were computed: with each step the memory fills"
        )
    if any(isinstance(entry, torch.Tensor) for entry in log):
        raise Wrong("the log holds tensors, if without their record: make plain numbers of them")
    if not all(isinstance(entry, float) for entry in log):
        raise Wrong(f"the log should hold floats; it holds a {type(log[0]).__name__}")


@FIT.probe(
    "one for each step: the loss before it",
    "The first entry is the loss of the network as it came. Where in the loop is it known?",
)
def _log(answer: Callable) -> None:
    _, log = _try_fit(answer, 4)
    losses = _downhill(4)[1]  # (5,)
    if len(log) != 4:
        raise Wrong(f"the log of 4 steps should have 4 entries; it has {len(log)}")
    expect(np.array(log), losses[:-1], "The losses before each of four steps", {
        "these are the losses *after* each step: the first should be that of the untrained network":
            losses[1:],
        "these are sums over the steps so far": np.cumsum(losses[:-1]),
    })  # fmt: skip
