"""Runs: files that are whole or absent, training once, resuming, knowing what a stored result stands on."""

import csv
import dataclasses
import errno
import functools
import importlib
import importlib.util
import inspect
import io
import json
import os
import pickle
import platform
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
import warnings
from pathlib import Path

import filelock
import gymnasium as gym
import numpy as np
import pytest
import torch
from tqdm import tqdm

from rlworkshop import envs, provenance, runs
from rlworkshop.runs import code
from rlworkshop.runs import run as run_files
from rlworkshop.runs.cached import cache_folder, cache_key
from rlworkshop.runs.code import code_files, named, registered
from rlworkshop.runs.progress import Progress
from rlworkshop.runs.training import Outcome, Session, Training, command, plain_command

CODE = Path(runs.__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Config:
    env_id: str = "Toy-v0"
    sizes: tuple = (3, 4)


def make_run(seed=0):
    return runs.Run(
        algorithm="toy",
        env_id="Toy-v0",
        config=runs.plain_config(Config()),
        seed=seed,
        metrics={"return": np.arange(3.0), "step": np.array([1, 2, 3])},
        policy={
            "w": np.float32([[1, 2]]),
            "norm": None,
            "deep": [{"x": np.zeros((0, 2))}, "text", True, 2**90],
        },
        notes=["a note"],
    )


def same(a, b):
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    return type(a) is type(b) and a == b


def equal_runs(a, b):
    return same(dataclasses.asdict(a), dataclasses.asdict(b))


# ---------------------------------------------------------------- files


def test_a_run_comes_back_whole(tmp_path):
    path = tmp_path / "deep" / "down" / "run.npz"
    make_run().save(path)
    assert equal_runs(runs.Run.load(path), make_run())
    assert not equal_runs(runs.Run.load(path), make_run(1))


def test_a_run_says_what_it_is():
    run = make_run()
    first, last = repr(run).splitlines()
    assert first == "Run of toy on Toy-v0, seed 0, code not known"
    assert last == "3 episodes, 1.0 on average over the last 3; metrics: return, step"
    returns = np.array([7.0] * 50 + [1.0] * 50 + [2.0] * 50)
    known = repr(dataclasses.replace(run, digest="0123456789abcdef", metrics={"return": returns}))
    assert known.splitlines()[0].endswith(", code 0123456789ab")
    assert "150 episodes, 1.5 on average over the last 100; " in known
    assert repr(dataclasses.replace(run, metrics={})).splitlines()[1] == "0 episodes; metrics: "


def test_versions_of_what_is_installed():
    found = run_files.versions("no-such-package", "pytest")
    assert found["pytest"] == pytest.__version__ and "no-such-package" not in found
    assert found["numpy"] == np.__version__ and found["torch"] == torch.__version__


def test_a_configuration_is_a_dataclass_of_plain_values():
    assert runs.plain_config(Config()) == {"env_id": "Toy-v0", "sizes": [3, 4]}
    for wrong in ({"lr": 1}, Config):
        with pytest.raises(TypeError, match="is an instance of a dataclass"):
            runs.plain_config(wrong)
    with pytest.raises(TypeError, match="Config must hold plain values only"):
        runs.plain_config(Config(sizes=(object(),)))


def test_the_same_run_gives_the_same_bytes(tmp_path):
    for name in "ab":
        make_run().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("bad", [{"x": object()}, {1: 2}, {"$array": 1}, np.array([object()]), {1, 2}])
def test_what_cannot_be_read_back_is_not_written(tmp_path, bad):
    with pytest.raises(TypeError, match="cannot be saved"):
        runs.save_tree(tmp_path / "x", bad)
    assert not list(tmp_path.iterdir())


def test_a_missing_file(tmp_path):
    with pytest.raises(runs.RunFileError, match="nothing.npz: no such file"):
        runs.Run.load(tmp_path / "nothing.npz")


def test_every_truncated_file_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    make_run().save(path)
    body = path.read_bytes()
    for end in range(0, len(body), 97):
        path.write_bytes(body[:end])
        with pytest.raises(runs.RunFileError, match="run.npz"):
            runs.Run.load(path)


def test_what_is_not_whole_says_so_and_what_to_do(tmp_path):
    path = str(tmp_path / "run.npz")
    runs.save_tree(path, {"algorithm": "toy"}, kind="run")
    with pytest.raises(runs.RunFileError, match="does not hold a whole run .*: train it again"):
        runs.Run.load(path)
    runs.save_tree(path, [1, 2])
    assert run_files.load_tree(path) == [1, 2]
    head = {"format": "another", "version": run_files.VERSION, "kind": "tree", "tree": [1, 2]}
    foreign = np.frombuffer(json.dumps(head).encode(), np.uint8)
    np.savez(tmp_path / "foreign.npz", structure=foreign)
    with pytest.raises(runs.RunFileError, match="is broken or not of rlworkshop: give another file"):
        run_files.load_tree(tmp_path / "foreign.npz")
    Path(path).write_bytes(Path(path).read_bytes()[:-40])
    with pytest.raises(runs.RunFileError, match="is broken or unreadable .*: delete it and train again"):
        run_files.load_tree(path)


def test_flipped_bytes_give_an_error_or_the_same_run(tmp_path):
    path = tmp_path / "run.npz"
    make_run().save(path)
    body = path.read_bytes()
    refused = 0
    for at in range(0, len(body), 53):
        path.write_bytes(body[:at] + bytes([body[at] ^ 0x5A]) + body[at + 1 :])
        try:
            assert equal_runs(runs.Run.load(path), make_run())  # a byte that carries nothing, a date say
        except runs.RunFileError:
            refused += 1
    assert refused > 10


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("exploded",))


@pytest.mark.parametrize("content", [b"", b"hello", json.dumps({}).encode()])
def test_foreign_files(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(runs.RunFileError, match="x.npz"):
        runs.Run.load(path)


def test_a_foreign_npz_and_one_with_code_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("foreign.npz", a=np.zeros(2))
    np.savez("bomb.npz", structure=np.array([Bomb()], dtype=object))
    np.save("array.npy", np.zeros(2))
    for name in ("foreign.npz", "bomb.npz", "array.npy"):
        with pytest.raises(runs.RunFileError, match=name):
            runs.Run.load(name)
    assert not Path("exploded").exists()


def test_other_formats_and_other_kinds(tmp_path, monkeypatch):
    runs.save_tree(tmp_path / "tree", {"a": 1})
    with pytest.raises(runs.RunFileError, match="holds a tree, not a run"):
        runs.Run.load(tmp_path / "tree")
    for shift, words in ((1, "newer format: update"), (-1, "older format: train it again")):
        with monkeypatch.context() as patch:
            patch.setattr(run_files, "VERSION", run_files.VERSION + shift)
            make_run().save(tmp_path / "other")
        with pytest.raises(runs.RunFileError, match=words):
            runs.Run.load(tmp_path / "other")


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    make_run(1).save(path)

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(runs.RunFileError, match="No space left"):
        make_run(2).save(path)
    assert equal_runs(runs.Run.load(path), make_run(1))
    assert list(tmp_path.iterdir()) == [path]


def test_all_has_reached_the_disk_before_the_old_file_goes(tmp_path, monkeypatch):
    sizes, sync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (sizes.append(os.fstat(handle).st_size), sync(handle)))
    run_files.write_whole(tmp_path / "x", b"12345")
    assert sizes == [5]
    for unmade in ("x/y", "x/y/z"):  # below a file, where no folder can be
        with pytest.raises(runs.RunFileError, match="could not write"):
            run_files.write_whole(tmp_path / unmade, b"6")
    assert (tmp_path / "x").read_bytes() == b"12345"


