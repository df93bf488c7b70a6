"""Constrained RL: rovers with a limit on costs, PPO with a controlled Lagrange multiplier, and a shield.

``Rover-v0`` collects samples around a pit; a step in the pit has a cost, which is in ``info["cost"]`` and in
no reward. PPO maximises the return less a multiplier times the cost, and a controller moves the multiplier
until the mean cost of an episode meets its limit: with an integral term alone that is dual ascent, with a
proportional term it is the controller of Stooke, Achiam & Abbeel. A shield replaces actions from which a
model of the rover cannot stop in time.

Papers: Altman, *Constrained Markov decision processes*, 1999; Ray, Achiam & Amodei, *Benchmarking safe
exploration in deep reinforcement learning*, 2019; Stooke, Achiam & Abbeel, *Responsive safety in
reinforcement learning by PID Lagrangian methods*, 2020; Alshiekh et al., *Safe reinforcement learning via
shielding*, 2018.

Importing this module registers ``Rover-v0`` and ``RoverShielded-v0``. Book: safety/constrained_rl
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import nn

from rlworkshop import envs as rl_envs
from rlworkshop import nets, runs
from rlworkshop.algorithms.ppo import clipped_loss, minibatches
from rlworkshop.algorithms.vpg import Agent, gae, load_agent, make_policy, normalize, value_loss
from rlworkshop.envs.single import One
from rlworkshop.runs.training import Training, command

ALGORITHM = "rlworkshop.safety.constrained_rl"
DT = 0.1  # seconds a step
EPISODE = 50  # steps, 5 seconds
ENGINE, DRAG = 3.0, 1.5  # acceleration at full throttle; the share of its speed that is lost in a second
PIT = 0.4  # radius of the pit, which is in the middle
REACH = 0.2  # a sample is collected from this near
LOOK = 12  # steps, in which a rover can stop from any speed


# ------------------------------------------------------------------------------------ exact answers


def best_mixture(rewards: np.ndarray, costs: np.ndarray, limit: float) -> np.ndarray:
    """The best probabilities (A,) of actions whose expected cost is at most ``limit``, in a single state.

    The linear programme has two constraints beside the signs, so some best answer mixes two actions at the
    most: all pairs are tried.

    Args:
        rewards, costs: expected reward and cost of each action (A,).

    Raises:
        ValueError: even the cheapest action costs more than ``limit``.

    Book: safety/constrained_rl
    """
    if costs.min() > limit:
        raise ValueError(f"no policy keeps a limit of {limit}: the cheapest action costs {costs.min()}")
    best, value = np.zeros(len(rewards)), -np.inf
    for i in np.flatnonzero(costs <= limit):
        for j in range(len(rewards)):
            # as much of j as the limit allows: all of it where it is no dearer than the limit
            share = 1.0 if costs[j] <= limit else (limit - costs[i]) / (costs[j] - costs[i])
            worth = (1 - share) * rewards[i] + share * rewards[j]
            if worth > value:
                best, value = np.zeros(len(rewards)), worth
                best[i] += 1 - share
                best[j] += share
    return best


def dual(rewards: np.ndarray, costs: np.ndarray, limit: float, multiplier: float) -> float:
    """The largest Lagrangian for a multiplier, in a single state: never below the best that keeps the limit.

    Book: safety/constrained_rl
    """
    return float((rewards - multiplier * (costs - limit)).max())  # (eq-crl-dual)


def linear_loop(kp: float, ki: float, lag: float, steps: int) -> np.ndarray:
    """Costs (K,) of a learner that follows its multiplier with a lag: the loop of training, made linear.

    The limit is 0 and the first cost 1; a multiplier of 1 would bring the cost to 0. In each step the cost
    goes the share 1 / ``lag`` of its way to where the multiplier wants it. Nothing is clamped.

    Book: safety/constrained_rl
    """
    cost, total, costs = 1.0, 0.0, np.empty(steps)
    for k in range(steps):
        costs[k] = cost
        total += ki * cost
        cost += ((1 - (total + kp * cost)) - cost) / lag
    return costs


# ------------------------------------------------------------------------------------ rovers


def drive(
    position: np.ndarray, velocity: np.ndarray, throttle: np.ndarray, power: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and velocities (..., 2) one step later; ``power`` scales the engine.

    Book: safety/constrained_rl
    """
    velocity = velocity + DT * (power * ENGINE * throttle - DRAG * velocity)
    return position + DT * velocity, velocity


