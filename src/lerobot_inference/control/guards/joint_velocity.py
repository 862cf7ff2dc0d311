"""Too fast."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, PositiveFloat

from lerobot_inference.control.guards.base import ACCEPT, Settings, Severity, Situation, Verdict, scaled
from lerobot_inference.types import FloatArray


class JointVelocity(Settings):
    """Slow the whole vector down to `fraction` of the arm's own limits; refuse what is beyond `reject_times` of that.

    limits: (J,) rad/s. fraction: 0.25 while commissioning, 0.5 in operation. The same cap over one control period is
    the largest joint step of a tick.
    """

    per_joint: ClassVar[tuple[str, ...]] = ("limits",)
    limits: tuple[PositiveFloat, ...]
    fraction: Annotated[PositiveFloat, Field(le=1)] = 0.25
    reject_times: PositiveFloat = 2.0

    def check(self, target: FloatArray, situation: Situation) -> Verdict:
        """See Limit."""
        cap = self.fraction * np.asarray(self.limits)
        ratio = np.abs(target - situation.command) / (cap * situation.period_s)
        worst = float(ratio.max())
        if worst <= 1.0 + 1e-6:  # the float32 of a step that was scaled before
            return ACCEPT
        joints = situation.names(ratio > 1.0)
        if worst > self.reject_times:
            return Verdict(Severity.REJECT, f"{joints}: {worst:.1f} times the speed allowed")
        return scaled(target, situation, 1.0 / worst, f"{joints}: {worst:.2f} times the speed allowed")
