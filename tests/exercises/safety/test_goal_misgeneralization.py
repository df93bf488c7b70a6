"""Plausible wrong answers to the exercises on goal misgeneralisation, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np

from rlworkshop.exercises.safety import goal_misgeneralization as page
from rlworkshop.safety import goal_misgeneralization as gm

# ---- apart


def best(to_cheese, to_corner, there):
    return [far[there] < far[:, None] for far in (to_cheese, to_corner)]


def by_distance(to_cheese, to_corner, there):
    return (to_cheese != to_corner) * 1.0


def where_they_agree(to_cheese, to_corner, there):
    cheese, corner = best(to_cheese, to_corner, there)
    return (cheese & corner).any(axis=1) * 1.0


def at_goals_too(to_cheese, to_corner, there):
    return 1.0 - where_they_agree(to_cheese, to_corner, there)


def not_the_same_moves(to_cheese, to_corner, there):
    cheese, corner = best(to_cheese, to_corner, there)
    return (cheese.any(axis=1) & corner.any(axis=1) & (cheese != corner).any(axis=1)) * 1.0


def staying_is_fine(to_cheese, to_corner, there):
    cheese, corner = (far[there] <= far[:, None] for far in (to_cheese, to_corner))
    return (cheese.any(axis=1) & corner.any(axis=1) & ~(cheese & corner).any(axis=1)) * 1.0


# ---- evidence


def other_way_round(corner, cheese, moves, slip):
    return page.evidence(cheese, corner, moves, slip)


def no_slip_among_the_best(corner, cheese, moves, slip):
    a, b = (
        [(1 - slip) / g.sum() if g[m] else slip / 4 for g, m in zip(x, moves, strict=True)]
        for x in (corner, cheese)
    )
    return float(np.log(np.array(a) / np.array(b)).sum())


def each_best_move_for_certain(corner, cheese, moves, slip):
    total = 0.0
    for a, b, m in zip(corner, cheese, moves, strict=True):
        if a.any() and b.any():
            total += np.log(((1 - slip) * a[m] + slip / 4) / ((1 - slip) * b[m] + slip / 4))
    return total


def at_goals_as_well(corner, cheese, moves, slip):
    total = 0.0
    for a, b, m in zip(corner, cheese, moves, strict=True):
        p, q = ((1 - slip) * g[m] / max(g.sum(), 1) + slip / 4 for g in (a, b))
        total += np.log(p / q)
    return total


def mean(corner, cheese, moves, slip):
    return page.evidence(corner, cheese, moves, slip) / len(moves)


WRONG = {
    "goal-misgeneralization-apart": [
        (by_distance, "are no other moves"),
        (where_they_agree, "at which the goals agree"),
        (at_goals_too, "nobody has a best move"),
        (not_the_same_moves, "one leads to the other"),
        (staying_is_fine, "leaves you where you are"),
    ],
    "goal-misgeneralization-evidence": [
        (other_way_round, "turned round"),
        (no_slip_among_the_best, "can be a slip, too"),
        (each_best_move_for_certain, "more firmly"),
        (at_goals_as_well, "is no evidence"),
        (mean, "adds up"),
    ],
}


def test_the_answers_are_the_books():
    levels, rng = gm.draw_levels(20, 1.0, 0), np.random.default_rng(0)
    walks = gm.play(lambda obs: rng.integers(4, size=20), levels, 0)
    corner = gm.distances(levels.walls, np.full(20, levels.corner))
    cheese = gm.distances(levels.walls, levels.cheese)
    apart, odds = gm.disagree(levels), gm.log_odds(walks, levels, 0.3).sum(axis=0)
    for i in range(20):
        answer = page.apart(cheese[i], corner[i], gm.neighbours(gm.SIDE))
        assert np.array_equal(answer, apart[i])
        t, here = walks.alive[:, i], walks.places[walks.alive[:, i], i]
        good = [gm.best_moves(far[i : i + 1])[0, here] for far in (corner, cheese)]
        assert np.isclose(page.evidence(*good, walks.moves[t, i], 0.3), odds[i])
