"""A page's key covers what decides its output, and no more."""

import sys

import pytest

from bookbuild.engine import pages
from bookbuild.engine.project import BookError, Project
from bookbuild.engine.store import Store


@pytest.fixture
def key(fresh):
    """The present key of a page, computed from nothing."""

    def compute(name: str = "alpha") -> str:
        project = Project.at(fresh.root)
        page = pages.read_page(project, project.book / f"{name}.md")
        return Store(project).key(pages.subject(project, page))

    return compute


def modules(fresh, *cells: str) -> set[str]:
    """The files below ``code/`` that a page with ``cells`` stands on."""
    fresh.write("book/index.md", "report\n")
    fresh.add_page("probe", *cells)
    project = Project.at(fresh.root)
    found = pages.modules(project, pages.read_page(project, project.book / "probe.md"))
    return {file.relative_to(project.code).as_posix() for file in found}


# ---- reading


def test_a_page_is_read_with_its_front_matter(fresh):
    fresh.write("book/index.md", "report\n")
    fresh.add_page(
        "safety/x", "1", budget=2.5, more="exclusive: true\ndepends: [settings/*.txt]\nprograms: [cat]"
    )
    project = Project.at(fresh.root)
    page = pages.read_page(project, project.book / "safety/x.md")
    assert (page.name, page.budget, page.exclusive) == ("safety/x", 2.5, True)
    assert page.depends == ("settings/*.txt",) and page.programs == ("cat",) and page.is_chapter
    fresh.edit("book/safety/x.md", "budget: 2.5\n", "")
    page = pages.read_page(project, project.book / "safety/x.md")
    assert page.budget == pages.DEFAULT_BUDGET
    assert not pages.read_page(project, project.book / "alpha.md").is_chapter


def test_pages_without_code_are_no_pages_to_run(fresh):
    assert [page.name for page in pages.read_pages(Project.at(fresh.root))] == ["alpha", "beta", "gamma"]
    fresh.edit("book/gamma.md", "```{code-cell} ipython3", "```python")
    assert [page.name for page in pages.read_pages(Project.at(fresh.root))] == ["alpha", "beta"]


@pytest.mark.parametrize("wrong", ["budget: true", "budget: 0", "budget: .nan", "budget: soon"])
def test_a_budget_must_be_a_number_of_seconds(fresh, wrong):
    fresh.edit("book/beta.md", "budget: 20", wrong)
    with pytest.raises(BookError, match=r"book/beta.md: 'budget: .*' should be a number of seconds above 0"):
        pages.read_pages(Project.at(fresh.root))


def test_a_page_that_cannot_be_read_does_not_hide_the_others(fresh):
    fresh.edit("book/beta.md", "budget: 20", "exclusive: 3")
    problems = {}
    found = pages.read_pages(Project.at(fresh.root), problems)
    assert [page.name for page in found] == ["alpha", "gamma"]
    assert problems == {"beta": "book/beta.md: 'exclusive' should be true or false"}


def test_code_cells_without_front_matter_are_an_error_and_not_silence(fresh):
    fresh.write("book/bare.md", "# Bare\n\n```{code-cell} ipython3\n1\n```\n")
    with pytest.raises(BookError, match="book/bare.md has code cells but no jupytext front matter"):
        pages.read_pages(Project.at(fresh.root))


# ---- the key


@pytest.mark.parametrize(
    ("page", "file", "old", "new"),
    [
        ("alpha", "book/alpha.md", "alpha says", "alpha tells"),  # a cell
        ("alpha", "book/alpha.md", "```{code-cell} ipython3", "```{code-cell} ipython3\n:tags: [hide-input]"),
        ("alpha", "code/tiny/direct.py", "total = ", "sum_ = total = "),  # imported
        ("alpha", "code/tiny/base.py", "41", "10"),  # imported by what is imported
        ("alpha", "code/tiny/__init__.py", "", "print(1)"),  # the package is run as well
        ("alpha", "requirements.txt", "2.4.6", "2.4.5"),
        ("gamma", "settings/a.txt", "one", "two"),  # the depends list
    ],
)
def test_the_key_changes_with(key, fresh, page, file, old, new):
    first = key(page)
    before = (fresh.root / file).read_text()
    fresh.edit(file, old, new)
    assert key(page) != first
    fresh.write(file, before)
    assert key(page) == first


