"""Advantage estimates compared with exact advantages, and what vector environments do when episodes end.

A small robot whose every number is known, played in rows as a vector environment plays: what generalised
advantage estimation says on average is then a linear system, and each mistake about the end of an episode
can be measured.

Papers: Schulman, Moritz, Levine, Jordan & Abbeel, *High-dimensional continuous control using generalized
advantage estimation*, 2016; Pardo, Tavakoli, Levdik & Kormushev, *Time limits in reinforcement learning*,
2018.

Book: algorithms/advantage_estimation
"""

from dataclasses import dataclass

import gymnasium as gym
import numpy as np

# ------------------------------------------------------------------------------------------ worlds


class Counter(gym.Env):
    """A world that counts its steps, pays 1 for each, and is cut off after three (truncated).

    Book: algorithms/advantage_estimation
    """

    observation_space = gym.spaces.Box(0, 3, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begin at 0."""
        super().reset(seed=seed)
        self.count = 0
        return np.float32([0]), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Count on."""
        self.count += 1
        return np.float32([self.count]), 1.0, False, self.count == 3, {}


def robot() -> tuple[np.ndarray, np.ndarray]:
    """A robot with a battery, as tables P, R (S, A, S): how likely each move is, and what it pays.

    States are charge 3, 2, 1 and flat, which ends its life: a row of zeros. Action 0 works, pays 1 and mostly
    takes a unit of charge; from the last unit it may go flat. Action 1 charges one unit and pays nothing.

    Book: algorithms/advantage_estimation
    """
    P, R = np.zeros((4, 2, 4)), np.zeros((4, 2, 4))
    for s in range(3):  # charge 3, 2, 1; state 3: flat
        drained = 0.3 if s == 2 else 0.6
        P[s, 0, s + 1], P[s, 0, s] = drained, 1 - drained
        P[s, 1, max(s - 1, 0)] = 1
    R[:, 0] = 1
    return P, R


def habits() -> np.ndarray:
    """The robot's policy (4, 2): the emptier its battery, the less it works.

    Book: algorithms/advantage_estimation
    """
    work = np.array([0.8, 0.6, 0.3, 0.5])
    return np.stack([work, 1 - work], axis=1)


# -------------------------------------------------------------------------------- rows, as they come


@dataclass(frozen=True)
class Rows:
    """T rows of each of N lives under NEXT_STEP, reset rows included."""

    states: np.ndarray
    """(T+1, N) integers, the state before each row, and the one after the last"""
    actions: np.ndarray
    """(T, N) integers"""
    rewards: np.ndarray
    """(T, N)"""
    terminated: np.ndarray
    """(T, N) bool"""
    truncated: np.ndarray
    """(T, N) bool, at the time limit"""
    valid: np.ndarray
    """(T, N) bool, False on reset rows"""
    left: np.ndarray
    """(T, N) integers, rows from here to the time limit, this one included"""


def play(P: np.ndarray, R: np.ndarray, policy: np.ndarray, limit: int, T: int, seeds: list[int]) -> Rows:
    """Rows as a vector environment under NEXT_STEP would give them, one column a seed.

    Episodes begin in state 0 and are truncated after ``limit`` steps. The row after an end is a reset row:
    reward 0, and back to state 0.

    Book: algorithms/advantage_estimation
    """
    N, terminal = len(seeds), ~P.any(axis=(1, 2))
    dice = np.stack([np.random.default_rng(s).random((T, 2)) for s in seeds], axis=1)  # (T, N, 2)
    s, over, age = np.zeros(N, int), np.zeros(N, bool), np.zeros(N, int)
    rows = Rows(
        np.empty((T + 1, N), int), np.empty((T, N), int), np.empty((T, N)), np.empty((T, N), bool),
        np.empty((T, N), bool), np.empty((T, N), bool), np.empty((T, N), int),
    )  # fmt: skip
    rows.states[0] = s
    for t in range(T):
        a = (dice[t, :, 0, None] > np.cumsum(policy[s], axis=1)[:, :-1]).sum(axis=1)
        after = (dice[t, :, 1, None] > np.cumsum(P[s, a], axis=1)[:, :-1]).sum(axis=1)
        after = np.where(over, 0, after)
        age = np.where(over, 0, age + 1)
        rows.actions[t], rows.valid[t], rows.left[t] = a, ~over, limit - age + 1
        rows.rewards[t] = np.where(over, 0.0, R[s, a, after])
        rows.terminated[t] = ~over & terminal[after]
        rows.truncated[t] = ~over & ~rows.terminated[t] & (age == limit)
        over, s = rows.terminated[t] | rows.truncated[t], after
        rows.states[t + 1] = s
    return rows


# ---------------------------------------------------------------------------- what an estimate says


def expected_gae(
    P: np.ndarray, R: np.ndarray, policy: np.ndarray, V: np.ndarray, gamma: float, lam: float
) -> np.ndarray:
    """What GAE with the critic ``V`` (S,) says on average of each action in each state (S, A).

    Terminal states count 0, whatever ``V`` says. Where ``V`` is right these are the advantages.

    Book: algorithms/advantage_estimation
    """
    V = np.where(P.any(axis=(1, 2)), V, 0.0)
    surprise = (P * R).sum(axis=2) + gamma * P @ V - V[:, None]  # (S, A), the mean of δ
    own = (policy * surprise).sum(axis=1)  # (S,), what the policy is told there
    told = np.linalg.solve(np.eye(len(V)) - gamma * lam * np.einsum("sa,sat->st", policy, P), own)  # (S,)
    return surprise + gamma * lam * P @ told  # (eq-ae-expected)


def folded_rewards(
    rewards: np.ndarray, final_values: np.ndarray, truncated: np.ndarray, gamma: float
) -> np.ndarray:
    """Rewards (T, N) in which what a truncated episode would still have paid is added to its last one.

    ``final_values`` (T, N): the critic's value of the true last observation, where there is one. With them a
    time limit may be treated as an end.

    Book: algorithms/advantage_estimation
    """
    return rewards + gamma * np.where(truncated, final_values, 0.0)  # (eq-ae-folded)
