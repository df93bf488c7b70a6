"""Deploying a policy: a contract for what it sees and does, checks, a watchdog, and another simulator.

The other simulator stands in for the robot. It has the same physics and nothing else in common with the one
that the policy was trained in: a clock instead of steps, another integrator, named channels, other units.

Book: robotics/sim_to_sim
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rlworkshop.robotics.reality_gap import DT, HOLD, RADIUS, Robots

Act = Callable[[np.ndarray], np.ndarray]  # observations (N, D) -> actions (N, K)
Channels = dict[str, np.ndarray]  # what a robot's driver delivers, by name, each (N,)
Read = Callable[[Channels, np.ndarray], np.ndarray]  # channels, last action (N, K) -> observations (N, D)


# ------------------------------------------------------------------------------------ the robot's side


class Table:
    """N tables with pucks, in continuous time: Runge and Kutta's method of fourth order, steps of 5 ms.

    A push arrives after the robot's latency in seconds, whenever the next decision is made. ``sense`` gives
    channels in millimetres and millimetres a second, as a camera's driver would.

    Attributes:
        position, velocity, goal: (N, 2), in metres. time: seconds since the start. goals: reached (N,).

    Book: robotics/sim_to_sim
    """

    STEP = 0.005

    def __init__(self, parameters: np.ndarray, stiction: float = 0.0, seed: int = 0):
        self.robots, self.stiction, n = Robots(parameters), stiction, len(parameters)
        self.rng = np.random.default_rng(seed)
        self.position, self.goal = self.rng.uniform(-1, 1, (2, n, 2))
        self.velocity, self.push = np.zeros((n, 2)), np.zeros((n, 2))
        self.late = np.rint(self.robots.latency * DT / self.STEP).astype(int)  # (N,) steps of 5 ms
        self.sent = np.zeros((self.late.max() + 1, n, 2))  # the pushes of the last steps, in a ring
        self.ticks = 0
        self.near, self.goals, self.time = np.zeros(n), np.zeros(n, int), 0.0

    def sense(self) -> Channels:
        """What the driver delivers now, each channel (N,)."""
        parts = {"puck": self.position, "speed": self.velocity, "goal": self.goal}
        return {
            f"{name}_{axis}": 1000 * part[:, i] for name, part in parts.items() for i, axis in enumerate("xy")
        }

    def advance(self, seconds: float, push: np.ndarray) -> None:
        """Hold the ``push`` (N, 2) for so many seconds."""
        ring, robot = len(self.sent), np.arange(len(self.late))
        for _ in range(round(seconds / self.STEP)):
            self.sent[self.ticks % ring] = np.clip(push, -1, 1)
            self.push = self.sent[(self.ticks - self.late) % ring, robot]  # what arrives now
            self.ticks += 1
            self._integrate(self.STEP)
            there = np.linalg.norm(self.goal - self.position, axis=1) < RADIUS
            self.near = np.where(there, self.near + self.STEP, 0.0)
            hit = self.near >= HOLD * DT - 1e-9
            self.goals += hit
            self.goal[hit], self.near[hit] = self.rng.uniform(-1, 1, (int(hit.sum()), 2)), 0.0
        self.time += seconds

    def _integrate(self, dt: float) -> None:
        """One step of position and velocity (N, 2) under the present push."""

        def slope(velocity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return velocity, self.robots.acceleration(velocity, self.push, self.stiction)

        v1, a1 = slope(self.velocity)
        v2, a2 = slope(self.velocity + dt / 2 * a1)
        v3, a3 = slope(self.velocity + dt / 2 * a2)
        v4, a4 = slope(self.velocity + dt * a3)
        self.position = self.position + dt / 6 * (v1 + 2 * v2 + 2 * v3 + v4)
        self.velocity = self.velocity + dt / 6 * (a1 + 2 * a2 + 2 * a3 + a4)  # (eq-rk4)


def read(channels: Channels, last: np.ndarray) -> np.ndarray:
    """Observations (N, 8) as the policy was trained with them, from the driver's channels and the last push.

    Book: robotics/sim_to_sim
    """
    metres = {name: value / 1000 for name, value in channels.items()}
    position, speed, goal = (
        np.stack([metres[f"{name}_x"], metres[f"{name}_y"]], axis=1) for name in ("puck", "speed", "goal")
    )
    return np.concatenate([position, speed / 2, goal - position, last], axis=1, dtype=np.float32)


def deploy(act: Act, table: Table, reader: Read = read, period: float = DT, seconds: float = 6.0) -> dict:
    """Run a policy on ``table``, a decision every ``period`` seconds.

    Returns what was logged: ``time`` (T,), ``obs`` (T, N, D), ``action`` (T, N, K) and ``goals`` (N,).

    Book: robotics/sim_to_sim
    """
    log: dict = {"time": [], "obs": [], "action": []}
    last = np.zeros_like(table.push)
    for _ in range(round(seconds / period)):
        obs = reader(table.sense(), last)
        last = act(obs)
        for name, value in (("time", table.time), ("obs", obs), ("action", last)):
            log[name].append(value)
        table.advance(period, last)
    return {**{name: np.array(values) for name, values in log.items()}, "goals": table.goals}


# ------------------------------------------------------------------------------------ the contract


class ContractError(ValueError):
    """What was deployed is not what was trained."""


@dataclass(frozen=True)
class Contract:
    """What a policy may rely on, and what it does then: goes along with its weights.

    Book: robotics/sim_to_sim
    """

    names: tuple[str, ...]
    """of the D components of an observation, in their order, with units"""
    low: tuple[float, ...]
    """smallest plausible value of each"""
    high: tuple[float, ...]
    """largest plausible value of each"""
    period: float
    """seconds from one decision to the next"""
    channels: dict[str, list[float]] = field(default_factory=dict)
    """M samples of what a driver delivers, by name"""
    last: list[list[float]] = field(default_factory=list)
    """(M, K), the action before each sample"""
    obs: list[list[float]] = field(default_factory=list)
    """(M, D), the observations that these samples make"""
    actions: list[list[float]] = field(default_factory=list)
    """(M, K), what the policy does then"""

    def save(self, path: str | Path) -> None:
        """Write it to ``path``, as JSON."""
        Path(path).write_text(json.dumps(vars(self), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "Contract":
        """Read what ``save`` wrote.

        Raises:
            ContractError: the file is no contract.
        """
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(**{**found, **{name: tuple(found[name]) for name in ("names", "low", "high")}})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ContractError(f"{path} is no contract: {error}") from None


NAMES = (
    "position x (m)", "position y (m)", "half velocity x (m/s)", "half velocity y (m/s)",
    "way to goal x (m)", "way to goal y (m)", "last push x", "last push y",
)  # fmt: skip


def draw_up(act: Act, obs: np.ndarray, samples: int = 20) -> Contract:
    """The contract of a policy for the puck, from observations (M, 8) of its training simulator.

    The bounds are the most extreme observations, widened by a fifth of their range. The samples are some of
    the observations, with the channels that a driver would have delivered and the policy's answer.

    Book: robotics/sim_to_sim
    """
    low, high = obs.min(axis=0), obs.max(axis=0)
    room = 0.2 * (high - low)
    some = obs[:: max(1, len(obs) // samples)][:samples].astype(np.float32)
    parts = {"puck": some[:, :2], "speed": 2 * some[:, 2:4], "goal": some[:, :2] + some[:, 4:6]}
    channels = {
        f"{name}_{axis}": (1000 * part[:, i].astype(float)).tolist()
        for name, part in parts.items()
        for i, axis in enumerate("xy")
    }
    bounds = (tuple((low - room).tolist()), tuple((high + room).tolist()))
    answers = act(some).tolist()
    return Contract(NAMES, *bounds, DT, channels, some[:, 6:].tolist(), some.tolist(), answers)


def check_reader(contract: Contract, reader: Read) -> None:
    """The samples' channels make the samples' observations: order, units, signs.

    Raises:
        ContractError: they do not; the first component that is wrong is named.

    Book: robotics/sim_to_sim
    """
    channels = {name: np.array(values) for name, values in contract.channels.items()}
    found, wanted = reader(channels, np.array(contract.last)), np.array(contract.obs)
    if found.shape != wanted.shape:
        raise ContractError(f"observations of the samples have the shape {found.shape}, not {wanted.shape}")
    wrong = np.abs(found - wanted) > 1e-4  # (M, D)
    if wrong.any():
        m, d = np.argwhere(wrong)[0]
        what = f"{found[m, d]:.4g} instead of {wanted[m, d]:.4g}"
        raise ContractError(f"{contract.names[d]} of sample {m} is {what}: order, unit or sign?")


def check_policy(contract: Contract, act: Act) -> None:
    """The policy does with the samples' observations what it did when the contract was drawn up.

    Raises:
        ContractError: it does not: other weights, or another normaliser.

    Book: robotics/sim_to_sim
    """
    off = np.abs(act(np.array(contract.obs, np.float32)) - np.array(contract.actions)).max(axis=1)  # (M,)
    if off.max() > 1e-4:
        raise ContractError(
            f"the action for sample {off.argmax()} is off by {off.max():.3g}: other weights or normaliser?"
        )


def check_period(contract: Contract, time: np.ndarray) -> None:
    """Decisions (T,) come at the contract's period, the median within a tenth of it.

    Raises:
        ContractError: they do not.

    Book: robotics/sim_to_sim
    """
    period = float(np.median(np.diff(time)))
    if abs(period - contract.period) > 0.1 * contract.period:
        raise ContractError(f"a decision every {period:.3g} s, trained with {contract.period:.3g} s")


def check_range(contract: Contract, obs: np.ndarray, share: float = 0.01) -> None:
    """Observations (..., D) are numbers, and nearly all of them plausible.

    Raises:
        ContractError: one is not finite, or more than a ``share`` of some component lies outside its bounds.

    Book: robotics/sim_to_sim
    """
    rows = obs.reshape(-1, len(contract.names))
    if not np.isfinite(rows).all():
        d = np.argwhere(~np.isfinite(rows))[0][1]
        raise ContractError(f"{contract.names[d]} is not finite")
    outside = ((rows < contract.low) | (rows > contract.high)).mean(axis=0)  # (D,)
    if outside.max() > share:
        d = int(outside.argmax())
        bounds = f"{contract.low[d]:.3g} to {contract.high[d]:.3g}"
        raise ContractError(f"{outside[d]:.0%} of {contract.names[d]} lie outside {bounds}")


# ------------------------------------------------------------------------------------ the watchdog


class Watchdog:
    """Acts as the policy does, until an observation breaks the contract; from then on it stops the robot.

    An observation breaks it that is not finite, implausible, or the same as the last one for ``frozen``
    decisions. One is enough, and nothing but ``release`` ends the stop.

    Attributes:
        tripped: why each robot was stopped, by its number.

    Book: robotics/sim_to_sim
    """

    def __init__(self, act: Act, contract: Contract, stop: np.ndarray, frozen: int = 5):
        self.act, self.contract, self.stop, self.frozen = act, contract, stop, frozen
        self.release()

    def release(self) -> None:
        """Somebody has looked, and lets the robots go on."""
        self.tripped: dict[int, str] = {}
        self.before, self.still = None, np.zeros(0, int)

    def __call__(self, obs: np.ndarray) -> np.ndarray:
        """Actions (N, K) for observations (N, D); ``stop`` (K,) for robots that are stopped."""
        sensed = obs[:, : -len(self.stop)]  # the last action is no sensor's
        same = np.zeros(len(obs), bool) if self.before is None else (sensed == self.before).all(axis=1)
        self.still = np.where(same, self.still + 1, 0) if len(self.still) == len(obs) else same.astype(int)
        self.before = sensed.copy()
        finite = np.isfinite(obs).all(axis=1)
        implausible = ((obs < self.contract.low) | (obs > self.contract.high)).any(axis=1)
        for reason, which in (
            ("not finite", ~finite),
            ("implausible", finite & implausible),
            ("frozen", self.still >= self.frozen),
        ):
            for i in np.flatnonzero(which):
                self.tripped.setdefault(int(i), reason)
        stopped = np.isin(np.arange(len(obs)), list(self.tripped))
        action = self.act(np.where(finite[:, None], obs, 0.0).astype(np.float32))
        return np.where(stopped[:, None], self.stop, action)
