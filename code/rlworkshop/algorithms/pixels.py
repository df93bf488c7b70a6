"""Deep Q-learning from pixels: what is added to ``dqn`` so that it can play by looking at a screen.

Pictures are made small and grey, the last few are stacked so that motion shows, a convolutional network reads
them, and the replay buffer keeps every frame once. The training itself is that of ``dqn``.

Papers: Mnih et al., *Human-level control through deep reinforcement learning*, 2015; LeCun et al.,
*Gradient-based learning applied to document recognition*, 1998 (convolutional networks).

Book: algorithms/pixels
"""

import functools
from collections.abc import Callable
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
LUMA = np.array([299, 587, 114])  # thousandths: how bright red, green and blue look (ITU-R BT.601)


# ------------------------------------------------------------------------------------ making pictures small


def crop(frames: np.ndarray, top: int) -> np.ndarray:
    """Frames (N, H, W, ...) without their ``top`` rows.

    Book: algorithms/pixels
    """
    return frames[:, top:]


def grey(frames: np.ndarray) -> np.ndarray:
    """How bright each pixel of colour frames (N, H, W, 3) looks: (N, H, W), uint8.

    Book: algorithms/pixels
    """
    # LUMA is of 64-bit numbers, and so is the sum: a byte would hold none, 255 + 1 is 0 in it
    wide = frames @ LUMA  # (N, H, W)
    return ((wide + 500) // 1000).astype(np.uint8)  # (eq-px-grey)


def shrink(frames: np.ndarray, block: int) -> np.ndarray:
    """Averages of ``block`` x ``block`` pixels of grey frames (N, H, W): (N, H / block, W / block), uint8.

    Raises:
        ValueError: the frames do not divide into such blocks.

    Book: algorithms/pixels
    """
    N, H, W = frames.shape
    if H % block or W % block:
        raise ValueError(f"frames of {H} x {W} do not divide into blocks of side {block}: crop them first")
    blocks = frames.reshape(N, H // block, block, W // block, block)
    total = blocks.sum(axis=(2, 4), dtype=np.int64)  # wide, too
    return ((total + block**2 // 2) // block**2).astype(np.uint8)  # (eq-px-shrink)


def preprocess(frames: np.ndarray) -> np.ndarray:
    """The camera's frames (N, 44, 40, 3) as one small grey channel (N, 1, 10, 10).

    Book: algorithms/pixels
    """
    return shrink(grey(crop(frames, games.SCORE_ROWS)), games.CELL)[:, None]


class Preprocess(gym.vector.VectorWrapper):
    """Shows the observations of ``envs`` as ``function`` of a batch of them makes them.

    Book: algorithms/pixels
    """

    def __init__(self, envs: gym.vector.VectorEnv, function: Callable[[np.ndarray], np.ndarray] = preprocess):
        super().__init__(envs)
        self.function = function
        like = function(np.zeros((1, *envs.single_observation_space.shape), np.uint8))
        self._set_space(like.shape[1:])

    def _set_space(self, shape: tuple[int, ...]) -> None:
        self.single_observation_space = gym.spaces.Box(0, 255, shape, np.uint8)
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, self.num_envs)

    def reset(self, **kwargs: Any):
        """As the environment's within, shown by ``function``."""
        obs, info = self.env.reset(**kwargs)
        return self.function(obs), info

    def step(self, actions: np.ndarray):
        """As the environment's within, shown by ``function``."""
        obs, *rest = self.env.step(actions)
        return self.function(obs), *rest

    def get_state(self) -> dict[str, Any]:
        """As the environment's within."""
        return self.env.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """As the environment's within."""
        self.env.set_state(state)


# ------------------------------------------------------------------------------------ showing motion


def push(stack: np.ndarray, frame: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Stacks (N, k, H, W) with a new frame (N, 1, H, W) at their end; the oldest one drops out.

    Where a frame is the ``first`` (N,) of its episode there is no past: it fills its stack.

    Book: algorithms/pixels
    """
    pushed = np.concatenate([stack[:, 1:], frame], axis=1)  # (eq-px-stack)
    return np.where(first[:, None, None, None], frame, pushed)


class FrameStack(gym.vector.VectorWrapper):
    """Shows the last ``k`` frames of each environment, the newest last: (N, k, H, W).

    Raises:
        ValueError: observations are not single frames (1, H, W), or ``k`` is below 1.

    Book: algorithms/pixels
    """

    def __init__(self, envs: gym.vector.VectorEnv, k: int):
        super().__init__(envs)
        space = envs.single_observation_space
        if k < 1 or len(space.shape) != 3 or space.shape[0] != 1:
            raise ValueError(f"a stack is of 1 or more frames (1, H, W), not of {k} frames {space.shape}")
        shape = (k, *space.shape[1:])
        self.single_observation_space = gym.spaces.Box(0, 255, shape, space.dtype)
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, self.num_envs)
        self.stack = np.zeros((self.num_envs, *shape), space.dtype)
        self.over = np.zeros(self.num_envs, bool)

    def reset(self, **kwargs: Any):
        """Begin; each stack is filled with its first frame."""
        frame, info = self.env.reset(**kwargs)
        obs = self._push(frame, first=np.ones(self.num_envs, bool))
        self.over = np.zeros(self.num_envs, bool)
        return obs, info

    def step(self, actions: np.ndarray):
        """As the environment's within; a first frame fills its stack."""
        frame, reward, terminated, truncated, info = self.env.step(actions)
        obs = self._push(frame, first=self.over)  # after an end comes a reset row: a first frame
        self.over = terminated | truncated
        return obs, reward, terminated, truncated, info

    def _push(self, frame: np.ndarray, first: np.ndarray) -> np.ndarray:
        self.stack = push(self.stack, frame, first)
        return self.stack.copy()

    def get_state(self) -> dict[str, Any]:
        """The stacks, and the state of the environment within."""
        return {"env": self.env.get_state(), "stack": self.stack.copy(), "over": self.over.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``get_state`` gave."""
        self.env.set_state(state["env"])
        self.stack, self.over = state["stack"].copy(), state["over"].copy()


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


# ------------------------------------------------------------------------------------ games as one plays them


def stacked(game: type[games.Game], k: int, num_envs: int = 1, **kwargs: Any) -> gym.vector.VectorEnv:
    """A game's plain pictures, the last ``k`` of them.

    Book: algorithms/pixels
    """
    return FrameStack(game(num_envs, view=games.picture, **kwargs), k)


def filmed(game: type[games.Game], k: int, num_envs: int = 1, **kwargs: Any) -> gym.vector.VectorEnv:
    """A game's camera, its frames made small and grey, the last ``k`` of them.

    Book: algorithms/pixels
    """
    return FrameStack(Preprocess(game(num_envs, view=games.camera, **kwargs)), k)


def _register_views() -> None:
    for game in (games.Breakout, games.Catch):
        for name, make in {"Stack": stacked, "Film": filmed}.items():
            for k in (1, 2, 4):
                vector = functools.partial(make, game, k)
                games.register(f"{game.__name__}{name}{k}-v0", vector, __name__)


# standalone: apart
_register_views()


# ------------------------------------------------------------------------------------ training


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
