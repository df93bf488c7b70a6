"""Ranges that widen with time."""

from rlworkshop.robotics.reality_gap import PuckEnvs


class Scheduled(PuckEnvs):
    """A width that grows linearly."""

    def __init__(self, num_envs=1, width=1.0, steps=100_000, **kwargs):
        super().__init__(num_envs, **kwargs)
        self.width, self.steps = width, steps

    def _begin(self, which):
        now = self.width * min(1.0, self.ticks * self.num_envs / self.steps)
        self.set_range(-now, now)
        super()._begin(which)
