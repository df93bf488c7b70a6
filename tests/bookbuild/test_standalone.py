"""What is taken out of the package loads, runs and says the same there as here."""

import ast
import dataclasses
import sys
import types
import typing

import pytest

from bookbuild import __main__ as cli
from bookbuild.engine.project import Project
from standalone import export as standalone
from standalone.source import SourceError

BASE = '''\
"""What others stand on."""
import json
import math
import os.path

K = 2
TOTAL = 1
TOTAL += 4


def used(x):
    """Docstring.

    Book: start/base
    """
    return K * math.floor(x)


def unused():
    return json.dumps(1)


def folder(path):
    return os.path.dirname(path)


def max(x):
    return x


class Kind:
    SIZE = 3


# it holds true
# for both
def total(step=TOTAL):  # and here
    # region: sum
    λ = "é"; s = step + TOTAL
    # endregion
    return s
'''


@pytest.fixture
def export(fresh, monkeypatch):
    """Writes modules of the package ``tiny``, takes one thing out, runs it: the text and what it defined."""
    monkeypatch.delenv("BOOK_REPOSITORY_URL", raising=False)

    def run(dotted: str, **modules: str) -> tuple[str, dict]:
        for name, text in {"base": BASE, **modules}.items():
            fresh.write(f"code/tiny/{name}.py", text)
        text = standalone.standalone(Project.at(fresh.root), dotted)
        alone = types.ModuleType("alone")
        monkeypatch.setitem(sys.modules, "alone", alone)
        exec(compile(text, "alone.py", "exec"), vars(alone))  # nothing here can import tiny
        return text, vars(alone)

    return run


def body(text: str) -> str:
    """The text without its header."""
    return text[text.index("\n\n") + 2 :]


def test_it_brings_what_it_needs_and_nothing_else(export):
    text, alone = export(
        "tiny.top.f", top="from tiny import base as b\n\n\ndef f(x):\n    return b.used(x) + 1\n"
    )
    assert alone["f"](3.7) == 7
    base, top = (f"# {'-' * (107 - len(name))} {name}" for name in ("tiny.base", "tiny.top"))
    assert body(text) == (
        f"import math\n\n{base}\n\n\n"
        'K = 2\n\n\ndef used(x):\n    """Docstring."""\n'  # its first line
        f"    return K * math.floor(x)\n\n\n{top}\n\n\n"
        "def f(x):\n    return used(x) + 1\n"
    )


def test_what_is_asked_for_keeps_its_docstring(export):
    assert '    """Docstring.\n\n    Book: start/base\n    """\n' in export("tiny.base.used")[0]


@pytest.mark.parametrize(
    ("line", "comes"),
    [("K: int = K", True), ("K = K + 1", True), ("K = 2\n    L = K", False), ("K: int = 3", False)],
)
def test_what_a_class_reads_before_it_sets_the_name_itself_is_the_modules(export, line, comes):
    text, alone = export("tiny.base.A", base=f"K = 3\n\n\nclass A:\n    {line}\n")
    assert ("K = 3\n\n\nclass" in text) is comes and alone["A"].K in (2, 3, 4)


@pytest.mark.parametrize(("mark", "comes"), [("", True), ("# standalone: apart\n", False)])
def test_what_stands_apart_comes_with_the_whole_module_alone(export, mark, comes):
    base = f"DONE = []\n\n\ndef f():\n    return DONE\n\n\n{mark}DONE.append(1)\n"
    assert export("tiny.base.f", base=base)[1]["f"]() == [1] * comes
    assert export("tiny.base", base=base)[1]["f"]() == [1]


def test_a_stand_in_may_lie_in_another_module(export):
    base = "class Plain:\n    lean = True\n"
    top = "from tiny import base, middle\n\n\ndef f():\n    return base.Plain, middle.Rich\n"
    middle = "# standalone: tiny.base.Plain\nclass Rich:\n    lean = False\n"
    text, alone = export("tiny.top.f", top=top, middle=middle, base=base)
    assert "Rich" not in text and all(kind.lean for kind in alone["f"]())


def test_comments_stay_marks_go_and_positions_count_bytes(export):
    text, alone = export(
        "tiny.top.f",
        top="from tiny import base\n\n\n"
        "def f():\n    é = 'λ'; return base.total(), é, base.K  # λ (eq-sum)\n",
    )
    assert alone["f"]() == (10, "λ", 2)
    assert "# it holds true\n# for both\ndef total(step=TOTAL):  # and here\n    λ" in text
    assert "return total(), é, K  # λ (eq-sum)" in text and "region" not in text


