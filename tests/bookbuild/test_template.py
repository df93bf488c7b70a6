"""The templates of a chapter and of an exercise, copied as CONTRIBUTING.md tells, are green at once."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = "algorithms/my_method"
INDEX = "# A book\n\n```{{toctree}}\n{}\n```\n"


def commands(section: str) -> str:
    """The commands of the first console block of a section of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = re.search(rf"^## {section}\n.*?^```console\n(.*?)^```", text, re.S | re.M)[1]
    return "".join(line.removeprefix("$ ") for line in block.splitlines(keepends=True))


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The real configuration and ground floor, with no chapter but the one made from the templates."""
    root = tmp_path_factory.mktemp("project")
    for name in ("conf.py", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, root)
    code = (f"code/{name}" for name in ("bookbuild", "editions", "showcase", "standalone"))
    for name in ("book/_static", "book/_templates", "templates", *code):
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    package = root / "code" / "rlworkshop"
    package.mkdir()
    for file in (ROOT / "code" / "rlworkshop").glob("*.py"):
        shutil.copy(file, package)
    for name in ("envs", "runs", "check"):
        shutil.copytree(ROOT / "code/rlworkshop" / name, package / name)
    for name in ("algorithms", "exercises", "exercises/algorithms"):
        (package / name).mkdir()
        shutil.copy(ROOT / "code" / "rlworkshop" / name / "__init__.py", package / name)
        (root / "tests" / name).mkdir(parents=True)
    for file in package.glob("*/*.py"):  # equations of pages that are left out
        file.write_text(re.sub(r"  # \(eq-[\w-]+\)$", "", file.read_text("utf-8"), flags=re.M), "utf-8")
    shutil.copy(ROOT / "tests" / "exercises" / "test_exercises.py", root / "tests" / "exercises")
    (root / "book" / "algorithms").mkdir()
    script = commands("A chapter in ten minutes") + commands("An exercise in five")
    subprocess.run(["bash", "-eu", "-c", script], cwd=root, check=True)
    page = root / "book" / f"{PAGE}.md"
    text = page.read_text(encoding="utf-8")
    text, shown = re.subn(r"^% (:::.*\n)% (.*\n)% (:::\n)", r"\1\2\3", text, flags=re.M)
    assert shown == 1
    page.write_text(text, encoding="utf-8")
    (root / "book" / "reference").mkdir()
    shutil.copy(ROOT / "book" / "reference" / "references.bib", root / "book" / "reference")
    others = sorted(set(re.findall(r"\{doc\}`/([\w/]+)`", text)))
    for name in others:
        (root / "book" / name).parent.mkdir(exist_ok=True)
        (root / "book" / f"{name}.md").write_text(f"# {name}\n", encoding="utf-8")
    (root / "book" / "redirects.txt").touch()
    (root / "book" / "bibliography.md").write_text("# Read\n\n```{bibliography}\n```\n", encoding="utf-8")
    index = INDEX.format("\n".join([PAGE, "bibliography", *others]))
    (root / "book" / "index.md").write_text(index, encoding="utf-8")
    return root


def run(project: Path, *command: str) -> tuple[int, str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("CI", "BOOK_REPOSITORY_URL")}
    environment |= {"PYTHONPATH": str(project / "code"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=project, env=environment, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_the_chapter_builds_with_its_exercise(project):
    status, output = run(project, "bookbuild", "html")
    assert status == 0, output
    page = (project / "_build" / "html" / f"{PAGE}.html").read_text(encoding="utf-8")
    assert page.count('class="claim held"') == 2
    assert 'id="code-rlworkshop-algorithms-my-method-running-mean"' in page
    assert 'id="exercise-my-method-forgetting"' in page
    assert "build-failed" not in page
    left = [word for word in ("PART", "SLUG", "NAME") if word in re.sub(r"<[^>]+>", "", page)]
    assert left == []


@pytest.mark.slow
def test_its_tests_and_those_of_every_exercise_pass(project):
    status, output = run(project, "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert status == 0, output
    assert " 0 passed" not in output and " skipped" not in output


@pytest.mark.slow
def test_it_is_clean_code(project):
    pytest.importorskip("ruff", reason="ruff is not installed: `make check` brings it")
    files = ["code/rlworkshop/algorithms", "code/rlworkshop/exercises", "tests/algorithms", "tests/exercises"]
    for arguments in (["check"], ["format", "--check"]):
        status, output = run(project, "ruff", *arguments, *files)
        assert status == 0, output
