"""Values as weighted sums of features: what is learned, what is not, and what blows up.

Linear value functions on problems whose answers are linear algebra (a long random walk, a world of weather,
Baird's star), and on one that has a continuum of states, the mountain car, with tile coding.

Papers: Sutton & Barto, *Reinforcement learning: an introduction*, 2nd edition, 2018, chapters 9 to 11;
Tsitsiklis & Van Roy, *An analysis of temporal-difference learning with function approximation*, 1997;
Baird, *Residual algorithms*, 1995; Sutton, Maei et al., *Fast gradient-descent methods for
temporal-difference learning with linear function approximation*, 2009.

Book: foundations/function_approximation
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from rlworkshop.foundations.key_concepts import MDP, Simulator, must_be_floats, transitions, visits
from rlworkshop.rngs import Rngs

# ------------------------------------------------------------------------------------------ features


@dataclass(frozen=True)
class TileCoder:
    """Grids laid over a box, each shifted a little: a point's features are the tiles it lies in.

    Tiling i is shifted by i · (1, 3, 5, …) / ``tilings`` of a tile, whole tiles left out. One
    tiling is a table. Points outside the box count as the nearest point of its edge.

    Raises:
        ValueError: an empty box, or fewer than one tile or tiling.

    Book: foundations/function_approximation
    """

    low: tuple[float, ...]
    """the box: its lower corner"""
    high: tuple[float, ...]
    """and its upper one"""
    tiles: int = 8
    """tiles side by side that span the box, in each dimension"""
    tilings: int = 8

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high) or not np.all(np.array(self.high) > self.low):
            raise ValueError(f"a box needs high above low in each dimension, not {self.low} to {self.high}")
        if self.tiles < 1 or self.tilings < 1:
            raise ValueError(f"at least one tile and one tiling, not {self.tiles} and {self.tilings}")

    @property
    def features(self) -> int:
        """How many tiles there are; a shifted grid needs one more in each dimension."""
        return self.tilings * (self.tiles + 1) ** len(self.low)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Numbers (N, tilings) of the tiles in which ``points`` (N, K) lie."""
        low, scale, shift, numbers, first = self._layout
        at = np.minimum(np.maximum((points - low) * scale, 0.0), self.tiles)  # (N, K), in tiles
        cells = (at[:, None] + shift).astype(np.int64)  # (N, tilings, K); rounds down
        return cells @ numbers + first

    @cached_property
    def _layout(self) -> tuple[np.ndarray, ...]:
        low, high, K = np.array(self.low), np.array(self.high), len(self.low)
        i, side = np.arange(self.tilings), self.tiles + 1
        shift = np.outer(i, 2 * np.arange(K) + 1) / self.tilings % 1  # (eq-fa-tiles)
        return low, self.tiles / (high - low), shift, side ** np.arange(K), i * side**K


# ---------------------------------------------------------------------------------- update rules


def gradient_step(w: np.ndarray, x: np.ndarray, target: np.ndarray, alpha: float) -> np.ndarray:
    """Weights (N, D) after a step towards targets (N,) for states with features ``x`` (N, D).

    Book: foundations/function_approximation
    """
    error = target - (w * x).sum(axis=1)  # (N,)
    return w + alpha * error[:, None] * x  # (eq-fa-gradient)


def semi_gradient_td(
    w: np.ndarray,
    x: np.ndarray,
    reward: np.ndarray,
    following: np.ndarray,
    alpha: float,
    gamma: float,
    rho: np.ndarray | float = 1.0,
) -> np.ndarray:
    """Weights (N, D) after one step of TD(0) (Sutton, 1988).

    ``following`` (N, D) are the features of the next states: all 0 where that was terminal.
    ``rho`` (N,): how much likelier the judged policy was to act like this than the acting one.

    Book: foundations/function_approximation
    """
    delta = reward + gamma * (w * following).sum(axis=1) - (w * x).sum(axis=1)  # (N,)
    return w + alpha * (rho * delta)[:, None] * x  # (eq-fa-td)


