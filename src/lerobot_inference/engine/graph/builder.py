"""Emit ONNX nodes one by one; every value is a name. Large constants go straight to a file of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper

from lerobot_inference.checkpoint.bundle import WEIGHTS_FILE
from lerobot_inference.engine.graph.weights import Array

type Attribute = int | float | Sequence[int]

OPSET = 20  # the first with Gelu
IR_VERSION = 9
LARGE = 1024  # bytes
ALIGNMENT = 64  # the widest vector registers'
PRODUCER = "lerobot-inference"


class GraphBuilder:
    """Collects nodes, constants, inputs and the output. All constants are stored as float32 or int64.

    weights: the file that takes the large ones (ONNX's external data), so that neither this process nor a runtime
    that maps the file ever holds a copy of them all.
    """

    def __init__(self, weights: BinaryIO) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._scope = ""

    def scope(self, name: str) -> None:
        """Name what follows `name/...`, so that a profile or a viewer shows the part of the policy."""
        self._scope = name

    def input(self, name: str, dtype: int, shape: Sequence[int | str]) -> str:
        """Declare a graph input; a str dimension is dynamic."""
        self._inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def constant(self, values: ArrayLike) -> str:
        """A float32 constant."""
        return self._store(np.asarray(values, np.float32, order="C"))

    def integers(self, values: Sequence[int]) -> str:
        """An int64 vector: shapes, axes."""
        return self._store(np.asarray(values, np.int64))

    def op(self, kind: str, *inputs: str, **attributes: Attribute) -> str:
        """Append a node with one output; return the output's name."""
        return self.split_op(kind, 1, *inputs, **attributes)[0]

    def split_op(self, kind: str, outputs: int, *inputs: str, **attributes: Attribute) -> list[str]:
        """Append a node with several outputs; return their names."""
        name = f"{self._scope}/{kind}_{len(self._nodes)}"
        names = [name] if outputs == 1 else [f"{name}:{number}" for number in range(outputs)]
        node = helper.make_node(kind, inputs, names, name=name, **attributes)  # type: ignore[arg-type]
        self._nodes.append(node)
        return names

    def named(self, value: str, name: str) -> str:
        """Call `value`, which nothing reads yet, `name`; return it. A runtime may cut the graph there."""
        node = next(node for node in reversed(self._nodes) if value in node.output)
        node.output[list(node.output).index(value)] = name
        return name

    def linear(self, x: str, weight: Array, bias: Array) -> str:
        """Tokens x (..., I) @ weight (O, I) transposed + bias (broadcast to (..., O)).

        The weight is stored as the checkpoint has it: runtimes read a matrix either way as fast.
        """
        matrix = self.op("Transpose", self.constant(weight), perm=[1, 0])
        return self.op("Add", self.op("MatMul", x, matrix), self.constant(bias))

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """0 keeps a dimension (the batch)."""
        return self.op("Reshape", x, self.integers(shape))

    def model(self, output: str, name: str, shape: Sequence[int | str]) -> onnx.ModelProto:
        """The finished model, with the value `output` given out as `name`."""
        self._nodes.append(helper.make_node("Identity", [output], [name], name=name))
        graph = helper.make_graph(
            self._nodes,
            "act",
            self._inputs,
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
            initializer=self._constants,
        )
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, producer_name=PRODUCER, ir_version=IR_VERSION, opset_imports=[opset])

    def _store(self, values: NDArray[np.float32] | NDArray[np.int64]) -> str:
        name = f"{self._scope}/constant_{len(self._constants)}"
        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        tensor = onnx.TensorProto(name=name, dims=values.shape, data_type=kind)
        if values.nbytes < LARGE:
            tensor.raw_data = values.tobytes()
        else:
            self._move_out(tensor, values)
        self._constants.append(tensor)
        return name

    def _move_out(self, tensor: onnx.TensorProto, values: NDArray[np.float32] | NDArray[np.int64]) -> None:
        self._weights.write(bytes(-self._weights.tell() % ALIGNMENT))
        place = {"location": WEIGHTS_FILE, "offset": self._weights.tell(), "length": values.nbytes}
        self._weights.write(values.data)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
