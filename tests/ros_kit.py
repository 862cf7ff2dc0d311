"""The two processes of a deployment, node and cell, and a ROS node of the test's own, which hears all they say."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import rclpy
import yaml
from control_kit import guard_settings
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from lerobot_inference.control.kinematics import JOINTS
from lerobot_inference.ros2.act_inference_node import COMMAND_TOPIC, LATCHED, STATUS_TOPIC
from lerobot_inference.ros2.messages import seconds

SCRIPTED_NODE = Path(__file__).parent / "scripted_node.py"
PATIENCE_S = 60.0
AGES = {"joint_state_age": {"hold_s": 2.0, "latch_s": 4.0}, "image_age": {"hold_s": 2.0, "latch_s": 4.0}}
"""For what is not about ages: a machine that is busy with something else must not end the test."""
MOVE = [[0.001, 0.0, 0.0, 0.0, 0.0, 0.005]]
STILL = [[0.0] * 6]


@dataclass(frozen=True)
class Command:
    """A trajectory as it went over the wire. sent_s: when it was published."""

    sent_s: float
    message: Any

    @property
    def positions(self) -> np.ndarray:
        return np.array([point.positions for point in self.message.points])

    @property
    def velocities(self) -> np.ndarray:
        return np.array([point.velocities for point in self.message.points])

    @property
    def is_hold(self) -> bool:
        return len(self.message.points) == 1

    @property
    def times_s(self) -> np.ndarray:
        return np.array([seconds(point.time_from_start) for point in self.message.points])


@dataclass
class Wire:
    """What is heard. Lists grow while a thread listens; `forget` empties them."""

    node: Any
    commands: list[Command] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Self]:
        rclpy.init()
        wire = cls(rclpy.create_node("test"))
        wire._faults = wire.node.create_publisher(String, "/sim/fault", 10)
        wire.node.create_subscription(JointTrajectory, COMMAND_TOPIC, wire._hear_command, 1000)
        wire.node.create_subscription(
            String, STATUS_TOPIC, lambda message: wire.statuses.append(json.loads(message.data)), LATCHED
        )
        wire.node.create_subscription(
            String, "/sim/report", lambda message: wire.reports.append(json.loads(message.data)), 10
        )
        executor = rclpy.executors.SingleThreadedExecutor()
        executor.add_node(wire.node)
        listener = threading.Thread(target=executor.spin, daemon=True)
        listener.start()
        try:
            yield wire
        finally:
            executor.shutdown()
            listener.join()
            wire.node.destroy_node()
            rclpy.shutdown()

    def _hear_command(self, message: Any, info: Any) -> None:
        self.commands.append(Command(info["source_timestamp"] / 1e9, message))

    def forget(self) -> None:
        for heard in (self.commands, self.statuses, self.reports):
            heard.clear()

    def wait(self, condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> Any:
        """The first value of `condition` that is true; a failure that says what was heard last otherwise."""
        deadline = time.monotonic() + patience_s
        while True:
            try:
                if found := condition():
                    return found
            except (IndexError, StopIteration):  # nothing heard yet
                pass
            assert time.monotonic() < deadline, f"{what}: {self.statuses[-1:]} {self.reports[-1:]}"
            time.sleep(0.005)

    def call(self, service: str, kind: Any, request: Any) -> Any:
        client = self.node.create_client(kind, service)
        try:
            assert client.wait_for_service(timeout_sec=PATIENCE_S), f"{service} is not there"
            future = client.call_async(request)
            with suppress(AssertionError):
                self.wait(future.done, service, 10.0)
            if not future.done():  # an answer to a client that the node has not seen yet is lost, on a busy machine
                future = client.call_async(request)
            self.wait(future.done, service)
            return future.result()
        finally:
            self.node.destroy_client(client)

    @property
    def status(self) -> dict[str, Any]:
        return self.statuses[-1]

    @property
    def report(self) -> dict[str, Any]:
        return self.reports[-1]

    def next_report(self) -> dict[str, Any]:
        """One that is made after this call."""
        asked_s = time.time()
        return self.wait(lambda: self.report["time_s"] > asked_s and self.report, "a report")

    def next_status(self) -> dict[str, Any]:
        heard = len(self.statuses)
        return self.wait(lambda: self.statuses[heard + 1], "a status")

    def wait_for_state(self, *states: str) -> dict[str, Any]:
        return self.wait(lambda: self.status["state"] in states and self.status, f"state {' or '.join(states)}")

    def seconds_to_hold(self, since_s: float) -> float:
        """From a moment to the first hold that was sent after it."""
        first = self.wait(
            lambda: next(command for command in self.commands if command.is_hold and command.sent_s > since_s), "a hold"
        )
        return first.sent_s - since_s

    def listen(self, for_s: float) -> list[Command]:
        """The commands of the next seconds."""
        heard = len(self.commands)
        time.sleep(for_s)
        return self.commands[heard:]


@dataclass
class Process:
    """A child that is ended with the test. log: where its output goes."""

    child: subprocess.Popen[bytes]
    log: Path

    def end(self, ending: signal.Signals = signal.SIGTERM) -> int:
        self.child.send_signal(ending)
        return self.child.wait(30)


def launch(arguments: Sequence[object], log: Path) -> Process:
    with log.open("ab") as output:
        child = subprocess.Popen([sys.executable, *map(str, arguments)], stdout=output, stderr=output)
    return Process(child, log)


@dataclass
class CellProcess:
    """`lerobot-inference sim serve`."""

    wire: Wire
    options: tuple[str, ...] = ()
    process: Process | None = None

    def start(self, *options: str) -> Self:
        """Start it anew, with these options."""
        self.end()
        self.wire.reports.clear()
        log = Path(os.environ.get("CELL_LOG", os.devnull))
        arguments = ["-m", "lerobot_inference", "sim", "serve", "--image-size", "96x160", *options]
        self.options, self.process = options, launch(arguments, log)
        self.wire.wait(lambda: self.wire.report["image_s"], "the cell")
        return self

    def ready(self) -> Self:
        """At the beginning of an episode, without options and faults."""
        if self.process is None or self.process.child.poll() is not None or self.options:
            return self.start()
        return self.begin(0)

    def begin(self, episode: int) -> Self:
        """Begin an episode; faults end."""
        assert set_parameter(self.wire, "sim_cell", "episode", episode).successful
        self.wire.call("/sim/reset", Trigger, Trigger.Request())
        self.wire.wait(lambda: self.wire.report["episode"] == episode and not self.wire.report["commands"], "a reset")
        return self

    def end(self, ending: signal.Signals = signal.SIGTERM) -> None:
        if self.process and self.process.child.poll() is None:
            self.process.end(ending)

    def fault(self, name: str, **more: float) -> float:
        """Ask for a fault, and wait until it is there; returns when it was asked for."""
        asked_s = time.time()
        self.wire._faults.publish(String(data=json.dumps({"fault": name, **more})))
        there = (
            (lambda: not self.wire.report["faults"]) if name == "none" else (lambda: name in self.wire.report["faults"])
        )
        self.wire.wait(there, f"fault {name}")
        return asked_s


@dataclass
class NodeProcess:
    """The node with a scripted engine; see scripted_node.py for what it can be told to say."""

    wire: Wire
    folder: Path
    process: Process | None = None

    @property
    def order(self) -> Path:
        return self.folder / "order.json"

    def say(self, actions: Any = None, **order: Any) -> float:
        """What the engine says from now on; returns since when."""
        written = self.folder / "order.partial"
        written.write_text(json.dumps(order if actions is None else order | {"actions": actions}))
        written.replace(self.order)
        return time.time()

    def crash(self) -> None:
        """Let a callback raise."""
        self.order.with_suffix(".crash").touch()

    def start(self, guards: dict[str, Any] | None = None, *, as_shipped: bool = False, **parameters: Any) -> Self:
        """guards: changes to the UR10e's own; by default ages that a busy machine keeps to. as_shipped: no script."""
        if not self.order.exists():
            self.say(MOVE)
        file = self.folder / "guards.yaml"
        file.write_text(yaml.safe_dump({"guards": guard_settings(**(AGES if guards is None else guards))}))
        given = {"policy_repo": "scripted", "device": "cpu", "status_hz": 20.0, "guards": file} | parameters
        words = [word for name, value in given.items() for word in ("-p", f"{name}:={_yaml(value)}")]
        self.wire.statuses.clear()
        log = self.folder / "node.log"
        program = ["-m", "lerobot_inference.ros2.act_inference_node"] if as_shipped else [SCRIPTED_NODE, self.order]
        self.process = launch([*program, "--ros-args", *words], log)
        ended = self.process.child.poll
        self.wire.wait(lambda: ended() is not None or self.wire.status, "the node's first status")
        assert ended() is None, log.read_text()
        return self

    def call(self, name: str) -> Any:
        """A Trigger of the node's own."""
        return self.wire.call(f"/act_inference_node/{name}", Trigger, Trigger.Request())

    def set_control(self, on: bool) -> Any:
        return self.wire.call("/act_inference_node/set_control", SetBool, SetBool.Request(data=on))

    def set_parameter(self, name: str, value: Any) -> Any:
        return set_parameter(self.wire, "act_inference_node", name, value)

    def arm(self, runs_s: float = 0.5) -> Self:
        """Switch control on and wait until the arm has moved for a while."""
        refused: list[str] = []

        def on() -> bool:
            answer = self.set_control(True)
            refused.append(answer.message)
            return answer.success

        self.wire.wait(on, f"control on, refused {refused[-1:]}")
        began = len(self.wire.commands)
        self.wire.wait(
            lambda: sum(not command.is_hold for command in self.wire.commands[began:]) > 30 * runs_s, "the arm moves"
        )
        return self

    def end(self, ending: signal.Signals = signal.SIGTERM) -> int:
        if self.process is None or self.process.child.poll() is not None:
            return 0 if self.process is None else self.process.child.returncode
        return self.process.end(ending)


