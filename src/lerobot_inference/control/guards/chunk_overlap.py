"""Two chunks in a row contradict each other: the policy does not know what it sees."""

from __future__ import annotations

import numpy as np

from lerobot_inference.control.guards.base import ACCEPT, Settings, Severity, Situation, Verdict
from lerobot_inference.types import FloatArray


class ChunkOverlap(Settings):
    """Latch where a chunk disagrees with the one before it about the steps that both reach.

    The disagreement is the root mean square of the difference over those steps and all joints, radians.

    by_stride: radians allowed; the first for a chunk that was asked for one step after the one before it, the second
    for two, the last for any more; empty where the policy says nothing of it.
    """

    by_stride: tuple[float, ...] = ()

    def check(self, chunk: FloatArray, first: FloatArray, situation: Situation) -> Verdict:  # noqa: ARG002
        """See ChunkCheck."""
        said = situation.said
        if not self.by_stride or said is None or chunk.shape[1:] != said.shape[1:]:
            return ACCEPT
        limit = self.by_stride[min(max(situation.stride, 1), len(self.by_stride)) - 1]
        found = disagreement(said, chunk)
        if not found > limit:  # a NaN is another guard's
            return ACCEPT
        reason = f"a chunk says otherwise than the one before it, {found:.3g} rad rms, the limit is {limit:.3g}"
        return Verdict(Severity.LATCH, reason)


def disagreement(said: FloatArray, chunk: FloatArray) -> float:
    """Root mean square of chunk - said over the steps (n, A) that both reach and all joints; 0 where there are none."""
    both = min(len(said), len(chunk))
    difference = chunk[:both].astype(np.float64) - said[:both]
    return float(np.sqrt(np.mean(difference**2))) if both else 0.0
