"""Steps per second of the batched small worlds, on one core.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/tabular.py

Printed is the median of five runs in millions of steps a second: of a random policy in gridworlds of the
book, with and without chance, in which episodes begin again as they end; of Q-learning in one of them; and
of bandits that explore, estimate and learn.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np

from rlworkshop.foundations import bandits
from rlworkshop.foundations import key_concepts as kc
from rlworkshop.foundations import learning_from_samples as lfs
from rlworkshop.rngs import Rngs

N, STEPS, REPEATS = 2000, 1000, 5
GARDEN = "...#G\n.#...\n.#.H.\nS...."


def walk(world: kc.MDP) -> int:
    """A random policy in N copies of a world; the number of steps."""
    rngs = Rngs([np.random.default_rng(0)], each=N)
    simulator = kc.Simulator(world, rngs)
    states = simulator.start()
    for _ in range(STEPS):
        _, following = simulator.step(states, rngs.integers(world.r.shape[1]))
        states = np.where(world.terminal[following], simulator.start(), following)
    return N * STEPS


def learn() -> int:
    """Q-learning on the cliff by N learners; the number of steps."""
    learned = lfs.q_learning(lfs.cliff(), Rngs(range(N)), episodes=20, alpha=0.5, epsilon=0.1)
    return int(learned.lengths.sum())


def pull(choose: Callable) -> int:
    """N learners with ten arms each; the number of pulls."""
    rngs = Rngs(range(N))
    bandits.play(bandits.testbed(rngs), choose, STEPS, rngs)
    return N * STEPS


def rate(run: Callable[[], int]) -> float:
    """Millions of steps a second, the median over some repetitions."""
    rates = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        steps = run()
        rates.append(steps / (time.perf_counter() - start) / 1e6)
    return statistics.median(rates)


if __name__ == "__main__":
    slippery = kc.gridworld(GARDEN, {"G": 1.0, "H": -1.0}, slip=0.2)
    cases = {
        "gridworld, every move as meant": lambda: walk(lfs.cliff()),
        "gridworld, slippery": lambda: walk(slippery),
        "Q-learning on the cliff": learn,
        "10-armed testbed, epsilon-greedy": lambda: pull(
            lambda Q, n, t, rngs: bandits.epsilon_greedy(Q, 0.1, rngs)
        ),
        "10-armed testbed, UCB": lambda: pull(lambda Q, n, t, rngs: bandits.ucb(Q, n, t, 2.0, rngs)),
    }
    for name, run in cases.items():
        print(f"{name:34s} {rate(run):6.1f} M/s")
