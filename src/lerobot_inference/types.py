"""The nouns that every layer shares: what a robot sees, what a policy answers, what an arm is told.

Joint vectors are float32 radians in training order; images are uint8 RGB, height first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

type FloatArray = NDArray[np.float32]
"""Joint vectors, actions, commands."""
type UInt8Array = NDArray[np.uint8]
"""Images."""
type BoolArray = NDArray[np.bool_]
"""Which of something."""
type IntArray = NDArray[np.int64]
type TimeArray = NDArray[np.float64]

STATE = "observation.state"
ACTION = "action"
ENVIRONMENT_STATE = "observation.environment_state"
IMAGE_PREFIX = "observation.images."


class Precision(StrEnum):
    """The network's arithmetic. F32 is exact; the others trade accuracy for speed and are never chosen silently."""

    F32 = "f32"
    BF16 = "bf16"
    INT8 = "int8"


class ActionMode(StrEnum):
    """What an action means: a step to add to the last target, or the target itself."""

    DELTA = "delta"
    ABSOLUTE = "absolute"


@dataclass(frozen=True)
class RobotObservation:
    """What the robot knew at one moment.

    joint_positions: (S,) radians. color_image: (H, W, 3) uint8 RGB. timestamp_s: seconds, the robot's clock.
    """

    joint_positions: FloatArray
    color_image: UInt8Array
    timestamp_s: float = 0.0


@dataclass(frozen=True)
class JointPositionCommand:
    """Where the arm should be. positions: (A,) radians, absolute. timestamp_s: seconds, the robot's clock."""

    positions: FloatArray
    timestamp_s: float = 0.0


@dataclass(frozen=True)
class ImageShape:
    """Size of a camera image in pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


@dataclass(frozen=True)
class PolicySpec:
    """What a policy takes and gives.

    cameras: feature name (`observation.images.<camera>`) -> image size, in the policy's own order.
    chunk_size: actions predicted by one forward pass; n_action_steps: how many of them are executed.
    temporal_ensemble_coeff: weight decay of lerobot's temporal ensembling; None where the policy uses a queue.
    environment_dim: length of observation.environment_state; 0 where the policy has none.
    """

    state_dim: int
    action_dim: int
    cameras: Mapping[str, ImageShape]
    chunk_size: int
    n_action_steps: int
    temporal_ensemble_coeff: float | None = None
    environment_dim: int = 0


@dataclass(frozen=True)
class ActionChunk:
    """One forward pass: actions (B, chunk, A) in radians, and where its time went, in seconds."""

    actions: FloatArray
    preprocess_s: float = 0.0
    forward_s: float = 0.0
    postprocess_s: float = 0.0


class Progress(Protocol):
    """Told how far long work has come. Layers below the command line call it; the command line draws it."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """`done` of `total` units of the stage named `what` are finished."""


def silent(what: str, done: int, total: int) -> None:
    """The Progress that draws nothing."""
