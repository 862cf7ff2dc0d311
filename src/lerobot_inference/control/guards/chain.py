"""All guards of one arm, in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import ValidationError

from lerobot_inference.control.guards.base import (
    ChunkCheck,
    Limit,
    Settings,
    Severity,
    Situation,
    Verdict,
    Watch,
)
from lerobot_inference.control.guards.chunk_border import ChunkBorder
from lerobot_inference.control.guards.chunk_overlap import ChunkOverlap
from lerobot_inference.control.guards.finite_chunk import FiniteChunk
from lerobot_inference.control.guards.first_target import FirstTarget
from lerobot_inference.control.guards.foreign import ForeignGuard, foreign_kind
from lerobot_inference.control.guards.image_age import ImageAge
from lerobot_inference.control.guards.inference_error import InferenceError
from lerobot_inference.control.guards.joint_acceleration import JointAcceleration
from lerobot_inference.control.guards.joint_position import JointPosition
from lerobot_inference.control.guards.joint_state_age import JointStateAge
from lerobot_inference.control.guards.joint_velocity import JointVelocity
from lerobot_inference.control.guards.out_of_distribution import OutOfDistribution
from lerobot_inference.control.guards.queue_empty import QueueEmpty
from lerobot_inference.control.guards.rejected_chunks import RejectedChunks
from lerobot_inference.control.guards.robot_mode import RobotMode
from lerobot_inference.control.guards.second_publisher import SecondPublisher
from lerobot_inference.control.guards.soft_start import SoftStart
from lerobot_inference.control.guards.start_pose import StartPose
from lerobot_inference.control.guards.time_cap import TimeCap
from lerobot_inference.control.guards.tool_speed import ToolSpeed
from lerobot_inference.control.guards.tracking_error import TrackingError
from lerobot_inference.control.guards.workspace import Workspace
from lerobot_inference.errors import ConfigError
from lerobot_inference.plugins import GUARD_GROUPS, Plugin, plugins
from lerobot_inference.records import first_problem
from lerobot_inference.types import FloatArray

UR10E = Path(__file__).parents[1] / "ur10e.yaml"
"""The guards of a UR10e as they are shipped, for commissioning."""

WATCHES: dict[str, type[Settings]] = {
    "robot_mode": RobotMode,
    "second_publisher": SecondPublisher,
    "joint_state_age": JointStateAge,
    "image_age": ImageAge,
    "tracking_error": TrackingError,
    "inference_error": InferenceError,
    "rejected_chunks": RejectedChunks,
    "time_cap": TimeCap,
    "out_of_distribution": OutOfDistribution,
}
IDLES: dict[str, type[Settings]] = {"queue_empty": QueueEmpty}
STARTS: dict[str, type[Settings]] = {"start_pose": StartPose}
CHUNK_CHECKS: dict[str, type[Settings]] = {
    "finite_chunk": FiniteChunk,
    "first_target": FirstTarget,
    "chunk_border": ChunkBorder,
    "chunk_overlap": ChunkOverlap,
}
# Rates first, so that what is scaled is then held against the limits as it will be sent. Tool speed and acceleration
# are convex: a target between two that keep to the former keeps to it too.
LIMITS: dict[str, type[Settings]] = {
    "joint_velocity": JointVelocity,
    "tool_speed": ToolSpeed,
    "soft_start": SoftStart,
    "joint_acceleration": JointAcceleration,
    "joint_position": JointPosition,
    "workspace": Workspace,
}
KINDS = WATCHES | IDLES | STARTS | CHUNK_CHECKS | LIMITS
OWN = {"watches": WATCHES, "idles": IDLES, "starts": STARTS, "chunk_checks": CHUNK_CHECKS, "limits": LIMITS}


@dataclass(frozen=True)
class GuardEvent:
    """One guard that did not simply accept."""

    guard: str
    severity: Severity
    reason: str


@dataclass(frozen=True)
class Outcome:
    """What all guards together say. target: (J,) radians to send, where one was asked about."""

    severity: Severity
    events: tuple[GuardEvent, ...] = ()
    target: FloatArray | None = None

    def __add__(self, other: Outcome) -> Outcome:
        """Both, the severer of the two deciding."""
        return Outcome(max(self.severity, other.severity), self.events + other.events, other.target)

    @property
    def reason(self) -> str:
        """Why: the words of the first guard that is as severe as all together; empty when everything is accepted."""
        return next((f"{event.guard}: {event.reason}" for event in self.events if event.severity == self.severity), "")


@dataclass(frozen=True)
class Guards:
    """The chain. Each kind: name -> guard, in the order in which they are asked. settings: what it was made from."""

    settings: Mapping[str, Mapping[str, Any]]
    watches: Mapping[str, Watch]
    idles: Mapping[str, Watch]
    starts: Mapping[str, Watch]
    chunk_checks: Mapping[str, ChunkCheck]
    limits: Mapping[str, Limit]

    @classmethod
    def make(cls, settings: Mapping[str, Mapping[str, Any]], source: str = "guards") -> Guards:
        """The guards that `settings` name, with the values given there and defaults for the rest.

        Raises ConfigError naming the guard and the field, with `source` as where they are from; UsageError naming the
        distribution whose guard can't be used.
        """
        others = foreign_guards()
        if unknown := [name for name in settings if name not in KINDS and name not in others]:
            hint = f"there is: {', '.join((*KINDS, *others))}"
            raise ConfigError(f"{source}: there is no guard {unknown[0]}", hint=hint)

        def made(name: str, kind: type[Settings]) -> Settings:
            return _read(kind, settings[name], f"{source}: {name}")

        def chosen(kind: str) -> dict[str, Any]:
            """The others' first, so that a target which one of them asks for is held against every limit of our own."""
            group, own = GUARD_GROUPS[kind], OWN[kind]
            foreign = {name: other for name, other in others.items() if other.group == group and name in settings}
            asked = {name: ForeignGuard(made(name, foreign_kind(other))) for name, other in foreign.items()}
            return asked | {name: made(name, own[name]) for name in own if name in settings}

        return cls(settings, **{kind: chosen(kind) for kind in OWN})

    @classmethod
    def load(cls, path: Path, known: Mapping[str, Mapping[str, Any]] | None = None) -> Guards:
        """Read a guards file. known: guard -> values that the policy's contract gives and the file need not.

        Raises ConfigError naming the file and what is wrong.
        """
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}", hint="give the guards file of the arm") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not valid YAML: {error}") from error
        found = content.get("guards") if isinstance(content, dict) else None
        if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
            raise ConfigError(f"{path}: expected `guards:` with an entry {{name: {{limit: value}}}} a guard")
        return cls.make({name: {**(known or {}).get(name, {}), **entry} for name, entry in found.items()}, str(path))

    @property
    def left_out(self) -> list[str]:
        """The guards of this package that are not on, which is for a person to know."""
        return [name for name in KINDS if name not in self.settings]

    def require_joints(self, names: Sequence[str]) -> None:
        """Raise ConfigError where a guard has limits for another number of joints."""
        everyone: dict[str, object]
        everyone = {**self.watches, **self.idles, **self.starts, **self.chunk_checks, **self.limits}
        for name, guard in everyone.items():
            if not isinstance(guard, Settings):  # another distribution's
                continue
            for field in guard.per_joint:
                found, required = len(getattr(guard, field)), type(guard).model_fields[field].is_required()
                if found != len(names) and (found or required):
                    raise ConfigError(
                        f"guards: {name}: {field} has {found} values, expected {len(names)}",
                        hint=f"give one for each joint, in this order: {', '.join(names)}",
                    )

    def watch(self, situation: Situation) -> Outcome:
        """May the arm move at this tick?"""
        return _ask(self.watches, lambda guard: guard.check(situation))

    def idle(self, situation: Situation) -> Outcome:
        """What if no action is due?"""
        return _ask(self.idles, lambda guard: guard.check(situation))

    def start(self, situation: Situation) -> Outcome:
        """May control be enabled? All that watches, and what counts at the start alone."""
        return _ask({**self.watches, **self.starts}, lambda guard: guard.check(situation))

    def chunk(self, chunk: FloatArray, first: FloatArray, situation: Situation) -> Outcome:
        """May a chunk (n, A) be used, whose first action asks for `first` (J,)?"""
        return _ask(self.chunk_checks, lambda guard: guard.check(chunk, first, situation))

    def limit(self, target: FloatArray, situation: Situation) -> Outcome:
        """What to send for `target` (J,) radians: it, or a slower step, or nothing from the first refusal on."""
        severity, events = Severity.ACCEPT, []
        for name, guard in self.limits.items():
            verdict = guard.check(target, situation)
            if verdict.severity is Severity.ACCEPT:
                continue
            severity = max(severity, verdict.severity)
            events.append(GuardEvent(name, verdict.severity, verdict.reason))
            if verdict.severity >= Severity.HOLD:
                return Outcome(severity, tuple(events))
            target = target if verdict.target is None else verdict.target
        if not np.isfinite(target).all():  # whichever guards are on
            return Outcome(Severity.LATCH, (*events, GuardEvent("target", Severity.LATCH, "it is not finite")))
        return Outcome(severity, tuple(events), target)


def foreign_guards() -> dict[str, Plugin]:
    """Name -> the guard that another distribution brings, of every kind. Raises UsageError as `plugins` does."""
    return plugins(GUARD_GROUPS.values(), KINDS)


def _ask[G](guards: Mapping[str, G], check: Callable[[G], Verdict]) -> Outcome:
    """The severest word of all, and every word."""
    events = tuple(_events(guards, check))
    return Outcome(max((event.severity for event in events), default=Severity.ACCEPT), events)


def _events[G](guards: Mapping[str, G], check: Callable[[G], Verdict]) -> Iterable[GuardEvent]:
    for name, guard in guards.items():
        verdict = check(guard)
        if verdict.severity is not Severity.ACCEPT:
            yield GuardEvent(name, verdict.severity, verdict.reason)


def _read(kind: type[Settings], values: Mapping[str, Any], where: str) -> Settings:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{where}: {first_problem(error)}", hint="see docs/explanation/safety.md") from error
