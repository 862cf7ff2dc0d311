"""Cut the graph in three, so that what reads or gives radians stays in float32 where the rest is computed in less.

A joint position of 3 rad has steps of 0.016 rad in bfloat16. The tokens of the state, and the decoder with the action
head, are 3 % of a full-size policy's operations and made two thirds of bfloat16's error on a trained one.
"""

from __future__ import annotations

from typing import Any

from lerobot_inference.engine.graph_engine import MEMORY, VECTOR_TOKENS
from lerobot_inference.types import ENVIRONMENT_STATE, STATE


def cut(openvino: Any, model: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401
    """From an openvino.Model of the graph: states -> VECTOR_TOKENS, pictures and these -> MEMORY -> actions.

    Takes `model` apart: it can't be used any more.
    """
    inputs = {parameter.output(0).get_any_name(): parameter for parameter in model.get_parameters()}
    states = [parameter for name, parameter in inputs.items() if name in (STATE, ENVIRONMENT_STATE)]
    pictures = [parameter for name, parameter in inputs.items() if name not in (STATE, ENVIRONMENT_STATE)]
    tokens, tokens_in = _cut_at(openvino, model, VECTOR_TOKENS)
    memory, memory_in = _cut_at(openvino, model, MEMORY)
    return (
        openvino.Model([tokens], states),
        openvino.Model([memory], [*pictures, tokens_in]),
        openvino.Model(model.get_results(), [memory_in]),
    )


def _cut_at(openvino: Any, model: Any, name: str) -> tuple[Any, Any]:  # noqa: ANN401
    """The output called `name`, now read by nobody, and the parameter that its readers read instead."""
    outputs = (output for node in model.get_ops() for output in node.outputs())
    output = next(output for output in outputs if name in output.get_names())
    parameter = openvino.op.Parameter(output.get_element_type(), output.get_partial_shape())
    for reader in list(output.get_target_inputs()):
        reader.replace_source_output(parameter.output(0))
    parameter.output(0).set_names({name})
    return output, parameter
