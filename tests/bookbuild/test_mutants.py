"""A mutant that lives turns the run red, and so does everything that would let one live unseen."""

from pathlib import Path

import pytest

from bookbuild.engine.project import BookError, Project
from mutation import table

CODE = Path(__file__).parents[2] / "code"

KILLED = """
[[mutant]]
file = "code/tiny/base.py"
find = "return 41"
replace = "return -41"
breaks = "the sign"
tests = ["tests/test_direct.py"]
"""
ALIVE = KILLED.replace("-41", "40").replace("the sign", "by a little")
SETTINGS = "[tool.pytest.ini_options]\nmarkers = ['slow: x', 'book: x']\npythonpath = ['code']\n"


@pytest.fixture
def project(fresh, monkeypatch) -> Project:
    monkeypatch.setenv("PYTHONPATH", str(CODE))
    fresh.write("pyproject.toml", SETTINGS)
    fresh.write("tests/mutants.toml", KILLED)
    return Project.at(fresh.root)


def verdicts(project, capsys) -> list[str]:
    """What a run says of the mutants."""
    capsys.readouterr()
    status = table.run(project)
    said = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("[")]
    assert status == any(line.startswith("SURVIVES") for line in said)
    return [*sorted(said[:-1]), said[-1]]


@pytest.fixture
def runs(monkeypatch) -> list[list[str]]:
    """The tests that were run in copies, a list for each time."""
    found, run = [], table.Trials._run

    async def noted(self, copy, tests):
        found.append(tests)
        return await run(self, copy, tests)

    monkeypatch.setattr(table.Trials, "_run", noted)
    return found


@pytest.mark.slow
def test_a_mutant_that_lives_is_red_and_the_others_green(project, fresh, capsys, runs):
    before = {file: file.read_bytes() for file in project.sources()}
    assert verdicts(project, capsys) == ["killed   code/tiny/base.py: the sign", "1 of 1 mutants killed"]
    assert {file: file.read_bytes() for file in project.sources()} == before  # only copies were broken
    assert runs == [["tests/test_direct.py::test_shown"]] * 2  # with it, and without

    fresh.write("tests/mutants.toml", KILLED + ALIVE)
    assert verdicts(project, capsys)[::2] == [
        "SURVIVES code/tiny/base.py: by a little",
        "1 of 2 mutants killed",
    ]
    assert runs[2:] == [["tests/test_direct.py::test_shown"], ["tests/test_direct.py"]]


@pytest.mark.slow
@pytest.mark.parametrize("test", ["tests/test_direct.py::test_shown", "tests/test_cases.py::test_case[2]"])
def test_a_single_test_or_case_can_be_named_and_runs_alone(project, fresh, capsys, runs, test):
    cases = "import pytest\nfrom tiny.base import number\n\n\n@pytest.mark.parametrize('n', [1, 2])\n"
    fresh.write("tests/test_cases.py", f"{cases}def test_case(n):\n    assert number() > n\n")
    fresh.write("tests/mutants.toml", KILLED.replace("tests/test_direct.py", test))
    assert verdicts(project, capsys)[-1] == "1 of 1 mutants killed" and runs == [[test]] * 2
    fresh.write("tests/mutants.toml", KILLED.replace("tests/test_direct.py", f"{test}_more"))
    with pytest.raises(BookError, match="_more did not run"):
        table.run(project)
    fresh.write("tests/mutants.toml", KILLED.replace("tests/test_direct.py", f"tests/gone.py::{test}"))
    with pytest.raises(BookError, match="no such file of tests: tests/gone.py"):
        table.run(project)


@pytest.mark.slow
def test_the_least_example_of_a_failure_is_not_looked_for(project, fresh, capsys, tmp_path):
    log = tmp_path / "fails"
    fresh.write(
        "tests/test_direct.py",
        f"""from hypothesis import given, strategies
from tiny.base import number

@given(strategies.integers(0, 10**9))
def test_it(n):
    if number() < 0 and n > 1000:
        with open({str(log)!r}, "a") as out:
            print(n, file=out)
        raise AssertionError(n)
""",
    )
    assert verdicts(project, capsys)[-1] == "1 of 1 mutants killed"
    assert len({*log.read_text().split()}) == 1


