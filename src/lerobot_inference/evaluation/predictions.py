"""One episode's predictions on disk: `predictions/ep000_predictions.npz`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from lerobot_inference.dataset import Episode
from lerobot_inference.evaluation.arrays import load_arrays, not_arrays, save_arrays
from lerobot_inference.evaluation.replay import AsDeployed
from lerobot_inference.evaluation.results import PREDICTIONS_FOLDER
from lerobot_inference.types import FloatArray, IntArray, TimeArray


@dataclass(frozen=True)
class EpisodePredictions:
    """What the policy said and what the demonstrator did, step by step (as-deployed protocol).

    predicted, ground_truth: (T, A) radians. inference_times: (T,) seconds, wall time of the policy path of
    each step. states: (T, S) radians. timestamps: (T,) seconds since the episode's start.
    frames: (T,) frame numbers within the episode. chunk_starts: (K,) indices into T at which the network ran.
    horizon_mae: (chunk,) radians, from the every-frame protocol; empty when that was not run.
    safety: (T,) numbers of control.Severity, what the safety replay made of each step; empty when that was not run.
    """

    predicted: FloatArray
    ground_truth: FloatArray
    inference_times: TimeArray
    states: FloatArray
    timestamps: TimeArray
    frames: IntArray
    chunk_starts: IntArray
    horizon_mae: TimeArray
    safety: IntArray

    @classmethod
    def of(
        cls,
        episode: Episode,
        steps: range,
        deployed: AsDeployed,
        horizon_mae: TimeArray | None = None,
        safety: IntArray | None = None,
    ) -> EpisodePredictions:
        """What `deployed` predicted for the frames `steps`, beside what was recorded there."""
        return cls(
            predicted=deployed.predicted,
            ground_truth=episode.actions[steps],
            inference_times=deployed.inference_times,
            states=episode.states[steps],
            timestamps=episode.timestamps[steps],
            frames=np.asarray(steps, np.int64),
            chunk_starts=deployed.chunk_starts,
            horizon_mae=np.zeros(0) if horizon_mae is None else horizon_mae,
            safety=np.zeros(0, np.int64) if safety is None else safety,
        )

    def save(self, path: Path) -> None:
        """Write atomically. Raises StorageError, leaving nothing behind."""
        save_arrays(path, {f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path) -> EpisodePredictions:
        """Raises ConfigError when the file is missing, damaged or lacks an array."""
        arrays = load_arrays(path, "a predictions file")
        try:
            return cls(**{f.name: arrays[f.name] for f in fields(cls)})
        except KeyError as error:
            raise not_arrays(path, "a predictions file", error) from error


def predictions_path(results: Path, episode: int) -> Path:
    """Where one episode's predictions lie within a results folder."""
    return results / PREDICTIONS_FOLDER / f"ep{episode:03d}_predictions.npz"