def test_all_that_makes_a_constant_comes_with_it(export):
    top = 'LIMITS = {"low": 0}\nLIMITS["high"] = 9\n\n\ndef limits():\n    return LIMITS\n'
    assert export("tiny.top.limits", top=top)[1]["limits"]() == {"low": 0, "high": 9}
    assert export("tiny.base.TOTAL")[1]["TOTAL"] == 5


PLACES = '''\
from dataclasses import dataclass, field

from tiny import base
from tiny.base import Kind
from tiny.base import Kind as K2


def twice(f):
    return lambda *a: 2 * f(*a)


@dataclass
class Box(K2):
    """A box."""

    size: int = base.K
    kind: "Kind | None" = None
    many: list = field(default_factory=lambda: [base.TOTAL])

    @property
    def half(self) -> float:
        return self.size / base.K

    @twice
    def decorated(self):
        return base.used(4)


def make(size: int = base.TOTAL, kind: "list[Kind]" = ()) -> "Box":
    return Box(size, *kind)
'''


def test_every_place_of_a_definition_is_read(export):
    _, alone = export("tiny.top.make", top=PLACES)
    made = alone["make"]()
    assert dataclasses.astuple(made) == (5, None, [5]) and isinstance(made, alone["Kind"])
    with pytest.raises(TypeError):  # 2 * f(*a): the decorator ran on a method
        alone["twice"](lambda: None)()
    assert made.half == 2.5 and made.decorated() == 16
    hints = typing.get_type_hints(alone["make"], alone)
    assert typing.get_args(hints["kind"]) == (alone["Kind"],) and hints["return"] is alone["Box"]
    assert typing.get_type_hints(alone["Box"], alone)["kind"] == alone["Kind"] | None


def test_a_method_comes_with_its_class(export):
    text, alone = export("tiny.top.Box.half", top=PLACES)
    assert alone["Box"](8).half == 4 and "def make" not in text


SCOPES = """\
from tiny import base


def parameter(base):
    return base.K


def assigned():
    base = type("B", (), {"K": 7})
    return base.K, [base.K for base in [base]]


def lambdas():
    return (lambda x=base.K: x + base.K)()


def comprehension():
    return [base.K for _ in range(base.K)], {k for k in range(3)}


class Holder:
    K = 4

    def get(self):
        return base.used(self.K)


def other(K):
    return K


def caught(x):
    match x:
        case [base]:
            return base.real
        case _:
            return base


def counted():
    global COUNT
    COUNT += base.K
    return f"{COUNT} {base.K:{base.K}} {'x'!r}"


COUNT = 1
"""


def test_only_names_that_mean_the_module_change(export):
    class B:
        K = 11

    text, alone = export("tiny.top", top=SCOPES)
    assert alone["parameter"](B) == 11 and alone["assigned"]() == (7, [7])
    assert alone["lambdas"]() == 4 and alone["comprehension"]() == ([2, 2], {0, 1, 2})
    assert alone["Holder"]().get() == 8 and alone["other"](3) == 3
    assert alone["counted"]() == "3  2 'x'" and alone["caught"]([6]) == 6


T = "from tiny import base\n\n\n"
LOCAL = {
    "a parameter": (T + "def f(K):\n    return base.K + K\n", "K"),
    "assigned": (T + "def f():\n    used = base.used(1)\n    return used\n", "used"),
    "of a function around": (T + "def f(K):\n    def g():\n        return base.K\n    return g()\n", "K"),
    "of a class": (T + "class f:\n    K = 7\n    both = base.K, K\n", "K"),
    "of a comprehension": (T + "def f():\n    return [base.K for K in range(3)]\n", "K"),
    "the module's": (T + "def f(x=base.K):\n    return [base for base in [x]]\n", "K"),
    "of another method": (
        T + "class f:\n    def g(self, K): ...\n\n    def h(self):\n        return base.K\n",
        "K",
    ),
}


@pytest.mark.parametrize("top, meant", LOCAL.values(), ids=LOCAL)
def test_a_local_name_that_is_like_the_one_meant_is_an_error(export, top, meant):
    message = (
        rf"top\.py:\d+: 'base' stands for tiny\.base\.{meant}, which cannot be written here: .* local name"
    )
    with pytest.raises(SourceError, match=message):
        export("tiny.top.f", top=top)


