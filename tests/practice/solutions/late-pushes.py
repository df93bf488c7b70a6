"""Where the puck will be when the next push arrives."""

from rlworkshop.robotics.reality_gap import DT


def ahead(position, velocity, under_way, robots):
    """The physics of the simulator, a push at a time."""
    for push in under_way:
        velocity = velocity + DT * robots.acceleration(velocity, push, 0.0)
        position = position + DT * velocity
    return position, velocity