def brake(velocity: np.ndarray) -> np.ndarray:
    """The throttle (..., 2) that stops as soon as can be.

    Book: safety/constrained_rl
    """
    return np.clip(-velocity * (1 - DT * DRAG) / (DT * ENGINE), -1, 1)


def can_stop(position: np.ndarray, velocity: np.ndarray, throttle: np.ndarray, look: int) -> np.ndarray:
    """Whether (...) a ``throttle`` (..., 2), and braking afterwards, keeps out of the pit for ``look`` steps.

    Args:
        look: how many steps of the model are looked at; 1 is the next position alone.

    Book: safety/constrained_rl
    """
    safe = True
    for _ in range(look):
        position, velocity = drive(position, velocity, throttle)
        safe = safe & ((position**2).sum(axis=-1) > PIT**2)
        throttle = brake(velocity)
    return safe


def shield(position: np.ndarray, velocity: np.ndarray, throttle: np.ndarray, look: int) -> np.ndarray:
    """Throttles (N, 2) of which those that a model finds unsafe are replaced by the nearest that is safe.

    Tried are full and half throttle in sixteen directions, none, and the brake, which is also what is done
    where nothing is safe.

    Args:
        position, velocity: of the rovers (N, 2). look: as in ``can_stop``.

    Raises:
        ValueError: ``look`` is below 1.

    Book: safety/constrained_rl
    """
    if look < 1:
        raise ValueError(f"a shield looks 1 or more steps ahead, not {look}")
    angle = np.arange(16) * np.pi / 8
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)  # (16, 2)
    asked = can_stop(position, velocity, throttle, look)  # (N,)
    if asked.all():
        return throttle
    x, v, wish = position[~asked], velocity[~asked], throttle[~asked]  # (M, 2)
    fixed = np.broadcast_to(np.concatenate([ring, ring / 2, 0 * ring[:1]]), (len(x), 33, 2))
    tried = np.concatenate([fixed, brake(v)[:, None]], axis=1)  # (M, 34, 2)
    safe = can_stop(x[:, None], v[:, None], tried, look)  # (M, 34)
    far = np.where(safe, ((tried - wish[:, None]) ** 2).sum(axis=2), np.inf)
    far[:, -1] = np.minimum(far[:, -1], 1e9)  # the brake, if nothing else
    throttle = throttle.copy()
    throttle[~asked] = tried[np.arange(len(x)), far.argmin(axis=1)]
    return throttle


