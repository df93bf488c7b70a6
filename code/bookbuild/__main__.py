"""``python -m bookbuild COMMAND``: what the Makefile calls. Run it in the project's folder."""

import argparse
import errno
import importlib
import sys
from collections.abc import Callable

from bookbuild.engine.project import Project
from standalone.source import SourceError

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG)
CLAIMS = ["--seeds", "--page", "--save"]
COMMANDS = {  # the function that does it, its arguments, and what it does
    "html": ("bookbuild.build:html", [], "execute what changed and build the site"),
    "chapter": ("bookbuild.build:chapter", ["name"], "execute and build one page alone, e.g. algorithms/vpg"),
    "epub": ("editions.epub:build", [], "the built site as an e-book"),
    "serve": ("bookbuild.build:serve", [], "build, then serve the site on a free port"),
    "live": ("bookbuild.live:run", [], "serve, and build again on every save"),
    "linkcheck": ("bookbuild.build:linkcheck", [], "check the links to other sites"),
    "clean": ("bookbuild.build:clean", [], "delete what was built, keep what was executed"),
    "test": ("bookbuild.engine.tests:run", ["--fast"], "run the tests that have not passed yet"),
    "claims": ("calibration.claims:rerun", CLAIMS, "re-run claims on other seeds"),
    "standalone": ("standalone.export:show", ["name"], "an object or module as a file that runs alone"),
}
FLAGS = ("--fast", "--save")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; problems that the builder can mend are one line, with exit status 2."""
    parser = argparse.ArgumentParser(prog="python -m bookbuild", description=__doc__)
    parser.add_argument("--root", default=".", help="the project's folder (default: this one)")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, wanted, what) in COMMANDS.items():
        command = commands.add_parser(name, help=what)
        for argument in wanted:
            command.add_argument(argument, **({"action": "store_true"} if argument in FLAGS else {}))
    options = vars(parser.parse_args(arguments))
    root, (target, _, _) = options.pop("root"), COMMANDS[options.pop("command")]
    return guarded(lambda: call(target, Project.at(root), **options))


def call(target: str, project: Project, **options: object) -> int:
    """Do what a command stands for."""
    module, function = target.split(":")
    return getattr(importlib.import_module(module), function)(project, **options)


def guarded(command: Callable[[], int]) -> int:
    """The exit status of ``command``; what a person can mend is one line and status 2."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace", line_buffering=True)  # a terminal may know no γ
    try:
        return command()
    except SourceError as error:
        print(f"bookbuild: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nbookbuild: interrupted; what was finished is kept", file=sys.stderr)
        return 130
    except Exception as error:
        cause = disk_trouble(error)
        if cause is None:
            raise
        place = f" ({cause.filename2 or cause.filename})" if cause.filename else ""
        print(f"bookbuild: {cause.strerror}{place}: mend that and run this again", file=sys.stderr)
    return 2


def disk_trouble(error: BaseException | None) -> OSError | None:
    """The full or forbidden disk behind an exception, if that is what it comes from."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            return error
        error = error.__cause__ or error.__context__
    return None


if __name__ == "__main__":
    sys.exit(main())
