"""A guard that another distribution brings, in the node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from plugin_kit import install
from ros_kit import AGES, NodeProcess, Wire

DOOR = """
from pathlib import Path
from lerobot_inference.control.guards import ACCEPT, Settings

class Door(Settings):
    def check(self, situation):
        if Path(__file__).with_name("cut").exists():
            raise OSError("the cable to the door is cut")
        return ACCEPT
"""


@pytest.mark.usefixtures("cell")
def test_a_guard_of_another_distribution_that_fails_latches_the_arm_and_the_hold_is_the_last_thing_sent(
    wire: Wire, node: NodeProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "my-cell", {"lerobot_inference.guards.watches": {"door": "door:Door"}}, {"door": DOOR})
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    node.start({**AGES, "door": {}}).arm()
    (tmp_path / "cut").touch()
    assert "door: failed: OSError: the cable to the door is cut" in wire.wait_for_state("latched")["reason"]
    assert wire.status["guards"]["door"] >= 1
    assert wire.commands[-1].is_hold
    assert wire.listen(0.5) == []
    assert all(np.isfinite(command.positions).all() for command in wire.commands)


@pytest.mark.usefixtures("cell")
def test_the_node_warns_of_every_guard_that_its_file_leaves_out(node: NodeProcess) -> None:
    """A file of one guard for a post in the cell must not silently switch off those of the arm."""
    node.start({**AGES, "joint_velocity": None, "workspace": None})
    said = (node.folder / "node.log").read_text()
    assert "switches off what it leaves out: joint_velocity, workspace; it replaces the guards of the UR10e" in said
