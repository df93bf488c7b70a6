"""A mutant that lives turns the run red, and so does everything that would let one live unseen."""

from pathlib import Path

import pytest

from bookbuild.engine import mutants
from bookbuild.engine.project import BookError, Project

CODE = Path(__file__).parents[2] / "code"

KILLED = """
[[mutant]]
file = "code/tiny/base.py"
find = "return 41"
replace = "return -41"
breaks = "the sign"
tests = ["tests/test_direct.py"]
"""
ALIVE = """
[[mutant]]
file = "code/tiny/base.py"
find = "return 41"
replace = "return 40"
breaks = "by a little"
tests = ["tests/test_direct.py"]
"""


@pytest.fixture
def project(fresh, monkeypatch) -> Project:
    monkeypatch.setenv("PYTHONPATH", str(CODE))
    fresh.write("pyproject.toml", "[tool.pytest.ini_options]\nmarkers = ['slow: x', 'book: x']\n")
    fresh.write("tests/mutants.toml", KILLED)
    return Project.at(fresh.root)


@pytest.mark.slow
def test_a_mutant_that_lives_is_red_and_the_others_green(project, fresh, capsys):
    before = {file: file.read_bytes() for file in project.sources()}
    assert mutants.run(project) == 0
    assert capsys.readouterr().out == "killed   code/tiny/base.py: the sign\n1 of 1 mutants killed\n"
    assert {file: file.read_bytes() for file in project.sources()} == before  # only copies were broken

    fresh.write("tests/mutants.toml", KILLED + ALIVE)
    assert mutants.run(project) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[1:] == ["SURVIVES code/tiny/base.py: by a little", "1 of 2 mutants killed"]


@pytest.mark.slow
def test_tests_that_fail_anyway_or_do_not_exist_are_an_error(project, fresh):
    fresh.edit("tests/test_direct.py", "> 0", "< 0")
    with pytest.raises(BookError, match="the tests fail without any mutant: mend that first"):
        mutants.run(project)
    fresh.write("tests/mutants.toml", KILLED.replace("test_direct", "test_gone"))
    with pytest.raises(BookError, match="tests/test_gone.py did not run"):
        mutants.run(project)


@pytest.mark.parametrize(
    ("old", "new"),
    [("return 41", "return 7"), ("return 41", ""), ("return 41", "r"), ("return -41", "return 41")],
)
def test_a_mutant_must_fit_the_code_in_exactly_one_place(project, fresh, old, new):
    fresh.write("tests/mutants.toml", KILLED.replace(f'"{old}"', f'"{new}"'))
    with pytest.raises(BookError, match=r"code/tiny/base.py \(the sign\): its text must occur once"):
        mutants.read(project)


@pytest.mark.parametrize(
    "table", [None, "[[mutant]", "[other]", '[[mutant]]\nfile = "x"\ntests = []', KILLED + "x = 1"]
)
def test_a_table_that_cannot_be_read_is_one_clear_error(project, table):
    file = project.root / "tests/mutants.toml"
    file.write_text(table) if table is not None else file.unlink()
    with pytest.raises(BookError, match="tests/mutants.toml cannot be read"):
        mutants.read(project)


def test_a_mutant_of_a_file_that_is_gone_is_one_clear_error(project, fresh):
    fresh.write("tests/mutants.toml", KILLED.replace("tiny/base.py", "tiny/gone.py"))
    with pytest.raises(BookError, match="code/tiny/gone.py"):
        mutants.read(project)


def test_a_copy_has_what_tests_need_and_is_gone_afterwards(project, fresh):
    fresh.write("code/tiny/__pycache__/base.pyc", "x")
    fresh.write("benchmarks/x.json", "{}")
    with mutants.copy_of(project) as root:
        files = {file.relative_to(root).as_posix() for file in root.glob("**/*") if file.is_file()}
        assert {"code/tiny/base.py", "tests/test_direct.py", "pyproject.toml", "benchmarks/x.json"} <= files
        assert not any("__pycache__" in file for file in files)
    assert not root.exists()
