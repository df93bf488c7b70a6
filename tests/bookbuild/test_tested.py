"""Which passing tests run which lines of the shown code."""

import asyncio
from pathlib import Path

import pytest

from bookbuild.engine.project import Project
from bookbuild.engine.tests import Tested as Map  # pytest would take a name in Test... for a class of tests

CODE = Path(__file__).parents[2] / "code"

MODULE = """\
def double(x):
    y = x + x
    return y


def sign(x):
    if x < 0:
        return -1
    return 1


def unused():
    return 0
"""

TESTS = """\
import pytest
from tiny import shown


@pytest.mark.parametrize("x", [1, 2, 3])
def test_double(x):
    assert shown.double(x) == 2 * x


class TestSign:
    def test_below(self):
        assert shown.sign(-2) == -1


def test_wrong():
    assert shown.sign(2) == 7


@pytest.fixture
def broken_at_the_end():
    yield
    raise RuntimeError


def test_passes_and_then_breaks(broken_at_the_end):
    assert shown.double(1) == 2


@pytest.mark.slow
def test_slow():
    shown.unused()


@pytest.mark.skip
def test_skipped():
    shown.unused()
"""


@pytest.fixture
def tiny(fresh, monkeypatch):
    """A book with one module and one file of tests."""
    monkeypatch.setenv("PYTHONPATH", str(CODE))
    (fresh.root / "tests/test_direct.py").unlink()
    fresh.write("code/tiny/shown.py", MODULE)
    fresh.write("tests/test_shown.py", TESTS)
    fresh.write("pyproject.toml", "[tool.pytest.ini_options]\nmarkers = ['slow: x', 'book: x']\n")
    return fresh


def chosen(fresh) -> set[str]:
    tested = Map(Project.at(fresh.root))
    return {file.relative_to(fresh.root / "tests").as_posix() for file in tested.tests}


@pytest.mark.slow
def test_the_map_is_exact(tiny, capsys):
    tested = Map(Project.at(tiny.root))
    file = tiny.root / "code/tiny/shown.py"
    asyncio.run(tested.job().work())
    test = "tests/test_shown.py::"
    entering = {line: tested.entering(file, {line}) for line in range(1, 13)}
    assert {line: tests for line, tests in entering.items() if tests} == {
        2: [f"{test}test_double"],  # three parameters are one test; what breaks at the end has not passed
        3: [f"{test}test_double"],
        7: [f"{test}TestSign::test_below"],
        8: [f"{test}TestSign::test_below"],
    }  # line 9 runs only in a test that fails, line 13 in none that is fast
    said = capsys.readouterr().out
    assert "4 passed, 2 failed" in said and "_build/state/tested.log" in said
    assert "test_wrong" in (tiny.root / "_build/state/tested.log").read_text()
    assert Map(Project.at(tiny.root)).job() is not None  # red tests run again

    head, _, rest = TESTS.partition("def test_wrong")
    tiny.write("tests/test_shown.py", head)
    tested = Map(Project.at(tiny.root))
    asyncio.run(tested.job().work())
    assert capsys.readouterr().out == ""
    most_first = [f"{test}test_double", f"{test}TestSign::test_below"]
    assert tested.entering(file, {2, 3, 7}) == most_first
    again = Map(Project.at(tiny.root))
    assert again.job() is None and again.map == tested.map


@pytest.mark.slow
def test_tests_that_do_not_run_at_all_enter_nothing(tiny, capsys):
    tiny.write("tests/test_shown.py", "from tiny import shown\nfrom tiny import no_such_name\n")
    tested = Map(Project.at(tiny.root))
    asyncio.run(tested.job().work())
    assert tested.entering(tiny.root / "code/tiny/shown.py", set(range(99))) == []
    assert "see _build/state/tested.log" in capsys.readouterr().out


def test_only_tests_of_the_shown_code_are_run(tiny):
    tiny.write("code/bookbuild/__init__.py", "")
    tiny.write("code/bookbuild/x.py", "")
    tiny.write("tests/test_of_the_builder.py", "from bookbuild import x\nfrom tiny import shown\n")
    tiny.write("tests/bookbuild/test_x.py", "from tiny import shown\n")
    tiny.write("tests/book/test_site.py", "from tiny import shown\n")
    tiny.write("tests/test_of_nothing.py", "import json\n")
    tiny.write("tests/test_broken.py", "def (")
    tiny.write("tests/sub/test_more.py", "def test_x():\n    from tiny.other import word\n")
    assert chosen(tiny) == {"test_shown.py", "sub/test_more.py"}


@pytest.mark.parametrize("file", ["tests/test_shown.py", "tests/conftest.py", "code/tiny/shown.py"])
def test_the_key_follows_tests_their_conftest_and_the_code(tiny, file):
    tiny.write("tests/conftest.py", "from tiny import other\n")
    first = Map(Project.at(tiny.root)).key
    tiny.write("code/tiny/direct.py", "changed = 1\n")  # no test imports it
    assert Map(Project.at(tiny.root)).key == first
    (tiny.root / file).write_text((tiny.root / file).read_text() + "\n# changed\n")
    assert Map(Project.at(tiny.root)).key != first


def test_the_key_follows_what_a_conftest_imports(tiny):
    (tiny.root / "tests/sub").mkdir()
    (tiny.root / "tests/test_shown.py").rename(tiny.root / "tests/sub/test_shown.py")
    tiny.write("tests/conftest.py", "from tiny import other\n")
    first = Map(Project.at(tiny.root)).key
    tiny.edit("code/tiny/other.py", "apple", "pear")
    assert Map(Project.at(tiny.root)).key != first


def test_the_most_telling_test_comes_first(fresh):
    tested = Map(Project.at(fresh.root))
    tested.map = {
        "lines": {
            "code/tiny/direct.py": {
                "1": ["t::whole"],
                "2": ["t::whole", "t::test_shown", "t::few", "t::near"],
            }
            | {"3": ["t::whole", "t::few", "t::near"], "9": ["t::elsewhere"]},
            "code/tiny/other.py": {str(line): ["t::few"] for line in range(5)},
        }
    }
    file = fresh.root / "code/tiny/direct.py"
    # its namesake, then by how many of the lines, then by how little else
    assert tested.entering(file, {2, 3}, "shown") == ["t::test_shown", "t::near", "t::whole", "t::few"]
    assert tested.entering(file, {2, 3}) == ["t::near", "t::whole", "t::few", "t::test_shown"]
    assert tested.entering(file, {4}, "shown") == []


def test_without_tests_there_is_no_job(fresh):
    (fresh.root / "tests/test_direct.py").unlink()
    tested = Map(Project.at(fresh.root))
    assert tested.job() is None
    assert tested.entering(fresh.root / "code/tiny/direct.py", {1, 2}) == []