@pytest.mark.slow
def test_many_mutants_are_tried_before_what_killed_them_is_tried_without(project, fresh, capsys, runs):
    wrong = range(50, 50 + table.TOGETHER + 1)
    many = [KILLED.replace("-41", f"-{n}").replace("the sign", f"no. {n}") for n in wrong]
    fresh.write("tests/mutants.toml", "".join(many))
    assert verdicts(project, capsys)[-1] == f"{len(many)} of {len(many)} mutants killed"
    assert len(many) + 1 <= len(runs) <= len(many) + 2  # two workers may both have had to see it pass


@pytest.mark.slow
def test_what_is_known_is_not_run_again_until_something_of_it_changes(project, fresh, capsys, runs):
    fresh.write("tests/mutants.toml", KILLED + ALIVE)
    fresh.write("tests/data.txt", "0")
    fresh.edit("tests/test_direct.py", "> 0", "> int(open('tests/data.txt').read())")
    first = verdicts(project, capsys)
    del runs[:]
    assert verdicts(project, capsys) == first and runs == []
    fresh.edit("code/tiny/other.py", "apple", "pear")  # no test imports it
    assert verdicts(project, capsys) == first and runs == []
    fresh.write("tests/data.txt", "41")  # which the tests read
    assert verdicts(project, capsys)[-1] == "2 of 2 mutants killed" and runs
    for edited in ("tests/test_direct.py", "code/tiny/direct.py", "tests/conftest.py"):
        del runs[:]
        path = fresh.root / edited
        fresh.write(edited, (path.read_text() if path.exists() else "") + "\n# changed\n")
        assert verdicts(project, capsys)[-1] == "2 of 2 mutants killed" and runs


@pytest.mark.slow
def test_tests_that_fail_or_do_not_run_without_any_mutant_are_an_error(project, fresh, capsys):
    fresh.edit("tests/test_direct.py", "> 0", "> 99")
    with pytest.raises(BookError, match="the tests fail without any mutant: mend that first.*test_shown"):
        table.run(project)
    fresh.edit("tests/test_direct.py", "def test_shown", "def shown")
    with pytest.raises(BookError, match="tests/test_direct.py did not run"):
        table.run(project)
    fresh.edit("tests/test_direct.py", "def shown", "def broken(:\n    pass\n\n\ndef test_shown")
    with pytest.raises(BookError, match="tests/test_direct.py did not run"):
        table.run(project)


OTHERS = """
[[mutant]]
file = "code/tiny/base.py"
find = "def number"
replace = "import no_such_module\\ndef number"
breaks = "it cannot be imported"
tests = ["tests/test_direct.py"]
[[mutant]]
file = "code/tiny/base.py"
find = "    return 41"
replace = "    import os\\n    os.kill(os.getpid(), 9)"
breaks = "its process dies"
tests = ["tests/test_direct.py"]
[[mutant]]
file = "code/tiny/base.py"
find = "    return 41"
replace = "    while True: pass"
breaks = "it never ends"
tests = ["tests/test_direct.py"]
[[mutant]]
file = "code/tiny/other.py"
find = "apple"
replace = "pear"
breaks = "a fruit, which only a child sees"
tests = ["tests/test_child.py"]
[[mutant]]
file = "code/tiny/params.py"
find = "(1, 2)"
replace = "(1, 3)"
breaks = "a parameter of the tests"
tests = ["tests/test_params.py"]
"""
CHILD = """
import subprocess
import sys


def test_fruit():
    code = "from tiny import other; print(other.word())"
    assert "apple" in subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
"""
PARAMS = """
import pytest
from tiny import params


@pytest.mark.parametrize("number", params.NUMBERS)
def test_small(number):
    assert number < 3
"""


