"""Plausible wrong answers to the exercises on constrained RL, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np

from rlworkshop.exercises.safety import constrained_rl as page
from rlworkshop.safety import constrained_rl as crl

# ---- price


def other_way(rewards, costs, limit):
    share, multiplier = page.price(rewards, costs, limit)
    return np.array([1 - share, multiplier])


def free_second(rewards, costs, limit):
    share = min(limit / costs[0], 1.0)
    return np.array([share, page.price(rewards, costs, limit)[1]])


def average_price(rewards, costs, limit):
    return np.array([page.price(rewards, costs, limit)[0], rewards[0] / costs[0]])


def always_fined(rewards, costs, limit):
    spread = costs[0] - costs[1]
    share = min((limit - costs[1]) / spread, 1.0)
    return np.array([share, (rewards[0] - rewards[1]) / spread])


def own_numbers(rewards, costs, limit):
    return np.array([1.0, 0.0]) if costs[0] <= limit else np.array([0.4, 0.4])


# ---- multipliers


def wrong_sign(costs, limit, kp, ki, most):
    return page.control(2 * limit - costs, limit, kp, ki, most)


def one_sum(costs, limit, kp, ki, most):
    return page.control(costs, limit, 0.0, ki + kp, most)


def unprojected(costs, limit, kp, ki, most):
    total, found = 0.0, []
    for cost in costs:
        total = np.clip(total + ki * (cost - limit), 0, most)
        found.append(total + kp * (cost - limit))
    return np.array(found)


def winds_up(costs, limit, kp, ki, most):
    excess = costs - limit
    return np.clip(np.cumsum(ki * excess) + kp * excess, 0, most)


def runs_away(costs, limit, kp, ki, most):
    return np.minimum(page.control(costs, limit, kp, ki, np.inf), most)


WRONG = {
    "constrained-rl-price": [
        (other_way, "how often the second way"),
        (free_second, "costs something, too"),
        (average_price, "one more unit of cost"),
        (always_fined, "nothing is fined"),
        (own_numbers, "No room"),
    ],
    "constrained-rl-multipliers": [
        (wrong_sign, "sign is turned round"),
        (one_sum, "added to the sum"),
        (unprojected, "costs are paid for"),
        (winds_up, "saved up"),
        (runs_away, "not clamped above"),
    ],
}


def test_the_price_agrees_with_the_books_mixture_and_dual():
    rewards, costs = np.array([2.0, 0.5]), np.array([3.0, 0.5])
    for limit in (0.5, 1.0, 2.9, 4.0):
        share, multiplier = page.price(rewards, costs, limit)
        mix = crl.best_mixture(rewards, costs, limit)
        assert np.allclose(mix, [share, 1 - share])
        assert np.isclose(crl.dual(rewards, costs, limit, multiplier), rewards @ mix)


def test_the_controller_agrees_with_the_books():
    costs = np.random.default_rng(0).uniform(0, 5, 40)
    book = crl.Multiplier(limit=2.0, kp=0.4, ki=0.3, most=2.5)
    assert np.allclose(page.control(costs, 2.0, 0.4, 0.3, 2.5), [book.update(c) for c in costs])
