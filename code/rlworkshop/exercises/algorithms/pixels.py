"""Exercises of the chapter on pixels.

Book: algorithms/pixels
"""

from collections.abc import Callable

import numpy as np

from rlworkshop.check import Exercise, expect

PAGE = "algorithms/pixels"
SMALL = "Make the picture small before anything else"
MOTION = "Two pictures make a direction"
WINDOW = "A small window, moved over the whole picture"


# ------------------------------------------------------------------------------------------ derive


def tower(side: int, layers: list[tuple[int, int]]) -> np.ndarray:
    """What each layer of a tower of convolutions gives, and how far it sees.

    side: the picture's, in pixels.
    layers: (kernel, stride) of each, the lowest first; no padding.
    Returns (layers, 2), floats: the side of the layer's output, and its receptive field, the
    side of the square of *picture pixels* that one number of that output depends on.

    Book: algorithms/pixels
    """
    # solution
    field, step, rows = 1, 1, []  # step: picture pixels between neighbours
    for kernel, stride in layers:
        side = (side - kernel) // stride + 1
        field += (kernel - 1) * step
        step *= stride
        rows.append((side, field))
    return np.array(rows, float)
    # end


TOWER = Exercise("pixels-tower", "Derive: how far a convolution sees", PAGE, WINDOW, tower)


@TOWER.probe(
    "one layer: the places that its window has, and the window",
    "Count the places of a window of 3 on a strip of 10: it begins at 0, 1, ..., 7.",
    "With stride s the window moves s pixels at a time: how many such moves fit after the first place?",
)
def _one_layer(answer: Callable) -> None:
    about = "A picture 84 wide, one layer with a kernel of 8 and a stride of 4"
    expect(answer(84, [(8, 4)]), np.array([[20.0, 8.0]]), about, {
        "the first place of the window is not counted": [[19.0, 8.0]],
        "the window may not hang over the edge: this is a tower with padding": [[21.0, 8.0]],
        "the stride is not used: the window moves by more than one pixel": [[77.0, 8.0]],
    })  # fmt: skip


@TOWER.probe(
    "two layers without strides: each adds what its kernel reaches beyond one cell",
    "One number of the second layer sees 3 x 3 of the first, which see 3 x 3 pixels each and overlap.",
)
def _two_layers(answer: Callable) -> None:
    about = "A picture 10 wide, two layers with kernels of 3: the second sees 5 pixels wide"
    expect(answer(10, [(3, 1), (3, 1)]), np.array([[8.0, 3.0], [6.0, 5.0]]), about, {
        "the windows are added whole: neighbours overlap, so a kernel k adds k - 1": [[8.0, 3.0], [6.0, 6.0]],
        "the windows are multiplied, as if neighbours had nothing in common": [[8.0, 3.0], [6.0, 9.0]],
        "this is the kernel of each layer alone: in picture pixels the field grows from layer to layer":
            [[8.0, 3.0], [6.0, 3.0]],
        "every layer starts from the picture: the second one reads the output of the first":
            [[8.0, 3.0], [8.0, 5.0]],
    })  # fmt: skip


@TOWER.probe(
    "a stride makes all layers above it reach further",
    "After a stride of 4, neighbours in the output lie 4 picture pixels apart. After another of 2: 8.",
    "Carry along how many picture pixels lie between two neighbours, beginning with 1.",
)
def _strides(answer: Callable) -> None:
    about = "The tower that read Atari: kernels 8, 4, 3 with strides 4, 2, 1 on 84 pixels"
    want = np.array([[20.0, 8.0], [9.0, 20.0], [7.0, 36.0]])
    expect(answer(84, [(8, 4), (4, 2), (3, 1)]), want, about, {
        "the strides are left out of the field: above a stride, neighbours lie several pixels apart":
            [[20.0, 8.0], [9.0, 11.0], [7.0, 13.0]],
        "a layer's own stride counts from the layer above it on, not for itself":
            [[20.0, 29.0], [9.0, 53.0], [7.0, 69.0]],
        "only the stride of the layer just below counts: strides multiply from layer to layer":
            [[20.0, 8.0], [9.0, 20.0], [7.0, 24.0]],
    })  # fmt: skip


@TOWER.drawn
def _any_tower(rng: np.random.Generator) -> tuple:
    return int(rng.integers(40, 90)), [tuple(rng.integers((2, 1), (6, 4)).tolist()) for _ in range(3)]


# ------------------------------------------------------------------------------------------ implement


def show(stack: np.ndarray, frame: np.ndarray, over: np.ndarray) -> np.ndarray:
    """What N environments show after a step: the episode's last k frames, the newest last.

    stack (N, k, H, W): what they showed before. frame (N, H, W): the new frames.
    over (N,), bool: the step before ended the episode, so this frame is the first of the next.
    A first frame fills its whole stack. Returns (N, k, H, W).

    Book: algorithms/pixels
    """
    # solution
    pushed = np.concatenate([stack[:, 1:], frame[:, None]], axis=1)  # (N, k, H, W)
    return np.where(over[:, None, None, None], frame[:, None], pushed)
    # end


