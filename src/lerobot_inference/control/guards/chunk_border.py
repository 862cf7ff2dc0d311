"""A new chunk that begins somewhere else."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat

from lerobot_inference.control.guards.base import ACCEPT, Settings, Severity, Situation, Verdict
from lerobot_inference.types import BoolArray, FloatArray


class ChunkBorder(Settings):
    """Refuse a chunk whose first target is further than `limit` radians from the last command."""

    limit: PositiveFloat = 0.07

    def check(self, chunk: FloatArray, first: FloatArray, situation: Situation) -> Verdict:  # noqa: ARG002
        """See ChunkCheck."""
        jump = np.abs(first - situation.command)
        far: BoolArray = jump > self.limit
        if not far.any():
            return ACCEPT
        reason = f"{situation.names(far)}: the chunk begins {jump.max():.3f} rad from the last command"
        return Verdict(Severity.REJECT, reason)
