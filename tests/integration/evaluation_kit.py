"""What the tests of robustness, resuming and stopping share: an engine to order, and what two runs must agree in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_inference.engine.base import Engine, check_chunk
from lerobot_inference.evaluation.predictions import EpisodePredictions, predictions_path
from lerobot_inference.evaluation.results import EvalResults
from lerobot_inference.evaluation.results_folder import load_results
from lerobot_inference.types import ActionChunk, FloatArray, PolicySpec, Precision, UInt8Array

type Answer = Callable[[Mapping[str, UInt8Array], FloatArray], FloatArray]
"""One observation, images (H, W, 3) and state (S,) -> actions (A,) or (chunk, A)."""


@dataclass
class Scripted:
    """An engine that does as `answer` says and counts what it is asked; like any engine it refuses to say NaN."""

    spec: PolicySpec
    answer: Answer
    asked: int = 0
    name: str = "scripted"
    device: str = "cpu"
    precision: Precision = Precision.F32
    threads: int = 1

    def warm_up(self) -> float:
        return 0.001

    def predict(self, images: Mapping[str, UInt8Array], states: FloatArray) -> ActionChunk:
        self.asked += 1
        actions = np.empty((len(states), self.spec.chunk_size, self.spec.action_dim), np.float32)
        for row, state in enumerate(states):
            actions[row] = self.answer({name: views[row] for name, views in images.items()}, state)
        check_chunk(self.spec, actions)
        return ActionChunk(actions)


@dataclass
class ShownNonsense:
    """An engine behind a camera whose every picture is cut into blocks of 16 pixels that are shuffled."""

    engine: Engine

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def __getattr__(self, name: str) -> object:
        return getattr(self.engine, name)

    def predict(self, images: Mapping[str, UInt8Array], states: FloatArray) -> ActionChunk:
        return self.engine.predict({name: self._shuffled(picture) for name, picture in images.items()}, states)

    def _shuffled(self, pictures: UInt8Array) -> UInt8Array:
        batch, height, width, colours = pictures.shape
        blocks = pictures.reshape(batch, height // 16, 16, width // 16, 16, colours).swapaxes(2, 3)
        shuffled = self.rng.permutation(blocks.reshape(batch, -1, 16, 16, colours), axis=1)
        return shuffled.reshape(blocks.shape).swapaxes(2, 3).reshape(pictures.shape)


def figures(results: EvalResults) -> dict[str, Any]:
    """All but wall times, and what says how the run was started."""
    content = results.model_dump(
        exclude={"timing": True, "aggregate_avg_inference_ms": True, "aggregate_throughput_hz": True}
    )
    for episode in content["per_episode"]:
        del episode["avg_inference_ms"], episode["throughput_hz"]
    for field in ("created", "command", "workers"):
        del content["provenance"][field]
    return content


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def require_equal(folder: Path, other: Path) -> None:
    """All but times, `created` and the command line."""
    one, two = load_results(folder), load_results(other)
    assert figures(one) == figures(two)
    found = contents(folder)
    assert found.keys() == contents(other).keys()
    assert not [name for name in found if name.endswith(".partial")]
    for name in ("failure_cases.jsonl", "plan.json"):
        assert found[name] == (other / name).read_bytes()
    for episode in one.per_episode:
        a, b = (EpisodePredictions.load(predictions_path(each, episode.episode)) for each in (folder, other))
        for field in (
            "predicted",
            "ground_truth",
            "states",
            "timestamps",
            "frames",
            "chunk_starts",
            "horizon_mae",
            "safety",
        ):
            assert np.array_equal(getattr(a, field), getattr(b, field)), field


def evaluate_command(policy: Path, dataset: Path, output: Path, *options: object) -> list[str]:
    """A command line that evaluates on one CPU thread."""
    given = ["--policy", policy, "--dataset", dataset, "--output", output, "--device", "cpu", "--engine", "openvino"]
    return [
        sys.executable,
        "-m",
        "lerobot_inference",
        "evaluate",
        *map(str, given),
        "--threads",
        "1",
        *map(str, options),
    ]


def run_evaluate(policy: Path, dataset: Path, output: Path, *options: object) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    command = evaluate_command(policy, dataset, output, *options)
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
