"""Exercises of the chapter that builds policy gradients from the ground up.

Book: foundations/policy_gradients
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect
from rlworkshop.foundations import policy_gradients as pg

PAGE = "foundations/policy_gradients"
TO_GO = "Credit only what came after"
COMPARE = "Baselines: less variance, the same mean"
BREAK = "Break it: a baseline that sees the action"

# ------------------------------------------------------------------------------------------ derive


def best_constant(scores: np.ndarray, returns: np.ndarray) -> np.ndarray:
    """The number b with which the mean of ‖score‖² (return − b)² over these samples is least.

    scores (N, D): of N decisions. returns (N,): what came after each of them.
    Returns one number, of shape ().

    Book: foundations/policy_gradients
    """
    # solution
    weight = (scores**2).sum(axis=1)  # (N,), squared lengths
    return (weight * returns).sum() / weight.sum()
    # end


CONSTANT = Exercise(
    "policy-gradients-best-constant", "Derive: the quietest number to subtract", PAGE, COMPARE, best_constant
)
PARABOLA = (
    "The mean is a parabola in b. Write down its derivative by b; where is it zero?",
    "Each return weighs as much as its ‖score‖², and the weights have to be divided by their sum.",
)


@CONSTANT.probe("four decisions in one state: the rare action's return weighs more", *PARABOLA)
def _rare_action(answer: Callable) -> None:
    rare, usual = np.array([0.75, -0.75]), np.array([-0.25, 0.25])
    scores, returns = np.array([rare, usual, usual, usual]), np.array([2.0, 6.0, 6.0, 6.0])
    about = (
        "One walk in four, return 2, and three runs, return 6: ‖score‖² is 9/8 for the walk, 1/8 for a run"
    )
    expect(_number(answer(scores, returns)), np.float64(3), about, {
        "this is the mean return. It makes the *returns* differ least, not the terms of the estimator: a "
        "term is a score times a difference, and long scores make it loud": 5.0,
        "each return weighs as much as its score's length: in the mean of squares it is the length *squared*":
            4.0,
        "the weighted returns are divided by their number: divide by the sum of the weights": 4.5 / 4,
        "the weighted returns are added up and not divided by the sum of the weights": 4.5,
        "the weights are turned round: the longer the score, the less its return counts in yours":
            (2 * 8 / 9 + 18 * 8) / (8 / 9 + 24),
    })  # fmt: skip


@CONSTANT.probe(
    "scores with more entries that do not average to zero: it is the lowest point of the parabola",
    "Print the mean of ‖score‖² (return − b)² for your b, a little less and a little more.",
    "The squared length of a score sums over all its entries: `(scores**2).sum(axis=1)`.",
)
def _lowest(answer: Callable) -> None:
    rng = np.random.default_rng(0)
    scores, returns = rng.normal(size=(6, 4)), rng.normal(size=6) + 5.0
    weight, centred = (scores**2).sum(axis=1), scores - scores.mean(axis=0)
    terms = scores * returns[:, None]
    first, added = scores[:, 0] ** 2, scores.sum(axis=1) ** 2
    want = weight @ returns / weight.sum()
    expect(_number(answer(scores, returns)), want, "Six scores with four entries", {
        "the means are taken off before squaring, so this is the least variance *of the sample*. The mean of "
        "a score needs no estimate: the lemma says that it is zero":
            (centred * terms).sum() / (centred**2).sum(),
        "only the first entry of each score is looked at": first @ returns / first.sum(),
        "the entries of each score are added up before they are squared, where they can cancel":
            added @ returns / added.sum(),
    })  # fmt: skip


@CONSTANT.probe(
    "a policy that is all but sure has short scores, and the same answer",
    "Make all scores a hundred times shorter: what happens above the fraction bar, and what below it?",
)
def _short(answer: Callable) -> None:
    rng = np.random.default_rng(1)
    scores, returns = rng.normal(size=(6, 4)), rng.normal(size=6) + 5.0
    want = (scores**2).sum(axis=1) @ returns / (scores**2).sum()
    got = _number(answer(scores / 100, returns))
    if np.ndim(got) == 0 and 0 <= got < want * (1 - 1e-4):
        raise Wrong("short scores pull it towards zero: is something added to the sum of the weights?")
    expect(got, want, "All scores are a hundred times shorter than in a case that has the same best number")


def _number(got: object) -> object:
    """A plain float is as good as a number of NumPy's."""
    return np.float64(got) if isinstance(got, float) else got


# ------------------------------------------------------------------------------------------ implement


