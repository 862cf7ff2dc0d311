"""Where the UR10e's links are, for joint angles: forward kinematics by Denavit-Hartenberg.

Frame: the robot's base as the UR controller has it. ROS's `base_link` and the simulated cell turn it half round z.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lerobot_inference.types import FloatArray, TimeArray

JOINTS = (
    "shoulder_pan_joint",
    "shoulder_lift_joint",
    "elbow_joint",
    "wrist_1_joint",
    "wrist_2_joint",
    "wrist_3_joint",
)
"""The UR10e's joints, base to tool: the training order of every joint vector in this package."""

# Universal Robots' published parameters of the UR10e, metres and radians, one entry a joint.
_D = (0.1807, 0.0, 0.0, 0.17415, 0.11985, 0.11655)
_A = np.array((0.0, -0.6127, -0.57155, 0.0, 0.0, 0.0))
_ALPHA = (np.pi / 2, 0.0, 0.0, np.pi / 2, -np.pi / 2, 0.0)
_COS_TWIST, _SIN_TWIST = np.cos(_ALPHA), np.sin(_ALPHA)
_LOWER = np.stack([_SIN_TWIST, _COS_TWIST, _D], axis=1)

_BASE_LINK = np.diag([-1.0, -1.0, 1.0])


def link_positions(joints: FloatArray | TimeArray, tool_length: float = 0.0) -> TimeArray:
    """(7, 3) metres in ROS's `base_link`: the origin of the frame that each joint moves, then the tool's tip.

    joints: (6,) radians, base to tool. tool_length: metres from the flange along its z axis to the tip.
    """
    positions = np.empty((7, 3))
    pose = np.eye(4)
    for index, link in enumerate(_links(np.asarray(joints, np.float64))):
        pose = pose @ link
        positions[index] = pose[:3, 3]
    positions[6] = pose[:3, 3] + tool_length * pose[:3, 2]
    points: TimeArray = positions @ _BASE_LINK
    return points


def base_to_tool(names: Sequence[str]) -> list[int]:
    """Where each of JOINTS is in a vector of these joints; as they stand where the robot calls them otherwise."""
    return [names.index(name) for name in JOINTS] if set(names) == set(JOINTS) else list(range(len(names)))


def _links(angles: TimeArray) -> TimeArray:
    """(6, 4, 4) the pose of each joint's frame in the one before it (Denavit and Hartenberg 1955)."""
    cos, sin = np.cos(angles), np.sin(angles)
    links = np.zeros((6, 4, 4))
    links[:, 0] = np.stack([cos, -sin * _COS_TWIST, sin * _SIN_TWIST, _A * cos], axis=1)
    links[:, 1] = np.stack([sin, cos * _COS_TWIST, -cos * _SIN_TWIST, _A * sin], axis=1)
    links[:, 2, 1:] = _LOWER
    links[:, 3, 3] = 1.0
    return links
