"""``make test`` runs what has not passed yet, here or in a build."""

import re

import pytest

from .conftest import Built, SmallBook

DIRECT = "tests/test_direct.py"
MARKED = """\
import os

import pytest
from tiny import other


def test_quick():
    assert other.word()


@pytest.mark.slow
def test_slow():
    assert other.word() == "apple"


@pytest.mark.book
@pytest.mark.slow
def test_of_the_site():
    assert os.path.isdir("book")
"""


@pytest.fixture
def marked(known) -> SmallBook:
    """The small book with a second file of tests, which has all three parts."""
    known.write("pyproject.toml", "[tool.pytest.ini_options]\nmarkers = ['slow: x', 'book: x']\n")
    known.write("tests/test_marked.py", MARKED)
    known.update()
    return known


def counts(built: Built) -> tuple[int, int, int]:
    """Passed, failed, skipped."""
    found = re.search(r"(\d+) passed, (\d+) failed, (\d+) skipped", built.output)
    return int(found[1]), int(found[2]), int(found[3])


def test_what_a_build_has_passed_is_not_run_again(known):
    tested = known.build("test")
    assert (tested.status, tested.executed, counts(tested)) == (0, set(), (1, 0, 0))
    assert "nothing has changed since every test passed" in tested.output


def test_what_it_has_passed_is_not_run_by_a_build(known):
    known.edit("code/tiny/base.py", "41", "10")
    assert known.build("test").executed == {DIRECT}
    assert known.update().executed == {"alpha"}
    assert known.update().book.tests.entering(known.root / "code/tiny/base.py", [5]) == [
        f"{DIRECT}::test_shown"
    ]


def test_each_part_runs_once_and_the_fast_one_alone_where_that_is_wanted(marked):
    fast = marked.build("test", "--fast")
    assert (fast.status, fast.executed, counts(fast)) == (0, set(), (2, 0, 0))
    whole = marked.build("test")
    assert (whole.status, counts(whole)) == (0, (4, 0, 0))
    assert whole.executed == {"tests/test_marked.py slow", "tests/test_marked.py book"}
    assert marked.build("test").executed == set()
    marked.write("_build/state/site.json", '{"fingerprint": "of another site"}')
    assert marked.build("test").executed == {"tests/test_marked.py book"}


def test_what_fails_is_told_and_runs_again_until_it_is_mended(marked):
    marked.build("test")
    marked.edit("code/tiny/other.py", "apple", "pear")
    for stale in ({"", " slow", " book"}, {" slow"}):
        red = marked.build("test")
        assert (red.status, counts(red)) == (1, (3, 1, 0))
        assert "tests failed: tests/test_marked.py (slow)" in red.output
        assert "AssertionError: assert 'pear' == 'apple'" in red.output
        assert red.executed == {f"tests/test_marked.py{part}" for part in stale}
    marked.edit("code/tiny/other.py", "pear", "apple")
    green = marked.build("test")
    assert (green.status, green.executed, counts(green)) == (0, set(), (4, 0, 0))
