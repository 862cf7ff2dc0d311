"""The ResNet that turns a normalised picture into a feature map, its frozen batch norm folded into the convolutions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lerobot_inference.engine.graph.builder import GraphBuilder
from lerobot_inference.engine.graph.weights import Array, Weights
from lerobot_inference.errors import CheckpointError
from lerobot_inference.types import ImageShape

BATCH_NORM_EPS = 1e-5  # torchvision.ops.FrozenBatchNorm2d's default


@dataclass(frozen=True)
class Architecture:
    """blocks: how many residual blocks each of the four stages has. expansion: channels out over channels inside."""

    blocks: tuple[int, int, int, int]
    expansion: int


# Deep Residual Learning (arXiv 1512.03385), table 1.
ARCHITECTURES = {
    "resnet18": Architecture((2, 2, 2, 2), 1),
    "resnet34": Architecture((3, 4, 6, 3), 1),
    "resnet50": Architecture((3, 4, 6, 3), 4),
    "resnet101": Architecture((3, 4, 23, 3), 4),
    "resnet152": Architecture((3, 8, 36, 3), 4),
}


@dataclass(frozen=True)
class Convolution:
    """weight (out, in, k, k) and bias (out,) with the batch norm that follows folded in."""

    weight: Array
    bias: Array
    stride: int
    dilation: int

    def emit(self, graph: GraphBuilder, x: str) -> str:
        """x: (B, in, H, W) -> (B, out, H', W'), padded so that only the stride shrinks it."""
        kernel = self.weight.shape[-1]
        return graph.op(
            "Conv",
            x,
            graph.constant(self.weight),
            graph.constant(self.bias),
            kernel_shape=[kernel] * 2,
            strides=[self.stride] * 2,
            dilations=[self.dilation] * 2,
            pads=[self.dilation * (kernel // 2)] * 4,
        )


@dataclass(frozen=True)
class Block:
    """Convolutions in a row, and the one on the shortcut where the shape changes."""

    convolutions: list[Convolution]
    shortcut: Convolution | None


class Backbone:
    """Read once, emitted for each camera: they share the weights.

    Raises CheckpointError when dilation is asked of a ResNet that can't have it.
    """

    def __init__(self, weights: Weights, name: str, dilate_last_stage: bool) -> None:
        architecture = ARCHITECTURES[name]
        if dilate_last_stage and architecture.expansion == 1:
            raise CheckpointError(
                f"config.json: replace_final_stride_with_dilation can't be built with {name}: "
                "its residual blocks have no dilation, in torchvision neither"
            )
        self.stem = _read(weights, "backbone.conv1", "backbone.bn1", (64, 3, 7), stride=2)
        self.blocks: list[Block] = []
        self.channels = 64
        for stage, count in enumerate(architecture.blocks):
            dilated = dilate_last_stage and stage == 3
            for number in range(count):
                self.blocks.append(
                    self._block(
                        weights,
                        f"backbone.layer{stage + 1}.{number}",
                        width=64 << stage,
                        expansion=architecture.expansion,
                        stride=2 if stage and not number and not dilated else 1,
                        dilation=2 if dilated and number else 1,
                    )
                )
                self.channels = (64 << stage) * architecture.expansion
        self.stride = 16 if dilate_last_stage else 32

    def feature_size(self, image: ImageShape) -> ImageShape:
        """Size of the feature map of an image: every halving rounds up."""
        return ImageShape(-(-image.height // self.stride), -(-image.width // self.stride))

    def emit(self, graph: GraphBuilder, x: str, pixel_scale: Array) -> str:
        """x: (B, 3, H, W) picture, still to be multiplied by pixel_scale (3,) -> (B, channels, H/32, W/32)."""
        scaled = self.stem.weight * pixel_scale[None, :, None, None]
        stem = Convolution(scaled, self.stem.bias, self.stem.stride, self.stem.dilation)
        x = graph.op("Relu", stem.emit(graph, x))
        x = graph.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
        for block in self.blocks:
            shortcut = block.shortcut.emit(graph, x) if block.shortcut else x
            for convolution in block.convolutions[:-1]:
                x = graph.op("Relu", convolution.emit(graph, x))
            x = graph.op("Relu", graph.op("Add", block.convolutions[-1].emit(graph, x), shortcut))
        return x

    def _block(self, weights: Weights, name: str, width: int, expansion: int, stride: int, dilation: int) -> Block:
        """A basic block (3x3, 3x3) or a bottleneck (1x1, 3x3, 1x1); torchvision strides in the first 3x3."""
        inside, out = self.channels, width * expansion
        if expansion == 1:
            shapes = [(width, inside, 3), (width, width, 3)]
        else:
            shapes = [(width, inside, 1), (width, width, 3), (out, width, 1)]
        first_3x3 = next(place for place, shape in enumerate(shapes) if shape[2] == 3)
        convolutions = [
            _read(
                weights,
                f"{name}.conv{place + 1}",
                f"{name}.bn{place + 1}",
                shape,
                stride=stride if place == first_3x3 else 1,
                dilation=dilation if shape[2] == 3 else 1,
            )
            for place, shape in enumerate(shapes)
        ]
        if stride == 1 and inside == out:
            return Block(convolutions, None)
        shortcut = _read(weights, f"{name}.downsample.0", f"{name}.downsample.1", (out, inside, 1), stride=stride)
        return Block(convolutions, shortcut)


def _read(
    weights: Weights, conv: str, norm: str, shape: tuple[int, int, int], *, stride: int = 1, dilation: int = 1
) -> Convolution:
    out, inside, kernel = shape
    weight = weights.take(f"{conv}.weight", out, inside, kernel, kernel)
    scale, shift, mean, variance = (
        weights.take(f"{norm}.{part}", out) for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = scale / np.sqrt(variance + BATCH_NORM_EPS)
    folded = np.empty_like(weight)
    np.multiply(weight, scale[:, None, None, None], out=folded, dtype=np.float64, casting="same_kind")
    return Convolution(folded, shift - mean * scale, stride, dilation)
