"""An estimate that refuses when it stands on too few episodes."""

import numpy as np


def guarded(returns, logs, at_least=30.0):
    """Weighted importance sampling with its effective sample size."""
    w = np.exp(logs - logs.max())
    effective = float(w.sum() ** 2 / (w**2).sum())
    found = float((w * returns).sum() / w.sum())
    return (found if effective >= at_least else float("nan")), effective
