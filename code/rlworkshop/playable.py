"""Figures to play with: drawn for each setting while the book is built, chosen from in the browser.

No code runs on the reader's side but what exchanges one picture for another. Without scripts, on paper and in
an e-book a figure shows the setting that it starts with.
"""

import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

RECORD = "playable"  # the key in an output's metadata
MOST = 40  # pictures of a figure: each is some kilobytes of the site


def show(
    draw: Callable[..., str], controls: Mapping[str, Sequence[Any]], start: Sequence[Any] | None = None
) -> None:
    """Display a figure that has a slider for each of ``controls``.

    Args:
        draw: makes one Matplotlib figure for the values of the controls, in their order, and returns a
            sentence that says what this one shows. All should have the same axes, or one compares nothing.
        controls: what each is called, and the values that it takes, as they are shown; two make a switch.
        start: the values that are shown first; the first ones where it is left out.

    Raises:
        ValueError: no control, a control with fewer than two values, too many pictures, a start that is not
            among the values, a ``draw`` that makes no figure or more than one, or says nothing.

    Book: foundations/bandits
    """
    start = tuple(start) if start is not None else tuple(values[0] for values in controls.values() if values)
    if not controls or any(len(values) < 2 for values in controls.values()):
        raise ValueError(f"a playable figure needs controls of two values or more, not {dict(controls)}")
    settings = list(itertools.product(*controls.values()))
    if start not in settings:
        raise ValueError(f"start={start} is not among the settings of {dict(controls)}")
    if len(settings) > MOST:
        raise ValueError(f"{len(settings)} pictures are more than the {MOST} that a page can carry")
    labels = [[name, [str(value) for value in values]] for name, values in controls.items()]
    for setting in settings:
        picture, says = _drawn(draw, setting)
        _display(picture, says, {"controls": labels, "start": setting == start})


def sketch(draw: Callable[[bool], str]) -> None:
    """Display axes on which the reader draws what they expect, and then the book's own curves.

    Args:
        draw: makes one Matplotlib figure, and returns a sentence that says what is to be drawn, for False:
            the axes with their labels and limits and nothing else; or, for True, what is to be seen: the
            same axes with the curves.

    Raises:
        ValueError: ``draw`` makes no figure or more than one, or says nothing.

    Book: foundations/bandits
    """
    for ours in (False, True):
        picture, says = _drawn(draw, (ours,))
        _display(picture, says, {"sketch": True, "start": ours})


def _drawn(draw: Callable[..., str], setting: Sequence[Any]) -> tuple[str, str]:
    """The picture of a setting as SVG, and the sentence about it."""
    import matplotlib.pyplot as plt

    before = set(plt.get_fignums())
    try:
        says = draw(*setting)
        made = [number for number in plt.get_fignums() if number not in before]
        if len(made) != 1:
            raise ValueError(f"draw{tuple(setting)} made {len(made)} figures: it should make one")
        if not isinstance(says, str) or not says.strip():
            raise ValueError(f"draw{tuple(setting)} returned {says!r}: a sentence was wanted")
        file = io.StringIO()
        plt.figure(made[0]).savefig(file, format="svg", metadata={"Date": None})
    finally:
        for number in set(plt.get_fignums()) - before:
            plt.close(number)
    return file.getvalue(), says.strip()


def _display(picture: str, says: str, record: dict[str, Any]) -> None:
    """In a notebook, show a picture with its record; elsewhere print the sentence."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return print(says)
    if get_ipython() is None:
        return print(says)
    bundle = {"image/svg+xml": picture, "text/plain": says}
    display(bundle, metadata={RECORD: record | {"says": says}}, raw=True)
