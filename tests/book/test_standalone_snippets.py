"""What the book shows runs without the book and passes the tests of the original.

Each module of which something is shown is proven whole: in a process that has none of the book, and by its
tests, pointed at the copy. A snippet's own file is then proven by what it consists of: statements of its
module's file, in their order. What such a proof has shown is kept, as results of pages are, until the copy,
the tests or what these read is another.
"""

import ast
import asyncio
import builtins
import functools
import importlib.util
import json
import os
import re
import shutil
import subprocess
import symtable
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bookbuild.engine import watch
from bookbuild.engine.forks import Result, Warm
from bookbuild.engine.project import Project
from bookbuild.engine.store import Store, Subject
from bookbuild.engine.tests import Tests as Files  # pytest would take a name in Test... for a class of tests
from bookbuild.engine.tests import loaded
from rlworkshop.algorithms import dqn, vpg
from rlworkshop.runs import training
from standalone import export as standalone
from standalone import source

ROOT = Path(__file__).parents[2]
SHOWN = re.compile(r"^`{3,}\{snippet\} (\S+)$", re.MULTILINE)
OFFERED = re.compile(r"^`{3,}\{download-module\} (\S+)$", re.MULTILINE)
PAGES = {file: file.read_text(encoding="utf-8") for file in sorted(ROOT.glob("book/**/*.md"))}
SNIPPETS = sorted({name for text in PAGES.values() for name in SHOWN.findall(text)})
MODULES = sorted({name for text in PAGES.values() for name in OFFERED.findall(text)})
PROJECT = Project.at(ROOT)
HOME = {name: source.locate(PROJECT, name)[0] for name in SNIPPETS + MODULES}  # the module that it is of
HOMES = sorted({*HOME.values()})
ALLOWED = {"gymnasium", "mujoco", "numpy", "torch", "tyro"}
DRAWING = {"rlworkshop.plots", "rlworkshop.robotics.robots_as_rl"}  # what draws may need more

ALONE = """
import gc, json, os, runpy, sys, torch
gc.freeze()  # what was loaded is no garbage: a fork need not look through it
for line in sys.stdin:
    if not os.fork():
        break
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
else:
    sys.exit()

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ImportError(f"{name} is blocked")

blocked, run_name, folder, sys.argv = json.loads(line)
for name in [name for name in sys.modules if name.partition(".")[0] in blocked]:
    del sys.modules[name]
sys.meta_path.insert(0, Block())
os.chdir(folder)
for stream, name in ((1, "../printed"), (2, "../errors")):
    os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
runpy.run_path(sys.argv[0], run_name=run_name)
sys.stdout.flush()
os._exit(0)  # to take PyTorch apart would cost more than most files
"""


@pytest.fixture(scope="module")
def bare():
    """A process that has loaded PyTorch and nothing else, and forks for each file: PyTorch takes long."""
    command = [sys.executable, "-I", "-c", ALONE]
    environment, pipe = {**os.environ, "OMP_NUM_THREADS": "1"}, subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        process.stdin.close()


@pytest.fixture(scope="module")
def store(real) -> Store:
    return Store(real)


def once(store: Store, proof: Subject, prove: Callable[[], tuple[dict, dict[str, str]]]) -> dict:
    """What ``prove`` finds, or has found when all was as it is now: JSON values, beside what it has read."""
    found = store.get(proof)
    if found is None:
        key = store.key(proof)
        found, inputs = prove()
        store.put(proof, key, found, inputs)
    return found


def test_what_was_proven_is_proven_again_when_something_of_it_changes(tmp_path):
    shutil.copytree(ROOT / "tests/bookbuild/fixture", tmp_path / "book")
    store, file = Store(Project.at(tmp_path / "book")), tmp_path / "book/tests/test_direct.py"
    proven, read = [], watch.of_file(file)

    def prove(text: str = "the copy", holds: bool = True) -> int:
        def run():
            proven.append(text)
            assert holds
            return {"text": text}, {"file tests/test_direct.py": read}

        assert once(store, Subject("copies", "a.b", text, frozenset({Path(__file__)})), run) == {"text": text}
        return len(proven)

    with pytest.raises(AssertionError):
        prove(holds=False)
    assert [prove(), prove()] == [2, 2], "what has failed is not kept, what has passed is"
    assert [prove("another copy"), prove()] == [3, 3]
    file.write_text("# another test\n")
    assert [prove(), prove()] == [4, 5], "what was read is not what it was: nothing is kept of it"


