"""How far predicted deltas lead away when they are summed."""

from __future__ import annotations

import numpy as np

from lerobot_inference.evaluation.metrics.mean import Mean
from lerobot_inference.evaluation.metrics.windows import Windows
from lerobot_inference.types import ActionMode


def drift(windows: Windows) -> Mean:
    """|sum of e| over each stretch (A,), at its last scored step; nothing for absolute actions, which don't sum."""
    if windows.action_mode is not ActionMode.DELTA:
        return Mean.none(windows.predicted.shape[-1])
    return Mean.over(np.abs(windows.error.sum(axis=1)), windows.scored[:, 0])
