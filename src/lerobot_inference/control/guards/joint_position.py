"""Out of the joint range."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import NonNegativeFloat

from lerobot_inference.control.guards.base import ACCEPT, Settings, Severity, Situation, Verdict
from lerobot_inference.types import FloatArray


class JointPosition(Settings):
    """Latch before a joint comes closer than `margin` radians to its limit.

    limits: (J, 2) radians, lower and upper. margin: 0.1 is MoveIt Servo's joint_limit_margin.
    """

    per_joint: ClassVar[tuple[str, ...]] = ("limits",)
    limits: tuple[tuple[float, float], ...]
    margin: NonNegativeFloat = 0.1

    def check(self, target: FloatArray, situation: Situation) -> Verdict:
        """See Limit."""
        low, high = np.asarray(self.limits).T
        outside = (target < low + self.margin) | (target > high - self.margin)
        if not outside.any():
            return ACCEPT
        return Verdict(Severity.LATCH, f"{situation.names(outside)} would leave the joint range")
