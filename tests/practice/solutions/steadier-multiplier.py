"""A multiplier that looks at where the cost is going."""

import dataclasses

from rlworkshop.safety.constrained_rl import Multiplier


@dataclasses.dataclass
class PID(Multiplier):
    """PI control, and a term for a cost that rises."""

    kd: float = 0.0
    before: float | None = None

    def update(self, cost):
        """The sum of three terms, clipped."""
        super().update(cost)
        rise = 0.0 if self.before is None else max(0.0, cost - self.before)
        excess, self.before = cost - self.limit, cost
        total = self.total + self.kp * excess + self.kd * rise
        self.value = float(min(max(total, 0.0), self.most))
        return self.value
