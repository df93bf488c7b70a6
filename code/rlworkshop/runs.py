"""Runs: what a training leaves behind, kept, shared and resumed.

``Run`` is the record of one training. ``Checkpoint`` lets an interrupted training go on. ``cached`` trains
once and answers from the file afterwards, as long as code, configuration, seed and versions are the same.
``store`` and ``stored`` keep the results of experiments that are too long for a build, with what is needed
to tell whether they still belong to the code.

Files are numpy's ``.npz`` with one JSON entry for the structure: reading one never runs code from it.

Book: start/how_to_use
"""

import dataclasses
import datetime
import hashlib
import html
import importlib.metadata
import io
import json
import os
import platform
import sys
import tempfile
import time
import types
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from rlworkshop import envs as environments
from rlworkshop import provenance

FORMAT, VERSION = "rlworkshop", 1
PACKAGES = ("gymnasium", "mujoco", "numpy", "torch")  # their versions decide results
CACHE_FOLDER = "RLWORKSHOP_RUNS"  # the environment variable that moves the folder of cached runs
_STARTED = time.time() - 0.05  # the clock that stamps files lags a little


class RunFileError(RuntimeError):
    """A file of a run cannot be read or written; the text says which one, why, and what to do."""


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """What a training leaves behind.

    Attributes:
        algorithm: dotted name of the module that trained, e.g. ``rlworkshop.algorithms.vpg``.
        env_id, config, seed: what was asked for; ``config`` as a dictionary of plain values.
        metrics: one-dimensional arrays by name. ``step``, ``return`` and ``length`` have one entry for
            each finished episode (``step``: environment steps when it ended); others are the algorithm's.
        policy: the final policy as a tree of arrays and plain values, observation normaliser included.
        versions: of Python and of the packages that decide results.
        digest: of the algorithm's code and all it imports (``provenance.code_digest``).
        notes: what a reader of the numbers must know, e.g. that a resume had to begin fresh episodes.

    Book: start/how_to_use
    """

    algorithm: str
    env_id: str
    config: dict[str, Any]
    seed: int
    metrics: dict[str, np.ndarray]
    policy: dict[str, Any]
    versions: dict[str, str] = dataclasses.field(default_factory=lambda: versions())
    digest: str = ""
    notes: list[str] = dataclasses.field(default_factory=list)

    def save(self, path: str | Path) -> None:
        """Write the run to ``path`` (``.npz``), whole or not at all.

        Raises:
            RunFileError: the file could not be written; one that was there before is untouched.
        """
        save_tree(path, {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}, kind="run")

    @classmethod
    def load(cls, path: str | Path) -> "Run":
        """Read a run that ``save`` wrote.

        Raises:
            RunFileError: the file is missing, broken, foreign, or of a newer format.
        """
        tree = load_tree(path, kind="run")
        try:
            return cls(**tree)
        except TypeError as error:
            raise RunFileError(f"{path} does not hold a whole run ({error}): train it again") from error


def versions(*more: str) -> dict[str, str]:
    """Versions of Python, of ``PACKAGES`` and of ``more``, as far as they are installed."""
    found = {"python": provenance.python_version()}
    for package in (*PACKAGES, *more):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def plain_config(config: Any) -> dict[str, Any]:
    """A configuration dataclass as a dictionary of plain values, as it reads back from a file.

    Raises:
        TypeError: ``config`` is no dataclass, or holds something other than plain values.
    """
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise TypeError(f"a configuration is an instance of a dataclass, not {config!r}")
    try:
        return json.loads(json.dumps(dataclasses.asdict(config)))
    except TypeError as error:
        raise TypeError(f"{type(config).__name__} must hold plain values only: {error}") from None


# ------------------------------------------------------------------------------------------ files


def save_tree(path: str | Path, tree: Any, kind: str = "tree") -> None:
    """Write a tree of dict (text keys), list, str, int, float, bool, None and arrays, whole or not at all.

    Raises:
        TypeError: the tree holds anything else.
        RunFileError: the file could not be written; one that was there before is untouched.
    """
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps({"format": FORMAT, "version": VERSION, "kind": kind, "tree": _pack(tree, arrays)})
    body = io.BytesIO()
    np.savez(body, structure=np.frombuffer(text.encode(), np.uint8), **arrays)
    write_whole(path, body.getvalue())