def copy_of(dotted: str, *more: str, tests: frozenset[Path] = frozenset()) -> Subject:
    """A module's copy as what is proven, with the files of ``tests`` and with this one."""
    own = json.dumps([export(dotted), *more])
    return Subject("copies", dotted, own, tests | {Path(__file__)})


@functools.cache
def export(dotted: str) -> str:
    return standalone.standalone(PROJECT, dotted)


def alone(
    bare: subprocess.Popen,
    text: str,
    folder: Path,
    *arguments: str,
    name: str = "alone",
    drawing: bool = False,
) -> tuple[int, str, str]:
    """Runs a text as a file in an empty folder, in a process that has none of the book.

    Returns its exit status, what it printed, and the same of errors.
    """
    folder.mkdir()
    (folder / "copied.py").write_text(text, encoding="utf-8")
    blocked = ["rlworkshop", "bookbuild"] + ([] if drawing else ["filelock", "imageio", "matplotlib"])
    request = [blocked, name, str(folder), ["copied.py", *arguments]]
    print(json.dumps(request), file=bare.stdin, flush=True)
    status = int(bare.stdout.readline())
    return status, (folder.parent / "printed").read_text(), (folder.parent / "errors").read_text()


def faults(text: str) -> list[str]:
    """Names that a file uses and nobody defines, and imports that nobody uses."""
    top = symtable.symtable(text, "copied.py", "exec")
    tables = [top]
    for table in tables:
        tables += table.get_children()
    symbols = [(table, symbol) for table in tables for symbol in table.get_symbols()]
    used = {s.get_name() for t, s in symbols if s.is_referenced() and (t is top or s.is_global())}
    bound = {
        s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()
    }
    quoted = set(re.findall(r"\w+", " ".join(re.findall(r"(?:->|:) [\"']([^\"'\n]+)[\"']", text))))
    imported = {s.get_name() for s in top.get_symbols() if s.is_imported()}
    undefined = used - bound - set(dir(builtins)) - {"__file__"}
    return sorted(f"undefined {n}" for n in undefined) + sorted(
        f"unused {n}" for n in imported - used - quoted
    )


def third_party(text: str) -> set[str]:
    """What a file needs to be loaded; some environments import more when they are made."""
    found = re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE)
    return {name for name in found if name not in sys.stdlib_module_names}


def test_the_pages_were_read():
    assert "rlworkshop.algorithms.vpg.gae" in SNIPPETS and "rlworkshop.algorithms.vpg" in MODULES


def test_every_algorithm_page_offers_its_module():
    for file, text in PAGES.items():
        name = ".".join(file.relative_to(ROOT / "book").with_suffix("").parts)
        module = ROOT / f"code/rlworkshop/{name.replace('.', '/')}.py"
        if name.startswith("algorithms.") and module.exists() and "    command(" in module.read_text():
            assert f"rlworkshop.{name}" in OFFERED.findall(text), file


def statements(text: str) -> tuple[list[str], set[str]]:
    """The statements of a file, as they are written, and what it imports."""
    lines, found, imports = text.splitlines(), [], set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports |= {f"{getattr(node, 'module', '')} {ast.unparse(alias)}" for alias in node.names}
        else:
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
            found.append("\n".join(lines[first - 1 : node.end_lineno]))
    return found, imports


def contained(text: str, whole: str) -> bool:
    """Whether a file consists of statements of another, in the order that they have there.

    Of docstrings the first line counts: a file has them whole only of what it was asked for.
    """
    short = functools.partial(re.sub, r'^( *"""[^\n"]+)\n.*?"""', r'\1"""', flags=re.M | re.S)
    text, whole = short(text), short(whole)
    (own, imports), (statements_there, imports_there) = statements(text), statements(whole)
    following = iter(statements_there)
    return bool(own) and all(statement in following for statement in own) and imports <= imports_there


@pytest.mark.parametrize("dotted", SNIPPETS)
def test_it_consists_of_statements_of_its_modules_file(dotted):
    assert contained(export(dotted), export(HOME[dotted]))


