"""The newest joint state and image, taken in with suspicion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lerobot_inference.types import FloatArray, UInt8Array

FUTURE_S = 0.02
"""A stamp further ahead than this is of another clock: the time of receipt is used."""


@dataclass
class Stamps:
    """When the messages of one topic were made, in seconds of this machine's clock."""

    newest_s: float | None = None
    _stamp_s: float = 0.0

    def accept(self, stamp_s: float, now_s: float) -> float | None:
        """The time to go by; None for a message that is older than one before it. A stamp of 0 says nothing.

        What was the newest before this machine's clock went back is forgotten.
        """
        if stamp_s > 0.0 and stamp_s == self._stamp_s:  # the same message again, of whichever clock
            return self.newest_s
        made = now_s if stamp_s <= 0.0 or stamp_s > now_s + FUTURE_S else stamp_s
        if self.newest_s is not None and made < self.newest_s <= now_s + FUTURE_S:
            return None
        self.newest_s, self._stamp_s = made, stamp_s
        return made


@dataclass
class Senses:
    """What the robot reported last. joints: (J,) radians, its own angles, in training order; image: (H, W, 3) RGB."""

    joint_names: tuple[str, ...]
    joints: FloatArray | None = None
    image: UInt8Array | None = None
    joints_s: float = 0.0
    image_s: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)
    _joint_stamps: Stamps = field(default_factory=Stamps)
    _image_stamps: Stamps = field(default_factory=Stamps)

    @property
    def complete(self) -> bool:
        """True once there is a joint state and an image."""
        return self.joints is not None and self.image is not None

    @property
    def seen(self) -> tuple[FloatArray, UInt8Array]:
        """The newest joint state and image. Raises LookupError before there are both."""
        if self.joints is None or self.image is None:
            raise LookupError("no joint state and image yet")
        return self.joints, self.image

    @property
    def skew_s(self) -> float:
        """Seconds between the joint state and the image."""
        return abs(self.joints_s - self.image_s)

    def see_joints(self, names: Sequence[str], positions: Sequence[float], stamp_s: float, now_s: float) -> bool:
        """Take a joint state, by name; what isn't whole is dropped and counted, and what is foreign ignored."""
        if not set(names) & set(self.joint_names):
            return False  # another device on the topic, such as a gripper
        if len(names) != len(positions) or any(list(names).count(name) != 1 for name in self.joint_names):
            return self._drop("joint state: a joint is missing or named twice")
        by_name = dict(zip(names, positions, strict=True))
        found = np.array([by_name[name] for name in self.joint_names], np.float32)
        if not np.isfinite(found).all():
            return self._drop("joint state: not finite")
        made = self._joint_stamps.accept(stamp_s, now_s)
        if made is None:
            return self._drop("joint state: older than one before it")
        self.joints, self.joints_s = found, made
        return True

    def see_image(self, image: UInt8Array, stamp_s: float, now_s: float) -> bool:
        """Take an image (H, W, 3) RGB; one that is older than one before it is dropped and counted."""
        made = self._image_stamps.accept(stamp_s, now_s)
        if made is None:
            return self._drop("image: older than one before it")
        self.image, self.image_s = image, made
        return True

    def _drop(self, reason: str) -> bool:
        self.dropped[reason] += 1
        return False
