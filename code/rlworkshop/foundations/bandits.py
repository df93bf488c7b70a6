"""Bandits: one state, many actions, and the question what to try.

Rules that pick an arm, from ε-greedy to Thompson sampling, a loop that plays them for N learners side by
side, and what they are measured with: regret, and the bound below which no consistent rule can stay.

Papers: Sutton & Barto, *Reinforcement learning: an introduction*, 2nd edition, 2018, chapter 2; Thompson,
*On the likelihood that one unknown probability exceeds another in view of the evidence of two samples*, 1933;
Lai & Robbins, *Asymptotically efficient adaptive allocation rules*, 1985; Auer, Cesa-Bianchi & Fischer,
*Finite-time analysis of the multiarmed bandit problem*, 2002.

Book: foundations/bandits
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rlworkshop.foundations.key_concepts import must_be_floats
from rlworkshop.foundations.policy_gradients import softmax_policy
from rlworkshop.rngs import Rngs

Choose = Callable[[np.ndarray, np.ndarray, int, Rngs], np.ndarray]
"""``choose(Q, n, t, rngs)``: actions (N,) from estimates (N, A), pulls of each arm (N, A) and of all, t."""

# ------------------------------------------------------------------------------------------ the world


def testbed(rngs: Rngs, arms: int = 10) -> np.ndarray:
    """True values (N, A) of a bandit for each learner, from the standard normal distribution.

    Rewards scatter around them with standard deviation 1 (Sutton & Barto, 2018, section 2.3).

    Book: foundations/bandits
    """
    return rngs.normal(arms)


@dataclass(frozen=True, eq=False)
class History:
    """What N learners did in T steps.

    Book: foundations/bandits
    """

    actions: np.ndarray
    """(T, N)"""
    rewards: np.ndarray
    """(T, N)"""
    gaps: np.ndarray
    """(T, N), how much better the best arm's true value was than that of the arm pulled"""
    Q: np.ndarray
    """(N, A), estimates at the end; of a gradient bandit, its preferences"""
    n: np.ndarray
    """(N, A), how often each arm was pulled"""

    @property
    def optimal(self) -> np.ndarray:
        """(T, N) bool, whether the best arm was pulled."""
        return self.gaps == 0

    @property
    def regret(self) -> np.ndarray:
        """(T, N), the sum of the gaps up to and with each step."""
        return self.gaps.cumsum(axis=0)  # (eq-bandit-regret)


# --------------------------------------------------------------------------------------- what to try


def epsilon_greedy(Q: np.ndarray, epsilon: float, rngs: Rngs) -> np.ndarray:
    """The best-looking action (N,) of each row of ``Q`` (N, A); any, with probability ``epsilon``.

    ``epsilon`` is one number, or one for each row (N,).

    Book: foundations/bandits
    """
    explore = rngs.uniform() < epsilon  # (N,)
    return np.where(explore, rngs.integers(Q.shape[1]), rngs.argmax(Q))  # (eq-bandit-epsilon)


def ucb(Q: np.ndarray, n: np.ndarray, t: int, c: float, rngs: Rngs) -> np.ndarray:
    """The action (N,) with the highest upper confidence bound; arms never pulled come first.

    ``Q`` and ``n`` (N, A) are estimates and numbers of pulls, ``t`` the pulls so far, and ``c``
    says how many widths the bound lies above the estimate: one number, or one for each row (N,).

    Book: foundations/bandits
    """
    width = np.sqrt(np.log(t + 1) / np.maximum(n, 1))  # (N, A)
    bound = Q + np.reshape(c, (-1, 1)) * width  # (eq-bandit-ucb)
    return rngs.argmax(np.where(n > 0, bound, np.inf))


