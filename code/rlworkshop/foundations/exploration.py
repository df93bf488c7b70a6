"""Exploration beyond bandits: optimism, posterior sampling and curiosity, and how far each of them sees.

Two kinds of worlds. The deep sea is played by N learners at once, each in a sea of its own; a learner's
tables are (N, H, C, A): row of the sea, column, action. RiverSwim and the house with a television are
small MDPs in which N learners live without an end; their tables are (N, S, A).

Papers: Osband, Van Roy, Russo & Wen, *Deep exploration via randomized value functions*, 2019; Strehl &
Littman, *An analysis of model-based interval estimation for Markov decision processes*, 2008; Jin,
Allen-Zhu, Bubeck & Jordan, *Is Q-learning provably efficient?*, 2018; Strens, *A Bayesian framework for
reinforcement learning*, 2000.

Book: foundations/exploration, foundations/regret
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rlworkshop.foundations.bandits import epsilon_greedy
from rlworkshop.foundations.key_concepts import MDP, Simulator, must_be_floats, transitions
from rlworkshop.rngs import Rngs

COST = 0.01  # of moving right all the way down; the treasure pays 1

# ------------------------------------------------------------------------------------------ the sea


@dataclass(frozen=True, eq=False)
class DeepSea:
    """N seas of one size (Osband et al., 2019), one for each learner.

    A diver starts in the top left corner and sinks one row a step, to the left or to the right. Which of
    the two actions means right differs from cell to cell and from sea to sea. Each try to move right
    costs ``COST`` / size; whoever moves right in the bottom right corner gets 1.

    Book: foundations/exploration
    """

    right: np.ndarray
    """(N, H, C) of 0 and 1: the action that means right; H = C is the size"""
    slip: float = 0.0
    """probability that the current carries to the left whoever wants to the right"""

    @property
    def size(self) -> int:
        """Rows of the sea, which are also its columns."""
        return self.right.shape[1]


def deep_sea(size: int, rngs: Rngs, slip: float = 0.0) -> DeepSea:
    """A sea for each learner, with fair coins for what its actions mean.

    Raises:
        ValueError: ``size`` is below 1, or ``slip`` is no probability.

    Book: foundations/exploration
    """
    if size < 1:
        raise ValueError(f"a sea has at least one row, not {size}")
    if not 0 <= slip <= 1:
        raise ValueError(f"slip is a probability, not {slip}")
    return DeepSea((rngs.uniform(size, size) < 0.5).astype(np.int64), slip)


def sea_as_mdp(sea: DeepSea, learner: int) -> MDP:
    """The sea of one learner as arrays of numbers: state h·C + c is a cell, state H·C the end.

    Book: foundations/exploration
    """
    H, right = sea.size, sea.right[learner]
    P, R = np.zeros((H * H + 1, 2, H * H + 1)), np.zeros((H * H + 1, 2, H * H + 1))
    for h, c, a in np.ndindex(H, H, 2):
        moves = ((1, 1 - sea.slip), (-1, sea.slip)) if a == right[h, c] else ((-1, 1.0),)
        for move, chance in moves:
            to = H * H if h == H - 1 else (h + 1) * H + min(max(c + move, 0), H - 1)
            treasure = h == c == H - 1 and move == 1
            R[h * H + c, a, to] += chance * (treasure - COST / H * (a == right[h, c]))
            P[h * H + c, a, to] += chance
    R = np.divide(R, P, out=R, where=P > 0)  # the mean reward where two moves lead to the same place
    return MDP(P, R, start=np.eye(H * H + 1)[0])


@dataclass(frozen=True, eq=False)
class Dive:
    """One episode of each of N learners.

    Book: foundations/exploration
    """

    columns: np.ndarray  # (N, H)
    actions: np.ndarray  # (N, H)
    went_right: np.ndarray  # (N, H) bool
    rewards: np.ndarray  # (N, H)

    @property
    def found(self) -> np.ndarray:
        """(N,) bool, who has taken the treasure: right in every step."""
        return self.went_right.all(axis=1)


def dive(sea: DeepSea, Q: np.ndarray, rngs: Rngs, epsilon: float = 0.0) -> Dive:
    """One episode of each learner, greedy in ``Q`` (N, H, C, A), with ``epsilon`` random moves.

    Book: foundations/exploration
    """
    N, H = sea.right.shape[:2]
    everyone, column = np.arange(N), np.zeros(N, int)
    columns, actions = np.zeros((N, H), int), np.zeros((N, H), int)
    went_right, costs = np.zeros((N, H), bool), np.zeros((N, H))
    for h in range(H):
        columns[:, h] = column
        values = Q[everyone, h, column]  # (N, A)
        actions[:, h] = epsilon_greedy(values, epsilon, rngs) if epsilon else rngs.argmax(values)
        wanted = actions[:, h] == sea.right[everyone, h, column]
        went_right[:, h] = wanted & (rngs.uniform() >= sea.slip) if sea.slip else wanted
        costs[:, h] = COST / H * wanted
        column = np.clip(column + 2 * went_right[:, h] - 1, 0, H - 1)
    rewards = -costs
    rewards[:, -1] += went_right.all(axis=1)
    return Dive(columns, actions, went_right, rewards)


# -------------------------------------------------------------------------------------- dithering


def expected_episodes(size: int, epsilon: float) -> float:
    """Mean episodes until ε-greedy Q-learning from zero first takes the treasure, exactly.

    On the diagonal, m cells have seen the move to the right, found it to cost something and
    prefer the other one: there it happens with probability ε / 2. In a new cell both moves
    look alike. With ``epsilon`` = 1 this is ``2 ** size``.

    Raises:
        ValueError: ``epsilon`` is not above 0, or above 1.

    Book: foundations/exploration
    """
    if not 0 < epsilon <= 1:
        raise ValueError(f"epsilon lies above 0 and at most at 1, not at {epsilon}")
    E = np.zeros(size + 1)  # (H+1,), where m cells have tried it; all of them: it is found
    for m in reversed(range(size)):
        deeper = np.arange(1, size - m + 1)
        chance = 0.5 ** (deeper + (deeper < size - m))  # of so many new cells, once at cell m
        E[m] = (2 / epsilon) ** m / 0.5 + (chance @ E[m + 1 :]) / 0.5  # (eq-expl-dither)
    return float(E[0])


# ------------------------------------------------------------------------------- learning from dives


def back_up(
    Q: np.ndarray, seen: Dive, rewards: np.ndarray, alpha: float | np.ndarray, ceiling: float
) -> None:
    """Q-learning along a dive, last step first, in place.

    Args:
        Q: (N, H, C, A). rewards: (N, H), those of the dive, with or without a bonus.
        alpha: step size, one or (N, H). ceiling: no state counts for more than this.

    Raises:
        TypeError: ``Q`` is not of floats.

    Book: foundations/exploration
    """
    must_be_floats(Q)
    N, H = rewards.shape
    everyone, V = np.arange(N), np.zeros(N)
    alpha = np.broadcast_to(alpha, (N, H))
    following = np.clip(seen.columns + 2 * seen.went_right - 1, 0, H - 1)
    for h in reversed(range(H)):
        if h + 1 < H:
            V = np.minimum(ceiling, Q[everyone, h + 1, following[:, h]].max(axis=1))
        cell = everyone, h, seen.columns[:, h], seen.actions[:, h]
        Q[cell] += alpha[:, h] * (rewards[:, h] + V - Q[cell])  # (eq-expl-backup)


def cells(seen: Dive) -> tuple[np.ndarray, ...]:
    """Indices into tables (N, H, C, A) of what was done in a dive, each (N, H).

    Book: foundations/exploration
    """
    N, H = seen.actions.shape
    return np.arange(N)[:, None], np.arange(H), seen.columns, seen.actions


@dataclass(frozen=True, eq=False)
class Diary:
    """What became of N learners in E episodes.

    Book: foundations/exploration
    """

    found: np.ndarray  # (E, N) bool, who has taken the treasure in which episode
    visits: np.ndarray  # (N, H, C), episodes in which the diver was in each cell

    def until(self, times: int) -> np.ndarray:
        """(N,), in which episode, from 1, the treasure was taken for that time; inf where in none."""
        reached = self.found.cumsum(axis=0) >= times  # (E, N)
        return np.where(reached.any(axis=0), reached.argmax(axis=0) + 1.0, np.inf)

    def wasted(self, times: int = 10) -> np.ndarray:
        """(N,), episodes without the treasure before it was taken for that time; inf where it never was."""
        return self.until(times) - times


def keep_diving(
    sea: DeepSea,
    rngs: Rngs,
    episodes: int,
    values: Callable[[], np.ndarray],
    learn: Callable[[Dive], None],
    epsilon: float = 0.0,
    times: int = 10,
) -> Diary:
    """Dive, learn, and again, until every learner has taken the treasure ``times`` times.

    Args:
        episodes: how many at most. values: before each dive, the Q (N, H, C, A) to be greedy in.
        learn: gets each dive.

    Book: foundations/exploration
    """
    visits, found = np.zeros(sea.right.shape), []
    while len(found) < episodes and (not found or np.sum(found, axis=0).min() < times):
        seen = dive(sea, values(), rngs, epsilon)
        learn(seen)
        visits[cells(seen)[:3]] += 1
        found.append(seen.found)
    return Diary(np.array(found), visits)


def q_learning(
    sea: DeepSea,
    rngs: Rngs,
    episodes: int,
    initial: float = 0.0,
    alpha: float = 1.0,
    epsilon: float = 0.0,
    times: int = 10,
) -> Diary:
    """Q-learning whose values begin at ``initial``: 0 dithers, 1 is optimistic.

    Book: foundations/exploration
    """
    Q = np.full((*sea.right.shape, 2), initial)  # (N, H, C, A)

    def learn(seen: Dive) -> None:
        back_up(Q, seen, seen.rewards, alpha, ceiling=np.inf)

    return keep_diving(sea, rngs, episodes, lambda: Q, learn, epsilon, times)


def count_bonus(n: np.ndarray, beta: float, untried: float) -> np.ndarray:
    """``beta`` / √n for what was done ``n`` times, ``untried`` for what never was.

    Book: foundations/exploration
    """
    return np.where(n > 0, beta / np.sqrt(np.maximum(n, 1)), untried)  # (eq-expl-bonus)


def jin_step(n: np.ndarray, horizon: int) -> np.ndarray:
    """Step size of visit ``n``, from 1, in episodes of ``horizon`` steps (Jin et al., 2018).

    Book: foundations/exploration
    """
    return (horizon + 1) / (horizon + n)  # (eq-expl-jin)


def q_learning_ucb(sea: DeepSea, rngs: Rngs, episodes: int, beta: float, times: int = 10) -> Diary:
    """Optimistic Q-learning with a bonus of ``beta`` / √n in its targets (Jin et al., 2018).

    Book: foundations/exploration
    """
    H, ceiling = sea.size, 1.0
    Q, n = np.full((*sea.right.shape, 2), ceiling), np.zeros((*sea.right.shape, 2))

    def learn(seen: Dive) -> None:
        done = cells(seen)
        n[done] += 1
        alpha = jin_step(n[done], H)  # (N, H)
        rewards = seen.rewards + count_bonus(n[done], beta, ceiling)  # (N, H)
        back_up(Q, seen, rewards, alpha, ceiling)

    return keep_diving(sea, rngs, episodes, lambda: Q, learn, times=times)


# ------------------------------------------------------------------------------------- planned dives


class SeaModel:
    """What N divers have counted: where each action led in each cell, and what it paid.

    That one sinks a row a step and ends up one column to the side is known; nothing else is.

    Book: foundations/exploration
    """

    def __init__(self, sea: DeepSea) -> None:
        self.led = np.zeros((*sea.right.shape, 2, 2))
        """(N, H, C, A, 2), how often to the left, to the right"""
        self.paid = np.zeros((*sea.right.shape, 2))
        """(N, H, C, A), sum of rewards"""

    def add(self, seen: Dive) -> None:
        """Count a dive."""
        done = cells(seen)
        self.led[(*done, seen.went_right.astype(int))] += 1
        self.paid[done] += seen.rewards

    @property
    def n(self) -> np.ndarray:
        """(N, H, C, A), how often each action was taken in each cell."""
        return self.led.sum(axis=-1)

    @property
    def r(self) -> np.ndarray:
        """(N, H, C, A), mean reward; 0 where nothing was seen."""
        return self.paid / np.maximum(self.n, 1)

    @property
    def to_right(self) -> np.ndarray:
        """(N, H, C, A), how often of all times an action led to the right; a half where nothing was seen."""
        return (self.led[..., 1] + 0.5 * (self.n == 0)) / np.maximum(self.n, 1)


def plan_dive(
    r: np.ndarray,
    to_right: np.ndarray,
    ceiling: float | np.ndarray = np.inf,
    kept: float | np.ndarray = 1.0,
) -> np.ndarray:
    """Q (N, H, C, A) of the best policy in imagined seas, from the bottom up.

    Args:
        r: (N, H, C, A), what actions pay, bonus included.
        to_right: (N, H, C, A), how likely they lead there.
        ceiling: no action is worth more than this.
        kept: which part of the next state's value counts, one or (N, H, C, A).

    Book: foundations/exploration
    """
    N, H, C, _ = r.shape
    kept = np.broadcast_to(kept, r.shape)
    Q, V = np.empty(r.shape), np.zeros((N, C))
    for h in reversed(range(H)):
        left = V[:, np.maximum(np.arange(C) - 1, 0)]  # (N, C)
        right = V[:, np.minimum(np.arange(C) + 1, C - 1)]
        after = left[..., None] + to_right[:, h] * (right - left)[..., None]  # (N, C, A)
        Q[:, h] = np.minimum(r[:, h] + kept[:, h] * after, ceiling)  # (eq-expl-plan)
        V = Q[:, h].max(axis=2)  # (N, C)
    return Q


def planned_bonus(sea: DeepSea, rngs: Rngs, episodes: int, beta: float, times: int = 10) -> Diary:
    """Deep: the bonus is a reward, and the plan knows of all that lie ahead (MBIE-EB).

    Book: foundations/exploration
    """
    model = SeaModel(sea)

    def values() -> np.ndarray:
        bonus = count_bonus(model.n, beta, untried=1.0)  # (N, H, C, A)
        return plan_dive(model.r + bonus, model.to_right, ceiling=1.0)

    return keep_diving(sea, rngs, episodes, values, model.add, times=times)


def shallow_bonus(sea: DeepSea, rngs: Rngs, episodes: int, beta: float, times: int = 10) -> Diary:
    """Shallow: the same bonus, added when an action is chosen; the plan knows of none.

    Book: foundations/exploration
    """
    model = SeaModel(sea)

    def values() -> np.ndarray:
        bonus = count_bonus(model.n, beta, untried=1.0)  # (N, H, C, A)
        return plan_dive(model.r, model.to_right) + bonus

    return keep_diving(sea, rngs, episodes, values, model.add, times=times)


def rlsvi(sea: DeepSea, rngs: Rngs, episodes: int, sigma: float, times: int = 10) -> Diary:
    """Randomised least-squares value iteration with a table: once a dive, plan with noise in the values.

    Each value is a regularised mean of n targets r + V(s') and one imagined target of 0; ``sigma`` is the
    noise of a target (Osband et al., 2019).

    Book: foundations/regret
    """
    model = SeaModel(sea)

    def values() -> np.ndarray:
        z, n = rngs.normal(*sea.right.shape[1:], 2), model.n  # (N, H, C, A)
        r = model.paid / (n + 1) + sigma / np.sqrt(n + 1) * z  # (eq-expl-rlsvi)
        return plan_dive(r, model.to_right, kept=n / (n + 1))

    return keep_diving(sea, rngs, episodes, values, model.add, times=times)


def dirichlet(counts: np.ndarray, generators: Sequence[np.random.Generator]) -> np.ndarray:
    """Distributions (N, ..., K) drawn from Dirichlet posteriors, those of row i by generator i.

    Book: foundations/regret
    """
    pairs = zip(counts, generators, strict=True)
    drawn = np.stack([generator.standard_gamma(own) for own, generator in pairs]) + 1e-300
    return drawn / drawn.sum(axis=-1, keepdims=True)


def posterior_sampling(
    sea: DeepSea, seeds: Sequence[int], episodes: int, prior: float, sigma: float, times: int = 10
) -> Diary:
    """PSRL: before each dive, draw a sea from the posterior and plan as if it were the true one.

    Book: foundations/regret
    """
    model, rngs = SeaModel(sea), Rngs(seeds)
    generators = [np.random.default_rng((s, 1)) for s in seeds]

    def values() -> np.ndarray:
        z, n = rngs.normal(*sea.right.shape[1:], 2), model.n  # (N, H, C, A)
        r = model.paid / (n + 1) + sigma / np.sqrt(n + 1) * z
        return plan_dive(r, dirichlet(model.led + prior, generators)[..., 1])

    return keep_diving(sea, rngs, episodes, values, model.add, times=times)


def curious(sea: DeepSea, rngs: Rngs, episodes: int, beta: float, times: int = 10) -> Diary:
    """Curiosity: what is expected to be mispredicted pays, and the plan knows of all that lies ahead.

    Book: foundations/exploration
    """
    model = SeaModel(sea)

    def values() -> np.ndarray:
        return plan_dive(model.r + beta * prediction_error(model.led), predictor(model.led)[..., 1])

    return keep_diving(sea, rngs, episodes, values, model.add, times=times)


# ------------------------------------------------------------------------- what surprises, what teaches


def predictor(counts: np.ndarray, prior: float = 0.1) -> np.ndarray:
    """A learned forecast of the next state (..., K), from how often each followed: ``counts`` (..., K).

    Each of the K begins with ``prior`` imagined observations.

    Book: foundations/exploration
    """
    seen = counts + prior
    return seen / seen.sum(axis=-1, keepdims=True)


def prediction_error(counts: np.ndarray, prior: float = 0.1) -> np.ndarray:
    """How wrong the forecast (..., K) expects itself to be (...).

    Book: foundations/exploration
    """
    guess = predictor(counts, prior)
    return 1 - (guess**2).sum(axis=-1)  # (eq-expl-error)


def forecast_change(counts: np.ndarray, prior: float = 0.1) -> np.ndarray:
    """How far, in nats, the next observation is expected to move the forecast (...).

    The Kullback-Leibler divergence of the forecast after it from the one before it, averaged over
    what the forecast holds possible. (Information gain is of the distribution over parameters instead.)

    Book: foundations/exploration
    """
    seen = counts + prior  # (..., K)
    total = seen.sum(axis=-1, keepdims=True)
    moved = (seen + 1) / (total + 1) * np.log1p(1 / seen)  # (..., K), where k comes
    gain = moved - np.log1p(1 / total)
    return (seen / total * gain).sum(axis=-1)  # (eq-expl-info)


# ------------------------------------------------------------------------------ lives without an end


def river_swim() -> MDP:
    """Six places along a river (Strehl & Littman, 2008). Action 0 drifts left, action 1 swims right.

    Drifting at the left end pays 5; swimming at the right end pays 10 000 when one stays there.

    Book: foundations/regret
    """
    P, R = np.zeros((6, 2, 6)), np.zeros((6, 2, 6))
    for s in range(6):
        P[s, 0, max(s - 1, 0)] = 1
        for move, chance in zip((-1, 0, 1), (0.1, 0.6, 0.3), strict=True):
            P[s, 1, np.clip(s + move, 0, 5)] += chance
    P[5, 1, 4:] = 0.7, 0.3
    R[0, 0, 0], R[5, 1, 5] = 5, 10_000
    return MDP(P, R, start=np.array([0, 0.5, 0.5, 0, 0, 0]))


def house(rooms: int = 8, channels: int = 8, wage: float = 0.3) -> MDP:
    """A row of rooms with a job in the last one, and in the first a television of so many channels.

    Action 0 goes left, action 1 right; at the right end, going right pays ``wage`` and stays. Going left
    in the first room turns the television on: states ``rooms`` … are its channels, and action 0 zaps
    to one of them by chance. Action 1 turns it off.

    Raises:
        ValueError: there are less than two rooms or no channel.

    Book: foundations/exploration
    """
    if rooms < 2 or channels < 1:
        raise ValueError(f"a house has two rooms or more and a channel, not {rooms} and {channels}")
    S = rooms + channels
    P, R = np.zeros((S, 2, S)), np.zeros((S, 2, S))
    for s in range(1, rooms):
        P[s, 0, s - 1] = P[s, 1, min(s + 1, rooms - 1)] = 1
    P[0, 1, 1] = 1
    P[0, 0, rooms:] = P[rooms:, 0, rooms:] = 1 / channels
    P[rooms:, 1, 0] = 1
    R[rooms - 1, 1, rooms - 1] = wage
    return MDP(P, R, start=np.eye(S)[0])


def gain_and_bias(mdp: MDP, policy: np.ndarray) -> tuple[float, np.ndarray]:
    """Reward a step in the long run, and each state's head start h (S,) with h[0] = 0.

    Of a policy (S, A) that, in the long run, gets from everywhere to the same states.

    Raises:
        ValueError: there is an end, or the long run depends on where one starts.

    Book: foundations/regret
    """
    S = len(mdp.P)
    if mdp.terminal.any():
        raise ValueError("a gain is for lives without an end, and this world has terminal states")
    equations = np.eye(S) - transitions(mdp, policy)  # h + g = r + P h
    equations[:, 0] = 1.0  # the column of h[0], which is 0, now belongs to g
    if np.linalg.matrix_rank(equations) < S:
        raise ValueError("what this policy earns in the long run depends on where it starts")
    solution = np.linalg.solve(equations, (policy * mdp.r).sum(axis=1))  # (eq-expl-poisson)
    return float(solution[0]), np.append(0.0, solution[1:])


def gaps(mdp: MDP, policy: np.ndarray) -> np.ndarray:
    """What each action costs in the long run (S, A); ``policy`` (S, A) is the best one.

    Book: foundations/regret
    """
    g, h = gain_and_bias(mdp, policy)
    return g + h[:, None] - (mdp.r + mdp.P @ h)  # (eq-expl-gap)


class Model:
    """What N learners have counted in an MDP of S states and A actions.

    Book: foundations/exploration
    """

    def __init__(self, learners: int, mdp: MDP) -> None:
        S, A = mdp.r.shape
        self.led = np.zeros((learners, S, A, S))
        """(N, S, A, S), how often each state followed"""
        self.paid = np.zeros((learners, S, A))
        """(N, S, A), sum of rewards"""
        self.n = np.zeros((learners, S, A))
        """(N, S, A), how often each action was taken"""

    def add(
        self, states: np.ndarray, actions: np.ndarray, rewards: np.ndarray, following: np.ndarray
    ) -> None:
        """Count a step of each learner, all (N,)."""
        here = np.arange(len(states)), states, actions
        self.led[(*here, following)] += 1
        self.paid[here] += rewards
        self.n[here] += 1

    @property
    def r(self) -> np.ndarray:
        """(N, S, A), mean reward; 0 where nothing was seen."""
        return self.paid / np.maximum(self.n, 1)

    @property
    def P(self) -> np.ndarray:
        """(N, S, A, S), how often each state followed, of all times; all zero where nothing was seen."""
        return self.led / np.maximum(self.n, 1)[..., None]


Beliefs = tuple[np.ndarray, np.ndarray]  # r (N, S, A) and P (N, S, A, S), to be planned with


def as_counted(model: Model) -> Beliefs:
    """What was seen and nothing else.

    Book: foundations/exploration
    """
    return model.r, model.P


def mbie_eb(model: Model, beta: float, best: float) -> Beliefs:
    """What was seen, with ``beta`` / √n on top; what was never tried is worth ``best``.

    Book: foundations/regret
    """
    return model.r + count_bonus(model.n, beta, untried=best), model.P


def posterior_draw(
    model: Model, generators: Sequence[np.random.Generator], prior: float, sigma: float
) -> Beliefs:
    """A world drawn from the posterior: Dirichlet for what follows, normal for what is paid.

    Args:
        prior: imagined observations of each next state. sigma: of the reward before anything was seen.

    Book: foundations/regret
    """
    noise = np.stack([generator.standard_normal(model.n.shape[1:]) for generator in generators])
    r = (model.paid + sigma * np.sqrt(model.n + 1) * noise) / (model.n + 1)
    return r, dirichlet(model.led + prior, generators)


@dataclass(frozen=True, eq=False)
class Life:
    """T steps of each of N learners.

    Book: foundations/exploration
    """

    states: np.ndarray  # (T, N)
    actions: np.ndarray  # (T, N)
    rewards: np.ndarray  # (T, N)
    model: Model  # what was counted in the end


def live(
    mdp: MDP,
    rngs: Rngs,
    steps: int,
    believe: Callable[[Model], Beliefs],
    gamma: float,
    ceiling: float = np.inf,
    epsilon: float = 0.0,
    every: int = 1,
    sweeps: int = 2,
) -> Life:
    """A life of each learner: count, plan with what it believes, act; again and again.

    Args:
        believe: what a learner that has counted this plans with. gamma: of its plans.
        ceiling: no action is worth more than this. epsilon: probability of a random action.
        every: steps between two plans. sweeps: of value iteration in each, from the values of the last.

    Book: foundations/exploration
    """
    N, (S, A) = len(rngs), mdp.r.shape
    simulator, model = Simulator(mdp, rngs), Model(len(rngs), mdp)
    everyone, states, V = np.arange(N), simulator.start(), np.zeros((N, S))
    record: tuple[list, list, list] = ([], [], [])
    for t in range(steps):
        if t % every == 0:
            r, P = believe(model)
            P = P.reshape(N, S * A, S)
            for _ in range(sweeps):
                Q = np.minimum(r + gamma * (P @ V[..., None]).reshape(N, S, A), ceiling)
                V = Q.max(axis=2)  # (N, S)
        values = Q[everyone, states]
        actions = epsilon_greedy(values, epsilon, rngs) if epsilon else rngs.argmax(values)
        rewards, following = simulator.step(states, actions)
        model.add(states, actions, rewards, following)
        for column, now in zip(record, (states, actions, rewards), strict=True):
            column.append(now)
        states = following
    return Life(*(np.array(column) for column in record), model)
