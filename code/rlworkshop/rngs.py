"""Randomness for many learners side by side, each with random numbers of its own.

Experiments on small problems run all their seeds at once, as rows of arrays. A learner must not notice:
with the same seed it draws the same numbers alone and among thirty others.

Book: foundations/key_concepts
"""

from collections.abc import Sequence

import numpy as np

BLOCK = 128  # draws made in advance: one call of a generator costs as much as a hundred numbers


class Rngs:
    """Random numbers for N rows, ``each`` of them for each seed and from that seed alone.

    Rows stay in step: every call draws for every row, whether its learner uses the number or not. A seed
    may also be a ``numpy.random.Generator`` that one has already.

    Raises:
        ValueError: there are no seeds, or no rows for them.

    Book: foundations/key_concepts
    """

    def __init__(self, seeds: Sequence[int | np.random.Generator], each: int = 1) -> None:
        if len(seeds) == 0 or each < 1:
            raise ValueError("Rngs needs at least one seed, such as verify.seeds(30), and a row for each")
        self._generators, self._each = [np.random.default_rng(s) for s in seeds], each
        self._blocks: dict[tuple, list] = {}  # what was drawn in advance, by kind and shape

    def __len__(self) -> int:
        return len(self._generators) * self._each

    def uniform(self, *shape: int) -> np.ndarray:
        """Numbers (N, *shape), evenly from 0 up to, not including, 1."""
        return self._next("random", shape)

    def normal(self, *shape: int) -> np.ndarray:
        """Numbers (N, *shape) from the standard normal distribution."""
        return self._next("standard_normal", shape)

    def integers(self, n: int) -> np.ndarray:
        """Whole numbers (N,) from 0 to n - 1, all equally likely."""
        return (self.uniform() * n).astype(np.int64)

    def choice(self, probabilities: np.ndarray) -> np.ndarray:
        """One index (N,) for each row of ``probabilities`` (N, K), which need not add up to 1."""
        edges = probabilities.cumsum(axis=1)  # (N, K)
        return (self.uniform(1) * edges[:, -1:] >= edges[:, :-1]).sum(axis=1)

    def argmax(self, values: np.ndarray) -> np.ndarray:
        """Index (N,) of the largest entry of each row of ``values`` (N, K); ties are broken by chance."""
        tied = values == values.max(axis=1, keepdims=True)  # (N, K)
        return np.where(tied, self.uniform(values.shape[1]), -1.0).argmax(axis=1)

    def _next(self, kind: str, shape: tuple[int, ...]) -> np.ndarray:
        block = self._blocks.setdefault((kind, shape), [])
        if not block:
            size = (max(1, BLOCK // self._each), self._each, *shape)
            drawn = [getattr(generator, kind)(size) for generator in self._generators]
            block.extend(np.concatenate(drawn, axis=1)[::-1])  # (BLOCK, N, *shape), taken from the end
        return block.pop()
