"""Mutants made by a machine: the catalogue, what it leaves alone, and which of them the tests notice."""

import ast
from pathlib import Path

import pytest

from bookbuild.engine.project import BookError, Project
from mutation import catalogue

CODE = Path(__file__).parents[2] / "code"


def made(line: str) -> list[str]:
    """What becomes of the last line of a function, without its indentation, in order."""
    before = "def f(a, b, x):\n    i, n = 0, a\n    "
    found = [change.text for change in catalogue.changes(f"{before}{line}\n")]
    assert len(set(found)) == len(found) and all(ast.parse(text) for text in found)
    return sorted(text.removeprefix(before)[:-1] for text in found if text.startswith(before))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("return a + b", ["a - b"]),
        ("return (a) * (b)", ["(a) / (b)"]),
        ("return a // b", ["a / b"]),
        ("return a ** b % x", ["a * b % x", "a ** b * x"]),
        ("return a @ b - x", ["a * b - x", "a @ b + x"]),
        ("return a < b <= x", ["a <= b <= x", "a < b < x"]),
        ("return a == b", ["a != b"]),
        ("return a is not  b", ["a is  b"]),
        ("return a not in b", ["a in b"]),
        ("return a and b or x", ["a or b or x", "a and b and x"]),
        ("return not a", [" a"]),
        ("return ~a & -b", ["a & -b", "~a | -b", "~a & b"]),
        ("return True", ["False"]),
        ("return 2", ["1", "3"]),
        ("return 0.5", ["-0.5", "0.0", "1.5"]),
        ("return 0.0", ["1.0"]),
        ("return 'text', f'{a + 1}', None", []),
        ("return a[1:b]", ["a[:b]", "a[0:b]", "a[2:b]", "a[1:]"]),
        ("return a if b else x", ["a if not (b) else x"]),
        ("return [i for i in b if i]", ["[i for i in b if not (i)]"]),
        ("return g(a, b, *x)", ["g(b, a, *x)"]),
        ("return g(a, k=b, l=x)", ["g(a, l=x)", "g(a, k=b, )"]),
        ("return zip(a, b, strict=True)", ["zip(b, a, strict=True)"]),
        ("return a.max(b)", ["a.min(b)"]),
        ("return range(a)", ["range((a) - 1)", "range(1, a)"]),
        ("return range(a, b)", ["range(b, a)", "range(a, (b) - 1)"]),
        ("return 'γ', a + b  # ± +", ["'γ', a - b  # ± +"]),
        ("return a.__name__", []),
    ],
)
def test_the_catalogue_of_expressions(line, expected):
    assert made(line) == sorted(f"return {one}" for one in expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("g(a)", ["pass"]),
        ("a += b", ["pass", "a -= b"]),
        ("a.value = b", ["pass"]),
        ("a[b] = x", ["pass"]),
        ("a = b", ["pass"]),
        ("n, a = b", ["pass"]),
        ("fresh = b", []),
        ("fresh: int = b", []),
        ("a: float = b", ["pass"]),
        ("raise ValueError(a + 1)", ["pass"]),
        ("assert a", ["pass"]),
        ("if a: return b", ["if not (a): return b"]),
        ("if a == b: return b", ["if a != b: return b"]),
        ("while a: break", ["while not (a): break", "while a: continue"]),
        ("for i in a: continue", ["for i in a: break"]),
        ("with a(): return b", ["if True: return b"]),
        ("with a() as fresh: return b", []),
        ('"""A docstring."""', []),
        ("import os", []),
    ],
)
def test_the_catalogue_of_statements(line, expected):
    assert made(line) == sorted(expected)


def test_annotations_scripts_and_messages_are_left_alone_and_decorators_are_not():
    text = '"""Doc 1."""\n@d(1)\ndef f(a: "1 + 1" = 2) -> x[1]:\n    raise E(f"{a + 1}")\n'
    text += 'size: x[1] = 3\nif __name__ == "__main__":\n    f(1 + 1)\n'
    assert [change.where for change in catalogue.changes(text)] == [
        "2:1: @d(1) -> (nothing)", "3:20: 2 -> 1", "3:20: 2 -> 3", '4:5: raise E(f"{a + 1}") -> pass',
        "5:14: 3 -> 2", "5:14: 3 -> 4",
    ]  # fmt: skip


def test_a_change_says_where_it_is_in_characters():
    (change,) = catalogue.changes("x = ('γ', a\n     +\n  b)\n")
    assert (change.line, change.last, change.where) == (2, 2, "2:6: + -> -")
    (change,) = catalogue.changes("x = 'γ±', a + b\n")
    assert change.where == "1:13: + -> -"


def test_a_hash_in_a_gap_is_no_operator():
    (change,) = catalogue.changes("x = (a  # a + b\n     + b)\n")
    assert change.text == "x = (a  # a + b\n     - b)\n"


MODULE = '''"""A module."""

LIMIT = 3


def clip(x):
    """At most the limit."""
    if x > LIMIT:
        return LIMIT
    return x


def unused(a):
    return a + a


def twice(a):
    return a + a
'''
TESTS = """
from tiny import clipping


def test_clip():
    assert [clipping.clip(x) for x in (1, 3, 4)] == [1, 3, 3]


def test_twice():
    assert clipping.twice(0) == 0
"""
SAME = """
[[equivalent]]
file = "code/tiny/clipping.py"
find = "x > LIMIT"
replace = "x >= LIMIT"
why = "at the limit both give it"
"""


@pytest.fixture
def project(fresh, monkeypatch) -> Project:
    monkeypatch.setenv("PYTHONPATH", str(CODE))
    fresh.write("pyproject.toml", "[tool.pytest.ini_options]\nmarkers = ['slow: x', 'book: x']\n")
    fresh.write("code/tiny/clipping.py", MODULE)
    fresh.write("tests/test_clipping.py", TESTS)
    fresh.write("tests/mutants.toml", SAME)
    return Project.at(fresh.root)


@pytest.mark.slow
def test_what_survives_is_listed_with_the_share_of_the_others(project, fresh, capsys):
    before = {file: file.read_bytes() for file in project.sources()}
    assert catalogue.run(project, "code/tiny/clipping.py") == 0
    said = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("[")]
    assert said == [
        "code/tiny/clipping.py:18:14: + -> -   in: return a + a",
        "code/tiny/clipping.py:14:14: + -> -   in: return a + a   (no test enters it)",
        "3 of 5 mutants killed (60.0%); 2 survive, 1 of them where no fast test enters",
        "1 more declared equivalent (16.7%)",
    ]
    assert {file: file.read_bytes() for file in project.sources()} == before
    fresh.edit("tests/test_clipping.py", "twice(0) == 0", "twice(1) == 2")
    catalogue.run(project, "code/tiny/clipping.py")
    assert "4 of 5 mutants killed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "file", ["code/tiny/gone.py", "code/tiny", "tests/test_clipping.py", "book/alpha.md"]
)
def test_only_a_file_of_the_code_is_changed(project, file):
    with pytest.raises(BookError, match=f"FILE={file}: name a Python file below code/"):
        catalogue.run(project, file)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("x > LIMIT", "x < LIMIT", "its text must occur once"),
        ("x >= LIMIT", "x > LIMIT + 0", "is no change of the catalogue"),
        ("why", "because", "cannot be read"),
        ("clipping.py", "gone.py", "No such file"),
    ],
)
def test_an_equivalent_must_fit_the_code_and_the_catalogue(project, fresh, old, new, said):
    fresh.edit("tests/mutants.toml", old, new)
    with pytest.raises(BookError, match=said):
        catalogue.run(project, "code/tiny/clipping.py")