@pytest.mark.slow
def test_every_way_of_not_passing_kills(project, fresh, capsys, monkeypatch):
    monkeypatch.setattr(table, "WORK", 2)
    fresh.write("tests/mutants.toml", KILLED + OTHERS)
    fresh.write("code/tiny/params.py", '"""Numbers."""\n\nNUMBERS = (1, 2)\n')
    fresh.write("tests/test_child.py", CHILD)
    fresh.write("tests/test_params.py", PARAMS)
    assert verdicts(project, capsys)[-1] == "6 of 6 mutants killed"


@pytest.mark.parametrize(
    ("old", "new"),
    [("return 41", "return 7"), ("return 41", ""), ("return 41", "r"), ("return -41", "return 41")],
)
def test_a_mutant_must_fit_the_code_in_exactly_one_place(project, fresh, old, new):
    fresh.write("tests/mutants.toml", KILLED.replace(f'"{old}"', f'"{new}"'))
    with pytest.raises(BookError, match=r"code/tiny/base.py \(the sign\): its text must occur once"):
        table.read(project)


@pytest.mark.parametrize(
    "text",
    [None, "[[mutant]", "[other]", '[[mutant]]\nfile = "x"\ntests = []', KILLED + "x = 1"]
    + [KILLED.replace('["tests/test_direct.py"]', tests) for tests in ('"tests/test_direct.py"', "[]")],
)
def test_a_table_that_cannot_be_read_is_one_clear_error(project, text):
    file = project.root / "tests/mutants.toml"
    file.write_text(text) if text is not None else file.unlink()
    with pytest.raises(BookError, match="tests/mutants.toml cannot be read"):
        table.read(project)


@pytest.mark.parametrize(
    ("old", "gone"), [("code/tiny/base.py", "code/tiny/gone.py"), ("test_direct", "test_gone")]
)
def test_a_mutant_of_a_file_that_is_gone_is_one_clear_error(project, fresh, old, gone):
    fresh.write("tests/mutants.toml", KILLED.replace(old, gone))
    with pytest.raises(BookError, match=f"{gone}.*"):
        table.read(project)


def test_a_file_keeps_its_coding_and_a_mutant_is_read_in_it(project, fresh):
    latin = '# coding: latin-1\n"""Früchte."""\n\n\ndef number():\n    return 41\n'
    (fresh.root / "code/tiny/base.py").write_bytes(latin.encode("latin-1"))
    (mutant,) = table.read(project)
    assert mutant.text == latin.replace("41", "-41")


LINES = '''"""Module."""
SIZE = (
    3
)


@decorated
def outer(a,
          b=2):
    """Doc."""
    total = a + (
        b
    )
    if total:
        return 1
    elif (a and
          b):
        total = 2

    def inner(c=4):
        return c
    return inner


class Thing:
    x = 1

    def get(self):
        return self.x
'''


@pytest.mark.parametrize(
    ("first", "last", "lines"),
    [
        (12, 12, {11, 12, 13}),
        (14, 14, {14}),
        (17, 17, {16, 17}),
        (14, 15, {14, 15}),
        (18, 18, {18}),
        (20, 20, {20}),
    ]
    + [(21, 21, {21}), (29, 29, {29})]
    + [(line, line, set(range(1, LINES.count("\n") + 2))) for line in (3, 7, 9, 26, 28)],
)
def test_the_lines_of_a_change_are_those_of_its_statements(first, last, lines):
    assert table.lines_around(LINES, first, last) == lines


def test_a_copy_has_what_tests_need_and_is_gone_afterwards(project, fresh):
    fresh.write("code/tiny/__pycache__/base.pyc", "x")
    fresh.write("benchmarks/x.json", "{}")
    with table.copy_of(project) as root:
        files = {file.relative_to(root).as_posix() for file in root.glob("**/*") if file.is_file()}
        assert {"code/tiny/base.py", "tests/test_direct.py", "pyproject.toml", "benchmarks/x.json"} <= files
        assert not any("__pycache__" in file for file in files)
    assert not root.exists()
