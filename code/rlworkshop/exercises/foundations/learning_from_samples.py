"""Exercises of the chapter on learning from samples.

Book: foundations/learning_from_samples
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect

PAGE = "foundations/learning_from_samples"
TARGETS = "Monte Carlo and TD(0) prediction"
DIAL = "TD(λ): the λ-return and eligibility traces"
LIMIT = "Break it: a time limit is taken for an ending"

# ------------------------------------------------------------------------------------------ derive


def lambda_weights(lam: float, T: int) -> np.ndarray:
    """How much each target counts in the λ-return, where the episode ends after T more steps.

    lam: between 0 and 1, both included. T: at least 1.
    Returns (T,): the weights of the 1-step return, the 2-step return, …, and at the end that
    of the whole return, which is the T-step return.

    Book: foundations/learning_from_samples
    """
    # solution
    weights = (1 - lam) * lam ** np.arange(T)  # (T,), stop after n steps
    weights[-1] = lam ** (T - 1)  # or never
    return weights
    # end


WEIGHTS = Exercise(
    "learning-from-samples-weights",
    "Derive: what the λ-return is a mixture of",
    PAGE,
    DIAL,
    lambda_weights,
)


@WEIGHTS.probe(
    "four steps before the end, λ = 0.8",
    "After each step a coin says stop, with probability 1 - λ. How likely is it to stop after exactly n?",
    "At the end of the episode nobody tosses any more. How likely is it to get that far?",
)
def _four_steps(answer: Callable) -> None:
    cut = 0.2 * 0.8 ** np.arange(4)
    expect(answer(0.8, 4), np.array([0.2, 0.16, 0.128, 0.512]), "T = 4 and λ = 0.8", {
        "these are the weights of an episode without an end: they do not add up to one. Who has not stopped "
        "before the end gets the whole return": cut,
        "what is missing at the end is spread over all targets; it all belongs to the whole return":
            cut / cut.sum(),
        "the order is turned round: the 1-step return comes first": np.array([0.512, 0.128, 0.16, 0.2]),
        "the exponent is one too high: to stop after one step, no coin has to say go on":
            np.array([0.16, 0.128, 0.1024, 0.4096]),
    })  # fmt: skip


@WEIGHTS.probe(
    "the ends of the dial: λ = 0 and λ = 1",
    "With λ = 0 there is only the 1-step return, with λ = 1 only the whole return.",
    "What is 0 to the power of 0?",
)
def _ends(answer: Callable) -> None:
    for lam, want in ((0.0, [1.0, 0.0, 0.0]), (1.0, [0.0, 0.0, 1.0])):
        with np.errstate(divide="ignore", invalid="ignore"):
            got = answer(lam, 3)
        if isinstance(got, np.ndarray) and np.isnan(got).any():
            raise Wrong(f"with λ = {lam:g} something is divided by zero: the weights need no division")
        expect(got, np.array(want), f"T = 3 and λ = {lam:g}")


# ------------------------------------------------------------------------------------------ implement


def n_step_targets(
    rewards: np.ndarray, values: np.ndarray, n: int, gamma: float, terminated: bool
) -> np.ndarray:
    """The n-step target of each step of one episode (T,).

    rewards (T,). values (T+1,): what the table says of the state before each step, and of the
    one the episode stopped in. Where fewer than n steps are left, take as many as there are.
    terminated: that last state is an end; if not, the episode was cut off there.

    Book: foundations/learning_from_samples
    """
    # solution
    T = len(rewards)
    later = np.append(values[:-1], 0.0 if terminated else values[-1])  # (T+1,)
    targets = np.zeros(T)
    for t in range(T):
        m = min(n, T - t)  # steps taken before the table is asked
        targets[t] = gamma ** np.arange(m) @ rewards[t : t + m] + gamma**m * later[t + m]
    return targets
    # end


STEPS = Exercise(
    "learning-from-samples-n-step", "Implement: look n steps ahead", PAGE, TARGETS, n_step_targets
)
REWARDS, VALUES = np.array([1.0, 2.0, 4.0]), np.array([10.0, 20.0, 30.0, 96.0])
CASE = "Rewards 1, 2, 4, values 10, 20, 30, 96, γ = 1/2"


@STEPS.probe(
    "n = 1 in an episode that ended: the target of TD(0)",
    "Reward plus γ times what the table says of the state that was reached.",
    "The state after step t stands in `values[t + 1]`; an end is worth nothing, whatever the table says.",
)
def _one_step(answer: Callable) -> None:
    about = f"{CASE}, n = 1, terminated"
    expect(answer(REWARDS, VALUES, 1, 0.5, True), np.array([11.0, 17.0, 4.0]), about, {
        "the last target counts the value of the end, after which nothing comes":
            np.array([11.0, 17.0, 52.0]),
        "the table is asked about the state that one leaves, not the one that is reached":
            np.array([6.0, 12.0, 19.0]),
        "the value of the next state is not discounted": np.array([21.0, 32.0, 4.0]),
    })  # fmt: skip


@STEPS.probe(
    "n = 2: two rewards, then the table",
    "The second reward is one step away, and the value two.",
    "One step before the end there is only one reward to take.",
)
def _two_steps(answer: Callable) -> None:
    about = f"{CASE}, n = 2, terminated"
    expect(answer(REWARDS, VALUES, 2, 0.5, True), np.array([9.5, 4.0, 4.0]), about, {
        "the value is discounted once, but it lies two steps away": np.array([17.0, 4.0, 4.0]),
        "the second reward is not discounted": np.array([10.5, 6.0, 4.0]),
        "the first state of the two is asked, not the last": np.array([7.0, 11.5, 4.0]),
    })  # fmt: skip


@STEPS.probe(
    "cut off: the state it stopped in has a value",
    "A clock that runs out changes nothing about the state.",
    "With fewer than n steps left, how far away is the state in which the episode stopped?",
)
def _cut_off(answer: Callable) -> None:
    about = f"{CASE}, n = 2, not terminated"
    expect(answer(REWARDS, VALUES, 2, 0.5, False), np.array([9.5, 28.0, 52.0]), about, {
        "the episode is taken to have ended, but it was cut off": np.array([9.5, 4.0, 4.0]),
        "the last value is discounted by γ to the n, but it lies fewer than n steps away":
            np.array([9.5, 28.0, 28.0]),
        "where fewer than n steps are left, the table is not asked": np.array([9.5, 28.0, 4.0]),
    })  # fmt: skip


@STEPS.drawn
def _any_steps(rng: np.random.Generator) -> tuple:
    T = int(rng.integers(1, 6))
    end = bool(rng.random() < 0.5)
    return rng.normal(size=T), rng.normal(size=T + 1), int(rng.integers(1, 5)), rng.uniform(0.1, 1), end


# ------------------------------------------------------------------------------------------ mend


def expected_targets(
    rewards: np.ndarray,
    following: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
    Q: np.ndarray,
    epsilon: float,
    gamma: float,
) -> np.ndarray:
    """Targets (B,) of Expected SARSA for B transitions, with the ε-greedy policy of Q (S, A).

    rewards, following (the states reached), terminated, truncated: all (B,).
    ε-greedy takes, with probability ``epsilon``, any of the A actions, the best one included.

    Book: foundations/learning_from_samples
    """
    there = Q[following]  # (B, A)
    # solution
    worth = (1 - epsilon) * there.max(axis=1) + epsilon * there.mean(axis=1)
    return rewards + gamma * np.where(terminated, 0.0, worth)
    # given
    # best = there.max(axis=1)
    # others = (there.sum(axis=1) - best) / (Q.shape[1] - 1)
    # worth = (1 - epsilon) * best + epsilon * others
    # done = terminated | truncated
    # return rewards + gamma * np.where(done, 0.0, worth)
    # end


MEND = Exercise(
    "learning-from-samples-mend-limit",
    "Break: two mistakes in five lines, and mend them",
    PAGE,
    LIMIT,
    expected_targets,
)
TABLE = np.array([[4.0, 8.0, 0.0, 0.0], [-2.0, -6.0, -10.0, -2.0]])
NO, YES = np.zeros(2, bool), np.ones(2, bool)
BATCH = np.array([1.0, 2.0]), np.array([0, 1])
TRANSITIONS = "Two transitions with rewards 1 and 2, to states with values (4, 8, 0, 0) and (-2, -6, -10, -2)"


@MEND.probe(
    "without exploration it is the target of Q-learning",
    "With ε = 0 the policy is greedy: this part worked when you got the file.",
)
def _greedy(answer: Callable) -> None:
    about = f"{TRANSITIONS}, ε = 0, γ = 1/2"
    expect(answer(*BATCH, NO, NO, TABLE, 0.0, 0.5), np.array([5.0, 1.0]), about, {
        "all actions count alike, though ε is zero": np.array([2.5, -0.5]),
        "the best value is not discounted": np.array([9.0, 0.0]),
    })  # fmt: skip


@MEND.probe(
    "after an end comes nothing",
    "Which of the two flags says that the world has ended, and not the clock?",
)
def _ended(answer: Callable) -> None:
    about = f"{TRANSITIONS}, both terminated, ε = 0, γ = 1/2"
    expect(answer(*BATCH, YES, NO, TABLE, 0.0, 0.5), np.array([1.0, 2.0]), about, {
        "an end is given a value: nothing comes after it, and its row in the table means nothing":
            np.array([5.0, 1.0]),
        "the rewards of the last step are lost": np.array([0.0, 0.0]),
    })  # fmt: skip


@MEND.probe(
    "exploring means any action, the best one too",
    "Write down the four probabilities for ε = 0.4. What is the best action's?",
    "The mean over all actions, with weight ε, and the best one with weight 1 - ε.",
)
def _soft(answer: Callable) -> None:
    about = f"{TRANSITIONS}, ε = 0.4, γ = 1/2"
    expect(answer(*BATCH, NO, NO, TABLE, 0.4, 0.5), np.array([4.0, 0.4]), about, {
        "ε is shared among the *other* actions: whoever explores may also draw the best one, whose "
        "probability is 1 - ε + ε / A": np.array([1 + 0.5 * (0.6 * 8 + 0.4 * 4 / 3), 2 + 0.5 * -3.6]),
        "this is the target of Q-learning: it does not know that one explores": np.array([5.0, 1.0]),
        "ε and 1 - ε are swapped": np.array([1 + 0.5 * (0.4 * 8 + 0.6 * 3), 2 + 0.5 * -3.8]),
    })  # fmt: skip


@MEND.probe(
    "a time limit is no ending",
    "The state in which the clock ran out: is it worth nothing?",
    "Only `terminated` stands between the table and the target.",
)
def _limit(answer: Callable) -> None:
    about = f"{TRANSITIONS}, both truncated, ε = 0.4, γ = 1/2"
    expect(answer(*BATCH, NO, YES, TABLE, 0.4, 0.5), np.array([4.0, 0.4]), about, {
        "where the clock ran out, nothing is added: a time limit is taken for an ending":
            np.array([1.0, 2.0]),
    })  # fmt: skip


@MEND.drawn
def _any_limit(rng: np.random.Generator) -> tuple:
    batch, flags = (rng.normal(size=3), rng.integers(3, size=3)), rng.random((2, 3)) < 0.3
    return *batch, flags[0], flags[1], rng.normal(size=(3, 4)), rng.uniform(0, 1), rng.uniform(0.1, 1)
