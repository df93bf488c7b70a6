"""Exercises of the chapter on the vanilla policy gradient.

Book: algorithms/vpg
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from rlworkshop.algorithms import vpg
from rlworkshop.check import Exercise, Wrong, expect

PAGE = "algorithms/vpg"
BETTER = "The advantage: better than usual, counted to the end"
SURPRISE = "Where the advantage comes from: one surprise at a time"
LOOP = "The loop: play, judge, move, forget"
BREAK = "Break it"


def _column(*numbers: float) -> np.ndarray:
    """One environment's rows, (T, 1)."""
    return np.array(numbers, float)[:, None]


def _flags(*numbers: int) -> np.ndarray:
    return np.array(numbers, bool)[:, None]  # (T, 1)


def _random_batch(rng: np.random.Generator, T: int = 40, N: int = 3) -> tuple[np.ndarray, ...]:
    """Rewards, values, terminated, truncated, valid, as NEXT_STEP lays them out; reset rows hold garbage."""
    rewards, values = rng.normal(size=(T, N)), rng.normal(size=(T + 1, N))
    terminated, truncated = rng.random((2, T, N)) < 0.1
    valid = np.ones((T, N), bool)
    for t in range(1, T):
        valid[t] = ~(valid[t - 1] & (terminated[t - 1] | truncated[t - 1]))
    rewards[~valid], terminated[~valid], truncated[~valid] = 100.0, False, False
    return rewards, values, terminated, truncated, valid


def _episodes(terminated: np.ndarray, truncated: np.ndarray, valid: np.ndarray) -> Iterator[tuple]:
    """(column, first row, last row) of each episode, the one that the batch cuts off included."""
    for i in range(valid.shape[1]):
        first = 0
        for t in range(len(valid)):
            if not valid[t, i]:
                first = t + 1
            elif terminated[t, i] or truncated[t, i] or t == len(valid) - 1:
                yield i, first, t


def _by_definition(rewards, values, terminated, truncated, valid, gamma, lam) -> np.ndarray:
    """λ-returns (T, N) as the weighted sum of n-step returns that defines them; 0 on reset rows."""
    found = np.zeros(rewards.shape)
    for i, first, last in _episodes(terminated, truncated, valid):
        after = np.append(values[first + 1 : last + 1, i], values[last + 1, i] * ~terminated[last, i])
        for t in range(first, last + 1):
            paid, weight = 0.0, 1.0
            for n, k in enumerate(range(t, last + 1), 1):
                paid += gamma ** (n - 1) * rewards[k, i]
                share = weight if k == last else weight * (1 - lam)
                found[t, i] += share * (paid + gamma**n * after[k - first])
                weight *= lam
    return found


# ------------------------------------------------------------------------------------------ derive


