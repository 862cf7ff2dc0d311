"""The policy is too slow: no action is due."""

from __future__ import annotations

from pydantic import PositiveFloat

from lerobot_inference.control.guards.base import ACCEPT, Settings, Severity, Situation, Verdict


class QueueEmpty(Settings):
    """Hold while no action is due, latch when that lasts. Seconds."""

    latch_s: PositiveFloat = 0.2

    def check(self, situation: Situation) -> Verdict:
        """See Watch."""
        if situation.empty_s <= 0.0:
            return ACCEPT
        reason = f"no action has been due for {situation.empty_s:.3f} s"
        return Verdict(Severity.LATCH if situation.empty_s > self.latch_s else Severity.HOLD, reason)
