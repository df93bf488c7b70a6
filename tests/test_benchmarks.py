"""The benchmark table: its rows, runs that are kept one by one, where they run, and that they repeat."""

import dataclasses
import importlib
import itertools
import json
import re
import sys
import types
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from rlworkshop import benchmarks, runs

FOLDER = Path(__file__).parents[1] / "benchmarks"
REGISTRY = benchmarks.registry(FOLDER / "rows.toml")
CONTINUOUS = {"vpg", "a2c", "trpo", "ppo", "ddpg", "td3", "sac", "crossq"}
DISCRETE = {"vpg", "a2c", "trpo", "ppo", "dqn", "dqn_nstep", "sac_discrete"}
PEERS = ("sb3_", "sbx_", "rlox_")
WANTED = {
    "Pendulum-v1": CONTINUOUS,
    "InvertedDoublePendulum-v5": CONTINUOUS,
    "LunarLanderContinuous-v3": CONTINUOUS,
    "CartPole-v1": DISCRETE,
    "LunarLander-v3": DISCRETE,
    "HalfCheetah-v5": {"ppo", "td3", "sac"},
}


sys.path.insert(0, str(FOLDER))  # for the processes that a test starts, too
table = importlib.import_module("table")
measure = table.measure
CODE = {"module": "rlworkshop.stats", "train": "train", "load": "load_policy", "config": "Config"}
ROW = benchmarks.Row("fake", "Task-v0", steps=100, seeds=4, settings={"lr": 0.1}, code=CODE)


def fake(about, seed):
    """What a measurement looks like."""
    return {
        "training": seed - 1.0, "final": float(seed), "best": seed + 1.0, "steps": about["steps"],
        "looks": [0.0, float(seed)], "curve": [None, float(seed)],
        "wall_seconds": 2.0, "cpu_seconds": 1.0, "policy": "ab",
    }  # fmt: skip


def counting(fail_at=None):
    """A fake measurement that notes its seeds, and breaks down at one of them."""
    seen = []

    def run(about, seed):
        if seed == fail_at:
            raise KeyboardInterrupt
        seen.append(seed)
        return fake(about, seed)

    return run, seen


# ------------------------------------------------------------------------------------------------- rows


def test_every_algorithm_has_a_row_on_every_task_that_fits_it():
    main = [row for row in REGISTRY if not row.variant and not row.algorithm.startswith(PEERS)]
    for task, algorithms in WANTED.items():
        assert {row.algorithm for row in main if row.task == task} == algorithms, task
    assert {row.task for row in main} == {*WANTED}
    assert all(row.seeds >= (3 if row.task == "HalfCheetah-v5" else 5) for row in main)


@pytest.mark.parametrize("row", REGISTRY, ids=lambda row: row.name)
def test_settings_of_a_row_are_settings_of_its_algorithm(row):
    if not row.code["module"].startswith("rlworkshop."):
        return  # another library's, which need not be installed
    module = importlib.import_module(row.code["module"])
    assert callable(getattr(module, row.code["train"])) and callable(getattr(module, row.code["load"]))
    config = getattr(module, row.code["config"])(row.task, total_steps=row.steps, **row.settings)
    default = type(config)()
    for name, value in row.settings.items():
        assert (tuple(value) if isinstance(value, list) else value) != getattr(default, name), name


def file(tmp_path, *rows):
    head = '[algorithms]\na = { module = "m", train = "t", load = "l", config = "c" }\n'
    (tmp_path / "rows.toml").write_text(head + "".join(f"[[row]]\n{row}\n" for row in rows))
    return tmp_path / "rows.toml"


GOOD = 'algorithm = "a"\ntask = "T"\nsteps = 5\nseeds = 3'


def test_a_row_is_read_with_what_it_leaves_out(tmp_path):
    plain, other = benchmarks.registry(file(tmp_path, GOOD, GOOD + '\nvariant = "v"\nsettings = { lr = 1 }'))
    assert (plain.name, plain.settings, plain.variant, plain.packages) == ("a-T", {}, "", ())
    assert plain.about == {"module": "m", "train": "t", "load": "l", "config": "c", "task": "T", "steps": 5,
                           "settings": {}}  # fmt: skip
    assert other.name == "a-T-v" and other.settings == {"lr": 1}
    assert plain.command == "make benchmark A=a T=T" and other.command == plain.command + " V=v"
    first = benchmarks.FIRST_SEED
    assert [*plain.wanted()] == [first, first + 1, first + 2]


