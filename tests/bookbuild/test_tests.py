"""Files of tests are jobs with results of their own, which tell what tests enter which lines."""

import os
from unittest import mock

import pytest

from bookbuild.engine import forks
from bookbuild.engine.project import Project
from bookbuild.engine.schedule import Schedule
from bookbuild.engine.store import Store
from bookbuild.engine.tests import Tests as Files  # pytest would take a name in Test... for a class of tests

from .conftest import SmallBook

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


@pytest.mark.book
@pytest.mark.slow
def test_of_the_site():
    shown.unused()


@pytest.mark.skip
def test_skipped():
    shown.unused()
"""


FILE = "tests/test_shown.py"


@pytest.fixture
def tiny(fresh):
    """A book with one module and one file of tests."""
    (fresh.root / "tests/test_direct.py").unlink()
    fresh.write("code/tiny/shown.py", MODULE)
    fresh.write(FILE, TESTS)
    fresh.write("pyproject.toml", "[tool.pytest.ini_options]\nmarkers = ['slow: x', 'book: x']\n")
    return fresh


def files(book: SmallBook) -> Files:
    project = Project.at(book.root)
    return Files(project, Store(project))


def run(book: SmallBook, *parts: str, **variables: str) -> tuple[set[str], Files]:
    """Run what is left of these parts (default: the fast ones) of all files; what ran, and the results."""
    with mock.patch.dict(os.environ, book.environment(**variables), clear=True):
        tests, ran = files(book), set()

        async def work() -> None:
            warm = forks.Warm(tests.store.environment, ("pytest", "coverage"))
            for part in parts or ("fast",):
                jobs = tests.jobs(warm, [(file, part) for file in tests.files])
                ran.update(job.name for job in jobs)
                await Schedule(jobs, 2, lambda line: None).run()

        Schedule.begin(work())
    return ran, tests


def test_the_map_is_exact(tiny):
    ran, tests = run(tiny)
    assert ran == {FILE}
    file, test = tiny.root / "code/tiny/shown.py", f"{FILE}::"
    entering = {line: tests.entering(file, {line}) for line in range(1, 13)}
    assert {line: found for line, found in entering.items() if found} == {
        2: [f"{test}test_double"],  # three parameters are one test; what breaks at the end has not passed
        3: [f"{test}test_double"],
        7: [f"{test}TestSign::test_below"],
        8: [f"{test}TestSign::test_below"],
    }  # line 9 runs only in a test that fails, line 13 in none that is fast
    result = tests.results[FILE, "fast"]
    assert len(result["passed"]) == 4 and result["skipped"] == [f"{test}test_skipped"]
    assert result["failed"] == [f"{test}test_passes_and_then_breaks", f"{test}test_wrong"]
    assert list(tests.failed) == [f"{FILE} (fast)"] and "assert 1 == 7" in tests.failed[f"{FILE} (fast)"]
    assert run(tiny)[0] == {FILE}  # red tests run again

    tiny.write(FILE, TESTS.partition("def test_wrong")[0])
    ran, tests = run(tiny)
    assert ran == {FILE} and tests.failed == {}
    assert tests.entering(file, {2, 3, 7}) == [f"{test}test_double", f"{test}TestSign::test_below"]
    ran, again = run(tiny)
    assert ran == set() and again.results == tests.results and again.lines == tests.lines


def test_tests_that_do_not_run_at_all_enter_nothing_and_are_red(tiny):
    tiny.write(FILE, "from tiny import shown\nfrom tiny import no_such_name\n")
    for _ in range(2):
        ran, tests = run(tiny)
        assert ran == {FILE}
        assert tests.entering(tiny.root / "code/tiny/shown.py", range(99)) == []
        assert "no_such_name" in tests.failed[f"{FILE} (fast)"]


def test_tests_that_end_their_process_are_red(tiny):
    tiny.write(FILE, "import os\nfrom tiny import shown\n\n\ndef test_x():\n    os._exit(0)\n")
    for _ in range(2):
        ran, tests = run(tiny)
        assert ran == {FILE} and tests.results[FILE, "fast"]["failed"] == [FILE]
        assert list(tests.failed) == [f"{FILE} (fast)"]


SOUND = TESTS.replace("== 7", "== 1").replace("    raise RuntimeError\n", "")


def test_each_part_has_a_result_of_its_own(tiny):
    tiny.write(FILE, SOUND.replace("@pytest.mark.skip\n", ""))
    tiny.write("tests/test_quick.py", "from tiny import other\n\n\ndef test_it():\n    other.word()\n")
    ran, tests = run(tiny)
    assert ran == {FILE, "tests/test_quick.py"}
    assert tests.results[FILE, "fast"]["seen"] == {"fast": 7, "slow": 1, "book": 1}
    ran, tests = run(tiny, "fast", "slow", "book")
    assert ran == {f"{FILE} slow", f"{FILE} book"}  # the other file has no such tests
    assert tests.results[FILE, "slow"]["passed"] == [f"{FILE}::test_slow"]
    assert tests.results[FILE, "book"]["passed"] == [f"{FILE}::test_of_the_site"]
    assert run(tiny, "fast", "slow", "book")[0] == set()
    tiny.write("_build/state/site.json", '{"fingerprint": "another site"}')
    assert run(tiny, "fast", "slow", "book")[0] == {f"{FILE} book"}


def test_what_was_skipped_is_tried_again_and_nothing_else(tiny):
    skips = (
        "@pytest.mark.skipif(not os.path.exists('/tmp' if os.getenv('READY') else '/no'), reason='not yet')"
    )
    tiny.write(FILE, f"import os\n{SOUND.replace('@pytest.mark.skip', skips)}\nopen('log', 'a').write('x')\n")
    tiny.edit(FILE, "    assert shown.double(x) == 2 * x", "    open('ran', 'a').write('x')")
    _, tests = run(tiny)
    assert tests.results[FILE, "fast"]["skipped"] == [f"{FILE}::test_skipped"]
    ran, tests = run(tiny)  # as before
    assert ran == {FILE} and (tiny.root / "ran").read_text() == "xxx"  # of three parameters
    result = tests.results[FILE, "fast"]
    assert len(result["passed"]) == 6 and result["skipped"] == [f"{FILE}::test_skipped"]


def test_a_skip_that_ends_is_a_pass(tiny, tmp_path):
    """What decides is no input of the project: a program that is there or is not, say."""
    gate = tmp_path / "gate"
    skips = f"@pytest.mark.skipif(not os.path.exists({str(gate)!r}), reason='not yet')"
    tiny.write(FILE, f"import os\n{SOUND.replace('@pytest.mark.skip', skips)}")
    first = run(tiny)[1].results[FILE, "fast"]
    gate.touch()
    ran, tests = run(tiny)
    assert ran == {FILE} and tests.results[FILE, "fast"]["skipped"] == []
    assert tests.results[FILE, "fast"]["passed"] == sorted([*first["passed"], *first["skipped"]])
    assert tests.results[FILE, "fast"]["lines"] == first["lines"]
    assert run(tiny)[0] == set()


def test_what_tests_read_is_part_of_their_key(tiny):
    reads = "    open('book/data.txt').read()\n    os.getenv('FLAVOUR')\n    os.listdir('settings')\n"
    tiny.write(FILE, f"import os\nfrom tiny import shown\n\n\ndef test_x():\n{reads}")
    run(tiny)
    assert run(tiny, UNASKED="1")[0] == set()
    assert run(tiny, FLAVOUR="sweet")[0] == {FILE}
    tiny.write("settings/b.txt", "")
    assert run(tiny)[0] == {FILE}
    tiny.edit("book/data.txt", "first", "second")
    assert run(tiny)[0] == {FILE}
    assert run(tiny)[0] == set()


def test_a_file_that_is_edited_while_it_runs_is_not_stored(tiny):
    code = "open(__file__, 'a').write('# edited\\n')"
    tiny.write(FILE, f"from tiny import shown\n\n\ndef test_x():\n    {code}\n")
    assert run(tiny)[1].failed == {}
    assert run(tiny)[0] == {FILE}


# ---- without running them


def test_only_files_of_the_code_that_the_book_shows_are_run_by_a_build(tiny):
    tiny.write("code/bookbuild/__init__.py", "")
    tiny.write("code/bookbuild/x.py", "")
    tiny.write("tests/test_of_the_builder.py", "from bookbuild import x\nfrom tiny import shown\n")
    tiny.write("tests/book/conftest.py", "from bookbuild import x\n")
    tiny.write("tests/book/test_site.py", "from tiny import shown\n")
    tiny.write("tests/test_of_nothing.py", "import json\n")
    tiny.write("tests/test_broken.py", "def (")
    tiny.write("tests/sub/test_more.py", "def test_x():\n    from tiny.other import word\n")
    tests = files(tiny)
    assert {tests.name(file) for file in tests.of_the_code} == {FILE, "tests/sub/test_more.py"}
    assert len(tests.files) == 6


def key(book: SmallBook, part: str = "fast") -> str:
    tests = files(book)
    return tests.store.key(tests.subject(book.root / FILE, part))


@pytest.mark.parametrize(
    "file", [FILE, "tests/conftest.py", "code/tiny/shown.py", "code/tiny/other.py", "requirements.txt"]
)
def test_the_key_follows_tests_their_conftest_and_the_code_that_they_reach(tiny, file):
    tiny.write("tests/conftest.py", "from tiny import other\n")
    first = key(tiny)
    tiny.write("code/tiny/direct.py", "changed = 1\n")  # no test imports it
    tiny.write("tests/sub/conftest.py", "")
    tiny.edit("pyproject.toml", "[tool", "[project]\nname = 'x'\n[tool")
    assert key(tiny) == first
    before = (tiny.root / file).read_text()
    tiny.write(file, f"{before}\nchanged\n")
    assert key(tiny) != first
    tiny.write(file, before)
    assert key(tiny) == first


def test_the_key_follows_the_settings_of_pytest_and_the_part(tiny):
    first = key(tiny)
    assert key(tiny, "slow") != first
    tiny.edit("pyproject.toml", "slow: x", "slow: more")
    assert key(tiny) != first


def test_the_most_telling_test_comes_first(fresh):
    tests = files(fresh)
    direct = {
        "1": ["t::whole"],
        "2": ["t::whole", "t::test_shown", "t::few", "t::near"],
        "3": ["t::whole", "t::few", "t::near"],
        "9": ["t::elsewhere"],
    }
    other = {str(line): ["t::few"] for line in range(5)}
    tests.results["t", "fast"] = {"lines": {"code/tiny/direct.py": direct, "code/tiny/other.py": other}}
    file = fresh.root / "code/tiny/direct.py"
    # its namesake, then by how many of the lines, then by how little else
    assert tests.entering(file, {2, 3}, "shown") == ["t::test_shown", "t::near", "t::whole", "t::few"]
    assert tests.entering(file, {2, 3}) == ["t::near", "t::whole", "t::few", "t::test_shown"]
    assert tests.entering(file, {4}, "shown") == []


def test_a_test_names_what_its_source_uses(tiny):
    tests = files(tiny)
    named = [f"{FILE}::TestSign::test_below", f"{FILE}::test_double[1]", f"{FILE}::test_double[2]"]
    tests.results[FILE, "fast"] = {"passed": named, "lines": {}}
    assert tests.naming("double") == [f"{FILE}::test_double"]
    assert tests.naming("sign") == [f"{FILE}::TestSign::test_below"]
    assert tests.naming("unused") == []  # of a test that has not passed


def test_without_tests_there_is_nothing_to_run(fresh):
    (fresh.root / "tests/test_direct.py").unlink()
    tests = files(fresh)
    assert tests.files == [] and tests.jobs(None, []) == []
    assert tests.entering(fresh.root / "code/tiny/direct.py", {1, 2}) == []


def test_damaged_results_of_tests_cost_a_run(tiny):
    tiny.write(FILE, SOUND)
    run(tiny)
    for file in (tiny.root / "_build/state/results/tests").iterdir():
        file.write_text(file.read_text()[:100])
    ran, tests = run(tiny)
    assert ran == {FILE} and tests.failed == {}
