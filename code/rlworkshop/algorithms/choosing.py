"""Which algorithm when: a decision list, and the price of a sample against that of learning.

A run that gets somewhere costs steps of an environment, and seconds of computing. What a step costs is up to
the task: microseconds in a simulator, a tenth of a second on a robot. Above a break-even price the algorithm
that needs fewer steps is the cheaper one, below it the one that computes less.

Book: algorithms/choosing
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

# --------------------------------------------------------------------------------------- what a success costs


def expected_steps(steps: np.ndarray, budget: float) -> float:
    """Environment steps until a run succeeds, if runs that do not are ended and begun anew, on average.

    Args:
        steps: (S,) when each run reached the goal; NaN: not within its ``budget``, which it spent.

    Returns infinity where no run succeeded.

    Book: algorithms/choosing
    """
    reached = np.isfinite(steps)  # (S,)
    spent = np.where(reached, steps, budget)  # (S,)
    return float(spent.mean() / reached.mean()) if reached.any() else np.inf  # (eq-choosing-steps)


def expected_cost(steps: float, compute: float, price: float | np.ndarray) -> float | np.ndarray:
    """Seconds until a run succeeds: ``steps`` of them, each with its ``price`` and its ``compute`` seconds.

    ``price`` may be an array; ``compute`` is what the algorithm takes for a step of the environment, learning
    included.

    Book: algorithms/choosing
    """
    return steps * (price + compute)  # (eq-choosing-cost)


def break_even(frugal: tuple[float, float], hasty: tuple[float, float]) -> float:
    """Price of a step at which two algorithms cost the same, in seconds.

    Args:
        frugal, hasty: expected steps and compute seconds a step; ``frugal`` has the fewer steps.

    Returns 0 where the frugal one is the cheaper at any price.

    Raises:
        ValueError: ``frugal`` does not have the fewer steps.

    Book: algorithms/choosing
    """
    (few, slow), (many, quick) = frugal, hasty
    if not few < many:
        raise ValueError(f"the frugal one is the one with fewer steps, and {few:g} is not below {many:g}")
    return max(0.0, (few * slow - many * quick) / (many - few))  # (eq-choosing-break-even)


def reached(look_steps: np.ndarray, looks: np.ndarray, threshold: float) -> np.ndarray:
    """Steps (S,) at the first of the evaluations ``looks`` (S, L) that is ``threshold`` or more; else NaN.

    Book: algorithms/choosing
    """
    good = looks >= threshold  # (S, L)
    return np.where(good.any(axis=1), np.asarray(look_steps, float)[good.argmax(axis=1)], np.nan)


def normalized(scores: np.ndarray, random: float, reference: float) -> np.ndarray:
    """Scores on a scale on which a random agent has 0 and the reference 1, so that tasks can be averaged.

    Book: algorithms/choosing
    """
    return (scores - random) / (reference - random)


def rank_flips(x: np.ndarray, y: np.ndarray, seeds: int, trials: int, rng: np.random.Generator) -> float:
    """How often means of ``seeds`` runs each order two algorithms against the order of all their runs.

    ``x`` and ``y`` (S,) are drawn from with replacement; a tie counts half.

    Book: algorithms/choosing
    """
    draws = (rng.choice(runs, (trials, seeds)).mean(axis=1) for runs in (x, y))  # (trials,), (trials,)
    ahead = np.sign(np.subtract(*draws)) * np.sign(x.mean() - y.mean())  # (trials,)
    return float((1 - ahead).mean() / 2)


# ----------------------------------------------------------------------------------------- the decision list


@dataclass(frozen=True)
class Situation:
    """What you know of your task before anything is trained.

    Attributes:
        actions: what the agent does. pixels: whether it sees pictures.
        only_data: a set of recordings is all there is; the agent cannot act.
        harm: trying things out may hurt somebody, or cost what nobody wants to pay.
        step_seconds: what one step of the environment takes. copies: how many can be stepped at once.
        machines: computers that play for one learner.

    Book: algorithms/choosing
    """

    actions: Literal["discrete", "continuous"] = "continuous"
    pixels: bool = False
    only_data: bool = False
    harm: bool = False
    step_seconds: float = 1e-4
    copies: int = 1
    machines: int = 1

    @property
    def price(self) -> float:
        """Seconds that a step costs when all copies are stepped at once."""
        return self.step_seconds / self.copies


class Rule(NamedTuple):
    """A question of the decision list, and what to do if the answer is yes.

    Book: algorithms/choosing
    """

    question: str
    applies: Callable[[Situation, float], bool]
    advice: str
    page: str


RULES = (
    Rule(
        "Is a fixed set of recordings all there is?",
        lambda s, break_even: s.only_data,
        "imitate, if the recordings are good; else offline RL",
        "robotics/learning_from_demonstrations",
    ),
    Rule(
        "May trying things out do harm?",
        lambda s, break_even: s.harm,
        "learn in a simulator, with a limit as a constraint",
        "safety/constrained_rl",
    ),
    Rule(
        "Does it see pixels, and choose among actions?",
        lambda s, break_even: s.pixels and s.actions == "discrete",
        "DQN with a convolutional network",
        "algorithms/pixels",
    ),
    Rule(
        "Do many machines play for one learner?",
        lambda s, break_even: s.machines > 1,
        "actors that lag, corrected: V-trace",
        "robotics/scale",
    ),
    Rule(
        "Is a step dear, and are actions discrete?",
        lambda s, break_even: s.price > break_even and s.actions == "discrete",
        "DQN with n-step targets, and TRPO beside it",
        "algorithms/dqn_family",
    ),
    Rule(
        "Is a step dear, and are actions continuous?",
        lambda s, break_even: s.price > break_even,
        "SAC or TD3",
        "algorithms/sac",
    ),
    Rule(
        "None of these: steps are cheap",
        lambda s, break_even: True,
        "PPO or TRPO, with many copies",
        "algorithms/ppo",
    ),
)


def advise(situation: Situation, break_even: float) -> Rule:
    """The first rule of the decision list that applies. A step is dear if its price lies above break-even.

    Book: algorithms/choosing
    """
    return next(rule for rule in RULES if rule.applies(situation, break_even))
