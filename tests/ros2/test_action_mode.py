"""The first things to be sure of: what a delta and a target do to the arm, over real ROS 2."""

from __future__ import annotations

import numpy as np
import pytest
from ros_kit import STILL, NodeProcess, Wire, joints

pytestmark = pytest.mark.usefixtures("cell")


def test_a_zero_delta_leaves_the_arm_where_it_is(wire: Wire, node: NodeProcess) -> None:
    start = wire.next_report()["positions"]
    node.say(STILL)
    node.start().arm(runs_s=1.0)
    report = wire.next_report()
    assert report["commands"] > 30
    assert not report["refused"]
    assert report["positions"] == pytest.approx(start, abs=1e-4)


def test_a_small_delta_moves_the_arm_by_that_much_a_tick(wire: Wire, node: NodeProcess) -> None:
    start = np.array(wire.next_report()["positions"])
    node.say([joints(wrist_3_joint=0.002).tolist()])
    node.start().arm(runs_s=2.5)
    before, after = (
        wire.commands[-1],
        wire.wait(lambda: wire.commands[-1].positions[0][5] > start[5] + 0.1 and wire.commands[-1], "motion"),
    )
    ticks = (after.sent_s - before.sent_s) * 30
    assert after.positions[0][5] - before.positions[0][5] == pytest.approx(0.002 * ticks, rel=0.3)
    assert after.positions[0][:5] == pytest.approx(start[:5], abs=1e-4)


def test_an_absolute_action_is_where_the_arm_goes(wire: Wire, node: NodeProcess) -> None:
    start = np.array(wire.next_report()["positions"])
    goal = start + joints(wrist_3_joint=0.04)
    node.say([goal.tolist()])
    node.start(action_mode="absolute").arm(runs_s=2.0)
    node.call("hold")
    assert wire.next_report()["positions"] == pytest.approx(goal, abs=0.002)


def test_in_a_dry_run_nothing_is_sent_and_what_would_be_done_is_shown(wire: Wire, node: NodeProcess) -> None:
    node.start()
    status = wire.wait(lambda: wire.status["target"] and wire.status, "a target")
    assert status["state"] == "dry_run"
    assert not status["armed"]
    assert wire.listen(1.0) == []
    assert wire.commands == []
