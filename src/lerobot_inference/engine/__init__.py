"""Images and state in, action chunk out. base.py is the protocol; one file per backend, one line here for each."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from lerobot_inference.checkpoint import Policy
from lerobot_inference.engine.base import DEVICES, Engine, policy_precision, require_device, require_precision
from lerobot_inference.errors import UsageError
from lerobot_inference.types import Precision

AUTO = "auto"
BACKENDS = ("openvino", "onnxruntime", "lerobot")  # fastest first
ENGINES = (AUTO, *BACKENDS)

__all__ = ["BACKENDS", "DEVICES", "ENGINES", "Engine", "EngineChoice", "backend"]


@dataclass(frozen=True)
class EngineChoice:
    """Which engine to build: small and picklable, so that a worker process can build its own.

    name: one of ENGINES. device: one of DEVICES. precision: None is what the policy was exported as, and f32 for a
    checkpoint. threads: None is every core this process may use, up to eight.
    """

    name: str = AUTO
    device: str = "cpu"
    precision: Precision | None = None
    threads: int | None = None

    def load(self, policy: Policy) -> Engine:
        """Build it. `auto` takes the fastest backend that is installed, has the device and keeps the precision.

        Raises UsageError for an unknown engine or device, an absent device, a missing extra, a precision that the
        backend or the policy doesn't have; CheckpointError when the network can't be built.
        """
        precision = policy_precision(policy, self.precision)
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"--threads is {self.threads}, expected at least 1")
        if self.device not in DEVICES:
            raise UsageError(f"device {self.device!r} is unknown", hint=f"choose one of: {', '.join(DEVICES)}")
        if self.name not in ENGINES:
            raise UsageError(f"engine {self.name!r} is unknown", hint=f"choose one of: {', '.join(ENGINES)}")
        name = self.name
        if name == AUTO:
            name = _fastest(self.device, precision)
        else:
            _require(name, self.device, precision)
        engine: Engine = backend(name).build(policy, self.device, precision, self.threads)
        return engine


def backend(name: str) -> ModuleType:
    """The module of a backend: its `available_devices()`, PRECISIONS by device, and `build`."""
    return import_module(f"lerobot_inference.engine.{name}")


def _require(name: str, device: str, precision: Precision) -> None:
    """Raise UsageError unless the backend is installed, has the device and computes in the precision there."""
    module = backend(name)
    require_device(device, module.available_devices())
    require_precision(name, device, precision, module.PRECISIONS[device])


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
