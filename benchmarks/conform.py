"""Which checks of ``rlworkshop conform`` object to which of the broken copies of a foreign DQN and PPO.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/conform.py

The two implementations and their broken copies are those of ``tests/practice/foreign``. Kept, for each copy
and for the two as they are, are the checks that object, with the cause that the first one names.
"""

import tempfile
import time
import tomllib
from pathlib import Path

import torch

from rlworkshop import provenance, runs
from rlworkshop.practice.debugging import conform

FOREIGN = provenance.project() / "tests/practice/foreign"


def reviewed(file: str, find: str = "", replace: str = "") -> dict:
    """The objections to a copy."""
    text, before = (FOREIGN / file).read_text("utf-8"), time.process_time()
    algorithm = file.removeprefix("my_").removesuffix(".py")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / file
        copy.write_text(text.replace(find, replace) if find else text, "utf-8")
        findings = conform.review(copy, algorithm)
    objections = [f for f in findings if f.verdict == conform.FAILED]
    print(
        file, replace, [f.check.name for f in objections], f"{time.process_time() - before:.1f} s", flush=True
    )
    return {"objects": [f.check.name for f in objections], "likely": [f.likely for f in objections][:1]}


def main() -> None:
    torch.set_num_threads(1)
    copies = tomllib.loads((FOREIGN / "broken.toml").read_text("utf-8"))["broken"]
    results = {file: {"as it is": reviewed(file)} for file in ("my_dqn.py", "my_ppo.py")}
    for copy in copies:
        results[copy["file"]][copy["name"]] = reviewed(copy["file"], copy["find"], copy["replace"])
    runs.store("conform", results, [0, 1], ["rlworkshop.practice.debugging.conform"], __file__)


if __name__ == "__main__":
    main()
