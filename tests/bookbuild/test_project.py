"""Where a book's things are, and what counts as a change of it."""

import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

from bookbuild.engine.project import BookError, Project, drop_bytecode

CODE = Path(__file__).parents[2] / "code"


@pytest.fixture
def project(fresh, monkeypatch) -> Project:
    monkeypatch.delenv("BOOK_REPOSITORY_URL", raising=False)
    return Project.at(fresh.root)


@pytest.mark.parametrize("needed", ["conf.py", "book"])
def test_a_folder_without_a_book_is_refused(tmp_path, needed):
    (tmp_path / "conf.py").touch()
    (tmp_path / "book").mkdir()
    assert Project.at(tmp_path).root == tmp_path
    (tmp_path / needed).rename(tmp_path / "elsewhere")
    with pytest.raises(BookError, match=f"{needed} is missing; run this in the project's folder"):
        Project.at(tmp_path)


def test_a_folder_whose_name_parts_the_path_of_python_is_refused(tmp_path):
    odd = tmp_path / "a:b" / "book of mine"
    (odd / "book").mkdir(parents=True)
    (odd / "conf.py").touch()
    with pytest.raises(BookError, match="':' in its name, which parts the folders of Python's path: rename"):
        Project.at(odd)


def test_settings_come_from_pyproject_and_a_broken_one_is_named(fresh):
    fresh.write("pyproject.toml", '[tool.bookbuild]\nrepository_url = "https://example.org/book/"\n')
    assert Project.at(fresh.root).settings == {"repository_url": "https://example.org/book/"}
    fresh.write("pyproject.toml", "[tool")
    with pytest.raises(BookError, match="pyproject.toml cannot be read"):
        Project.at(fresh.root)


def test_the_address_of_the_repository(project, monkeypatch):
    assert project.repository_url == ""
    assert Project(project.root, {"repository_url": "https://a.org/b/"}).repository_url == "https://a.org/b"
    monkeypatch.setenv("BOOK_REPOSITORY_URL", "https://c.org/d/")
    assert Project(project.root, {"repository_url": "https://a.org/b"}).repository_url == "https://c.org/d"


def test_the_address_of_the_site(project, monkeypatch):
    monkeypatch.delenv("BOOK_BASE_URL", raising=False)
    assert project.base_url == ""
    before = project.fingerprint()
    assert Project(project.root, {"base_url": "https://a.org/b"}).base_url == "https://a.org/b/"
    monkeypatch.setenv("BOOK_BASE_URL", "https://c.org/")
    assert Project(project.root, {"base_url": "https://a.org/b"}).base_url == "https://c.org/"
    assert project.fingerprint() != before, "the site is written anew"


def test_pins_are_the_lines_without_comments(project, fresh):
    fresh.write("requirements.txt", "# why\n\nnumpy==2  # because\nattrs==1\nx @ https://a.org/x#sha256=1\n")
    assert project.pins() == project.pins(False) == ["attrs==1", "numpy==2", "x @ https://a.org/x#sha256=1"]
    fresh.write("requirements.txt", "numpy==2\n# what makes a site of them: a reason\nsphinx==9  # because\n")
    assert project.pins() == ["numpy==2", "sphinx==9"] and project.pins(rendering=False) == ["numpy==2"]
    (fresh.root / "requirements.txt").unlink()
    assert project.pins() == []


def test_the_environment_gives_kernels_one_thread_and_the_present_code_first(project, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/other", str(project.code), ""]))
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    environment = project.environment()
    child = str(CODE / "bookbuild/engine/child")
    assert environment["PYTHONPATH"].split(os.pathsep) == [child, str(project.code), "/other", str(CODE)]
    threads = {name: value for name, value in environment.items() if name.endswith("_NUM_THREADS")}
    assert set(threads.values()) == {"1"}
    assert {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"} <= set(threads)
    assert environment["RLWORKSHOP_RUNS"].startswith(str(project.state))


def test_sources_leave_out_what_is_made_and_what_is_hidden(project, fresh):
    before = set(project.sources())
    for file in ("_build/x.txt", ".venv/x.py", ".hidden", "code/__pycache__/x.pyc", "code/.cache/x"):
        fresh.write(file, "x")
    assert set(project.sources()) == before
    fresh.write("book/_build/x.txt", "x")  # only the project's own build folder is made
    assert set(project.sources()) - before == {fresh.root / "book/_build/x.txt"}


def test_the_fingerprint_follows_contents_and_nothing_else(project, fresh, monkeypatch):
    first = project.fingerprint()
    os.utime(fresh.root / "book/alpha.md")
    fresh.write("_build/html/index.html", "x")
    assert project.fingerprint() == first

    fresh.edit("code/tiny/base.py", "41", "10")
    assert project.fingerprint() != first
    fresh.edit("code/tiny/base.py", "10", "41")
    fresh.write("book/new.md", "# New")
    assert project.fingerprint() != first
    (fresh.root / "book/new.md").rename(fresh.root / "book/newer.md")
    with_newer = project.fingerprint()
    (fresh.root / "book/newer.md").rename(fresh.root / "book/new.md")
    assert project.fingerprint() != with_newer
    (fresh.root / "book/new.md").unlink()
    assert project.fingerprint() == first

    with monkeypatch.context() as patch:
        patch.setattr(sys, "version", "3.99.0 (another)")
        assert project.fingerprint() != first
    monkeypatch.setenv("BOOK_REPOSITORY_URL", "https://a.org/b")
    assert project.fingerprint() != first


def test_the_commit_says_when_files_differ_from_it(project, fresh):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=fresh.root, check=True, capture_output=True)

    assert project.commit() == ""
    git("init", "-b", "main")
    git("add", ".")
    git("commit", "-m", "one")
    clean = project.commit()
    assert len(clean) == 12 and int(clean, 16)
    fresh.edit("code/tiny/base.py", "41", "10")
    assert project.commit() == clean + "+"
    inside = fresh.root / "inside"  # of another project's repository
    (inside / "book").mkdir(parents=True)
    (inside / "conf.py").touch()
    assert Project.at(inside).commit() == ""


def test_bytecode_that_python_would_trust_is_dropped(tmp_path):
    module = tmp_path / "pkg" / "stale.py"
    module.parent.mkdir()
    module.write_text("print('old')")
    then = os.stat(module)
    py_compile.compile(str(module))
    module.write_text("print('new')")
    os.utime(module, ns=(then.st_atime_ns, then.st_mtime_ns))

    def printed() -> str:
        command = [sys.executable, "-B", "-c", "import pkg.stale"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout.strip()

    assert printed() == "old"  # the danger is real
    drop_bytecode(tmp_path)
    assert printed() == "new"