def test_a_write_that_the_system_cuts_short(tmp_path):
    path = tmp_path / "run.npz"
    make_run(1).save(path)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, old[1]))
    try:
        with pytest.raises(runs.RunFileError, match="untouched"):
            make_run(2).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert equal_runs(runs.Run.load(path), make_run(1))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mask, mode", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_may_be_read_by_whom_the_user_lets(tmp_path, mask, mode):
    old = os.umask(mask)
    try:
        make_run().save(tmp_path / "run.npz")
    finally:
        os.umask(old)
    assert (tmp_path / "run.npz").stat().st_mode & 0o777 == mode


def test_nobody_can_foresee_a_temporary_name(tmp_path, monkeypatch):
    names, replace = [], os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (names.append(Path(a).name), replace(a, b)))
    for _ in range(3):
        make_run().save(tmp_path / "run.npz")
    assert len(set(names)) == 3 and not any(str(os.getpid()) in name for name in names)
    assert all(len(name.rpartition(".")[2]) >= 16 for name in names)


def test_what_stands_under_a_temporary_name_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(run_files.secrets, "token_hex", lambda n: "known")
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".run.npz.known").symlink_to(tmp_path / "victim")
    with pytest.raises(runs.RunFileError, match="could not write"):
        make_run().save(tmp_path / "run.npz")
    assert (tmp_path / "victim").read_text() == "precious"


# ---------------------------------------------------------------- cached


TOY = """
    import dataclasses, os, time
    import gymnasium as gym
    import numpy as np
    import toy_helper
    from rlworkshop import runs

    @dataclasses.dataclass(frozen=True)
    class Config:
        env_id: str = "Toy-v0"
        lr: float = 0.1

    def train(config, seed, *, estimator=None, n=3, sleep=0.0):
        with open("log", "a") as log:
            log.write(f"{seed}\\n")
        time.sleep(sleep)
        x = toy_helper.scale() * config.lr * np.arange(n) + seed
        return runs.Run("toy", config.env_id, runs.plain_config(config), seed, {"x": x}, {})

    def pay(config, seed):
        with open("log", "a") as log:
            log.write(f"{seed}\\n")
        env = gym.make(config.env_id)
        env.reset(seed=seed)
        x = np.array([env.step(0)[1]])
        return runs.Run("toy", config.env_id, runs.plain_config(config), seed, {"x": x}, {})

    def one(): return 1
    def two(): return 2
"""

WORLD = """
    import gymnasium as gym
    import numpy as np
    import world_helper

    class World(gym.Env):
        observation_space = gym.spaces.Box(-1, 1, (1,))
        action_space = gym.spaces.Discrete(2)
        def __init__(self, bonus=0):
            self.bonus = bonus
        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.zeros(1, np.float32), {}
        def step(self, action):
            return np.zeros(1, np.float32), world_helper.REWARD + self.bonus, True, False, {}

    gym.register("World-v0", World)
"""


class Toy:
    """A folder with a small training module, asked in processes of their own."""

    def __init__(self, folder):
        self.folder = folder
        self.env = {**os.environ, "PYTHONPATH": f"{folder}:{CODE}", "RLWORKSHOP_RUNS": str(folder / "cache")}
        self.write("toy.py", TOY)
        self.write("toy_helper.py", "def scale(): return 1.0")

    def write(self, name, text):
        (self.folder / name).write_text(textwrap.dedent(text))
        os.utime(self.folder / name, (1e9, 1e9))  # long before any process that imports it

    def start(self, expression="cached(toy.train, toy.Config(), 0)", before=""):
        program = f"from rlworkshop.runs import cached; import toy; {before}\nr = {expression}\n"
        program += "print(r.metrics['x'].tolist())"
        command = [sys.executable, "-c", program]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=pipe, stderr=pipe, text=True)

    def ask(self, *args, **kwargs):
        process = self.start(*args, **kwargs)
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        self.err = err
        return json.loads(out)

    @property
    def trained(self):
        log = self.folder / "log"
        return len(log.read_text().split()) if log.exists() else 0


@pytest.fixture
def toy(tmp_path):
    return Toy(tmp_path)


@pytest.mark.slow
def test_cached_trains_once_for_each_question(toy):
    answer = toy.ask()
    assert toy.ask() == answer and toy.trained == 1
    questions = [
        "cached(toy.train, toy.Config(), 1)",
        "cached(toy.train, toy.Config(lr=0.2), 0)",
        "cached(toy.train, toy.Config(env_id='Other-v0'), 0)",
        "cached(toy.train, toy.Config(), 0, n=4)",
        "cached(toy.train, toy.Config(), 0, estimator=toy.one)",
        "cached(toy.train, toy.Config(), 0, estimator=toy.two)",
    ]
    for i, question in enumerate(questions):
        toy.ask(question)
        assert toy.trained == 2 + i
    toy.ask(f"[{','.join(questions)}][-1]")
    assert toy.trained == 1 + len(questions)


@pytest.mark.slow
def test_cached_knows_the_code_it_stands_on(toy):
    toy.ask()
    source = TOY.replace("np.arange(n)", "np.arange(n)[::-1]")
    toy.write("toy.py", source)
    assert toy.ask()[0] == 0.2 and toy.trained == 2
    toy.write("toy.py", TOY)  # reverted
    assert toy.ask()[0] == 0.0 and toy.trained == 2


@pytest.mark.slow
def test_code_edited_while_a_process_runs_is_not_filed_under_the_new_code(toy):
    edit = "open('toy.py', 'a').write('\\n# edited\\n')"
    toy.ask(before=edit)
    assert "not kept" in toy.err
    toy.write("toy.py", (toy.folder / "toy.py").read_text())
    toy.ask()
    assert toy.trained == 2


@pytest.mark.slow
def test_two_processes_at_once_train_once(toy):
    a, b = (toy.start("cached(toy.train, toy.Config(), 0, sleep=1.5)") for _ in range(2))
    assert a.communicate(timeout=600)[0] == b.communicate(timeout=600)[0] != ""
    assert toy.trained == 1


@pytest.mark.slow
def test_a_killed_training_blocks_nothing(toy):
    victim = toy.start("cached(toy.train, toy.Config(), 0, sleep=3600)")
    while not toy.trained:
        time.sleep(0.05)
    victim.kill()
    victim.communicate()
    toy.ask("cached(toy.train, toy.Config(), 0, sleep=0)")
    assert toy.trained == 2


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_a_broken_file_is_trained_anew(toy, damage):
    answer = toy.ask()
    (path,) = (toy.folder / "cache").glob("*.npz")
    path.write_bytes(path.read_bytes()[:-40] if damage is None else damage)
    assert toy.ask() == answer and toy.trained == 2
    assert toy.ask() == answer and toy.trained == 2


@pytest.mark.slow
def test_a_full_disk_costs_the_file_not_the_run(toy):
    full = "import os\ndef full(h): raise OSError(28, 'No space left on device')\nos.fsync = full"
    assert toy.ask(before=full) == [0.0, 0.1, 0.2]
    assert "No space left" in toy.err and not list((toy.folder / "cache").glob("*.npz"))
    (toy.folder / "blocked").write_text("")
    toy.env["RLWORKSHOP_RUNS"] = str(toy.folder / "blocked" / "x")  # a folder that cannot be made
    assert toy.ask() == [0.0, 0.1, 0.2] and "training anew" in toy.err


WORLD_calls = "cached(toy.pay, toy.Config(env_id='world:World-v0'), 0)"


