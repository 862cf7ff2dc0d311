"""A node whose network takes so long, for node_ticks.py and node_cpu.py, run where ROS 2 is:

    python benchmarks/timed_node.py ours|in_timer SECONDS busy|asleep --ros-args -p control_hz:=30.0 …

ours: the node of this package with an engine that takes SECONDS for a chunk. in_timer: the least node that does as
nodes for lerobot policies do: its timer takes the next action from a queue, and asks the network where that is empty.
Both give the same chunks. busy: the network computes; asleep: it waits, so that what is left is the node's own.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # the network is to keep one core busy, and no more

import numpy as np
import rclpy
from robot import CHUNK, IMAGE, JOINTS, SENSOR, STEP
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lerobot_inference.engine import EngineChoice
from lerobot_inference.ros2 import act_inference_node
from lerobot_inference.ros2.policy import LoadedPolicy
from lerobot_inference.types import ActionChunk, FloatArray, PolicySpec, Precision, UInt8Array

SPEC = PolicySpec(len(JOINTS), len(JOINTS), {"observation.images.color": IMAGE}, CHUNK, CHUNK // 2)
MATRIX = np.ones((384, 384), np.float32)


class TimedEngine:
    """An engine whose every forward pass takes so many seconds; like a real one it lets go of Python's lock."""

    name, device, precision, threads, spec = "timed", "cpu", Precision.F32, 1, SPEC

    def __init__(self, seconds: float, *, busy: bool) -> None:
        self._seconds, self._busy = seconds, busy

    def warm_up(self) -> float:
        """See Engine."""
        return 0.0

    def predict(self, images: Mapping[str, UInt8Array], states: FloatArray, _environment: object = None) -> ActionChunk:
        """See Engine."""
        assert images
        assert len(states)
        if not self._busy:
            time.sleep(self._seconds)
        end = time.perf_counter() + self._seconds
        while self._busy and time.perf_counter() < end:
            MATRIX @ MATRIX
        return ActionChunk(np.full((1, CHUNK, len(JOINTS)), STEP, np.float32))


class InTimer:
    """Publishes one point a tick: the joint position that is due."""

    def __init__(self, node: Any, engine: TimedEngine) -> None:  # noqa: ANN401
        self._engine = engine
        self._queue: deque[FloatArray] = deque()
        self._position: FloatArray | None = None
        self._image: UInt8Array | None = None
        self._commands = node.create_publisher(JointTrajectory, act_inference_node.COMMAND_TOPIC, 1)
        node.create_subscription(JointState, "/joint_states", self._see_joints, SENSOR)
        node.create_subscription(Image, "/camera/color/image_raw", self._see_image, SENSOR)
        self._period_s = 1 / node.declare_parameter("control_hz", 30.0).value
        node.create_timer(self._period_s, self._tick)

    def _see_joints(self, message: JointState) -> None:
        if self._position is None:
            self._position = np.array(message.position, np.float32)

    def _see_image(self, message: Image) -> None:
        self._image = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)

    def _tick(self) -> None:
        if self._position is None or self._image is None:
            return
        if not self._queue:
            images = {"observation.images.color": self._image[None]}
            self._queue.extend(self._engine.predict(images, self._position[None]).actions[0][: SPEC.n_action_steps])
        self._position = self._position + self._queue.popleft()
        point = JointTrajectoryPoint(positions=self._position.tolist())
        point.time_from_start.nanosec = int(1e9 * self._period_s)
        self._commands.publish(JointTrajectory(joint_names=list(JOINTS), points=[point]))


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    way, engine = sys.argv[1], TimedEngine(float(sys.argv[2]), busy=sys.argv[3] == "busy")
    if way == "ours":
        policy: Any = SimpleNamespace(spec=SPEC)
        act_inference_node.load_policy = lambda *_: LoadedPolicy(policy, "timed", None, "0" * 64)
        EngineChoice.load = lambda *_: engine  # type: ignore[method-assign, assignment, return-value]
        act_inference_node.main()
        return
    rclpy.init()
    node = rclpy.create_node("in_timer")
    held = InTimer(node, engine)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        del held


if __name__ == "__main__":
    main()
