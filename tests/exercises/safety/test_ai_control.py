"""Plausible wrong answers to the exercises on AI control, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np

from rlworkshop.exercises.safety import ai_control as page
from rlworkshop.safety import ai_control as ctl

# ---- patient


def its_safety(caught, foiled, slips):
    return 1 - np.max(slips / (caught + slips))


def the_best_kind_for_us(caught, foiled, slips):
    return np.min(slips / (caught + slips))


def whatever_comes(caught, foiled, slips):
    return np.mean(slips / (caught + slips))


def one_try(caught, foiled, slips):
    return np.max(slips)


def foiled_is_won(caught, foiled, slips):
    return np.max(slips + foiled)


def of_the_first_two(caught, foiled, slips):
    return np.max((slips / (caught + slips))[:2])


# ---- stopping


def chooses_the_task(share, caught, foiled, slips, tasks):
    value = np.float64(0.0)
    for _ in range(tasks):
        value = np.max(np.maximum(slips + foiled * value, value))
    return value


def never_waits(share, caught, foiled, slips, tasks):
    value = np.float64(0.0)
    for _ in range(tasks):
        value = share @ (slips + foiled * value)
    return value


def foiled_ends(share, caught, foiled, slips, tasks):
    value = np.float64(0.0)
    for _ in range(tasks):
        value = share @ np.maximum(slips, value)
    return value


def one_too_many(share, caught, foiled, slips, tasks):
    return page.stopping(share, caught, foiled, slips, max(tasks, 1))


def at_most_two(share, caught, foiled, slips, tasks):
    return page.stopping(share, caught, foiled, slips, min(tasks, 2))


WRONG = {
    "ai-control-patient": [
        (its_safety, "this is safety"),
        (the_best_kind_for_us, "best for it, not for you"),
        (whatever_comes, "need not take what comes"),
        (one_try, "one try is not all"),
        (foiled_is_won, "is no win"),
        (of_the_first_two, "On numbers drawn at random"),
    ],
    "ai-control-stopping": [
        (chooses_the_task, "average over what comes"),
        (never_waits, "it may also wait"),
        (foiled_ends, "not the end"),
        (one_too_many, "before there is a task"),
        (at_most_two, "On numbers drawn at random"),
    ],
}


def test_the_answers_are_the_books():
    setting = ctl.programs()
    odds = ctl.attack_odds(setting, 0.05, 0.2)
    three = odds.caught, odds.foiled, odds.slips
    assert np.isclose(page.patient(*three), 1 - ctl.patient_safety(odds))
    assert np.isclose(page.stopping(setting.share, *three, 9), ctl.best_attack(setting, odds, 9)[0])