@pytest.mark.parametrize("text", ["", "import os\n\nA = 1\n", "B = 2\nA = 1\n", "A  = 1\n", "A = 1\nA = 1\n"])
def test_what_is_not_contained_is_seen(text):
    whole = "import os.path\n\nA = 1\nB = 2\n\n\n@cache\ndef f():\n    return 1\n"
    assert not contained(text, whole)
    assert contained("import os.path\n\nA = 1\n@cache\ndef f():\n    return 1\n", whole)


@pytest.mark.parametrize("dotted", SNIPPETS + MODULES)
def test_it_names_nothing_that_is_not_there_and_nothing_for_nothing(dotted):
    text = export(dotted)
    assert faults(text) == []
    assert "rlworkshop" not in third_party(text)
    if ".".join(dotted.split(".")[:2]) not in DRAWING:
        assert third_party(text) <= ALLOWED


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import os\n", ["unused os"]),
        ("def f():\n    return g(os)\n", ["undefined g", "undefined os"]),
        ("class A:\n    x = [B for _ in ()]\n", ["undefined B"]),
        ("import os, re\n\ndef f(a: 'os.PathLike') -> re.Pattern:\n    return [len(b) for b in a]\n", []),
    ],
)
def test_a_fault_is_seen(text, found):
    assert faults(text) == found


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")
def test_ruff_finds_no_name_undefined_or_unused(tmp_path):
    for name in SNIPPETS + MODULES:
        (tmp_path / f"{name}.py").write_text(export(name), encoding="utf-8")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--quiet", "--no-cache", "--select", "F"]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("dotted", HOMES)
def test_it_runs_where_the_book_is_not(bare, store, dotted, tmp_path):
    def run():
        drawing = dotted.startswith(tuple(DRAWING))
        assert alone(bare, export(dotted), tmp_path / "empty", drawing=drawing) == (0, "", "")
        return {}, {}

    once(store, copy_of(dotted, "alone"), run)


@pytest.mark.slow
def test_the_place_where_it_runs_has_none_of_the_book_and_of_others_what_pytorch_loads(bare, tmp_path):
    for name in ("rlworkshop", "bookbuild", "filelock"):
        status, _, errors = alone(bare, f"import {name}\n", tmp_path / name)
        assert status == 1 and f"{name} is blocked" in errors
    loaded = "import sys\nprint(*sorted({name.partition('.')[0] for name in sys.modules}))"
    found = alone(bare, loaded, tmp_path / "loaded")[1].split()
    assert "torch" in found and not {"gymnasium", "tyro", "pytest"} & set(found)
    assert alone(bare, "print(1 / 0)", tmp_path / "wrong")[0] == 1


# ---- the tests of the original, pointed at the copy

POINTING = '''
"""Puts what a copied file defines in the place of the originals, then runs the tests."""
import ast, importlib.util, pathlib, pytest, sys

from bookbuild.engine import watch

class Chosen:
    """Of all tests of a file, so many that there is one of each list; all where there is no list."""

    def __init__(self, entering):
        self.entering = entering

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests(self):
        watch.begin()  # what the tests read is an input

    def pytest_collection_modifyitems(self, items):
        # what a test changes within the package by monkeypatch does not reach a file that is not of it
        able = [item for item in items if "monkeypatch" not in item.fixturenames]
        name = lambda item: item.nodeid.split("[")[0]
        names, left, chosen = {*map(name, able)}, self.entering, set()
        while left := [tests for tests in left if names.intersection(tests) and chosen.isdisjoint(tests)]:
            chosen.add(max(sorted(names), key=lambda test: sum(test in tests for tests in left)))
        items[:] = [item for item in able if name(item) in chosen or not chosen]

    def pytest_sessionfinish(self, session):
        self.passed = session.testscollected - session.testsfailed

def told(file):
    """The file's code, in which each function says first that it is entered: to trace all would take long."""
    tree = ast.parse(pathlib.Path(file).read_bytes())
    for node in [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]:
        (say,) = ast.parse(f"__entered__({node.lineno})").body
        place = ast.get_docstring(node) is not None
        for part in ast.walk(say):
            ast.copy_location(part, node.body[0])
        node.body.insert(place, say)
    return compile(tree, file, "exec")

def run(file, names, tests, entering):
    entered = set()
    spec = importlib.util.spec_from_file_location("copied", file)
    copied = sys.modules["copied"] = importlib.util.module_from_spec(spec)
    copied.__entered__ = entered.add
    exec(told(file), copied.__dict__)
    for dotted in names:
        module, _, name = dotted.rpartition(".")
        module = importlib.import_module(module)
        assert hasattr(module, name)
        setattr(module, name, getattr(copied, name))
    entered.clear()
    chosen = Chosen(entering)
    status = pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-m", "not slow", tests], plugins=[chosen])
    return {"status": int(status), "lines": sorted(entered), "passed": chosen.passed}
'''


