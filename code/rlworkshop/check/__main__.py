"""The command that checks an answer.

Book: start/how_to_use
"""

import argparse
import contextlib
import json
import os
import sys
import textwrap
from pathlib import Path

from rlworkshop import exercises
from rlworkshop.check.answer import TIME_LIMIT, judge, transcript


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status.

    Book: start/how_to_use
    """
    parser = argparse.ArgumentParser(
        prog="python -m rlworkshop.check", description="Check an answer to an exercise of the book."
    )
    parser.add_argument("name", nargs="?", help="the exercise, as its page calls it")
    parser.add_argument("file", nargs="?", type=Path, help="the file with your answer")
    parser.add_argument(
        "--list", action="store_true", help="the exercises there are; with NAME, those that begin so"
    )
    parser.add_argument("--stub", metavar="NAME", help="print the file to begin with")
    parser.add_argument("--limit", type=float, default=TIME_LIMIT, help="seconds that the answer may take")
    options = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that has no ✓
    try:
        if options.list:
            found = {n: e for n, e in exercises.every().items() if n.startswith(options.name or "")}
            if not found:
                raise KeyError(f"no exercise's name begins with {options.name!r}: --list alone shows all")
            width = max(map(len, found), default=0)
            print(*(f"{e.name:{width}}  {e.title} ({e.page})" for e in found.values()), sep="\n", flush=True)
            return 0
        if options.stub:
            print(exercises.find(options.stub).stub, end="")
            return 0
        if not (options.name and options.file):
            parser.error("give the exercise and your file, as in: vpg-reward-to-go my.py; or --list")
        if not options.file.is_file():
            name = exercises.find(options.name).name
            what = "is a folder" if options.file.is_dir() else "is not there"
            raise KeyError(f"{options.file} {what}. To begin: {parser.prog} --stub {name} > my.py")
        file = options.file.resolve()
        try:
            verdict = judge(options.name, exercises.modules(options.name), file, options.limit)
        except KeyError:
            exercises.find(options.name)  # says which names are close
            raise
    except KeyError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    except BrokenPipeError:  # ``--list | head``: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    print(transcript(verdict))
    said = f"{verdict.name} {file}"
    if verdict.wrong is None:
        _times_said(said, "")
        return 0
    hints = verdict.wrong.hints
    number = min(_times_said(said, str(verdict.wrong)), len(hints))
    if hints:
        more = " The next try brings the next one." if number < len(hints) else ""
        print("\n" + textwrap.fill(f"Hint {number} of {len(hints)}: {hints[number - 1]}{more}", 96))
    print(f"\nRead again: {verdict.reread}")
    return 1


def _memory() -> Path:
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"  # nobody else's
    return Path(folder, "rlworkshop", "hints.json")


def _times_said(about: str, message: str) -> int:
    """How often in a row ``message`` has now been said; kept in a file of the user's cache."""
    file = _memory()
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        last, count = said.get(about, ("", 0))
    except (OSError, ValueError, AttributeError):
        said, last, count = {}, "", 0
    count = count + 1 if message == last else 1
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({**said, about: (message, count)}), encoding="utf-8")
    return count


if __name__ == "__main__":
    sys.exit(main())
