"""Single environments made of vector environments; more is tested with those that use it."""

import numpy as np
import pytest

from rlworkshop.envs.single import One
from rlworkshop.robotics.reality_gap import PuckEnvs


def test_values_lose_their_first_axis():
    one = One(PuckEnvs(1, render_mode="rgb_array"))
    obs, info = one.reset(seed=0)
    assert obs.shape == (8,) and info == {"goals": 0}
    obs, reward, terminated, truncated, info = one.step(np.zeros(2, np.float32))
    assert obs.shape == (8,) and type(reward) is float and terminated is False and truncated is False
    assert one.render().shape == (200, 200, 3) and one.render_mode == "rgb_array"


def test_more_than_one_copy_is_refused():
    with pytest.raises(ValueError, match="not 2"):
        One(PuckEnvs(2))
