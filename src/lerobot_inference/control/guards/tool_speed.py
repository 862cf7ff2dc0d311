"""A long arm makes a slow joint a fast tool."""

from __future__ import annotations

import numpy as np
from pydantic import NonNegativeFloat, PositiveFloat

from lerobot_inference.control.guards.base import ACCEPT, Settings, Situation, Verdict, scaled
from lerobot_inference.control.kinematics import base_to_tool, link_positions
from lerobot_inference.types import FloatArray

_ROOM = 0.99  # a scaled joint step is not quite a scaled tool step


class ToolSpeed(Settings):
    """Slow the whole vector down to `limit` m/s at the tool's tip: 0.25 while commissioning, 1.0 at most.

    0.25 m/s is what ISO 10218-1 calls reduced speed. tool_length: metres, flange to tip.
    """

    limit: PositiveFloat = 0.25
    tool_length: NonNegativeFloat = 0.0

    def check(self, target: FloatArray, situation: Situation) -> Verdict:
        """See Limit."""
        order = base_to_tool(situation.joint_names)
        there, here = (link_positions(joints[order], self.tool_length)[-1] for joints in (target, situation.command))
        speed = float(np.linalg.norm(there - here)) / situation.period_s
        if speed <= self.limit:
            return ACCEPT
        reason = f"the tool would move at {speed:.2f} m/s, the limit is {self.limit:g} m/s"
        return scaled(target, situation, _ROOM * self.limit / speed, reason)
