"""What cold_start.py times: a process that loads a policy, predicts one chunk and prints what it used.

.venv/bin/python benchmarks/first_chunk.py lerobot|openvino|onnxruntime POLICY INPUT.npz
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

type Predict = Callable[[dict[str, np.ndarray[Any, Any]], np.ndarray[Any, Any]], np.ndarray[Any, Any]]
"""Images by camera and states in, actions (B, chunk, A) in radians out."""


def main() -> None:
    """INPUT.npz: state (1, S) and each camera's picture (1, H, W, 3). Prints JSON: actions, and memory in MB."""
    engine, folder, inputs = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    with np.load(inputs) as arrays:
        images = {name: arrays[name] for name in arrays.files if name != "state"}
        states = arrays["state"]
    predict = lerobot(folder) if engine == "lerobot" else ours(engine, folder)
    actions = predict(images, states)
    # `predict` still holds the policy: memory is what a process needs that goes on predicting.
    print(json.dumps({"actions": actions.tolist(), **memory()}), flush=True)


def lerobot(folder: Path) -> Predict:
    """As lerobot's users do it."""
    from lerobot_policy import LerobotPolicy, observation

    policy, preprocess, postprocess = LerobotPolicy.load(folder)
    return lambda *inputs: postprocess(policy.predict_action_chunk(preprocess(observation(*inputs)))).numpy()


def ours(engine: str, folder: Path) -> Predict:
    """A checkpoint or a bundle in one of our engines."""
    from lerobot_inference.checkpoint import open_policy
    from lerobot_inference.engine import EngineChoice

    loaded = EngineChoice(engine).load(open_policy(folder))
    return lambda *inputs: loaded.predict(*inputs).actions


def memory() -> dict[str, float]:
    """Resident memory of this process now and at its peak, MB. Linux only."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(status[field].split()[0]) / 1000 for name, field in (("resident", "VmRSS"), ("peak", "VmHWM"))}


if __name__ == "__main__":
    main()
