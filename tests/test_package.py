"""The package as a reader installs it: a wheel of its own that needs nothing of the book's builder."""

import email
import os
import re
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


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory) -> Path:
    """A folder in which the wheel is installed, and nothing else."""
    folder = tmp_path_factory.mktemp("installed") / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, wheel]
    subprocess.run(install, check=True, capture_output=True)
    return folder


def as_a_reader(command: list, site: Path, folder: Path) -> str:
    """What a command prints where the package is installed and the book is not."""
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONPATH": str(site)}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_works_without_the_builder(site, tmp_path):
    place, *names = as_a_reader([sys.executable, "-c", IMPORT_ALL], site, tmp_path).splitlines()
    assert place == f"{site / 'rlworkshop'} 0.1.0"
    assert len(names) + 1 == len(list(ROOT.glob("code/rlworkshop/**/*.py")))


CELL = re.compile(r"^```\{code-cell\} ipython3\n(?:(?::[^\n]*\n)+\n)?(.*?)^```$", re.M | re.S)


def test_ten_lines_of_the_page_lead_to_a_trained_saved_and_loaded_agent(site, tmp_path):
    """The page's own cells, walked by one who has installed the package and has a folder of their own."""
    cells = CELL.findall((ROOT / "book/practice/use_it_in_your_project.md").read_text(encoding="utf-8"))
    files = dict(
        re.findall(r"\A%%writefile (\w+\.py)\n(.*)", cell, re.S)[0] for cell in cells if cell[0] == "%"
    )
    (ten,) = (cell for cell in cells if 'run.save("grower.npz")' in cell)
    assert len([line for line in ten.splitlines() if line.strip()]) <= 10
    assert "torch.set_num_threads(1)" in ten  # or the test takes minutes where other work is done, too
    for name, text in {**files, "ten.py": ten}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    score, days = re.fullmatch(r"(-\d+\.\d) ± \d+\.\d over (\d+) days\n", as_a_reader(
        [sys.executable, "ten.py"], site, tmp_path
    )).groups()  # fmt: skip
    assert days == "30" and float(score) > -12  # doing nothing is worth about -42
    assert as_a_reader([sys.executable, "play.py"], site, tmp_path).splitlines()[-1] == score
    console = ["train", "ppo", "--env-id", "notched:Notched-v0", "--total-steps", "1024"]
    said = as_a_reader([sys.executable, site / "bin" / "rlworkshop", *console], site, tmp_path)
    assert said.startswith("notched:Notched-v0, seed 0: ") and (tmp_path / "ppo.npz").exists()


def test_a_starter_comes_with_the_wheel_and_runs(site, tmp_path):
    console = [sys.executable, site / "bin" / "rlworkshop", "projects"]
    assert "late-pushes" in as_a_reader([*console, "list"], site, tmp_path)
    as_a_reader([*console, "new", "late-pushes", "robot"], site, tmp_path)
    small = [sys.executable, "baseline.py", "--tables", "4", "--seeds", "2"]
    assert as_a_reader(small, site, tmp_path / "robot").count("(2 runs)") == 4
    shipped = [path.relative_to(ROOT / "code") for path in ROOT.glob("code/rlworkshop/practice/starters/*/*")]
    assert shipped and all((site / path).is_file() for path in shipped)
