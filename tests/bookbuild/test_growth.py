"""The costs of a large book follow the change, and bookkeeping grows no faster than the book."""

import ast
import builtins
import collections
import copy
import importlib.util
import io

import nbformat
import pytest

from bookbuild.engine import run, store
from bookbuild.engine.forks import Result, Warm

from .conftest import CODE, SmallBook


@pytest.fixture(scope="module")
def light():
    """The benchmark that makes books of light pages."""
    file = CODE.parent / "benchmarks/builder.py"
    spec = importlib.util.spec_from_file_location("benchmarks_builder", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def instant(monkeypatch) -> None:
    """Pages and files of tests do not run, they only seem to have; notebooks are kept in memory."""
    kept: dict[tuple[int, str], nbformat.NotebookNode] = {}

    class Notebooks:
        def __init__(self, folder):
            pass

        def get(self, number, checksum):
            return kept.get((number, checksum))

        def put(self, name, notebook, made_from):
            kept[len(kept), name] = notebook
            return len(kept) - 1, name

    monkeypatch.setattr(store, "Notebooks", Notebooks)

    async def run_page(project, page, environment=None):
        notebook = copy.deepcopy(page.notebook)
        return run.Outcome(page, notebook, seconds=0.1, cpu=0.1, peak_mib=1.0, when="2026-01-01 00:00")

    async def call(self, target, arguments, *more, **options):
        found = {"passed": [f"{arguments[-1]}::test_value"], "failed": [], "skipped": []}
        value = {"status": 0, **found, "seen": {"fast": 1, "slow": 0, "book": 0}, "lines": {}}
        return Result(value, {}, 0, 0.1, "")

    monkeypatch.setattr(run, "run_page", run_page)
    monkeypatch.setattr(Warm, "call", call)


@pytest.fixture
def counted(monkeypatch) -> collections.Counter:
    """How often files are opened, and Python parsed."""
    count = collections.Counter()

    def counting(name, function):
        def call(*arguments, **options):
            count[name] += 1
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(io, "open", counting("open", io.open))
    monkeypatch.setattr(builtins, "open", counting("open", builtins.open))
    monkeypatch.setattr(ast, "parse", counting("parse", ast.parse))
    return count


def test_costs_follow_the_change_and_bookkeeping_grows_no_faster_than_the_book(
    light, instant, counted, tmp_path
):
    found = {}
    for pages in (30, 60, 120):
        book = SmallBook(tmp_path / str(pages))
        light.make_book(book.root, pages)
        steps = {}
        for change in ("everything", "nothing", "a module"):
            if change == "a module":
                book.edit("code/light/m002.py", "+ 2", "+ 3")
            counted.clear()
            steps[change] = book.update().executed
            found[pages, change] = dict(counted)
        assert len(steps["everything"]) == pages + -(-pages // light.PER_MODULE)
        assert steps["nothing"] == set()
        assert steps["a module"] == {"p008", "p009", "p010", "p011", "tests/test_m002.py"}
    for change, most in (("everything", 50), ("nothing", 20), ("a module", 20)):
        for what in ("open", "parse"):
            few, some, many = (found[pages, change].get(what, 0) for pages in (30, 60, 120))
            assert many <= most * 120, found
            assert many - some <= 2.1 * (some - few) + 4, found


def test_a_module_under_all_pages_costs_them_all(light, instant, tmp_path):
    light.make_book(tmp_path, 8)
    book = SmallBook(tmp_path)
    book.update()
    book.edit("code/light/base.py", "2 * x", "x * 2")
    assert len(book.update().executed) == 8 + 2
