"""The graph on OpenVINO: the fastest on Intel and AMD CPUs; Intel GPUs and NPUs too."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any, cast

import numpy as np

from lerobot_inference.checkpoint import Policy
from lerobot_inference.checkpoint.bundle import WEIGHTS_FILE
from lerobot_inference.engine.graph_engine import GraphEngine, graph_file
from lerobot_inference.engine.mapped_memory import release
from lerobot_inference.engine.openvino_parts import cut
from lerobot_inference.errors import UsageError, require
from lerobot_inference.types import ACTION, FloatArray, Precision, UInt8Array

EXTRA = "openvino"
PLUGINS = {"cpu": "CPU", "gpu": "GPU", "npu": "NPU"}
PRECISIONS = {
    "cpu": (Precision.F32, Precision.BF16, Precision.INT8),
    "gpu": (Precision.F32, Precision.INT8),
    "npu": (Precision.INT8,),
}


class OpenVinoEngine(GraphEngine):
    """Compiled once for any batch size."""

    name = "openvino"

    def __init__(
        self, policy: Policy, device: str, precision: Precision = Precision.F32, threads: int | None = None
    ) -> None:
        super().__init__(policy.spec, device, precision, threads)
        openvino, core = import_openvino(), runtime()
        with graph_file(policy, EXTRA) as file:
            model = core.read_model(file)
            if precision is Precision.F32:
                parts = [(model, "f32")]
            else:
                lower = _lower_precision(core, device, precision)
                parts = [(part, "f32" if sensitive else lower) for part, sensitive in cut(openvino, model)]
            self._requests = [
                core.compile_model(part, PLUGINS[device], self._settings(hint)).create_infer_request()
                for part, hint in parts
            ]
            self._unpacked: Path | None = file.with_name(WEIGHTS_FILE)
        self._lock = Lock()  # a request runs one inference at a time

    def _settings(self, hint: str) -> dict[str, Any]:
        # The default on CPUs that have bfloat16 is to use it: the precision is always named.
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
        if self.device != "cpu":
            return settings
        return settings | {
            "INFERENCE_NUM_THREADS": self.threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # pinned threads stall every other thread pool of the process
        }

    def _run(self, feeds: Mapping[str, UInt8Array | FloatArray]) -> FloatArray:
        values: dict[str, Any] = dict(feeds)
        with self._lock:
            for request in self._requests:
                names = [put.get_any_name() for put in request.model_inputs]
                result = request.infer({name: values[name] for name in names}, share_inputs=True)
                values |= {put.get_any_name(): result[put] for put in request.model_outputs}
            actions: FloatArray = np.array(values[ACTION])
            if self._unpacked:  # the first pass packed the weights its own way and needs the file's no more
                release(self._unpacked)
                self._unpacked = None
        return actions


build = OpenVinoEngine


def available_devices() -> list[str]:
    """The devices OpenVINO finds on this machine. Raises UsageError when it isn't installed."""
    # Several of a kind are numbered: GPU.0, GPU.1.
    found = {name.split(".")[0] for name in runtime().available_devices}
    return [device for device, plugin in PLUGINS.items() if plugin in found]


def _lower_precision(core: Any, device: str, precision: Precision) -> str:  # noqa: ANN401
    """What isn't int8 is computed in: bfloat16, or half precision on a GPU or NPU; for int8 only where it is there."""
    wanted = "BF16" if device == "cpu" else "FP16"
    if wanted in core.get_property(PLUGINS[device], "OPTIMIZATION_CAPABILITIES"):
        return "bf16" if device == "cpu" else "f16"
    if precision is Precision.BF16:
        raise UsageError(
            "this CPU has no bfloat16 arithmetic",
            hint="leave --precision out; f32 is as fast as bf16 would be here",
        )
    return "f32"


def runtime() -> Any:  # noqa: ANN401
    """OpenVINO's Core, one for this process and kept to its end. Raises UsageError when OpenVINO isn't installed.

    On CPUs with AMX its plugin replaces the stack that signal handlers run on, and puts back what it found when the
    last that uses it goes: with one that came and went beside another, the next Ctrl-C was a segmentation fault.
    """
    return _core(import_openvino())


@cache
def _core(openvino: Any) -> Any:  # noqa: ANN401
    return openvino.Core()


def import_openvino() -> Any:  # noqa: ANN401
    """OpenVINO without its telemetry, which at every import writes to the home folder and reports to its makers.

    Raises UsageError when it isn't installed.
    """
    cast(dict[str, ModuleType | None], sys.modules).setdefault("openvino_telemetry", None)  # as if not installed
    return require("openvino", EXTRA)
