"""What a policy may come to say, or not say in time, and what the arm makes of it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from ros_kit import AGES, MOVE, CellProcess, NodeProcess, Table, Wire, joints

from lerobot_inference.control.kinematics import JOINTS
from lerobot_inference.control.mcap_log import read_log

pytestmark = pytest.mark.usefixtures("cell")


CAPS = 0.25 * np.array([2.094, 2.094, 3.142, 3.142, 3.142, 3.142])
"""rad/s, of each joint while commissioning."""


def everything_sent_is_sound(wire: Wire, cell_report: dict) -> None:
    """What must hold whatever happened: nothing that isn't finite, no refused command, no limit exceeded."""
    assert all(np.isfinite(command.positions).all() for command in wire.commands)
    assert all(np.isfinite(command.velocities).all() for command in wire.commands)
    assert all(not command.velocities[-1].any() for command in wire.commands), "each ends at rest"
    stamps = [command.message.header.stamp for command in wire.commands]
    assert all((stamp.sec, stamp.nanosec) == (0, 0) for stamp in stamps), "which means now"
    assert all(tuple(command.message.joint_names) == JOINTS for command in wire.commands)
    assert cell_report["refused"] == {}
    assert cell_report["limits_exceeded"] == {}


def test_a_nan_from_the_policy_latches_and_is_never_sent(wire: Wire, node: NodeProcess, table: Table) -> None:
    node.start().arm()
    said_s = node.say([joints(elbow_joint=math.nan).tolist()])
    assert "NaN" in wire.wait_for_state("latched")["reason"]
    table.hold("NaN from the policy", wire, said_s)
    assert wire.commands[-1].is_hold
    assert wire.listen(0.5) == []
    everything_sent_is_sound(wire, wire.next_report())


def test_a_policy_that_fails_to_answer_latches(wire: Wire, node: NodeProcess, table: Table) -> None:
    node.start({**AGES, "queue_empty": {"latch_s": 9.0}}).arm()
    said_s = node.say(error="the network is out of memory")
    assert "3 predictions in a row have failed" in wire.wait_for_state("latched")["reason"]
    table.hold("a prediction that fails", wire, said_s)
    everything_sent_is_sound(wire, wire.next_report())


def test_a_jump_at_a_chunk_border_is_never_executed(wire: Wire, node: NodeProcess, table: Table) -> None:
    node.start({**AGES, "queue_empty": {"latch_s": 9.0}}).arm()
    said_s = node.say([joints(elbow_joint=0.3).tolist(), *MOVE * 19])
    assert "3 chunks in a row were rejected" in wire.wait_for_state("latched")["reason"]
    table.hold("a jump at a chunk's border", wire, said_s)
    steps = np.abs(np.diff([command.positions[0] for command in wire.commands], axis=0))
    assert steps.max() < 0.02
    everything_sent_is_sound(wire, wire.next_report())


def test_a_policy_that_contradicts_itself_latches(wire: Wire, node: NodeProcess, table: Table) -> None:
    limits = {**AGES, "chunk_overlap": {"by_stride": [0.002]}}
    node.start(limits, schedule="prefetch", lead=10).arm(runs_s=1.5)
    assert wire.status["limits_from"]["chunk_overlap"] == "guards file"
    said_s = node.say([joints(wrist_3_joint=-0.005).tolist()])
    assert "says otherwise than the one before it" in wire.wait_for_state("latched")["reason"]
    table.hold("chunks that contradict each other", wire, said_s)
    assert wire.listen(0.5) == []
    everything_sent_is_sound(wire, wire.next_report())


def test_what_is_too_fast_is_slowed_to_the_limits_and_the_arm_keeps_to_them(
    wire: Wire, node: NodeProcess, table: Table
) -> None:
    node.start().arm()
    node.say([joints(wrist_3_joint=0.05, shoulder_pan_joint=0.02).tolist()])
    wire.listen(4.0)
    wire.wait(lambda: wire.status["guards"].get("joint_velocity"), "the guard")
    report = wire.next_report()
    for command in wire.commands:
        speeds = np.diff(command.positions, axis=0) / np.diff(command.times_s)[:, None]
        assert (np.abs(speeds) <= 1.001 * CAPS).all()
        assert (np.abs(command.velocities) <= 1.001 * CAPS).all()
    table.add(
        "too fast a policy", "top speed of wrist 3, rad/s; the cap", f"{report['top_speed'][5]:.3f}; {CAPS[5]:.3f}"
    )
    table.add("too fast a policy", "top speed of the tool, m/s; the cap", f"{report['top_tool_speed']:.3f}; 0.250")
    # A tick that comes late and one that comes early after it leave the arm less time for the same step.
    assert 0.5 * CAPS[5] < report["top_speed"][5]
    assert (np.array(report["top_speed"]) < 1.5 * CAPS).all()
    assert report["top_tool_speed"] < 1.5 * 0.25
    everything_sent_is_sound(wire, report)


