"""Overoptimization in twenty worlds, by comparisons and ensembles; and a pendulum whose reward is frozen.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/overoptimization.py run 0/1
    PYTHONPATH=code python benchmarks/overoptimization.py store

``run I/N`` does every N-th part, beginning with part number I; what is done already is not done again.
``store`` puts together what has been done. The parts are

- one for each number of comparisons: in twenty worlds five reward models and, against one of them, their
  mean, the lowest of them, and their mean less their variance, REINFORCE without a penalty. Kept are mean
  gold scores at distances from the reference (null where a policy never came so far), and proxies;
- one for each of ten seeds of a pendulum that learns from a reward which was fitted to few or to many
  comparisons of random actions and then frozen: its true return in each update, what the reward
  (standardised on random actions) says of it, and at the end, in 256 fresh episodes, return, mean speed,
  and the share of time upright.
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
from rlworkshop.safety import overoptimization as oo

WORLDS, PENDULUMS = range(7000, 7020), range(7000, 7010)
SIZES, MEMBERS = (50, 100, 200, 400, 800, 1600, 6400), 5
DISTANCES = np.arange(0, 12.01, 0.25)
ARMS = {"frozen": (20, 1.0), "frozen, more": (200, 1.0)}  # comparisons, and which part of them is upfront
PARTS = Path(__file__).resolve().parents[1] / "_build" / "overoptimization"


def world(size: int, seeds: range, quick: bool) -> dict:
    """Curves of all arms in all worlds, with so many comparisons."""
    draws = oo.Draws(seeds)
    gold = oo.Gold(draws)
    left, right = draws.normal(size, oo.RESPONSE), draws.normal(size, oo.RESPONSE)
    labels = oo.answers(gold(left), gold(right), draws)
    steps = 5 if quick else 600
    proxies = oo.fit_proxies(left, right, labels, draws, members=MEMBERS, steps=steps)
    ways = {
        "one": lambda scores: scores[:, 0],
        "mean": lambda scores: scores.mean(dim=1),
        "worst case": oo.worst_case,
        "uncertainty": oo.uncertainty_weighted,
    }
    found = {}
    for name, way in ways.items():
        path = oo.optimise(lambda x, way=way: way(proxies(x)), gold, draws, steps=5 if quick else 240)
        for what in ("gold", "proxy"):
            curves = path.at(DISTANCES, what).round(3)
            found[f"{name}, {what}"] = np.where(np.isnan(curves), None, curves).tolist()
    return found


def score(episodes: np.ndarray) -> float:
    """Mean true return of episodes (T, N, 4)."""
    return float(swing_up.upright(np.swapaxes(episodes, 0, 1)).sum(axis=-1).mean())


def pendulum(seed: int, quick: bool) -> dict:
    """All arms of one seed: all pairs are drawn at random before training."""
    found, first = {}, swing_up.random_episode(96, seed)
    for name, (comparisons, upfront) in ARMS.items():
        config = prefs.Preferences(
            comparisons=comparisons, upfront=upfront, candidates=1, updates=2 if quick else 30
        )
        rng = np.random.default_rng(seed)
        inquiry = prefs.Inquiry(prefs.Synthetic(prefs.SCORES["upright"], rng), seed, candidates=1)
        curves = {"true": [], "proxy": []}
        inquiry.ask(first, prefs.asked_by(0, config))
        inquiry.fit(config.first_fit)
        inquiry.ensemble.standardize(first)
        shift, scale = inquiry.ensemble.shift, inquiry.ensemble.scale

        def after(update, episodes, inquiry=inquiry, curves=curves, by=(shift, scale)):
            each = inquiry.ensemble.each(episodes).reshape(len(inquiry.ensemble), -1)
            curves["true"].append(round(score(episodes), 1))
            curves["proxy"].append(round(float(((each.mean(axis=1) - by[0]) / by[1]).mean()), 3))
            inquiry.ensemble.standardize(episodes)

        run = prefs.train_on(inquiry.ensemble, config, seed, after)
        end = swing_up.play(ppo.load_policy(run).act, 256, seed)
        final = {
            "return": round(score(end), 1),
            "speed": round(float(swing_up.FASTEST * np.abs(end[..., 2]).mean()), 3),
            "upright": round(prefs.upright_share(end), 3),
        }
        found[name] = {**curves, "final": final}
    found["random"] = round(score(swing_up.random_episode(256, seed)), 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["run", "store"])
    parser.add_argument("share", nargs="?", default="0/1", help="I/N: every N-th, beginning with number I")
    parser.add_argument("--quick", action="store_true", help="a few steps of two seeds, kept apart")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    sizes, worlds, pendulums = (SIZES[:1], range(2), range(1)) if chosen.quick else (SIZES, WORLDS, PENDULUMS)
    parts = PARTS / "quick" if chosen.quick else PARTS
    parts.mkdir(parents=True, exist_ok=True)
    jobs = {f"pendulum_{s}": lambda s=s: pendulum(s, chosen.quick) for s in pendulums}
    jobs |= {f"world_{n}": lambda n=n: world(n, worlds, chosen.quick) for n in sizes}
    if chosen.what == "run":
        first, every = map(int, chosen.share.split("/"))
        for name in list(jobs)[first::every]:
            path, before = parts / f"{name}.json", time.process_time()
            if not path.exists():
                path.with_suffix(".new").write_text(json.dumps(jobs[name]()))
                path.with_suffix(".new").rename(path)
                print(time.strftime("%T"), name, f"{time.process_time() - before:.1f} s", flush=True)
        return
    done = {name: json.loads((parts / f"{name}.json").read_text()) for name in jobs}
    about = {
        "distances": DISTANCES.tolist(),
        "worlds": {str(n): done[f"world_{n}"] for n in sizes},
        "pendulums": [done[f"pendulum_{s}"] for s in pendulums],
    }
    modules = ["rlworkshop.safety.overoptimization"]
    folder = parts if chosen.quick else None
    print(runs.store("overoptimization", about, list(worlds), modules, __file__, folder=folder))


if __name__ == "__main__":
    main()
