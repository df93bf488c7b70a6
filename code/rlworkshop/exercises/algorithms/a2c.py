"""Exercises of the chapter on the advantage actor-critic.

Book: algorithms/a2c
"""

from collections.abc import Callable

import numpy as np
import torch

from rlworkshop.check import Exercise, Wrong, expect

PAGE = "algorithms/a2c"
ROLLOUT = "Short rollouts: how much of the value function's error survives"
OPTIMISER = "One loss, one optimiser"
BREAK = "Break it"


# ------------------------------------------------------------------------------------------ derive


def surviving(num_steps: int, gamma: float) -> float:
    """Share of a value function's error that the targets of a rollout keep, on average.

    The value function is wrong by the same amount everywhere, no episode ends, λ is 1.
    num_steps: T, the rows of the rollout, at least 1. gamma: above 0, at most 1.

    Book: algorithms/a2c
    """
    # solution
    return sum(gamma**k for k in range(1, num_steps + 1)) / num_steps
    # end


SURVIVING = Exercise(
    "a2c-surviving", "Derive: what is left of an error after T steps", PAGE, ROLLOUT, surviving
)


@SURVIVING.probe(
    "a rollout of one step keeps γ of the error",
    "The target of the only row is r + γV(s'). If V is too large by 1, by how much is the target?",
)
def _one_step(answer: Callable) -> None:
    got = answer(1, 0.9)
    expect(got, np.array(0.9), "One step, γ = 0.9", {
        "the value is one step away, and counts γ": 1.0,
        "this is what is taken away, not what is left": 0.1,
    })  # fmt: skip


@SURVIVING.probe(
    "each row is another number of steps away from the value that closes the rollout",
    "With T = 3, the first row's target counts V with γ³, the last one's with γ.",
    "The average of γ, γ², …, γ to the power T.",
)
def _average(answer: Callable) -> None:
    expect(answer(3, 0.5), np.array(0.875 / 3), "Three steps, γ = 0.5", {
        "this is the share of the first row alone": 0.125,
        "this is the sum over rows, not their average": 0.875,
        "the last row, too, is one step away from the value": 1.75 / 3,
        "every row is taken for the last one: one step away": 0.5,
    })  # fmt: skip


@SURVIVING.probe(
    "without discounting nothing is forgotten",
    "The closed form γ(1 - γ^T)/(T(1 - γ)) is 0/0 at γ = 1: sum it up instead, or take the limit.",
)
def _undiscounted(answer: Callable) -> None:
    expect(answer(7, 1.0), np.array(1.0), "Seven steps, γ = 1")


# ------------------------------------------------------------------------------------------ implement


def rmsprop_steps(gradients: np.ndarray, lr: float, alpha: float, eps: float) -> np.ndarray:
    """The steps of RMSprop as TensorFlow 1 takes them, one for each gradient.

    gradients (K, P), one row after the other; a step is added to the P parameters. The running
    mean of squared gradients begins at ones, keeps the share alpha of itself, and takes in the
    new square before it is used; eps stands under the root.
    Returns (K, P).

    Book: algorithms/a2c
    """
    # solution
    square, steps = np.ones(gradients.shape[1]), []  # (P,)
    for gradient in gradients:
        square = alpha * square + (1 - alpha) * gradient**2  # (P,)
        steps.append(-lr * gradient / np.sqrt(square + eps))
    return np.array(steps)
    # end


RMSPROP = Exercise(
    "a2c-rmsprop", "Implement: the optimiser that another library means", PAGE, OPTIMISER, rmsprop_steps
)


@RMSPROP.probe(
    "the first step is the gradient, divided by the root of the new mean",
    "With alpha = 0.75 and a gradient of 3 the mean is 0.75 · 1 + 0.25 · 9 = 3.",
)
def _first(answer: Callable) -> None:
    got = answer(np.array([[3.0]]), 0.1, 0.75, 0.0)
    expect(got, np.array([[-(3**0.5) / 10]]), "A gradient of 3, alpha 0.75, lr 0.1, no eps", {
        "this step goes up the gradient": np.array([[3**0.5 / 10]]),
        "the mean from before this gradient is used": np.array([[-0.3]]),
        "the root is missing": np.array([[-0.1]]),
        "the mean begins at 0, as in PyTorch: the first step is then the same for every gradient":
            np.array([[-0.2]]),
        "alpha is the share of the old mean, not of the new square": np.array([[-0.3 / 7**0.5]]),
        "the gradient has to be squared before it enters the mean": np.array([[-0.3 / 1.5**0.5]]),
    })  # fmt: skip


