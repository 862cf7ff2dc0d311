"""The third derivative of the joint positions that actions ask for."""

from __future__ import annotations

import numpy as np

from lerobot_inference.evaluation.metrics.mean import Mean
from lerobot_inference.evaluation.metrics.windows import Windows
from lerobot_inference.types import ActionMode, TimeArray


def squared_jerk(windows: Windows, actions: TimeArray) -> Mean:
    """Squared jerk (A,) of actions (N, K, A) within each stretch, (radians / s^3)^2.

    The third difference of positions * fps^3; a delta is the first difference already.
    """
    order = 2 if windows.action_mode is ActionMode.DELTA else 3
    jerk = np.diff(actions, n=order, axis=1) * windows.fps**3
    return Mean.over(jerk**2, windows.scored[:, order:])
