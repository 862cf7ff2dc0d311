"""The robot itself says that it is not running: protective stop, e-stop, program stopped, speed slider at zero."""

from __future__ import annotations

from lerobot_inference.control.guards.base import ACCEPT, Settings, Severity, Situation, Verdict


class RobotMode(Settings):
    """Drop the chunk and disarm: after a stop the old motion must never be played on."""

    def check(self, situation: Situation) -> Verdict:
        """See Watch."""
        if situation.stopped is None:
            return ACCEPT
        return Verdict(Severity.DISARM, f"the robot is not running: {situation.stopped}")