OTHER = "import math as json\n\n\ndef used(x):\n    return json.floor(x)\n\n\ndef _own():\n    return 1\n"
B = T.replace("base", "base, other")
COLLISIONS = {
    "two modules": (
        B + "def f(x):\n    return base.used(x), other.used(x)\n",
        r"'used' is tiny\.\w+\.used here and tiny\.\w+\.used in code/tiny/\w+\.py:\d+: one file cannot hold",
    ),
    "the module asked for": (
        B + "def f():\n    return other._own(), _own()\n\n\ndef _own():\n    return 0\n",
        r"'_own' is tiny\.\w+\._own here and tiny\.\w+\._own in code/tiny/\w+\.py:\d+",
    ),
    "a built-in name": (
        B + "def f(x):\n    return base.max(x), max(x, 5)\n",
        r"'max' is [\w.]+\.max here and [\w.]+\.max in code/tiny/\w+\.py:\d+",
    ),
    "an import": (
        B + "def f(x):\n    return base.used(x), math()\n\n\ndef math():\n    return 3\n",
        r"'math' is [\w.]+ here and [\w.]+ in code/tiny/\w+\.py:\d+",
    ),
    "two imports": (
        B + "def f(x):\n    return base.unused(), other.used(x)\n",
        r"'json' is (math|json) here and (math|json) in code/tiny/\w+\.py:\d",
    ),
}


@pytest.mark.parametrize("top, message", COLLISIONS.values(), ids=COLLISIONS)
def test_one_name_for_two_things_is_an_error_that_names_both(export, top, message):
    with pytest.raises(SourceError, match=r"^code/tiny/\w+\.py:\d+: " + message):
        export("tiny.top.f", top=top, other=OTHER)


def test_what_is_not_needed_does_not_collide(export):
    _, alone = export("tiny.top.f", top=B + "def f(x):\n    return base.used(x), other._own()\n", other=OTHER)
    assert alone["f"](3.5) == (6, 1) and "json" not in alone
    text, alone = export("tiny.base.max")
    assert alone["max"](3) == 3 and "def used" not in text


def test_an_alias_is_written_as_what_it_stands_for(export):
    top = "from math import floor as f2\nfrom tiny.base import K as k, used as u\n\n\n"
    top += "def f(x):\n    return k + u(f2(x))\n"
    text, alone = export("tiny.top.f", top=top)
    assert alone["f"](3.5) == 8 and "return K + used(f2(x))" in text and "import floor as f2" in text


IMPORTS = """\
import importlib.metadata
import os
import os as system
from collections.abc import Callable, Iterable

import numpy as np
import numpy.linalg

import tiny.base
import tiny.pack
from tiny.pack import here, leaf


def version(f: Callable[[NotThere], int]):
    return importlib.metadata.version, np.ones(1), numpy.linalg.norm([3, 4])


def find(f: Iterable):
    return importlib.metadata.version, system.sep


def inner():
    again = type(tiny.pack.again).__name__
    return tiny.base.K, tiny.pack.leaf.there(), here(), leaf.there(), tiny.pack.up(), again
"""

PACK = """\
from tiny.base import K
from tiny.pack.leaf import there as again
from tiny.pack.leaf import there as here


def up():
    return K
"""


def test_imports_are_merged_and_only_those_in_use(export):
    modules = {
        "pack/__init__": PACK,
        "pack/leaf": "def there():\n    return 6\n",
        "top": IMPORTS.replace("NotThere", "str"),
    }
    text, alone = export("tiny.top.version", **modules)
    assert alone["version"](None)[2] == 5
    assert body(text).startswith(
        "import importlib.metadata\nfrom collections.abc import Callable\n\n"
        "import numpy as np\nimport numpy.linalg\n\n\ndef version("
    )
    text, _ = export("tiny.top.find", **modules)
    assert (
        "\nimport importlib.metadata\nimport os as system\nfrom collections.abc import Iterable\n\n\ndef"
        in text
    )
    assert export("tiny.top.inner", **modules)[1]["inner"]() == (2, 6, 6, 6, 2, "function")


def test_what_a_module_does_when_imported_is_done(export):
    doing = "SEEN = []\nSEEN.append(1)\nif SEEN:\n    SEEN.append(2)\n\n\ndef f():\n    return SEEN\n"
    assert export("tiny.top.f", top=doing)[1]["f"]() == [1, 2]


