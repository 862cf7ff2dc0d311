"""The graph on OpenVINO: the fastest on Intel and AMD CPUs; Intel GPUs and NPUs too."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from threading import Lock
from types import ModuleType
from typing import Any, cast

import numpy as np

from lerobot_inference.checkpoint import Policy
from lerobot_inference.checkpoint.bundle import WEIGHTS_FILE
from lerobot_inference.engine.graph_engine import GraphEngine, graph_file
from lerobot_inference.engine.mapped_memory import release
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
        core = import_openvino().Core()
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if device == "cpu":
            config |= {
                # The default on CPUs that have bfloat16 is to use it; f32 must be asked for.
                "INFERENCE_PRECISION_HINT": "f32" if precision is Precision.F32 else _lower_precision(core, precision),
                "INFERENCE_NUM_THREADS": self.threads,
                "NUM_STREAMS": 1,
                "ENABLE_CPU_PINNING": False,  # pinned threads stall every other thread pool of the process
            }
        elif precision is Precision.F32:
            config["INFERENCE_PRECISION_HINT"] = "f32"
        with graph_file(policy, EXTRA) as file:
            compiled = core.compile_model(core.read_model(file), PLUGINS[device], config)
            self._request = compiled.create_infer_request()
            self._weights = file.with_name(WEIGHTS_FILE)
        self._lock = Lock()  # a request runs one inference at a time

    def warm_up(self) -> float:
        """See Engine. The first pass packs the weights as the CPU likes them; the file's own are not read again."""
        took = super().warm_up()
        release(self._weights)
        return took

    def _run(self, feeds: Mapping[str, UInt8Array | FloatArray]) -> FloatArray:
        with self._lock:
            result = self._request.infer(dict(feeds), share_inputs=True)
            actions: FloatArray = np.array(result[ACTION])
        return actions


build = OpenVinoEngine


def available_devices() -> list[str]:
    """The devices OpenVINO finds on this machine. Raises UsageError when it isn't installed."""
    # Several of a kind are numbered: GPU.0, GPU.1.
    found = {name.split(".")[0] for name in import_openvino().Core().available_devices}
    return [device for device, plugin in PLUGINS.items() if plugin in found]


def _lower_precision(core: Any, precision: Precision) -> str:  # noqa: ANN401
    """bfloat16; for an int8 policy only where the CPU has it."""
    if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return "bf16"
    if precision is Precision.BF16:
        raise UsageError(
            "this CPU has no bfloat16 arithmetic",
            hint="leave --precision out; f32 is as fast as bf16 would be here",
        )
    return "f32"


def import_openvino() -> Any:  # noqa: ANN401
    """OpenVINO without its telemetry, which at every import writes to the home folder and reports to its makers.

    Raises UsageError when it isn't installed.
    """
    cast(dict[str, ModuleType | None], sys.modules).setdefault("openvino_telemetry", None)  # as if not installed
    return require("openvino", EXTRA)
