"""The checker as a reader meets it: on the command line, with files that go wrong in every way."""

import importlib
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import pytest

from rlworkshop import check, exercises
from rlworkshop.check import __main__ as command
from rlworkshop.check import answer

CODE = Path(check.__file__).parents[2]
NAME = "vpg-reward-to-go"
DEF = "def reward_to_go(rewards, ends, gamma):\n"


@pytest.fixture(autouse=True)
def no_memory(tmp_path, monkeypatch):
    """Hints are counted in a folder of the test's own."""
    monkeypatch.setattr(command, "_memory", lambda: tmp_path / "hints.json")


def forked(command: list[str], environment: dict[str, str], said, errors, limit: float) -> int:
    """The process of an answer as a fork of this one: its imports take longest."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            nothing = os.open(os.devnull, os.O_RDONLY)
            for number, stream in enumerate((nothing, said.fileno(), errors.fileno())):
                os.dup2(stream, number)
            sys.stdin, sys.stdout, sys.stderr = map(os.fdopen, range(3), "rww")
            os.environ.clear()
            os.environ.update(environment)
            _, dash_p, dash_c, code, *sys.argv[1:] = command
            assert (dash_p, dash_c) == ("-P", "-c")
            exec(code, {"__name__": "__main__"})
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def run(tmp_path, capfd, monkeypatch):
    """Checks a file with the given text; the exit status, and what was said."""

    def once(text: str | bytes, *options: str, name: str = NAME, fork: bool = True) -> tuple[int, str]:
        file = tmp_path / "my.py"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        with monkeypatch.context() as patch:
            if fork:
                patch.setattr(answer, "_run", forked)
            status = command.main([name, str(file), *options])
        out, err = capfd.readouterr()
        return status, " ".join((out + err).split())

    return once


@pytest.mark.slow
def test_a_right_answer_is_told_what_is_right(run):
    status, said = run(exercises.find(NAME).answer)
    assert status == 0
    assert all(f"✓ {probe.shows}" in said for probe in exercises.find(NAME).probes)
    assert said.endswith(f"{NAME}: right.")


@pytest.mark.slow
def test_a_wrong_answer_gets_what_is_right_the_first_mistake_and_one_hint_at_a_time(run):
    leaks = exercises.find(NAME).answer.replace("gamma * np.where(ends[t], 0.0, running)", "gamma * running")
    assert leaks != exercises.find(NAME).answer
    for number in (1, 2, 2):
        status, said = run(leaks)
        assert status == 1
        assert said.count("✓") == 2 and said.count("✗") == 1
        assert "`ends` is not looked at" in said
        assert f"Hint {number} of 2" in said and said.count("Hint") == 1
        assert "Read again: “The advantage: better than usual, counted to the end”" in said
        assert "algorithms/vpg.html#the-advantage-better-than-usual-counted-to-the-end" in said
    assert "Hint 1 of 2" in run(leaks.replace("gamma * running", "running"))[1]  # another mistake
    assert "Hint 1 of 2" in run(leaks)[1]


@pytest.mark.slow
def test_hints_are_given_where_the_count_cannot_be_kept(run, monkeypatch):
    monkeypatch.setattr(command, "_memory", lambda: Path("/nowhere/at/all"))
    assert "Hint 1 of 1" in run(exercises.find(NAME).stub)[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def reward_to_go(rewards, ends:\n", "Python cannot read your file: line 1:"),
        ("x = 'open\n", "line 1: unterminated string literal"),
        (b"x = '\xff'\n", "Python cannot read your file"),
        (b"x = 1\x00\n", "Python cannot read your file"),
        ("", "no function `reward_to_go`: it defines no function"),
        ("def reward_togo(r):\n    return r\n", "no function `reward_to_go`: it defines reward_togo"),
        ("reward_to_go = 3\n", "`reward_to_go` is no function but an int"),
        ("import nothing_of_this_name\n", "line 1: `import nothing_of_this_name` raises ModuleNotFoundError"),
        ("raise SystemExit(0)\n", "does not load: line 1: `raise SystemExit(0)` raises SystemExit: 0"),
        (DEF.replace(", gamma", "") + "    return 0\n", "takes (rewards, ends) and should take (rewards"),
        ("def reward_to_go(ends, rewards, gamma):\n    return rewards\n", "arguments in another order"),
        (DEF + "    total = 0\n    return rewards[99]\n", "line 3: `return rewards[99]` raises IndexError"),
        (DEF + "    return reward_to_go(rewards, ends, gamma)\n", "RecursionError"),
        (f"def helper(x):\n    return x[99]\n{DEF}    return helper(rewards)\n", "line 2: `return x[99]`"),
        (DEF + "    exit()\n", "raises SystemExit"),
        (DEF + "    rewards.cumsum()\n", "returns nothing (None)"),
        (DEF + "    return rewards.tolist()\n", "should be a NumPy array; it is a list"),
        (DEF + "    return rewards[:, 0]\n", "should have the shape (3, 1); it has (3,)"),
        (DEF + "    return rewards.T\n", "it has (1, 3): that is the wrong way round"),
        (DEF + "    return rewards.astype(int)\n", "holds int64: it has lost what stands behind the point"),
        (DEF + "    rewards[0] += 1\n    return rewards\n", "changes its argument `rewards`"),
        (DEF + "    ends[:] = False\n    return rewards\n", "changes its argument `ends`"),
        (DEF + "    return rewards * 0 + 5.5\n", "should be [7.0, 6.0, 4.0]; yours is [5.5, 5.5, 5.5]"),
    ],
)
def test_whatever_goes_wrong_gets_a_sentence_that_helps(tmp_path, monkeypatch, text, words):
    monkeypatch.setattr(sys, "path", list(sys.path))
    file, exercise = tmp_path / "my.py", exercises.find(NAME)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(check.Wrong) as told:
        exercise.check(answer._load(exercise, file))
    assert words in str(told.value)
    assert told.value.hints and "Traceback" not in str(told.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def reward_to_go(rewards, ends:\n", "Python cannot read your file: line 1:"),
        (DEF + "    total = 0\n    return rewards[99]\n", "line 3: `return rewards[99]` raises IndexError"),
        (DEF + "    input()\n", "raises EOFError"),
        ("import os\nos._exit(0)\n", "Python itself ended while it ran your file (exit status 0)"),
        (DEF + "    import os\n    os.kill(os.getpid(), 9)\n", "Python itself ended"),
    ],
)
def test_the_process_of_the_answer_may_end_as_it_likes(run, text, words):
    status, said = run(text)
    assert status == 1
    assert words in said
    assert "Hint 1 of" in said and "Read again" in said and "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "line"),
    [
        (DEF + "    t = 0\n    while t < len(rewards):\n        t = t * 1\n    return rewards\n", (3, 4)),
        ("i = 1\nwhile True:\n    i = i + 1 if i < 9 else 0\n", (2, 3)),
        (DEF + "    import time\n    time.sleep(60)\n", (3,)),
        ("# -*- coding: latin-1 -*-\nwhile True: 'ä'\n".encode("latin-1"), (2,)),
    ],
)
def test_an_endless_loop_is_ended_and_its_line_is_named(run, text, line):
    status, said = run(text, "--limit", "0.5")
    assert status == 1
    assert "Your file was still at work after 0.5 s, at line" in said
    assert any(f"at line {number}:" in said for number in line)


@pytest.mark.slow
def test_printing_is_a_remark_and_no_mistake(run):
    loud = exercises.find(NAME).answer.replace("    return returns", "    print('{}')\n    return returns")
    status, said = run("import sys\nprint('loading')\nprint('oh', file=sys.stderr)\n" + loud, fork=False)
    assert status == 0
    assert "`reward_to_go` also prints" in said and "loading" not in said


@pytest.mark.slow
def test_what_an_answer_starts_ends_with_it(run, tmp_path):
    """Also where it keeps the checker's own streams open, and outlives the answer."""
    child = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    begin = f"import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', {child!r}])\n"
    wait = f"import os\nwhile not os.path.exists({str(tmp_path / 'pid')!r}): time.sleep(0.01)\n"
    status, _ = run(begin + wait + exercises.find(NAME).answer, fork=False)
    assert status == 0
    state = Path(f"/proc/{int((tmp_path / 'pid').read_text())}/stat")
    for _ in range(1000):  # a signal is not heard at once
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] in "ZX":
            return
        time.sleep(0.02)
    raise AssertionError("what the answer has started goes on")


