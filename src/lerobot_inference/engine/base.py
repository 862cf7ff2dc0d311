"""The protocol that every inference engine follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from lerobot_inference.errors import EngineError
from lerobot_inference.types import ActionChunk, FloatArray, PolicySpec, UInt8Array


class Engine(Protocol):
    """Maps observations to action chunks.

    Thread-safe after `warm_up`. Raises EngineError, never returns non-finite values silently.
    """

    name: str
    device: str
    spec: PolicySpec

    def warm_up(self) -> float:
        """Run one forward pass on blank input; return its wall time in seconds (the cold start)."""

    def predict(self, images: Mapping[str, UInt8Array], states: FloatArray) -> ActionChunk:
        """images[feature name]: (B, H, W, 3) uint8 RGB; states: (B, S) radians -> actions (B, chunk, A) radians."""


def check_inputs(spec: PolicySpec, images: Mapping[str, UInt8Array], states: FloatArray) -> None:
    """Raise EngineError unless the batch is what the policy was trained on."""
    batch = states.shape[0]
    if states.shape != (batch, spec.state_dim):
        raise EngineError(f"states have shape {states.shape}, expected ({batch}, {spec.state_dim})")
    if not np.isfinite(states).all():
        raise EngineError("the joint state is not finite")
    for name, shape in spec.cameras.items():
        if name not in images:
            raise EngineError(f"no image from {name!r}; given: {sorted(images)}")
        expected = (batch, shape.height, shape.width, 3)
        if images[name].shape != expected or images[name].dtype != np.uint8:
            raise EngineError(
                f"{name} is {images[name].dtype} of shape {images[name].shape}, expected uint8 {expected}"
            )


def check_chunk(spec: PolicySpec, actions: FloatArray) -> None:
    """Raise EngineError unless actions are (B, chunk, A) and finite."""
    if actions.shape[1:] != (spec.chunk_size, spec.action_dim):
        raise EngineError(
            f"the policy gave actions of shape {actions.shape}, expected (B, {spec.chunk_size}, {spec.action_dim})"
        )
    if not np.isfinite(actions).all():
        raise EngineError("the policy gave a NaN or an infinity")