def test_a_stand_in_stands_in(export):
    top = "from tiny import low\n\n\ndef f():\n    return low.here()\n"
    low = "import json\n\n\n# standalone: alone\ndef here():\n    return json.dumps(1)\n"
    low += "\n\ndef alone():\n    return 2\n"
    text, alone = export("tiny.top.f", top=top, low=low)
    assert alone["f"]() == 2 and "json" not in text and "def here" not in text
    assert "# standalone" not in export("tiny.low", low=low)[0]


CIRCLES = {
    "imports": ("from tiny.low import f\n", "from tiny.top import f\n"),
    "an import of itself": ("from tiny.top import f\n", ""),
    "a stand-in for itself": ("# standalone: f\ndef f(): ...\n", ""),
    "stand-ins": ("# standalone: g\ndef f(): ...\n\n\n# standalone: f\ndef g(): ...\n", ""),
    "both": ("# standalone: g\ndef f(): ...\n\n\nfrom tiny.low import g\n", "from tiny.top import f as g\n"),
}


@pytest.mark.parametrize("top, low", CIRCLES.values(), ids=CIRCLES)
def test_what_leads_back_to_itself_is_an_error(export, top, low):
    with pytest.raises(SourceError, match=r"^tiny\.\w+\.\w leads back to itself, by way of tiny\.top\.f"):
        export("tiny.top.f", top=top, low=low)
    with pytest.raises(SourceError, match=r"^code/tiny/user\.py:5: tiny\.\w+\.\w leads back to itself"):
        user = "from tiny import top\n\n\ndef f():\n    return top.f()\n"
        export("tiny.user.f", top=top, low=low, user=user)


WHOLE = '''\
"""What it is.

Book: part/top
"""

import sys

from tiny import base, later

# ---------------------------------------------------------------- one


def f():
    return base.K


# ---------------------------------------------------------------- two


def g():
    return later.h()


if __name__ == "__main__":
    print(f(), g(), len(sys.argv))
'''


def test_a_whole_module_has_its_docstring_on_top_its_comments_and_its_command_line(export, capsys):
    later = "from tiny import base\n\nX = base.K\n\n\ndef h(n: int = base.K):\n    return X + n\n"
    text, alone = export("tiny.top", top=WHOLE, later=later)
    assert alone["__doc__"] == ast.get_docstring(ast.parse(WHOLE), clean=False)
    assert "--- one\n\n\ndef f():" in text and "--- two\n\n\ndef g():" in text
    assert text.endswith('if __name__ == "__main__":\n    print(f(), g(), len(sys.argv))\n')
    exec(text, {"__name__": "__main__"})
    assert capsys.readouterr().out.startswith("2 4 ")
    assert "__main__" not in export("tiny.top.g", top=WHOLE, later=later)[0]


def test_the_header_says_where_it_comes_from(export, fresh):
    fresh.write("pyproject.toml", '[project]\nversion = "1.2"\n[tool.bookbuild]\nrepository_url = ""\n')
    fresh.write("LICENSE", "MIT License\n\nCopyright (c) 2026 Someone\n")
    text, _ = export("tiny.base.used")
    assert text.startswith(
        "# tiny.base.used, from A small book 1.2\n"
        "# Copyright (c) 2026 Someone. SPDX-License-Identifier: MIT\n"
        "# Explained on the page start/base\n"
        "# Source: code/tiny/base.py\n"
        "# Made by `python -m bookbuild standalone tiny.base.used`: this object, with all that it needs"
    )
    assert "Explained" not in export("tiny.base.max")[0]
    fresh.edit("pyproject.toml", 'url = ""', 'url = "https://example.org/b"')
    text, _ = export("tiny.base.used")
    assert "# Source: https://example.org/b/blob/main/code/tiny/base.py\n" in text
    assert "page https://example.org/b/blob/main/book/start/base.md\n" in text


F = "from tiny import base\n\n\ndef f():\n    "


