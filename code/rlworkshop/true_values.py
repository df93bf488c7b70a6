"""What a critic says of actions, beside what the policy then collects: over-estimation, measured.

A value is a prediction of a discounted return. On a pendulum the return can be had exactly, up to what lies
behind the horizon: put the pendulum where the critic was asked, let the policy act, and add up.

Papers: Fujimoto, van Hoof & Meger, *Addressing function approximation error in actor-critic methods*, 2018
(arXiv:1802.09477), compare the two in the same way.

Book: algorithms/ddpg
"""

import dataclasses
import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from rlworkshop import nets, runs
from rlworkshop.replay import Replay
from rlworkshop.runs.training import Training

GRAVITY, DT, TORQUE, FASTEST = 10.0, 0.05, 2.0, 8.0  # of Gymnasium's Pendulum-v1, in its units
HORIZON = 600  # steps, 30 seconds: with a discount factor of 0.99 what comes after counts a quarter of 1 %


def pendulum_step(obs: np.ndarray, torque: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step of B pendulums of Gymnasium's Pendulum-v1: their next observations (B, 3) and rewards (B,).

    ``obs`` (B, 3) is cosine and sine of the angle, 0 upright, and its velocity in rad/s; ``torque`` (B, 1),
    from -2 to 2.

    Book: algorithms/ddpg
    """
    angle, speed = np.arctan2(obs[:, 1], obs[:, 0]), obs[:, 2]  # (B,), (B,)
    push = np.clip(torque[:, 0], -TORQUE, TORQUE)
    reward = -(angle**2 + 0.1 * speed**2 + 0.001 * push**2)
    speed = np.clip(speed + (1.5 * GRAVITY * np.sin(angle) + 3 * push) * DT, -FASTEST, FASTEST)
    angle = angle + speed * DT
    return np.stack([np.cos(angle), np.sin(angle), speed], axis=1), reward


def true_values(
    act: Callable[[np.ndarray], np.ndarray],
    obs: np.ndarray,
    action: np.ndarray,
    gamma: float,
    horizon: int = HORIZON,
) -> np.ndarray:
    """Discounted returns (B,) of doing ``action`` (B, 1) at ``obs`` (B, 3), then what ``act`` says.

    Nothing in Pendulum-v1 is random and nothing ends it but a time limit, which is no end: so one way is all
    ways, and the return is the value, up to what lies behind the ``horizon``.

    Book: algorithms/ddpg
    """
    total, obs = np.zeros(len(obs)), obs.astype(np.float64)
    for step in range(horizon):
        obs, reward = pendulum_step(obs, action)
        total += gamma**step * reward
        action = act(obs)
    return total


def watched(
    config: Any, seed: int, *, by: Callable[..., runs.Run], every: int = 1_000, **parts: Any
) -> runs.Run:
    """Train on Pendulum-v1 with audits: every so many steps, what is believed and what is collected.

    At each audit 200 states are drawn from the replay buffer. ``metrics`` has ``audit_step`` and means over
    them: ``believed`` and ``collected`` for what the policy does there, ``believed_any`` and
    ``collected_any`` for one action drawn at random, the policy's afterwards. ``tells`` is the correlation
    of the two over the states, ``spread`` the quotient of their standard deviations, ``apart`` the distance
    of twin critics (0 of one). Of twins, what is believed is what the first says: the one that the actor
    climbs. ``policy["critic"]`` has the critic's weights.

    Args:
        by: ``train`` of an off-policy algorithm of the book; ``parts`` go to it.

    Raises:
        ValueError: ``config`` is of another environment.

    Book: algorithms/ddpg
    """
    if config.env_id != "Pendulum-v1":
        raise ValueError(f"true values are known on Pendulum-v1, not on {config.env_id}")
    rng, found, kept = np.random.default_rng([seed, 7]), [], {}  # a stream of its own
    inner = parts.pop("update", inspect.signature(by).parameters["update"].default)

    def update(learner: Any, replay: Replay, *rest: Any) -> dict[str, float]:
        kept.update(critic=learner.critic, replay=replay)
        return inner(learner, replay, *rest)

    def audit(session: Training) -> None:
        if session.steps < every * (len(found) + 1):
            return
        agent, obs = session.agent, kept["replay"].sample(200, rng).obs
        mode, drawn = agent.mode(obs), rng.uniform(-1, 1, (200, 1))
        row = {"audit_step": session.steps}
        for name, action in (("", mode), ("_any", drawn)):
            q = q_of(kept["critic"], obs, action).reshape(-1, 200)  # (1 or 2, 200)
            true = true_values(agent.act, obs, agent.to_box(action), config.gamma)  # (200,)
            row |= {"believed" + name: q[0].mean(), "collected" + name: true.mean()}
            row |= {"tells" + name: correlation(q[0], true), "spread" + name: q[0].std() / true.std()}
            row |= {"apart" + name: np.ptp(q, axis=0).mean()}
        found.append(row)

    run = by(config, seed, callback=audit, update=update, **parts)
    run.metrics.update({name: np.array([row[name] for row in found], float) for name in found[0]})
    run.policy["critic"] = nets.to_tree(kept["critic"].state_dict())
    return run


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's correlation of two arrays (B,); 0 where one of them is the same everywhere.

    Book: algorithms/ddpg
    """
    x, y = x - x.mean(), y - y.mean()
    size = np.sqrt((x**2).sum() * (y**2).sum())
    return float((x * y).sum() / size) if size > 1e-9 * len(x) else 0.0


@torch.no_grad()
def q_of(critic: nn.Module, obs: np.ndarray, action: np.ndarray) -> np.ndarray:
    """What ``critic`` says (B,), or twins say (2, B), of ``action`` (B, K), from -1 to 1, at ``obs`` (B, D).

    Book: algorithms/ddpg
    """
    return critic(*(torch.from_numpy(x.astype(np.float32)) for x in (obs, action))).numpy()


def load_critic(run: runs.Run, kind: Callable[..., nn.Module]) -> nn.Module:
    """The critic of a run of ``watched``: ``kind`` is ``ddpg.Critic``, or ``td3.TwinCritic``.

    Book: algorithms/ddpg
    """
    weights = nets.from_tree(run.policy["critic"])
    critic = kind(3, 1, tuple(run.config["hidden"]), torch.Generator())
    critic.load_state_dict(weights)
    return critic


def nothing_matters(
    config: Any,
    seed: int,
    *,
    make_learner: Callable[..., Any],
    update: Callable[..., Any],
    target: Callable[..., torch.Tensor],
    climb: bool = True,
    rows: int = 2_000,
    actions: int = 4,
    updates: int = 1_200,
) -> runs.Run:
    """Gradient steps in a world where whatever is done is worth 0, on a buffer filled once and for all.

    States, actions with ``actions`` components and rewards are noise, and nothing ends. Rewards have standard
    deviation 1; their mean is 0 in the buffer itself, or its luck would be worth that times 1 / (1 - γ).
    In ``metrics`` are, at twelve times ``update``, means over 500 states: ``believed`` of the actor's action
    and ``believed_any`` of one drawn at random, which should both be 0; and ``alike``, the correlation of
    what twin critics say of the former (1 of one).

    Args:
        make_learner, update, target: of the algorithm. climb: False leaves its actor where it began.
        rows: transitions in the buffer. updates: gradient steps.

    Book: algorithms/ddpg
    """
    spaces = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32), gym.spaces.Box(-1, 1, (actions,), np.float32)
    world = SimpleNamespace(single_observation_space=spaces[0], single_action_space=spaces[1])
    learner, rng = make_learner(world, config, nets.generator(seed)), np.random.default_rng([seed, 8])
    replay = Replay(rows, (3,), (actions,), action_dtype=np.float32)
    obs, next_obs = rng.standard_normal((2, rows, 3), np.float32)
    drawn = rng.uniform(-1, 1, (rows, actions)).astype(np.float32)
    reward = rng.standard_normal(rows, np.float32)
    replay.add(obs, drawn, reward - reward.mean(), next_obs, np.full(rows, config.gamma))
    if not climb:
        learner.actor_opt.param_groups[0]["lr"] = 0.0
    found: dict[str, list[float]] = {"update": [], "believed": [], "believed_any": [], "alike": []}
    for count in range(1, updates + 1):
        update(learner, replay, config, rng, target)
        if count % (updates // 12) == 0:
            chosen, some = (
                q_of(learner.critic, obs[:500], action).reshape(-1, 500)  # (1 or 2, 500)
                for action in (learner.agent.mode(obs[:500]), drawn[:500])
            )
            row = count, chosen[0].mean(), some[0].mean(), correlation(chosen[0], chosen[-1])
            for name, value in zip(found, row, strict=True):
                found[name].append(float(value))
    metrics = {name: np.array(values) for name, values in found.items()}
    about = {"algorithm": make_learner.__module__, "env_id": "", "config": dataclasses.asdict(config)}
    return runs.Run(**about, seed=seed, metrics=metrics, policy={})
