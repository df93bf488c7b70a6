"""Deep Q-learning from pixels: what is added to ``dqn`` so that it can play by looking at a screen.

A convolutional network reads the last few pictures, which wrappers of the environment have made small and
stacked so that motion shows, and the replay buffer keeps every frame once. The training is that of ``dqn``.

Papers: Mnih et al., *Human-level control through deep reinforcement learning*, 2015; LeCun et al.,
*Gradient-based learning applied to document recognition*, 1998 (convolutional networks).

Book: algorithms/pixels
"""

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from rlworkshop import nets, runs
from rlworkshop.algorithms import dqn
from rlworkshop.envs import games
from rlworkshop.replay import Transitions
from rlworkshop.runs.training import command

FILTERS, KERNEL = 16, 3  # of the convolution: how many, and their side in cells


# ------------------------------------------------------------------------------------ the network


def conv_side(side: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """Places that a filter ``kernel`` cells wide has on a picture ``side`` cells wide.

    Book: algorithms/pixels
    """
    return (side + 2 * padding - kernel) // stride + 1  # (eq-px-side)


class Scale(nn.Module):
    """Bytes from 0 to ``high`` as numbers from 0 to 1: inside the network, so that memory holds bytes."""

    def __init__(self, high: float):
        super().__init__()
        self.high = high

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Numbers from 0 to 1, of the same shape."""
        return x / self.high


def highest(obs_space: gym.Space) -> float:
    """The largest number that an observation holds.

    Raises:
        ValueError: there is no bound: divided by infinity all pictures would be black.
    """
    high = float(obs_space.high.max())
    if not 0 < high < np.inf:
        raise ValueError(f"pictures need a finite, positive upper bound, not {high}: set the Box's high")
    return high


def conv_q(
    obs_space: gym.Space, action_space: gym.Space, config: dqn.Config, generator: torch.Generator
) -> nn.Sequential:
    """A network that gives Q of all actions (B, A) for pictures (B, C, H, W): a convolution, then ``hidden``.

    All randomness of its weights comes from ``generator``.

    Raises:
        ValueError: observations are not pictures with channels first, at least 3 x 3.

    Book: algorithms/pixels
    """
    shape = obs_space.shape
    last = len(shape) == 3 and shape[2] in (1, 3, 4) and shape[0] > 4  # (H, W, C), the usual layout
    if len(shape) != 3 or min(shape[1:]) < KERNEL or last:
        hint = ": put the channels first, with numpy's moveaxis(obs, -1, -3)" if last else ""
        raise ValueError(f"conv_q reads pictures (C, H, W) of 3 x 3 or more, not {shape}{hint}")
    C, H, W = shape
    conv = nn.utils.skip_init(nn.Conv2d, C, FILTERS, KERNEL)  # (eq-px-conv)
    nn.init.orthogonal_(conv.weight, gain=2**0.5, generator=generator)
    nn.init.zeros_(conv.bias)
    places = conv_side(H, KERNEL) * conv_side(W, KERNEL)
    head = nets.mlp([FILTERS * places, *config.hidden, int(action_space.n)], generator, activation="relu")
    return nn.Sequential(Scale(highest(obs_space)), conv, nn.ReLU(), nn.Flatten(), *head)


def flat_q(
    obs_space: gym.Space, action_space: gym.Space, config: dqn.Config, generator: torch.Generator
) -> nn.Sequential:
    """A network that gives Q (B, A) for pictures whose pixels it takes as one long vector, in no order.

    Book: algorithms/pixels
    """
    sizes = [int(np.prod(obs_space.shape)), *config.hidden, int(action_space.n)]
    net = nets.mlp(sizes, generator, activation="relu")
    return nn.Sequential(Scale(highest(obs_space)), nn.Flatten(), *net)


def multiplications(q: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiplications of numbers in one forward pass of ``q`` for one observation of ``shape``.

    Book: algorithms/pixels
    """
    count = 0

    def look(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal count
        # every number that comes out is one row of weights times what it sees
        count += output[0].numel() * layer.weight[0].numel()  # (eq-px-cost)

    layers = [layer for layer in q.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(look) for layer in layers]
    with torch.no_grad():
        q(torch.zeros(1, *shape))
    for hook in hooks:
        hook.remove()
    return count


# ------------------------------------------------------------------------------------ the memory


class FrameReplay:
    """A replay buffer that keeps every frame once and stacks frames when it is asked for transitions.

    Rows are times, columns environments. Under NEXT_STEP the frames of an environment follow each other
    without a gap: what an action led to is what the next one is chosen by. Reset rows are kept as frames and
    are never drawn.

    Attributes:
        k: frames in a stack. added: transitions that were ever added (reset rows are not counted).

    Raises:
        ValueError: ``capacity`` is too small for a stack and a step; at the second ``step``, observations
            are no stacks of frames.

    Book: algorithms/pixels
    """

    def __init__(self, capacity: int, num_envs: int, shape: tuple[int, ...]):
        self.k, *frame = shape
        self.T = capacity // num_envs + 1  # one row more: the newest transition's next frame
        if self.k + 1 >= self.T:
            raise ValueError(f"capacity {capacity} holds no stack of {self.k} frames of {num_envs} games")
        self.frames = np.zeros((self.T, num_envs, *frame), np.uint8)
        self.age = np.zeros((self.T, num_envs), np.int64)  # steps since the episode's first frame
        self.action = np.zeros((self.T, num_envs), np.int64)
        self.reward = np.zeros((self.T, num_envs), np.float32)
        self.discount = np.zeros((self.T, num_envs), np.float32)
        self.real = np.zeros((self.T, num_envs), bool)
        self.rows, self.added = 0, 0  # rows written so far

    def step(self, rows: Transitions, valid: np.ndarray, ended: np.ndarray) -> None:
        """Take in N environments' rows: of each stack its newest frame."""
        if rows.obs.dtype != np.uint8:
            raise ValueError(
                f"frames are kept as bytes (uint8): {rows.obs.dtype} would lose what is between them"
            )
        t, after = self.rows % self.T, (self.rows + 1) % self.T
        if self.rows == 1 and self.k > 1 and (rows.obs[:, -2] != self.frames[0])[self.age[1] > 0].any():
            raise ValueError("observations must be stacks of frames, the newest last: these are not")
        self.frames[t], self.frames[after] = rows.obs[:, -1], rows.next_obs[:, -1]
        self.action[t], self.reward[t], self.discount[t] = rows.action, rows.reward, rows.discount
        self.real[t], self.real[after] = valid, False
        self.age[after] = np.where(valid, self.age[t] + 1, 0)  # a reset row leads to a first frame
        self.rows += 1
        self.added += int(valid.sum())

    def stacks(self, t: np.ndarray, n: np.ndarray) -> np.ndarray:
        """The stacks (B, k, H, W) that environments ``n`` (B,) showed at rows ``t`` (B,)."""
        ago = np.arange(self.k)[::-1]  # (k,)
        back = np.minimum(ago, self.age[t, n][:, None])  # (B, k), never before the first frame
        return self.frames[(t[:, None] - back) % self.T, n[:, None]]  # (eq-px-back)

    def sample(self, batch_size: int, rng: np.random.Generator) -> Transitions:
        """``batch_size`` transitions, each drawn from all alike whose frames are still there.

        Raises:
            ValueError: the buffer is empty.
        """
        gone = max(0, self.rows + 1 - self.T)  # rows that newer ones have overwritten
        oldest = gone + (self.k - 1 if gone else 0)  # the first whose stack is whole
        t, n = np.zeros(0, int), np.zeros(0, int)
        if not self.real.any():
            raise ValueError("the replay buffer is empty: add transitions before sampling")
        while len(t) < batch_size:  # draw again what turned out to be a reset row
            more = rng.integers(oldest, self.rows, size=batch_size) % self.T
            which = rng.integers(self.frames.shape[1], size=batch_size)
            real = self.real[more, which]
            t, n = np.append(t, more[real]), np.append(n, which[real])
        return self[t[:batch_size], n[:batch_size]]

    def __getitem__(self, rows: tuple[np.ndarray, np.ndarray]) -> Transitions:
        """The transitions of environments ``n`` (B,) at rows ``t`` (B,), given as the pair ``t, n``."""
        t, n = rows
        there = self.action[t, n], self.reward[t, n]
        return Transitions(self.stacks(t, n), *there, self.stacks((t + 1) % self.T, n), self.discount[t, n])

    def forget_unfinished(self) -> None:
        """All environments begin anew: the next frames are first ones, and no transition leads to them."""
        t = self.rows % self.T
        self.real[t - 1], self.age[t] = False, 0

    @property
    def nbytes(self) -> int:
        """Bytes that the arrays take."""
        return sum(v.nbytes for v in vars(self).values() if isinstance(v, np.ndarray))


def frame_replay(config: dqn.Config, envs: gym.vector.VectorEnv) -> FrameReplay:
    """An empty buffer that keeps every frame once, for environments that show stacks of frames.

    Book: algorithms/pixels
    """
    return FrameReplay(config.buffer_size, envs.num_envs, envs.single_observation_space.shape)


# ------------------------------------------------------------------------------------ training

# standalone: apart
games.register_games()

BREAKOUT = dqn.Config(
    env_id="BreakoutFilm2-v0",
    num_envs=8,
    total_steps=100_000,
    gamma=0.95,
    lr=2e-3,
    lr_decay_fraction=1.0,
    batch_size=64,
    buffer_size=100_000,
    learning_starts=2_000,
    train_freq=64,
    gradient_steps=16,
    target_update_interval=64,
    final_epsilon=0.02,
    exploration_fraction=0.1,
    hidden=(64,),
    normalize_obs=False,
)


def train_on_pixels(config: dqn.Config, seed: int, **options: Any) -> runs.Run:
    """Train on an environment that shows stacks of frames; ``options`` are those of ``dqn.train``."""
    return dqn.train(config, seed, make_q=conv_q, make_replay=frame_replay, **options)


def load_from_pixels(run: runs.Run, device: str = "cpu") -> dqn.Agent:
    """The trained agent of a run of ``train_on_pixels``: ``.act(obs)``.

    Raises:
        ValueError: the run is of another algorithm.
    """
    return dqn.load_policy(run, conv_q, device)


if __name__ == "__main__":
    command(train_on_pixels, load_from_pixels, dqn.Config, BREAKOUT)
