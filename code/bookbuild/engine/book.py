"""What the engine hands to Sphinx: the book, executed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bookbuild.engine.project import Project
from bookbuild.engine.run import Outcome


@dataclass
class Book:
    """A book whose pages have run."""

    project: Project
    executed: Path  # a folder with PAGE.ipynb: the present prose with the outputs of the run
    tests: Any  # which tests enter what
    only: str = ""  # the one page that is built alone; "" for all
    outcomes: dict[str, Outcome] = field(default_factory=dict)  # by page
    exercises: dict[str, dict] = field(default_factory=dict)  # by name
    problems: list[tuple[str, str, int]] = field(default_factory=list)  # message, page, line

    def __reduce__(self):
        return type(None), ()  # what Sphinx keeps of its settings, and sends between processes, has no book
