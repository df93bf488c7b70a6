"""A small fixed piece of work, to compare machines by: ``python -m bookbuild.engine.reference`` times it."""

import time
import timeit

import numpy as np

SECONDS = 0.1  # of CPU that the reference machine takes for ``work``


def work() -> float:
    """What pages do, in small: steps in Python, products of small matrices, sums over larger arrays."""
    rng = np.random.default_rng(0)
    weights, x, total = rng.normal(size=(64, 64)) / 8, rng.normal(size=(64, 64)), 0.0
    table = {i: float(i % 7) for i in range(1000)}
    for step in range(4000):
        x = np.tanh(x @ weights)
        total += max(table[(step * 31 + i) % 1000] * 0.5 + i for i in range(40)) + float(x.sum())
    return total


def speed(repeats: int = 5) -> float:
    """How many CPU seconds of this machine are one of the reference machine: the least of several tries."""
    return min(timeit.repeat(work, timer=time.process_time, number=1, repeat=repeats)) / SECONDS


if __name__ == "__main__":
    print(speed())
