"""What the node's parameters may say of a robot, held against the policy that it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from bundle_kit import write_bundle

from lerobot_inference.checkpoint import Bundle
from lerobot_inference.control.kinematics import JOINTS
from lerobot_inference.errors import UsageError
from lerobot_inference.ros2.parameters import Parameters


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle.open(write_bundle(tmp_path / "bundle"))


def test_joints_in_another_order_than_that_of_the_training_are_refused(bundle: Bundle) -> None:
    assert Parameters(joint_names=("pan", "lift")).control_settings(bundle).joint_names == ("pan", "lift")
    for swapped in (("lift", "pan"), ("lift", "other"), ("other", "pan")):
        with pytest.raises(UsageError, match=r"joint_names is .*contract.json says pan, lift") as caught:
            Parameters(joint_names=swapped).control_settings(bundle)
        assert caught.value.hint is not None
        assert "joint_names:='[pan, lift]'" in caught.value.hint


def test_a_robot_that_calls_its_joints_otherwise_than_the_recordings_is_taken_at_its_word(bundle: Bundle) -> None:
    named = ("left_pan_joint", "left_lift_joint")
    assert Parameters(joint_names=named).control_settings(bundle).joint_names == named


def test_the_shipped_limits_are_not_held_against_other_joints_than_theirs(bundle: Bundle) -> None:
    Parameters().guard_chain(bundle)
    with pytest.raises(UsageError, match="are in another order") as caught:
        Parameters(joint_names=(JOINTS[2], JOINTS[1], JOINTS[0], *JOINTS[3:])).guard_chain(bundle)
    assert caught.value.hint is not None
    assert "guards:=FILE" in caught.value.hint


def test_a_joint_is_named_once() -> None:
    with pytest.raises(UsageError, match="names a joint twice"):
        Parameters(joint_names=("pan", "pan"))._checked()
