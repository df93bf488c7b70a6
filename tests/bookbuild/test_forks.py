"""A call in a fork: what it returns, prints and costs, what it sees, and that nothing of it is left."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import forkserver, popen_forkserver
from pathlib import Path

import pytest

from bookbuild.engine.forks import Warm

CODE = Path(__file__).parents[2] / "code"
WORK = """
import os, subprocess, sys, time

def add(a, b):
    print("adding")
    os.write(2, b"to stderr")
    return {"sum": a + b}

def fail(): raise ValueError("not today")

def leave(status): sys.exit(status)

def unsayable(): return object()

def burn(seconds):
    while time.process_time() < seconds: pass

def burn_in_a_child():
    return subprocess.run([sys.executable, "-c", "while True: pass"]).returncode

def seen():
    return {"folder": os.getcwd(), "variables": dict(os.environ), "modules": sorted(sys.modules),
            "bytecode": not sys.dont_write_bytecode, "input": sys.stdin.read()}

def family(file):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    with open(file + ".part", "w") as out: out.write(f"{os.getpid()} {child.pid}")
    os.rename(file + ".part", file)
    time.sleep(1000)
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "work.py").write_text(WORK)
    return tmp_path


def warm_at(place, *loaded):
    return Warm({**os.environ, "PYTHONPATH": str(place)}, loaded)


def call(place, function, *arguments, **options):
    return asyncio.run(warm_at(place).call(f"work:{function}", *arguments, folder=place, **options))


def test_it_says_what_was_returned_and_printed_and_leaves_nothing_behind(place):
    done = call(place, "add", 2, 3)
    assert (done.value, done.status) == ({"sum": 5}, 0)
    assert "adding\n" in done.printed and "to stderr" in done.printed
    assert [file.name for file in place.iterdir() if file.name != "__pycache__"] == ["work.py"]


@pytest.mark.parametrize(
    ("function", "arguments", "status", "printed"),
    [
        ("fail", (), 1, "ValueError: not today"),
        ("leave", (3,), 3, ""),
        ("leave", ("a reason",), 1, ""),
        ("unsayable", (), 1, "not JSON serializable"),
        ("no_such_function", (), 1, "AttributeError"),
    ],
)
def test_a_call_that_does_not_return_says_why(place, function, arguments, status, printed):
    done = call(place, function, *arguments)
    assert done.value is None and done.status == status and printed in done.printed


def test_the_fork_has_the_folder_and_environment_of_its_request(place):
    (place / "inner").mkdir()

    given = {"PYTHONPATH": str(place), "GIVEN": "ä=1"}

    async def twice():
        warm = warm_at(place, "json", "no_such_module")
        one = await warm.call("work:seen", folder=place / "inner", environment=given)
        return one, await warm.call("work:seen", folder=place)

    one, two = (done.value for done in asyncio.run(twice()))
    assert one["folder"] == str(place / "inner") and two["folder"] == str(place)
    assert one["variables"].items() >= given.items() and "HOME" not in one["variables"]
    assert two["variables"]["PYTHONPATH"] == str(place) and "GIVEN" not in two["variables"]
    assert one["input"] == "" and one["bytecode"]
    assert two["bytecode"] is ("PYTHONDONTWRITEBYTECODE" not in os.environ)


def test_each_fork_loads_the_code_as_it_is_then_and_the_warm_process_none(place):
    async def changing():
        warm = warm_at(place)
        found = []
        for number in (1, 22, 333):
            (place / "work.py").write_text(f"import sys\ndef f(): return [{number}, sorted(sys.modules)]\n")
            found.append(await warm.call("work:f", folder=place))
        lost = await warm.call("work:f", folder=place, environment={"PYTHONPATH": ""})
        return [done.value for done in found], lost

    found, lost = asyncio.run(changing())
    assert [number for number, _ in found] == [1, 22, 333]
    assert not any(name.split(".")[0] in ("rlworkshop", "bookbuild") for name in found[0][1])
    assert lost.status == 1 and "No module named 'work'" in lost.printed


def test_what_works_too_long_is_ended_and_its_cost_is_known(place):
    done = call(place, "burn", 1000, cpu_limit=1)
    assert (done.value, done.status) == (None, -signal.SIGXCPU)
    assert call(place, "burn_in_a_child", cpu_limit=1).value == -signal.SIGXCPU
    assert 0.3 < call(place, "burn", 0.3, cpu_limit=30).cpu < 10


