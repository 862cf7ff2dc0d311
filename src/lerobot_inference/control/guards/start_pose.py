"""The arm starts where no demonstration ever was."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import PositiveFloat

from lerobot_inference.control.guards.base import ACCEPT, Settings, Severity, Situation, Verdict
from lerobot_inference.types import BoolArray


class StartPose(Settings):
    """Control stays off unless every joint is within min - `sigmas` std and max + `sigmas` std of the recorded states.

    min, max, std: (J,) radians, in the robot's own joint angles; empty where the policy says nothing of them.
    """

    per_joint: ClassVar[tuple[str, ...]] = ("min", "max", "std")
    sigmas: PositiveFloat = 3.0
    min: tuple[float, ...] = ()
    max: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def check(self, situation: Situation) -> Verdict:
        """See Watch."""
        if not self.min:
            return ACCEPT
        low, high, std = (np.asarray(values, np.float32) for values in (self.min, self.max, self.std))
        room = self.sigmas * std
        outside: BoolArray = (situation.measured < low - room) | (situation.measured > high + room)
        if not outside.any():
            return ACCEPT
        return Verdict(Severity.DISARM, f"{situation.names(outside)}: the arm starts outside of what was recorded")
