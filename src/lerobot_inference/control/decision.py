"""What a controller is set to, and what each of its ticks comes to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lerobot_inference.control.guards import GuardEvent
from lerobot_inference.control.trajectory import Trajectory
from lerobot_inference.errors import UsageError
from lerobot_inference.types import ActionMode, FloatArray


class State(StrEnum):
    """What the controller is doing. STOPPED is its end."""

    WAITING = "waiting"
    DRY_RUN = "dry_run"
    RUNNING = "running"
    HOLDING = "holding"
    LATCHED = "latched"
    STOPPED = "stopped"


@dataclass(frozen=True)
class ControlSettings:
    """The robot as the policy knows it. joint_names: training order; signs: robot's own angle = sign * the policy's.

    lookahead_points: of each command, the point of rest included.
    """

    joint_names: tuple[str, ...]
    action_mode: ActionMode
    control_hz: float = 30.0
    signs: tuple[int, ...] = ()
    lookahead_points: int = 5

    def __post_init__(self) -> None:
        if self.lookahead_points < 2:
            raise UsageError(f"lookahead_points is {self.lookahead_points}, expected a target and a point of rest")
        if self.signs and len(self.signs) != len(self.joint_names):
            raise UsageError(f"{len(self.signs)} signs for {len(self.joint_names)} joints")

    @property
    def period_s(self) -> float:
        """Seconds between two ticks."""
        return 1.0 / self.control_hz


@dataclass(frozen=True)
class Decision:
    """What one tick came to. Radians, the robot's own angles.

    target: (J,) what the policy asked for; None where nothing was due. command: (J,) the last accepted one.
    trajectory: to be published; None: publish nothing. chunk: number of the chunk that the action is from.
    """

    tick: int
    state: State
    reason: str
    command: FloatArray
    target: FloatArray | None = None
    trajectory: Trajectory | None = None
    chunk: int = 0
    events: tuple[GuardEvent, ...] = ()