@pytest.mark.parametrize(
    ("page", "file", "old", "new"),
    [
        ("alpha", "book/alpha.md", "# Page alpha", "# Page alpha, with more prose"),
        ("alpha", "book/alpha.md", "{snippet} tiny.direct.shown", "{snippet} tiny.base.number"),
        ("alpha", "code/tiny/other.py", "apple", "pear"),  # not imported
        ("alpha", "book/beta.md", "beta says", "beta tells"),  # another page
        ("alpha", "requirements.txt", "numpy", "# comment\nnumpy"),
        ("alpha", "settings/a.txt", "one", "two"),  # another page's file
    ],
)
def test_the_key_does_not_change_with(key, fresh, page, file, old, new):
    first = key(page)
    fresh.edit(file, old, new)
    assert key(page) == first


def test_the_key_takes_in_the_files_that_a_glob_gains_and_loses(key, fresh):
    first = key("gamma")
    fresh.write("settings/b.txt", "")
    assert key("gamma") != first
    (fresh.root / "settings/b.txt").unlink()
    assert key("gamma") == first


def test_the_key_is_of_one_page_and_one_python(key, fresh, monkeypatch):
    first = key("alpha")
    fresh.write("book/omega.md", (fresh.root / "book/alpha.md").read_text())
    assert key("omega") != first
    monkeypatch.setattr(sys, "version", "3.12.99 (another)")
    assert key("alpha") != first


def test_the_order_of_cells_is_part_of_the_key(key, fresh):
    fresh.add_page("one", "print(1)", "print(2)")
    first = key("one")
    fresh.add_page("one", "print(2)", "print(1)")
    assert key("one") != first


def test_the_programs_that_a_page_may_start_are_part_of_the_key(key, fresh):
    first = key("gamma")
    fresh.edit("book/gamma.md", "depends:", "programs: [cat]\ndepends:")
    assert key("gamma") != first


# ---- imports


@pytest.mark.parametrize(
    "cell",
    [
        "import tiny.direct",
        "from tiny import direct",
        "from tiny.direct import shown",
        "def later():\n    from tiny import direct",
        "%matplotlib inline\nfrom tiny import direct\n!ls\nfiles = !ls\ndirect.shown?",
    ],
)
def test_imports_are_found_and_followed(fresh, cell):
    assert modules(fresh, cell) == {"tiny/__init__.py", "tiny/direct.py", "tiny/base.py"}


def test_relative_imports_circles_and_packages_are_followed(fresh):
    fresh.write("code/deep/__init__.py", "from . import upper\n")
    fresh.write("code/deep/upper.py", "def f():\n    from .lower import leaf\n")
    fresh.write("code/deep/lower/__init__.py", "")
    fresh.write("code/deep/lower/leaf.py", "from ...deep import upper\nfrom ..side import x\n")
    fresh.write("code/deep/side.py", "x = 1\n")
    fresh.write("code/deep/unused.py", "")
    names = ("__init__", "upper", "lower/__init__", "lower/leaf", "side")
    assert modules(fresh, "import deep") == {f"deep/{name}.py" for name in names}


def test_other_packages_and_cells_that_do_not_parse_are_left_to_python(fresh):
    assert modules(fresh, "import json, numpy", "def (", "import tiny") == {"tiny/__init__.py"}


def test_claims_are_read_from_an_executed_notebook(fresh):
    def output(name):
        return {"metadata": {"rlworkshop_claim": {"name": name}}}

    cells = [
        {"cell_type": "code", "outputs": [output("a"), {"metadata": {}}]},
        {"cell_type": "markdown"},
        {"cell_type": "code", "outputs": [{}, output("b")]},
    ]
    assert pages.claims_of({"cells": cells}) == [{"name": "a", "cell": 1}, {"name": "b", "cell": 2}]
