"""``python -m mutation``: tries the mutants of ``tests/mutants.toml``, or with ``--file`` all of a file."""

import argparse
import sys

from bookbuild.__main__ import guarded
from bookbuild.engine.project import Project
from mutation import catalogue, table


def main(arguments: list[str] | None = None) -> int:
    """Try mutants; the exit status is 1 where one of the table survives."""
    parser = argparse.ArgumentParser(prog="python -m mutation", description=__doc__)
    parser.add_argument("--root", default=".", help="the project's folder (default: this one)")
    parser.add_argument("--file", help="change this file in every way, and list what survives")
    options = parser.parse_args(arguments)

    def command() -> int:
        project = Project.at(options.root)
        return catalogue.run(project, options.file) if options.file else table.run(project)

    return guarded(command)


if __name__ == "__main__":
    sys.exit(main())
