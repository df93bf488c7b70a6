"""Actor-critic with V-trace: learning from fragments that older policies have played.

Where acting and learning overlap, a fragment is older than the policy that learns from it, by a *policy lag*
of some updates. V-trace weights what it says by importance ratios that are cut off above.

Papers: Espeholt, Soyer, Munos, Simonyan, Mnih, Ward, Doron, Firoiu, Harley, Dunning, Legg & Kavukcuoglu,
*IMPALA: scalable distributed deep-RL with importance weighted actor-learner architectures*, 2018
(arXiv:1802.01561); Amdahl, *Validity of the single processor approach*, 1967.

Book: robotics/scale
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from rlworkshop import collectors, nets, runs
from rlworkshop.algorithms.vpg import Agent, load_agent, make_policy, policy_loss, value_loss
from rlworkshop.runs.training import Training, command

ALGORITHM = "rlworkshop.robotics.scale"


@dataclass(frozen=True)
class Config:
    """Hyper-parameters of the actor-critic. ``T`` and ``N`` below are ``num_steps`` and ``num_envs``."""

    env_id: str = "CartPole-v1"
    """the environment: observations a vector, actions discrete or a box"""
    num_envs: int = 32
    """N, environments stepped together"""
    num_steps: int = 32
    """T, rows of a fragment"""
    total_steps: int = 200_000
    """environment steps in all; no fragment is begun that could exceed them"""
    lag: int = 0
    """how many updates older than the learner the policy is that plays"""
    gamma: float = 0.99
    """discount factor"""
    gae_lambda: float = 1.0
    """λ of V-trace: 0 trusts the value function, 1 trusts the rewards up to the end of the fragment"""
    ent_coef: float = 0.01
    """weight of the entropy bonus"""
    vf_coef: float = 0.5
    """weight of the value loss"""
    max_grad_norm: float = 0.5
    """the gradient of all parameters together is shortened to this length; 0: never"""
    lr: float = 3e-3
    """learning rate of both networks"""
    hidden: tuple[int, ...] = (64, 64)
    """widths of the hidden layers of both networks"""
    device: str = "cpu"
    """where the networks are: ``"cpu"``, ``"cuda"``, ``"mps"``"""

    def __post_init__(self):
        if min(self.num_envs, self.num_steps) < 1 or self.lag < 0:
            raise ValueError("num_envs and num_steps must be at least 1, lag not negative")
        if self.total_steps < self.num_envs * self.num_steps:
            raise ValueError(f"total_steps={self.total_steps} is less than one batch, num_envs * num_steps")
        if not (0 <= self.gamma <= 1 and 0 <= self.gae_lambda <= 1 and self.lr > 0):
            raise ValueError("gamma and gae_lambda lie between 0 and 1, lr above 0")
        if not min(self.ent_coef, self.vf_coef, self.max_grad_norm) >= 0:
            raise ValueError("ent_coef, vf_coef and max_grad_norm are not negative")


# ------------------------------------------------------------------------------------ the mathematics


def vtrace(
    rewards: np.ndarray,
    values: np.ndarray,
    ratio: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
    gamma: float,
    lam: float,
    rho_bar: float = 1.0,
    c_bar: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """V-trace targets of the value function, and weighted advantages for the policy gradient, both (T, N).

    Args:
        rewards: (T, N), reward of transition t.
        values: (T+1, N), value of the observation *before* transition t; the last row closes the fragment.
        ratio: (T, N), how much likelier the learner's policy is to take the action than the one that played.
        terminated, truncated: (T, N) bool, how transition t ended; both False: the episode goes on.
        rho_bar, c_bar: where ratios are cut off, in the TD error and in the trace.

    Reset rows are as in ``vpg.gae``: what is said of them means nothing, and never reaches a real row.

    Espeholt et al., 2018, eq. 1 and section 4.2. Book: robotics/scale
    """
    terminated, truncated = terminated.astype(bool), truncated.astype(bool)  # ~ of whole numbers is no "not"
    rho, c = np.minimum(rho_bar, ratio), lam * np.minimum(c_bar, ratio)  # (T, N)
    targets, advantages = np.zeros_like(values[:-1]), np.zeros_like(values[:-1])  # (T, N)
    correction = np.zeros_like(values[0])  # (N,), by how much the target differs from the value
    for t in reversed(range(len(rewards))):
        correction = correction * ~(terminated[t] | truncated[t])  # nothing flows back over an end
        after = values[t + 1] * ~terminated[t]  # a terminal state is worth nothing
        advantages[t] = rho[t] * (rewards[t] + gamma * (after + correction) - values[t])  # (eq-vtrace-pg)
        delta = rho[t] * (rewards[t] + gamma * after - values[t])
        correction = delta + gamma * c[t] * correction  # (eq-vtrace)
        targets[t] = values[t] + correction
    return targets, advantages


def uncorrected(
    rewards: np.ndarray,
    values: np.ndarray,
    ratio: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
    gamma: float,
    lam: float,
) -> tuple[np.ndarray, np.ndarray]:
    """What ``vtrace`` gives for a fragment of the learner's own policy, whoever has played it.

    Book: robotics/scale
    """
    return vtrace(rewards, values, np.ones_like(ratio), terminated, truncated, gamma, lam)


def unclipped(
    rewards: np.ndarray,
    values: np.ndarray,
    ratio: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
    gamma: float,
    lam: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Importance sampling with ratios as they are: no bias, and products of many ratios.

    Book: robotics/scale
    """
    return vtrace(rewards, values, ratio, terminated, truncated, gamma, lam, np.inf, np.inf)


