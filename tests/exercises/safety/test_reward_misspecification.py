"""Plausible wrong answers to the exercises on reward misspecification, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np

from rlworkshop.exercises.safety import reward_misspecification as page
from rlworkshop.safety import reward_misspecification as rm

# ---- shape


def no_discount(reward, before, after, terminated, truncated, gamma):
    return page.shape(reward, before, after, terminated, truncated, 1.0)


def discount_before(reward, before, after, terminated, truncated, gamma):
    return reward + after - gamma * before


def wrong_sign(reward, before, after, terminated, truncated, gamma):
    return 2 * reward - page.shape(reward, before, after, terminated, truncated, gamma)


def instead(reward, before, after, terminated, truncated, gamma):
    return page.shape(0 * reward, before, after, terminated, truncated, gamma)


def gains(reward, before, after, terminated, truncated, gamma):
    return reward + np.maximum(gamma * after - before, 0)


def kept(reward, before, after, terminated, truncated, gamma):
    return page.shape(reward, before, after, terminated & False, truncated, gamma)


def nothing_at_the_end(reward, before, after, terminated, truncated, gamma):
    return reward + np.where(terminated, 0, gamma * after - before)


def done(reward, before, after, terminated, truncated, gamma):
    return page.shape(reward, before, after, terminated | truncated, truncated, gamma)


# ---- break even


def all_missed(distance, docked, wage, slope):
    return page.break_even(distance, docked & False, wage, slope)


def those_it_gets(distance, docked, wage, slope):
    return page.break_even(distance, ~docked, wage, slope)


def both_ways(distance, docked, wage, slope):
    return page.break_even(distance, docked, wage, slope) / 2


def no_slope(distance, docked, wage, slope):
    return page.break_even(distance, docked, wage, 1.0)


def reciprocal(distance, docked, wage, slope):
    return 1 / page.break_even(distance, docked, wage, slope)


def own_numbers(distance, docked, wage, slope):
    return page.break_even(distance, docked, 0.1, 10.0)


def nothing_is_free(distance, docked, wage, slope):
    found = page.break_even(distance, docked, wage, slope)
    return found if np.isfinite(found) else 0.0


WRONG = {
    "reward-misspecification-shape": [
        (no_discount, "discount is forgotten"),
        (discount_before, "not before"),
        (wrong_sign, "sign is turned round"),
        (instead, "own reward is lost"),
        (gains, "only gains"),
        (kept, "keeps its potential"),
        (nothing_at_the_end, "never taken back"),
        (done, "taken for a terminal state"),
    ],
    "reward-misspecification-break-even": [
        (all_missed, "all steps"),
        (those_it_gets, "not those that it misses"),
        (both_ways, "both counted"),
        (no_slope, "slope is forgotten"),
        (reciprocal, "reciprocal"),
        (own_numbers, "taken for 0.1"),
        (nothing_is_free, "costs its wage"),
    ],
}


def test_the_wrapper_agrees_with_the_books_shaping():
    rng = np.random.default_rng(0)
    reward, before, after = rng.normal(size=(3, 8))
    no = np.zeros(8, bool)
    assert np.allclose(
        page.shape(reward, before, after, no, no, 0.9), reward + rm.shaping(before, after, 0.9)
    )


def test_at_the_leak_that_breaks_even_a_loop_earns_the_wage():
    leak = page.break_even(page._LOOP, page._IN, 0.1, 10.0)
    extra = rm.shaping(-10 * page._LOOP[:-1], -10 * page._LOOP[1:], 1.0, leak)
    assert np.isclose(extra.sum() + 0.1 * page._IN.sum(), 0.1 * 5)
