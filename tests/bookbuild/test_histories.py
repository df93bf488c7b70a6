"""Hostile histories: whatever happens between two builds, a page shows what the present code prints."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
CODE = Path(__file__).parents[2] / "code"


def test_a_first_build_runs_everything_and_a_second_nothing(book):
    assert "alpha says 42" in book.page("alpha")
    again = book.build()
    assert again.status == 0
    assert "nothing has changed" in again.output


def test_editing_a_module_runs_the_pages_that_import_it_through_another_and_no_other(book):
    book.edit("code/tiny/base.py", "41", "10")
    edited = book.build()
    assert edited.executed == {"alpha", "tests of the shown code"}
    assert "alpha says 11" in book.page("alpha")
    book.edit("code/tiny/base.py", "10", "41")
    assert book.build().executed == {"tests of the shown code"}  # the page itself comes from the store
    assert "alpha says 42" in book.page("alpha")


def test_editing_a_module_that_no_page_imports_runs_no_page(book):
    book.write("code/tiny/unused.py", "x = 1\n")
    assert book.build().executed == set()


def test_a_data_file_that_a_page_reads_is_part_of_its_key(book):
    book.write("book/data.txt", "second data\n")
    assert book.build().executed == {"beta"}
    assert "second data" in book.page("beta")
    book.write("book/data.txt", "first data\n")
    assert book.build().executed == set()
    assert "first data" in book.page("beta")


def test_files_of_the_depends_list_are_part_of_the_key(book):
    book.write("settings/a.txt", "two\n")
    assert book.build().executed == {"gamma"}
    book.write("settings/b.txt", "new\n")  # the glob matches one more
    assert book.build().executed == {"gamma"}
    (book.root / "settings/b.txt").unlink()
    assert book.build().executed == set()


def test_a_pin_is_part_of_every_key_and_a_comment_is_not(book):
    book.edit("requirements.txt", "numpy==2.4.6", "# why\nnumpy==2.4.6  # because")
    assert book.build().executed == set()
    book.edit("requirements.txt", "2.4.6", "2.4.5")
    assert book.build().executed >= {"alpha", "beta", "gamma"}


def test_prose_is_rendered_anew_without_running_anything(book):
    book.edit("book/alpha.md", "# Page alpha", "# Page alpha\n\nA new sentence.")
    assert book.build().executed == set()
    assert "A new sentence." in book.page("alpha")


def test_touching_changes_nothing(book):
    for file in ("code/tiny/base.py", "book/alpha.md", "book/data.txt"):
        os.utime(book.root / file)
    assert "nothing has changed" in book.build().output


def test_a_raising_cell_stays_red_until_it_is_mended(book):
    book.edit("code/tiny/other.py", 'return "apple"', 'raise ValueError("no fruit")')
    for _ in range(3):
        red = book.build()
        assert red.status == 1
        assert "book/beta.md:11: WARNING: cell 1: ValueError: no fruit" in red.output
    assert 'id="build-failed"' in book.page("beta")
    assert "ValueError: no fruit" in book.page("beta")
    assert "build-failed" not in book.page("alpha")
    book.edit("code/tiny/other.py", 'raise ValueError("no fruit")', 'return "apple"')
    green = book.build()
    assert (green.status, green.executed) == (0, set())
    assert "build-failed" not in book.page("beta")


def test_every_failure_is_listed(book):
    claims = 'from rlworkshop.verify import claim\nclaim("one is two", value=1, at_least=2)'
    book.add_page("bad", claims, 'claim("three is four", value=3, at_least=4)', "1 / 0")
    book.edit("code/tiny/other.py", "return", "return undefined,")
    book.edit("book/gamma.md", "# Page gamma", "# Page gamma\n\n{ref}`nowhere`")
    for _ in range(2):
        red = book.build()
        assert red.status == 1
        listed = red.output.split("failures:")[1]
        for words in (
            "cell 1: ClaimFailed: claim FAILS: one is two: 1 (at least 2; exact)",
            "cell 2: ClaimFailed: claim FAILS: three is four",
            "cell 3: ZeroDivisionError",
            "cell 1: NameError: name 'undefined'",
            "undefined label: 'nowhere'",
        ):
            assert words in listed, listed


def test_a_failing_claim_is_red_even_where_the_page_catches_it(book):
    hidden = 'try:\n    claim("no", value=1, at_least=2)\nexcept Exception:\n    pass'
    book.add_page("sly", f"from rlworkshop.verify import claim\n{hidden}")
    red = book.build()
    assert red.status == 1
    assert "ClaimFailed: no" in red.output


def test_an_intended_exception_is_no_failure(book):
    book.add_page("intended", "1 / 0", options=":tags: [raises-exception]\n")
    assert book.build().status == 0
    assert "ZeroDivisionError" in book.page("intended")


def test_a_sphinx_warning_is_red_until_mended(book):
    book.edit("book/gamma.md", "# Page gamma", "# Page gamma\n\n{doc}`missing`")
    assert [book.build().status for _ in range(2)] == [1, 1]
    book.edit("book/gamma.md", "{doc}`missing`", "")
    assert book.build().status == 0


def test_a_page_that_runs_too_long_is_stopped(book):
    book.add_page("endless", "while True: pass", more="mystnb: {execution_timeout: 1}")
    red = book.build()
    assert red.status == 1
    assert "cell 1: ran longer than 1 s" in red.output


def test_a_kernel_that_dies_is_named(book):
    book.add_page("dying", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    red = book.build()
    assert red.status == 1
    assert "kernel died" in red.output


def test_a_page_that_goes_leaves_nothing_behind(book):
    (book.root / "book/gamma.md").unlink()
    book.edit("book/index.md", "gamma\n", "")
    assert book.build().status == 0
    assert not (book.root / "_build/html/gamma.html").exists()


def test_a_tampered_site_is_written_anew(book):
    site = book.root / "_build/html"
    (site / "alpha.html").write_text("alpha says 43")
    assert book.build().status == 0
    assert "alpha says 42" in book.page("alpha")
    shutil.rmtree(site)
    assert book.build().status == 0
    assert "alpha says 42" in book.page("alpha")


@pytest.mark.parametrize("damage", ["garbage", "empty", "gone", "folder gone"])
def test_a_damaged_database_costs_a_run_and_nothing_else(book, damage):
    folder = book.root / "_build/state/jupyter-cache"
    database = folder / "global.db"
    if damage == "garbage":
        database.write_bytes(b"garbage" * 1000)
    elif damage == "empty":
        database.write_bytes(b"")
    elif damage == "gone":
        database.unlink()
    else:
        shutil.rmtree(folder)
    book.edit("book/alpha.md", "# Page alpha", "# Page alpha\n\nEdited.")
    built = book.build()
    assert (built.status, built.executed) == (0, {"alpha", "beta", "gamma"})
    assert "alpha says 42" in book.page("alpha")


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_stored_page_runs_again(book, damage):
    for file in (book.root / "_build/state/jupyter-cache/executed").glob("*/base.ipynb"):
        text = file.read_text()
        file.write_text(text[: len(text) // 2] if damage == "cut" else text.replace("says 42", "says 43"))
    book.edit("book/alpha.md", "# Page alpha", "# Page alpha\n\nEdited.")
    assert "alpha" in book.build().executed
    assert "alpha says 42" in book.page("alpha")


def test_a_lost_list_of_inputs_never_makes_a_page_stale(book):
    (book.root / "_build/state/inputs.json").write_text("{ not json")
    book.write("book/data.txt", "second data\n")
    assert book.build().status == 0
    assert "second data" in book.page("beta")


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_build_leaves_nothing_stale_and_the_next_one_is_whole(book, how):
    flag = book.root / "_build/state/running"
    code = f"import pathlib, time\npathlib.Path({str(flag)!r}).touch()\ntime.sleep(SECONDS)\nprint('slept')"
    book.add_page("slow", code.replace("SECONDS", "30"))
    book.edit("code/tiny/base.py", "41", "10")
    process = book.start()
    wait_for(flag.exists)
    process.send_signal(how)
    process.wait(timeout=30)
    assert process.returncode != 0
    assert not (book.root / "_build/html/alpha.html").exists()  # the old page is of the old code
    assert "being built" in book.page("index")
    book.edit("book/slow.md", "time.sleep(30)", "time.sleep(0)")
    assert book.build().status == 0
    assert "alpha says 11" in book.page("alpha")
    assert "slept" in book.page("slow")


@pytest.mark.skipif(os.cpu_count() < 2, reason="two pages at once need two cores")
def test_ctrl_c_ends_all_pages_at_once(book):
    flags = [book.root / f"_build/state/running-{name}" for name in ("one", "two")]
    for flag in flags:
        code = f"import pathlib, time\npathlib.Path({str(flag)!r}).touch()\ntime.sleep(100)"
        book.add_page(flag.name[8:], code)
    process = book.start()
    wait_for(lambda: all(flag.exists() for flag in flags))
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted" in output


def test_no_kernel_outlives_a_killed_build(book):
    flag = book.root / "_build/state/pid"
    book.add_page(
        "slow", f"import os, time\nopen({str(flag)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    )
    process = book.start()
    wait_for(lambda: flag.exists() and flag.read_text())
    process.kill()
    process.wait()

    def gone():
        try:
            os.kill(int(flag.read_text()), 0)
        except ProcessLookupError:
            return True
        with open(f"/proc/{flag.read_text()}/stat") as stat:
            return stat.read().split()[2] == "Z"

    wait_for(gone, 10)


def test_two_builds_at_once_both_end_well(fresh):
    processes = [fresh.start() for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sum("waiting for it to end" in output for output in outputs) == 1
    assert sum("nothing has changed" in output for output in outputs) == 1
    assert "alpha says 42" in fresh.page("alpha")


def test_an_edit_while_a_page_runs_counts(book):
    flag = book.root / "_build/state/running"
    code = f"import pathlib, time\npathlib.Path({str(flag)!r}).touch()\ntime.sleep(1.5)"
    book.add_page("slow", "from tiny import other", code, 'print("slow says", other.word())')
    process = book.start()
    wait_for(flag.exists)
    book.edit("code/tiny/other.py", "apple", "pear")
    output, _ = process.communicate(timeout=60)
    assert "sources changed while the book was built" in output or "slow says pear" in book.page("slow")
    assert book.build().status == 0
    assert "slow says pear" in book.page("slow")


def test_two_edits_within_one_second_that_keep_size_and_time(book):
    """Python would run its compiled copy of the old text."""
    file = book.root / "code/tiny/base.py"
    then = os.stat(file)
    subprocess.run(["python3", "-m", "compileall", "-q", str(file.parent)], check=True)
    book.edit("code/tiny/base.py", "41", "10")
    os.utime(file, ns=(then.st_atime_ns, then.st_mtime_ns))
    assert book.build().status == 0
    assert "alpha says 11" in book.page("alpha")


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
    assert (built.status, "alpha" in built.executed) == (0, False)
    assert "alpha says 42" in book.page("alpha")


def test_a_full_disk_is_one_clear_line_and_the_next_run_recovers(book):
    disk = book.root.parent / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], capture_output=True
    )
    if mount.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        shutil.rmtree(book.root / "_build")
        os.symlink(disk, book.root / "_build")
        full = book.build()
        assert full.status != 0
        assert "No space left" in full.output
        assert "Traceback" not in full.output, full.output
    finally:
        (book.root / "_build").unlink()
        subprocess.run(["umount", str(disk)], check=True)
    assert book.build().status == 0
    assert "alpha says 42" in book.page("alpha")


def test_a_snippet_of_nothing_is_red_with_page_and_line(book):
    book.edit("code/tiny/direct.py", "def shown", "def hidden")
    book.edit("book/alpha.md", "direct.shown()", "direct.hidden()")
    red = book.build()
    assert red.status == 1
    assert "book/alpha.md:" in red.output
    assert "no function, class or method 'shown' (there is: hidden)" in red.output


def test_a_snippet_that_no_test_enters_is_red(book):
    book.write(
        "tests/test_direct.py", "from tiny import direct\n\n\ndef test_nothing():\n    assert direct\n"
    )
    for _ in range(2):
        red = book.build()
        assert red.status == 1
        assert "book/alpha.md:15: WARNING: snippet: no passing test enters tiny.direct.shown" in red.output


def test_a_test_that_fails_does_not_count(book):
    book.edit("tests/test_direct.py", "> 0", "< 0")
    assert "no passing test enters tiny.direct.shown" in book.build().output


def test_a_chapter_without_a_claim_is_reported(book):
    book.add_page("algorithms/quiet", "print(1)")
    built = book.build()
    assert built.status == 0
    assert "algorithms/quiet makes no claim" in built.output
    assert "makes no claim" in book.page("report")


def test_budgets_are_compared_and_held_in_ci(book):
    book.add_page("long", "import time; time.sleep(2)", budget=0.1)
    local = book.build()
    assert local.status == 0
    assert "long is over its budget" in local.output
    for page in ("alpha", "beta", "gamma"):
        book.edit(f"book/{page}.md", "budget: 20", "budget: 0.1")
    held = book.build(CI="true")
    assert held.status == 1
    assert "more than their budgets' sum" in held.output


def test_make_chapter_builds_one_page_alone(fresh):
    built = fresh.build("chapter", "beta")
    assert (built.status, built.executed) == (0, {"beta"}), built.output
    assert "beta says apple" in (fresh.root / "_build/chapter/beta.html").read_text()
    assert fresh.build("chapter", "nothing").output.startswith("bookbuild: there is no book/nothing.md")


def test_a_page_built_alone_may_quote_the_claim_of_another(fresh):
    quote = "{claim}`beta#seven-is-at-least-five`"
    fresh.edit("book/alpha.md", "# Page alpha", f"# Page alpha\n\n{quote}")
    fresh.edit("book/report.md", "# Report", f"# Report\n\n{quote}")  # a page without code
    alone = fresh.build("chapter", "alpha")
    assert alone.status == 0, alone.output
    assert fresh.build("chapter", "report").status == 0
    assert fresh.build().status == 0
    assert 'href="beta.html#claim-seven-is-at-least-five">7</a>' in fresh.page("report")
    fresh.edit("book/report.md", "five`", "six`")
    assert "no claim is named 'beta#seven-is-at-least-six'" in fresh.build().output


def test_clean_keeps_what_was_executed(book):
    assert book.build("clean").status == 0
    assert not (book.root / "_build/html").exists()
    built = book.build()
    assert (built.status, built.executed) == (0, set())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("budget: -1", "should be a number of seconds"),
        ("exclusive: maybe", "'exclusive' should be true or false"),
        ("depends: data.txt", "should be a list"),
        ("depends: [no/such.txt]", "matches no file"),
        ("kernelspec: [", "no jupytext front matter that can be read"),
    ],
)
def test_front_matter_that_is_wrong_fails_its_page(book, wrong, message):
    book.edit("book/gamma.md", 'depends: ["settings/*.txt"]', wrong)
    for _ in range(2):
        built = book.build()
        assert built.status == 1
        assert message in built.output.split("failure")[1]
    assert message.split("'")[0] in book.page("gamma")
    assert "alpha says 42" in book.page("alpha")


def test_a_stored_run_is_marked_once_its_code_has_changed(book):
    wings = shutil.ignore_patterns("algorithms", "foundations", "exercises", "__pycache__")
    shutil.copytree(CODE / "rlworkshop", book.root / "code/rlworkshop", ignore=wings)
    book.write("benchmarks/study.py", "from rlworkshop import stats\n")
    store = "runs.store('study', {}, [0, 1], ['rlworkshop.stats'], 'benchmarks/study.py')"
    subprocess.run(
        [sys.executable, "-c", f"from rlworkshop import runs; {store}"],
        cwd=book.root,
        env={"PYTHONPATH": "code"},
        check=True,
    )
    book.add_page("study", "from rlworkshop import runs\nrun = runs.stored('study')")
    assert book.build().status == 0
    assert "digest fits the code" in book.page("study")
    book.edit("code/rlworkshop/stats.py", '"""', '"""Edited. ')
    assert book.build().executed == {"study"}
    assert "THE CODE HAS CHANGED SINCE" in book.page("study")
