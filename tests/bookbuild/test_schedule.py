"""Jobs run on all cores, the longest first; a page runs in its own kernel, and all its faults are noted."""

import asyncio
import sys
from pathlib import Path

import pytest

from bookbuild.engine import pages
from bookbuild.engine.project import Project
from bookbuild.engine.run import Job, Schedule, refresh, run_page


class Watched:
    """Jobs that note when they begin and end."""

    def __init__(self):
        self.begun, self.ended, self.now, self.most = [], [], set(), 0
        self.beside = {}  # job -> the jobs that ran when it began

    def job(self, name: str, expected: float, exclusive: bool = False, seconds: float = 0.01) -> Job:
        async def work():
            self.begun.append(name)
            self.beside[name] = set(self.now)
            self.now.add(name)
            self.most = max(self.most, len(self.now))
            await asyncio.sleep(seconds)
            self.now.remove(name)
            self.ended.append(name)

        return Job(name, expected, work, exclusive)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_the_longest_go_first_and_every_core_works(watched):
    jobs = [watched.job(f"j{expected}", expected) for expected in (3, 9, 1, 7, 5)]
    Schedule(jobs, 2, lambda line: None).run()
    assert watched.begun == ["j9", "j7", "j5", "j3", "j1"]
    assert watched.most == 2


def test_one_core_runs_one_at_a_time_and_many_cores_all(watched):
    Schedule([watched.job(str(i), i) for i in range(5)], 1, lambda line: None).run()
    assert watched.most == 1
    Schedule([watched.job(str(i), i) for i in range(5)], 16, lambda line: None).run()
    assert watched.most == 5


def test_exclusive_jobs_run_last_and_alone(watched):
    exclusive = [watched.job("small alone", 1, True), watched.job("big alone", 99, True)]
    Schedule([*exclusive, *(watched.job(str(i), i) for i in range(4))], 4, lambda line: None).run()
    assert watched.begun[-2:] == ["big alone", "small alone"]
    assert watched.beside["big alone"] == watched.beside["small alone"] == set()
    assert set(watched.ended[:4]) == {"0", "1", "2", "3"}


def test_a_free_core_takes_the_next_job_at_once(watched):
    jobs = [watched.job("long", 9, seconds=0.2), *(watched.job(str(i), i, seconds=0.01) for i in range(6))]
    Schedule(jobs, 2, lambda line: None).run()
    assert watched.ended[-1] == "long"  # all the others went by on the other core


def test_nothing_to_do_says_nothing():
    said = []
    Schedule([], 2, said.append).run()
    assert said == []


def test_off_a_terminal_there_is_a_line_for_each_job(watched, capsys):
    said = []
    Schedule([watched.job(f"page {i}", 30) for i in range(3)], 1, said.append).run()
    assert [line[: len("[1/3] page 0")] for line in said] == [f"[{i + 1}/3] page {i}" for i in range(3)]
    left = [int(line.split("about ")[1].split(" s left")[0]) for line in said]
    assert left == [60, 30, 0]
    assert all("(0.0 s) elapsed 0 s" in line and "\r" not in line for line in said)
    assert capsys.readouterr().out == ""


def test_the_estimate_of_what_is_left(watched, monkeypatch):
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    schedule = Schedule([watched.job("a", 10), watched.job("b", 4), watched.job("c", 4)], 2, print)
    assert schedule.left() == pytest.approx(9)  # all of it on two cores
    for name in "ab":
        del schedule.waiting[name]
        schedule.running[name] = now
    now = 104.5  # b is over its time: it counts as almost done; a still needs 5.5, then 4 wait
    assert schedule.left() == pytest.approx(5.5)
    now = 1000.0
    assert 0 < schedule.left() <= 6
    schedule.running.clear()
    schedule.waiting.clear()
    assert schedule.left() == 0


@pytest.mark.parametrize("exclusive", [False, True])
def test_an_exception_in_one_job_ends_the_others(watched, exclusive):
    async def fail():
        await asyncio.sleep(0.02)
        raise OSError("of the one")

    jobs = [watched.job("other", 1, seconds=30), watched.job("waiting", 0)]
    jobs = [Job("bad", 99, fail, exclusive), *(jobs if not exclusive else [])]
    with pytest.raises((OSError, ExceptionGroup)) as caught:
        Schedule(jobs, 2, lambda line: None).run()  # would take half a minute if it waited
    raised = caught.value.exceptions[0] if isinstance(caught.value, ExceptionGroup) else caught.value
    assert str(raised) == "of the one"
    assert watched.ended == [] and "waiting" not in watched.begun


