"""Wrappers of vector environments that show pictures: made small and grey, and the last few of them together.

Book: algorithms/pixels
"""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

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


class Preprocess(gym.vector.VectorWrapper):
    """Shows the observations of ``envs`` as ``function`` of a batch of them makes them.

    Book: algorithms/pixels
    """

    def __init__(self, envs: gym.vector.VectorEnv, function: Callable[[np.ndarray], np.ndarray]):
        super().__init__(envs)
        self.function = function
        like = function(np.zeros((1, *envs.single_observation_space.shape), np.uint8))
        self._set_space(like.shape[1:])

    def _set_space(self, shape: tuple[int, ...]) -> None:
        self.single_observation_space = gym.spaces.Box(0, 255, shape, np.uint8)
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, self.num_envs)

    def reset(self, **kwargs: Any):
        """First observations (N, ...), shown by ``function``, and infos."""
        obs, info = self.env.reset(**kwargs)
        return self.function(obs), info

    def step(self, actions: np.ndarray):
        """One step: observations (N, ...), shown by ``function``, rewards (N,), both endings (N,), infos."""
        obs, *rest = self.env.step(actions)
        return self.function(obs), *rest

    def get_state(self) -> dict[str, Any]:
        """State of the wrapped environment, for ``set_state``."""
        return self.env.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a state that ``get_state`` gave."""
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
        """One step, with stacks of frames (N, ...); a first frame fills its stack."""
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