def load_tree(path: str | Path, kind: str = "tree") -> Any:
    """Read what ``save_tree`` wrote under the same ``kind``.

    Raises:
        RunFileError: the file is missing, broken, foreign, of another kind, or of a newer format.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            head = json.loads(file["structure"].tobytes())
            if head["format"] != FORMAT:
                raise KeyError("format")
            if head["version"] > VERSION:
                raise RunFileError(f"{path} has a newer format than this code knows: update rlworkshop")
            if head["kind"] != kind:
                raise RunFileError(f"{path} holds a {head['kind']}, not a {kind}: give the right file")
            return _unpack(head["tree"], file)
    except FileNotFoundError:
        raise RunFileError(f"{path}: no such file: check the name, or train and save it first") from None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise RunFileError(f"{path} is broken or unreadable ({error}): delete it and train again") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, NotImplementedError) as error:
        raise RunFileError(f"{path} is broken or not of rlworkshop: give another file") from error


def write_whole(path: str | Path, body: bytes) -> None:
    """Write ``body`` to ``path`` so that readers find the old file or the new one, never a part.

    Raises:
        RunFileError: it could not be written (a full disk, say); the old file is untouched.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = file.name
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise RunFileError(
            f"could not write {path} ({error.strerror or error}): what was there is untouched; make room or "
            "choose another folder"
        ) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.remove(temporary)


