"""The real table of mutants fits the code; `make test` and `make mutants` prove that each is killed."""

from pathlib import Path

from bookbuild.engine.project import Project
from mutation import catalogue, table

BOOK = Project.at(Path(__file__).parents[1])


def test_the_table_fits_the_code_and_covers_gae():
    names = [mutant.name for mutant in table.read(BOOK)]
    assert sum("gae" in name.lower() for name in names) >= 8
    assert len(set(names)) == len(names) >= 200
    catalogue.equivalents(BOOK)
