"""``make live``: serves the book, and shows a page anew when it is saved."""

import socket
from collections.abc import Sequence
from pathlib import Path

from bookbuild import build
from bookbuild.engine.book import bring_up_to_date, lock
from bookbuild.engine.project import Project
from standalone.source import SourceError


class Live:
    """What is done when files have changed: a page that was saved is rendered alone, otherwise all are."""

    def __init__(self, project: Project):
        self.project = project
        self.there: set[Path] = set()  # files when it was last done

    def __call__(self, changed_paths: Sequence[Path]) -> None:
        book = self.project.book
        # an editor that saves writes other files and deletes them again: those were never there
        changed = [file for file in changed_paths if file.exists() or file in self.there]
        self.there = {file for folder in self.watched() for file in folder.rglob("*")}
        saved = [file for file in changed if file.suffix == ".md" and file.is_relative_to(book)]
        alone = saved if len(saved) == len(changed) and all(f.exists() for f in saved) else []
        try:
            with lock(self.project):
                held = bring_up_to_date(self.project)
                failures = build.render(held, self.project.build / "live", pages=alone)
        except SourceError as error:
            failures = [str(error)]
        print("\n".join(f"  {line}" for line in failures) or "shown")

    def watched(self) -> list[Path]:
        """The folders and files of which a change is shown."""
        project = self.project
        found = [project.book, project.code, project.root / "benchmarks", project.root / "conf.py"]
        return [path for path in found if path.exists()]


def run(project: Project) -> int:
    """Serve the book on a free port of this machine, and follow every save, until interrupted."""
    import uvicorn
    from sphinx_autobuild.__main__ import _create_app
    from sphinx_autobuild.filter import IgnoreFilter

    show = Live(project)
    show(())
    ignored = IgnoreFilter([], [r"__pycache__", r"/\.", r"~$"])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = "127.0.0.1:{1}".format(*listening.getsockname())
        served = _create_app(show.watched(), ignored, show, project.build / "live", address)
        print(f"http://{address}/  (Ctrl-C ends)", flush=True)
        uvicorn.Server(uvicorn.Config(served, log_level="warning")).run(sockets=[listening])
    return 0
