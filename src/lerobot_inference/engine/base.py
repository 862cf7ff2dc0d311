"""The protocol that every inference engine follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

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
