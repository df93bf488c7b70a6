"""What this method does, in a sentence.

Paper: Author, *title*, year.

Book: PART/NAME
"""

import numpy as np


def running_mean(rewards: np.ndarray, step_size: float) -> np.ndarray:
    """Running estimates of a mean: each moves ``step_size`` of the way towards the newest number.

    Args:
        rewards: (T, S), what was seen, of S seeds. step_size: above 0, at most 1.

    Returns:
        (T, S): the estimate after each number; before the first it is 0.

    Raises:
        ValueError: ``step_size`` is out of range.

    Book: PART/NAME
    """
    if not 0 < step_size <= 1:
        raise ValueError(f"step_size lies above 0 and at most at 1, not at {step_size}")
    estimates = np.zeros(rewards.shape)
    estimate = np.zeros(rewards.shape[1:])  # (S,)
    for t, reward in enumerate(rewards):
        estimate = estimate + step_size * (reward - estimate)  # (eq-SLUG-update)
        estimates[t] = estimate
    return estimates
