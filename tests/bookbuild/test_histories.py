"""Whole builds, Sphinx included: the site on disk is that of one finished build of the present sources.

What is run when, and what is kept, is tried without Sphinx in test_book.py.
"""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from bookbuild.engine import run

from .conftest import MINUTES, Built

pytestmark = pytest.mark.slow


def wait_for(condition):
    end = time.monotonic() + MINUTES
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def test_a_first_build_runs_everything_and_a_second_nothing(book):
    assert "alpha says 42" in book.page("alpha")
    for file in ("code/tiny/base.py", "book/alpha.md", "book/data.txt"):
        os.utime(book.root / file)
    again = book.build()
    assert (again.status, again.executed) == (0, set())
    assert "nothing has changed" in again.output


def test_a_module_is_edited_and_the_edit_taken_back(book):
    book.edit("code/tiny/base.py", "41", "10")
    assert book.build().executed == {"alpha", "tests/test_direct.py"}
    assert "alpha says 11" in book.page("alpha")
    book.edit("code/tiny/base.py", "10", "41")
    assert book.build().executed == set()
    assert "alpha says 42" in book.page("alpha")


def test_prose_is_rendered_anew_and_a_page_that_goes_leaves_nothing_behind(book):
    book.edit("book/alpha.md", "# Page alpha", "# Page alpha\n\nA new sentence.")
    (book.root / "book/gamma.md").unlink()
    book.edit("book/index.md", "gamma\n", "")
    built = book.build()
    assert (built.status, built.executed) == (0, set())
    assert "A new sentence." in book.page("alpha") and "alpha says 42" in book.page("alpha")
    assert not (book.root / "_build/html/gamma.html").exists()


def test_every_failure_is_listed_and_marked_and_stays_until_it_is_mended(book):
    claim = 'from rlworkshop.verify import claim\nclaim("one is two", value=1, at_least=2)'
    book.add_page("bad", claim, "1 / 0")
    book.edit("code/tiny/other.py", 'return "apple"', 'raise ValueError("no fruit")')
    book.edit("book/gamma.md", 'depends: ["settings/*.txt"]', "exclusive: maybe")
    book.edit("book/alpha.md", "# Page alpha", "# Page alpha\n\n{ref}`nowhere` {doc}`missing`")
    for _ in range(2):
        red = book.build()
        assert red.status == 1
        listed = red.output.split("failures:")[1]
        for words in (
            "book/bad.md:11: WARNING: cell 1: ClaimFailed: claim FAILS: one is two: 1 (at least 2; exact)",
            "book/bad.md:16: WARNING: cell 2: ZeroDivisionError",
            "book/beta.md:11: WARNING: cell 1: ValueError: no fruit",
            "'exclusive' should be true or false",
            "undefined label: 'nowhere'",
            "book/alpha.md:11: WARNING: unknown document: 'missing'",
        ):
            assert words in listed, listed
        assert 'id="build-failed"' in book.page("beta") and "ValueError: no fruit" in book.page("beta")
        assert "&#x27;exclusive&#x27; should be" in book.page("gamma").replace("'", "&#x27;")
        assert "build-failed" not in book.page("alpha") and "alpha says 42" in book.page("alpha")
    (book.root / "book/bad.md").unlink()
    book.edit("book/index.md", "bad\n", "")
    book.edit("code/tiny/other.py", 'raise ValueError("no fruit")', 'return "apple"')
    book.edit("book/gamma.md", "exclusive: maybe", 'depends: ["settings/*.txt"]')
    book.edit("book/alpha.md", "{ref}`nowhere` {doc}`missing`", "")
    green = book.build()
    assert (green.status, green.executed) == (0, set()), green.output
    assert "build-failed" not in book.page("beta")


def test_a_warning_of_sphinx_alone_is_red_on_every_build(book):
    book.edit("book/gamma.md", "# Page gamma", "# Page gamma\n\n{doc}`missing`")
    assert [book.build().status for _ in range(2)] == [1, 1]


def test_a_snippet_without_a_test_that_passes_is_red(book):
    book.edit("tests/test_direct.py", "> 0", "< 0")
    for _ in range(2):
        red = book.build()
        assert red.status == 1
        assert "book/alpha.md:15: WARNING: snippet: no passing test enters tiny.direct.shown" in red.output
        assert "assert 42 < 0" in red.output


def test_a_tampered_site_is_written_anew(book):
    site = book.root / "_build/html"
    (site / "alpha.html").write_text("alpha says 43")
    assert book.build().status == 0
    assert "alpha says 42" in book.page("alpha")
    shutil.rmtree(site)
    assert book.build().status == 0
    assert "alpha says 42" in book.page("alpha")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_build_leaves_nothing_stale_and_no_kernel_and_the_next_one_is_whole(book, how):
    flags = {name: book.root / f"_build/state/pid-{name}" for name in ("one", "two")}
    for name, flag in flags.items():
        code = f"import os, time\nopen({str(flag)!r}, 'w').write(str(os.getpid()))\ntime.sleep({MINUTES})"
        book.add_page(name, code, budget=30)
    never = book.root / "_build/state/never"
    book.add_page("three", f"open({str(never)!r}, 'w')", budget=1)
    book.edit("code/tiny/base.py", "41", "10")
    process = book.start()
    running = list(flags.values()) if os.cpu_count() > 1 else [flags["one"]]
    wait_for(lambda: all(flag.exists() and flag.read_text() for flag in running))
    process.send_signal(how)
    output, _ = process.communicate(timeout=MINUTES)
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    if how == signal.SIGINT:
        assert "interrupted; what was finished is kept" in output and "Traceback" not in output
    assert not {"one", "two", "three"} & Built(1, output).executed and not never.exists()

    def gone(pid: str) -> bool:
        try:
            with open(f"/proc/{pid}/stat") as stat:
                return stat.read().split()[2] == "Z"
        except FileNotFoundError:
            return True

    for flag in running:
        wait_for(lambda flag=flag: gone(flag.read_text()))
    assert not (book.root / "_build/html/alpha.html").exists()  # the old page is of the old code
    assert "being built" in book.page("index")
    for name in flags:
        book.edit(f"book/{name}.md", f"time.sleep({MINUTES})", "print('slept')")
    assert book.build().status == 0
    assert "alpha says 11" in book.page("alpha")
    assert "slept" in book.page("one") and "slept" in book.page("two")


