"""One run of a row of reference/benchmarks: trained on one thread, and scored in three ways.

``table.py`` runs the rows and keeps what is measured here:

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/measure.py sac Pendulum-v1

A row's numbers stand on this file and on the code of its algorithm, and on nothing else: what decides which
rows there are, where they run and how they are shown may change without a run becoming outdated.
"""

import hashlib
import importlib
import json
import runpy
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlworkshop import envs, stats

LOOKS, EPISODES = 10, 10  # evaluations while it trains, evenly over the steps, and the episodes of each
FINAL = 30  # episodes of the final evaluation
POINTS = 25  # of the learning curve
APART = 1_000_000  # between the seeds of a training and of its evaluations


class Look:
    """Evaluates the policy now and then while it trains, with the clocks stopped."""

    def __init__(self, env_id: str, steps: int, seed: int):
        self.env_id, self.seed, self.every = env_id, seed, steps / LOOKS
        self.scores: list[float] = []
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def __call__(self, session: Any) -> None:
        """The callback of a training."""
        if session.steps >= self.every * (len(self.scores) + 1):
            self.look(session.agent.act)

    def look(self, act: envs.Act) -> None:
        """One evaluation, of the same first states each time."""
        wall, cpu = time.perf_counter(), time.process_time()
        scores = envs.evaluate(act, self.env_id, EPISODES, self.seed + 2 * APART)
        self.scores.append(float(scores.mean()))
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu


def measure(about: dict[str, Any], seed: int) -> dict[str, Any]:
    """One training and its three scores, as plain values; the same seed gives the same, seconds apart.

    ``about``: ``module`` (dotted), the names in it of ``train``, ``load`` and ``config``, then ``task``,
    ``steps``, and ``settings`` that differ from the configuration's own.
    """
    torch.set_num_threads(1)  # networks this small lose time on a second thread
    module = importlib.import_module(about["module"])
    train, load, config = (getattr(module, about[name]) for name in ("train", "load", "config"))
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in about["settings"].items()}
    config = config(env_id=about["task"], total_steps=about["steps"], **settings)
    look = Look(about["task"], about["steps"], seed)
    run = train(config, seed, callback=look)
    wall, cpu = time.perf_counter() - look.wall, time.process_time() - look.cpu
    act = load(run).act
    while len(look.scores) < LOOKS:  # the last ones are due after the last update
        look.look(act)
    final = envs.evaluate(act, about["task"], FINAL, seed + APART)
    ends, returns = run.metrics["step"], run.metrics["return"]
    grid = np.linspace(0, about["steps"], POINTS + 1)[1:]
    curve = stats.on_grid(ends, returns, grid, window=about["steps"] / POINTS) if len(ends) else grid * np.nan
    return {
        "training": float(returns[-100:].mean()) if len(returns) else None,
        "final": float(final.mean()),
        "best": max(look.scores),
        "steps": int(run.metrics["update_step"][-1]),
        "looks": look.scores,
        "curve": [float(x) if np.isfinite(x) else None for x in curve],
        "wall_seconds": round(wall, 2),
        "cpu_seconds": round(cpu, 2),
        "policy": fingerprint(run.policy),
    }


def fingerprint(policy: dict[str, Any]) -> str:
    """What two policies have in common only if they are the same to the last bit."""
    body = json.dumps(policy, sort_keys=True, default=lambda x: [str(x.dtype), x.shape, x.tobytes().hex()])
    return hashlib.sha256(body.encode()).hexdigest()[:16]


SECONDS = ("wall_seconds", "cpu_seconds")  # what a second run does not repeat


def repeats(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two measurements are the same, bit for bit, but for how long they took."""
    left, right = ({k: v for k, v in each.items() if k not in SECONDS} for each in (one, other))
    return left == right


if __name__ == "__main__":  # not imported: a change there makes no run outdated
    runpy.run_path(str(Path(__file__).with_name("table.py")), run_name="__main__")
