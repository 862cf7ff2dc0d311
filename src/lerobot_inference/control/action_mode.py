"""What an action means to the arm."""

from __future__ import annotations

from lerobot_inference.types import ActionMode, FloatArray


def to_target(action: FloatArray, reference: FloatArray, mode: ActionMode) -> FloatArray:
    """The joint target that an action asks for. All (..., J) radians.

    delta: reference + action, where reference is the last **commanded** target: adding to the measured pose
    would lose what the servo has not caught up with yet. absolute: the action itself.
    """
    return reference + action if mode is ActionMode.DELTA else action


def to_action(target: FloatArray, reference: FloatArray, mode: ActionMode) -> FloatArray:
    """The action that asks for a joint target: the inverse of `to_target`."""
    return target - reference if mode is ActionMode.DELTA else target
