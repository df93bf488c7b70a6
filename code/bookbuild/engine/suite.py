"""``make test``: the tests that have not passed yet on what is there now."""

import os

from bookbuild.engine.book import loaded
from bookbuild.engine.forks import Warm
from bookbuild.engine.project import Project, drop_bytecode
from bookbuild.engine.schedule import Schedule
from bookbuild.engine.store import Store
from bookbuild.engine.tests import Tests


def run(project: Project, fast: bool = False) -> int:
    """Run what is stale, print what failed and how many passed; ``fast``: the fast tests alone.

    Returns 1 if anything failed, else 0.
    """
    drop_bytecode(project.code)
    store = Store(project)
    tests = Tests(project, store)
    ran: list[str] = []

    async def all_of_it() -> None:
        warm = Warm(store.environment, loaded(project))
        for parts in (["fast"],) if fast else (["fast"], ["slow", "book"]):
            jobs = tests.jobs(warm, [(file, part) for part in parts for file in tests.files])
            ran.extend(job.name for job in jobs)
            await Schedule(jobs, os.cpu_count() or 1, print).run()

    Schedule.begin(all_of_it())
    store.end()
    for name, printed in tests.failed.items():
        print(f"\n{printed.rstrip()}\ntests failed: {name}")
    print("nothing has changed since every test passed" if not ran else "")
    results = tests.results.values()
    passed, failed, skipped = (sum(len(r[how]) for r in results) for how in ("passed", "failed", "skipped"))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0
