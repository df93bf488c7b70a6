"""Exercises of the chapter on deep deterministic policy gradient.

Book: algorithms/ddpg
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "algorithms/ddpg"
ACTOR = "An actor that climbs the critic"
BREAK = "Break it"

# ------------------------------------------------------------------------------------------ derive


def policy_gradient(obs: np.ndarray, weights: np.ndarray, best: np.ndarray) -> np.ndarray:
    """The deterministic policy gradient of a small actor, for a critic with a formula.

    obs (B, D). weights (K, D): the actor does a = tanh(weights @ s).
    best (B, K): the critic is Q(s, a) = ``-|a - best|²``, summed over the K components.
    Returns (K, D): the gradient of the mean of Q over the batch with respect to the weights.

    Book: algorithms/ddpg
    """
    # solution
    action = np.tanh(obs @ weights.T)  # (B, K)
    slope = 2 * (best - action)  # (B, K), of Q at the actor's action
    return (slope * (1 - action**2)).T @ obs / len(obs)
    # end


GRADIENT = Exercise(
    "ddpg-policy-gradient", "Derive: two slopes, one after the other", PAGE, ACTOR, policy_gradient
)
CHAIN = (
    "The chain rule: the slope of Q in the action, where the actor acts, times that of the action.",
    "tanh has the slope 1 − tanh²; the weight of component k and input d moves the action's input by s_d.",
    "For one state it is (2 (best − a) (1 − a²))_k s_d; then the mean over the batch.",
)


def _rows(obs: np.ndarray, weights: np.ndarray, best: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope of Q (B, K) at the actor's action (B, K)."""
    action = np.tanh(obs @ weights.T)
    return 2 * (best - action), action


@GRADIENT.probe("one state, one component, at weights of 0", *CHAIN)
def _at_zero(answer: Callable) -> None:
    obs, weights, best = np.array([[1.0, 2.0]]), np.zeros((1, 2)), np.array([[0.5]])
    expect(answer(obs, weights, best), np.array([[1.0, 2.0]]), "s = (1, 2), weights 0, best ½", {
        "this points down: the actor is to make Q large, and this is the gradient of −Q": [[-1.0, -2.0]],
        "the 2 of the square is missing": [[0.5, 1.0]],
        "the slope of Q alone is no gradient of weights: how does the action move with them?": [[1.0, 1.0]],
    })  # fmt: skip


@GRADIENT.probe("where the actor is saturated, little of the slope gets through", *CHAIN)
def _squashed(answer: Callable) -> None:
    obs, weights, best = np.array([[1.0, 0.5]]), np.array([[1.0, 1.0]]), np.array([[-1.0]])
    slope, action = _rows(obs, weights, best)
    want = (slope * (1 - action**2)).T @ obs
    expect(answer(obs, weights, best), want, "s = (1, ½), weights (1, 1), best −1", {
        "the slope of tanh is missing: the nearer to ±1, the less the action moves": slope.T @ obs,
        "tanh has the slope 1 − tanh², and not 1 − tanh": (slope * (1 - action)).T @ obs,
        "Q's slope was taken at the input of tanh: take it at the action that is done":
            (2 * (best - obs @ weights.T) * (1 - action**2)).T @ obs,
    })  # fmt: skip


@GRADIENT.probe(
    "a batch is averaged, and each component has weights of its own",
    "One row of the gradient for each component: (K, B) times (B, D).",
    "The mean over the batch divides by B, and not by K.",
)
def _batch(answer: Callable) -> None:
    rng = np.random.default_rng(0)
    obs, weights, best = rng.normal(size=(4, 3)), rng.normal(size=(2, 3)), rng.normal(size=(4, 2))
    slope, action = _rows(obs, weights, best)
    total = (slope * (1 - action**2)).T @ obs
    expect(answer(obs, weights, best), total / 4, "Four states of three numbers, two components", {
        "this is the sum over the batch: the loss is a mean": total,
        "this divides by the number of components as well: Q sums over them": total / 8,
    })  # fmt: skip


@GRADIENT.drawn
def _any_gradient(rng: np.random.Generator) -> tuple:
    return rng.normal(size=(3, 2)), rng.normal(size=(2, 2)), rng.uniform(-1, 1, (3, 2))


# ------------------------------------------------------------------------------------------ diagnose


def settles(reward: np.ndarray, gamma: float) -> np.ndarray:
    """Where the critic of the page's broken agent comes to rest, and its loss there.

    reward (B,): the rewards of a batch. Nothing terminates: each discount is gamma.
    Returns (2,): the one value that all predictions and all targets' values have come to, and
    half the mean of the B * B squared differences that the broken loss is made of.

    Book: algorithms/ddpg
    """
    # solution
    value = reward.mean() / (1 - gamma)
    return np.array([value, 0.5 * reward.var()])
    # end


SETTLES = Exercise("ddpg-settles", "Diagnose: what a blind critic says", PAGE, BREAK, settles)
REST = (
    "Row i, column j of the difference is q_i − r_j − γ q'_i. At rest all q_i and all q'_i are one number q.",
    "Setting the slope in q_i to zero: the mean over j of the differences is 0. Solve for q.",
    "What is left of each difference is mean(r) − r_j. The loss is half of the mean of its square.",
)


