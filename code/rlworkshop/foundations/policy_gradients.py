"""Policy gradients where everything can be known: exact values, exact gradients, and what samples say.

A decision problem of a few states and a softmax policy that is a table. Its objective and its gradient are
solutions of small linear systems, so that every estimator can be held against the truth.

Papers: Williams, *Simple statistical gradient-following algorithms for connectionist reinforcement
learning*, 1992; Sutton, McAllester, Singh & Mansour, *Policy gradient methods for reinforcement learning
with function approximation*, 1999; Greensmith, Bartlett & Baxter, *Variance reduction techniques for
gradient estimates in reinforcement learning*, 2004; Schulman, Moritz, Levine, Jordan & Abbeel,
*High-dimensional continuous control using generalized advantage estimation*, 2016 (arXiv:1506.02438).

Book: foundations/policy_gradients
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.foundations import key_concepts
from rlworkshop.foundations.key_concepts import MDP, Batch, Simulator, play, transitions
from rlworkshop.rngs import Rngs

# ------------------------------------------------------------------------------------------ the world


def thin_ice() -> MDP:
    """Six metres of ice, a shore and the water: states 0 … 5, 6 and 7.

    Action 0 walks one metre, action 1 runs two. A metre gained pays 1. Ice that breaks ends the
    episode, and the move pays nothing. Near both shores the ice bears a walker; in the middle it
    is thin, and the less time one spends on it, the better.

    Book: foundations/policy_gradients
    """
    walker, runner = [0.05, 0.05, 0.3, 0.3, 0.05, 0.05], [0.25, 0.25, 0.2, 0.2, 0.25, 0.25]
    breaks = np.array([walker, runner])  # (2, 6), probability that the ice breaks
    P, R = np.zeros((8, 2, 8)), np.zeros((8, 2, 8))
    for s in range(6):
        for action in (0, 1):
            to = min(s + 1 + action, 6)
            P[s, action, to], P[s, action, 7] = 1 - breaks[action, s], breaks[action, s]
            R[s, action, to] = to - s
    return MDP(P, R, start=np.eye(8)[0])


# ------------------------------------------------------------------------------------------ the policy


def softmax_policy(theta: np.ndarray) -> np.ndarray:
    """Probabilities (S, A) of the actions, from a table ``theta`` (S, A) of preferences.

    Book: foundations/policy_gradients
    """
    odds = np.exp(theta - theta.max(axis=-1, keepdims=True))  # (S, A); the shift changes nothing but safety
    return odds / odds.sum(axis=-1, keepdims=True)


def score(theta: np.ndarray, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Gradients (B, A) of log π(a|s) by the row ``theta[s]``.

    ``states`` and ``actions`` are (B,). All other rows of ``theta`` have gradient zero.

    Book: foundations/policy_gradients
    """
    chosen = np.eye(theta.shape[1])[actions]  # (B, A)
    return chosen - softmax_policy(theta)[states]  # (eq-softmax-score)


# ------------------------------------------------------------------------------------- the exact truth


