"""An arm that leaps to where the policy thinks it is when control is switched on."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat

from lerobot_inference.control.guards.base import ACCEPT, Settings, Severity, Situation, Verdict
from lerobot_inference.types import BoolArray, FloatArray


class FirstTarget(Settings):
    """Switch control off again where the first target is further than `limit` radians from the measured pose."""

    limit: PositiveFloat = 0.05

    def check(self, chunk: FloatArray, first: FloatArray, situation: Situation) -> Verdict:  # noqa: ARG002
        """See ChunkCheck."""
        distance = np.abs(first - situation.measured)
        far: BoolArray = distance > self.limit
        if not situation.armed or situation.moved_s > 0.0 or not far.any():
            return ACCEPT
        reason = f"{situation.names(far)}: the first target is {distance.max():.3f} rad from where the arm is"
        return Verdict(Severity.DISARM, reason)
