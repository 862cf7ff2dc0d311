"""Turn the network of a bundle into int8, calibrated on the dataset's own frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lerobot_inference.checkpoint.bundle import WEIGHTS_FILE
from lerobot_inference.dataset import Dataset
from lerobot_inference.errors import require
from lerobot_inference.export.accuracy import Yardstick
from lerobot_inference.export.parity import spread
from lerobot_inference.files import storage_errors
from lerobot_inference.types import STATE, FloatArray, PolicySpec, Progress, UInt8Array, silent

FRAMES = 64
LARGE = 1024  # bytes from which a constant goes to the weights' file


def quantize_graph(graph: Path, spec: PolicySpec, yardstick: Yardstick, progress: Progress = silent) -> None:
    """Rewrite `graph` and the weights beside it as int8.

    Calibrated on frames of the yardstick's dataset that the yardstick doesn't score with.
    Raises DatasetError for a frame that can't be read, UsageError when openvino isn't installed, StorageError.
    """
    onnx = require("onnx", "openvino")
    from lerobot_inference.engine.quantize import quantize

    scored = {episode: set(steps) for episode, steps in yardstick.episodes.items()}
    observations = calibration_frames(yardstick.dataset, spec, scored)
    model = quantize(onnx.load(graph), observations, progress)
    weights = graph.with_name(WEIGHTS_FILE)
    with storage_errors(weights):
        weights.unlink()  # it would be appended to
        onnx.save(model, graph, save_as_external_data=True, location=weights.name, size_threshold=LARGE)


def calibration_frames(
    dataset: Dataset, spec: PolicySpec, scored: dict[int, set[int]], count: int = FRAMES
) -> list[dict[str, UInt8Array | FloatArray]]:
    """Graph input -> array (1, ...), for up to `count` frames spread over the episodes and within them.

    scored: episode -> frames to leave out, as long as the episode has others.
    """
    observations = []
    cameras = list(spec.cameras)
    for index, fractions in spread(dataset.episode_indices, count).items():
        episode = dataset.episode(index)
        frames = range(episode.length)
        free = sorted(set(frames) - scored.get(index, set())) or list(frames)
        numbers = sorted({free[int(fraction * len(free))] for fraction in fractions})
        for number, pictures in zip(numbers, episode.frames(numbers, cameras), strict=True):
            images: dict[str, UInt8Array | FloatArray] = {name: image[np.newaxis] for name, image in pictures.items()}
            observations.append(images | {STATE: episode.states[number][np.newaxis]})
    return observations