def set_parameter(wire: Wire, node: str, name: str, value: Any) -> Any:
    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    return wire.call(f"/{node}/set_parameters", SetParameters, request).results[0]


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass
class Table:
    """What was measured, a row a hazard."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, hazard: str, what: str, measured: str) -> None:
        self.rows.append((hazard, what, measured))

    def hold(self, hazard: str, wire: Wire, since_s: float) -> None:
        """How long after a moment the first hold was sent."""
        self.add(hazard, "to hold, s", f"{wire.seconds_to_hold(since_s):.3f}")

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        head = ("| hazard | what | measured |", "| --- | --- | --- |")
        path.write_text("\n".join([*head, *("| " + " | ".join(row) + " |" for row in self.rows)]) + "\n")


def joints(**moved: float) -> np.ndarray:
    """(6,) zeros but for the joints named."""
    return np.array([moved.get(name, 0.0) for name in JOINTS])


def demo_policy() -> Path:
    """DEMO_POLICY, or what `make demo` has left."""
    made = sorted((Path(__file__).parents[1] / ".cache" / "demo").glob("*/reach-act"), key=os.path.getmtime)
    given = os.environ.get("DEMO_POLICY")
    if not given and not made:
        pytest.skip("no demo policy: run make demo first")
    return Path(given) if given else made[-1]
