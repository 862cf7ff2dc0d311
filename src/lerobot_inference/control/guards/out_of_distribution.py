"""The arm is where the policy never was in training."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import PositiveFloat

from lerobot_inference.control.guards.base import ACCEPT, Settings, Severity, Situation, Verdict
from lerobot_inference.types import BoolArray


class OutOfDistribution(Settings):
    """Warn while a joint is more than `sigmas` standard deviations from the mean of the recorded states.

    mean, std: (J,) radians, in the robot's own joint angles; empty where the policy says nothing of them.
    """

    per_joint: ClassVar[tuple[str, ...]] = ("mean", "std")
    sigmas: PositiveFloat = 6.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def check(self, situation: Situation) -> Verdict:
        """See Watch."""
        if not self.mean:
            return ACCEPT
        mean, std = (np.asarray(values, np.float32) for values in (self.mean, self.std))
        far: BoolArray = np.abs(situation.measured - mean) > self.sigmas * std
        if not far.any():
            return ACCEPT
        return Verdict(Severity.WARN, f"{situation.names(far)}: more than {self.sigmas:g} sigma from what was recorded")
