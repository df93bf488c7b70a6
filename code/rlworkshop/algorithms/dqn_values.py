"""What a Q-network expects of an episode, beside what its greedy policy then collects: audits of a training.

And the Huber loss of ``dqn`` in another unit.

Papers: van Hasselt, Guez & Silver, *Deep reinforcement learning with double Q-learning*, 2016
(arXiv:1509.06461), compare the two in the same way; Huber, *Robust estimation of a location parameter*, 1964.

Book: algorithms/dqn_values
"""

from typing import Any

import numpy as np
import torch

from rlworkshop import envs, runs
from rlworkshop.algorithms import dqn
from rlworkshop.replay import Transitions

AUDIT = ("audit_step", "expected", "got", "score")  # metrics of a run that was watched


def audit(
    agent: dqn.Agent, env_id: str, gamma: float, seed: int, episodes: int = 20
) -> tuple[float, float, float]:
    """Greedy play from fresh starts, means over ``episodes``: value expected, discounted return got, steps.

    The value expected is the largest that ``agent`` gives any action at the start. Nothing is explored, and
    nothing is learned.

    Book: algorithms/dqn_values
    """
    world = envs.make(env_id, episodes)
    obs, _ = world.reset(seed=seed)
    expected = agent.values(obs).max(axis=1)  # (N,)
    got, steps, alive = np.zeros(episodes), np.zeros(episodes), np.ones(episodes, bool)
    while alive.any():
        obs, reward, terminated, truncated, _ = world.step(agent.act(obs))
        got += alive * gamma**steps * reward
        steps += alive
        alive &= ~(terminated | truncated)
    return float(expected.mean()), float(got.mean()), float(steps.mean())


def watched(
    config: Any, seed: int, *, every: int = 1_000, until: int | None = None, **parts: Any
) -> runs.Run:
    """Train DQN with audits: ``metrics`` has a number for each audit under each name of ``AUDIT``.

    An audit comes with the first round of learning after every so many steps. It changes nothing: the
    training is that of ``dqn.train``, to the last bit.

    Args:
        config, seed: as ``dqn.train`` has them; ``parts`` go to it.
        every: environment steps from one audit to the next.
        until: the environment step after which none is due any more; ``None``: as long as the training goes.

    Raises:
        ValueError: the training has ended before the first audit.

    Book: algorithms/dqn_values
    """
    rows: list[tuple[float, ...]] = []
    last = config.total_steps if until is None else until

    def look(session: Any) -> None:
        due = every * (len(rows) + 1)
        if due <= min(session.steps, last):
            rows.append((session.steps, *audit(session.agent, config.env_id, config.gamma, seed + 5_000)))

    run = dqn.train(config, seed, callback=look, **parts)
    if not rows:
        raise ValueError(f"an audit every {every} steps never came in a training of {config.total_steps}")
    run.metrics.update(zip(AUDIT, np.array(rows, float).T, strict=True))
    return run


def audits(some_runs: list[runs.Run]) -> np.ndarray:
    """The audits of S runs of ``watched`` with R audits each (S, R, 4): step, expected, got, score.

    Book: algorithms/dqn_values
    """
    return np.array([[run.metrics[name] for name in AUDIT] for run in some_runs]).swapaxes(1, 2)


def in_hundreds(learner: dqn.Learner, batch: Transitions, config: dqn.Config) -> torch.Tensor:
    """The Huber loss (B,); a reward of 1 counts as a hundredth.

    Book: algorithms/dqn_values
    """
    return dqn.huber_losses(learner, batch._replace(reward=batch.reward / 100), config)


def all_in_hundreds(learner: dqn.Learner, batch: Transitions, config: dqn.Config) -> torch.Tensor:
    """The Huber loss in hundreds (B,), in which an error counts as large from a hundredth on.

    Book: algorithms/dqn_values
    """
    size = 100 * dqn.td_errors(learner, batch._replace(reward=batch.reward / 100)).abs()
    return torch.where(size <= 1, 0.5 * size**2, size - 0.5)
