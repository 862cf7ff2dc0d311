"""Error by how far ahead it was predicted."""

from __future__ import annotations

import numpy as np

from lerobot_inference.evaluation.metrics.mean import Mean
from lerobot_inference.evaluation.metrics.windows import Windows


def horizon_error(windows: Windows) -> Mean:
    """|e| (K,) by chunk step, over chunks and joints."""
    joints = windows.predicted.shape[-1]
    return Mean(np.abs(windows.error).sum(axis=(0, 2)), windows.scored.sum(axis=0) * float(joints))
