"""Trainings that are done once and shared: by every page of the book, by tests, by processes side by side.

Book: start/how_to_use
"""

import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from rlworkshop import provenance
from rlworkshop.runs.code import UnknownCodeError, code_files, named, registered
from rlworkshop.runs.run import VERSION, Run, RunFileError, plain_config, versions

CACHE_FOLDER = "RLWORKSHOP_RUNS"  # the environment variable that moves the folder of cached runs
_STARTED = time.time() - 0.05  # the clock that stamps files lags a little


def cached(train: Callable[..., Run], config: Any, seed: int, **kwargs: Any) -> Run:
    """``train(config, seed, **kwargs)``, trained once and shared by every page and process.

    The answer comes from a file when the same training has been done before: same code (of the modules of
    ``train``, of functions passed, of the registered environment, and all that they import), configuration,
    seed, arguments, Python and package versions. Processes that ask at the same time wait for the first.
    The folder is that of the environment variable ``RLWORKSHOP_RUNS``, else what ``cache_folder`` says.

    Where an environment's code lies in no file (a notebook's cell) it is trained anew, with a warning:
    nobody could tell whether it has changed.

    Raises:
        TypeError: ``train``, or a function among ``kwargs``, is not at the top of a module that can be
            imported by name; or an argument is neither a plain value nor such a function.

    Book: start/how_to_use
    """
    functions = [train, *(value for value in kwargs.values() if callable(value))]
    names = [named(function) for function in functions]  # a mistake of the caller's, not of the world
    try:
        key = cache_key(train, config, seed, kwargs)
        files = code_files(*functions, env_id=getattr(config, "env_id", ""))
    except UnknownCodeError as error:
        warnings.warn(f"{names[0]} is trained anew: {error}", stacklevel=2)
        return train(config, seed, **kwargs)
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
        # code on the disk may be younger than the code in memory, which made the run
        edited = any(file.is_file() and file.stat().st_mtime > _STARTED for file in files)
        if edited or key != cache_key(train, config, seed, kwargs):
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
    env_id = getattr(config, "env_id", "")
    functions = [train, *(value for value in kwargs.values() if callable(value))]
    parts = {
        "train": named(train),
        "config": [type(config).__qualname__, plain_config(config)],
        "seed": seed,
        "kwargs": {k: {"": named(v)} if callable(v) else v for k, v in sorted(kwargs.items())},
        "environment": registered(env_id) if env_id else None,
        "code": provenance.digest(code_files(*functions, cached, env_id=env_id)),
        "versions": versions(),
        "format": VERSION,
    }
    try:
        text = json.dumps(parts, sort_keys=True)
    except TypeError as error:
        raise TypeError(f"arguments of a cached training are plain values or functions: {error}") from None
    return hashlib.sha256(text.encode()).hexdigest()


def cache_folder() -> Path:
    """Where ``cached`` keeps its runs: in the book's source tree where its builds do, else the user's."""
    if CACHE_FOLDER in os.environ:
        return Path(os.environ[CACHE_FOLDER])
    if project := provenance.project():
        return project / "_build" / "state" / "runs"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rlworkshop" / "runs"
