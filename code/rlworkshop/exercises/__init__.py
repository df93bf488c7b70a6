"""The exercises of the book: a module for each page that has some, ``<part>/<page>`` as the page is.

A module holds solutions, each with the probes that an answer has to pass (see ``rlworkshop.check``). They may
stand on every other part; nothing stands on them but the command that checks.

Book: start/how_to_use
"""

import difflib
from pathlib import Path

from rlworkshop.check import Exercise, collect

BEGINNINGS = {"writing_dqn_together": "dqn-stage"}  # of exercises that are not called after their page


def modules(name: str = "") -> list[str]:
    """The modules of exercises, dotted; with ``name``, those whose exercises' names begin as it does.

    Book: start/how_to_use
    """
    files = sorted(Path(__file__).parent.glob("*/[!_]*.py"))
    fitting = [file for file in files if not name or name.startswith(f"{beginning(file.stem)}-")]
    return [f"{__name__}.{file.parent.name}.{file.stem}" for file in fitting]


def every(name: str = "") -> dict[str, Exercise]:
    """All exercises of the book by name; with ``name``, those of the pages that it begins with.

    Book: start/how_to_use
    """
    return {n: exercise for module in modules(name) for n, exercise in collect(module).items()}


def beginning(stem: str) -> str:
    """What the names of the exercises on the page ``stem`` begin with: ``vpg``, ``dynamic-programming``.

    Book: start/how_to_use
    """
    return BEGINNINGS.get(stem, stem.replace("_", "-"))


def find(name: str) -> Exercise:
    """The exercise called ``name``.

    Raises:
        KeyError: there is none; the message suggests what may have been meant.

    Book: start/how_to_use
    """
    if found := every(name).get(name):
        return found
    known = list(every())
    close = difflib.get_close_matches(name, known, n=3) or [n for n in known if name in n][:3]
    hint = f"did you mean {' or '.join(close)}?" if close else "--list shows them all"
    raise KeyError(f"there is no exercise {name!r}: {hint}")
