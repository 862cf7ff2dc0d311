"""`lerobot-inference sim serve`: the simulated cell on the topics of a UR10e and its camera."""

from __future__ import annotations

import array
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool, Float64, String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from lerobot_inference.control.kinematics import JOINTS
from lerobot_inference.errors import InputError
from lerobot_inference.ros2.act_inference_node import COMMAND_TOPIC, LATCHED, SENSOR
from lerobot_inference.ros2.heartbeat import Heartbeat
from lerobot_inference.ros2.messages import seconds
from lerobot_inference.sim.cell import CONTROL_HZ, DEFAULT_IMAGE, Cell
from lerobot_inference.sim.faults import Fault, FaultRequest, Faults, JointReport, Line, Picture
from lerobot_inference.sim.live_cell import LiveCell
from lerobot_inference.sim.trajectory_controller import Goal
from lerobot_inference.types import ImageShape

JOINT_HZ = 125
REPORT_HZ = 20
GRIPPER = "finger_joint"
ELBOW_FIRST = (2, 1, 0, 3, 4, 5)
"""The order in which UR's driver has been seen to publish the joints."""

RELIABLE = QoSProfile(depth=10)


@dataclass(frozen=True)
class CellOptions:
    """How the cell shows itself.

    seed, episode: the scene, of `sim rollout`'s. gripper: a device of its own publishes its joint on /joint_states too.
    elbow_first: joints in another order than the policy's. from_measured: see TrajectoryController.
    """

    image: ImageShape = DEFAULT_IMAGE
    seed: int = 0
    episode: int = 0
    gripper: bool = False
    elbow_first: bool = False
    from_measured: bool = False


