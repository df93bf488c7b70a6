"""Behaviour cloning by regression, mixtures and flow matching; DAgger, action chunks, RL from a clone.

Everything runs for S seeds at once: S networks side by side, each with demonstrations and random numbers of
its own. Tensors are float32 and begin with (S, N): seeds, then rows or episodes. The robot is a point in the
plane; an action (2,) is a velocity, in lengths of ``STEP`` per time step.

Papers: Ross et al., 2011 (DAgger); Bishop, 1994 (mixture density networks); Lipman et al., 2023 (flow
matching); Zhao et al., 2023 (action chunks).

Book: robotics/learning_from_demonstrations
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

STEP = 0.05  # how far an action of length 1 moves the robot in a time step
Act = Callable[[int, torch.Tensor, torch.Tensor], torch.Tensor]


class Dice:
    """Random tensors (S, ...), the part of each seed from a generator of its own.

    Raises:
        ValueError: there are no seeds.

    Book: robotics/learning_from_demonstrations
    """

    def __init__(self, seeds: Sequence[int | Sequence[int]]):
        if not len(seeds):
            raise ValueError("Dice needs at least one seed, such as verify.seeds(5)")
        self.generators = [np.random.default_rng(seed) for seed in seeds]

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal numbers (S, *shape)."""
        drawn = [g.standard_normal(shape, dtype=np.float32) for g in self.generators]
        return torch.from_numpy(np.stack(drawn))

    def uniform(self, *shape: int) -> torch.Tensor:
        """Numbers (S, *shape) from 0 up to, not including, 1."""
        return torch.from_numpy(np.stack([g.random(shape, dtype=np.float32) for g in self.generators]))

    def rows(self, size: int, count: int) -> torch.Tensor:
        """Row numbers (S, count) below ``size``, with replacement."""
        return torch.from_numpy(np.stack([g.integers(size, size=count) for g in self.generators]))


class Nets(nn.Module):
    """S perceptrons of layer widths ``sizes`` side by side: (S, B, n_in) -> (S, B, n_out).

    Book: robotics/learning_from_demonstrations
    """

    def __init__(self, sizes: Sequence[int], dice: Dice):
        super().__init__()
        pairs = list(zip(sizes[:-1], sizes[1:], strict=True))
        hidden = [1.0] * (len(pairs) - 1) + [0.0]  # hidden layers: wide weights, biases spread out
        self.weights = nn.ParameterList(
            dice.normal(m, n) * math.sqrt((1 + h) / m) for (m, n), h in zip(pairs, hidden, strict=True)
        )
        self.biases = nn.ParameterList(dice.normal(1, n) * h for (_, n), h in zip(pairs, hidden, strict=True))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs of each seed's network for that seed's rows."""
        *hidden, last = zip(self.weights, self.biases, strict=True)
        for weight, bias in hidden:
            x = torch.tanh(torch.baddbmm(bias, x, weight))
        return torch.baddbmm(last[1], x, last[0])


# ------------------------------------------------------------------------------------ policies


class Regression:
    """A network trained by mean squared error: one action for each observation.

    A policy has a ``loss`` of each row, and actions ``act(obs, latent)`` that are a function of what is seen
    and of ``latents`` standard normal numbers, which the caller draws: here none.

    Book: robotics/learning_from_demonstrations
    """

    def __init__(self, obs_dim: int, actions: int, dice: Dice, hidden: int = 64):
        self.actions, self.latents = actions, 0
        self.net = Nets([obs_dim, hidden, hidden, actions], dice)

    def loss(self, obs: torch.Tensor, action: torch.Tensor, dice: Dice) -> torch.Tensor:
        """Squared error (S, B), the mean over the components of an action."""
        return ((self.net(obs) - action) ** 2).mean(dim=2)  # (eq-cloning)

    def act(self, obs: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Actions (S, B, A)."""
        return self.net(obs)


