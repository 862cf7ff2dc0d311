"""What the engines that run the ONNX graph have in common."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from lerobot_inference.checkpoint import Checkpoint, Policy
from lerobot_inference.engine.base import check_chunk, check_inputs, thread_count, warm_up
from lerobot_inference.errors import require
from lerobot_inference.types import ENVIRONMENT_STATE, STATE, ActionChunk, FloatArray, PolicySpec, Precision, UInt8Array

# Values of the graph: a camera's tokens (with its feature's name behind), the encoder's tokens after their first
# attention, and what the encoder gives the decoder.
CAMERA_TOKENS = "tokens:"
FIRST_ATTENTION = "first_attention"
MEMORY = "memory"


class GraphEngine(ABC):
    """Checks what goes in and comes out, and takes the times; a backend only runs the graph."""

    name: str

    def __init__(self, spec: PolicySpec, device: str, precision: Precision, threads: int | None) -> None:
        self.spec = spec
        self.device = device
        self.precision = precision
        self.threads = thread_count(threads)

    def warm_up(self) -> float:
        """See Engine."""
        return warm_up(self)

    def predict(
        self, images: Mapping[str, UInt8Array], states: FloatArray, environment: FloatArray | None = None
    ) -> ActionChunk:
        """See Engine. Normalisation is part of the graph, so it counts as the forward pass."""
        started = time.perf_counter()
        check_inputs(self.spec, images, states, environment)
        feeds = {name: np.ascontiguousarray(images[name]) for name in self.spec.cameras}
        feeds[STATE] = np.ascontiguousarray(states, np.float32)
        if environment is not None:
            feeds[ENVIRONMENT_STATE] = np.ascontiguousarray(environment, np.float32)
        ready = time.perf_counter()
        actions = self._run(feeds)
        ran = time.perf_counter()
        check_chunk(self.spec, actions)
        return ActionChunk(actions, ready - started, ran - ready, time.perf_counter() - ran)

    @abstractmethod
    def _run(self, feeds: Mapping[str, UInt8Array | FloatArray]) -> FloatArray:
        """Graph input name -> array; returns a new array (B, chunk, A). Called from any thread."""


@contextmanager
def graph_file(policy: Policy, extra: str) -> Iterator[Path]:
    """The ONNX model: a bundle's own file, or one built from the checkpoint that is there until the context ends.

    Raises UsageError naming the `extra` that brings onnx, CheckpointError when the network can't be built,
    StorageError when the disk is full.
    """
    if not isinstance(policy, Checkpoint):
        yield policy.graph
        return
    require("onnx", extra)
    from lerobot_inference.engine.graph import write_graph

    with TemporaryDirectory(prefix="lerobot-inference-") as folder:
        yield write_graph(policy, Path(folder))
