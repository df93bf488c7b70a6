"""Runs rows of reference/benchmarks, seed by seed; each is kept as soon as it is done.

    make benchmark A=sac T=Pendulum-v1          one row; one that was interrupted goes on where it was
    make benchmark A=sac T=Pendulum-v1 V=lr-high        another row of the same two
    make benchmark A=sac                        all rows of an algorithm; without A=, all rows
    make benchmark A=sac T=Pendulum-v1 ARGS=--check     does the first seed repeat, bit for bit?

Seeds run side by side on the cores of this machine, a process each, or on a Ray cluster where the environment
variable RAY_ADDRESS names one (``auto``: the one that this machine belongs to).
"""

import argparse
import functools
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

STARTED = time.time()
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import measure  # noqa: E402

from rlworkshop import benchmarks, provenance, runs  # noqa: E402

Run = Callable[[dict[str, Any], int], dict[str, Any]]
Pool = Callable[[Run, dict[str, Any], Iterable[int]], Iterator[tuple[int, dict[str, Any]]]]


# ---------------------------------------------------------------------------------------- where it runs


def _one(run: Run, about: dict[str, Any], seed: int) -> tuple[int, dict[str, Any]]:
    return seed, run(about, seed)


def here(run: Run, about: dict[str, Any], seeds: Iterable[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Seeds and what ``run`` gives of each, one after the other."""
    return map(functools.partial(_one, run, about), seeds)


def local(
    run: Run, about: dict[str, Any], seeds: Iterable[int], processes: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The same, side by side, as they get done."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(functools.partial(_one, run, about), seeds)


def on_ray(run: Run, about: dict[str, Any], seeds: Iterable[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The same on the Ray cluster of ``RAY_ADDRESS``, one core each; this code is sent along.

    Raises:
        ImportError: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ImportError(
            "RAY_ADDRESS is set, and Ray is not installed: pip install 'rlworkshop[scale]', or unset it to "
            "run on the cores of this machine"
        ) from error
    if not ray.is_initialized():
        paths = [str(Path(benchmarks.__file__).parent), measure.__file__, str(HERE / "peers.py")]
        ray.init(address=os.environ["RAY_ADDRESS"], runtime_env={"py_modules": paths})
    task = ray.remote(_one).options(num_cpus=1, max_retries=3)
    waiting = [task.remote(run, about, seed) for seed in seeds]
    while waiting:
        done, waiting = ray.wait(waiting, num_returns=1)
        yield ray.get(done[0])


def pool(processes: int) -> Pool:
    """Where runs are to be made: on Ray if ``RAY_ADDRESS`` is set, else on so many cores of this machine."""
    if os.environ.get("RAY_ADDRESS"):
        return on_ray
    return here if processes == 1 else functools.partial(local, processes=processes)


# -------------------------------------------------------------------------------------------- what is run


def complete(
    row: benchmarks.Row,
    pool: Pool,
    run: Run = measure.measure,
    folder: Path | None = None,
    most: int | None = None,
    go_on: Callable[[], bool] = lambda: True,
) -> int:
    """Run what is missing of a row, at the most ``most`` seeds in all, while ``go_on``; how many were run.

    Runs of other code, settings or versions are not gone on with: that row begins anew.
    """
    before = benchmarks.stored(row, folder)
    versions = runs.versions(*row.packages)
    same = before is not None and before.fits and before.provenance["versions"] == versions
    if before is not None and not same:
        print(f"{row.name}: what is stored is of other code, settings or versions, and is run anew")
    found = dict(before.runs) if same else {}
    missing = [seed for seed in row.wanted()[:most] if seed not in found]
    ran = 0
    for seed, result in pool(run, row.about, _while(missing, go_on)):
        found[seed], ran = result, ran + 1
        keep(row, found, folder)
        scores = {name: round(result[name], 1) for name in benchmarks.SCORES if result[name] is not None}
        print(f"{row.name} seed {seed}: {scores}, {result['cpu_seconds']:.0f} CPU s", flush=True)
    return ran


def keep(row: benchmarks.Row, found: dict[int, dict[str, Any]], folder: Path | None = None) -> None:
    """Write all runs of a row so far, in place of what was there.

    Raises:
        RowsError: code has changed while this process ran, so that nobody knows which has made them.
    """
    module, peer = row.code["module"], HERE / f"{row.code['module']}.py"
    script = peer if peer.is_file() else HERE / "measure.py"
    modules = ["rlworkshop.envs", "rlworkshop.stats"] if peer.is_file() else [module]
    files = provenance.closure([*provenance.module_files(*modules), HERE / "measure.py", script])
    if young := [file.name for file in files if file.stat().st_mtime > STARTED]:
        raise benchmarks.RowsError(f"{', '.join(young)} changed while this ran: it is not kept, run it again")
    results = {"about": row.about, "runs": {str(seed): found[seed] for seed in sorted(found)}}
    folder = benchmarks.result_folder(folder)
    runs.store(row.name, results, sorted(found), modules, script, folder, row.packages)


def check(row: benchmarks.Row, run: Run = measure.measure, folder: Path | None = None) -> bool:
    """Whether the first stored seed of a row repeats, bit for bit.

    Raises:
        RowsError: nothing of the row is stored.
    """
    there = benchmarks.stored(row, folder)
    if there is None:
        raise benchmarks.RowsError(f"nothing of {row.name} is stored: {row.command} runs it")
    seed, before = next(iter(there.runs.items()))
    return measure.repeats(run(row.about, seed), before)


def _while(seeds: Iterable[int], go_on: Callable[[], bool]) -> Iterator[int]:
    for seed in seeds:
        if not go_on():
            return
        yield seed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("algorithm", nargs="?", default="", help="as in rows.toml; all, if left out")
    parser.add_argument("task", nargs="?", default="", help="as in rows.toml; all, if left out")
    parser.add_argument("variant", nargs="?", help="of several rows of one algorithm on one task")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="runs side by side")
    parser.add_argument("--seeds", type=int, help="at the most so many of each row")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after these no run is begun")
    parser.add_argument("--check", action="store_true", help="run the first seed anew and compare the bits")
    asked = parser.parse_args()
    one_row = asked.algorithm and asked.task
    try:
        rows = benchmarks.chosen(asked.algorithm, asked.task, asked.variant or ("" if one_row else None))
    except benchmarks.RowsError as error:
        sys.exit(f"benchmark: {error}")
    end, where, good = time.monotonic() + 60 * asked.minutes, pool(asked.processes), True
    for row in rows:
        try:
            if asked.check:
                same = check(row)
                good &= same
                print(f"{row.name}: {'the same bits' if same else 'OTHER BITS'}", flush=True)
            else:
                complete(row, where, most=asked.seeds, go_on=lambda: time.monotonic() < end)
        except (benchmarks.RowsError, ImportError, runs.RunFileError) as error:
            good = False
            print(f"{row.name}: {error}", file=sys.stderr, flush=True)
    sys.exit(not good)


if __name__ == "__main__":
    main()
