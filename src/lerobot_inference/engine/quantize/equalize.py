"""Make the channels of a value alike in range, so that one int8 scale serves them all.

A positive factor per channel passes through ReLU, max-pooling and sums: what the layers before divide by, the layers
behind multiply by, and the network computes the same (Data-Free Quantization, arXiv 1906.04721). How the range is
shared between value and weight follows SmoothQuant (arXiv 2211.10438).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray

from lerobot_inference.engine.quantize.calibrate import Extremes
from lerobot_inference.engine.quantize.network import Layer, Network

MIGRATION = 0.5
"""SmoothQuant's alpha: 1 makes the values' channels equal, 0 those of the weights."""
LEAST = 1e-3  # a channel that stays below this part of the largest keeps its scale
HOMOGENEOUS = ("Relu", "MaxPool", "Add")


@dataclass
class Group:
    """Values that must share their channels' scales: the layers before and behind them, and biases added between."""

    before: list[Layer] = field(default_factory=list)
    behind: list[Layer] = field(default_factory=list)
    biases: list[str] = field(default_factory=list)

    @property
    def constants(self) -> list[str]:
        """All that scaling the group changes."""
        convolution_biases = [layer.node.input[2] for layer in self.before if layer.is_convolution]
        weights = [layer.weight for layer in (*self.before, *self.behind)]
        return weights + convolution_biases + self.biases


def equalize(network: Network, extremes: Mapping[str, Extremes]) -> dict[str, Extremes]:
    """Rescale the network's constants in place; return the extremes as they are then."""
    scaled = dict(extremes)
    for group in _groups(network):
        peak = np.max([np.abs(extremes[layer.x]).max(axis=0) for layer in group.behind], axis=0).astype(np.float64)
        reach = np.max([_reach(network, layer) for layer in group.behind], axis=0)
        scale = _scale(peak, reach)
        for layer in group.before:
            _multiply(network, layer.weight, 1 / scale, layer.out_axis)
        for layer in group.behind:
            _multiply(network, layer.weight, scale, layer.in_axis)
            low, high = extremes[layer.x]
            scaled[layer.x] = (low / scale).astype(np.float32), (high / scale).astype(np.float32)
        weights = {layer.weight for layer in (*group.before, *group.behind)}
        for bias in set(group.constants) - weights:
            _multiply(network, bias, 1 / scale, -1)
    return scaled


def _groups(network: Network) -> list[Group]:
    """The groups that nothing else than layers writes or reads."""
    parent: dict[str, str] = {}

    def root(value: str) -> str:
        while (above := parent.setdefault(value, value)) != value:
            value = above
        return value

    groups: dict[str, Group] = defaultdict(Group)
    layers = {layer.name: layer for layer in network.layers}
    fixed: list[str] = []
    biases: list[tuple[str, str]] = []
    for node in network.model.graph.node:
        if node.name in layers:
            continue
        values = [name for name in (*node.input, *node.output) if not network.is_constant(name)]
        if not _homogeneous(network, node):
            fixed.extend(values)
            continue
        for value in values[1:]:
            parent[root(value)] = root(values[0])
        biases.extend((node.output[0], name) for name in node.input if network.is_constant(name))
    for layer in layers.values():
        groups[root(layer.node.output[0])].before.append(layer)
        groups[root(layer.x)].behind.append(layer)
    for value, bias in biases:
        groups[root(value)].biases.append(bias)
    uses = Counter(name for node in network.model.graph.node for name in node.input)
    for value in fixed:
        groups.pop(root(value), None)
    return [
        group
        for group in groups.values()
        if group.before and group.behind and all(uses[name] == 1 for name in group.constants)
    ]


def _homogeneous(network: Network, node: onnx.NodeProto) -> bool:
    """Does a positive factor per channel pass through, when a bias that is added takes it too?"""
    if node.op_type != "Add" or not any(network.is_constant(name) for name in node.input):
        return node.op_type in HOMOGENEOUS
    maker = network.producer.get(node.input[0])
    return maker is not None and maker.op_type == "MatMul"


def _scale(peak: NDArray[np.float64], reach: NDArray[np.float64]) -> NDArray[np.float64]:
    alive = (peak > LEAST * peak.max()) & (reach > 0)
    scale = np.ones_like(peak)
    scale[alive] = peak[alive] ** MIGRATION / reach[alive] ** (1 - MIGRATION)
    if alive.any():
        scale[alive] /= np.exp(np.log(scale[alive]).mean())
    return scale


def _reach(network: Network, layer: Layer) -> NDArray[np.float64]:
    """(C,) largest weight that reads each input channel."""
    weight = np.abs(np.moveaxis(network.constant(layer.weight), layer.in_axis, 0))
    largest: NDArray[np.float64] = weight.reshape(len(weight), -1).max(axis=1).astype(np.float64)
    return largest


def _multiply(network: Network, name: str, factor: NDArray[np.float64], axis: int) -> None:
    values = network.constant(name)
    shape = [1] * values.ndim
    shape[axis] = -1
    network.replace(name, values * factor.reshape(shape))
