"""What readers take away, as jobs: the export of each module of which the book shows something is proven.

It has to run in a bare process that has none of the book, and to pass the tests of the original.
"""

import asyncio
import functools
import re
import sys
import tempfile
from pathlib import Path

from bookbuild.engine import watch
from bookbuild.engine.forks import Warm
from bookbuild.engine.project import BookError, Project
from bookbuild.engine.schedule import Job
from bookbuild.engine.source import locate
from bookbuild.engine.standalone import Standalone, export
from bookbuild.engine.store import Store, Subject
from bookbuild.engine.tests import PARTS, Tests

SHOWN = re.compile(r"^`{3,}\{(?:snippet|download-module)\} +(\S+)", re.M)
EXPECTED = 10.0  # seconds of a module
BARE = """
import runpy, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split(","):
            raise ImportError(f"{name} is of the book")
sys.meta_path.insert(0, Block())
runpy.run_path(sys.argv[2], run_name="taken")
"""


class Exports:
    """The exports of one project, and what is wrong with them."""

    def __init__(self, project: Project, store: Store, tests: Tests):
        self.project, self.store, self.tests = project, store, tests
        self.passed: list[str] = []
        self.failed: dict[str, str] = {}  # module -> why

    def modules(self) -> list[str]:
        """The modules of which a page shows or offers something."""
        found = set()
        for page in self.project.book.glob("**/*.md"):
            for name in SHOWN.findall(page.read_text("utf-8", "replace")):
                try:
                    found.add(locate(self.project, name)[0])
                except (BookError, SyntaxError):
                    continue  # the page will say so
        return sorted(found)

    def mirror(self, module: str) -> Path | None:
        """The file of tests that mirrors a module, or its package."""
        place = (self.project.root / "tests").joinpath(*module.split(".")[1:])
        names = (
            place.with_name(f"test_{place.name}.py"),
            place.parent.with_name(f"test_{place.parent.name}.py"),
        )
        return next((file for file in names if file.exists()), None)

    def jobs(self, warm: Warm) -> list[Job]:
        """The work that is left; what is known is taken from the store."""
        todo = []
        for module in self.modules():
            file = self.mirror(module)
            if file is None:
                self.failed[module] = "no file of tests mirrors it"
                continue
            try:
                made = export(self.project, module)
            except BookError as error:
                self.failed[module] = str(error)
                continue
            files = self.tests.subject(file, "fast").files
            subject = Subject("exports", module, made.text, files)
            if self.store.get(subject) is not None:
                self.passed.append(module)
            else:
                work = functools.partial(self._run, warm, subject, made, file)
                todo.append(Job(f"{module} as it is taken away", EXPECTED, work))
        return todo

    async def _run(self, warm: Warm, subject: Subject, made: Standalone, file: Path) -> None:
        key = self.store.key(subject)
        with tempfile.TemporaryDirectory(prefix="export-") as scratch:
            copied, log = Path(scratch) / "copied.py", Path(scratch) / "log"
            copied.write_text(made.text, encoding="utf-8")
            why = await self._bare(copied) or await self._pointed(warm, made, copied, file, log)
            inputs = watch.inputs(log) if log.exists() else {}
        if why:
            self.failed[subject.name] = why
            return
        self.passed.append(subject.name)
        unseen = {name: digest for name, digest in inputs.items() if not name.startswith("program ")}
        if self.store.key(subject) == key and self.store.unchanged(subject, unseen):
            self.store.put(subject, {}, unseen, key)

    async def _bare(self, copied: Path) -> str:
        """What goes wrong when the file is run where nothing of the book is."""
        own = {entry.stem for entry in self.project.code.iterdir()} | {"bookbuild"}
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-I", "-c", BARE, ",".join(sorted(own)), str(copied)], cwd=copied.parent,
            env=self.project.environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        printed, _ = await process.communicate()
        text = printed.decode("utf-8", "replace")
        return text or (f"it ends with status {process.returncode}" if process.returncode else "")

    async def _pointed(self, warm: Warm, made: Standalone, copied: Path, file: Path, log: Path) -> str:
        """What the original's tests say with the copy in the place of the original."""
        done = await warm.call(
            "bookbuild.engine.collect:run_tests_on_copy", str(copied), list(made.names),
            ["-x", "-m", PARTS["fast"], self.tests.name(file)], str(log),
            folder=self.project.root, scratch=copied.parent,
            environment={**self.store.environment, "MPLBACKEND": "agg"},
        )  # fmt: skip
        if done.value is None or done.value["status"] or not done.value["passed"]:
            return done.printed or "its tests did not run"
        return "" if done.value["entered"] else "no test entered the copy"