def test_control_begins_gently(wire: Wire, node: NodeProcess) -> None:
    node.say([joints(wrist_3_joint=0.04).tolist()])
    node.start().arm(runs_s=2.5)
    steps = np.diff([command.positions[0][5] for command in wire.commands])
    assert steps[:30].max() <= 0.55 * CAPS[5] / 30, "half way up the ramp of two seconds"
    assert steps.max() == pytest.approx(CAPS[5] / 30, rel=0.01)
    faster = np.diff(steps)[~np.array([command.is_hold for command in wire.commands[2:]])]
    assert faster.max() * 30**2 <= 1.01 * 2.5, "rad/s^2"
    everything_sent_is_sound(wire, wire.next_report())


def test_a_policy_that_heads_for_the_table_latches_before_it_is_there(wire: Wire, node: NodeProcess) -> None:
    node.say([joints(shoulder_lift_joint=0.01).tolist()])
    node.start().arm()
    assert "workspace" in wire.wait_for_state("latched")["reason"]
    everything_sent_is_sound(wire, wire.next_report())


def test_a_policy_that_heads_for_the_end_of_a_joint_latches_before_it_is_there(wire: Wire, node: NodeProcess) -> None:
    start = wire.next_report()["positions"][5]
    limits = [[-6.283, 6.283]] * 5 + [[-6.283, start + 0.25]]
    node.say([joints(wrist_3_joint=0.01).tolist()])
    node.start({**AGES, "joint_position": {"limits": limits}}).arm()
    assert wire.wait_for_state("latched")["reason"] == "joint_position: wrist_3_joint would leave the joint range"
    report = wire.next_report()
    assert report["positions"][5] <= start + 0.151
    everything_sent_is_sound(wire, report)


def test_control_ends_by_itself_after_its_time(wire: Wire, node: NodeProcess) -> None:
    node.start({**AGES, "time_cap": {"seconds": 2}}).arm(runs_s=1.0)
    status = wire.wait(lambda: not wire.status["armed"] and wire.status, "control off")
    assert "control has been on for 2 s" in status["reason"]
    assert wire.commands[-1].is_hold
    assert wire.listen(0.5) == []
    everything_sent_is_sound(wire, wire.next_report())


def test_a_pose_that_was_never_recorded_is_counted_and_guards_without_limits_are_named(
    wire: Wire, node: NodeProcess
) -> None:
    here = np.array(wire.next_report()["positions"])
    node.start({**AGES, "out_of_distribution": {"mean": (here + 1).tolist(), "std": [0.1] * 6}}).arm()
    assert wire.status["guards"]["out_of_distribution"] > 10
    assert wire.status["state"] == "running"
    limits = {"start_pose": "nowhere", "out_of_distribution": "guards file", "chunk_overlap": "nowhere"}
    assert wire.status["limits_from"] == limits
    assert "guard start_pose has no limits and says nothing" in (node.folder / "node.log").read_text()


def test_a_reset_episode_is_predicted_anew_though_the_chunk_is_not_used_up(
    wire: Wire, node: NodeProcess, tmp_path: Path
) -> None:
    log = tmp_path / "log.mcap"
    node.start(record=log).arm()
    assert node.call("reset_episode").success
    wire.listen(1.0)
    assert node.end() == 0
    entries = list(read_log(log))
    (reset,) = [at for at, (_, _, entry) in enumerate(entries) if entry.get("request") == "reset_episode"]
    after = entries[reset:]
    answered = next(at for at, (kind, _, _) in enumerate(after) if kind == "answer")
    moved = next(at for at, (kind, _, entry) in enumerate(after) if kind == "decision" and entry["target"])
    assert answered < moved
    everything_sent_is_sound(wire, wire.next_report())


def test_a_policy_that_is_slower_than_its_chunk_holds_the_arm_and_latches(
    wire: Wire, node: NodeProcess, table: Table
) -> None:
    node.start().arm()
    said_s = node.say(MOVE, seconds=3.0)
    assert "no action has been due" in wire.wait_for_state("latched")["reason"]
    moved = [command for command in wire.commands if not command.is_hold][-1]
    table.hold("a slow policy", wire, said_s)
    table.add("a slow policy", "last action to latch, s", f"{wire.commands[-1].sent_s - moved.sent_s:.3f}")
    assert wire.commands[-1].is_hold
    assert wire.listen(0.5) == []
    assert wire.next_report()["speed"] < 0.001
    everything_sent_is_sound(wire, wire.next_report())


