"""Write int8 into a graph: QuantizeLinear and DequantizeLinear around what is computed in it (ONNX's QDQ form)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from lerobot_inference.engine.quantize.calibrate import Extremes
from lerobot_inference.engine.quantize.network import Layer, Network

LEAST_SCALE = 1e-12  # of a value or a weight that is always zero


def insert_int8(network: Network, layers: Iterable[Layer], extremes: Mapping[str, Extremes]) -> onnx.ModelProto:
    """A new model that computes `layers` in int8, each input within its extremes; all else stays as it is.

    Weights have one scale per output channel. A value has one scale: unsigned where it is never negative, else
    symmetric.
    """
    model = onnx.ModelProto()
    model.CopyFrom(network.model)
    rewrite = _Rewrite(model, network)
    for layer in layers:
        rewrite.layer(layer, extremes[layer.x])
    rewrite.shortcuts()
    rewrite.finish()
    return model


class _Rewrite:
    def __init__(self, model: onnx.ModelProto, network: Network) -> None:
        self._graph = model.graph
        self._network = network
        self._nodes = {node.name: node for node in self._graph.node}
        self._behind: dict[str, list[onnx.NodeProto]] = {}  # value -> the nodes that quantise it
        self._weights: dict[str, onnx.NodeProto] = {}

    def layer(self, layer: Layer, extremes: Extremes) -> None:
        """Feed the layer an int8 value and an int8 weight."""
        self._quantize_value(layer.x, extremes)
        node = self._nodes[layer.name]
        node.input[0] = self._int8_of(layer.x)
        if layer.weight not in self._weights:
            self._quantize_weight(layer)
        node.input[1] = self._weights[layer.weight].output[0]

    def shortcuts(self) -> None:
        """Let the sum that ends a residual block read the int8 value that the block reads: half the memory traffic."""
        for node in self._graph.node:
            makers = [self._network.producer.get(name) for name in node.input]
            if node.op_type == "Add" and any(maker is not None and maker.op_type == "Conv" for maker in makers):
                for place, name in enumerate(node.input):
                    node.input[place] = self._int8_of(name)

    def finish(self) -> None:
        """Put the new nodes where ONNX wants them: behind what they read."""
        nodes = list(self._weights.values())
        for node in self._graph.node:
            nodes.append(node)
            nodes.extend(new for name in node.output for new in self._behind.get(name, []))
        del self._graph.node[:]
        self._graph.node.extend(nodes)
        for tensor in [tensor for tensor in self._graph.initializer if tensor.name in self._weights]:
            self._graph.initializer.remove(tensor)

    def _before_pooling(self, value: str) -> str:
        """Rounding is monotone, so it may come before a maximum: the pooling then moves a quarter of the bytes."""
        maker = self._network.producer.get(value)
        return maker.input[0] if maker is not None and maker.op_type == "MaxPool" else value

    def _int8_of(self, value: str) -> str:
        """The value to read in place of `value`."""
        return self._behind[value][-1].output[0] if value in self._behind else value

    def _quantize_value(self, value: str, extremes: Extremes) -> None:
        source = self._before_pooling(value)
        if source in self._behind:
            return
        low, high = float(extremes[0].min()), float(extremes[1].max())
        unsigned = low >= 0
        scale = high / 255 if unsigned else max(-low, high) / 127
        parameters = [
            self._store(f"{source}/scale", np.asarray(max(scale, LEAST_SCALE), np.float32)),
            self._store(f"{source}/zero", np.zeros((), np.uint8 if unsigned else np.int8)),
        ]
        names = f"{source}/quantized", f"{source}/dequantized"
        self._behind[source] = [
            helper.make_node("QuantizeLinear", [source, *parameters], [names[0]], name=names[0]),
            helper.make_node("DequantizeLinear", [names[0], *parameters], [names[1]], name=names[1]),
        ]
        if source != value:
            self._nodes[self._network.producer[value].name].input[0] = names[1]

    def _quantize_weight(self, layer: Layer) -> None:
        name, weight = layer.weight, self._network.constant(layer.weight)
        shape = [1] * weight.ndim
        shape[layer.out_axis] = -1
        others = tuple(axis for axis in range(weight.ndim) if axis != layer.out_axis)
        scale = np.maximum(np.abs(weight).max(axis=others) / 127, LEAST_SCALE).astype(np.float32)
        rounded = np.rint(weight / scale.reshape(shape)).clip(-127, 127).astype(np.int8)
        inputs = [
            self._store(f"{name}/int8", rounded),
            self._store(f"{name}/scale", scale),
            self._store(f"{name}/zero", np.zeros(len(scale), np.int8)),
        ]
        made = f"{name}/dequantized"
        self._weights[name] = helper.make_node("DequantizeLinear", inputs, [made], name=made, axis=layer.out_axis)

    def _store(self, name: str, values: NDArray[np.generic]) -> str:
        self._graph.initializer.append(numpy_helper.from_array(values, name))
        return name
