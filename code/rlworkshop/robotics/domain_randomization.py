"""Domain randomisation: policies trained on many simulated robots, and eyes trained on many looks.

Three parts. A cart whose best controller is known in closed form: what randomisation buys, and what it costs.
``train`` is recurrent PPO on pucks whose robots are drawn from a range of a given width (Peng et al., 2018).
Pictures of a disc on a table, in many textures and lights, train a network to find it (Tobin et al., 2017).

Book: robotics/domain_randomization
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from rlworkshop import nets, runs
from rlworkshop.robotics import memory
from rlworkshop.robotics.reality_gap import PARAMETERS, PuckEnvs

SIZE = 16  # of a picture, in pixels; the table reaches from -1 to 1 both ways
DISC = 0.3  # radius of the disc
Looks = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray, np.ndarray]]


# ------------------------------------------------------------------------------------ a cart, exactly


def robust_gain(low: Any, high: Any) -> Any:
    """Feedback k with the least mean of (1 - k g)² over carts with gain g = 2^p, p uniform in low ... high.

    A cart that is off by e is pushed by k e and is then off by (1 - k g) e. Numbers, or arrays of one shape.

    Raises:
        ValueError: ``low`` is above ``high``.

    Book: robotics/domain_randomization
    """
    if np.any(np.greater(low, high)):
        raise ValueError(f"low={low} is above high={high}")
    return 2 / (2.0**low + 2.0**high)  # (eq-robust-gain)


# ------------------------------------------------------------------------------------ pucks


def train_within(config: memory.Config, seed: int, width: float, **options: Any) -> runs.Run:
    """PPO on pucks whose parameters are drawn from ±``width`` of the large deviation; 0: the data sheet.

    Raises:
        ValueError: ``width`` is negative.

    Book: robotics/domain_randomization
    """
    if width < 0:
        raise ValueError(f"width={width} is negative")
    envs = PuckEnvs(config.num_envs, -width, width)
    return memory.train(config, seed, envs=envs, **options)


def outlying(n: int, seed: int, inner: float = 2.5, outer: float = 2.75, rest: float = 0.5) -> np.ndarray:
    """Parameters (n, P) of robots that lie outside every range up to ``inner``.

    One parameter of each, at random, is between ``inner`` and ``outer``; the others lie within ``rest``.
    Latency is never the one: a push is at most 7 steps late, which wide ranges contain.

    Book: robotics/domain_randomization
    """
    rng = np.random.default_rng(seed)
    robots = rng.uniform(-rest, rest, (n, len(PARAMETERS)))
    robots[:, -1] = np.abs(robots[:, -1])
    which = rng.integers(len(PARAMETERS) - 1, size=n)
    robots[np.arange(n), which] = rng.choice([-1, 1], n) * rng.uniform(inner, outer, n)
    return robots


# ------------------------------------------------------------------------------------ pictures

PIXELS = (np.arange(SIZE) + 0.5) * 2 / SIZE - 1  # centres, both ways


def plain(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The nominal look: backgrounds (n, 16, 16), lights (n, 16, 16), shades of the disc (n,).

    Book: robotics/domain_randomization
    """
    shape = (n, SIZE, SIZE)
    return np.full(shape, 0.7), np.ones(shape), np.full(n, 0.2)


def patches(rng: np.random.Generator, n: int) -> np.ndarray:
    """Random textures (n, 16, 16) from 0.3 to 1: soft patches of random size, brightness and contrast.

    Book: robotics/domain_randomization
    """
    level, contrast, cells = rng.uniform(0.5, 0.85, n), rng.uniform(0, 0.35, n), rng.integers(2, 9, n)
    soft = np.empty((n, SIZE, SIZE))
    for count in range(2, 9):
        which = np.flatnonzero(cells == count)
        knots = np.linspace(-1, 1, count)
        spread = np.maximum(0, 1 - np.abs(PIXELS[:, None] - knots) / (knots[1] - knots[0]))  # (16, count)
        soft[which] = spread @ rng.uniform(-1, 1, (len(which), count, count)) @ spread.T
    return np.clip(level[:, None, None] + contrast[:, None, None] * soft, 0.3, 1)


