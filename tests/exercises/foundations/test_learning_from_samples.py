"""Plausible wrong answers to the exercises on learning from samples, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest

from rlworkshop import check
from rlworkshop.exercises import find
from rlworkshop.exercises.foundations import learning_from_samples as exercises
from rlworkshop.foundations import learning_from_samples as lfs
from rlworkshop.foundations.key_concepts import Simulator, play
from rlworkshop.rngs import Rngs

# ---- the weights of the λ-return


def without_an_end(lam, T):
    return (1 - lam) * lam ** np.arange(T)


def spread(lam, T):
    weights = without_an_end(lam, T)
    return weights / weights.sum()


def turned_round(lam, T):
    return exercises.lambda_weights(lam, T)[::-1]


def one_too_high(lam, T):
    return lam * exercises.lambda_weights(lam, T)


def divided_by_lambda(lam, T):
    weights = (1 - np.float64(lam)) / np.float64(lam) * lam ** np.arange(1, T + 1)
    weights[-1] = lam ** (T - 1)
    return weights


# ---- n steps


def _steps(last=lambda values, terminated: values[-1] * (not terminated), first=0, reward=1, far=None):
    """The solution with one thing done in another way."""

    def n_step_targets(rewards, values, n, gamma, terminated):
        T, targets = len(rewards), []
        later = np.append(values[:-1], last(values, terminated))
        for t in range(T):
            m = min(n, T - t)
            power = m if far is None else far(m, n)
            paid = (gamma**reward) ** np.arange(m) @ rewards[t : t + m]
            targets.append(paid + gamma**power * later[t + m - first])
        return np.array(targets)

    return n_step_targets


def short_ones_do_not_ask(rewards, values, n, gamma, terminated):
    targets = exercises.n_step_targets(rewards, values, n, gamma, terminated)
    ended = exercises.n_step_targets(rewards, values, n, gamma, True)
    return np.where(np.arange(len(rewards)) + n > len(rewards), ended, targets)


# ---- the targets of Expected SARSA


def _targets(worth, mask):
    def expected_targets(rewards, following, terminated, truncated, Q, epsilon, gamma):
        return rewards + gamma * mask(terminated, truncated) * worth(Q[following], epsilon)

    return expected_targets


def soft(there, epsilon):
    return (1 - epsilon) * there.max(axis=1) + epsilon * there.mean(axis=1)


def as_given(there, epsilon):
    best = there.max(axis=1)
    return (1 - epsilon) * best + epsilon * (there.sum(axis=1) - best) / (there.shape[1] - 1)


def only_terminated(terminated, truncated):
    return ~terminated


WRONG = {
    "learning-from-samples-weights": [
        (without_an_end, "an episode without an end"),
        (spread, "spread over all targets"),
        (turned_round, "the order is turned round"),
        (one_too_high, "the exponent is one too high"),
        (divided_by_lambda, "something is divided by zero"),
    ],
    "learning-from-samples-n-step": [
        (_steps(last=lambda values, terminated: values[-1]), "counts the value of the end"),
        (_steps(first=1), "the state that one leaves"),
        (_steps(far=lambda m, n: m - 1), "is not discounted"),
        (_steps(far=lambda m, n: 1), "but it lies two steps away"),
        (_steps(reward=0), "the second reward is not discounted"),
        (_steps(last=lambda values, terminated: 0.0), "taken to have ended"),
        (_steps(far=lambda m, n: n), "discounted by γ to the n"),
        (short_ones_do_not_ask, "the table is not asked"),
    ],
    "learning-from-samples-mend-limit": [
        (_targets(lambda there, e: there.mean(axis=1), only_terminated), "all actions count alike"),
        (_targets(soft, lambda terminated, truncated: 1), "an end is given a value"),
        (_targets(as_given, only_terminated), "among the *other* actions"),
        (_targets(lambda there, e: there.max(axis=1), only_terminated), "the target of Q-learning"),
        (_targets(soft, lambda terminated, truncated: ~(terminated | truncated)), "taken for an ending"),
    ],
}


def test_the_stub_to_mend_runs_and_is_told_its_first_mistake():
    space: dict = {}
    exec(find("learning-from-samples-mend-limit").stub, space)
    with pytest.raises(check.Wrong, match="among the"):
        find("learning-from-samples-mend-limit").check(space["expected_targets"])


@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_weights_and_targets_make_the_chapters_lambda_return(lam):
    walk = lfs.random_walk(5)
    episode = play(Simulator(walk, Rngs([3])), np.ones((7, 1)))
    V = np.random.default_rng(0).normal(size=(1, 7))
    T = len(episode.rewards)
    values, rewards = V[0, episode.states[:, 0]], episode.rewards[:, 0]
    n_step = [exercises.n_step_targets(rewards, values, n, 0.9, True)[0] for n in range(1, T + 1)]
    mixed = exercises.lambda_weights(lam, T) @ n_step
    assert np.allclose(mixed, lfs.lambda_returns(episode, V, lam, 0.9)[0])


def test_whole_numbers_and_flags_of_0_and_1_do_no_harm():
    Q, rewards, following = np.array([[1, 3], [0, 2]]), np.array([1, 1]), np.array([0, 1])
    over, cut = np.array([0, 1]), np.array([1, 0])
    assert exercises.expected_targets(rewards, following, over, cut, Q, 0.5, 0.5).tolist() == [2.25, 1.0]