def score(logits: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Gradient of each action's log-probability with respect to its row's logits.

    logits (B, A): the softmax of each row is the policy. actions (B,): integers.
    Returns (B, A).

    Book: algorithms/vpg
    """
    # solution
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))  # (B, A), none above 1
    probs = powers / powers.sum(axis=1, keepdims=True)  # (B, A)
    chosen = np.eye(logits.shape[1])[actions]  # (B, A), one-hot
    return chosen - probs
    # end


SCORE = Exercise("vpg-score", "Derive: what makes an action likelier", PAGE, BETTER, score)
ON_PAPER = (
    "Write log π(a) = z_a − log Σ_b exp(z_b) and differentiate each of the two terms by each z.",
    "The second term's derivative by z_b is exp(z_b) / Σ exp(z): a quantity that has a name.",
)


def _softmax(logits: np.ndarray, axis: int = 1) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


@SCORE.probe("three actions, one state: the chosen one's logit goes up, the others' go down", *ON_PAPER)
def _one_state(answer: Callable) -> None:
    logits, actions = np.log([[1.0, 1.0, 2.0]]), np.array([0])
    one, p = np.array([[1.0, 0.0, 0.0]]), np.array([[0.25, 0.25, 0.5]])
    expect(answer(logits, actions), one - p, "Probabilities 1/4, 1/4, 1/2, the first action taken", {
        "this is the gradient of z_a alone. In log π(a) = z_a − log Σ exp(z) the second term depends on all "
        "logits, too: raising one takes probability from the others": one,
        "the sign is turned round: along this gradient the action taken becomes less likely": p - one,
        "this is the gradient of π(a), not of log π(a): the two differ by the factor π(a)": 0.25 * (one - p),
        "the second term is the gradient of log Σ exp(z): that is the probabilities, not the logits":
            one - logits,
        "only the chosen action's own entry is filled: the other logits move its probability as well":
            one * (one - p),
    })  # fmt: skip


@SCORE.probe(
    "weighed by the policy's own probabilities it averages to zero: constant pay teaches nothing",
    "Σ_a π(a) ∇ log π(a) = Σ_a ∇π(a) = ∇1 = 0. Which term does not cancel in yours?",
)
def _averages_to_zero(answer: Callable) -> None:
    logits = np.array([0.3, -1.0, 0.8, 0.1])
    grads = answer(np.tile(logits, (4, 1)), np.arange(4))  # (A, A): a row for each action
    if isinstance(grads, np.ndarray) and grads.shape == (4, 4):
        grads = _softmax(logits[None])[0] @ grads
        about = "Averaged over the policy's own choice of action, the score has to vanish"
        expect(grads, np.zeros(4), about, {
            "what you take from the one-hot vector is the same for every action (1/A): it should be the "
            "probability of each": _softmax(logits[None])[0] - 0.25,
        })  # fmt: skip
    else:
        expect(grads, np.zeros((4, 4)), "Four states, four actions")


@SCORE.probe("it agrees with finite differences, each state for itself", *ON_PAPER)
def _finite_differences(answer: Callable) -> None:
    rng = np.random.default_rng(0)
    logits, actions, step = rng.normal(size=(5, 3)), rng.integers(3, size=5), 1e-6

    def logp(z: np.ndarray) -> np.ndarray:
        return np.log(_softmax(z))[np.arange(5), actions]  # (B,)

    moves = step * np.eye(3)
    want = np.stack([(logp(logits + move) - logp(logits - move)) / (2 * step) for move in moves], axis=1)
    expect(answer(logits, actions), want, "Five states with logits of their own", {
        "the softmax runs over the batch (axis 0): probabilities must add up to 1 in each row, over actions":
            np.eye(3)[actions] - _softmax(logits, axis=0),
        "the softmax runs over the whole array: probabilities must add up to 1 in each row":
            np.eye(3)[actions] - np.exp(logits) / np.exp(logits).sum(),
    })  # fmt: skip


@SCORE.probe(
    "logits of a thousand do no harm",
    "Probabilities stay the same when a constant is taken from all logits of a row. Which constant helps?",
)
def _large_logits(answer: Callable) -> None:
    with np.errstate(all="ignore"):
        got = answer(np.array([[1000.0, 1000.0]]), np.array([1]))
    if np.isnan(got).any():
        raise Wrong("exp(1000) overflows, and inf over inf is nan: take each row's maximum off first")
    expect(got, np.array([[-0.5, 0.5]]), "Two logits of 1000")


# ------------------------------------------------------------------------------------------ implement


def reward_to_go(rewards: np.ndarray, ends: np.ndarray, gamma: float) -> np.ndarray:
    """Discounted sum of the rewards from each step to the end of its episode.

    rewards (T, N): T steps of N environments.
    ends (T, N), bool: this step was the last of its episode.
    Returns (T, N). An episode that goes on after the batch counts as far as the batch goes.

    Book: algorithms/vpg
    """
    # solution
    returns = np.zeros(rewards.shape)  # (T, N), floats, also where rewards are whole numbers
    running = np.zeros(rewards.shape[1])  # (N,)
    for t in reversed(range(len(rewards))):
        running = rewards[t] + gamma * np.where(ends[t], 0.0, running)
        returns[t] = running
    return returns
    # end


TO_GO = Exercise("vpg-reward-to-go", "Implement: pay for what follows", PAGE, BETTER, reward_to_go)


@TO_GO.probe(
    "each step gets the rewards from it on",
    "The last step gets its own reward. The one before it: its own, and what the last one got.",
    "Go through the rows backwards and carry the sum along: `for t in reversed(range(len(rewards)))`.",
)
def _what_follows(answer: Callable) -> None:
    got = answer(_column(1, 2, 4), _flags(0, 0, 1), 1.0)
    expect(got, _column(7, 6, 4), "Rewards 1, 2, 4 without discount: the first step is followed by 7", {
        "these are sums of what came *before* each step: it is paid for the past": _column(1, 3, 7),
        "every step gets the return of the whole episode, the rewards from before it included":
            _column(7, 7, 7),
        "each step's own reward is missing: the reward r_t is paid for action t": _column(6, 4, 0),
        "each step gets its own reward only: nothing is added up": _column(1, 2, 4),
        "the sums are right but stand in reversed order": _column(4, 6, 7),
        "the reward of the step that ends the episode is lost: that step is paid, too": _column(3, 2, 0),
        "only the next reward is added, not those after it": _column(3, 6, 4),
    })  # fmt: skip


@TO_GO.probe(
    "a reward k steps away counts gamma to the power k",
    "Seen from step t, the reward of step t counts 1, the next gamma, the one after gamma².",
    "What you carry backwards is one step further away than it was: multiply it by gamma as you take it on.",
)
def _discount(answer: Callable) -> None:
    got = answer(_column(1, 2, 4), _flags(0, 0, 1), 0.5)
    expect(got, _column(3, 4, 4), "Rewards 1, 2, 4 with gamma = 1/2: the first step's sum is 1 + 1 + 1", {
        "gamma is not used": _column(7, 6, 4),
        "the discount counts from the first row of the batch: for step t it must count from t":
            _column(3, 2, 1),
        "a step's own reward is discounted already: it counts 1": _column(1.5, 2, 2),
        "the weights go the wrong way: the further away, the less a reward counts": _column(5.25, 5, 4),
        "only the next reward is discounted, those further on are not: gamma must multiply once for each "
        "step between": _column(4, 4, 4),
    })  # fmt: skip


@TO_GO.probe(
    "the end of an episode stops the sum",
    "Where `ends[t]` is True, nothing that comes later in the array belongs to step t.",
    "`~ends[t]` is 1 where the episode goes on and 0 where it ended: multiply what you carry by it.",
)
def _stops(answer: Callable) -> None:
    got = answer(_column(1, 2, 4, 8, 16), _flags(0, 1, 0, 0, 1), 1.0)
    expect(got, _column(3, 2, 28, 24, 16), "Two episodes, of rewards 1, 2 and of 4, 8, 16", {
        "`ends` is not looked at: rewards of the next episode are paid to this one":
            _column(31, 30, 28, 24, 16),
        "the cut is one row early: the step that ends an episode is part of it": _column(1, 14, 12, 8, 16),
        "the cut is one row late: the first step of the next episode still counts": _column(7, 6, 4, 24, 16),
        "the reward of the last step of an episode is lost: the fall is paid, too": _column(1, 0, 12, 8, 0),
        "after the first end nothing counts any more: the environment has begun a new episode":
            _column(3, 2, 0, 0, 0),
        "the cut is turned round: the sum goes on where an episode ended and stops where it does not":
            _column(1, 6, 4, 8, 16),
    })  # fmt: skip


@TO_GO.probe(
    "each environment ends its episodes on its own, and an unfinished one counts as far as it goes",
    "`rewards[t]` is a row with one entry for each environment: let NumPy do all of them at once.",
)
def _columns(answer: Callable) -> None:
    rng = np.random.default_rng(1)
    rewards, ends = rng.normal(size=(20, 4)), rng.random((20, 4)) < 0.2
    want = np.zeros_like(rewards)
    for t, i in np.ndindex(want.shape):
        for k in range(t, 20):
            want[t, i] += 0.9 ** (k - t) * rewards[k, i]
            if ends[k, i]:
                break
    anyone = np.broadcast_to(ends.any(axis=1, keepdims=True), ends.shape)
    mixed = reward_to_go(np.broadcast_to(rewards.sum(axis=1, keepdims=True), ends.shape), ends, 0.9)
    last = np.where(np.cumsum(ends[::-1], axis=0)[::-1] > 0, want, 0)
    expect(answer(rewards, ends, 0.9), want, "Four environments whose episodes end at different times", {
        "an end in one environment cuts the sums of all of them": reward_to_go(rewards, anyone, 0.9),
        "rewards of different environments are added together": mixed,
        "steps of an episode that the batch cuts off get nothing; they get what was collected so far": last,
    })  # fmt: skip


def lambda_return(
    rewards: np.ndarray,
    values: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
    gamma: float,
    lam: float,
) -> np.ndarray:
    """λ-returns: the targets of the value function, without a detour through advantages.

    rewards, terminated, truncated (T, N) and values (T+1, N), as `gae` takes them: the last
    row of `values` closes the batch. Reset rows mean nothing and may not reach real rows.
    Returns (T, N).

    Book: algorithms/vpg
    """
    # solution
    returns = np.zeros(rewards.shape)  # (T, N)
    running = values[-1]  # (N,), what we expect after the batch
    for t in reversed(range(len(rewards))):
        ahead = (1 - lam) * values[t + 1] + lam * running  # the episode goes on
        ahead = np.where(truncated[t], values[t + 1], ahead)  # cut off: only the estimate
        ahead = np.where(terminated[t], 0.0, ahead)  # over: nothing comes
        running = rewards[t] + gamma * ahead
        returns[t] = running
    return returns
    # end


LAMBDA = Exercise(
    "vpg-lambda-return", "Implement: the target, without the advantage", PAGE, SURPRISE, lambda_return
)
NO = (0, 0, 0)


@LAMBDA.probe(
    "λ = 0: the reward, and what the value function expects after it",
    "At λ = 0 no later reward counts: r_t + γ V(s_{t+1}).",
    "`values[t]` belongs to the state before step t, `values[t + 1]` to the state after it.",
)
def _lambda_zero(answer: Callable) -> None:
    rewards, values = _column(1, 2, 4), _column(10, 20, 30, 40)
    got = answer(rewards, values, _flags(*NO), _flags(*NO), 0.5, 0.0)
    expect(got, _column(11, 17, 24), "λ = 0, γ = 1/2, V = 10, 20, 30, 40, an episode that goes on", {
        "λ and 1 − λ are mixed up, or λ is not used: λ = 0 trusts the value function, λ = 1 the rewards":
            _column(8, 14, 24),
        "a step's own value, `values[t]`, stands where the next state's belongs": _column(6, 12, 19),
        "these are advantages: the value that was expected before is subtracted": _column(1, -3, -6),
        "the value is not discounted: it lies one step ahead": _column(21, 32, 44),
        "the value is discounted once too often": _column(6, 9.5, 14),
    })  # fmt: skip


@LAMBDA.probe(
    "λ = 1: the rewards up to a terminated end, and no value at all",
    "After `terminated` nothing comes: neither a value nor a later row counts.",
    "At λ = 1 all values between cancel. Which one is left in yours?",
)
def _lambda_one(answer: Callable) -> None:
    got = answer(_column(1, 1, 1), _column(5, 5, 5, 5), _flags(0, 0, 1), _flags(*NO), 1.0, 1.0)
    expect(got, _column(3, 2, 1), "λ = 1, γ = 1, rewards 1, 1, 1 and then terminated, V = 5 everywhere", {
        "a terminal state is given a value: where `terminated`, nothing comes after": _column(8, 7, 6),
        "these are advantages: the value that was expected before is subtracted": _column(-2, -3, -4),
        "only the next state's value is used at λ = 1: what was collected later has to come in":
            _column(6, 6, 1),
        "the value of each next state is added to what was collected: V and the return are two estimates of "
        "the same thing, shared out as (1 − λ) and λ": _column(13, 7, 1),
    })  # fmt: skip


@LAMBDA.probe(
    "a time limit is no end of the world: the value of the last observation still counts",
    "Where `truncated`, the world would have gone on paying: `values[t + 1]` says how much.",
    "There the whole of V counts. To share it out as (1 − λ) and λ one would need a later return.",
)
def _time_limit(answer: Callable) -> None:
    rewards, values = _column(1, 2, 4), _column(10, 20, 30, 40)
    got = answer(rewards, values, _flags(*NO), _flags(0, 0, 1), 0.5, 0.5)
    ends = (_column(8.625, 10.5, 4), _column(9.25, 13, 14))
    expect(got, _column(9.875, 15.5, 24), "λ = γ = 1/2, truncated at the third step", {
        "truncation is treated as termination: the value of the last observation is dropped": ends[0],
        "where the episode was cut off, only (1 − λ) of the value counts: with no later return there, "
        "the value has to stand for all of it": ends[1],
    })  # fmt: skip


@LAMBDA.probe(
    "the batch ends, the episode does not: its last value stands for the rest",
    "`values` has one row more than `rewards`. What is it for?",
    "Begin the backward pass with what is expected after the batch, not with zero.",
)
def _batch_end(answer: Callable) -> None:
    rewards, values = _column(1, 2, 4), _column(10, 20, 30, 40)
    got = answer(rewards, values, _flags(*NO), _flags(*NO), 0.5, 0.5)
    expect(got, _column(9.875, 15.5, 24), "λ = γ = 1/2, an episode that is still going on", {
        "an episode that the batch cuts off is treated as over: what follows the batch counts nothing":
            _column(8.625, 10.5, 4),
        "the backward pass begins with 0, as if nothing were collected after the batch: begin it with "
        "`values[-1]`": _column(9.25, 13, 14),
    })  # fmt: skip


@LAMBDA.probe(
    "nothing flows back over the end of an episode, whichever kind it was",
    "Two things may come from behind: the next value, and the return that you carry. Follow each of them.",
    "After `truncated` the next value counts and the carried return does not; after `terminated` neither.",
)
def _no_leak(answer: Callable) -> None:
    rewards, values = _column(1, 2, 50, 4, 8), _column(5, 5, 5, 5, 5, 5)
    rows = np.array([1, 1, 0, 1, 1], bool)[:, None]  # the third is a reset row
    for kind, want in (("terminated", 0.0), ("truncated", 5.0)):
        end, no = _flags(0, 1, 0, 0, 0), _flags(0, 0, 0, 0, 0)
        flags = (end, no) if kind == "terminated" else (no, end)
        about = f"The second row is {kind}, the third is a reset row, λ = γ = 1"
        expect(answer(rewards, values, *flags, 1.0, 1.0), _column(3 + want, 2 + want, 0, 17, 13), about, {
            f"what follows in the array flows back over an end that is `{kind}`, the reset row's reward "
            "and the next episode": _column(70, 69, 0, 17, 13),
        }, rows)  # fmt: skip


@LAMBDA.probe(
    "it equals the weighted sum of n-step returns that defines it, on forty random rows",
    "All parts are right on their own. Try N = 1 and print row by row where they first differ.",
)
def _definition(answer: Callable) -> None:
    *batch, valid = _random_batch(np.random.default_rng(2))
    want = _by_definition(*batch, valid, 0.9, 0.7)
    expect(answer(*batch, 0.9, 0.7), want, "Three environments with ends of both kinds", rows=valid)


def masked_policy_loss(
    logp: torch.Tensor,
    advantages: torch.Tensor,
    valid: torch.Tensor,
) -> torch.Tensor:
    """The loss whose gradient is minus the policy-gradient estimator, over valid rows only.

    logp (T, N): carries the gradient. advantages (T, N): numbers, whatever computed them.
    valid (T, N), bool: False on reset rows, where the other two hold anything, even nan.
    Returns a scalar tensor.

    Book: algorithms/vpg
    """
    # solution
    advantages = advantages.detach()[valid]  # (B,)
    return -(logp[valid] * advantages).mean()
    # end


LOSS = Exercise("vpg-policy-loss", "Implement: a loss over real steps", PAGE, LOOP, masked_policy_loss)


def _try_loss(answer: Callable, valid: torch.Tensor, garbage: float) -> tuple[float, np.ndarray, np.ndarray]:
    """Value of the answer's loss, and its gradients with respect to logp and to advantages."""
    logp = torch.tensor([[-1.0, -2.0], [-3.0, -4.0]], dtype=torch.float64)
    advantages = torch.tensor([[1.0, -2.0], [0.5, 4.0]], dtype=torch.float64)
    logp[~valid], advantages[~valid] = garbage, garbage
    logp.requires_grad_(), advantages.requires_grad_()
    loss = answer(logp, advantages, valid)
    if not isinstance(loss, torch.Tensor):
        raise Wrong(f"the loss should be a tensor that can be differentiated; it is a {type(loss).__name__}")
    if loss.shape != ():
        raise Wrong(f"the loss should be one number, of shape (); it has the shape {tuple(loss.shape)}")
    if not loss.requires_grad:
        raise Wrong("no gradient flows from the loss to logp: is it detached, or made anew from numbers?")
    grads = torch.autograd.grad(loss, (logp, advantages), allow_unused=True)
    if grads[0] is None:
        raise Wrong("no gradient flows from the loss to logp, only to the advantages: is logp detached?")
    return loss.item(), *(np.zeros((2, 2)) if g is None else g.numpy() for g in grads)


@LOSS.probe(
    "where every row is valid: minus the mean of logp times advantage",
    "An optimiser *minimises*. What should it minimise, to make actions of positive advantage likelier?",
    "Products first, mean over all of them last, one minus sign in front.",
)
def _all_valid(answer: Callable) -> None:
    loss, _, _ = _try_loss(answer, torch.ones(2, 2, dtype=torch.bool), 0.0)
    want = -np.mean([-1.0, 4.0, -1.5, -16.0])
    unit = vpg.normalize(torch.tensor([1.0, -2.0, 0.5, 4.0])).numpy()
    expect(np.float64(loss), want, "Four rows, logp times advantage −1, 4, −1.5, −16", {
        "the sign is turned round: minimising this makes good actions less likely": -want,
        "this is a sum: with the mean, the step does not grow with the batch": 4 * want,
        "the mean is taken over steps and then summed over environments": 2 * want,
        "mean times mean is not the mean of the products: each advantage belongs to its own action":
            2.5 * 0.875,
        "the advantages do not enter: this makes likelier whatever was done": 2.5,
        "the advantages are normalised first: `update` does that before it calls its loss":
            -np.mean(np.array([-1.0, -2, -3, -4]) * unit),
        "exp(logp) stands where logp belongs: that is another estimator, with other gradients":
            -np.mean(np.exp([-1.0, -2, -3, -4]) * [1, -2, 0.5, 4]),
    })  # fmt: skip


@LOSS.probe(
    "reset rows count neither above nor below the fraction bar",
    "Choose the valid rows first, and compute with those alone: `logp[valid]`.",
    "The mean's denominator is the number of valid rows.",
)
def _reset_rows(answer: Callable) -> None:
    valid = torch.tensor([[True, True], [True, False]])
    loss, _, _ = _try_loss(answer, valid, 10.0)
    want = -1.5 / 3
    expect(np.float64(loss), want, "Three valid rows with products −1, 4, −1.5; the reset row holds 10", {
        "`valid` is not looked at: the reset row's garbage is in the mean": -101.5 / 4,
        "the sum leaves reset rows out but is divided by the number of all rows": -1.5 / 4,
        "`valid` is turned round: these are the reset rows": -100.0,
    })  # fmt: skip


@LOSS.probe(
    "not even nan on a reset row reaches the loss or its gradient",
    "0 times nan is nan: multiplying by the mask does not remove a row. Indexing does.",
)
def _nan(answer: Callable) -> None:
    loss, grad, _ = _try_loss(answer, torch.tensor([[True, True], [True, False]]), float("nan"))
    if np.isnan(loss):
        raise Wrong("nan on a reset row makes the loss nan: multiplying by the mask keeps it (0 · nan = nan)")
    if np.isnan(grad).any():
        raise Wrong("the loss is a number, but its gradient is nan: `where` after the product still "
                    "differentiates through the reset row")  # fmt: skip


@LOSS.probe(
    "the gradient goes to logp, as −advantage / B, and not into the advantages",
    "In the estimator the advantage is a number: what happens to it when the value function made it?",
    "`advantages.detach()` is the same tensor, taken for a constant.",
)
def _gradient(answer: Callable) -> None:
    _, grad, leak = _try_loss(answer, torch.tensor([[True, True], [True, False]]), 10.0)
    if leak.any():
        raise Wrong(
            "the gradient flows into the advantages, too: the value function that made them would be trained "
            "to make the policy look good"
        )
    want = -np.array([[1.0, -2.0], [0.5, 0.0]]) / 3
    expect(grad, want, "The gradient with respect to logp has to be −advantage / 3 on the three valid rows")


# ------------------------------------------------------------------------------------------ break


def gae(
    rewards: np.ndarray,
    values: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
    gamma: float,
    lam: float,
) -> np.ndarray:
    """Generalised advantage estimates (T, N).

    rewards, terminated, truncated (T, N): of transition t, and how it ended.
    values (T+1, N): of the observation *before* transition t; the last row closes the batch.

    Book: algorithms/vpg
    """
    terminated, truncated = terminated.astype(bool), truncated.astype(bool)
    advantages = np.zeros(rewards.shape)  # (T, N)
    running = np.zeros(rewards.shape[1])  # (N,)
    for t in reversed(range(len(rewards))):
        # solution
        over, cut = terminated[t], truncated[t]  # (N,), (N,)
        # given
        # after = min(t + 1, len(rewards) - 1)  # the row of the next observation
        # over, cut = terminated[after], truncated[after]  # (N,), (N,)
        # end
        delta = rewards[t] + gamma * values[t + 1] * ~over - values[t]
        running = delta + gamma * lam * ~(over | cut) * running
        advantages[t] = running
    return advantages


MEND = Exercise("vpg-mend-gae", "Break: find what is wrong, and mend it", PAGE, SURPRISE, gae)


@MEND.probe(
    "an episode that goes on through the whole batch",
    "This part worked when you got the file: compare with the stub.",
)
def _goes_on(answer: Callable) -> None:
    *batch, valid = _random_batch(np.random.default_rng(3))
    flags = np.zeros_like(valid)
    want = _by_definition(*batch[:2], flags, flags, ~flags, 0.9, 0.7) - batch[1][:-1]
    expect(answer(*batch[:2], flags, flags, 0.9, 0.7), want, "Rows on which no episode ends")


@MEND.probe(
    "a fall is felt at the row where it happens",
    "Take λ = 0, where each advantage is one surprise, and a row with `terminated`: print them.",
    "Row t of `terminated` says how *transition* t ended. Which row's value may not count then?",
)
def _fall(answer: Callable) -> None:
    rewards, values, no = _column(1, 1, 1, 1, 1), np.full((6, 1), 5.0), _flags(0, 0, 0, 0, 0)
    got = answer(rewards, values, _flags(0, 0, 1, 0, 0), no, 1.0, 0.0)
    rows = np.array([1, 1, 1, 0, 1], bool)[:, None]
    about = "λ = 0, γ = 1, V = 5 everywhere, the third transition is terminated: its surprise is 1 − 5"
    expect(got, _column(1, 1, -4, 0, 1), about, {
        "the fall is felt one row too early: the step before the last is told that nothing follows, and the "
        "last one is credited with the value of another episode": _column(1, -4, 1, 0, 1),
        "the fall is felt one row too late, on the reset row: the last step still counts on a next state":
            _column(1, 1, 1, 0, 1),
    }, rows)  # fmt: skip


@MEND.probe(
    "a time limit stops the flow and keeps the value",
    "`terminated` decides about the next value. Who decides whether later surprises flow back?",
    "After a cut the row's own surprise counts in full, with its next value; nothing from further on does.",
)
def _cut(answer: Callable) -> None:
    rewards, values, no = _column(1, 1, 50, 1), np.full((5, 1), 5.0), _flags(0, 0, 0, 0)
    got = answer(rewards, values, no, _flags(0, 1, 0, 0), 1.0, 1.0)
    rows = np.array([1, 1, 0, 1], bool)[:, None]
    expect(got, _column(2, 1, 0, 1), "λ = γ = 1, V = 5, the second transition is truncated", {
        "a time limit is treated as a fall: the value of the last observation counts there":
            _column(-3, -4, 0, 1),
        "the flow is cut one row too early: the step before the last does not hear of the last one, and the "
        "last one hears of the next episode": _column(1, 52, 0, 1),
        "what follows a time limit flows back: the reset row and another episode": _column(53, 52, 0, 1),
    }, rows)  # fmt: skip


@MEND.probe(
    "it equals the definition, episode by episode, on forty random rows",
    "Ends of both kinds, several environments: print the first row that differs, and its flags.",
)
def _mended(answer: Callable) -> None:
    *batch, valid = _random_batch(np.random.default_rng(4))
    want = _by_definition(*batch, valid, 0.9, 0.7) - batch[1][:-1]
    expect(answer(*batch, 0.9, 0.7), want, "Three environments with ends of both kinds", rows=valid)


# ------------------------------------------------------------------------------------------ diagnose


def is_broken(estimator: Callable) -> bool:
    """Whether an advantage estimator is wrong, told without training anything.

    estimator: a function with the arguments of `gae`, rewards (T, N), values (T+1, N),
    terminated (T, N), truncated (T, N), gamma, lam; it returns advantages (T, N).

    Book: algorithms/vpg
    """
    # solution
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=(12, 3)), rng.normal(size=(13, 3))  # nonsense
    terminated, truncated = np.zeros((2, 12, 3), bool)
    terminated[5, 0] = truncated[5, 1] = True  # the third environment goes on
    returns = estimator(rewards, values, terminated, truncated, 0.9, 1.0) + values[:-1]
    for i, last in enumerate((5, 5, 11)):
        collected = 0.0 if terminated[last, i] else values[last + 1, i]
        for t in reversed(range(last + 1)):
            collected = rewards[t, i] + 0.9 * collected
            if abs(returns[t, i] - collected) > 1e-4:
                return True
    return False
    # end


