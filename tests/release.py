"""What must be in order before a release, beyond green tests: `make release-check`."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from rlworkshop import benchmarks, runs

ROOT = Path(__file__).parents[1]


RESULTS = sorted((ROOT / "benchmarks/results").glob("*.json"))
ROWS = [found.row.name for found in benchmarks.table()]


@pytest.mark.parametrize("file", RESULTS, ids=lambda f: f.stem)
def test_a_stored_run_is_one_of_this_code(file):
    stored = runs.stored(file.stem, folder=file.parent)
    assert stored.fits, stored.note


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_the_benchmark_table_is_one_of_this_code(name):
    (found,) = [found for found in benchmarks.table() if found.row.name == name]
    assert found.fits, f"{found.row.command} runs it anew"


@pytest.mark.parametrize("file", ["CHANGELOG.md", "CITATION.cff", "code/rlworkshop/__init__.py"])
def test_the_version_is_the_same_everywhere(file):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert version in (ROOT / file).read_text(encoding="utf-8")


def test_everything_is_committed():
    status = subprocess.run(["git", "-C", ROOT, "status", "--porcelain"], capture_output=True, check=True)
    assert status.stdout == b""
