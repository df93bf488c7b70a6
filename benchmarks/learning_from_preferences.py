"""A swing-up learned from more and more comparisons, with two ways to choose them, ten seeds each.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/learning_from_preferences.py run 0/2 &
    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/learning_from_preferences.py run 1/2 &
    PYTHONPATH=code python benchmarks/learning_from_preferences.py store

``run I/N`` does every N-th training, beginning with training I, in one process; what is done already is not
done again, so it may be stopped and started. ``store`` puts all that was done together. The arms: the true
reward, standardised and as it comes; comparisons of the pairs that the ensemble disagrees about most, or of
pairs at random; all comparisons before the training, after which the reward is fitted once, with as many
gradient steps as it takes before the training in the other arms, or with as many as it takes there in all.
Kept are the mean true return of the final policy in 256 fresh episodes, and the curve of training.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from rlworkshop import runs
from rlworkshop.algorithms import ppo
from rlworkshop.safety import learning_from_preferences as prefs

SEEDS = range(9000, 9010)
COMPARISONS = (100, 200, 400)
ARMS = {
    "score": {"source": "score"},
    "raw": {"source": "score", "standardize": False},
    **{f"disagreement {n}": {"comparisons": n} for n in COMPARISONS},
    **{f"random {n}": {"comparisons": n, "candidates": 1} for n in (100, 400)},
    "up front 400": {"upfront": 1.0},
    "up front 400, longer": {"upfront": 1.0, "first_fit": 1000},  # as many steps as the others take in all
}
PARTS = Path(__file__).resolve().parents[1] / "_build" / "learning_from_preferences"


def one(arm: str, seed: int) -> dict:
    """Train one seed of one arm, and play with its policy."""
    run = prefs.train_from_preferences(prefs.Preferences(**ARMS[arm]), seed)
    episodes = prefs.play(ppo.load_policy(run).act, 256, seed)  # (T, N, 4)
    final = float(prefs.SCORES["upright"](np.swapaxes(episodes, 0, 1)).mean())
    share = prefs.upright_share(episodes)
    return {"final": final, "upright": share, "curve": run.metrics["score"].round(2).tolist()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["run", "store"])
    parser.add_argument("share", nargs="?", default="0/1", help="I/N: every N-th, beginning with I")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    PARTS.mkdir(parents=True, exist_ok=True)
    files = {(arm, seed): PARTS / f"{arm}-{seed}.json" for seed in SEEDS for arm in ARMS}
    if chosen.what == "run":
        first, every = map(int, chosen.share.split("/"))
        for key, file in list(files.items())[first::every]:
            if not file.exists():
                file.with_suffix(".new").write_text(json.dumps(one(*key)))
                file.with_suffix(".new").rename(file)
                print(time.strftime("%T"), *key, flush=True)
        return
    todo = [key for key, file in files.items() if not file.exists()]
    if todo:
        raise SystemExit(f"{len(todo)} trainings are missing: run first")
    results = {arm: [json.loads(files[arm, seed].read_text()) for seed in SEEDS] for arm in ARMS}
    modules = ["rlworkshop.safety.learning_from_preferences"]
    runs.store("learning_from_preferences", results, SEEDS, modules, __file__)


if __name__ == "__main__":
    main()
