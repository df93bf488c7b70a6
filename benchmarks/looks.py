"""Eyes that were trained on a part of what randomises a picture: textures alone, lights alone.

    PYTHONPATH=code OMP_NUM_THREADS=1 python benchmarks/looks.py

Ten seeds of each, and of eyes that saw the nominal look or all that is random beside them. Kept is how far
each eye misses the disc on 1,000 fresh pictures of its own kind, of the nominal look and of reality. Less
than a minute on one core.
"""

import numpy as np
import torch

from rlworkshop import runs
from rlworkshop.robotics import domain_randomization as dr

SEEDS = range(7000, 7010)


def only_textures(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random tables under an even light."""
    return dr.patches(rng, n), np.ones((n, dr.SIZE, dr.SIZE)), np.full(n, 0.2)


def only_lights(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An even table under random lamps."""
    background, _, shade = dr.plain(rng, n)
    return background, dr.lamps(rng, n), shade


LOOKS = {"nominal": dr.plain, "lights": only_lights, "textures": only_textures, "randomised": dr.randomized}


def one(look: dr.Looks, seed: int) -> dict[str, float]:
    """How far an eye with this seed, trained on this look, misses the disc in three kinds of pictures."""
    eye = dr.train_eye(look, seed)
    tried = {"own": look, "nominal": dr.plain, "reality": dr.real}
    return {where: dr.miss(eye, pictured, seed + 1) for where, pictured in tried.items()}


def main() -> None:
    torch.set_num_threads(1)
    results = {}
    for name, look in LOOKS.items():
        results[name] = [one(look, seed) for seed in SEEDS]
        print(name, results[name], flush=True)
    runs.store("looks", results, SEEDS, ["rlworkshop.robotics.domain_randomization"], __file__)


if __name__ == "__main__":
    main()
