"""Checks an answer to an exercise: what is right, the first thing that is wrong, one hint at a time.

From the command line::

    python -m rlworkshop.check --list
    python -m rlworkshop.check --stub vpg-reward-to-go > my.py
    python -m rlworkshop.check vpg-reward-to-go my.py

``exercise`` says what an exercise is, ``stage`` what one of a file that grows is, ``answer`` checks one in a
process of its own, ``__main__`` is the command. Exit status: 0 right, 1 not yet, 2 nothing to check.

Book: start/how_to_use
"""

from rlworkshop.check.answer import Verdict, collect, describe, judge, transcript
from rlworkshop.check.exercise import MARK, Exercise, Probe, Wrong, expect, explain
from rlworkshop.check.stage import Stage

__all__ = [
    "MARK", "Exercise", "Probe", "Stage", "Verdict", "Wrong", "collect", "describe", "expect", "explain",
    "judge", "transcript",
]  # fmt: skip
