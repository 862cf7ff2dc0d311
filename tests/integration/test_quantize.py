"""int8: most of the arithmetic, nothing that is in radians, and actions that hardly move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from lerobot_inference.checkpoint import Checkpoint
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine import EngineChoice
from lerobot_inference.engine.graph import build_graph
from lerobot_inference.engine.quantize import quantize, recipe
from lerobot_inference.engine.quantize.calibrate import Feeds, actions, channel_extremes
from lerobot_inference.engine.quantize.equalize import equalize
from lerobot_inference.engine.quantize.network import Network
from lerobot_inference.engine.quantize.recipe import SPARED
from lerobot_inference.errors import DatasetError
from lerobot_inference.export import ExportOptions, export
from lerobot_inference.export.accuracy import Yardstick
from lerobot_inference.export.int8 import calibration_frames
from lerobot_inference.types import ENVIRONMENT_STATE, STATE, ActionMode, FloatArray, Precision

WRIST = "observation.images.wrist"
COLOR = "observation.images.color"
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "two cameras, two layers": {"cameras": {COLOR: (64, 96), WRIST: (96, 64)}, "n_decoder_layers": 2},
    "pre-norm and gelu": {"pre_norm": True, "feedforward_activation": "gelu", "n_encoder_layers": 2},
    "no camera": {"cameras": {}, "environment_dim": 5},
}


# Untrained and without working normalisation it turns any rounding into noise, so only what is exact is asked of it.
DEEP: dict[str, Any] = {"vision_backbone": "resnet50", "replace_final_stride_with_dilation": True}


def observe(model: onnx.ModelProto, count: int, seed: int = 0) -> list[Feeds]:
    """Blurred pictures, which excite a network as real ones do, and states near the statistics' means."""
    random = np.random.default_rng(seed)
    feeds: list[Feeds] = []
    for _ in range(count):
        feed: dict[str, Any] = {}
        for put in model.graph.input:
            _, *shape = (dim.dim_value for dim in put.type.tensor_type.shape.dim)
            if put.name in (STATE, ENVIRONMENT_STATE):
                feed[put.name] = random.normal(size=(1, *shape)).astype(np.float32)
            else:
                height, width, _ = shape
                coarse = random.integers(0, 256, (1, height // 8, width // 8, 3), dtype=np.uint8)
                feed[put.name] = coarse.repeat(8, axis=1).repeat(8, axis=2)
        feeds.append(feed)
    return feeds


def in_onnxruntime(model: onnx.ModelProto, observations: Sequence[Feeds]) -> FloatArray:
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["action"], dict(feeds))[0] for feeds in observations])


@pytest.fixture(scope="module", params=OPTIONS)
def graph(request: pytest.FixtureRequest, checkpoint_factory: Callable[..., Path]) -> onnx.ModelProto:
    return build_graph(Checkpoint.open(checkpoint_factory(**OPTIONS[request.param])))


@pytest.fixture(scope="module")
def int8(graph: onnx.ModelProto) -> onnx.ModelProto:
    return quantize(graph, observe(graph, 8))


def test_actions_on_other_frames_move_by_a_small_part_of_what_the_observation_moves_them(
    graph: onnx.ModelProto, int8: onnx.ModelProto
) -> None:
    observations = observe(graph, 16, seed=1)
    exact, moved = actions(graph, observations), actions(int8, observations)
    effect = np.std(exact, axis=0).mean()
    assert 0 < np.sqrt(np.mean((moved - exact) ** 2)) < 0.25 * effect


