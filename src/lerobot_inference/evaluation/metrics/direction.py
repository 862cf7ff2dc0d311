"""Whether the predicted motion goes where the demonstrator's went."""

from __future__ import annotations

import numpy as np

from lerobot_inference.evaluation.metrics.mean import Mean
from lerobot_inference.evaluation.metrics.windows import Windows
from lerobot_inference.types import ActionMode, TimeArray

AT_REST = 1e-9
"""Radians: the length of a motion below which it has no direction."""


def direction_cosine(windows: Windows) -> Mean:
    """Cosine of the angle between the predicted and the recorded motion of a step, all joints as one vector.

    A motion is the action where actions are deltas, else action - state of the joints that have both.
    Steps where either is at rest are left out.
    """
    predicted, recorded = (_motion(windows, actions) for actions in (windows.predicted, windows.recorded))
    lengths = np.linalg.norm(predicted, axis=-1), np.linalg.norm(recorded, axis=-1)
    counted = windows.scored & (np.minimum(*lengths) >= AT_REST)
    products = (predicted * recorded).sum(axis=-1)
    cosines = np.divide(products, lengths[0] * lengths[1], out=np.zeros_like(products), where=counted)
    return Mean.over(cosines, counted)


def _motion(windows: Windows, actions: TimeArray) -> TimeArray:
    if windows.action_mode is ActionMode.DELTA:
        return actions
    shared = min(actions.shape[-1], windows.states.shape[-1])
    return np.asarray(actions[..., :shared] - windows.states[..., :shared])
