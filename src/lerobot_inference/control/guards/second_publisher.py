"""Two programs command one arm."""

from __future__ import annotations

from lerobot_inference.control.guards.base import ACCEPT, Settings, Severity, Situation, Verdict


class SecondPublisher(Settings):
    """Latch as soon as anything else publishes on the command topic."""

    def check(self, situation: Situation) -> Verdict:
        """See Watch."""
        if not situation.publishers:
            return ACCEPT
        return Verdict(Severity.LATCH, f"{situation.publishers} other publisher(s) on the command topic")