def mirror(dotted: str) -> Path:
    """The test file that mirrors the module of an object."""
    _, file, _ = source.locate(PROJECT, dotted)
    place = ROOT / "tests" / file.relative_to(ROOT / "code/rlworkshop")
    own = place.with_name(f"test_{place.name}")
    shared = place.parent.with_name(f"test_{place.parent.name}.py")  # that of all files of a package
    return own if own.exists() else shared


def held(text: str, home: str) -> list[str]:
    """The dotted names of what a file holds of the package."""
    found = ((n, re.match(r"# -+ (rlworkshop[\w.]*)$", line)) for n, line in enumerate(text.split("\n")))
    rulers = {n: ruler[1] for n, ruler in found if ruler}
    found = []
    for node in ast.parse(text).body:
        module = next((rulers[n] for n in sorted(rulers, reverse=True) if n < node.lineno), home)
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(f"{module}.{node.name}")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            stored = (n for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
            found += [f"{module}.{n.id}" for n in stored if n.col_offset < node.value.col_offset]
    return found


@pytest.fixture(scope="module")
def warm() -> Warm:
    return Warm(PROJECT.environment(), loaded(PROJECT))


Entering = list[list[str]]  # tests: of each definition the most telling, of each line all that enter it


@pytest.fixture(scope="module")
def tests(store) -> Files:
    return Files(store.project, store)


@pytest.fixture(scope="module")
def entering(warm, tests) -> Callable[[str], Entering]:
    """What is known of a module from the last time that its tests passed; nothing where they have not."""
    tests.jobs(warm, [(file, "fast") for file in {*map(mirror, HOMES)}])

    def of(home: str) -> Entering:
        _, file, _ = source.locate(PROJECT, home)
        text = file.read_text(encoding="utf-8")
        names = [node.name for node in ast.parse(text).body if hasattr(node, "name")]
        telling = [tests.entering(file, lines_of(text, name), name)[:1] for name in names]
        return [*telling, *tests.lines.get(tests.name(file), {}).values()]

    return of


def pointed_at(warm: Warm, text: str, home: str, tests: Path, entering: Entering, folder: Path) -> Result:
    """How the tests go with the copy in place of the original, and what they enter of it."""
    file = folder / "copied.py"
    file.write_text(text, encoding="utf-8")
    (folder / "pointing.py").write_text(POINTING, encoding="utf-8")
    path = os.pathsep.join([str(ROOT / "code"), str(folder)])
    environment = {**warm.environment, "PYTHONPATH": path}
    arguments = [str(file), held(text, home), str(tests), entering]
    return asyncio.run(warm.call("pointing:run", *arguments, folder=ROOT, environment=environment))


def lines_of(text: str, name: str) -> set[int]:
    """The lines of a definition in a file."""
    node = next(n for n in ast.parse(text).body if getattr(n, "name", "") == name)
    return set(range(node.lineno, node.end_lineno + 1))


@pytest.mark.slow
@pytest.mark.parametrize("home", HOMES)
def test_the_tests_of_the_original_pass_when_pointed_at_it(warm, store, tests, entering, home, tmp_path):
    text, pointed = export(home), tests.subject(mirror(home), "fast")

    def run():
        done = pointed_at(warm, text, home, mirror(home), entering(home), tmp_path)
        assert done.value and done.value["status"] == 0 and done.value["passed"], done.printed
        return done.value, done.inputs

    report = once(store, copy_of(home, pointed.own, tests=pointed.files), run)
    for dotted in (name for name in SNIPPETS if HOME[name] == home):
        runs_code = source.find(PROJECT, dotted).body  # a dataclass may have nothing that runs
        name = dotted.removeprefix(f"{home}.").split(".")[0]
        entered = set(report["lines"]) & lines_of(text, name)
        assert entered or not runs_code, f"no test entered the copy of {dotted}"


@pytest.mark.slow
def test_a_copy_that_is_wrong_is_seen(warm, entering, tmp_path):
    text = export("rlworkshop.algorithms.vpg.value_loss")
    wrong = text.replace("((values - returns) ** 2)", "(values - returns)")
    assert wrong != text
    home = "rlworkshop.algorithms.vpg"
    done = pointed_at(warm, wrong, home, mirror(home), [], tmp_path)
    assert done.value["status"] == 1 and "test_value_loss" in done.printed
    done = pointed_at(warm, wrong, home, mirror(home), entering(home), tmp_path)
    assert done.value["status"] == 1 and "test_value_loss" in done.printed


# ---- a whole module, trained from its command line


def trained(bare: subprocess.Popen, name: str, env_id: str, steps: int, folder: Path) -> Path:
    """The run that a copied algorithm has saved."""
    options = ["--env-id", env_id, "--total-steps", str(steps), "--seed", "3"]
    text = export(f"rlworkshop.algorithms.{name}")
    status, printed, errors = alone(bare, text, folder, *options, name="__main__")
    assert status == 0, errors
    assert f"{env_id}, seed 3: evaluation " in printed
    assert sorted(f.name for f in folder.iterdir()) == ["copied.py", "run.pt"]
    return folder / "run.pt"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, env_id, steps",
    [
        ("vpg", "Acrobot-v1", 1024),
        ("vpg", "Pendulum-v1", 1024),
        ("trpo", "Pendulum-v1", 1024),
        ("ppo", "Pendulum-v1", 1024),
        ("dqn", "Acrobot-v1", 1100),
        ("dqn_family", "CartPole-v1", 1100),
        ("pixels", "CatchStack2-v0", 2100),
    ],
)
def test_a_copied_algorithm_trains_from_its_command_line(bare, store, name, env_id, steps, tmp_path):
    def train():
        trained(bare, name, env_id, steps, tmp_path / "empty")
        return {}, {}

    once(store, copy_of(f"rlworkshop.algorithms.{name}", env_id, str(steps)), train)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", [vpg, dqn])
