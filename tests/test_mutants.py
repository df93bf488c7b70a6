"""The real table of mutants: each must be killed by its tests."""

from pathlib import Path

import pytest

from bookbuild.engine import mutants
from bookbuild.engine.project import BookError, Project

BOOK = Project.at(Path(__file__).parents[1])
try:
    MUTANTS = mutants.read(BOOK)
except BookError:  # the first test below says why
    MUTANTS = []


def test_the_table_fits_the_code_and_covers_gae():
    table = mutants.read(BOOK)
    assert sum("gae" in mutant.breaks.lower() for mutant in table) >= 8
    names = [(mutant.file, mutant.breaks) for mutant in table]
    assert len(set(names)) == len(names)


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file}: {mutant.breaks}")
def test_the_mutant_is_noticed(mutant):
    assert not mutants.survives(BOOK, mutant), f"no test in {mutant.tests} notices: {mutant.breaks}"
