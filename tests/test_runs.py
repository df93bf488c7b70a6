"""Runs: files that are whole or absent, training once, resuming, knowing what a stored result stands on."""

import dataclasses
import errno
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from rlworkshop import runs

CODE = Path(runs.__file__).resolve().parents[1]


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
    make_run().save(tmp_path / "deep" / "run.npz")
    assert equal_runs(runs.Run.load(tmp_path / "deep" / "run.npz"), make_run())
    assert not equal_runs(runs.Run.load(tmp_path / "deep" / "run.npz"), make_run(1))


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


def test_newer_format_and_other_kind(tmp_path, monkeypatch):
    runs.save_tree(tmp_path / "tree", {"a": 1})
    with pytest.raises(runs.RunFileError, match="holds a tree, not a run"):
        runs.Run.load(tmp_path / "tree")
    with monkeypatch.context() as patch:
        patch.setattr(runs, "VERSION", 2)
        make_run().save(tmp_path / "new")
    with pytest.raises(runs.RunFileError, match="newer format"):
        runs.Run.load(tmp_path / "new")


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


# ---------------------------------------------------------------- checkpoints


def test_checkpoint_of_another_training_is_refused(tmp_path):
    path = tmp_path / "c.npz"
    mine = runs.Checkpoint(path, {"seed": 1, "config": {"lr": 0.1}}, every=2)
    assert mine.load() is None
    assert [n for n in range(1, 7) if mine.due(n)] == [2, 4, 6]
    mine.save({"x": np.arange(3)})
    assert mine.load()["x"].tolist() == [0, 1, 2]
    with pytest.raises(runs.RunFileError, match=r"other config, seed\)"):
        runs.Checkpoint(path, {"seed": 2, "config": {"lr": 0.2}}).load()
    mine.remove()
    assert not path.exists()


def test_no_checkpoint_without_a_path():
    none = runs.Checkpoint(None, {})
    assert none.load() is None and not none.due(10)
    none.remove()
    with pytest.raises(ValueError, match="every"):
        runs.Checkpoint(None, {}, every=0)


# ---------------------------------------------------------------- cached


TOY = """
    import dataclasses, os, time
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

    def one(): return 1
    def two(): return 2
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


def test_cached_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("RLWORKSHOP_RUNS", str(tmp_path))
    assert runs.cache_folder() == tmp_path
    monkeypatch.delenv("RLWORKSHOP_RUNS")
    monkeypatch.setattr(runs.provenance, "ROOT", tmp_path / "site")
    assert runs.cache_folder().name == "rlworkshop-runs"
    (tmp_path / "code").mkdir()
    (tmp_path / "conf.py").write_text("")
    monkeypatch.setattr(runs.provenance, "ROOT", tmp_path / "code")
    assert runs.cache_folder() == tmp_path / "_build" / "runs"


# ---------------------------------------------------------------- stored


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A small source tree: module m imports n; a script that stores."""
    (tmp_path / "code").mkdir()
    for name, text in {"m": "import n", "n": "x = 1", "other": "y = 1"}.items():
        (tmp_path / "code" / f"{name}.py").write_text(text)
    (tmp_path / "script.py").write_text("import m")
    monkeypatch.setattr(runs.provenance, "ROOT", tmp_path / "code")
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


def test_stored_errors(tmp_path):
    with pytest.raises(runs.RunFileError, match="there is no stored run"):
        runs.stored("nothing", folder=tmp_path)
    for text in ("{", "[]", "{}", '{"provenance": {}, "results": 1}'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(runs.RunFileError, match="is not a stored run"):
            runs.stored("x", folder=tmp_path)
