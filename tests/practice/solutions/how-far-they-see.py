"""How the price of exploring grows with the size of the sea."""

import numpy as np


def exponent(sizes, until):
    """Slope of log-medians over log-sizes; ``np.median`` of a half that is infinite is infinite."""
    median = np.median(until, axis=1)
    known = np.isfinite(median)
    if known.sum() < 2:
        return float("nan")
    return float(np.polyfit(np.log(np.asarray(sizes)[known]), np.log(median[known]), 1)[0])
