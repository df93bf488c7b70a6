"""Drive to a dock and stay there: a reward that says something else, and shaping that does not.

Vehicles are paid for being in the dock and, so that they find it, for coming nearer. How they are paid for
coming nearer is the subject: steps away from the dock may cost as much as steps towards it earn
(``leak=0``), nothing (``leak=1``), or anything between. What was meant is in ``info["docked"]``, and no
learner sees it. The second half is exact: shaped copies of small decision processes, and what their best
policies are worth in the originals.

Papers: Randløv & Alstrøm, *Learning to drive a bicycle using reinforcement learning and shaping*, 1998;
Ng, Harada & Russell, *Policy invariance under reward transformations: Theory and application to reward
shaping*, 1999.

Importing this module registers ``Homing-v0``. Book: safety/reward_misspecification
"""

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rlworkshop import envs as rl_envs
from rlworkshop import runs
from rlworkshop.algorithms import ppo
from rlworkshop.envs.single import One
from rlworkshop.foundations.dynamic_programming import Worlds, greedy, lookahead, optimality_sweep
from rlworkshop.foundations.key_concepts import MDP

DT = 0.1  # seconds a step
EPISODE = 100  # steps, 10 seconds
ENGINE, DRAG = 4.0, 2.0  # acceleration at full throttle; the share of its speed that is lost in a second
RADIUS = 0.2  # of the dock, which is in the middle
WAGE = 0.1  # reward for a step that ends in the dock
SLOPE = 10.0  # by how much the potential falls in a distance of 1


# ---------------------------------------------------------------------------------------- shaping


def shaping(before: np.ndarray, after: np.ndarray, discount: float, leak: float = 0.0) -> np.ndarray:
    """Extra reward (...) for steps from potentials ``before`` (...) to potentials ``after`` (...).

    With ``leak=0`` and the learner's own discount factor it is potential-based (Ng, Harada & Russell, 1999)
    and leaves best policies best, if terminal states have the potential 0. With ``leak=1`` and a discount
    of 1 it is the gain where there is one, and 0 for a step that loses.

    Raises:
        ValueError: ``discount`` or ``leak`` lies outside 0 … 1.

    Book: safety/reward_misspecification
    """
    if not (0 <= discount <= 1 and 0 <= leak <= 1):
        raise ValueError(f"discount and leak lie between 0 and 1, not {discount} and {leak}")
    gain = discount * after - before  # (eq-shaping)
    return gain + leak * np.maximum(before - after, 0.0)  # (eq-leak)


class HomingEnvs(VectorEnv):
    """N vehicles that are to drive to the dock and stay there, NEXT_STEP. An episode has 100 steps of 0.1 s.

    An observation (N, 4) is the position (2), seen from the dock, and the velocity (2); an action (N, 2) is
    the throttle along both axes, at most 1. The reward is 0.1 for a step that ends in the dock, plus the
    ``shaping`` of a potential that falls by 10 in a distance of 1. ``info["docked"]`` (N,) says where a
    vehicle is in the dock.

    Args:
        leak: the share of each loss of potential that is forgiven.
        discount: the discount factor in the shaping; 1: none.

    Attributes:
        finished: what nobody is paid for, of each episode that has ended: the share of its second half that
            was spent in the dock, the length of the way, and the sum of the squared throttle.

    Raises:
        ValueError: ``discount`` or ``leak`` lies outside 0 … 1.

    Book: safety/reward_misspecification
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(
        self, num_envs: int = 1, leak: float = 0.0, discount: float = 1.0, render_mode: str | None = None
    ):
        shaping(np.zeros(1), np.zeros(1), discount, leak)  # raises where they make no sense
        self.num_envs, self.leak, self.discount, self.render_mode = num_envs, leak, discount, render_mode
        self.single_observation_space = gym.spaces.Box(-np.inf, np.inf, (4,), np.float32)
        self.single_action_space = gym.spaces.Box(-1, 1, (2,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.position, self.velocity = np.zeros((num_envs, 2)), np.zeros((num_envs, 2))
        self.clock, self.over = np.zeros(num_envs, int), np.zeros(num_envs, bool)
        self.sums, self.finished = np.zeros((num_envs, 3)), []

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode for each vehicle; the observations (N, 4)."""
        super().reset(seed=seed)
        self._begin(np.ones(self.num_envs, bool))
        return self._seen(), {"docked": self._docked()}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """One step of each vehicle; where an episode was over, a new one begins instead."""
        begins, throttle = self.over, np.clip(np.asarray(actions, float), -1, 1)
        before = self._potential()
        self.velocity = self.velocity + DT * (ENGINE * throttle - DRAG * self.velocity)
        self.position = self.position + DT * self.velocity
        docked = self._docked()
        reward = WAGE * docked + shaping(before, self._potential(), self.discount, self.leak)
        self.clock = self.clock + 1
        late = self.clock > EPISODE // 2
        way = DT * np.linalg.norm(self.velocity, axis=1)
        self.sums += np.stack([docked * late * 2 / EPISODE, way, (throttle**2).sum(axis=1)], axis=1)
        self.over = (self.clock >= EPISODE) & ~begins
        self.finished += list(self.sums[self.over])
        if begins.any():
            self._begin(begins)
        reward, never = np.where(begins, 0.0, reward).astype(np.float32), np.zeros(self.num_envs, bool)
        return self._seen(), reward, never, self.over, {"docked": self._docked()}

    def _begin(self, which: np.ndarray) -> None:
        """Begin an episode for some vehicles (N,) bool, anywhere in the square, at rest."""
        self.position[which] = self.np_random.uniform(-1, 1, (which.sum(), 2))
        self.velocity[which], self.sums[which], self.clock[which] = 0, 0, 0
        self.over = self.over & ~which

    def _potential(self) -> np.ndarray:
        return -SLOPE * np.linalg.norm(self.position, axis=1)

    def _docked(self) -> np.ndarray:
        return np.linalg.norm(self.position, axis=1) < RADIUS

    def _seen(self) -> np.ndarray:
        return np.concatenate([self.position, self.velocity], axis=1, dtype=np.float32)

    def render(self) -> tuple[np.ndarray, ...]:
        """A picture (160, 160, 3) of each vehicle, dark, and the dock, red; from -1.6 to 1.6 both ways."""
        line = np.linspace(-1.6, 1.6, 160)
        there = np.stack(np.meshgrid(line, -line), axis=-1)  # (160, 160, 2)
        picture = np.full((160, 160, 3), 245, np.uint8)
        picture[np.linalg.norm(there, axis=-1) < RADIUS] = 240, 170, 160
        pictures = np.tile(picture, (self.num_envs, 1, 1, 1))
        off = np.linalg.norm(there - self.position[:, None, None], axis=-1)  # (N, 160, 160)
        pictures[off < 0.07] = 40, 60, 110
        return tuple(pictures)


