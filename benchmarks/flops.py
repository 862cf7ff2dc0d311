"""Floating-point operations of an ONNX graph: what a forward pass can't do without, whoever runs it."""

from __future__ import annotations

import math
from collections import Counter

import onnx

COUNTED = frozenset({"Conv", "MatMul", "Gemm"})
UNCOUNTED = frozenset({"Attention", "ConvTranspose", "Einsum", "GRU", "LSTM", "RNN"})


def count_flops(model: onnx.ModelProto, batch: int = 1) -> Counter[str]:
    """Operator -> operations of its convolutions and matrix products, a multiply-add being two.

    A dynamic first dimension of an input is taken to be `batch`. Everything else (activations, norms, layout) is
    left out: a few operations per element, about a percent of ACT. Raises ValueError for a graph with other matrix
    operators or with a shape that stays unknown.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for graph_input in fixed.graph.input:
        dimensions = graph_input.type.tensor_type.shape.dim
        if dimensions and not dimensions[0].HasField("dim_value"):
            dimensions[0].dim_value = batch
    graph = onnx.shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True).graph
    shapes = {
        value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
    } | {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}

    counts: Counter[str] = Counter()
    for node in graph.node:
        if node.op_type in UNCOUNTED:
            raise ValueError(f"{node.name or node.op_type}: operations of {node.op_type} can't be counted")
        if node.op_type in COUNTED:
            counts[node.op_type] += 2 * math.prod(known(node.output[0], shapes)) * depth(node, shapes)
    return counts


def depth(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    """How many products are summed up for one element of a node's output."""
    first, second = (known(name, shapes) for name in node.input[:2])
    if node.op_type == "Conv":
        return math.prod(second[1:])  # weights are (out, in / groups, *kernel)
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return first[0] if transposed else first[-1]


def known(name: str, shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of a tensor. Raises ValueError when inference could not find all of it."""
    shape = shapes.get(name)
    if shape is None or 0 in shape:
        raise ValueError(f"the shape of {name!r} is unknown ({shape}); operations can't be counted")
    return shape