class RoverEnvs(VectorEnv):
    """N rovers that collect one sample after another around a pit, NEXT_STEP; 50 steps of 0.1 s.

    An observation (N, 7) is position (2), velocity (2), the way to the sample (2) and the distance from the
    edge of the pit. An action (N, 2) is the throttle along both axes. The reward is the way made good, and 1
    for a sample; ``info["cost"]`` (N,) is 1 for a step that ends in the pit. No episode begins there.

    Args:
        look: how far a shield looks ahead, in steps; 0: there is none.
        power: of the real engine; the shield's model believes in 1.

    Attributes:
        position, velocity, sample: of each rover (N, 2). replaced: whether the shield changed the last
            action (N,) bool.

    Raises:
        ValueError: ``look`` is negative, or ``power`` not above 0.

    Book: safety/constrained_rl
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, num_envs: int = 1, look: int = 0, power: float = 1.0, render_mode: str | None = None):
        if look < 0 or not power > 0:
            raise ValueError(f"look is 0 or more and power above 0, not {look} and {power}")
        self.num_envs, self.look, self.power, self.render_mode = num_envs, look, power, render_mode
        self.single_observation_space = gym.spaces.Box(-np.inf, np.inf, (7,), np.float32)
        self.single_action_space = gym.spaces.Box(-1, 1, (2,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.position, self.velocity, self.sample = (np.zeros((num_envs, 2)) for _ in range(3))
        self.clock, self.over = np.zeros(num_envs, int), np.zeros(num_envs, bool)
        self.replaced = np.zeros(num_envs, bool)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode for each rover; the observations (N, 7)."""
        super().reset(seed=seed)
        self._begin(np.ones(self.num_envs, bool))
        return self._seen(), {"cost": np.zeros(self.num_envs)}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """One step of each rover; where an episode was over, a new one begins instead."""
        begins, throttle = self.over, np.clip(np.asarray(actions, float), -1, 1)
        if self.look:
            asked, throttle = throttle, shield(self.position, self.velocity, throttle, self.look)
            self.replaced = (asked != throttle).any(axis=1) & ~begins
        before = self._way()
        self.position, self.velocity = drive(self.position, self.velocity, throttle, self.power)
        after = self._way()
        found = (after < REACH) & ~begins
        reward = before - after + found
        cost = (np.linalg.norm(self.position, axis=1) <= PIT) & ~begins  # a reset row costs nothing
        self.clock = self.clock + 1
        if found.any():
            self.sample[found] = self._outside(found)
        self.over = (self.clock >= EPISODE) & ~begins
        if begins.any():
            self._begin(begins)
        reward, never = np.where(begins, 0.0, reward).astype(np.float32), np.zeros(self.num_envs, bool)
        return self._seen(), reward, never, self.over, {"cost": cost.astype(float)}

    def _begin(self, which: np.ndarray) -> None:
        """Begin an episode for some rovers (N,) bool."""
        self.position[which], self.sample[which] = self._outside(which), self._outside(which)
        self.velocity[which], self.clock[which] = 0, 0
        self.over = self.over & ~which

    def _outside(self, which: np.ndarray) -> np.ndarray:
        """Places in the square, at least 0.15 from the pit: its angle by chance, its distance, too."""
        angle = self.np_random.uniform(0, 2 * np.pi, which.sum())
        reach = self.np_random.uniform(PIT + 0.15, 1.1, which.sum())
        return reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def _way(self) -> np.ndarray:
        return np.linalg.norm(self.sample - self.position, axis=1)

    def _seen(self) -> np.ndarray:
        edge = np.linalg.norm(self.position, axis=1, keepdims=True) - PIT
        seen = [self.position, self.velocity, self.sample - self.position, edge]
        return np.concatenate(seen, axis=1, dtype=np.float32)

    def render(self) -> tuple[np.ndarray, ...]:
        """A picture (160, 160, 3) of each rover, dark, the pit, red, and the sample, green; ±1.4 wide."""
        line = np.linspace(-1.4, 1.4, 160)
        there = np.stack(np.meshgrid(line, -line), axis=-1)  # (160, 160, 2)
        picture = np.full((160, 160, 3), 245, np.uint8)
        picture[np.linalg.norm(there, axis=-1) <= PIT] = 240, 170, 160
        pictures = np.tile(picture, (self.num_envs, 1, 1, 1))
        for places, colour in ((self.sample, (60, 150, 90)), (self.position, (40, 60, 110))):
            off = np.linalg.norm(there - places[:, None, None], axis=-1)  # (N, 160, 160)
            pictures[off < 0.07] = colour
        return tuple(pictures)


class Rover(One):
    """One rover as a single environment: ``gym.make("Rover-v0")``.

    Book: safety/constrained_rl
    """

    metadata = RoverEnvs.metadata

    def __init__(self, **kwargs: Any):
        super().__init__(RoverEnvs(1, **kwargs))


gym.register("Rover-v0", f"{__name__}:Rover", vector_entry_point=f"{__name__}:RoverEnvs")
gym.register(
    "RoverShielded-v0",
    f"{__name__}:Rover",
    vector_entry_point=f"{__name__}:RoverEnvs",
    kwargs={"look": LOOK},
)


# ---------------------------------------------------------------------------------------- the multiplier


