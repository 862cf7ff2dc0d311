"""What can go wrong between a robot, its camera and the program that listens to them; on command."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lerobot_inference.errors import InputError
from lerobot_inference.records import first_problem
from lerobot_inference.types import UInt8Array


class Fault(StrEnum):
    """Each by the name that a person gives it. Those of a stream are of the joint states or of the images.

    drop: nothing comes; freeze: the same message again and again; delay: messages come late, skew: their stamps are
    early, both by so many seconds; reorder: every second message comes after the one that follows it.
    program_stopped: the robot runs no program, says so and takes no command; speed_zero: its speed slider is at zero,
    it says so and time stands still for its trajectory; estop: as program_stopped, and the arm brakes at once.
    """

    DROP_JOINTS = "drop_joints"
    FREEZE_JOINTS = "freeze_joints"
    DELAY_JOINTS = "delay_joints"
    SKEW_JOINTS = "skew_joints"
    REORDER_JOINTS = "reorder_joints"
    NAN_JOINTS = "nan_joints"
    PARTIAL_JOINTS = "partial_joints"
    DUPLICATE_JOINTS = "duplicate_joints"
    DROP_IMAGE = "drop_image"
    FREEZE_IMAGE = "freeze_image"
    DELAY_IMAGE = "delay_image"
    SKEW_IMAGE = "skew_image"
    REORDER_IMAGE = "reorder_image"
    WRONG_ENCODING = "wrong_encoding"
    WRONG_SIZE = "wrong_size"
    PADDED_STEP = "padded_step"
    PROGRAM_STOPPED = "program_stopped"
    SPEED_ZERO = "speed_zero"
    ESTOP = "estop"
    SECOND_PUBLISHER = "second_publisher"


type Stream = Literal["joints", "image"]

PADDING = 64
"""Bytes after each row of a padded image, which is a valid one."""


class FaultRequest(BaseModel):
    """What /sim/fault takes. fault: `none` ends all. seconds: how long it lasts; null for until `none`.

    by: seconds, of delay and skew.
    """

    model_config = ConfigDict(extra="forbid")

    fault: Fault | Literal["none"]
    seconds: float | None = Field(default=None, gt=0)
    by: float = 0.2

    @classmethod
    def parse(cls, text: str) -> FaultRequest:
        """Read one. Raises InputError that names what is wrong."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            hint = f"for example {cls(fault=Fault.DROP_IMAGE, seconds=1).model_dump_json()}"
            raise InputError(f"/sim/fault: {first_problem(error)}", hint=hint) from error


@dataclass
class Faults:
    """Which faults there are at present, and until when."""

    _until_s: dict[Fault, float] = field(default_factory=dict)
    _by_s: dict[Fault, float] = field(default_factory=dict)

    def ask_for(self, request: FaultRequest, now_s: float) -> None:
        """Begin a fault, or end all of them."""
        if request.fault == "none":
            self._until_s.clear()
        else:
            self._until_s[request.fault] = math.inf if request.seconds is None else now_s + request.seconds
            self._by_s[request.fault] = request.by

    def on(self, fault: Fault, now_s: float) -> bool:
        """Whether there is this one now."""
        return now_s < self._until_s.get(fault, -math.inf)

    def by(self, fault: Fault, now_s: float) -> float:
        """By how many seconds, now; 0 where there isn't this one."""
        return self._by_s[fault] if self.on(fault, now_s) else 0.0

    def present(self, now_s: float) -> list[Fault]:
        """All that there are now."""
        return [fault for fault in Fault if self.on(fault, now_s)]


@dataclass(frozen=True)
class JointReport:
    """A joint state message. Radians and rad/s, in the order of names."""

    names: tuple[str, ...]
    positions: tuple[float, ...]
    velocities: tuple[float, ...]
    stamp_s: float

    def spoilt(self, faults: Faults, now_s: float) -> JointReport:
        """As a device with these faults would send it."""
        names, positions, velocities = self.names, self.positions, self.velocities
        if faults.on(Fault.NAN_JOINTS, now_s):
            positions = (*positions[:-1], math.nan)
        if faults.on(Fault.PARTIAL_JOINTS, now_s):
            names, positions, velocities = names[1:], positions[1:], velocities[1:]
        if faults.on(Fault.DUPLICATE_JOINTS, now_s):
            names, positions, velocities = names + names[:1], positions + positions[:1], velocities + velocities[:1]
        return replace(self, names=names, positions=positions, velocities=velocities)


@dataclass(frozen=True)
class Picture:
    """An image message. pixels: (H, W, 3) uint8; padding: bytes after each row."""

    pixels: UInt8Array
    stamp_s: float
    encoding: str = "rgb8"
    padding: int = 0

    def spoilt(self, faults: Faults, now_s: float) -> Picture:
        """As a camera with these faults would send it."""
        picture = self
        if faults.on(Fault.WRONG_ENCODING, now_s):
            picture = replace(picture, encoding="yuv422")
        if faults.on(Fault.WRONG_SIZE, now_s):
            picture = replace(picture, pixels=picture.pixels[::2, ::2])
        if faults.on(Fault.PADDED_STEP, now_s):
            picture = replace(picture, padding=PADDING)
        return picture


class Line[M: (JointReport, Picture)]:
    """The way of one stream's messages from the device to the network, with what happens to them there.

    fresh_s: stamp of the newest message that went out untouched by a drop, a freeze or a delay.
    """

    def __init__(self, stream: Stream) -> None:
        drop, freeze, delay, skew, reorder = (
            Fault(f"{kind}_{stream}") for kind in ("drop", "freeze", "delay", "skew", "reorder")
        )
        self._drop, self._freeze, self._delay, self._skew, self._reorder = drop, freeze, delay, skew, reorder
        self._last: M | None = None
        self._late: deque[tuple[float, M]] = deque()
        self._overtaken: M | None = None
        self.fresh_s = 0.0

    def send(self, message: M, faults: Faults, now_s: float) -> list[M]:
        """What goes out now that the device made `message`, in order."""
        if faults.on(self._drop, now_s):
            return []
        if faults.on(self._freeze, now_s) and self._last is not None:
            return [self._last]
        message = replace(message, stamp_s=message.stamp_s - faults.by(self._skew, now_s))
        if faults.on(self._delay, now_s):
            self._late.append((now_s + faults.by(self._delay, now_s), message))
            return self._due(now_s)
        self._late.clear()
        if faults.on(self._reorder, now_s) and self._overtaken is None:
            self._overtaken = message
            return []
        sent = [message] if self._overtaken is None else [message, self._overtaken]
        self._last, self._overtaken, self.fresh_s = message, None, message.stamp_s
        return sent

    def _due(self, now_s: float) -> list[M]:
        due = []
        while self._late and self._late[0][0] <= now_s:
            due.append(self._late.popleft()[1])
        return due