@pytest.mark.slow
def test_what_an_answer_prints_is_not_kept(run):
    loud = "import sys\nfor stream in (sys.stdout, sys.stderr):\n    stream.write('x' * 10**8)\n"
    answer_text = exercises.find(NAME).answer.replace(
        "    return returns", "    print('x' * 10**8)\n    return returns"
    )
    assert "print(" in answer_text
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))\n"
    status, said = run(limit + loud + answer_text, fork=False)
    assert status == 0 and "`reward_to_go` also prints" in said


@pytest.mark.slow
def test_a_module_beside_the_answer_may_be_imported_and_hides_no_other(run, tmp_path):
    (tmp_path / "helper.py").write_text(
        "from rlworkshop.exercises.algorithms.vpg import reward_to_go as mine\n"
    )
    (tmp_path / "random.py").write_text("raise RuntimeError('not the one')\n")
    text = f"import random, helper\n{DEF}    return helper.mine(rewards, ends, gamma)\n"
    status, _ = run(text, fork=False)
    assert status == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(
            ["vpg-reward-go", "my.py"],
            "no exercise 'vpg-reward-go': did you mean vpg-reward-to-go",
            marks=pytest.mark.slow,
        ),
        (["--stub", "reward-to-go"], "did you mean vpg-reward-to-go"),
        (["--stub", "zzz"], "no exercise 'zzz': --list shows them all"),
        ([NAME, "missing.py"], "missing.py is not there. To begin: python -m rlworkshop.check --stub vpg-"),
        ([NAME, "."], ". is a folder"),
        (["--list", "zzz"], "no exercise's name begins with 'zzz': --list alone shows all"),
    ],
)
def test_what_cannot_be_checked_is_status_2(capsys, monkeypatch, tmp_path, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.py").touch()
    assert command.main(arguments) == 2
    said = capsys.readouterr()
    assert words in said.err and said.out == ""


@pytest.mark.parametrize("arguments", [[], [NAME]])
def test_a_call_without_a_file_shows_how(capsys, arguments):
    with pytest.raises(SystemExit, match="2"):
        command.main(arguments)
    assert "give the exercise and your file, as in: vpg-reward-to-go my.py" in capsys.readouterr().err


def test_the_list_names_every_exercise_once(capsys):
    assert command.main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(exercises.every())


def test_the_list_can_be_narrowed(capsys):
    assert command.main(["--list", "vpg"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == [name for name in exercises.every() if name.startswith("vpg")] != []


@pytest.mark.slow
def test_a_list_that_nobody_reads_to_its_end_is_no_error():
    listing = [sys.executable, "-m", "rlworkshop.check", "--list"]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = subprocess.run(
            listing,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(CODE)},
        )
    assert done.returncode == 0 and done.stderr == ""


def test_a_notebook_is_told_from_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    file = tmp_path / "my.ipynb"
    file.write_text('{"cells": [], "metadata": {"a": null}}')
    with pytest.raises(check.Wrong, match="your file is a notebook") as told:
        answer._load(exercises.find(NAME), file)
    assert "%%writefile vpg_reward_to_go.py" in told.value.hints[0]


@pytest.mark.slow
def test_as_a_command_from_any_folder_and_in_any_encoding(tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": str(CODE),
        "TMPDIR": str(tmp_path),
        "PYTHONIOENCODING": "ascii",
    }

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "rlworkshop.check", *arguments]
        return subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True)

    (tmp_path / "my file.py").write_text(command("--stub", NAME).stdout)
    first, second = command(NAME, "my file.py"), command(NAME, "my file.py")
    assert first.returncode == second.returncode == 1
    assert "still the stub" in first.stdout and "Hint 1 of 1" in second.stdout
    assert first.stderr == ""


