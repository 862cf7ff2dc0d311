"""The graph on ONNX Runtime: any CPU; NVIDIA GPUs by its CUDA and TensorRT providers."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from lerobot_inference.checkpoint import Policy
from lerobot_inference.engine.graph_engine import GraphEngine, graph_file
from lerobot_inference.errors import UsageError, require
from lerobot_inference.files import storage_errors
from lerobot_inference.types import ACTION, FloatArray, Precision, UInt8Array

EXTRA = "onnxruntime"
PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
PRECISIONS = {
    "cuda": (Precision.F32,),
    "tensorrt": (Precision.F32, Precision.BF16, Precision.INT8),
    "cpu": (Precision.F32, Precision.INT8),
}


class OnnxRuntimeEngine(GraphEngine):
    """One session, which ONNX Runtime lets any thread run."""

    name = "onnxruntime"

    def __init__(
        self, policy: Policy, device: str, precision: Precision = Precision.F32, threads: int | None = None
    ) -> None:
        super().__init__(policy.spec, device, precision, threads)
        runtime = _onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        # Threads that spin between the nodes would take the core that decodes video.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        provider = PROVIDERS[device]
        settings = (
            provider_settings(device, precision, policy.file_hashes, runtime.__version__) if device != "cpu" else {}
        )
        if device != "cpu":
            runtime.preload_dlls()  # those of CUDA that pip put beside it
        with graph_file(policy, EXTRA) as model:
            self._session = _session(runtime, model, options, provider, settings)

    def _run(self, feeds: Mapping[str, UInt8Array | FloatArray]) -> FloatArray:
        actions: FloatArray = self._session.run([ACTION], dict(feeds))[0]
        return actions


build = OnnxRuntimeEngine


def available_devices() -> list[str]:
    """The CPU, and NVIDIA's GPU as this build of ONNX Runtime can use it, where the driver finds one.

    Raises UsageError when it isn't installed.
    """
    built = _onnxruntime().get_available_providers()
    devices = [device for device, provider in PROVIDERS.items() if provider in built]
    # Starting the driver takes a while: a build for the CPU needs no answer from it.
    return devices if devices == ["cpu"] or _driver_finds_a_gpu() else ["cpu"]


def provider_settings(device: str, precision: Precision, files: Mapping[str, str], version: str) -> dict[str, str]:
    """Options of a GPU provider. files: the policy's, name -> sha256. version: the runtime's. Raises StorageError."""
    if device == "cuda":
        return {"use_tf32": "0"}  # TF32 keeps 10 bits of the mantissa: not what f32 promises
    # Building a TensorRT engine takes minutes, and it serves only these weights, this version and this precision.
    key = sha256("\n".join([*sorted(files.values()), version, precision]).encode()).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lerobot-inference" / "tensorrt" / key
    with storage_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_bf16_enable": str(int(precision is Precision.BF16)),
        "trt_int8_enable": str(int(precision is Precision.INT8)),
    }


def _session(runtime: Any, model: Path, options: Any, provider: str, settings: dict[str, str]) -> Any:  # noqa: ANN401
    """Start it on that provider, never on another. Raises UsageError."""
    hint = "the driver, CUDA or TensorRT is missing or of another version than this onnxruntime was built for"
    try:
        session = runtime.InferenceSession(
            str(model),
            options,
            providers=[(provider, settings)],
            enable_fallback=0,
            # It would turn every matrix round at each start; the product that reads it turned is as fast.
            disabled_optimizers=["ConstantFolding"],
        )
    except RuntimeError as error:
        raise UsageError(f"onnxruntime could not start its {provider}: {str(error).strip()}", hint=hint) from error
    if session.get_providers()[0] != provider:
        raise UsageError(f"onnxruntime could not start its {provider}", hint=hint)
    return session


def _driver_finds_a_gpu() -> bool:
    """Ask NVIDIA's driver: what a build of ONNX Runtime holds says nothing of the machine."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def _onnxruntime() -> Any:  # noqa: ANN401
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # since 1.32 it reports to its makers on Linux too
    return require("onnxruntime", EXTRA)
