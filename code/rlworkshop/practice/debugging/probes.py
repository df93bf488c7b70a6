"""Probes: single environments of a few states that ask one question each, with the exact answer.

After the five of Jones, *Debugging RL, without the agonizing pain*, 2021; the last one is ours, and so are
the orchard and the cards, which this module registers with Gymnasium.

Book: practice/debugging
"""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

GAMMA = 0.8
"""discount factor of the probes: so small that right and wrong answers lie far apart"""


class Table(gym.Env):
    """A world given by tables, in which loops are allowed; an observation (D,) says which state it is.

    Args:
        following: (S, A) integers, the state that each action leads to; S is the end.
        reward: (S, A), of each action.
        limit: after so many steps an episode is cut off; 0: never.
        seen: (S+1, D), what the states and the end look like; a one in its own place, and zeros at the end,
            where left out.

    Raises:
        ValueError: the tables do not fit each other.

    Book: practice/debugging
    """

    def __init__(self, following: Any, reward: Any, limit: int = 0, seen: Any = None):
        self.following, self.reward = np.array(following), np.array(reward, float)
        S, A = self.following.shape
        self.seen = np.eye(S + 1, S, dtype=np.float32) if seen is None else np.array(seen, np.float32)
        if self.reward.shape != (S, A) or len(self.seen) != S + 1 or not (self.following <= S).all():
            raise ValueError(f"tables of {S} states and {A} actions do not fit each other")
        self.limit, self.state, self.steps = limit, S, 0
        self.observation_space = gym.spaces.Box(-1, 1, self.seen.shape[1:])
        self.action_space = gym.spaces.Discrete(A)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode in any state."""
        super().reset(seed=seed)
        self.state, self.steps = int(self.np_random.integers(len(self.following))), 0
        return self.seen[self.state].copy(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        """One step; the world may end, or be cut off at its limit.

        Raises:
            RuntimeError: the episode is over.
        """
        if self.state == len(self.following) or self.limit and self.steps >= self.limit:
            raise RuntimeError("this episode is over: call reset before the next step")
        reward, self.state = self.reward[self.state, action], int(self.following[self.state, action])
        self.steps += 1
        over = self.state == len(self.following)
        cut = bool(self.limit) and self.steps >= self.limit and not over
        return self.seen[self.state].copy(), float(reward), over, cut, {}

    def harvest(self, act: Any, steps: int = 100) -> float:
        """Mean reward a step of a policy ``act`` from each state, in episodes that nothing cuts off."""
        S, total, count = len(self.following), 0.0, 0
        state = np.arange(S)
        for _ in range(steps):
            if not len(state):
                break
            action = act(self.seen[state])
            total, count = total + self.reward[state, action].sum(), count + len(state)
            state = self.following[state, action]
            state = state[state < S]
        return float(total / count)

    def optimal_q(self, gamma: float) -> np.ndarray:
        """What each action is worth (S, A) when the best ones follow and nothing is ever cut off."""
        q, worth = np.zeros_like(self.reward), np.zeros(len(self.following) + 1)  # the end is worth nothing
        while np.abs(q - (new := self.reward + gamma * worth[self.following])).max() > 1e-10:
            q, worth[:-1] = new, new.max(axis=1)
        return q


@dataclass(frozen=True)
class Probe:
    """One question to an agent: the tables of its world, and what it means if only this one fails."""

    asks: str
    tables: dict[str, Any]
    suspects: str

    def make(self) -> Table:
        """Its world."""
        return Table(**self.tables)


PROBES = {
    "constant": Probe(
        "is a constant learned?",
        {"following": [[1, 1]], "reward": [[1, 1]], "seen": [[1], [1]]},
        "the loss of the values, the optimiser, or a value added after the end",
    ),
    "seen": Probe(
        "is what is seen told apart?",
        {"following": [[2, 2], [2, 2]], "reward": [[1, 1], [-1, -1]]},
        "a loss that mixes transitions, or observations that do not reach the network",
    ),
    "later": Probe(
        "does a value travel back one step?",
        {"following": [[1, 1], [2, 2]], "reward": [[0, 0], [1, 1]]},
        "the discount, the next observation, or the network of the target",
    ),
    "chosen": Probe(
        "is the better action chosen?",
        {"following": [[1, 1]], "reward": [[-1, 1]], "seen": [[1], [1]]},
        "which action a transition is filed under, exploration, or the sign of the policy's loss",
    ),
    "both": Probe(
        "is the action chosen by what is seen?",
        {"following": [[6, 6]] * 6, "reward": [[1, -1], [-1, 1], [-1, 1], [1, -1], [1, -1], [-1, 1]]},
        "rows of different transitions put together: observations, actions or rewards out of step",
    ),
    "endless": Probe(
        "is a cut told from an end?",
        {"following": [[0, 0]], "reward": [[1, 1]], "limit": 5, "seen": [[1], [1]]},
        "truncation taken for termination",
    ),
}
"""the probes, the simplest first: if several fail, begin with the first"""


class Orchard(Table):
    """Four trees in a row: 0 picks what there is, 1 walks on to the next tree; cut off after 5 steps.

    The last tree pays 1 a pick, the others 0.5. An episode begins at any tree. For whoever sees beyond the
    cut it is best to walk to the last tree; within 5 steps, from the first one, picking pays more.

    Book: practice/debugging
    """

    def __init__(self):
        following = [[0, 1], [1, 2], [2, 3], [3, 3]]
        super().__init__(following, [[0.5, 0], [0.5, 0], [0.5, 0], [1, 0]], limit=5)


class Cards(Table):
    """Four cards and two answers: a card is shown, the right answer to it is paid 1, the wrong one -1.

    An episode has one step, so a reward that is filed under another step says nothing.

    Book: practice/debugging
    """

    def __init__(self):
        super().__init__(np.full((4, 2), 4), [[1, -1], [-1, 1], [-1, 1], [1, -1]])


for _world in (Orchard, Cards):
    for _name in (f"{_world.__name__}-v0", f"{__name__}:{_world.__name__}-v0"):  # looked up as either
        gym.register(_name, f"{__name__}:{_world.__name__}")
