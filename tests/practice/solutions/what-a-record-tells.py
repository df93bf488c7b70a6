"""How sure a record makes you of each number."""

import numpy as np

from rlworkshop.robotics.reality_gap import DT


def standard_errors(velocity, push):
    """Roots of the diagonal of s² (XᵀX)⁻¹."""
    (ux, uy), (vx, vy) = push.T, velocity[:-1].T
    one, none = np.ones_like(ux), np.zeros_like(ux)
    along_x = np.stack([ux, -uy, -vx, one, none], axis=1)
    along_y = np.stack([uy, ux, -vy, none, one], axis=1)
    X, seen = np.concatenate([along_x, along_y]), (np.diff(velocity, axis=0) / DT).T.ravel()
    rest = seen - X @ np.linalg.lstsq(X, seen, rcond=None)[0]
    return np.sqrt(rest @ rest / (len(X) - 5) * np.diag(np.linalg.inv(X.T @ X)))
