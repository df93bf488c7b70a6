"""A pendulum that learns from more and more comparisons, with two ways to choose them, ten seeds each.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/learning_from_preferences.py run 0/2 &
    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/learning_from_preferences.py run 1/2 &
    PYTHONPATH=code python benchmarks/learning_from_preferences.py store

``run I/N`` does every N-th training, beginning with training I, in one process; what is done already is not
done again, so it may be stopped and started. ``store`` puts all that was done together. The arms: the true
reward, standardised and as it comes; comparisons of the pairs that the ensemble disagrees about most, or of
pairs at random; all comparisons before the training, after which the reward is fitted once, with as many
gradient steps as it takes before the training in the other arms, or with as many as it takes there in all.
Kept are the mean true return of the final policy in 256 fresh episodes, and the curve of training.

"turning" is a training by a teacher who likes one turn a second. Kept are the turns a second in the last
three seconds of 256 fresh episodes (mean and spread, mean distance from 1, also for random actions, and the
share of episodes between 0.5 and 1.5), and one episode of the first seed. "careless" and "queries" train no
agent: a reward is fitted to comparisons of clips of random actions, and ranks 1000 pairs that it has not
seen. Kept is the share that it ranks rightly: for an infallible teacher and for one who flips a coin in four
cases of ten, with and without a coin in the model; and after 40, 80, ... 200 comparisons of pairs that were
chosen by disagreement, or drawn.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from rlworkshop import runs
from rlworkshop.algorithms import ppo
from rlworkshop.envs import swing_up
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
CARELESS = 0.4  # how often the careless teacher flips a coin
COINS = {
    "exact": (0.0, 0.1),
    "no coin": (CARELESS, 0.0),
    "coin": (CARELESS, 0.1),
}  # the teacher's, the model's
PARTS = Path(__file__).resolve().parents[1] / "_build" / "learning_from_preferences"


def one(arm: str, seed: int) -> dict:
    """Train one seed of one arm, and play with its policy."""
    run = prefs.train_from_preferences(prefs.Preferences(**ARMS[arm]), seed)
    episodes = prefs.play(ppo.load_policy(run).act, 256, seed)  # (T, N, 4)
    final = float(prefs.SCORES["upright"](np.swapaxes(episodes, 0, 1)).mean())
    share = prefs.upright_share(episodes)
    return {"final": final, "upright": share, "curve": run.metrics["score"].round(2).tolist()}


def turns(episodes: np.ndarray) -> np.ndarray:
    """Turns a second (N,) in the last three seconds of episodes (T, N, 4)."""
    return swing_up.FASTEST * episodes[swing_up.EPISODE // 2 :, :, 2].mean(axis=0) / (2 * np.pi)


def turning(seed: int, updates: int = 40) -> dict:
    """Train one agent by a teacher who likes one turn a second, and count its turns."""
    run = prefs.train_from_preferences(prefs.Preferences(score="turning", updates=updates), seed)
    episodes = prefs.play(ppo.load_policy(run).act, 256, seed)  # (T, N, 4)
    rates, chance = turns(episodes), turns(prefs.random_episode(256, seed))
    found = {
        "turns": float(rates.mean()),
        "spread": float(rates.std()),
        "off": float(np.abs(rates - 1).mean()),
        "chance": float(np.abs(chance - 1).mean()),
        "keeps": float(((rates > 0.5) & (rates < 1.5)).mean()),
    }
    if seed == SEEDS[0]:
        found["film"] = episodes[:, 0].round(3).tolist()  # (T, 4)
    return found


def compared(n: int, seed: int, error: float = 0.0) -> prefs.Comparisons:
    """Comparisons of n pairs of clips of random actions, by a teacher who errs."""
    rng = np.random.default_rng(seed)
    pairs = [prefs.cut(prefs.random_episode(96, seed), n, prefs.CLIP, rng) for _ in range(2)]
    return prefs.Comparisons(*pairs, prefs.Synthetic(prefs.SCORES["upright"], rng, error)(*pairs))


def careless(seed: int, steps: int = 300) -> dict:
    """Share of unseen pairs that a network ranks rightly, for coins of the teacher and of the model."""
    found, unseen = {}, compared(1000, seed + 5000)
    for name, (teacher, model) in COINS.items():
        one = prefs.Ensemble(4, torch.Generator().manual_seed(seed), members=1)
        asked, rng = compared(200, seed, teacher), np.random.default_rng(seed)
        prefs.fit(one, prefs.make_optimizer(one), asked, steps, rng, error=model)
        found[name] = prefs.agreement(one, unseen)
    return found


def queries(seed: int, steps: int = 70) -> dict:
    """Shares of unseen pairs ranked rightly, after 40, 80, ... 200 comparisons, of pairs chosen or drawn."""
    found, unseen, pool = {}, compared(1000, seed + 5000), prefs.random_episode(96, seed)
    for name, candidates in (("disagreement", 10), ("at random", 1)):
        teacher = prefs.Synthetic(prefs.SCORES["upright"], np.random.default_rng(seed))
        inquiry, found[name] = prefs.Inquiry(teacher, seed), []
        for i in range(5):
            inquiry.candidates = candidates if i else 1
            inquiry.ask(pool, 40)
            inquiry.fit(steps)
            found[name].append(prefs.agreement(inquiry.ensemble, unseen))
    return found


STUDIES = {"turning": turning, "careless": careless, "queries": queries}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["run", "store"])
    parser.add_argument("share", nargs="?", default="0/1", help="I/N: every N-th, beginning with I")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    PARTS.mkdir(parents=True, exist_ok=True)
    files = {(arm, seed): PARTS / f"{arm}-{seed}.json" for seed in SEEDS for arm in [*ARMS, *STUDIES]}
    if chosen.what == "run":
        first, every = map(int, chosen.share.split("/"))
        for (arm, seed), file in list(files.items())[first::every]:
            if not file.exists():
                found = STUDIES[arm](seed) if arm in STUDIES else one(arm, seed)
                file.with_suffix(".new").write_text(json.dumps(found))
                file.with_suffix(".new").rename(file)
                print(time.strftime("%T"), arm, seed, flush=True)
        return
    todo = [key for key, file in files.items() if not file.exists()]
    if todo:
        raise SystemExit(f"{len(todo)} trainings are missing: run first")
    results = {arm: [json.loads(files[arm, seed].read_text()) for seed in SEEDS] for arm in [*ARMS, *STUDIES]}
    modules = ["rlworkshop.safety.learning_from_preferences"]
    runs.store("learning_from_preferences", results, SEEDS, modules, __file__)


if __name__ == "__main__":
    main()
