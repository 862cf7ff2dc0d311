"""The arm's pose is not known any more."""

from __future__ import annotations

from pydantic import PositiveFloat

from lerobot_inference.control.guards.base import Settings, Situation, Verdict, aged


class JointStateAge(Settings):
    """Hold, then latch, while the newest joint state is too old. Seconds."""

    hold_s: PositiveFloat = 0.1
    latch_s: PositiveFloat = 0.2

    def check(self, situation: Situation) -> Verdict:
        """See Watch."""
        return aged("the joint state", situation.joint_age_s, self.hold_s, self.latch_s)
