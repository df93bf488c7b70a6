"""Dynamic programming: values and the best policy of a world that is known, by sweeps over its states.

Most functions take an ``MDP`` with values V (S,), or ``Worlds``, many of them side by side, with values
(N, S): the arrays then have one axis more in front, and nothing else changes.

Papers: Bellman, *Dynamic Programming*, 1957; Howard, *Dynamic Programming and Markov Processes*, 1960;
Moore & Atkeson, *Prioritized sweeping: Reinforcement learning with less data and less time*, 1993.

Book: foundations/dynamic_programming
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlworkshop.foundations.key_concepts import (
    MDP,
    Gridworld,
    action_values,
    gridworld,
    state_values,
    transitions,
)

# ------------------------------------------------------------------------------------------ worlds


@dataclass(frozen=True, eq=False)
class Worlds:
    """N decision processes side by side, padded with terminal states to the same number S of states.

    Book: foundations/dynamic_programming
    """

    P: np.ndarray
    """(N, S, A, S), probabilities as in ``MDP``"""
    r: np.ndarray
    """(N, S, A), expected reward of each action in each state"""
    terminal: np.ndarray
    """(N, S) bool, where nothing happens any more; padding, too"""


def side_by_side(mdps: Sequence[MDP]) -> Worlds:
    """Several MDPs as one array each; those with fewer states are padded with terminal ones at their end.

    Raises:
        ValueError: there are none, or they have different numbers of actions.

    Book: foundations/dynamic_programming
    """
    if not mdps or len({mdp.r.shape[1] for mdp in mdps}) != 1:
        raise ValueError("side_by_side wants at least one MDP, and as many actions in each")
    S, A = max(len(mdp.r) for mdp in mdps), mdps[0].r.shape[1]
    P, r = np.zeros((len(mdps), S, A, S)), np.zeros((len(mdps), S, A))
    for n, mdp in enumerate(mdps):
        s = len(mdp.r)
        P[n, :s, :, :s], r[n, :s] = mdp.P, mdp.r
    return Worlds(P, r, ~P.any(axis=(2, 3)))


def corners() -> Gridworld:
    """The 4 × 4 grid of Sutton & Barto, Example 4.1: two corners are terminal, every move costs 1.

    Book: foundations/dynamic_programming
    """
    return gridworld("TSSS\nSSSS\nSSSS\nSSST", {}, step=-1.0, ends="T")


def four_by_three() -> Gridworld:
    """The 4 × 3 world of Russell & Norvig: moves cost 0.04 and slip with 0.2; G pays 1, H costs 1.

    Book: foundations/dynamic_programming
    """
    return gridworld("...G\n.#.H\nS...", {"G": 1.0, "H": -1.0}, step=-0.04, slip=0.2)


def gambler(p_heads: float, goal: int = 100) -> MDP:
    """Sutton & Barto, Example 4.3: states are a capital of 0 … ``goal``, both ends terminal.

    Action a stakes a + 1, or as much as makes sense: all one has, or what is missing. Heads wins the
    stake, tails loses it. Reaching the goal pays 1, so values are probabilities to get there.

    Raises:
        ValueError: ``p_heads`` is no probability, or ``goal`` below 2.

    Book: foundations/dynamic_programming
    """
    if not 0 <= p_heads <= 1 or goal < 2:
        raise ValueError(f"p_heads lies between 0 and 1, goal is 2 or more, not {p_heads} and {goal}")
    P, R = np.zeros((2, goal + 1, goal // 2, goal + 1))
    for s, a in np.ndindex(goal - 1, goal // 2):
        capital, stake = s + 1, min(a + 1, s + 1, goal - s - 1)
        P[capital, a, capital + stake], P[capital, a, capital - stake] = p_heads, 1 - p_heads
    R[:, :, goal] = 1.0
    return MDP(P, R, start=np.eye(goal + 1)[goal // 2])


def random_mdp(rng: np.random.Generator, S: int, A: int, successors: int) -> MDP:
    """No terminal states; each action leads to a few random states, and pays a random reward.

    Probabilities are even over all distributions on the ``successors``, rewards standard normal.

    Book: foundations/dynamic_programming
    """
    weight = rng.exponential(size=(S, A, S))
    chosen = rng.random((S, A, S)).argsort(axis=2) < successors
    P = weight * chosen / (weight * chosen).sum(axis=2, keepdims=True)
    return MDP(P, np.repeat(rng.normal(size=(S, A, 1)), S, axis=2), start=np.full(S, 1 / S))


def random_maze(
    rng: np.random.Generator, side: int, prize: float = 1.0, step: float = 0.0, slip: float = 0.2
) -> Gridworld:
    """A square maze with the goal in its last corner, which every other cell can reach.

    The goal pays ``prize``, any other move ``step``. Three cells in ten are drawn as wall; what is cut off
    from the goal becomes wall, too, and a maze of which that leaves less than half is drawn again.

    Book: foundations/dynamic_programming
    """
    while True:
        free = rng.random((side, side)) >= 0.3
        free[-1, -1] = True
        reached, before = np.zeros((side + 2, side + 2), bool), 0
        reached[side, side] = True
        while reached.sum() > before:
            before = reached.sum()
            near = reached[:-2, 1:-1] | reached[2:, 1:-1] | reached[1:-1, :-2] | reached[1:-1, 2:]
            reached[1:-1, 1:-1] |= near & free
        if 2 * before >= side**2:
            board = np.where(reached[1:-1, 1:-1], "S", "#")
            board[-1, -1] = "G"
            return gridworld("\n".join(map("".join, board)), {"G": prize}, step=step, slip=slip)


# ----------------------------------------------------------------------------------- one backup, one sweep


def lookahead(worlds: MDP | Worlds, V: np.ndarray, gamma: float) -> np.ndarray:
    """Q (…, S, A): what each action is worth where states are worth ``V`` (…, S) afterwards.

    Book: foundations/dynamic_programming
    """
    *many, S, A = worlds.r.shape
    after = worlds.P.reshape(*many, S * A, S) @ V[..., None]  # (…, S·A, 1)
    return worlds.r + gamma * after.reshape(worlds.r.shape)


def evaluation_sweep(
    worlds: MDP | Worlds,
    policy: np.ndarray,
    V: np.ndarray,
    gamma: float,
) -> np.ndarray:
    """T^π V (…, S): every state's value anew, from the old ones ``V`` (…, S).

    ``policy`` (…, S, A): the probabilities with which actions are taken.

    Book: foundations/dynamic_programming
    """
    return (policy * lookahead(worlds, V, gamma)).sum(axis=-1)  # (eq-dp-evaluate)


def optimality_sweep(worlds: MDP | Worlds, V: np.ndarray, gamma: float) -> np.ndarray:
    """T* V (…, S): the same with the best action in place of the policy's.

    Book: foundations/dynamic_programming
    """
    return lookahead(worlds, V, gamma).max(axis=-1)  # (eq-dp-optimal)


def backup(worlds: Worlds, V: np.ndarray, states: np.ndarray, gamma: float) -> np.ndarray:
    """The new value (N,) of one state in each world: ``states`` (N,), with what ``V`` (N, S) is now.

    Book: foundations/dynamic_programming
    """
    n = np.arange(len(states))
    Q = worlds.r[n, states] + gamma * (worlds.P[n, states] @ V[:, :, None])[:, :, 0]  # (N, A)
    return Q.max(axis=1)


def in_place_sweep(worlds: Worlds, V: np.ndarray, order: np.ndarray, gamma: float) -> np.ndarray:
    """V (N, S) after one backup of each state in ``order`` (N, S), each seeing those before it.

    Book: foundations/dynamic_programming
    """
    V, n = V.astype(float), np.arange(len(V))  # a copy, that can hold fractions
    for states in order.T:  # (N,), one in each world
        V[n, states] = backup(worlds, V, states, gamma)  # (eq-dp-in-place)
    return V


def prioritised_backup(
    worlds: Worlds, V: np.ndarray, priority: np.ndarray, gamma: float
) -> tuple[np.ndarray, np.ndarray]:
    """V and priorities (N, S) after a backup of the most urgent state of each world.

    Whoever can get to a state that has just changed becomes as urgent as that could change it.
    Begin with ``priority`` = ``|T* V - V|``. Where nothing is urgent any more, nothing changes.

    Paper: Moore & Atkeson, 1993; in the form of Sutton & Barto, section 8.4.

    Book: foundations/dynamic_programming
    """
    V, priority, n = V.astype(float), priority.astype(float), np.arange(len(V))  # copies
    states = priority.argmax(axis=1)  # (N,)
    new = backup(worlds, V, states, gamma)
    change = np.abs(new - V[n, states])  # (N,)
    V[n, states], priority[n, states] = new, 0.0
    likely = worlds.P[n, :, :, states].max(axis=2)  # (N, S), the best chance of getting there
    priority = np.maximum(priority, gamma * likely * change[:, None])  # (eq-dp-priority)
    return V, priority


# ------------------------------------------------------------------------------------- the best policy


def greedy(Q: np.ndarray, tolerance: float = 1e-9) -> np.ndarray:
    """The policy (…, S, A) that takes the best action of ``Q`` (…, S, A); ties within ``tolerance`` share.

    Book: foundations/dynamic_programming
    """
    best = Q.max(axis=-1, keepdims=True) - Q <= tolerance  # (…, S, A)
    return best / best.sum(axis=-1, keepdims=True)


def policy_iteration(
    mdp: MDP, gamma: float, policy: np.ndarray | None = None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Policies (S, A) and their values (S,), from ``policy`` (or the even one) to the best.

    It stops when *values* no longer grow. To wait for a policy that no longer changes can take
    for ever: policies that are equally good may take turns. Paper: Howard, 1960.

    Raises:
        ValueError: as ``state_values`` does.

    Book: foundations/dynamic_programming
    """
    S, A = mdp.r.shape
    policies = [np.full((S, A), 1 / A) if policy is None else policy]
    values = [state_values(mdp, policies[0], gamma)]
    while True:
        policy = greedy(action_values(mdp, values[-1], gamma))  # (eq-dp-improve)
        V = state_values(mdp, policy, gamma)
        gain = (V - values[-1]).max()
        if gain <= 1e-10 * max(1.0, np.abs(V).max()):
            return policies, values
        policies.append(policy)
        values.append(V)


