"""The record of one training, and files that are written whole and read without running code from them.

Files are numpy's ``.npz`` with one JSON entry for the structure.

Book: start/how_to_use
"""

import contextlib
import dataclasses
import importlib.metadata
import io
import json
import os
import secrets
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from rlworkshop import provenance

FORMAT, VERSION = "rlworkshop", 2
PACKAGES = ("gymnasium", "mujoco", "numpy", "torch")  # their versions decide results


class RunFileError(RuntimeError):
    """A file of a run cannot be read or written; the text says which one, why, and what to do."""


# standalone: rlworkshop.runs.training.Outcome
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
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

    def __repr__(self) -> str:
        returns = self.metrics.get("return", np.empty(0))
        last = returns[-100:]
        score = f", {last.mean():.1f} on average over the last {len(last)}" if len(last) else ""
        code = f"code {self.digest[:12]}" if self.digest else "code not known"
        return (
            f"Run of {self.algorithm} on {self.env_id}, seed {self.seed}, {code}\n"
            f"{len(returns)} episodes{score}; metrics: {', '.join(self.metrics)}"
        )

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
            RunFileError: the file is missing, broken, foreign, or of another format.
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
        RunFileError: the file is missing, broken, foreign, of another kind, or of another format.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            head = json.loads(file["structure"].tobytes())
            if head["format"] != FORMAT:
                raise KeyError("format")
            if head["version"] != VERSION:
                newer = head["version"] > VERSION
                what = "a newer format: update rlworkshop" if newer else "an older format: train it again"
                raise RunFileError(f"{path} has {what}")
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
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "xb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise RunFileError(
            f"could not write {path} ({error.strerror or error}): what was there is untouched; make room or "
            "choose another folder"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


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
