"""Through the table, the wall or a person."""

from __future__ import annotations

from pydantic import NonNegativeFloat

from lerobot_inference.control.guards.base import ACCEPT, Settings, Severity, Situation, Verdict
from lerobot_inference.control.kinematics import base_to_tool, link_positions
from lerobot_inference.types import FloatArray

type Corner = tuple[float, float, float]


class Workspace(Settings):
    """Latch before the wrist, the flange or the tool's tip leaves a box.

    low, high: metres in `base_link`. tool_length: metres, flange to tip.
    """

    low: Corner = (-1.3, -1.3, 0.0)
    high: Corner = (1.3, 1.3, 1.5)
    tool_length: NonNegativeFloat = 0.0

    def check(self, target: FloatArray, situation: Situation) -> Verdict:
        """See Limit."""
        points = link_positions(target[base_to_tool(situation.joint_names)], self.tool_length)[-3:]
        if ((points >= self.low) & (points <= self.high)).all():
            return ACCEPT
        where = ", ".join(f"{metres:.2f}" for metres in points[-1])
        return Verdict(Severity.LATCH, f"the arm would leave the workspace, its tool at ({where}) m")
