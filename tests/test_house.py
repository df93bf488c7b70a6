"""The rules of the house, read from the source: who may import whom, what mirrors what, what is written down.

Each rule is a function of a tree of files that returns what breaks it, and is also shown a tree that does.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from bookbuild.site import api

ROOT = Path(__file__).parents[1]
PARTS = ("foundations", "algorithms", "robotics", "safety", "practice")
UPSTAIRS = ("robotics", "safety", "practice", "exercises")  # these may import the other wings
ENTRANCES = (
    "rlworkshop.__main__",
    "rlworkshop.check.__main__",
    "rlworkshop.setup_check",
)  # commands: these may import all wings
BUILDERS = ("bookbuild", "editions", "showcase", "slides", "standalone", "mutation", "calibration")
OUTSIDE = (*BUILDERS, "sphinx", "docutils", "myst_nb")
TORCH_FREE = ("foundations", "runs")  # packages that must not need torch to be loaded
DIFFS = {"crossq": "sac", "sac_discrete": "sac"}  # modules that a neighbour's page shows as diffs of its own


def modules(root: Path) -> dict[str, Path]:
    """The modules of the package by their dotted names."""
    files = sorted(root.glob("code/rlworkshop/**/*.py"))
    parts = {file: file.relative_to(root / "code").with_suffix("").parts for file in files}
    return {".".join(p[:-1] if p[-1] == "__init__" else p): file for file, p in parts.items()}


def imports(tree: ast.AST, name: str, at_load: bool = False) -> Iterator[str]:
    """All that a module imports, dotted; ``at_load`` leaves out what functions import when called."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(name.split(".")[: -node.level]) if node.level else ""
            base = ".".join(filter(None, (base, node.module)))
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif not (at_load and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            yield from imports(node, name, at_load)


def wing(name: str) -> str:
    """The part of the book that a module is in; "" for the ground floor."""
    second = [*name.split("."), ""][1]
    return second if second in (*PARTS, "exercises") else ""


def arrows_that_point_the_wrong_way(root: Path) -> list[str]:
    found = []
    for name, file in modules(root).items():
        for target in imports(ast.parse(file.read_text()), name):
            here, there = wing(name), wing(target) if target.startswith("rlworkshop.") else ""
            wrong = there and here not in (there, *UPSTAIRS)
            inward = any(f"{target}.".startswith(f"{entrance}.") for entrance in ENTRANCES)
            within = name not in ENTRANCES and (wrong or there == "exercises" != here or inward)
            if target.split(".")[0] in OUTSIDE or within:
                found.append(f"{name} imports {target}")
    return found


def circles(root: Path) -> list[str]:
    """A module that imports itself, directly or through others, while it is being loaded."""
    known = modules(root)
    graph = {
        name: {
            known_as
            for target in imports(ast.parse(file.read_text()), name, at_load=True)
            for known_as in (target, target.rpartition(".")[0])
            if known_as in known and known_as not in (name, "rlworkshop")
        }
        for name, file in known.items()
    }

    def reach(start: str) -> set[str]:
        seen, todo = set(), list(graph[start])
        while todo:
            if (name := todo.pop()) not in seen:
                seen.add(name)
                todo += graph[name]
        return seen

    return [name for name in graph if name in reach(name)]


def needless_torch(root: Path) -> list[str]:
    """Modules that import torch, and that foundations, their pages or the package ``runs`` load."""
    return [name for name in without_torch(root) if "torch" in loaded_with(root, name)]


def without_torch(root: Path) -> list[str]:
    """The modules that must not need torch: ``TORCH_FREE``, and all that these and their pages load."""
    known = modules(root)
    todo = [f"rlworkshop.{package}" for package in TORCH_FREE]
    todo += [name for name in known if name.startswith("rlworkshop.foundations.")]
    for page in root.glob("book/foundations/*.md"):
        for line in re.findall(r"^(?:from|import) rlworkshop.*$", page.read_text(), re.MULTILINE):
            todo += prefixes(imports(ast.parse(line), "page"))
    found = []
    while todo:
        if (name := todo.pop()) in known and name not in found:
            found.append(name)
            todo += loaded_with(root, name)
    return sorted(found)


def loaded_with(root: Path, name: str) -> set[str]:
    """All that loading a module loads at once: what it imports then, and the packages that hold that."""
    tree = ast.parse(modules(root)[name].read_text())
    return prefixes([name, *imports(tree, name, at_load=True)]) - {name}


def prefixes(names: Iterable[str]) -> set[str]:
    """The names ``a``, ``a.b`` and ``a.b.c`` of each ``a.b.c``."""
    parts = [name.split(".") for name in names]
    return {".".join(p[:n]) for p in parts for n in range(1, len(p) + 1)}


def code_as_a_package(root: Path) -> list[str]:
    return [str(file.relative_to(root)) for file in root.glob("code/__init__.py")]


def broken_mirrors(root: Path) -> list[str]:
    """A module without its page or its test, and a page that imports a missing module of its own name."""
    found = []
    for name in modules(root):
        if wing(name) and name.count(".") == (3 if wing(name) == "exercises" else 2):
            folder, _, module = "/".join(name.split(".")[1:]).rpartition("/")
            page = f"book/{folder.removeprefix('exercises/')}/{DIFFS.get(module, module)}.md"
            needed = (f"tests/{folder}/test_{module}.py", page)
            found += [f"{name} has no {path}" for path in needed if not (root / path).exists()]
    for part in PARTS:
        for page in sorted(root.glob(f"book/{part}/*.md")):
            own = rf"rlworkshop\.{part}(\.| import .*\b){page.stem}\b"
            if re.search(own, page.read_text()) and f"rlworkshop.{part}.{page.stem}" not in modules(root):
                found.append(f"{page.relative_to(root)} has no code/rlworkshop/{part}/{page.stem}.py")
    return found


def undocumented(root: Path) -> list[str]:
    """Modules, and public functions, classes and methods, without a docstring."""
    found = (each for name, file in modules(root).items() for each in api.described(name, file))
    return [name for name, _, docstring, _ in found if not docstring]


def pages_that_are_not_there(root: Path) -> list[str]:
    """``Book:`` lines that name a page the book does not have."""
    named = [
        (name, page)
        for name, file in modules(root).items()
        for line in re.findall(r"^\s*Book: (.*)$", file.read_text(), re.MULTILINE)
        for page in re.findall(r"[\w/]+", line.partition("#")[0])
    ]
    return [f"{name} names {page}" for name, page in named if not (root / "book" / f"{page}.md").exists()]


RULES = [
    (arrows_that_point_the_wrong_way, {"code/rlworkshop/nets.py": "from rlworkshop.algorithms import vpg"},
     "rlworkshop.nets imports rlworkshop.algorithms.vpg"),
    (arrows_that_point_the_wrong_way, {"code/rlworkshop/algorithms/a.py": "def f(): from ..safety import s"},
     "rlworkshop.algorithms.a imports rlworkshop.safety.s"),
    (arrows_that_point_the_wrong_way, {"code/rlworkshop/runs.py": "import sphinx.util"},
     "rlworkshop.runs imports sphinx.util"),
    (arrows_that_point_the_wrong_way, {"code/rlworkshop/a.py": "from rlworkshop.__main__ import main"},
     "rlworkshop.a imports rlworkshop.__main__.main"),
    (arrows_that_point_the_wrong_way, {"code/rlworkshop/check/__main__.py": "import bookbuild.build"},
     "rlworkshop.check.__main__ imports bookbuild.build"),
    (arrows_that_point_the_wrong_way, {"code/rlworkshop/a.py": "from rlworkshop.check import __main__"},
     "rlworkshop.a imports rlworkshop.check.__main__"),
    (circles, {"code/rlworkshop/a.py": "import rlworkshop.b",
               "code/rlworkshop/b.py": "from rlworkshop import a"},
     "rlworkshop.b"),
    (circles, {"code/rlworkshop/a/__init__.py": "from rlworkshop.a.b import f",
               "code/rlworkshop/a/b.py": "from rlworkshop.a import c", "code/rlworkshop/a/c.py": ""},
     "rlworkshop.a.b"),
    (needless_torch, {"code/rlworkshop/foundations/f.py": "from rlworkshop.a import x",
                      "code/rlworkshop/a.py": "from rlworkshop.b import c",
                      "code/rlworkshop/b/__init__.py": "import torch.nn", "code/rlworkshop/b/c.py": ""},
     "rlworkshop.b"),
    (needless_torch, {"book/foundations/f.md": "```\nfrom rlworkshop import a\n```",
                      "code/rlworkshop/a.py": "from torch import nn"},
     "rlworkshop.a"),
    (needless_torch, {"code/rlworkshop/runs/__init__.py": "from rlworkshop.runs.training import Training",
                      "code/rlworkshop/runs/training.py": "import torch"},
     "rlworkshop.runs.training"),
    (code_as_a_package, {"code/__init__.py": ""}, "code/__init__.py"),
    (broken_mirrors, {"code/rlworkshop/algorithms/a.py": "", "book/algorithms/a.md": ""},
     "rlworkshop.algorithms.a has no tests/algorithms/test_a.py"),
    (broken_mirrors, {"book/safety/s.md": "from rlworkshop.safety import s"},
     "book/safety/s.md has no code/rlworkshop/safety/s.py"),
    (arrows_that_point_the_wrong_way, {"code/rlworkshop/check/answer.py": "from rlworkshop import exercises"},
     "rlworkshop.check.answer imports rlworkshop.exercises"),
    (arrows_that_point_the_wrong_way,
     {"code/rlworkshop/safety/s.py": "from rlworkshop.exercises.a import b"},
     "rlworkshop.safety.s imports rlworkshop.exercises.a.b"),
    (broken_mirrors, {"code/rlworkshop/exercises/algorithms/a.py": "", "book/algorithms/a.md": ""},
     "rlworkshop.exercises.algorithms.a has no tests/exercises/algorithms/test_a.py"),
    (broken_mirrors, {"code/rlworkshop/exercises/safety/a.py": "", "book/algorithms/a.md": ""},
     "rlworkshop.exercises.safety.a has no book/safety/a.md"),
    (undocumented, {"code/rlworkshop/a.py": '"""What."""\nclass A:\n    "What."\n    def f(self): ...'},
     "rlworkshop.a.A.f"),
    (pages_that_are_not_there, {"code/rlworkshop/a.py": '"""What.\n\nBook: algorithms/none\n"""'},
     "rlworkshop.a names algorithms/none"),
]  # fmt: skip


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _, _ in RULES))
def test_the_house_keeps_the_rule(rule: Callable[[Path], list[str]]):
    assert modules(ROOT)
    assert rule(ROOT) == []


