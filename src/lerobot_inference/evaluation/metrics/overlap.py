"""What successive chunks say differently about the same step."""

from __future__ import annotations

import numpy as np

from lerobot_inference.evaluation.metrics.mean import Mean
from lerobot_inference.evaluation.metrics.windows import Chunks


def squared_disagreement(chunks: Chunks) -> Mean:
    """(chunk of t [stride + k] - chunk of t + stride [k])^2 (A,), over the recorded steps that both reach."""
    stride, scored = chunks.stride, chunks.windows.scored
    said = np.concatenate([chunks.before, chunks.windows.predicted])
    difference = said[:-1, stride:] - said[1:, : said.shape[1] - min(stride, said.shape[1])]
    later = scored[len(scored) - len(difference) :, : difference.shape[1]]
    return Mean.over(difference**2, later)
