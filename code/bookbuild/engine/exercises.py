"""The exercises of the book as jobs: each module of them is read, and every solution given to its checker.

They are those of the modules ``code/PACKAGE/exercises/PART/PAGE.py``.
"""

import functools
from pathlib import Path

from bookbuild.engine.forks import Warm
from bookbuild.engine.project import Project
from bookbuild.engine.schedule import Job
from bookbuild.engine.store import Store, Subject
from rlworkshop import check, provenance


class Exercises:
    """The exercises of one project, by name, and what is wrong with those that cannot be read."""

    def __init__(self, project: Project, store: Store):
        self.project, self.store = project, store
        self.found: dict[str, dict] = {}
        self.problems: list[str] = []

    def jobs(self, warm: Warm) -> list[Job]:
        """The work that is left; what is known is taken from the store."""
        todo = []
        for file in sorted(self.project.code.glob("*/exercises/**/[!_]*.py")):
            module = ".".join(file.relative_to(self.project.code).with_suffix("").parts)
            files = provenance.closure({file, Path(check.__file__)}, self.project.code)
            subject = Subject("exercises", module, "", frozenset(files))
            if (known := self.store.get(subject)) is not None:
                self.found |= known
            else:
                todo.append(Job(module, 3.0, functools.partial(self._run, warm, subject)))
        return todo

    async def _run(self, warm: Warm, subject: Subject) -> None:
        key = self.store.key(subject)
        call = ("bookbuild.engine.collect:watched", "rlworkshop.check:describe", subject.name)
        done = await warm.call(*call, folder=self.project.root)
        if done.value is None:
            last = (done.printed.strip().splitlines() or ["their process ended without a word"])[-1]
            self.problems.append(f"the exercises of {subject.name} cannot be read: {last}")
            return
        self.found |= done.value
        if all(exercise["right"] for exercise in done.value.values()):
            self.store.put(subject, key, done.value, done.inputs)
