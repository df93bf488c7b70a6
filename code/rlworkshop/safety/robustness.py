"""Distribution shift, adversarial observations, and knowing when not to act: on carts with poles.

Carts whose physics or sensors have changed, the fast gradient sign method (FGSM) and projected gradient
descent (PGD) on a trained policy's observations, an ensemble of models that says how sure it is, and alarms
whose threshold is calibrated for a rate of false ones.

Papers: Goodfellow, Shlens & Szegedy, *Explaining and harnessing adversarial examples*, 2015
(arXiv:1412.6572); Huang, Papernot, Goodfellow, Duan & Abbeel, *Adversarial attacks on neural network
policies*, 2017 (arXiv:1702.02284); Madry et al., *Towards deep learning models resistant to adversarial
attacks*, 2018 (arXiv:1706.06083); Lakshminarayanan, Pritzel & Blundell, *Simple and scalable predictive
uncertainty estimation using deep ensembles*, 2017 (arXiv:1612.01474).

Importing this module registers ``ShiftedCart-v0``. Book: safety/robustness
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from torch import nn

from rlworkshop import envs as rl_envs
from rlworkshop.algorithms import vpg
from rlworkshop.envs.single import One
from rlworkshop.stats import probability_of_improvement

NOMINAL = {"length": 0.5, "masspole": 0.1, "masscart": 1.0, "force_mag": 10.0, "gravity": 9.8}
OBS = ("position", "velocity", "angle", "angular velocity")  # of an observation, in metres and radians
LR = 1e-2  # of the members of an ensemble, falling to 0
Perturb = Callable[[np.ndarray], np.ndarray]  # true observations (N, 4) -> what the policy is shown (N, 4)


# ------------------------------------------------------------------------------------ changed worlds


class Carts(CartPoleVectorEnv):
    """N cart-poles, each with physics and sensors of its own; as ``CartPole-v1`` where nothing is given.

    Args:
        bias: what is added to every observation, (4,) or (N, 4): a sensor that is out of adjustment.
        physics: ``length`` (half the pole's, metres), ``masspole`` and ``masscart`` (kg), ``force_mag``
            (newtons), ``gravity``; a number, or one for each cart (N,).

    Raises:
        ValueError: there is no physical quantity of that name, or one is not above 0.

    Book: safety/robustness
    """

    def __init__(
        self,
        num_envs: int = 1,
        bias: Any = 0.0,
        max_episode_steps: int = 500,
        render_mode: str | None = None,
        **physics: Any,
    ):
        super().__init__(num_envs, max_episode_steps, render_mode)
        if unknown := [name for name in physics if name not in NOMINAL]:
            raise ValueError(f"carts have no {unknown[0]}: choose from {', '.join(NOMINAL)}")
        for name, value in {**NOMINAL, **physics}.items():
            if not np.all(np.asarray(value) > 0):
                raise ValueError(f"{name} lies above 0, not at {value}")
            setattr(self, name, np.broadcast_to(np.asarray(value, float), (num_envs,)))
        self.total_mass = self.masscart + self.masspole  # (N,)
        self.polemass_length = self.masspole * self.length  # (N,)
        self.bias = np.broadcast_to(np.asarray(bias, np.float32), (num_envs, len(OBS)))

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode on each cart; what the sensors say (N, 4)."""
        obs, info = super().reset(seed=seed, options=options)
        return obs + self.bias, info

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """One step of each cart."""
        obs, *rest = super().step(action)
        return obs + self.bias, *rest


class Cart(One):
    """One cart as a single environment: ``gym.make("ShiftedCart-v0", length=1.0)``.

    Book: safety/robustness
    """

    metadata = CartPoleVectorEnv.metadata

    def __init__(self, **kwargs: Any):
        super().__init__(Carts(1, **kwargs))


def _register() -> None:
    gym.register("ShiftedCart-v0", f"{__name__}:Cart", vector_entry_point=f"{__name__}:Carts")


_register()


@dataclass(frozen=True)
class Record:
    """One episode on each of N carts, of which the longest took T steps.

    Attributes:
        true: what the sensors said (T+1, N, 4). seen: what the policy was shown (T, N, 4).
        actions: (T, N). alive: (T, N) bool, whether the step was part of the episode.
        fell: (N,) bool, whether it ended before the time limit.
    """

    true: np.ndarray
    seen: np.ndarray
    actions: np.ndarray
    alive: np.ndarray
    fell: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each episode (N,), which in this task are its return."""
        return self.alive.sum(axis=0)


def play(act: rl_envs.Act, carts: Carts, seed: int, perturb: Perturb = lambda obs: obs) -> Record:
    """One episode on each cart, of a policy that is shown ``perturb(obs)`` in place of ``obs``.

    Book: safety/robustness
    """
    obs, running = rl_envs.reset(carts, seed, "evaluation"), np.ones(carts.num_envs, bool)
    fell, true, seen, actions, alive = np.zeros(carts.num_envs, bool), [obs], [], [], []
    while running.any():
        shown = perturb(obs)
        action = act(shown)
        obs, _, terminated, truncated, _ = carts.step(action)
        for rows, row in zip((true, seen, actions, alive), (obs, shown, action, running), strict=True):
            rows.append(row.copy())
        fell |= running & terminated
        running = running & ~(terminated | truncated)
    return Record(*(np.stack(rows) for rows in (true, seen, actions, alive)), fell)


# ------------------------------------------------------------------------------------ attacks


def attack_loss(logits: torch.Tensor, target: torch.Tensor | None = None) -> torch.Tensor:
    """What an attacker makes large (B,), of a policy's logits (B, A).

    Without a ``target``: the cross-entropy with the action that the policy prefers (Huang et al., 2017).
    With target actions (B,): minus the cross-entropy with these.

    Book: safety/robustness
    """
    if target is None:
        return nn.functional.cross_entropy(logits, logits.detach().argmax(dim=1), reduction="none")
    return -nn.functional.cross_entropy(logits, target, reduction="none")


def gradient(agent: vpg.Agent, obs: np.ndarray, target: np.ndarray | None = None) -> np.ndarray:
    """Derivatives (B, D) of ``attack_loss`` with respect to raw observations (B, D).

    Book: safety/robustness
    """
    goal = None if target is None else torch.from_numpy(np.asarray(target, np.int64))
    x = torch.from_numpy(agent.see(np.asarray(obs))).requires_grad_()  # (B, D), as the network takes them
    (slope,) = torch.autograd.grad(attack_loss(agent.policy.net(x), goal).sum(), x)
    return slope.numpy() * (1.0 if agent.norm is None else agent.norm.scale)  # chain rule: once


def fgsm(agent: vpg.Agent, obs: np.ndarray, size: Any, target: np.ndarray | None = None) -> np.ndarray:
    """Fast gradient sign method: observations (B, D), each component moved by its ``size``, (D,) or (B, D).

    Book: safety/robustness
    """
    return (obs + size * np.sign(gradient(agent, obs, target))).astype(np.float32)  # (eq-fgsm)


def pgd(agent: vpg.Agent, obs: np.ndarray, size: Any, target: np.ndarray, steps: int = 4) -> np.ndarray:
    """Projected gradient descent: ``steps`` steps of FGSM, after each back into the box around ``obs``.

    A step is half of ``size``; every component stays within ``size`` of where it was.

    Book: safety/robustness
    """
    moved = obs
    for _ in range(steps):
        moved = np.clip(fgsm(agent, moved, size / 2, target), obs - size, obs + size)  # (eq-pgd)
    return moved.astype(np.float32)


def random_signs(obs: np.ndarray, size: Any, rng: np.random.Generator) -> np.ndarray:
    """Noise as large as an attack: each component moved by its ``size``, up or down by the toss of a coin.

    Book: safety/robustness
    """
    return (obs + size * rng.choice([-1.0, 1.0], obs.shape)).astype(np.float32)


def worst_push(obs: np.ndarray) -> np.ndarray:
    """The pushes (B,) that bring the pole down: 1, to the right, where it leans or falls to the left.

    Book: safety/robustness
    """
    return (obs[:, 2] + 0.3 * obs[:, 3] < 0).astype(np.int64)


# ------------------------------------------------------------------------------------ ensembles


class Ensemble:
    """M small networks of one task with different random weights: how far they differ says how sure they are.

    Each predicts what the sensors will say next, from what they say now and the action. All learn from the
    same transitions, each from initial weights and minibatches of its own (Lakshminarayanan et al., 2017).

    Args:
        obs, actions, after: transitions (B, D), (B,) of actions 0 and 1, (B, D).
        seeds: one for each member. steps: of Adam. hidden: width of the one hidden layer.

    Attributes:
        error: root mean square error of the mean prediction on these transitions (D,).

    Raises:
        ValueError: fewer than two members, or two of the same seed.

    Book: safety/robustness
    """

    def __init__(
        self,
        obs: np.ndarray,
        actions: np.ndarray,
        after: np.ndarray,
        seeds: Sequence[int],
        steps: int = 500,
        hidden: int = 32,
    ):
        if len(seeds) < 2 or len(set(seeds)) < len(seeds):
            raise ValueError("an ensemble needs two seeds or more, all different: twins always agree")
        change = after - obs
        self.shift, self.scale = obs.mean(axis=0), obs.std(axis=0)
        self.change_shift, self.change_scale = change.mean(axis=0), change.std(axis=0)
        x = self._inputs(obs, actions)  # (B, D + 1)
        y = torch.from_numpy(((change - self.change_shift) / self.change_scale).astype(np.float32))  # (B, D)
        rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.weights = []
        for n_in, n_out in ((x.shape[1], hidden), (hidden, y.shape[1])):
            drawn = [torch.randn(n_in, n_out, generator=rng) / math.sqrt(n_in) for rng in rngs]
            self.weights += [torch.stack(drawn), torch.zeros(len(rngs), 1, n_out)]  # of all members
        adam = torch.optim.Adam([w.requires_grad_() for w in self.weights], LR, fused=True)
        for step in range(steps):
            adam.param_groups[0]["lr"] = LR * (1 - step / steps)
            rows = torch.stack([torch.randint(len(x), (128,), generator=rng) for rng in rngs])  # (M, 128)
            loss = ((self._forward(x[rows]) - y[rows]) ** 2).mean(dim=(1, 2)).sum()
            adam.zero_grad()
            loss.backward()
            adam.step()
        self.error = np.ones(y.shape[1])
        self.error = np.sqrt(((self.predict(obs, actions).mean(axis=0) - after) ** 2).mean(axis=0))

    def _inputs(self, obs: np.ndarray, actions: np.ndarray) -> torch.Tensor:
        side = 2.0 * np.asarray(actions)[:, None] - 1
        rows = np.concatenate([(obs - self.shift) / self.scale, side], axis=1)
        return torch.from_numpy(rows.astype(np.float32))

    def _forward(self, x: torch.Tensor) -> torch.Tensor:
        w1, b1, w2, b2 = self.weights
        return torch.tanh(x @ w1 + b1) @ w2 + b2  # (M, B, D)

    @torch.no_grad()
    def predict(self, obs: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """What each member expects the sensors to say next: (M, B, D)."""
        change = self._forward(self._inputs(obs, actions)).numpy()
        return obs + self.change_shift + self.change_scale * change

    def disagreement(self, obs: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Standard deviation of the members' predictions (B,), in units of their usual ``error``."""
        spread = self.predict(obs, actions).std(axis=0)  # (B, D)
        return np.sqrt(((spread / self.error) ** 2).mean(axis=1))  # (eq-disagreement)

    def surprise(self, obs: np.ndarray, actions: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Distance (B,) of what came from what was expected, in units of the usual ``error``."""
        off = self.predict(obs, actions).mean(axis=0) - after  # (B, D)
        return np.sqrt(((off / self.error) ** 2).mean(axis=1))  # (eq-surprise)


class Observer:
    """An agent that believes its sensors only in part: it acts on an estimate, not on the observation.

    Args:
        gain: how far the estimate follows the sensors, from what was expected (0) to what they say (1).

    Book: safety/robustness
    """

    def __init__(self, agent: vpg.Agent, ensemble: Ensemble, gain: float):
        self.agent, self.ensemble, self.gain, self.estimate = agent, ensemble, gain, None

    def act(self, obs: np.ndarray) -> np.ndarray:
        """Actions (N,) for the next observations (N, D) of carts whose episodes began together."""
        if self.estimate is None:
            self.estimate = obs
        else:
            expected = self.ensemble.predict(self.estimate, self.action).mean(axis=0)  # (N, D)
            self.estimate = expected + self.gain * (obs - expected)  # (eq-observer)
        self.action = self.agent.act(self.estimate.astype(np.float32))
        return self.action


class Smoothed:
    """An agent that takes the action that its policy prefers on average over noisy copies of the observation.

    Args:
        width: standard deviation of the noise (D,). copies: of each observation.

    Book: safety/robustness
    """

    def __init__(self, agent: vpg.Agent, width: np.ndarray, rng: np.random.Generator, copies: int = 16):
        self.agent, self.width, self.rng, self.copies = agent, width, rng, copies

    def act(self, obs: np.ndarray) -> np.ndarray:
        """Actions (N,) for observations (N, D)."""
        noisy = obs + self.width * self.rng.standard_normal((self.copies, *obs.shape))  # (C, N, D)
        logits = self.agent.policy.forward_numpy(self.agent.see(noisy.astype(np.float32)))  # (C, N, A)
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return (weights / weights.sum(axis=-1, keepdims=True)).mean(axis=0).argmax(axis=-1)


# ------------------------------------------------------------------------------------ alarms


def peaks(signal: np.ndarray, alive: np.ndarray, window: int = 5, margin: int = 0) -> np.ndarray:
    """The largest mean of ``signal`` (T, N) over ``window`` steps in a row, of each episode (N,).

    Args:
        alive: (T, N), which steps were part of the episodes.
        margin: so many steps before its end an episode is not looked at any more: an alarm would be late.

    Book: safety/robustness
    """
    T, N = signal.shape
    looked_at = np.arange(T)[:, None] < alive.sum(axis=0) - margin  # (T, N)
    total = np.concatenate([np.zeros((1, N)), np.where(looked_at, signal, 0).cumsum(axis=0)])
    return ((total[window:] - total[:-window]) / window).max(axis=0, initial=0)


def watch(ensemble: Ensemble, record: Record, margin: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Peaks of disagreement and of surprise, (N,) each, over what the policy was shown in each episode.

    Book: safety/robustness
    """
    T, N, D = record.seen.shape
    now, after, actions = record.seen[:-1], record.seen[1:], record.actions[:-1]
    rows = now.reshape(-1, D), actions.ravel(), after.reshape(-1, D)
    signals = ensemble.disagreement(*rows[:2]), ensemble.surprise(*rows)
    unsure, surprised = (peaks(one.reshape(T - 1, N), record.alive[1:], margin=margin) for one in signals)
    return unsure, surprised


def votes(panel: Sequence[vpg.Agent], record: Record, margin: int = 0) -> np.ndarray:
    """Peaks (N,) of the share of a panel of other policies that would not have taken the action.

    Book: safety/robustness
    """
    seen, (T, N) = record.seen.reshape(-1, record.seen.shape[2]), record.actions.shape
    against = np.mean([agent.act(seen).reshape(T, N) != record.actions for agent in panel], axis=0)
    return peaks(against, record.alive, margin=margin)


def threshold(scores: np.ndarray, rate: float) -> float:
    """The alarm level that a fresh episode exceeds with probability ``rate`` at the most.

    ``scores`` (n,) are those of n episodes without a fault, drawn as the fresh one is. With too few of them
    for the rate it is infinite: no level is known to be safe.

    Raises:
        ValueError: ``rate`` is not between 0 and 1, or there are no scores.

    Book: safety/robustness
    """
    if not (0 < rate < 1 and len(scores)):
        raise ValueError(f"threshold wants scores and a rate between 0 and 1, not {rate}")
    n = len(scores)
    k = math.ceil((n + 1) * (1 - rate))  # (eq-threshold)
    return float(np.sort(scores)[k - 1]) if k <= n else math.inf


def selective_risk(scores: np.ndarray, bad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coverage (n,) and risk (n,) of accepting the k cases of lowest score, for k from 1 to n.

    Risk is the share of ``bad`` (n,) cases among those accepted.

    Book: safety/robustness
    """
    order = np.argsort(scores, kind="stable")
    accepted = np.arange(1, len(scores) + 1)
    return accepted / len(scores), np.cumsum(np.asarray(bad, float)[order]) / accepted


def auc(scores: np.ndarray, bad: np.ndarray) -> float:
    """Area under the ROC curve: how often a ``bad`` case scores above one that is not, ties counting half.

    Of cases of one kind alone it is nan.

    Book: safety/robustness
    """
    bad = np.asarray(bad, bool)
    return probability_of_improvement(scores[bad], scores[~bad]) if bad.any() and not bad.all() else math.nan