class SimCellNode:
    """The cell's topics. All callbacks are on the executor's one thread."""

    def __init__(self, node: Node, cell: Cell, options: CellOptions) -> None:
        self._node, self._cell, self._options = node, cell, options
        self._faults, self._heartbeat = Faults(), Heartbeat()
        self._joint_line, self._image_line = Line[JointReport]("joints"), Line[Picture]("image")
        self._live = LiveCell(
            cell, options.seed, options.episode, self._now_s(), from_desired=not options.from_measured
        )
        self._images = 0
        self._running: bool | None = None
        self._intruder: Any = None
        self._joints = node.create_publisher(JointState, "/joint_states", RELIABLE)
        self._gripper = node.create_publisher(JointState, "/joint_states", RELIABLE) if options.gripper else None
        self._image = node.create_publisher(Image, "/camera/color/image_raw", SENSOR)
        self._reports = node.create_publisher(String, "/sim/report", RELIABLE)
        self._program = node.create_publisher(Bool, "/io_and_status_controller/robot_program_running", LATCHED)
        self._speed = node.create_publisher(Float64, "/speed_scaling_state_broadcaster/speed_scaling", RELIABLE)
        node.create_subscription(JointTrajectory, COMMAND_TOPIC, self._execute, RELIABLE)
        node.create_subscription(String, "/sim/fault", self._misbehave, RELIABLE)
        node.create_service(Trigger, "/sim/reset", self._reset)
        node.declare_parameter("episode", options.episode)
        node.create_timer(1 / JOINT_HZ, self._move)
        node.create_timer(1 / CONTROL_HZ, self._look)
        node.create_timer(1 / REPORT_HZ, self._report)
        cell.render()  # the first picture takes a while

    def _now_s(self) -> float:
        return float(self._node.get_clock().now().nanoseconds) / 1e9

    def _execute(self, message: JointTrajectory) -> None:
        self._live.receive(
            Goal(
                message.joint_names,
                [list(point.positions) for point in message.points],
                [list(point.velocities) for point in message.points],
                [seconds(point.time_from_start) for point in message.points],
                seconds(message.header.stamp),
            ),
            self._now_s(),
        )

    def _misbehave(self, message: String) -> None:
        try:
            request = FaultRequest.parse(message.data)
        except InputError as error:
            self._node.get_logger().error(f"{error.message} ({error.hint})")
            return
        if request.fault is Fault.ESTOP:
            self._live.brake()
        self._faults.ask_for(request, self._now_s())
        self._obey_faults()

    def _reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Begin the episode that the parameter names, without faults."""
        self._faults = Faults()
        self._live.reset(self._node.get_parameter("episode").value, self._now_s())
        self._obey_faults()
        response.success = True
        return response

    def _obey_faults(self) -> None:
        """Let the robot and the network be as the present faults have them."""
        on: Callable[[Fault], bool] = partial(self._faults.on, now_s=self._now_s())
        running = not (on(Fault.ESTOP) or on(Fault.PROGRAM_STOPPED))
        self._live.controller.running = running
        self._live.speed_scaling = 0.0 if on(Fault.SPEED_ZERO) else 1.0
        if running is not self._running:
            self._running = running
            self._program.publish(Bool(data=running))
        if on(Fault.SECOND_PUBLISHER) and self._intruder is None:
            self._intruder = self._node.create_publisher(JointTrajectory, COMMAND_TOPIC, RELIABLE)
        elif self._intruder is not None and not on(Fault.SECOND_PUBLISHER):
            self._node.destroy_publisher(self._intruder)
            self._intruder = None

    def _move(self) -> None:
        now_s = self._now_s()
        self._obey_faults()
        self._live.advance(now_s)
        positions, velocities = self._cell.joint_positions(), self._cell.joint_velocities()
        order = ELBOW_FIRST if self._options.elbow_first else range(len(JOINTS))
        made = JointReport(
            tuple(JOINTS[i] for i in order),
            tuple(float(positions[i]) for i in order),
            tuple(float(velocities[i]) for i in order),
            self._live.time_s,
        )
        for report in self._joint_line.send(made.spoilt(self._faults, now_s), self._faults, now_s):
            self._joints.publish(joint_state_message(report))
        if self._gripper:
            self._gripper.publish(joint_state_message(JointReport((GRIPPER,), (0.4,), (0.0,), self._live.time_s)))

    def _look(self) -> None:
        self._heartbeat.beat()
        self._live.advance(self._now_s())
        made = Picture(self._cell.render(), self._live.time_s)
        now_s = self._now_s()
        for picture in self._image_line.send(made.spoilt(self._faults, now_s), self._faults, now_s):
            self._image.publish(image_message(picture))
            self._images += 1

    def _report(self) -> None:
        report = self._live.report([fault.value for fault in self._faults.present(self._now_s())])
        sent = {
            "joints_s": self._joint_line.fresh_s,
            "image_s": self._image_line.fresh_s,
            "images": self._images,
        }
        self._reports.publish(String(data=report.model_copy(update=sent).model_dump_json()))
        self._speed.publish(Float64(data=100.0 * self._live.speed_scaling))


def serve(options: CellOptions, announce: Callable[[], None]) -> None:
    """Run the cell until a signal comes; `announce` is called when it is up. Raises UsageError as Cell does."""
    cell = Cell(options.image)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    node = rclpy.create_node("sim_cell")
    try:
        SimCellNode(node, cell, options)
        executor = rclpy.executors.SingleThreadedExecutor()
        executor.add_node(node)
        announce()
        while rclpy.ok():
            executor.spin_once(timeout_sec=0.2)
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()
        rclpy.shutdown()
        cell.close()


def joint_state_message(report: JointReport) -> JointState:
    """As a sensor_msgs/JointState."""
    message = JointState(name=list(report.names), position=list(report.positions), velocity=list(report.velocities))
    _head(message, report.stamp_s, "base_link")
    return message


def image_message(picture: Picture) -> Image:
    """As a sensor_msgs/Image."""
    height, width, channels = picture.pixels.shape
    rows = np.pad(picture.pixels.reshape(height, width * channels), ((0, 0), (0, picture.padding)))
    message = Image(height=height, width=width, encoding=picture.encoding, step=rows.shape[1])
    _head(message, picture.stamp_s, "camera_color_optical_frame")
    message.data = array.array("B", rows.tobytes())  # anything else is checked byte by byte
    return message


def _head(message: Any, time_s: float, frame: str) -> None:
    message.header.frame_id = frame
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(round(time_s * 1e9), 1_000_000_000)
