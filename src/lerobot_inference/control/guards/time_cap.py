"""Nobody is watching any more."""

from __future__ import annotations

from pydantic import PositiveFloat

from lerobot_inference.control.guards.base import ACCEPT, Settings, Severity, Situation, Verdict


class TimeCap(Settings):
    """Stop in a controlled way when control has been on for `seconds`; a person enables it again."""

    seconds: PositiveFloat = 60.0

    def check(self, situation: Situation) -> Verdict:
        """See Watch."""
        if not situation.armed or situation.armed_s <= self.seconds:
            return ACCEPT
        return Verdict(Severity.DISARM, f"control has been on for {self.seconds:g} s, the longest allowed")
