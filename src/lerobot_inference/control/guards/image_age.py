"""The camera shows the past."""

from __future__ import annotations

from pydantic import PositiveFloat

from lerobot_inference.control.guards.base import Settings, Situation, Verdict, aged


class ImageAge(Settings):
    """Hold, then latch, while the newest image is too old. Seconds."""

    hold_s: PositiveFloat = 0.15
    latch_s: PositiveFloat = 0.5

    def check(self, situation: Situation) -> Verdict:
        """See Watch."""
        return aged("the image", situation.image_age_s, self.hold_s, self.latch_s)
