"""Add an engine: one of the package's, each action of whose chunks is then the mean of itself and its neighbours.

`uv pip install ./examples` beside lerobot-inference: it is then `--engine smooth`, and `-p engine:=smooth` of the node.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from lerobot_inference.checkpoint import Policy
from lerobot_inference.engine import Engine, EngineChoice, check_chunk, warm_up
from lerobot_inference.types import ActionChunk, FloatArray, PolicySpec, Precision, UInt8Array

PRECISIONS = {"cpu": (Precision.F32,)}


def available_devices() -> list[str]:
    """Where it runs."""
    return list(PRECISIONS)


def build(policy: Policy, device: str, precision: Precision, threads: int | None) -> Engine:
    """What `--engine smooth` makes."""
    return SmoothEngine(EngineChoice("auto", device, precision, threads).load(policy))


@dataclass
class SmoothEngine:
    """Smooths what another engine answers."""

    inner: Engine
    name: str = "smooth"

    def __post_init__(self) -> None:
        inner = self.inner
        self.device, self.precision, self.threads = inner.device, inner.precision, inner.threads
        self.spec: PolicySpec = inner.spec

    def warm_up(self) -> float:
        """See Engine."""
        return warm_up(self)

    def predict(
        self, images: Mapping[str, UInt8Array], states: FloatArray, environment: FloatArray | None = None
    ) -> ActionChunk:
        """See Engine."""
        chunk = self.inner.predict(images, states, environment)
        padded = np.pad(chunk.actions, ((0, 0), (1, 1), (0, 0)), "edge")
        actions = (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / np.float32(3)
        check_chunk(self.spec, actions)
        return replace(chunk, actions=actions)
