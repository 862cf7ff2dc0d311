"""The torch-free graph computes what lerobot computes, for every option of lerobot's ACT."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from lerobot.configs.types import NormalizationMode
from safetensors.numpy import load_file, save_file

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.engine import EngineChoice
from lerobot_inference.engine.graph import build_graph
from lerobot_inference.errors import CheckpointError
from lerobot_inference.types import ActionChunk, PolicySpec

COLOR, WRIST = "observation.images.color", "observation.images.wrist"
EXACT = 1e-4  # of each action's std: what the engine promises in f32

MEAN_STD, MIN_MAX, IDENTITY = NormalizationMode.MEAN_STD, NormalizationMode.MIN_MAX, NormalizationMode.IDENTITY
QUANTILES, QUANTILE10 = NormalizationMode.QUANTILES, NormalizationMode.QUANTILE10


def normalised_by(mode: NormalizationMode) -> dict[str, Any]:
    return {"normalization_mapping": dict.fromkeys(("VISUAL", "STATE", "ENV", "ACTION"), mode)}


OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "resnet34": {"vision_backbone": "resnet34"},
    "resnet50": {"vision_backbone": "resnet50"},
    "resnet50 dilated": {"vision_backbone": "resnet50", "replace_final_stride_with_dilation": True},
    "pre-norm": {"pre_norm": True, "n_encoder_layers": 2},
    "pre-norm, two decoder layers": {"pre_norm": True, "n_decoder_layers": 2},
    "three decoder layers": {"n_decoder_layers": 3},
    "gelu": {"feedforward_activation": "gelu"},
    "four encoder layers": {"n_encoder_layers": 4},
    "no VAE": {"use_vae": False},
    "two cameras of different sizes": {"cameras": {COLOR: (64, 96), WRIST: (48, 40)}},
    "odd image": {"cameras": {COLOR: (61, 97)}},
    "environment state": {"environment_dim": 5},
    "environment state, no camera": {"environment_dim": 5, "cameras": {}},
    "min-max": normalised_by(MIN_MAX),
    "quantiles": normalised_by(QUANTILES),
    "10 % quantiles": normalised_by(QUANTILE10),
    "identity": normalised_by(IDENTITY),
    "pictures as they are": {"normalization_mapping": {"VISUAL": IDENTITY, "STATE": MEAN_STD, "ACTION": MIN_MAX}},
    "min-max with environment state": {"environment_dim": 3, **normalised_by(MIN_MAX)},
    "latent of 16, chunks of 5, 7 joints": {
        "latent_dim": 16,
        "chunk_size": 5,
        "n_action_steps": 5,
        "state_dim": 7,
        "action_dim": 4,
    },
    "one head": {"n_heads": 1, "dim_model": 20},
}


def shaken(folder: Path) -> Path:
    """Replace what lerobot initialises with ones and zeros (norms, biases), so that folding them is put to the test."""
    random = np.random.default_rng(0)
    weights = load_file(folder / "model.safetensors")
    for name, values in weights.items():
        if values.ndim == 1:
            low, high = (0.7, 1.3) if name.endswith(("weight", "running_var")) else (-0.2, 0.2)
            weights[name] = random.uniform(low, high, values.shape).astype(np.float32)
    save_file(weights, folder / "model.safetensors")
    return folder


def predicted(engine: str, checkpoint: Checkpoint, batch: int = 3) -> ActionChunk:
    return EngineChoice(engine).load(checkpoint).predict(*observations(checkpoint.spec, batch))


def observations(spec: PolicySpec, batch: int) -> tuple[dict[str, Any], Any, Any]:
    random = np.random.default_rng(1)
    images = {
        name: random.integers(0, 256, (batch, shape.height, shape.width, 3), dtype=np.uint8)
        for name, shape in spec.cameras.items()
    }
    environment = random.normal(size=(batch, spec.environment_dim)).astype(np.float32) if spec.environment_dim else None
    return images, random.normal(size=(batch, spec.state_dim)).astype(np.float32), environment


def scale_of_actions(checkpoint: Checkpoint) -> np.ndarray:
    statistics = checkpoint.normalization.action.statistics
    if not statistics:
        return np.ones(checkpoint.spec.action_dim)
    first, second = statistics.values()
    return np.asarray(second if "std" in statistics else second - first)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
def test_every_option_gives_what_lerobot_gives(
    checkpoint_factory: Callable[..., Path], options: dict[str, Any]
) -> None:
    checkpoint = Checkpoint.open(shaken(checkpoint_factory(**options)))
    reference = predicted("lerobot", checkpoint).actions
    assert np.ptp(reference, axis=0).max() > 100 * EXACT * scale_of_actions(checkpoint).min()  # it sees its input
    for engine in ("openvino", "onnxruntime"):
        difference = np.abs(predicted(engine, checkpoint).actions - reference) / scale_of_actions(checkpoint)
        assert difference.max() < EXACT, engine


@pytest.mark.parametrize("backbone", ["resnet18", "resnet34"])
def test_dilation_is_refused_for_the_backbones_that_lerobot_refuses_it_for(
    checkpoint_factory: Callable[..., Path], backbone: str
) -> None:
    folder = checkpoint_factory(vision_backbone=backbone)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"replace_final_stride_with_dilation": True}))
    with pytest.raises(CheckpointError, match=f"replace_final_stride_with_dilation can't be built with {backbone}"):
        build_graph(Checkpoint.open(folder))
    with pytest.raises(NotImplementedError, match="Dilation > 1"):
        checkpoint_factory(vision_backbone=backbone, replace_final_stride_with_dilation=True)


def test_an_activation_that_lerobot_itself_cannot_run_is_named(checkpoint_factory: Callable[..., Path]) -> None:
    checkpoint = Checkpoint.open(checkpoint_factory(feedforward_activation="glu"))
    with pytest.raises(CheckpointError, match="feedforward_activation 'glu' can't be built"):
        build_graph(checkpoint)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        predicted("lerobot", checkpoint)


def test_the_graph_is_valid_and_takes_observations_as_the_robot_has_them(checkpoint: Path) -> None:
    model = build_graph(Checkpoint.open(checkpoint))
    onnx.checker.check_model(model, full_check=True)
    inputs = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in model.graph.input
    }
    assert inputs == {"observation.state": ["batch", 6], COLOR: ["batch", 64, 96, 3]}
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    assert kinds[COLOR] == onnx.TensorProto.UINT8
    assert [value.name for value in model.graph.output] == ["action"]


def test_what_only_training_needs_is_not_in_the_graph(checkpoint_factory: Callable[..., Path]) -> None:
    with_vae = build_graph(Checkpoint.open(checkpoint_factory(use_vae=True))).ByteSize()
    without = build_graph(Checkpoint.open(checkpoint_factory(use_vae=False))).ByteSize()
    assert abs(with_vae - without) < 100


def test_the_same_checkpoint_gives_the_same_bytes(checkpoint: Path) -> None:
    first, second = (build_graph(Checkpoint.open(checkpoint)).SerializeToString() for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("model.encoder.layers.0.norm1.bias"), "encoder.layers.0.norm1.bias is missing"),
        (lambda w: w.update({"model.encoder.layers.1.norm1.bias": np.zeros(32, np.float32)}), "have no place"),
        (lambda w: w.update({"model.decoder.norm.bias": np.zeros(31, np.float32)}), r"F32 of shape \(31,\)"),
        (lambda w: w.update({"model.decoder.norm.bias": np.zeros(32, np.int32)}), "is I32 of shape"),
        (lambda w: w.update({"model.decoder.norm.bias": np.full(32, np.nan, np.float32)}), "NaN"),
    ],
    ids=["missing", "left over", "another shape", "integers", "not finite"],
)
def test_weights_that_are_not_the_configs_are_refused_by_name(
    checkpoint_factory: Callable[..., Path], change: Callable[[dict[str, Any]], object], message: str
) -> None:
    folder = checkpoint_factory()
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=message):
        build_graph(Checkpoint.open(folder))


def test_weights_whose_squares_overflow_are_finite_all_the_same(checkpoint_factory: Callable[..., Path]) -> None:
    folder = checkpoint_factory()
    weights = load_file(folder / "model.safetensors")
    weights["model.action_head.weight"][0, 0] = 1e30
    save_file(weights, folder / "model.safetensors")
    build_graph(Checkpoint.open(folder))
