"""`ros2 run lerobot_inference act_inference_node`: a policy beside the arm.

A thin shell: messages to senses, Controller.tick(), command to message. All that decides is in control/.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool, Float64, String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from lerobot_inference.control import Decision, ScheduleName
from lerobot_inference.control.guards.known import Origin, known_limits, origins
from lerobot_inference.control.image import read_image
from lerobot_inference.control.journal import Journal
from lerobot_inference.control.mcap_log import McapLog
from lerobot_inference.control.predictor import ThreadPredictor, camera_of
from lerobot_inference.control.trajectory import Trajectory
from lerobot_inference.engine import Engine
from lerobot_inference.errors import InputError, LerobotInferenceError
from lerobot_inference.ros2.heartbeat import Heartbeat
from lerobot_inference.ros2.messages import diagnostics, seconds, trajectory_message
from lerobot_inference.ros2.parameters import Parameters
from lerobot_inference.ros2.policy import LoadedPolicy, load_policy
from lerobot_inference.ros2.status import Ages, Clockwork, PolicyIdentity, Status, forward_times
from lerobot_inference.ros2.waiting import WAITING_S, why_waiting

COMMAND_TOPIC = "/lerobot/joint_commands"
STATUS_TOPIC = "/lerobot/status"
SENSOR = QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT)
# Deep enough that another device on the topic, a gripper, doesn't push the arm's own joint state out before it is read.
JOINT_STATES = QoSProfile(depth=10, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT)
MOST_REASONS = 20  # of refused images, told apart: a broken camera may find one more for each
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class InferenceNode:
    """The node's callbacks, all on the executor's one thread."""

    def __init__(self, node: Any, parameters: Parameters, loaded: LoadedPolicy, engine: Engine) -> None:
        self._node, self._parameters, self._engine = node, parameters, engine
        self._settings = parameters.control_settings(loaded.policy)
        self._identity = PolicyIdentity(source=loaded.source, revision=loaded.revision, sha256=loaded.sha256)
        self._shape = engine.spec.cameras[camera_of(engine)]
        guards = parameters.guard_chain(loaded.policy)
        guards.require_joints(self._settings.joint_names)  # before a log is begun
        self._log = McapLog(Path(parameters.record)) if parameters.record else None
        self._limits_from = origins(guards.settings, known_limits(loaded.policy))
        self._predictor = ThreadPredictor(engine)
        self._journal = Journal(
            self._log.write if self._log else None,
            self._settings,
            guards,
            ScheduleName(parameters.schedule),
            engine.spec,
            parameters.lead,
            self._predictor,
            self._now_s(),
        )
        self._clockwork, self._heartbeat = Clockwork(self._settings.period_s), Heartbeat()
        self._decision: Decision | None = None
        self._stopped: dict[str, str | None] = {}
        self._refused: dict[str, int] = {}
        self._heard: set[str] = set()
        self._waited_for: set[str] = set()
        self._wants_control = parameters.enable_control
        self._refusal = ""
        self._commands = node.create_publisher(
            JointTrajectory,
            COMMAND_TOPIC,
            QoSProfile(
                depth=1,
                reliability=ReliabilityPolicy.RELIABLE,
                deadline=Duration(nanoseconds=int(2e9 * self._settings.period_s)),
            ),
        )
        self._statuses = node.create_publisher(String, STATUS_TOPIC, LATCHED)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._subscribe()
        self._serve()
        self._tell_origins()
        if guards.left_out:
            node.get_logger().warning(
                f"{parameters.guards} switches off what it leaves out: {', '.join(guards.left_out)}; it replaces the "
                "guards of the UR10e, so begin from a copy of theirs"
            )
        # Ticks don't wait for hours where this machine's clock is set back; a simulation's own clock is theirs.
        clock = (
            node.get_clock() if node.get_parameter("use_sim_time").value else Clock(clock_type=ClockType.STEADY_TIME)
        )
        node.create_timer(self._settings.period_s, self._tick, clock=clock)
        node.create_timer(1 / parameters.status_hz, self._tell_status, clock=clock)
        node.create_timer(1.0, self._tell_diagnostics, clock=clock)
        node.create_timer(WAITING_S, self._tell_waiting, clock=clock)

    def _tell_origins(self) -> None:
        for guard, origin in self._limits_from.items():
            if origin is Origin.NOWHERE:
                self._node.get_logger().warning(
                    f"guard {guard} has no limits and says nothing: export the policy as a bundle with this version, "
                    "or give the limits in the guards file"
                )
            else:
                self._node.get_logger().info(f"guard {guard} has its limits from the {origin}")

    def _subscribe(self) -> None:
        create, parameters = self._node.create_subscription, self._parameters
        create(JointState, parameters.joint_states_topic, self._see_joints, JOINT_STATES)
        create(Image, parameters.camera_topic, self._see_image, SENSOR)
        # What a person had the node listen to must have been heard: a topic with a typing error says nothing.
        if parameters.program_running_topic:
            self._stopped["program"] = f"nothing has come on {parameters.program_running_topic}"
            create(Bool, parameters.program_running_topic, self._see_program, LATCHED)
        if parameters.speed_scaling_topic:
            self._stopped["speed"] = f"nothing has come on {parameters.speed_scaling_topic}"
            create(Float64, parameters.speed_scaling_topic, self._see_speed_scaling, SENSOR)

    def _serve(self) -> None:
        node = self._node
        node.create_service(SetBool, "~/set_control", self._answer_set_control)
        node.create_service(Trigger, "~/hold", self._answering(lambda: self._disarm("held by a person")))
        node.create_service(Trigger, "~/reset_fault", self._answering(self._reset_fault))
        node.create_service(Trigger, "~/reset_episode", self._answering(self._reset_episode))
        node.add_on_set_parameters_callback(self._set_parameters)

    def _now_s(self) -> float:
        return float(self._node.get_clock().now().nanoseconds) / 1e9

    def _see_joints(self, message: JointState) -> None:
        self._heard.add(self._parameters.joint_states_topic)
        self._journal.see_joints(message.name, message.position, seconds(message.header.stamp), self._now_s())

    def _see_image(self, message: Image) -> None:
        try:
            image = read_image(
                message.data,
                message.encoding,
                message.height,
                message.width,
                message.step,
                self._shape,
                crop=self._parameters.resize == "crop",
            )
        except InputError as error:
            known = error.message in self._refused or len(self._refused) < MOST_REASONS
            reason = error.message if known else "image: refused for other reasons"
            self._refused[reason] = self._refused.get(reason, 0) + 1
            return
        self._journal.see_image(image, seconds(message.header.stamp), self._now_s())

    def _see_program(self, message: Bool) -> None:
        self._stopped["program"] = None if message.data else "its program is not running"

    def _see_speed_scaling(self, message: Float64) -> None:
        self._stopped["speed"] = None if message.data > 0 else "its speed scaling is 0"

    def _tick(self) -> None:
        now_s = self._now_s()
        self._clockwork.tick(time.monotonic())
        self._heartbeat.beat()
        others = self._node.count_publishers(self._commands.topic_name) - 1
        self._journal.see_conditions(next(filter(None, self._stopped.values()), None), max(0, others), now_s)
        if self._wants_control and self._journal.controller.senses.complete:
            self._arm(now_s)
        was_armed = self._journal.controller.armed
        decision = self._journal.tick(now_s)
        if decision.trajectory is not None:
            self._publish(decision.trajectory)
        if was_armed and not self._journal.controller.armed:
            self._node.get_logger().error(f"control is off: {decision.reason}")
            self._forget_control()
        before, self._decision = self._decision, decision
        if before is None or before.state is not decision.state:
            self._tell_status()
        if self._journal.failure:
            raise self._journal.failure

    @property
    def _chunk(self) -> int:
        return self._decision.chunk if self._decision else 0

    def _publish(self, trajectory: Trajectory) -> None:
        self._commands.publish(trajectory_message(trajectory, self._settings.joint_names))

    def _arm(self, now_s: float) -> str:
        self._refusal = self._journal.arm(now_s)
        self._wants_control = self._wants_control and bool(self._refusal)
        if not self._refusal:
            self._node.get_logger().warning("control is on: commands are published")
        return self._refusal

    def _disarm(self, reason: str) -> str:
        self._wants_control = False
        hold = self._journal.disarm(reason, self._now_s())
        if hold is not None:
            self._publish(hold)
        self._forget_control()
        return ""

    def _forget_control(self) -> None:
        """What was switched off does not look switched on."""
        if self._node.get_parameter("enable_control").value:
            self._node.set_parameters([Parameter("enable_control", value=False)])

    def _reset_fault(self) -> str:
        return self._journal.reset_fault(self._now_s())

    def _reset_episode(self) -> str:
        self._journal.reset_episode(self._now_s())
        return ""

    def _answering(self, act: Callable[[], str]) -> Callable[[Any, Any], Any]:
        def answer(_: Any, response: Any) -> Any:
            refusal = act()
            response.success, response.message = not refusal, refusal
            return response

        return answer

    def _answer_set_control(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        result = self._node.set_parameters([Parameter("enable_control", value=request.data)])[0]
        response.success, response.message = result.successful, result.reason
        return response

    def _set_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        """`enable_control` alone may change: all else was checked against policy and robot at the start."""
        for change in changes:
            if change.name != "enable_control":
                reason = f"{change.name} is fixed at the start: stop the node and start it with another value"
                return SetParametersResult(successful=False, reason=reason)
        for change in changes:
            if not change.value:
                self._wants_control = False
                if self._journal.controller.armed:
                    self._disarm("switched off")
            elif refusal := self._arm(self._now_s()):
                return SetParametersResult(successful=False, reason=refusal)
        return SetParametersResult(successful=True)

    def status(self) -> Status:
        """All that an operator needs to know, now."""
        controller, decision, now_s = self._journal.controller, self._decision, self._now_s()
        senses = controller.senses
        return Status(
            state=decision.state.value if decision else "starting",
            reason=(self._refusal if self._wants_control else "") or (decision.reason if decision else ""),
            step=decision.tick if decision else 0,
            armed=controller.armed,
            joint_names=list(self._settings.joint_names),
            command=decision.command.tolist() if decision and senses.complete else None,
            target=decision.target.tolist() if decision and decision.target is not None else None,
            measured=None if senses.joints is None else senses.joints.tolist(),
            action_mode=self._settings.action_mode.value,
            schedule=self._parameters.schedule,
            engine=f"{self._engine.name} {self._engine.precision} on {self._engine.device}",
            queue_length=controller.queue_length,
            chunk=self._chunk,
            forward_ms=forward_times([1000 * second for second in list(self._predictor.seconds)]),
            tick_jitter_ms=self._clockwork.jitter(),
            missed_ticks=self._clockwork.missed,
            ages_ms=Ages(
                joint=None if senses.joints is None else 1000 * (now_s - senses.joints_s),
                image=None if senses.image is None else 1000 * (now_s - senses.image_s),
            ),
            guards=dict(controller.counts),
            limits_from=self._limits_from,
            dropped=dict(senses.dropped) | self._refused,
            policy=self._identity,
        )

    def _tell_status(self) -> None:
        self._statuses.publish(String(data=self.status().model_dump_json()))

    def _tell_waiting(self) -> None:
        """In the log, where a person looks first: why there is no joint state or image, each reason once."""
        senses, parameters = self._journal.controller.senses, self._parameters
        refused = dict(senses.dropped) | self._refused
        for topic, seen, what in (
            (parameters.joint_states_topic, senses.joints, "joint state: "),
            (parameters.camera_topic, senses.image, "image: "),
        ):
            if seen is None:
                dropped = [reason.removeprefix(what) for reason in refused if reason.startswith(what)]
                publishers = self._node.count_publishers(topic)
                why = why_waiting(topic, publishers, heard=topic in self._heard, dropped=dropped)
                if why not in self._waited_for:
                    self._waited_for.add(why)
                    self._node.get_logger().warning(why)

    def _tell_diagnostics(self) -> None:
        stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(diagnostics(self.status(), stamp, DiagnosticArray, DiagnosticStatus, KeyValue))

    def finish(self) -> None:
        """Send the hold last, where control is on; tell that this is the end; close the log."""
        hold = self._journal.stop(self._now_s())
        if hold is not None:
            self._publish(hold)
        self._decision = self._journal.tick(self._now_s())
        self._tell_status()
        for publisher in (self._commands, self._statuses):
            publisher.wait_for_all_acked(Duration(seconds=1))
        if self._log:
            self._log.close()


def main() -> None:
    """Run until a signal or an error; whatever ends it, a hold is the last command."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    _on_endings(_interrupt)
    node = rclpy.create_node("act_inference_node")
    try:
        _run(node)
    except LerobotInferenceError as error:
        node.get_logger().fatal(f"{error.message}{f' ({error.hint})' if error.hint else ''}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()
        rclpy.shutdown()


def _run(node: Any) -> None:
    parameters = Parameters.declare(node)
    loaded = load_policy(parameters.policy_repo, parameters.policy_revision)
    engine = parameters.engine_choice.load(loaded.policy)
    engine.warm_up()
    asked: list[int] = []  # from here on no signal cuts short what is under way: a tick, an entry of the log, the hold
    _on_endings(lambda number, _: asked.append(number))
    inference = InferenceNode(node, parameters, loaded, engine)
    executor = rclpy.executors.SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while rclpy.ok() and not asked:
            executor.spin_once(timeout_sec=0.2)
    finally:
        inference.finish()


def _on_endings(act: Callable[[int, Any], None]) -> None:
    """Do this on each signal that ends the program; a terminal that goes away does not, under nohup."""
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if ending is not signal.SIGHUP or signal.getsignal(ending) is not signal.SIG_IGN:
            signal.signal(ending, act)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
