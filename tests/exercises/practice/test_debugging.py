"""Plausible wrong answers to the exercises on debugging, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest

from rlworkshop.exercises.practice import debugging as page

# ---- cut


def five_rewards(reward, gamma, limit):
    return np.array([reward * (1 - gamma**limit) / (1 - gamma), reward / (1 - gamma * (1 - 1 / limit))])


def exchanged(reward, gamma, limit):
    return page.cut_values(reward, gamma, limit)[::-1]


def knows_the_clock(reward, gamma, limit):
    left = [(1 - gamma**k) / (1 - gamma) for k in range(1, limit + 1)]
    return np.array([reward / (1 - gamma), reward * np.mean(left)])


def first_step(reward, gamma, limit):
    return np.array([reward / (1 - gamma), reward * (1 - gamma**limit) / (1 - gamma)])


def other_share(reward, gamma, limit):
    return np.array([reward / (1 - gamma), reward / (1 - gamma / limit)])


def no_reward(reward, gamma, limit):
    return page.cut_values(1.0, gamma, limit)


def a_pair(reward, gamma, limit):
    return tuple(page.cut_values(reward, gamma, limit))


# ---- mixes


def a_number(slopes, targets):
    return 0


def own_counts(slopes, targets):
    return bool(np.abs(slopes(targets + np.eye(len(targets))[0]) - slopes(targets)).max() > 1e-9)


def never(slopes, targets):
    return False


def only_the_first(slopes, targets):
    return bool(np.abs(slopes(targets + np.eye(len(targets))[0]) - slopes(targets))[1:].max() > 1e-9)


def only_downwards(slopes, targets):
    moved = np.array([slopes(targets + one) - slopes(targets) for one in np.eye(len(targets))])
    return bool(moved[~np.eye(len(targets), dtype=bool)].min() < -1e-9)


def large_alone(slopes, targets):
    moved = np.array([slopes(targets + one) - slopes(targets) for one in np.eye(len(targets))])
    return bool(np.abs(moved[~np.eye(len(targets), dtype=bool)]).max() > 0.1)


# ---- suspect


def a_truth(training, greedy, chance, best, value, spread):
    return value > best


def strict(training, greedy, chance, best, value, spread):
    return page.suspect(training, greedy, chance, best / 1.5, value, spread)


def any_spread(training, greedy, chance, best, value, spread):
    return page.suspect(training, greedy, chance, best, value, spread / 3)


def hasty(training, greedy, chance, best, value, spread):
    return page.suspect(training / 1.5, greedy, chance, best, value, spread)


def slow(training, greedy, chance, best, value, spread):
    return page.suspect(training * 2, greedy, chance, best, value, spread)


def judges_training(training, greedy, chance, best, value, spread):
    return page.suspect(training, training, chance, best, value, spread)


def flat_first(training, greedy, chance, best, value, spread):
    return "flat" if spread < 0.02 else page.suspect(training, greedy, chance, best, value, spread)


def chance_first(training, greedy, chance, best, value, spread):
    wrong = greedy < 1.5 * chance and value < 1.5 * best
    return "chance" if wrong else page.suspect(training, greedy, chance, best, value, spread)


WRONG = {
    "debugging-cut": [
        (five_rewards, "the sum of five discounted rewards"),
        (exchanged, "exchange the two"),
        (knows_the_clock, "one value, not one for each step"),
        (first_step, "of the first step of an episode"),
        (other_share, "not four of five"),
        (no_reward, "Reward 3"),
        (a_pair, "should be an array (2,)"),
    ],
    "debugging-mixes": [
        (a_number, "it returns a int"),
        (own_counts, "half the mean square"),
        (never, "values (B, 1) less targets (B,)"),
        (only_the_first, "only target 1 reaches another value"),
        (only_downwards, "only target 0 reaches another value"),
        (large_alone, "by a thousandth of a target"),
    ],
    "debugging-suspect": [
        (a_truth, "it returns a bool"),
        (strict, "which is usual"),
        (any_spread, "differ by a twentieth"),
        (hasty, "1.9 times as good"),
        (slow, "2.1 times as good"),
        (judges_training, "at 442"),
        (flat_first, "everything at once"),
        (chance_first, "flat values, and a policy at chance"),
    ],
}


@pytest.mark.parametrize("gamma, limit", [(0.8, 5), (0.5, 3), (0.95, 8)])
def test_the_solution_is_where_td_learning_on_the_cut_episodes_comes_to_rest(gamma, limit):
    done = np.arange(limit) == limit - 1  # one episode, over and over
    right = wrong = 0.0
    for _ in range(3000):
        right += 0.1 * np.mean(2 + gamma * right - right)
        wrong += 0.1 * np.mean(2 + gamma * wrong * ~done - wrong)
    assert page.cut_values(2.0, gamma, limit) == pytest.approx([right, wrong], rel=1e-3)
