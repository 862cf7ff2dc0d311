"""The demo policy moves the simulated arm to the ball: node and cell as a person starts them, over real ROS 2."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ros_kit import CellProcess, NodeProcess, Table, Wire, demo_policy

EPISODES = 5
SECONDS = 20.0


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["queue", "prefetch"])
def test_the_demo_policy_reaches_the_ball_through_ros(
    wire: Wire, cell: CellProcess, node: NodeProcess, table: Table, schedule: str
) -> None:
    node.start(as_shipped=True, policy_repo=demo_policy(), schedule=schedule)
    runs = []
    for episode in range(EPISODES):
        cell.begin(episode)
        node.call("reset_fault")
        node.arm(runs_s=0.1)
        runs.append(reached(wire))
        node.set_control(on=False)
    wins = sum(run["reached"] for run in runs)
    distance = np.median([run["distance"] for run in runs])
    table.add(f"reach, {schedule}", "reached; median distance at the end, m", f"{wins} of {EPISODES}; {distance:.3f}")
    table.add(
        f"reach, {schedule}",
        "missed ticks; jitter p99, ms",
        f"{wire.status['missed_ticks']}; {wire.status['tick_jitter_ms']['p99']:.1f}",
    )
    assert wins >= 2
    assert all(run["limits_exceeded"] == {} and run["refused"] == {} and run["aborted"] == 0 for run in runs)


def reached(wire: Wire) -> dict[str, Any]:
    """The report of the moment at which the ball is reached, or of the end of the time there is for it."""
    end_s = wire.next_report()["time_s"] + SECONDS
    return wire.wait(lambda: (wire.report["reached"] or wire.report["time_s"] > end_s) and wire.report, "an end")
