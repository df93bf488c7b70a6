"""An object's source is found by its name, and is what Python reads."""

import dataclasses
import re
from pathlib import Path
from unittest.mock import ANY

import pytest

from bookbuild.engine.project import Project
from standalone import source
from standalone.source import SourceError

from .conftest import THINGS


@pytest.fixture
def project(fresh) -> Project:
    fresh.write("code/tiny/things.py", THINGS)
    fresh.write("code/tiny/sub/__init__.py", "def here():\n    return 1\n")
    fresh.write("code/tiny/sub/leaf.py", "def there():\n    return 2\n")
    return Project.at(fresh.root)


def body(snippet) -> list[str]:
    """The lines that run when the object is used."""
    lines = snippet.file.read_text().splitlines()
    return [lines[number - 1].strip() for number in sorted(snippet.body)]


def test_a_function(project):
    found = source.find(project, "tiny.things.plain")
    assert found.file == project.code / "tiny/things.py"
    assert found.text == (
        'def plain(x):\n    """Docstring."""\n    y = x + 1\n    if y:\n        y += 1\n    return y'
    )
    lines = THINGS.splitlines()
    assert (lines[found.first - 1], lines[found.last - 1]) == ("def plain(x):", "    return y")
    assert body(found) == ["y = x + 1", "if y:", "y += 1", "return y"]


def test_a_region_is_dedented_and_without_its_marks(project):
    found = source.find(project, "tiny.things.plain", "work")
    assert found.text == "y = x + 1\nif y:\n    y += 1"
    lines = THINGS.splitlines()
    assert lines[found.first - 1 : found.last] == ["    y = x + 1", "    if y:", "        y += 1"]
    assert body(found) == ["y = x + 1", "if y:", "y += 1"]


def test_a_region_of_a_class_may_be_in_a_method(project):
    assert source.find(project, "tiny.things.Box", "odd-one").text == "return self.size / 2"


def test_decorators_belong_to_it(project):
    found = source.find(project, "tiny.things.decorated")
    assert found.text == "@cache\n@cache\ndef decorated():\n    return 1"
    assert body(found) == ["return 1"]


def test_a_method_is_dedented_with_its_decorator(project):
    found = source.find(project, "tiny.things.Box.half")
    assert found.text == "@property\ndef half(self):\n    return self.size / 2"


def test_a_class_runs_where_its_methods_do(project):
    found = source.find(project, "tiny.things.Box")
    assert found.text.startswith("class Box:") and found.text.endswith("            return 1")
    assert body(found) == ["return self.size / 2", "return 1"]
    assert source.find(project, "tiny.things.Box.Inner.deep").text == "async def deep(self):\n    return 1"
    assert source.find(project, "tiny.things.Config").body == frozenset()


def test_packages_and_their_modules(project):
    assert source.find(project, "tiny.sub.here").file == project.code / "tiny/sub/__init__.py"
    assert source.find(project, "tiny.sub.leaf.there").file == project.code / "tiny/sub/leaf.py"


@pytest.mark.parametrize(
    ("dotted", "region", "message"),
    [
        ("shown", None, "no module of code/ holds 'shown'"),
        ("no.such.thing", None, "no module of code/ holds 'no.such.thing'"),
        ("tiny.things.gone", None, r"no function, class or method 'gone' \(there is: Box, Config, decorated"),
        ("tiny.things.CONSTANT", None, "no function, class or method 'CONSTANT'"),
        ("tiny.things.plain.y", None, r"no function, class or method 'y' \(there is: nothing\)"),
        ("tiny.things", None, "no function, class or method 'things'"),
        ("tiny.things.plain", "play", "plain has no lines from '# region: play' to '# endregion'"),
        ("tiny.things.decorated", "work", "decorated has no lines from"),  # it is another function's
        ("tiny.things.open_end", "lost", "open_end has no lines from .* to '# endregion'"),
    ],
)
def test_what_is_not_there_is_named(project, dotted, region, message):
    with pytest.raises(SourceError, match=message):
        source.find(project, dotted, region)