class Homing(One):
    """One vehicle as a single environment: ``gym.make("Homing-v0")``.

    Book: safety/reward_misspecification
    """

    metadata = HomingEnvs.metadata

    def __init__(self, **kwargs: Any):
        super().__init__(HomingEnvs(1, **kwargs))


gym.register("Homing-v0", f"{__name__}:Homing", vector_entry_point=f"{__name__}:HomingEnvs")


# ---------------------------------------------------------------------------------------- training

PPO = ppo.Config(
    env_id="Homing-v0", num_envs=64, num_steps=EPISODE + 1, total_steps=45 * 64 * (EPISODE + 1),
    batch_size=16 * (EPISODE + 1), lr=1e-3, lr_decay_fraction=0.0, gamma=0.97,
)  # fmt: skip


def train_homing(
    config: ppo.Config, seed: int, leak: float, discount: float = 1.0, keep_every: int = 5, **options: Any
) -> runs.Run:
    """PPO on vehicles; its run says what the reward does not, and keeps the policies on the way.

    Metrics of the run, beside PPO's: ``docked``, ``way`` and ``effort`` of each finished episode, as
    ``HomingEnvs.finished`` has them, and ``policies`` (K, P), the parameters after every ``keep_every``-th
    update.

    Args:
        leak, discount: of the shaping in ``HomingEnvs``.

    Raises:
        ValueError: ``keep_every`` is below 1, or an argument of the environment makes no sense.

    Book: safety/reward_misspecification
    """
    if keep_every < 1:
        raise ValueError(f"policies are kept after every update or more seldom, not every {keep_every}")
    envs, kept = HomingEnvs(config.num_envs, leak, discount), []

    def keep(session: Any) -> None:
        if len(session.metrics["update_step"]) % keep_every == 0:
            parameters = torch.nn.utils.parameters_to_vector(session.agent.policy.parameters())
            kept.append(parameters.detach().cpu().numpy())

    run = ppo.train(config, seed, envs=envs, callback=keep, **options)
    episodes = np.reshape(envs.finished, (-1, 3))
    unpaid = dict(zip(("docked", "way", "effort"), episodes.T, strict=True))
    run.metrics.update({**unpaid, "policies": np.array(kept)})
    return run


def policy_of(run: runs.Run, k: int) -> ppo.Agent:
    """The k-th agent that ``train_homing`` kept, from 0; -1 is the last.

    Book: safety/reward_misspecification
    """
    agent = ppo.load_policy(run)
    parameters = torch.from_numpy(run.metrics["policies"][k].copy())
    torch.nn.utils.vector_to_parameters(parameters, agent.policy.parameters())
    return agent


