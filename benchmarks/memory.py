"""Policies for the page on memory that a build has no time for: a control, and students of a teacher.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/memory.py

Ten seeds of each. "control": a recurrent policy that has only met the robot of the data sheet; "nominal": one
without memory, likewise. "student": a recurrent policy that was taught by one that is told the parameters,
which is not kept. Kept are the policies themselves, in ``results/memory``: the page evaluates them afresh.
"""

import argparse
import dataclasses
import multiprocessing
import time
from pathlib import Path

import torch

from rlworkshop import runs
from rlworkshop.robotics import memory

SEEDS = range(8000, 8010)
BATCH = 170 * 150  # environment steps
WORLD = "rlworkshop.robotics.reality_gap:"
FOLDER = Path(__file__).parent / "results" / "memory"

ARMS = ("student", "control", "nominal")
CONTROL = memory.Config(env_id=f"{WORLD}Puck-v0", total_steps=25 * BATCH)
TEACHER = memory.Config(env_id=f"{WORLD}PuckTold-v0", memory="history", total_steps=40 * BATCH)
LESSON = memory.Config(total_steps=25 * BATCH, lr=1e-2)


def one(arm: str, seed: int) -> int:
    """Train one seed of one arm and keep its policy; the environment steps that it took."""
    torch.set_num_threads(1)
    before = time.process_time()
    if arm == "student":
        run = memory.distill(LESSON, seed, memory.load_policy(memory.train(TEACHER, seed)))
    else:
        remembers = "recurrent" if arm == "control" else "none"
        run = memory.train(dataclasses.replace(CONTROL, memory=remembers), seed)
    FOLDER.mkdir(parents=True, exist_ok=True)
    dataclasses.replace(run, metrics={}).save(FOLDER / f"{arm}-{seed}.npz")
    print(arm, seed, f"{time.process_time() - before:.0f} s", flush=True)
    return int(run.metrics["update_step"][-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=2)
    processes = parser.parse_args().processes
    jobs = [(arm, seed) for seed in SEEDS for arm in ARMS]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        steps = dict(zip(jobs, pool.starmap(one, jobs, chunksize=1), strict=True))
    results = {arm: {"steps": [steps[arm, seed] for seed in SEEDS]} for arm in ARMS}
    modules = ["rlworkshop.robotics.memory", "rlworkshop.robotics.reality_gap"]
    runs.store("memory", results, SEEDS, modules, __file__)


if __name__ == "__main__":
    main()