def rho_unclipped(
    rewards: np.ndarray,
    values: np.ndarray,
    ratio: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
    gamma: float,
    lam: float,
) -> tuple[np.ndarray, np.ndarray]:
    """V-trace without its bias: ratios are cut off in the trace alone.

    Book: robotics/scale
    """
    return vtrace(rewards, values, ratio, terminated, truncated, gamma, lam, rho_bar=np.inf)


def truncated_policy(policy: np.ndarray, behaviour: np.ndarray, rho_bar: float) -> np.ndarray:
    """The policy (S, A) whose values V-trace converges to where ``behaviour`` (S, A) acts.

    Espeholt et al., 2018, eq. 3. Book: robotics/scale
    """
    least = np.minimum(rho_bar * behaviour, policy)
    return least / least.sum(axis=1, keepdims=True)  # (eq-truncated-policy)


def speedup(workers: np.ndarray | float, parallel: float) -> np.ndarray | float:
    """How many times faster ``workers`` are than one, if they share the part ``parallel`` of its time.

    Amdahl, 1967. Book: robotics/scale
    """
    return 1 / (1 - parallel + parallel / workers)  # (eq-amdahl)


def fragments_per_second(
    workers: np.ndarray | float, play: float, learn: float, overlap: bool
) -> np.ndarray | float:
    """Fragments that ``workers`` and one learner get through in a second.

    Args:
        play, learn: seconds that a worker takes for a fragment, and the learner to learn from it.
        overlap: whether workers go on playing while the learner learns.

    Book: robotics/scale
    """
    if overlap:
        return np.minimum(workers / play, 1 / learn)  # (eq-pipeline)
    return workers / (play + workers * learn)


# ---------------------------------------------------------------------------------------- learning


@dataclass
class Learner:
    """The agent, its value function, one optimiser for both."""

    agent: Agent
    value: nn.Sequential
    optimizer: torch.optim.Optimizer


def make_learner(envs: gym.vector.VectorEnv, config: Config, generator: torch.Generator) -> Learner:
    """Fresh networks and their optimiser; all randomness comes from ``generator``."""
    place, space = nets.torch_device(config.device), envs.single_observation_space
    policy = make_policy(space, envs.single_action_space, config.hidden, generator).to(place)
    value = nets.mlp([space.shape[0], *config.hidden, 1], generator).to(place)
    adam = torch.optim.Adam([*policy.parameters(), *value.parameters()], config.lr, eps=1e-5, fused=True)
    return Learner(Agent(policy, None, space, envs.single_action_space), value, adam)


def snapshot(agent: Agent, version: int) -> collectors.Snapshot:
    """The agent's policy as it is now, in arrays of its own: what workers are sent.

    Book: robotics/scale
    """
    linear = [layer for layer in agent.policy.net if isinstance(layer, nn.Linear)]
    log_std = nets.to_tree(getattr(agent.policy, "log_std", None))
    weights, biases = ([nets.to_tree(getattr(one, kind)) for one in linear] for kind in ("weight", "bias"))
    return collectors.Snapshot(version, [weight.T for weight in weights], biases, log_std)


