"""The console command: ``rlworkshop train dqn --env-id Acrobot-v1``, ``check NAME [FILE]``, ``teach``,
``projects``, ``conform FILE``, ``setup-check``.

Book: start/how_to_use
"""

import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from rlworkshop import algorithms, setup_check  # all others when they are wanted: something may be missing


def main(arguments: Sequence[str] | None = None) -> int | None:
    """Run the command that ``arguments`` (those of the command line where they are not given) ask for."""
    try:
        status = run([*(sys.argv[1:] if arguments is None else arguments)])
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # ``projects list | head``: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def run(given: list[str]) -> int | None:
    """Run the command ``given``; its exit status."""
    files = {file.stem: file.read_text("utf-8") for file in sorted(Path(algorithms.__path__[0]).glob("*.py"))}
    known = [name for name, text in files.items() if "    command(" in text]  # has a command of its own
    match given:
        case ["train", name, *options] if name in known:
            sys.argv = [f"rlworkshop train {name}", *options]
            sys.path.insert(0, "")  # as with ``python -m``: one's own environment is found where one stands
            runpy.run_module(f"rlworkshop.algorithms.{name}", run_name="__main__")
            return 0
        case ["train", *_]:
            sys.exit(f"rlworkshop: train which algorithm? There is: {', '.join(known)}")
        case ["check", *options]:
            from rlworkshop.check import __main__ as check

            return check.main(options)
        case ["teach", *_]:
            sys.argv = ["rlworkshop", *given]
            runpy.run_module("rlworkshop.safety.learning_from_preferences", run_name="__main__")
            return 0
        case ["projects", *options]:
            from rlworkshop.practice import projects

            return projects.main(options)
        case ["conform", *options]:
            from rlworkshop.practice.debugging import conform

            return conform.main(options)
        case ["setup-check", *options]:
            return setup_check.main(options)
    ways = "train ALGORITHM", "check NAME [FILE]", "teach", "projects list|new", "conform FILE", "setup-check"
    sys.exit(f"usage: {' | '.join(f'rlworkshop {way} [--help]' for way in ways)}")


if __name__ == "__main__":
    sys.exit(main())
