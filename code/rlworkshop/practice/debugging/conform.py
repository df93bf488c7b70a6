"""A review of somebody's DQN or PPO: ``rlworkshop conform my_dqn.py --algorithm dqn``.

The file, or a small one that imports it, is an *adapter*: it defines some of the pieces that ``--list``
names, each with the arguments that stand there. What it defines is checked, what it lacks is said. The report
reads like a review: for each objection what was seen, what was expected, a likely cause and the next
experiment. The exit status is 0 where nothing is objected to, 1 where something is, 2 where nothing could be
checked.

Book: practice/debugging
"""

import argparse
import contextlib
import importlib.util
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from rlworkshop.practice.debugging import behaviour, dqn_checks, ppo_checks
from rlworkshop.practice.debugging.checks import (
    FAILED,
    NOT_MADE,
    PASSED,
    Check,
    Finding,
    Reviewed,
    last_line,
    make,
)

PIECES = {
    name: {**checks.PIECES, "train": behaviour.PIECES[name]}
    for name, checks in {"dqn": dqn_checks, "ppo": ppo_checks}.items()
}
"""the pieces of an adapter, by algorithm and name: what each takes and gives"""
CHECKS = {
    "dqn": [*dqn_checks.CHECKS, *behaviour.checks("dqn")],
    "ppo": [*ppo_checks.CHECKS, *behaviour.checks("ppo")],
}
"""what is checked, by algorithm"""


class NothingToReview(Exception):
    """A file cannot be reviewed: the text says why, in one line."""


def load(path: str | Path, algorithm: str) -> ModuleType:
    """The module of an adapter, executed with its own folder on the path.

    Raises:
        NothingToReview: there is no such file, it is no Python, it raises, or it has no piece.

    Book: practice/debugging
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise NothingToReview(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"reviewed_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise NothingToReview(f"{path} is no Python file: its name must end with .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    sys.path.insert(0, str(file.parent))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except SyntaxError as error:
        raise NothingToReview(f"{path} is not Python, line {error.lineno}: {error.msg}") from None
    except (Exception, SystemExit) as error:
        raise NothingToReview(f"{path} raises while it is loaded: {last_line(error, str(file))}") from None
    finally:
        sys.path.remove(str(file.parent))
        del sys.modules[spec.name]
    if not any(hasattr(module, name) for name in PIECES[algorithm]):
        names = ", ".join(PIECES[algorithm])
        raise NothingToReview(f"{path} has none of the pieces of {algorithm}: {names} (see --list)")
    return module


def review(
    path: str | Path, algorithm: str, only: Sequence[str] = (), checks: Sequence[Check] | None = None
) -> list[Finding]:
    """The findings of a review, one for each check, in order.

    Args:
        path: the adapter. algorithm: ``"dqn"`` or ``"ppo"``.
        only: names of checks, or beginnings of names; all where left out.

    Raises:
        NothingToReview: as ``load``; or no check has a name like those of ``only``.

    Book: practice/debugging
    """
    reviewed, found = Reviewed(load(path, algorithm)), {}
    asked = [c for c in checks or CHECKS[algorithm] if not only or c.name.startswith(tuple(only))]
    if not asked:
        raise NothingToReview(f"no check is called like {', '.join(only)}: see --list")
    for check in asked:
        if only:  # asked for by name, it does not wait for others
            check = Check(check.name, check.shows, check.needs, check.run)
        with contextlib.redirect_stdout(sys.stderr):
            found[check.name] = make(check, reviewed, found)
    return [*found.values()]


def report(path: str | Path, algorithm: str, findings: Sequence[Finding]) -> str:
    """A review as text: objections first, in the order in which they are to be mended, then what passed.

    Book: practice/debugging
    """
    by = {verdict: [f for f in findings if f.verdict == verdict] for verdict in (FAILED, PASSED, NOT_MADE)}
    counts = f"{len(by[PASSED])} checks passed, {len(by[FAILED])} failed, {len(by[NOT_MADE])} not made"
    lines = [f"Review of {Path(path).name} as {algorithm.upper()}: {counts}", ""]
    for finding in [f for found in by.values() for f in found]:
        for line in str(finding).split("\n"):
            indent = " " * (14 if line.startswith("    ") else 4)
            lines.append(textwrap.fill(line, 96, subsequent_indent=indent))
    if by[FAILED]:
        lines += ["", f"Begin with {by[FAILED][0].check.name!r}: what fails below it may follow from it."]
    elif by[PASSED]:
        lines += ["", "Nothing to object to in what was checked. On your task it may still not learn."]
    return "\n".join(lines)


def listing(algorithm: str) -> str:
    """The pieces of an adapter and the checks that try them, as text."""
    lines = [f"An adapter for {algorithm} is a Python file that defines some of:", ""]
    for name, words in PIECES[algorithm].items():
        lines += [textwrap.fill(f"{name}: {words}", 96, initial_indent="  ", subsequent_indent="      ")]
    lines += ["", "They are tried by:", ""]
    return "\n".join([*lines, *(f"  {c.name}: {c.shows} [{', '.join(c.needs)}]" for c in CHECKS[algorithm])])


def main(arguments: Sequence[str]) -> int:
    """The command: print a review, and give its exit status.

    Book: practice/debugging
    """
    ask = argparse.ArgumentParser("rlworkshop conform", description="Review an implementation of DQN or PPO.")
    ask.add_argument("file", nargs="?", help="the adapter: a Python file with some of the pieces of --list")
    ask.add_argument("--algorithm", choices=list(CHECKS), default="dqn")
    ask.add_argument("--only", nargs="+", default=(), metavar="CHECK", help="these checks alone")
    ask.add_argument("--list", action="store_true", help="the pieces, and the checks that try them")
    given = ask.parse_args(list(arguments))
    if given.list:
        print(listing(given.algorithm))
        return 0
    if not given.file:
        ask.error("which file? --list says what should be in it")
    try:
        findings = review(given.file, given.algorithm, given.only)
    except NothingToReview as error:
        print(f"rlworkshop conform: {error}", file=sys.stderr)
        return 2
    print(report(given.file, given.algorithm, findings))
    verdicts = {finding.verdict for finding in findings}
    return 1 if FAILED in verdicts else 0 if PASSED in verdicts else 2
