"""Learning from preferences: the reward is fitted to answers of a person who compares two short clips.

An ensemble of networks learns a reward from comparisons, PPO learns a policy from that reward, the policy
makes new clips, and those that the ensemble disagrees about most are asked about next.

Paper: Christiano, Leike, Brown, Martic, Legg & Amodei, *Deep reinforcement learning from human preferences*,
2017 (arXiv:1706.03741).

Book: safety/learning_from_preferences
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from torch import nn

from rlworkshop import compare, nets, runs
from rlworkshop import envs as rl_envs
from rlworkshop.algorithms import ppo
from rlworkshop.envs import swing_up
from rlworkshop.envs.swing_up import EPISODE, FASTEST, Rewarded, SwingUpEnvs, play, random_episode, upright

CLIP = 15  # steps of a clip, one and a half seconds
ERROR = 0.1  # how often the model expects an answer that was given at random


# ------------------------------------------------------------------------- what a teacher looks at


def turning(clips: np.ndarray) -> np.ndarray:
    """How near clips (..., L, 4) come to one turn a second, anticlockwise: at most 0 (...).

    Book: safety/learning_from_preferences
    """
    return -np.abs(FASTEST * clips[..., 2].mean(axis=-1) / (2 * np.pi) - 1)


SCORES = {"upright": lambda clips: upright(clips).sum(axis=-1), "turning": turning}  # clips (n, L, 4) -> (n,)

Labeller = Callable[[np.ndarray, np.ndarray], np.ndarray]  # left, right (n, L, D) -> labels (n,)


@dataclass
class Synthetic:
    """A teacher made of a score: prefers the clip that has more of it, and errs now and then.

    Labels are 1 where the left clip is preferred, 0 where the right one is, 0.5 where they score the same.
    With probability ``error`` an answer is a coin flip instead, so half as many are wrong.

    Book: safety/learning_from_preferences
    """

    score: Callable[[np.ndarray], np.ndarray]
    rng: np.random.Generator
    error: float = 0.0

    def __call__(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Labels (n,) of clips (n, L, D)."""
        label = 0.5 + 0.5 * np.sign(self.score(left) - self.score(right))
        careless = self.rng.random(len(label)) < self.error
        return np.where(careless, self.rng.integers(0, 2, len(label)), label)


@dataclass
class Comparisons:
    """Clips that were compared, ``left`` and ``right`` (n, L, D), and labels (n,): 1, 0, or 0.5 for equal.

    Book: safety/learning_from_preferences
    """

    left: np.ndarray
    right: np.ndarray
    label: np.ndarray

    def __post_init__(self):
        if not (self.left.shape == self.right.shape and self.label.shape == (len(self.left),)):
            raise ValueError("comparisons need two clips and a label each: shapes (n, L, D) twice, and (n,)")
        if not ((self.label >= 0) & (self.label <= 1)).all():
            raise ValueError("labels lie between 0 (right is better) and 1 (left is better)")

    def __len__(self) -> int:
        return len(self.label)

    def add(self, other: "Comparisons") -> "Comparisons":
        """These and those of another."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Comparisons(*(np.concatenate(pair) for pair in pairs))


def cut(episodes: np.ndarray, n: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """Random clips (n, L, D) of episodes (T, N, D), each of ``length`` steps in a row of one episode.

    Raises:
        ValueError: the episodes are shorter.

    Book: safety/learning_from_preferences
    """
    T, N, _ = episodes.shape
    if not 1 <= length <= T:
        raise ValueError(f"clips of {length} steps cannot be cut from episodes of {T}")
    start, who = rng.integers(T - length + 1, size=n), rng.integers(N, size=n)
    return episodes[start[:, None] + np.arange(length), who[:, None]]


# ------------------------------------------------------------------------------------ the reward model


class Ensemble(nn.Module):
    """K networks that give each of their inputs (..., D) a reward, (K, ...).

    Every member has initial weights of its own. ``shift`` and ``scale`` (K,) standardise them.

    Book: safety/learning_from_preferences
    """

    def __init__(
        self, inputs: int, generator: torch.Generator, members: int = 3, hidden: tuple[int, ...] = (64, 64)
    ):
        super().__init__()
        self.nets = nn.ModuleList(nets.mlp([inputs, *hidden, 1], generator) for _ in range(members))
        self.quick = [nets.NumpyForward(net) for net in self.nets]
        self.shift, self.scale = np.zeros(members), np.ones(members)

    def __len__(self) -> int:
        return len(self.nets)

    def forward(self, own: torch.Tensor) -> torch.Tensor:
        """Rewards (K, ...) of inputs (K, ..., D), of which each member gets its own."""
        return torch.stack([net(x).squeeze(-1) for net, x in zip(self.nets, own, strict=True)])

    def each(self, inputs: np.ndarray) -> np.ndarray:
        """Rewards (K, ...) by every member for the same inputs (..., D), as they come: any scale."""
        flat = np.asarray(inputs, np.float32).reshape(-1, inputs.shape[-1])
        return np.stack([net(flat).reshape(inputs.shape[:-1]) for net in self.quick])

    def standardize(self, inputs: np.ndarray) -> None:
        """From now on each member's rewards have mean 0 and standard deviation 1 on ``inputs`` (..., D)."""
        rewards = self.each(inputs).reshape(len(self), -1)
        self.shift, self.scale = rewards.mean(axis=1), rewards.std(axis=1) + 1e-8

    def reward(self, inputs: np.ndarray) -> np.ndarray:
        """The reward (...) to learn from: each member's is standardised, then comes the mean."""
        rewards = np.moveaxis(self.each(inputs), 0, -1)  # (..., K)
        return ((rewards - self.shift) / self.scale).mean(axis=-1)  # (eq-ensemble)


