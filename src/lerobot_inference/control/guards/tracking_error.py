"""The arm does not do what it is told: blocked, stopped, or driven by something else."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat, PrivateAttr

from lerobot_inference.control.guards.base import ACCEPT, Settings, Severity, Situation, Verdict


class TrackingError(Settings):
    """Stand still while the arm is further than `limit` radians from its last command; latch when it stays there.

    A servo's own lag is about 34 ms on a UR: 0.07 rad at 2 rad/s. Standing still lets a lagging arm catch up, so the
    last command stays a reference that is at most `limit` from the arm.
    """

    limit: PositiveFloat = 0.2
    latch_s: PositiveFloat = 0.5
    _since_s: float | None = PrivateAttr(default=None)

    def check(self, situation: Situation) -> Verdict:
        """See Watch."""
        error = np.abs(situation.command - situation.measured)
        if not situation.armed or (error <= self.limit).all():
            self._since_s = None
            return ACCEPT
        if self._since_s is None:
            self._since_s = situation.now_s
        lasted = situation.now_s - self._since_s
        reason = f"{situation.names(error > self.limit)}: {error.max():.3f} rad from the command, for {lasted:.3f} s"
        return Verdict(Severity.LATCH if lasted > self.latch_s else Severity.REJECT, reason)
