"""What a person types, and the one line that a mistake gets."""

import errno
import importlib
import inspect
import os

import pytest

from bookbuild import __main__ as cli
from bookbuild.engine.project import BookError
from bookbuild.engine.schedule import Job, Schedule

from .conftest import MINUTES


@pytest.mark.parametrize(
    "arguments",
    [
        ("claims", "--seeds", "1", "--page", "nowhere"),
        ("claims", "--seeds", "0"),
        ("chapter", "nowhere"),
        ("standalone", "tiny.nothing"),
    ],
)
def test_a_mistake_is_one_clear_line_and_exit_status_2(fresh, capsys, arguments):
    assert cli.main(["--root", str(fresh.root), *arguments]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("bookbuild: ") and err.count("\n") == 1
    assert out == ""


def test_an_unknown_page_is_told_which_there_are(fresh, capsys):
    cli.main(["--root", str(fresh.root), "chapter", "book/nowhere.md"])
    said = capsys.readouterr().err
    assert "there is no book/nowhere.md; the pages are: alpha, beta, gamma, index, report" in said


@pytest.mark.parametrize("command", ["html", "test", "clean", "linkcheck"])
def test_a_folder_that_is_no_book(tmp_path, capsys, command):
    assert cli.main(["--root", str(tmp_path), command]) == 2
    assert capsys.readouterr().err == (
        f"bookbuild: no book at {tmp_path.resolve()}: conf.py is missing; run this in the project's folder\n"
    )


def test_an_unknown_command_shows_the_usage(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["bake"])
    assert ended.value.code == 2
    assert "invalid choice: 'bake'" in capsys.readouterr().err


def full(name: str = "x") -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)


def test_a_full_disk_is_found_behind_other_exceptions():
    cause = full()
    assert cli.disk_trouble(cause) is cause
    outer = RuntimeError("while writing")
    outer.__cause__ = ValueError("because")
    outer.__cause__.__context__ = cause
    assert cli.disk_trouble(outer) is cause
    assert cli.disk_trouble(RuntimeError()) is None
    assert cli.disk_trouble(FileNotFoundError(errno.ENOENT, "gone")) is None


def test_a_full_disk_is_found_in_a_job_of_the_schedule():
    cause = full()

    async def work():
        raise cause

    with pytest.raises(OSError) as raised:
        Schedule.begin(Schedule([Job("one", 1, work)], 2, print).run())
    assert cli.disk_trouble(raised.value) is cause


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (full("a/file"), 2, "bookbuild: No space left on device (a/file): mend that and run this again\n"),
        (BookError("mend me"), 2, "bookbuild: mend me\n"),
        (KeyboardInterrupt(), 130, "\nbookbuild: interrupted; what was finished is kept\n"),
    ],
)
def test_what_ends_a_command_is_one_line(fresh, capsys, monkeypatch, raised, status, said):
    def fail(*arguments):
        raise raised

    monkeypatch.setattr(cli, "call", fail)
    assert cli.main(["--root", str(fresh.root), "html"]) == status
    assert capsys.readouterr().err == said


def test_an_error_of_the_builder_itself_is_not_hidden(fresh, monkeypatch):
    monkeypatch.setattr(cli, "call", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["--root", str(fresh.root), "html"])


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_a_function_that_takes_what_it_hands_over(command):
    target, arguments, _ = cli.COMMANDS[command]
    module, function = target.split(":")
    called = getattr(importlib.import_module(module), function)
    inspect.signature(called).bind("project", **{a.lstrip("-"): None for a in arguments})


def test_a_terminal_that_knows_no_greek_is_written_to_all_the_same(fresh):
    """The message of a claim holds ± and γ; an umlaut stands in the name of a module that is not there."""
    claim = 'from rlworkshop.verify import claim\nclaim("γ is 1 ± 0.1 in Ω", value=3, at_most=1.1, name="g")'
    for name in ("alpha", "beta", "gamma"):
        (fresh.root / f"book/{name}.md").unlink()
        fresh.edit("book/index.md", f"{name}\n", "")
    fresh.add_page("greek", claim, "import tiny.größe")
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    process = fresh.start("html", **ascii_only)
    output, _ = process.communicate(timeout=MINUTES)
    assert process.returncode == 1, output
    listed = output.split("failures:")[1]
    assert r"ClaimFailed: claim FAILS: \u03b3 is 1 \xb1 0.1 in \u03a9" in listed
    assert r"No module named 'tiny.gr\xf6\xdfe'" in listed
    assert "Traceback" not in output
