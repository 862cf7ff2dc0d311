"""Between ROS messages and the package's own types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lerobot_inference.control.trajectory import Trajectory
from lerobot_inference.ros2.status import Status

LEVELS = {"running": 0, "dry_run": 0, "starting": 1, "waiting": 1, "holding": 1, "stopped": 1, "latched": 2}
"""diagnostic_msgs/DiagnosticStatus: 0 is OK, 1 WARN, 2 ERROR."""


def seconds(stamp: Any) -> float:
    """A builtin_interfaces/Time as seconds."""
    return float(stamp.sec) + 1e-9 * float(stamp.nanosec)


def trajectory_message(trajectory: Trajectory, joint_names: Sequence[str]) -> JointTrajectory:
    """Points with positions and velocities; the stamp stays 0, which means now."""
    message = JointTrajectory(joint_names=list(joint_names))
    for positions, velocities, time_s in zip(
        trajectory.positions.tolist(), trajectory.velocities.tolist(), trajectory.times_s.tolist(), strict=True
    ):
        point = JointTrajectoryPoint(positions=positions, velocities=velocities)
        nanoseconds = round(time_s * 1e9)
        point.time_from_start.sec, point.time_from_start.nanosec = divmod(nanoseconds, 1_000_000_000)
        message.points.append(point)
    return message


def diagnostics(status: Status, stamp: Any, array: Any, entry: Any, key_value: Any) -> Any:
    """The same as /lerobot/status, for the tools that read diagnostic_msgs."""
    told = {
        "armed": str(status.armed).lower(),
        "step": str(status.step),
        "schedule": status.schedule,
        "engine": status.engine,
        "forward_ms_p95": _figure(status.forward_ms.p95),
        "tick_jitter_ms_p99": _figure(status.tick_jitter_ms.p99),
        "missed_ticks": str(status.missed_ticks),
        "joint_age_ms": _figure(status.ages_ms.joint),
        "image_age_ms": _figure(status.ages_ms.image),
        **{f"guard.{name}": str(count) for name, count in status.guards.items()},
        **{f"limits_from.{name}": origin.value for name, origin in status.limits_from.items()},
        **{f"dropped.{reason}": str(count) for reason, count in status.dropped.items()},
    }
    message = array()
    message.header.stamp = stamp
    message.status = [
        entry(
            level=bytes([LEVELS[status.state]]),
            name="act_inference_node",
            message=f"{status.state}: {status.reason}" if status.reason else status.state,
            hardware_id=status.policy.source,
            values=[key_value(key=key, value=value) for key, value in told.items()],
        )
    ]
    return message


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
