"""Lower precision must not reach what is in radians: joint positions of 3 rad have steps of 0.016 rad in bfloat16."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file, save_file

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.engine import EngineChoice
from lerobot_inference.engine.graph import build_graph
from lerobot_inference.engine.openvino import import_openvino
from lerobot_inference.engine.quantize import quantize
from lerobot_inference.types import STATE, FloatArray, Precision, UInt8Array

COLOR = "observation.images.color"
MEAN = np.array([1.57, -1.9, 2.7, -3.1, 1.1, -0.777], np.float32)
STD = 0.003
NORMALIZATIONS = ("MEAN_STD", "MIN_MAX")

needs_bf16 = pytest.mark.skipif(
    "BF16" not in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
    reason="this CPU has no bfloat16 arithmetic",
)


@pytest.fixture(scope="module", params=NORMALIZATIONS)
def fine_policy(request: pytest.FixtureRequest, checkpoint_factory: Callable[..., Path]) -> Checkpoint:
    """Joints and actions far from zero that move by milliradians."""
    mode = request.param
    folder = checkpoint_factory(normalization_mapping={"VISUAL": "MEAN_STD", "STATE": mode, "ACTION": mode})
    spread = {"mean": 0, "min": -2, "max": 2}
    for file in folder.glob("policy_*processor_step_*.safetensors"):
        statistics = load_file(file)
        for feature in (STATE, "action"):
            for name, factor in spread.items():
                statistics[f"{feature}.{name}"] = MEAN + np.float32(factor * STD)
            statistics[f"{feature}.std"] = np.full(6, STD, np.float32)
        save_file(statistics, file)
    return Checkpoint.open(folder)


def observe(count: int, seed: int = 0) -> tuple[UInt8Array, FloatArray]:
    """One picture, many states: what the actions owe to the state alone."""
    random = np.random.default_rng(seed)
    picture = random.integers(0, 256, (1, 64, 96, 3), dtype=np.uint8)
    states = MEAN + STD * random.normal(size=(count, 6))
    return picture.repeat(count, axis=0), states.astype(np.float32)


@needs_bf16
def test_bf16_keeps_joints_far_from_zero_in_f32(fine_policy: Checkpoint) -> None:
    images, states = observe(16)
    exact, found = (
        EngineChoice("openvino", precision=precision).load(fine_policy).predict({COLOR: images}, states).actions
        for precision in (Precision.F32, Precision.BF16)
    )
    assert np.abs(found - exact).max() < 0.05 * STD
    moved, expected = found - found.mean(axis=0), exact - exact.mean(axis=0)
    assert np.std(moved - expected) < 0.1 * np.std(expected)


def test_int8_keeps_joints_far_from_zero_in_f32(fine_policy: Checkpoint) -> None:
    graph = build_graph(fine_policy)
    images, states = observe(24)
    int8 = quantize(graph, [{COLOR: images[k : k + 1], STATE: states[k : k + 1]} for k in range(8)])
    exact, found = (predict(model, hint, images, states) for model, hint in ((graph, "f32"), (int8, "bf16")))
    assert np.abs(found - exact).max() < 0.1 * STD
    moved, expected = found - found.mean(axis=0), exact - exact.mean(axis=0)
    assert np.std(moved - expected) < 0.25 * np.std(expected)


def predict(model: onnx.ModelProto, hint: str, images: UInt8Array, states: FloatArray) -> FloatArray:
    """As the engine of that precision would; a bundle of the int8 graph is what `export` makes."""
    core = import_openvino().Core()
    supported = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    config = {"INFERENCE_PRECISION_HINT": hint if hint.upper() in supported else "f32", "ENABLE_CPU_PINNING": False}
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", config)
    actions: FloatArray = compiled({COLOR: images, STATE: states})["action"].copy()
    return actions