DETECT = Exercise("vpg-is-broken", "Diagnose: a test that takes a millisecond", PAGE, BREAK, is_broken)


def _estimator(
    alive: Callable = lambda over, cut: ~over,
    flows: Callable = lambda over, cut: ~(over | cut),
    following: int = 1,
    shift: int = 0,
    dtype: type = float,
) -> Callable:
    """``gae`` with parts exchanged: when the next value counts, when surprises flow, which rows are read."""

    def estimator(rewards, values, terminated, truncated, gamma, lam):
        advantages, running = np.zeros(rewards.shape, dtype), np.zeros(rewards.shape[1:], dtype)
        for t in reversed(range(len(rewards))):
            row = int(np.clip(t + shift, 0, len(rewards) - 1))
            over, cut = terminated[row], truncated[row]
            delta = rewards[t] + gamma * values[t + following] * alive(over, cut) - values[t]
            running = (delta + gamma * lam * flows(over, cut) * running).astype(dtype)
            advantages[t] = running
        return advantages

    return estimator


def _verdict(answer: Callable, estimator: Callable) -> bool:
    got = answer(estimator)
    if not isinstance(got, bool | np.bool_):
        raise Wrong(f"`is_broken` should return True or False; it returns a {type(got).__name__}")
    return bool(got)


