"""Markov decision processes: small worlds, what policies are worth in them exactly, and many played at once.

An ``MDP`` is two arrays of numbers, so that values are solutions of linear equations; a ``Simulator`` draws
from it for N learners side by side, who see none of those numbers. ``gridworld`` makes one from a drawing.

Book: foundations/key_concepts
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rlworkshop.rngs import Rngs

MOVES = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])  # rows and columns: up, right, down, left


# ------------------------------------------------------------------------------------------ worlds


@dataclass(frozen=True, eq=False)
class MDP:
    """A Markov decision process with S states and A actions, known to the last number.

    Raises:
        ValueError: shapes do not fit, or rows are no distributions.

    Book: foundations/key_concepts
    """

    P: np.ndarray
    """(S, A, S), P[s, a, s']: probability of s' after a in s; all zero where s is terminal"""
    R: np.ndarray
    """(S, A, S), R[s, a, s']: reward of that transition"""
    start: np.ndarray
    """(S,), probability of each first state"""

    def __post_init__(self) -> None:
        S, A = self.P.shape[:2]
        if self.P.shape != (S, A, S) or self.R.shape != (S, A, S) or self.start.shape != (S,):
            raise ValueError(f"P and R must be (S, A, S), start (S,), not {self.P.shape}, {self.R.shape}")
        rows = np.where(self.terminal[:, None], 1.0, self.P.sum(axis=2))
        if min(self.P.min(), self.start.min()) < 0 or not np.allclose([*rows.flat, self.start.sum()], 1):
            raise ValueError("start and each P[s, a] must be distributions (P[s] all zero: terminal)")

    @cached_property
    def terminal(self) -> np.ndarray:
        """(S,) bool, the states in which nothing happens any more."""
        return ~self.P.any(axis=(1, 2))

    @cached_property
    def r(self) -> np.ndarray:
        """(S, A), the expected reward of each action in each state."""
        return (self.P * self.R).sum(axis=2)


@dataclass(frozen=True, eq=False)
class Gridworld(MDP):
    """An MDP that can be drawn: each state is a cell of a map. Actions: 0 up, 1 right, 2 down, 3 left.

    Book: foundations/key_concepts
    """

    cells: np.ndarray
    """(S, 2), row and column of each state"""
    layout: tuple[str, ...]
    """the drawing, one text for each row"""

    def on_map(self, x: np.ndarray) -> np.ndarray:
        """What belongs to states (S, ...) at the places of their cells (H, W, ...), NaN elsewhere."""
        drawn = np.full((len(self.layout), len(self.layout[0]), *x.shape[1:]), np.nan)
        drawn[tuple(self.cells.T)] = x
        return drawn

    def moves(self, policy: np.ndarray) -> np.ndarray:
        """A policy (S, 4) as ``plots.grid`` draws it (H, W, 4): none where nothing can be done."""
        return self.on_map(np.where(self.terminal[:, None], np.nan, policy))


def gridworld(
    layout: str,
    rewards: Mapping[str, float],
    step: float = 0.0,
    slip: float = 0.0,
    ends: str = "GH",
    back: str = "C",
) -> Gridworld:
    """A world from a drawing such as ``"..G\\n.#H\\nS.."``: one letter a cell, ``#`` is wall, ``S`` a start.

    Args:
        rewards: by letter, for entering a cell of that letter; all other moves pay ``step``. A move
            against a wall or the edge leaves one where one is.
        slip: probability that a move goes to one of the two sides instead, each equally often.
        ends: letters of terminal cells. back: letters of cells from which one finds oneself at a start.

    Raises:
        ValueError: rows of unequal length, no start, nobody knows a letter, or a slip out of range.

    Book: foundations/key_concepts
    """
    rows = tuple(line.strip() for line in layout.strip().splitlines())
    letters = set("".join(rows))
    if len({len(row) for row in rows}) != 1 or "S" not in letters:
        raise ValueError("a layout needs rows of one length and at least one S to start from")
    if unknown := letters - set(".S#") - set(ends) - set(back) - set(rewards):
        raise ValueError(f"letters without a meaning in the layout: {''.join(sorted(unknown))}")
    if not 0 <= slip <= 1:
        raise ValueError(f"slip is a probability, not {slip}")
    board = np.array([list(row) for row in rows])  # (H, W)
    cells = np.argwhere((board != "#") & ~np.isin(board, list(back)))  # (S, 2)
    number = {tuple(cell): s for s, cell in enumerate(cells.tolist())}
    start = (board[tuple(cells.T)] == "S") / (board == "S").sum()
    S = len(cells)
    P, R = np.zeros((S, 4, S)), np.zeros((S, 4, S))
    for s, cell in enumerate(cells):
        for action, direction in np.ndindex(4, 4):
            side = (direction - action) % 4  # 0 as meant, 1 and 3 to the sides, 2 never
            chance = (1 - slip, slip / 2, 0.0, slip / 2)[side]
            row, column = cell + MOVES[direction]
            inside = 0 <= row < board.shape[0] and 0 <= column < board.shape[1]
            letter = board[row, column] if inside and board[row, column] != "#" else None
            reward = rewards.get(letter, step)
            to = start if letter and letter in back else np.eye(S)[number[(row, column)] if letter else s]
            if chance and board[tuple(cell)] not in ends:
                total = P[s, action] + chance * to  # two sides may lead to the same place
                paid = P[s, action] * R[s, action] + chance * to * reward
                R[s, action] = np.divide(paid, total, out=np.zeros(S), where=total > 0)
                P[s, action] = total
    return Gridworld(P, R, start, cells, rows)


# ------------------------------------------------------------------------------------ what is true


def transitions(mdp: MDP, policy: np.ndarray) -> np.ndarray:
    """(S, S), probability of each next state where actions follow ``policy`` (S, A).

    Book: foundations/key_concepts
    """
    return np.einsum("sa,sat->st", policy, mdp.P)  # (eq-kc-chain)


def state_values(mdp: MDP, policy: np.ndarray, gamma: float) -> np.ndarray:
    """V (S,) of a policy (S, A), as the solution of Bellman's linear equations.

    Raises:
        ValueError: ``gamma`` is out of range, or 1 where from some state the policy never ends.

    Book: foundations/key_concepts
    """
    chain = _discounted(mdp, policy, gamma)
    r = (policy * mdp.r).sum(axis=1)  # (S,)
    return np.linalg.solve(np.eye(len(chain)) - chain, r)  # (eq-kc-bellman)


def action_values(mdp: MDP, V: np.ndarray, gamma: float) -> np.ndarray:
    """Q (S, A): what each action is worth if states are worth ``V`` (S,) afterwards.

    Book: foundations/key_concepts
    """
    return mdp.r + gamma * mdp.P @ V  # (eq-kc-q)


def visits(mdp: MDP, policy: np.ndarray, gamma: float) -> np.ndarray:
    """How often an episode visits each state on average (S,), the visit at step t counting γ^t.

    Raises:
        ValueError: ``gamma`` is out of range, or 1 where from some state the policy never ends.

    Book: foundations/key_concepts
    """
    chain = _discounted(mdp, policy, gamma)
    d = np.linalg.solve(np.eye(len(chain)) - chain.T, mdp.start)  # (eq-kc-visits)
    return d * ~mdp.terminal


def must_end(mdp: MDP, policy: np.ndarray) -> None:
    """Nothing, where every state can reach a terminal one under ``policy`` (S, A).

    Raises:
        ValueError: from some state the policy never ends.

    Book: foundations/key_concepts
    """
    possible, ends, before = transitions(mdp, policy) > 0, mdp.terminal, None
    while not np.array_equal(ends, before):
        before, ends = ends, ends | possible @ ends
    if not ends.all():
        raise ValueError(
            f"without a discount (gamma=1) every state must be able to reach a terminal one; from state "
            f"{np.argmin(ends)} this policy never does: take gamma < 1 or another policy"
        )


# -------------------------------------------------------------------------------------- experience


class Simulator:
    """Plays an MDP for N learners side by side, each with random numbers of its own. It keeps no state.

    ``states = simulator.start()``, then ``rewards, following = simulator.step(states, actions)`` with arrays
    (N,). ``following`` are the states that were reached, terminal ones too (``mdp.terminal[following]``):
    to put a ``start()`` in their place is up to the caller.

    Book: foundations/key_concepts
    """

    def __init__(self, mdp: MDP, rngs: Rngs) -> None:
        self.mdp, self._dice = mdp, rngs
        S, A = mdp.r.shape
        K = max(1, (mdp.P > 0).sum(axis=2).max())  # most successors that any action has
        self._next = np.argsort(mdp.P <= 0, axis=2, kind="stable")[..., :K].reshape(S * A, K)
        chance = np.take_along_axis(mdp.P.reshape(S * A, S), self._next, axis=1)
        self._edges = chance.cumsum(axis=1)[:, :-1]  # (S·A, K-1)
        self._rewards = np.take_along_axis(mdp.R.reshape(S * A, S), self._next, axis=1)

    def start(self) -> np.ndarray:
        """First states (N,)."""
        if self.mdp.start.max() == 1:
            return np.full(len(self._dice), self.mdp.start.argmax())
        return self._dice.choice(np.tile(self.mdp.start, (len(self._dice), 1)))

    def act(self, policy: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Actions (N,) that a policy (S, A) draws in these states (N,)."""
        return self._dice.choice(policy[states])

    def step(self, states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rewards (N,) and states reached (N,); a terminal state pays nothing and stays."""
        row = states * self.mdp.r.shape[1] + actions  # (N,)
        k = 0
        if self._edges.shape[1]:
            k = (self._dice.uniform(1) >= self._edges[row]).sum(axis=1)  # (N,)
        over = self.mdp.terminal[states]
        rewards = np.where(over, 0.0, self._rewards[row, k])
        return rewards, np.where(over, states, self._next[row, k])


@dataclass(frozen=True)
class Batch:
    """N episodes side by side, T steps the longest; behind its end an episode is padded.

    Book: foundations/key_concepts
    """

    states: np.ndarray  # (T+1, N)
    actions: np.ndarray  # (T, N)
    rewards: np.ndarray  # (T, N), 0 after the end
    alive: np.ndarray  # (T+1, N) bool, whether s_t is a state in which one acts

    @property
    def lengths(self) -> np.ndarray:
        """(N,), steps of each episode."""
        return self.alive[:-1].sum(axis=0)


def play(simulator: Simulator, policy: np.ndarray, limit: int | None = None) -> Batch:
    """Play one episode for each of the simulator's learners with ``policy`` (S, A).

    ``limit`` truncates episodes after so many steps; one that is still ``alive`` in the last row was.

    Raises:
        ValueError: there is no limit, and from some state the policy never ends.

    Book: foundations/key_concepts
    """
    if limit is None:
        must_end(simulator.mdp, policy)
    terminal, states = simulator.mdp.terminal, [simulator.start()]
    actions, rewards = [], []
    while not terminal[states[-1]].all() and len(actions) != limit:
        actions.append(simulator.act(policy, states[-1]))
        paid, following = simulator.step(states[-1], actions[-1])
        rewards.append(paid)
        states.append(following)
    shape = (len(actions), len(states[0]))
    acted, paid = np.array(actions, int).reshape(shape), np.array(rewards, float).reshape(shape)
    return Batch(np.array(states), acted, paid, ~terminal[np.array(states)])


def discounted_return(rewards: np.ndarray, gamma: float) -> np.ndarray:
    """The return (N,) of each episode, from rewards (T, N) that are 0 after its end.

    Book: foundations/key_concepts
    """
    discount = gamma ** np.arange(len(rewards))  # (T,)
    return discount @ rewards  # (eq-kc-return)


# ----------------------------------------------------------------------------------------- details


def must_be_floats(table: np.ndarray) -> None:
    """Nothing, where a table that is to be changed in place can hold what is learned.

    Raises:
        TypeError: it is of whole numbers, which would round each step away.

    Book: foundations/key_concepts
    """
    if table.dtype.kind not in "fc":
        raise TypeError(f"a table that learns in place is of floats, not {table.dtype}: table.astype(float)")


def _discounted(mdp: MDP, policy: np.ndarray, gamma: float) -> np.ndarray:
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma lies between 0 and 1, not at {gamma}")
    if gamma == 1:
        must_end(mdp, policy)
    return gamma * transitions(mdp, policy)