def test_calls_run_at_the_same_time_and_are_told_apart(place):
    async def several():
        warm = warm_at(place)
        calls = [warm.call("work:add", n, n, folder=place) for n in range(8)]
        return await asyncio.gather(*calls)

    assert [done.value["sum"] for done in asyncio.run(several())] == [2 * n for n in range(8)]


def alive(pid):
    found = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True
    ).stdout.strip()
    return bool(found) and not found.startswith("Z")


def all_gone(pids):
    for _ in range(600):
        if not any(map(alive, pids)):
            return True
        time.sleep(0.05)
    return False


async def the_family(place):
    while not (place / "pids").exists():
        await asyncio.sleep(0.02)
    return [int(pid) for pid in (place / "pids").read_text().split()]


def call_of_the_family(warm, place, **options):
    return warm.call("work:family", str(place / "pids"), folder=place, **options)


@pytest.mark.slow
def test_what_takes_too_long_is_killed_with_its_children(place):
    async def late():
        warm = warm_at(place)
        first = asyncio.create_task(call_of_the_family(warm, place, timeout=10))
        pids = await the_family(place)
        assert all(map(alive, pids))
        return await first, pids

    done, pids = asyncio.run(late())
    assert (done.value, done.status) == (None, -signal.SIGALRM)
    assert all_gone(pids)


def test_who_is_cancelled_leaves_nothing_running_and_the_others_go_on(place):
    async def cancelled():
        warm = warm_at(place)
        first = asyncio.create_task(call_of_the_family(warm, place))
        pids = await the_family(place)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return pids, all_gone(pids), await warm.call("work:add", 1, 1, folder=place)

    pids, gone, other = asyncio.run(cancelled())
    assert gone and other.value == {"sum": 2}


def test_a_warm_process_that_was_killed_is_begun_anew(place):
    async def killed():
        warm = warm_at(place)
        first = asyncio.create_task(call_of_the_family(warm, place))
        pids = await the_family(place)
        server = forkserver._forkserver._forkserver_pid
        os.kill(server, signal.SIGKILL)
        os.waitid(os.P_PID, server, os.WEXITED | os.WNOWAIT)
        done = await first
        os.kill(pids[1], signal.SIGKILL)
        return done, pids, await warm.call("work:add", 1, 1, folder=place)

    done, pids, other = asyncio.run(killed())
    assert done.value is None and done.status != 0 and all_gone(pids)
    assert other.value == {"sum": 2}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_a_build_whatever_ends_it(place, how):
    build = f"""
import asyncio, os
from pathlib import Path
from bookbuild.engine.forks import Warm
async def main():
    place = Path({str(place)!r})
    warm = Warm({{**os.environ, "PYTHONPATH": str(place)}}, ())
    await warm.call("work:family", str(place / "pids"), folder=place)
if __name__ == "__main__":
    asyncio.run(main())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", build],
        env={**os.environ, "PYTHONPATH": str(CODE)},
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    pids = asyncio.run(the_family(place))
    os.killpg(process.pid, how) if how == signal.SIGINT else process.send_signal(how)  # Ctrl-C is for all
    said = process.communicate(timeout=120)[1]
    assert all_gone(pids)
    if how == signal.SIGINT:
        assert b"KeyboardInterrupt" in said


def test_the_end_of_a_fork_is_asked_for_by_one_thread_at_a_time(place, monkeypatch):
    """multiprocessing tells an end once: of two who ask at once, one would hear of a failure."""
    true, asking, overlaps = popen_forkserver.Popen.poll, [], []

    def poll(self, *arguments):
        overlaps.extend(asking)
        asking.append(threading.get_ident())
        time.sleep(0.01)
        try:
            return true(self, *arguments)
        finally:
            asking.remove(threading.get_ident())

    async def calls():
        warm = warm_at(place)
        values = [warm.call("work:add", n, 1, folder=place) for n in range(12)]
        return [done.value for done in await asyncio.gather(*values)]

    monkeypatch.setattr(popen_forkserver.Popen, "poll", poll)
    assert asyncio.run(calls()) == [{"sum": n + 1} for n in range(12)]
    assert overlaps == []