def test_a_docstring_alone_does_not_run(project):
    assert source.find(project, "tiny.things.only_a_docstring").body == frozenset()


def test_the_marks_of_the_real_code_are_all_well_formed():
    """Every region that the code marks can be shown: it is closed, and its name is its own in the file."""
    for file in Path(source.__file__).parents[2].glob("rlworkshop/**/*.py"):
        marks = [
            found
            for line in file.read_text(encoding="utf-8").splitlines()
            if (found := re.match(r" *# (?:region: (?P<name>[\w-]+)|endregion)$", line))
        ]
        names = [mark["name"] for mark in marks]
        assert all(names[0::2]) and not any(names[1::2]) and len(names) % 2 == 0, file
        assert len(set(names[0::2])) == len(names[0::2]), file


ENCODED = {
    "byte order mark": b"\xef\xbb\xbf" + THINGS.encode(),
    "latin-1": THINGS.replace('"""Things to show."""', "# coding: latin-1")
    .replace("Box", "Bé")
    .encode("latin-1"),
    "windows": THINGS.replace("\n", "\r\n").encode(),
}


@pytest.mark.parametrize("body", ENCODED.values(), ids=ENCODED)
def test_bytes_are_read_as_python_reads_them(project, body):
    before = source.find(project, "tiny.things.plain", "work")
    (project.code / "tiny/things.py").write_bytes(body)
    assert source.find(project, "tiny.things.plain", "work") == dataclasses.replace(before, node=ANY)
    box = "Bé" if b"latin" in body else "Box"
    assert source.find(project, f"tiny.things.{box}").text.startswith(f"class {box}:\n")
    assert source.lines_of(project.code / "tiny/things.py")[5] == "CONSTANT = 1"


def test_lines_are_those_that_python_counts(project, fresh):
    fresh.write("code/tiny/odd.py", "A = '\x0c \u2028'\n\n\ndef f():\n    return A\n")
    assert source.find(project, "tiny.odd.f").text == "def f():\n    return A"


def test_what_python_cannot_read_is_named(project):
    file = project.code / "tiny/things.py"
    wrong = {
        b"\xff": "encoding",
        b"a = 1\n# \n'\xff'": "decode",
        b"# coding: none\n": "encoding",
        b"a =\n": "syntax",
    }
    for body, why in wrong.items():
        file.write_bytes(body)
        with pytest.raises(SourceError, match=rf"things\.py.*: Python cannot read this: .*{why}"):
            source.find(project, "tiny.things.plain")
    file.write_bytes(b"\xff")
    assert source.lines_of(file) == []


@pytest.mark.parametrize(
    ("docstring", "shown"),
    [
        ('"""One line.\n\n    Book: a/b\n    """', '"""One line."""'),
        ('"""One line."""  # why', '"""One line."""  # why'),
        ('"""One.\n\n    Two.\n    """', '"""One.\n\n    Two.\n    """'),
        ("'One quote.'", "'One quote.'"),
    ],
)
def test_a_listing_shows_docstrings_that_fit_and_speak_to_its_reader(docstring, shown):
    text = "def f(a, b):\n    {}\n    return a\n"
    assert source.readable(text.format(docstring)) == text.format(shown)
    assert source.readable("    x = 1\n  y") == "    x = 1\n  y"  # lines out of the middle of something


def test_a_long_docstring_is_wrapped_and_keeps_its_words_and_sections():
    said = (
        "word " * 20 + "end.\n\n    Args:\n        a: " + "one " * 30 + "\n            two\n        b: three."
    )
    text = f'def f(a, b):\n    """{said}\n    """\n    return a\n'
    shown = source.readable(text)
    assert max(map(len, shown.split("\n"))) <= 80 and shown.split() == text.split()
    assert "\n\n    Args:\n        a: one" in shown and "one two\n        b: three." in shown
    assert re.search(r"\n {12}one", shown), "what an argument is goes on below itself"