# ---- with kernels

CODE = Path(__file__).parents[2] / "code"
CELLS = [
    "import os, sys\nprint(os.environ['MORE'], os.environ['OMP_NUM_THREADS'], sys.executable)",
    'from rlworkshop.verify import claim\nclaim("held", 3, at_least=1, name="a")\nopen("data.txt").read()',
    'claim("not held", 0, at_least=1, name="b")',
    'open("made.txt", "w").close()\nprint("still runs")',
    "1 / 0",
    'print("never reached")',
]


@pytest.fixture
def kernels(monkeypatch):
    """The small book's kernels find the builder, as they do in a process that make has started."""
    monkeypatch.setenv("PYTHONPATH", str(CODE))


def read(project, name):
    return pages.read_page(project, project.book / f"{name}.md")


@pytest.mark.slow
def test_a_page_runs_in_its_folder_and_all_its_faults_are_noted(fresh, kernels):
    fresh.add_page("probe", *CELLS)
    project = Project.at(fresh.root)
    outcome = asyncio.run(run_page(project, read(project, "probe"), {"MORE": "thanks"}))
    cells = [cell for cell in outcome.notebook.cells if cell.cell_type == "code"]
    assert cells[0].outputs[0].text.split() == ["thanks", "1", sys.executable]
    assert cells[1].outputs[-1].data["text/plain"] == repr("first data\n")
    assert cells[3].outputs[0].text == "still runs\n"
    assert cells[5].outputs == []
    assert [claim["name"] for claim in outcome.claims] == ["a", "b"]
    assert [(failure.cell, failure.error.split(":")[0]) for failure in outcome.failures] == [
        (3, "ClaimFailed"),
        (5, "ZeroDivisionError"),
    ]
    lines = (fresh.root / "book/probe.md").read_text().splitlines()
    assert [lines[failure.line - 1] for failure in outcome.failures] == [CELLS[2], CELLS[4]]
    assert not outcome.cached and outcome.seconds > 0
    assert not any("execution" in cell.metadata for cell in cells)


@pytest.mark.slow
def test_only_good_pages_are_stored_with_what_they_read(fresh, kernels):
    fresh.edit("book/gamma.md", 'print("gamma runs alone")', "1 / 0")
    project = Project.at(fresh.root)
    chosen = [read(project, "beta"), read(project, "gamma")]
    said, ran = [], []

    async def beside():
        ran.append("beside")

    first = refresh(project, chosen, [Job("beside", 1, beside)], said.append, cores=2)
    assert (len(said), ran) == (3, ["beside"])
    assert "book/data.txt" in first["beta"].opened and "code/tiny/other.py" in first["beta"].opened
    assert first["beta"].peak_mib > 10 and first["beta"].failures == []
    second = refresh(project, chosen, say=said.append, cores=2)
    assert [line.split(" (")[0] for line in said[3:]] == ["[1/1] gamma"]
    assert second["beta"].cached and second["beta"].claims == first["beta"].claims
    assert (second["beta"].seconds, second["beta"].when) == (first["beta"].seconds, first["beta"].when)
    assert second["gamma"].failures == first["gamma"].failures != []


@pytest.mark.slow
@pytest.mark.parametrize("file", ["code/tiny/other.py", "book/data.txt"])
def test_an_edit_of_what_a_page_has_read_while_it_runs_counts(fresh, kernels, file):
    flag = fresh.root / "_build/edited"
    old, new = ("apple", "pear") if file.endswith(".py") else ("first", "second")
    edit = f"""\
import pathlib
flag, file = pathlib.Path({str(flag)!r}), pathlib.Path({str(fresh.root / file)!r})
if not flag.exists():
    flag.touch()
    file.write_text(file.read_text().replace({old!r}, {new!r}))
"""
    fresh.edit("book/beta.md", "from rlworkshop", f"{edit}\nfrom rlworkshop")
    project = Project.at(fresh.root)
    (fresh.root / "_build").mkdir()
    for _ in range(2):
        outcome = refresh(project, [read(project, "beta")], say=lambda line: None)["beta"]
    assert flag.exists()
    outputs = [output for cell in outcome.notebook.cells for output in cell.get("outputs", [])]
    shown = "".join(output.get("text", "") for output in outputs)
    assert new in shown and old not in shown, "the page shows what it read before the edit"
