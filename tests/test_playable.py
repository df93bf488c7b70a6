"""Figures to play with: one picture for each setting, each with its sentence."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from rlworkshop import playable, plots


@pytest.fixture
def notebook(monkeypatch):
    """As if in a notebook: what ``playable`` displays."""
    shell = InteractiveShell.instance()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)

    def displayed(show, *given, **options):
        with capture_output() as caught:
            show(*given, **options)
        return [(o.data, o.metadata[playable.RECORD]) for o in caught.outputs]

    yield displayed
    InteractiveShell.clear_instance()


def power(base, exponent=1):
    fig, ax = plt.subplots()
    ax.set_title(f"to the {exponent}")
    ax.plot([0, 1], [0, float(base) ** exponent])
    return f" {base} to the {exponent} is {float(base) ** exponent:.0f}. "


def test_each_setting_has_its_picture_and_its_sentence_the_last_control_running_fastest(notebook):
    shown = notebook(playable.show, power, {"base": [2, 3], "exponent": [1, 2, 4]}, start=[3, 2])
    says = [record["says"] for _, record in shown]
    assert says == [f"{b} to the {e} is {b**e}." for b in (2, 3) for e in (1, 2, 4)]
    assert [record["start"] for _, record in shown] == [False] * 4 + [True, False]
    assert all(
        record["controls"] == [["base", ["2", "3"]], ["exponent", ["1", "2", "4"]]] for _, record in shown
    )
    pictures = [data["image/svg+xml"] for data, _ in shown]
    assert len(set(pictures)) == 6 and "to the 4" in pictures[5] and "to the 4" not in pictures[4]
    assert plt.get_fignums() == []
    assert notebook(playable.show, power, {"base": [2, 3]})[0][1]["start"], (
        "the first one, if nothing is said"
    )


def test_the_same_figure_gives_the_same_bytes(notebook):
    with mpl.rc_context(plots.STYLE):
        first, second = (notebook(playable.show, power, {"base": [2, 3]}) for _ in range(2))
    assert first == second


def test_a_sketch_has_empty_axes_and_then_ours(notebook):
    shown = notebook(playable.sketch, lambda ours: power(2, 1 + ours))
    assert [record["says"] for _, record in shown] == ["2 to the 1 is 2.", "2 to the 2 is 4."]
    assert [record["start"] for _, record in shown] == [False, True], "without scripts nothing is held back"
    assert all(record["sketch"] for _, record in shown)


def test_outside_of_a_notebook_the_sentences_are_printed(capsys):
    playable.show(power, {"base": [2, 3]})
    assert capsys.readouterr().out == "2 to the 1 is 2.\n3 to the 1 is 3.\n"
    assert plt.get_fignums() == []


def broken(base):
    power(base)
    raise ValueError("half-way")


def two(base):
    power(base)
    return power(base)


@pytest.mark.parametrize(
    ("draw", "controls", "options", "words"),
    [
        (power, {}, {}, "two values or more"),
        (power, {"base": [1]}, {}, "two values or more"),
        (power, {"base": []}, {}, "two values or more"),
        (power, {"base": [1, 2]}, {"start": [3]}, "not among the settings"),
        (power, {"base": range(50)}, {}, "50 pictures are more than the 40"),
        (lambda base: "nothing drawn", {"base": [1, 2]}, {}, "made 0 figures"),
        (broken, {"base": [1, 2]}, {}, "half-way"),
        (two, {"base": [1, 2]}, {}, "made 2 figures"),
        (lambda base: plt.figure() and None, {"base": [1, 2]}, {}, "a sentence was wanted"),
        (lambda base: plt.figure() and " ", {"base": [1, 2]}, {}, "a sentence was wanted"),
    ],
)
def test_what_cannot_be_played_with_is_refused_and_leaves_no_figure(draw, controls, options, words):
    with pytest.raises(ValueError, match=words):
        playable.show(draw, controls, **options)
    assert plt.get_fignums() == []