@pytest.mark.parametrize(
    "rows, words",
    [
        ((GOOD, GOOD), "two rows a-T"),
        ((GOOD.replace('"a"', '"b"'),), "algorithm 'b': a are known"),
        ((GOOD.replace("steps = 5", ""),), "wrong in steps"),
        ((GOOD + "\nsed = 1",), "wrong in sed"),
        (("algorithm =",), "cannot be read"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, rows, words):
    with pytest.raises(benchmarks.RowsError, match=words):
        benchmarks.registry(file(tmp_path, *rows))


def test_rows_are_chosen_by_name():
    a, b, c = (dataclasses.replace(ROW, algorithm=x, task=t, variant=v)
               for x, t, v in (("p", "T", ""), ("p", "T", "w"), ("q", "U", "")))  # fmt: skip
    choose = lambda *args: benchmarks.chosen(*args, rows=[a, b, c])  # noqa: E731
    assert choose() == [a, b, c] and choose("p") == [a, b] and choose("", "U") == [c]
    assert choose("p", "T", "") == [a] and choose("p", "T", "w") == [b]
    for args, words in (
        (("r",), "algorithm 'r'; there are p, q"),
        (("p", "V"), "task 'V'; there are T, U"),
        (("q", "T"), "q has no row on T; it has U"),
        (("q", "U", "w"), "no variant 'w'; it has ''"),
    ):
        with pytest.raises(benchmarks.RowsError, match=words):
            choose(*args)


# ---------------------------------------------------------------------------------- kept, one by one


def test_each_seed_is_kept_when_it_is_done_and_a_crash_loses_only_its_own(tmp_path):
    run, seen = counting(fail_at=11_002)
    with pytest.raises(KeyboardInterrupt):
        table.complete(ROW, table.here, run, tmp_path)
    half = benchmarks.stored(ROW, tmp_path)
    assert [*half.runs] == [11_000, 11_001] == seen and not half.whole and half.fits
    run, seen = counting()
    assert table.complete(ROW, table.here, run, tmp_path) == 2
    done = benchmarks.stored(ROW, tmp_path)
    assert seen == [11_002, 11_003] and done.whole and [*done.runs] == [*ROW.wanted()]
    assert table.complete(ROW, table.here, run, tmp_path) == 0


def test_runs_of_other_settings_code_or_versions_are_not_gone_on_with(tmp_path, monkeypatch, capsys):
    run, _ = counting()
    table.complete(ROW, table.here, run, tmp_path, most=2)
    other = dataclasses.replace(ROW, settings={"lr": 0.2})
    assert not benchmarks.stored(other, tmp_path).fits
    run, seen = counting()
    table.complete(other, table.here, run, tmp_path, most=1)
    assert seen == [11_000] and "run anew" in capsys.readouterr().out
    assert [*benchmarks.stored(other, tmp_path).runs] == [11_000]

    path = tmp_path / f"{ROW.name}.json"
    for change in ({"code_digest": "of another time"}, {"versions": {"python": "2.7"}}):
        data = json.loads(path.read_text())
        data["provenance"].update(change)
        path.write_text(json.dumps(data))
        run, seen = counting()
        table.complete(other, table.here, run, tmp_path, most=1)
        assert seen == [11_000], change


def test_runs_of_code_that_changed_meanwhile_are_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "STARTED", 0.0)  # before this file was written
    with pytest.raises(benchmarks.RowsError, match="changed while"):
        table.complete(ROW, table.here, fake, tmp_path)
    assert benchmarks.stored(ROW, tmp_path) is None


def test_no_run_is_begun_when_the_time_is_over(tmp_path):
    run, seen = counting()
    still = iter([True, False])
    table.complete(ROW, table.here, run, tmp_path, go_on=lambda: next(still))
    assert seen == [11_000]


def test_what_is_stored_of_a_row(tmp_path):
    assert benchmarks.stored(ROW, tmp_path) is None and benchmarks.table([ROW], tmp_path) == []
    run, _ = counting()
    table.complete(ROW, table.here, run, tmp_path)
    (found,) = benchmarks.table([ROW], tmp_path)
    assert found.scores().tolist() == [11_000, 11_001, 11_002, 11_003]
    assert (found.scores("best") - found.scores("training") == 2).all() and (found.seconds() == 1).all()
    steps, looks = found.looks()
    assert steps.tolist() == [50, 100] and looks[:, 1].tolist() == found.scores().tolist()
    steps, curve = found.curve()
    assert steps.tolist() == [50, 100] and np.isnan(curve[:, 0]).all() and curve[2, 1] == 11_002
    about = found.provenance
    assert about["script"] == "benchmarks/measure.py" and about["seeds"] == [*ROW.wanted()]


def test_a_foreign_file_is_no_row(tmp_path):
    runs.store(ROW.name, [1, 2], [0], ["rlworkshop.stats"], "x.py", tmp_path)
    with pytest.raises(runs.RunFileError, match="not of a row"):
        benchmarks.stored(ROW, tmp_path)


def test_a_note_names_rows_whose_code_has_changed(tmp_path):
    table.complete(ROW, table.here, fake, tmp_path)
    (good,) = benchmarks.table([ROW], tmp_path)
    note = benchmarks.note([good])
    assert "1 rows, 4 in all" in note.text and note.text.endswith("digests fit the code")
    assert 'class="stored-run fits"' in note._repr_html_()
    bad = benchmarks.note([good, dataclasses.replace(good, fits=False)])
    assert bad.text.endswith("CHANGED SINCE for fake-Task-v0") and "outdated" in bad._repr_html_()


def test_the_summary_of_few_runs_has_no_interval():
    middle, low, high = benchmarks.summary(np.array([1.0, 2.0, 3.0, 100.0]))
    assert middle == 2.5 and low < 2.5 < high
    middle, low, high = benchmarks.summary(np.array([1.0, 2.0]))
    assert middle == 1.5 and np.isnan([low, high]).all()


# ------------------------------------------------------------------------------------------ where it runs


class Ray(types.ModuleType):
    """A stand-in that runs tasks when they are waited for, the last one first."""

    def __init__(self):
        super().__init__("ray")
        self.address, self.options_seen = None, {}

    def is_initialized(self):
        return self.address is not None

    def init(self, address, runtime_env):
        self.address, self.sent = address, runtime_env["py_modules"]

    def remote(self, function):
        def options(**given):
            self.options_seen = given
            remote = lambda *args: types.SimpleNamespace(run=lambda: function(*args))  # noqa: E731
            return types.SimpleNamespace(remote=remote)

        return types.SimpleNamespace(options=options)

    def wait(self, tasks, num_returns):
        return tasks[-num_returns:], tasks[:-num_returns]

    def get(self, task):
        return task.run()


def test_with_ray_address_a_row_runs_on_that_cluster(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", ray := Ray())
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    run, seen = counting()
    assert table.complete(ROW, table.pool(2), run, tmp_path) == 4
    assert ray.address == "ray://head:10001" and ray.options_seen["num_cpus"] == 1
    assert any(path.endswith("measure.py") for path in ray.sent)
    assert seen == [*reversed(ROW.wanted())] and [*benchmarks.stored(ROW, tmp_path).runs] == [*ROW.wanted()]


def test_without_ray_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with pytest.raises(ImportError, match="pip install 'rlworkshop.scale.', or unset it"):
        table.complete(ROW, table.pool(1), fake, tmp_path)


def test_without_ray_address_nothing_of_ray_is_needed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert table.complete(ROW, table.pool(1), fake, tmp_path) == 4


@pytest.mark.slow  # processes that load PyTorch
def test_side_by_side_every_seed_runs_once():
    about = dataclasses.replace(TINY, seeds=2).about
    found = dict(table.local(measure.measure, about, [1, 2], 2))
    assert {*found} == {1, 2} and measure.repeats(found[1], measure.measure(about, 1))


# ---------------------------------------------------------------------------------------- measurements

VPG = {"module": "rlworkshop.algorithms.vpg", "train": "train", "load": "load_policy", "config": "Config"}
TINY = benchmarks.Row("vpg", "CartPole-v1", 1024, 2, {"hidden": [8]}, VPG)


def test_a_run_repeats_to_the_last_bit_and_another_seed_does_not():
    first, again, other = (measure.measure(TINY.about, seed) for seed in (3, 3, 4))
    assert measure.repeats(first, again) and not measure.repeats(first, other)
    assert first["policy"] != other["policy"] and set(measure.SECONDS) < set(first)
    assert 900 < first["steps"] <= 1024 and len(first["curve"]) == measure.POINTS
    assert first["best"] == max(first["looks"]) and len(first["looks"]) == measure.LOOKS
    assert first["looks"][-1] != first["final"]  # other episodes
    json.dumps(first, allow_nan=False)


def test_the_last_bit_of_a_policy_counts():
    tree = {"net": {"w": np.ones(3, np.float32)}, "name": "x"}
    changed = {"net": {"w": np.ones(3, np.float32)}, "name": "x"}
    assert measure.fingerprint(tree) == measure.fingerprint(changed)
    changed["net"]["w"][1] = np.nextafter(np.float32(1), np.float32(2))
    assert measure.fingerprint(tree) != measure.fingerprint(changed)


def test_evaluations_stop_the_clocks(monkeypatch):
    clock = itertools.count(0, 10)
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(measure.time, "process_time", lambda: 0)
    monkeypatch.setattr(measure.envs, "evaluate", lambda *args: np.zeros(1))
    look = measure.Look("E", 100, 0)
    agent = types.SimpleNamespace(act=None)
    for steps in (5, 10, 15, 20):  # it looks at 10 and 20, each time for 10 seconds
        look(types.SimpleNamespace(steps=steps, agent=agent))
    assert look.scores == [0, 0] and look.wall == 20


def test_check_tells_other_bits(tmp_path):
    with pytest.raises(benchmarks.RowsError, match="nothing of fake-Task-v0 is stored: make benchmark"):
        table.check(ROW, fake, tmp_path)
    table.complete(ROW, table.here, fake, tmp_path, most=1)
    assert table.check(ROW, fake, tmp_path)
    assert table.check(ROW, lambda *args: {**fake(*args), "cpu_seconds": 9.0}, tmp_path)
    assert not table.check(ROW, lambda *args: {**fake(*args), "final": 0.5}, tmp_path)


def test_a_stored_run_repeats_bit_for_bit_where_machine_and_versions_are_the_same(tmp_path):
    (row,) = benchmarks.chosen("vpg", "CartPole-v1", "", REGISTRY)
    folder = FOLDER / "results/benchmark"
    found = benchmarks.stored(row, folder)
    assert found is not None, "its results lie in benchmarks/results/benchmark"
    path = runs.store("x", 0, [0], ["rlworkshop.stats"], "x.py", tmp_path)
    here = json.loads(path.read_text())["provenance"]
    same = all(found.provenance[name] == here[name] for name in ("versions", "machine"))
    if not (same and found.fits):
        pytest.skip("another machine, other versions, or code that has changed")
    assert table.check(row, folder=folder)


def test_a_wrapper_tells_when_episodes_ended_and_what_they_returned():
    env = importlib.import_module("peers_rlox").Told(gym.make("CartPole-v1", max_episode_steps=7))
    ends, returns, now = [], [], 0.0
    env.reset(seed=0)
    for step in range(1, 41):
        _, reward, terminated, truncated, _ = env.step(step % 2)
        now += reward
        if terminated or truncated:
            ends.append(step)
            returns.append(now)
            now = 0.0
            env.reset()
    assert (env.ends, env.returns) == (ends, returns) and returns == [7.0] * 5


def test_other_libraries_run_on_the_versions_that_the_book_has():
    pins = [
        dict(re.findall(r"^([\w.-]+)(?:\[.*\])?==(\S+)", file.read_text("utf-8"), re.M))
        for file in (FOLDER / "peers.txt", FOLDER.parent / "requirements.txt")
    ]
    peers, ours = pins
    assert {name: peers.get(name) for name in ("gymnasium", "mujoco", "numpy", "torch")} == {
        name: ours[name] for name in ("gymnasium", "mujoco", "numpy", "torch")
    }
