"""Exercises of the chapter that computes the words of the field.

Book: foundations/key_concepts
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, Wrong, expect
from rlworkshop.foundations import key_concepts as kc

PAGE = "foundations/key_concepts"
BELLMAN = "Bellman's equation: a value is a reward and a value"
BREAK = "Break it: an evaluation that flatters"


def _world(seed: int, S: int = 4, A: int = 2) -> tuple[kc.MDP, np.ndarray]:
    """A world in which every state leads to every other, the last one terminal; and a policy."""
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.ones(S), size=(S, A))
    P[-1] = 0
    mdp = kc.MDP(P, rng.normal(size=(S, A, S)) + 1, np.eye(S)[0])
    return mdp, rng.dirichlet(np.ones(A), size=S)


# ---------------------------------------------------------------------------------------- implement


def worth(P: np.ndarray, R: np.ndarray, policy: np.ndarray, gamma: float) -> np.ndarray:
    """What a policy is worth in each state: V (S,).

    P (S, A, S): P[s, a, s'], probability of s' after a in s; all zero where s is terminal.
    R (S, A, S): R[s, a, s'], the reward of that transition. policy (S, A): probabilities.

    Book: foundations/key_concepts
    """
    # solution
    chain = np.einsum("sa,sat->st", policy, P)
    r = np.einsum("sa,sat,sat->s", policy, P, R)
    return np.linalg.solve(np.eye(len(P)) - gamma * chain, r)
    # end


WORTH = Exercise(
    "key-concepts-worth", "Implement: what a policy is worth, without playing", PAGE, BELLMAN, worth
)


@WORTH.probe(
    "two states and one action: the second half of the way is worth less than the whole",
    "Write the two equations on paper. The terminal state's says V = 0.",
)
def _corridor(answer: Callable) -> None:
    P, R = np.zeros((3, 1, 3)), np.zeros((3, 1, 3))
    P[0, 0, 1] = P[1, 0, 2] = 1
    R[0, 0, 1], R[1, 0, 2] = 1.0, 4.0
    about = "A corridor of two steps that pay 1 and 4, gamma 0.5: V = 1 + 0.5 · 4 and 4"
    expect(answer(P, R, np.ones((3, 1)), 0.5), np.array([3.0, 4.0, 0.0]), about, {
        "the second reward is counted in full: the next state's value is multiplied by gamma":
            np.array([5.0, 4.0, 0.0]),
        "this is what one step pays; the next state's value is missing": np.array([1.0, 4.0, 0.0]),
        "values flow along the arrows: V of a state depends on where one goes *to*. Is a matrix transposed?":
            np.array([1.0, 4.5, 2.25]),
    })  # fmt: skip


@WORTH.probe(
    "with chances and choices: rewards are weighted by the policy and by the world",
    "What a step pays, over actions and over where they lead: three arrays multiplied, two axes summed.",
    '`np.einsum("sa,sat,sat->s", policy, P, R)` is that sum.',
)
def _chances(answer: Callable) -> None:
    mdp, policy = _world(0)
    even = np.full_like(policy, 1 / policy.shape[1])
    chain = kc.transitions(mdp, policy)
    even_rewards = np.where(mdp.P > 0, mdp.R, 0.0).mean(axis=2)
    ways = {
        "the policy is not used: each action counts as if all were equally likely":
            kc.state_values(mdp, even, 0.9),
        "actions are summed, not averaged by the policy's odds, in what a step pays":
            np.linalg.solve(np.eye(4) - 0.9 * chain, mdp.r.sum(axis=1)),
        "rewards are averaged over next states as if all were equally likely: weigh them by P":
            np.linalg.solve(np.eye(4) - 0.9 * chain, (policy * even_rewards).sum(axis=1)),
        "the rewards of all next states are added up: weigh them by P":
            np.linalg.solve(np.eye(4) - 0.9 * chain, (policy * mdp.R.sum(axis=2)).sum(axis=1)),
    }  # fmt: skip
    about = "Four states, two actions, gamma 0.9"
    expect(answer(mdp.P, mdp.R, policy, 0.9), kc.state_values(mdp, policy, 0.9), about, ways)


# ------------------------------------------------------------------------------------------- derive


def ending_world(P: np.ndarray, R: np.ndarray, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """P and R (S+1, A, S+1) of a world that ends after each step with probability 1 - gamma.

    P and R (S, A, S) are those of the old one. The new state is the last, and terminal: all
    its probabilities are zero. States that were terminal stay so.

    Book: foundations/key_concepts
    """
    # solution
    S, A, _ = P.shape
    new_P, new_R = np.zeros((S + 1, A, S + 1)), np.zeros((S + 1, A, S + 1))
    new_P[:S, :, :S] = gamma * P
    new_P[:S, :, S] = (1 - gamma) * P.sum(axis=2)  # nothing where a state is terminal
    new_R[:S, :, :S] = R
    new_R[:S, :, S] = (P * R).sum(axis=2)
    return new_P, new_R
    # end


STOP = Exercise(
    "key-concepts-stop", "Derive: a discount is a world that may end", PAGE, BELLMAN, ending_world
)


@STOP.probe(
    "probabilities add up to one, or to zero in terminal states",
    "What the old moves lose by being multiplied by gamma goes to the new state.",
    "A terminal state has no moves, so there is nothing to lose: `P.sum(axis=2)` is 1 or 0.",
)
def _rows(answer: Callable) -> None:
    mdp, _ = _world(2)
    P, R = _pair(answer(mdp.P, mdp.R, 0.8))
    if P.shape != (5, 2, 5) or R.shape != (5, 2, 5):
        raise Wrong(f"4 states, 2 actions: both arrays have to be (5, 2, 5), not {P.shape}, {R.shape}")
    sums = P.sum(axis=2)
    if np.allclose(sums[3], 0.2):
        raise Wrong("state 3 was terminal and now goes to the new state: it should have no moves")
    if np.allclose(sums[4], 1) or P[4].any():
        raise Wrong("the new state has moves: it is terminal, so all its probabilities are zero")
    if np.allclose(sums[:3], 0.8):
        raise Wrong("the rows of P add up to gamma: where does the rest lead?")
    expect(P[:4, :, :4], 0.8 * mdp.P, "The old moves, gamma 0.8", {
        "the old moves are as likely as before: they happen only if the world goes on": mdp.P,
        "the old moves have probability 1 - gamma of happening: it is gamma": 0.2 * mdp.P,
    })  # fmt: skip
    expect(sums, np.array([[1.0, 1.0]] * 3 + [[0.0, 0.0]] * 2), "Sums of the rows of P")


@STOP.probe(
    "undiscounted values of the new world are discounted values of the old one",
    "Write Bellman's equation of the new world. The next state's value comes with gamma, as it should. "
    "Does the reward?",
    "A step's reward is paid whether or not the world ends with it: what does a transition to the new "
    "state pay, on average?",
)
def _values(answer: Callable) -> None:
    for seed, gamma in ((3, 0.8), (4, 0.5)):
        mdp, policy = _world(seed)
        P, R = _pair(answer(mdp.P, mdp.R, gamma))
        try:
            new = kc.MDP(P, R, np.append(mdp.start, 0.0))
            got = kc.state_values(new, np.vstack([policy, policy[:1]]), 1.0)[:4]
        except ValueError as error:
            raise Wrong(f"what you return is no world whose episodes end: {error}") from None
        want = kc.state_values(mdp, policy, gamma)
        expect(got, want, f"Undiscounted values in the new world, gamma {gamma}", {
            "the step with which the world ends pays nothing, so every reward counts gamma times as much as "
            "it should": gamma * want,
        })  # fmt: skip


def _pair(got: object) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(got, tuple) or len(got) != 2 or not all(isinstance(x, np.ndarray) for x in got):
        raise Wrong("two arrays of NumPy are wanted: `return new_P, new_R`")
    return got


# --------------------------------------------------------------------------------------------- mend


def fair_mean(rewards: np.ndarray, ended: np.ndarray) -> float:
    """Mean undiscounted return over the first episode of each copy.

    rewards (T, N): of N copies side by side, each of which begins anew after an end.
    ended (T, N): whether an episode ended with that step. Every copy ends at least one.

    Book: foundations/key_concepts
    """
    # solution
    before = np.cumsum(ended, axis=0) - ended  # (T, N), ends before that step
    return (rewards * (before == 0)).sum(axis=0).mean()
    # given
    # returns, running = [], np.zeros(rewards.shape[1])
    # for t in range(len(rewards)):
    #     running = running + rewards[t]
    #     returns.extend(running[ended[t]])
    #     running = np.where(ended[t], 0.0, running)
    # return np.mean(returns)
    # end


FAIR = Exercise(
    "key-concepts-fair", "Mend: an evaluation that prefers quick episodes", PAGE, BREAK, fair_mean
)


@FAIR.probe(
    "a slow copy counts as much as a quick one",
    "Which episodes count has to be settled before they are played. How many of each copy does yours take?",
    "Steps count for a copy as long as none of its episodes has ended before: `np.cumsum(ended, axis=0)`.",
)
def _slow(answer: Callable) -> None:
    rewards = np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]])
    ended = np.array([[True, False], [True, False], [True, False], [True, True]])
    about = "One copy ends after every step with 1, the other once, after four steps, with 8"
    expect(_number(answer(rewards, ended)), np.float64(4.5), about, {
        "the quick copy has four episodes in this mean, the slow one a single one: nothing is mended": 2.4,
        "this is the mean of the episodes that finished first; the slow copy never gets a word in": 1.0,
        "everything that a copy was paid is added up, over all its episodes": 6.0,
        "the copies are summed, not averaged": 9.0,
        "the step with which an episode ends belongs to it: its reward is missing": 3.0,
    })  # fmt: skip


@FAIR.probe(
    "what comes after a first episode does not count, finished or not",
    "Once a copy's first episode is over, its later rewards belong to other episodes.",
)
def _later(answer: Callable) -> None:
    rewards = np.array([[1.0, 5.0, -2.0], [10.0, 5.0, -2.0], [100.0, 7.0, -2.0]])
    ended = np.array([[True, False, False], [False, True, False], [True, False, True]])
    about = "Three copies whose first episodes have the returns 1, 10 and -6"
    expect(_number(answer(rewards, ended)), np.float64(5 / 3), about, {
        "these are each copy's *last* finished episodes": (110 + 10 - 6) / 3,
        "the mean of the means of each copy's episodes gives later ones a say": (55.5 + 10 - 6) / 3,
        "all rewards are counted, also those of later episodes": (111 + 17 - 6) / 3,
    })  # fmt: skip


def _number(got: object) -> object:
    """A plain float is as good as a number of NumPy's."""
    return np.float64(got) if isinstance(got, float) else got
