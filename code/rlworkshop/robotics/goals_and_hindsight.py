"""Tasks whose goal changes from episode to episode, and hindsight experience replay (HER).

A policy that is told its goal can learn from failure: an episode that missed its goal has shown how to get
where it went instead. So the replay buffer gives many of the transitions that it hands out another goal, one
that their episode has reached later, and asks the task what the reward would have been.

Papers: Andrychowicz et al., *Hindsight experience replay*, 2017 (arXiv:1707.01495); Schaul, Horgan, Gregor &
Silver, *Universal value function approximators*, 2015. The tasks have the interface of Gymnasium-Robotics
(Plappert et al., 2018, arXiv:1802.09464).

Importing this module registers the tasks. Book: robotics/goals_and_hindsight
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rlworkshop import envs as rl_envs
from rlworkshop.envs.single import One
from rlworkshop.replay import Replay, Transitions

PARTS = ("observation", "achieved_goal", "desired_goal")  # of what a task shows, in the order of flat vectors
STRATEGIES = ("final", "future", "episode", "random")
KEPT = ("state", "goal", "clock", "over")  # what decides how a task goes on


# ------------------------------------------------------------------------------------------- tasks


class GoalEnvs(VectorEnv):
    """N copies of a task with a goal, stepped together, NEXT_STEP: what all such tasks have in common.

    One sees a dictionary of ``observation`` (N, O), ``achieved_goal`` (N, G) and ``desired_goal`` (N, G), or
    with ``flat`` the three side by side (N, O + 2G). A step is paid -1, and 0 where the desired goal is
    achieved; ``info["is_success"]`` (N,) says so. An episode takes ``horizon`` steps at most; a task that
    ``ends_at_goal`` terminates there.

    A task is a subclass with ``_start``, ``_move``, ``_look`` and ``reached``, and a ``state`` (N, ...).

    Attributes:
        achieved, desired: where the two goals stand in a flat observation, slices.

    Book: robotics/goals_and_hindsight
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": ["rgb_array"], "render_fps": 25}
    ends_at_goal = True

    def __init__(
        self,
        num_envs: int,
        seen: gym.spaces.Box,
        goal: gym.spaces.Box,
        actions: gym.Space,
        horizon: int,
        flat: bool,
        render_mode: str | None,
    ):
        self.num_envs, self.horizon, self.flat, self.render_mode = num_envs, horizon, flat, render_mode
        boxes = (seen, goal, goal)
        low, high = np.concatenate([b.low for b in boxes]), np.concatenate([b.high for b in boxes])
        whole = gym.spaces.Box(low, high, dtype=np.float32)
        apart = gym.spaces.Dict(dict(zip(PARTS, boxes, strict=True)))
        self.single_observation_space, self.single_action_space = whole if flat else apart, actions
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(actions, num_envs)
        n, G = seen.shape[0], goal.shape[0]
        self.achieved, self.desired = slice(n, n + G), slice(n + G, n + 2 * G)
        self.goal = np.zeros((num_envs, G), np.float32)
        self.clock, self.over = np.zeros(num_envs, int), np.zeros(num_envs, bool)

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> np.ndarray:
        """Reward (...) of having achieved (..., G) where (..., G) was desired; ``info`` is not used.

        Book: robotics/goals_and_hindsight
        """
        return np.where(self.reached(achieved_goal, desired_goal), 0, -1).astype(
            np.float32
        )  # (eq-her-reward)

    def compute_terminated(
        self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any
    ) -> np.ndarray:
        """Whether an episode ends there (...) because of its goal; ``info`` is not used."""
        return self.reached(achieved_goal, desired_goal) & self.ends_at_goal

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        """Begin an episode in each copy."""
        super().reset(seed=seed)
        self._begin(np.ones(self.num_envs, bool))
        self.over = np.zeros(self.num_envs, bool)
        return self._seen(*self._look()), {"is_success": np.zeros(self.num_envs, bool)}

    def step(self, actions: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict]:
        """One step of each copy; where an episode was over, a new one begins instead."""
        begins = self.over
        self._move(np.asarray(actions))
        self.clock = self.clock + 1
        if begins.any():
            self._begin(begins)
        seen, achieved = self._look()
        # from what is shown, not from what is more exact behind it: so it can be computed again, to the bit
        reward = np.where(begins, 0, self.compute_reward(achieved, self.goal, {})).astype(np.float32)
        terminated = self.compute_terminated(achieved, self.goal, {}) & ~begins
        truncated = (self.clock >= self.horizon) & ~terminated & ~begins
        self.over = terminated | truncated
        info = {"is_success": self.reached(achieved, self.goal) & ~begins}
        return self._seen(seen, achieved), reward, terminated, truncated, info

    def _begin(self, which: np.ndarray) -> None:
        """Begin an episode in some copies (N,) bool."""
        self.clock = np.where(which, 0, self.clock)
        self._start(which, int(which.sum()))

    def _seen(self, seen: np.ndarray, achieved: np.ndarray) -> Any:
        parts = seen, achieved, self.goal.copy()
        return np.concatenate(parts, axis=1) if self.flat else dict(zip(PARTS, parts, strict=True))

    def render(self) -> tuple[np.ndarray, ...]:
        """A picture (20, 20 G, 3) for each copy: what is achieved above what is desired, 1 dark, 0 pale."""
        both = np.stack([self._look()[1], self.goal], axis=1)  # (N, 2, G)
        grey = (245 - 200 * both).astype(np.uint8).repeat(10, axis=1).repeat(20, axis=2)
        return tuple(np.repeat(grey[..., None], 3, axis=-1))

    def get_state(self) -> dict[str, Any]:
        """All that decides how it goes on."""
        kept = {name: getattr(self, name).copy() for name in KEPT}
        return {"rng": self.np_random.bit_generator.state, **kept}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``get_state`` gave.

        Raises:
            ValueError: it is the state of another number of copies.
        """
        if len(state["clock"]) != self.num_envs:
            raise ValueError(f"a state of {len(state['clock'])} copies does not fit {self.num_envs}")
        self.np_random.bit_generator.state = state["rng"]
        for name in KEPT:
            setattr(self, name, state[name].copy())


class BitFlipEnvs(GoalEnvs):
    """``n`` bits, one of which is flipped in each step, and a pattern that they are to have within n steps.

    Observations and goals are bits (N, n), 0 or 1; action i flips bit i. Start and goal are drawn evenly.

    Raises:
        ValueError: there are no bits.

    Book: robotics/goals_and_hindsight
    """

    def __init__(self, num_envs: int = 1, n: int = 10, flat: bool = False, render_mode: str | None = None):
        if n < 1:
            raise ValueError(f"there must be at least 1 bit to flip, not {n}")
        bits = gym.spaces.Box(0, 1, (n,), np.float32)
        super().__init__(num_envs, bits, bits, gym.spaces.Discrete(n), n, flat, render_mode)
        self.state = np.zeros((num_envs, n), np.float32)

    def reached(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Whether all bits are as desired (...)."""
        return (achieved == desired).all(axis=-1)

    def _start(self, which: np.ndarray, some: int) -> None:
        self.state[which], self.goal[which] = self.np_random.integers(2, size=(2, some, self.horizon))

    def _move(self, actions: np.ndarray) -> None:
        rows = np.arange(self.num_envs)
        self.state[rows, actions] = 1 - self.state[rows, actions]

    def _look(self) -> tuple[np.ndarray, np.ndarray]:
        return self.state.copy(), self.state.copy()


