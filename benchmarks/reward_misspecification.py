"""Vehicles that are paid for driving towards a dock, and of each step away a share is forgiven: seven shares.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/reward_misspecification.py run 0/1
    python benchmarks/reward_misspecification.py store

``run I/N`` does every N-th share, beginning with share I; what is done already is not done again, so it may
be stopped and started. ``store`` puts all that was done together. Ten seeds of each share, 100 updates of
PPO; kept are, for each update, the mean return, and the means of what nobody is paid for.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import torch

from rlworkshop import runs
from rlworkshop.safety import reward_misspecification as rm

SEEDS = range(7000, 7010)
LEAKS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
UPDATES = 100
PARTS = Path(__file__).resolve().parents[1] / "_build" / "reward_misspecification"


def one(leak: float, seed: int, updates: int) -> dict:
    """Curves (U,) of one training."""
    batch = rm.PPO.num_envs * rm.PPO.num_steps
    run = rm.train_homing(dataclasses.replace(rm.PPO, total_steps=updates * batch), seed, leak=leak)
    names = ("return", "docked", "way")
    curves = {name: run.metrics[name].reshape(updates, -1).mean(axis=1) for name in names}
    return {name: curve.round(3).tolist() for name, curve in curves.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["run", "store"])
    parser.add_argument("share", nargs="?", default="0/1", help="I/N: every N-th, beginning with number I")
    parser.add_argument("--quick", action="store_true", help="two updates and one seed, kept apart")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    updates, seeds = (2, [0]) if chosen.quick else (UPDATES, list(SEEDS))
    parts = PARTS / "quick" if chosen.quick else PARTS
    parts.mkdir(parents=True, exist_ok=True)
    if chosen.what == "run":
        first, every = map(int, chosen.share.split("/"))
        for leak, seed in [(leak, seed) for leak in LEAKS[first::every] for seed in seeds]:
            path = parts / f"{leak}_{seed}.json"
            if not path.exists():
                before = time.process_time()
                found = one(leak, seed, updates)
                path.with_suffix(".new").write_text(json.dumps(found))
                path.with_suffix(".new").rename(path)
                took = f"{time.process_time() - before:.1f} s"
                print(time.strftime("%T"), leak, seed, took, found["docked"][-1], flush=True)
        return
    results = {
        str(leak): {
            name: np.array(
                [json.loads((parts / f"{leak}_{seed}.json").read_text())[name] for seed in seeds]
            ).tolist()
            for name in ("return", "docked", "way")
        }
        for leak in LEAKS
    }
    about = {"updates": updates, "leaks": LEAKS, "arms": results}
    modules = ["rlworkshop.safety.reward_misspecification"]
    folder = parts if chosen.quick else None
    print(runs.store("reward_misspecification", about, seeds, modules, __file__, folder=folder))


if __name__ == "__main__":
    main()