@SETTLES.probe("the value at rest is the return of being paid the average reward for ever", *REST)
def _value(answer: Callable) -> None:
    got, about = answer(np.array([-1.0, -3.0]), 0.75), "Rewards −1 and −3, γ = ¾"
    if np.shape(got) != (2,):
        expect(got, np.array([-8.0, 0.5]), about, {})
    expect(np.asarray(got)[:1], np.array([-8.0]), f"{about}: the value", {
        "this is the average reward: the value of the next state counts, too": [-2.0],
        "rewards are added up: they are averaged, since the loss is a mean over j": [-16.0],
        "γ times the value comes back on the other side: (1 − γ) q = mean(r)": [-3.5],
        "this divides by γ: solve (1 − γ) q = mean(r) for q": [-2.0 / 0.75],
    })  # fmt: skip


@SETTLES.probe("and the loss there is not 0, however long one trains", *REST)
def _loss(answer: Callable) -> None:
    got = answer(np.array([0.0, 0.0, -6.0]), 0.9)
    expect(np.asarray(got), np.array([-20.0, 4.0]), "Rewards 0, 0 and −6, γ = 0.9: value and loss", {
        "one value cannot equal different rewards: something of each difference is left": [-20.0, 0.0],
        "the ½ of the loss is missing": [-20.0, 8.0],
        "the variance divides by B here, and not by B − 1": [-20.0, 6.0],
        "this is the standard deviation: the loss has squares": [-20.0, 0.5 * 8**0.5],
        "a loss of targets does not divide by 1 − γ: both sides have the same value": [-20.0, 400.0],
    })  # fmt: skip


@SETTLES.drawn
def _any_rest(rng: np.random.Generator) -> tuple:
    return rng.normal(size=5), rng.uniform(0.1, 0.95)


# ------------------------------------------------------------------------------------------ mend


def loss(q: np.ndarray, reward: np.ndarray, discount: np.ndarray, next_q: np.ndarray) -> float:
    """Half the mean squared TD error of a batch.

    q, next_q (B, 1): what the critic says of the batch, and the target critic of what comes
    next, as a network with one output gives it.
    reward, discount (B,): the discount is gamma, or 0 where the transition terminated.
    Returns a number.

    Book: algorithms/ddpg
    """
    # solution
    target = reward + discount * next_q[:, 0]
    return 0.5 * ((q[:, 0] - target) ** 2).mean()
    # given
    # target = reward + discount * next_q
    # return 0.5 * ((q - target) ** 2).mean()
    # end


MEND = Exercise("ddpg-mend-loss", "Mend: a loss that compares each with each", PAGE, BREAK, loss)
SHAPES = (
    "Print the shape of `q - target` for a batch of three. It should be (3,).",
    "(B, 1) beside (B,) is stretched to (B, B). Take the last axis off what networks say: `[:, 0]`.",
    "Both of them: `q` and `next_q`.",
)


def _mixed(q: np.ndarray, reward: np.ndarray, discount: np.ndarray, next_q: np.ndarray) -> dict:
    """What answers with one shape still wrong give."""
    target = reward + discount * next_q[:, 0]
    both = reward + discount * next_q
    return {
        "each prediction is still compared with each target: `q` is (B, 1) and the target (B,)":
            0.5 * ((q - target) ** 2).mean(),
        "each reward still meets the value of each next state: `next_q` is (B, 1) and the reward (B,)":
            0.5 * ((q[:, 0] - both) ** 2).mean(),
        "nothing has changed: the differences are still (B, B)": 0.5 * ((q - both) ** 2).mean(),
        "the mean over the batch was taken before the square": 0.5 * (q[:, 0] - target).mean() ** 2,
        "the ½ is gone": ((q[:, 0] - target) ** 2).mean(),
        "this is a sum over the batch": 0.5 * ((q[:, 0] - target) ** 2).sum(),
    }  # fmt: skip


@MEND.probe("a critic that is right has no loss", *SHAPES)
def _right(answer: Callable) -> None:
    next_q, reward, discount = np.array([[2.0], [4.0]]), np.array([1.0, 5.0]), np.array([0.5, 0.5])
    case = np.array([[2.0], [7.0]]), reward, discount, next_q
    expect(answer(*case), np.array(0.0), "Values 2 and 7, each just what its target says", _mixed(*case))


@MEND.probe("three transitions, an end among them", *SHAPES)
def _three(answer: Callable) -> None:
    q, next_q = np.array([[1.0], [2.0], [0.0]]), np.array([[2.0], [8.0], [-2.0]])
    case = q, np.array([1.0, 3.0, 0.0]), np.array([0.5, 0.0, 0.5]), next_q
    expect(answer(*case), np.array(0.5), "Targets 2, 3 and −1, values 1, 2 and 0", _mixed(*case))


@MEND.drawn
def _any_loss(rng: np.random.Generator) -> tuple:
    B = int(rng.integers(1, 5))
    return rng.normal(size=(B, 1)), rng.normal(size=B), rng.uniform(size=B), rng.normal(size=(B, 1))