def reward_to_go(rewards: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Sum of the rewards from each step to the end of its episode (M,), undiscounted.

    rewards (M,): of whole episodes, one behind the other, without padding.
    lengths (N,): how many steps each has, at least one; they add up to M.

    Book: foundations/policy_gradients
    """
    # solution
    onwards = np.cumsum(rewards[::-1])[::-1]  # (M,), to the end of the batch
    behind = np.append(onwards, 0.0)[np.cumsum(lengths)]  # (N,), what follows each episode
    return onwards - np.repeat(behind, lengths)
    # end


GO = Exercise(
    "policy-gradients-reward-to-go", "Implement: reward-to-go without a loop", PAGE, TO_GO, reward_to_go
)


@GO.probe(
    "one episode: each step is paid for itself and for what comes after it",
    "`np.cumsum` adds up from the front. What would `rewards[::-1]` make of it?",
    "Turn time around, add up, turn it back.",
)
def _one_episode(answer: Callable) -> None:
    rewards = np.array([1.0, 2.0, 4.0])
    want = np.array([7.0, 6.0, 4.0])
    expect(answer(rewards, np.array([3])), want, "One episode with the rewards 1, 2, 4", {
        "these are the rewards *up to* each step: what is past was settled before its die was cast, and what "
        "is to come is missing": np.cumsum(rewards),
        "each step is paid the return of its whole episode: right on average, but with the past's noise":
            np.full(3, 7.0),
        "each step's own reward is left out: it comes after the action, too": np.array([6.0, 4.0, 0.0]),
        "time is turned around and not turned back: the first entry belongs to the last step":
            np.array([4.0, 6.0, 7.0]),
        "each step is paid its own reward alone": rewards,
    })  # fmt: skip


@GO.probe(
    "several episodes of different length: nothing flows from one into another",
    "The sum to the end of the *batch* is easy. What is in it that does not belong to the episode?",
    "All steps of an episode have the same amount too much: what the episodes behind it were paid.",
    "`np.cumsum(lengths)` is the first row *behind* each episode; `np.repeat` gives one number to each step.",
)
def _several(answer: Callable) -> None:
    rewards, lengths = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0]), np.array([3, 1, 2])
    want = np.array([7.0, 6.0, 4.0, 8.0, 48.0, 32.0])
    onwards = np.cumsum(rewards[::-1])[::-1]
    expect(answer(rewards, lengths), want, "Rewards 1, 2, 4 | 8 | 16, 32, lengths 3, 1, 2", {
        "`lengths` is not looked at: each episode is paid what the episodes behind it earned": onwards,
        "each episode is cut one row early, and its last reward is lost: cumsum(lengths) is the first row "
        "*behind* an episode": onwards - np.repeat(onwards[np.cumsum(lengths) - 1], lengths),
        "`lengths` is used as the row where an episode ends: that is cumsum(lengths), but for the first one":
            onwards - np.repeat(onwards[lengths], lengths),
        "all episodes are taken to be as long as the first": np.array([7.0, 6.0, 4.0, 56.0, 48.0, 32.0]),
    })  # fmt: skip


@GO.probe(
    "a thousand episodes of random length, each as if it were alone",
    "Which row differs? Is it the first of its episode, the last one, or in the last episode?",
    "Rewards can be negative, and episodes one step long.",
)
def _many(answer: Callable) -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, size=1_000)
    rewards = rng.normal(size=lengths.sum())
    each = np.split(rewards, np.cumsum(lengths)[:-1])
    want = np.concatenate([pg.reward_to_go(episode[:, None])[:, 0] for episode in each])
    expect(answer(rewards, lengths), want, "A thousand episodes of one to eight steps", {
        "negative sums are lost on the way: a reward-to-go may be below zero": np.maximum(want, 0),
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ diagnose


def sees_the_action(baseline: np.ndarray, batch: pg.Batch, theta: np.ndarray) -> bool:
    """Whether a baseline knows something of the action that it is compared with.

    baseline (T, N): what was subtracted at each step of the batch; behind an episode's end
    it holds anything. batch: states (T+1, N), actions (T, N), alive (T+1, N).
    theta (S, A): the policy that has played it.

    Book: foundations/policy_gradients
    """
    # solution
    each = pg.episode_gradients(batch, theta, baseline)  # (N, S, A), the baseline alone
    by_chance = np.sqrt(each.var(axis=0).sum() / len(each))
    return bool(np.linalg.norm(each.mean(axis=0)) > 3 * by_chance)
    # end


DETECT = Exercise(
    "policy-gradients-sees-the-action", "Diagnose: has it seen the die?", PAGE, BREAK, sees_the_action
)


def _accused(answer: Callable, baseline: Callable, garbage: float = 0.0) -> bool:
    """The answer's verdict on a baseline; where an episode is over, it holds ``garbage`` or 0."""
    # who is further out runs more often: walkers and runners do not stand in the same states
    ice, theta = pg.thin_ice(), np.array([[0.0, 0.3 * s - 0.6] for s in range(8)])
    batch = pg.sample_batch(ice, theta, 20_000, np.random.default_rng(2))
    subtracted = np.where(batch.alive[:-1], baseline(ice, theta, batch), garbage * batch.actions)  # (T, N)
    got = answer(subtracted, batch, theta)
    if not isinstance(got, bool | np.bool_):
        raise Wrong(f"`sees_the_action` should return True or False; it returns a {type(got).__name__}")
    return bool(got)


def _V(ice: pg.MDP, theta: np.ndarray, batch: pg.Batch) -> np.ndarray:
    return pg.softmax_values(ice, theta)[0][batch.states[:-1]]


def _Q(ice: pg.MDP, theta: np.ndarray, batch: pg.Batch) -> np.ndarray:
    return pg.softmax_values(ice, theta)[1][batch.states[:-1], batch.actions]


def _steps(ice: pg.MDP, theta: np.ndarray, batch: pg.Batch) -> np.ndarray:
    return np.arange(float(len(batch.actions)))[:, None]  # (T, 1), how many went before


def _last_metre(ice: pg.MDP, theta: np.ndarray, batch: pg.Batch) -> np.ndarray:
    return (batch.states[:-1] == 5) * batch.actions


def _two_leaks(ice: pg.MDP, theta: np.ndarray, batch: pg.Batch) -> np.ndarray:
    """Sees the action in states 0 and 2, the other way round: summed over states, the leaks cancel."""
    loud = pg.softmax_visits(ice, theta) * pg.softmax_policy(theta).prod(axis=1)  # (8,)
    leak = np.zeros(8)
    leak[0], leak[2] = 1 / loud[0], -1 / loud[2]
    return leak[batch.states[:-1]] * batch.actions


def _must_not_be_accused(
    shows: str, baseline: Callable, what: str, *hints: str, garbage: float = 0.0
) -> None:
    def run(answer: Callable) -> None:
        if _accused(answer, baseline, garbage):
            raise Wrong(f"it accuses {what}")

    DETECT.probe(shows, *hints)(run)


def _must_be_caught(shows: str, baseline: Callable, what: str, *hints: str) -> None:
    def run(answer: Callable) -> None:
        if not _accused(answer, baseline):
            raise Wrong(f"it lets pass a baseline {what}")

    DETECT.probe(shows, *hints)(run)


_must_not_be_accused(
    "no baseline at all is not accused",
    lambda ice, theta, batch: 0.0,
    "a baseline that is zero everywhere. An alarm that always rings is no alarm",
    "Take the baseline alone as the weights of the estimator: by the lemma the mean has to be near zero.",
    "`pg.episode_gradients(batch, theta, baseline)` gives each episode's part of that mean.",
)
_must_not_be_accused(
    "nor is V(s)",
    _V,
    "V(s), which looks at the state alone. It is another number for walkers than for runners all the same: "
    "they stand in different places",
    "Weigh it with the score, which is zero on average in each state, whatever is done there.",
    "Or compare walkers and runners *within* a state, never over all of them.",
    "How far from zero may chance carry a mean of so many episodes? One of its standard deviations, or two.",
)
_must_not_be_accused(
    "nor a thousand, everywhere",
    lambda ice, theta, batch: 1e3,
    "the number 1000, which sees nothing. It is a bad baseline, and noisy; is its mean far from zero in "
    "units of its own noise?",
    "The noise of a mean: the standard deviation of one episode's part, divided by the root of their number.",
)
_must_not_be_accused(
    "nor the number of steps so far",
    _steps,
    "the number of steps so far. Two visits to a state may have different baselines: the lemma allows all "
    "that is settled before the die is cast, not the state alone",
    "Not whether the baseline varies within a state is the question, but whether with the *action*.",
)
_must_not_be_accused(
    "nor anything for what stands behind an episode's end",
    _V,
    "V(s) for the garbage that stands where nobody acts any more",
    "`batch.alive[:-1]` (T, N) says at which steps there was somebody to cast a die.",
    garbage=1e4,
)
_must_be_caught(
    "Q(s, a) is caught",
    _Q,
    "that is Q(s, a): the bug of this page",
    "With the baseline alone as the weights, how many standard deviations of the mean is the mean from zero?",
    "Do not add up the score's own entries: for a softmax they always cancel.",
)
_must_be_caught(
    "and Q(s, a) / 1000",
    lambda *arguments: _Q(*arguments) / 1000,
    "that is Q(s, a) / 1000: rewards in kilometres for metres do not make the bug smaller",
    "Compare with the noise that this very baseline makes, and with no number of your own.",
)
_must_be_caught(
    "one that looks only in the last state before the shore is caught",
    _last_metre,
    "that looks at the action only in state 5, where few episodes get",
    "The lemma holds in every state. Did you look at all of them?",
)
_must_be_caught(
    "two leaks that point in opposite directions do not hide each other",
    _two_leaks,
    "that looks at the action in two states: added up over states, its leaks cancel",
    "Each state has its own parameters: keep the entries of the gradient apart, and take the length last.",
)
