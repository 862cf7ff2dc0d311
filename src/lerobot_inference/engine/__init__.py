"""Images and state in, action chunk out. base.py is the protocol; one file per backend, one line here for each.

Other distributions bring engines by entry points (plugins.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import cast

from lerobot_inference.checkpoint import Policy
from lerobot_inference.engine.base import (
    DEVICES,
    Backend,
    Engine,
    check_chunk,
    check_inputs,
    policy_precision,
    require_device,
    require_precision,
    warm_up,
)
from lerobot_inference.errors import UsageError
from lerobot_inference.plugins import ENGINE_GROUP, Plugin, plugins
from lerobot_inference.types import Precision

AUTO = "auto"
BACKENDS = ("openvino", "onnxruntime", "lerobot")
"""The engines of this package, fastest first."""
ENGINES = (AUTO, *BACKENDS)
"""What `--engine` takes, and the name of an engine that an installed distribution brings."""

__all__ = [
    "BACKENDS",
    "DEVICES",
    "ENGINES",
    "Backend",
    "Engine",
    "EngineChoice",
    "backend",
    "check_chunk",
    "check_inputs",
    "foreign_engines",
    "warm_up",
]


@dataclass(frozen=True)
class EngineChoice:
    """Which engine to build: small and picklable, so that a worker process can build its own.

    name: one of ENGINES, or of `foreign_engines()`. device: one of DEVICES, or another that such an engine has.
    precision: None is what the policy was exported as, and f32 for a checkpoint. threads: None is every core this
    process may use, up to eight.
    """

    name: str = AUTO
    device: str = "cpu"
    precision: Precision | None = None
    threads: int | None = None

    def load(self, policy: Policy) -> Engine:
        """Build it. `auto` takes the fastest backend of ours that is installed, has the device and keeps the precision.

        Raises UsageError for an unknown engine or device, an absent device, a missing extra, a precision that the
        backend or the policy doesn't have; CheckpointError when the network can't be built.
        """
        precision = policy_precision(policy, self.precision)
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"--threads is {self.threads}, expected at least 1")
        if self.name in ENGINES and self.device not in DEVICES:
            raise UsageError(f"device {self.device!r} is unknown", hint=f"choose one of: {', '.join(DEVICES)}")
        name = self.name
        if name == AUTO:
            name = _fastest(self.device, precision)
        else:
            _require(name, self.device, precision)
        return backend(name).build(policy, self.device, precision, self.threads)


def backend(name: str) -> Backend:
    """The backend of that name: ours, or one that an installed distribution brings.

    Raises UsageError for an unknown name, or naming the distribution whose engine can't be used.
    """
    if name in BACKENDS:
        return cast(Backend, import_module(f"lerobot_inference.engine.{name}"))
    others = foreign_engines()
    if name not in others:
        raise UsageError(f"engine {name!r} is unknown", hint=f"choose one of: {', '.join((*ENGINES, *others))}")
    found = others[name].load()
    if missing := [part for part in ("available_devices", "PRECISIONS", "build") if not hasattr(found, part)]:
        raise others[name].refused(f"has no {missing[0]}")
    return cast(Backend, found)


def foreign_engines() -> dict[str, Plugin]:
    """Name -> the engine that an installed distribution brings. Raises UsageError as `plugins` does."""
    return plugins((ENGINE_GROUP,), ENGINES)


def _require(name: str, device: str, precision: Precision) -> None:
    """Raise UsageError unless the backend is installed, has the device and computes in the precision there."""
    module = backend(name)
    require_device(device, module.available_devices())
    require_precision(name, device, precision, module.PRECISIONS.get(device, ()))


def _fastest(device: str, precision: Precision) -> str:
    refusals: dict[str, UsageError] = {}
    for name in BACKENDS:
        try:
            _require(name, device, precision)
        except UsageError as error:
            refusals[name] = error
        else:
            return name
    messages = dict.fromkeys(error.message for error in refusals.values())
    hints = dict.fromkeys(error.hint for error in refusals.values() if error.hint)
    raise UsageError(f"no engine runs {precision} on {device!r} here: {'; '.join(messages)}", hint="; or ".join(hints))