SHOW = Exercise("pixels-show", "Implement: a stack that forgets in time", PAGE, MOTION, show)


def _frames(*numbers: float) -> np.ndarray:
    """Frames of one pixel (N, 1, 1)."""
    return np.array(numbers, float)[:, None, None]


def _stack(*numbers: float) -> np.ndarray:
    """One environment's stack of one-pixel frames (1, k, 1, 1)."""
    return np.array(numbers, float)[None, :, None, None]


@SHOW.probe(
    "the oldest frame drops out, the newest stands last",
    "Axis 1 is time: keep `stack[:, 1:]` and put the new frame after it.",
)
def _shift(answer: Callable) -> None:
    got = answer(_stack(1, 2, 3), _frames(4), np.array([False]))
    expect(got, _stack(2, 3, 4), "Frames 1, 2, 3 were there, and 4 comes", {
        "the newest frame stands first: the network learns time to run one way and must be shown it that way":
            _stack(4, 1, 2),
        "the oldest frame stays and the newest of before is lost": _stack(1, 2, 4),
        "the stack is turned round": _stack(4, 3, 2),
        "the new frame is not in the stack": _stack(2, 3, 3),
        "a frame fills the stack though the episode goes on": _stack(4, 4, 4),
    })  # fmt: skip


@SHOW.probe(
    "a first frame fills the stack: nothing of the last episode is left",
    "`np.where(condition, frame, pushed)` can choose for each environment; mind the shapes.",
)
def _first(answer: Callable) -> None:
    got = answer(_stack(1, 2, 3), _frames(9), np.array([True]))
    expect(got, _stack(9, 9, 9), "Frames 1, 2, 3 belong to an episode that is over, 9 begins the next", {
        "frames of the old episode are left in the stack: the ball seems to jump": _stack(2, 3, 9),
        "the stack is empty before the first frame: it should be filled with that frame": _stack(0, 0, 9),
        "the old episode's frames are kept and the new frame is lost": _stack(1, 2, 3),
    })  # fmt: skip


@SHOW.probe(
    "each environment on its own",
    "`over` has one entry for each environment: no `if` can decide for all of them.",
)
def _each(answer: Callable) -> None:
    rng = np.random.default_rng(0)
    stack, frame, over = rng.random((4, 2, 3, 3)), rng.random((4, 3, 3)), np.array([False, True, True, False])
    everyone = np.repeat(frame[:, None], 2, axis=1)
    expect(answer(stack, frame, over), show(stack, frame, over), "Of four, two begin anew", {
        "one that begins makes all of them begin": everyone,
        "none begins though two should: a test of `over.all()`?": show(stack, frame, over & False),
    })  # fmt: skip


# ------------------------------------------------------------------------------------------ mend


def brightness(frames: np.ndarray) -> np.ndarray:
    """Mean of red, green and blue of frames (N, H, W, 3), uint8, from 0 to 1: (N, H, W).

    Book: algorithms/pixels
    """
    # solution
    return frames.astype(float).mean(axis=-1) / 255
    # given
    # total = frames[..., 0] + frames[..., 1] + frames[..., 2]
    # return total / 3 / 255
    # end


BRIGHTNESS = Exercise("pixels-brightness", "Mend: the ball that vanishes", PAGE, SMALL, brightness)


def _pixel(*colour: int) -> np.ndarray:
    return np.array(colour, np.uint8)[None, None, None]  # (1, 1, 1, 3)


@BRIGHTNESS.probe(
    "a dark colour",
    "A mean of three numbers, then 255 becomes 1.",
)
def _dark(answer: Callable) -> None:
    expect(answer(_pixel(30, 60, 12)), np.full((1, 1, 1), 34 / 255), "The mean of 30, 60 and 12 is 34", {
        "this is the sum: divide by three": np.full((1, 1, 1), 102 / 255),
        "the result should lie between 0 and 1: divide by 255": np.full((1, 1, 1), 34.0),
        "this is the brightest of the three, not their mean": np.full((1, 1, 1), 60 / 255),
    })  # fmt: skip


@BRIGHTNESS.probe(
    "a bright colour, whose sum is more than a byte holds",
    "What is np.uint8(200) + np.uint8(100)? Try it.",
    "Make the numbers wider before they meet: `frames.astype(float)`.",
)
def _bright(answer: Callable) -> None:
    frames = np.array([[[[200, 112, 200], [250, 250, 250]]]], np.uint8)  # (1, 1, 2, 3)
    want = frames.astype(float).mean(axis=-1) / 255
    wrapped = frames.sum(axis=-1, dtype=np.uint8)
    halved = (frames // 3).sum(axis=-1, dtype=np.uint8)
    late = (frames[..., 0] + frames[..., 1]).astype(float) + frames[..., 2]
    expect(answer(frames), want, "A violet of 200, 112, 200 and a near-white of three times 250", {
        "sums wrap around at 256: 200 + 112 + 200 = 512 is 0 in a byte, and the violet is black":
            wrapped / 3 / 255,
        "dividing each byte by three first keeps the sum small and throws the remainders away":
            halved / 255,
        "the first two were added as bytes, and only then made wider: too late": late / 3 / 255,
    })  # fmt: skip