def tdc(
    w: np.ndarray,
    h: np.ndarray,
    x: np.ndarray,
    reward: np.ndarray,
    following: np.ndarray,
    alpha: float,
    beta: float,
    gamma: float,
    rho: np.ndarray | float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Weights and helper (N, D) after a step of TD with gradient correction (Sutton et al., 2009).

    Arguments as in ``semi_gradient_td``. The helper ``h`` learns with ``beta`` to predict the TD
    error from the features.

    Book: foundations/deadly_triad
    """
    delta = reward + gamma * (w * following).sum(axis=1) - (w * x).sum(axis=1)  # (N,)
    expected = (h * x).sum(axis=1)  # (N,), the TD error that the helper expects
    correction = gamma * (rho * expected)[:, None] * following  # (N, D)
    w = w + alpha * ((rho * delta)[:, None] * x - correction)  # (eq-fa-tdc)
    return w, h + beta * (rho * delta - expected)[:, None] * x


def sarsa_update(
    w: np.ndarray,
    active: np.ndarray,
    action: np.ndarray,
    reward: np.ndarray | float,
    next_active: np.ndarray,
    next_action: np.ndarray,
    terminated: np.ndarray,
    alpha: np.ndarray,
) -> np.ndarray:
    """One step of semi-gradient SARSA, undiscounted: changes ``w`` (N, F, A), returns δ (N,).

    ``active`` and ``next_active`` (N, K) are the features that are 1 in the two states. What
    comes next does not count where the episode ``terminated`` (N,).

    Raises:
        TypeError: ``w`` is not of floats.

    Book: foundations/function_approximation
    """
    must_be_floats(w)
    rows = np.arange(len(w))[:, None]  # (N, 1)
    here, there = (rows, active, action[:, None]), (rows, next_active, next_action[:, None])
    target = reward + np.where(terminated, 0.0, w[there].sum(axis=1))  # (N,)
    weights = w[here]  # (N, K)
    delta = target - weights.sum(axis=1)
    w[here] = weights + (alpha * delta)[:, None]  # (eq-fa-sarsa)
    return delta


# ------------------------------------------------------------------------------- prediction, exactly


@dataclass(frozen=True, eq=False)
class Task:
    """A policy to be judged by a linear value function: S states, D features, every number known.

    Raises:
        ValueError: shapes do not fit, rows of ``P`` are no probabilities, or ``d`` is no distribution.

    Book: foundations/function_approximation
    """

    P: np.ndarray
    """(S, S), probability of each next state under the policy; what a row lacks to 1, it ends with"""
    r: np.ndarray
    """(S,), expected reward of a step from each state"""
    X: np.ndarray
    """(S, D), features of each state"""
    d: np.ndarray
    """(S,), how often each state is updated, of all updates"""
    gamma: float

    def __post_init__(self) -> None:
        S = len(self.P)
        if self.P.shape != (S, S) or self.r.shape != (S,) or self.d.shape != (S,) or len(self.X) != S:
            raise ValueError(f"a task of {S} states needs P (S, S), r (S,), X (S, D) and d (S,)")
        if self.P.min() < 0 or self.P.sum(axis=1).max() > 1 + 1e-9:
            raise ValueError("rows of P are probabilities and add up to at most 1")
        if self.d.min() < 0 or not np.isclose(self.d.sum(), 1):
            raise ValueError("d is a distribution over states")


def on_policy(mdp: MDP, policy: np.ndarray, X: np.ndarray, gamma: float) -> Task:
    """The task of judging the policy (S, A) that acts; ``X`` has a row for each state that is not terminal.

    Book: foundations/function_approximation
    """
    alive = ~mdp.terminal
    often = visits(mdp, policy, 1.0)[alive]
    P = transitions(mdp, policy)[np.ix_(alive, alive)]
    return Task(P, (policy * mdp.r).sum(axis=1)[alive], X, often / often.sum(), gamma)


def true_values(task: Task) -> np.ndarray:
    """V (S,) of the policy, whatever the features.

    Book: foundations/function_approximation
    """
    return np.linalg.solve(np.eye(len(task.P)) - task.gamma * task.P, task.r)


def value_error(task: Task, w: np.ndarray) -> np.ndarray:
    """Mean squared error (...) of the values that weights (..., D) give, states weighted by ``d``.

    Book: foundations/function_approximation
    """
    return ((true_values(task) - w @ task.X.T) ** 2) @ task.d  # (eq-fa-ve)


def best_weights(task: Task) -> np.ndarray:
    """The weights (D,) with the least value error, the shortest where there are several.

    Book: foundations/function_approximation
    """
    root = np.sqrt(task.d)
    return np.linalg.lstsq(root[:, None] * task.X, root * true_values(task))[0]


def td_system(task: Task, lam: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A (D, D) and b (D,): an update of TD(λ) moves the weights by α (b − A w) on average.

    Book: foundations/function_approximation
    """
    S, weighted = len(task.P), task.X.T * task.d  # (D, S)
    if lam:
        weighted = weighted @ np.linalg.inv(np.eye(S) - task.gamma * lam * task.P)
    A = weighted @ (np.eye(S) - task.gamma * task.P) @ task.X  # (eq-fa-system)
    return A, weighted @ task.r


def td_fixed_point(task: Task, lam: float = 0.0) -> np.ndarray:
    """The weights (D,) that TD(λ) does not move on average.

    Raises:
        LinAlgError: there is not exactly one such point.

    Book: foundations/function_approximation
    """
    return np.linalg.solve(*td_system(task, lam))


def least_td_error(task: Task) -> np.ndarray:
    """The weights (D,) with the least mean squared TD error, if rewards depend on s alone.

    Book: foundations/function_approximation
    """
    P = np.column_stack([task.P, 1 - task.P.sum(axis=1)])  # (S, S+1), the last one ends
    following = np.vstack([task.X, np.zeros(task.X.shape[1])])  # (S+1, D)
    root = np.sqrt(np.maximum(task.d[:, None] * P, 0)).ravel()  # (S·(S+1),)
    rows = (task.X[:, None] - task.gamma * following).reshape(len(root), -1)  # −∇δ
    target = np.repeat(task.r, P.shape[1])
    return np.linalg.lstsq(root[:, None] * rows, root * target)[0]  # (eq-fa-residual)


def least_bellman_error(task: Task) -> np.ndarray:
    """The weights (D,) with the least mean square of each state's *mean* TD error.

    Book: foundations/function_approximation
    """
    root = np.sqrt(task.d)[:, None]
    rows = task.X - task.gamma * task.P @ task.X  # (S, D)
    return np.linalg.lstsq(root * rows, root[:, 0] * task.r)[0]


# --------------------------------------------------------------------------------------- stability


def visible(task: Task) -> Task:
    """Task with the same values and as few weights as they need: what changes no value is left out.

    Book: foundations/deadly_triad
    """
    _, size, turned = np.linalg.svd(task.X)
    kept = turned[: (size > 1e-10 * size.max()).sum()]  # (rank, D)
    return replace(task, X=task.X @ kept.T)


def iteration_matrix(task: Task, alpha: float, freeze: int = 1) -> np.ndarray:
    """What ``freeze`` expected TD updates do to the distance from the fixed point (D, D).

    All of them take the value of the next state from the weights as they were before the first,
    as with a target network that is copied every ``freeze`` updates. With 1 this is TD(0).

    Raises:
        ValueError: ``freeze`` is below 1.

    Book: foundations/deadly_triad
    """
    if freeze < 1:
        raise ValueError(f"the target is frozen for at least one update, not for {freeze}")
    weighted = task.X.T * task.d  # (D, S)
    forget = np.eye(task.X.shape[1]) - alpha * weighted @ task.X
    pull = alpha * task.gamma * weighted @ task.P @ task.X
    M = np.eye(len(forget))
    for _ in range(freeze):
        M = forget @ M + pull  # (eq-fa-frozen)
    return M


def spectral_radius(M: np.ndarray) -> float:
    """The factor by which repeated multiplication with ``M`` grows in the long run.

    Book: foundations/deadly_triad
    """
    return float(np.abs(np.linalg.eigvals(M)).max())


def tdc_matrix(task: Task, alpha: float, beta: float) -> np.ndarray:
    """What an expected update of TDC does to weights, less the fixed point, and helper: (2·D, 2·D).

    Book: foundations/deadly_triad
    """
    weighted = task.X.T * task.d  # (D, S)
    A, C = td_system(task)[0], weighted @ task.X
    B = task.gamma * (task.P @ task.X).T @ weighted.T  # (D, D)
    return np.eye(2 * len(A)) - np.block([[alpha * A, alpha * B], [beta * A, beta * C]])


def divergence(task: Task, lam: float = 0.0) -> float:
    """Growth per update and unit of a small step size; above 0, expected TD(λ) diverges at every step size.

    Book: foundations/deadly_triad
    """
    A, _ = td_system(visible(task), lam)
    return float(-np.linalg.eigvals(A).real.min())


# ------------------------------------------------------------------------------------------ worlds


def random_walk(states: int = 1000, reach: int = 100) -> MDP:
    """A walk in a corridor (Sutton & Barto, 2018, example 9.1): up to ``reach`` to either side, all alike.

    States 0 and ``states`` + 1 are terminal; jumps beyond an end stop there. The left end pays −1, the right
    one 1, and the walk begins in the middle.

    Book: foundations/function_approximation
    """
    P = np.zeros((states + 2, 1, states + 2))
    jumps = np.concatenate([np.arange(-reach, 0), np.arange(1, reach + 1)])
    s = np.arange(1, states + 1)
    for jump in jumps:
        P[s, 0, np.clip(s + jump, 0, states + 1)] += 1 / len(jumps)
    R = np.zeros_like(P)
    R[:, :, 0], R[:, :, -1] = -1, 1
    return MDP(P, R, start=np.eye(states + 2)[states // 2])


def aggregation(states: int, groups: int) -> np.ndarray:
    """Features (states, groups) that say in which of so many groups of neighbours a state is.

    Raises:
        ValueError: the groups cannot be of one size.

    Book: foundations/function_approximation
    """
    if groups < 1 or states % groups:
        raise ValueError(f"{states} states cannot be cut into {groups} equal groups")
    return np.repeat(np.eye(groups), states // groups, axis=0)


def stream(mdp: MDP, steps: int, seeds: Sequence[int]) -> tuple[np.ndarray, ...]:
    """Experience of N walkers in a world with one action: states, rewards, next states, each (T, N).

    After an end, the next row begins at a start.

    Book: foundations/function_approximation
    """
    rngs = Rngs(seeds)
    simulator, nothing = Simulator(mdp, rngs), np.zeros(len(rngs), int)
    states, rewards, following = [simulator.start()], [], []
    for _ in range(steps):
        reward, reached = simulator.step(states[-1], nothing)
        rewards.append(reward)
        following.append(reached)
        states.append(np.where(mdp.terminal[reached], simulator.start(), reached))
    return np.array(states[:-1]), np.array(rewards), np.array(following)


def returns(rewards: np.ndarray, ended: np.ndarray, gamma: float = 1.0) -> np.ndarray:
    """Return from each step of a stream (T, N), NaN in the episode that the stream's end has cut off.

    ``ended`` (T, N) says which steps were the last of an episode.

    Book: foundations/function_approximation
    """
    out, running = np.zeros(rewards.shape), np.full(rewards.shape[1], np.nan)
    for t in reversed(range(len(rewards))):
        running = rewards[t] + gamma * np.where(ended[t], 0.0, running)
        out[t] = running
    return out


BAIRD_START = np.array([1.0, 1, 1, 1, 1, 1, 10, 1])  # Sutton & Barto's first weights
SOLID = 1 / 7  # how often Baird's behaviour policy takes the solid action


def baird(solid: float = 1.0, own: float = 0.0, gamma: float = 0.99, often: float = SOLID) -> Task:
    """Baird's star (1995), as Sutton & Barto (2018) draw it: 7 states, 8 weights, rewards 0.

    Action *solid* leads to state 6, *dashed* to one of 0 … 5. The policy to be judged takes
    solid with probability ``solid``, the one that acts with probability ``often``.

    Args:
        own: how far features are moved from Baird's (0) towards a private one for each state
            (1), as a share of the matrix of their inner products.

    Raises:
        ValueError: a probability or a share is not one.

    Book: foundations/deadly_triad
    """
    if not (0 <= solid <= 1 and 0 <= own <= 1 and 0 <= often <= 1):
        raise ValueError("solid, own and often lie between 0 and 1")
    star = np.hstack([2 * np.eye(7), np.ones((7, 1))])  # (7, 8)
    star[6] = [0, 0, 0, 0, 0, 0, 1, 2]
    X = star if own == 0 else np.hstack([np.sqrt(1 - own) * star, np.sqrt(own) * np.eye(7)])
    following, d = ((np.append(np.full(6, (1 - p) / 6), p)) for p in (solid, often))
    return Task(np.tile(following, (7, 1)), np.zeros(7), X, d, gamma)


def baird_experience(steps: int, seeds: Sequence[int]) -> tuple[np.ndarray, ...]:
    """What N behaviour policies see on the star: states, next states and ρ for *always solid*, each (T, N).

    Book: foundations/deadly_triad
    """
    rngs = Rngs(seeds)
    states, rho = [rngs.integers(7)], []
    for _ in range(steps):
        solid = rngs.uniform() < SOLID  # (N,)
        rho.append(solid / SOLID)
        states.append(np.where(solid, 6, rngs.integers(6)))
    return np.array(states[:-1]), np.array(states[1:]), np.array(rho)


# ------------------------------------------------------------------------------------ mountain car

POSITION, SPEED = (-1.2, 0.5), (-0.07, 0.07)


def mountain_car(
    position: np.ndarray, velocity: np.ndarray, action: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One step of N cars (Moore, 1990): positions, velocities, ``terminated``.

    Actions push 0 to the left, 1 not at all, 2 to the right. All arrays are (N,).

    Book: foundations/function_approximation
    """
    velocity = velocity + 0.001 * (action - 1) - 0.0025 * np.cos(3 * position)  # (eq-fa-car)
    velocity = np.minimum(np.maximum(velocity, SPEED[0]), SPEED[1])
    position = np.minimum(np.maximum(position + velocity, POSITION[0]), POSITION[1])
    velocity = np.where(position <= POSITION[0], np.maximum(velocity, 0.0), velocity)  # the wall
    return position, velocity, position >= POSITION[1]


def car_tiles(tiles: int = 8, tilings: int = 8) -> TileCoder:
    """A tile coder for the mountain car's position and velocity.

    Book: foundations/function_approximation
    """
    return TileCoder((POSITION[0], SPEED[0]), (POSITION[1], SPEED[1]), tiles, tilings)


@dataclass(frozen=True)
class CarRuns:
    """What N drivers did and learned in E episodes.

    Book: foundations/function_approximation
    """

    lengths: np.ndarray  # (N, E), steps of each episode
    losses: np.ndarray  # (N, E), its mean squared TD error
    predicted: np.ndarray  # (N, E), value of the first state when the episode began
    weights: np.ndarray  # (N, F, A), after the last one


def drive(
    coder: TileCoder,
    alpha: np.ndarray,
    seeds: Sequence[int],
    episodes: int,
    update: Callable = sarsa_update,
    limit: int = 5_000,
) -> CarRuns:
    """N learners drive the mountain car, each step paying −1, greedily, by weights that begin at 0.

    A row whose episode is over begins the next one at once, in a step without an update. ``limit`` truncates.

    Args:
        alpha: (N,), step sizes. update: as ``sarsa_update``.

    Raises:
        ValueError: there is not one step size for each seed.

    Book: foundations/function_approximation
    """
    rngs, N = Rngs(seeds), len(seeds)
    if np.shape(alpha) != (N,):
        raise ValueError(f"{N} seeds need step sizes of shape ({N},), not {np.shape(alpha)}")
    w = np.zeros((N, coder.features, 3))
    flat, first = w.reshape(-1, 3), np.arange(N)[:, None] * coder.features  # the same memory, row below row
    lengths, losses, predicted = np.zeros((N, episodes), int), *np.zeros((2, N, episodes))
    position, velocity, loss = np.zeros((3, N))
    active, action = np.zeros((N, coder.tilings), int), np.zeros(N, int)
    steps, done, fresh = np.zeros(N, int), np.zeros(N, int), np.ones(N, bool)
    while (playing := done < episodes).any():
        position, velocity, terminated = mountain_car(position, velocity, action)
        position = np.where(fresh, -0.6 + 0.2 * rngs.uniform(), position)
        velocity = np.where(fresh, 0.0, velocity)
        next_active = coder(np.stack([position, velocity], axis=1))  # (N, K)
        q = np.einsum("nka->na", flat.take(next_active + first, axis=0))  # (N, 3), sums of active weights
        next_action = rngs.argmax(q)
        learning = playing & ~fresh
        size = alpha * learning
        delta = update(w, active, action, -1.0, next_active, next_action, terminated, size)
        begun = np.flatnonzero(playing & fresh)
        predicted[begun, done[begun]] = q[begun].max(axis=1)
        steps, loss = np.where(fresh, 0, steps + 1), np.where(fresh, 0.0, loss + delta**2)
        over = learning & (terminated | (steps >= limit))
        ended = np.flatnonzero(over)
        lengths[ended, done[ended]], losses[ended, done[ended]] = steps[ended], loss[ended] / steps[ended]
        done[ended] += 1
        active, action, fresh = next_active, next_action, over
    return CarRuns(lengths, losses, predicted, w)
