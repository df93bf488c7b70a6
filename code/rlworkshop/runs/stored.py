"""Results of experiments that are too long for a build, with what tells whether they still fit the code.

Book: reference/verification
"""

import dataclasses
import datetime
import hashlib
import html
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlworkshop import provenance
from rlworkshop.runs.run import RunFileError, versions, write_whole


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
    top = provenance.project() or provenance.ROOT.parent
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
        except (ModuleNotFoundError, SyntaxError):  # a module is gone, or broken: the code has changed
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
    return (
        Path(folder)
        if folder is not None
        else (provenance.project() or Path.cwd()) / "benchmarks" / "results"
    )


def _stored_digest(modules: Sequence[str], script: Path) -> str:
    root = provenance.ROOT
    files = provenance.closure([*provenance.module_files(*modules, root=root), script], root)
    body = hashlib.sha256()
    for file in sorted(files):  # names relative to the project: the digest is the same wherever it lies
        top = provenance.ROOT.parent
        shown = file.relative_to(top).as_posix() if file.is_relative_to(top) else file.name
        text = provenance.code_text(file.read_bytes()) if file.is_file() else "missing"
        body.update(f"{shown}\0{text}\n".encode())
    return body.hexdigest()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
