"""Cut the graph into parts, so that the sensitive ones stay in float32 where the rest is computed in less.

Joint positions of 3 rad have steps of 0.016 rad in bfloat16, and the first attention mixes the joint state with what
the camera saw. The state's tokens, that attention, the decoder and the action head are a small part of the operations
and make much of bfloat16's error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lerobot_inference.engine.graph_engine import CAMERA_TOKENS, FIRST_ATTENTION, MEMORY
from lerobot_inference.types import IMAGE_PREFIX


def cut(openvino: Any, model: Any) -> list[tuple[Any, bool]]:  # noqa: ANN401
    """From an openvino.Model of the graph: its parts in the order they run, and whether each is a sensitive one.

    Pictures -> tokens; with the states, through the first attention; through the rest of the encoder; to the actions.
    Values pass from part to part by their names. Takes `model` apart: it can't be used any more.
    """
    inputs = {parameter.output(0).get_any_name(): parameter for parameter in model.get_parameters()}
    values = {name: output for node in model.get_ops() for output in node.outputs() for name in output.get_names()}
    pictures = [name for name in inputs if name.startswith(IMAGE_PREFIX)]
    states = [parameter for name, parameter in inputs.items() if name not in pictures]

    parts: list[tuple[Any, bool]] = []
    feeds = [inputs[name] for name in pictures]
    if pictures:
        part, feeds = _cut_at(openvino, values, [CAMERA_TOKENS + name for name in pictures], feeds)
        parts.append((part, False))
    feeds += states
    for name, sensitive in ((FIRST_ATTENTION, True), (MEMORY, False)):
        part, feeds = _cut_at(openvino, values, [name], feeds)
        parts.append((part, sensitive))
    return [*parts, (openvino.Model(model.get_results(), feeds), True)]


def _cut_at(
    openvino: Any,  # noqa: ANN401
    values: Mapping[str, Any],
    names: Sequence[str],
    feeds: Sequence[Any],
) -> tuple[Any, list[Any]]:
    """The part that makes the values called `names` from `feeds`, and the parameters that their readers read now."""
    parameters = []
    for name in names:
        value = values[name]
        parameter = openvino.op.Parameter(value.get_element_type(), value.get_partial_shape())
        for reader in list(value.get_target_inputs()):
            reader.replace_source_output(parameter.output(0))
        parameter.output(0).set_names({name})
        parameters.append(parameter)
    return openvino.Model([values[name] for name in names], list(feeds)), parameters
