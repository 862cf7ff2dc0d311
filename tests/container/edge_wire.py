"""Run beside the simulated cell, in its container: `python edge_wire.py SCENARIO` hears what node and cell say.

It prints a JSON object a line: that something has begun, and what was heard by the end.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import rclpy
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from lerobot_inference.ros2.act_inference_node import COMMAND_TOPIC, LATCHED, STATUS_TOPIC

PATIENCE_S = 60.0
QUIET_S = 1.5


class Wire:
    def __init__(self) -> None:
        rclpy.init()
        self.node = rclpy.create_node("wire")
        self.commands: list[JointTrajectory] = []
        self.heard_s = time.monotonic()
        self.status: dict[str, Any] = {}
        self.report: dict[str, Any] = {}
        self.node.create_subscription(JointTrajectory, COMMAND_TOPIC, self.hear_command, 1000)
        self.node.create_subscription(String, STATUS_TOPIC, lambda said: self.hear("status", said), LATCHED)
        self.node.create_subscription(String, "/sim/report", lambda said: self.hear("report", said), 10)

    def hear_command(self, message: JointTrajectory) -> None:
        self.commands.append(message)
        self.heard_s = time.monotonic()

    def hear(self, name: str, said: String) -> None:
        setattr(self, name, json.loads(said.data))

    def wait(self, condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > deadline:
                sys.exit(f"{what}: {self.status} {self.report}")
            rclpy.spin_once(self.node, timeout_sec=0.05)

    def call(self, service: str, kind: Any, request: Any) -> Any:
        client = self.node.create_client(kind, service)
        self.wait(client.service_is_ready, service)
        future = client.call_async(request)
        self.wait(future.done, service)
        return future.result()

    def set_control(self) -> str:
        """Empty, or why control stays off."""
        answer = self.call("/act_inference_node/set_control", SetBool, SetBool.Request(data=True))
        return "" if answer.success else answer.message

    def arm(self) -> None:
        """Begin an episode, and let the policy move the arm."""
        self.call("/sim/reset", Trigger, Trigger.Request())
        self.wait(lambda: self.status.get("state") == "dry_run", "a dry run")
        self.wait(lambda: not self.set_control(), "control on")
        self.wait(lambda: sum(len(command.points) > 1 for command in self.commands) > 15, "the arm moves")

    def tell(self, **more: object) -> None:
        last = self.commands[-1].points if self.commands else []
        said = {
            "status": self.status,
            "report": self.report,
            "commands": len(self.commands),
            "positions": [list(point.positions) for point in last],
            "velocities": [list(point.velocities) for point in last],
        }
        print(json.dumps(said | more), flush=True)


def dry_run(wire: Wire) -> None:
    wire.wait(lambda: wire.status.get("state") == "dry_run" and wire.report, "a dry run")
    wire.tell()


def ending(wire: Wire) -> None:
    """Until the node has said nothing for a while, and the arm rests."""
    wire.arm()
    wire.tell(moving=True)
    wire.wait(lambda: time.monotonic() - wire.heard_s > QUIET_S, "silence")
    wire.wait(lambda: wire.report["speed"] < 0.002, "rest")
    wire.tell()


def silence(wire: Wire) -> None:
    """A dry run, and what is commanded in it."""
    dry_run(wire)
    began = time.monotonic()
    wire.wait(lambda: time.monotonic() - began > QUIET_S, "time")
    wire.tell()


def task(wire: Wire) -> None:
    wire.arm()
    wire.wait(lambda: wire.report["reached"] or not wire.status["armed"], "an end")
    wire.tell()


if __name__ == "__main__":
    {scenario.__name__: scenario for scenario in (dry_run, ending, silence, task)}[sys.argv[1]](Wire())
