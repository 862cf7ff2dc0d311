"""Are the bundle's chunks those of lerobot itself? Compared on recorded frames, in radians."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lerobot_inference.checkpoint import Checkpoint, NormalizationMode
from lerobot_inference.checkpoint.bundle import Parity
from lerobot_inference.dataset import Dataset
from lerobot_inference.engine.base import Engine
from lerobot_inference.errors import EngineError
from lerobot_inference.types import ACTION, FloatArray, Progress, silent

FRAMES = 16
EXACT = 1e-4
"""Largest error of an exact engine, in standard deviations of the joint's action."""
LEAST_STD = 1e-6  # radians: keeps a joint that never moved from dividing by zero
GOLDEN_RATIO = 0.6180339887


@dataclass(frozen=True)
class Comparison:
    """Chunks of an engine and of its reference for the same frames, (N, chunk, A) radians. action_std: (A,) radians."""

    found: FloatArray
    expected: FloatArray
    action_std: NDArray[np.float64]

    def record(self, reference: str) -> Parity:
        """The figures. reference: name of the engine that gave `expected`."""
        joints = self.found.shape[2]
        found, expected = (chunks.astype(np.float64).reshape(-1, joints) for chunks in (self.found, self.expected))
        error = np.abs(found - expected)
        return Parity(
            reference=reference,
            frames=len(self.found),
            max_abs=error.max(),
            rmse=_rms(error),
            cosine=_cosine(found, expected),
            max_abs_in_std=(error / self.action_std).max(),
            action_std=self.action_std.tolist(),
            per_joint_max_abs=error.max(axis=0).tolist(),
            per_joint_rmse=[_rms(column) for column in error.T],
            per_joint_cosine=[_cosine(f, e) for f, e in zip(found.T, expected.T, strict=True)],
        )

    def require_exact(self) -> None:
        """Raise EngineError where an error is over 1e-4 of the joint's action_std and over what float32 resolves."""
        error = np.abs(self.found.astype(np.float64) - self.expected).max(axis=(0, 1))
        resolution = 2 * np.finfo(np.float32).eps * np.abs(self.expected).max(axis=(0, 1))
        bound = np.maximum(EXACT * self.action_std, resolution)
        for joint in np.flatnonzero(error > bound):
            raise EngineError(
                f"the exported network is not exact: joint {joint} is {error[joint]:.3g} rad off on recorded frames, "
                f"allowed are {bound[joint]:.3g} rad ({EXACT:g} of its action's standard deviation)",
                hint="nothing was written; another --engine may do, and please report this policy's config.json",
            )


def compare(
    engine: Engine,
    reference: Engine,
    dataset: Dataset,
    action_std: NDArray[np.float64],
    *,
    frames: int = FRAMES,
    progress: Progress = silent,
) -> Comparison:
    """Ask both engines for the chunk of each of up to `frames` frames, spread over the episodes and within them.

    Raises DatasetError when a frame can't be read, EngineError when an engine fails.
    """
    found, expected = [], []
    cameras = list(engine.spec.cameras)
    for index, fractions in spread(dataset.episode_indices, frames).items():
        episode = dataset.episode(index)
        numbers = sorted({int(fraction * episode.length) for fraction in fractions})
        for number, pictures in zip(numbers, episode.frames(numbers, cameras), strict=True):
            images = {name: picture[None] for name, picture in pictures.items()}
            states = episode.states[number][None]
            found.append(engine.predict(images, states).actions)
            expected.append(reference.predict(images, states).actions)
            progress(f"compare {engine.name} with {reference.name}", len(found), frames)
    return Comparison(np.concatenate(found), np.concatenate(expected), action_std)


def spread(episodes: tuple[int, ...], count: int) -> Mapping[int, list[float]]:
    """`count` moments over the episodes: episode -> how far through it, as fractions below 1.

    Multiples of the golden ratio visit early and late moments alike, whatever their number.
    """
    moments: dict[int, list[float]] = defaultdict(list)
    for moment in range(count):
        moments[episodes[moment * len(episodes) // count]].append(moment * GOLDEN_RATIO % 1)
    return moments


def action_std(checkpoint: Checkpoint, dataset: Dataset) -> NDArray[np.float64]:
    """(A,) radians: of the actions that the policy was trained on where it knows that, else of the dataset's."""
    scaling = checkpoint.normalization.action
    by_mean = scaling.mode is NormalizationMode.MEAN_STD
    std = scaling.statistics["std"] if by_mean else dataset.statistic(ACTION, "std")
    return np.maximum(std.astype(np.float64), LEAST_STD)


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Of two arrays taken as vectors; 1 for equal ones, zeros included, and 0 where only one is zero."""
    if np.array_equal(a, b):
        return 1.0
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.vdot(a, b)) / norms if norms else 0.0
