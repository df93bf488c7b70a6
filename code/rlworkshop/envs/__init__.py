"""Environments: making and stepping many at once, saving their state, and small worlds of the book's own.

``vector`` makes, steps, counts, evaluates and films; ``state`` saves and restores; ``wrappers`` make pictures
small and stack them. ``games`` are played from pixels, ``probes`` have known answers: importing these two
registers them with Gymnasium.

Book: start/how_to_use
"""

from rlworkshop.envs.state import get_state, set_state
from rlworkshop.envs.vector import (
    STREAMS,
    Act,
    Episodes,
    ObsNorm,
    batched,
    evaluate,
    make,
    policy_rng,
    record,
    reset,
    seeds,
    space_from_tree,
    space_to_tree,
    spec,
    to_env,
    vector_length,
    wrong_actions,
)

__all__ = [
    "STREAMS", "Act", "Episodes", "ObsNorm", "batched", "evaluate", "get_state", "make", "policy_rng",
    "record", "reset", "seeds", "set_state", "space_from_tree", "space_to_tree", "spec", "to_env",
    "vector_length", "wrong_actions",
]  # fmt: skip
