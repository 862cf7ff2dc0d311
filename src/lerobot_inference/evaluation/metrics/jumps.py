"""Steps from one action to the next, where a new chunk begins and where none does."""

from __future__ import annotations

import numpy as np

from lerobot_inference.evaluation.metrics.mean import Mean
from lerobot_inference.types import IntArray, TimeArray


def border_jump(actions: TimeArray, chunk_starts: IntArray) -> Mean:
    """|action[t] - action[t - 1]| (A,) of actions (T, A) where t > 0 is a chunk's first step."""
    return _jumps(actions, chunk_starts, at_border=True)


def interior_jump(actions: TimeArray, chunk_starts: IntArray) -> Mean:
    """|action[t] - action[t - 1]| (A,) of actions (T, A) where t > 0 is no chunk's first step."""
    return _jumps(actions, chunk_starts, at_border=False)


def _jumps(actions: TimeArray, chunk_starts: IntArray, *, at_border: bool) -> Mean:
    is_border = np.isin(np.arange(1, len(actions)), chunk_starts)
    return Mean.over(np.abs(np.diff(actions, axis=0)), is_border == at_border)
