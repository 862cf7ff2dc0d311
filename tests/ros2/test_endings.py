"""Every way in which the node can end, or lose its robot: what the arm does then."""

from __future__ import annotations

import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from ros_kit import CellProcess, NodeProcess, Table, Wire

from lerobot_inference.control.mcap_log import read_log
from lerobot_inference.control.replay import replay
from lerobot_inference.errors import StorageError

pytestmark = pytest.mark.usefixtures("cell")
AT_REST = 0.002
"""rad/s"""


def at_rest(wire: Wire) -> dict:
    return wire.wait(lambda: wire.next_report()["speed"] < AT_REST and wire.report, "rest", 10.0)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_node_with_a_hold_as_its_last_command(
    wire: Wire, node: NodeProcess, table: Table, ending: signal.Signals
) -> None:
    node.start().arm()
    asked_s = time.time()
    assert node.end(ending) == 0
    wire.wait(lambda: wire.status["state"] == "stopped", "the last status")
    assert wire.commands[-1].is_hold
    table.hold(ending.name, wire, asked_s)
    assert wire.listen(0.5) == []
    assert at_rest(wire)["positions"] == pytest.approx(wire.commands[-1].positions[0], abs=0.01)


def test_signals_after_the_first_cut_short_neither_the_hold_nor_the_log(
    wire: Wire, node: NodeProcess, tmp_path: Path
) -> None:
    """A person who presses Ctrl-C again, or a terminal and `ros2 launch` that both say so."""
    node.start(record=tmp_path / "log.mcap").arm()
    child = node.process.child
    for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        child.send_signal(ending)
        time.sleep(0.002)
    assert child.wait(30) == 0, (node.folder / "node.log").read_text()
    wire.wait(lambda: wire.status["state"] == "stopped", "the last status")
    assert wire.commands[-1].is_hold
    assert wire.listen(0.5) == []
    entries = list(read_log(tmp_path / "log.mcap"))
    assert entries[-1][2]["state"] == "stopped"
    assert replay(entries).different is None


def test_a_log_that_can_not_be_written_ends_the_node_with_a_hold_as_its_last_command(
    wire: Wire, node: NodeProcess, tmp_path: Path
) -> None:
    node.start(record=tmp_path / "log.mcap").arm()
    resource.prlimit(node.process.child.pid, resource.RLIMIT_FSIZE, (1 << 14, 1 << 14))
    assert node.process.child.wait(60) == StorageError.exit_code
    assert "log.mcap: the file would be larger than this process may write" in (node.folder / "node.log").read_text()
    wire.wait(lambda: wire.status["state"] == "stopped", "the last status")
    assert wire.commands[-1].is_hold
    assert at_rest(wire)["positions"] == pytest.approx(wire.commands[-1].positions[0], abs=0.01)


def test_a_node_that_is_killed_leaves_an_arm_that_comes_to_rest_by_itself(
    wire: Wire, node: NodeProcess, table: Table
) -> None:
    node.start().arm(runs_s=3.0)
    assert node.end(signal.SIGKILL) == -signal.SIGKILL
    last = wire.commands[-1]
    assert not last.is_hold, "it had no chance to say more"
    assert not last.velocities[-1].any()
    assert last.times_s[-1] < 0.5
    report = at_rest(wire)
    assert wire.commands[-1] is last
    table.add(
        "SIGKILL",
        "last command to rest, s (as commanded; as first reported)",
        f"{last.times_s[-1]:.3f}; {report['time_s'] - last.sent_s:.3f}",
    )
    ends = [command.positions[-1] for command in wire.commands[-2:]]  # the last may have been cut off half-way
    assert min(np.abs(end - report["positions"]).max() for end in ends) < 0.002
    assert report["limits_exceeded"] == {}
    assert report["aborted"] == 0


def test_a_mistake_in_a_callback_ends_the_node_with_a_hold_as_its_last_command(
    wire: Wire, node: NodeProcess, table: Table
) -> None:
    node.start().arm()
    asked_s = time.time()
    node.crash()
    assert node.process.child.wait(30) != 0
    assert "ZeroDivisionError" in (node.folder / "node.log").read_text()
    wire.wait(lambda: wire.status["state"] == "stopped", "the last status")
    assert wire.commands[-1].is_hold
    table.hold("a mistake in a callback", wire, asked_s)
    assert at_rest(wire)["positions"] == pytest.approx(wire.commands[-1].positions[0], abs=0.01)


