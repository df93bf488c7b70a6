"""Learning from samples: values and policies from experience alone, held against exact ones.

Prediction plays whole episodes with a fixed policy and learns V from them: ``monte_carlo``, ``td``, and what
lies between, ``offline_lambda`` and ``td_lambda``. Control learns Q while it acts: ``sarsa``,
``expected_sarsa``, ``q_learning``, ``double_q``. N learners run side by side, each with its own seed.

Papers: Sutton, *Learning to predict by the methods of temporal differences*, 1988; Watkins & Dayan,
*Q-learning*, 1992; Rummery & Niranjan, *On-line Q-learning using connectionist systems*, 1994; van Seijen,
van Hasselt, Whiteson & Wiering, *A theoretical and empirical analysis of Expected Sarsa*, 2009; van Hasselt,
*Double Q-learning*, 2010.

Book: foundations/learning_from_samples
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from rlworkshop.foundations.dynamic_programming import greedy
from rlworkshop.foundations.key_concepts import (
    MDP,
    Batch,
    Gridworld,
    Simulator,
    action_values,
    gridworld,
    must_end,
    state_values,
    transitions,
)
from rlworkshop.foundations.policy_gradients import reward_to_go
from rlworkshop.rngs import Rngs

# ------------------------------------------------------------------------------------------ the worlds


def way_home() -> MDP:
    """Two roads that meet at a bridge: states old road, new road, bridge, barrier, town, home.

    There is one action, and a reward is minus the minutes that a stretch takes. One evening in five the
    bridge is up, and one waits at the barrier for half an hour. The new road is three minutes shorter.

    Book: foundations/learning_from_samples
    """
    P, R = np.zeros((6, 1, 6)), np.zeros((6, 1, 6))
    stretches = [
        (0, 2, 1.0, 20),
        (1, 2, 1.0, 17),
        (2, 4, 0.8, 5),
        (2, 3, 0.2, 5),
        (3, 4, 1.0, 30),
        (4, 5, 1.0, 10),
    ]
    for s, to, chance, minutes in stretches:
        P[s, 0, to], R[s, 0, to] = chance, -minutes
    return MDP(P, R, start=np.array([0.5, 0.5, 0, 0, 0, 0]))


def random_walk(n: int, left: float = 0.0, right: float = 1.0) -> MDP:
    """A row of ``n`` states, 1 … n, with an end at either side, 0 and n + 1; one starts in the middle.

    There is one action: a step to the left or to the right, as a coin says; the ends pay ``left`` and
    ``right``. Without a discount, values lie on a straight line between the two (Sutton & Barto, 2018,
    examples 6.2 and 7.1).

    Raises:
        ValueError: ``n`` is not an odd number, so that nothing is in the middle.

    Book: foundations/learning_from_samples
    """
    if n < 1 or n % 2 == 0:
        raise ValueError(f"a walk that starts in the middle has an odd number of states, not {n}")
    P, R = np.zeros((n + 2, 1, n + 2)), np.zeros((n + 2, 1, n + 2))
    for s in range(1, n + 1):
        P[s, 0, [s - 1, s + 1]] = 0.5
    R[1, 0, 0], R[n, 0, n + 1] = left, right
    return MDP(P, R, start=np.eye(n + 2)[(n + 1) // 2])


def cliff() -> Gridworld:
    """The cliff (Sutton & Barto, 2018, example 6.6): a step pays -1, a fall -100 and leads back to the start.

    Book: foundations/learning_from_samples
    """
    return gridworld(f"{'.' * 12}\n{'.' * 12}\n{'.' * 12}\nS{'C' * 10}G", {"C": -100.0}, step=-1.0)


def fruit_machines(machines: int = 10, mean: float = -0.1, outcomes: int = 50) -> tuple[MDP, np.ndarray]:
    """A door and a hall of fruit machines that all lose, and a table of zeros to begin with (S, A).

    In state 0 action 0 goes home for nothing, action 1 goes to the hall, state 1; there are no other actions,
    which the table says by -inf. In the hall, each of ``machines`` actions pays a number of mean ``mean`` and
    standard deviation 1 and ends the episode: one of so many ``outcomes``, equally likely, that lie as those
    of a normal distribution do (Sutton & Barto, 2018, example 6.7).

    Book: foundations/learning_from_samples
    """
    S = 3 + outcomes  # door, hall, home, and an ending for each outcome
    normal = np.array([NormalDist().inv_cdf((i + 0.5) / outcomes) for i in range(outcomes)])
    P, R = np.zeros((S, machines, S)), np.zeros((S, machines, S))
    P[0, :, 2], P[0, 1] = 1.0, np.eye(S)[1]
    P[1, :, 3:], R[1, :, 3:] = 1 / outcomes, mean + normal / normal.std()
    Q = np.zeros((S, machines))
    Q[0, 2:] = -np.inf
    return MDP(P, R, start=np.eye(S)[0]), Q


# ---------------------------------------------------------------------------------------- prediction
# V is (..., N, S): a table for each learner, and in front, if wanted, an axis of settings that all learn
# from the same episodes; step sizes are then (..., 1).


def returns(episode: Batch, gamma: float = 1.0) -> np.ndarray:
    """The discounted sum (T, N) of the rewards from each step to the end.

    Raises:
        ValueError: an episode was cut off, so that nobody knows what came after.

    Book: foundations/learning_from_samples
    """
    if episode.alive[-1].any():
        raise ValueError(
            "an episode that was cut off has no return: bootstrap from its last state, as td does"
        )
    return reward_to_go(episode.rewards, gamma)  # (eq-lfs-return)


def monte_carlo(episode: Batch, V: np.ndarray, alpha: float | np.ndarray, gamma: float = 1.0) -> np.ndarray:
    """V (..., N, S) after an episode: each state visited moves towards the return that followed.

    Book: foundations/learning_from_samples
    """
    V, R = V.astype(float), returns(episode, gamma)  # V: a copy, that can hold fractions
    for t in range(len(R)):
        n = np.flatnonzero(episode.alive[t])  # (B,), whose episode still goes on
        s = episode.states[t, n]
        V[..., n, s] += alpha * (R[t, n] - V[..., n, s])  # (eq-lfs-mc)
    return V


def td(episode: Batch, V: np.ndarray, alpha: float | np.ndarray, gamma: float = 1.0) -> np.ndarray:
    """V (..., N, S) after an episode of TD(0): each state moves towards reward plus value of the next one.

    Where an episode was cut off, the value of the state it stopped in counts like any other; that of a
    terminal state never does (Sutton, 1988).

    Book: foundations/learning_from_samples
    """
    V = V.astype(float)  # a copy, that can hold fractions
    for t in range(len(episode.rewards)):
        n = np.flatnonzero(episode.alive[t])  # (B,)
        s, following = episode.states[t, n], episode.states[t + 1, n]
        more = episode.alive[t + 1, n]  # whether anything comes after
        target = episode.rewards[t, n] + gamma * more * V[..., n, following]
        V[..., n, s] += alpha * (target - V[..., n, s])  # (eq-lfs-td)
    return V


def lambda_returns(episode: Batch, V: np.ndarray, lam: float | np.ndarray, gamma: float = 1.0) -> np.ndarray:
    """The λ-return (T, ..., N) from each step on, with values ``V`` (..., N, S); padding holds anything.

    Book: foundations/learning_from_samples
    """
    n = np.arange(V.shape[-2])

    def worth(t: int) -> np.ndarray:
        return episode.alive[t] * V[..., n, episode.states[t]]  # (..., N)

    running, found = worth(-1), []
    for t in reversed(range(len(episode.rewards))):
        later = (1 - lam) * worth(t + 1) + lam * running
        target = episode.rewards[t] + gamma * later  # (eq-lfs-lambda)
        running = np.where(episode.alive[t], target, running)
        found.append(running)
    return np.array(found[::-1])


def offline_lambda(
    episode: Batch,
    V: np.ndarray,
    alpha: float | np.ndarray,
    lam: float | np.ndarray,
    gamma: float = 1.0,
) -> np.ndarray:
    """V (..., N, S) after an episode, from λ-returns made at its end: the forward view.

    Book: foundations/learning_from_samples
    """
    V, targets = V.astype(float), lambda_returns(episode, V, lam, gamma)
    for t in range(len(targets)):
        n = np.flatnonzero(episode.alive[t])  # (B,)
        s = episode.states[t, n]
        V[..., n, s] += alpha * (targets[t][..., n] - V[..., n, s])
    return V


def td_lambda(
    episode: Batch,
    V: np.ndarray,
    alpha: float | np.ndarray,
    lam: float | np.ndarray,
    gamma: float = 1.0,
) -> np.ndarray:
    """V (..., N, S) after an episode of TD(λ) with accumulating traces: the backward view (Sutton, 1988).

    Book: foundations/learning_from_samples
    """
    V, trace = V.astype(float), np.zeros(V.shape)  # traces begin anew with each episode
    alpha, lam = np.asarray(alpha)[..., None], np.asarray(lam)[..., None]
    for t in range(len(episode.rewards)):
        n = np.flatnonzero(episode.alive[t])  # (B,)
        s, following = episode.states[t, n], episode.states[t + 1, n]
        more = episode.alive[t + 1, n]  # whether anything comes after
        target = episode.rewards[t, n] + gamma * more * V[..., n, following]  # (..., B)
        delta = target - V[..., n, s]
        now = gamma * lam * trace[..., n, :]  # (..., B, S)
        now[..., np.arange(len(n)), s] += 1.0  # (eq-lfs-trace)
        V[..., n, :] += alpha * delta[..., None] * now  # (eq-lfs-backward)
        trace[..., n, :] = now
    return V


def target_moments(
    mdp: MDP, policy: np.ndarray, V: np.ndarray, lam: float, gamma: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Mean (S,) and variance (S,) of the λ-return from each state with fixed values ``V`` (S,), exactly.

    ``lam`` 0 is the target of TD(0), 1 the Monte Carlo return.

    Book: foundations/learning_from_samples
    """
    must_end(mdp, policy)
    V, chain = V * ~mdp.terminal, transitions(mdp, policy)
    move = policy[:, :, None] * mdp.P  # (S, A, S), probability of action and next state
    system = np.eye(len(V)) - gamma * lam * chain
    mean = np.linalg.solve(system, (policy * mdp.r).sum(axis=1) + gamma * (1 - lam) * chain @ V)
    later = (1 - lam) * V + lam * mean  # (S,), what the target says of the next state, on average
    known = (1 - lam) ** 2 * V**2 + 2 * lam * (1 - lam) * V * mean  # of its square, but for λ² times a square
    constant = (move * (mdp.R**2 + 2 * gamma * mdp.R * later + gamma**2 * known)).sum(axis=(1, 2))
    square = np.linalg.solve(np.eye(len(V)) - (gamma * lam) ** 2 * chain, constant)
    return mean, np.maximum(square - mean**2, 0.0)


