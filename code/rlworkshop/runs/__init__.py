"""What trainings leave behind: kept, shared, resumed.

``run`` holds the record of one training and its file, ``training`` the session around a training loop,
``progress`` what it shows meanwhile, ``cached`` trainings done once, ``stored`` results of long experiments.

Book: start/how_to_use
"""

from rlworkshop.runs.cached import cached
from rlworkshop.runs.run import Run, RunFileError, load_tree, plain_config, save_tree, versions
from rlworkshop.runs.stored import StoredRun, store, stored

__all__ = [
    "Run", "RunFileError", "StoredRun", "cached", "load_tree", "plain_config", "save_tree", "store", "stored",
    "versions",
]  # fmt: skip
