"""Floating-point operations of an ONNX graph: what a forward pass can't do without, whoever runs it.

.venv/bin/python benchmarks/flops.py    # those of the full-size policy, by its parts, and the size of its weights
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import onnx

COUNTED = frozenset({"Conv", "MatMul", "Gemm"})
UNCOUNTED = frozenset({"Attention", "ConvTranspose", "Einsum", "GRU", "LSTM", "RNN"})


def count_flops(model: onnx.ModelProto, batch: int = 1) -> Counter[str]:
    """Operator -> operations of its convolutions and matrix products; see `by_node`."""
    counts: Counter[str] = Counter()
    for node, flops in by_node(model, batch):
        counts[node.op_type] += flops
    return counts


def by_node(model: onnx.ModelProto, batch: int = 1) -> Iterator[tuple[onnx.NodeProto, int]]:
    """Yield each convolution and matrix product with its operations, a multiply-add being two.

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

    for node in graph.node:
        if node.op_type in UNCOUNTED:
            raise ValueError(f"{node.name or node.op_type}: operations of {node.op_type} can't be counted")
        if node.op_type in COUNTED:
            yield node, 2 * math.prod(known(node.output[0], shapes)) * depth(node, shapes)


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


def main() -> None:
    """Print what docs/explanation/graph.md says of the full-size policy."""
    from episode import full_size_policy

    from lerobot_inference.checkpoint import Checkpoint
    from lerobot_inference.engine.graph import build_graph

    checkpoint = Checkpoint.open(full_size_policy())
    model = build_graph(checkpoint)
    parts: Counter[str] = Counter()
    for node, flops in by_node(model):
        parts[f"{node.name.rpartition('/')[0]} {node.op_type}"] += flops
    for part, flops in parts.items():
        print(f"{part:<40}{flops / 1e9:>8.2f} GFLOP")
    print(f"{'all':<40}{parts.total() / 1e9:>8.2f} GFLOP")
    before, after = checkpoint.weights.stat().st_size, model.ByteSize()
    print(f"model.safetensors {before / 1e6:.0f} MB, graph {after / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