@DETECT.probe(
    "the book's own estimator is not accused",
    "At λ = 1 advantage plus value is what was really collected, whatever the values say.",
    "Where the episode goes on, or was cut off by a time limit, a discounted last value belongs to it.",
)
def _innocent(answer: Callable) -> None:
    if _verdict(answer, vpg.gae):
        raise Wrong(
            "it accuses `vpg.gae`, which is right. Are all rows that it compares real ones, and may they "
            "differ by rounding? An alarm that always rings is no alarm"
        )


@DETECT.probe(
    "nor one that is right and computes in float32",
    "Rounding in float32 shifts a number of size 1 by about 1e-7, and sums by a little more.",
)
def _innocent_too(answer: Callable) -> None:
    if _verdict(answer, _estimator(dtype=np.float32)):
        raise Wrong("it accuses a right estimator that rounds to float32: allow for a small difference")


def _must_be_caught(shows: str, estimator: Callable, what: str, *hints: str) -> None:
    def run(answer: Callable) -> None:
        if not _verdict(answer, estimator):
            raise Wrong(f"it lets pass an estimator {what}")

    DETECT.probe(shows, *hints)(run)


_must_be_caught(
    "the bug of this page is caught: values[t] for values[t + 1]",
    _estimator(following=0),
    "that compares a state with itself (values[t] for values[t + 1]); with values that are all zero, or all "
    "alike, or close to right, one cannot see it",
    "Feed it random nonsense for values, and λ = 1: a right estimator lets all of it cancel.",
)
_must_be_caught(
    "a terminal state with a value is caught",
    _estimator(alive=lambda over, cut: np.ones_like(over)),
    "that gives a terminal state a value; does an episode *end* in your test, in the middle of the batch?",
    "Set `terminated` at some row before the last, and add up by hand to there.",
)
_must_be_caught(
    "a leak over the end of an episode is caught",
    _estimator(flows=lambda over, cut: np.ones_like(over)),
    "that lets the next episode flow back into this one; in your test, does anything come after an end?",
    "Let rows follow the end of an episode, with rewards that would be noticed.",
)
_must_be_caught(
    "a time limit that is taken for a fall is caught",
    _estimator(alive=lambda over, cut: ~(over | cut)),
    "that treats a time limit as a fall: is there a `truncated` end in your test?",
    "Cut an episode with `truncated`: what was collected is then the rewards and the discounted value after.",
)
_must_be_caught(
    "a leak over a time limit alone is caught",
    _estimator(flows=lambda over, cut: ~over),
    "that stops at a fall but lets rewards flow back over a time limit",
    "Let rows follow the `truncated` end, and look at the rows before it.",
)
_must_be_caught(
    "flags that are read one row late are caught",
    _estimator(shift=-1),
    "that reads the flags of the row before: the end works, one row too late",
    "Compare every row of the episode, its last one as well.",
)
_must_be_caught(
    "flags that are read one row early are caught",
    _estimator(shift=1),
    "that reads the flags of the row after: the end works, one row too early",
    "Compare every row of the episode, the last but one as well.",
)