def optimal_values(mdp: MDP, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """V (S,) and Q (S, A) of the best policy, exact to rounding, by policy iteration.

    Book: foundations/dynamic_programming
    """
    V = policy_iteration(mdp, gamma)[1][-1]
    return V, action_values(mdp, V, gamma)


def value_iteration(mdp: MDP, gamma: float, tolerance: float) -> tuple[np.ndarray, int]:
    """V (S,), off by at most ``tolerance`` in every state, and the number of sweeps that it took.

    Raises:
        ValueError: ``gamma`` is not below 1, where the rule proves nothing; tolerance not above 0.

    Book: foundations/dynamic_programming
    """
    if not 0 <= gamma < 1 or not tolerance > 0:
        given = f"gamma={gamma}, tolerance={tolerance}"
        raise ValueError(f"value_iteration needs 0 ≤ gamma < 1 and tolerance > 0, not {given}")
    V, sweeps = np.zeros(len(mdp.r)), 0
    while True:
        before, V, sweeps = V, optimality_sweep(mdp, V, gamma), sweeps + 1
        if error_bound(V, before, gamma) <= tolerance:
            return V, sweeps


# --------------------------------------------------------------------------------------- what is certain


def error_bound(V: np.ndarray, before: np.ndarray, gamma: float) -> np.ndarray:
    """How far at most ``V`` (…, S), one sweep after ``before``, is from where sweeps lead to.

    Book: foundations/dynamic_programming
    """
    return gamma / (1 - gamma) * np.abs(V - before).max(axis=-1)  # (eq-dp-stop)


def sweep_rate(mdp: MDP, policy: np.ndarray, gamma: float) -> float:
    """The factor by which, in the long run, a sweep for ``policy`` (S, A) shrinks the error.

    Book: foundations/dynamic_programming
    """
    acting = ~mdp.terminal
    chain = transitions(mdp, policy)[acting][:, acting]  # from states that act to states that act
    return gamma * float(np.abs(np.linalg.eigvals(chain)).max())  # (eq-dp-rate)


def every_policy(mdp: MDP, gamma: float) -> np.ndarray:
    """Values (A^K, S) of all deterministic policies, by brute force; K states are not terminal.

    Policy number i takes in the k-th of these states the k-th digit of i, written to the base A.

    Raises:
        ValueError: ``gamma`` is not below 1, or there are more than a million policies.

    Book: foundations/dynamic_programming
    """
    (S, A), acting = mdp.r.shape, np.flatnonzero(~mdp.terminal)
    K = len(acting)
    if not 0 <= gamma < 1 or A**K > 1_000_000:
        raise ValueError(f"gamma has to be below 1 (it is {gamma}) and {A}^{K} policies at most a million")
    V = np.zeros((A**K, S))
    for some in np.array_split(np.arange(A**K), max(1, A**K // 10_000)):
        actions = some[:, None] // A ** np.arange(K) % A  # (M, K)
        chain = mdp.P[acting, actions][:, :, acting]  # (M, K, K)
        V[some[:, None], acting] = np.linalg.solve(
            np.eye(K) - gamma * chain, mdp.r[acting, actions][:, :, None]
        )[:, :, 0]
    return V
