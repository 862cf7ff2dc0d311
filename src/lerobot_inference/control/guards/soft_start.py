"""An arm that leaps off when control is switched on."""

from __future__ import annotations

from pydantic import NonNegativeFloat

from lerobot_inference.control.guards.base import ACCEPT, Settings, Situation, Verdict, scaled
from lerobot_inference.types import FloatArray


class SoftStart(Settings):
    """Ramp the step of a tick up over the first `ramp_s` seconds."""

    ramp_s: NonNegativeFloat = 2.0

    def check(self, target: FloatArray, situation: Situation) -> Verdict:
        """See Limit."""
        if not situation.armed or situation.moved_s >= self.ramp_s:
            return ACCEPT
        part = (situation.moved_s + situation.period_s) / (self.ramp_s + situation.period_s)
        return scaled(target, situation, part, f"soft start, {100 * part:.0f} % of the speed")
