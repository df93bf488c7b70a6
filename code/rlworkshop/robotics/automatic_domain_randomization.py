"""Automatic domain randomization: ranges that widen where the policy copes, and narrow where it does not.

The curriculum is a property of the environment: it knows how many goals each robot reached, and draws the
next robots accordingly. What trains on it notices nothing (OpenAI et al., 2019, algorithm 1).

Importing this module registers ``PuckWidening-v0``. Book: robotics/automatic_domain_randomization
"""

from typing import Any

import gymnasium as gym
import numpy as np

from rlworkshop import runs
from rlworkshop.robotics import memory
from rlworkshop.robotics.reality_gap import EPISODE, PARAMETERS, PuckEnvs

P = len(PARAMETERS)


def moved(
    bounds: np.ndarray,
    score: np.ndarray,
    full: np.ndarray,
    enough: float,
    few: float,
    step: float,
    cap: float,
) -> np.ndarray:
    """Bounds (...) after their probes.

    Where the buffer is ``full``, a bound goes out by ``step`` if its mean ``score`` (...) is ``enough`` or
    more, and in if it is ``few`` or less. None goes beyond ``cap``, nor back over the data sheet.

    Book: robotics/automatic_domain_randomization
    """
    change = np.where(score >= enough, step, np.where(score <= few, -step, 0.0))
    return np.where(full, np.clip(bounds + change, 0, cap), bounds)  # (eq-adr)


class WideningEnvs(PuckEnvs):
    """Pucks whose robots are drawn from ranges that begin at the data sheet and follow the policy's success.

    Half of the episodes probe: one parameter stands at one of its bounds. When ``probes`` episodes at a bound
    have ended, their mean number of goals decides: ``enough`` or more widens the range there by ``step``,
    ``few`` or less narrows it.

    Args:
        cap: no bound goes further out than this.

    Attributes:
        bounds: how far each parameter may go (2, P): down, up; not negative. Latency only goes up.

    Book: robotics/automatic_domain_randomization
    """

    def __init__(
        self,
        num_envs: int = 1,
        probes: int = 12,
        enough: float = 1.5,
        few: float = 1.0,
        step: float = 0.25,
        cap: float = 1.5,
        **kwargs: Any,
    ):
        super().__init__(num_envs, **kwargs)
        if not (0 <= few < enough and step > 0 and cap > 0 and probes >= 1):
            raise ValueError("few lies below enough, step and cap above 0, probes at 1 or more")
        self.probes, self.enough, self.few, self.step_size, self.cap = probes, enough, few, step, cap
        self.bounds = np.zeros((2, P))
        self.sums, self.counts = np.zeros((2, P)), np.zeros((2, P), int)
        self.probed = np.full(num_envs, -1)  # which bound, 0 … 2P - 1; -1: none
        self.reached = np.zeros(num_envs, int)  # goals of the present episode

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """One step of each table."""
        *rest, info = super().step(actions)
        self.reached += info["goals"]
        return (*rest, info)

    def _begin(self, which: np.ndarray) -> None:
        """Take in how the episodes went that are over, then draw robots for the next ones."""
        ended = which & (self.clock >= EPISODE)
        for i in np.flatnonzero(ended & (self.probed >= 0)):
            self.sums.flat[self.probed[i]] += self.reached[i]
            self.counts.flat[self.probed[i]] += 1
        # region: widen
        full = self.counts >= self.probes  # (2, P)
        score = self.sums / np.maximum(self.counts, 1)
        self.bounds = moved(self.bounds, score, full, self.enough, self.few, self.step_size, self.cap)
        self.sums[full], self.counts[full] = 0, 0  # what was scored at the old bound says nothing of the new
        # endregion
        self.reached[which] = 0
        low, high = (np.tile(bound, (self.num_envs, 1)) for bound in (-self.bounds[0], self.bounds[1]))
        # region: probe
        bound = self.np_random.integers(2 * P - 1, size=self.num_envs)  # the last, less latency, is none
        bound += bound >= P - 1
        probe = np.where(self.np_random.random(self.num_envs) < 0.5, bound, -1)
        self.probed = np.where(which, probe, self.probed)
        for i in np.flatnonzero(which & (self.probed >= 0)):
            side, parameter = divmod(self.probed[i], P)
            low[i, parameter] = high[i, parameter] = (low, high)[side][i, parameter]
        # endregion
        self.set_range(low, high)
        super()._begin(which)

    def get_state(self) -> dict[str, Any]:
        """All that decides how it goes on."""
        return {**super().get_state(), **{name: getattr(self, name).copy() for name in OWN}}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``get_state`` gave."""
        super().set_state(state)
        for name in OWN:
            setattr(self, name, state[name].copy())


OWN = ("bounds", "sums", "counts", "probed", "reached")


def entropy(bounds: np.ndarray, at_least: float = 0.05) -> np.ndarray:
    """Entropy of the robots (...), in nats a parameter: mean logarithm of the widths of ranges (..., 2, P).

    A width of 0 counts as ``at_least``, or the logarithm would be infinite.

    Book: robotics/automatic_domain_randomization
    """
    return np.log(np.maximum(bounds.sum(axis=-2), at_least)).mean(axis=-1)  # (eq-adr-entropy)


def train_widening(
    config: memory.Config, seed: int, widening: dict[str, Any] | None = None, **options: Any
) -> runs.Run:
    """PPO on ranges that widen; its run has the metric ``bounds`` (U, 2, P), after each update.

    Args:
        widening: arguments of ``WideningEnvs``: ``enough``, ``few``, ``step``, ``cap`` and the others.

    Book: robotics/automatic_domain_randomization
    """
    envs, bounds = WideningEnvs(config.num_envs, **(widening or {})), []
    run = memory.train(
        config, seed, envs=envs, callback=lambda session: bounds.append(envs.bounds), **options
    )
    run.metrics["bounds"] = np.array(bounds)
    return run


gym.register("PuckWidening-v0", vector_entry_point=f"{__name__}:WideningEnvs")
