"""The policy asks for the impossible again and again."""

from __future__ import annotations

from pydantic import PositiveInt

from lerobot_inference.control.guards.base import ACCEPT, Settings, Severity, Situation, Verdict


class RejectedChunks(Settings):
    """Latch after this many rejected chunks in a row."""

    in_a_row: PositiveInt = 3

    def check(self, situation: Situation) -> Verdict:
        """See Watch."""
        if situation.rejected_chunks < self.in_a_row:
            return ACCEPT
        return Verdict(Severity.LATCH, f"{situation.rejected_chunks} chunks in a row were rejected")
