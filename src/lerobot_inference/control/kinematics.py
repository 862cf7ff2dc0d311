"""Where the UR10e's links are, for joint angles: forward kinematics by Denavit-Hartenberg.

Frame: the robot's base as the UR controller has it. ROS's `base_link` and the simulated cell turn it half round z.
"""

from __future__ import annotations

import numpy as np

from lerobot_inference.types import FloatArray, TimeArray

# Universal Robots' published parameters of the UR10e, metres and radians, one entry a joint.
_D = (0.1807, 0.0, 0.0, 0.17415, 0.11985, 0.11655)
_A = (0.0, -0.6127, -0.57155, 0.0, 0.0, 0.0)
_ALPHA = (np.pi / 2, 0.0, 0.0, np.pi / 2, -np.pi / 2, 0.0)

_BASE_LINK = np.diag([-1.0, -1.0, 1.0])


def link_positions(joints: FloatArray | TimeArray, tool_length: float = 0.0) -> TimeArray:
    """(7, 3) metres in ROS's `base_link`: the origin of the frame that each joint moves, then the tool's tip.

    joints: (6,) radians, base to tool. tool_length: metres from the flange along its z axis to the tip.
    """
    pose = np.eye(4)
    positions = []
    for angle, d, a, alpha in zip(np.asarray(joints, np.float64), _D, _A, _ALPHA, strict=True):
        pose = pose @ _link(angle, d, a, alpha)
        positions.append(pose[:3, 3])
    positions.append(pose[:3, 3] + tool_length * pose[:3, 2])
    points: TimeArray = np.stack(positions) @ _BASE_LINK
    return points


def _link(angle: float, d: float, a: float, alpha: float) -> TimeArray:
    """(4, 4) the pose of a joint's frame in the one before it (Denavit and Hartenberg 1955)."""
    cos, sin, cos_twist, sin_twist = np.cos(angle), np.sin(angle), np.cos(alpha), np.sin(alpha)
    return np.array(
        [
            [cos, -sin * cos_twist, sin * sin_twist, a * cos],
            [sin, cos * cos_twist, -cos * sin_twist, a * sin],
            [0.0, sin_twist, cos_twist, d],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )
