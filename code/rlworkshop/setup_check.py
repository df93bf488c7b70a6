"""The check that participants run the evening before: what is missing on this machine, and how to mend it.

``rlworkshop setup-check``; or, where the package is not installed yet, ``python setup_check.py`` with this
file alone. It imports nothing but the standard library until a check needs more, so that it can say what is
missing.

Book: workshop/handout_setup
"""

from __future__ import annotations  # so that a Python that is too old can say so

import argparse
import contextlib
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
import time
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PYTHONS = (3, 11), (3, 14)  # the first and the last version that the package is made for
PACKAGES = {  # the package's dependencies: the name to import, and the version from which on it is good
    "filelock": ("filelock", "3.13"),
    "gymnasium[classic-control]": ("gymnasium", "1.4"),
    "imageio": ("imageio", "2.34"),
    "imageio-ffmpeg": ("imageio_ffmpeg", "0.5"),
    "matplotlib": ("matplotlib", "3.9"),
    "numpy": ("numpy", "2.0"),
    "torch": ("torch", "2.6"),
    "tqdm": ("tqdm", "4.66"),
    "tyro": ("tyro", "0.9"),
}
DISK = 3e9  # bytes that are free: room for PyTorch's files and a build of the book
SLOW = 20.0  # seconds: a machine on which the short training takes longer will be a nuisance all day
MARKS = {"good": "✓", "note": "!", "missing": "✗"}


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        grade: "good", "note" (one can do without) or "missing".
        text: what was found.
        mend: what to do about it; empty where it is good.
    """

    grade: str
    text: str
    mend: str = ""


def python() -> Finding:
    """Whether this Python is one that the package is made for."""
    here, (first, last) = sys.version_info[:2], PYTHONS
    text = f"Python {platform.python_version()}, {platform.python_implementation()}, {sys.executable}"
    if first <= here <= last and sys.implementation.name == "cpython":
        return Finding("good", text)
    wanted = ".".join(map(str, first)), ".".join(map(str, last))
    return Finding(
        "missing", text, f"install CPython {wanted[0]} to {wanted[1]} from python.org, and use that"
    )


def package(requirement: str) -> Finding:
    """Whether a dependency is there, is new enough, and can be loaded."""
    name, least = PACKAGES[requirement]
    mend = f'"{sys.executable}" -m pip install "{requirement}>={least}"'
    try:
        version = importlib.metadata.version(requirement.partition("[")[0])
    except importlib.metadata.PackageNotFoundError:
        return Finding("missing", f"{name} is not installed", mend)
    if _numbers(version) < _numbers(least):
        return Finding("missing", f"{name} {version} is too old", mend)
    try:
        importlib.import_module(name)
    except Exception as error:  # a library that is broken has many ways to say so
        return Finding(
            "missing", f"{name} {version} cannot be loaded: {_line(error)}", f"{mend} --force-reinstall"
        )
    return Finding("good", f"{name} {version}")


def workshop() -> Finding:
    """Whether the book's own package is found."""
    spec = importlib.util.find_spec("rlworkshop")
    if spec is None or not spec.origin:
        return Finding(
            "missing", "rlworkshop is not installed", f'in a clone: "{sys.executable}" -m pip install .'
        )
    return Finding("good", f"rlworkshop at {Path(spec.origin).parent}")


def training() -> Finding:
    """Whether an agent can be trained here, and how long a short training takes."""
    mend = "mend what is missing above first; if this is all, send us this line"
    try:
        import torch

        from rlworkshop.algorithms import vpg

        torch.set_num_threads(1)
        begun = time.perf_counter()
        vpg.train(vpg.Config(total_steps=8_192), seed=0)
        took = time.perf_counter() - begun
    except Exception as error:
        return Finding("missing", f"a short training failed: {_line(error)}", mend)
    text = f"8,192 steps of training took {took:.1f} s"
    if took > SLOW:
        return Finding("note", text, "close other programs; or work on your partner's machine tomorrow")
    return Finding("good", text)