def test_a_value_may_reach_half_as_far_again_as_on_the_calibration_frames(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = build_graph(Checkpoint.open(checkpoint))
    monkeypatch.setattr(recipe, "SPARED", 0.0)
    wide = steps(quantize(graph, observe(graph, 4)))
    monkeypatch.setattr(recipe, "HEADROOM", np.float32(1))
    narrow = steps(quantize(graph, observe(graph, 4)))
    assert len(wide) > 10
    assert wide == pytest.approx({value: 1.5 * step for value, step in narrow.items()})


def steps(model: onnx.ModelProto) -> dict[str, float]:
    """Value -> the size of its int8 steps."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    return {
        node.input[0]: float(numpy_helper.to_array(constants[node.input[1]]).item())
        for node in model.graph.node
        if node.op_type == "QuantizeLinear"
    }


def test_openvino_and_onnxruntime_read_the_same_file_alike(graph: onnx.ModelProto, int8: onnx.ModelProto) -> None:
    observations = observe(graph, 4, seed=2)
    exact, found = actions(int8, observations), in_onnxruntime(int8, observations)
    effect = np.std(actions(graph, observations), axis=0).mean()
    assert np.sqrt(np.mean((found - exact) ** 2)) < 0.05 * effect


def test_it_takes_and_gives_what_the_float32_graph_does(graph: onnx.ModelProto, int8: onnx.ModelProto) -> None:
    onnx.checker.check_model(int8, full_check=True)
    assert list(int8.graph.input) == list(graph.graph.input)
    assert list(int8.graph.output) == list(graph.graph.output)


def test_all_but_a_sliver_of_the_arithmetic_is_int8_and_the_layers_in_radians_are_not(
    graph: onnx.ModelProto, int8: onnx.ModelProto
) -> None:
    stored = {tensor.name for tensor in int8.graph.initializer}
    network = Network(graph)
    left = {layer.name: layer.macs for layer in network.layers if f"{layer.weight}/int8" not in stored}
    ends, last_stage = network.at_the_ends(), network.of_the_last_stage()
    assert len(ends) == 2
    assert bool(last_stage) == any(layer.is_convolution for layer in network.layers)
    assert ends | last_stage <= left.keys()
    spared = sum(macs for name, macs in left.items() if name not in ends | last_stage)
    assert spared <= SPARED * sum(layer.macs for layer in network.layers)


@pytest.mark.parametrize("options", [*OPTIONS.values(), DEEP], ids=[*OPTIONS, "resnet50 with dilation"])
def test_equalising_the_channels_changes_nothing_but_their_ranges(
    options: dict[str, Any], checkpoint_factory: Callable[..., Path]
) -> None:
    graph = build_graph(Checkpoint.open(checkpoint_factory(**options)))
    observations = observe(graph, 4)
    exact = actions(graph, observations)
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    network = Network(copy)
    before = channel_extremes(network, observations)
    promised = equalize(network, before)
    np.testing.assert_allclose(actions(copy, observations), exact, atol=1e-5)
    for name, (low, high) in channel_extremes(network, observations).items():
        tolerance = 1e-4 * max(float(np.abs(high).max()), float(np.abs(low).max()))
        np.testing.assert_allclose(promised[name][0], low, atol=tolerance)
        np.testing.assert_allclose(promised[name][1], high, atol=tolerance)
    assert any((promised[name][1] != before[name][1]).any() for name in before)


def test_the_same_frames_give_the_same_bytes_and_leave_the_float32_graph_as_it_was(
    checkpoint_factory: Callable[..., Path],
) -> None:
    graph = build_graph(Checkpoint.open(checkpoint_factory(**OPTIONS["no camera"])))
    before = graph.SerializeToString(deterministic=True)
    once, again = (quantize(graph, observe(graph, 4)).SerializeToString(deterministic=True) for _ in range(2))
    assert once == again
    assert graph.SerializeToString(deterministic=True) == before


def test_the_weights_are_stored_in_a_quarter_of_the_bytes(graph: onnx.ModelProto, int8: onnx.ModelProto) -> None:
    quantised = [tensor for tensor in int8.graph.initializer if tensor.name.endswith("/int8")]
    originals = {tensor.name: tensor for tensor in graph.graph.initializer}
    for tensor in quantised:
        original = originals[tensor.name.removesuffix("/int8")]
        assert 4 * numpy_helper.to_array(tensor).nbytes == numpy_helper.to_array(original).nbytes
        assert original.name not in {kept.name for kept in int8.graph.initializer}


def test_no_frame_is_an_error(checkpoint: Path) -> None:
    with pytest.raises(DatasetError, match="no recorded frame"):
        quantize(build_graph(Checkpoint.open(checkpoint)), [])


def test_calibration_sees_every_episode_and_no_frame_that_is_scored(checkpoint: Path, dataset_folder: Path) -> None:
    dataset = Dataset.open(dataset_folder)
    yardstick = Yardstick.over(dataset, ActionMode.DELTA, most_frames=30)
    scored = {index: set(steps) for index, steps in yardstick.episodes.items()}
    seen = [feeds[STATE][0] for feeds in calibration_frames(dataset, Checkpoint.open(checkpoint).spec, scored, 12)]
    assert len(seen) == 12
    for index in dataset.episode_indices:
        states = dataset.episode(index).states
        frames = {number for number, state in enumerate(states) if any((state == other).all() for other in seen)}
        assert frames
        assert not frames & scored[index]


def test_an_int8_bundle_says_what_it_costs_and_runs_on_either_engine(
    checkpoint: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    options = ExportOptions(precision=Precision.INT8, force=Precision.INT8)
    bundle = export(Checkpoint.open(checkpoint), Dataset.open(dataset_folder), tmp_path / "bundle", options)
    accuracy = bundle.manifest.accuracy
    assert accuracy is not None
    assert accuracy.limit == 0.02
    assert accuracy.mae != accuracy.mae_f32
    # Three quarters of a ResNet-18's weights are in its last stage, which stays as it is.
    assert bundle.manifest.files["policy.weights"].size < 0.85 * 4 * Checkpoint.open(checkpoint).parameters
    picture, state = np.full((1, 64, 96, 3), 90, np.uint8), np.zeros((1, 6), np.float32)
    exact = EngineChoice("openvino").load(Checkpoint.open(checkpoint)).predict({COLOR: picture}, state).actions
    for name in ("openvino", "onnxruntime"):
        engine = EngineChoice(name).load(bundle)
        assert engine.precision is Precision.INT8
        assert np.abs(engine.predict({COLOR: picture}, state).actions - exact).max() < 0.2 * np.std(exact)
