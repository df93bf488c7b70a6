"""Mice trained with the cheese in the corner but for a share of the mazes: six shares, and a near miss.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/goal_misgeneralization.py run 0/1
    python benchmarks/goal_misgeneralization.py store

``run I/N`` does every N-th job, beginning with job I; what is done already is not done again, so it may be
stopped and started. ``store`` puts together as many seeds of each arm as there are of every arm, ten in the
end. Kept are the shares of episodes in which the cheese, the empty corner, or neither was reached first, in
500 mazes that no training has seen: with the cheese in the corner ("same") and anywhere else ("moved"),
actions drawn from the policy.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import torch

from rlworkshop import runs
from rlworkshop.safety import goal_misgeneralization as gm

SEEDS = range(9000, 9010)
ARMS = {  # share of mazes with the cheese elsewhere, and how far from the corner
    "0": (0.0, 6), "0.01": (0.01, 6), "0.02": (0.02, 6), "0.05": (0.05, 6), "0.1": (0.1, 6), "1": (1.0, 6),
    "near": (0.9, 2),
}  # fmt: skip
PARTS = Path(__file__).resolve().parents[1] / "_build" / "goal_misgeneralization"


def one(arm: str, seed: int, total_steps: int | None = None) -> dict:
    """Shares (3,) of outcomes of one training, with the cheese in the corner and elsewhere."""
    share, reach = ARMS[arm]
    config = gm.PPO if total_steps is None else dataclasses.replace(gm.PPO, total_steps=total_steps)
    agent = gm.load_mouse(gm.train_mouse(config, seed, share=share, reach=reach))
    found, rng = {}, np.random.default_rng(seed)
    for name, moved in (("same", 0.0), ("moved", 1.0)):
        levels = gm.draw_levels(500, moved, seed + 10_000)
        walks = gm.play(lambda obs: agent.sample(obs, rng), levels, seed)
        found[name] = walks.shares().round(4).tolist()
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["run", "store"])
    parser.add_argument("share", nargs="?", default="0/1", help="I/N: every N-th, beginning with number I")
    parser.add_argument("--quick", action="store_true", help="one update and one seed, kept apart")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    steps = gm.PPO.num_envs * gm.PPO.num_steps if chosen.quick else None
    seeds = list(SEEDS)[:1] if chosen.quick else list(SEEDS)
    parts = PARTS / "quick" if chosen.quick else PARTS
    parts.mkdir(parents=True, exist_ok=True)
    if chosen.what == "run":
        first, every = map(int, chosen.share.split("/"))
        for seed, arm in [(seed, arm) for seed in seeds for arm in ARMS][first::every]:
            path = parts / f"{arm}_{seed}.json"
            if not path.exists():
                before = time.process_time()
                found = one(arm, seed, steps)
                path.with_suffix(".new").write_text(json.dumps(found))
                path.with_suffix(".new").rename(path)
                took = f"{time.process_time() - before:.1f} s"
                print(time.strftime("%T"), arm, seed, took, found["moved"], flush=True)
        return
    done = {arm: [s for s in seeds if (parts / f"{arm}_{s}.json").exists()] for arm in ARMS}
    n = min(map(len, done.values()))
    found = {
        arm: [json.loads((parts / f"{arm}_{s}.json").read_text()) for s in done[arm][:n]] for arm in ARMS
    }
    results = {arm: {name: [one[name] for one in found[arm]] for name in ("same", "moved")} for arm in ARMS}
    seeds = sorted({s for arm in ARMS for s in done[arm][:n]})
    modules = ["rlworkshop.safety.goal_misgeneralization"]
    folder = parts if chosen.quick else None
    about = {"arms": results}
    print(
        n,
        "seeds of each in",
        runs.store("goal_misgeneralization", about, seeds, modules, __file__, folder=folder),
    )


if __name__ == "__main__":
    main()
