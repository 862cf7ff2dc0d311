"""What quantising needs to know of a policy's graph: its layers, its constants, who makes and who reads a value."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

type Values = NDArray[np.float32]

LAYERS = ("Conv", "MatMul")
ELEMENTWISE = ("Add", "Sub", "Mul", "Concat", "Reshape", "Identity")


@dataclass(frozen=True)
class Layer:
    """A convolution, or a product of tokens with a constant matrix.

    x, weight: names of its inputs. macs: multiply-adds per observation.
    """

    node: onnx.NodeProto
    macs: int

    @property
    def name(self) -> str:
        """The node's."""
        return self.node.name

    @property
    def x(self) -> str:
        """The value it transforms."""
        return str(self.node.input[0])

    @property
    def weight(self) -> str:
        """(out, in, k, k) of a convolution, (in, out) of a product."""
        return str(self.node.input[1])

    @property
    def is_convolution(self) -> bool:
        """Channels are the second axis of its input and output, else the last."""
        return self.node.op_type == "Conv"

    @property
    def in_axis(self) -> int:
        """The weight's axis of input channels."""
        return 1 if self.is_convolution else 0

    @property
    def out_axis(self) -> int:
        """The weight's axis of output channels."""
        return 1 - self.in_axis


class Network:
    """A view of `model`; `constant` and `replace` read and write its constants.

    Constants that `model` transposes are stored transposed from here on: a product's matrix is its second input.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        _transpose_constants(model.graph)
        self.model = model
        graph = model.graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self.producer = {name: node for node in graph.node for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self.readers[name].append(node)
        self._sizes = _sizes(model)
        self.layers = [
            Layer(node, self._macs(node))
            for node in graph.node
            if node.op_type in LAYERS and self.is_constant(node.input[1]) and not self.is_constant(node.input[0])
        ]

    def is_constant(self, name: str) -> bool:
        """Is the value stored in the graph?"""
        return name in self._constants

    def constant(self, name: str) -> Values:
        """A constant's values; raises KeyError for another value."""
        return numpy_helper.to_array(self._constants[name])

    def replace(self, name: str, values: NDArray[np.floating]) -> None:
        """Give a constant other values, of the same shape."""
        self._constants[name].CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))

    def at_the_ends(self) -> set[str]:
        """Names of the layers that read a joint state, still in its own units, or write the actions."""
        graph = self.model.graph
        states = [put.name for put in graph.input if put.type.tensor_type.elem_type == onnx.TensorProto.FLOAT]
        return self._first_layers(states, forward=True) | self._first_layers(
            [put.name for put in graph.output], forward=False
        )

    def of_the_last_stage(self) -> set[str]:
        """Names of the convolutions whose feature maps are as coarse as those that become tokens."""
        cells = {
            layer.name: self._sizes[layer.node.output[0]] // self._constants[layer.weight].dims[0]
            for layer in self.layers
            if layer.is_convolution
        }
        coarsest = {
            cells[layer.name]
            for layer in self.layers
            if layer.is_convolution and any(node.op_type == "Reshape" for node in self.readers[layer.node.output[0]])
        }
        return {name for name, count in cells.items() if count in coarsest}

    def _first_layers(self, values: list[str], *, forward: bool) -> set[str]:
        """The first layers met from `values`, past elementwise nodes."""
        met: set[str] = set()
        names = {layer.name for layer in self.layers}
        while values:
            value = values.pop()
            for node in self.readers[value] if forward else filter(None, [self.producer.get(value)]):
                if node.name in names:
                    met.add(node.name)
                elif node.op_type in ELEMENTWISE:
                    values.extend(node.output if forward else node.input)
        return met

    def _macs(self, node: onnx.NodeProto) -> int:
        weight = self._constants[node.input[1]].dims
        per_output: int = math.prod(weight[1:]) if node.op_type == "Conv" else weight[0]
        return self._sizes[node.output[0]] * per_output


def _transpose_constants(graph: onnx.GraphProto) -> None:
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Transpose" and node.input[0] in constants]:
        tensor = constants[node.input[0]]
        turned = np.ascontiguousarray(numpy_helper.to_array(tensor).transpose(node.attribute[0].ints))
        tensor.CopyFrom(numpy_helper.from_array(turned, node.output[0]))
        graph.node.remove(node)


def _sizes(model: onnx.ModelProto) -> dict[str, int]:
    """How many numbers each value holds per observation (the batch being the one open dimension)."""
    return {
        value.name: math.prod(dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim)
        for value in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
