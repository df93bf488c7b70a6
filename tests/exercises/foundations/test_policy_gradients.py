"""Plausible wrong answers to the exercises on policy gradients, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest

from rlworkshop import exercises
from rlworkshop.exercises.foundations import policy_gradients
from rlworkshop.foundations import policy_gradients as pg

# ---- the best constant


def _weighed(weigh):
    """The mean return, each with a weight that ``weigh`` makes of its score."""

    def best_constant(scores, returns):
        weight = weigh(scores)
        return (weight * returns).sum() / weight.sum()

    return best_constant


def square(scores):
    return (scores**2).sum(axis=1)


def divided_by_n(scores, returns):
    return (square(scores) * returns).mean()


def not_divided(scores, returns):
    return (square(scores) * returns).sum()


def least_sample_variance(scores, returns):
    centred = scores - scores.mean(axis=0)
    return (centred * scores * returns[:, None]).sum() / (centred**2).sum()


def a_little_more_below(scores, returns):
    return (square(scores) * returns).sum() / (square(scores).sum() + 1e-6)


def just_above_the_lowest(scores, returns):
    return policy_gradients.best_constant(scores, returns) + 0.5 * (scores.shape[1] > 2)


# ---- reward-to-go


def the_past(rewards, lengths):
    return np.cumsum(rewards)


def whole_return(rewards, lengths):
    return np.repeat(np.add.reduceat(rewards, np.cumsum(lengths) - lengths), lengths)


def only_what_comes_later(rewards, lengths):
    return policy_gradients.reward_to_go(rewards, lengths) - rewards


def not_turned_back(rewards, lengths):
    return np.cumsum(rewards[::-1])


def over_the_end(rewards, lengths):
    return np.cumsum(rewards[::-1])[::-1]


def _cut_at(rows):
    def reward_to_go(rewards, lengths):
        onwards = np.cumsum(rewards[::-1])[::-1]
        behind = np.append(onwards, 0.0)[rows(lengths)] * (len(lengths) > 1)
        return onwards - np.repeat(behind, lengths)

    return reward_to_go


def first_length_for_all(rewards, lengths):
    rows = np.arange(0, len(rewards), lengths[0])
    return policy_gradients.reward_to_go(rewards, np.diff(np.append(rows, len(rewards))))


def never_below_zero(rewards, lengths):
    return np.maximum(policy_gradients.reward_to_go(rewards, lengths), 0.0)


# ---- the test to write


def _detector(weigh=lambda baseline, batch: baseline, size=lambda g: g, threshold=lambda noise: 3 * noise):
    """The solution with a part exchanged: the weights, what is looked at, and what is much."""

    def sees_the_action(baseline, batch, theta):
        each = np.array([size(g) for g in pg.episode_gradients(batch, theta, weigh(baseline, batch))])
        by_chance = np.sqrt(each.var(axis=0).sum() / len(each))
        return bool(np.linalg.norm(each.mean(axis=0)) > threshold(by_chance))

    return sees_the_action


def always(baseline, batch, theta):
    return True


def never(baseline, batch, theta):
    return False


def as_a_number(baseline, batch, theta):
    return int(policy_gradients.sees_the_action(baseline, batch, theta))


def walkers_against_runners(baseline, batch, theta):
    seen, done = baseline[batch.alive[:-1]], batch.actions[batch.alive[:-1]]
    walk, run = seen[done == 0], seen[done == 1]
    noise = np.sqrt(walk.var() / len(walk) + run.var() / len(run))
    return bool(abs(walk.mean() - run.mean()) > 4 * noise)


def varies_within_a_state(baseline, batch, theta):
    alive = batch.alive[:-1]
    seen, at = baseline[alive], batch.states[:-1][alive]
    return any(np.ptp(seen[at == s]) > 1e-9 for s in np.unique(at))


def padding_counts(baseline, batch, theta):
    everybody = pg.Batch(batch.states, batch.actions, batch.rewards, np.ones_like(batch.alive))
    return policy_gradients.sees_the_action(baseline, everybody, theta)


WRONG = {
    "policy-gradients-best-constant": [
        (_weighed(lambda scores: np.ones(len(scores))), "this is the mean return"),
        (_weighed(lambda scores: np.sqrt(square(scores))), "the length *squared*"),
        (_weighed(lambda scores: 1 / square(scores)), "weights are turned round"),
        (divided_by_n, "divided by their number"),
        (not_divided, "not divided by the sum"),
        (_weighed(lambda scores: scores[:, 0] ** 2), "only the first entry"),
        (least_sample_variance, "least variance *of the sample*"),
        (just_above_the_lowest, "Six scores with four entries"),
        (a_little_more_below, "is something added"),
    ],
    "policy-gradients-reward-to-go": [
        (the_past, "*up to* each step"),
        (whole_return, "the return of its whole episode"),
        (only_what_comes_later, "own reward is left out"),
        (not_turned_back, "not turned back"),
        (lambda rewards, lengths: rewards * 1.0, "its own reward alone"),
        (over_the_end, "`lengths` is not looked at"),
        (_cut_at(lambda lengths: np.cumsum(lengths) - 1), "one row early"),
        (_cut_at(lambda lengths: lengths), "used as the row where an episode ends"),
        (first_length_for_all, "as long as the first"),
        (never_below_zero, "may be below zero"),
    ],
    "policy-gradients-sees-the-action": [
        (always, "always rings"),
        (as_a_number, "returns a int"),
        (walkers_against_runners, "stand in different places"),
        (_detector(threshold=lambda noise: 0.1), "the number 1000"),
        (varies_within_a_state, "settled before the die is cast, not the state alone"),
        (padding_counts, "where nobody acts any more"),
        (never, "the bug of this page"),
        (_detector(size=lambda g: np.round(g.sum(axis=1), 9)), "the bug of this page"),
        (_detector(threshold=lambda noise: 3 * noise + 0.01), "kilometres"),
        (_detector(size=lambda g: g[:3]), "only in state 5"),
        (_detector(size=lambda g: g.sum(axis=0)), "its leaks cancel"),
    ],
}


@pytest.mark.parametrize("walk", [1, 2, 3])
def test_the_best_constant_is_the_chapters_best_baseline(walk):
    """Where the samples are the policy's own probabilities, of four decisions ``walk`` walked."""
    theta = np.log(np.tile([walk, 4.0 - walk], (8, 1)))
    Q = pg.softmax_values(pg.thin_ice(), theta)[1]
    actions = np.repeat([0, 1], [walk, 4 - walk])
    found = [
        policy_gradients.best_constant(pg.score(theta, np.full(4, s), actions), Q[s, actions])
        for s in range(8)
    ]
    assert np.allclose(found, pg.best_baseline(theta, Q))


def test_a_step_by_step_loop_is_right_too():
    def reward_to_go(rewards, lengths):
        returns, first = np.zeros_like(rewards), 0
        for length in lengths:
            for t in range(first, first + length):
                returns[t] = rewards[t : first + length].sum()
            first += length
        return returns

    assert exercises.find("policy-gradients-reward-to-go").check(reward_to_go) == []


def test_there_is_more_than_one_right_way_to_see_the_die():
    """Entry by entry, in standard errors, with a limit of two and a half of them."""

    def sees_the_action(baseline, batch, theta):
        each = pg.episode_gradients(batch, theta, baseline)
        noise = each.std(axis=0) / np.sqrt(len(each))
        return bool((np.abs(each.mean(axis=0)) > 2.5 * noise).any())

    assert exercises.find("policy-gradients-sees-the-action").check(sees_the_action) == []
