"""The node as it is, with an engine that says what a file tells it to: `python scripted_node.py ORDER --ros-args …`.

ORDER is a JSON file that is read at each prediction. actions: rows of a chunk, one row stands for a whole chunk of it;
without them the engine looks at the image and the state, as a policy does. seconds: how long the prediction takes.
error: an EngineError; crash: any other. While there is a file ORDER.crash, the callback that takes joint states raises.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from lerobot_inference.engine import EngineChoice
from lerobot_inference.errors import EngineError
from lerobot_inference.ros2 import act_inference_node
from lerobot_inference.ros2.policy import LoadedPolicy
from lerobot_inference.types import ActionChunk, FloatArray, ImageShape, PolicySpec, Precision, UInt8Array

CHUNK = 20
SPEC = PolicySpec(6, 6, {"observation.images.color": ImageShape(96, 160)}, CHUNK, CHUNK)


class ScriptedEngine:
    name, device, precision, threads, spec = "scripted", "cpu", Precision.F32, 1, SPEC

    def __init__(self, order: Path) -> None:
        self.order = order

    def warm_up(self) -> float:
        return 0.0

    def predict(self, images: Mapping[str, UInt8Array], states: FloatArray, _environment: object = None) -> ActionChunk:
        order = json.loads(self.order.read_text())
        time.sleep(order.get("seconds", 0.0))
        if "error" in order:
            raise EngineError(order["error"])
        if "crash" in order:
            raise RuntimeError(order["crash"])
        rows = np.array(order["actions"], np.float32) if "actions" in order else looking(images, states)
        return ActionChunk((np.tile(rows, (CHUNK, 1)) if len(rows) == 1 else rows)[None])


def looking(images: Mapping[str, UInt8Array], states: FloatArray) -> FloatArray:
    """(CHUNK, 6) small steps, others for every image and every state."""
    (image,) = images.values()
    seen = image.reshape(6, -1).mean(axis=1) / 255 - 0.5
    said = seen + np.sin(10 * states[0] + np.arange(CHUNK)[:, None])
    return (0.002 * said).astype(np.float32)


class CrashingNode(act_inference_node.InferenceNode):
    def _see_joints(self, message: Any) -> None:
        if crash.exists():
            raise ZeroDivisionError("a mistake in a callback")
        super()._see_joints(message)


if __name__ == "__main__":
    order = Path(sys.argv[1])
    crash = order.with_suffix(".crash")
    policy: Any = SimpleNamespace(spec=SPEC)
    act_inference_node.load_policy = lambda *_: LoadedPolicy(policy, "scripted", None, "0" * 64)
    act_inference_node.InferenceNode = CrashingNode
    EngineChoice.load = lambda *_: ScriptedEngine(order)
    act_inference_node.main()