@dataclass
class Multiplier:
    """A Lagrange multiplier under PI control (Stooke et al., 2020); with ``kp=0`` it is dual ascent.

    Args:
        limit: that the mean cost is to keep. kp, ki: gains, multiplier per unit of cost; both 0: plain PPO.
        most: the multiplier, and what is summed up in ``total``, go no higher.

    Raises:
        ValueError: ``limit`` or a gain is negative or infinite, or ``most`` not above 0.

    Book: safety/constrained_rl
    """

    limit: float
    kp: float
    ki: float
    most: float = 20.0
    total: float = 0.0
    value: float = 0.0

    def __post_init__(self):
        if not (np.isfinite([self.limit, self.kp, self.ki]).all() and self.most > 0):
            raise ValueError("limit, kp and ki are finite (no limit: kp = ki = 0), and most lies above 0")
        if min(self.limit, self.kp, self.ki) < 0:
            raise ValueError("limit, kp and ki are not negative")

    def update(self, cost: float) -> float:
        """Take in the mean cost of an episode; the new multiplier."""
        excess = cost - self.limit
        self.total = float(np.clip(self.total + self.ki * excess, 0, self.most))  # (eq-crl-integral)
        self.value = float(np.clip(self.total + self.kp * excess, 0, self.most))  # (eq-crl-pi)
        return self.value


def episode_cost(costs: np.ndarray, valid: np.ndarray, ended: np.ndarray, gamma: float) -> float:
    """Mean undiscounted cost of an episode in a batch: all costs, over how many episodes they are of.

    Args:
        costs, valid, ended: of T rows of N environments (T, N). Reset rows, not ``valid``, do not count.
        gamma: discount factor, which is not asked.

    Raises:
        ValueError: no episode ends in the batch.

    Book: safety/constrained_rl
    """
    if not ended[valid].any():
        raise ValueError("no episode ends in this batch: collect more steps, num_steps")
    return float(costs[valid].sum() / ended[valid].sum())  # (eq-crl-cost)


def discounted_cost(costs: np.ndarray, valid: np.ndarray, ended: np.ndarray, gamma: float) -> float:
    """Mean discounted cost of an episode, of whole ones: what a cost critic learns at their start.

    Arguments as in ``episode_cost``; each environment's rows begin with an episode's first.

    Book: safety/constrained_rl
    """
    weight, total = np.ones(costs.shape[1]), 0.0
    for t in range(len(costs)):
        total += (weight * costs[t])[valid[t]].sum()
        weight = np.where(ended[t] | ~valid[t], 1.0, gamma * weight)
    return float(total / ended[valid].sum())


def lagrangian_advantage(
    reward_advantage: torch.Tensor, cost_advantage: torch.Tensor, multiplier: float
) -> torch.Tensor:
    """Advantage (B,) of the Lagrangian: that of reward less ``multiplier`` times that of cost.

    Book: safety/constrained_rl
    """
    return reward_advantage - multiplier * cost_advantage  # (eq-crl-advantage)


# ---------------------------------------------------------------------------------------- training


@dataclass(frozen=True)
class Config:
    """Hyper-parameters of PPO with a Lagrange multiplier; T and N are ``num_steps`` and ``num_envs``."""

    env_id: str = "rlworkshop.safety.constrained_rl:Rover-v0"
    """an environment with ``info["cost"]``; observations a vector"""
    limit: float = 1.0
    """d: the mean cost of an episode is to be no larger"""
    kp: float = 1.0
    """proportional gain of the multiplier; 0: dual ascent"""
    ki: float = 0.02
    """integral gain of the multiplier; 0, as ``kp``: plain PPO"""
    most: float = 20.0
    """the multiplier is no larger"""
    free_updates: int = 0
    """so many updates are made before the limit comes into force"""
    num_envs: int = 100
    """N, environments stepped together"""
    num_steps: int = EPISODE + 1
    """T, rows that each environment adds to a batch: an episode and the reset row after it"""
    total_steps: int = 52 * 100 * EPISODE + 100
    """environment steps in all; no batch is begun that could exceed them"""
    n_epochs: int = 4
    """how often each transition of a batch is learned from"""
    batch_size: int = 1700
    """transitions of a minibatch, at the most"""
    gamma: float = 0.95
    """discount factor of rewards and of costs"""
    gae_lambda: float = 0.95
    """λ of GAE"""
    clip_range: float = 0.2
    """ε of the clipped objective"""
    vf_coef: float = 0.5
    """weight of the value losses"""
    max_grad_norm: float = 0.5
    """the gradient of all parameters together is shortened to this length; 0: never"""
    lr: float = 5e-3
    """learning rate"""
    hidden: tuple[int, ...] = (64, 64)
    """widths of the hidden layers of both networks"""
    device: str = "cpu"
    """where the networks are: ``"cpu"``, ``"cuda"``, ``"mps"``"""

    def __post_init__(self):
        if min(self.num_envs, self.num_steps, self.n_epochs, self.batch_size) < 1:
            raise ValueError("num_envs, num_steps, n_epochs and batch_size must be at least 1")
        if self.total_steps < self.num_envs * self.num_steps:
            raise ValueError(f"total_steps={self.total_steps} is less than one batch, num_envs * num_steps")
        if not (0 <= self.gamma <= 1 and 0 <= self.gae_lambda <= 1):
            raise ValueError("gamma and gae_lambda lie between 0 and 1")
        if not min(self.clip_range, self.lr) > 0:
            raise ValueError("clip_range and lr lie above 0")