@pytest.mark.slow
def test_cached_knows_the_environment_that_it_trains_in(toy):
    toy.write("world.py", WORLD)
    toy.write("world_helper.py", "REWARD = 1")
    assert toy.ask(WORLD_calls) == toy.ask(WORLD_calls) == [1] and toy.trained == 1
    toy.write("world_helper.py", "REWARD = 5")  # of a module that the environment's imports
    assert toy.ask(WORLD_calls) == [5] and toy.trained == 2
    toy.write("world.py", WORLD.replace("+ self.bonus", "+ 2"))
    assert toy.ask(WORLD_calls) == [7] and toy.trained == 3


@pytest.mark.slow
def test_an_environment_that_lies_in_no_file_is_trained_in_anew(toy):
    toy.write("world_helper.py", "REWARD = 1")
    for reward in (1, 5):
        made = f"exec({textwrap.dedent(WORLD)!r}); world_helper.REWARD = {reward}"
        assert toy.ask(WORLD_calls.replace("world:", ""), made) == [reward]
        assert "lies in no file" in toy.err
    assert toy.trained == 2 and not (toy.folder / "cache").exists()


class Files:
    """A folder of modules that can be imported, and changed."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, name, text):
        (self.folder / f"{name}.py").parent.mkdir(exist_ok=True)
        (self.folder / f"{name}.py").write_text(textwrap.dedent(text))


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    known, before = dict(gym.registry), set(sys.modules)
    yield Files(tmp_path)
    gym.registry.clear()
    gym.registry.update(known)
    for name in {"world", "world_helper", "world_parts", "world_parts.one", "world_parts.two"} - before:
        sys.modules.pop(name, None)


def key(env_id="World-v0", **kwargs):
    return cache_key(top_level_train, Config(env_id), 0, kwargs)


def changes(files, name, before, after, ask):
    """Whether what ``ask`` answers changes with a module, and comes back with it."""
    files.write(name, before)
    first = ask()
    files.write(name, after)
    second = ask()
    files.write(name, before)
    assert ask() == first
    return first != second


def test_the_key_of_a_run_follows_the_environments_modules(files):
    files.write("world_helper", "REWARD = 1")
    files.write("world", WORLD)
    importlib.import_module("world")
    assert changes(files, "world", WORLD, WORLD.replace("True, False", "False, True"), key)
    assert changes(files, "world_helper", "REWARD = 1", "REWARD = 5", key)
    assert not changes(files, "unrelated", "x = 1", "x = 2", key)


def test_the_key_of_a_run_follows_what_a_package_imports_within(files):
    files.write("world_parts/two", "REWARD = 1")
    files.write("world_parts/__init__", "")
    files.write("world_parts/one", "from .two import REWARD\ndef make(): ...")
    gym.register("Parts-v0", "world_parts.one:make")
    assert changes(files, "world_parts/two", "REWARD = 1", "REWARD = 5", lambda: key("Parts-v0"))
    gym.register("Vector-v0", vector_entry_point="world_parts.one:make")
    assert changes(files, "world_parts/two", "REWARD = 1", "REWARD = 5", lambda: key("Vector-v0"))


def test_the_key_of_a_run_follows_how_the_environment_is_registered(files):
    files.write("world_helper", "REWARD = 1")
    files.write("world", WORLD)
    importlib.import_module("world")
    keys = [key()]
    for more in ({"kwargs": {"bonus": 1}}, {"kwargs": {"bonus": [1, {"a": None}]}}, {"max_episode_steps": 3}):
        gym.registry.pop("World-v0")
        gym.register("World-v0", "world:World", **more)
        keys.append(key())
    assert len(set(keys)) == 4
    assert keys[-1] != key("Nothing-v0")


def test_the_key_of_a_run_follows_the_version_of_the_environments_package(files, monkeypatch):
    """Its entry point may stay as it is while another of its modules is upgraded."""
    files.write("world_helper", "REWARD = 1")
    files.write("world", WORLD)
    importlib.import_module("world")
    about = files.folder / "worlds-1.0.dist-info"
    about.mkdir()
    (about / "top_level.txt").write_text("world\n")
    monkeypatch.setattr(code, "_distributions", importlib.metadata.packages_distributions)  # never remembered
    keys = []
    for version in ("1.0", "1.1", "1.0"):
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: worlds\nVersion: {version}\n")
        keys.append(key())
    assert keys[0] == keys[2] != keys[1]
    assert code.registered("World-v0")["packages"] == ["worlds 1.0"]
    assert code.registered("CartPole-v1")["packages"] == []


def test_the_key_of_a_run_follows_functions_that_are_passed(files):
    files.write("world_helper", "def losses(x): return x")
    losses = importlib.import_module("world_helper").losses
    assert changes(
        files, "world_helper", "def losses(x): return x", "def losses(x): return 2 * x",
        lambda: key("Nothing-v0", losses=losses),
    )  # fmt: skip


def test_an_environment_of_no_file_is_trained_in_anew_with_a_warning(files, monkeypatch):
    monkeypatch.setenv("RLWORKSHOP_RUNS", str(files.folder / "cache"))
    files.write("world_helper", "REWARD = 1")
    cell = types.ModuleType("cell")
    monkeypatch.setitem(sys.modules, "cell", cell)
    exec(textwrap.dedent(WORLD), vars(cell))
    for seed in (7, 7, 8):
        with pytest.warns(
            UserWarning, match="top_level_train is trained anew: World of cell lies in no file"
        ) as told:
            assert runs.cached(top_level_train, Config("World-v0"), seed).seed == seed
        assert told[0].filename == __file__
    gym.register("Odd-v0", "world_helper:make", kwargs={"thing": object()})
    with pytest.warns(UserWarning, match="Odd-v0 was registered with .*: register it with plain values"):
        runs.cached(top_level_train, Config("Odd-v0"), 0)
    gym.register("Gone-v0", "no_such_module:make")
    with pytest.warns(UserWarning, match="no_such_module, .* cannot be imported"):
        runs.cached(top_level_train, Config("Gone-v0"), 0)
    assert not (files.folder / "cache").exists()


def test_code_is_found_behind_what_ties_arguments(files):
    files.write("world_helper", "REWARD = 1\ndef make(inner=None): ...")
    make = importlib.import_module("world_helper").make
    own = (files.folder / "world_helper.py").resolve()
    for tied in (functools.partial(make), functools.partial(top_level_train, make), make):
        assert own in code_files(tied)
    gym.register("Tied-v0", functools.partial(make, inner=3))
    gym.register("Given-v0", "gymnasium.envs.classic_control:CartPoleEnv", kwargs={"inner": make})
    assert own in code_files(env_id="Tied-v0") and own in code_files(env_id="Given-v0")
    assert code_files(env_id="CartPole-v1") == code_files(env_id="Nothing-v0") == set()  # of a package
    assert named(make) == "world_helper:make" and registered("Given-v0")["kwargs"] == {"inner": named(make)}
    assert code_files(envs.make) >= {Path(envs.vector.__file__).resolve()}


def test_what_an_environment_is_registered_with_is_kept_as_plain_values(files, monkeypatch):
    given = {"a": [1, (2.5, None)], "b": {3: True, "c": {"d": "text"}}}
    gym.register("World-v0", "world:World", kwargs=given)
    assert registered("World-v0")["kwargs"] == {"a": [1, [2.5, None]], "b": {"3": True, "c": {"d": "text"}}}
    # the book's own worlds count by their code, which lies in files, not by the version of its package
    monkeypatch.setattr(code, "_distributions", lambda: {"rlworkshop": ["numpy"], "world": ["torch"]})
    assert registered("World-v0")["packages"] == [f"torch {torch.__version__}"]
    assert registered("rlworkshop.envs.probes:LongChain-v0")["packages"] == []


def test_the_files_of_code_are_its_own_and_those_that_it_imports_in_its_folder(files, monkeypatch):
    files.write("world_helper", "from rlworkshop import stats")
    files.write("world_parts/two", "import world_helper")
    files.write("world_parts/one", "import world_parts.two\ndef make(): ...")
    files.write("world_parts/__init__", "import world_parts.two\ndef make(): ...")
    helper, two, one, init = (
        (files.folder / f"{name}.py").resolve()
        for name in ("world_helper", "world_parts/two", "world_parts/one", "world_parts/__init__")
    )
    stats = Path(provenance.ROOT, "rlworkshop/stats.py")
    for name, own in (("world_parts.one", one), ("world_parts", init)):
        found = code_files(importlib.import_module(name).make)
        assert found >= {helper, two, own, stats} and (one in found) == (own is one)
    main = types.ModuleType("__main__")  # a script, whose folder is that of what it imports
    main.__file__ = str(two)
    files.write("world_parts/world_helper", "")
    exec("def make(): ...", vars(main))
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert code_files(main.make) == {two, (files.folder / "world_parts/world_helper.py").resolve()}
    with pytest.raises(code.UnknownCodeError, match="has no module"):
        code_files([].append)


def test_an_installed_package_counts_by_its_version_and_the_file_that_was_asked_for(files, monkeypatch):
    files.write("site-packages/world", "import world_helper\ndef make(): ...")
    files.write("site-packages/world_helper", "")
    monkeypatch.syspath_prepend(files.folder / "site-packages")
    make = importlib.import_module("world").make
    assert code_files(make) == {(files.folder / "site-packages/world.py").resolve()}


def test_cached_wants_functions_with_a_lasting_name(tmp_path, monkeypatch):
    monkeypatch.setenv("RLWORKSHOP_RUNS", str(tmp_path))

    def local(config, seed):
        return make_run()

    for bad in (local, lambda config, seed: make_run()):
        with pytest.raises(TypeError, match="move it to the top of a module"):
            runs.cached(bad, Config(), 0)
    main = lambda config, seed: make_run()  # noqa: E731
    main.__module__, main.__qualname__ = "__main__", "main"
    monkeypatch.setattr(sys.modules["__main__"], "main", main, raising=False)
    with pytest.raises(TypeError, match="move it to the top of a module"):
        runs.cached(main, Config(), 0)
    with pytest.raises(TypeError, match="plain values or functions"):
        runs.cached(top_level_train, Config(), 0, thing=object())
    with pytest.raises(TypeError, match="dataclass"):
        runs.cached(top_level_train, {"lr": 1}, 0)


def top_level_train(config, seed, thing=None):
    return make_run(seed)


CACHED = sys.modules["rlworkshop.runs.cached"]  # the module: the package has the function under its name
calls = []


def counted(config, seed, **more):
    calls.append((config, seed, more))
    return make_run(seed)


def locked(config, seed):
    """Nobody else may train meanwhile."""
    (path,) = cache_folder().glob("*.lock")
    with pytest.raises(filelock.Timeout):
        filelock.FileLock(path).acquire(timeout=0)
    return make_run(seed)


def failing(config, seed):
    raise Stop


def rewriting(config, seed, losses):
    """Its code changes while it trains, on a disk whose clock is late."""
    file = Path(sys.modules[losses.__module__].__file__)
    file.write_text("def losses(x): return 2 * x")
    os.utime(file, (1e9, 1e9))
    return make_run(seed)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The folder of cached runs, which does not exist yet; all code is older than this process."""
    monkeypatch.setenv("RLWORKSHOP_RUNS", str(tmp_path / "deep" / "cache"))
    monkeypatch.setattr(CACHED, "_STARTED", time.time() + 1e6)
    calls.clear()
    return tmp_path / "deep" / "cache"


