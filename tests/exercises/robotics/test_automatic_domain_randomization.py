"""Plausible wrong answers to the exercise on automatic domain randomisation, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np

from rlworkshop.exercises.robotics import automatic_domain_randomization as page
from rlworkshop.robotics import automatic_domain_randomization as adr


def at_once(scores, probes, enough, few, step):
    return page.follow(scores, 1, enough, few, step)


def strictly(scores, probes, enough, few, step):
    return page.follow(scores, probes, enough + 1e-9, few - 1e-9, step)


def only_out(scores, probes, enough, few, step):
    return page.follow(scores, probes, enough, -np.inf, step)


def below_zero(scores, probes, enough, few, step):
    bound, bounds = 0.0, []
    for i in range(len(scores)):
        if (i + 1) % probes == 0:
            mean = sum(scores[i + 1 - probes : i + 1]) / probes
            bound += step * (mean >= enough) - step * (mean <= few)
        bounds.append(bound)
    return np.array(bounds)


WRONG = {
    "automatic-domain-randomization-follow": [
        (at_once, "the mean of two should"),
        (strictly, "equals `enough` is enough"),
        (page._rolling, "never emptied"),
        (page._kept, "since the beginning"),
        (only_out, "never moves back in"),
        (below_zero, "inside out"),
    ],
}


def test_it_is_what_the_book_does():
    scores, bound, wanted = np.random.default_rng(0).uniform(0, 6, 60), np.zeros(()), []
    for three in scores.reshape(20, 3):
        wanted += [float(bound)] * 2
        bound = adr.moved(bound, three.mean(), np.array(True), 3.5, 2.5, 0.25, np.inf)
        wanted.append(float(bound))
    assert np.allclose(page.follow(scores, 3, 3.5, 2.5, 0.25), wanted)