def test_two_builds_at_once_both_end_well(fresh):
    processes = [fresh.start() for _ in range(2)]
    outputs = [process.communicate(timeout=MINUTES)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sum("waiting for it to end" in output for output in outputs) == 1
    assert sum("nothing has changed" in output for output in outputs) == 1
    assert "alpha says 42" in fresh.page("alpha")


def test_an_edit_of_prose_while_the_book_is_built_counts(book, monkeypatch):
    true = run.run_page

    async def run_page(project, page, environment=None):
        book.edit("book/gamma.md", "# Page gamma", "# Page gamma\n\nLate prose.")
        return await true(project, page, environment)

    book.write("book/data.txt", "second data\n")
    with monkeypatch.context() as patch:
        patch.setattr(run, "run_page", run_page)
        early = book.build()
    assert early.status == 1 and "sources changed while the book was built: run this again" in early.output
    assert book.build().status == 0
    assert "Late prose." in book.page("gamma") and "second data" in book.page("beta")


def test_switching_branches_and_back(book):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=book.root, check=True, capture_output=True)

    book.write(".gitignore", "_build\n__pycache__\n")
    git("init", "-b", "main")
    git("add", ".")
    git("commit", "-m", "one")
    git("checkout", "-b", "other")
    book.edit("code/tiny/base.py", "41", "10")
    git("commit", "-am", "two")
    assert book.build().status == 0
    assert "alpha says 11" in book.page("alpha")
    git("checkout", "main")
    built = book.build()
    assert (built.status, built.executed) == (0, set())
    assert "alpha says 42" in book.page("alpha")


def test_a_full_disk_is_one_clear_line_and_the_next_run_recovers(book):
    disk = book.root.parent / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    for name in ("beta", "gamma"):
        (book.root / f"book/{name}.md").unlink()
        book.edit("book/index.md", f"{name}\n", "")
    try:
        shutil.rmtree(book.root / "_build")
        os.symlink(disk, book.root / "_build")
        process = book.start()  # of its own, for it keeps the disk busy
        output, _ = process.communicate(timeout=MINUTES)
        assert process.returncode != 0
        assert "No space left" in output
        assert "Traceback" not in output, output
    finally:
        (book.root / "_build").unlink()
        subprocess.run(["umount", str(disk)], check=True)
    assert book.build().status == 0
    assert "alpha says 42" in book.page("alpha")


def test_a_chapter_without_a_claim_is_reported_and_budgets_are_held_in_ci(book):
    book.add_page("algorithms/quiet", "import time\nwhile time.process_time() < 2: pass", budget=0.1)
    local = book.build()
    assert local.status == 0
    assert "algorithms/quiet makes no claim" in local.output and "makes no claim" in book.page("report")
    assert "algorithms/quiet is over its budget" in local.output
    for page in ("alpha", "beta", "gamma"):
        book.edit(f"book/{page}.md", "budget: 20", "budget: 0.1")
    held = book.build(CI="true")
    assert (held.status, held.executed) == (1, set())
    assert "all pages together cost more than their budgets" in held.output.split("1 failure:")[1]


def test_one_page_is_built_alone_and_may_quote_the_claim_of_another(fresh):
    quote = "{claim}`beta#seven-is-at-least-five`"
    fresh.edit("book/alpha.md", "# Page alpha", f"# Page alpha\n\n{quote}")
    fresh.edit("book/report.md", "# Report", f"# Report\n\n{quote}")  # a page without code
    alone = fresh.build("chapter", "alpha")
    assert (alone.status, alone.executed) == (0, {"alpha", "tests/test_direct.py"}), alone.output
    assert "alpha says 42" in (fresh.root / "_build/chapter/alpha.html").read_text()
    assert fresh.build("chapter", "report").status == 0
    whole = fresh.build()
    assert (whole.status, whole.executed) == (0, {"beta", "gamma"}), whole.output
    assert 'href="beta.html#claim-seven-is-at-least-five">7</a>' in fresh.page("report")
    fresh.edit("book/report.md", "five`", "six`")
    assert "no claim is named 'beta#seven-is-at-least-six'" in fresh.build().output
    assert fresh.build("chapter", "nothing").output.startswith("bookbuild: there is no book/nothing.md")


def test_clean_keeps_what_was_executed(book):
    assert book.build("clean").status == 0
    assert not (book.root / "_build/html").exists()
    built = book.build()
    assert (built.status, built.executed) == (0, set())


def test_the_builder_is_a_program_of_its_own(book):
    """What the other histories do in this process."""
    book.edit("book/alpha.md", "# Page alpha", "# Page alpha\n\nA new sentence.")
    process = book.start()
    output, _ = process.communicate(timeout=MINUTES)
    assert process.returncode == 0 and "the book is at _build/html/index.html" in output, sys.executable
    assert "A new sentence." in book.page("alpha")