# ---- an exercise of one's own

MODULE = '''
import math, os
from collections import Counter, deque
import numpy as np
from rlworkshop.check import Exercise, expect


def twice(x):
    """Twice x."""
    y = Counter()
    for _ in range(1):
        # solution
        y = np.add(x, x)
        # given
        # y = np.add(x, 1)
        #
        # z = y
        # end
    # solution
    return y + 0
    # end


TWICE = Exercise("own-twice", "Double it", "own", "Why: because", twice)


@TWICE.probe("one is two", "Add.")
def _one(answer):
    expect(answer(np.array([1.0, 2.0])), np.array([2.0, 4.0]), "One and two",
           {"you square it": np.array([1.0, 4.0])})
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    """An exercise in a module of its own."""
    (tmp_path / "own_module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield check.collect("own_module")["own-twice"]
    sys.modules.pop("own_module")
    importlib.invalidate_caches()


def test_stub_and_answer_come_from_one_source(own):
    assert own.stub == (
        '"""own-twice: Double it\n\nCheck it: python -m rlworkshop.check own-twice THIS_FILE\n"""\n\n'
        "from collections import Counter\n\nimport numpy as np\n\n\n"
        'def twice(x):\n    """Twice x."""\n    y = Counter()\n    for _ in range(1):\n'
        "        y = np.add(x, 1)\n\n        z = y\n"
        "    # your code here\n    raise NotImplementedError\n"
    )
    assert own.answer.endswith("    for _ in range(1):\n        y = np.add(x, x)\n    return y + 0\n")


def test_check_takes_a_function_and_raises_what_helps(own):
    assert own.check(lambda x: 2 * x) == []
    with pytest.raises(check.Wrong, match="you square it") as wrong:
        own.check(lambda x: x * x)
    assert (wrong.value.hints, wrong.value.shows) == (("Add.",), "one is two")
    assert wrong.value.reread == "“Why: because”\n  own.html#why-because"
    assert own.check(lambda *everything: 2 * everything[0]) == []
    assert own.check(lambda x, more=3: np.float32(2) * x) == []


def test_in_a_notebook_a_wrong_answer_is_told_without_a_traceback():
    exercise = exercises.find(NAME)
    with pytest.raises(check.Wrong) as told:
        exercise.check(lambda rewards, ends, gamma: rewards)
    shown = told.value._render_traceback_()
    assert shown[0] == f"✗ {told.value.shows}" and shown[1].split() == str(told.value).split()
    assert shown[2].startswith("Hint: ") and "algorithms/vpg.html#" in shown[3]


def test_expect_shows_as_many_digits_as_tell_the_two_apart():
    with pytest.raises(check.Wrong, match=r"should be 0\.0352; yours is 0\.0354$"):
        check.expect(np.float64(0.0354), np.float64(0.0352), "a case")


def test_a_recognised_mistake_may_have_hints_of_its_own():
    known = {("it is doubled", "take the 2 out"): 2.0, "it is halved": 0.5}
    with pytest.raises(check.Wrong, match="it is doubled") as told:
        check.expect(np.float64(2), np.float64(1), "a case", known)
    assert told.value.hints == ("take the 2 out",)
    with pytest.raises(check.Wrong, match="it is halved") as told:
        check.expect(np.float64(0.5), np.float64(1), "a case", known)
    assert told.value.hints == ()


@pytest.mark.parametrize(
    ("error", "word"),
    [(IndexError(), "index"), (KeyError(), "index"), (ValueError(), "shapes"),
     (UnboundLocalError(), "misspelt"), (ZeroDivisionError(), "0 or empty"),
     (AttributeError(), "type"), (MemoryError(), "by hand")],
)  # fmt: skip
def test_an_exception_has_hints_of_its_own(error, word):
    assert word in check.exercise.advice(error)[0]


def test_expect_looks_at_the_rows_that_count():
    got, want = np.array([[1.0], [np.nan]]), np.array([[1.0], [2.0]])
    check.expect(got, want, "a", rows=np.array([[True], [False]]))
    with pytest.raises(check.Wrong, match=r"A\. It should be \[1.0, 2.0\]; yours is \[1.0, nan\]"):
        check.expect(got, want, "A")
    big = np.zeros((10, 2))
    other = big.copy()
    other[3, 1] = other[7, 0] = 0.5
    with pytest.raises(check.Wrong, match=r"2 of 20 entries differ; the last is \[7, 0\]: 0.5, .* be 0"):
        check.expect(other, big, "Many")
