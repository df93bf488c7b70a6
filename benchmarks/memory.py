"""Policies for the pages on memory and the reality gap that a build has no time for.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/memory.py

Ten seeds of each. "control": a recurrent policy that has only met the robot of the data sheet; "nominal": one
without memory, likewise. "history": one that sees its last eight observations, of randomised robots.
"teacher": a history that is told the parameters of each robot (a universal policy); "student": a recurrent
policy that the teacher of its seed has taught. Kept are the policies themselves, in ``results/memory``: the
pages evaluate them afresh.
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

ARMS = {
    "teacher": memory.Config(env_id=f"{WORLD}PuckTold-v0", memory="history", total_steps=40 * BATCH),
    "history": memory.Config(env_id=f"{WORLD}PuckRandomized-v0", memory="history", total_steps=40 * BATCH),
    "control": memory.Config(env_id=f"{WORLD}Puck-v0", memory="recurrent", total_steps=25 * BATCH),
    "nominal": memory.Config(env_id=f"{WORLD}Puck-v0", memory="none", total_steps=25 * BATCH),
}
LESSON = memory.Config(total_steps=25 * BATCH, lr=1e-2)


def one(arm: str, seed: int) -> int:
    """Train one seed of one arm and keep its policy; the environment steps that it took."""
    torch.set_num_threads(1)
    before = time.process_time()
    if arm == "student":
        teacher = runs.Run.load(FOLDER / f"teacher-{seed}.npz")
        run = memory.distill(LESSON, seed, memory.load_policy(teacher))
    else:
        run = memory.train(ARMS[arm], seed)
    dataclasses.replace(run, metrics={}).save(FOLDER / f"{arm}-{seed}.npz")
    print(arm, seed, f"{time.process_time() - before:.0f} s", flush=True)
    return int(run.metrics["update_step"][-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=2)
    processes = parser.parse_args().processes
    FOLDER.mkdir(parents=True, exist_ok=True)
    results = {}
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for arm in (*ARMS, "student"):  # students after their teachers
            jobs = [(arm, seed) for seed in SEEDS]
            results[arm] = {"steps": pool.starmap(one, jobs, chunksize=1)}
    modules = ["rlworkshop.robotics.memory", "rlworkshop.robotics.reality_gap"]
    runs.store("memory", results, SEEDS, modules, __file__)


if __name__ == "__main__":
    main()
