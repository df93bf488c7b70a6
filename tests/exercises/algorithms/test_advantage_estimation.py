"""Plausible wrong answers to the exercises on advantage estimation, and what each is told.

``WRONG`` is read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np

from rlworkshop.exercises.algorithms import advantage_estimation as exercises


def of_before(values, final_values, ended):
    return np.where(ended, final_values, values[:-1])


def next_episode(values, final_values, ended):
    return values[1:].copy()


def by_product(values, final_values, ended):
    return final_values * ended + values[1:] * ~ended


def whole_columns(values, final_values, ended):
    return (
        np.where(ended.any(axis=0) & ended.any(), np.nan_to_num(final_values), values[1:])
        if len(ended) > 2
        else (exercises.next_values(values, final_values, ended))
    )


def the_end_itself(ended, over):
    return 1.0 - ended


def turned_round(ended, over):
    return 1.0 - exercises.real_rows(ended, over)


def first_row_always_real(ended, over):
    return exercises.real_rows(ended, np.zeros_like(over))


def first_copy_for_all(ended, over):
    return exercises.real_rows(np.broadcast_to(ended[:, :1], ended.shape), over)


WRONG = {
    "advantage-estimation-next-values": [
        (of_before, "the values of the states before the steps"),
        (next_episode, "the next episode's first state"),
        (by_product, "there is a nan in it"),
        (whole_columns, "drawn at random"),
    ],
    "advantage-estimation-real-rows": [
        (the_end_itself, "its reward was earned"),
        (turned_round, "reset rows are 0.0"),
        (first_row_always_real, "in the first of two copies"),
        (first_copy_for_all, "drawn at random"),
    ],
}
