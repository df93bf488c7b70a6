"""The running mean against its closed form."""

import numpy as np
import pytest

from rlworkshop.PART import NAME


@pytest.mark.parametrize("step_size", [0.1, 0.5, 1.0])
def test_running_mean_of_a_constant_approaches_it_geometrically(step_size):
    estimates = NAME.running_mean(np.full((20, 3), 4.0), step_size)
    expected = 4.0 * (1 - (1 - step_size) ** np.arange(1, 21))  # (T,)
    np.testing.assert_allclose(estimates, np.tile(expected[:, None], (1, 3)))


@pytest.mark.parametrize("step_size", [0.0, -0.1, 1.5])
def test_running_mean_refuses_a_step_out_of_range(step_size):
    with pytest.raises(ValueError, match="step_size lies above 0"):
        NAME.running_mean(np.ones((2, 1)), step_size)
