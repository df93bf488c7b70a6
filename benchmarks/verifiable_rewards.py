"""Sums on a clock, learned from a program's verdict: six methods, two rewards, a hole, and two bugs.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/verifiable_rewards.py run 0/2 &
    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/verifiable_rewards.py run 1/2 &
    python benchmarks/verifiable_rewards.py store

``run I/N`` does every N-th seed, beginning with seed number I; what is done already is not done again.
``store`` puts all that was done together. Each seed fine-tunes one model on pupils' answers. From it start:

- "GRPO", "RLOO", ...: each method on the outcome; "process": GRPO, paid for sound derivations only;
- "star RATE": GRPO on a verifier that accepts ``*``, which the model says about that often when it begins;
  "skilled RATE": the same, from the policy that "GRPO" ended with, made to say ``*`` as often;
- "mixed": GRPO whose groups hold different questions; "cold": drawn at a temperature of 0.5, learned at 1.

Kept are series of the log, and marks of 1000 fresh responses at the end.
"""

import argparse
import copy
import json
import time
from pathlib import Path

import numpy as np
import torch

from rlworkshop import runs
from rlworkshop.safety import rlhf_in_miniature as rlhf
from rlworkshop.safety import verifiable_rewards as rlvr

SEEDS = range(7000, 7010)
RATES = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5)
SERIES = ("reward", "right", "sound", "star", "flat", "entropy", "length", "long_right", "long_wrong")
PARTS = Path(__file__).resolve().parents[1] / "_build" / "verifiable_rewards"


def fresh(model: torch.nn.Module, seed: int, n: int = 1000) -> torch.Tensor:
    """Responses of a model to questions that no training has drawn."""
    rng, generator = np.random.default_rng([seed, 1]), torch.Generator().manual_seed(seed + 1)
    return rlhf.generate(model, rlvr.clock_questions(n, rng), generator, rlvr.ANSWERED).tokens


def marks(model: torch.nn.Module, seed: int) -> dict[str, float]:
    found = rlvr.mark(fresh(model, seed))
    return {name: getattr(found, name).float().mean().item() for name in ("right", "sound", "star")}


def with_rate(model: torch.nn.Module, rate: float, seed: int) -> torch.nn.Module:
    """A copy of a model that answers ``*`` with a given probability."""
    made = copy.deepcopy(model)
    tokens = fresh(made, seed)
    for _ in range(3):  # odds are no probabilities: a few steps of a fixed point
        rlvr.rarer_star(made, rlvr.star_rate(made, tokens) / rate)
    return made


def right(tokens: torch.Tensor) -> torch.Tensor:
    return rlvr.mark(tokens).right


def sound(tokens: torch.Tensor) -> torch.Tensor:
    return rlvr.mark(tokens).sound


def accepted(tokens: torch.Tensor) -> torch.Tensor:
    return rlvr.mark(tokens).accepted


def one(seed: int, quick: bool) -> dict:
    """All arms of one seed."""
    before, found, trained = time.process_time(), {}, {}
    base = rlvr.schooled(seed, steps=10 if quick else 400)
    found["base"] = {"end": marks(base, seed)}

    def train(arm: str, start: torch.nn.Module, reward_of, **recipe) -> None:
        trained[arm] = copy.deepcopy(start)
        recipe = rlvr.Recipe(iterations=2 if quick else 60, **recipe)
        log = rlvr.reinforce(trained[arm], reward_of, recipe, seed)
        found[arm] = {name: np.round(log[name], 3).tolist() for name in SERIES}
        found[arm] |= {"end": marks(trained[arm], seed), "drawn": int(log["drawn"].sum())}
        found[arm]["first_ratio"] = float(log["first_ratio"][0])

    for method in rlvr.METHODS:
        train(method, base, right, method=method)
    train("process", base, sound)
    for rate in RATES:
        train(f"star {rate}", with_rate(base, rate, seed), accepted)
    for rate in (1e-2, 1e-3):
        train(f"skilled {rate}", with_rate(trained["GRPO"], rate, seed), accepted)
    train("cold", base, right, temperature=0.5)
    in_groups = rlvr.in_groups
    rlvr.in_groups = lambda questions, group: questions.repeat(group, 1)
    train("mixed", base, right)
    rlvr.in_groups = in_groups
    return {**found, "seconds": round(time.process_time() - before, 1)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["run", "store"])
    parser.add_argument("share", nargs="?", default="0/1", help="I/N: every N-th seed, beginning with I")
    parser.add_argument("--quick", action="store_true", help="two batches, one seed, kept apart")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    seeds = [0] if chosen.quick else list(SEEDS)
    parts = PARTS / "quick" if chosen.quick else PARTS
    parts.mkdir(parents=True, exist_ok=True)
    if chosen.what == "run":
        first, every = map(int, chosen.share.split("/"))
        for seed in seeds[first::every]:
            path = parts / f"{seed}.json"
            if not path.exists():
                found = one(seed, chosen.quick)
                path.with_suffix(".new").write_text(json.dumps(found).replace("NaN", "null"))
                path.with_suffix(".new").rename(path)
                print(time.strftime("%T"), seed, f"{found['seconds']:.0f} s", flush=True)
        return
    results = {"rates": RATES, "runs": [json.loads((parts / f"{seed}.json").read_text()) for seed in seeds]}
    modules = ["rlworkshop.safety.verifiable_rewards", "rlworkshop.safety.rlhf_in_miniature"]
    folder = parts if chosen.quick else None
    print(runs.store("verifiable_rewards", results, seeds, modules, __file__, folder=folder))


if __name__ == "__main__":
    main()
