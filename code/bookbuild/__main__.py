"""``python -m bookbuild COMMAND``: what the Makefile calls. Run it in the project's folder."""

import argparse
import errno
import re
import sys

from bookbuild.engine.project import BookError, Project

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; problems that the builder can mend are one line, with exit status 2."""
    parser = argparse.ArgumentParser(prog="python -m bookbuild", description=__doc__)
    parser.add_argument("--root", default=".", help="the project's folder (default: this one)")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (
        ("html", "execute what changed and build the site"),
        ("test", "run the tests that have not passed on what is there now"),
        ("check", "lint, and the fast ones of these tests"),
        ("serve", "build, then serve the site on a free port"),
        ("live", "serve, and build again on every save"),
        ("linkcheck", "check the links to other sites"),
        ("lint", "ruff on code and on the code cells of pages"),
        ("clean", "delete what was built, keep what was executed"),
    ):
        commands.add_parser(name, help=what)
    one = commands.add_parser("chapter", help="execute and build one page alone")
    one.add_argument("page", help="e.g. algorithms/vpg")
    alone = commands.add_parser(
        "standalone", help="an object of the code as one file that runs without the package"
    )
    alone.add_argument("name", help="a module or an object, e.g. rlworkshop.algorithms.vpg")
    mutants = commands.add_parser("mutants", help="break the code on purpose and expect red tests")
    mutants.add_argument("--file", help="change this file in every way instead, and list what survives")
    claims = commands.add_parser("claims", help="re-run claims on other seeds")
    claims.add_argument("--seeds", required=True, help="seed sets, e.g. 1000..1009 or 7")
    claims.add_argument("--page", help="only this page")
    claims.add_argument("--save", action="store_true", help="keep the figures as the page's calibration")
    options = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace", line_buffering=True)  # a terminal may know no γ
    try:
        return _run(Project.at(options.root), options)
    except BookError as error:
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


def _run(project: Project, options: argparse.Namespace) -> int:
    if options.command in ("lint", "check", "test"):
        from bookbuild.engine import lint, suite

        if options.command == "test":
            return suite.run(project)
        return lint.main(project.root) or (options.command == "check" and suite.run(project, fast=True))
    if options.command == "standalone":
        from bookbuild.engine import standalone

        sys.stdout.write(standalone.standalone(project, options.name))
        return 0
    if options.command == "mutants":
        from bookbuild.engine import mechanical, mutants

        return mechanical.run(project, options.file) if options.file else mutants.run(project)
    if options.command == "claims":
        from bookbuild.engine import calibration

        return calibration.rerun(project, seed_sets(options.seeds), options.page, options.save)
    if options.command == "live":
        from bookbuild import live

        return live.run(project)
    from bookbuild import build

    if options.command == "chapter":
        return build.chapter(project, options.page)
    return getattr(build, options.command)(project)


def seed_sets(text: str) -> list[int]:
    """``"1000..1009"`` or ``"7"`` as a list of seed sets.

    Raises:
        BookError: the text is neither, or a set is 0 (the one that builds use).
    """
    found = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last:
        raise BookError(f"SEEDS={text}: give seed sets from 1 up, as 1000..1009 or 7")
    return list(range(first, last + 1))


if __name__ == "__main__":
    sys.exit(main())
