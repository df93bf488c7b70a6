"""A replay buffer: the last so many transitions, in arrays, to be drawn from at random.

Nothing here belongs to an algorithm.

Book: algorithms/dqn
"""

from typing import NamedTuple

import numpy as np


class Transitions(NamedTuple):
    """B transitions, as arrays whose rows belong together.

    Book: algorithms/dqn
    """

    obs: np.ndarray  # (B, *shape)
    action: np.ndarray  # (B,) or (B, K)
    reward: np.ndarray  # (B,) float32
    next_obs: np.ndarray  # (B, *shape): where the transition led, not where the next episode began
    discount: np.ndarray  # (B,) float32, what a value at next_obs counts: 0 where nothing comes after


class Replay:
    """Keeps the last ``capacity`` transitions; the oldest make room for new ones.

    Attributes:
        added: how many were ever added.

    Raises:
        ValueError: ``capacity`` is below 1.

    Book: algorithms/dqn
    """

    def __init__(
        self, capacity: int, obs_shape: tuple, action_shape=(), obs_dtype=np.float32, action_dtype=np.int64
    ):
        if capacity < 1:
            raise ValueError(f"a replay buffer keeps at least 1 transition, not {capacity}")
        self.capacity, self.added = capacity, 0
        self._rows = Transitions(
            obs=np.zeros((capacity, *obs_shape), obs_dtype),
            action=np.zeros((capacity, *action_shape), action_dtype),
            reward=np.zeros(capacity, np.float32),
            next_obs=np.zeros((capacity, *obs_shape), obs_dtype),
            discount=np.zeros(capacity, np.float32),
        )

    @property
    def size(self) -> int:
        """How many transitions there are now."""
        return min(self.added, self.capacity)

    def add(self, *transitions: np.ndarray) -> np.ndarray:
        """Take in transitions, in the order of ``Transitions``; the rows (B,) where they now stand.

        Raises:
            ValueError: there are more than fit, or the arrays have not the same number of rows.
        """
        B = len(transitions[0])
        if self.capacity < B or any(len(column) != B for column in transitions):
            lengths = [len(column) for column in transitions]
            raise ValueError(f"transitions must be as many of each kind, at most {self.capacity}: {lengths}")
        rows = (self.added + np.arange(B)) % self.capacity
        for name, kept, column in zip(Transitions._fields, self._rows, transitions, strict=True):
            # floats may lose digits, whole numbers nothing
            if not np.can_cast(column.dtype, kept.dtype, "same_kind" if kept.dtype.kind == "f" else "safe"):
                hint = "say what they are (obs_dtype, action_dtype, or the environment's space)"
                raise ValueError(f"{name} of type {column.dtype} would lose digits as {kept.dtype}: {hint}")
            kept[rows] = column
        self.added += B
        return rows

    def step(self, rows: Transitions, valid: np.ndarray, ended: np.ndarray) -> None:
        """Take in the ``valid`` (N,) of N environments' rows: reset rows are no transitions.

        ``ended`` (N,) says which episodes end here: a replay that joins steps needs it, this one does not.
        """
        self.add(*(column[valid] for column in rows))

    def __getitem__(self, rows: np.ndarray) -> Transitions:
        """The transitions (B,) that stand in these rows, as copies."""
        return Transitions(*(column[rows] for column in self._rows))

    def sample(self, batch_size: int, rng: np.random.Generator) -> Transitions:
        """``batch_size`` transitions, each drawn from all alike (so one may come twice).

        Raises:
            ValueError: the buffer is empty.
        """
        if self.size == 0:
            raise ValueError("the replay buffer is empty: add transitions before sampling")
        return self[rng.integers(self.size, size=batch_size)]
