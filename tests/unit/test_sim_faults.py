"""How the simulated cell misbehaves, message by message."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lerobot_inference.errors import InputError
from lerobot_inference.sim.faults import Fault, FaultRequest, Faults, JointReport, Line, Picture

NAMES = ("pan", "lift", "elbow")


def joints(stamp_s: float) -> JointReport:
    return JointReport(NAMES, (0.1, 0.2, 0.3), (0.0, 0.0, 0.0), stamp_s)


def faults(fault: Fault, **request: float) -> Faults:
    made = Faults()
    made.ask_for(FaultRequest(fault=fault, **request), 0.0)
    return made


def stamps(line: Line[JointReport], made: Faults, times_s: list[float]) -> list[list[float]]:
    return [[message.stamp_s for message in line.send(joints(time_s), made, time_s)] for time_s in times_s]


def test_without_a_fault_every_message_goes_out() -> None:
    line = Line[JointReport]("joints")
    assert stamps(line, Faults(), [1.0, 2.0, 3.0]) == [[1.0], [2.0], [3.0]]
    assert line.fresh_s == 3.0


def test_what_is_dropped_never_comes() -> None:
    made = faults(Fault.DROP_JOINTS, seconds=1.5)
    assert stamps(Line("joints"), made, [1.0, 2.0]) == [[], [2.0]]


def test_a_frozen_device_says_the_same_with_the_same_stamp() -> None:
    line, made = Line[JointReport]("joints"), Faults()
    assert stamps(line, made, [1.0]) == [[1.0]]
    made.ask_for(FaultRequest(fault=Fault.FREEZE_JOINTS), 1.5)
    assert stamps(line, made, [2.0, 3.0]) == [[1.0], [1.0]]
    assert line.fresh_s == 1.0
    made.ask_for(FaultRequest(fault="none"), 3.5)
    assert stamps(line, made, [4.0]) == [[4.0]]


def test_a_delayed_message_keeps_its_stamp_and_one_with_skewed_stamps_comes_at_once() -> None:
    assert stamps(Line("joints"), faults(Fault.DELAY_JOINTS, by=1.5), [1.0, 2.0, 3.0]) == [[], [], [1.0]]
    assert stamps(Line("joints"), faults(Fault.SKEW_JOINTS, by=0.5), [1.0]) == [[0.5]]


def test_reordered_messages_all_come_the_older_after_the_newer() -> None:
    assert stamps(Line("joints"), faults(Fault.REORDER_JOINTS), [1.0, 2.0, 3.0, 4.0]) == [
        [],
        [2.0, 1.0],
        [],
        [4.0, 3.0],
    ]


def test_a_fault_of_one_stream_leaves_the_other_alone() -> None:
    assert stamps(Line("joints"), faults(Fault.DROP_IMAGE), [1.0]) == [[1.0]]


def test_joint_states_can_lack_a_joint_name_one_twice_or_hold_a_nan() -> None:
    whole = joints(1.0)
    assert whole.spoilt(faults(Fault.PARTIAL_JOINTS), 1.0).names == ("lift", "elbow")
    twice = whole.spoilt(faults(Fault.DUPLICATE_JOINTS), 1.0)
    assert twice.names == (*NAMES, "pan")
    assert len(twice.positions) == len(twice.velocities) == 4
    assert math.isnan(whole.spoilt(faults(Fault.NAN_JOINTS), 1.0).positions[-1])
    assert whole.spoilt(Faults(), 1.0) == whole


def test_images_can_have_another_encoding_size_or_row_length() -> None:
    picture = Picture(np.zeros((4, 6, 3), np.uint8), 1.0)
    assert picture.spoilt(faults(Fault.WRONG_ENCODING), 1.0).encoding == "yuv422"
    assert picture.spoilt(faults(Fault.WRONG_SIZE), 1.0).pixels.shape == (2, 3, 3)
    assert picture.spoilt(faults(Fault.PADDED_STEP), 1.0).padding > 0
    assert picture.spoilt(Faults(), 1.0) is picture


def test_several_faults_can_be_there_at_once_and_are_named() -> None:
    made = faults(Fault.DROP_JOINTS, seconds=1.0)
    made.ask_for(FaultRequest(fault=Fault.ESTOP), 0.0)
    assert made.present(0.5) == [Fault.DROP_JOINTS, Fault.ESTOP]
    assert made.present(1.5) == [Fault.ESTOP]


@pytest.mark.parametrize("text", ["", "{}", '{"fault": "earthquake"}', '{"fault": "estop", "seconds": -1}'])
def test_a_request_that_makes_no_sense_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError) as refused:
        FaultRequest.parse(text)
    assert refused.value.message.startswith("/sim/fault")
    assert "drop_image" in (refused.value.hint or "")
