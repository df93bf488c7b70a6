"""The frontier of usefulness and safety."""

import itertools

import numpy as np

from rlworkshop.safety import ai_control as control


def frontier(setting, audit, tasks, shares):
    """Every combination, sorted by usefulness; kept is what is safer than all before."""
    points = []
    for defer in map(np.array, itertools.product(shares, repeat=len(setting.share))):
        won = control.best_attack(setting, control.attack_odds(setting, audit, defer), tasks)[0]
        points.append((control.usefulness(setting, defer, setting.trusted), 1 - won))
    kept, safest = [], -1.0
    for useful, safe in sorted(points, key=lambda point: (-round(point[0], 9), -point[1])):
        if safe > safest + 1e-9:
            kept.append((useful, safe))
            safest = safe
    return np.array(kept)
