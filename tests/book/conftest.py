"""The built site, for tests that read it."""

import os
from pathlib import Path

import pytest

from bookbuild.engine.project import Project

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def real() -> Project:
    """The real book."""
    return Project.at(ROOT)


@pytest.fixture(scope="session")
def site(real) -> Path:
    """The real book's built site. Where it is not built the test is skipped, but not on a build machine."""
    if not (real.site / "search.html").exists():  # the notice of an unfinished build has no such page
        if os.environ.get("CI"):
            pytest.fail(f"there is no built site at {real.site}: `make html` comes first")
        pytest.skip(f"there is no built site at {real.site}: run `make html` first")
    return real.site
