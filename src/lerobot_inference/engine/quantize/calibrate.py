"""Run a graph on recorded observations: which values its channels take, and what its actions are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from lerobot_inference.engine.base import thread_count
from lerobot_inference.engine.openvino import runtime
from lerobot_inference.engine.quantize.network import Layer, Network, Values
from lerobot_inference.types import ACTION, FloatArray, Progress, UInt8Array, silent

type Feeds = Mapping[str, UInt8Array | FloatArray]
"""Graph input -> array, one observation or a batch."""
type Extremes = tuple[Values, Values]
"""Least and greatest value of each channel (C,)."""


def actions(model: onnx.ModelProto, observations: Sequence[Feeds]) -> FloatArray:
    """The chunks (N, chunk, A) in radians that the graph predicts, computing exactly what it says."""
    run = _runner(model)
    return np.concatenate([run(feeds)[ACTION].copy() for feeds in observations])


def channel_extremes(
    network: Network, observations: Sequence[Feeds], progress: Progress = silent
) -> Mapping[str, Extremes]:
    """The extremes of every layer's input over all observations, by the name of the input."""
    probed = onnx.ModelProto()
    probed.CopyFrom(network.model)
    inputs = {layer.x: layer for layer in network.layers}
    for x, layer in inputs.items():
        _probe(probed.graph, x, layer)
    run = _runner(probed)
    found: dict[str, Extremes] = {}
    for done, feeds in enumerate(observations):
        progress("calibrate int8", done, len(observations))
        result = run(feeds)
        for x in inputs:
            low, high = result[f"{x}/low"], result[f"{x}/high"]
            if x in found:
                low, high = np.minimum(low, found[x][0]), np.maximum(high, found[x][1])
            found[x] = low.copy(), high.copy()
    progress("calibrate int8", len(observations), len(observations))
    return found


def _probe(graph: onnx.GraphProto, x: str, layer: Layer) -> None:
    """Give out the extremes of x over all axes but its channels'."""
    axes = f"{x}/axes"
    others = [0, 2, 3] if layer.is_convolution else [0, 1]
    graph.initializer.append(helper.make_tensor(axes, TensorProto.INT64, [len(others)], others))
    for kind, name in (("ReduceMin", f"{x}/low"), ("ReduceMax", f"{x}/high")):
        graph.node.append(helper.make_node(kind, [x, axes], [name], name=name, keepdims=0))
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))


def _runner(model: onnx.ModelProto) -> Callable[[Feeds], Mapping[str, Values]]:
    core = runtime()
    config: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": thread_count(None),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    request = core.compile_model(core.read_model(model.SerializeToString()), "CPU", config).create_infer_request()

    def run(feeds: Feeds) -> Mapping[str, Values]:
        # The request's own buffers, overwritten by the next call.
        return {output.get_any_name(): value for output, value in request.infer(dict(feeds)).items()}

    return run
