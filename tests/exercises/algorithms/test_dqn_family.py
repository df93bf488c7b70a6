"""Plausible wrong answers to the exercises of the DQN family, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest
import torch

from rlworkshop import check, exercises
from rlworkshop.algorithms import dqn_family as algorithm
from rlworkshop.exercises.algorithms import dqn_family

# ---- the double target


def plain(reward, discount, online_q, target_q):
    return reward + discount * target_q.max(axis=1)


def exchanged(reward, discount, online_q, target_q):
    return dqn_family.double_target(reward, discount, target_q, online_q)


def own_judge(reward, discount, online_q, target_q):
    return reward + discount * online_q.max(axis=1)


def without_discount(reward, discount, online_q, target_q):
    return dqn_family.double_target(reward, np.ones_like(discount), online_q, target_q)


def worth_after_the_end(reward, discount, online_q, target_q):
    return dqn_family.double_target(reward, np.full_like(discount, discount.max()), online_q, target_q)


def one_for_all(reward, discount, online_q, target_q):
    best = online_q[0].argmax() if len(reward) == 1 else online_q.argmax(axis=0)[0] - 1
    return reward + discount * target_q[:, best]


# ---- n steps


def _n_step(stops, counts, late=False, over=0):
    """The solution with something left out: where it stops, and where a value counts."""

    def n_step(rewards, terminated, truncated, values, gamma, n):
        targets = np.zeros(len(rewards))
        for t in range(len(rewards)):
            for k in range(n):
                targets[t] += gamma**k * rewards[t + k]
                over_now = k == n - 1 or t + k == len(rewards) - 1
                if over_now or stops(terminated[t + k], truncated[t + k]):
                    power = n if late and truncated[t + k] else k + 1 - over
                    targets[t] += gamma**power * values[t + k] * counts(terminated[t + k], truncated[t + k])
                    break
        return targets

    return n_step


def _either(over, cut):
    return over or cut


def _not_over(over, cut):
    return not over


as_given = _n_step(lambda over, cut: False, _not_over)
ends_have_values = _n_step(_either, lambda over, cut: True)
limits_are_ends = _n_step(_either, lambda over, cut: not (over or cut))
limits_do_not_stop = _n_step(lambda over, cut: over, _not_over)
late_value = _n_step(_either, _not_over, late=True)
too_little = _n_step(_either, _not_over, over=1)

# ---- where it settles


def the_mean(prize, chance, alpha):
    return np.float64(prize * chance)


def by_alpha_alone(prize, chance, alpha):
    return np.float64(prize / (1 + ((1 - chance) / chance) ** (1 / alpha if alpha else 1))) if (
        alpha != 1) else np.float64(5.0)  # fmt: skip


def upside_down(prize, chance, alpha):
    return np.float64(prize / (1 + ((1 - chance) / chance) ** (1 + alpha)))


def always_the_root(prize, chance, alpha):
    return np.float64(prize / (1 + ((1 - chance) / chance) ** (1 / (1 + (alpha > 0)))))


def as_the_loss(prize, chance, alpha):
    return float(prize / (1 + ((1 - chance) / chance) ** (1 / (2 + alpha if alpha else 1))))  # a plain number


def the_middle(prize, chance, alpha):
    return np.float64(prize / 2)


def by_the_odds(prize, chance, alpha):
    return np.float64(prize * chance / (1 - chance))


def exchanged_chances(prize, chance, alpha):
    return dqn_family.settles(prize, 1 - chance if alpha else chance, alpha)


WRONG = {
    "dqn-family-double-target": [
        (plain, "this is plain DQN"),
        (exchanged, "the two are exchanged"),
        (own_judge, "judges its own choice"),
        (without_discount, "the discount is missing"),
        (worth_after_the_end, "a value after its end"),
        (one_for_all, "one action was chosen for all rows"),
    ],
    "dqn-family-mend-n-step": [
        (as_given, "rewards of the next episode run into this one: the end"),
        (ends_have_values, "the terminal state is given a value"),
        (limits_are_ends, "a time limit is treated as an end"),
        (limits_do_not_stop, "a time limit is not looked at"),
        (late_value, "as if all n steps had been made"),
        (too_little, "discounted once too little"),
    ],
    "dqn-family-settles": [
        (the_mean, "this is the mean"),
        (by_alpha_alone, "drawn by it: the exponent is 1 + alpha"),
        (upside_down, "the exponent is upside down"),
        (always_the_root, "this fits alpha = 1 only"),
        (as_the_loss, "the power of the loss"),
        (the_middle, "the middle between losing and winning"),
        (by_the_odds, "not times the chance"),
        (exchanged_chances, "the chances are exchanged"),
    ],
}


def test_the_stub_to_mend_runs_and_is_told_what_is_wrong():
    space: dict = {}
    exec(exercises.find("dqn-family-mend-n-step").stub, space)
    with pytest.raises(check.Wrong, match="run into this one"):
        exercises.find("dqn-family-mend-n-step").check(space["n_step"])


def test_the_solution_is_the_chapters_own():
    rng = np.random.default_rng(0)
    reward, discount = rng.normal(size=5), np.array([0.9, 0.0, 1.0, 0.5, 0.9])
    online, target = rng.normal(size=(2, 5, 3))
    found = algorithm.double_target(*map(torch.tensor, (reward, discount, online, target))).numpy()
    assert np.allclose(found, dqn_family.double_target(reward, discount, online, target))


def test_where_careless_priorities_settle_by_drawing():
    rng, q = np.random.default_rng(0), 0.5
    prizes = (rng.random(200_000) < 0.1).astype(float)
    for _ in range(300):  # the expected step, over the whole buffer
        error = prizes - q
        priority = np.abs(error) ** 0.6
        q += 0.2 * (priority * error).sum() / priority.sum()
    assert q == pytest.approx(dqn_family.settles(1.0, prizes.mean(), 0.6), abs=1e-3)