def film() -> Finding:
    """Whether an episode can be drawn and encoded, without a screen."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    mend = f'"{sys.executable}" -m pip install "gymnasium[classic-control]" imageio imageio-ffmpeg'
    try:
        import numpy as np

        from rlworkshop import envs, plots

        frames, _ = envs.record(lambda obs: np.zeros(len(obs), int), "CartPole-v1", seed=0, max_steps=5)
        plots.animate(frames, alt="A cart that is pushed to the left.")
    except Exception as error:
        return Finding("missing", f"no film can be made: {_line(error)}", mend)
    return Finding("good", f"a film of {len(frames)} frames")


def disk() -> Finding:
    """Whether there is room in the present folder's file system."""
    free = shutil.disk_usage(Path.cwd()).free
    text = f"{free / 1e9:.1f} GB free in {Path.cwd()}"
    if free < DISK:
        return Finding("missing", text, f"make room: {DISK / 1e9:.0f} GB should be free")
    return Finding("good", text)


def writing() -> Finding:
    """Whether files can be written where one works, and where programs put what they need for a moment."""
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"a")
        except OSError as error:
            mend = "work in a folder of your own, such as one in your home folder"
            return Finding("missing", f"cannot write in {folder}: {error.strerror}", mend)
    return Finding("good", "files can be written here")


def browser() -> Finding:
    """Whether a browser is known that could be opened; none is."""
    try:
        webbrowser.get()
    except webbrowser.Error:
        return Finding("note", "no browser is known here", "open addresses by hand, or on another machine")
    return Finding("good", "a browser")


def jupyter() -> Finding:
    """Whether notebooks can be opened."""
    there = [name for name in ("jupyterlab", "notebook") if importlib.util.find_spec(name)]
    if there and importlib.util.find_spec("ipykernel"):
        return Finding("good", f"Jupyter: {there[0]}")
    mend = f'"{sys.executable}" -m pip install jupyterlab; not needed if you write files in an editor'
    return Finding("note", "Jupyter is not installed", mend)


def findings(quick: bool = False) -> Iterator[Finding]:
    """All checks, one after the other; ``quick`` leaves out the training and the film."""
    checks: list[Callable[[], Finding]] = [python]
    checks += [lambda name=name: package(name) for name in PACKAGES]
    checks += [workshop, *(() if quick else (training, film)), disk, writing, browser, jupyter]
    for check in checks:
        try:
            yield check()
        except Exception as error:
            name = getattr(check, "__name__", "check")
            yield Finding("missing", f"the check {name!r} itself failed: {_line(error)}", "send us this line")


def main(arguments: list[str] | None = None) -> int:
    """Print a line for each check and what to do; the exit status is 0 where nothing is missing.

    Book: workshop/handout_setup
    """
    parser = argparse.ArgumentParser(prog="rlworkshop setup-check", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="no training and no film")
    options = parser.parse_args(arguments)
    with contextlib.suppress(AttributeError):
        sys.stdout.reconfigure(errors="replace", line_buffering=True)  # a terminal that has no ✓
    found = []
    for one in findings(options.quick):
        found.append(one)
        print(f"{MARKS[one.grade]} {one.text}" + (f"\n    -> {one.mend}" if one.mend else ""))
    missing = sum(one.grade == "missing" for one in found)
    where = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    print(f"\nFor the form: {'ready' if not missing else f'{missing} missing'}; {where}")
    if missing:
        print("Begin with the first ✗: what is below it may come from it. Then run this again.")
    return int(missing > 0)


def _numbers(version: str) -> list[int]:
    """The first two numbers of a version: enough to compare with what is needed."""
    parts = [*version.split("+")[0].split("."), "0"][:2]
    return [int("".join(filter(str.isdigit, part)) or 0) for part in parts]


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__


if __name__ == "__main__":
    if Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:  # as a file within a clone:
        sys.path[0] = str(Path(__file__).resolve().parents[1])  # its neighbours are no top-level modules
    sys.exit(main())
