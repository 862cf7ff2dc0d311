"""The policy fails to answer."""

from __future__ import annotations

from pydantic import PositiveInt

from lerobot_inference.control.guards.base import ACCEPT, Settings, Severity, Situation, Verdict


class InferenceError(Settings):
    """Latch after this many failed predictions in a row."""

    in_a_row: PositiveInt = 3

    def check(self, situation: Situation) -> Verdict:
        """See Watch."""
        if situation.failed_predictions < self.in_a_row:
            return ACCEPT
        return Verdict(Severity.LATCH, f"{situation.failed_predictions} predictions in a row have failed")