@dataclass
class Batch:
    """T rows from each of N environments; reset rows included, told apart by ``valid``."""

    obs: np.ndarray  # (T+1, N, D) float32
    actions: np.ndarray  # (T, N, K) float32, as sampled: not clipped
    rewards: np.ndarray  # (T, N) float32
    costs: np.ndarray  # (T, N) float32
    terminated: np.ndarray  # (T, N) bool
    truncated: np.ndarray  # (T, N) bool
    valid: np.ndarray  # (T, N) bool, False on reset rows


def collect(
    envs: gym.vector.VectorEnv,
    agent: Agent,
    obs: np.ndarray,
    episodes: rl_envs.Episodes,
    rng: np.random.Generator,
    steps: int,
) -> Batch:
    """Step ``envs`` on from ``obs`` (N, D) for ``steps`` rows with actions drawn from the policy, costs kept.

    Raises:
        ValueError: the environment has no ``info["cost"]``.

    Book: safety/constrained_rl
    """
    rows = []
    for _ in range(steps):
        action = agent.sample(obs, rng)
        then, reward, terminated, truncated, info = envs.step(rl_envs.to_env(envs.action_space, action))
        if "cost" not in info:
            raise ValueError('this environment has no info["cost"]: there is nothing to be limited')
        valid = episodes.step(then, reward, terminated, truncated)
        rows.append((obs, action, reward, info["cost"].astype(np.float32), terminated, truncated, valid))
        obs = then
    seen, *rest = (np.stack(column) for column in zip(*rows, strict=True))
    return Batch(np.concatenate([seen, obs[None]]), *rest)


@dataclass
class Learner:
    """The agent, a critic with two outputs, one optimiser for both, and the multiplier."""

    agent: Agent
    critic: nn.Sequential  # (B, D) -> (B, 2): values of reward and of cost
    optimizer: torch.optim.Optimizer
    multiplier: Multiplier


def make_learner(envs: gym.vector.VectorEnv, config: Config, generator: torch.Generator) -> Learner:
    """Fresh networks, their optimiser and multiplier; all randomness comes from ``generator``."""
    place, space = nets.torch_device(config.device), envs.single_observation_space
    policy = make_policy(space, envs.single_action_space, config.hidden, generator).to(place)
    critic = nets.mlp([space.shape[0], *config.hidden, 2], generator).to(place)
    adam = torch.optim.Adam([*policy.parameters(), *critic.parameters()], config.lr, eps=1e-5, fused=True)
    multiplier = Multiplier(config.limit, config.kp, config.ki, config.most)
    return Learner(Agent(policy, None, space, envs.single_action_space), critic, adam, multiplier)


