"""What a person types, and the one line that a mistake gets."""

import errno
import os

import pytest

from bookbuild import __main__ as cli
from bookbuild.engine import run as execute
from bookbuild.engine.project import BookError


@pytest.mark.parametrize(
    ("text", "sets"),
    [("7", [7]), ("1..3", [1, 2, 3]), ("1000..1009", list(range(1000, 1010))), ("5..5", [5])],
)
def test_seed_sets(text, sets):
    assert cli.seed_sets(text) == sets


@pytest.mark.parametrize("text", ["", "0", "0..3", "3..1", "1...3", "1..", "a..b", "-1", "1,2", " 1", "1.5"])
def test_seed_sets_that_make_no_sense(text):
    with pytest.raises(BookError, match="give seed sets from 1 up, as 1000..1009 or 7"):
        cli.seed_sets(text)


@pytest.mark.parametrize(
    "arguments",
    [
        ("claims", "--seeds", "1", "--page", "nowhere"),
        ("claims", "--seeds", "0"),
        ("chapter", "nowhere"),
        ("mutants",),  # the small book has no table
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


@pytest.mark.parametrize("command", ["html", "lint", "mutants", "clean", "linkcheck"])
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
        execute.Schedule([execute.Job("one", 1, work)], 2, print).run()
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

    monkeypatch.setattr(cli, "_run", fail)
    assert cli.main(["--root", str(fresh.root), "html"]) == status
    assert capsys.readouterr().err == said


def test_an_error_of_the_builder_itself_is_not_hidden(fresh, monkeypatch):
    monkeypatch.setattr(cli, "_run", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["--root", str(fresh.root), "html"])
