"""How a policy becomes int8: equalise its channels, measure what int8 costs each layer, leave out what is dear."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from lerobot_inference.engine.quantize.calibrate import Extremes, Feeds, actions, channel_extremes
from lerobot_inference.engine.quantize.equalize import equalize
from lerobot_inference.engine.quantize.insert import insert_int8
from lerobot_inference.engine.quantize.network import Layer, Network
from lerobot_inference.errors import CheckpointError, DatasetError
from lerobot_inference.types import Progress, silent

HEADROOM = np.float32(1.5)
"""How much further than on the calibration frames a value may reach: unseen episodes do go further, and what is cut off
costs more than coarser steps."""
SPARED = 0.04
"""Part of the multiply-adds that the most sensitive layers keep out of int8; it costs about as much of the speed."""
JUDGED = 8  # observations on which a layer's sensitivity is measured


def quantize(model: onnx.ModelProto, observations: Sequence[Feeds], progress: Progress = silent) -> onnx.ModelProto:
    """The float32 policy graph with most of its arithmetic in int8, in ONNX's QDQ form, inputs and output as they were.

    observations: graph input -> array (1, ...), recorded frames that stand for all that the policy will see; a value
    beyond HEADROOM times what they cover is cut off. Convolutions and products with constant weights become int8,
    except the ones at the ends, which see radians; the backbone's last stage, whose features are rare and large: what
    some frames show of their range says little about others'; and those that cost the actions the most per
    multiply-add (SPARED). Takes a minute or so. Raises CheckpointError when nothing is left to quantise, UsageError
    when openvino isn't installed.
    """
    if not observations:
        raise DatasetError("there is no recorded frame to calibrate int8 with")
    exact = onnx.ModelProto()
    exact.CopyFrom(model)
    network = Network(exact)
    extremes = _widened(equalize(network, channel_extremes(network, observations, progress)))
    left_out = network.at_the_ends() | network.of_the_last_stage()
    layers = [layer for layer in network.layers if layer.name not in left_out]
    if not layers:
        raise CheckpointError("the policy has no layer that int8 could compute", hint="export it as f32")
    judged = observations[:: math.ceil(len(observations) / JUDGED)]
    costs = _costs(network, layers, extremes, judged, progress)
    return insert_int8(network, _cheap(layers, costs), extremes)


def _widened(extremes: Mapping[str, Extremes]) -> dict[str, Extremes]:
    return {name: (HEADROOM * low, HEADROOM * high) for name, (low, high) in extremes.items()}


def _costs(
    network: Network,
    layers: Sequence[Layer],
    extremes: Mapping[str, Extremes],
    observations: Sequence[Feeds],
    progress: Progress,
) -> list[float]:
    """How far each layer alone in int8 moves the actions: mean square, rad^2."""
    exact = actions(network.model, observations)
    costs = []
    for done, layer in enumerate(layers):
        progress("measure int8 by layer", done, len(layers))
        moved = actions(insert_int8(network, [layer], extremes), observations)
        costs.append(float(np.mean((moved - exact) ** 2)))
    progress("measure int8 by layer", len(layers), len(layers))
    return costs


def _cheap(layers: Sequence[Layer], costs: Sequence[float]) -> list[Layer]:
    """All but the layers that cost the most per multiply-add, as far as SPARED allows."""
    left = SPARED * sum(layer.macs for layer in layers)
    spared: set[str] = set()
    by_price = sorted(zip(costs, layers, strict=True), key=lambda pair: pair[0] / pair[1].macs, reverse=True)
    for _, layer in by_price:
        if layer.macs <= left:
            left -= layer.macs
            spared.add(layer.name)
    return [layer for layer in layers if layer.name not in spared]
