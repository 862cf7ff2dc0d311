"""Our forward kinematics is MuJoCo's."""

from __future__ import annotations

import numpy as np

from lerobot_inference.control.kinematics import link_positions
from lerobot_inference.sim.arm import TOOL_LENGTH
from lerobot_inference.sim.cell import Cell
from lerobot_inference.types import ImageShape


def test_the_tool_is_where_mujoco_says_to_a_micrometre() -> None:
    cell = Cell(ImageShape(48, 64))
    data = cell._data
    for joints in np.random.default_rng(0).uniform(-np.pi, np.pi, (200, 6)):
        data.qpos[:] = joints
        assert np.abs(cell.tip_position() - link_positions(joints, TOOL_LENGTH)[-1]).max() < 1e-6
        wrist = data.body("wrist_3_link").xpos
        assert np.abs(wrist - link_positions(joints)[-2]).max() < 1e-6