def lamps(rng: np.random.Generator, n: int) -> np.ndarray:
    """Random lights (n, 16, 16): a strength, and a slope from one side to the other.

    Book: robotics/domain_randomization
    """
    strength, slope = rng.uniform(0.5, 1.5, n), rng.uniform(-0.4, 0.4, (n, 2))
    across = slope[:, 0, None, None] * PIXELS + slope[:, 1, None, None] * PIXELS[:, None]
    return strength[:, None, None] * (1 + across)


def randomized(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A texture, a light and a shade of the disc drawn anew for each picture.

    Book: robotics/domain_randomization
    """
    return patches(rng, n), lamps(rng, n), rng.uniform(0.0, 0.3, n)


def real(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What no simulator has: boards of wood with a grain of any direction, and a lamp above one spot.

    Book: robotics/domain_randomization
    """
    angle, waves, phase = rng.uniform(0, np.pi, n), rng.uniform(1.5, 4, n), rng.uniform(0, 2 * np.pi, n)
    x, y = PIXELS[None, None, :], PIXELS[None, :, None]
    along = np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y
    grain = np.sin(np.pi * waves[:, None, None] * along + phase[:, None, None])
    spot = rng.uniform(-1, 1, (2, n, 1, 1))
    light = 0.6 + 0.8 * np.exp(-((x - spot[0]) ** 2) - (y - spot[1]) ** 2)
    return 0.65 + 0.2 * grain, light, np.full(n, 0.15)


def pictures(looks: Looks, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, 16, 16) float32 of a disc, and where it is (n, 2), x to the right and y down.

    Book: robotics/domain_randomization
    """
    place = rng.uniform(-0.6, 0.6, (n, 2))
    background, light, shade = looks(rng, n)
    x, y = PIXELS[None, None, :] - place[:, 0, None, None], PIXELS[None, :, None] - place[:, 1, None, None]
    share = np.clip((DISC - np.hypot(x, y)) * SIZE / 2 + 0.5, 0, 1)  # of each pixel that the disc covers
    seen = light * (share * shade[:, None, None] + (1 - share) * background)
    return (seen + rng.normal(0, 0.02, seen.shape)).astype(np.float32), place.astype(np.float32)


class Eye(nn.Module):
    """Where the disc is (B, 2), from pictures (B, 16, 16): two convolutions, two layers.

    Book: robotics/domain_randomization
    """

    def __init__(self, generator: torch.Generator):
        super().__init__()
        self.see = nn.Sequential(
            nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(), nn.Flatten()
        )
        for layer in self.see:
            for weight in layer.parameters():
                bound = layer.weight[0].numel() ** -0.5
                nn.init.uniform_(weight, -bound, bound, generator=generator)
        self.say = nets.mlp([16 * SIZE**2 // 4, 64, 2], generator)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """Positions (B, 2)."""
        return self.say(self.see((seen[:, None] - 0.6) / 0.3))


def train_eye(looks: Looks, seed: int, steps: int = 300, batch: int = 64) -> Eye:
    """An eye that has seen ``steps`` batches of pictures, each of them once.

    Book: robotics/domain_randomization
    """
    rng, eye = np.random.default_rng(seed), Eye(nets.generator(seed))
    adam = torch.optim.Adam(eye.parameters(), 2e-3)
    for step in range(steps):
        for group in adam.param_groups:
            group["lr"] = 2e-3 * (1 - 0.9 * step / steps)
        seen, place = (torch.from_numpy(x) for x in pictures(looks, rng, batch))
        loss = ((eye(seen) - place) ** 2).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return eye


def miss(eye: Eye, looks: Looks, seed: int, n: int = 1000) -> float:
    """Mean distance between where the eye says that the disc is and where it is, on ``n`` pictures.

    Book: robotics/domain_randomization
    """
    seen, place = pictures(looks, np.random.default_rng(seed), n)
    with torch.no_grad():
        said = eye(torch.from_numpy(seen)).numpy()
    return float(np.linalg.norm(said - place, axis=1).mean())
