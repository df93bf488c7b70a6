"""Exercises and questions on a page: what is shown was tried, and what is wrong turns the build red."""

import importlib
import sys

import pytest

from rlworkshop import check

MODULE = '''\
"""Exercises of page alpha."""

import math

from rlworkshop.check import Exercise, Wrong


def half(x):
    """Half of x."""
    # solution
    return math.ldexp(x, -1)
    # end


HALF = Exercise("alpha-half", "Cut in two", "alpha", "A section: read it", half)


@HALF.probe("seven is 3.5", "Divide.")
def _seven(answer):
    if answer(7) != 3.5:
        raise Wrong("you seem to double it" if answer(7) == 14 else "no half")
'''

ON_PAGE = """
## A section: read it

:::{exercise} alpha-half
The *statement*.
:::

:::{predict} What is **half** of 7?
It is `3.5`.
:::
"""


@pytest.fixture
def small(fresh):
    """The fixture book with an exercise and a question on page alpha."""
    fresh.write("code/tiny/exercises/__init__.py", '"""The exercises."""\n')
    fresh.write("code/tiny/exercises/alpha.py", MODULE)
    fresh.edit("conf.py", "nitpicky", 'myst_enable_extensions = ["colon_fence"]\nnitpicky')
    fresh.edit("book/alpha.md", "# Page alpha\n", f"# Page alpha\n{ON_PAGE}")
    return fresh


@pytest.fixture
def read(small, monkeypatch):
    """Reads the exercises of a module, as the engine has it done in a process of their own."""
    monkeypatch.syspath_prepend(small.root / "code")

    def run(*modules: str) -> dict:
        for name in [name for name in sys.modules if name.partition(".")[0] == "tiny"]:
            monkeypatch.delitem(sys.modules, name)
        importlib.invalidate_caches()
        read = [check.describe(f"tiny.exercises.{name}") for name in modules]
        return {name: exercise for found in read for name, exercise in found.items()}

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return run


def test_exercises_are_read_with_the_verdict_on_their_solutions(read):
    found = read("alpha")
    assert found["alpha-half"]["stub"].endswith("    # your code here\n    raise NotImplementedError\n")
    assert found["alpha-half"]["answer"].startswith("import math\n")
    assert found["alpha-half"]["verdict"] == "✓ seven is 3.5\nalpha-half: right."
    assert found["alpha-half"]["right"] is True


def test_a_solution_that_its_checker_rejects_is_told(small, read):
    small.edit("code/tiny/exercises/alpha.py", "math.ldexp(x, -1)", "2 * x")
    found = read("alpha")
    assert found["alpha-half"]["right"] is False
    assert "You seem to double it" in found["alpha-half"]["verdict"]


@pytest.mark.slow
def test_the_engine_reads_them_and_says_of_which_it_cannot(small):
    small.write("code/tiny/exercises/beta.py", "import no_such_module\n")
    for _ in range(2):
        updated = small.update()
        assert list(updated.book.exercises) == ["alpha-half"]
        (problem,) = updated.problems
        assert "exercises of tiny.exercises.beta cannot be read" in problem
        assert "No module named 'no_such_module'" in problem


@pytest.fixture
def render(small, read, sphinx):
    """Renders the book with its exercises."""

    def run(**how):
        modules = (file.stem for file in (small.root / "code/tiny/exercises").glob("[a-z]*.py"))
        found, only = read(*modules), how.pop("only", "")
        outputs = {"beta": [[], [sphinx.claimed("seven-is-at-least-five", 7.0)]]}
        return sphinx.render(sphinx.executed(small.root, outputs, exercises=found, only=only), **how)

    return run


def test_an_exercise_is_missed_only_where_its_page_is_built(small, render):
    small.edit("book/alpha.md", ":::{exercise} alpha-half\nThe *statement*.\n:::", "")
    for only, missed in (("", True), ("alpha", True), ("beta", False)):
        text = "book/alpha.md:1: WARNING: exercise 'alpha-half' is shown on no page"
        assert (text in render(only=only).output) == missed


def test_a_page_shows_statement_stub_commands_and_a_folded_solution_with_its_verdict(render):
    built = render()
    assert built.status == 0, built.output
    page = built.page("alpha")
    before, fold = page.split("<details><summary>Solution</summary>")
    assert "The <em>statement</em>." in before and '<h3 class="rubric">Cut in two</h3>' in before
    assert "NotImplementedError" in before and "ldexp" not in before
    assert "alpha_half.py" in before and "--stub" in before
    assert 'id="exercise-alpha-half"' in before
    fold, after = fold.split("</details>", 1)
    assert "ldexp" in fold and "✓ seven is 3.5\nalpha-half: right." in fold
    question, answer = after.split("<details><summary>The answer</summary>")
    assert "<strong>Predict before you look.</strong> What is <strong>half</strong> of 7?" in question
    assert "3.5" in answer.split("</details>")[0] and "3.5" not in question


@pytest.mark.parametrize("parallel", [1, 3])
def test_what_is_wrong_with_an_exercise_turns_the_build_red_until_mended(small, render, parallel):
    small.edit("code/tiny/exercises/alpha.py", "math.ldexp(x, -1)", "2 * x")
    small.edit("code/tiny/exercises/alpha.py", '"A section: read it"', '"Elsewhere"')
    again = ":::{exercise} alpha-half\nOnce more.\n:::\n\n:::{exercise} alpha-hlaf\nOh.\n:::\n"
    small.edit("book/gamma.md", "# Page gamma\n", f"# Page gamma\n\n{again}")
    other = MODULE.replace("alpha-half", "beta-half").replace('"alpha"', '"beta"')
    small.write("code/tiny/exercises/beta.py", other)
    for _ in range(2):
        red = render(parallel=parallel)
        assert red.status == 1
        for words in (
            "its checker rejects its solution: ✗ seven is 3.5 You seem to double it.",
            "book/gamma.md:11: WARNING: exercise 'alpha-half' is shown twice",
            "exercise 'alpha-half' says that its page is alpha",
            "no exercise is called 'alpha-hlaf'; there is 'alpha-half'",
            "sends its reader to #elsewhere, which the page does not have",
            "book/beta.md:1: WARNING: exercise 'beta-half' is shown on no page",
        ):
            assert words in red.output, red.output
    assert 'id="build-failed"' in red.page("alpha")


def test_an_exercise_that_moves_to_another_page_is_shown_once(small, render):
    small.edit("code/tiny/exercises/alpha.py", '"alpha", "A section: read it"', '"gamma", "Page gamma"')
    moved = ":::{exercise} alpha-half\nThe *statement*.\n:::"
    small.edit("book/gamma.md", "# Page gamma\n", f"# Page gamma\n\n{moved}\n")
    assert "'alpha-half' is shown twice" in render().output
    small.edit("book/alpha.md", moved, "")
    assert render(fresh=False).output == ""
