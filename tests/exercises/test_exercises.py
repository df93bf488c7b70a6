"""What holds for every exercise of the book, whatever its page."""

import functools
import importlib.util
from pathlib import Path

import pytest

from rlworkshop import check, exercises

HERE = Path(__file__).parent
EVERY = exercises.every()
TRAINS = {"dqn-stage-8"}  # whose wrong answers have to train before they are found out
TRIED = [pytest.param(name, marks=[pytest.mark.slow] * (name in TRAINS)) for name in EVERY]
GENERIC = (
    "still the stub",
    "should be a NumPy array",
    "should have the shape",
    "stopped:",
    "returns nothing",
)

NETS = {  # probes for mistakes that nobody foresaw
    check.exercise.DRAWN,
    "it equals the weighted sum of n-step returns that defines it, on forty random rows",
    "an episode that goes on through the whole batch",
    "it equals the definition, episode by episode, on forty random rows",
    "a leak over a time limit alone is caught",
    "flags that are read one row late are caught",
    "flags that are read one row early are caught",
    "and what was never seen before teaches much",
}


def wrong_answers(name: str) -> list:
    """Those that stand in the test file of the exercise's module, with words that each has to be told."""
    part, _, stem = EVERY[name].page.rpartition("/")
    spec = importlib.util.spec_from_file_location(f"wrong_{stem}", HERE / part / f"test_{stem}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.WRONG[name]


def run(text: str, name: str):
    """What the text of a file defines: the function, or for a stage the module."""
    space: dict = {"__name__": "answer", "__file__": "answer.py"}
    exec(compile(text, "answer.py", "exec"), space)
    return EVERY[name].pick(space)


def instead(name: str, answer, which: int = -1):
    """``answer`` as one to the exercise: for a stage the file with one of its names being that."""
    exercise = EVERY[name]
    if not isinstance(exercise, check.Stage):
        return answer
    module = run(exercise.answer, name)
    setattr(module, exercise.asks[which], answer)
    return module


def told(name: str, answer) -> str:
    with pytest.raises(check.Wrong) as wrong:
        EVERY[name].check(answer)
    assert wrong.value.hints and all(wrong.value.hints), "a wrong answer gets a hint"
    return str(wrong.value)


@functools.cache
def tried(name: str) -> list[tuple[check.Wrong, str]]:
    """What each wrong answer is told, and words of it."""
    found = []
    for answer, words in wrong_answers(name):
        with pytest.raises(check.Wrong) as wrong:
            EVERY[name].check(answer)
        assert wrong.value.hints and all(wrong.value.hints), "a wrong answer gets a hint"
        found.append((wrong.value, words))
    return found


def test_no_two_pages_have_an_exercise_of_one_name():
    """Pages of two parts may have one name, and so may their exercises: each is found by its name alone."""
    names = [name for module in exercises.modules() for name in check.collect(module)]
    assert sorted(names) == sorted(EVERY) != []


@pytest.mark.parametrize("name", EVERY)
def test_the_checker_accepts_the_solution_as_a_reader_would_have_written_it(name):
    passed: list[str] = []
    assert EVERY[name].check(run(EVERY[name].answer, name), passed.append) == []
    assert passed == [probe.shows for probe in EVERY[name].probes]
    assert len(set(passed)) == len(passed) >= 2


@pytest.mark.parametrize("name", EVERY)
def test_the_stub_is_the_solution_without_its_answer_and_is_told_so(name):
    exercise = EVERY[name]
    assert run(exercise.stub, name).__doc__ == exercise.solution.__doc__
    if not isinstance(exercise, check.Stage):
        assert exercise.stub.startswith(f'"""{name}: {exercise.title}\n')
    assert f"python -m rlworkshop.check {name} " in exercise.stub
    for text in (exercise.stub, exercise.answer):
        assert not any(check.MARK.match(line) for line in text.splitlines())
        assert max(map(len, text.splitlines())) <= 95, "it has to fit the page"
    own = told(name, run(exercise.stub, name))
    if "raise NotImplementedError" in exercise.stub:
        assert "still the stub" in own
    else:
        assert not any(words in own for words in GENERIC)


@pytest.mark.parametrize("name", TRIED)
def test_wrong_answers_are_told_apart(name):
    """At least two, each told words that no other mistake is told, and that a nonsense answer is not told."""
    messages = [str(wrong) for wrong, _ in tried(name)]
    for message, (_, words) in zip(messages, tried(name), strict=True):
        assert words in message
        assert not any(generic in message for generic in GENERIC)
    assert len(set(messages)) == len({words for _, words in tried(name)}) >= 2
    solution = EVERY[name].solution

    def nonsense(*arguments):
        if isinstance(EVERY[name], check.Stage):
            return "nonsense"
        got = solution(*arguments)
        return got * 0 - 7.25 if hasattr(got, "dtype") else "nonsense"

    assert told(name, instead(name, nonsense, which=0)) not in messages


@pytest.mark.parametrize("name", TRIED)
def test_every_probe_is_needed(name):
    """Each is the one at which some wrong answer stops, but for nets."""
    stopped = {wrong.shows for wrong, _ in tried(name)}
    assert {probe.shows for probe in EVERY[name].probes} - stopped <= NETS


@pytest.mark.parametrize("name", EVERY)
def test_it_belongs_to_a_page(name):  # and its section is there, or the build is red
    exercise = EVERY[name]
    stem = exercise.page.rpartition("/")[2]
    assert EVERY[name] in check.collect(f"rlworkshop.exercises.{exercise.page.replace('/', '.')}").values()
    assert name.startswith(exercises.beginning(stem) + "-")
    assert f"Book: {exercise.page}" in exercise.solution.__doc__


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda *a: None, "returns nothing"),
        (lambda *a: 1 / 0, "ZeroDivisionError"),
        (lambda a, b, c, d, e, f, g, h: None, "takes (a, b, c, d, e, f, g, h) and should take ("),
        (3, "is no function but an int"),
    ],
    ids=["nothing", "raises", "arguments", "number"],
)
def test_what_is_no_answer_at_all_gets_a_sentence(name, answer, words):
    if isinstance(EVERY[name], check.Stage) and words == "returns nothing":
        words = ""  # nothing is what some functions of a file should return: a probe says what is missing
    assert words in told(name, instead(name, answer))
