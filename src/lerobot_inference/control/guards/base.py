"""What every guard sees and says.

A *watch* looks at the situation once a tick: is what the robot reports fresh, does the arm follow, may it
move at all? A *limit* looks at one target that the arm is about to be sent, and holds no state of its own, so that the
look-ahead of a command passes through the same limits as the command. A *chunk check* looks at what the policy said,
before any of it is used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import ClassVar, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from lerobot_inference.types import BoolArray, FloatArray


class Severity(IntEnum):
    """What happens to the arm, mildest first.

    ACCEPT: as asked. WARN: as asked, and counted. SCALE: slower. HOLD: the last accepted command once more, this tick.
    REJECT: hold, and what is left of the chunk is dropped. DISARM: reject, and a person must enable control again.
    LATCH: disarm, and a person must reset the fault first.
    """

    ACCEPT = 0
    WARN = 1
    SCALE = 2
    HOLD = 3
    REJECT = 4
    DISARM = 5
    LATCH = 6


@dataclass(frozen=True)
class Verdict:
    """One guard's word. target: with SCALE, the (J,) radians to send instead."""

    severity: Severity
    reason: str = ""
    target: FloatArray | None = None


ACCEPT = Verdict(Severity.ACCEPT)
"""As asked."""


@dataclass(frozen=True)
class Situation:
    """What the controller knows at one tick, in the robot's own joint angles. Radians and seconds.

    joint_names: in training order, as every (J,) vector.
    measured: (J,). command, velocity: (J,), the last accepted command and how fast it moved.
    armed: commands are published; armed_s: for how long. moved_s: since the first target after that.
    joint_age_s, image_age_s: of the newest joint state and image; skew_s: between the two.
    empty_s: for how long no action has been due though the policy has begun.
    failed_predictions, rejected_chunks: in a row. publishers: how many others publish commands.
    said: (n, J) what the chunk before says of a new chunk's steps, the first one first; None where none was played.
    stride: how many steps before the new chunk that one was asked for.
    stopped: why the robot says that it is not running; None where it runs, or doesn't say.
    """

    now_s: float
    period_s: float
    joint_names: tuple[str, ...]
    measured: FloatArray
    command: FloatArray
    velocity: FloatArray
    armed: bool
    armed_s: float
    moved_s: float
    joint_age_s: float
    image_age_s: float
    skew_s: float
    empty_s: float = 0.0
    failed_predictions: int = 0
    rejected_chunks: int = 0
    stopped: str | None = None
    publishers: int = 0
    said: FloatArray | None = None
    stride: int = 0

    def moved_to(self, command: FloatArray, velocity: FloatArray) -> Situation:
        """The same with another last command: what a look-ahead is held against."""
        return replace(self, command=command, velocity=velocity)

    def names(self, which: BoolArray) -> str:
        """The joints for which (J,) `which` is true, for a person."""
        return ", ".join(name for name, chosen in zip(self.joint_names, which, strict=True) if chosen)


class Settings(BaseModel):
    """A guard with its limits, as one entry of the guards file; a field of the wrong name or value is refused.

    per_joint: the fields that hold a value for each joint, in training order; one that has a default may be empty.
    """

    per_joint: ClassVar[tuple[str, ...]] = ()
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Watch(Protocol):
    """Looks at the situation."""

    def check(self, situation: Situation) -> Verdict:
        """What this tick's situation allows."""


class ChunkCheck(Protocol):
    """Looks at a chunk (n, A) in radians whose first action asks for `first` (J,) radians."""

    def check(self, chunk: FloatArray, first: FloatArray, situation: Situation) -> Verdict:
        """Whether the chunk may be used."""


class Limit(Protocol):
    """Looks at one target (J,) radians that follows `situation.command` by one period."""

    def check(self, target: FloatArray, situation: Situation) -> Verdict:
        """Whether it may be sent as it is."""


def aged(what: str, age_s: float, hold_s: float, latch_s: float) -> Verdict:
    """Hold, later latch, for something that has grown old, or is of the future: of before the clock went back."""
    if abs(age_s) <= hold_s:
        return ACCEPT
    severity, limit = (Severity.LATCH, latch_s) if abs(age_s) > latch_s else (Severity.HOLD, hold_s)
    return Verdict(severity, f"{what} is {age_s:.3f} s old, the limit is {limit:g} s")


def scaled(target: FloatArray, situation: Situation, factor: float, reason: str) -> Verdict:
    """The step from the last command to `target`, as a whole vector `factor` (0 to 1) times as long."""
    step = (target - situation.command) * np.float32(factor)
    return Verdict(Severity.SCALE, reason, (situation.command + step).astype(np.float32))