def log_preference(better: torch.Tensor, worse: torch.Tensor, error: float = ERROR) -> torch.Tensor:
    """Logarithm of the probability that ``better`` is preferred, from the rewards of whole clips (...).

    With probability ``error`` the answer is a coin flip, else it follows Bradley and Terry.

    Book: safety/learning_from_preferences
    """
    guess, choice = torch.tensor([error / 2, 1 - error]).log()
    # in logarithms: a probability that has become 0 in the computer's digits would have no gradient
    return torch.logaddexp(guess, choice + nn.functional.logsigmoid(better - worse))  # (eq-bradley-terry)


def preference_loss(
    left: torch.Tensor, right: torch.Tensor, label: torch.Tensor, error: float = ERROR
) -> torch.Tensor:
    """Cross-entropy between labels and the model's preferences; rewards of whole clips and labels (...).

    Book: safety/learning_from_preferences
    """
    for_left, for_right = log_preference(left, right, error), log_preference(right, left, error)
    return -(label * for_left + (1 - label) * for_right).mean()  # (eq-preference-loss)


def fit(
    ensemble: Ensemble,
    optimizer: torch.optim.Optimizer,
    data: Comparisons,
    steps: int,
    rng: np.random.Generator,
    batch_size: int = 32,
    error: float = ERROR,
) -> float:
    """Fit each member to a bootstrap sample of its own of the comparisons; the loss of the last step.

    Raises:
        ValueError: there are no comparisons.

    Book: safety/learning_from_preferences
    """
    if len(data) == 0:
        raise ValueError("a reward cannot be fitted to no comparisons: ask first")
    K, n = len(ensemble), len(data)
    left, right, label = (torch.from_numpy(x.astype(np.float32)) for x in vars(data).values())
    sample = rng.integers(n, size=(K, n))  # with replacement: what each member is fitted to
    loss = torch.zeros(())
    for _ in range(steps):
        # region: step
        rows = np.take_along_axis(sample, rng.integers(n, size=(K, min(n, batch_size))), axis=1)  # (K, M)
        sums = (ensemble(clips[rows]).sum(dim=-1) for clips in (left, right))  # (K, M) twice
        loss = len(ensemble) * preference_loss(*sums, label[rows], error)  # a member's step knows no others
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        # endregion
    return loss.item() / K


def make_optimizer(ensemble: Ensemble, lr: float = 3e-3, weight_decay: float = 1e-2) -> torch.optim.AdamW:
    """Adam with decoupled weight decay, for all members."""
    return torch.optim.AdamW(ensemble.parameters(), lr, weight_decay=weight_decay, fused=True)