@pytest.mark.parametrize(
    ("top", "message"),
    [
        (F + "return vars(base)\n", r"top\.py:5: the module tiny\.base is used as a value"),
        (F + "return getattr(base, 'K')\n", r"top\.py:5: the module tiny\.base is used as a value"),
        (F + "base.K = 3\n", r"top\.py:5: 'base' stands for tiny\.base\.K, which .*: it is set"),
        (F + "return base.gone\n", r"top\.py:5: tiny\.base has no 'gone' \(there is: .*K, .*Kind"),
        ("from tiny.base import *\n\n\ndef f():\n    return K\n", r"top\.py:1: 'from tiny\.base import \*'"),
        (
            "from __future__ import annotations\n" + F + "pass\n",
            r"top\.py:1: 'from __future__ import annotations': use",
        ),
        ("from . import base\n\n\ndef f():\n    return base.K\n", r"top\.py:1: 'from \. import base'"),
        ("def f():\n    return nowhere\n", r"top\.py:2: tiny.top has no 'nowhere'"),
        ("def f():\n    import json, tiny.base\n", r"top\.py:1: import the package's modules at the top"),
        (
            "from tiny.base import K\n\nK = 3\n\n\ndef f():\n    return K\n",
            r"top\.py:3: 'K' is imported and set here",
        ),
        (F.replace("f()", 'f(x: "base.Kind")') + "pass\n", r"top\.py:4: the module tiny\.base is used as a"),
        ('from tiny.base import Kind as B\n\n\ndef f(x: "B"): ...\n', r"top\.py:4: 'B' stands .*, in quotes"),
        ("def f(a, a):\n    return a\n", r"top\.py:1: Python cannot read this: duplicate argument 'a'"),
        ("def f():\n    return 1 +\n", r"top\.py:2: Python cannot read this: invalid syntax"),
        ("g = 1\n", r"tiny\.top has no 'f' \(there is: g\)"),
    ],
)
def test_what_cannot_be_taken_out_is_named_with_its_place(export, top, message):
    with pytest.raises(SourceError, match=message):
        export("tiny.top.f", top=top)


def test_what_is_not_of_the_code_is_refused(export):
    with pytest.raises(SourceError, match="no module of code/ holds 'nothing.at.all'"):
        export("nothing.at.all")
    with pytest.raises(SourceError, match=r"tiny\.top\.sqrt is math\.sqrt, which is not in code/"):
        export("tiny.top.sqrt", top="from math import sqrt\n")


def test_command_line(export, fresh, capsys):
    text, _ = export("tiny.base")
    root = ["--root", str(fresh.root), "standalone"]
    assert cli.main([*root, "tiny.base"]) == 0
    assert capsys.readouterr().out == text
    assert cli.main([*root, "tiny.none.x"]) == 2
    assert "bookbuild: tiny has no 'none'" in capsys.readouterr().err


# ---- source as Python reads it

ACCENTS = "from tiny import base\n\n\ndef f():\n    return 'é', base.K  # à\n"
ENCODED = {
    "byte order mark": b"\xef\xbb\xbf" + ACCENTS.encode(),
    "latin-1": b"# -*- coding: latin-1 -*-\n" + ACCENTS.encode("latin-1"),
    "windows": ACCENTS.replace("\n", "\r\n").encode(),
}


@pytest.mark.parametrize("body", ENCODED.values(), ids=ENCODED)
@pytest.mark.parametrize("dotted", ["tiny.top", "tiny.top.f"])
def test_bytes_are_read_as_python_reads_them(export, fresh, body, dotted):
    text, _ = export(dotted, top=ACCENTS)
    (fresh.root / "code/tiny/top.py").write_bytes(body)
    made = standalone.standalone(Project.at(fresh.root), dotted)
    assert made == text and "return 'é', K  # à" in made


def test_what_python_cannot_decode_is_named(export, fresh):
    export("tiny.base.K")
    for body in (b"\xff = 1\n", b"# coding: nothing\n", b"# coding: hex\n", b"a = 1\0\n"):
        (fresh.root / "code/tiny/top.py").write_bytes(body)
        with pytest.raises(SourceError, match=r"code/tiny/top\.py.*: Python cannot read this: "):
            standalone.standalone(Project.at(fresh.root), "tiny.top")


def test_a_module_is_read_once_for_each_content(export, fresh, monkeypatch):
    read, parse = [], ast.parse
    monkeypatch.setattr(
        ast, "parse", lambda text, *more, **named: read.append(str(more)) or parse(text, *more, **named)
    )
    top = T + "def f():\n    return base.K\n\n\ndef g():\n    return base.used(1)\n"
    for dotted in ("tiny.top.f", "tiny.top.g", "tiny.top"):
        export(dotted, top=top)
    assert sum("top.py" in file for file in read) == sum("base.py" in file for file in read) == 1
    assert export("tiny.top.f", top=top.replace("K", "TOTAL"))[1]["f"]() == 5  # another content
    assert sum("top.py" in file for file in read) == 2