def softmax_values(mdp: MDP, theta: np.ndarray, gamma: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """V (S,) and Q (S, A) of the policy, by solving V = r + γ P V.

    Book: foundations/policy_gradients
    """
    V = key_concepts.state_values(mdp, softmax_policy(theta), gamma)
    return V, key_concepts.action_values(mdp, V, gamma)


def softmax_visits(mdp: MDP, theta: np.ndarray, gamma: float = 1.0) -> np.ndarray:
    """How often an episode visits each state on average (S,), the visit at step t counting γ^t.

    Book: foundations/policy_gradients
    """
    return key_concepts.visits(mdp, softmax_policy(theta), gamma)


def objective(mdp: MDP, theta: np.ndarray, gamma: float = 1.0) -> float:
    """The expected return of the policy, exactly.

    Book: foundations/policy_gradients
    """
    return float(mdp.start @ softmax_values(mdp, theta, gamma)[0])  # (eq-objective)


def expected_gradient(
    mdp: MDP,
    theta: np.ndarray,
    weights: np.ndarray,
    gamma: float = 1.0,
) -> np.ndarray:
    """What the sum over an episode of γ^t · score · weight is on average (S, A).

    ``weights`` (S, A) are the expected weights of taking a in s. With Q, or Q minus
    anything that depends on s alone, this is the gradient of the objective (Sutton et al., 1999).

    Book: foundations/policy_gradients
    """
    policy = softmax_policy(theta)
    mean = (policy * weights).sum(axis=1, keepdims=True)  # (S, 1)
    often = softmax_visits(mdp, theta, gamma)[:, None]  # (S, 1)
    return often * policy * (weights - mean)  # (eq-policy-gradient)


def exact_gradient(mdp: MDP, theta: np.ndarray, gamma: float = 1.0) -> np.ndarray:
    """The gradient (S, A) of ``objective`` by ``theta``, by linear algebra.

    Book: foundations/policy_gradients
    """
    return expected_gradient(mdp, theta, softmax_values(mdp, theta, gamma)[1], gamma)


def finite_difference(function: Callable[[np.ndarray], float], theta: np.ndarray, h: float) -> np.ndarray:
    """The gradient of ``function`` at ``theta``, each entry moved by ``h`` to either side.

    Book: foundations/policy_gradients
    """
    theta = np.asarray(theta, float)  # whole numbers would take the small moves away
    gradient = np.zeros_like(theta)
    for i in np.ndindex(theta.shape):
        up, down = theta.copy(), theta.copy()
        up[i] += h
        down[i] -= h
        gradient[i] = (function(up) - function(down)) / (2 * h)
    return gradient


# ---------------------------------------------------------------------------------------- experience


def sample_batch(mdp: MDP, theta: np.ndarray, episodes: int, rng: np.random.Generator) -> Batch:
    """Play ``episodes`` whole episodes.

    Raises:
        ValueError: from some state episodes never end.

    Book: foundations/policy_gradients
    """
    return play(Simulator(mdp, Rngs([rng], each=episodes)), softmax_policy(theta))


# ---------------------------------------------------------------------------------------- estimators


def episode_gradients(batch: Batch, theta: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Each episode's sum of score times weight (N, S, A); ``weights`` is (T, N).

    Raises:
        ValueError: there is not one weight for each step.

    Book: foundations/policy_gradients
    """
    shape = batch.actions.shape
    if weights.shape != shape:
        raise ValueError(f"weights must be (T, N) = {shape}, not {weights.shape}")
    gradients = np.zeros((shape[1], *theta.shape))
    for t in range(shape[0]):
        n = np.flatnonzero(batch.alive[t])  # (B,), the episodes that still go on
        s, a = batch.states[t, n], batch.actions[t, n]
        gradients[n, s] += weights[t, n, None] * score(theta, s, a)
    return gradients


def estimate(batch: Batch, theta: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The policy-gradient estimate (S, A) from a batch: the mean over its episodes.

    Book: foundations/policy_gradients
    """
    return episode_gradients(batch, theta, weights).mean(axis=0)  # (eq-reinforce)


def whole_return(rewards: np.ndarray) -> np.ndarray:
    """The return of the whole episode, as a weight for each of its steps (T, N).

    Book: foundations/policy_gradients
    """
    return np.broadcast_to(rewards.sum(axis=0), rewards.shape)


def reward_to_go(rewards: np.ndarray, gamma: float = 1.0) -> np.ndarray:
    """Discounted sum (T, N) of the rewards from each step on.

    ``rewards`` (T, N) are those of whole episodes, 0 behind their end.

    Book: foundations/policy_gradients
    """
    returns = np.zeros(rewards.shape)  # of floats: whole rewards make returns that are not
    running = np.zeros(rewards.shape[1])  # (N,)
    for t in reversed(range(len(rewards))):
        running = rewards[t] + gamma * running  # (eq-to-go)
        returns[t] = running
    return returns


def best_baseline(theta: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """The baseline (S,) with which one step's term has the least variance.

    The mean of ``Q`` (S, A), each action weighing its probability times its squared score
    (Greensmith et al., 2004).

    Book: foundations/policy_gradients
    """
    policy = softmax_policy(theta)
    S, A = policy.shape
    every = score(theta, np.repeat(np.arange(S), A), np.tile(np.arange(A), S)).reshape(S, A, A)
    weight = policy * (every**2).sum(axis=2)  # (S, A)
    return (weight * Q).sum(axis=1) / weight.sum(axis=1)  # (eq-best-baseline)


def gae(batch: Batch, values: np.ndarray, lam: float, gamma: float = 1.0) -> np.ndarray:
    """Generalised advantage estimates (T, N) with a value function ``values`` (S,).

    What ``values`` says of terminal states does not count. (``algorithms.vpg.gae`` does the same
    where batches cut episodes off in the middle.)

    Book: foundations/policy_gradients
    """
    seen = values[batch.states] * batch.alive  # (T+1, N)
    delta = batch.rewards + gamma * seen[1:] - seen[:-1]  # (T, N)
    return reward_to_go(delta, gamma * lam)  # (eq-gae-sum)


def expected_gae(
    mdp: MDP, theta: np.ndarray, values: np.ndarray, lam: float, gamma: float = 1.0
) -> np.ndarray:
    """What ``gae`` gives on average (S, A) for taking a in s, exactly.

    Book: foundations/policy_gradients
    """
    policy, values = softmax_policy(theta), values * ~mdp.terminal
    delta = (mdp.P * (mdp.R + gamma * values)).sum(axis=2) - values[:, None]  # (S, A)
    chain = gamma * lam * transitions(mdp, policy)
    later = np.linalg.solve(np.eye(len(chain)) - chain, (policy * delta).sum(axis=1))  # (S,)
    return delta + gamma * lam * mdp.P @ later


# ------------------------------------------------------------------------- mean over steps or episodes


def mean_over_steps(gradients: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The mean over all steps of a batch (S, A).

    ``gradients`` (N, S, A) are its episodes' sums, ``lengths`` (N,) their numbers of steps.

    Book: foundations/policy_gradients
    """
    return gradients.sum(axis=0) / lengths.sum()  # (eq-step-mean)


def gradient_by_length(mdp: MDP, theta: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Probability of each length of an episode (L+1,), and its part of the gradient (L+1, S, A).

    Entry l of the second is the mean of the reward-to-go estimate over episodes of length l, times their
    probability; all of them add up to the exact gradient. L is ``longest``.

    Raises:
        ValueError: episodes can be longer than that.

    Book: foundations/policy_gradients
    """
    policy = softmax_policy(theta)
    S, A = theta.shape
    ends = mdp.terminal.astype(float)  # (S,), probability to end in exactly k more steps
    returns = np.zeros(S)  # (S,), return from here on, where it ends in exactly k more steps, 0 elsewhere
    q = np.zeros((longest + 1, S, A))  # the same after an action
    for k in range(1, longest + 1):
        q[k] = (mdp.P * (mdp.R * ends + returns)).sum(axis=2)
        ends, returns = (policy * (mdp.P @ ends)).sum(axis=1), (policy * q[k]).sum(axis=1)
    advantage = policy * (q - (policy * q).sum(axis=2, keepdims=True))  # (L+1, S, A)
    at, lengths = mdp.start, np.zeros(longest + 1)  # (S,), where one is at step t
    gradients = np.zeros((longest + 1, S, A))
    for t in range(longest + 1):
        lengths[t] = at @ mdp.terminal
        at = at * ~mdp.terminal
        gradients[t:] += at[:, None] * advantage[: longest + 1 - t]
        at = at @ transitions(mdp, policy)
    if lengths.sum() < 1 - 1e-9:
        raise ValueError(f"episodes are longer than {longest} with probability {1 - lengths.sum():.2g}")
    return lengths, gradients


def expected_step_mean(
    lengths: np.ndarray,
    gradients: np.ndarray,
    episodes: int,
) -> np.ndarray:
    """What ``mean_over_steps`` of so many episodes gives on average (S, A), exactly.

    ``lengths`` and ``gradients`` come from ``gradient_by_length``.

    Book: foundations/policy_gradients
    """
    others = np.ones(1)  # (M,), probability of the number of steps in all other episodes
    for _ in range(episodes - 1):
        others = np.convolve(others, lengths)
    total = np.arange(len(lengths))[:, None] + np.arange(len(others))  # (L+1, M)
    share = (others / np.maximum(total, 1)).sum(axis=1)  # (L+1,), mean of 1 / all steps
    return episodes * np.einsum("l,lsa->sa", share, gradients)


def cosine(x: np.ndarray, y: np.ndarray) -> float:
    """Cosine of the angle between two gradients of any one shape.

    Book: foundations/policy_gradients
    """
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))
