"""Who runs the same network: lerobot in three ways, our engines, and the bare arithmetic that bounds them all.

Each is built in a process of its own (worker.py) and holds its input; only the forward pass is timed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from episode import dataset, full_size_policy, observed, policy_in
from lerobot_policy import LerobotPolicy, observation
from places import CACHE
from worker import SkippedError

from lerobot_inference.engine import EngineChoice
from lerobot_inference.engine.base import thread_count
from lerobot_inference.types import ActionChunk, FloatArray, Precision

if TYPE_CHECKING:
    import torch

EAGER = "lerobot, eager"
LAYERS, CHANNELS, HEIGHT, WIDTH, KERNEL = 4, 512, 30, 54, 3
PEAK_FLOPS = LAYERS * 2 * HEIGHT * WIDTH * (CHANNELS * KERNEL) ** 2


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


def convolutions(_: int, *, precision: Precision) -> Forward[object]:
    """Four large convolutions and nothing else, in OpenVINO: the most that this machine's arithmetic gives.

    They ran 5 to 20 % faster than a product of 4096-square matrices in the same precision. In int8 the activations
    are quantised on the way, as in a quantised network; the weights are integers beforehand.
    """
    import openvino
    from openvino import opset13 as op

    rng = np.random.default_rng(0)
    first = x = op.parameter([1, CHANNELS, HEIGHT, WIDTH], np.float32)
    shape, border = [CHANNELS, CHANNELS, KERNEL, KERNEL], [KERNEL // 2, KERNEL // 2]
    for _layer in range(LAYERS):
        if precision is Precision.INT8:
            low, high = np.float32(0), np.float32(2.55)
            x = op.fake_quantize(x, low, high, low, high, 256)
            integers = op.constant(rng.integers(-127, 128, shape).astype(np.int8))
            weights = op.multiply(op.convert(integers, "f32"), op.constant(np.float32(2e-4)))
        else:
            weights = op.constant(rng.normal(0, 0.015, shape).astype(np.float32))
        x = op.convolution(x, weights, [1, 1], border, border, [1, 1])
    config = {
        "INFERENCE_PRECISION_HINT": "f32" if precision is Precision.F32 else "bf16",
        "INFERENCE_NUM_THREADS": thread_count(None),
        "ENABLE_CPU_PINNING": False,
    }
    request = openvino.compile_model(openvino.Model([x], [first], "peak"), "CPU", config).create_infer_request()
    values = rng.standard_normal((1, CHANNELS, HEIGHT, WIDTH), np.float32)
    nothing = np.empty((0, 0, 0), np.float32)
    return Forward(lambda: request.infer({0: values}, share_inputs=True, share_outputs=True), lambda _: nothing)


PEAKS = {f"convolutions alone, {precision}": precision for precision in Precision}
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
    **{name: partial(convolutions, precision=precision) for name, precision in PEAKS.items()},
}
