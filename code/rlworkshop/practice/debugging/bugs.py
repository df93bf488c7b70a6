"""Bugs planted in the book's DQN and PPO: each is a part of another form, or a setting, and raises no error.

Book: practice/debugging
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from rlworkshop import envs, runs
from rlworkshop.algorithms import dqn, ppo
from rlworkshop.algorithms.vpg import gae
from rlworkshop.practice.debugging import probes
from rlworkshop.replay import Replay, Transitions

TASKS = {
    "CartPole": "CartPole-v1",
    "orchard": "rlworkshop.practice.debugging.probes:Orchard-v0",
    "cards": "rlworkshop.practice.debugging.probes:Cards-v0",
}
NEVER = 10**9  # gradient steps


# --------------------------------------------------------------------------------------------- in DQN


def pair_losses(learner: dqn.Learner, batch: Transitions, config: dqn.Config) -> torch.Tensor:
    """The error of each value against the target of every transition, (B, B): an axis was kept.

    Book: practice/debugging
    """
    obs, action, reward, next_obs, discount = learner.tensors(batch)
    with torch.no_grad():
        target = dqn.td_target(reward, discount, learner.target(next_obs))  # (B,)
    return 0.5 * (learner.agent.q(obs).gather(1, action[:, None]) - target) ** 2  # (B, 1) - (B,)


def piling_update(
    learner: dqn.Learner, replay: Replay, config: dqn.Config, rng: np.random.Generator, losses: Callable
) -> float:
    """A gradient step along the sum of all gradients so far: ``zero_grad`` was forgotten.

    Book: practice/debugging
    """
    learner.optimizer.zero_grad = lambda: None
    return dqn.update(learner, replay, config, rng, losses)


class Altered(Replay):
    """A replay buffer that keeps other transitions than there were."""

    def __init__(self, config: dqn.Config, envs: Any):
        super().__init__(config.buffer_size, envs.single_observation_space.shape)
        self.gamma, self.last = config.gamma, np.zeros(envs.num_envs, np.float32)

    def step(self, rows: Transitions, valid: np.ndarray, ended: np.ndarray) -> None:
        """Take in the ``valid`` (N,) of N rows, altered."""
        super().step(self.altered(rows, valid, ended), valid, ended)

    def altered(self, rows: Transitions, valid: np.ndarray, ended: np.ndarray) -> Transitions:
        """What is kept of N rows."""
        raise NotImplementedError


class NoEnd(Altered):
    """After the end there is a value, too: ``terminated`` is not asked."""

    def altered(self, rows: Transitions, valid: np.ndarray, ended: np.ndarray) -> Transitions:
        """Every transition counts what follows."""
        return rows._replace(discount=np.full_like(rows.discount, self.gamma))


class CutIsEnd(Altered):
    """A cut counts as an end: ``done = terminated or truncated``."""

    def altered(self, rows: Transitions, valid: np.ndarray, ended: np.ndarray) -> Transitions:
        """Nothing follows where an episode ended, whatever ended it."""
        return rows._replace(discount=rows.discount * ~ended)


class SameObs(Altered):
    """The next observation is the present one: ``obs = next_obs`` stands a line too early."""

    def altered(self, rows: Transitions, valid: np.ndarray, ended: np.ndarray) -> Transitions:
        """What follows is what was."""
        return rows._replace(obs=rows.next_obs)


class LateReward(Altered):
    """Each action is filed with the reward of the step before."""

    def altered(self, rows: Transitions, valid: np.ndarray, ended: np.ndarray) -> Transitions:
        """Rewards are a step late."""
        late, self.last = self.last, np.where(valid, rows.reward, self.last).astype(np.float32)
        return rows._replace(reward=late)


# --------------------------------------------------------------------------------------------- in PPO


def upside_down(
    logp: torch.Tensor, old_logp: torch.Tensor, advantages: torch.Tensor, clip_range: float
) -> torch.Tensor:
    """PPO's objective itself as the loss: a minus sign is missing.

    Book: practice/debugging
    """
    return -ppo.clipped_loss(logp, old_logp, advantages, clip_range)


def dead_ratio(
    logp: torch.Tensor, old_logp: torch.Tensor, advantages: torch.Tensor, clip_range: float
) -> torch.Tensor:
    """A loss whose old log-probabilities are computed anew and not detached: every ratio is 1, for good.

    Book: practice/debugging
    """
    return ppo.clipped_loss(logp, logp, advantages, clip_range)


def pair_errors(
    values: torch.Tensor, returns: torch.Tensor, old_values: torch.Tensor, clip_range: float
) -> torch.Tensor:
    """Mean squared error of each value against every return: an axis was kept.

    Book: practice/debugging
    """
    return ppo.value_loss(values[:, None], returns)


def cut_is_end(
    rewards: np.ndarray, values: np.ndarray, terminated: np.ndarray, truncated: np.ndarray, *rest: float
) -> np.ndarray:
    """GAE that takes a cut for an end.

    Book: practice/debugging
    """
    return gae(rewards, values, terminated | truncated, truncated, *rest)


def no_end(
    rewards: np.ndarray, values: np.ndarray, terminated: np.ndarray, truncated: np.ndarray, *rest: float
) -> np.ndarray:
    """GAE that takes an end for a cut: there is a value after the end.

    Book: practice/debugging
    """
    return gae(rewards, values, np.zeros_like(terminated), terminated | truncated, *rest)


def late_rewards(
    rewards: np.ndarray, values: np.ndarray, terminated: np.ndarray, truncated: np.ndarray, *rest: float
) -> np.ndarray:
    """GAE of rewards that are filed a step late.

    Book: practice/debugging
    """
    late, last, reset = np.empty_like(rewards), np.zeros_like(rewards[0]), np.zeros_like(terminated[0])
    for t, reward in enumerate(rewards):
        late[t], last = np.where(reset, 0, last), np.where(reset, last, reward)
        reset = terminated[t] | truncated[t]  # the next row begins an episode: it is no transition
    return gae(late, values, terminated, truncated, *rest)


def other_order(rewards: np.ndarray, *rest: Any) -> np.ndarray:
    """GAE whose rows are flattened along the other axis than the observations: (N, T), not (T, N).

    Book: practice/debugging
    """
    return gae(rewards, *rest).T.reshape(rewards.shape)


# --------------------------------------------------------------------------------------------- the table


@dataclasses.dataclass(frozen=True)
class Bug:
    """A planted bug: what was done, and the setting or the part that does it."""

    algorithm: str
    said: str
    parts: dict[str, Any] = dataclasses.field(default_factory=dict)
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)


BUGS = {
    "DQN": Bug("dqn", "nothing planted"),
    "pairs": Bug("dqn", "values (B, 1) less targets (B,)", {"losses": pair_losses}),
    "value after the end": Bug("dqn", "`terminated` is not asked", {"make_replay": NoEnd}),
    "cut is end": Bug("dqn", "`done` in place of `terminated`", {"make_replay": CutIsEnd}),
    "frozen target": Bug(
        "dqn", "the target network is never renewed", settings={"target_update_interval": NEVER}
    ),
    "same observation": Bug("dqn", "`obs = next_obs` a line too early", {"make_replay": SameObs}),
    "late reward": Bug("dqn", "rewards filed a step late", {"make_replay": LateReward}),
    "gradients pile up": Bug("dqn", "`zero_grad` forgotten", {"update": piling_update}),
    "ε stays at 1": Bug("dqn", "exploration never falls", settings={"final_epsilon": 1.0}),
    "ε is 0": Bug("dqn", "no exploration", settings={"final_epsilon": 0.0, "exploration_fraction": 0.0}),
    "PPO": Bug("ppo", "nothing planted"),
    "sign": Bug("ppo", "the minus sign is missing", {"policy_loss": upside_down}),
    "dead ratio": Bug("ppo", "old log-probabilities computed anew", {"policy_loss": dead_ratio}),
    "value pairs": Bug("ppo", "values (B, 1) less returns (B,)", {"value_loss": pair_errors}),
    "PPO: cut is end": Bug("ppo", "GAE asks `done`", {"advantages": cut_is_end}),
    "PPO: value after the end": Bug("ppo", "GAE never asks `terminated`", {"advantages": no_end}),
    "PPO: late reward": Bug("ppo", "rewards filed a step late", {"advantages": late_rewards}),
    "other order": Bug("ppo", "(N, T) flattened for (T, N)", {"advantages": other_order}),
    "no gradient clipping": Bug("ppo", "`clip_grad_norm_` left out", settings={"max_grad_norm": 0.0}),
}
"""the agents as they are, and with one bug each"""

CONFIGS = {
    ("dqn", "CartPole"): dqn.Config(
        total_steps=6_000, lr_decay_fraction=0.3, batch_size=64, buffer_size=6_000, learning_starts=512,
        final_epsilon=0.04, exploration_fraction=0.2,
    ),
    ("dqn", "orchard"): dqn.Config(
        env_id=TASKS["orchard"], total_steps=2_500, gamma=0.95, lr=3e-3, batch_size=32, buffer_size=2_500,
        learning_starts=256, final_epsilon=0.1, exploration_fraction=0.5, hidden=(32,), normalize_obs=False,
    ),
    ("dqn", "cards"): dqn.Config(
        env_id=TASKS["cards"], total_steps=1_500, lr=3e-3, batch_size=32, buffer_size=1_500,
        learning_starts=256, final_epsilon=0.1, exploration_fraction=0.5, hidden=(32,), normalize_obs=False,
    ),
    ("ppo", "CartPole"): ppo.Config(total_steps=30_000),
    ("ppo", "orchard"): ppo.Config(
        env_id=TASKS["orchard"], num_steps=64, total_steps=9_216, gamma=0.95, hidden=(32,), lr=5e-3,
        batch_size=128,
    ),
    ("ppo", "cards"): ppo.Config(
        env_id=TASKS["cards"], num_steps=64, total_steps=4_096, hidden=(32,), lr=5e-3, batch_size=128,
    ),
}  # fmt: skip
"""short trainings, in which the agents as they are learn all tasks"""


def train(bug: str, task: str, seed: int, **options: Any) -> runs.Run:
    """Train the agent that has this bug (of ``BUGS``) on a task of ``TASKS``; ``options`` are the session's.

    Book: practice/debugging
    """
    planted = BUGS[bug]
    config = dataclasses.replace(CONFIGS[planted.algorithm, task], **planted.settings)
    if planted.algorithm == "ppo":
        return ppo.train(config, seed, ppo.Parts(**planted.parts), **options)
    return dqn.train(config, seed, **planted.parts, **options)


def score(run: runs.Run, task: str, seed: int) -> float:
    """What the final policy of a run earns by its likeliest or best actions, on the task it was trained on.

    CartPole: mean return of 20 fresh episodes. Orchard: mean reward a step, uncut. Cards: mean reward.

    Book: practice/debugging
    """
    agent = (ppo if run.algorithm == ppo.ALGORITHM else dqn).load_policy(run)
    if task == "CartPole":
        return float(envs.evaluate(agent.act, TASKS[task], 20, seed).mean())
    return (probes.Orchard() if task == "orchard" else probes.Cards()).harvest(agent.act)
