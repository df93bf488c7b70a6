"""A hand that turns a block: with all ingredients, and with one of them left out.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/dexterity.py run 0/2 &
    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/dexterity.py run 1/2 &
    PYTHONPATH=code python benchmarks/dexterity.py store

Ten seeds of each arm. ``run I/N`` does every N-th job, beginning with job I; what is done already is not done
again. Kept are the policies, in ``results/dexterity``, which the page evaluates afresh, and learning curves.
"""

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np
import torch

from rlworkshop import runs
from rlworkshop.robotics import dexterity, memory

SEEDS = range(9000, 9010)
HANDS, BATCHES = 43, 240
BATCH = HANDS * 150  # steps
WORLD = "rlworkshop.robotics.dexterity:"
FULL = memory.Config(
    env_id=f"{WORLD}HandRandomized-v0", num_envs=HANDS, lr=2.5e-3, total_steps=BATCHES * BATCH + HANDS
)
ARMS = {
    "all": FULL,
    "no randomisation": dataclasses.replace(FULL, env_id=f"{WORLD}Hand-v0"),
    "no memory": dataclasses.replace(FULL, memory="none"),
    "a tenth of the experience": dataclasses.replace(FULL, total_steps=FULL.total_steps // 10),
}
FOLDER = Path(__file__).parent / "results" / "dexterity"


def path(arm: str, seed: int) -> Path:
    """Where the policy of one run is kept."""
    return FOLDER / f"{arm.replace(' ', '-')}-{seed}.npz"


def one(arm: str, seed: int) -> None:
    """Train one seed of one arm; keep its policy and its learning curve."""
    before = time.process_time()
    run = memory.train(ARMS[arm], seed)
    rows = np.array_split(run.metrics["return"], 60)
    metrics = {
        "return": np.array([row.mean() for row in rows], np.float32),
        "step": run.metrics["step"][[-1]],
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    dataclasses.replace(run, metrics=metrics).save(path(arm, seed))
    last, seconds = metrics["return"][-1], time.process_time() - before
    print(time.strftime("%T"), arm, seed, f"return {last:.1f}, {seconds:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["run", "store"])
    parser.add_argument("share", nargs="?", default="0/1", help="I/N: every N-th job, beginning with job I")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    jobs = [(arm, seed) for seed in SEEDS for arm in ARMS]
    if chosen.what == "run":
        first, every = map(int, chosen.share.split("/"))
        for arm, seed in jobs[first::every]:
            if not path(arm, seed).exists():
                one(arm, seed)
        return
    results = {}
    for arm in ARMS:
        kept = [runs.Run.load(path(arm, seed)) for seed in SEEDS]
        results[arm] = {
            "files": [path(arm, seed).name for seed in SEEDS],
            "curves": [[round(float(x), 2) for x in run.metrics["return"]] for run in kept],
            "steps": [int(run.metrics["step"][-1]) for run in kept],
        }
    modules = [memory.ALGORITHM, dexterity.__name__]
    print(runs.store("dexterity", results, SEEDS, modules, __file__, packages=["mujoco"]))


if __name__ == "__main__":
    main()