@dataclasses.dataclass(frozen=True)
class Other(Config):
    pass


@dataclasses.dataclass(frozen=True)
class Placeless:
    lr: float = 0.1


def test_a_training_is_done_once_for_each_question_and_shared(kept):
    questions = [
        (Config(), 0, {}), (Config(), 1, {}), (Config(sizes=()), 0, {}), (Other(), 0, {}),
        (Placeless(), 0, {}), (Config(), 0, {"n": 4}), (Config(), 0, {"n": "counted"}),
        (Config(), 0, {"n": counted}), (Config(), 0, {"n": top_level_train}),
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            for config, seed, more in questions:
                assert equal_runs(runs.cached(counted, config, seed, **more), make_run(seed))
    assert calls == questions
    keys = {path.stem.removeprefix("counted-") for path in kept.glob("*.npz")}
    whole = [cache_key(counted, *question) for question in questions]
    assert len(keys) == len(questions) and all(any(one.startswith(k) for one in whole) for k in keys)
    assert min(map(len, keys)) >= 32  # half of a digest: no two questions will ever share it


def test_the_key_of_a_run_is_that_of_what_was_asked_not_of_how(files, monkeypatch):
    assert key("Nothing-v0", a=1, b=2) == key("Nothing-v0", b=2, a=1) != key("Nothing-v0", a=2, b=1)
    found = []
    for bonus in ({"a": 1, "b": 2}, {"b": 2, "a": 1}):
        gym.registry.pop("World-v0", None)
        gym.register("World-v0", "gymnasium.envs.classic_control:CartPoleEnv", kwargs={"bonus": bonus})
        found.append(key())
    assert found[0] == found[1]
    for name, value in (("VERSION", run_files.VERSION + 1), ("versions", lambda: {"numpy": "0.1"})):
        monkeypatch.setattr(CACHED, name, value)
        found.append(key())
    assert len(set(found)) == 3


@pytest.mark.parametrize("damage", [b"", b"garbage"])
def test_a_file_that_is_broken_is_trained_anew_and_replaced(kept, damage):
    runs.cached(counted, Config(), 0)
    (path,) = kept.glob("*.npz")
    path.write_bytes(damage)
    for _ in range(2):
        assert equal_runs(runs.cached(counted, Config(), 0), make_run())
    assert len(calls) == 2


def test_one_process_trains_while_the_others_wait_and_none_waits_for_ever(kept):
    assert equal_runs(runs.cached(locked, Config(), 0), make_run())
    with pytest.raises(Stop) as failure:  # it holds the frames of what has failed
        runs.cached(failing, Config(), 0)
    assert failure
    for path in kept.glob("*.lock"):
        filelock.FileLock(path).acquire(timeout=0)


def test_a_run_of_code_that_may_have_changed_is_not_kept(kept, files, monkeypatch):
    files.write("world_helper", "def losses(x): return x")
    losses = importlib.import_module("world_helper").losses
    with pytest.warns(UserWarning, match="code changed while this process ran") as told:
        assert equal_runs(runs.cached(rewriting, Config(), 0, losses=losses), make_run())
        assert equal_runs(runs.cached(rewriting, Config(), 0, losses=losses), make_run())  # the second fits
    assert [warning.filename for warning in told] == [__file__]
    assert len([*kept.glob("*.npz")]) == 1
    files.write("world_helper", "def losses(x): return 3 * x")
    newest = int(time.time()) + 1000  # younger than all other files
    os.utime(files.folder / "world_helper.py", (newest, newest))
    for started, warned in ((newest - 0.5, True), (newest, False)):
        monkeypatch.setattr(CACHED, "_STARTED", started)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            runs.cached(counted, Placeless(), 0, losses=losses)
        assert bool(told) is warned


def test_a_run_in_an_environment_that_is_younger_than_the_process_is_not_kept(kept, files, monkeypatch):
    files.write("world_helper", "REWARD = 1")
    files.write("world", WORLD)
    importlib.import_module("world")
    later = int(time.time()) + 1000
    monkeypatch.setattr(CACHED, "_STARTED", later)
    assert equal_runs(runs.cached(counted, Config("World-v0"), 0), make_run())
    os.utime(files.folder / "world_helper.py", (later + 1, later + 1))
    with pytest.warns(UserWarning, match="code changed while this process ran"):
        runs.cached(counted, Config("World-v0"), 1)
    assert len([*kept.glob("*.npz")]) == 1


def test_where_nothing_can_be_kept_the_run_is_still_there(kept, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.warns(UserWarning, match="the run is not kept: .*No space left") as told:
            assert equal_runs(runs.cached(counted, Config(), 0, n=1), make_run())
    assert not [*kept.glob("*.npz")] and told[0].filename == __file__
    (kept / "blocked").write_text("")
    monkeypatch.setenv("RLWORKSHOP_RUNS", str(kept / "blocked" / "x"))  # a folder that cannot be made
    with pytest.warns(UserWarning, match="cannot be kept in .*: training anew") as told:
        assert equal_runs(runs.cached(counted, Config(), 0, n=1), make_run())
    assert told[0].filename == __file__ and calls == [(Config(), 0, {"n": 1})] * 2


def test_a_process_begins_a_moment_before_its_code_is_read(monkeypatch):
    """The clock that stamps files goes by ticks, of a hundredth of a second at most."""
    spec = importlib.util.find_spec("rlworkshop.runs.cached")
    again = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    spec.loader.exec_module(again)
    assert 999.9 < again._STARTED < 999.99


def test_cached_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("RLWORKSHOP_RUNS", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("RLWORKSHOP_RUNS")
    monkeypatch.setattr(provenance, "ROOT", tmp_path / "site")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg/rlworkshop/runs"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home/.cache/rlworkshop/runs"
    (tmp_path / "code").mkdir()
    (tmp_path / "conf.py").write_text("")
    monkeypatch.setattr(provenance, "ROOT", tmp_path / "code")
    assert cache_folder() == tmp_path / "_build/state/runs"


# ---------------------------------------------------------------- stored


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A small source tree: module m imports n; a script that stores."""
    (tmp_path / "code").mkdir()
    for name, text in {"m": "import n", "n": "x = 1", "other": "y = 1"}.items():
        (tmp_path / "code" / f"{name}.py").write_text(text)
    (tmp_path / "script.py").write_text("import m")
    monkeypatch.setattr(provenance, "ROOT", tmp_path / "code")
    return tmp_path


def test_stored_knows_whether_it_still_fits(project):
    results = {"scores": [1.5, 2.0]}
    runs.store("long", results, [0, 1, 2], ["m"], project / "script.py", folder=project)

    def read():
        return runs.stored("long", folder=project)

    assert read().results == results and read().fits
    assert "3 seeds" in read().note and "script.py" in read().note and "fits" in read().note
    assert 'class="stored-run fits"' in read()._repr_html_()
    for file in ("code/n.py", "script.py"):
        before = (project / file).read_text()
        (project / file).write_text(before + "\nz = 2\n")
        assert not read().fits and "THE CODE HAS CHANGED SINCE" in read().note
        assert 'class="stored-run outdated"' in read()._repr_html_()
        (project / file).write_text(before)
        assert read().fits
    (project / "code/other.py").write_text("y = 2")
    assert read().fits
    (project / "code/m.py").unlink()
    assert not read().fits


def test_stored_says_where_it_comes_from_and_names_no_machine(project):
    path = runs.store("long", {}, range(2), ["m"], project / "script.py", folder=project)
    about = json.loads(path.read_text())["provenance"]
    assert about["script"] == "script.py" and about["seeds"] == [0, 1] and about["modules"] == ["m"]
    assert about["versions"]["numpy"] == np.__version__ and about["machine"]["cores"] == os.cpu_count()
    assert str(project) not in path.read_text() and os.uname().nodename not in path.read_text()


def test_stored_says_which_command_made_it(project, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "argv", ["long.py", "--seeds", "3"])
    (project / "benchmarks").mkdir()
    outside = tmp_path_factory.mktemp("outside")
    for place, shown in ((project / "benchmarks", "benchmarks/long.py"), (outside, "long.py")):
        (place / "long.py").write_text("import m")
        given = os.path.relpath(place / "long.py")  # as a command line gives it
        path = runs.store("long", {"x": [1, 2]}, [0], ["m"], given, project, packages=["pytest"])
        about = json.loads(path.read_text())["provenance"]
        assert about["script"] == shown and about["command"] == f"python {shown} --seeds 3"
        assert about["versions"]["pytest"] == pytest.__version__
        assert runs.stored("long", project).fits is (place is not outside)  # what is not there cannot fit
        # made again it differs where the results do
        assert path.read_text() == json.dumps(json.loads(path.read_text()), indent=1) + "\n"


def test_stored_fits_wherever_the_project_lies(project, tmp_path_factory, monkeypatch):
    runs.store("long", {}, [0], ["m"], project / "script.py", folder=project)
    other = tmp_path_factory.mktemp("other") / "book"
    shutil.copytree(project, other)
    monkeypatch.setattr(provenance, "ROOT", other / "code")
    assert runs.stored("long", folder=other).fits


def test_stored_runs_lie_among_the_benchmarks_of_the_project_or_of_this_folder(project, monkeypatch):
    (project / "here").mkdir()
    monkeypatch.chdir(project / "here")
    found = [runs.store("long", {}, [0], ["m"], project / "script.py")]
    (project / "conf.py").write_text("")
    found.append(runs.store("long", {}, [0], ["m"], project / "script.py"))
    assert found == [place / "benchmarks/results/long.json" for place in (project / "here", project)]
    assert runs.stored("long").fits


def test_in_a_notebook_a_stored_run_shows_what_it_is(project, monkeypatch):
    runs.store("long", {}, [0], ["m"], project / "script.py", folder=project)
    shown, shell = [], [object()]
    display = types.SimpleNamespace(display=shown.append)
    notebook = types.SimpleNamespace(get_ipython=lambda: shell[0], display=display)
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    run = runs.stored("long", folder=project)
    assert len(shown) == 1 and shown[0] is run
    shell[0] = None  # imported, but nobody looks
    runs.stored("long", folder=project)
    monkeypatch.delitem(sys.modules, "IPython")
    runs.stored("long", folder=project)
    assert len(shown) == 1


def test_stored_knows_the_processor(project, monkeypatch):
    texts, read = ["processor\t: 0\nmodel name\t: A fast one: 2 GHz\n", "nothing"], Path.read_text

    def told(path, **options):
        return texts[0] if path == Path("/proc/cpuinfo") else read(path, **options)

    monkeypatch.setattr(Path, "read_text", told)
    for processor in ("A fast one: 2 GHz", platform.processor() or platform.machine()):
        path = runs.store("long", {}, [0], ["m"], project / "script.py", folder=project)
        assert json.loads(path.read_text())["provenance"]["machine"]["processor"] == processor != ""
        del texts[0]


def test_stored_errors(tmp_path):
    with pytest.raises(runs.RunFileError, match="there is no stored run"):
        runs.stored("nothing", folder=tmp_path)
    for text in ("{", "[]", "{}", '{"provenance": {}, "results": 1}'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(runs.RunFileError, match="is not a stored run"):
            runs.stored("x", folder=tmp_path)


# ---------------------------------------------------------------- training


@dataclasses.dataclass(frozen=True)
class Small:
    """Of a training of a quarter of a second."""

    env_id: str = "CartPole-v1"
    num_envs: int = 2
    total_steps: int = 200


@dataclasses.dataclass
class Agent:
    """What such a training trains: two numbers."""

    weights: np.ndarray


def learn(config=None, seed=0, lr=1.0, first=20, every=16, parts=None, more=None, kind=Training, **options):
    """Wanders about; each update tells where it has come to, so that another way gives other numbers."""
    session = kind("rlworkshop.envs.probes", config or Small(), seed, parts, **options)
    agent = Agent(np.zeros(2))
    obs = session.begin(agent, learner=agent, **({"more": more} if more else {}))
    while session.running(session.envs.num_envs):
        action = (obs.sum(axis=-1) > session.rng.normal(size=len(obs))).astype(int)
        obs, reward, terminated, truncated, _ = session.envs.step(action)
        session.episodes.step(obs, reward, terminated, truncated)
        if session.due(first, every):
            agent.weights = agent.weights + lr * (obs.sum() + session.rng.normal(size=2))
            session.updated(obs, size=np.abs(agent.weights).sum())
    return session.end()


class Stop(Exception):
    pass


def interrupted(session):
    if len(session.metrics["update_step"]) == 5:
        raise Stop


def same_training(a, b):
    return same([a.metrics, a.policy], [b.metrics, b.policy])


def test_an_ordinary_training_warns_of_nothing_and_shows_nothing(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = learn()
    assert capsys.readouterr() == ("", "") and run.notes == []
    assert run.metrics["length"].sum() <= 200 and (run.metrics["update_step"] > 0).all()
    assert run.config == {"env_id": "CartPole-v1", "num_envs": 2, "total_steps": 200}
    assert same_training(run, learn()) and not same_training(run, learn(seed=1))


@pytest.mark.parametrize("kind", [Session, Training])
def test_a_session_knows_its_budget_and_when_an_update_is_due(kind):
    session = kind("toy", Small(), 0)
    session.begin(Agent(np.zeros(2)))
    session.episodes.steps = 198
    assert session.running(1) and session.running(2) and not session.running(3)
    found = []
    for session.episodes.steps in range(60):
        if session.due(20, 16):
            found.append(session.steps)
            session.updated(np.zeros((2, 4)))
    assert found == [20, 36, 52] == session.metrics["update_step"]
    session.stop()
    assert not session.running(1)


def test_a_session_that_was_taken_along_trains_alike_and_prints_a_line_now_and_then(capsys):
    made, config, seen, closed = envs.make("CartPole-v1", 2), Small(total_steps=560), [], []
    made.close = lambda: closed.append(True)
    options = {"first": 2, "every": 2, "parts": {"changes": changes}, "callback": seen.append}
    brief = learn(config, kind=Session, envs=made, **options)
    lines, updates = capsys.readouterr().out.splitlines(), len(brief.metrics["update_step"])
    whole = learn(config, **options)
    assert closed and capsys.readouterr().out == "" and len(seen) == 2 * updates > 400
    assert same_training(brief, whole) and brief.config == whole.config
    assert (brief.env_id, brief.algorithm, brief.seed) == (whole.env_id, whole.algorithm, 0)
    assert len(lines) == updates // 100
    for line, step in zip(lines, brief.metrics["update_step"][99::100], strict=True):
        returns = brief.metrics["return"][brief.metrics["step"] <= step]
        assert line == f"step {step:.0f}: return {returns[-20:].mean():.1f}"
    learn(kind=Session, first=2, every=2, envs=envs.make(Endless, 2), config=Small(total_steps=200))
    assert capsys.readouterr().out.splitlines() == ["step 200: return nan"]


def test_a_checkpoint_is_written_each_hundred_updates(tmp_path):
    path, there = tmp_path / "c.npz", []
    learn(
        Small(total_steps=220),
        first=2,
        every=2,
        checkpoint=path,
        callback=lambda _: there.append(path.exists()),
    )
    assert there == [False] * 100 + [True] * (len(there) - 100) and len(there) > 101
    assert not path.exists()
    learn(keep_checkpoint=True)  # without a file there is nothing to keep
    with pytest.warns(UserWarning, match="never updated"):
        learn(first=201, checkpoint=path, keep_checkpoint=True)  # nor is there without an update
    assert not path.exists()


@pytest.mark.parametrize("total", [*range(190, 202, 2), 30])
@pytest.mark.filterwarnings("ignore:.*no episode has ended in 30 steps")
def test_a_continued_training_is_one_that_was_longer_from_the_start(tmp_path, total):
    """Wherever its last update was."""
    path = tmp_path / "c.npz"
    learn(Small(total_steps=total), checkpoint=path, keep_checkpoint=True)
    run = learn(Small(total_steps=400), checkpoint=path)
    assert same_training(run, learn(Small(total_steps=400)))
    assert len(run.notes) == 1 and run.notes[0].startswith("continued at step ")
    assert run.config["total_steps"] == 400 and not path.exists()


def test_a_training_that_is_continued_twice_says_so_twice(tmp_path):
    for total in (200, 300, 400):
        options = {"checkpoint": tmp_path / "c.npz", "keep_checkpoint": total < 400}
        run = learn(Small(total_steps=total), **options)
    assert [note.split(" at ")[0] for note in run.notes] == ["continued"] * 2


def test_a_finished_training_is_not_done_again(tmp_path):
    path = tmp_path / "c.npz"
    first = learn(checkpoint=path, keep_checkpoint=True)
    again = learn(checkpoint=path, keep_checkpoint=True, callback=interrupted)  # which nobody calls
    assert same_training(first, again) and again.notes == []
    with pytest.raises(runs.RunFileError, match="other config"):
        learn(Small(total_steps=100), checkpoint=path)


def test_a_resumed_training_ends_in_the_same_bits(tmp_path):
    path = tmp_path / "c.npz"
    with pytest.raises(Stop):
        learn(checkpoint=path, checkpoint_every=2, callback=interrupted)
    run = learn(checkpoint=path)
    assert same_training(run, learn()) and run.notes == []
    with pytest.raises(ValueError, match="not every 0"):
        learn(checkpoint=path, checkpoint_every=0)


LOSSES = "def losses(x): return {}"


def test_a_checkpoint_of_other_code_is_refused(files, tmp_path):
    path = tmp_path / "c.npz"
    files.write("world_helper", LOSSES.format("x"))
    losses = importlib.import_module("world_helper").losses
    with pytest.raises(Stop):
        learn(parts={"losses": losses}, checkpoint=path, checkpoint_every=1, callback=interrupted)
    files.write("world_helper", LOSSES.format("2 * x"))
    with pytest.raises(runs.RunFileError, match=r"another training \(other code\)"):
        learn(parts={"losses": losses}, checkpoint=path)
    with pytest.raises(runs.RunFileError, match=r"\(other code, config\)"):
        learn(checkpoint=path)
    files.write("world_helper", LOSSES.format("x"))
    run = learn(parts={"losses": losses}, checkpoint=path)
    assert run.config["losses"] == "world_helper:losses"


@pytest.mark.parametrize("tied", [False, True])
def test_a_checkpoint_of_another_environments_code_is_refused(files, tmp_path, tied):
    path = tmp_path / "c.npz"
    files.write("world_helper", "REWARD = 1.0")
    files.write("world", WORLD)
    world = importlib.import_module("world")
    given = {"envs": functools.partial(world.World, bonus=1)} if tied else {}
    config = Small("CartPole-v1" if tied else "World-v0")
    with pytest.raises(Stop):
        learn(config, checkpoint=path, checkpoint_every=1, callback=interrupted, **given)
    files.write("world_helper", "REWARD = 5.0")
    with pytest.raises(runs.RunFileError, match="other code"):
        learn(config, checkpoint=path, **given)


def test_no_training_goes_on_with_code_that_nobody_can_compare(files, tmp_path, monkeypatch):
    path = tmp_path / "c.npz"
    cell = types.ModuleType("cell")
    monkeypatch.setitem(sys.modules, "cell", cell)
    exec("def losses(x): return x", vars(cell))
    parts = {"losses": cell.losses}
    assert learn(parts=parts).digest == ""
    with pytest.raises(Stop):
        learn(parts=parts, checkpoint=path, checkpoint_every=1, callback=interrupted)
    with pytest.raises(runs.RunFileError, match="its code lies in no file"):
        learn(parts=parts, checkpoint=path)


def test_a_callback_sees_the_training_and_may_end_it(tmp_path):
    path, seen = tmp_path / "c.npz", []

    def look(session):
        seen.append((session.steps, session.metrics["size"][-1], np.abs(session.agent.weights).sum()))
        assert session.steps == session.metrics["update_step"][-1]
        if len(seen) == 3:
            session.stop()

    run = learn(callback=look, checkpoint=path)
    assert [steps for steps, *_ in seen] == run.metrics["update_step"].tolist()
    assert len(seen) == 3 and all(told == weighs for _, told, weighs in seen)
    assert np.array_equal(run.metrics["size"], learn().metrics["size"][:3]) and not path.exists()


def test_what_fails_in_silence_is_said():
    with pytest.warns(UserWarning, match="CartPole-v1, seed 0: the agent was never updated"):
        assert "never updated" in learn(first=201).notes[0]
    with pytest.warns(UserWarning, match="the policy has not changed"):
        assert "not changed" in learn(lr=0.0).notes[0]
    with pytest.warns(UserWarning, match="no episode has ended in 200 steps") as told:
        run, line = learn(envs=Endless), inspect.currentframe().f_lineno
    assert (told[0].filename, told[0].lineno) == (__file__, line)  # of who asked for the training
    assert len(run.notes) == 1 and len(run.metrics["return"]) == 0
    assert "max_episode_steps= in its registration" in run.notes[0]


def test_a_part_without_a_name_is_refused():
    with pytest.raises(TypeError, match="losses must be a function or a class, which has a name"):
        learn(parts={"losses": functools.partial(changes)})


def test_a_class_where_an_id_belongs_is_led_to_where_it_belongs():
    with pytest.raises(
        TypeError, match="env_id is an id, a text: hand <class .*Endless'> to train, as envs="
    ):
        learn(Small(env_id=Endless))


class Endless(gym.Env):
    """Goes on forever, and nothing can save it."""

    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, scale=1.0):
        self.scale = scale

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.ones(2, np.float32), {}

    def step(self, action):
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), self.scale, False, False, {}


class Unfinished:
    """A part that joins the steps of an episode."""

    def __init__(self):
        self.forgotten = 0

    def forget_unfinished(self):
        self.forgotten += 1


@pytest.mark.parametrize("given, forgotten", [({"envs": Endless}, 1), ({}, 0)])
@pytest.mark.filterwarnings("ignore:.*no episode has ended")
def test_parts_forget_unfinished_episodes_where_these_cannot_go_on(tmp_path, given, forgotten):
    path, more = tmp_path / "c.npz", Unfinished()
    again = {"checkpoint": path, "more": more, **given}
    with pytest.raises(Stop):
        learn(callback=interrupted, checkpoint_every=1, **again)
    assert more.forgotten == 0
    run = learn(**again)
    assert more.forgotten == forgotten
    assert ["fresh episodes" in note for note in run.notes[:1]] == [True] * forgotten


def test_environments_and_their_arguments():
    with pytest.warns(UserWarning, match="no episode"):
        run = learn(envs=Endless, env_kwargs={"scale": 2.0})
    assert run.config["env_kwargs"] == {"scale": 2.0} and run.env_id == f"{__name__}:Endless"
    made = envs.make("CartPole-v1", 3)
    assert learn(envs=made).metrics["length"].sum() > 0
    assert learn(env_kwargs={"sutton_barto_reward": True}).metrics["return"].max() <= 0


def test_what_a_copied_training_leaves_behind_comes_back(tmp_path):
    about = {"seed": 3, "metrics": {"x": np.arange(3.0)}, "policy": {"w": np.ones((2, 2), np.float32)}}
    Outcome(**about).save(tmp_path / "outcome")
    assert same(vars(Outcome.load(tmp_path / "outcome")), about)
    torch.save({"x": Bomb()}, tmp_path / "bomb")
    with pytest.raises(pickle.UnpicklingError):
        Outcome.load(tmp_path / "bomb")


# ---------------------------------------------------------------- the command line


def left(obs):
    return np.zeros(len(obs), int)


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Asks a training that does nothing, as the command line does; how it was called."""
    monkeypatch.chdir(tmp_path)
    threads, evaluate = torch.get_num_threads(), envs.evaluate
    monkeypatch.setattr(envs, "evaluate", lambda *args: played.append(args[2]) or evaluate(*args))
    played = []

    def ask(*arguments, returns=(1.0, 2.0), module="toys.toy", fails=None, brief=False, script="", **more):
        called = {}

        def train(config, seed, **options):
            if fails:
                raise fails
            called.update(options, config=config, seed=seed)
            metrics = {"return": np.array(returns)}
            return dataclasses.replace(make_run(seed), env_id=config.env_id, metrics=metrics)

        train.__module__ = module
        torch.set_num_threads(2)
        monkeypatch.setattr(
            sys, "argv", [script or "/somewhere/copied.py", *(arguments if brief else ["--nonsense"])]
        )
        given = {} if brief else {"arguments": arguments}
        line = plain_command if brief else command
        line(train, lambda run: types.SimpleNamespace(act=left), Small, **given, **more)
        assert torch.get_num_threads() == 1 and played.pop() == 30
        return called

    yield ask
    torch.set_num_threads(threads)


def score(seed):
    found = envs.vector.evaluate(left, "CartPole-v1", 30, seed)
    return f"{found.mean():.1f} ± {found.std():.1f}"


def test_the_command_line_trains_saves_and_says_how_good_it_is(asked, capsys):
    called = asked("--seed", "3", "--total-steps", "300")
    assert called.pop("config") == Small(total_steps=300)
    plain = {"checkpoint": Path("toy.checkpoint.npz"), "keep_checkpoint": False, "log_dir": None}
    assert called == {"seed": 3, "progress": True, **plain}
    out = capsys.readouterr().out.splitlines()
    assert out == [
        f"CartPole-v1, seed 3: 2 episodes of training; evaluation over 30 episodes {score(3)}; saved toy.npz"
    ]
    assert runs.Run.load("toy.npz").seed == 3
    called = asked("--keep-checkpoint", "--out", "a.npz", "--log-dir", "log", default=Small(num_envs=7))
    assert called["config"] == Small(num_envs=7) and called["seed"] == 0 and called["keep_checkpoint"]
    assert (called["checkpoint"], called["log_dir"]) == (Path("a.checkpoint.npz"), Path("log"))
    assert asked()["config"] == Small()


@pytest.mark.parametrize(
    ("returns", "said"),
    [([2.0, 2.0], "first half 2.0, second half 2.0"), ([3.0, 2.0, 2.0], "first half 3.0, second half 2.0"),
     ([1.0, 2.0], ""), ([5.0], ""), ([], ""), ([1.0, 9.0, 2.0, 9.0], "")],
)  # fmt: skip
def test_the_command_line_says_when_the_return_has_not_improved(asked, capsys, returns, said):
    asked(returns=returns)
    out = capsys.readouterr().out
    assert f"not improved ({said})" in out if said else "not improved" not in out


def test_a_copied_file_gives_its_run_its_own_name_and_an_error_is_one_line(asked):
    asked(module="__main__")
    assert runs.Run.load("copied.npz").seed == 0
    asked(module="__main__", script="rlworkshop train toy")  # what the console command calls itself
    assert runs.Run.load("toy.npz").seed == 0
    for error in (
        ValueError("no such world"),
        ImportError("no such world"),
        runs.RunFileError("no such world"),
    ):
        with pytest.raises(SystemExit, match="^toy: no such world$"):
            asked(fails=error)


def test_the_command_line_of_a_copied_file(asked, capsys):
    asked("--seed", "4", "--out", "run.npz", brief=True)
    assert capsys.readouterr().out == f"CartPole-v1, seed 4: evaluation {score(4)}; saved run.npz\n"
    assert asked("--num-envs", "3", brief=True)["config"] == Small(num_envs=3)
    called = asked(brief=True, default=Small(num_envs=7))
    assert called == {"config": Small(num_envs=7), "seed": 0} and runs.Run.load("run.pt").seed == 0


# ---------------------------------------------------------------- progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def test_a_line_now_and_then_where_there_is_no_terminal(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    learn(Small(total_steps=400), progress=True)
    (line,) = out.getvalue().splitlines()  # the training is over long before the second
    assert line.startswith("step ") and "of 400, " in line and "steps/s" in line
    monkeypatch.setattr("rlworkshop.runs.progress.EVERY", -1.0)
    run = learn(Small(total_steps=400), progress=True)
    lines = out.getvalue().splitlines()[1:]
    assert len(lines) == len(run.metrics["update_step"])
    assert f"step {run.metrics['update_step'][-1]:.0f} of 400, " in lines[-1] and " s left" in lines[-1]
    assert f"return {run.metrics['return'][-20:].mean():.1f}" in lines[-1]


def test_a_bar_on_a_terminal(monkeypatch):
    out = Terminal()
    monkeypatch.setattr(sys, "stderr", out)
    tqdm.set_lock(threading.RLock())  # its own, of processes, would be left behind where tests end in forks
    learn()
    assert out.getvalue() == ""
    learn(progress=True)
    assert "step/s" in out.getvalue() and "/200" in out.getvalue() and "\r" in out.getvalue()


def test_what_is_shown_and_logged_by_the_clock(tmp_path, monkeypatch):
    without_tensorboard(monkeypatch)
    out, folder = io.StringIO(), tmp_path / "deep" / "down"
    monkeypatch.setattr(sys, "stderr", out)
    progress, returns = Progress(10_000, folder, shown=True), [*range(25)]
    updates = [(10.5, 100, []), (11.0, 150, []), (20.5, 900, [1]), (30.5, 2100, returns)]
    with pytest.warns(UserWarning, match="tensorboard"):
        for now, steps, so_far in updates:
            monkeypatch.setattr("rlworkshop.runs.progress.time.monotonic", lambda now=now: now)
            progress.update(types.SimpleNamespace(steps=steps, returns=so_far), {"loss": 1.0})
    assert (
        out.getvalue().splitlines()
        == [  # the third would come ten seconds after the first: no more
            "step 100 of 10,000, 0 episodes, return nan, 0 steps/s, time left not known",
            f"step 2,100 of 10,000, 25 episodes, return {np.mean(returns[-20:]):.1f}, 100 steps/s, 79 s left",
        ]
    )
    progress.update(types.SimpleNamespace(steps=2200, returns=[]), {"loss": 2.0, "new": 3.0})
    rows = table(folder)  # while it is still open; what was not there in the first row has no column
    assert [float(row["steps_per_second"]) for row in rows[:4]] == [0, 100, 80, 100]
    assert [row["episodes"] for row in rows] == ["0", "0", "1", "25", "0"] and rows[4]["loss"] == "2.0"
    progress.close()
    assert progress.file.closed


def test_a_line_is_seen_at_once_where_a_stream_keeps_back_what_it_can(monkeypatch):
    seen = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(seen))
    Progress(1000, shown=True).update(types.SimpleNamespace(steps=1, returns=[]), {})
    assert seen.getvalue().startswith(b"step 1 of 1,000")
    Progress(1000).update(
        types.SimpleNamespace(steps=1, returns=[]), {}
    )  # which nobody asked to show anything
    sys.stderr.flush()
    assert seen.getvalue().count(b"step 1 of") == 1


def test_the_bar_of_a_resumed_training_begins_where_it_was(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    tqdm.set_lock(threading.RLock())
    progress = Progress(1000, shown=True)
    for steps in (300, 420):
        progress.update(types.SimpleNamespace(steps=steps, returns=[1.0, 4.0]), {})
        bar = progress.bar
        assert bar.postfix == "episodes=2, return=2.5"
        assert (bar.n, bar.initial, bar.total, bar.unit, bar.unit_scale) == (steps, 300, 1000, "step", True)
    progress.close()
    assert bar.disable  # closed


def table(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def without_tensorboard(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)


def test_numbers_go_to_a_table_and_it_is_said_that_tensorboard_is_missing(tmp_path, monkeypatch, capsys):
    without_tensorboard(monkeypatch)
    with pytest.warns(UserWarning, match="pip install tensorboard") as told:
        run, line = learn(log_dir=tmp_path / "log"), inspect.currentframe().f_lineno
    assert len(told) == 1 and capsys.readouterr() == ("", "")
    assert (told[0].filename, told[0].lineno) == (__file__, line)  # of who asked for the training
    rows = table(tmp_path / "log")
    assert [float(row["step"]) for row in rows] == run.metrics["update_step"].tolist()
    assert [float(row["size"]) for row in rows] == run.metrics["size"].tolist()
    assert {"episodes", "return", "steps_per_second"} < rows[0].keys()
    assert [file.name for file in (tmp_path / "log").iterdir()] == ["metrics.csv"]


def test_numbers_go_to_tensorboard_too(tmp_path, monkeypatch):
    told, closed = [], []

    class Writer:
        def __init__(self, folder):
            assert folder == tmp_path

        def add_scalar(self, name, value, step):
            told.append((name, value, step))

        def close(self):
            closed.append(True)

    fake = types.ModuleType("torch.utils.tensorboard")
    fake.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = learn(log_dir=tmp_path)
    sizes = [(value, step) for name, value, step in told if name == "size"]
    assert sizes == list(zip(run.metrics["size"], run.metrics["update_step"], strict=True)) and closed
    assert len(table(tmp_path)) == len(sizes)


def test_the_table_of_a_resumed_training_goes_on(tmp_path, monkeypatch):
    without_tensorboard(monkeypatch)
    options = {"log_dir": tmp_path, "checkpoint": tmp_path / "c.npz"}
    with pytest.warns(UserWarning, match="tensorboard"), pytest.raises(Stop):
        learn(checkpoint_every=4, callback=interrupted, **options)
    with pytest.warns(UserWarning, match="tensorboard"):
        run = learn(**options)
    steps = [float(row["step"]) for row in table(tmp_path)]
    assert steps == run.metrics["update_step"].tolist()  # none twice: not those after the last checkpoint


def test_progress_without_a_finished_episode_is_shown(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    book = envs.Episodes(1)
    book.step(np.zeros((1, 1)), np.ones(1), np.zeros(1, bool), np.zeros(1, bool))
    progress = Progress(10, shown=True)
    progress.update(book, {"update_step": 1.0})
    progress.close()
    assert "step 1 of 10, 0 episodes, return nan" in out.getvalue()
