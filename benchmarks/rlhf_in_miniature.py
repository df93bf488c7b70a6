"""A tiny language model over ten seeds: a control of length bias, what is forgotten, DPO on fresh pairs.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/rlhf_in_miniature.py run 0/2 &
    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/rlhf_in_miniature.py run 1/2 &
    python benchmarks/rlhf_in_miniature.py store

``run I/N`` does every N-th job, beginning with job number I; what is done already is not done again.
``store`` puts together what has been done. Each seed trains one base model and, from it, every arm:

- "biased": PPO on the labels of one who likes words; "balanced": the same on pairs of equally long responses;
- "rl": PPO on the gold score itself without a KL penalty; "own": supervised fine-tuning on the base model's
  right answers without a filler; "teacher": on right answers without a filler, in the formal style;
- "dpo": DPO on the comparisons of an honest labeller, each drawn 6.4 times on average, as on the page;
  "dpo short": the same comparisons, each drawn once on average, so fewer steps; "dpo fresh": as many steps as
  "dpo" and so many comparisons that each is drawn once on average;
- "honest": PPO on the comparisons of an honest labeller; "free": the same without a KL penalty; "strong": DPO
  on these comparisons, with ten times the beta of "dpo";
- "best": SFT on the best of eight responses, by a reward model of an honest labeller: a job of its own.

Kept are points along each training: the mean gold score, share of right answers, words and reward (of the
reward model, where there is one) of fresh responses, KL(policy || base) and KL(base || policy) there, and the
gold score on questions about colours, which no training but the first has seen.
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

SEEDS = range(7000, 7010)
PAIRS, NOISE, BIAS = 3000, 0.25, 0.2  # comparisons; scale of the labellers' noise; what a word is worth
BETA = 0.1  # of PPO on labels
PARTS = Path(__file__).resolve().parents[1] / "_build" / "rlhf_in_miniature"


class Study:
    """One seed: a base model, comparisons, and points along each training."""

    def __init__(self, seed: int, size: float = 1.0):
        torch.manual_seed(seed)
        self.rng, self.generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        self.size, self.found = size, {}
        ask = [rlhf.prompts(n, self.rng, t) for n, t in ((2000, ("food", "home")), (1000, ("colour",)))]
        demos = [
            rlhf.demonstrations(ask[0], self.rng),
            rlhf.demonstrations(ask[1], self.rng, 0.95, slip=0.02),
        ]
        self.base = rlhf.LanguageModel()
        rlhf.sft(self.base, torch.cat(demos), self.generator, steps=self.steps(500))

    def steps(self, n: int) -> int:
        return max(2, int(n * self.size))

    def ask(self, n: int) -> torch.Tensor:
        return rlhf.prompts(n, self.rng)

    def point(self, arm: str, at: int, model: torch.nn.Module, reward_model: torch.nn.Module | None) -> None:
        """Measure a model on 300 fresh prompts of the new topics, and 300 about colours."""
        said = rlhf.generate(model, self.ask(300), self.generator)
        base = rlhf.generate(self.base, self.ask(300), self.generator)
        old = rlhf.generate(model, rlhf.prompts(300, self.rng, ("colour",)), self.generator)
        score = rlhf.score(said.tokens)
        with torch.no_grad():
            proxy = rlhf.reward(reward_model, said.tokens).mean().item() if reward_model else None
        point = {
            "at": at,
            "gold": score.gold.mean().item(),
            "right": score.right.float().mean().item(),
            "sentence": score.sentence.float().mean().item(),
            "words": score.words.float().mean().item(),
            "kl": rlhf.kl(model, self.base, said.tokens).mean().item(),
            "forward_kl": rlhf.kl(self.base, model, base.tokens).mean().item(),
            "old": rlhf.score(old.tokens).gold.mean().item(),
            "proxy": proxy,
        }
        rounded = {name: value if value is None else round(value, 4) for name, value in point.items()}
        self.found.setdefault(arm, []).append(rounded)

    def train(self, arm: str, how, every: int, total: int, reward_model=None) -> None:
        """``how(model, callback)`` trains; points are taken at times, and at the end."""
        model = copy.deepcopy(self.base)

        def callback(i: int, *_) -> None:
            if i % every == 0:
                self.point(arm, i, model, reward_model)

        how(model, callback)
        self.point(arm, total, model, reward_model)

    def ppo(self, arm: str, reward, critic, beta: float, reward_model=None, every: int = 0) -> None:
        config = rlhf.PPO(beta=beta, iterations=self.steps(60))
        self.train(
            arm,
            lambda model, callback: rlhf.ppo(
                model, self.base, critic, reward, self.ask, config, self.generator, callback=callback
            ),
            every or config.iterations, config.iterations, reward_model,
        )  # fmt: skip

    def sft(self, arm: str, tokens: torch.Tensor, reward_model=None) -> None:
        total = self.steps(240)
        self.train(
            arm,
            lambda model, callback: rlhf.sft(
                model, tokens, self.generator, total, lr=3e-3, callback=callback
            ),
            80, total, reward_model,
        )  # fmt: skip

    def pairs(self, balanced: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Two responses to each of many prompts; if ``balanced``, of the same number of words."""
        if not balanced:
            questions = self.ask(PAIRS)
            return tuple(rlhf.generate(self.base, questions, self.generator).tokens for _ in range(2))
        said = rlhf.generate(self.base, self.ask(2 * PAIRS), self.generator).tokens
        key = (said[:, 0] * 100 + said[:, 1]) * 100 + rlhf.score(said).words  # animal, topic, words
        order = key.argsort(stable=True)
        said, key = said[order].view(PAIRS, 2, -1), key[order].view(PAIRS, 2)
        same = key[:, 0] == key[:, 1]
        return said[same, 0], said[same, 1]

    def preferences(self, arm: str) -> None:
        """PPO on the comparisons of a labeller who likes words."""

        def utility(tokens: torch.Tensor) -> torch.Tensor:
            score = rlhf.score(tokens)
            return (score.gold + BIAS * score.words) / NOISE

        chosen, rejected = rlhf.label(*self.pairs(arm == "balanced"), utility, self.generator)
        scorer = rlhf.scorer_from(self.base)
        rlhf.fit_reward(scorer, chosen, rejected, self.generator, steps=self.steps(400))

        def reward(tokens: torch.Tensor) -> torch.Tensor:
            return rlhf.reward(scorer, tokens)

        self.found[f"pairs {arm}"] = len(chosen)
        self.ppo(arm, reward, copy.deepcopy(scorer), BETA, scorer)

    def forgetting(self) -> None:
        """RL on the gold score, and two ways to be told the answers."""
        critic = rlhf.scorer_from(self.base)
        self.ppo("rl", lambda tokens: rlhf.score(tokens).gold, critic, 0.0, every=20)
        own = rlhf.generate(self.base, self.ask(6000), self.generator).tokens
        self.sft("own", own[rlhf.score(own).gold.argsort(descending=True)[:800]])
        self.sft("teacher", rlhf.demonstrations(self.ask(1000), self.rng, 1.0, 0.0, 0.0, formal=1.0))

    def direct(self) -> None:
        """DPO on honest labels: does it matter how often a comparison is drawn?"""
        steps, batch = self.steps(300), 64
        questions = self.ask(max(PAIRS, steps * batch))
        both = [rlhf.generate(self.base, questions, self.generator).tokens for _ in range(2)]
        chosen, rejected = rlhf.label(*both, lambda tokens: rlhf.score(tokens).gold / NOISE, self.generator)
        arms = {"dpo": (PAIRS, steps), "dpo short": (PAIRS, max(2, min(steps, PAIRS // batch + 1)))}
        for arm, (pairs, n) in (arms | {"dpo fresh": (len(questions), steps)}).items():
            self.train(
                arm,
                lambda model, callback, pairs=pairs, n=n: rlhf.dpo(
                    model, self.base, chosen[:pairs], rejected[:pairs], self.generator, BETA, n, batch,
                    callback=callback,
                ),
                n, n,
            )  # fmt: skip

    def honest_labels(self) -> tuple[torch.Tensor, torch.Tensor, torch.nn.Module]:
        """Comparisons of an honest labeller, the chosen and the rejected, and a reward model of them."""
        chosen, rejected = rlhf.label(
            *self.pairs(False), lambda tokens: rlhf.score(tokens).gold / NOISE, self.generator
        )
        scorer = rlhf.scorer_from(self.base)
        rlhf.fit_reward(scorer, chosen, rejected, self.generator, steps=self.steps(400))
        return chosen, rejected, scorer

    def honest(self) -> None:
        """Honest labels, as on the page: PPO with and without its penalty, and DPO held tighter."""
        chosen, rejected, scorer = self.honest_labels()

        def reward(tokens: torch.Tensor) -> torch.Tensor:
            return rlhf.reward(scorer, tokens)

        for arm, beta in (("honest", BETA), ("free", 0.0)):
            self.ppo(arm, reward, copy.deepcopy(scorer), beta, scorer)
        steps = self.steps(300)
        self.train(
            "strong",
            lambda model, callback: rlhf.dpo(
                model, self.base, chosen, rejected, self.generator, 10 * BETA, steps, 64, callback=callback
            ),
            steps, steps, scorer,
        )  # fmt: skip

    def best(self, n: int = 8, prompts: int = 500) -> None:
        """SFT on the best of ``n`` responses of the base to each of many prompts."""
        _, _, scorer = self.honest_labels()
        questions, steps = self.ask(prompts), self.steps(180)
        many = torch.stack([rlhf.generate(self.base, questions, self.generator).tokens for _ in range(n)])
        with torch.no_grad():
            best = torch.stack([rlhf.reward(scorer, tokens) for tokens in many]).argmax(dim=0)
        chosen = many[best, torch.arange(prompts)]
        self.train(
            "best",
            lambda model, callback: rlhf.sft(
                model, chosen, self.generator, steps, lr=3e-3, callback=callback
            ),
            steps, steps, scorer,
        )  # fmt: skip


def one(seed: int, size: float = 1.0) -> dict:
    """All arms of one seed."""
    before = time.process_time()
    study = Study(seed, size)
    for arm in ("biased", "balanced"):
        study.preferences(arm)
    study.forgetting()
    study.direct()
    study.honest()
    return {**study.found, "seconds": round(time.process_time() - before, 1)}


def best_of(seed: int, size: float = 1.0) -> dict:
    """The arm that came later, of one seed."""
    before = time.process_time()
    study = Study(seed, size)
    study.best()
    return {**study.found, "seconds": round(time.process_time() - before, 1)}


JOBS = {"all": one, "best": best_of}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["run", "store"])
    parser.add_argument("share", nargs="?", default="0/1", help="I/N: every N-th job, beginning with I")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the steps, one seed, kept apart")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    seeds, size = ([0], 0.01) if chosen.quick else (list(SEEDS), 1.0)
    parts = PARTS / "quick" if chosen.quick else PARTS
    parts.mkdir(parents=True, exist_ok=True)
    files = {(job, seed): parts / f"{job}_{seed}.json" for seed in seeds for job in JOBS}
    if chosen.what == "run":
        first, every = map(int, chosen.share.split("/"))
        for (job, seed), path in list(files.items())[first::every]:
            if not path.exists():
                found = JOBS[job](seed, size)
                path.with_suffix(".new").write_text(json.dumps(found))
                path.with_suffix(".new").rename(path)
                print(time.strftime("%T"), job, seed, f"{found['seconds']:.0f} s", flush=True)
        return
    seeds = [seed for seed in seeds if all(files[job, seed].exists() for job in JOBS)]
    results = []
    for seed in seeds:
        found = [json.loads(files[job, seed].read_text()) for job in JOBS]
        seconds = round(sum(one.pop("seconds") for one in found), 1)
        results.append({name: arm for one in found for name, arm in one.items()} | {"seconds": seconds})
    about = {"pairs": PAIRS, "noise": NOISE, "bias": BIAS, "runs": results}
    folder = parts if chosen.quick else None
    modules = ["rlworkshop.safety.rlhf_in_miniature"]
    print(runs.store("rlhf_in_miniature", about, seeds, modules, __file__, folder=folder))


if __name__ == "__main__":
    main()