def test_prefetch_hides_a_prediction_that_takes_several_periods(wire: Wire, node: NodeProcess) -> None:
    node.say(MOVE, seconds=0.15)
    node.start(schedule="prefetch", lead=12).arm(runs_s=1.0)
    sent = wire.listen(2.0)
    assert sum(command.is_hold for command in sent) <= 0.1 * len(sent)
    everything_sent_is_sound(wire, wire.next_report())


def test_a_prediction_that_ends_in_a_mistake_leaves_the_arm_at_rest(wire: Wire, node: NodeProcess) -> None:
    node.start().arm()
    node.say(crash="a mistake in the engine")
    wire.wait_for_state("latched", "stopped")
    assert wire.commands[-1].is_hold
    assert wire.listen(0.5) == []
    assert wire.next_report()["speed"] < 0.001


def test_an_arm_outside_of_what_was_recorded_is_not_moved(wire: Wire, node: NodeProcess) -> None:
    here = np.array(wire.next_report()["positions"])
    elsewhere = {"min": (here + 0.5).tolist(), "max": (here + 1.0).tolist(), "std": [0.1] * 6}
    node.start({**AGES, "start_pose": elsewhere}, enable_control=True)
    status = wire.wait_for_state("dry_run")
    assert not status["armed"]
    answer = node.set_control(on=True)
    assert not answer.success
    assert "outside of what was recorded" in answer.message
    assert wire.listen(1.0) == []
    assert wire.next_report()["commands"] == 0


def test_a_first_target_away_from_the_arm_switches_control_off(wire: Wire, node: NodeProcess) -> None:
    away = np.array(wire.next_report()["positions"]) + joints(wrist_1_joint=0.06)
    node.say([away.tolist()])
    node.start(action_mode="absolute", enable_control=True)
    wire.wait(lambda: wire.status["guards"].get("first_target"), "the guard")
    assert not wire.next_status()["armed"]
    assert all(command.is_hold for command in wire.commands)
    everything_sent_is_sound(wire, wire.next_report())


@pytest.mark.parametrize("told", [True, False])
def test_a_blocked_or_stopped_arm_takes_control_away(
    wire: Wire, cell: CellProcess, node: NodeProcess, table: Table, told: bool
) -> None:
    """An e-stop; whether or not the node hears of it from the robot."""
    topic = {"program_running_topic": "/io_and_status_controller/robot_program_running"} if told else {}
    node.say([joints(wrist_3_joint=0.01).tolist()])
    node.start(**topic).arm(runs_s=1.5)
    asked_s = cell.fault("estop")
    status = wire.wait(lambda: not wire.status["armed"] and wire.status, "control off")
    assert ("program is not running" if told else "rad from the command") in status["reason"]
    table.hold(f"e-stop, {'told by' if told else 'without a word from'} the robot", wire, asked_s)
    assert wire.next_report()["speed"] < 0.005
    stopped = np.array(wire.next_report()["positions"])
    cell.fault("none")
    assert wire.listen(1.0) == [], "nothing is played on"
    assert wire.next_report()["positions"] == pytest.approx(stopped, abs=0.002)
    wire.wait(lambda: node.call("reset_fault").success, "reset")
    assert wire.listen(0.5) == [], "a reset alone moves nothing"
    began = len(wire.commands)
    node.arm()
    first = wire.commands[began]
    assert first.positions[0] == pytest.approx(stopped, abs=0.01), "it begins where the arm is"
    report = wire.next_report()
    assert report["limits_exceeded"] == {}
    assert set(report["refused"]) <= {"the robot is not running"}


def test_a_speed_slider_at_zero_takes_control_away(
    wire: Wire, cell: CellProcess, node: NodeProcess, table: Table
) -> None:
    node.start(speed_scaling_topic="/speed_scaling_state_broadcaster/speed_scaling").arm()
    asked_s = cell.fault("speed_zero")
    assert "speed scaling is 0" in wire.wait(lambda: not wire.status["armed"] and wire.status, "off")["reason"]
    table.hold("speed slider at zero", wire, asked_s)
    cell.fault("none")
    assert wire.listen(1.0) == []


def test_a_second_publisher_of_commands_latches(wire: Wire, cell: CellProcess, node: NodeProcess, table: Table) -> None:
    node.start().arm()
    asked_s = cell.fault("second_publisher")
    assert "other publisher" in wire.wait_for_state("latched")["reason"]
    table.hold("a second publisher", wire, asked_s)
    assert wire.commands[-1].is_hold
    assert wire.listen(0.5) == []
    cell.fault("none")
    wire.wait(lambda: node.call("reset_fault").success, "reset")
    node.arm()
