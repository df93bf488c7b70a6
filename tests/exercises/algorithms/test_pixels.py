"""Plausible wrong answers to the exercises on pixels, and what each is told.

``WRONG`` is also read by ``test_exercises.py``, which proves the rules that hold for every exercise.
"""

import numpy as np
import pytest
import torch

from rlworkshop import check, exercises
from rlworkshop.envs import wrappers
from rlworkshop.exercises.algorithms import pixels

# ---- tower


def _tower(side, layers, places=lambda s, k, t: (s - k) // t + 1, reach=lambda k: k - 1, steps="all"):
    field, step, rows = 1, 1, []
    for kernel, stride in layers:
        side = places(side, kernel, stride)
        field += reach(kernel) * step
        step = {"all": step * stride, "none": 1, "last": stride}[steps]
        rows.append((side, field))
    return np.array(rows, float)


def first_place_forgotten(side, layers):
    return _tower(side, layers, places=lambda s, k, t: (s - k) // t)


def padded(side, layers):
    return _tower(side, layers, places=lambda s, k, t: -(-s // t))


def strides_not_used(side, layers):
    return _tower(side, layers, places=lambda s, k, t: s - k + 1)


def windows_added(side, layers):
    rows = _tower(side, layers)
    rows[:, 1] = np.cumsum([k for k, _ in layers])
    return rows


def windows_multiplied(side, layers):
    rows = _tower(side, layers)
    rows[:, 1] = np.cumprod([k for k, _ in layers])
    return rows


def kernels_alone(side, layers):
    rows = _tower(side, layers)
    rows[:, 1] = [k for k, _ in layers]
    return rows


def from_the_picture(side, layers):
    rows = _tower(side, layers)
    rows[:, 0] = [(side - k) // s + 1 for k, s in layers]
    return rows


def field_without_strides(side, layers):
    return _tower(side, layers, steps="none")


def only_the_last_stride(side, layers):
    return _tower(side, layers, steps="last")


# ---- show


def newest_first(stack, frame, over):
    pushed = np.concatenate([frame[:, None], stack[:, :-1]], axis=1)
    return np.where(over[:, None, None, None], frame[:, None], pushed)


def newest_replaced(stack, frame, over):
    pushed = np.concatenate([stack[:, :-1], frame[:, None]], axis=1)
    return np.where(over[:, None, None, None], frame[:, None], pushed)


def turned_round(stack, frame, over):
    return pixels.show(stack, frame, over)[:, ::-1]


def flag_turned_round(stack, frame, over):
    return pixels.show(stack, frame, ~over)


def never_forgets(stack, frame, over):
    return np.concatenate([stack[:, 1:], frame[:, None]], axis=1)


def emptied(stack, frame, over):
    kept = np.where(over[:, None, None, None], 0, stack[:, 1:])
    return np.concatenate([kept, frame[:, None]], axis=1)


def all_or_none(stack, frame, over):
    return pixels.show(stack, frame, np.full(len(over), over.any()))


def only_when_all(stack, frame, over):
    return pixels.show(stack, frame, np.full(len(over), over.all()))


# ---- brightness


def summed(frames):
    return frames.astype(float).sum(axis=-1) / 255


def not_scaled(frames):
    return frames.astype(float).mean(axis=-1)


def brightest(frames):
    return frames.max(axis=-1) / 255


def in_bytes(frames):
    return frames.sum(axis=-1, dtype=np.uint8) / 3 / 255


def thirds(frames):
    return (frames // 3).sum(axis=-1, dtype=np.uint8) / 255


def wider_too_late(frames):
    return ((frames[..., 0] + frames[..., 1]).astype(float) + frames[..., 2]) / 3 / 255


WRONG = {
    "pixels-tower": [
        (first_place_forgotten, "first place of the window"),
        (padded, "hang over the edge"),
        (strides_not_used, "the stride is not used"),
        (windows_added, "windows are added whole"),
        (windows_multiplied, "windows are multiplied"),
        (kernels_alone, "kernel of each layer alone"),
        (from_the_picture, "every layer starts from the picture"),
        (field_without_strides, "strides are left out"),
        (only_the_last_stride, "stride of the layer just below"),
    ],
    "pixels-show": [
        (newest_first, "newest frame stands first"),
        (newest_replaced, "oldest frame stays"),
        (turned_round, "stack is turned round"),
        (flag_turned_round, "though the episode goes on"),
        (never_forgets, "ball seems to jump"),
        (emptied, "empty before the first frame"),
        (all_or_none, "one that begins makes all"),
        (only_when_all, "none begins though two should"),
    ],
    "pixels-brightness": [
        (summed, "this is the sum"),
        (not_scaled, "between 0 and 1"),
        (brightest, "brightest of the three"),
        (in_bytes, "512 is 0 in a byte"),
        (thirds, "throws the remainders away"),
        (wider_too_late, "too late"),
    ],
}


def test_the_stub_of_the_function_to_mend_runs_and_is_told_what_is_wrong():
    space: dict = {}
    exec(exercises.find("pixels-brightness").stub, space)
    with pytest.raises(check.Wrong, match="512 is 0 in a byte"):
        exercises.find("pixels-brightness").check(space["brightness"])


def test_the_tower_is_what_torch_makes_of_it():
    """The field by asking which pixels have a gradient."""
    layers = [(5, 2), (3, 2), (2, 1)]
    net = torch.nn.Sequential(*(torch.nn.Conv2d(1, 1, k, s) for k, s in layers))
    for depth, (side, field) in enumerate(pixels.tower(41, layers), 1):
        picture = torch.zeros(1, 1, 41, 41, requires_grad=True)
        out = net[:depth](picture)
        out[0, 0, 0, 0].backward()
        assert out.shape[-1] == side and (picture.grad[0, 0, 0] != 0).sum() == field


def test_the_stack_is_the_chapters_own():
    rng = np.random.default_rng(0)
    stack, frame, over = rng.random((5, 3, 2, 2)), rng.random((5, 2, 2)), rng.random(5) < 0.5
    assert np.array_equal(pixels.show(stack, frame, over), wrappers.push(stack, frame[:, None], over))
