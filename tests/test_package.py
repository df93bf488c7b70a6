"""The package as a reader installs it: a wheel of its own that needs nothing of the book's builder."""

import email
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow

IMPORT_ALL = """
import importlib, pkgutil, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"bookbuild", "sphinx", "docutils", "myst_nb", "IPython"}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
import rlworkshop
print(rlworkshop.__path__[0], rlworkshop.__version__)
for module in pkgutil.walk_packages(rlworkshop.__path__, "rlworkshop."):
    importlib.import_module(module.name)
    print(module.name)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy of what it is made of, so that no build folder is left in the project."""
    work = tmp_path_factory.mktemp("wheel")
    source = work / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "code"):
        subprocess.run(["cp", "-R", ROOT / name, source], check=True)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", work, source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (found,) = work.glob("*.whl")
    return found


def test_the_wheel_holds_the_package_and_its_licence_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        meta = email.message_from_bytes(file.read(metadata))
    assert {name.split("/")[0] for name in names} == {"rlworkshop", metadata.split("/")[0]}
    source = {str(path.relative_to(ROOT / "code")) for path in ROOT.glob("code/rlworkshop/**/*.py")}
    assert {name for name in names if name.endswith(".py")} == source
    assert any(name.endswith("LICENSE") for name in names)
    assert (meta["Name"], meta["Version"], meta["License-Expression"]) == ("rlworkshop", "0.1.0", "MIT")
    assert set(meta["Requires-Python"].split(",")) == {">=3.11", "<3.15"}
    needs = meta.get_all("Requires-Dist")
    assert any(need.startswith("torch>=") for need in needs)
    needs = [need.partition(";")[0] for need in needs]  # behind it stands the extra that asks for it
    assert not any("==" in need or "sphinx" in need.lower() for need in needs)


def test_it_works_without_the_builder(wheel, tmp_path):
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        tmp_path / "site",
        wheel,
    ]
    subprocess.run(install, check=True, capture_output=True)
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
        "PYTHONPATH": str(tmp_path / "site")
    }
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], cwd=tmp_path, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    place, *names = done.stdout.splitlines()
    assert place == f"{tmp_path / 'site' / 'rlworkshop'} 0.1.0"
    assert len(names) + 1 == len(list(ROOT.glob("code/rlworkshop/**/*.py")))
