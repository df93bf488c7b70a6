"""The set-up check says what is missing and how to mend it, also where nearly everything is missing."""

import ast
import importlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import types
import webbrowser
from collections import namedtuple
from pathlib import Path

import pytest

from rlworkshop import setup_check as setup

ROOT = Path(__file__).parents[1]
FILE = Path(setup.__file__)


def test_it_needs_the_standard_library_alone_and_old_pythons_can_read_it():
    tree = ast.parse(FILE.read_text(), feature_version=(3, 8))
    names = {
        name.split(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module])
    }
    assert names <= sys.stdlib_module_names


def test_it_asks_for_what_the_package_needs():
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = dict(
        re.fullmatch(r"([\w\[\]-]+)>=([\d.]+)(?:,<\d+)?", one).groups() for one in about["dependencies"]
    )
    assert {name: least for name, (_, least) in setup.PACKAGES.items()} == needed
    first, last = setup.PYTHONS
    assert about["requires-python"] == f">={first[0]}.{first[1]},<{last[0]}.{last[1] + 1}"


def test_where_nothing_is_installed_every_line_says_what_to_do(tmp_path):
    """The file alone, in a Python that has no packages."""
    lone = shutil.copy(FILE, tmp_path)
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "utf8", lone, "--quick"],
        cwd=tmp_path, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (1, "")
    missing = re.findall(r"^✗ (.*)\n    -> (.*)$", ran.stdout, re.M)
    assert [text for text, _ in missing] == [
        *(f"{name} is not installed" for name, _ in setup.PACKAGES.values()),
        "rlworkshop is not installed",
    ]
    assert all("-m pip install" in mend for _, mend in missing)
    assert "For the form: 10 missing" in ran.stdout and "Begin with the first ✗" in ran.stdout


Version = namedtuple("Version", "major minor micro")


@pytest.mark.parametrize(
    ("version", "grade"),
    [((3, 10, 9), "missing"), ((3, 11, 0), "good"), ((3, 14, 2), "good"), ((3, 15, 0), "missing")],
)
def test_the_python(monkeypatch, version, grade):
    monkeypatch.setattr(setup.sys, "version_info", version)
    found = setup.python()
    assert found.grade == grade and bool(found.mend) == (grade == "missing")


def test_another_python_than_cpython(monkeypatch):
    monkeypatch.setattr(setup.sys, "implementation", types.SimpleNamespace(name="pypy"))
    assert setup.python().grade == "missing"


def at_version(monkeypatch, version: str) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)


@pytest.mark.parametrize(
    ("version", "grade"),
    [
        ("2.5.1", "missing"),
        ("2.6.0+cpu", "good"),
        ("2.13.0", "good"),
        ("3.0rc1", "good"),
        ("1.99", "missing"),
    ],
)
def test_a_version_is_compared_as_numbers(monkeypatch, version, grade):
    at_version(monkeypatch, version)
    monkeypatch.setattr(importlib, "import_module", lambda name: None)
    found = setup.package("torch")
    assert found.grade == grade
    assert grade == "good" or ("is too old" in found.text and 'install "torch>=2.6"' in found.mend)


def test_a_package_that_is_there_and_cannot_be_loaded(monkeypatch):
    def broken(name):
        raise OSError("[WinError 126] a DLL\nis missing")

    at_version(monkeypatch, "9.9")
    monkeypatch.setattr(importlib, "import_module", broken)
    found = setup.package("torch")
    assert found.text == "torch 9.9 cannot be loaded: OSError: [WinError 126] a DLL is missing"
    assert found.mend.endswith("--force-reinstall")


def test_a_training_that_fails_is_a_line(monkeypatch):
    from rlworkshop.algorithms import vpg

    monkeypatch.delattr(vpg, "train")
    found = setup.training()
    assert found.grade == "missing" and "a short training failed: AttributeError" in found.text


@pytest.mark.parametrize(("seconds", "grade"), [(2.0, "good"), (60.0, "note")])
def test_how_long_the_training_took(monkeypatch, seconds, grade):
    from rlworkshop.algorithms import vpg

    clock = iter((0.0, seconds))
    monkeypatch.setattr(vpg, "train", lambda config, seed: None)
    monkeypatch.setattr(setup.time, "perf_counter", lambda: next(clock))
    found = setup.training()
    assert found.grade == grade and f"took {seconds} s" in found.text


def test_a_film_that_cannot_be_made(monkeypatch):
    from rlworkshop import plots

    def no_encoder(*_, **__):
        raise RuntimeError("no ffmpeg exe could be found")

    monkeypatch.setattr(plots, "animate", no_encoder)
    found = setup.film()
    assert found.grade == "missing" and "no ffmpeg" in found.text and "imageio-ffmpeg" in found.mend


def test_a_film_and_a_folder():
    assert setup.film() == setup.Finding("good", "a film of 5 frames")
    assert setup.writing().grade == "good" and setup.workshop().grade == "good"


def test_a_full_disk_and_a_folder_that_is_read_only(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 1e9))
    assert setup.disk().grade == "missing" and "3 GB should be free" in setup.disk().mend
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 4e9))
    assert setup.disk().grade == "good"

    def forbidden(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", forbidden)
    found = setup.writing()
    assert (
        found.grade == "missing" and found.text.endswith("Permission denied") and "home folder" in found.mend
    )


def test_what_one_can_do_without_is_a_note(monkeypatch):
    def none():
        raise webbrowser.Error

    monkeypatch.setattr(webbrowser, "get", none)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert setup.browser().grade == "note" and setup.jupyter().grade == "note"
    monkeypatch.setattr(webbrowser, "get", lambda: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name != "jupyterlab" else None)
    assert setup.browser().grade == "good" and setup.jupyter().text == "Jupyter: notebook"


def test_the_exit_status_counts_what_is_missing_and_no_notes(monkeypatch, capsys):
    monkeypatch.setattr(setup, "findings", lambda quick: iter([setup.Finding("note", "a", "b")]))
    assert setup.main([]) == 0
    assert capsys.readouterr().out.startswith("! a\n    -> b\n\nFor the form: ready;")
    monkeypatch.setattr(setup, "findings", lambda quick: iter([setup.Finding("missing", "a", "b")]))
    assert setup.main(["--quick"]) == 1
    assert "For the form: 1 missing" in capsys.readouterr().out


def test_a_check_that_breaks_is_a_line_of_its_own(monkeypatch):
    def broken():
        raise ValueError("what?")

    broken.__name__ = "disk"
    monkeypatch.setattr(setup, "disk", broken)
    last = [found.text for found in setup.findings(quick=True)]
    assert "the check 'disk' itself failed: ValueError: what?" in last and len(last) == 6 + len(
        setup.PACKAGES
    )