def _pack(node: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The JSON form of ``node``; arrays move to ``arrays`` and leave a reference."""
    if isinstance(node, np.ndarray | np.generic):
        array = np.asarray(node)
        if array.dtype.kind not in "biufcSU":
            raise TypeError(f"an array of type {array.dtype} cannot be saved: use numbers")
        name = f"a{len(arrays)}"
        arrays[name] = array
        return {"$array": name}
    if isinstance(node, dict):
        bad = [k for k in node if not isinstance(k, str) or k.startswith("$")]
        if bad:
            raise TypeError(f"the key {bad[0]!r} cannot be saved: keys are texts that do not begin with $")
        return {k: _pack(v, arrays) for k, v in node.items()}
    if isinstance(node, list | tuple):
        return [_pack(v, arrays) for v in node]
    if node is None or isinstance(node, str | int | float):
        return node
    raise TypeError(f"a {type(node).__name__} cannot be saved: use arrays and plain values")


def _unpack(node: Any, arrays: Any) -> Any:
    if isinstance(node, dict) and "$array" in node:
        return arrays[node["$array"]][()]  # [()] makes a number of an array without axes
    if isinstance(node, dict):
        return {k: _unpack(v, arrays) for k, v in node.items()}
    return [_unpack(v, arrays) for v in node] if isinstance(node, list) else node


# ------------------------------------------------------------------------------------- checkpoints


class Checkpoint:
    """The file from which an interrupted training goes on; does nothing when ``path`` is None.

    ``identity`` (plain values) says which training the file belongs to. ``due(n)`` is true after every
    ``every``-th update.

    Book: start/how_to_use
    """

    def __init__(self, path: str | Path | None, identity: dict[str, Any], every: int = 10):
        if every < 1:
            raise ValueError(f"a checkpoint is written every 1 or more updates, not every {every}")
        self.path = None if path is None else Path(path)
        self.identity = json.loads(json.dumps(identity))
        self.every = every

    def load(self) -> Any:
        """The saved state, or None where there is no file.

        Raises:
            RunFileError: the file is broken, or belongs to another training (the differences are named).
        """
        if self.path is None or not self.path.exists():
            return None
        tree = load_tree(self.path, kind="checkpoint")
        theirs = tree["identity"]
        differ = sorted(k for k in {*self.identity, *theirs} if self.identity.get(k) != theirs.get(k))
        if differ:
            raise RunFileError(
                f"{self.path} is the checkpoint of another training (other {', '.join(differ)}): "
                "delete it or choose another path"
            )
        return tree["state"]

    def due(self, update: int) -> bool:
        """Whether to save after update number ``update`` (counted from 1)."""
        return self.path is not None and update % self.every == 0

    def save(self, state: Any) -> None:
        """Write ``state`` in place of the last one, whole or not at all (``RunFileError`` if it fails)."""
        save_tree(self.path, {"identity": self.identity, "state": state}, kind="checkpoint")

    def remove(self) -> None:
        """Delete the file: the training is complete."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def envs_state(envs: Any, obs: np.ndarray) -> dict[str, Any] | None:
    """State of ``envs`` and present observation for a checkpoint; None where that state is not known."""
    try:
        return {"obs": obs, "state": environments.get_state(envs)}
    except NotImplementedError:
        return None


def resume_envs(
    envs: Any, state: dict[str, Any] | None, episodes: Any, notes: list[str], seed: int
) -> np.ndarray:
    """Put ``envs`` where ``envs_state`` saw them and return the present observation (N, ...).

    Where that state is not known fresh episodes begin, seeded by ``seed`` and the steps so far; the
    unfinished ones are forgotten by ``episodes`` and ``notes`` gets a line that says so.
    """
    if state is not None:
        environments.set_state(envs, state["state"])
        return state["obs"]
    notes.append(f"resumed at step {episodes.steps} with fresh episodes: the environment cannot be saved")
    episodes.forget_unfinished()
    return envs.reset(seed=seed + episodes.steps)[0]


# ------------------------------------------------------------------------------------- shared runs


def cached(train: Callable[..., Run], config: Any, seed: int, **kwargs: Any) -> Run:
    """``train(config, seed, **kwargs)``, trained once and shared by every page and process.

    The answer comes from a file when the same training has been done before: same code (of ``train``'s
    module and all it imports), configuration, seed, arguments, Python and package versions. Processes
    that ask at the same time wait for the first. The folder is that of the environment variable
    ``RLWORKSHOP_RUNS``, else ``_build/runs`` of the project.

    Raises:
        TypeError: ``train``, or a function among ``kwargs``, is not at the top of a module that can be
            imported by name; or an argument is neither a plain value nor such a function.

    Book: start/how_to_use
    """
    key = cache_key(train, config, seed, kwargs)
    path = cache_folder() / f"{train.__name__}-{key[:32]}.npz"
    lock = FileLock(path.with_suffix(".lock"))  # the system frees it should this process be killed
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        warnings.warn(f"runs cannot be kept in {path.parent} ({error}): training anew", stacklevel=2)
        return train(config, seed, **kwargs)
    try:
        return Run.load(path)
    except RunFileError:  # not there, or a broken file
        run = train(config, seed, **kwargs)
        if key != cache_key(train, config, seed, kwargs) or _edited_since_start(train, kwargs):
            warnings.warn("code changed while this process ran: its run is not kept", stacklevel=2)
            return run
        try:
            run.save(path)
        except RunFileError as error:
            warnings.warn(f"the run is not kept: {error}", stacklevel=2)
        return run
    finally:
        lock.release()


def cache_key(train: Callable[..., Run], config: Any, seed: int, kwargs: dict[str, Any]) -> str:
    """The name under which ``cached`` files a training: it changes with anything that may change the run."""
    parts = {
        "train": _named(train),
        "config": [type(config).__qualname__, plain_config(config)],
        "seed": seed,
        "kwargs": {k: _named(v) if callable(v) else v for k, v in sorted(kwargs.items())},
        "code": provenance.digest(_code_files(train, kwargs)),
        "versions": versions(),
        "format": VERSION,
    }
    try:
        text = json.dumps(parts, sort_keys=True)
    except TypeError as error:
        raise TypeError(f"arguments of a cached training are plain values or functions: {error}") from None
    return hashlib.sha256(text.encode()).hexdigest()


def cache_folder() -> Path:
    """Where ``cached`` keeps its runs."""
    if CACHE_FOLDER in os.environ:
        return Path(os.environ[CACHE_FOLDER])
    project = _project()
    return project / "_build" / "runs" if project else Path(tempfile.gettempdir()) / "rlworkshop-runs"


def _project() -> Path | None:
    """The top folder, when this code runs from the book's source tree."""
    top = provenance.ROOT.parent
    return top if (top / "conf.py").is_file() and provenance.ROOT.name == "code" else None


def _named(function: Callable) -> dict[str, str]:
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    found = getattr(sys.modules.get(module), name, None) if module != "__main__" else None
    if not isinstance(function, types.FunctionType) or found is not function:
        raise TypeError(
            f"cached() knows functions by module and name, and {name or function!r} has none that lasts: "
            "move it to the top of a module and import it from there"
        )
    return {"function": f"{module}:{name}"}


def _code_files(train: Callable, kwargs: dict[str, Any]) -> set[Path]:
    functions = [train, *(v for v in kwargs.values() if callable(v))]
    return _closure_of([Path(sys.modules[f.__module__].__file__) for f in functions])


def _closure_of(files: Iterable[Path]) -> set[Path]:
    """``provenance.closure``, which follows no imports of files outside the source root: here they count."""
    files = {Path(__file__).resolve(), *(f.resolve() for f in files)}
    outside = [f for f in files if f.is_file() and not f.is_relative_to(provenance.ROOT)]
    for file in outside:
        files |= provenance.imported_files(provenance.source_text(file.read_bytes()), provenance.ROOT)
    return provenance.closure(files, provenance.ROOT)


def _edited_since_start(train: Callable, kwargs: dict[str, Any]) -> bool:
    """Whether code on the disk may be younger than the code in memory, which made the run."""
    return any(f.is_file() and f.stat().st_mtime > _STARTED for f in _code_files(train, kwargs))


# ------------------------------------------------------------------------------------- stored runs


@dataclasses.dataclass(frozen=True)
class StoredRun:
    """Results too long for a build, with their provenance; shown in a notebook it says what it is.

    Attributes:
        name: of the experiment; ``results``: what its script measured.
        provenance: script, command, seeds, versions, machine, date, code modules and their digest.
        fits: whether the code is still the code that made the results.

    Book: reference/verification
    """

    name: str
    results: Any
    provenance: dict[str, Any]
    fits: bool

    @property
    def note(self) -> str:
        """One line for the reader: when and how it was made, and whether the code is still the same."""
        p = self.provenance
        state = "digest fits the code" if self.fits else "THE CODE HAS CHANGED SINCE"
        made = f"made on {p['date']} with {len(p['seeds'])} seeds by {p['script']}"
        return f"stored run {self.name}, {made}; {state}"

    def _repr_html_(self) -> str:
        kind = "fits" if self.fits else "outdated"
        return f'<div class="stored-run {kind}">{html.escape(self.note)}</div>'


def store(
    name: str,
    results: Any,
    seeds: Sequence[int],
    modules: Sequence[str],
    script: str | Path,
    folder: str | Path | None = None,
    packages: Sequence[str] = (),
) -> Path:
    """Keep the ``results`` (plain values) of a long experiment as ``<folder>/<name>.json``.

    Args:
        seeds: all seeds that were run.
        modules: dotted names of the ``rlworkshop`` modules that the results stand on.
        script: the file that made them.
        folder: ``benchmarks/results`` of the project when left out.
        packages: further packages whose versions matter.

    Raises:
        RunFileError: the file could not be written.

    Book: reference/verification
    """
    script = Path(script).resolve()
    top = _project() or provenance.ROOT.parent
    shown = script.relative_to(top).as_posix() if script.is_relative_to(top) else script.name
    about = {
        "script": shown,
        "command": " ".join(["python", shown, *sys.argv[1:]]),
        "seeds": [int(s) for s in seeds],
        "versions": versions(*packages),
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "system": platform.system()},
        "date": datetime.date.today().isoformat(),
        "modules": list(modules),
        "code_digest": _stored_digest(modules, script),
    }
    path = _stored_folder(folder) / f"{name}.json"
    write_whole(path, (json.dumps({"provenance": about, "results": results}, indent=1) + "\n").encode())
    return path