@pytest.mark.parametrize("rule, files, broken", RULES)
def test_the_rule_sees_what_breaks_it(tmp_path, rule, files, broken):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert broken in rule(tmp_path)


def test_what_is_allowed_stays_allowed(tmp_path):
    good = {
        "__main__.py": '"""M."""\nfrom rlworkshop.algorithms import a\n',
        "algorithms/a.py": '"""A."""\nfrom rlworkshop import nets\nfrom rlworkshop.algorithms import b\n',
        "algorithms/b.py": '"""B."""\ndef f():\n    "F."\n    from rlworkshop.algorithms import a\n',
        "exercises/e.py": '"""E."""\nfrom rlworkshop.safety import s\nfrom ..algorithms import a\n',
        "runs/training.py": '"""T."""\nimport torch\nfrom rlworkshop import runs\n',
        "runs/__init__.py": '"""R."""\ndef f():\n    "F."\n    from rlworkshop.runs import training\n',
        "safety/s.py": '"""S."""\nfrom IPython.display import HTML\nfrom ..algorithms.a import x\n',
    }
    for name, text in good.items():
        path = tmp_path / "code" / "rlworkshop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for rule in (arrows_that_point_the_wrong_way, circles, needless_torch, undocumented):
        assert rule(tmp_path) == []


BLOCK_TORCH = """
import importlib, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch is blocked")
sys.meta_path.insert(0, Block())
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_the_builders_map_has_a_line_for_each_module():
    folder = ROOT / "code" / "bookbuild"
    there = [file.stem for pattern in ("*.py", "*/*.py") for file in folder.glob(pattern)]
    lines = re.findall(r"^- ``(\w+)``: ", (folder / "__init__.py").read_text(), re.MULTILINE)
    assert sorted(lines) == sorted(name for name in there if name != "__init__")


def test_what_foundations_load_needs_no_torch():
    free = without_torch(ROOT)
    assert {"rlworkshop.runs.cached", "rlworkshop.rngs", "rlworkshop.stats"} < set(free)

    def load(*names: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", BLOCK_TORCH, *names],
            cwd=ROOT / "code", capture_output=True, text=True,
        )  # fmt: skip

    assert load(*free).stderr == ""
    assert "torch is blocked" in load("rlworkshop.nets").stderr