def update(
    learner: Learner, batch: Batch, multiplier: float, config: Config, rng: np.random.Generator
) -> dict[str, float]:
    """Learn from one batch under a ``multiplier``, ``config.n_epochs`` times over; diagnostics by name.

    Book: safety/constrained_rl
    """
    policy, critic, valid = learner.agent.policy, learner.critic, batch.valid
    device = next(critic.parameters()).device
    # region: advantages
    with torch.no_grad():
        values = critic(torch.from_numpy(batch.obs).to(device)).cpu().numpy()  # (T+1, N, 2)
    ends, factors = (batch.terminated, batch.truncated), (config.gamma, config.gae_lambda)
    gains = [
        gae(signal, values[..., k], *ends, *factors)[valid]
        for k, signal in enumerate((batch.rewards, batch.costs))
    ]  # (B,), (B,)
    # endregion
    advantage = torch.from_numpy(np.stack(gains, axis=1)).to(device)  # (B, 2)
    returns = advantage + torch.from_numpy(values[:-1][valid]).to(device)  # (B, 2)
    obs, actions = (torch.from_numpy(x[valid]).to(device) for x in (batch.obs[:-1], batch.actions))
    with torch.no_grad():
        old_logp, _ = policy.log_prob(obs, actions)  # (B,)
    # region: epochs
    (group,) = learner.optimizer.param_groups
    for rows in minibatches(len(obs), config.batch_size, config.n_epochs, rng):
        logp, entropy = policy.log_prob(obs[rows], actions[rows])  # (M,), (M,)
        gain = lagrangian_advantage(advantage[rows, 0], advantage[rows, 1], multiplier)  # (M,)
        loss = clipped_loss(logp, old_logp[rows], normalize(gain), config.clip_range)
        error = value_loss(critic(obs[rows]), returns[rows])
        learner.optimizer.zero_grad()
        (loss + config.vf_coef * error).backward()
        if config.max_grad_norm:
            nn.utils.clip_grad_norm_(group["params"], config.max_grad_norm)
        learner.optimizer.step()
    # endregion
    return {"policy_loss": loss.item(), "value_loss": error.item(), "entropy": entropy.mean().item()}


def train(
    config: Config, seed: int, *, measure: Callable[..., float] = episode_cost, **options: Any
) -> runs.Run:
    """PPO with a Lagrange multiplier; the same seed on the same machine gives the same bits.

    Metrics of each update: ``cost`` and ``return`` of an episode of its batch, the ``multiplier`` that it was
    learned from under, and ``measured``, the cost that the multiplier was told.

    Args:
        measure: what is compared with the limit, with the arguments of ``episode_cost``.
        options: of the session: ``callback``, ``checkpoint``, ``log_dir`` and the others of ``Training``.

    Raises:
        ValueError: the environment does not exist, has no costs, or its spaces do not fit.
        RunFileError: the checkpoint is broken, or that of another training.

    Book: safety/constrained_rl
    """
    session = Training(ALGORITHM, config, seed, {"measure": measure}, **options)
    envs, rng = session.envs, session.rng
    learner = make_learner(envs, config, session.generator)
    obs = session.begin(learner.agent, learner=learner)  # (N, D)
    # region: loop
    while session.running(envs.num_envs * config.num_steps):
        batch = collect(envs, learner.agent, obs, session.episodes, rng, config.num_steps)
        obs, ended = batch.obs[-1], batch.terminated | batch.truncated  # (N, D), (T, N)
        measured = measure(batch.costs, batch.valid, ended, config.gamma)
        free = len(session.metrics.get("update_step", ())) < config.free_updates
        multiplier = 0.0 if free else learner.multiplier.update(measured)  # first this, then the policy
        numbers = update(learner, batch, multiplier, config, rng)
        cost = episode_cost(batch.costs, batch.valid, ended, config.gamma)
        gain = episode_cost(batch.rewards, batch.valid, ended, config.gamma)
        told = {"cost": cost, "batch_return": gain, "measured": measured, "multiplier": multiplier}
        session.updated(obs, **numbers, **told)
    # endregion
    return session.end()


def load_policy(run: runs.Run, device: str = "cpu") -> Agent:
    """The trained agent of a run: ``.act(obs)`` and ``.sample(obs, rng)``.

    Raises:
        ValueError: the run is of another algorithm.

    Book: safety/constrained_rl
    """
    return load_agent(run, ALGORITHM, device)


if __name__ == "__main__":
    command(train, load_policy, Config)