def posterior(
    Q: np.ndarray,
    n: np.ndarray,
    prior_variance: float | np.ndarray = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (N, A) of the belief about each arm's value.

    Rewards have variance 1; before any of them the belief is normal, with mean 0 and
    ``prior_variance``, one number or one for each row (N,). ``Q`` (N, A) are plain means of rewards,
    ``n`` (N, A) how many these were.

    Raises:
        ValueError: ``prior_variance`` is not above 0.

    Book: foundations/bandits
    """
    variance = np.reshape(prior_variance, (-1, 1))
    if not (variance > 0).all():
        raise ValueError(f"a prior variance is above 0, not {prior_variance}")
    precision = n + 1 / variance  # (N, A)
    return n * Q / precision, np.sqrt(1 / precision)  # (eq-bandit-posterior)


def thompson(
    Q: np.ndarray,
    n: np.ndarray,
    rngs: Rngs,
    prior_variance: float | np.ndarray = 1.0,
) -> np.ndarray:
    """The action (N,) that is best in one world drawn from the ``posterior`` (Thompson, 1933).

    Book: foundations/bandits
    """
    mean, std = posterior(Q, n, prior_variance)
    imagined = mean + std * rngs.normal(Q.shape[1])  # (eq-bandit-thompson)
    return imagined.argmax(axis=1)  # two normal draws do not tie


# ------------------------------------------------------------------------------------------- learning


def update_values(
    Q: np.ndarray,
    n: np.ndarray,
    actions: np.ndarray,
    rewards: np.ndarray,
    step_size: float | None = None,
) -> None:
    """Move the estimates of the arms pulled towards their rewards, and count the pulls: in place.

    ``Q`` and ``n`` are (N, A), ``actions`` and ``rewards`` (N,). Without a ``step_size`` it is one
    over the number of pulls, which makes each estimate the plain mean of its arm's rewards.

    Raises:
        TypeError: ``Q`` is not of floats.

    Book: foundations/bandits
    """
    must_be_floats(Q)
    cells = np.arange(len(Q)), actions
    n[cells] += 1
    alpha = 1 / n[cells] if step_size is None else step_size
    Q[cells] += alpha * (rewards - Q[cells])  # (eq-bandit-update)


def update_preferences(
    H: np.ndarray,
    actions: np.ndarray,
    rewards: np.ndarray,
    baseline: np.ndarray,
    alpha: float | np.ndarray,
) -> np.ndarray:
    """New preferences (N, A): an action that paid more than ``baseline`` gets likelier.

    ``H`` is (N, A), ``actions``, ``rewards`` and ``baseline`` (N,); ``alpha`` one number or (N,).

    Book: foundations/bandits
    """
    chosen = np.arange(H.shape[1]) == actions[:, None]  # (N, A)
    step = (alpha * (rewards - baseline))[:, None]
    return H + step * (chosen - softmax_policy(H))  # (eq-bandit-gradient)


# -------------------------------------------------------------------------------------------- playing


def play(
    means: np.ndarray,
    choose: Choose,
    steps: int,
    rngs: Rngs,
    step_size: float | None = None,
    initial: float | np.ndarray = 0.0,
    drift: float = 0.0,
) -> History:
    """Let N learners that keep an estimate of each arm pull ``steps`` arms.

    Args:
        means: (N, A), true values at the start; rewards scatter around them with standard deviation 1.
        choose: how arms are picked, such as ``lambda Q, n, t, rngs: epsilon_greedy(Q, 0.1, rngs)``.
        step_size: of the estimates; ``None`` makes them plain means.
        initial: what all estimates begin with: one number, or one for each learner (N,).
        drift: standard deviation of what is added to every true value after each step.

    Raises:
        ValueError: ``means`` has not a row for each die, or a step size is out of range.

    Book: foundations/bandits
    """
    _fits(means, rngs)
    if step_size is not None and not 0 < step_size <= 1:
        raise ValueError(f"step_size lies above 0 and at most at 1, not at {step_size}")
    Q, n = _by_column(means.shape), _by_column(means.shape)  # (N, A)
    Q += np.reshape(initial, (-1, 1))

    def learn(actions: np.ndarray, rewards: np.ndarray) -> None:
        update_values(Q, n, actions, rewards, step_size)

    records = _pull(means, lambda t: choose(Q, n, t, rngs), learn, steps, rngs, drift)
    return History(*records, Q=Q, n=n)


def play_gradient(
    means: np.ndarray, alpha: float | np.ndarray, steps: int, rngs: Rngs, baseline: float = 1.0
) -> History:
    """Let N gradient bandits pull ``steps`` arms; arguments and errors are those of ``play``.

    Args:
        alpha: step size, one number or one for each learner (N,).
        baseline: the part of the mean reward so far that is the baseline: 1 all of it, 0 none.

    Book: foundations/bandits
    """
    _fits(means, rngs)
    H, n = _by_column(means.shape), _by_column(means.shape)  # (N, A)
    mean, seen = np.zeros(len(means)), 0  # (N,), of all rewards before the newest

    def learn(actions: np.ndarray, rewards: np.ndarray) -> None:
        nonlocal mean, seen
        expected = baseline * mean if seen else baseline * rewards  # the first reward has none before it
        H[:] = update_preferences(H, actions, rewards, expected, alpha)
        n[np.arange(len(n)), actions] += 1
        seen += 1
        mean = mean + (rewards - mean) / seen

    records = _pull(means, lambda t: rngs.choice(softmax_policy(H)), learn, steps, rngs)
    return History(*records, Q=H, n=n)


# --------------------------------------------------------------------------------------------- bounds


def lai_robbins(means: np.ndarray) -> np.ndarray:
    """What regret per log T no consistent rule can stay below in the long run (N,).

    For normal rewards of variance 1. Gaps of 0, those of the best arms, cost nothing (Lai &
    Robbins, 1985). ``means`` is (N, A).

    Book: foundations/bandits
    """
    gaps = means.max(axis=1, keepdims=True) - means  # (N, A)
    cost = np.divide(2.0, gaps, out=np.zeros(gaps.shape), where=gaps > 0)
    return cost.sum(axis=1)  # (eq-bandit-bound)


def ucb_balance(means: np.ndarray, T: float, c: float) -> np.ndarray:
    """How often UCB pulls each arm (N, A) in the first ``T`` pulls, if luck is left out.

    All bounds are then level, and the level is where the pulls add up to ``T``: found by halving
    an interval. ``means`` is (N, A).

    Raises:
        ValueError: ``T`` is not above 1, or ``c`` not above 0.

    Book: foundations/bandits
    """
    if not (T > 1 and c > 0):
        raise ValueError(f"T lies above 1 and c above 0, not at {T} and {c}")
    low = means.max(axis=1, keepdims=True)  # (N, 1), where the best arm is pulled without end
    high = low + c * np.sqrt(means.shape[1] * np.log(T) / T)  # where pulls are T at the most
    for _ in range(60):
        level = (low + high) / 2
        pulls = c**2 * np.log(T) / (level - means) ** 2  # (eq-bandit-balance)
        many = pulls.sum(axis=1, keepdims=True) > T
        low, high = np.where(many, level, low), np.where(many, high, level)
    return pulls


# -------------------------------------------------------------------------------------------- details


def _by_column(shape: tuple[int, int]) -> np.ndarray:
    """Zeros (N, A) with the rows next to each other in memory: a maximum over few arms is then quick."""
    return np.zeros(shape[::-1]).T


def _fits(means: np.ndarray, rngs: Rngs) -> None:
    if means.ndim != 2 or len(means) != len(rngs):
        raise ValueError(
            f"means must be (N, A) with N = {len(rngs)}, one row for each learner, not {means.shape}"
        )


def _pull(
    means: np.ndarray, choose: Callable, learn: Callable, steps: int, rngs: Rngs, drift: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Actions, rewards and gaps, each (T, N), of ``steps`` pulls."""
    rows, best = np.arange(len(means)), means.max(axis=1)
    actions = np.empty((steps, len(means)), np.int16)
    rewards, gaps = np.empty(actions.shape), np.empty(actions.shape)
    for t in range(steps):
        pulled = choose(t)  # (N,)
        value = means[rows, pulled]
        actions[t], rewards[t], gaps[t] = pulled, value + rngs.normal(), best - value
        learn(pulled, rewards[t])
        if drift:
            means = means + drift * rngs.normal(means.shape[1])
            best = means.max(axis=1)
    return actions, rewards, gaps