class Mixture:
    """A mixture density network (Bishop, 1994): weights, means and widths of four normal distributions.

    Book: robotics/learning_from_demonstrations
    """

    COMPONENTS = 4

    def __init__(self, obs_dim: int, actions: int, dice: Dice, hidden: int = 64):
        self.actions, self.latents = actions, 1 + actions
        self.net = Nets([obs_dim, hidden, hidden, self.COMPONENTS * (1 + 2 * actions)], dice)

    def parts(self, obs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logarithms of the weights (S, B, K); means and log-widths, both (S, B, K, A)."""
        K, A = self.COMPONENTS, self.actions
        logits, mean, log_std = self.net(obs).split([K, K * A, K * A], dim=2)
        log_std = log_std.clamp(-4, 2)  # a component on a single row would become infinitely narrow
        return logits.log_softmax(dim=2), mean.unflatten(2, (K, A)), log_std.unflatten(2, (K, A))

    def loss(self, obs: torch.Tensor, action: torch.Tensor, dice: Dice) -> torch.Tensor:
        """Negative log-likelihood (S, B), divided by the number of components of an action."""
        log_weight, mean, log_std = self.parts(obs)
        z = (action[:, :, None] - mean) * torch.exp(-log_std)  # (S, B, K, A)
        log_normal = -(0.5 * z**2 + log_std + 0.5 * math.log(2 * math.pi)).sum(dim=3)  # (S, B, K)
        return -torch.logsumexp(log_weight + log_normal, dim=2) / self.actions  # (eq-mixture-loss)

    def act(self, obs: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Actions (S, B, A): the first latent number picks the component, the others its noise."""
        log_weight, mean, log_std = self.parts(obs)
        u = torch.special.ndtr(latent[:, :, :1])  # evenly between 0 and 1
        picked = (u >= log_weight.exp().cumsum(dim=2)[:, :, :-1]).sum(dim=2)  # (S, B)
        index = picked[:, :, None, None].expand(-1, -1, 1, self.actions)
        mean, log_std = mean.gather(2, index)[:, :, 0], log_std.gather(2, index)[:, :, 0]
        return mean + log_std.exp() * latent[:, :, 1:]


class Flow:
    """Flow matching (Lipman et al., 2023): a velocity that carries noise to actions in unit time.

    Book: robotics/learning_from_demonstrations
    """

    EULER = 8  # steps of integration

    def __init__(self, obs_dim: int, actions: int, dice: Dice, hidden: int = 64):
        self.actions = self.latents = actions
        self.net = Nets([obs_dim + actions + 1, hidden, hidden, actions], dice)

    def velocity(self, obs: torch.Tensor, y: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """Where, and how fast, ``y`` (S, B, A) moves at ``time`` (S, B, 1)."""
        return self.net(torch.cat([obs, y, time], dim=2))

    def loss(self, obs: torch.Tensor, action: torch.Tensor, dice: Dice) -> torch.Tensor:
        """Squared error (S, B) of the velocity, at a random time on the way from noise to each action."""
        noise, time = dice.normal(*action.shape[1:]), dice.uniform(action.shape[1], 1)
        y = (1 - time) * noise + time * action
        return ((self.velocity(obs, y, time) - (action - noise)) ** 2).mean(dim=2)  # (eq-flow-loss)

    def act(self, obs: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Actions (S, B, A): the latent numbers, carried along."""
        y = latent
        for i in range(self.EULER):
            time = torch.full((*y.shape[:2], 1), i / self.EULER)
            y = y + self.velocity(obs, y, time) / self.EULER  # (eq-euler)
        return y


Policy = Regression | Mixture | Flow


def fit(
    policy: Policy,
    obs: torch.Tensor,
    action: torch.Tensor,
    dice: Dice,
    steps: int = 1000,
    batch_size: int = 128,
    lr: float = 1e-2,
) -> Policy:
    """Minimise a policy's loss on demonstrated rows: obs (S, M, D), actions (S, M, A).

    Adam, with a learning rate that falls linearly to zero.

    Raises:
        ValueError: the numbers of seeds or rows do not agree.

    Book: robotics/learning_from_demonstrations
    """
    if obs.shape[:2] != action.shape[:2] or len(obs) != len(dice.generators):
        raise ValueError(
            f"obs {tuple(obs.shape)} and actions {tuple(action.shape)} need the same seeds and rows"
        )
    optimizer = torch.optim.Adam(policy.net.parameters(), lr)
    of_seed = torch.arange(len(obs))[:, None]
    # region: fitting
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
        rows = dice.rows(obs.shape[1], batch_size)  # (S, B)
        # the sum over seeds: no network has a part in another's loss, nor in its gradient
        loss = policy.loss(obs[of_seed, rows], action[of_seed, rows], dice).mean(dim=1).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # endregion
    return policy


# ------------------------------------------------------------------------------------ episodes


@dataclass
class Episodes:
    """T steps of N episodes for each of S seeds."""

    obs: torch.Tensor  # (S, N, T, 2) what a policy sees: where the robot was, ``lag`` steps ago
    action: torch.Tensor  # (S, N, T, 2)
    position: torch.Tensor  # (S, N, T+1, 2) where the robot was


@torch.no_grad()
def play(act: Act, start: torch.Tensor, dice: Dice, steps: int, gust: float = 0.0, lag: int = 0) -> Episodes:
    """Move robots from ``start`` (S, N, 2) by ``act(t, obs, position)``.

    gust: standard deviation of what the wind adds to each coordinate in a step. lag: age of what is seen.

    Raises:
        ValueError: there are no steps, or the lag is negative.

    Book: robotics/learning_from_demonstrations
    """
    if steps < 1 or lag < 0:
        raise ValueError(f"steps={steps} must be at least 1, and lag={lag} not negative")
    track, seen, done = [start], [], []
    for t in range(steps):
        seen.append(track[max(0, t - lag)])
        done.append(act(t, seen[-1], track[-1]))
        track.append(track[-1] + STEP * done[-1] + gust * dice.normal(*start.shape[1:]))
    return Episodes(*(torch.stack(part, dim=2) for part in (seen, done, track)))


@dataclass
class Player:
    """A policy at work: ``act`` of ``play``.

    Its latent numbers are drawn anew every ``hold`` steps. Where it predicts chunks, the robot executes
    ``execute`` actions of each before the next is predicted; what was seen meanwhile is not used.

    Raises:
        ValueError: ``hold`` or ``execute`` is less than 1.

    Book: robotics/learning_from_demonstrations
    """

    policy: Policy
    dice: Dice
    hold: int = 1
    execute: int = 1

    def __post_init__(self):
        if min(self.hold, self.execute) < 1:
            raise ValueError(f"hold={self.hold} and execute={self.execute} must be at least 1")

    def __call__(self, t: int, obs: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        """Actions (S, N, 2) at step ``t``."""
        if t % self.hold == 0:
            self.latent = self.dice.normal(obs.shape[1], self.policy.latents)
        if t % self.execute == 0:
            self.chunk = self.policy.act(obs, self.latent).unflatten(2, (-1, 2))  # (S, N, H, 2)
        return self.chunk[:, :, t % self.execute]


def chunks(episodes: Episodes, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows to learn from: obs (S, M, 2), and the ``length`` actions from there on (S, M, 2 length).

    Raises:
        ValueError: the episodes are shorter than a chunk.

    Book: robotics/learning_from_demonstrations
    """
    rows = episodes.obs.shape[2] - length + 1
    if length < 1 or rows < 1:
        raise ValueError(f"chunks of {length} actions do not fit into {episodes.obs.shape[2]} steps")
    ahead = [episodes.action[:, :, i : i + rows] for i in range(length)]
    return episodes.obs[:, :, :rows].flatten(1, 2), torch.cat(ahead, dim=3).flatten(1, 2)


# ------------------------------------------------------------------------------------ worlds


class Road:
    """A closed winding road around the origin, to be followed anticlockwise."""

    def radius(self, angle: torch.Tensor) -> torch.Tensor:
        """Distance of the road's middle from the origin, in a direction."""
        return 1 + 0.2 * torch.cos(3 * angle)

    def deviation(self, position: torch.Tensor) -> torch.Tensor:
        """How far (...) a position (..., 2) lies outside the road's middle; negative inside."""
        return position.norm(dim=-1) - self.radius(torch.atan2(position[..., 1], position[..., 0]))

    def start(self, n: int, dice: Dice) -> torch.Tensor:
        """Positions (S, n, 2) on the road."""
        angle = 2 * math.pi * dice.uniform(n)
        return self.radius(angle)[..., None] * torch.stack([angle.cos(), angle.sin()], dim=-1)

    def expert(self, position: torch.Tensor) -> torch.Tensor:
        """The expert's action (..., 2): along the road, and back to its middle."""
        angle = torch.atan2(position[..., 1], position[..., 0])
        outwards = torch.stack([angle.cos(), angle.sin()], dim=-1)
        around = torch.stack([-angle.sin(), angle.cos()], dim=-1)
        slope = -0.6 * torch.sin(3 * angle)  # the radius' derivative
        along = slope[..., None] * outwards + self.radius(angle)[..., None] * around
        along = along / along.norm(dim=-1, keepdim=True)
        aside = torch.stack([along[..., 1], -along[..., 0]], dim=-1)
        aim = along - 4 * self.deviation(position)[..., None] * aside
        return aim / aim.norm(dim=-1, keepdim=True)

    def demonstrate(self, n: int, dice: Dice, steps: int, gust: float = 0.0) -> Episodes:
        """Episodes of the expert."""
        return play(lambda t, obs, position: self.expert(obs), self.start(n, dice), dice, steps, gust)


def dagger(
    road: Road, dice: Dice, rounds: int, episodes: int, steps: int, gust: float, fit_steps: int = 1000
) -> Policy:
    """Dataset aggregation (Ross et al., 2011): the learner drives, the expert says what it would have done.

    Book: robotics/learning_from_demonstrations
    """
    first = road.demonstrate(episodes, dice, steps)
    obs, action = chunks(first, 1)
    for _ in range(rounds):
        policy = fit(Regression(2, 2, dice), obs, action, dice, fit_steps)
        visited = play(Player(policy, dice), road.start(episodes, dice), dice, steps, gust)
        new, _ = chunks(visited, 1)
        obs, action = torch.cat([obs, new], dim=1), torch.cat([action, road.expert(new)], dim=1)
    return fit(Regression(2, 2, dice), obs, action, dice, fit_steps)


class Detour:
    """A round obstacle at the origin, between a start below it and a finish line above: left or right?

    What is seen is ``LAG`` steps old; the demonstrators, who stand beside the robot, see where it is.
    """

    RADIUS, FINISH, LAG, STEPS = 0.35, 0.7, 6, 70

    def start(self, n: int, dice: Dice) -> torch.Tensor:
        """Positions (S, n, 2) below the obstacle."""
        return torch.stack([0.2 * dice.uniform(n) - 0.1, torch.full((len(dice.generators), n), -1.0)], dim=2)

    def demonstrate(self, n: int, dice: Dice, gust: float = 0.01, right: float = 0.5) -> Episodes:
        """Episodes of demonstrators who each pass on one side, on the right with probability ``right``."""
        side = torch.where(dice.uniform(n) < right, 1.0, -1.0)  # (S, n)

        def act(t: int, obs: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
            beside = torch.stack([0.65 * side, torch.zeros_like(side)], dim=2)
            above = position[..., 1:] > -0.03
            aim = torch.where(above, torch.tensor([0.0, 1.0]), beside) - position
            aim = aim / aim.norm(dim=2, keepdim=True).clamp(min=STEP)  # slower near the goal
            return aim + 0.1 * dice.normal(n, 2)

        return play(act, self.start(n, dice), dice, self.STEPS, gust, self.LAG)

    def play(self, act: Act, n: int, dice: Dice, gust: float = 0.01, lag: int | None = None) -> Episodes:
        """Episodes of a policy; ``lag`` takes the place of the usual one."""
        lag = self.LAG if lag is None else lag
        return play(act, self.start(n, dice), dice, self.STEPS, gust, lag)

    def success(self, episodes: Episodes) -> torch.Tensor:
        """Whether (S, N) an episode crosses the finish line and never touches the obstacle."""
        clear = episodes.position.norm(dim=3).amin(dim=2) > self.RADIUS
        return clear & (episodes.position[..., 1].amax(dim=2) > self.FINISH)


# ------------------------------------------------------------------------------------ RL from a clone


def reinforce(
    world: Detour,
    policy: Regression,
    dice: Dice,
    iterations: int,
    episodes: int = 60,
    std: float = 0.3,
    lr: float = 1e-3,
    gust: float = 0.03,
) -> list[torch.Tensor]:
    """REINFORCE with a mean as baseline; reward 1 for success, once, at the end. Success rates (S,) of each.

    Actions are normal around what ``policy`` says, which is changed in place; its picture has no lag.

    Book: robotics/learning_from_demonstrations
    """
    optimizer = torch.optim.Adam(policy.net.parameters(), lr)
    curve = []
    # region: iteration
    for _ in range(iterations):
        played = world.play(
            lambda t, obs, position: policy.net(obs) + std * dice.normal(episodes, 2), episodes, dice, gust, 0
        )
        reward = world.success(played).float()  # (S, N)
        advantage = reward - reward.mean(dim=1, keepdim=True)
        error = policy.net(played.obs.flatten(1, 2)) - played.action.flatten(1, 2)  # (S, N T, 2)
        log_prob = -0.5 * (error / std).square().sum(dim=2).unflatten(1, (episodes, -1)).sum(dim=2)  # (S, N)
        optimizer.zero_grad()
        (-(advantage * log_prob).mean(dim=1).sum()).backward()
        optimizer.step()
        curve.append(reward.mean(dim=1))
    # endregion
    return curve
