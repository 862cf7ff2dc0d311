"""The policy says nonsense."""

from __future__ import annotations

import numpy as np

from lerobot_inference.control.guards.base import ACCEPT, Settings, Severity, Situation, Verdict
from lerobot_inference.types import FloatArray


class FiniteChunk(Settings):
    """Latch on a chunk with a NaN or an infinity, or with another number of joints."""

    def check(self, chunk: FloatArray, first: FloatArray, situation: Situation) -> Verdict:  # noqa: ARG002
        """See ChunkCheck."""
        joints = len(situation.joint_names)
        if chunk.ndim != 2 or not len(chunk) or chunk.shape[1] != joints:
            return Verdict(Severity.LATCH, f"the policy gave a chunk of shape {chunk.shape}, expected (n, {joints})")
        if not np.isfinite(chunk).all():
            return Verdict(Severity.LATCH, "the policy gave a NaN or an infinity")
        return ACCEPT