def batch_monte_carlo(
    episodes: Sequence[Batch], S: int, gamma: float = 1.0, default: float = 0.0
) -> np.ndarray:
    """V (N, S) as the mean of all returns seen from each state; ``default`` where none was.

    Book: foundations/learning_from_samples
    """
    N = episodes[0].states.shape[1]
    total, seen = np.zeros((N, S)), np.zeros((N, S))
    for episode in episodes:
        t, n = np.nonzero(episode.alive[:-1])
        at = n, episode.states[t, n]
        np.add.at(total, at, returns(episode, gamma)[t, n])
        np.add.at(seen, at, 1.0)
    return np.where(seen > 0, total / np.maximum(seen, 1), default)


def batch_td(episodes: Sequence[Batch], S: int, gamma: float = 1.0, default: float = 0.0) -> np.ndarray:
    """V (N, S) at which TD(0), shown these episodes for ever, comes to rest; ``default`` where it never was.

    That is the exact value in the world whose probabilities are the frequencies seen.

    Book: foundations/learning_from_samples
    """
    N = episodes[0].states.shape[1]
    seen, paid, moves = np.zeros((N, S)), np.zeros((N, S)), np.zeros((N, S, S))
    for episode in episodes:
        t, n = np.nonzero(episode.alive[:-1])
        s, following = episode.states[t, n], episode.states[t + 1, n]
        np.add.at(seen, (n, s), 1.0)
        np.add.at(paid, (n, s), episode.rewards[t, n])
        np.add.at(moves, (n, s, following), episode.alive[t + 1, n])  # what ends leads nowhere
    P = moves / np.maximum(seen, 1)[..., None]  # (N, S, S), frequencies
    r = np.where(seen > 0, paid / np.maximum(seen, 1), default)
    return np.linalg.solve(np.eye(S) - gamma * P, r[..., None])[..., 0]  # (eq-lfs-batch)