def play(act: rl_envs.Act, envs: HomingEnvs, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rewards (T, N), and where vehicles were in the dock (T, N) bool, in one episode of each.

    Book: safety/reward_misspecification
    """
    obs, rewards = rl_envs.reset(envs, seed, "evaluation"), np.empty((EPISODE, envs.num_envs))
    docked = np.empty((EPISODE, envs.num_envs), bool)
    for t in range(EPISODE):
        obs, rewards[t], _, _, info = envs.step(act(obs))
        docked[t] = info["docked"]
    return rewards, docked


def alarm(guard: np.ndarray, factor: float) -> int:
    """The first of U updates at which a number that nobody optimises has grown ``factor`` times; else U.

    ``guard`` (U,), positive, small where all is well, is compared with its smallest value up to then.

    Raises:
        ValueError: ``factor`` is not above 1, or a number is not above 0.

    Book: safety/reward_misspecification
    """
    guard = np.asarray(guard, float)
    if not factor > 1 or not (guard > 0).all():
        raise ValueError("an alarm needs a factor above 1, and numbers above 0")
    grown = guard > factor * np.minimum.accumulate(guard)  # (U,)
    return int(np.argmax(grown)) if grown.any() else len(guard)


# ---------------------------------------------------------------------------------------- exact answers


def shaped(
    mdp: MDP, potential: np.ndarray, discount: float, leak: float = 0.0, ends_at_zero: bool = True
) -> MDP:
    """A copy of ``mdp`` whose rewards have the ``shaping`` of a ``potential`` (S,) added.

    Args:
        ends_at_zero: terminal states have the potential 0, whatever ``potential`` says, as the theorem
            needs it.

    Book: safety/reward_misspecification
    """
    phi = np.where(mdp.terminal & ends_at_zero, 0.0, potential)  # (S,)
    extra = shaping(phi[:, None], phi[None, :], discount, leak)  # (S, S)
    return MDP(mdp.P, mdp.R + extra[:, None, :], mdp.start)


def best_policies(worlds: Worlds, gamma: float) -> np.ndarray:
    """A best policy (N, S, A) of each world, by value iteration to the last digits; ties share.

    Raises:
        ValueError: ``gamma`` is not below 1.

    Book: safety/reward_misspecification
    """
    if not 0 <= gamma < 1:
        raise ValueError(f"best_policies needs 0 ≤ gamma < 1, not {gamma}")
    V, change = np.zeros(worlds.terminal.shape), np.inf
    while change > 1e-11:
        before, V = V, optimality_sweep(worlds, V, gamma)
        change = np.abs(V - before).max()
    return greedy(lookahead(worlds, V, gamma), 1e-8)


def worth(worlds: Worlds, policies: np.ndarray, gamma: float) -> np.ndarray:
    """Mean value (N,) of ``policies`` (N, S, A) over the states of each world that are not terminal.

    Book: safety/reward_misspecification
    """
    chain = np.einsum("nsa,nsat->nst", policies, worlds.P)  # (N, S, S)
    r = np.einsum("nsa,nsa->ns", policies, worlds.r)
    V = np.linalg.solve(np.eye(r.shape[1]) - gamma * chain, r[..., None])[..., 0]  # (N, S)
    return V.mean(axis=1, where=~worlds.terminal)


def loss(meant: Worlds, written: Worlds, gamma: float) -> np.ndarray:
    """What the best policies of ``written`` lose in ``meant`` (N,): 0 nothing, 1 as much as random ones.

    Book: safety/reward_misspecification
    """
    even = np.full(meant.r.shape, 1 / meant.r.shape[-1])
    best, found, random = (
        worth(meant, policies, gamma)
        for policies in (best_policies(meant, gamma), best_policies(written, gamma), even)
    )
    return (best - found) / (best - random)


def with_deadline(mdp: MDP, steps: int) -> MDP:
    """The world in which everything ends after ``steps`` steps: its states are pairs of a step and a state.

    State t · S + s is s after t steps. After the last one it is terminal, because nothing counts any more;
    an episode that is merely cut there for practice is not this world.

    Raises:
        ValueError: ``steps`` is below 1.

    Book: safety/reward_misspecification
    """
    if steps < 1:
        raise ValueError(f"a deadline lies 1 or more steps ahead, not {steps}")
    S, A = mdp.r.shape
    P, R = np.zeros((2, (steps + 1) * S, A, (steps + 1) * S))
    for t in range(steps):
        now, then = slice(t * S, (t + 1) * S), slice((t + 1) * S, (t + 2) * S)
        P[now, :, then], R[now, :, then] = mdp.P, mdp.R
    return MDP(P, R, np.concatenate([mdp.start, np.zeros(steps * S)]))


def leftover(
    extra: np.ndarray, potential: np.ndarray, terminated: bool | np.ndarray, gamma: float
) -> np.ndarray:
    """What shaping paid in an episode (...) beyond what the theorem allows; 0 where it is potential-based.

    The discounted sum of ``extra`` (T, ...), less what it telescopes to: the last of the potentials
    (T+1, ...), discounted, or 0 where the episode has ``terminated`` (...), minus the first.

    Raises:
        ValueError: there is not one potential more than there are rewards.

    Book: safety/reward_misspecification
    """
    T = len(extra)
    if len(potential) != T + 1:
        raise ValueError(f"{T} rewards lie between {T + 1} potentials, not {len(potential)}")
    paid = np.tensordot(gamma ** np.arange(T), extra, axes=1)  # (...)
    last = np.where(terminated, 0.0, gamma**T * potential[-1])
    return paid - (last - potential[0])  # (eq-leftover)
