"""Too jerky."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat

from lerobot_inference.control.guards.base import ACCEPT, Settings, Severity, Situation, Verdict
from lerobot_inference.types import FloatArray


class JointAcceleration(Settings):
    """Let the velocity change by `limit` rad/s^2 at most: 2.5 while commissioning, 5 in operation.

    The change is scaled as a whole vector, so the arm bends towards the asked direction.
    """

    limit: PositiveFloat = 2.5

    def check(self, target: FloatArray, situation: Situation) -> Verdict:
        """See Limit."""
        period = situation.period_s
        change = (target - situation.command) / period - situation.velocity
        ratio = np.abs(change) / (self.limit * period)
        worst = float(ratio.max())
        if worst <= 1.0 + 1e-4:  # float32, twice divided by the period
            return ACCEPT
        velocity = situation.velocity + change / worst
        reason = f"{situation.names(ratio > 1.0)}: {worst:.1f} times the acceleration allowed"
        return Verdict(Severity.SCALE, reason, (situation.command + velocity * period).astype(np.float32))
