"""Plausible wrong answers to the exercises on the hand, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np

from rlworkshop.exercises.robotics import dexterity as page
from rlworkshop.robotics import dexterity as hand

# ---- tip


def from_the_middle(root, heading, joints, links):
    return page.tips(root, heading, joints, links) - root


def no_heading(root, heading, joints, links):
    return page.tips(root, 0.0, joints, links)


def one_link(root, heading, joints, links):
    return page.tips(root, heading, joints, (links[0], 0.0))


def clockwise(root, heading, joints, links):
    return page.tips(root, heading, -joints, links)


# ---- row


def everything(hits, lost):
    return hits.sum(axis=0)


def without_the_last(hits, lost):
    return (hits * (np.cumsum(lost, axis=0) == 0)).sum(axis=0)


def all_together(hits, lost):
    over = np.cumsum(lost.any(axis=1)) - lost.any(axis=1) > 0
    return hits[~over].sum(axis=0)


def losses(hits, lost):
    return lost.sum(axis=0, dtype=float)


def until_the_first_loss_that_need_not_be(hits, lost):
    steps = np.arange(len(lost))[:, None]
    return (hits * (steps <= lost.argmax(axis=0))).sum(axis=0)


WRONG = {
    "dexterity-tip": [
        (from_the_middle, "begins at its root"),
        (no_heading, "direction is left out"),
        (one_link, "only the first link"),
        (page._absolute, "does not turn along"),
        (clockwise, "clockwise"),
    ],
    "dexterity-row": [
        (everything, "all goals are counted"),
        (without_the_last, "reached all the same"),
        (all_together, "ends the row of all hands"),
        (losses, "losses are counted"),
        (until_the_first_loss_that_need_not_be, "ends with the first step"),
    ],
}


def test_the_tips_are_those_of_the_hand():
    pose = np.random.default_rng(0).uniform(-1, 1, 9)
    for k, along in enumerate(np.radians([90, 210, 330])):
        root = hand.ROOT * np.array([np.cos(along), np.sin(along)])
        found = page.tips(root, along + np.pi, pose[None, 3 + 2 * k : 5 + 2 * k], hand.LINKS)
        assert np.allclose(found[0], hand.fingers(pose)[k, 2])


def test_the_row_is_the_one_that_is_played():
    made, steps = hand.HandEnvs(3), []

    def act(obs):
        if len(steps) % 3 == 0:
            made.goal[:] = made.pose[:, 2]
        if len(steps) in (20, 40):
            made.data[len(steps) // 20 - 1].qpos[0] = 1.0
        steps.append(0)
        return np.zeros((3, 6))

    hits, lost, step = [], [], made.step

    def watched(action):
        found = step(action)
        hits.append(found[4]["goals"].astype(float))
        lost.append(found[2])
        return found

    made.step = watched
    played = hand.play(act, made, 0)
    assert np.array_equal(page.in_a_row(np.array(hits), np.array(lost)), played)
    assert len(set(played)) == 3