def stored(name: str, folder: str | Path | None = None) -> StoredRun:
    """Read a stored run and compare its digest with the code as it is now.

    In a notebook it says at once that it is one, and whether the digest fits: no page can forget to.

    Raises:
        RunFileError: there is no such file, or it is not a stored run.

    Book: reference/verification
    """
    path = _stored_folder(folder) / f"{name}.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        about, results = data["provenance"], data["results"]
        script = provenance.ROOT.parent / about["script"]
        try:
            fits = about["code_digest"] == _stored_digest(about["modules"], script)
        except ModuleNotFoundError:  # a module is gone: the code has changed
            fits = False
        run = StoredRun(name, results, about, fits)
        run.note  # noqa: B018  (raises where an entry is missing)
    except FileNotFoundError:
        raise RunFileError(f"there is no stored run {path}: run its script under benchmarks/ first") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFileError(f"{path} is not a stored run ({error!r}): make it anew with its script") from error
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        ipython.display.display(run)
    return run


def _stored_folder(folder: str | Path | None) -> Path:
    return Path(folder) if folder is not None else (_project() or Path.cwd()) / "benchmarks" / "results"


def _stored_digest(modules: Sequence[str], script: Path) -> str:
    files = _closure_of([*provenance.module_files(*modules, root=provenance.ROOT), script])
    body = hashlib.sha256()
    for file in sorted(files):  # names relative to the project: the digest is the same wherever it lies
        top = provenance.ROOT.parent
        shown = file.relative_to(top).as_posix() if file.is_relative_to(top) else file.name
        body.update(shown.encode() + b"\0" + (file.read_bytes() if file.is_file() else b"missing") + b"\n")
    return body.hexdigest()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