class ReachEnvs(GoalEnvs):
    """A puck on a table, pushed for 3 seconds; when they are over it is to lie at a goal.

    Actions (N, 2) are pushes: an acceleration of 6 at most, along each axis; damping is 2 per second, a step
    takes 0.1 seconds. An observation (N, 2) is half the velocity; goals are positions, reached within 0.1.
    Start, at rest, and goal are drawn evenly from -1 to 1.

    Args:
        dense: pay minus the distance instead of -1 and 0.

    Book: robotics/goals_and_hindsight
    """

    ends_at_goal = False

    def __init__(
        self, num_envs: int = 1, dense: bool = False, flat: bool = False, render_mode: str | None = None
    ):
        plane, pushes = (
            gym.spaces.Box(-np.inf, np.inf, (2,), np.float32),
            gym.spaces.Box(-1, 1, (2,), np.float32),
        )
        super().__init__(num_envs, plane, plane, pushes, 30, flat, render_mode)
        self.dense, self.state = dense, np.zeros((num_envs, 4))  # position (2), velocity (2)

    def reached(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Whether the puck is near enough (...)."""
        return np.linalg.norm(achieved - desired, axis=-1) < TOLERANCE

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> np.ndarray:
        """Reward (...) of having achieved (..., 2) where (..., 2) was desired."""
        if self.dense:
            return -np.linalg.norm(achieved_goal - desired_goal, axis=-1).astype(np.float32)
        return super().compute_reward(achieved_goal, desired_goal, info)

    def _start(self, which: np.ndarray, some: int) -> None:
        place, self.goal[which] = self.np_random.uniform(-1, 1, (2, some, 2))
        self.state[which] = np.concatenate([place, np.zeros((some, 2))], axis=1)

    def _move(self, actions: np.ndarray) -> None:
        position, velocity = self.state[:, :2], self.state[:, 2:]
        velocity = velocity + 0.1 * (6 * np.clip(actions, -1, 1) - 2 * velocity)
        self.state = np.concatenate([position + 0.1 * velocity, velocity], axis=1)

    def _look(self) -> tuple[np.ndarray, np.ndarray]:
        seen = self.state.astype(np.float32)
        return seen[:, 2:] / 2, seen[:, :2]

    def render(self) -> tuple[np.ndarray, ...]:
        """A picture (160, 160, 3) of each table, -1.3 to 1.3 both ways: the puck dark, the goal a ring."""
        line = np.linspace(-1.3, 1.3, 160)
        there = np.stack(np.meshgrid(line, -line), axis=-1)  # (160, 160, 2)
        return tuple(_picture(there, *pair) for pair in zip(self.state[:, :2], self.goal, strict=True))


TOLERANCE = 0.1  # how near is at the goal


def _picture(there: np.ndarray, place: np.ndarray, goal: np.ndarray) -> np.ndarray:
    picture, off = np.full((*there.shape[:2], 3), 245, np.uint8), np.linalg.norm(there - goal, axis=-1)
    picture[(off < 0.12) & (off > 0.08)] = 200, 60, 50
    picture[np.linalg.norm(there - place, axis=-1) < 0.06] = 40, 60, 110
    return picture


class TossEnvs(GoalEnvs):
    """A ball in your hand and a basket: carry it there, in two steps, or toss it, in one, with some luck.

    The ball is in the hand, half way, in the basket or lost: rows of zeros with a one at its place (N, 4),
    in this order. Action 0 carries it, action 1 tosses it: from the hand it falls into the basket with
    probability ``p``, else it is lost. From half way both bring it in. An episode takes 3 steps.

    Raises:
        ValueError: ``p`` is no probability.

    Book: robotics/goals_and_hindsight
    """

    def __init__(
        self, num_envs: int = 1, p: float = 0.75, flat: bool = False, render_mode: str | None = None
    ):
        if not 0 <= p <= 1:
            raise ValueError(f"p is a probability, from 0 to 1, not {p}")
        place = gym.spaces.Box(0, 1, (4,), np.float32)
        super().__init__(num_envs, place, place, gym.spaces.Discrete(2), 3, flat, render_mode)
        self.p, self.state = p, np.zeros(num_envs, int)

    def reached(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Whether the ball is where it was desired (...)."""
        return (achieved == desired).all(axis=-1)

    def _start(self, which: np.ndarray, some: int) -> None:
        self.state[which], self.goal[which] = HAND, np.eye(4)[BASKET]

    def _move(self, actions: np.ndarray) -> None:
        tossed = np.where(self.np_random.random(self.num_envs) < self.p, BASKET, LOST)
        from_hand = np.where(actions == 1, tossed, HALF_WAY)
        self.state = np.select([self.state == HAND, self.state == HALF_WAY], [from_hand, BASKET], self.state)

    def _look(self) -> tuple[np.ndarray, np.ndarray]:
        place = np.eye(4, dtype=np.float32)[self.state]
        return place, place.copy()


HAND, HALF_WAY, BASKET, LOST = range(4)


class Task(One):
    """One copy of a task as a single environment: ``gym.make("Reach-v0")``.

    Book: robotics/goals_and_hindsight
    """

    metadata = GoalEnvs.metadata

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Begin an episode; its first observation."""
        gym.Env.reset(self, seed=seed)
        obs, info = self.envs.reset(seed=seed, options=options)
        return self._first(obs), {"is_success": bool(info["is_success"][0])}

    def step(self, action: np.ndarray):
        """One step."""
        obs, reward, terminated, truncated, info = self.envs.step(np.asarray(action)[None])
        ends = bool(terminated[0]), bool(truncated[0])
        return self._first(obs), float(reward[0]), *ends, {"is_success": bool(info["is_success"][0])}

    def _first(self, obs: Any) -> Any:
        return {name: part[0] for name, part in obs.items()} if isinstance(obs, dict) else obs[0]

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> np.ndarray:
        """Reward (...) of having achieved (..., G) where (..., G) was desired."""
        return self.envs.compute_reward(achieved_goal, desired_goal, info)

    def compute_terminated(
        self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any
    ) -> np.ndarray:
        """Whether an episode ends there (...) because of its goal."""
        return self.envs.compute_terminated(achieved_goal, desired_goal, info)


class BitFlip(Task):
    """Bits to be flipped, as a single environment."""

    def __init__(self, **kwargs: Any):
        super().__init__(BitFlipEnvs(1, **kwargs))


class Reach(Task):
    """A puck to be brought to a goal, as a single environment."""

    def __init__(self, **kwargs: Any):
        super().__init__(ReachEnvs(1, **kwargs))


class Toss(Task):
    """A ball to be brought into a basket, as a single environment."""

    def __init__(self, **kwargs: Any):
        super().__init__(TossEnvs(1, **kwargs))


def _register() -> None:
    for name in ("BitFlip", "Reach", "Toss"):
        for ending, kwargs in (("", {}), ("Flat", {"flat": True})):
            vector = f"{__name__}:{name}Envs"
            gym.register(f"{name}{ending}-v0", f"{__name__}:{name}", vector_entry_point=vector, kwargs=kwargs)


_register()


# --------------------------------------------------------------------------------------- hindsight


def relabel(batch: Transitions, goal: np.ndarray, task: Any, gamma: float) -> Transitions:
    """What ``batch`` (B) would have been with ``goal`` (B, G) as its desired goals: other rewards and ends.

    Args:
        task: has ``compute_reward`` and ``compute_terminated``, and says where goals stand in a flat
            observation: ``achieved`` and ``desired``, slices.
        gamma: discount of transitions that do not terminate.

    Book: robotics/goals_and_hindsight
    """
    obs, next_obs = batch.obs.copy(), batch.next_obs.copy()
    achieved, before = next_obs[:, task.achieved], batch.next_obs[:, task.desired]  # (B, G), (B, G)
    # region: relabel
    obs[:, task.desired] = next_obs[:, task.desired] = goal  # a goal stands in both
    reward = task.compute_reward(achieved, goal, {})  # (eq-her-relabel)
    # who ended without having been at the old goal, a robot that fell, ends with the new goal as well
    fell = (batch.discount == 0) & ~task.compute_terminated(achieved, before, {})
    ends = fell | task.compute_terminated(achieved, goal, {})
    discount = np.where(ends, 0, gamma).astype(np.float32)
    # endregion
    return Transitions(obs, batch.action, reward, next_obs, discount)


class HindsightReplay(Replay):
    """A replay buffer that hands out transitions with goals which their episodes have achieved.

    Whole episodes come in, and stand one behind the other. Of what is drawn, a share k / (1 + k) gets a goal
    that was achieved: ``final``, at the end of its episode; ``future``, after this transition or at its end;
    ``episode``, anywhere in its episode; ``random``, anywhere in the buffer. With ``k`` = 0 nothing does.

    Args:
        task: as for ``relabel``. strategy: one of ``STRATEGIES``. k: may be a fraction.
        args, kwargs: of ``Replay``.

    Raises:
        ValueError: there is no such strategy, or k is negative.

    Book: robotics/goals_and_hindsight
    """

    __slots__ = ("task",)  # the world is no part of what a checkpoint holds of a buffer

    def __init__(self, *args: Any, task: Any, strategy: str = "future", k: float = 4, **kwargs: Any):
        if strategy not in STRATEGIES or k < 0:
            raise ValueError(f"strategies are {', '.join(STRATEGIES)}, k is not negative: {strategy!r}, {k}")
        super().__init__(*args, **kwargs)
        self.task, self.strategy, self.k = task, strategy, k
        self.gamma = 0.0  # the largest discount of all that came in: that of those which do not terminate
        self.first, self.last = np.zeros(self.capacity, int), np.zeros(self.capacity, int)
        self.forget_unfinished()

    def forget_unfinished(self) -> None:
        """Drop what is known of episodes that have not ended."""
        self.pending: list[list[np.ndarray]] = []  # rows by step, and of whom they wait for the end (N,)

    def step(self, rows: Transitions, valid: np.ndarray, ended: np.ndarray) -> None:
        """Take in the ``valid`` (N,) of N environments' rows; what has ``ended`` (N,) is kept, an episode."""
        self.pending.append([*rows, valid.copy()])
        for i in np.flatnonzero(valid & ended):
            steps = [one for one in self.pending if one[-1][i]]
            self.add(*(np.stack([one[c][i] for one in steps]) for c in range(len(rows))))
            for one in steps:
                one[-1][i] = False
        while self.pending and not self.pending[0][-1].any():
            self.pending.pop(0)

    def add(self, *transitions: np.ndarray) -> np.ndarray:
        """Take in the transitions of one whole episode in their order; the rows (T,) where they now stand."""
        begin, rows = self.added, super().add(*transitions)
        self.first[rows], self.last[rows] = begin, self.added - 1  # as numbers in the order of coming in
        self.gamma = max(self.gamma, float(transitions[-1].max()))
        return rows

    def goals(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Goals (B, G) that were achieved, one for each of the transitions in ``rows`` (B,)."""
        oldest = self.added - self.size
        now = oldest + (rows - oldest) % self.capacity  # (B,), their numbers
        # region: strategies
        low, high = {
            "final": (self.last[rows], self.last[rows]),
            "future": (now, self.last[rows]),  # never over the end of the episode
            "episode": (np.maximum(self.first[rows], oldest), self.last[rows]),
            "random": (np.full_like(now, oldest), np.full_like(now, self.added - 1)),
        }[self.strategy]
        then = rng.integers(low, high + 1) % self.capacity  # (eq-her-future)
        # endregion
        return self._rows.next_obs[then][:, self.task.achieved]

    def sample(self, batch_size: int, rng: np.random.Generator) -> Transitions:
        """``batch_size`` transitions, many with goals that were achieved.

        Raises:
            ValueError: no episode has ended yet.
        """
        if self.size == 0:
            raise ValueError("no episode has ended yet: learning_starts is at least one episode of each copy")
        rows = rng.integers(self.size, size=batch_size)
        batch, achieved = self[rows], self.goals(rows, rng)
        instead = rng.random((batch_size, 1)) < self.k / (1 + self.k)
        goal = np.where(instead, achieved, batch.next_obs[:, self.task.desired])  # (B, G)
        return relabel(batch, goal, self.task, self.gamma)


def hindsight_replay(
    envs: VectorEnv, capacity: int, strategy: str = "future", k: float = 4
) -> HindsightReplay:
    """An empty hindsight replay for a flat task: the ``make_replay`` of DDPG, TD3 and SAC.

    Raises:
        ValueError: what ``envs`` shows is not flat, or it has no ``compute_reward``; or as HindsightReplay.

    Book: robotics/goals_and_hindsight
    """
    task, space, actions = envs.unwrapped, envs.single_observation_space, envs.single_action_space
    if not hasattr(task, "compute_reward") or not isinstance(space, gym.spaces.Box):
        raise ValueError(f"{task} is no task with goals that shows flat vectors: make it with flat=True")
    kinds = {"obs_dtype": space.dtype, "action_dtype": actions.dtype}
    about = {"task": task, "strategy": strategy, "k": k}
    return HindsightReplay(capacity, space.shape, actions.shape, **kinds, **about)


def dqn_replay(config: Any, envs: VectorEnv) -> HindsightReplay:
    """An empty hindsight replay for a flat task: the ``make_replay`` of DQN.

    Book: robotics/goals_and_hindsight
    """
    return hindsight_replay(envs, config.buffer_size)


# ----------------------------------------------------------------------------------------- at work

BITS = {  # of DQN
    "env_id": f"{__name__}:BitFlipFlat-v0", "num_envs": 16, "total_steps": 15_000, "gamma": 0.98,
    "lr_decay_fraction": 0.0, "learning_starts": 640, "train_freq": 128, "gradient_steps": 16,
    "target_update_interval": 64, "exploration_fraction": 0.1, "hidden": (128, 128), "normalize_obs": False,
}  # fmt: skip
REACH = {  # of DDPG
    "env_id": f"{__name__}:ReachFlat-v0", "num_envs": 40, "total_steps": 18_000, "gamma": 0.95, "tau": 0.05,
    "learning_starts": 1_200, "train_freq": 200, "gradient_steps": 20, "exploration_noise": 0.2,
}  # fmt: skip


def play(act: rl_envs.Act, envs: GoalEnvs, seed: int) -> np.ndarray:
    """Whether the first episode of each copy ends at its goal (N,) bool.

    Book: robotics/goals_and_hindsight
    """
    obs = rl_envs.reset(envs, seed, "evaluation")
    ended, success = np.zeros(envs.num_envs, bool), np.zeros(envs.num_envs, bool)
    while not ended.all():
        obs, _, terminated, truncated, info = envs.step(act(obs))
        now = (terminated | truncated) & ~ended
        success, ended = success | (now & info["is_success"]), ended | now
    return success


def watch(session: Any) -> None:
    """Callback of a training: play 100 fresh episodes after every 5th update, and keep how many succeed.

    Metrics ``watched`` (steps) and ``success`` (a share) of the run.

    Book: robotics/goals_and_hindsight
    """
    if len(session.metrics["update_step"]) % 5:
        return
    envs = rl_envs.make(session.config.env_id, 100, **getattr(session, "about", {}).get("env_kwargs", {}))
    session.metrics.setdefault("watched", []).append(session.steps)
    session.metrics.setdefault("success", []).append(play(session.agent.act, envs, session.seed).mean())


# ------------------------------------------------------------------------------------ its bias


def odds_in_hindsight(p: np.ndarray, k: float) -> np.ndarray:
    """How often an action seems to reach a goal that it reaches with probability ``p``, and else never.

    Of what it learns from, HER has k relabelled copies of each transition; those that it relabels with the
    goal have all reached it.

    Book: robotics/goals_and_hindsight
    """
    return (1 + k) * p / (1 + k * p)  # (eq-her-odds)