def preference(ensemble: Ensemble, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Probability (K, n) by every member that the left one of two clips (n, L, D) is preferred.

    Book: safety/learning_from_preferences
    """
    difference = ensemble.each(left).sum(axis=-1) - ensemble.each(right).sum(axis=-1)  # (K, n)
    return 1 / (1 + np.exp(-difference.clip(-50, 50)))


def disagreement(ensemble: Ensemble, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Variance (n,) over members of the probability that the left clip is preferred.

    Book: safety/learning_from_preferences
    """
    return preference(ensemble, left, right).var(axis=0)  # (eq-prefs-disagreement)


def agreement(ensemble: Ensemble, data: Comparisons) -> float:
    """Share of comparisons without ties in which the members' mean preference is the label's.

    Book: safety/learning_from_preferences
    """
    decided = data.label != 0.5
    left = preference(ensemble, data.left, data.right).mean(axis=0) > 0.5
    return float((left == (data.label > 0.5))[decided].mean())


# ---------------------------------------------------------------------------------------- training


@dataclass(frozen=True)
class Preferences:
    """Settings of one training from preferences."""

    score: str = "upright"
    """what the synthetic teacher goes by, a name of ``SCORES``"""
    source: str = "comparisons"
    """where the reward comes from: ``"comparisons"``, or ``"score"``: what the teacher goes by, itself"""
    comparisons: int = 400
    """how many comparisons there are in all"""
    upfront: float = 0.25
    """the part of them that is made before training, on clips of random actions"""
    until: float = 0.5
    """the part of the training over which the others are spread"""
    candidates: int = 10
    """how many pairs are drawn for each that is asked about; 1: queries at random"""
    error: float = 0.0
    """probability that the teacher answers by a coin flip"""
    standardize: bool = True
    """whether rewards are standardised"""
    first_fit: int = 200
    """gradient steps of the reward before training"""
    fit_steps: int = 40
    """gradient steps of the reward after each update during which comparisons were made"""
    updates: int = 40
    """updates of PPO"""
    num_envs: int = 96
    """pendulums stepped together, an episode each between two updates"""
    lr: float = 3e-3
    """learning rate of PPO"""
    gamma: float = 0.97
    """discount factor of PPO"""

    def __post_init__(self):
        if self.score not in SCORES:
            raise ValueError(f"score={self.score!r}: choose from {', '.join(SCORES)}")
        if self.source not in ("comparisons", "score"):
            raise ValueError(f'source={self.source!r}: choose "comparisons" or "score"')
        if min(self.comparisons, self.candidates, self.updates, self.num_envs) < 1:
            raise ValueError("comparisons, candidates, updates and num_envs must be at least 1")
        if not (0 < self.upfront <= 1 and 0 < self.until <= 1 and 0 <= self.error <= 1):
            raise ValueError("upfront, until and error are parts: from 0 to 1, the first two above 0")


class Scaled:
    """A reward that is given as a function, with what is taken off and what it is divided by.

    Book: safety/learning_from_preferences
    """

    def __init__(self, function: Callable[[np.ndarray], np.ndarray]):
        self.function, self.shift, self.scale = function, 0.0, 1.0

    def standardize(self, inputs: np.ndarray) -> None:
        """From now on rewards have mean 0 and standard deviation 1 on ``inputs`` (..., D)."""
        rewards = self.function(inputs)
        self.shift, self.scale = rewards.mean(), rewards.std() + 1e-8

    def reward(self, inputs: np.ndarray) -> np.ndarray:
        """The reward (...) to learn from."""
        return (self.function(inputs) - self.shift) / self.scale


class Inquiry:
    """An ensemble, the comparisons that it is fitted to, and the labeller who is asked for more.

    Book: safety/learning_from_preferences
    """

    def __init__(self, labeller: Labeller | None = None, seed: int = 0, candidates: int = 10):
        generator = torch.Generator().manual_seed(rl_envs.seeds(seed, 1, "network", 1)[0])
        self.ensemble = Ensemble(4, generator)
        self.optimizer = make_optimizer(self.ensemble)
        self.rng = np.random.default_rng(rl_envs.seeds(seed, 4, "policy", 1))
        self.labeller, self.candidates = labeller, candidates
        none = np.zeros((0, CLIP, 4), np.float32)
        self.data = Comparisons(none, none, np.zeros(0))

    def pairs(self, episodes: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The n pairs of clips (n, L, D) of episodes (T, N, D) that the ensemble disagrees about most.

        They are chosen from ``candidates`` times as many that are cut at random.
        """
        left, right = (cut(episodes, n * self.candidates, CLIP, self.rng) for _ in range(2))
        chosen = np.argsort(-disagreement(self.ensemble, left, right), kind="stable")[:n]
        return left[chosen], right[chosen]

    def ask(self, episodes: np.ndarray, n: int) -> None:
        """Have n pairs of clips compared."""
        left, right = self.pairs(episodes, n)
        self.data = self.data.add(Comparisons(left, right, self.labeller(left, right)))

    def fit(self, steps: int) -> float:
        """Fit the ensemble to all comparisons so far; the loss."""
        return fit(self.ensemble, self.optimizer, self.data, steps, self.rng)


def asked_by(update: int, config: Preferences) -> int:
    """How many comparisons are due after so many updates: some before the first, the rest evenly.

    Book: safety/learning_from_preferences
    """
    part = min(1.0, update / (config.until * config.updates))
    return round(config.comparisons * (config.upfront + (1 - config.upfront) * part))


def train_on(source: Ensemble | Scaled, config: Preferences, seed: int, after: Callable) -> runs.Run:
    """PPO on the reward of ``source``; after each update ``after(update, episodes)`` is called.

    Book: safety/learning_from_preferences
    """
    n = config.num_envs
    envs = Rewarded(SwingUpEnvs(n), lambda steps: source.reward(steps))
    # a batch is an episode of each pendulum, and the reset row after it
    rows = {"num_envs": n, "num_steps": EPISODE + 1, "total_steps": n * (EPISODE * config.updates + 1)}
    learning = {"n_epochs": 5, "batch_size": n * EPISODE // 4, "gamma": config.gamma, "lr": config.lr}

    def callback(session: Any) -> None:
        after(len(session.metrics["update_step"]), envs.episode)

    return ppo.train(
        ppo.Config("rlworkshop.envs.swing_up:SwingUp-v0", **rows, **learning),
        seed,
        envs=envs,
        callback=callback,
    )


def train_from_preferences(config: Preferences, seed: int, labeller: Labeller | None = None) -> runs.Run:
    """PPO on a reward that is learned while it trains; ``ppo.load_policy`` loads its policy.

    Metrics, one entry for each update: ``score`` of its episodes, comparisons ``asked`` until then, and the
    ``loss`` of the reward's last step (NaN where the reward is given).

    Args:
        labeller: answers in place of a synthetic teacher that goes by ``config.score``.

    Book: safety/learning_from_preferences
    """
    score = SCORES[config.score]
    rng = np.random.default_rng(rl_envs.seeds(seed, 4, "policy", 2))
    inquiry = Inquiry(labeller or Synthetic(score, rng, config.error), seed, config.candidates)
    learned = config.source == "comparisons"
    source = inquiry.ensemble if learned else Scaled(lambda steps: score(steps[..., None, :]))
    metrics, loss = {"score": [], "asked": [], "loss": []}, np.nan

    def after(update: int, episodes: np.ndarray) -> None:
        nonlocal loss
        due = asked_by(update, config) - len(inquiry.data)
        if learned and due > 0:
            inquiry.ask(episodes, due)
            loss = inquiry.fit(config.fit_steps if update else config.first_fit)
        if config.standardize:
            source.standardize(episodes)
        if update:
            numbers = score(np.swapaxes(episodes, 0, 1)).mean(), len(inquiry.data), loss
            for name, value in zip(metrics, numbers, strict=True):
                metrics[name].append(value)

    after(0, random_episode(config.num_envs, seed))
    run = train_on(source, config, seed, after)
    run.metrics.update({name: np.array(values) for name, values in metrics.items()})
    return run


# ------------------------------------------------------------------------------- you as the teacher


class Teaching:
    """A person teaches a pendulum: a ``compare.Lesson`` in rounds, whose answers are kept in a folder.

    The clips of the first round are of random actions, those of a later one of an agent that is trained on
    all answers of the rounds before. Each round follows from the seed and these answers alone, so whoever
    comes back finds the question at which they left.

    Raises:
        AnswersError: the folder has answers to other questions.
        ValueError: there are fewer than one question, or a round.

    Book: safety/learning_from_preferences
    """

    def __init__(self, folder: str | Path, seed: int = 0, total: int = 60, per_round: int = 15):
        if min(total, per_round) < 1:
            raise ValueError("there must be at least 1 question, and 1 in a round")
        self.folder, self.seed, self.total, self.per_round = Path(folder), seed, total, per_round
        about = {"task": "SwingUp-v0", "seed": seed, "per_round": per_round}
        self.answers = compare.Answers(self.folder / "answers.jsonl", about)
        self.round, self.pairs, self.told = -1, (np.zeros(0), np.zeros(0)), ""

    def number(self) -> int:
        """How many questions have been answered."""
        return len(self.answers.rows)

    def data(self, until: int) -> Comparisons:
        """The comparisons among the first answers; what was skipped is left out."""
        rows = [row for row in self.answers.rows[:until] if compare.LABELS[row["answer"]] is not None]
        clips = (np.array([row[side] for row in rows], np.float32) for side in ("left", "right"))
        labels = np.array([compare.LABELS[row["answer"]] for row in rows], float)
        return Comparisons(*(x.reshape(-1, CLIP, 4) for x in clips), labels)

    def learned(self, until: int, updates: int) -> tuple[Inquiry, np.ndarray, runs.Run | None]:
        """From the first answers: the reward, episodes (T, N, 4) of all stages of training, and the run."""
        seed = self.seed + until
        inquiry, stages = Inquiry(seed=seed), [random_episode(32, seed)]
        inquiry.data = self.data(until)
        if len(inquiry.data) == 0:
            return inquiry, stages[0], None
        inquiry.fit(300)
        inquiry.ensemble.standardize(stages[0])

        def after(update: int, episodes: np.ndarray) -> None:
            inquiry.ensemble.standardize(episodes)
            if update % 5 == 0:
                stages.append(episodes[:, :32])

        run = train_on(inquiry.ensemble, Preferences(updates=updates), seed, after)
        return inquiry, np.concatenate(stages, axis=1), run

    def question(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Two clips (L, 4); before a new round an agent is trained, which takes seconds."""
        number, (this, place) = self.number(), divmod(self.number(), self.per_round)
        if number >= self.total:
            return None
        if this != self.round:
            inquiry, episodes, _ = self.learned(this * self.per_round, updates=25)
            self.round, self.pairs = this, inquiry.pairs(episodes, self.per_round)
        return self.pairs[0][place], self.pairs[1][place]

    def answer(self, word: str) -> None:
        """Keep the answer to the present question, with its clips."""
        left, right = self.question()
        self.answers.add(word, left=left.tolist(), right=right.tolist())

    drawing, frames = staticmethod(swing_up.svg), staticmethod(swing_up.letters)

    def conclusion(self) -> str:
        """Train on all answers, keep the agent and a film of it; what came of it, in words."""
        if self.told:
            return self.told
        inquiry, _, run = self.learned(self.total, updates=40)
        if run is None:
            return "Every question was skipped: there is nothing to learn from."
        run.save(self.folder / "agent.npz")
        shown = play(ppo.load_policy(run).act, 4, self.seed)
        films = "".join(swing_up.svg(shown[:, i]) for i in range(4))
        (self.folder / "agent.html").write_text(compare.PAGE.format(body=f'<div class="pair">{films}</div>'))
        share, turns = agreement(inquiry.ensemble, inquiry.data), shown[EPISODE // 2 :, :, 2].mean()
        self.told = (
            f"The reward agrees with {share:.0%} of your {len(inquiry.data)} comparisons.\n"
            f"In the last three seconds of an episode the agent is upright {upright_share(shown):.0%}\n"
            f"of the time and makes {FASTEST * turns / (2 * np.pi):+.2f} turns a second.\n"
            f"Look at it: {self.folder / 'agent.html'}. Its policy: {self.folder / 'agent.npz'}."
        )
        return self.told


def upright_share(episodes: np.ndarray) -> float:
    """Part of the second half of episodes (T, N, 4) in which pendulums are within 26° of upright."""
    return float((episodes[len(episodes) // 2 :, :, 0] > 0.9).mean())


def teach(
    folder: Path = Path("teaching"),
    questions: int = 60,
    seed: int = 0,
    browser: bool = False,
    port: int = 8765,
) -> None:
    """Teach a pendulum what you like: compare clips in the terminal, or in a browser.

    Args:
        folder: where answers and agent are kept; an interrupted session goes on from it.
        questions: how many comparisons. seed: of clips and training.
        browser: ask on a page at http://127.0.0.1, at this port, instead of in the terminal.

    Book: safety/learning_from_preferences
    """
    torch.set_num_threads(1)
    try:
        lesson = Teaching(folder, seed, questions)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    if browser:
        compare.in_browser(lesson, port)
    else:
        compare.in_terminal(lesson)


if __name__ == "__main__":
    if sys.argv[1:2] != ["teach"]:
        sys.exit("usage: python -m rlworkshop.safety.learning_from_preferences teach [--help]")
    tyro.cli(teach, args=sys.argv[2:])