def update(
    learner: Learner, fragment: collectors.Fragment, config: Config, targets: Callable[..., Any] = vtrace
) -> dict[str, float]:
    """Learn from one fragment: one step, for policy and value function together.

    Returns diagnostics by name; ``ratio`` is the mean distance of ratios from 1. ``targets`` is a function
    like ``vtrace``.

    Book: robotics/scale
    """
    device, real = next(learner.value.parameters()).device, torch.tensor(fragment.valid)  # (T, N)
    # copies, since Ray's arrays are shared and may not be written to
    obs, actions = (torch.tensor(x, device=device) for x in (fragment.obs, fragment.actions))
    # region: step
    logp, entropy = learner.agent.policy.log_prob(obs[:-1].flatten(0, 1), actions.flatten(0, 1))
    value = learner.value(obs).squeeze(-1)  # (T+1, N)
    now = logp.detach().reshape(real.shape).cpu().numpy()
    ratio = np.exp(now - fragment.logp)  # (T, N), of the learner's policy and the one that played
    wanted, advantage = (
        torch.from_numpy(x).to(device)[real]  # reset rows are no transitions
        for x in targets(
            fragment.rewards, value.detach().cpu().numpy(), ratio, fragment.terminated, fragment.truncated,
            config.gamma, config.gae_lambda,
        )
    )  # fmt: skip
    loss = policy_loss(logp[real.flatten()], advantage)
    error = value_loss(value[:-1][real], wanted)
    total = loss + config.vf_coef * error - config.ent_coef * entropy[real.flatten()].mean()
    learner.optimizer.zero_grad()
    total.backward()
    if config.max_grad_norm:
        (group,) = learner.optimizer.param_groups
        nn.utils.clip_grad_norm_(group["params"], config.max_grad_norm)
    learner.optimizer.step()
    # endregion
    off = np.abs(ratio - 1)[fragment.valid].mean()
    return {
        "policy_loss": loss.item(),
        "value_loss": error.item(),
        "entropy": entropy.mean().item(),
        "ratio": float(off),
    }


@dataclass
class Delay:
    """The policies that are on their way to the workers, the oldest first."""

    policies: list[collectors.Snapshot]

    def through(self, policy: collectors.Snapshot) -> collectors.Snapshot:
        """Send ``policy`` off; the one that arrives now."""
        self.policies.append(policy)
        return self.policies.pop(0)


def train(config: Config, seed: int, *, targets: Callable[..., Any] = vtrace, **options: Any) -> runs.Run:
    """Train on ``config.env_id`` with a policy lag of ``config.lag`` updates, in one process.

    The same seed on the same machine gives the same bits.

    Args:
        targets: a function like ``vtrace``, such as ``uncorrected``.
        options: of the session: ``callback``, ``checkpoint``, ``log_dir`` and the others of ``Training``.

    Raises:
        ValueError: the environment does not exist, its spaces do not fit, or it returns what is no number.
        RunFileError: the checkpoint is broken, or that of another training.

    Book: robotics/scale
    """
    session = Training(ALGORITHM, config, seed, {"targets": targets}, **options)
    envs, episodes = session.envs, session.episodes
    learner = make_learner(envs, config, session.generator)
    delay = Delay([snapshot(learner.agent, 0) for _ in range(config.lag)])  # each with arrays of its own
    obs = session.begin(learner.agent, learner=learner, delay=delay)  # (N, D)
    # region: loop
    while session.running(envs.num_envs * config.num_steps):
        version = len(session.metrics.get("update_step", ()))
        policy = delay.through(snapshot(learner.agent, version))
        fragment = collectors.collect(envs, policy, obs, episodes, session.rng, config.num_steps)
        obs = fragment.obs[-1]  # (N, D)
        age = version - fragment.version
        session.updated(obs, lag=age, **update(learner, fragment, config, targets))
    # endregion
    return session.end()


def load_policy(run: runs.Run, device: str = "cpu") -> Agent:
    """The trained agent of a run: ``.act(obs)`` and ``.sample(obs, rng)``.

    Raises:
        ValueError: the run is of another algorithm.

    Book: robotics/scale
    """
    return load_agent(run, ALGORITHM, device)


if __name__ == "__main__":
    command(train, load_policy, Config)