def test_a_robot_that_goes_away_and_comes_back_is_not_moved_until_a_person_says_so(
    wire: Wire, cell: CellProcess, node: NodeProcess
) -> None:
    node.start().arm()
    cell.end(signal.SIGKILL)
    wire.wait_for_state("latched")
    cell.start()
    sent = len(wire.commands)
    start = wire.next_report()["positions"]
    assert wire.listen(1.0) == []
    wire.wait(lambda: node.call("reset_fault").success, "reset")
    assert wire.listen(0.5) == []
    node.arm()
    assert wire.commands[sent].positions[0] == pytest.approx(start, abs=0.01)
    assert wire.next_report()["limits_exceeded"] == {}


def test_a_fault_is_reset_no_sooner_than_half_a_second_after_and_control_is_off_then(
    wire: Wire, cell: CellProcess, node: NodeProcess
) -> None:
    node.start({}).arm()
    cell.fault("drop_joints", seconds=0.4)
    wire.wait_for_state("latched")
    early = node.call("reset_fault")
    assert early.success or "less than 0.5 s ago" in early.message
    assert "reset the fault first" in node.set_control(on=True).message or early.success
    wire.wait(lambda: node.call("reset_fault").success, "reset")
    assert not wire.next_status()["armed"]
    assert wire.listen(0.5) == []
    node.arm()


def test_control_is_switched_at_run_time_and_nothing_else_is(wire: Wire, node: NodeProcess) -> None:
    node.start()
    for name, value in (("control_hz", 60.0), ("action_mode", "absolute"), ("guards", "/dev/null")):
        refused = node.set_parameter(name, value)
        assert not refused.successful
        assert refused.reason.startswith(f"{name} is fixed at the start")
    wire.wait(lambda: node.set_parameter("enable_control", value=True).successful, "control on")
    wire.wait(lambda: len(wire.commands) > 10, "commands")
    assert node.set_parameter("enable_control", value=False).successful
    wire.wait(lambda: not wire.status["armed"], "off")
    assert wire.commands[-1].is_hold
    assert wire.listen(0.5) == []


def test_control_that_was_asked_for_at_the_start_and_switched_off_before_it_came_on_stays_off(
    wire: Wire, cell: CellProcess, node: NodeProcess
) -> None:
    cell.fault("skew_image", by=1.0)
    node.start(enable_control=True)
    wire.wait(lambda: "apart" in wire.status["reason"], "why control is not on")
    assert node.set_control(on=False).success
    cell.fault("none")
    assert wire.listen(1.0) == []
    assert not wire.next_status()["armed"]
    node.arm()


def test_control_stays_off_until_the_robot_has_said_on_the_topics_that_were_named_that_it_runs(
    wire: Wire, node: NodeProcess
) -> None:
    node.start(program_running_topic="/robot_program")
    refused = wire.wait(lambda: "robot_mode" in node.set_control(on=True).message and node.set_control(on=True), "why")
    assert not refused.success
    assert refused.message == "robot_mode: the robot is not running: nothing has come on /robot_program"
    assert wire.listen(0.5) == []


def test_diagnostics_say_what_the_status_says(wire: Wire, node: NodeProcess) -> None:
    heard: list[DiagnosticArray] = []
    subscription = wire.node.create_subscription(DiagnosticArray, "/diagnostics", heard.append, 10)
    node.start().arm()
    entry = wire.wait(lambda: heard[-1].status[0].message == "running" and heard[-1].status[0], "diagnostics")
    wire.node.destroy_subscription(subscription)
    assert (entry.name, entry.level, entry.hardware_id) == ("act_inference_node", DiagnosticStatus.OK, "scripted")
    told = {value.key: value.value for value in entry.values}
    assert told["armed"] == "true"
    assert told["limits_from.chunk_overlap"] == "nowhere"


def test_a_person_holds_the_arm(wire: Wire, node: NodeProcess, table: Table) -> None:
    node.start().arm()
    asked_s = time.time()
    assert node.call("hold").success
    table.hold("a person's hold", wire, asked_s)
    held = wire.wait(lambda: wire.commands[-1].is_hold and wire.commands[-1], "the hold")
    assert wire.listen(0.5) == []
    assert at_rest(wire)["positions"] == pytest.approx(held.positions[0], abs=0.01)
    assert np.isfinite(held.positions).all()
    node.arm()
