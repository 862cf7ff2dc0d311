"""The other end of a node's topics: a robot that does as it is told, and hears when it is told to. Needs ROS 2."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import rclpy
import yaml
from places import REPOSITORY
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from lerobot_inference.control import UR10E
from lerobot_inference.control.kinematics import JOINTS
from lerobot_inference.types import FloatArray, ImageShape, TimeArray

START = np.array([0.0, -1.7, 2.2, -2.07, -1.57, 0.0], np.float32)
IMAGE = ImageShape(480, 848)
CHUNK = 100
STEP = 1e-5
"""Radians a tick: the arm moves, and gets nowhere in a minute."""
CAMERA_HZ, JOINTS_HZ = 30.0, 125.0
SENSOR = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
PATIENCE_S = 120.0
OFF = ("joint_state_age", "image_age", "queue_empty", "tracking_error", "time_cap", "second_publisher")
"""Guards that a busy machine or a long run would trip: a benchmark measures, and is not to be stopped."""


@dataclass
class Robot:
    """Publishes joint states and pictures, and keeps when each command was published and each status heard.

    sent_s: seconds since the epoch, from DDS: the moment of `publish` in the node's own process. moving_s: of those
    commands that are more than a hold.
    """

    node: Any
    sent_s: list[float] = field(default_factory=list)
    moving_s: list[float] = field(default_factory=list)
    heard_status_s: list[float] = field(default_factory=list)
    position: FloatArray = field(default_factory=START.copy)

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Self]:
        """A robot on a thread of its own, in a domain of this process that nothing outside this machine is in."""
        profile = str(REPOSITORY / "edge/config/fastdds-loopback.xml")
        os.environ |= {  # for the nodes that are started too
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "ROS_DOMAIN_ID": str(os.getpid() % 100 + 1),
            "FASTRTPS_DEFAULT_PROFILES_FILE": profile,
            "FASTDDS_DEFAULT_PROFILES_FILE": profile,
        }
        rclpy.init()
        node = rclpy.create_node("robot")
        robot = cls(node)
        robot._connect()
        executor = rclpy.executors.SingleThreadedExecutor()
        executor.add_node(node)
        thread = threading.Thread(target=executor.spin, daemon=True)
        thread.start()
        try:
            yield robot
        finally:
            executor.shutdown()
            thread.join()
            node.destroy_node()
            rclpy.shutdown()

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Raises TimeoutError when it doesn't come true."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"no {what} within {PATIENCE_S:g} s")
            time.sleep(0.002)

    def commands(self, seconds: float) -> TimeArray:
        """When those of the next `seconds` were published, by the node's own clock."""
        first = len(self.sent_s)
        time.sleep(seconds)
        return np.array(self.sent_s[first:])

    def _connect(self) -> None:
        node = self.node
        self._joints = node.create_publisher(JointState, "/joint_states", SENSOR)
        self._images = node.create_publisher(Image, "/camera/color/image_raw", SENSOR)
        self._picture = Image(height=IMAGE.height, width=IMAGE.width, encoding="rgb8", step=3 * IMAGE.width)
        self._picture.data = bytes(3 * IMAGE.width * IMAGE.height)
        node.create_subscription(JointTrajectory, "/lerobot/joint_commands", self._hear_command, 1000)
        node.create_subscription(String, "/lerobot/status", self._hear_status, LATCHED)
        node.create_timer(1 / JOINTS_HZ, self._tell_joints)
        node.create_timer(1 / CAMERA_HZ, self._tell_image)

    def _tell_joints(self) -> None:
        message = JointState(name=list(JOINTS), position=self.position.tolist())
        message.header.stamp = self.node.get_clock().now().to_msg()
        self._joints.publish(message)

    def _tell_image(self) -> None:
        self._picture.header.stamp = self.node.get_clock().now().to_msg()
        self._images.publish(self._picture)

    def _hear_command(self, message: JointTrajectory, info: Any) -> None:  # noqa: ANN401
        self.position = np.array(message.points[0].positions, np.float32)
        self.sent_s.append(info["source_timestamp"] / 1e9)
        if len(message.points) > 1:
            self.moving_s.append(self.sent_s[-1])

    def _hear_status(self, _: String) -> None:
        self.heard_status_s.append(time.time())


@dataclass(frozen=True)
class Child:
    """A node in a process of its own. began_s: seconds since the epoch, just before it was started."""

    process: subprocess.Popen[bytes]
    began_s: float

    def cpu_s(self) -> float:
        """Processor time that it has used, seconds. Linux only."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def started(program: Sequence[str], *, guarded: bool = True, **parameters: object) -> Iterator[Child]:
    """A node with these parameters; it is ended with SIGTERM, and what it left in shared memory is removed.

    guarded: by the guards as shipped, but for OFF.
    """
    there = set(Path("/dev/shm").glob("*fastrtps_*"))  # noqa: S108 - where Fast DDS keeps its segments
    with tempfile.TemporaryDirectory() as folder:
        guards = Path(folder) / "guards.yaml"
        shipped = yaml.safe_load(UR10E.read_text())["guards"] if guarded else {}
        guards.write_text(yaml.safe_dump({"guards": {name: shipped[name] for name in shipped if name not in OFF}}))
        given = {"guards": guards, "device": "cpu"} | parameters
        words = [word for name, value in given.items() for word in ("-p", f"{name}:={_yaml(value)}")]
        log = Path(folder) / "log"
        with log.open("wb") as output:
            began_s = time.time()
            process = subprocess.Popen(
                [sys.executable, *program, "--ros-args", *words], stdout=output, stderr=subprocess.STDOUT
            )
        try:
            yield Child(process, began_s)
        except TimeoutError:
            print(log.read_text(errors="replace"))
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            for left in set(Path("/dev/shm").glob("*fastrtps_*")) - there:  # noqa: S108
                left.unlink(missing_ok=True)


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
