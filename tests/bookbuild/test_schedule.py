"""Jobs run on all cores, the longest first."""

import asyncio
import re

import pytest

from bookbuild.engine.schedule import Job, Schedule


def run(jobs, cores: int, say=lambda line: None) -> None:
    Schedule.begin(Schedule(jobs, cores, say).run())


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
    run(jobs, 2)
    assert watched.begun == ["j9", "j7", "j5", "j3", "j1"]
    assert watched.most == 2


def test_one_core_runs_one_at_a_time_and_many_cores_all(watched):
    run([watched.job(str(i), i) for i in range(5)], 1)
    assert watched.most == 1
    run([watched.job(str(i), i) for i in range(5)], 16)
    assert watched.most == 5


def test_exclusive_jobs_run_last_and_alone(watched):
    exclusive = [watched.job("small alone", 1, True), watched.job("big alone", 99, True)]
    run([*exclusive, *(watched.job(str(i), i) for i in range(4))], 4)
    assert watched.begun[-2:] == ["big alone", "small alone"]
    assert watched.beside["big alone"] == watched.beside["small alone"] == set()
    assert set(watched.ended[:4]) == {"0", "1", "2", "3"}


def test_a_free_core_takes_the_next_job_at_once(watched):
    others = asyncio.Event()

    async def long():
        await others.wait()
        watched.ended.append("long")

    async def last():
        others.set()

    jobs = [Job("long", 9, long), *(watched.job(str(i), i) for i in range(1, 6)), Job("last", 0, last)]
    run(jobs, 2)
    assert watched.ended[-1] == "long"  # all the others went by on the other core


def test_nothing_to_do_says_nothing():
    said = []
    run([], 2, said.append)
    assert said == []


def test_off_a_terminal_there_is_a_line_for_each_job(watched, capsys):
    said = []
    run([watched.job(f"page {i}", 30) for i in range(3)], 1, said.append)
    assert [line[: len("[1/3] page 0")] for line in said] == [f"[{i + 1}/3] page {i}" for i in range(3)]
    left = [int(line.split("about ")[1].split(" s left")[0]) for line in said]
    assert left == [60, 30, 0]
    assert all(
        re.search(r"\d \(\d+\.\d s\) elapsed \d+ s, about", line) and "\r" not in line for line in said
    )
    assert capsys.readouterr().out == ""


def test_the_estimate_of_what_is_left(watched, monkeypatch):
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    schedule = Schedule([watched.job("a", 10), watched.job("b", 4), watched.job("c", 4)], 2, print)
    assert schedule.left() == pytest.approx(9)  # all of it on two cores
    for _ in "ab":
        schedule.running[schedule.waiting.pop(0)] = now
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

    jobs = [watched.job("other", 1, seconds=3600), watched.job("waiting", 0)]
    jobs = [Job("bad", 99, fail, exclusive), *(jobs if not exclusive else [])]
    with pytest.raises(OSError, match="of the one"):
        run(jobs, 2)  # would take an hour if it waited
    assert watched.ended == [] and "waiting" not in watched.begun


def test_signals_are_left_to_the_build():
    async def work():
        with pytest.raises(RuntimeError):  # as nbclient does, which goes on without
            asyncio.get_running_loop().add_signal_handler(2, print)

    Schedule.begin(work())
