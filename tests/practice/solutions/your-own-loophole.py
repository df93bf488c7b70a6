"""The crumb at which the goal is given up."""

from baseline import worlds

from rlworkshop.foundations.dynamic_programming import optimal_values


def breaking_point(layout, gamma, tolerance=1e-6):
    """Halve the interval until it is short."""

    def at_start(crumb):
        world = worlds(layout, crumb)[1]
        return world.start @ optimal_values(world, gamma)[0]

    low, high, goal = 0.0, 1.0, at_start(0.0)
    while high - low > tolerance:
        middle = (low + high) / 2
        low, high = (low, middle) if at_start(middle) > goal + 1e-12 else (middle, high)
    return low