# ------------------------------------------------------------------------------------------- control


@dataclass(frozen=True)
class Learned:
    """What N learners have after E episodes each.

    Book: foundations/learning_from_samples
    """

    Q: np.ndarray  # (N, S, A)
    returns: np.ndarray  # (E, N), undiscounted, exploration included
    lengths: np.ndarray  # (E, N), steps


def epsilon_soft(Q: np.ndarray, epsilon: float) -> np.ndarray:
    """Probabilities (..., A) of the ε-greedy policy of ``Q`` (..., A); -inf: there is no such action.

    Book: foundations/learning_from_samples
    """
    best = Q.max(axis=-1, keepdims=True) == Q  # (..., A)
    able = np.isfinite(Q)
    share = best / best.sum(axis=-1, keepdims=True)
    return (1 - epsilon) * share + epsilon * able / able.sum(axis=-1, keepdims=True)


def learn(
    mdp: MDP,
    rngs: Rngs,
    episodes: int,
    epsilon: float,
    tables: np.ndarray,
    update: Callable,
    limit: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Let N learners act ε-greedily and learn from each step, until each has ended so many episodes.

    Args:
        tables: (N, S, A), or (N, K, S, A) to act on the mean of K tables; ``update`` changes them.
        update: called at each step as ``update(n, s, a, r, following, then, terminated, truncated)``, all
            (B,): the rows ``n`` that still learn, what they did and got, and the action ``then`` that they
            will take in ``following``.
        limit: steps after which an episode is cut off, if there is such a limit.

    Returns:
        Returns (E, N) and lengths (E, N) of the episodes.

    Book: foundations/learning_from_samples
    """
    N, world = len(rngs), Simulator(mdp, rngs)
    rows, believed = np.arange(N), tables if tables.ndim == 4 else tables[:, None]  # (N, K, S, A)

    def act(s: np.ndarray) -> np.ndarray:
        return rngs.choice(epsilon_soft(believed[rows, :, s].mean(axis=1), epsilon))

    totals, lengths = np.zeros((episodes + 1, N)), np.zeros((episodes + 1, N), int)
    ended = np.zeros(N, int)
    s = world.start()
    a = act(s)
    while (ended < episodes).any():
        r, following = world.step(s, a)
        totals[ended, rows] += r  # those who are done write into a row that nobody reads
        lengths[ended, rows] += 1
        terminated = mdp.terminal[following]
        truncated = ~terminated & (lengths[ended, rows] == limit)
        begin = world.start()
        then = act(np.where(terminated, begin, following))  # nobody acts in an end
        n = np.flatnonzero(ended < episodes)  # (B,)
        update(n, s[n], a[n], r[n], following[n], then[n], terminated[n], truncated[n])
        s = np.where(terminated | truncated, begin, following)
        a = then if limit is None else np.where(truncated, act(s), then)
        ended = np.minimum(ended + (terminated | truncated), episodes)
    return totals[:episodes], lengths[:episodes]


def sarsa(
    mdp: MDP,
    rngs: Rngs,
    episodes: int,
    alpha: float | np.ndarray,
    epsilon: float,
    gamma: float = 1.0,
    Q: np.ndarray | None = None,
    limit: int | None = None,
) -> Learned:
    """SARSA: the next state is worth what the action is that will be taken there.

    ``alpha`` is a number or (N,); ``Q`` (S, A) is the table to begin with, zeros if left out, and -inf where
    there is no such action; episodes are cut off after ``limit`` steps, if there is one. So it is with the
    other three methods (Rummery & Niranjan, 1994).

    Raises:
        ValueError: ``Q`` or ``alpha`` has another shape.

    Book: foundations/learning_from_samples
    """
    Q, alpha = _tables(mdp, rngs, Q, alpha)

    def update(n, s, a, r, following, then, terminated, truncated):
        target = r + gamma * ~terminated * Q[n, following, then]
        Q[n, s, a] += alpha[n] * (target - Q[n, s, a])  # (eq-lfs-sarsa)

    return Learned(Q, *learn(mdp, rngs, episodes, epsilon, Q, update, limit))


def expected_sarsa(
    mdp: MDP,
    rngs: Rngs,
    episodes: int,
    alpha: float | np.ndarray,
    epsilon: float,
    gamma: float = 1.0,
    Q: np.ndarray | None = None,
    limit: int | None = None,
) -> Learned:
    """Expected SARSA: the next state is worth the mean over what may be done there (van Seijen et al., 2009).

    Book: foundations/learning_from_samples
    """
    Q, alpha = _tables(mdp, rngs, Q, alpha)

    def update(n, s, a, r, following, then, terminated, truncated):
        policy = epsilon_soft(Q[n, following], epsilon)  # (B, A)
        able = np.where(policy > 0, Q[n, following], 0.0)  # (B, A); 0 * -inf is no number
        worth = (policy * able).sum(axis=1)
        target = r + gamma * ~terminated * worth
        Q[n, s, a] += alpha[n] * (target - Q[n, s, a])  # (eq-lfs-expected)

    return Learned(Q, *learn(mdp, rngs, episodes, epsilon, Q, update, limit))


def q_learning(
    mdp: MDP,
    rngs: Rngs,
    episodes: int,
    alpha: float | np.ndarray,
    epsilon: float,
    gamma: float = 1.0,
    Q: np.ndarray | None = None,
    limit: int | None = None,
) -> Learned:
    """Q-learning: the next state is worth the best that can be done there (Watkins & Dayan, 1992).

    Book: foundations/learning_from_samples
    """
    Q, alpha = _tables(mdp, rngs, Q, alpha)

    def update(n, s, a, r, following, then, terminated, truncated):
        target = r + gamma * ~terminated * Q[n, following].max(axis=1)
        Q[n, s, a] += alpha[n] * (target - Q[n, s, a])  # (eq-lfs-q)

    return Learned(Q, *learn(mdp, rngs, episodes, epsilon, Q, update, limit))


def double_q(
    mdp: MDP,
    rngs: Rngs,
    episodes: int,
    alpha: float | np.ndarray,
    epsilon: float,
    gamma: float = 1.0,
    Q: np.ndarray | None = None,
    limit: int | None = None,
) -> Learned:
    """Double Q-learning: one table says which action is best, the other what it is worth (van Hasselt, 2010).

    It acts on the mean of the two tables, and that is the ``Q`` it returns.

    Book: foundations/learning_from_samples
    """
    one, alpha = _tables(mdp, rngs, Q, alpha)
    both = np.stack([one, one], axis=1)  # (N, 2, S, A)

    def update(n, s, a, r, following, then, terminated, truncated):
        learns = rngs.integers(2)[n]  # (B,), which of the two
        best = both[n, learns, following].argmax(axis=1)
        target = r + gamma * ~terminated * both[n, 1 - learns, following, best]
        both[n, learns, s, a] += alpha[n] * (target - both[n, learns, s, a])  # (eq-lfs-double)

    lived = learn(mdp, rngs, episodes, epsilon, both, update, limit)  # before the mean is taken
    return Learned(both.mean(axis=1), *lived)


# ----------------------------------------------------------------------------------- what is true, again


def best_epsilon_soft(mdp: MDP, epsilon: float, gamma: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """V (S,) and Q (S, A) of the best policy that takes each action with probability ε / A at least.

    By policy iteration; ``epsilon`` 0 gives the optimal values.

    Book: foundations/learning_from_samples
    """
    S, A = mdp.r.shape
    V = state_values(mdp, np.full((S, A), 1 / A), gamma)
    while True:
        Q = action_values(mdp, V, gamma)
        better = state_values(mdp, (1 - epsilon) * greedy(Q) + epsilon / A, gamma)
        if (better <= V + 1e-10).all():
            return V, Q
        V = better


# -------------------------------------------------------------------------------------------- details


def _tables(
    mdp: MDP, rngs: Rngs, Q: np.ndarray | None, alpha: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A table for each learner (N, S, A), and its step size (N,)."""
    N = len(rngs)
    if Q is None:
        Q = np.zeros(mdp.r.shape)
    if Q.shape != mdp.r.shape or np.ndim(alpha) and np.shape(alpha) != (N,):
        raise ValueError(
            f"Q must be {mdp.r.shape} and alpha a number or ({N},), not {Q.shape}, {np.shape(alpha)}"
        )
    return np.tile(Q.astype(float), (N, 1, 1)), np.broadcast_to(alpha, N)
