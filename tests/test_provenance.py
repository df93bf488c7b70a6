"""Closures and digests: what a result stands on, and nothing else."""

import os
import subprocess
import sys

import pytest

from rlworkshop import provenance


@pytest.fixture
def tree(tmp_path):
    files = {
        "pkg/__init__.py": "",
        "pkg/a.py": "from pkg import b\nimport numpy",
        "pkg/b.py": "def f():\n    from . import c",
        "pkg/c.py": "import pkg.sub.deep as d",
        "pkg/sub/__init__.py": "from .. import extra",
        "pkg/sub/deep.py": "from pkg.names import value\nfrom .near import x",
        "pkg/sub/near.py": "x = 1",
        "pkg/names.py": "value = 1",
        "pkg/extra.py": "import pkg.a",  # a circle
        "pkg/lonely.py": "",
        "pkg/wrong.py": "def (",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def names(files, root):
    return {f.relative_to(root).as_posix().removeprefix("pkg/") for f in files}


def test_closure_follows_every_way_to_import(tree):
    found = names(provenance.closure([tree / "pkg/a.py"], tree), tree)
    own = {"__init__.py", "a.py", "b.py", "c.py", "sub/__init__.py", "sub/deep.py", "sub/near.py"}
    assert found == own | {"names.py", "extra.py"}
    assert names(provenance.closure([tree / "pkg/lonely.py"], tree), tree) == {"lonely.py"}
    assert names(provenance.closure([tree / "pkg/wrong.py"], tree), tree) == {"wrong.py"}


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbfimport pkg.lonely\n",
        b"# -*- coding: latin-1 -*-\nx = '\xe9'\nimport pkg.lonely\n",
        b"import json\r\nimport pkg.lonely\r\n",
        b"import json\rimport pkg.lonely",
    ],
)
def test_a_file_is_read_as_python_reads_it(tree, body):
    (tree / "pkg/a.py").write_bytes(body)
    assert names(provenance.closure([tree / "pkg/a.py"], tree), tree) == {"__init__.py", "a.py", "lonely.py"}


@pytest.mark.parametrize("body", [b"\xff", b"x = '\xe9'", b"# coding: nothing", b"# coding: hex", b"x\0"])
def test_what_python_cannot_read_imports_nothing(tree, body):
    (tree / "pkg/a.py").write_bytes(body)
    assert names(provenance.closure([tree / "pkg/a.py"], tree), tree) == {"a.py"}
    with pytest.raises(SyntaxError):
        provenance.source_text(body)


def test_imports_of_a_cell(tree):
    find = lambda text: names(provenance.imported_files(text, tree), tree)  # noqa: E731
    assert find("import pkg.sub.deep") == {"__init__.py", "sub/__init__.py", "sub/deep.py"}
    assert find("from pkg import names, nothing") == {"__init__.py", "names.py"}
    assert find("import json, numpy as np") == set()
    with pytest.raises(SyntaxError):
        find("def (")


def test_code_digest_changes_with_the_closure_and_comes_back(tree):
    def digest():
        return provenance.code_digest("pkg.b", root=tree)

    before = digest()
    near = tree / "pkg/sub/near.py"
    near.write_text("x = 2")
    assert digest() != before
    near.write_text("x = 1")
    assert digest() == before
    near.unlink()
    assert digest() != before
    near.write_text("x = 1")
    (tree / "pkg/lonely.py").write_text("changed = True")
    os.utime(near, (1, 1))  # dates do not count
    assert digest() == before


def test_digest_knows_names_and_ignores_order(tree):
    a, b = tree / "pkg/a.py", tree / "pkg/b.py"
    assert provenance.digest([a, b], tree) == provenance.digest([b, a, a], tree)
    before = provenance.digest([a, b], tree)
    one, two = a.read_text(), b.read_text()
    a.write_text(two)
    b.write_text(one)
    assert provenance.digest([a, b], tree) != before


def test_an_unknown_module_is_named(tree):
    with pytest.raises(ModuleNotFoundError, match=r"pkg\.nothing"):
        provenance.code_digest("pkg.nothing", root=tree)


def test_the_ground_floor_needs_no_torch():
    program = (
        "import sys; sys.modules['torch'] = None\n"  # any import of torch now raises
        "from rlworkshop import envs, plots, provenance, runs, stats, verify\n"
        "envs.evaluate(lambda obs: (obs[:, 2] > 0).astype(int), 'CartPole-v1', 2, seed=0)\n"
        "runs.versions()"
    )
    env = {
        "PYTHONPATH": str(provenance.ROOT),
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
    }
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_docstrings_and_comments_say_changes_no_result():
    text = '"""What."""\n\nx = "# kept"  # why\n\n\ndef f(a):\n    """Says."""\n    return a  # é\n'
    text += '\n\ndef g(): "γ"; return 1\n'
    bare = 'x = "# kept"\ndef f(a):\n    return a\ndef g(): ; return 1'
    assert provenance.code_text(text.encode()) == bare
    other = text.replace("What.", "Why, in\n\nmore words.").replace("# why", "#").replace("\n\n\n", "\n")
    assert provenance.code_text(other.encode()) == bare
    assert provenance.code_text(text.replace("# kept", "# lost").encode()) != bare
    with pytest.raises(SyntaxError):
        provenance.code_text(b"def (")
