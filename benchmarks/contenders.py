"""Who runs the same network: lerobot in three ways, our engines, and the matrix product that bounds them all.

Each is built in a process of its own (worker.py) and holds its input; only the forward pass is timed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from episode import CACHE, dataset, full_size_policy, observed, policy_in
from lerobot_policy import LerobotPolicy, observation
from worker import SkippedError

from lerobot_inference.engine import EngineChoice
from lerobot_inference.types import ActionChunk, FloatArray, Precision

if TYPE_CHECKING:
    import torch

EAGER = "lerobot, eager"
MATRIX_SIZE = 4096
PRODUCT_FLOPS = 2 * MATRIX_SIZE**3


class Forward[T](NamedTuple):
    """run: one forward pass, all that is timed. radians: its result as actions (B, chunk, A)."""

    run: Callable[[], T]
    radians: Callable[[T], FloatArray]


class Sample(NamedTuple):
    """seconds: one for each timed forward pass. actions: what the last one gave, (B, chunk, A) radians."""

    seconds: list[float]
    actions: FloatArray


def contender(name: str, batch: int) -> Callable[[int], Sample]:
    """Build one of CONTENDERS; what comes back runs and times it so many times."""
    run, radians = CONTENDERS[name](batch)

    def turn(passes: int) -> Sample:
        # One pass that isn't timed: it wakes this process's threads and outlasts the spinning of those before.
        result, seconds = run(), []
        for _ in range(passes):
            started = time.perf_counter()
            result = run()
            seconds.append(time.perf_counter() - started)
        return Sample(seconds, radians(result))

    return turn


def lerobot_eager(batch: int) -> Forward[torch.Tensor]:
    """As lerobot's users call it. Making tensors of the pictures and normalising them is left out, in its favour."""
    policy, preprocess, postprocess = LerobotPolicy.load(full_size_policy())
    tensors = preprocess(observation(*observed(batch)))
    return Forward(lambda: policy.predict_action_chunk(tensors), lambda actions: postprocess(actions).numpy())


def lerobot_tuned(batch: int, *, compiled: bool) -> Forward[torch.Tensor]:
    """What lerobot's users can do without changing it: inference_mode, channels_last and perhaps torch.compile."""
    import torch

    policy, preprocess, postprocess = LerobotPolicy.load(full_size_policy())
    policy.to(memory_format=torch.channels_last)
    tensors = {
        name: value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value
        for name, value in preprocess(observation(*observed(batch))).items()
        if isinstance(value, torch.Tensor)
    }
    if compiled:
        require_compiler()
        policy.model.compile()

    @torch.inference_mode()
    def forward() -> torch.Tensor:
        actions: torch.Tensor = policy.predict_action_chunk(tensors)
        return actions

    return Forward(forward, lambda actions: postprocess(actions).numpy())


def require_compiler() -> None:
    """Compile one addition. Raises SkippedError where torch finds no C++ compiler that works."""
    import torch

    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(CACHE / "torchinductor")
    try:
        torch.compile(lambda x: x + 1)(torch.ones(8))
    except RuntimeError as error:
        raise SkippedError(f"torch.compile does not work here: {str(error).splitlines()[0]}") from error


def ours(batch: int, *, engine: str, precision: Precision = Precision.F32) -> Forward[ActionChunk]:
    """`predict` as a user calls it: from uint8 pictures to radians."""
    images, states = observed(batch)
    loaded = EngineChoice(engine, "cpu", precision).load(policy_in(precision, full_size_policy(), dataset()))
    loaded.warm_up()
    return Forward(lambda: loaded.predict(images, states), lambda chunk: chunk.actions)


def matrix_product(_: int, *, precision: Precision) -> Forward[object]:
    """A product of two MATRIX_SIZE-square matrices with OpenVINO: what this machine's arithmetic gives at best.

    int8 is the kind that networks run: the left matrix is quantised on the way in, the right one beforehand.
    """
    import openvino
    from openvino import opset13 as op

    rng = np.random.default_rng(0)
    shape = [MATRIX_SIZE, MATRIX_SIZE]
    left = op.parameter(shape, np.float32)
    quantised, right = left, op.constant(rng.standard_normal(shape, np.float32))
    if precision is Precision.INT8:
        low, high, scale = np.float32(-1), np.float32(127 / 128), np.float32(1 / 128)
        quantised = op.fake_quantize(left, low, high, low, high, 256)
        integers = op.constant(rng.integers(-127, 128, shape).astype(np.int8))
        right = op.multiply(op.convert(integers, "f32"), op.constant(scale))
    model = openvino.Model([op.matmul(quantised, right, False, True)], [left], "product")
    arithmetic = Precision.F32 if precision is Precision.F32 else Precision.BF16
    request = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": arithmetic}).create_infer_request()
    values = rng.standard_normal(shape, np.float32)
    nothing = np.empty((0, 0, 0), np.float32)
    return Forward(lambda: request.infer({0: values}, share_inputs=True, share_outputs=True), lambda _: nothing)


PRODUCTS = {f"matrix product, {precision}": precision for precision in Precision}
"""Name -> precision of the contenders that are no policy."""

ENGINES = {
    "openvino f32": Precision.F32,
    "openvino bf16": Precision.BF16,
    "openvino int8": Precision.INT8,
    "onnxruntime f32": Precision.F32,
}
"""Name of our engine and its precision."""

CONTENDERS: dict[str, Callable[[int], Forward[Any]]] = {
    EAGER: lerobot_eager,
    "lerobot, inference_mode + channels_last": partial(lerobot_tuned, compiled=False),
    "lerobot, the same + torch.compile": partial(lerobot_tuned, compiled=True),
    **{name: partial(ours, engine=name.split()[0], precision=precision) for name, precision in ENGINES.items()},
    **{name: partial(matrix_product, precision=precision) for name, precision in PRODUCTS.items()},
}
