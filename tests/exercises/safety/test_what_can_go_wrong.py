"""Plausible wrong answers to the exercises on what can go wrong, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np

from rlworkshop.envs.gridworlds import Tables
from rlworkshop.exercises.safety import what_can_go_wrong as page
from rlworkshop.safety import what_can_go_wrong as what

# ---- lost


def reached(following, start, steps=99, itself=True):
    found = np.isin(np.arange(len(following)), [start] if itself else [])
    edge = {start}
    for _ in range(steps):
        edge = {s for state in edge for s in following[state]}
        found[list(edge)] = True
    return found


def one_step(following, before, after):
    return (reached(following, before, 1) & ~reached(following, after, 1)).astype(float)


def without_itself(following, before, after):
    return (reached(following, before, itself=False) & ~reached(following, after, itself=False)).astype(float)


def left_over(following, before, after):
    return (reached(following, before) & reached(following, after)).astype(float)


def one_way(following, before, after):
    forward = np.maximum(following, np.arange(len(following))[:, None])  # takes it that nothing leads back
    return (reached(forward, before) & ~reached(forward, after)).astype(float)


def differs(following, before, after):
    return (reached(following, before) ^ reached(following, after)).astype(float)


# ---- override


def log(Q, seen, chosen, executed, paid, alpha, gamma, which=None, worth=None):
    Q = Q.astype(float)
    for t in range(len(paid)):
        target = paid[t] + gamma * (worth or (lambda Q, t: Q[seen[t + 1]].max()))(Q, t)
        for action in (which or (lambda t: [executed[t]]))(t):
            Q[seen[t], action] += alpha * (target - Q[seen[t], action])
    return Q


def credits_chosen(Q, seen, chosen, executed, *rest):
    return log(Q, seen, chosen, executed, *rest, which=lambda t: [chosen[t]])


def throws_away(Q, seen, chosen, executed, *rest):
    return log(
        Q, seen, chosen, executed, *rest, which=lambda t: [executed[t]] * int(executed[t] == chosen[t])
    )


def credits_both(Q, seen, chosen, executed, *rest):
    return log(Q, seen, chosen, executed, *rest, which=lambda t: {chosen[t], executed[t]})


def as_sarsa(Q, seen, chosen, executed, *rest):
    def following(Q, t):
        return Q[seen[t + 1], executed[t + 1]] if t + 1 < len(executed) else Q[seen[t + 1]].max()

    return log(Q, seen, chosen, executed, *rest, worth=following)


WRONG = {
    "what-can-go-wrong-lost": [
        (one_step, "one step ahead"),
        (without_itself, "from itself"),
        (one_way, "may lead back"),
        (left_over, "what is lost was asked for"),
        (differs, "new states are no loss"),
    ],
    "what-can-go-wrong-override": [
        (credits_chosen, "chosen action, which never happened"),
        (throws_away, "thrown away"),
        (credits_both, "one step changes one entry"),
        (as_sarsa, "as SARSA does"),
    ],
}


def test_a_box_in_the_corner_loses_most_of_what_could_be_reached():
    rules = what.SideEffects()
    t = Tables(rules)
    following = t.following[:, :, 0].copy()
    ends = t.over.all(axis=(1, 2))
    following[ends] = np.flatnonzero(ends)[:, None]
    start, pushed = t.states.index(rules.starts()[0][1]), t.states.index(((2, 3), (3, 3)))
    gone = page.lost(following, start, pushed)
    boxes = {t.states[i][1] for i in np.flatnonzero(gone)}
    assert (3, 3) not in boxes and gone.mean() > 0.5
