"""The protocol that every inference engine follows, and what they all check."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from lerobot_inference.checkpoint import Checkpoint, Policy
from lerobot_inference.errors import EngineError, UsageError
from lerobot_inference.types import ActionChunk, FloatArray, PolicySpec, Precision, UInt8Array

DEVICES = ("cuda", "cpu", "mps", "tensorrt", "gpu", "npu")
"""What `--device` takes; an engine of another distribution may have others."""
MOST_THREADS = 8  # one forward pass scales no further


class Engine(Protocol):
    """Maps observations to action chunks.

    Thread-safe after `warm_up`. Raises EngineError, never returns non-finite values silently.
    threads: how many of the CPU's a forward pass may use, where it runs there.
    """

    name: str
    device: str
    precision: Precision
    threads: int
    spec: PolicySpec

    def warm_up(self) -> float:
        """Run one forward pass on blank input; return its wall time in seconds (the cold start)."""

    def predict(
        self, images: Mapping[str, UInt8Array], states: FloatArray, environment: FloatArray | None = None
    ) -> ActionChunk:
        """Predict actions (B, chunk, A) in radians.

        images[feature name]: (B, H, W, 3) uint8 RGB. states: (B, S) radians. environment: (B, E), where the policy
        was trained with observation.environment_state.
        """


class Backend(Protocol):
    """What makes an engine: a module, or anything that has these. PRECISIONS: device -> what it computes in there."""

    PRECISIONS: Mapping[str, tuple[Precision, ...]]

    def available_devices(self) -> list[str]:
        """Those that are here, all of PRECISIONS. Raises UsageError when something it needs isn't installed."""

    def build(self, policy: Policy, device: str, precision: Precision, threads: int | None) -> Engine:
        """Make the engine. threads: None is every core this process may use, up to eight."""


def warm_up(engine: Engine) -> float:
    """One forward pass on a grey image and a zero state; returns its wall time in seconds."""
    spec = engine.spec
    images = {name: np.full((1, shape.height, shape.width, 3), 127, np.uint8) for name, shape in spec.cameras.items()}
    environment = np.zeros((1, spec.environment_dim), np.float32) if spec.environment_dim else None
    chunk = engine.predict(images, np.zeros((1, spec.state_dim), np.float32), environment)
    return chunk.preprocess_s + chunk.forward_s + chunk.postprocess_s


def policy_precision(policy: Policy, wanted: Precision | None) -> Precision:
    """The precision to run `policy` in. A checkpoint runs in any that needs no calibration, a bundle in its own.

    Raises UsageError for another one.
    """
    if isinstance(policy, Checkpoint):
        if wanted is Precision.INT8:
            raise UsageError(
                "int8 needs a policy calibrated on recorded frames, and this is a checkpoint",
                hint="make a bundle with: lerobot-inference export --precision int8, and give that as --policy",
            )
        return wanted or Precision.F32
    exported = policy.manifest.precision
    if wanted not in (None, exported):
        raise UsageError(
            f"{policy.folder} was exported as {exported}, not {wanted}",
            hint=f"leave --precision out, or export again with --precision {wanted}",
        )
    return exported


def require_device(device: str, present: list[str]) -> None:
    """Raise UsageError unless `device` is among those `present`."""
    if device not in present:
        raise UsageError(
            f"device {device!r} was asked for and is not available here",
            hint=f"available: {', '.join(present)}; pass --device {present[0]} to run there",
        )


def require_precision(backend: str, device: str, precision: Precision, possible: tuple[Precision, ...]) -> None:
    """Raise UsageError unless the backend computes in `precision` on `device`."""
    if precision not in possible:
        raise UsageError(
            f"{backend} doesn't compute in {precision} on {device}",
            hint=f"it has {', '.join(possible)} there; another --engine or --precision may do",
        )


def available_cores() -> int:
    """How many of the CPU's cores this process may use."""
    # Only Linux tells which cores a container or a taskset leaves to the process.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_model() -> str:
    """The processor's own name where the system tells it, else its kind."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []  # Linux
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def thread_count(wanted: int | None) -> int:
    """How many threads a forward pass may use: as asked, else every core this process may use, up to eight."""
    return wanted or min(available_cores(), MOST_THREADS)


def check_inputs(
    spec: PolicySpec, images: Mapping[str, UInt8Array], states: FloatArray, environment: FloatArray | None = None
) -> None:
    """Raise EngineError unless the batch is what the policy was trained on."""
    batch = states.shape[0]
    if states.shape != (batch, spec.state_dim):
        raise EngineError(f"states have shape {states.shape}, expected ({batch}, {spec.state_dim})")
    if not np.isfinite(states).all():
        raise EngineError("the joint state is not finite")
    found = None if environment is None else environment.shape
    expected_environment = (batch, spec.environment_dim) if spec.environment_dim else None
    if found != expected_environment:
        raise EngineError(f"the environment state has shape {found}, expected {expected_environment}")
    if environment is not None and not np.isfinite(environment).all():
        raise EngineError("the environment state is not finite")
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
