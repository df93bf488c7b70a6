"""What was made before, kept under what it was made from.

Every result, be it of a page, a file of tests, exercises or a mutant, has the same kind of key: its own text,
the modules that it imports, the pins and the Python. Beside it stand the inputs that were seen when it was
made (see ``watch``): it is good as long as these are what they were. Notebooks lie in jupyter-cache.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat
from jupyter_cache.cache.db import DB_NAME, NbCacheRecord, OrmBase
from jupyter_cache.cache.main import CacheBundleIn, JupyterCacheBase
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.exc import DatabaseError

from bookbuild.engine import watch
from bookbuild.engine.project import BookError, Project
from rlworkshop import provenance

VERSIONS = 4  # results kept of one key, which differ in what was read
KEPT = 4000  # results kept of one kind


@dataclass(frozen=True)
class Subject:
    """Something that a result is made of."""

    kind: str  # "pages", "claims", "tests", "exercises", "mutants"
    name: str
    own: str  # its own text
    files: frozenset[Path] = frozenset()  # the modules it imports, directly or through others
    variables: tuple[tuple[str, str], ...] = ()  # of the environment, which it is run with


class Store:
    """The results of one project. Only the holder of the build lock may use its notebooks."""

    def __init__(self, project: Project):
        self.project = project
        self.folder = project.state / "results"
        self.environment = project.environment()
        self.times: dict[str, float] = read_json(project.state / "times.json", {})  # seconds, by job
        self._pins = {rendering: project.pins(rendering) for rendering in (False, True)}

    def key(self, subject: Subject) -> str:
        """Digest of all that decides a result before it is made.

        Pins that only render decide no page, and of the rest what imports the builder.
        """
        code, builder = provenance.digest(subject.files, self.project.root), self.project.code / "bookbuild"
        renders = subject.kind != "pages" and any(file.is_relative_to(builder) for file in subject.files)
        about = [subject.kind, subject.name, subject.own, subject.variables, code]
        parts = [*about, *self._pins[renders], provenance.python_version()]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def get(self, subject: Subject) -> dict | None:
        """The result kept of ``subject``; ``None`` if it has to be made."""
        known = self._versions(self._file(subject))
        return next((one["value"] for one in known if self.unchanged(subject, one["inputs"])), None)

    def unchanged(self, subject: Subject, inputs: dict[str, str]) -> bool:
        """Whether what was read when a result was made is now what it was then."""
        return watch.unchanged(inputs, self.project.root, {**self.environment, **dict(subject.variables)})

    def put(self, subject: Subject, key: str, value: dict, inputs: dict[str, str]) -> None:
        """Keep a result (JSON values) with what was read when it was made, unless something has changed
        since its ``key`` was taken.
        """
        if key == self.key(subject) and self.unchanged(subject, inputs):
            file = self._file(subject)
            others = [version for version in self._versions(file) if version["inputs"] != inputs]
            write_json(file, [{"inputs": inputs, "value": value}, *others[: VERSIONS - 1]])

    @cached_property
    def notebooks(self) -> "Notebooks":
        """The executed notebooks, which results of pages lead to."""
        return Notebooks(self.project.state / "jupyter-cache")

    def end(self) -> None:
        """Write down how long jobs took; forget the oldest results where there are very many."""
        write_json(self.project.state / "times.json", self.times)
        for folder in self.folder.glob("*"):
            files = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime)
            for file in files[:-KEPT]:
                file.unlink()

    def _file(self, subject: Subject) -> Path:
        return self.folder / subject.kind / f"{self.key(subject)}.json"

    def _versions(self, file: Path) -> list[dict]:
        """What a file holds; what was damaged counts as absent."""
        kept = read_json(file, [])
        sound = all(isinstance(v, dict) and {"inputs", "value"} == v.keys() for v in kept)
        return kept if sound else []


class Notebooks:
    """jupyter-cache, which keeps executed notebooks, told apart by a digest in their ``kernelspec``."""

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            self._open()
        except DatabaseError as error:
            print(f"the database of pages is damaged ({type(error).__name__}): every page runs again")
            shutil.rmtree(folder, ignore_errors=True)
            self._open()

    def _open(self) -> None:
        try:
            self._cache = AnyFolderCache(self.folder)
            self._cache.list_cache_records()
        except OSError as error:
            raise BookError(f"cannot make {self.folder}: {error.strerror}") from None

    def get(self, number: int, checksum: str) -> nbformat.NotebookNode | None:
        """The notebook kept under ``number``; ``None`` where it is gone or is not what it was."""
        try:
            record = self._cache.get_cache_record(number)
        except KeyError:
            return None
        if watch.of_file(self._file(record)) != checksum:
            return None
        # by ourselves, for jupyter-cache would write down that it was read: a commit for each page
        return nbformat.read(self._file(record), nbformat.NO_CONVERT)

    def put(self, name: str, notebook: nbformat.NotebookNode, made_from: object) -> tuple[int, str]:
        """Keep a notebook; the number it is kept under, and its checksum. ``made_from``: JSON values."""
        digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
        notebook.metadata.setdefault("kernelspec", {})["digest"] = digest
        bundle = CacheBundleIn(notebook, name)
        record = self._cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        return record.pk, watch.of_file(self._file(record))

    def _file(self, record: NbCacheRecord) -> Path:
        return self.folder / "executed" / record.hashkey / "base.ipynb"


class AnyFolderCache(JupyterCacheBase):
    """jupyter-cache takes what follows a ``?`` in its folder's name for settings of the database."""

    @cached_property
    def db(self) -> Engine:
        engine = create_engine(URL.create("sqlite", database=os.path.join(self.path, DB_NAME)))
        OrmBase.metadata.create_all(engine)
        return engine


def read_json(file: Path, otherwise):
    """The JSON value in ``file``, or ``otherwise`` where there is none that can be read."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return otherwise
    return value if isinstance(value, type(otherwise)) else otherwise


def write_json(file: Path, value) -> None:
    """Write ``value`` whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)
