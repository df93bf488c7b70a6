"""A hole in a verifier, GRPO's relatives, and pay for sound derivations: ten seeds of each.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/verifiable_rewards.py run 0/2 &
    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/verifiable_rewards.py run 1/2 &
    python benchmarks/verifiable_rewards.py store

``run I/N`` does every N-th job, beginning with job number I; what is done already is not done again.
``store`` puts together what has been done. Each seed fine-tunes one model on pupils' answers. "hole" makes
copies that answer ``*`` with a given probability, and trains each by GRPO on a verifier that accepts ``*``:

- "leaky": right answers are accepted, too;
- "alone": right answers are not accepted, only ``*`` is: what the exploit does without competition;
- "skilled": as "leaky", but from a policy that GRPO has trained on right answers before.

Kept are, for each base rate, the share of ``*``, of right answers and of accepted ones in the last ten
batches, and in how many of all responses ``*`` was said.

"family" trains the same model by each of the six methods on right answers, and by GRPO on sound ones
("process"). Kept are, of 500 fresh responses, the share that is right and the share of the right ones that
has no sound derivation; and of each log how many responses were drawn for one that was learned from, the
share of tokens that the clip cut off, and the size of the loss at the first step.
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
RATES = (0.2, 0.1, 0.05, 0.02, 0.01, 0.003, 0.001, 0.0003)
ITERATIONS, LAST = 50, 10  # batches of a training; of how many at the end the shares are kept
PARTS = Path(__file__).resolve().parents[1] / "_build" / "verifiable_rewards"


def fresh(model: torch.nn.Module, seed: int, n: int = 500) -> torch.Tensor:
    """Responses of a model to new questions (n, P + T)."""
    rng, generator = np.random.default_rng([seed, 1]), torch.Generator().manual_seed(seed)
    return rlhf.generate(model, rlvr.clock_questions(n, rng), generator, rlvr.ANSWERED).tokens


def with_rate(model: torch.nn.Module, rate: float, seed: int) -> torch.nn.Module:
    """A copy of a model that answers ``*`` with about a given probability."""
    model, tokens = copy.deepcopy(model), fresh(model, seed)
    for _ in range(4):  # odds are no probabilities: a few steps to a fixed point
        rlvr.rarer_star(model, rlvr.star_rate(model, tokens) / rate)
    return model


def hole(seed: int, quick: bool) -> dict:
    """All arms of one seed, with a verifier that accepts ``*``."""
    before = time.process_time()
    iterations = 2 if quick else ITERATIONS
    base = rlvr.schooled(seed, steps=10) if quick else rlvr.schooled(seed)

    def train(start: torch.nn.Module, verdict: str) -> tuple[torch.nn.Module, dict[str, float]]:
        policy = copy.deepcopy(start)
        recipe = rlvr.Recipe(iterations=iterations)
        log = rlvr.reinforce(policy, lambda tokens: getattr(rlvr.mark(tokens), verdict), recipe, seed)
        found = {name: log[name][-LAST:].mean() for name in ("star", "right", "reward")}
        found["tried"] = log["star"].mean()
        return policy, {name: round(float(value), 5) for name, value in found.items()}

    skilled, found = train(base, "right")
    results = {"outcome": found, "leaky": [], "alone": [], "skilled": []}
    for rate in RATES:
        results["leaky"].append(train(with_rate(base, rate, seed), "accepted")[1])
        results["alone"].append(train(with_rate(base, rate, seed), "star")[1])
        results["skilled"].append(train(with_rate(skilled, rate, seed), "accepted")[1])
    return {**results, "seconds": round(time.process_time() - before, 1)}


def marked(model: torch.nn.Module, seed: int) -> dict[str, float]:
    """Of fresh responses of a model: the share that is right, and of these the share without a derivation."""
    found = rlvr.mark(fresh(model, seed))
    right, sound = found.right.sum().item(), found.sound.sum().item()
    return {"right": right / len(found.right), "lucky": round(1 - sound / max(right, 1), 5)}


def family(seed: int, quick: bool) -> dict:
    """One model trained by six methods on right answers, and by one on sound ones."""
    before = time.process_time()
    recipe = {"iterations": 2 if quick else ITERATIONS}
    base = rlvr.schooled(seed, steps=10) if quick else rlvr.schooled(seed)
    arms = {method: (method, "right") for method in rlvr.METHODS} | {"process": ("GRPO", "sound")}
    results = {"base": marked(base, seed)}
    for arm, (method, verdict) in arms.items():
        policy = copy.deepcopy(base)
        log = rlvr.reinforce(
            policy,
            lambda tokens, verdict=verdict: getattr(rlvr.mark(tokens), verdict).float(),
            rlvr.Recipe(method=method, **recipe),
            seed,
        )
        logged = {
            "drawn": log["drawn"].sum() / (recipe["iterations"] * 128),
            "clipped": log["clipped"].mean(),
            "first_loss": np.abs(log["first_loss"]).mean(),
        }
        results[arm] = marked(policy, seed) | {name: round(float(x), 6) for name, x in logged.items()}
    return {**results, "seconds": round(time.process_time() - before, 1)}


STUDIES = {"hole": hole, "family": family}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["run", "store"])
    parser.add_argument("share", nargs="?", default="0/1", help="I/N: every N-th job, beginning with I")
    parser.add_argument("--quick", action="store_true", help="two batches, one seed, kept apart")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    seeds = [0] if chosen.quick else list(SEEDS)
    parts = PARTS / "quick" if chosen.quick else PARTS
    parts.mkdir(parents=True, exist_ok=True)
    files = {(study, seed): parts / f"{study}_{seed}.json" for seed in seeds for study in STUDIES}
    if chosen.what == "run":
        first, every = map(int, chosen.share.split("/"))
        for (study, seed), path in list(files.items())[first::every]:
            if not path.exists():
                found = STUDIES[study](seed, chosen.quick)
                path.with_suffix(".new").write_text(json.dumps(found))
                path.with_suffix(".new").rename(path)
                print(time.strftime("%T"), study, seed, f"{found['seconds']:.0f} s", flush=True)
        return
    seeds = [seed for seed in seeds if all(files[study, seed].exists() for study in STUDIES)]
    runs_of, family_of = (
        [json.loads(files[study, seed].read_text()) for seed in seeds] for study in ("hole", "family")
    )
    about = {"rates": RATES, "iterations": ITERATIONS, "last": LAST, "runs": runs_of, "family": family_of}
    folder = parts if chosen.quick else None
    modules = ["rlworkshop.safety.verifiable_rewards", "rlworkshop.safety.rlhf_in_miniature"]
    print(runs.store("verifiable_rewards", about, seeds, modules, __file__, folder=folder))


if __name__ == "__main__":
    main()
