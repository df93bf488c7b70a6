"""``make live``: serves the book, and shows a page anew when it is saved."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bookbuild import build
from bookbuild.engine.book import bring_up_to_date, lock
from bookbuild.engine.project import Project
from standalone.source import SourceError


@dataclass(frozen=True)
class Live:
    """What is done when files have changed: a page that was saved is rendered alone, otherwise all are."""

    project: Project

    def __call__(self, changed_paths: Sequence[Path]) -> None:
        book = self.project.book
        saved = [file for file in changed_paths if file.suffix == ".md" and file.is_relative_to(book)]
        alone = saved if len(saved) == len(changed_paths) and all(f.exists() for f in saved) else []
        try:
            with lock(self.project):
                held = bring_up_to_date(self.project)
                failures = build.render(held, self.project.build / "live", pages=alone)
        except SourceError as error:
            failures = [str(error)]
        print("\n".join(f"  {line}" for line in failures) or "shown")


def run(project: Project) -> int:
    """Serve the book on a free port of this machine, and follow every save, until interrupted."""
    import uvicorn
    from sphinx_autobuild.__main__ import _create_app
    from sphinx_autobuild.filter import IgnoreFilter

    show = Live(project)
    show(())
    watched = [project.book, project.code, *(project.root / name for name in ("benchmarks", "conf.py"))]
    ignored = IgnoreFilter([], [r"__pycache__", r"/\.", r"~$"])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = "127.0.0.1:{1}".format(*listening.getsockname())
        served = _create_app(
            [f for f in watched if f.exists()], ignored, show, project.build / "live", address
        )
        print(f"http://{address}/  (Ctrl-C ends)", flush=True)
        uvicorn.Server(uvicorn.Config(served, log_level="warning")).run(sockets=[listening])
    return 0