def test_a_copied_algorithm_trains_to_the_same_bits(bare, algorithm, tmp_path):
    """The copy is the algorithm: same seed, same metrics, same policy, which is loaded again by either."""
    name = algorithm.__name__.rpartition(".")[2]
    theirs = training.Outcome.load(trained(bare, name, "CartPole-v1", 1600, tmp_path / "empty"))
    ours = algorithm.train(algorithm.Config(total_steps=1600), 3)
    assert ours.metrics.keys() == theirs.metrics.keys()
    assert all((ours.metrics[key] == theirs.metrics[key]).all() for key in ours.metrics)
    obs = np.random.default_rng(0).normal(size=(50, 4))
    theirs.algorithm = ours.algorithm  # it calls itself by the name of its file
    agents = [algorithm.load_policy(run) for run in (ours, theirs)]
    seen = [agent.policy.net if name == "vpg" else agent.q for agent in agents]
    assert all(torch.equal(a, b) for a, b in zip(*(net.parameters() for net in seen), strict=True))
    assert np.array_equal(*(agent.act(obs) for agent in agents))


@pytest.mark.parametrize("name", ["vpg", "dqn"])
def test_a_copied_algorithm_is_lean(name):
    """Lines of code, without comments, docstrings and empty lines."""
    tree = ast.parse(export(f"rlworkshop.algorithms.{name}"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            texts = [n for n in node.body if source.is_text(n)]
            node.body = [n for n in node.body if n not in texts] or [ast.Pass()]
    assert len(ast.unparse(tree).replace("\n\n", "\n").splitlines()) <= 450


def test_a_copy_in_a_notebook_has_no_digest():
    namespace = {"__name__": "__main__"}
    exec(export("rlworkshop.provenance.code_digest"), namespace)
    assert namespace["file_digest"]("rlworkshop.algorithms.vpg") == ""