@RMSPROP.probe(
    "the mean remembers, and forgets",
    "After the gradients 3 and 0, with alpha = 0.75, the mean is 0.75 · 3 = 2.25.",
)
def _second(answer: Callable) -> None:
    got = answer(np.array([[3.0, 1.0], [0.0, 1.0], [1.0, 1.0]]), 0.1, 0.75, 0.0)
    wanted = -0.1 * np.array([[3 / 3**0.5, 1], [0, 1], [1 / (0.75 * 2.25 + 0.25) ** 0.5, 1]])
    expect(got, wanted, "Three gradients for each of two parameters", {
        "each gradient meets a mean of 1 again":
            -0.1 * np.array([[3 / 3**0.5, 1], [0, 1], [1, 1]]),
    })  # fmt: skip


@RMSPROP.probe(
    "eps stands under the root",
    "With alpha = 0 and a gradient of 0.01 the mean is 0.0001, and eps of 0.0003 makes it 0.0004.",
)
def _eps(answer: Callable) -> None:
    got = answer(np.array([[0.01]]), 1.0, 0.0, 0.0003)
    expect(got, np.array([[-0.5]]), "A gradient of 0.01, alpha 0, lr 1, eps 0.0003", {
        "eps stands beside the root, as in PyTorch": np.array([[-0.01 / 0.0103]]),
        "eps is not used": np.array([[-1.0]]),
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ diagnose


def leaks(loss: Callable) -> bool:
    """Whether a joint loss lets the policy's part move the value function.

    loss(logp, values, returns): one number, a torch tensor, of tensors (B,); ``logp`` are the
    log-probabilities of the actions taken. How much its value loss weighs is unknown,
    and it need not be a squared error.

    Book: algorithms/a2c
    """
    # solution
    found = []
    for scale in (0.0, -3.0):  # whatever the probabilities, values get the same gradient
        values = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)
        logp = torch.full((3,), scale, requires_grad=True)
        loss(logp, values, torch.tensor([1.0, 1.0, -1.0])).backward()
        found.append(torch.zeros(3) if values.grad is None else values.grad)
    return not torch.allclose(*found)
    # end


LEAKS = Exercise("a2c-leaks", "Diagnose: whose gradient is it?", PAGE, BREAK, leaks)


def _joint(detached: bool, weight: float, huber: bool = False) -> Callable:
    """A joint loss, right or broken."""

    def loss(logp: torch.Tensor, values: torch.Tensor, returns: torch.Tensor) -> torch.Tensor:
        error = returns - values
        policy = -(logp * (error.detach() if detached else error)).mean()
        fit = torch.nn.functional.huber_loss(values, returns) if huber else (error**2).mean()
        return policy + weight * fit

    return loss


def _ask(answer: Callable, loss: Callable, want: bool, mistake: str) -> None:
    got = answer(loss)
    if not isinstance(got, bool | np.bool_):
        raise Wrong(f"it returns a {type(got).__name__}, and should return True or False")
    if got != want:
        raise Wrong(f"{mistake}: it should be {want}, and yours says {bool(got)}")


@LEAKS.probe(
    "right losses are not accused, whatever their value loss is",
    "Values may get a gradient: from the value loss. What must it not depend on?",
)
def _right(answer: Callable) -> None:
    for weight in (0.5, 0.25, 2.0):
        _ask(answer, _joint(True, weight), False, f"a right loss, with {weight} for the value loss")
    _ask(answer, _joint(True, 0.5, huber=True), False, "a right loss, its value loss that of Huber")
    _ask(answer, _joint(True, 0.0), False, "a right loss, whose value loss has the weight 0")


@LEAKS.probe(
    "an advantage that still carries the value function's gradient is found",
    "Change the log-probabilities and nothing else: does the gradient of the values change?",
    "Two calls with other `logp`, `backward` in each, and a comparison of the two `values.grad`.",
)
def _wrong(answer: Callable) -> None:
    for weight in (0.5, 2.0):
        _ask(answer, _joint(False, weight), True, f"a loss without `detach`, {weight} for the value loss")
    _ask(
        answer,
        _joint(False, 50.0),
        True,
        "a loss without `detach`, its value loss weighing fifty times as much",
    )
    _ask(
        answer, _joint(False, 0.5, huber=True), True, "a loss without `detach`, its value loss that of Huber"
    )
