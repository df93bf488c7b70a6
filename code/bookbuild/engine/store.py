"""Executed pages, kept under a key that covers everything they were made from.

jupyter-cache keeps the notebooks; its own key knows only the cells, so ours travels in the notebook's
``kernelspec``, which it hashes. Whatever is damaged counts as absent: the page runs again.
"""

import copy
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.cache.main import CacheBundleIn

from bookbuild.engine import pages
from bookbuild.engine.pages import Page
from bookbuild.engine.project import BookError, Project


class Store:
    """The executed pages of one project. Only the holder of the build lock may use it."""

    def __init__(self, project: Project):
        self.project = project
        self.folder = project.state / "jupyter-cache"
        self.inputs_file = project.state / "inputs.json"  # base key -> files that the page read
        known = read_json(self.inputs_file, {})
        self.inputs: dict[str, list[str]] = {k: v for k, v in known.items() if isinstance(v, list)}
        self.open()

    def open(self) -> None:
        """Open the database; one that cannot be used is set aside, with a line that says so."""
        try:
            self._cache = get_cache(self.folder)
            self._cache.list_cache_records()
        except Exception as error:  # sqlite and sqlalchemy have many kinds
            if isinstance(error, OSError) and not self.folder.is_dir():
                raise BookError(f"cannot make {self.folder}: {error.strerror}") from None
            print(
                f"the database of executed pages is damaged ({type(error).__name__}): every page runs again"
            )
            shutil.rmtree(self.folder, ignore_errors=True)
            self.inputs = {}
            self._cache = get_cache(self.folder)
            self._cache.list_cache_records()

    def get(self, page: Page) -> tuple[nbformat.NotebookNode, dict] | None:
        """The page's notebook with its outputs, and what was noted of the run; ``None`` if it must run."""
        notebook = self._stamped(page)
        try:
            record = self._cache.match_cache_notebook(notebook)
            cached = self._cache.get_cache_bundle(record.pk).nb
            if record.data["sha256"] != checksum(cached):
                return None
            _, merged = self._cache.merge_match_into_notebook(notebook)
            return merged, record.data
        except Exception:  # absent, or damaged in one of many ways: either way the page runs
            return None

    def put(self, page: Page, executed: nbformat.NotebookNode, data: dict, opened: list[str]) -> None:
        """Keep an executed page. ``data`` is what is to be noted of the run (JSON values)."""
        self.inputs[pages.key(self.project, page)] = opened
        notebook = self._stamped(page)
        outputs = (cell for cell in executed.cells if cell.cell_type == "code")
        for cell in notebook.cells:
            if cell.cell_type == "code":
                source = next(outputs)
                cell.outputs, cell.execution_count = source.outputs, source.execution_count
        notebook.metadata["language_info"] = executed.metadata.get("language_info", {})
        stored, _ = self._cache.create_hashed_notebook(notebook)
        data = {**data, "sha256": checksum(stored)}
        bundle = CacheBundleIn(notebook, page.name, data=data)
        self._cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        write_json(self.inputs_file, self.inputs)

    def _stamped(self, page: Page) -> nbformat.NotebookNode:
        base = pages.key(self.project, page)
        notebook = copy.deepcopy(page.notebook)
        spec = notebook.metadata.setdefault("kernelspec", {})
        spec["digest"] = pages.with_inputs(base, self.project, self.inputs.get(base, []))
        return notebook


def checksum(notebook: nbformat.NotebookNode) -> str:
    """Digest of an executed notebook's cells."""
    text = json.dumps([[cell.source, cell.outputs] for cell in notebook.cells], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


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
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as temporary:
        try:
            json.dump(value, temporary, indent=1, sort_keys=True)
            temporary.write("\n")
            temporary.flush()
            os.fsync(temporary.fileno())
        except BaseException:
            temporary.close()
            os.unlink(temporary.name)
            raise
    os.chmod(temporary.name, 0o644)
    os.replace(temporary.name, file)
